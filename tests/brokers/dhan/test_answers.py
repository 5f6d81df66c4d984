"""Dhan's answers as the engine counts them, against the golden bodies and an exact slow reading."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.live.records import UPDATE_DTYPE, Origin, Seen
from dhanfast._core.types import OrderKind, Side, Validity
from dhanfast.brokers.dhan.answers import (
    NOT_LISTED,
    funds_seen,
    order_seen,
    orders_seen,
    positions_seen,
    status_of,
    trades_seen,
    update_of,
)
from dhanfast.brokers.dhan.fields import Fields, ist_ns, paise_of
from dhanfast.errors import BadData

from .stage import fixture

ZONE = dt.timezone(dt.timedelta(hours=5, minutes=30))
LISTED = {("NSE_EQ", "1333"): 7, ("NSE_FNO", "49081"): 8}


def utc_ns(year: int, month: int, day: int, *clock: int) -> int:
    """An IST time by the standard library."""
    hour, minute, second = (*clock, 0, 0, 0)[:3]
    moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=ZONE)
    return int(moment.timestamp()) * 1_000_000_000


def half_up(value: Fraction) -> int:
    """To the nearest whole, halves up: for amounts that are not negative."""
    return int((value + Fraction(1, 2)) // 1)


def test_the_order_book_is_read() -> None:
    book = {order.correlation or "none": order for order in orders_seen(fixture("rest/orders"))}
    seen = {name: Seen(order.seen) for name, order in book.items()}
    assert seen == {
        "df-1": Seen.PENDING, "df-2": Seen.TRANSIT, "df-3": Seen.PENDING, "df-4": Seen.TRADED,
        "df-5": Seen.REJECTED, "none": Seen.CANCELLED, "df-7": Seen.EXPIRED, "df-8": Seen.PENDING,
        "df-9": Seen.PENDING, "df-10": Seen.PENDING, "df-11": Seen.UNCLEAR, "df-12": Seen.UNCLEAR,
    }  # fmt: skip
    part, stop = book["df-3"], book["df-8"]
    assert (part.qty, part.filled, part.left, part.value) == (10, 4, 6, 680_195)  # 4 x 1700.4875
    assert (part.price, part.side, part.kind) == (170_050, Side.BUY, OrderKind.LIMIT)
    assert part.broker_ns == utc_ns(2026, 7, 22, 9, 15, 4)
    assert (stop.kind, stop.price, stop.trigger, stop.segment) == (OrderKind.SL, 10_050, 10_100,
                                                                   "NSE_FNO")  # fmt: skip
    assert book["df-9"].kind == OrderKind.SLM and book["df-4"].kind == OrderKind.MARKET
    assert book["df-7"].validity == Validity.IOC
    assert book["df-5"].text == "RMS:Margin shortfall"


@pytest.mark.parametrize("name", ["order_single_object", "order_single_array"])
def test_one_order_comes_as_object_or_array(name: str) -> None:
    (order,) = orders_seen(fixture(f"rest/{name}"))
    assert order.order_id == "112260722000001" and order.qty == 10


def test_an_order_becomes_a_record() -> None:
    raw = fixture("rest/orders")[2]
    record = update_of(raw, tag="df", at_ns=99, instruments=LISTED)
    assert record.dtype == UPDATE_DTYPE
    assert {name: record[name].item() for name in UPDATE_DTYPE.names or ()} == {
        "order": 3, "at_ns": 99, "broker_ns": utc_ns(2026, 7, 22, 9, 15, 4), "price": 170_050,
        "trigger": 0, "value": 680_195, "qty": 10, "filled": 4, "broker_id": b"112260722000003",
        "instrument": 7, "seen": Seen.PENDING, "origin": Origin.REST, "order_kind": OrderKind.LIMIT,
        "side": Side.BUY,
    }  # fmt: skip


MESSAGES = [
    case["message"]["Data"]
    for case in fixture("order_update/messages")
    if case["message"].get("Type") == "order_alert" and case["message"].get("Data")
]


@pytest.mark.parametrize("at", range(len(MESSAGES)))
def test_an_order_update_becomes_the_same_record_in_any_case(at: int) -> None:
    """The oracle reads the documented names only; keys are then written in three cases."""
    data = MESSAGES[at]
    plain = {key.lower(): value for key, value in data.items()}
    filled, qty = int(plain["tradedqty"]), int(plain["quantity"])
    value = Fraction(Decimal(str(plain["avgtradedprice"]))) * filled * 100
    wanted = {
        "qty": qty, "filled": filled, "value": half_up(value), "origin": Origin.SOCKET,
        "price": half_up(Fraction(Decimal(str(plain["price"]))) * 100),
        "trigger": half_up(Fraction(Decimal(str(plain["triggerprice"]))) * 100),
        "side": Side.BUY if plain["txntype"] == "B" else Side.SELL,
        "broker_id": plain["orderno"].encode(),
        "seen": Seen.TRADED if filled == qty else Seen[plain["status"].upper()],
        "order_kind": {"LMT": OrderKind.LIMIT, "MKT": OrderKind.MARKET, "SL": OrderKind.SL,
                       "SLM": OrderKind.SLM}[plain["ordertype"]],
    }  # fmt: skip
    spellings: list[dict[str, Any]] = [
        data,
        {key.upper(): value for key, value in data.items()},
        {key[0].lower() + key[1:]: value for key, value in data.items()},
    ]
    records = [update_of(said, tag="df", at_ns=1, instruments=LISTED) for said in spellings]
    for record in records:
        assert {name: record[name].item() for name in wanted} == wanted
        assert record == records[0]


def test_legs_of_super_orders_and_other_tags_are_not_ours() -> None:
    data = next(d for d in MESSAGES if d.get("CorrelationId") == "df-3" and d.get("LegNo") == 1)
    order = [update_of({**data, **changed}, tag=tag, at_ns=1, instruments={})["order"].item()
             for tag, changed in (("df", {}), ("dg", {}), ("df", {"LegNo": 2}),
                                  ("df", {"CorrelationId": "df-03"}),
                                  ("df", {"CorrelationId": None}))]  # fmt: skip
    assert order == [3, 0, 0, 0, 0]
    record = update_of(data, tag="df", at_ns=1, instruments={})
    assert record["instrument"] == NOT_LISTED


@pytest.mark.parametrize(
    ("status", "filled", "wanted"),
    [
        ("PENDING", 10, Seen.TRADED),  # quantities before the status
        ("CANCELLED", 10, Seen.TRADED),
        ("TRADED", 4, Seen.UNCLEAR),  # contradicts itself: asked again
        ("TRANSIT", 4, Seen.PENDING),
        ("Cancelled", 4, Seen.CANCELLED),
        ("REJECTED", 4, Seen.REJECTED),
        ("PART_TRADED", 4, Seen.PENDING),
        ("part traded", 0, Seen.PENDING),
        ("", 0, Seen.UNCLEAR),
    ],
)
def test_quantities_count_before_the_status(status: str, filled: int, wanted: Seen) -> None:
    raw = {**fixture("rest/order_single_object"), "orderStatus": status, "filledQty": filled}
    assert order_seen(raw).seen == wanted


def test_a_postback_without_quantities_keeps_its_status() -> None:
    raw = {**fixture("rest/order_single_object"), "orderStatus": "TRADED", "filledQty": None}
    assert order_seen(raw).seen == Seen.TRADED
    for raw in fixture("rest/postback"):
        order = order_seen(raw)
        assert order.filled == raw["filled_qty"] and order.order_id == raw["orderId"]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"orderId": None}, "orderId is missing"),
        ({"orderId": "  "}, "orderId is missing"),
        ({"quantity": "ten"}, "quantity must be a number, the broker sent 'ten'"),
        ({"quantity": 1.5}, "quantity must be a whole number"),
        ({"quantity": -10}, "quantity must be a whole number from 0"),
        ({"quantity": True}, "quantity must be a number"),
        ({"filledQty": 11}, "filled 11 of 10"),
        ({"price": "1e999999"}, "price must be a number below"),
        ({"price": "inf"}, "price must be a finite number"),
        ({"price": [1]}, "price must be a number"),
        ({"transactionType": "HOLD"}, "'HOLD' is neither BUY nor SELL"),
        ({"transactionType": None}, "neither BUY nor SELL"),
        ({"orderId": "1" * 25}, "more than 24 bytes"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(changed: dict[str, Any], says: str) -> None:
    raw = {**fixture("rest/order_single_object"), **changed}
    with pytest.raises(BadData, match=says):
        update_of(raw, tag="df", at_ns=1, instruments={})


def test_numbers_are_read_in_any_form() -> None:
    raw = fixture("rest/order_single_object")
    as_text = {**raw, "quantity": "10", "price": "1,700.50", "filledQty": 4.0,
               "averageTradedPrice": "1700.4875"}  # fmt: skip
    order = order_seen(as_text)
    assert (order.qty, order.price, order.filled, order.value) == (10, 170_050, 4, 680_195)


@given(average=st.decimals(0, 100_000, places=4), qty=st.integers(0, 100_000), lost=st.booleans())
def test_value_is_average_times_filled_to_the_paisa(average: Decimal, qty: int, lost: bool) -> None:
    """As JSON brings it: a double, whose shortest decimal form is what the broker wrote."""
    said = float(average) if lost else str(average)
    raw = {**fixture("rest/order_single_object"), "quantity": qty, "filledQty": qty,
           "averageTradedPrice": said}  # fmt: skip
    assert order_seen(raw).value == half_up(Fraction(average) * qty * 100)


def test_trades_positions_and_funds() -> None:
    trades = trades_seen(fixture("rest/trades"))
    assert [(t.qty, t.price, t.value) for t in trades] == [(4, 170_049, 680_195),
                                                           (6, 170_049, 1_020_293)]  # fmt: skip
    assert trades[0].broker_ns == utc_ns(2026, 7, 22, 9, 15, 8)
    assert [(p.security_id, p.qty) for p in positions_seen(fixture("rest/positions"))] == [
        ("1333", 40), ("49081", -75), ("1333", 0),
    ]  # fmt: skip
    short = positions_seen(fixture("rest/positions"))[1]
    assert (short.sell_value, short.unrealised, short.bought) == (759_375, -187_500, 0)
    funds = funds_seen(fixture("rest/fundlimit"))
    assert (funds.available, funds.used, funds.withdrawable) == (9_844_000, 1_520_200, 9_831_000)
    rest = {k: v for k, v in fixture("rest/fundlimit").items() if k != "availabelBalance"}
    assert funds_seen({**rest, "availableBalance": "5.5"}).available == 550
    with pytest.raises(BadData, match="availabelBalance"):
        funds_seen(rest)


def test_nothing_is_an_empty_book() -> None:
    assert orders_seen([]) == [] and trades_seen(None) == [] and positions_seen([]) == []


@pytest.mark.parametrize("said", ["text", 5, [5], {"data": [5]}])
def test_a_book_of_another_shape_is_refused(said: Any) -> None:
    with pytest.raises(BadData):
        orders_seen(said)
    with pytest.raises(BadData):
        positions_seen(said)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-07-22 09:15:03", utc_ns(2026, 7, 22, 9, 15, 3)),
        ("2026-07-22T09:15:03.250", utc_ns(2026, 7, 22, 9, 15, 3) + 250_000_000),
        ("2026-07-22T04:15:22Z", utc_ns(2026, 7, 22, 9, 45, 22)),
        ("2026-07-22T04:15:22+00:00", utc_ns(2026, 7, 22, 9, 45, 22)),
        ("22/07/2026 10:31:07", utc_ns(2026, 7, 22, 10, 31, 7)),
        ("23/07/2026 08:45", utc_ns(2026, 7, 23, 8, 45)),
        ("2026-12-05 09:37:52.0", utc_ns(2026, 12, 5, 9, 37, 52)),
        ("01/01/1980 00:00:00", 0),
        ("0001-01-01 00:00:00", 0),
        ("2026-02-30 09:15:03", 0),
        ("NA", 0),
        ("", 0),
    ],
)
def test_times_of_all_forms(text: str, wanted: int) -> None:
    assert ist_ns(text) == wanted


@given(st.decimals(-1_000_000, 1_000_000, places=6))
def test_paise_are_rounded_once_halves_away_from_zero(rupees: Decimal) -> None:
    exact = Fraction(rupees) * 100
    sign = -1 if exact < 0 else 1
    assert paise_of(rupees) == sign * half_up(abs(exact))


def test_of_two_spellings_the_first_that_is_not_null_counts() -> None:
    fields = Fields({"Status": None, "status": "A", "STATUS": "B", "filled_qty": 3}, "x")
    assert fields.text("status") == "A" and fields.count("filledQty") == 3
    assert status_of("no such word") == Seen.UNCLEAR


def test_the_record_is_what_numpy_says() -> None:
    assert np.dtype(UPDATE_DTYPE).itemsize == 96


@given(
    value=st.one_of(
        st.integers(-(10**17), 10**17),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-(10**13), 10**13).map(lambda paise: paise / 100),
        st.integers(-(10**9), 10**9).map(lambda mills: mills / 1000),
    )
)
def test_numbers_that_are_read_the_short_way_are_those_of_their_text(value: float) -> None:
    """A text takes the long way, by Decimal; the number itself must give the same."""
    short, long = Fields({"x": value}, "a"), Fields({"x": repr(value)}, "a")

    def said(fields: Fields, what: str) -> Any:
        try:
            return getattr(fields, what)("x")
        except BadData as error:
            return str(error).partition(", the broker sent")[0]

    for what in ("whole", "count", "number", "paise"):
        assert said(short, what) == said(long, what)
