"""Routes against the table of docs/reference/order-routing.md, and the laws of route.pxd."""

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dhanfast._core.execution.route import Router, RouteStyle, RouteWhy, Urgency, volatility
from dhanfast._core.types import OrderFlag, OrderKind, Reason, Validity
from dhanfast.errors import ConfigError, UsageError
from tests.core.execution.route_model import decide, entry, leave, market_of, price

SECOND = 10**9
SIDES = st.sampled_from([1, -1])
URGENCIES = st.integers(0, 3)
AGES = st.one_of(st.integers(0, 12), st.integers(0, 100)).map(lambda tenths: tenths * SECOND // 2)


@st.composite
def views(draw: st.DrawFn, *, quotes: bool = False) -> dict[str, Any]:
    """Markets of every kind: one-sided, locked, crossed, off the tick, without a range."""
    tick = draw(st.sampled_from([1, 5, 10, 20]))
    bid = draw(st.integers(1, 4_000).map(lambda n: n * tick))
    gap = draw(st.one_of(st.integers(-2, 4), st.integers(0, 60), st.integers(0, 2_000)))
    ask = bid + gap * tick
    assume(ask > 0)
    if draw(st.integers(0, 9)) == 0:
        bid, ask = bid + draw(st.integers(0, tick)), ask + draw(st.integers(0, tick))
    view = {"bid": bid, "ask": ask, "tick": tick, "last": draw(st.sampled_from([0, bid, ask, 7]))}
    view["ask_qty"], view["bid_qty"] = (
        draw(st.sampled_from([0, 75, 300])),
        draw(st.sampled_from([0, 75, 300])),
    )
    view["volatility"] = draw(st.sampled_from([0.0, 0.01, 0.3, 2.0, 50.0]))
    if draw(st.booleans()):
        view["band_low"] = draw(st.integers(1, bid + 3 * tick))
        view["band_high"] = draw(st.integers(view["band_low"] + 40, 3 * ask + 200))
    if not quotes:
        for name in ("bid", "ask"):
            if draw(st.integers(0, 5)) == 0:
                view[name] = view[f"{name}_qty"] = 0
    return view


@st.composite
def rule_sets(draw: st.DrawFn) -> dict[str, Any]:
    rules: dict[str, Any] = {}
    choices: dict[str, list[Any]] = {
        "option": [True, False], "ioc": [True, False], "entry_cross": [True, False],
        "swing": [0.0, 1.0, 4.0], "tight_ticks": [0, 1, 2, 8], "tight_e6": [0, 100, 5_000],
        "loose_e6": [0, 5_000, 20_000], "share_e4": [5_000, 10_000, 20_000],
        "wide_e4": [10_000, 20_000, 50_000],
        "slabs": [((500, 1), (2_000, 900), (9_000, 50), (0, 400)),
                  ((1, 5_000), (2, 1), (40_000, 5_000), (0, 1))],
        "join_ns": [0, SECOND], "mid_ns": [0, 3 * SECOND], "future_e4": [10, 100],
    }  # fmt: skip
    for name in draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=5)):
        rules[name] = draw(st.sampled_from(choices[name]))
    return rules


MARKET = {"bid": 100_00, "ask": 100_40, "bid_qty": 500, "ask_qty": 500, "last": 100_20, "tick": 5}


# ---- against the model --------------------------------------------------------------------------


@settings(max_examples=300)
@given(views(), rule_sets(), SIDES, st.sampled_from([1, 75, 150, 750]), URGENCIES, AGES)
def test_entries_and_exits_agree_with_the_table(
    view: dict[str, Any], rules: dict[str, Any], side: int, qty: int, urgency: int, age: int
) -> None:
    router, market = Router(**rules), market_of(view, side, rules)
    got = router.entry(view, side, qty, urgency, age)
    assert (got.price, got.style, got.why) == entry(market, qty, urgency, age)
    takes = rules.get("ioc", False) and got.style == RouteStyle.CROSS
    assert (got.kind, got.validity) == (OrderKind.LIMIT, Validity.IOC if takes else Validity.DAY)
    got = router.exit(view, side, qty, urgency, age)
    assert (got.price, got.style, got.why) == leave(market, qty, urgency, age)
    assert (got.kind, got.validity) == (OrderKind.LIMIT, Validity.DAY)


# ---- laws ---------------------------------------------------------------------------------------


@settings(max_examples=200)
@given(views(), rule_sets(), SIDES, URGENCIES, AGES, st.booleans())
def test_prices_stand_on_the_tick_and_inside_the_range(
    view: dict[str, Any], rules: dict[str, Any], side: int, urgency: int, age: int, leaves: bool
) -> None:
    router = Router(**rules)
    route = (router.exit if leaves else router.entry)(view, side, 75, urgency, age)
    if not (view["bid"] or view["ask"] or view["last"]):
        assert (route.price, route.why) == (0, RouteWhy.NO_MARKET)
        return
    assert route.price >= view["tick"] and route.price % view["tick"] == 0
    if "band_high" in view:
        assert view["band_low"] <= route.price <= view["band_high"]


