"""One strategy through three doors, whole or in pieces, in any process: the same bytes."""

import datetime as dt
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.bars import TimeBars
from dhanfast.engine.engine import Engine, Written
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import backtest, sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.market.generate import generate_ticks
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Context, Strategy
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
DOORS = ("momentum", "momentum-python", "momentum-cython")
FIRST, LAST = dt.date(2022, 2, 1), dt.date(2022, 2, 28)
YEAR = "index_1m/BANKNIFTY_1m_2022.parquet"


@cache
def market(seed: int) -> BarSet:
    return generated_bars("BANKNIFTY", FIRST, LAST, seed=seed)


def told(result: Any) -> tuple[bytes, ...]:
    """Everything a run decided and booked, as bytes."""
    return tuple(rows.tobytes() for rows in (result.orders, result.trades, result.equity))


@pytest.mark.parametrize("on_opposite", ["keep", "close", "reverse"])
@pytest.mark.parametrize("minutes", [1, 5])
@pytest.mark.parametrize("seed", [1, 2])
def test_three_doors_give_the_same_bytes(seed: int, minutes: int, on_opposite: str) -> None:
    settings = Settings(on_opposite=on_opposite, timeframe_ns=minutes * MINUTE, lots=2)
    one, *others = (
        backtest(door, market(seed), settings=settings, params={"ema": 21, "stop_atr": 1.0})
        for door in DOORS
    )
    assert len(one.trades) > 20
    for other in others:
        assert told(other) == told(one)
        assert (other.digest, other.counters) == (one.digest, one.counters)


@pytest.mark.data
def test_three_doors_agree_on_the_recorded_year(data_dir: Path) -> None:
    if not (data_dir / YEAR).is_file():
        pytest.skip(f"no recorded data: {YEAR} is not in the folder DHANFAST_DATA names")
    one, *others = (backtest(door, data_dir / YEAR) for door in DOORS)
    assert len(one.trades) > 1000 and one.counters["bars"] > 90_000
    for other in others:
        assert told(other) == told(one) and other.digest == one.digest


PROGRAM = """
import datetime as dt
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import backtest
bars = generated_bars("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 28), seed=1)
print(backtest("momentum", bars).digest)
"""


def test_the_digest_is_the_same_in_any_process_at_any_hash_seed() -> None:
    digests = {backtest("momentum", market(1)).digest}
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


def engine(door: str, bars: BarSet, **more: Any) -> Engine:
    settings = Settings()
    runner = find_strategy(door, {}).runner(lambda at, text: None, bars.interval_ns)
    table = sessions_of(bars, settings, bars.interval_ns)
    return Engine(runner, table, settings, interval_ns=bars.interval_ns, **more)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("piece", [1, 97, 256, 5000])
def test_bars_fed_in_pieces_give_the_same_bytes(door: str, piece: int) -> None:
    bars = market(2)
    rows = bars.bars[: 3000 if piece == 1 else None]
    whole, parts = engine(door, bars), engine(door, bars)
    whole.feed(rows)
    for at in range(0, len(rows), piece):
        parts.feed(rows[at : at + piece])
    assert told(parts.finish()) == told(whole.finish())


# ---- a day of ticks ------------------------------------------------------------------------------

DAY = dt.date(2022, 2, 3)


@cache
def day_of_ticks(days: int) -> Any:
    """Ticks of the future, and its bars as the run's data."""
    last = DAY + dt.timedelta(days=days - 1)
    ticks = np.concatenate(list(generate_ticks("BANKNIFTY", DAY, last, seed=5, instrument="FUT")))
    return ticks, generated_bars("BANKNIFTY", DAY, last, seed=5, kind="FUT")


