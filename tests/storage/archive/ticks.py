"""Rows for tests of the writer, and what a file says about them according to the plain reader."""

from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.archive.schema import BARS, FRAMES, TICKS
from dhanfast.clock import ManualClock
from dhanfast.storage.archive.writer import ArchiveWriter

from .plain_reader import archive_read

START_NS = 1_763_955_900_000_000_000  # 2025-11-24 09:15 IST
STREAMS = (TICKS, BARS, FRAMES)


def ticks(first: int, count: int, *, instruments: int = 3) -> np.ndarray:
    """Ticks numbered from `first`: every field is a function of the number."""
    number = np.arange(first, first + count)
    rows = np.zeros(count, TICKS.dtype)
    rows["recv_ns"] = START_NS + number * 1_000_003
    rows["exch_ns"] = rows["recv_ns"] - 40_000 - number % 7
    rows["price"] = 2_400_000 + 5 * (number * 7 % 41)
    rows["bid"], rows["ask"] = rows["price"] - 5, rows["price"] + 5
    rows["volume"] = number * 75
    rows["instrument"] = number % instruments
    rows["qty"] = 75 * (1 + number % 4)
    return rows


def bars(first: int, count: int) -> np.ndarray:
    rows = np.zeros(count, BARS.dtype)
    rows["start_ns"] = START_NS + np.arange(first, first + count) * 60_000_000_000
    rows["close"] = np.arange(first, first + count) * 5
    return rows


def frames(*blobs: bytes) -> np.ndarray:
    rows = np.zeros(len(blobs), FRAMES.dtype)
    rows["recv_ns"] = START_NS
    rows["size"] = [len(blob) for blob in blobs]
    return rows


def writer(path: Path, clock: ManualClock | None = None, **changes: Any) -> ArchiveWriter:
    settings = {"clock": clock or ManualClock(START_NS), "day": 20251124, "source": "test",
                "streams": STREAMS}  # fmt: skip
    return ArchiveWriter(path, **(settings | changes))


def read(path: Path, stream: str = "ticks") -> list[tuple[int, tuple[Any, ...], bytes]]:
    """(seq, row, bytes) of every row of a stream, by the plain reader."""
    archive = archive_read.open_archive(str(path))
    number = archive.stream(stream)["id"]
    if number not in {each for _, each, _ in archive.blocks}:
        return []
    return [(seq, tuple(row), blob) for seq, row, blob in archive.rows(stream)]


def facts(path: Path) -> Any:
    return archive_read.open_archive(str(path))


def rows_of(path: Path, stream: str = "ticks") -> list[tuple[Any, ...]]:
    return [row for _, row, _ in read(path, stream)]


def listed(rows: np.ndarray) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows.tolist()]
