"""The sim exchange rule by rule: each test is one law, with the figures worked by hand.

All prices in paise. `test_match_model.py` holds the same rules against a model and random events.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.types import (
    TICK_DTYPE,
    Validity,
)
from dhanfast.errors import BadData, ConfigError, OrderRefused, PoolFull, UsageError

from .match_floor import (
    ACCEPTED,
    EXPIRED,
    FILLED,
    MARKET,
    MINUTE,
    OPEN,
    SESSION,
    SL,
    SLM,
    Floor,
)

# ---- what the exchange refuses ----


@pytest.mark.parametrize(
    ("session", "fields", "want"),
    [
        ({}, {"qty": 15}, "QTY_LOT"),
        ({}, {"qty": 110}, "QTY_FREEZE"),
        ({}, {"price": 10_001}, "PRICE_TICK"),
        ({}, {"kind": SL, "price": 10_105, "trigger": 10_101}, "PRICE_TICK"),
        ({}, {"price": 8_995}, "PRICE_BAND"),
        ({}, {"price": 11_005}, "PRICE_BAND"),
        ({}, {"kind": SL, "price": 11_005, "trigger": 10_100}, "PRICE_BAND"),
        ({}, {"kind": SLM, "price": 0, "trigger": 10_100}, "KIND_REFUSED"),
        ({"open_ns": OPEN + 1}, {}, "CLOSED"),
        ({"close_ns": OPEN}, {}, "CLOSED"),
        ({"close_ns": OPEN, "open2_ns": OPEN + 5, "close2_ns": OPEN + 9}, {"now": OPEN + 9},
         "CLOSED"),
        ({"close_ns": OPEN, "open2_ns": OPEN + 5, "close2_ns": OPEN + 9}, {"now": OPEN + 8},
         "ACCEPTED"),
        ({"expiry_ns": OPEN + 3}, {"now": OPEN + 3}, "CLOSED"),
        ({"expiry_ns": OPEN + 3}, {"now": OPEN + 2}, "ACCEPTED"),
        ({}, {"qty": 100, "price": 11_000}, "ACCEPTED"),
    ],
)  # fmt: skip
def test_each_refusal_of_the_exchange(
    session: dict[str, int], fields: dict[str, Any], want: str
) -> None:
    floor = Floor(SESSION | session)
    floor.send(**{"side": 1, "qty": 10, "price": 10_000} | fields)
    ((_, said, *_),) = floor.said()
    assert said == want
    assert floor.match.live == (want == "ACCEPTED")


def test_everything_is_closed_before_the_first_session() -> None:
    floor = Floor(None)
    floor.send(1, 10, 10_000)
    assert floor.said() == [(1, "CLOSED", 0, 0, 0)]


def test_a_stop_beyond_the_market_is_refused_when_sent_and_triggers_when_overtaken() -> None:
    floor = Floor(latency_ns=100, stop_market_ok=True)
    floor.tick(price=10_000)
    floor.send(1, 10, kind=SLM, trigger=9_995)
    floor.send(-1, 10, kind=SLM, trigger=10_005)
    floor.send(-1, 10, kind=SLM, trigger=9_990)  # overtaken on its way by the next trade
    floor.tick(price=9_980)
    floor.now += 200
    floor.tick(price=9_985, qty=50)
    assert floor.said() == [
        (1, "TRIGGER_SIDE", 0, 0, 0), (2, "TRIGGER_SIDE", 0, 0, 0), (3, "ACCEPTED", 0, 0, 10),
        (3, "TRIGGERED", 0, 0, 10), (3, "FILLED", 9_985, 10, 0),
    ]  # fmt: skip


def test_a_market_order_without_any_price_is_refused() -> None:
    floor = Floor()
    floor.tick(bid=9_990, bid_qty=10)
    floor.send(1, 10, kind=MARKET)  # no trade yet and nobody offers
    floor.send(-1, 10, kind=MARKET)
    assert [said[:2] for said in floor.said()] == [(1, "NO_MARKET"), (2, "ACCEPTED")]


# ---- ticks ----


def test_a_marketable_order_takes_the_displayed_quantity_tick_by_tick() -> None:
    floor = Floor()
    floor.send(1, 50, 10_010)
    for ask, qty in ((10_000, 20), (10_005, 20), (10_020, 90)):
        floor.tick(bid=9_990, bid_qty=10, ask=ask, ask_qty=qty)
    assert floor.fills() == [(1, 10_000, 20), (1, 10_005, 20)]
    assert floor.match.working()[1]["left"] == 10
    # Seen not marketable: it rests, and a seller who comes down to it gets its limit.
    floor.tick(bid=9_990, bid_qty=10, ask=10_000, ask_qty=90)
    assert floor.fills() == [(1, 10_010, 10)]


def test_the_displayed_quantity_is_taken_once_until_the_next_quote() -> None:
    floor = Floor()
    floor.tick(price=10_000, bid=9_990, bid_qty=10, ask=10_000, ask_qty=30)
    floor.send(1, 20, 10_000)
    floor.send(1, 20, 10_000)
    floor.tick(price=10_000, qty=10)
    floor.tick(price=10_000, qty=10)
    assert floor.fills() == [(1, 10_000, 20), (2, 10_000, 10)]
    floor.tick(bid=9_990, bid_qty=10, ask=10_000, ask_qty=30)
    assert floor.fills() == [(2, 10_000, 10)]


def test_queue_shrinks_by_trades_and_by_what_is_displayed() -> None:
    floor = Floor()
    floor.tick(bid=10_000, bid_qty=100, ask=10_010, ask_qty=50)
    floor.send(1, 30, 10_000)  # 100 ahead
    floor.tick(price=10_000, qty=40, bid=10_000, bid_qty=60, ask=10_010, ask_qty=50)
    assert floor.match.working()[1]["queue"] == 60
    floor.tick(bid=10_000, bid_qty=20, ask=10_010, ask_qty=50)  # 40 ahead went away
    assert floor.match.working()[1]["queue"] == 20
    floor.tick(price=10_000, qty=40)  # 20 ahead, then 20 for us
    assert floor.fills() == [(1, 10_000, 20)]
    assert floor.match.working()[1]["queue"] == 0


def test_behind_the_best_the_queue_is_unknown_and_better_it_is_empty() -> None:
    floor = Floor()
    floor.tick(bid=10_000, bid_qty=100, ask=10_020, ask_qty=50)
    behind, better = floor.send(1, 10, 9_990), floor.send(1, 10, 10_005)
    assert floor.match.working()[behind]["queue"] == -1
    assert floor.match.working()[better]["queue"] == 0
    floor.tick(price=9_990, qty=500)
    # Through the better one; the other trades at its price, but who was ahead is not known.
    assert floor.fills() == [(better, 10_005, 10)]
    floor.tick(bid=9_990, bid_qty=30, ask=10_020, ask_qty=50)
    assert floor.match.working()[behind]["queue"] == 30
    floor.tick(price=9_985, qty=10)
    assert floor.fills() == [(behind, 9_990, 10)]


def test_own_orders_share_a_trade_in_price_then_time_priority() -> None:
    floor = Floor()
    floor.tick(bid=9_900, bid_qty=10, ask=10_100, ask_qty=10)
    first, second, best = (floor.send(1, 20, price) for price in (10_000, 10_000, 10_005))
    floor.tick(price=10_000, qty=50)
    assert floor.fills() == [(best, 10_005, 20), (first, 10_000, 20), (second, 10_000, 10)]


def test_priority_is_lost_by_a_new_price_or_more_and_kept_by_less() -> None:
    for change, winner in (({"price": 10_000, "qty": 20}, 2), ({"price": 10_000, "qty": 10}, 1)):
        floor = Floor()
        floor.tick(bid=9_900, bid_qty=10, ask=10_100, ask_qty=10)
        floor.send(1, 10 if winner == 2 else 20, 10_000)
        floor.send(1, 10, 10_000)
        floor.match.modify_order(1, trigger=0, now_ns=floor.now, **change)
        floor.said()
        floor.tick(price=10_000, qty=10)
        assert floor.fills() == [(winner, 10_000, 10)]


def test_before_any_quote_a_marketable_order_pays_the_trades_price() -> None:
    floor = Floor(slippage=7)
    floor.send(1, 20, 10_050)
    floor.send(1, 20, kind=MARKET)
    floor.tick(price=10_000, qty=30)
    # The market order ranks first and slips 7 paise to the tick above; 10 are left of the trade.
    assert floor.fills() == [(2, 10_010, 20), (1, 10_000, 10)]


def test_a_market_order_becomes_a_limit_at_the_protection_price() -> None:
    floor = Floor(protection_e4=100)
    floor.tick(price=10_000, bid=9_995, bid_qty=10, ask=10_005, ask_qty=10)
    floor.send(1, 30, kind=MARKET)
    assert floor.match.working()[1]["limit"] == 10_100
    floor.tick(bid=9_995, bid_qty=10, ask=10_005, ask_qty=10)
    floor.tick(bid=10_100, bid_qty=10, ask=10_105, ask_qty=10)  # run away: the rest is a limit
    assert floor.fills() == [(1, 10_005, 10)]
    floor.tick(price=10_095, qty=1)  # traded through
    assert floor.fills() == [(1, 10_100, 20)]


@pytest.mark.parametrize(
    ("last", "buy", "sell"),
    [(50, 55, 45), (9_95, 10_40, 9_50), (10_00, 10_30, 9_70), (99_95, 102_90, 97_00),
     (100_00, 102_00, 98_00), (499_95, 509_90, 490_00), (500_00, 505_00, 495_00)],
)  # fmt: skip
def test_protection_by_slab_follows_the_premium(last: int, buy: int, sell: int) -> None:
    """5 % below 10 rupees, 3 % below 100, 2 % below 500, else 1 %: inwards to the tick of 5."""
    floor = Floor(SESSION | {"band_low": 0, "band_high": 0}, protection_slab=True)
    floor.tick(price=last, bid=last, bid_qty=10, ask=last + 5, ask_qty=10)
    floor.send(1, 30, kind=MARKET)
    floor.send(-1, 30, kind=MARKET)
    assert [order["limit"] for order in floor.match.working().values()] == [buy, sell]


def test_a_market_order_without_protection_never_rests() -> None:
    floor = Floor()
    floor.tick(price=10_000, bid=9_995, bid_qty=10)
    floor.send(1, 10, kind=MARKET)
    floor.tick(bid=9_995, bid_qty=10)  # nobody sells
    floor.tick(bid=9_995, bid_qty=10, ask=10_400, ask_qty=10)
    assert floor.fills() == [(1, 10_400, 10)]


def test_ioc_takes_what_is_there_and_expires() -> None:
    floor = Floor()
    floor.send(1, 50, 10_000, validity=int(Validity.IOC))
    floor.tick(bid=9_990, bid_qty=10, ask=10_000, ask_qty=20)
    assert floor.said() == [
        (1, "ACCEPTED", 0, 0, 50), (1, "FILLED", 10_000, 20, 30), (1, "EXPIRED", 0, 0, 0),
    ]  # fmt: skip
    assert floor.match.live == 0


def test_depth_is_walked_level_by_level_and_shared() -> None:
    floor = Floor()
    floor.send(1, 30, 10_010)
    floor.send(1, 30, 10_010)
    floor.match.on_depth(
        0, [(9_990, 40), (9_980, 40)], [(10_000, 20), (10_005, 20), (10_010, 5), (10_015, 99)], OPEN
    )
    assert floor.fills() == [(1, 10_000, 20), (1, 10_005, 10), (2, 10_005, 10)]


def test_depth_gives_the_queue_at_each_level() -> None:
    floor = Floor()
    for price in (9_990, 9_985, 9_980, 9_970):
        floor.send(1, 10, price)
    floor.match.on_depth(0, [(9_990, 40), (9_980, 70)], [(10_000, 20)], OPEN)
    # At the best, in a gap, at the second level; the last is beyond what is shown, but it joined
    # before any quote, so nobody is known to be ahead of it.
    assert [order["queue"] for order in floor.match.working().values()] == [0, 0, 0, 0]
    floor.send(1, 10, 9_980)
    floor.send(1, 10, 9_970)
    floor.match.on_depth(0, [(9_990, 40), (9_980, 70)], [(10_000, 20)], OPEN)
    assert [floor.match.working()[order]["queue"] for order in (5, 6)] == [70, -1]


# ---- latency and races ----


def test_nothing_happens_before_the_latency_has_passed() -> None:
    floor = Floor(latency_ns=100)
    floor.send(1, 10, 10_000)
    assert floor.match.quiet_band(0)[0] == 2**63 - 1  # never quiet while it is on its way
    floor.tick(price=9_000, bid=8_990, ask=9_000, ask_qty=90)
    assert floor.said() == []
    floor.now = OPEN + 99
    floor.tick(price=9_000, bid=8_990, ask=9_000, ask_qty=90)
    reports = floor.match.reports()
    assert reports["kind"].tolist() == [ACCEPTED, FILLED]
    assert reports["time_ns"].tolist() == [OPEN + 100, OPEN + 100]


def test_a_cancel_on_its_way_loses_against_a_fill() -> None:
    floor = Floor(latency_ns=100)
    floor.send(1, 10, 10_000)
    floor.match.cancel_order(1, OPEN + 50)
    floor.now = OPEN + 120
    floor.tick(price=9_990, bid=9_980, ask=9_990, ask_qty=90)
    floor.now = OPEN + 160
    floor.tick(price=9_990)
    assert [said[:2] for said in floor.said()] == [
        (1, "ACCEPTED"), (1, "FILLED"), (1, "STALE_ORDER"),
    ]  # fmt: skip


def test_a_cancel_that_arrives_first_wins() -> None:
    floor = Floor(latency_ns=100)
    floor.send(1, 10, 10_000)
    floor.match.cancel_order(1, OPEN + 50)
    floor.now = OPEN + 150
    floor.tick(price=9_990, bid=9_980, ask=9_990, ask_qty=90)
    assert [said[:2] for said in floor.said()] == [(1, "ACCEPTED"), (1, "CANCELLED")]


def test_a_modification_counts_what_filled_on_its_way() -> None:
    floor = Floor(latency_ns=100)
    floor.send(1, 50, 10_000)
    floor.now = OPEN + 100
    floor.tick(bid=9_980, bid_qty=10, ask=9_990, ask_qty=30)  # 30 filled
    floor.match.modify_order(1, price=9_995, trigger=0, qty=40, now_ns=floor.now)
    floor.match.modify_order(1, price=9_995, trigger=0, qty=30, now_ns=floor.now)
    floor.match.modify_order(1, price=9_995, trigger=0, qty=45, now_ns=floor.now)
    floor.now += 100
    floor.tick(bid=9_980, bid_qty=10, ask=10_100, ask_qty=30)
    assert floor.said()[2:] == [
        (1, "ACCEPTED", 0, 0, 10), (1, "STALE_ORDER", 0, 0, 10), (1, "QTY_LOT", 0, 0, 10),
    ]  # fmt: skip


def test_cancel_or_modify_of_an_unknown_order_raises() -> None:
    floor = Floor()
    with pytest.raises(OrderRefused, match="no working order"):
        floor.match.cancel_order(7, OPEN)
    with pytest.raises(OrderRefused, match="no working order"):
        floor.match.modify_order(7, price=1, trigger=0, qty=1, now_ns=OPEN)


# ---- groups ----


def test_one_cancels_the_other_and_a_part_shrinks_it() -> None:
    floor = Floor(stop_market_ok=True)
    target = floor.send(-1, 30, 10_100, group=9)
    stop = floor.send(-1, 30, kind=SLM, trigger=9_900, group=9)
    other = floor.send(-1, 30, 10_100)
    floor.said()
    floor.tick(bid=10_100, bid_qty=10, ask=10_200, ask_qty=10)
    assert floor.said() == [(target, "FILLED", 10_100, 10, 20), (stop, "ACCEPTED", 0, 0, 20)]
    floor.tick(price=9_900, qty=100, bid=9_900, bid_qty=100, ask=9_905, ask_qty=10)
    assert floor.said() == [
        (stop, "TRIGGERED", 0, 0, 20), (stop, "FILLED", 9_900, 20, 0),
        (target, "CANCELLED", 0, 0, 0),
    ]  # fmt: skip
    assert list(floor.match.working()) == [other]


def test_what_a_group_took_off_stays_off_when_the_order_is_modified() -> None:
    floor = Floor(stop_market_ok=True)
    floor.send(-1, 30, 10_100, group=9)
    stop = floor.send(-1, 30, kind=SLM, trigger=9_900, group=9)
    floor.tick(bid=10_100, bid_qty=10, ask=10_200, ask_qty=10)  # 10 of the target fill
    floor.match.modify_order(stop, price=0, trigger=9_950, qty=30, now_ns=floor.now)
    assert floor.match.working()[stop]["left"] == 20


def test_a_group_ends_a_sibling_that_is_still_on_its_way() -> None:
    floor = Floor(latency_ns=100)
    floor.send(1, 10, 10_000, group=3)
    floor.send(1, 10, 9_900, group=3, now=OPEN + 50)
    floor.now = OPEN + 100
    floor.tick(bid=9_980, bid_qty=10, ask=9_990, ask_qty=30)
    floor.now = OPEN + 200
    floor.tick(bid=9_800, bid_qty=10, ask=9_810, ask_qty=30)
    assert [said[:2] for said in floor.said()] == [(1, "ACCEPTED"), (1, "FILLED"), (2, "CANCELLED")]


# ---- the day's end ----


def test_day_orders_expire_at_the_close_with_the_next_session() -> None:
    floor = Floor(latency_ns=100)
    floor.send(1, 10, 9_900)
    floor.bar(0, (10_000, 10_050, 9_950, 10_020))
    floor.send(1, 10, 9_900, now=OPEN + MINUTE)  # still on its way
    floor.match.cancel_order(1, OPEN + MINUTE)  # so is this
    floor.match.start_session(0, SESSION | {"date": 20240103})
    reports = floor.match.reports()
    assert reports["kind"].tolist() == [ACCEPTED, EXPIRED, EXPIRED]
    assert reports["time_ns"].tolist()[1:] == [SESSION["close_ns"]] * 2
    assert floor.match.live == 0 and floor.match.working() == {}
    assert floor.match.quiet_band(0) == (-(2**63), 2**63 - 1)


def test_a_cancel_of_a_filled_order_is_answered_at_the_days_end() -> None:
    floor = Floor(latency_ns=100)
    floor.send(1, 10, 10_100)
    floor.match.cancel_order(1, OPEN + 90)
    floor.now = OPEN + 99
    floor.tick(bid=9_900, ask=10_000)
    floor.match.start_session(0, SESSION | {"date": 20240103})
    assert [said[1] for said in floor.said()] == ["ACCEPTED", "FILLED", "STALE_ORDER"]


def test_instruments_do_not_touch_each_other() -> None:
    gate = Gate()
    match = Match(gate, instruments=2)
    for instrument in range(2):
        match.start_session(instrument, SESSION)
        match.submit_order(
            gate.check({"id": instrument + 1, "side": 1, "qty": 10, "price": 10_000,
                        "instrument": instrument, "group": 5}), OPEN)  # fmt: skip
    match.on_tick({"instrument": 1, "recv_ns": OPEN + 1, "ask": 10_000, "bid": 9_000})
    assert list(match.working()) == [1]
    assert match.quiet_band(1) == (-(2**63), 2**63 - 1)


# ---- limits of the pools, bad input ----


def test_a_full_pool_refuses_and_loses_nothing() -> None:
    floor = Floor()
    small = Match(floor.gate, orders_max=3)
    small.start_session(0, SESSION)
    orders = [floor.gate.check({"id": number, "side": 1, "qty": 10, "price": 10_000})
              for number in range(1, 6)]  # fmt: skip
    for approved in orders[:3]:
        small.submit_order(approved, OPEN)
    with pytest.raises(PoolFull):
        small.submit_order(orders[3], OPEN)
    small.on_tick({"recv_ns": OPEN + 1, "ask": 10_000, "ask_qty": 10, "bid": 9_000})
    small.submit_order(orders[3], OPEN + 1)  # the same approval, now that there is room
    assert (small.reports()["kind"] == FILLED).sum() == 1
    assert list(small.working()) == [2, 3, 4]


def test_reports_nobody_takes_put_fills_off_but_lose_none() -> None:
    floor = Floor()
    small = Match(floor.gate, orders_max=1)
    small.start_session(0, SESSION)
    small.submit_order(floor.gate.check({"id": 1, "side": 1, "qty": 1_000_000, "price": 10_000},
                                        session={"freeze": 0}), OPEN)  # fmt: skip
    small.reports()  # refused: above the freeze quantity
    small.start_session(0, SESSION | {"freeze": 0})
    small.submit_order(floor.gate.check({"id": 2, "side": 1, "qty": 400, "price": 10_000}), OPEN)
    filled = 0
    for step in range(200):
        small.on_tick({"recv_ns": OPEN + step, "ask": 10_000, "ask_qty": 10, "bid": 9_000})
        if step % 50 == 49:
            filled += int(small.reports()["qty"].sum())
    assert small.stalls > 0 and filled == 400 and small.live == 0


def test_many_ticks_agree_with_one_at_a_time_and_pause_for_reports() -> None:
    rng = np.random.default_rng(5)
    ticks = np.zeros(600, dtype=TICK_DTYPE)
    ticks["recv_ns"] = OPEN + np.arange(600)
    ticks["price"] = 10_000 + 5 * rng.integers(-20, 20, 600)
    ticks["qty"] = 10 * rng.integers(1, 5, 600)
    answers = []
    for batch in (False, True):
        floor = Floor()
        for number in range(30):
            floor.send(1 if number % 2 else -1, 100, 10_000 + 5 * (number - 15))
        at = 0
        taken = []
        while at < len(ticks):
            if batch:
                at += floor.match.on_ticks(ticks[at:])
            else:
                floor.match.on_tick(ticks[at])
                at += 1
            taken.append(floor.match.reports())
        answers.append(np.concatenate(taken))
    assert (answers[0] == answers[1]).all() and (answers[0]["kind"] == FILLED).sum() > 30


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m.on_bar({"open": 5, "high": 4, "low": 3, "close": 4}, 1), BadData, "open 5"),
        (lambda m: m.on_bar({"open": 0, "high": 0, "low": 0, "close": 0}, 1), BadData, "low 0"),
        (lambda m: m.on_bar({"open": 1, "high": 1, "low": 1, "close": 1}, 0), BadData, "ends at 0"),
        (lambda m: m.on_bar({"open": 1, "high": 1, "low": 1, "close": 1}, 1, part="all"),
         UsageError, "'all'"),
        (lambda m: m.on_tick({"price": -1}), BadData, "negative"),
        (lambda m: m.on_tick({"instrument": 1}), UsageError, "instrument"),
        (lambda m: m.on_ticks(np.zeros(3)), UsageError, "TICK_DTYPE"),
        (lambda m: m.on_depth(0, [(5, 1)], [(5, 1)], 0), BadData, "best bid 5"),
        (lambda m: m.on_depth(0, [(5, 1), (6, 1)], [], 0), BadData, "bids"),
        (lambda m: m.on_depth(0, [], [(6, 1), (5, 1)], 0), BadData, "asks"),
        (lambda m: m.on_depth(0, [], [(5 + n, 1) for n in range(201)], 0), UsageError, "201"),
        (lambda m: m.submit_order(None, 0), TypeError, "NoneType"),
        (lambda m: m.start_session(0, {"lots": 1}), UsageError, "lots"),
        (lambda m: m.quiet_band(-1), UsageError, "-1"),
        (lambda m: Match(Gate(), latency=5), ConfigError, "latency: no such rule"),
        (lambda m: Match(Gate(), latency_ns=-5), ConfigError, "latency_ns: -5"),
        (lambda m: Match(Gate(), orders_max=0), ConfigError, "orders_max"),
        (lambda m: Match(Gate(), slippage=1.5), ConfigError, "slippage: 1.5"),
        (lambda m: Match(Gate(), slippage_e6=20_000, protection_e4=100), ConfigError, "protection"),
        (lambda m: Match(Gate(), slippage_e6=20_000, protection_slab=True), ConfigError, "100e-4"),
        (lambda m: Match(Gate(), protection_slab=True, protection_e4=5), ConfigError, "must be 0"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(
    call: Callable[[Match], object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call(Floor().match)
