"""Charges against the worked examples, to the paisa, and against a plain decimal model."""

import itertools
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.types import CHARGE_RATES_DTYPE
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import charges
from dhanfast.market.charges import Bill, Trade, bill, exercise_rate, rates

NOW, BEFORE_2026, MID_2024 = date(2026, 6, 1), date(2025, 6, 2), date(2024, 6, 3)
OPTION = [Trade(1, 1, 45_000, 30), Trade(2, -1, 52_000, 30)]
FUTURE = [Trade(1, 1, 5_800_000, 30), Trade(2, -1, 5_825_000, 30)]


def test_example_a_option_round_trip() -> None:
    found = bill(rates("OPT_IDX", NOW), OPTION)
    assert found == Bill(
        brokerage=4000,
        exchange=1019,
        ipft=15,
        sebi=3,
        stt=2300,
        stamp=0,
        gst=904,
        unrounded=8_321_343_940,
    )
    assert found.total == 8241


def test_example_b_future_round_trip() -> None:
    found = bill(rates("FUT_IDX", NOW), FUTURE)
    assert found == Bill(
        brokerage=4000,
        exchange=6033,
        ipft=349,
        sebi=349,
        stt=87_400,
        stamp=3500,
        gst=1869,
        unrounded=103_454_657_500,
    )
    assert found.total == 103_500


@pytest.mark.parametrize(
    ("segment", "trades", "on", "total"),
    [
        ("OPT_IDX", OPTION, BEFORE_2026, 7541),
        ("OPT_IDX", OPTION, MID_2024, 7438),
        ("FUT_IDX", FUTURE, BEFORE_2026, 51_100),
        ("FUT_IDX", FUTURE, MID_2024, 38_518),
    ],
)
def test_the_examples_at_other_dates(
    segment: str, trades: list[Trade], on: date, total: int
) -> None:
    assert bill(rates(segment, on), trades).total == total


def test_half_a_paisa_is_rounded_up() -> None:
    """The one tie among the examples: printed 385.17 where halves go to the even paisa.

    Exchange charge of the future of mid 2024: 3,487,500 * 0.0000188 = 65.565 exactly.
    """
    found = bill(rates("FUT_IDX", MID_2024), FUTURE)
    assert 348_750_000 * rates("FUT_IDX", MID_2024).exchange_rate_e9 == 65_565 * 10**8
    assert (found.exchange, found.total) == (6557, 38_518)


@pytest.mark.parametrize(
    ("segment", "item", "changes"),
    [
        ("OPT_IDX", "stt_sell_e9", {"2023-03-31": 500_000, "2023-04-01": 625_000,
                                    "2024-09-30": 625_000, "2024-10-01": 1_000_000,
                                    "2026-03-31": 1_000_000, "2026-04-01": 1_500_000}),
        ("FUT_IDX", "stt_sell_e9", {"2023-03-31": 100_000, "2023-04-01": 125_000,
                                    "2024-10-01": 200_000, "2026-04-01": 500_000}),
        ("OPT_IDX", "exchange_rate_e9", {"2020-12-31": 500_000, "2021-01-01": 530_000,
                                         "2023-04-01": 500_000, "2024-04-01": 495_000,
                                         "2024-10-01": 350_300}),
        ("FUT_IDX", "exchange_rate_e9", {"2020-12-31": 19_000, "2021-01-01": 20_000,
                                         "2023-04-01": 19_000, "2024-04-01": 18_800,
                                         "2024-10-01": 17_300}),
        ("EQ_INTRADAY", "exchange_rate_e9", {"2021-01-01": 34_500, "2024-10-01": 29_700}),
        ("FUT_IDX", "ipft_rate_e9", {"2023-03-31": 1, "2023-04-01": 1000}),
        ("OPT_IDX", "ipft_rate_e9", {"2023-04-01": 5000}),
        ("FUT_IDX", "sebi_rate_e9", {"2020-05-31": 1000, "2020-06-01": 500, "2021-04-01": 1000}),
        ("FUT_IDX", "stamp_buy_e9", {"2020-07-01": 20_000}),
        ("OPT_IDX", "stamp_buy_e9", {"2020-07-01": 30_000}),
        ("EQ_DELIVERY", "stamp_buy_e9", {"2020-07-01": 150_000}),
        ("EQ_DELIVERY", "stt_buy_e9", {"2024-01-01": 1_000_000}),
        ("FUT_IDX", "gst_on_sebi", {"2022-07-17": 0, "2022-07-18": 1}),
        ("FUT_IDX", "stamp_sell_e9", {"2020-06-30": 20_000, "2020-07-01": 0}),
        ("BSE_OPT_IDX", "exchange_rate_e9", {"2024-10-01": 325_000}),
    ],
)  # fmt: skip
def test_rates_change_on_their_day(segment: str, item: str, changes: dict[str, int]) -> None:
    for day, rate in changes.items():
        assert getattr(rates(segment, date.fromisoformat(day)), item) == rate, day


