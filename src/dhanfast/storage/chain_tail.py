"""The newest snapshots of a chain file that is being recorded: a tail beside the Parquet file.

Parquet cannot be appended to. So `FILE.parquet.tail` takes each snapshot as it comes, on the disk
before the next, and is folded into the Parquet file when it has grown, and at the end. Whoever
reads the file reads the tail with it: after a kill nothing is missing but a snapshot that was being
written, which its checksum gives away.

    tail    "DFCHAIN1", rows of the Parquet file that it follows (int64), frames
    frame   length, crc32 (uint32 each, little endian), an Arrow record batch of that length

When the Parquet file has more rows than the head says, that many of the tail were folded already.
"""

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

from dhanfast.errors import BadData

if TYPE_CHECKING:
    from dhanfast.storage.chains import Snapshot

SUFFIX: Final = ".tail"
MAGIC: Final = b"DFCHAIN1"
HEAD: Final = struct.Struct("<8sq")
FRAME: Final = struct.Struct("<II")
COUNTS: Final = (
    ("ce_ltp", "call"), ("pe_ltp", "put"), ("ce_oi", "call_oi"), ("pe_oi", "put_oi"),
    ("ce_volume", "call_volume"), ("pe_volume", "put_volume"),
)  # fmt: skip


def tail_path(path: str | os.PathLike[str]) -> str:
    """Where the tail of a chain file is."""
    return os.fspath(path) + SUFFIX


def chain_schema() -> Any:
    """Columns of a chain file that we write."""
    import pyarrow as pa

    numbers = ["strike", *[column for column, _ in COUNTS], "spot"]
    return pa.schema([
        ("ts", pa.int64()), ("underlying", pa.string()), ("expiry", pa.date32()),
        *[(name, pa.float64()) for name in numbers],
    ])  # fmt: skip


def batch_of(rows: "Snapshot") -> Any:
    """A snapshot as rows of a chain file; what is not known is null."""
    import pyarrow as pa

    n = len(rows)
    found = {
        "ts": pa.array([rows.at_ns] * n, pa.int64()),
        "underlying": pa.array([rows.underlying] * n, pa.string()),
        "expiry": pa.array([rows.expiry] * n, pa.date32()),
        "strike": pa.array(rows.strike),
        "spot": pa.array([rows.spot] * n, pa.float64(), from_pandas=True),
    }
    for column, name in COUNTS:
        found[column] = pa.array(getattr(rows, name), pa.float64(), from_pandas=True)  # NaN: null
    schema = chain_schema()
    return pa.RecordBatch.from_arrays([found[name] for name in schema.names], schema=schema)


def frame_of(batch: Any) -> bytes:
    """A record batch as the tail holds it."""
    body: bytes = batch.serialize().to_pybytes()
    return FRAME.pack(len(body), zlib.crc32(body)) + body


def read_tail(path: str | os.PathLike[str], rows: int) -> Any | None:
    """The rows that follow the Parquet file, as an Arrow table.

    Args:
        path: of the Parquet file. rows: that it has.

    Returns:
        None where there are none.

    Raises:
        BadData: the tail follows another file. Behind: the Parquet file was folded since it was
            read.
    """
    import pyarrow as pa

    try:
        with open(tail_path(path), "rb") as file:
            held = file.read()
    except FileNotFoundError:
        return None
    if len(held) < HEAD.size:
        return None  # killed while it was begun: nothing was in it
    magic, base = HEAD.unpack_from(held)
    if magic != MAGIC:
        raise BadData(f"{tail_path(path)}: not the tail of a chain file; move it away")
    batches = _batches(held)
    if not batches:
        return None
    if base > rows:
        raise Behind(f"{tail_path(path)}: it follows {base:,} rows and the file has {rows:,}: it "
                     "is another file's tail; move it away")  # fmt: skip
    table = pa.Table.from_batches(batches)
    folded = rows - base
    if folded > table.num_rows:
        raise BadData(f"{tail_path(path)}: the file has {rows:,} rows, more than the {base:,} that "
                      "it follows and its own together: it is another file's tail; move it away"
                      )  # fmt: skip
    return table.slice(folded) if folded < table.num_rows else None


class Behind(BadData):
    """A tail that follows more rows than the Parquet file was seen to have."""


def _batches(held: bytes) -> list[Any]:
    """Every whole frame; what comes after the first that is not, was never finished."""
    import pyarrow as pa

    found, at, schema = [], HEAD.size, chain_schema()
    while at + FRAME.size <= len(held):
        length, check = FRAME.unpack_from(held, at)
        body = held[at + FRAME.size : at + FRAME.size + length]
        if length == 0 or len(body) < length or zlib.crc32(body) != check:
            break
        found.append(pa.ipc.read_record_batch(pa.py_buffer(body), schema))
        at += FRAME.size + length
    return found
