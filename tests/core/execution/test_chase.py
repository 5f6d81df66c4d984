"""Orders under way against a plain model, in markets that walk, run away and go silent."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.execution.chase import ChaseDo, Chaser
from dhanfast._core.execution.route import Router, RouteStyle, RouteWhy, Urgency
from dhanfast.errors import UsageError
from tests.core.execution.chase_model import GIVE_UP, PlainChase

SECOND = 10**9
T0 = 1_700_000_000 * SECOND
TICK = 5
CALM = {"bid": 100_00, "ask": 101_00, "last": 100_50, "bid_qty": 300, "ask_qty": 300, "tick": TICK}


def moved(ticks: int, **change: int) -> dict[str, Any]:
    market = {**CALM, **change}
    return {
        name: value + ticks * TICK if value and name in ("bid", "ask", "last") else value
        for name, value in market.items()
    }


MOVES = st.one_of(st.just(0), st.integers(-3, 3), st.integers(-60, 60))
STEPS = st.lists(
    st.tuples(
        st.sampled_from([10**6, SECOND // 4, SECOND // 2, SECOND, 3 * SECOND]),
        MOVES,
        st.integers(0, 60),
        st.sampled_from(["both", "both", "both", "no bid", "no ask", "none", "own"]),
    ),
    max_size=25,
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "entry_cross": st.booleans(), "reprices_max": st.integers(0, 4), "ioc": st.booleans(),
        "loose_e6": st.sampled_from([0, 5_000, 200_000]), "swing": st.sampled_from([0.0, 4.0]),
        "join_ns": st.sampled_from([0, 5 * SECOND]), "interval_ns": st.sampled_from([SECOND // 2]),
        "tight_ticks": st.sampled_from([0, 2, 10]),
    },
)  # fmt: skip


@settings(max_examples=200)
@given(RULES, st.sampled_from([1, -1]), st.integers(0, 3), st.booleans(), STEPS)
def test_every_step_is_that_of_the_model(
    rules: dict[str, Any], side: int, urgency: int, leaves: bool,
    steps: list[tuple[int, int, int, str]],
) -> None:  # fmt: skip
    now, level = T0, 0
    chaser = Chaser(Router(**rules), CALM, side=side, qty=75, urgency=urgency, leaves=leaves,
                    now_ns=now)  # fmt: skip
    plain = PlainChase(rules, side, urgency, leaves, now)
    _, said, style = plain.step(CALM, 75, now)
    assert (chaser.route.price, chaser.route.style) == (said, style)
    for wait, move, gap, shape in steps:
        now, level = now + wait, max(level + move, -1900)
        market = moved(level, ask=100_05 + gap * TICK)
        for name in {"no bid": ["bid"], "no ask": ["ask"], "none": ["bid", "ask", "last"]}.get(
            shape, []
        ):
            market[name] = 0
        if shape == "own" and plain.said:
            market["bid" if side > 0 else "ask"] = plain.said
        what, route = chaser.step(market, 75, now)
        want, said, style = plain.step(market, 75, now)
        assert int(what) == want
        if want == GIVE_UP:
            return
        assert (route.price, chaser.state["price"], chaser.state["style"]) == (said, said, style)


@settings(max_examples=60)
@given(
    st.sampled_from([1, -1]),
    st.integers(0, 3),
    st.booleans(),
    st.lists(st.tuples(st.integers(1, 4 * SECOND), MOVES), max_size=20),
)
def test_it_presses_on_never_hurries_and_says_no_more_than_its_cap(
    side: int, urgency: int, leaves: bool, steps: list[tuple[int, int]]
) -> None:
    router, now, level = Router(), T0, 0
    chaser = Chaser(router, CALM, side=side, qty=75, urgency=urgency, leaves=leaves, now_ns=now)
    cap = router.entry(CALM, side, 75, Urgency.URGENT).price
    last_style, last_change, style_changes = chaser.route.style, now, 0
    for wait, move in steps:
        now, level = now + wait, max(level + move, -1900)
        what, route = chaser.step(moved(level), 75, now)
        if what == ChaseDo.GIVE_UP:
            assert not leaves
            return
        assert route.style >= last_style
        if what == ChaseDo.CHANGE:
            assert route.style > last_style or now - last_change >= SECOND
            last_change = now
        style_changes += route.style > last_style
        last_style = route.style
        assert leaves or (cap - route.price) * side >= 0
    # Four styles above the first, each followed three times: inside the 25 that a broker allows.
    assert style_changes <= 4 and chaser.state["changes"] <= 4 + 3 * 5


def test_an_exit_catches_a_market_that_runs_away() -> None:
    """The bid falls 0.5 % every quarter of a second: two rungs later the exit is below it."""
    router = Router(interval_ns=SECOND // 2)
    chaser = Chaser(router, moved(0, bid=99_00, ask=101_00), side=-1, qty=75,
                    urgency=Urgency.NORMAL, leaves=True, now_ns=T0)  # fmt: skip
    bid, log = 99_00, []
    for quarter in range(1, 40):
        bid = bid * 995 // 1000 // TICK * TICK
        market = {**CALM, "bid": bid, "ask": bid + 2_00, "last": bid}
        what, route = chaser.step(market, 75, T0 + quarter * SECOND // 4)
        if what == ChaseDo.CHANGE:
            log.append((quarter, route.style.name))
        if route.price <= bid:
            break
    # MID for two seconds, its price followed every half a second until three changes are used;
    # then it takes.
    assert log == [(2, "MID"), (4, "MID"), (6, "MID"), (8, "CROSS")]
    assert route.price <= bid and chaser.route.style == RouteStyle.MID


def test_an_exit_that_nothing_meets_ends_at_the_band() -> None:
    """A market that gaps beyond every price said: at last the end of the range is asked for."""
    banded = {"band_low": 50_00, "band_high": 150_00}
    chaser = Chaser(Router(), {**CALM, **banded}, side=-1, qty=75, urgency=Urgency.EMERGENCY,
                    leaves=True, now_ns=T0)  # fmt: skip
    assert (chaser.route.style, chaser.route.price) == (RouteStyle.WIDE, 96_00)
    what, route = chaser.step({**moved(-600), **banded}, 75, T0 + SECOND)
    assert (what, route.style, route.price) == (ChaseDo.CHANGE, RouteStyle.WIDE, 65_80)
    what, route = chaser.step({**moved(-800), **banded}, 75, T0 + 2 * SECOND)
    assert (what, route.style, route.price) == (ChaseDo.CHANGE, RouteStyle.BAND, 50_00)
    assert chaser.wake_ns is None


def test_a_peg_does_not_follow_itself() -> None:
    chaser = Chaser(Router(), CALM, side=1, qty=75, urgency=1, leaves=False, now_ns=T0)
    assert chaser.route.price == 100_50
    shown = {**CALM, "bid": 100_50}  # the feed shows this order at the top
    for second in range(1, 5):
        assert chaser.step(shown, 75, T0 + second * SECOND)[0] == ChaseDo.KEEP
    # The others' ask goes up one rupee: half of it is followed, not half of the way from itself.
    what, route = chaser.step({**shown, "ask": 102_00}, 75, T0 + 4 * SECOND + SECOND // 2)
    assert (what, route.price) == (ChaseDo.CHANGE, 101_00)


def test_half_a_tick_is_not_followed() -> None:
    chaser = Chaser(Router(), CALM, side=1, qty=75, urgency=1, leaves=False, now_ns=T0)
    what, _ = chaser.step({**CALM, "ask": 101_05}, 75, T0 + 2 * SECOND)  # mid up 2.5 paise
    assert what == ChaseDo.KEEP
    what, route = chaser.step({**CALM, "ask": 101_10}, 75, T0 + 2 * SECOND)  # mid up 5 paise
    assert (what, route.price) == (ChaseDo.CHANGE, 100_55)


def test_a_change_that_came_too_early_is_asked_for_at_its_time() -> None:
    chaser = Chaser(Router(), CALM, side=1, qty=75, urgency=1, leaves=False, now_ns=T0)
    assert chaser.wake_ns == T0 + 5 * SECOND
    what, route = chaser.step(moved(4), 75, T0 + SECOND // 2)
    assert (what, route.price, chaser.wake_ns) == (ChaseDo.KEEP, 100_50, T0 + SECOND)
    what, route = chaser.step(moved(4), 75, T0 + SECOND)
    assert (what, route.price, chaser.wake_ns) == (ChaseDo.CHANGE, 100_70, T0 + 5 * SECOND)
    what, route = chaser.step(moved(4), 75, T0 + 5 * SECOND)
    assert (what, route.style, route.why) == (
        ChaseDo.CHANGE, RouteStyle.CROSS, RouteWhy.CROSS_PATIENCE,
    )  # fmt: skip
    assert chaser.wake_ns == T0 + 10 * SECOND
    assert chaser.step(moved(4), 75, T0 + 10 * SECOND)[0] == ChaseDo.GIVE_UP


def test_an_entry_that_may_not_take_is_given_up() -> None:
    chaser = Chaser(Router(entry_cross=False), CALM, side=1, qty=75, urgency=0, leaves=False,
                    now_ns=T0)  # fmt: skip
    assert chaser.step(CALM, 75, T0 + 5 * SECOND - 1)[0] == ChaseDo.KEEP
    assert chaser.step(CALM, 75, T0 + 5 * SECOND)[0] == ChaseDo.GIVE_UP


def test_a_press_goes_up_and_never_down() -> None:
    chaser = Chaser(Router(), CALM, side=-1, qty=75, urgency=1, leaves=True, now_ns=T0)
    assert chaser.route.style == RouteStyle.MID
    chaser.press(Urgency.URGENT)
    what, route = chaser.step(CALM, 75, T0 + 1)
    assert (what, route.style) == (ChaseDo.CHANGE, RouteStyle.CROSS)
    chaser.press(Urgency.PASSIVE)
    assert chaser.state["urgency"] == Urgency.URGENT


def test_without_a_market_nothing_is_said_until_there_is_one() -> None:
    nothing = {"tick": TICK}
    chaser = Chaser(Router(), nothing, side=-1, qty=75, urgency=1, leaves=True, now_ns=T0)
    assert (chaser.route.price, chaser.route.why) == (0, RouteWhy.NO_MARKET)
    what, route = chaser.step(CALM, 75, T0 + 1)
    assert (what, route.style) == (ChaseDo.CHANGE, RouteStyle.MID)
    what, route = chaser.step(nothing, 75, T0 + 2 * SECOND)  # the quotes go: its price stays
    assert (what, route.price) == (ChaseDo.KEEP, 100_50)


def test_what_makes_no_sense_is_refused() -> None:
    chaser = Chaser(Router(), CALM, side=1, qty=75, urgency=1, leaves=False, now_ns=T0)
    with pytest.raises(UsageError, match="before the last step"):
        chaser.step(CALM, 75, T0 - 1)
    with pytest.raises(UsageError, match="qty"):
        chaser.step(CALM, 0, T0)
    with pytest.raises(UsageError, match="urgency"):
        chaser.press(9)
    with pytest.raises(UsageError, match="side"):
        Chaser(Router(), CALM, side=2, qty=75, urgency=1, leaves=False, now_ns=T0)