def test_brokerage_of_dhan() -> None:
    assert rates("OPT_IDX", NOW).brokerage_rate_e9 == 0  # always flat
    assert rates("OPT_IDX", NOW).brokerage_flat == 2000
    small = bill(rates("FUT_IDX", NOW), [Trade(1, 1, 100_000, 10)])  # Rs 10,000: 0.03 % is Rs 3
    assert small.brokerage == 300
    assert bill(rates("EQ_DELIVERY", NOW), [Trade(1, 1, 100_000, 10)]).brokerage == 0


def test_an_order_in_many_trades_pays_once_and_a_sliced_one_for_each_child() -> None:
    of = rates("OPT_IDX", NOW)
    parts = [Trade(7, 1, 45_000, 30) for _ in range(5)]
    children = [Trade(number, 1, 45_000, 30) for number in range(5)]
    assert bill(of, parts).brokerage == 2000
    assert bill(of, children).brokerage == 10_000


def test_nothing_traded_costs_nothing() -> None:
    assert bill(rates("OPT_IDX", NOW), []).total == 0


def test_exercise_is_taxed_on_intrinsic_value_since_2019_09() -> None:
    assert exercise_rate("OPT_IDX", date(2019, 8, 31)) == (1_250_000, "settlement")
    assert exercise_rate("OPT_IDX", date(2019, 9, 1)) == (1_250_000, "intrinsic")
    rate, base = exercise_rate("OPT_IDX", NOW)
    assert (rate * 1_200_000 // 10**9, base) == (1800, "intrinsic")  # Rs 18 on Rs 12,000
    with pytest.raises(UsageError, match="segment 'FUT_IDX'"):
        exercise_rate("FUT_IDX", NOW)


def oracle(of: charges.ChargeRates, trades: list[Trade]) -> dict[str, Decimal]:
    """The bill in rupees, by decimals, as a person would work it out on paper."""
    rupee, paisa = Decimal("1"), Decimal("0.01")

    def rate(name: str) -> Decimal:
        return Decimal(getattr(of, name)) / Decimal(10**9)

    values = {(t.order_id, t.side): Decimal(0) for t in trades}
    for trade in trades:
        values[trade.order_id, trade.side] += Decimal(trade.price * trade.qty) / 100
    bought = sum((v for (_, side), v in values.items() if side == 1), Decimal(0))
    sold = sum((v for (_, side), v in values.items() if side == -1), Decimal(0))
    flat = Decimal(of.brokerage_flat) / 100
    fees = [
        min(flat, value * rate("brokerage_rate_e9")) if of.brokerage_rate_e9 else flat
        for value in values.values()
    ]
    brokerage = sum(fees, Decimal(0))
    exchange = (bought + sold) * rate("exchange_rate_e9")
    sebi = (bought + sold) * rate("sebi_rate_e9")
    ipft = (bought + sold) * rate("ipft_rate_e9")
    base = brokerage + exchange + (sebi if of.gst_on_sebi else 0) + (ipft if of.gst_on_ipft else 0)
    exact = {
        "brokerage": (brokerage, paisa),
        "exchange": (exchange, paisa),
        "sebi": (sebi, paisa),
        "ipft": (ipft, paisa),
        "stamp": (bought * rate("stamp_buy_e9") + sold * rate("stamp_sell_e9"), rupee),
        "stt": (bought * rate("stt_buy_e9") + sold * rate("stt_sell_e9"), rupee),
        "gst": (base * rate("gst_rate_e9"), paisa),
    }
    return {name: x.quantize(unit, ROUND_HALF_UP) for name, (x, unit) in exact.items()}


trade = st.tuples(st.integers(5, 10_000_000), st.integers(1, 20_000))


@given(
    segment=st.sampled_from(charges.segments()),
    on=st.dates(date(2024, 10, 1), date(2026, 12, 31)) | st.dates(date(2019, 1, 1), NOW),
    fills=st.lists(st.tuples(st.integers(0, 4), trade), max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_the_bill_agrees_with_decimals(
    segment: str, on: date, fills: list[tuple[int, tuple[int, int]]]
) -> None:
    if segment.startswith("BSE") and on < date(2024, 10, 1):
        with pytest.raises(OutOfCalendar):
            rates(segment, on)
        return
    of = rates(segment, on)
    trades = [Trade(order, 1 if order % 2 else -1, price, qty) for order, (price, qty) in fills]
    found, wanted = bill(of, trades), oracle(of, trades)
    for name, rupees in wanted.items():
        assert getattr(found, name) == rupees * 100, name
    assert found.total == sum(wanted.values()) * 100


def test_change_dates_cut_time_where_rates_change() -> None:
    changes = charges.change_dates("FUT_IDX")
    assert changes[0] == date(2019, 1, 1)
    for day in (date(2021, 1, 1), date(2024, 10, 1), date(2026, 4, 1)):
        assert day in changes
    for begin, end in itertools.pairwise(changes):
        last_day = date.fromordinal(end.toordinal() - 1)
        assert rates("FUT_IDX", begin).values() == rates("FUT_IDX", last_day).values()
        assert rates("FUT_IDX", begin).values() != rates("FUT_IDX", end).values()


def test_the_native_record_holds_the_same_numbers() -> None:
    of = rates("FUT_IDX", MID_2024)
    record = of.record()
    assert record.dtype == CHARGE_RATES_DTYPE
    for name in CHARGE_RATES_DTYPE.names or ():
        assert record[name][0] == getattr(of, name)
    assert np.array_equal(np.array([of.values()], dtype=CHARGE_RATES_DTYPE), record)


def test_uncertain_rates_say_so() -> None:
    of = rates("FUT_IDX", date(2019, 6, 3))
    assert of.confidence == "D"
    assert any("state-wise before 2020-07" in note for note in of.notes)
    assert any("Rs 10 a crore" in note for note in of.notes)


@pytest.mark.parametrize("day", [date(2018, 12, 31), date(2027, 1, 1)])
def test_dates_outside_are_refused(day: date) -> None:
    with pytest.raises(OutOfCalendar, match=rf"nothing known for {day}; .*charges\.csv covers"):
        rates("FUT_IDX", day)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'FUT_IDX'"):
        rates("FUT_IDXX", NOW)
    with pytest.raises(UsageError, match="broker 'zero'"):
        rates("FUT_IDX", NOW, broker="zero")
    with pytest.raises(UsageError, match="broker"):
        charges.change_dates("FUT_IDX", broker="zero")
    assert charges.brokers() == ["dhan"]


@pytest.mark.parametrize(
    ("trades", "message"),
    [
        ([Trade(1, 1, 0, 10)], "must be positive"),
        ([Trade(1, 1, 100, -1)], "must be positive"),
        ([Trade(1, 0, 100, 1)], "side"),
        ([Trade(1, 1, 100, 1), Trade(1, -1, 100, 1)], "both sides"),
    ],
)
def test_impossible_trades_are_refused(trades: list[Trade], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bill(rates("FUT_IDX", NOW), trades)
