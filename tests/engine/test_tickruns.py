"""Runs over ticks: the same result however the ticks come, memory that stays flat, refusals."""

import datetime as dt
import tracemalloc
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.bars import TimeBars
from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.engine import Engine
from dhanfast.engine.provenance import run_digest
from dhanfast.engine.runs import GENERATED, MODELLED, sessions_between
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import TickRun, backtest_ticks
from dhanfast.errors import BadData, ConfigError, OutOfCalendar, StrategyError, UsageError
from dhanfast.market.generate import generate_ticks
from dhanfast.storage.bars import BarSet, Source
from dhanfast.strategies import Context, Strategy
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
FIRST, LAST = dt.date(2022, 2, 25), dt.date(2022, 3, 3)  # over a month's end and a holiday
DOORS = ("momentum", "momentum-python", "momentum-cython")


@cache
def days(instrument: str = "FUT") -> NDArray[Any]:
    """A few generated days, one array."""
    made = generate_ticks("BANKNIFTY", FIRST, LAST, seed=5, interval="5s", instrument=instrument)
    ticks = np.concatenate(list(made))
    ticks.flags.writeable = False
    return ticks


def cut(ticks: NDArray[Any], sizes: list[int]) -> Iterator[NDArray[Any]]:
    """The ticks in batches of these sizes, over and over."""
    at = turn = 0
    while at < len(ticks):
        size = sizes[turn % len(sizes)]
        yield ticks[at : at + size]
        at, turn = at + size, turn + 1


@cache
def whole(door: str) -> Any:
    return backtest_ticks(door, [days()], symbol="BANKNIFTY", generated=True)


@given(sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=5), door=st.sampled_from(DOORS))
@settings(max_examples=15, deadline=None)
def test_batches_of_any_size_give_the_same_digest(sizes: list[int], door: str) -> None:
    ticks = days() if sum(sizes) > 50 * len(sizes) else days()[:6000]
    expected = whole(door) if len(ticks) > 6000 else None
    if expected is None:
        expected = backtest_ticks(door, [ticks], symbol="BANKNIFTY", generated=True)
    result = backtest_ticks(door, cut(ticks, sizes), symbol="BANKNIFTY", generated=True)
    assert result.digest == expected.digest
    assert result.counters == expected.counters


def test_one_tick_at_a_time_gives_the_same_digest() -> None:
    ticks = days()[:5000]
    run = TickRun("momentum", symbol="BANKNIFTY")
    for at in range(len(ticks)):
        run.feed(ticks[at : at + 1])
        run.feed(ticks[:0])
    result = run.finish()
    assert result.digest == backtest_ticks("momentum", [ticks], symbol="BANKNIFTY").digest
    assert len(result.trades) > 0


def test_the_doors_agree_and_the_digest_is_of_bars_and_decisions() -> None:
    results = [whole(door) for door in DOORS]
    assert len({result.digest for result in results}) == 1
    result = results[0]
    assert len(result.trades) > 5
    # The bars are those of TimeBars, and the digest is that of a run on them with these decisions.
    table = sessions_between("BANKNIFTY", FIRST, LAST, Settings(), MINUTE)
    builder = TimeBars(MINUTE, table, volume="cumulative")
    bars = np.concatenate([builder.update_many(days()), builder.flush()])
    assert result.bars is not None and result.bars.tobytes() == bars.tobytes()
    shown = BarSet("BANKNIFTY", bars, MINUTE, True, (), ())
    assert result.digest == run_digest(shown, None, result)  # type: ignore[arg-type]


def test_sessions_that_come_with_the_ticks_are_those_of_the_whole_range() -> None:
    table = sessions_between("BANKNIFTY", FIRST, LAST, Settings(), MINUTE)
    runner = find_strategy("momentum", {}).runner(lambda at, text: None, MINUTE)
    engine = Engine(runner, table, Settings(), interval_ns=MINUTE)
    engine.feed_ticks(days())
    written, result = engine.finish(), whole("momentum")
    for name in ("trades", "orders", "equity", "days"):
        assert getattr(written, name).tobytes() == getattr(result, name).tobytes()


def test_the_result_says_what_it_rests_on() -> None:
    source = Source("day.dhf", "ab" * 32, len(days()))
    result = backtest_ticks(
        "momentum", [days("IDX")], symbol="BANKNIFTY", kind="IDX", interval="5m",
        sources=[source], notes=["from a test"], generated=True,
    )  # fmt: skip
    assert result.notes[:3] == (GENERATED, MODELLED, "from a test")
    assert result.timeframe == "5m" and result.traded == "BANKNIFTY FUT"
    signals = result.data["signals"]
    assert signals["sources"] == [{"name": "day.dhf", "sha256": "ab" * 32, "rows": len(days())}]
    assert result.data["ticks"] == {"kind": "IDX", "rows": len(days("IDX"))}
    assert signals["rows"] == len(result.bars) and signals["generated"] is True
    assert signals["first"] == "2022-02-25T09:15:00+05:30"
    assert signals["last"] == "2022-03-03T15:25:00+05:30"
    recorded = backtest_ticks("momentum", [days()[:2000]], symbol="BANKNIFTY")
    assert GENERATED not in recorded.notes and MODELLED not in recorded.notes
    assert str(result)  # the report can be made of it


