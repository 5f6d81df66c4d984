"""The kernel on ticks in memory: one instrument, from ticks to booked trades, orders and equity."""

import datetime as dt
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.market.generate import generate_ticks
from dhanfast.strategies import Rules, RuleStrategy, Strategy
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
FIRST, LAST = dt.date(2022, 2, 1), dt.date(2022, 4, 29)
DENSE = 2_000_000
# So much capital that the run trades to its end.
SETTINGS = Settings(capital=10**13)
Market = tuple[NDArray[Any], NDArray[Any]]


@cache
def seconds() -> Market:
    """Three generated months of the BANKNIFTY future, a tick a second with its quote."""
    ticks = np.concatenate(list(generate_ticks("BANKNIFTY", FIRST, LAST, seed=5, instrument="FUT")))
    bars = generated_bars("BANKNIFTY", FIRST, LAST, seed=5, kind="FUT")
    return ticks, sessions_of(bars, SETTINGS, MINUTE)


@cache
def dense() -> Market:
    """Two million ticks of one day, a walk of the last price with a spread of 5 to 15 paise."""
    bars = generated_bars("BANKNIFTY", FIRST, FIRST, seed=5, kind="FUT")
    sessions = sessions_of(bars, SETTINGS, MINUTE)
    rng = np.random.default_rng(7)
    ticks = np.zeros(DENSE, TICK_DTYPE)
    opened, length = int(sessions["open_ns"][0]), 375 * MINUTE
    ticks["exch_ns"] = np.sort(opened + (rng.random(DENSE) * length).astype(np.int64))
    ticks["recv_ns"] = ticks["exch_ns"] + rng.integers(8_000_000, 25_000_000, DENSE)
    ticks["price"] = 3_800_000 + 5 * np.cumsum(rng.integers(-1, 2, DENSE))
    ticks["bid"] = ticks["price"] - 5 * rng.integers(0, 2, DENSE)
    ticks["ask"] = ticks["bid"] + 5 * rng.integers(1, 4, DENSE)
    ticks["qty"] = 25 * rng.integers(1, 20, DENSE)
    ticks["bid_qty"], ticks["ask_qty"] = ticks["qty"] + 25, ticks["qty"] + 50
    ticks["volume"] = np.cumsum(ticks["qty"])
    return ticks, sessions


MARKETS = {"seconds": seconds, "dense": dense}


class HardlyEver(RuleStrategy):
    """A rule that is never true: the loop, the bars and the equity without orders."""

    def rules(self, m: Any) -> Rules:
        """One comparison."""
        return Rules(long=m.close < 0.0)


class SeesTicks(Strategy):
    """Looks at every tick, trades on none."""

    def __init__(self) -> None:
        super().__init__()
        self.highest = 0.0

    def on_tick(self, ctx: Any, tick: Any) -> None:
        """One attribute read and one comparison, as the smallest strategy does."""
        if tick.price > 1e9:
            ctx.exit()


def run_once(strategy: Any, ticks: NDArray[Any], sessions: NDArray[Any]) -> Any:
    """From ticks in memory to what was written down."""
    runner = find_strategy(strategy, {}).runner(lambda at_ns, text: None, MINUTE)
    engine = Engine(runner, sessions, SETTINGS, interval_ns=MINUTE)
    engine.feed_ticks(ticks)
    return engine.finish()


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("strategy", [HardlyEver, "momentum", SeesTicks], ids=str)
def test_kernel_on_ticks(benchmark: Any, strategy: Any, market: str) -> None:
    """ns a tick = median / ticks_per_round; the bars: 40, 67 and 500 ns."""
    ticks, sessions = MARKETS[market]()
    benchmark.group = f"kernel on ticks: {market}"
    benchmark.extra_info["ticks_per_round"] = len(ticks)
    written = benchmark.pedantic(run_once, (strategy, ticks, sessions), rounds=5, warmup_rounds=1)
    benchmark.extra_info["ns_a_tick"] = round(benchmark.stats.stats.median * 1e9 / len(ticks), 2)
    assert len(written.equity) > 370
    assert (len(written.trades) > 3) == (strategy == "momentum")


@pytest.mark.parametrize("batch", [65_536, 64, 1])
def test_tick_run_by_batch(benchmark: Any, batch: int) -> None:
    """`TickRun` with momentum: sessions, hashes and the result, and what a batch costs."""
    ticks, _ = dense()
    ticks = ticks if batch > 1 else ticks[:100_000]
    benchmark.group = "tick run by batch"
    benchmark.extra_info["ticks_per_round"] = len(ticks)

    def call() -> Any:
        batches = (ticks[at : at + batch] for at in range(0, len(ticks), batch))
        return backtest_ticks("momentum", batches, symbol="BANKNIFTY", settings=SETTINGS)

    result = benchmark.pedantic(call, rounds=3, warmup_rounds=1)
    benchmark.extra_info["ns_a_tick"] = round(benchmark.stats.stats.median * 1e9 / len(ticks), 2)
    assert result.counters["ticks"] == len(ticks)
