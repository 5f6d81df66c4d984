"""The writer and the recorder on one core: 2 million ticks a second is the bar."""

import time
from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.archive.schema import TICKS
from dhanfast._core.broadcast import BroadcastWriter
from dhanfast.clock import SystemClock
from dhanfast.storage.archive.recorder import Recorder, Recording
from dhanfast.storage.archive.sealing import seal_file
from dhanfast.storage.archive.writer import ArchiveWriter

# What one core can do, whoever else is on the machine: seconds of this process, not of the clock.
cpu_time = pytest.mark.benchmark(timer=time.process_time)
COUNT = 1 << 20
BATCH = 4_096
START_NS = 1_763_955_900_000_000_000


def market(count: int) -> np.ndarray:
    """Ticks of 40 instruments that walk, trade and quote as instruments do."""
    rng = np.random.default_rng(3)
    rows = np.zeros(count, TICKS.dtype)
    rows["recv_ns"] = START_NS + np.cumsum(rng.exponential(20_000, count)).astype(np.int64)
    rows["exch_ns"] = rows["recv_ns"] - rng.integers(200_000, 900_000, count)
    rows["instrument"] = rng.integers(0, 40, count)
    for number in range(40):
        mine = np.flatnonzero(rows["instrument"] == number)
        moves = rng.choice([-5, 0, 0, 0, 5], len(mine))
        rows["price"][mine] = 20_000 + 1_000 * number + np.cumsum(moves)
        rows["volume"][mine] = np.cumsum(75 * rng.geometric(0.4, len(mine)))
        rows["oi"][mine] = 1_000_000 + np.cumsum(75 * rng.integers(-2, 3, len(mine)))
    rows["bid"] = rows["price"] - 5 * rng.integers(0, 3, count)
    rows["ask"] = rows["price"] + 5 * rng.integers(1, 3, count)
    for name in ("qty", "bid_qty", "ask_qty"):
        rows[name] = 75 * rng.integers(1, 30, count)
    return rows


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return market(COUNT)


@cpu_time
def test_write(benchmark, tmp_path: Path, rows: np.ndarray) -> None:
    """Append in batches of 4,096, flush and sync when due: what the recorder does to the file."""
    clock, number = SystemClock(), iter(range(1_000))

    def write() -> int:
        path = tmp_path / f"{next(number)}.dfa"
        with ArchiveWriter(path, [TICKS], clock=clock, background_sync=True) as out:
            for at in range(0, COUNT, BATCH):
                out.append("ticks", rows[at : at + BATCH])
                out.poll(clock.now_ns())
        return path.stat().st_size

    benchmark.extra_info["ticks_per_round"] = COUNT
    size = benchmark.pedantic(write, rounds=5, warmup_rounds=1)
    benchmark.extra_info["bytes_a_tick"] = round(size / COUNT, 2)
    assert benchmark.stats.stats.median < COUNT / 2_000_000


@cpu_time
def test_record(benchmark, tmp_path: Path, rows: np.ndarray) -> None:
    """The whole recorder over a ring that is full before each round: drain, encode, write."""
    ring = BroadcastWriter("bench", record_bytes=rows.itemsize, slots=COUNT, tag="tick",
                           folder=str(tmp_path))  # fmt: skip
    recorder = Recorder("bench", tmp_path / "archive", clock=SystemClock(),
                        what=Recording(seal=False), ring_folder=str(tmp_path))  # fmt: skip
    recorder.step()

    def fill() -> None:
        ring.put_many(rows)

    def drain() -> None:
        while recorder.step():
            pass

    benchmark.extra_info["ticks_per_round"] = COUNT
    benchmark.pedantic(drain, setup=fill, rounds=5, warmup_rounds=1)
    recorder.close()
    assert recorder.lost == 0 and recorder.records == 6 * COUNT
    assert benchmark.stats.stats.median < COUNT / 2_000_000


def test_seal(benchmark, tmp_path: Path, rows: np.ndarray) -> None:
    """A million ticks in blocks of a second become full blocks; not on the recorder's core."""
    live = tmp_path / "live.dfa"
    with ArchiveWriter(live, [TICKS], clock=SystemClock(), block_rows=8_192) as out:
        out.append("ticks", rows)
    data, path = live.read_bytes(), tmp_path / "day.dfa"

    def again() -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    benchmark.extra_info["ticks_per_round"] = COUNT
    benchmark.pedantic(lambda: seal_file(path), setup=again, rounds=3)
    benchmark.extra_info["bytes_a_tick"] = [len(data) / COUNT, path.stat().st_size / COUNT]
    assert path.stat().st_size < len(data)