def test_the_timeframe_of_the_settings_counts_before_the_interval() -> None:
    given_ = Settings(timeframe_ns=5 * MINUTE)
    run = backtest_ticks("momentum", [days()], symbol="BANKNIFTY", settings=given_)
    assert run.timeframe == "5m"


def test_memory_stays_flat_for_any_number_of_ticks() -> None:
    def peak(last: dt.date) -> int:
        def batches() -> Iterator[NDArray[Any]]:
            for day in generate_ticks("BANKNIFTY", FIRST, last, seed=5, instrument="FUT"):
                yield from cut(day, [4096])

        backtest_ticks("momentum", cut(days()[:100], [50]), symbol="BANKNIFTY")  # warm
        tracemalloc.start()
        backtest_ticks("momentum", batches(), symbol="BANKNIFTY", equity_each_bar=False)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    short, long = peak(FIRST), peak(dt.date(2022, 4, 8))
    assert long < short + 2_000_000, "a month of ticks is 48 MB"


class Raises(Strategy):
    """Fails on the third bar."""

    def on_bar(self, ctx: Context, bar: Any) -> None:
        if ctx.now_ns - int(days()["exch_ns"][0]) > 3 * MINUTE:
            raise RuntimeError("enough")


def test_a_strategy_that_raises_ends_the_run() -> None:
    run = TickRun(Raises, symbol="BANKNIFTY")
    with pytest.raises(StrategyError, match="enough"):
        run.feed(days())
    for again in (lambda: run.feed(days()), run.finish):
        with pytest.raises(UsageError, match="over"):
            again()


def moved(to: str) -> NDArray[Any]:
    """Ten ticks of another date."""
    ticks = days()[:10].copy()
    shift = dt.date.fromisoformat(to) - FIRST
    ticks["exch_ns"] += shift.days * 86_400 * 10**9
    ticks["recv_ns"] = ticks["exch_ns"]
    return ticks


@pytest.mark.parametrize("date", ["2008-06-02", "2027-06-02"])
def test_a_day_outside_the_calendar_is_refused(date: str) -> None:
    with pytest.raises(OutOfCalendar, match=date[:4]):
        backtest_ticks("momentum", [moved(date)], symbol="BANKNIFTY")


def test_a_day_outside_the_calendar_is_refused_also_when_it_comes_later() -> None:
    with pytest.raises(OutOfCalendar, match="2027"):
        backtest_ticks("momentum", [days()[:100], moved("2027-06-02")], symbol="BANKNIFTY")


def test_ticks_of_a_holiday_lie_outside_every_session() -> None:
    with pytest.raises(BadData, match="inside a session"):
        backtest_ticks("momentum", [moved("2022-03-01")], symbol="BANKNIFTY")  # Mahashivratri


def test_the_last_days_that_the_tables_know_run() -> None:
    """The month's end has no known expiry, the day itself has one."""
    ticks = moved("2026-12-28")
    result = backtest_ticks("momentum", [ticks], symbol="BANKNIFTY")
    assert result.counters["ticks"] == 10 and result.counters["ticks_outside_session"] == 0


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        ([], "no ticks"),
        ([np.zeros(3)], "TICK_DTYPE"),
        ([np.zeros((2, 2), TICK_DTYPE)], "one-dimensional"),
    ],
)
def test_what_is_not_ticks_is_refused(ticks: Any, text: str) -> None:
    with pytest.raises(BadData, match=text):
        backtest_ticks("momentum", ticks, symbol="BANKNIFTY")


def test_ticks_of_two_instruments_are_refused_and_any_one_is_taken() -> None:
    ticks = days()[:2000].copy()
    ticks["instrument"] = 41
    alone = backtest_ticks("momentum", [ticks], symbol="BANKNIFTY")
    same = backtest_ticks("momentum", [days()[:2000]], symbol="BANKNIFTY")
    for name in ("trades", "orders", "equity"):
        assert getattr(alone, name).tobytes() == getattr(same, name).tobytes()
    ticks["instrument"][700] = 42
    with pytest.raises(BadData, match="instrument 41: select"):
        backtest_ticks("momentum", [ticks], symbol="BANKNIFTY")


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"kind": "OPT"}, UsageError, "kind must be one of FUT, IDX"),
        ({"interval": "5 bananas"}, ConfigError, "interval"),
        ({"interval": "0s"}, ConfigError, "interval"),
        ({"symbol": "NOSUCH"}, UsageError, "NOSUCH"),
        ({"settings": Settings(lots=0)}, ConfigError, "lots"),
    ],
)
def test_wrong_arguments_are_refused(wrong: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        backtest_ticks("momentum", [days()[:10]], **{"symbol": "BANKNIFTY", **wrong})
