"""Replay at full speed: an archive on disk to a booked result, by strategy and by cores.

`threads` decompress ahead of the thread that runs the kernel; 0 does all on one core. The bars, on
two cores: 25 million ticks a second for a trivial rule, 15 for momentum, 2 for Python's on_tick.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.recorded import Recorded, recorded
from dhanfast.engine.tick_replay import replay_ticks
from dhanfast.market.tickday import tick_day
from dhanfast.strategies import Rules, RuleStrategy, Strategy

TICKS = 4_000_000


@pytest.fixture(scope="module")
def future(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A generated day of one future, four million ticks, in the page cache."""
    path: Path = tmp_path_factory.mktemp("replay") / "day.dfa"
    day = tick_day(
        "BANKNIFTY", dt.date(2025, 11, 17), seed=1, ticks=TICKS, strikes=0, instruments=["FUT"]
    )
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    return recorded([path])


class HardlyEver(RuleStrategy):
    """A rule that is never true."""

    def rules(self, m: Any) -> Rules:
        """One comparison."""
        return Rules(long=m.close < 0.0)


class SeesTicks(Strategy):
    """Looks at every tick, trades on none."""

    def on_tick(self, ctx: Any, tick: Any) -> None:
        """One attribute and one comparison."""
        if tick.price > 1e9:
            ctx.exit()


def rate(benchmark: Any) -> None:
    """Millions of ticks a second, from the median."""
    benchmark.extra_info["ticks_per_round"] = TICKS
    benchmark.extra_info["million_ticks_a_second"] = round(
        TICKS / benchmark.stats.stats.median / 1e6, 1
    )


@pytest.mark.parametrize("threads", [0, 2])
def test_reading_alone(benchmark: Any, future: Recorded, threads: int) -> None:
    """What replay cannot be faster than: the ticks as records, nothing done with them."""
    benchmark.group = "replay at max"

    def read() -> int:
        return sum(len(batch) for batch in future.open(threads))

    assert benchmark.pedantic(read, rounds=5, warmup_rounds=1) == TICKS
    rate(benchmark)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("strategy", [HardlyEver, "momentum", SeesTicks], ids=str)
def test_replay_at_max(benchmark: Any, future: Recorded, strategy: Any, threads: int) -> None:
    """From the file to the result, run directory excluded."""
    benchmark.group = "replay at max"

    def run() -> Any:
        return replay_ticks(strategy, future, clock=ManualClock(), threads=threads).run()

    result = benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    assert result.counters["ticks"] == TICKS and result.counters["bars"] == 375
    assert (len(result.trades) > 3) == (strategy == "momentum")
    rate(benchmark)
