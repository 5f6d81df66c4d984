"""One mutant before the reader: every door is tried, and every answer is judged."""

import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.merge import merge
from dhanfast.storage.archive.reader import ArchiveReader

from ..storage.archive.plain_reader import archive_read

MASK = (1 << 64) - 1
Rows = list[tuple[int, tuple[int, ...]]]


class Wrong(AssertionError):
    """The reader answered neither BadData nor the right rows."""


def plain_rows(path: Path, name: str) -> Rows | None:
    """What scripts/archive-read finds; None when it refuses the file."""
    try:
        archive = archive_read.open_archive(str(path))
        return [(seq & MASK, tuple(row)) for seq, row, _ in archive.rows(name)]
    except Exception:  # it is a script: damage leaves it in many ways
        return None


def as_bits(rows: NDArray[Any]) -> list[tuple[int, ...]]:
    """Rows as tuples of whole numbers, floats as their bits."""
    kinds = [(name, rows.dtype[name].str) for name in rows.dtype.names or ()]
    bits = np.dtype([(name, kind.replace("f", "u")) for name, kind in kinds])
    told: list[tuple[int, ...]] = rows.view(bits).tolist()
    return told


def judged(error: BadData, path: Path) -> None:
    """An error must name the file, and the byte unless it is about the file's instruments."""
    told = "byte " in str(error) or "merged" in str(error)
    if str(path) not in str(error) or not told:
        raise Wrong(f"an error without file or byte: {error}") from error


def every_row(reader: ArchiveReader, rng: random.Random) -> dict[str, Rows]:
    """All rows of all streams, through doors chosen by chance."""
    found = {}
    for name in reader.streams:
        door = rng.randrange(4)
        threads = rng.choice([0, 0, 0, 1])
        blocks = list(reader.blocks(name, threads=threads))
        seq = [int(number) for block in blocks for number in block.seq]
        if door == 0:
            parts = [block.rows for block in blocks]
        elif door == 1:
            parts = [reader.to_numpy(name, threads=threads)]
        else:
            rows = rng.choice([1, 100, 65_536])
            batches = reader.batches(name, batch_rows=rows, threads=threads, reuse=door == 3)
            parts = [batch.copy() for batch in batches]
        empty = np.empty(0, reader.streams[name].dtype)
        bits = as_bits(np.concatenate([empty, *parts]))
        if len(bits) != len(seq):
            raise Wrong(f"{name}: {len(bits)} rows by one door, {len(seq)} by another")
        found[name] = list(zip(seq, bits, strict=True))
    return found


def other_doors(reader: ArchiveReader, path: Path, rng: random.Random) -> None:
    """Filters, tables, the order of arrival, the merge: no crash, and no row that is not there."""
    names = list(reader.streams)
    reader.to_arrow(rng.choice(names)).validate(full=True)
    for held in reader.merged_batches(names):
        for slot, first, rows in held.runs.tolist():
            if first + rows > len(held.rows[held.streams[slot]]):
                raise Wrong("a run beyond its rows")
    name = rng.choice(names)
    whole = set(as_bits(reader.to_numpy(name)))
    symbols = list(reader.instruments.by_symbol)[:2] if reader.streams[name].key else None
    span = reader.time_range(name) if reader.streams[name].time else None
    start = rng.randint(*sorted(span)) if span else None  # an index may have been forged
    part = as_bits(reader.to_numpy(name, start_ns=start, symbols=symbols))
    if not whole.issuperset(part):
        raise Wrong(f"{name}: rows of a choice that are not among all rows")
    if reader.streams[name].time:
        merged = sum(map(len, merge([path], name)))
        if merged != reader.rows(name):
            raise Wrong(f"{name}: {merged} rows merged of {reader.rows(name)}")


def trial(data: bytes, path: Path, seed: int) -> str:
    """Put a file before the reader.

    Returns:
        "refused", or "rows" when it gave the right ones, or "rows unjudged" when the plain reader
        refuses the file (it is stricter about what does not touch rows).

    Raises:
        Wrong: anything else. Other exceptions leave as they are: each is a fault too.
    """
    rng = random.Random(seed)
    path.write_bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)
    try:
        with ArchiveReader(path) as reader:
            path.write_bytes(data)  # it may have grown meanwhile
            reader.refresh()
            found = every_row(reader, rng)
            answer = "rows"
            for name, rows in found.items():
                right = plain_rows(path, name)
                if right is None:
                    answer = "rows unjudged"
                elif rows != right:
                    raise Wrong(f"{name}: {len(rows)} rows, the plain reader has {len(right)}")
            other_doors(reader, path, rng)
            return answer
    except BadData as error:
        judged(error, path)
        return "refused"
    except (UsageError, struct.error) as error:
        raise Wrong(f"{type(error).__name__}: {error}") from error
