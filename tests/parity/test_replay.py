"""One generated day through every way that ticks can take: one digest, one result.

The reference is `backtest_ticks` on arrays in memory, which neither archive nor clock have touched.
"""

import datetime as dt
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer, generated_writer
from dhanfast.engine.recorded import recorded
from dhanfast.engine.replay import MAX, Replay
from dhanfast.engine.tick_replay import replay_ticks
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.market.tickday import TickDay, tick_day
from dhanfast.reports.result import RunResult
from dhanfast.strategies import Context, Strategy

DAY = dt.date(2025, 11, 17)
FUTURE = "BANKNIFTY25NOVFUT"
SECOND = 10**9


@dataclass(frozen=True)
class Market:
    """A day as a file, as two files, and as arrays."""

    day: TickDay
    path: Path
    halves: tuple[Path, Path]
    future: Any  # its ticks alone


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Market:
    folder = tmp_path_factory.mktemp("market")
    day = tick_day("BANKNIFTY", DAY, seed=5, ticks=400_000, strikes=3, batch=30_000)
    path, halves = folder / "day.dfa", (folder / "one.dfa", folder / "two.dfa")
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    whole = np.concatenate([batch.ticks for batch in day])
    for half, rows in zip(halves, np.array_split(whole, 2), strict=True):
        with generated_writer(half, day, clock=ManualClock()) as writer:
            writer.append("ticks", rows)
    future = whole[whole["instrument"] == 1]
    future["instrument"] = 0  # of one instrument, whatever number files give it
    return Market(day, path, halves, future)


class Reads(Strategy):
    """Trades on single ticks: buys when three in a row rise, leaves when two fall."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.run = 0.0, 0

    def on_tick(self, ctx: Context, tick: Any) -> None:
        rises = tick.price > self.last
        self.run = max(1, self.run + 1) if rises else min(-1, self.run - 1)
        self.last = tick.price
        if self.run == 3 and ctx.position == 0 and ctx.can_enter:
            ctx.buy(stop=60.0, target=90.0)
        elif self.run == -2 and ctx.position > 0:
            ctx.exit()


def reference(market: Market, strategy: Any) -> RunResult:
    return backtest_ticks(strategy, [market.future], symbol="BANKNIFTY", kind="FUT", generated=True)


def told(result: RunResult) -> tuple[Any, ...]:
    """All that a run decided and booked, and what it counted."""
    rows = (result.orders, result.trades, result.equity, result.days, result.bars)
    return (result.digest, result.counters, *(each.tobytes() for each in rows if each is not None))


def run_of(market: Market, strategy: Any, clock: Any = None, **more: Any) -> Replay[RunResult]:
    files = more.pop("files", [market.path])
    ticks = recorded(files, symbol=FUTURE)
    return replay_ticks(strategy, ticks, clock=clock or ManualClock(), **more)


@pytest.mark.parametrize("strategy", ["momentum", "momentum-python", "momentum-cython", Reads])
def test_replay_at_max_is_the_backtest(market: Market, strategy: Any) -> None:
    expected = reference(market, strategy)
    assert len(expected.trades) > 5 and expected.counters["ticks"] == len(market.future)
    for threads in (0, 2):
        got = run_of(market, strategy, threads=threads).run()
        assert told(got) == told(expected)
    assert got.notes == expected.notes and any("generated" in note for note in got.notes)


@pytest.mark.parametrize("strategy", ["momentum", Reads])
@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0, 100_000.0])
def test_a_paced_replay_is_the_backtest(market: Market, strategy: Any, speed: float) -> None:
    clock = ManualClock()
    run = run_of(market, strategy, clock, speed=speed)
    assert told(run.run()) == told(reference(market, strategy))
    span = int(market.future["recv_ns"][-1] - market.future["recv_ns"][0])
    assert clock.monotonic_ns() == pytest.approx(span / speed, abs=2)


def test_files_of_a_day_in_parts_are_the_day(market: Market) -> None:
    for files in ([*market.halves], [*reversed(market.halves)]):
        got = run_of(market, "momentum", files=files).run()
        assert told(got) == told(reference(market, "momentum"))
        assert any("one.dfa is not sealed" in note for note in got.notes)


@pytest.mark.parametrize("strategy", ["momentum", Reads])
def test_pauses_seeks_and_speeds_leave_no_trace(market: Market, strategy: Any) -> None:
    """Commands in the middle of the day, backwards and forwards, from the waits of the clock."""
    recv = market.future["recv_ns"]

    class Busy(ManualClock):
        waits = 0

        def wait_until(self, due_ns: int | None, wake: threading.Event) -> None:
            self.waits += 1
            if due_ns is None:
                run.resume()
            elif self.waits == 300:
                run.seek(int(recv[9_000]))
            elif self.waits == 700:
                run.pause()
            elif self.waits == 900:
                run.set_speed(1000.0)
            elif self.waits == 1_000:
                run.seek(int(recv[2_000]))
            elif self.waits == 1_500:
                run.set_speed(MAX)
            super().wait_until(due_ns, wake)

    run = run_of(market, strategy, Busy(), speed=1.0)
    got = run.run()
    assert run.status().restarts == 1 and told(got) == told(reference(market, strategy))


def test_a_stretch_is_a_backtest_of_its_ticks(market: Market) -> None:
    start, end = dt.time(10, 0), dt.time(12, 30)
    ticks = recorded([market.path], symbol=FUTURE, start=start, end=end)
    got = replay_ticks("momentum", ticks, clock=ManualClock(), speed=25.0).run()
    open_ns = 1_763_350_200_000_000_000  # 2025-11-17 09:00:00 IST
    recv = market.future["recv_ns"]
    inside = (recv >= open_ns + 3_600 * SECOND) & (recv < open_ns + 12_600 * SECOND)
    expected = backtest_ticks("momentum", [market.future[inside]], symbol="BANKNIFTY")
    assert told(got) == told(expected) and 0 < inside.sum() < len(recv)
    assert got.config["from"] == "2025-11-17T10:00:00+05:30"