@settings(max_examples=200)
@given(views(quotes=True), rule_sets(), SIDES, URGENCIES, AGES)
def test_what_waits_does_not_take_and_what_takes_is_bounded(
    view: dict[str, Any], rules: dict[str, Any], side: int, urgency: int, age: int
) -> None:
    view = {name: value for name, value in view.items() if not name.startswith("band")}
    far = view["ask"] if side > 0 else view["bid"]
    route = Router(**rules).exit(view, side, 75, urgency, age)
    if route.style in (RouteStyle.JOIN, RouteStyle.MID):
        assert (far - route.price) * side > 0 or far <= view["tick"]
        return
    assert (route.price - far) * side >= 0  # it can trade now
    room = market_of(view, side, rules).room(far)
    times = {RouteStyle.CROSS: 0, RouteStyle.WIDE: 1, RouteStyle.BAND: 2}[route.style]
    wide = rules.get("wide_e4", 20_000) / 10_000
    assert (route.price - far) * side <= max(room * wide**times, view["tick"])


@settings(max_examples=200)
@given(views(), rule_sets(), SIDES, URGENCIES, AGES, AGES, st.booleans())
def test_more_urgency_and_more_age_are_never_more_patient(
    view: dict[str, Any], rules: dict[str, Any], side: int, urgency: int, age: int, more: int,
    leaves: bool,
) -> None:  # fmt: skip
    router = Router(**rules)
    ask = router.exit if leaves else router.entry
    first = ask(view, side, 75, urgency, age)
    assert (ask(view, side, 75, urgency, age + more).price - first.price) * side >= 0
    if urgency < Urgency.EMERGENCY:
        assert (ask(view, side, 75, urgency + 1, age).price - first.price) * side >= 0


@settings(max_examples=100)
@given(st.integers(1, 10**9), st.sampled_from([1, 5, 10]), SIDES)
def test_a_price_never_costs_more_than_was_decided(taken: int, tick: int, side: int) -> None:
    view = {"ask" if side > 0 else "bid": taken, "tick": tick}
    route = Router().entry(view, side, 1, Urgency.URGENT)
    said = taken + side * max(market_of(view, side).room(taken), tick)
    if said >= tick:
        assert (said - route.price) * side >= 0
        assert abs(said - route.price) < tick


@pytest.mark.parametrize(
    ("premium", "share"),
    [(5_00, 500), (9_95, 500), (10_00, 300), (99_95, 300), (100_00, 200), (499_95, 200),
     (500_00, 100), (2_000_00, 100)],
)  # fmt: skip
@pytest.mark.parametrize("side", [1, -1])
def test_protection_follows_the_premium(premium: int, share: int, side: int) -> None:
    view = {"ask" if side > 0 else "bid": premium, "tick": 5}
    route = Router().entry(view, side, 75, Urgency.URGENT)
    away = premium * share // 10_000
    assert premium + side * away - route.price in range(-4, 5)
    assert (premium + side * away - route.price) * side >= 0


# ---- one by one ---------------------------------------------------------------------------------


def test_the_reason_says_what_decided() -> None:
    router = Router(swing=4.0)
    cases: list[tuple[dict[str, Any], int, int, RouteWhy]] = [
        ({}, 0, 75, RouteWhy.JOIN_PASSIVE),
        ({}, 1, 75, RouteWhy.MID_SPREAD),
        ({"ask_qty": 50}, 1, 75, RouteWhy.MID_THIN),
        ({"ask_qty": 75}, 1, 75, RouteWhy.MID_SPREAD),
        ({"ask_qty": 0}, 1, 75, RouteWhy.MID_SPREAD),
        ({"ask": 100_10}, 1, 75, RouteWhy.CROSS_TIGHT),
        ({"volatility": 0.5}, 1, 75, RouteWhy.CROSS_VOLATILE),
        ({"ask": 103_00}, 2, 75, RouteWhy.MID_WIDE),
        ({}, 2, 75, RouteWhy.CROSS_URGENT),
        ({"ask": 0}, 2, 75, RouteWhy.JOIN_EMPTY),
        ({"ask": 0, "bid": 0}, 1, 75, RouteWhy.CROSS_LAST),
        ({"ask": 0, "bid": 0, "last": 0}, 3, 75, RouteWhy.NO_MARKET),
    ]
    for change, urgency, qty, why in cases:
        view = {**MARKET, **change}
        assert router.entry(view, 1, qty, urgency).why == why, change
        assert decide(market_of(view, 1), qty, urgency, False)[1] == why, change


