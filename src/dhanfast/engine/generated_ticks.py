"""Generated days of ticks as an archive, in one order of arrival."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.schema import DEPTH, TICKS
from dhanfast.clock import Clock
from dhanfast.errors import UsageError
from dhanfast.market.tickday import TickBatch, TickDay, TickInstrument
from dhanfast.storage.archive.writer import ArchiveWriter


class Arrival(NamedTuple):
    """A batch of a day with the place of each row in the order of arrival.

    Shape:
        seq_ticks, seq_depth: uint64, ascending; together each number once.
    """

    ticks: NDArray[Any]
    depth: NDArray[Any]
    seq_ticks: NDArray[np.uint64]
    seq_depth: NDArray[np.uint64]


def listed(instrument: TickInstrument) -> dict[str, Any]:
    """An instrument as an archive lists it."""
    option = instrument.kind in ("CE", "PE")
    return {
        "index": instrument.index,
        "symbol": instrument.symbol,
        "kind": "OPT" if option else instrument.kind,
        "tick": instrument.tick,
        "lot": instrument.lot,
        "expiry": None if instrument.expiry is None else instrument.expiry.isoformat(),
        "strike": instrument.strike if option else None,
        "right": instrument.kind if option else None,
    }


def in_arrival(batch: TickBatch, first_seq: int) -> Arrival:
    """Number the rows of a batch as they arrive: by receive time, a tick before its depth.

    Args:
        batch: of a day.
        first_seq: the number of its first row.
    """
    tick_ns, depth_ns = batch.ticks["recv_ns"].copy(), batch.depth["recv_ns"].copy()
    at_ticks = np.arange(len(tick_ns)) + np.searchsorted(depth_ns, tick_ns, side="left")
    at_depth = np.arange(len(depth_ns)) + np.searchsorted(tick_ns, depth_ns, side="right")
    return Arrival(
        batch.ticks,
        batch.depth,
        (first_seq + at_ticks).astype(np.uint64),
        (first_seq + at_depth).astype(np.uint64),
    )


def generated_writer(path: Path, day: TickDay, *, clock: Clock) -> ArchiveWriter:
    """Begin a file for a generated day, or go on with one.

    Raises:
        DhanfastError, BadData, UsageError: as `ArchiveWriter`.
    """
    writer = ArchiveWriter(
        path,
        [TICKS, DEPTH] if day.depth_levels else [TICKS],
        clock=clock,
        day=int(f"{day.day:%Y%m%d}"),
        source=day.label,
        generated=True,
    )
    writer.add_instruments([listed(each) for each in day.instruments])
    return writer


@contextmanager
def archive_writer(
    path: Path, day: TickDay, *, clock: Clock
) -> Iterator[Callable[[TickBatch], None]]:
    """Begin a new archive for a day; the block hands in its batches; the end seals it.

    Args:
        path: of the file, which must not exist.
        day: the day's plan.
        clock: dates the file.

    Raises:
        UsageError: the file exists. DhanfastError: it cannot be written.
    """
    if path.exists():
        raise UsageError(f"output: {path} exists; name another file or remove it")
    with generated_writer(path, day, clock=clock) as writer:

        def write(batch: TickBatch) -> None:
            arrival = in_arrival(batch, writer.next_seq)
            writer.append("ticks", arrival.ticks, seq=arrival.seq_ticks)
            if len(arrival.depth):
                writer.append("depth", arrival.depth, seq=arrival.seq_depth)

        yield write
        writer.seal()
