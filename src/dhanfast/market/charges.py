"""What a trade costs: brokerage, exchange, SEBI, IPFT, stamp duty, STT and GST, by date.

Rates are exact integers in 1e-9 of turnover, read from tables/charges.csv and brokerage.csv.
`bill` is the reference for the native engine: plain, slow and exact.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any

from dhanfast.errors import UsageError
from dhanfast.market.tables import Row, in_force, read, require_date, require_name, weakest

if TYPE_CHECKING:
    import numpy as np

E9 = 1_000_000_000
E18 = E9 * E9
ITEMS = ("exchange", "sebi", "ipft", "stamp_buy", "stamp_sell", "stt_buy", "stt_sell", "gst")
SWITCHES = ("gst_on_sebi", "gst_on_ipft")
RATE_FIELDS = 12  # leading fields of ChargeRates that are also in the native record


@dataclass(frozen=True, slots=True)
class ChargeRates:
    """The rates of one segment on one date.

    Units:
        brokerage_flat in paise an order, `*_e9` in 1e-9 of turnover (premium for options).
    """

    brokerage_flat: int  # the most an order pays
    brokerage_rate_e9: int  # the fee is min(flat, rate * value); 0 = always flat
    exchange_rate_e9: int
    sebi_rate_e9: int
    ipft_rate_e9: int
    stamp_buy_e9: int
    stamp_sell_e9: int
    stt_buy_e9: int
    stt_sell_e9: int
    gst_rate_e9: int  # of brokerage + exchange charge (+ SEBI fee, + IPFT)
    gst_on_sebi: int  # 1 or 0
    gst_on_ipft: int  # 1 or 0
    confidence: str  # of the weakest rate among them
    notes: tuple[str, ...]  # what is uncertain (confidence C or D)

    def values(self) -> tuple[int, ...]:
        """The twelve numbers, in the order of `CHARGE_RATES_DTYPE`."""
        return tuple(getattr(self, field.name) for field in fields(self)[:RATE_FIELDS])

    def record(self) -> "np.ndarray[Any, np.dtype[Any]]":
        """The rates as a numpy array of one `CHARGE_RATES_DTYPE` record.

        Shape:
            (1,)
        """
        import numpy as np

        from dhanfast._core.types import CHARGE_RATES_DTYPE

        return np.array([self.values()], dtype=CHARGE_RATES_DTYPE)


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill, as the reference bill reads it.

    Units:
        price in paise, qty in units, side +1 for a purchase and -1 for a sale.
    """

    order_id: int
    side: int
    price: int
    qty: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What one client pays for one day in one segment.

    Units:
        The seven items in paise, rounded as brokers print them; `unrounded` in micro-paise.
    """

    brokerage: int
    exchange: int
    sebi: int
    ipft: int
    stamp: int  # to the rupee
    stt: int  # to the rupee
    gst: int
    unrounded: int  # sum of all items before rounding, 1e-6 paise

    @property
    def total(self) -> int:
        """The sum of the seven rounded items, paise."""
        statutory = self.exchange + self.sebi + self.ipft + self.stamp + self.stt + self.gst
        return self.brokerage + statutory


def segments() -> list[str]:
    """Every segment with charges: FUT_IDX, OPT_IDX, ..."""
    return list(_segments())


def brokers() -> list[str]:
    """Every broker with a brokerage table."""
    return list(_brokers())


def rates(segment: str, on: date, broker: str = "dhan") -> ChargeRates:
    """The rates in force for one segment on one date.

    Args:
        segment: FUT_IDX, OPT_IDX, FUT_STK, OPT_STK, EQ_INTRADAY, EQ_DELIVERY, BSE_FUT_IDX or
            BSE_OPT_IDX.
        on: exchange date.
        broker: whose brokerage.

    Raises:
        UsageError: unknown segment or broker; `on` is not a date.
        OutOfCalendar: a rate is not known on that date.

    Source:
        tables/charges.csv, tables/brokerage.csv; each row names its own.
    """
    require_name(segment, _segments(), "segment")
    require_name(broker, _brokers(), "broker")
    require_date(on, "date")
    return _rates(segment, on, broker)


def change_dates(segment: str, broker: str = "dhan") -> list[date]:
    """The dates on which any rate of a segment changes, in order: between two, rates hold.

    Raises:
        UsageError: unknown segment or broker.
    """
    require_name(segment, _segments(), "segment")
    require_name(broker, _brokers(), "broker")
    rows = [row for item in (*ITEMS, *SWITCHES) for row in _item_rows(segment, item)]
    rows += _brokerage_rows(segment, broker)
    return sorted({date.fromisoformat(row["from"]) for row in rows})


def exercise_rate(segment: str, on: date) -> tuple[int, str]:
    """The STT that the holder of an option pays on exercise, and what it is taken of.

    Args:
        segment: OPT_IDX, OPT_STK or BSE_OPT_IDX.
        on: exchange date.

    Returns:
        The rate in 1e-9 and its base: "settlement" (full value) or "intrinsic".

    Raises:
        UsageError: not an option segment.
        OutOfCalendar: not known on that date.
    """
    options = [name for name in segments() if "OPT" in name]
    require_name(segment, options, "segment")
    require_date(on, "date")
    rows = [*_item_rows(segment, "exercise_settlement"), *_item_rows(segment, "exercise_intrinsic")]
    row = in_force(rows, on, f"STT on exercise of {segment}", "charges")
    return int(row["rate_e9"]), row["item"].removeprefix("exercise_")


def bill(charge_rates: ChargeRates, trades: Iterable[Trade]) -> Bill:
    """The charges of one client, day and segment; exact integers, rounded once at the end.

    An order that fills in many trades pays brokerage once. STT and stamp duty are rounded to the
    rupee, the rest to the paisa, halves up.

    Raises:
        UsageError: a price or quantity that is not positive, a side other than +1 and -1, or one
            order on both sides.

    Source:
        Rounding: spec section 3.5 (S91 S93).
    """
    orders: dict[int, tuple[int, int]] = {}
    for trade in trades:
        _check(trade, orders)
        value = orders.get(trade.order_id, (trade.side, 0))[1] + trade.price * trade.qty
        orders[trade.order_id] = (trade.side, value)
    return _bill(charge_rates, list(orders.values()))


def _bill(of: ChargeRates, orders: list[tuple[int, int]]) -> Bill:
    """Sums in 1e-18 paise, so that GST, a rate of a rate, stays an integer."""
    bought = sum(value for side, value in orders if side > 0)
    sold = sum(value for side, value in orders if side < 0)
    turnover = bought + sold
    brokerage = sum(_brokerage_e9(of, value) for _, value in orders)
    exchange = turnover * of.exchange_rate_e9
    sebi = turnover * of.sebi_rate_e9
    ipft = turnover * of.ipft_rate_e9
    stamp = bought * of.stamp_buy_e9 + sold * of.stamp_sell_e9
    stt = bought * of.stt_buy_e9 + sold * of.stt_sell_e9
    taxed = brokerage + exchange + sebi * of.gst_on_sebi + ipft * of.gst_on_ipft
    gst_e18 = taxed * of.gst_rate_e9
    exact_e18 = (brokerage + exchange + sebi + ipft + stamp + stt) * E9 + gst_e18
    return Bill(
        brokerage=half_up(brokerage, E9),
        exchange=half_up(exchange, E9),
        sebi=half_up(sebi, E9),
        ipft=half_up(ipft, E9),
        stamp=half_up(stamp, 100 * E9) * 100,
        stt=half_up(stt, 100 * E9) * 100,
        gst=half_up(gst_e18, E18),
        unrounded=half_up(exact_e18, E18 // 1_000_000),
    )


def half_up(amount: int, unit: int) -> int:
    """A non-negative amount in whole units, halves up."""
    return (2 * amount + unit) // (2 * unit)


def _brokerage_e9(of: ChargeRates, value: int) -> int:
    flat = of.brokerage_flat * E9
    return min(flat, value * of.brokerage_rate_e9) if of.brokerage_rate_e9 else flat


def _check(trade: Trade, orders: dict[int, tuple[int, int]]) -> None:
    if trade.price <= 0 or trade.qty <= 0:
        raise UsageError(f"price (paise) and qty (units) of a trade must be positive: {trade}")
    if trade.side not in (1, -1):
        raise UsageError(f"side of a trade must be +1 (buy) or -1 (sell): {trade}")
    if orders.get(trade.order_id, (trade.side, 0))[0] != trade.side:
        raise UsageError(f"order {trade.order_id} has trades on both sides; give each order its id")


@cache
def _segments() -> tuple[str, ...]:
    return tuple(sorted({name for row in read("charges") for name in row["segments"].split()}))


@cache
def _brokers() -> tuple[str, ...]:
    return tuple(sorted({row["broker"] for row in read("brokerage")}))


@cache
def _item_rows(segment: str, item: str) -> tuple[Row, ...]:
    return tuple(
        row for row in read("charges") if row["item"] == item and segment in row["segments"].split()
    )


@cache
def _brokerage_rows(segment: str, broker: str) -> tuple[Row, ...]:
    return tuple(
        row
        for row in read("brokerage")
        if row["broker"] == broker and segment in row["segments"].split()
    )


_NAMES = {
    "exchange": "exchange charge",
    "sebi": "SEBI fee",
    "ipft": "investor protection levy",
    "stamp_buy": "stamp duty on buys",
    "stamp_sell": "stamp duty on sells",
    "stt_buy": "STT on buys",
    "stt_sell": "STT on sells",
    "gst": "GST",
    "gst_on_sebi": "GST on the SEBI fee",
    "gst_on_ipft": "GST on the investor protection levy",
}


def _shown(item: str, row: Row) -> str:
    """A charge as people read it: its name and rate, or whether it is charged at all."""
    if item in SWITCHES:
        return f"{_NAMES[item]} is {'charged' if int(row['rate_e9']) else 'not charged'}"
    return f"{_NAMES[item]} {row['published']}"


@cache
def _rates(segment: str, on: date, broker: str) -> ChargeRates:
    found = {
        item: in_force(_item_rows(segment, item), on, f"{item} charge of {segment}", "charges")
        for item in (*ITEMS, *SWITCHES)
    }
    fee = in_force(
        _brokerage_rows(segment, broker), on, f"brokerage of {broker} in {segment}", "brokerage"
    )
    rate = {item: int(row["rate_e9"]) for item, row in found.items()}
    rows = [*found.values(), fee]
    return ChargeRates(
        brokerage_flat=int(fee["flat_paise"]),
        brokerage_rate_e9=int(fee["rate_e9"]),
        exchange_rate_e9=rate["exchange"],
        sebi_rate_e9=rate["sebi"],
        ipft_rate_e9=rate["ipft"],
        stamp_buy_e9=rate["stamp_buy"],
        stamp_sell_e9=rate["stamp_sell"],
        stt_buy_e9=rate["stt_buy"],
        stt_sell_e9=rate["stt_sell"],
        gst_rate_e9=rate["gst"],
        gst_on_sebi=rate["gst_on_sebi"] // E9,
        gst_on_ipft=rate["gst_on_ipft"] // E9,
        confidence=weakest(row["confidence"] for row in rows),
        notes=tuple(
            f"charges: {_shown(item, row)} (confidence {row['confidence']}): {row['note']}"
            for item, row in found.items()
            if row["confidence"] in "CD"
        ),
    )
