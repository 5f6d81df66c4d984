"""The portfolio against a model in fractions, and the two worked bills to the paisa."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhanfast._core.portfolio import DAY_BILL_DTYPE, Portfolio
from dhanfast._core.types import ReportKind
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.reports.result import DAY_DTYPE

# Rates of 2026-04-01 in 1e-9 of value, from the exchange's and the broker's tariff.
OPTIONS = {
    "brokerage_flat": 2_000, "exchange_rate_e9": 350_300, "sebi_rate_e9": 1_000,
    "ipft_rate_e9": 5_000, "stamp_buy_e9": 30_000, "stt_sell_e9": 1_500_000,
    "gst_rate_e9": 180_000_000, "gst_on_sebi": 1,
}  # fmt: skip
FUTURES = {
    "brokerage_flat": 2_000, "brokerage_rate_e9": 300_000, "exchange_rate_e9": 17_300,
    "sebi_rate_e9": 1_000, "ipft_rate_e9": 1_000, "stamp_buy_e9": 20_000,
    "stt_sell_e9": 500_000, "gst_rate_e9": 180_000_000, "gst_on_sebi": 1,
}  # fmt: skip
COMPONENTS = ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")


def fill(order_id: int, side: int, qty: int, price: int, instrument: int = 0) -> dict[str, int]:
    return {"order_id": order_id, "side": side, "qty": qty, "price": price,
            "instrument": instrument, "kind": int(ReportKind.FILLED)}  # fmt: skip


def session(date: int, rates: dict[str, int], **fields: Any) -> dict[str, Any]:
    return {"date": date, "charges": rates} | fields


def half_up(value: Fraction) -> int:
    return int((value + Fraction(1, 2)) // 1)


@pytest.mark.parametrize(
    ("rates", "buy", "sell", "bill", "total", "net"),
    [
        # BANKNIFTY option, 30 units, 450.00 -> 520.00: exchange 10.19, IPFT 0.15, SEBI 0.03, ...
        (OPTIONS, 45_000, 52_000, (4_000, 1_019, 3, 15, 0, 2_300, 904), 8_241, 201_759),
        # BANKNIFTY future, 30 units, 58,000 -> 58,250
        (FUTURES, 5_800_000, 5_825_000, (4_000, 6_033, 349, 349, 3_500, 87_400, 1_869), 103_500,
         646_500),
    ],
)  # fmt: skip
def test_the_worked_examples_come_out_to_the_paisa(
    rates: dict[str, int], buy: int, sell: int, bill: tuple[int, ...], total: int, net: int
) -> None:
    book = Portfolio(10_000_000)
    book.start_session(0, session(20260401, rates))
    book.apply_report(fill(1, 1, 30, buy))
    book.apply_report(fill(2, -1, 30, sell))
    book.end_day()
    day = book.bills()[0]
    assert tuple(day[name] for name in COMPONENTS) == bill
    assert (day["charges"], day["gross"], day["trades"]) == (total, 30 * (sell - buy), 1)
    assert day["equity"] == book.snapshot()["equity"] == 10_000_000 + net


def model_bill(
    rates: dict[str, int], side: int, value: int, before: int
) -> dict[str, Fraction | int]:
    """The tariff in exact fractions of a micro-paisa, each product rounded once, half up."""

    def part(name: str, of: int) -> int:
        return half_up(Fraction(rates.get(name, 0) * of, 1_000))

    def brokerage(of: int) -> int:
        flat = rates.get("brokerage_flat", 0) * 10**6
        rated = part("brokerage_rate_e9", of)
        return 0 if of == 0 else flat if not rates.get("brokerage_rate_e9") else min(flat, rated)

    way = "buy" if side > 0 else "sell"
    bill = {"brokerage": brokerage(before + value) - brokerage(before),
            "exchange": part("exchange_rate_e9", value), "sebi": part("sebi_rate_e9", value),
            "ipft": part("ipft_rate_e9", value), "stamp": part(f"stamp_{way}_e9", value),
            "stt": part(f"stt_{way}_e9", value)}  # fmt: skip
    taxed = bill["brokerage"] + bill["exchange"]
    taxed += bill["sebi"] * rates.get("gst_on_sebi", 0) + bill["ipft"] * rates.get("gst_on_ipft", 0)
    bill["gst"] = half_up(Fraction(taxed * rates["gst_rate_e9"], 10**9))
    return bill


rate = st.integers(0, 5_000_000)
rate_tables = st.fixed_dictionaries(
    {name: rate for name in ("brokerage_rate_e9", "exchange_rate_e9", "sebi_rate_e9",
                             "ipft_rate_e9", "stamp_buy_e9", "stamp_sell_e9", "stt_buy_e9",
                             "stt_sell_e9")}
    | {"brokerage_flat": st.integers(0, 10_000), "gst_rate_e9": st.integers(0, 10**9),
       "gst_on_sebi": st.integers(0, 1), "gst_on_ipft": st.integers(0, 1)}
)  # fmt: skip
qtys = st.integers(1, 2_000)
prices = st.integers(1, 10**7)
sides = st.sampled_from([1, -1])


class Accounts(RuleBasedStateMachine):
    """Two instruments, random fills, marks, days and rates, against cash kept by hand."""

    @initialize(rates=rate_tables)
    def open(self, rates: dict[str, int]) -> None:
        self.book = Portfolio(10**9, 2)
        self.cash, self.charged = 10**9, 0
        self.qty, self.mark, self.spent = [0, 0], [0, 0], [0, 0]
        self.open_bills = [dict.fromkeys(COMPONENTS, 0) for _ in range(2)]
        self.order_value: dict[int, int] = {}
        self.rates, self.date, self.order_id, self.closed = [rates, rates], 20240101, 10, 0
        for instrument in range(2):
            self.book.start_session(instrument, session(self.date, rates))

    @rule(instrument=st.integers(0, 1), side=sides, qty=qtys, price=prices, back=st.integers(0, 3))
    def trade(self, instrument: int, side: int, qty: int, price: int, back: int) -> None:
        # Up to three earlier orders go on filling in between: brokerage is once an order.
        self.order_id += 1
        order_id = max(11, self.order_id - back)
        before = self.order_value.get(order_id, 0)
        bill = model_bill(self.rates[instrument], side, qty * price, before)
        assert self.book.apply_report(fill(order_id, side, qty, price, instrument)) == bill
        self.order_value[order_id] = before + qty * price
        for name in COMPONENTS:
            self.open_bills[instrument][name] += bill[name]
        self.cash -= side * qty * price
        self.qty[instrument] += side * qty
        self.mark[instrument] = self.mark[instrument] or price

    @rule(instrument=st.integers(0, 1), price=prices)
    def value(self, instrument: int, price: int) -> None:
        self.book.set_mark(instrument, price)
        self.mark[instrument] = price

    @rule(instrument=st.integers(0, 1))
    def flatten(self, instrument: int) -> None:
        if self.qty[instrument]:
            side = -1 if self.qty[instrument] > 0 else 1
            self.trade(instrument, side, abs(self.qty[instrument]), 4_321, 0)
            assert self.book.position(instrument)["cost"] == 0

    @rule(rates=rate_tables, same=st.booleans())
    def next_day(self, rates: dict[str, int], same: bool) -> None:
        segments = [(0, 1)] if self.rates[0] == self.rates[1] else [(0,), (1,)]
        total = 0
        for members in segments:
            for name in COMPONENTS:
                unit = 10**8 if name in ("stamp", "stt") else 10**6
                amount = sum(self.open_bills[member][name] for member in members)
                total += half_up(Fraction(amount, unit)) * unit // 10**6
        self.charged += total
        self.closed += 1
        self.date += 1
        other = rates if same else rates | {"sebi_rate_e9": rates["sebi_rate_e9"] + 1}
        self.rates = [rates, other]
        for instrument in range(2):
            self.book.start_session(instrument, session(self.date, self.rates[instrument]))
        self.open_bills = [dict.fromkeys(COMPONENTS, 0) for _ in range(2)]
        assert self.book.bills()["charges"][-1] == total
        assert self.book.snapshot()["day_pnl"] == 0

    @invariant()
    def cash_is_conserved(self) -> None:
        if not hasattr(self, "book"):
            return
        seen = self.book.snapshot()
        unrounded = sum(sum(bill.values()) for bill in self.open_bills)
        assert seen["charges_open"] == unrounded
        assert seen["charges"] == self.charged and self.book.days_closed == self.closed
        worth = sum(self.qty[at] * self.mark[at] for at in range(2))
        assert seen["equity"] == (
            self.cash + worth - self.charged - half_up(Fraction(unrounded, 10**6))
        )
        assert seen["realised"] == sum(self.book.position(at)["realised"] for at in range(2))
        for at in range(2):
            held = self.book.position(at)
            assert held["qty"] == self.qty[at]
            assert held["qty"] != 0 or held["cost"] == 0
            assert held["qty"] * held["cost"] >= 0


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@given(opens=st.lists(st.tuples(qtys, prices), min_size=1, max_size=5), side=sides, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_partial_close_takes_the_average_cost(
    opens: list[tuple[int, int]], side: int, data: st.DataObject
) -> None:
    book = Portfolio(0)
    for number, (qty, price) in enumerate(opens):
        book.apply_report(fill(number + 1, side, qty, price))
    held, cost = sum(qty for qty, _ in opens), sum(qty * price for qty, price in opens)
    assert book.position(0)["cost"] == side * cost
    closed = data.draw(st.integers(1, held))
    book.apply_report(fill(99, -side, closed, 5_000))
    out = Fraction(cost * closed, held)
    assert abs(book.position(0)["realised"] - side * (closed * 5_000 - out)) <= Fraction(1, 2)
    assert book.position(0)["realised"] == side * (closed * 5_000 - half_up(out))


def test_a_fill_through_zero_closes_then_opens_at_its_own_price() -> None:
    book = Portfolio(0)
    book.start_session(0, session(20240102, FUTURES))
    book.apply_report(fill(1, 1, 30, 10_000))
    book.apply_report(fill(2, -1, 50, 10_100))
    assert book.position(0) | {"mark": 0} == {
        "qty": -20, "cost": -20 * 10_100, "realised": 3_000, "mark": 0, "margin_rate_e9": 0,
    }  # fmt: skip
    book.end_day()
    assert book.bills()[0]["trades"] == 1


def test_an_order_pays_brokerage_once_over_interleaved_partial_fills() -> None:
    book = Portfolio(10**9)
    book.start_session(0, session(20240102, OPTIONS))
    paid = [book.apply_report(fill(order_id, 1, 15, 10_000))["brokerage"]
            for order_id in (1, 2, 1, 2, 1)]  # fmt: skip
    assert paid == [2_000_000_000, 2_000_000_000, 0, 0, 0]


def test_rupee_rounding_is_once_a_segment_not_once_a_contract() -> None:
    """Two legs of 0.405 rupees stamp duty are 0.81: one rupee; a leg alone rounds to nothing."""
    legs = Portfolio(10**9, 2)
    for instrument in range(2):
        legs.start_session(instrument, session(20260401, OPTIONS))
        legs.apply_report(fill(instrument + 1, 1, 30, 45_000, instrument))
    legs.end_day()
    assert legs.bills()[0]["stamp"] == 100
    alone = Portfolio(10**9)
    alone.start_session(0, session(20260401, OPTIONS))
    alone.apply_report(fill(1, 1, 30, 45_000))
    alone.end_day()
    assert alone.bills()[0]["stamp"] == 0


def test_margin_is_the_sum_of_notionals_at_their_rates() -> None:
    book = Portfolio(10**9, 2)
    book.start_session(0, session(20240102, FUTURES, margin_rate_e9=120_000_000))
    book.start_session(1, session(20240102, FUTURES, margin_rate_e9=200_000_000))
    book.apply_report(fill(1, 1, 30, 10_000, 0))
    book.apply_report(fill(2, -1, 10, 777, 1))
    assert book.snapshot()["margin_used"] == 36_000 + 1_554


def test_huge_turnover_does_not_overflow() -> None:
    book = Portfolio(10**15)
    book.start_session(0, session(20240102, FUTURES))
    bill = book.apply_report(fill(1, -1, 100_000_000, 9_000_000))
    assert bill == model_bill(FUTURES, -1, 9 * 10**14, 0)


@pytest.mark.parametrize(
    "fields",
    [{"price": 0}, {"price": -1}, {"qty": 0}, {"qty": -5}, {"side": 0}, {"instrument": 1},
     {"kind": int(ReportKind.CANCELLED)}, {"price": 10**12, "qty": 10**12},
     {"price": 2**62, "qty": 8}],
)  # fmt: skip
def test_a_report_that_is_no_fill_books_nothing(fields: dict[str, int]) -> None:
    book = Portfolio(1_000)
    with pytest.raises(BadData):
        book.apply_report(fill(1, 1, 5, 100) | fields)
    assert book.snapshot()["equity"] == 1_000 and book.position(0)["qty"] == 0


def test_bills_have_the_columns_of_the_report() -> None:
    assert DAY_BILL_DTYPE == DAY_DTYPE


def test_days_beyond_the_table_are_charged_and_counted() -> None:
    book = Portfolio(10**9, days_max=2)
    for day in range(1, 5):
        book.start_session(0, session(20240100 + day, OPTIONS))
        book.apply_report(fill(day, 1, 1, 100))
    book.end_day()
    assert (book.days_closed, book.days_lost) == (2, 2)
    assert book.snapshot()["charges"] == 4 * int(book.bills()["charges"][0])


def test_bad_arguments_are_refused_by_name() -> None:
    for make, says in (
        (lambda: Portfolio(-1), "capital"),
        (lambda: Portfolio(1.5), "capital"),  # type: ignore[arg-type]
        (lambda: Portfolio(0, 0), "instruments"),
        (lambda: Portfolio(0, days_max=0), "days_max"),
    ):
        with pytest.raises(ConfigError, match=says):
            make()
    book = Portfolio(0)
    with pytest.raises(UsageError, match="instrument"):
        book.position(1)
    with pytest.raises(UsageError, match="date"):
        book.start_session(0, {})
    with pytest.raises(UsageError, match="not positive"):
        book.set_mark(0, 0)
    assert isinstance(book.bills(), np.ndarray) and len(book.bills()) == 0
