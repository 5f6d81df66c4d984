"""Twenty levels a side of a recorded book: as rows of changes in the archive, and as snapshots.

From the recorded L2 file: its changes make a book, and after each message the best twenty levels of
both sides are a snapshot, as a 20-level feed sends them. Prices in hundredths, quantities in
thousandths. Skipped without recorded data.
"""

import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.depth import DepthSides
from dhanfast._core.archive.schema import DEPTH
from dhanfast._core.book import DELTA_DTYPE, LEVEL_DTYPE, Book
from dhanfast._core.types import DEPTH_DTYPE

LEVELS, BLOCK, FRAME_BYTES = 20, 65_536, 24
FORMATS = Path(__file__).parent.parent / "scripts" / "lib" / "archive_peers"
SIDES = (1, -1)


class Recorded(NamedTuple):
    """Snapshots[n] with times, numbers and levels[2, 20]; the same as depth rows, and encoded."""

    snapshots: np.ndarray[Any, Any]
    rows: np.ndarray[Any, Any]
    bodies: list[bytes]


SNAPSHOT = np.dtype([("exch_ns", "<i8"), ("recv_ns", "<i8"), ("seq", "<i8"),
                     ("levels", LEVEL_DTYPE, (2, LEVELS))])  # fmt: skip


def snapshots_of(path: Path) -> np.ndarray[Any, Any]:
    """The best levels after each message of the recording that follows its snapshot."""
    table = pq.read_table(path)
    event = np.array(table["event"].to_pylist())
    seq, update = table["seq"].to_numpy(), table["update_id"].to_numpy()
    whole = event == "snapshot"
    begin = update[whole].max()
    used = whole | ((event == "depth") & (update > begin))
    changes = np.zeros(len(seq), DELTA_DTYPE)
    changes["price"] = np.round(table["price"].to_numpy() * 100)
    changes["qty"] = np.round(table["qty"].to_numpy() * 1000)
    changes["side"] = np.where(np.array(table["side"].to_pylist()) == "B", 1, -1)
    order = np.flatnonzero(used)
    order = order[np.argsort(~whole[order], kind="stable")]  # the snapshot first
    starts = np.flatnonzero(np.diff(seq[order], prepend=-1))
    book, made = Book(1024), np.zeros(len(starts), SNAPSHOT)
    for number, places in enumerate(np.split(order, starts[1:])):
        book.deltas(changes[places])
        last = places[-1]
        made["seq"][number] = seq[last]
        made["exch_ns"][number], made["recv_ns"][number] = (
            int(table[name][int(last)].as_py()) for name in ("ts", "local_ts")
        )
        for at, side in enumerate(SIDES):
            best = book.levels(side)[:LEVELS]
            made["levels"][number, at, : len(best)] = best
    return made


@pytest.fixture(scope="module")
def recorded(data_dir: Path) -> Recorded:
    path = data_dir / "ticks" / "binance_usdm_BTCUSDT_l2_2024-08-08.parquet"
    if not path.exists():
        pytest.skip("no recorded L2 file in DHANFAST_DATA/ticks")
    snapshots = snapshots_of(path)
    sides, parts = DepthSides(1, LEVELS), []
    for one in snapshots:
        for at, side in enumerate(SIDES):
            levels = np.ascontiguousarray(one["levels"][at])
            told = {"exch_ns": int(one["exch_ns"]), "recv_ns": int(one["recv_ns"])}
            ends = side == SIDES[-1]
            parts.append(sides.changes(0, side, levels, seq=int(one["seq"]), last=ends, **told))
    rows, codec = np.concatenate(parts), Codec(DEPTH)
    bodies = [codec.encode(rows[at : at + BLOCK], at) for at in range(0, len(rows), BLOCK)]
    return Recorded(snapshots, rows, bodies)


