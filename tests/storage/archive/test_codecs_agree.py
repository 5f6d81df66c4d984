"""The native codec against the plain one, both ways: what one writes the other reads."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.schema import Stream

from .plain_codec import encode
from .plain_reader import archive_read
from .test_plain_reader import FRAMES, TICKS, tick_rows

NATIVE, BYTES = Stream.from_json(TICKS), Stream.from_json(FRAMES)
AS_BITS = np.dtype([(name, kind.replace("f", "u")) for name, kind in TICKS["fields"]])


def ascending(steps: list[int]) -> list[int]:
    return (1_000 + np.cumsum(steps)).tolist()


@settings(max_examples=40)
@given(rows=tick_rows(), seed=st.integers(0, 2**32), data=st.data())
def test_native_reads_every_freedom_of_the_format(
    rows: list[tuple[int, ...]], seed: int, data: st.DataObject
) -> None:
    steps = data.draw(st.lists(st.integers(1, 9), min_size=len(rows), max_size=len(rows)))
    body = encode(TICKS, rows, ascending(steps)[0], ascending(steps), seed=seed)
    block = Codec(NATIVE).decode(body)
    assert [tuple(row) for row in block.rows.view(AS_BITS).tolist()] == rows
    assert block.seq.tolist() == ascending(steps)
    head, times = Codec(NATIVE).head(body), [row[0] for row in rows]
    assert (head.rows, head.time_min, head.time_max) == (len(rows), min(times), max(times))
    assert head.keys.tolist() == sorted({row[2] for row in rows})


@settings(max_examples=40)
@given(rows=tick_rows(), data=st.data())
def test_plain_reads_what_native_writes(rows: list[tuple[int, ...]], data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(1, 9), min_size=len(rows), max_size=len(rows)))
    seqs = ascending(steps)
    array = np.array(rows, AS_BITS).view(NATIVE.dtype)
    body = Codec(NATIVE).encode(array, seqs[0], np.array(seqs, np.uint64))
    got = list(archive_read.decode(bytes(body), TICKS))
    assert [tuple(row) for _, row, _ in got] == rows
    assert [seq for seq, _, _ in got] == seqs


@given(blobs=st.lists(st.binary(max_size=50), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_bytes_agree(blobs: list[bytes], seed: int) -> None:
    rows = [(n, len(blob)) for n, blob in enumerate(blobs)]
    block = Codec(BYTES).decode(encode(FRAMES, rows, 5, blob=b"".join(blobs), seed=seed))
    assert block.blob == b"".join(blobs) and block.rows.tolist() == rows
    made = Codec(BYTES).encode(np.array(rows, BYTES.dtype), 5, None, b"".join(blobs))
    assert [blob for _, _, blob in archive_read.decode(bytes(made), FRAMES)] == blobs