def test_an_exit_climbs_from_where_its_urgency_starts() -> None:
    router, view = Router(tight_ticks=0), {**MARKET, "band_low": 60_00, "band_high": 150_00}
    ages = [seconds * SECOND for seconds in (0, 2, 4, 6, 8)]
    climbs = [
        [router.exit(view, -1, 75, urgency, age).style.name for age in ages] for urgency in Urgency
    ]
    assert climbs == [
        ["JOIN", "MID", "CROSS", "WIDE", "BAND"],
        ["MID", "CROSS", "WIDE", "BAND", "BAND"],
        ["CROSS", "WIDE", "BAND", "BAND", "BAND"],
        ["WIDE", "BAND", "BAND", "BAND", "BAND"],
    ]
    assert router.exit(view, -1, 75, 0, 8 * SECOND).price == 60_00
    assert [price(market_of(view, -1), style) for style in list(RouteStyle)[1:6]] == [
        100_40, 100_20, 98_00, 96_00, 60_00,
    ]  # fmt: skip


def test_urgency_is_what_the_order_is_for() -> None:
    router = Router(entry_urgency=0, exit_urgency=1)
    want = {
        Reason.SIGNAL: 0, Reason.STOP_LOSS: 2, Reason.TAKE_PROFIT: 1, Reason.EXIT_SIGNAL: 1,
        Reason.TIME_EXIT: 2, Reason.EXPIRY_EXIT: 2, Reason.REVERSAL: 1, Reason.END_OF_DATA: 2,
        Reason.RISK_EXIT: 3, Reason.OPERATOR: 3, Reason.TIME_STOP: 2,
    }  # fmt: skip
    for reason in Reason:
        flags = 0 if reason == Reason.SIGNAL else OrderFlag.EXIT
        assert router.urgency(reason, flags) == want[reason], reason
    assert router.urgency(Reason.EXIT_SIGNAL, OrderFlag.EXIT | OrderFlag.SQUARE_OFF) == 2


def test_volatility_of_a_range_is_that_of_a_random_walk() -> None:
    # sqrt(8 / pi) = 1.5957691216: the mean range of a standard walk of length one.
    assert volatility(1.5957691216057308, SECOND) == pytest.approx(1.0, rel=1e-12)
    assert volatility(12.0, 60 * SECOND) == pytest.approx(12.0 / (math.sqrt(8 * 60 / math.pi)))
    assert volatility(float("nan"), SECOND) == 0.0 and volatility(1.0, 0) == 0.0


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Router(tight=1), ConfigError, "routing.tight: no such rule"),
        (lambda: Router(wide_e4=9_999), ConfigError, "routing.wide_e4 must be"),
        (lambda: Router(reprices_max=2.5), ConfigError, "reprices_max"),
        (lambda: Router(swing=-1), ConfigError, "swing"),
        (lambda: Router(slabs=((10, 5),)), ConfigError, "slabs must be four pairs"),
        (lambda: Router(slabs=((9, 5), (8, 5), (20, 5), (0, 5))), ConfigError, "rising"),
        (lambda: Router(slabs=5), ConfigError, "slabs"),
        (lambda: Router().entry({**MARKET, "bids": 1}, 1, 75, 1), UsageError, "market.bids"),
        (lambda: Router().entry({"bid": 5}, 1, 75, 1), UsageError, "market.tick"),
        (lambda: Router().entry({**MARKET, "ask": -5}, 1, 75, 1), UsageError, "market.ask"),
        (lambda: Router().exit({**MARKET, "volatility": float("nan")}, 1, 75, 1), UsageError,
         "volatility"),
        (lambda: Router().exit(MARKET, 0, 75, 1), UsageError, "side"),
        (lambda: Router().exit(MARKET, 1, 0, 1), UsageError, "qty"),
        (lambda: Router().exit(MARKET, 1, 75, 4), UsageError, "urgency"),
        (lambda: Router().entry({**MARKET, "reach": 5}, 1, 75, 1), UsageError, "market.reach"),
        (lambda: Router(stop_e4=10_000), ConfigError, "routing.stop_e4: no such rule"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("urgency", list(Urgency))
def test_many_decisions_are_as_many_single_ones(urgency: Urgency, leaves: bool) -> None:
    """What the bench times: its loop moves the ask by a tick and asks again, a nanosecond later."""
    market = {"bid": 10_000, "ask": 10_040, "bid_qty": 500, "ask_qty": 500, "tick": 5}
    router, total, ask = Router(), 0, 10_040
    for at in range(7):
        ask += 5 if at % 2 else -5
        ways = router.exit if leaves else router.entry
        total += ways(market | {"ask": ask}, 1, 75, urgency, at).price
    assert router.many(market, 1, 75, urgency, 7, leaves) == total