def test_changes_against_snapshots_in_parquet(benchmark: Any, recorded: Recorded) -> None:
    """Encode; the sizes, and their ratio, in extra_info."""
    sys.path.insert(0, str(FORMATS))
    try:
        from formats import Parquet
    finally:
        sys.path.remove(str(FORMATS))
    fields = [("exch_ns", "<i8"), ("recv_ns", "<i8"), ("seq", "<i8")]
    fields += [(f"{what}_{side}_{level}", kind) for what, kind in (("price", "<i8"), ("qty", "<u4"))
               for side in range(2) for level in range(LEVELS)]  # fmt: skip
    flat = np.zeros(len(recorded.snapshots), fields)
    for name in ("exch_ns", "recv_ns", "seq"):
        flat[name] = recorded.snapshots[name]
    for name, _ in fields[3:]:
        what, side, level = name.split("_")
        flat[name] = recorded.snapshots["levels"][:, int(side), int(level)][what]
    theirs, sink = len(Parquet(flat).encode(flat)), io.BytesIO()
    table = pa.table({name: np.ascontiguousarray(flat[name]) for name in flat.dtype.names or ()})
    pq.write_table(table, sink, compression="zstd")
    plain = len(sink.getvalue())
    ours = sum(len(body) + FRAME_BYTES for body in recorded.bodies)
    codec = Codec(DEPTH)
    benchmark.extra_info |= {
        "rows_per_round": len(recorded.rows), "snapshots": len(flat), "bytes": ours,
        "bytes_a_row": round(ours / len(recorded.rows), 2), "parquet_bytes": theirs,
        "part_of_parquet": round(ours / theirs, 3),
        "parquet_untuned_bytes": plain, "part_of_untuned_parquet": round(ours / plain, 3),
    }  # fmt: skip
    benchmark(lambda: [codec.encode(recorded.rows[at : at + BLOCK], at)
                       for at in range(0, len(recorded.rows), BLOCK)])  # fmt: skip
    assert ours < theirs


def decoded(recorded: Recorded, out: np.ndarray[Any, Any]) -> Any:
    codec, raw = Codec(DEPTH), out.view(np.uint8)
    for body in recorded.bodies:
        cursor = codec.cursor(body)
        while (count := cursor.read_into(raw)) > 0:
            yield count


def test_decode_and_rebuild_sides(benchmark: Any, recorded: Recorded) -> None:
    """Updates a second = rows_per_round / median."""
    out = np.empty(4_096, DEPTH_DTYPE)
    raw = out.view(np.uint8)
    benchmark.extra_info["rows_per_round"] = len(recorded.rows)

    def rebuild() -> DepthSides:
        sides = DepthSides(1, LEVELS)
        for count in decoded(recorded, out):
            sides.apply_rows(raw[: count * DEPTH_DTYPE.itemsize])
        return sides

    sides = benchmark(rebuild)
    for at, side in enumerate(SIDES):
        last = recorded.snapshots["levels"][-1, at]
        assert (sides.snapshot(0, side) == last[: len(sides.snapshot(0, side))]).all()


def test_decode_and_rebuild_a_book(benchmark: Any, recorded: Recorded) -> None:
    """The same into `_core.book`, with the best prices after every change."""
    out, changes = np.empty(4_096, DEPTH_DTYPE), np.zeros(4_096, DELTA_DTYPE)
    benchmark.extra_info["rows_per_round"] = len(recorded.rows)

    def rebuild() -> Book:
        book = Book(LEVELS)
        for count in decoded(recorded, out):
            some = changes[:count]
            for name in ("price", "qty", "orders"):
                some[name] = out[name][:count]
            some["side"] = out["side"][:count]
            book.deltas(some[out["op"][:count] == 0])
        return book

    book = benchmark(rebuild)
    for at, side in enumerate(SIDES):
        best = book.levels(side)
        assert (best == recorded.snapshots["levels"][-1, at][: len(best)]).all()


def test_every_snapshot_comes_back(recorded: Recorded) -> None:
    """Rows of one message at a time, compared with the snapshot they were made of."""
    sides = DepthSides(1, LEVELS)
    rows = np.concatenate([Codec(DEPTH).decode(body).rows for body in recorded.bodies])
    assert rows.tobytes() == recorded.rows.tobytes()
    ends = np.flatnonzero(np.diff(rows["seq"], append=0)) + 1
    assert len(ends) == len(recorded.snapshots)
    for message, one in zip(np.split(rows, ends[:-1]), recorded.snapshots, strict=True):
        sides.apply_rows(np.ascontiguousarray(message).view(np.uint8))
        for at, side in enumerate(SIDES):
            found = sides.snapshot(0, side)
            assert (found == one["levels"][at][: len(found)]).all()
