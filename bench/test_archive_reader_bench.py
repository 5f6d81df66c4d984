"""Reading an archive: ns a tick to records, on one thread and on two, seeking, choosing, merging.

The ticks are a generated day (dhanfast.market.tickday): 44 instruments of BANKNIFTY, full records.
The file to seek in has a hundred million of them, the day's blocks over and over with later times;
it is written once a run (DHANFAST_BENCH_TICKS names another number).
"""

import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.archive.schema import TICKS
from dhanfast.clock import ManualClock
from dhanfast.market.tickday import tick_day
from dhanfast.storage.archive.merge import merge
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import ArchiveWriter

TICKS_A_DAY = 2_000_000
SEEK_TICKS = int(os.environ.get("DHANFAST_BENCH_TICKS", "100_000_000"))
BLOCK = 65_536
FOREVER = 10**18


def writer(path: Path, symbols: list[str]) -> ArchiveWriter:
    made = ArchiveWriter(path, [TICKS], clock=ManualClock(), generated=True, flush_ns=FOREVER,
                         sync_ns=FOREVER)  # fmt: skip
    made.add_instruments([{"index": at, "symbol": symbol, "kind": "FUT", "tick": 5, "lot": 15,
                           "price_scale": 100, "qty_scale": 1}
                          for at, symbol in enumerate(symbols)])  # fmt: skip
    return made


@pytest.fixture(scope="module")
def parts() -> list[np.ndarray[Any, Any]]:
    day = tick_day("BANKNIFTY", date(2024, 3, 4), seed=1, ticks=TICKS_A_DAY, repeat_last=True)
    return [batch.ticks for batch in day]


@pytest.fixture(scope="module")
def names(parts: list[np.ndarray[Any, Any]]) -> list[str]:
    return [f"S{at}" for at in range(1 + max(int(part["instrument"].max()) for part in parts))]


@pytest.fixture(scope="module")
def day(
    parts: list[np.ndarray[Any, Any]], names: list[str], tmp_path_factory: Any
) -> ArchiveReader:
    path = tmp_path_factory.mktemp("day") / "day.dfa"
    with writer(path, names) as made:
        for part in parts:
            made.append("ticks", part)
        made.seal()
    return ArchiveReader(path)


def read(reader: ArchiveReader, **choice: Any) -> int:
    return sum(map(len, reader.batches(reuse=True, **choice)))


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_all_records(benchmark: Any, day: ArchiveReader, threads: int) -> None:
    """ns a tick = median / ticks_per_round."""
    benchmark.extra_info["ticks_per_round"] = day.rows()
    benchmark.extra_info["bytes_a_tick"] = day.whole_bytes / day.rows()
    assert benchmark(read, day, threads=threads, batch_rows=8_192) == day.rows()


def test_two_threads_against_one(benchmark: Any, day: ArchiveReader) -> None:
    """They take turns, so that a machine that drifts drifts for both; the ratio of the best."""
    best = {0: 1e9, 2: 1e9}

    def turns() -> None:
        for threads in best:
            started = time.perf_counter()
            read(day, threads=threads)
            best[threads] = min(best[threads], time.perf_counter() - started)

    benchmark.pedantic(turns, rounds=7)
    benchmark.extra_info["two_threads_faster"] = round(best[0] / best[2], 2)
    benchmark.extra_info["cores"] = os.cpu_count()


def test_one_instrument_of_all(benchmark: Any, day: ArchiveReader) -> None:
    """ns a tick of the file: every block has the instrument, most rows are left out."""
    benchmark.extra_info["ticks_per_round"] = day.rows()
    assert 0 < benchmark(read, day, symbols=["S0"]) < day.rows()


def test_one_minute_of_the_day(benchmark: Any, day: ArchiveReader) -> None:
    """A minute's rows, start to end."""
    span = day.time_range()
    assert span is not None
    start = (span[0] + span[1]) // 2
    assert benchmark(read, day, start_ns=start, end_ns=start + 60_000_000_000) > 0


def test_columns_of_arrow(benchmark: Any, day: ArchiveReader) -> None:
    """ns a tick = median / ticks_per_round, to Arrow record batches with symbols."""
    benchmark.extra_info["ticks_per_round"] = day.rows()

    def rows() -> int:
        return sum(batch.num_rows for batch in day.to_batches())

    assert benchmark(rows) == day.rows()


def test_merge_of_files_side_by_side(
    benchmark: Any, parts: list[np.ndarray[Any, Any]], names: list[str], tmp_path: Path
) -> None:
    """Four feeds of one day by time: ns a tick of all."""
    paths = [tmp_path / f"{number}.dfa" for number in range(4)]
    whole = np.concatenate(parts)
    for number, path in enumerate(paths):
        with writer(path, names) as made:
            made.append("ticks", np.ascontiguousarray(whole[number::4]))
            made.seal()
    benchmark.extra_info["ticks_per_round"] = len(whole)
    assert benchmark(lambda: sum(map(len, merge(paths)))) == len(whole)


@pytest.fixture(scope="module")
def long(
    parts: list[np.ndarray[Any, Any]], names: list[str], tmp_path_factory: Any
) -> tuple[Path, int, int]:
    path = tmp_path_factory.mktemp("long") / "long.dfa"
    pieces = [part for part in parts if len(part) == BLOCK][:8]
    step = int(pieces[-1]["recv_ns"][-1] - pieces[0]["recv_ns"][0]) + 1_000
    with writer(path, names) as made:
        for number in range(SEEK_TICKS // BLOCK + 1):
            piece = pieces[number % len(pieces)]
            made.append("ticks", piece)
            if number % len(pieces) == len(pieces) - 1:
                for again in pieces:
                    again["recv_ns"] += step
                    again["exch_ns"] += step
        made.seal()
    with ArchiveReader(path) as reader:
        span = reader.time_range()
        assert span is not None and reader.rows() >= SEEK_TICKS
    return path, *span


def places(span: tuple[int, int]) -> Callable[[], int]:
    random = np.random.default_rng(5)
    return lambda: int(random.integers(*span))


def test_seek(benchmark: Any, long: tuple[Path, int, int]) -> None:
    """The first tick at or after a random time, the file open."""
    at = places(long[1:])
    with ArchiveReader(long[0]) as reader:

        def first() -> int:
            start = at()
            batches = reader.batches(start_ns=start, batch_rows=1_024)
            found = int(next(batches)["recv_ns"][0])
            batches.close()
            return found - start

        assert benchmark(first) >= 0


def test_open_and_seek(benchmark: Any, long: tuple[Path, int, int]) -> None:
    """The same, the file opened each time."""
    at = places(long[1:])

    def first() -> int:
        start = at()
        with ArchiveReader(long[0]) as reader:
            return int(next(reader.batches(start_ns=start, batch_rows=1_024))["recv_ns"][0]) - start

    assert benchmark(first) >= 0
