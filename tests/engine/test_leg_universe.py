"""Which contracts a structure watches on a day: enough for its rules wherever the index may go."""

import datetime as dt
import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dhanfast._core.chainday import Missing
from dhanfast.app.legs_file import plan_of
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.leg_universe import REACH, STRIKES_MAX, Universe, universe_of
from dhanfast.engine.legs_chain import chain_of
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.market.optionsessions import option_expiries

DAY = dt.date(2026, 11, 20)
LEVEL = 5_632_500
GRID = np.arange(4_000_000, 7_500_001, 10_000, dtype=np.int64)


def plan(*strikes: str, expiry: str = "nearest", right: str = "CE") -> StructurePlan:
    legs = [{"side": "buy", "right": right, "strike": one, "expiry": expiry} for one in strikes]
    return plan_of({"underlying": "BANKNIFTY", "leg": legs})


def chosen(*strikes: str, level: int = LEVEL, grid: Any = GRID, **given: str) -> Universe:
    return universe_of(plan(*strikes, **given), DAY, level, lambda expiry: grid)


def hours() -> TradingDay:
    found = Calendar.load().day(DAY, "NSE_FNO")
    assert found is not None
    return found


def test_the_columns_are_calls_then_puts_of_each_expiry() -> None:
    legs = [{"side": "buy", "right": "CE", "strike": "atm", "expiry": name}
            for name in ("nearest", "monthly")]  # fmt: skip
    made = universe_of(
        plan_of({"underlying": "NIFTY", "leg": legs}), DAY, 2_600_000,
        lambda expiry: np.arange(2_000_000, 3_000_001, 5_000, dtype=np.int64),
    )  # fmt: skip
    names = option_expiries("NIFTY", DAY)
    dates = [slot.expiry for slot in made.slots]
    assert dates == sorted({names["nearest"], names["monthly"]})
    listed = list(made.contracts())
    wanted = [
        (slot.expiry, strike, right)
        for slot in made.slots
        for right in ("CE", "PE")
        for strike in slot.strikes
    ]
    assert listed == wanted and len(set(listed)) == len(listed)
    assert made.places(plan_of({"underlying": "NIFTY", "leg": legs}), DAY) == [
        dates.index(names["nearest"]), dates.index(names["monthly"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("strike", "reach"),
    [("atm", 0), ("otm3", 3), ("itm3", 3), ("atm-7", 7), (">=100rs", REACH), ("0.2d", REACH),
     ("+2%", 11), ("-1%", 6), ("+1w", 22)],
)  # fmt: skip
def test_every_rule_has_its_reach_and_room_beside_it(strike: str, reach: int) -> None:
    (slot,) = chosen(strike).slots
    money = int(np.argmin(np.abs(GRID - LEVEL)))
    room = round(0.025 * LEVEL / 10_000)
    near = int(np.searchsorted(GRID, slot.strikes[0])), int(np.searchsorted(GRID, slot.strikes[-1]))
    assert money - near[0] >= room and near[1] - money >= room
    assert max(money - near[0], near[1] - money) >= room + reach
    assert len(slot.strikes) <= STRIKES_MAX
    assert list(slot.strikes) == GRID[near[0] : near[1] + 1].tolist(), "no gap"


@settings(max_examples=60, deadline=None)
@given(
    strike=st.sampled_from(["atm", "otm5", "itm2", "atm-9", "+1.5%", "-2%"]),
    right=st.sampled_from(["CE", "PE"]),
    level=st.integers(4_800_000, 6_700_000),
    moved=st.floats(-0.06, 0.06),
)
@example(strike="+1.5%", right="CE", level=5_955_001, moved=0.025390625)  # a percent of more index
@example(strike="-2%", right="PE", level=5_955_001, moved=0.0253)
def test_a_rule_finds_the_strike_of_the_whole_list_or_the_index_is_beyond(
    strike: str, right: str, level: int, moved: float
) -> None:
    """The oracle is the rule itself on the whole list of strikes."""
    made = chosen(strike, level=level, right=right)
    (leg,) = plan(strike, right=right).legs
    now = round(level * (1 + moved))
    whole, few = (
        _picked(Universe("BANKNIFTY", level, (slot,)), leg, now)
        for slot in (_all(made), made.slots[0])
    )
    assert made.beyond(now) or few == whole
    assert not made.beyond(level) and not made.beyond(0)


def _all(made: Universe) -> Any:
    from dataclasses import replace

    return replace(made.slots[0], strikes=tuple(GRID.tolist()))


def _picked(universe: Universe, leg: Any, level: int) -> int:
    """What the native floor chooses at a level of the index, a price for every contract."""
    from dhanfast._core.chainday import ChainDay
    from dhanfast.market.optionsessions import option_sessions

    strikes = np.array(universe.slots[0].strikes, np.int64)
    n = len(strikes)
    prices = np.full((1, 2 * n), 1_000, np.int64)
    day = ChainDay(
        start_ns=np.array([1]), end_ns=np.array([2]), prices=(prices,) * 4,
        spot=np.array([level]), strike=np.concatenate([strikes, strikes]),
        listed=np.arange(2 * n, dtype=np.uint32), first=[0], count=[n],
        sessions=option_sessions("BANKNIFTY", hours(), [universe.slots[0].expiry]),
        final_price=[0], exercise_e9=[0], exercise_full=[0],
    )  # fmt: skip
    rules = leg.native()
    missing, _, found = day.choose(
        0, 0, rules["right"], rules["strike_rule"], rules["strike"], rules["premium_rule"]
    )
    assert missing in (Missing.FOUND, Missing.NO_STRIKE)
    return int(found)


def test_where_the_list_ends_the_index_is_not_beyond_it() -> None:
    (slot,) = chosen("atm", grid=GRID[np.abs(GRID - LEVEL) <= 50_000]).slots
    made = Universe("BANKNIFTY", LEVEL, (slot,))
    assert len(slot.strikes) in (10, 11) and not made.beyond(1) and not made.beyond(99_000_000)


def test_a_strike_that_is_named_is_watched_alone() -> None:
    (slot,) = chosen("atm", "70000").slots
    assert 7_000_000 in slot.strikes and 6_990_000 not in slot.strikes
    with pytest.raises(BadData, match=r"the strike 56033 of 2026-11-\d\d is not in the broker's"):
        chosen("56033")


def test_what_is_not_listed_or_too_far_is_refused() -> None:
    with pytest.raises(BadData, match="has no options of BANKNIFTY that expire on"):
        chosen("atm", grid=np.empty(0, np.int64))
    with pytest.raises(ConfigError, match=r"buy 1 CE otm90 nearest: .* strikes of .* watch 100"):
        chosen("atm", "otm90")


def test_a_day_keeps_what_it_was_begun_with() -> None:
    made = chosen("atm", "otm4", "0.2d")
    assert Universe.of_dict(json.loads(json.dumps(made.as_dict()))) == made
    other = plan("atm", expiry="next")
    if option_expiries("BANKNIFTY", DAY)["next"] not in [slot.expiry for slot in made.slots]:
        with pytest.raises(BadData, match="is not among those that this day was begun with"):
            made.places(other, DAY)


def test_the_chain_has_the_columns_of_the_universe() -> None:
    made = chosen("atm", "otm4")
    chain = chain_of(made, hours())
    assert chain.quotes().shape == (4, len(list(made.contracts()))) and chain.index == 0
    strikes = [strike for _, strike, _ in made.contracts()]
    half = len(strikes) // 2
    assert strikes[:half] == strikes[half:] == sorted(strikes[:half])
    assert all(a < b for a, b in itertools.pairwise(strikes[:half]))
