"""Ticks and depth rows as Parquet: every field as it is, streamed batch by batch.

One file holds the ticks of a day, a second beside it (`NAME.depth.parquet`) the rows of its books.
Prices stay int64 paise, times int64 UTC ns; what an `instrument` number means, and that the records
were generated, stands in the schema's metadata.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast.market.tickday import TickBatch, TickDay
from dhanfast.storage.durable import replacing
from dhanfast.storage.parquet_rows import GENERATED_KEY

INSTRUMENTS_KEY: Final = b"dhanfast.instruments"  # JSON, one object an instrument
LABEL_KEY: Final = b"dhanfast.label"  # where the records come from


def depth_path(path: Path) -> Path:
    """Where the depth rows of a tick file go: `day.parquet` has them in `day.depth.parquet`."""
    return path.with_name(f"{path.stem}.depth{path.suffix}")


@contextmanager
def parquet_writer(path: Path, day: TickDay) -> Iterator[Callable[[TickBatch], None]]:
    """A function that takes the day's batches in order; the files appear whole when the block ends.

    Args:
        path: of the tick file, replaced when it exists; so is the depth file, when there are books.
        day: whose instruments and label go into the metadata.

    Raises:
        DhanfastError: the disk is full or refuses; no file was changed.
    """
    with ExitStack() as stack:
        ticks = stack.enter_context(_table(path, TICK_DTYPE, day))
        depth = None
        if day.depth_levels:
            depth = stack.enter_context(_table(depth_path(path), DEPTH_DTYPE, day))

        def write(batch: TickBatch) -> None:
            ticks(batch.ticks)
            if depth is not None:
                depth(batch.depth)

        yield write


@contextmanager
def _table(
    path: Path, dtype: np.dtype[Any], day: TickDay
) -> Iterator[Callable[[NDArray[Any]], None]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = dtype.names or ()
    instruments = json.dumps([asdict(one) for one in day.instruments], default=str)
    schema = pa.schema(
        [(name, pa.from_numpy_dtype(dtype[name])) for name in names],
        metadata={
            GENERATED_KEY: b"true",
            INSTRUMENTS_KEY: instruments.encode(),
            LABEL_KEY: day.label.encode(),
        },
    )
    with replacing(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:

        def write(rows: NDArray[Any]) -> None:
            columns = [pa.array(np.ascontiguousarray(rows[name])) for name in names]
            writer.write_batch(pa.record_batch(columns, schema=schema))

        yield write
