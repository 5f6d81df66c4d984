"""`m.vix`: on every bar the last value that was known by its end, however it became known."""

import datetime as dt
from bisect import bisect_right
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.guards import Guards
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.generate import generate_ticks
from dhanfast.strategies.plugins import graph_of

from ..core.rules.probe import MINUTE, SESSION_MINUTES, Probe, walk
from ..core.stand import OPEN, make, sessions

COUNT = 600
Told = list[tuple[int, int]]  # (UTC ns from which it is known, 1/100 points)

told_values = st.lists(
    st.tuples(
        st.integers(OPEN - 5 * MINUTE, OPEN + 9 * 86_400 * 10**9),
        st.integers(200, 15_100),  # also below 3 and above 150 points: faults, ignored
    ),
    max_size=40,
    unique_by=lambda one: one[0],
).map(sorted)


def plain(bars: NDArray[Any], told: Told, max_age: int = 0) -> list[float]:
    """The last sound value that is known at each bar's end."""
    sound = [(at, value) for at, value in told if 300 <= value <= 15_000]
    shown = []
    for start in bars["start_ns"].tolist():
        place = bisect_right([at for at, _ in sound], start + MINUTE)
        at, value = sound[place - 1] if place else (0, 0)
        old = max_age and start + MINUTE - at > max_age
        shown.append(float("nan") if not place or old else value / 100.0)
    return shown


def columns(bars: NDArray[Any], guards: Guards, told: Told, *, piece: int) -> list[float]:
    """`m.vix` on every bar; values of `told` come one by one, as they do on a feed."""
    probe = Probe(lambda m: [m.vix])
    runner = probe.runner(lambda at, text: None)
    graph = graph_of(runner)
    assert graph is not None and graph.needs == {"vix"}
    graph.compile().see(guards, MINUTE)
    kernel = make(runner, sessions(-(-COUNT // SESSION_MINUTES), SESSION_MINUTES),
                  gate={"guards": guards})  # fmt: skip
    coming = list(told)
    for at in range(0, len(bars), piece):
        part = bars[at : at + piece]
        end_ns = int(part["start_ns"][-1]) + MINUTE
        while coming and coming[0][0] <= end_ns:
            guards.vix(*coming.pop(0))
        assert kernel.run(part.view("u1"))
    return [row[0] for row in probe.rows]


def recorded(told: Told, **rules: int) -> Guards:
    times, values = (np.array([one[i] for one in told], np.int64) for i in (0, 1))
    return Guards(vix=(times, values), **rules)


@given(told=told_values, piece=st.sampled_from([1, 7, 256, COUNT]))
@settings(max_examples=25, deadline=None)
def test_recorded_values_count_from_their_time_however_the_bars_come(
    told: Told, piece: int
) -> None:
    bars = walk(COUNT, 3)
    np.testing.assert_array_equal(columns(bars, recorded(told), [], piece=piece), plain(bars, told))


@given(told=told_values)
@settings(max_examples=15, deadline=None)
def test_values_of_a_feed_are_those_of_the_same_record(told: Told) -> None:
    bars = walk(COUNT, 3)
    np.testing.assert_array_equal(columns(bars, Guards(), told, piece=1), plain(bars, told))


@given(told=told_values, cut=st.integers(0, 40))
@settings(max_examples=15, deadline=None)
def test_a_feed_goes_on_where_a_history_ends(told: Told, cut: int) -> None:
    bars = walk(COUNT, 3)
    got = columns(bars, recorded(told[:cut]), told[cut:], piece=1)
    np.testing.assert_array_equal(got, plain(bars, told))


def test_a_value_older_than_max_age_is_unknown() -> None:
    bars, told = walk(COUNT, 3), [(OPEN + 5 * MINUTE, 1_500), (OPEN + 90 * MINUTE, 1_600)]
    age = 20 * MINUTE
    got = columns(bars, recorded(told, vix_age=age), [], piece=256)
    np.testing.assert_array_equal(got, plain(bars, told, age))
    assert np.isnan(got).any() and not np.isnan(got).all()


def test_bars_need_a_length() -> None:
    graph = graph_of(Probe(lambda m: [m.vix]).runner(lambda at, text: None))
    assert graph is not None
    with pytest.raises(ValueError, match="interval_ns must be above 0, was 0"):
        graph.compile().see(Guards(), 0)


def test_ticks_refuse_what_nobody_tells_and_volume_that_is_not_there() -> None:
    day = dt.date(2026, 1, 2)
    ticks = next(iter(generate_ticks("BANKNIFTY", day, day, seed=3, interval="1m")))
    with pytest.raises(ConfigError, match=r"risk\.guards\.vix\.told"):
        backtest_ticks("vix-regime", [ticks], symbol="BANKNIFTY")
    with pytest.raises(BadData, match="BANKNIFTY, ticks of the index: the strategy declares"):
        backtest_ticks("vwap", [ticks], symbol="BANKNIFTY", kind="IDX")
    on = Settings(guards=GuardSettings(vix_told=1))
    with pytest.raises(ConfigError, match=r"risk\.guards\.vix\.data"):
        backtest_ticks("vix-regime", [ticks], symbol="BANKNIFTY", settings=on)