class Watcher(Strategy):
    """Writes down every bar and every tick; trades on neither."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: list[tuple[Any, ...]] = []
        self.ticks: list[tuple[Any, ...]] = []
        self.order: list[int] = []

    def on_bar(self, ctx: Context, bar: Any) -> None:
        self.bars.append((bar.start_ns, bar.open, bar.high, bar.low, bar.close, bar.volume))
        self.order.append(ctx.now_ns)

    def on_tick(self, ctx: Context, tick: Any) -> None:
        self.ticks.append((tick.exch_ns, tick.price, tick.volume))
        self.order.append(tick.exch_ns)


def watched(ticks: Any, table: Any, piece: int) -> Watcher:
    """A run over ticks, fed in pieces."""
    watcher = Watcher()
    run = Engine(watcher.runner(lambda at, text: None), table, Settings(), interval_ns=MINUTE)
    for at in range(0, len(ticks), piece):
        run.feed_ticks(ticks[at : at + piece])
    run.finish()
    return watcher


def test_both_windows_of_a_split_session_close_all_their_bars() -> None:
    """The drill of 2024-03-02: 09:15-10:00, and 11:30-12:30 from the other site."""
    day = dt.date(2024, 3, 2)
    bars = generated_bars("BANKNIFTY", day, day, seed=1, kind="FUT")
    ticks = np.concatenate(list(generate_ticks("BANKNIFTY", day, day, seed=1, instrument="FUT")))
    watcher = watched(ticks, sessions_of(bars, Settings(), MINUTE), 5000)
    assert [bar[0] for bar in watcher.bars] == bars.bars["start_ns"].tolist()
    assert len(watcher.bars) == 105 and len(watcher.ticks) == len(ticks)


@pytest.mark.parametrize("days", [1, 2])
def test_bars_made_of_ticks_are_those_of_time_bars_and_every_tick_is_seen(days: int) -> None:
    ticks, bars = day_of_ticks(days)
    table = sessions_of(bars, Settings(), MINUTE)
    watcher = watched(ticks, table, 1000)
    builder = TimeBars(MINUTE, table, volume="cumulative")
    made = np.concatenate([builder.update_many(ticks), builder.advance(int(ticks["exch_ns"][-1]))])
    made = np.concatenate([made, builder.flush()])
    names = ("open", "high", "low", "close")
    assert watcher.bars == [
        (b["start_ns"], *(b[n] / 100.0 for n in names), b["volume"]) for b in made
    ]
    assert len(made) == 375 * days
    assert watcher.ticks == [(t["exch_ns"], t["price"] / 100.0, t["volume"]) for t in ticks]
    assert watcher.order == sorted(watcher.order)


def signals_of(written: Written) -> list[tuple[int, int]]:
    """(decided at, side) of every entry order."""
    entries = written.orders[written.orders["reason"] == 0]
    return [(int(row["created_ns"]), int(row["side"])) for row in entries]


def test_signals_on_ticks_are_those_on_the_bars_made_of_them() -> None:
    """Fills differ (a tick against a bar's open); with no position ever kept, decisions do not."""
    ticks, bars = day_of_ticks(1)
    settings = Settings(capital=10**15)
    table = sessions_of(bars, settings, MINUTE)
    builder = TimeBars(MINUTE, table, volume="cumulative")
    made = np.concatenate([builder.update_many(ticks), builder.flush()])

    class Sides(Strategy):
        def on_start(self, m: Any) -> None:
            self.fast, self.slow, self.said = m.ema(5), m.ema(20), []

        def on_bar(self, ctx: Context, bar: Any) -> None:
            if self.fast.value > self.slow.value:
                self.said.append((ctx.now_ns, 1))
            elif self.fast.value < self.slow.value:
                self.said.append((ctx.now_ns, -1))

    heard = []
    for feed in ("bars", "ticks"):
        strategy = Sides()
        run = Engine(strategy.runner(lambda at, text: None), table, settings, interval_ns=MINUTE)
        if feed == "bars":
            run.feed(made)
        else:
            run.feed_ticks(ticks)
        run.finish()
        heard.append(strategy.said)
    assert heard[0] == heard[1] and len(heard[0]) > 300


@pytest.mark.parametrize("piece", [7, 1000])
def test_ticks_fed_in_pieces_through_each_door_give_the_same_bytes(piece: int) -> None:
    ticks, bars = day_of_ticks(1)
    ticks = ticks[:8000]
    runs = []
    for door in DOORS:
        whole, parts = engine(door, bars), engine(door, bars)
        whole.feed_ticks(ticks)
        for at in range(0, len(ticks), piece):
            parts.feed_ticks(ticks[at : at + piece])
        runs += [told(whole.finish()), told(parts.finish())]
    assert all(one == runs[0] for one in runs) and len(runs[0][0]) > 0


def test_the_first_entry_on_ticks_is_decided_at_the_bars_close_and_fills_after_it() -> None:
    ticks, bars = day_of_ticks(1)
    run = engine("momentum", bars)
    run.feed_ticks(ticks)
    written = run.finish()
    on_bars = engine("momentum", bars)
    table = sessions_of(bars, Settings(), MINUTE)
    builder = TimeBars(MINUTE, table, volume="cumulative")
    on_bars.feed(np.concatenate([builder.update_many(ticks), builder.flush()]))
    other = on_bars.finish()
    assert signals_of(written)[0] == signals_of(other)[0]
    decided, _ = signals_of(written)[0]
    assert decided % MINUTE == 0
    later = ticks["recv_ns"][ticks["exch_ns"] >= decided][0]
    assert int(written.trades["entry_ns"][0]) == int(later) > decided
