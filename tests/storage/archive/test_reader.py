"""The reader gives what was written, in order, and touches no block it need not."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.archive.schema import BARS, DEPTH, FRAMES, TICKS
from dhanfast.clock import ManualClock
from dhanfast.errors import UsageError
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import ArchiveWriter

from .built import NINE, NOTE, Built, depth, ticks
from .plain_reader import archive_read

BLOCK, BLOCKS = 500, 12


@pytest.fixture(scope="module")
def day() -> Built:
    """Twelve blocks of ticks; instrument 9 is in the sixth one only."""
    built = Built().instruments("A", "B", "C").instruments("RARE", first=9)
    for at in range(BLOCKS):
        rows = ticks(BLOCK, start_ns=NINE + at * 10**9, seed=at)
        if at == 5:
            rows["instrument"][100:103] = 9
        built.block("ticks", rows)
        if at % 4 == 1:
            built.json(NOTE, {"kind": "gap", "stream": "ticks", "lost": at})
    return built


@pytest.fixture(scope="module", params=["sealed", "unsealed"])
def path(day: Built, request: pytest.FixtureRequest, tmp_path_factory: Any) -> Path:
    copy = Built(data=bytearray())
    copy.data, copy.index = bytearray(day.data), list(day.index)
    if request.param == "sealed":
        copy.seal()
    return copy.write(tmp_path_factory.mktemp("day") / f"{request.param}.dfa")


@pytest.fixture
def reader(path: Path) -> Iterator[ArchiveReader]:
    with ArchiveReader(path) as opened:
        yield opened


def test_what_the_file_says_of_itself(reader: ArchiveReader, path: Path, day: Built) -> None:
    assert reader.path == path and reader.sealed == (path.stem == "sealed")
    assert reader.head["day"] == 20260102 and list(reader.streams) == ["ticks", "depth"]
    assert reader.streams["ticks"].dtype == TICKS.dtype
    assert [note["lost"] for note in reader.notes] == [1, 5, 9]
    assert [entry.symbol for entry in reader.instruments.values()] == ["A", "B", "C", "RARE"]
    assert reader.instruments.by_symbol["RARE"].index == 9 and reader.instruments[1].lot == 75
    assert reader.rows() == BLOCK * BLOCKS and reader.rows("depth") == 0
    rows = day.all()
    assert reader.time_range() == (rows["recv_ns"].min(), rows["recv_ns"].max())
    assert reader.time_range("depth") is None and reader.keys().tolist() == [0, 1, 2, 9]
    assert (reader.torn_bytes, reader.whole_bytes) == (0, path.stat().st_size)
    assert len(reader.digest) == (64 if reader.sealed else 0) and "6,000" in repr(reader)


def test_the_plain_reader_agrees(reader: ArchiveReader, path: Path) -> None:
    """scripts/archive-read shares no line with the product."""
    plain = archive_read.open_archive(str(path))
    told = [tuple(row) for _, row, _ in itertools.islice(plain.rows("ticks"), BLOCK + 10)]
    assert told == [tuple(row) for row in itertools.islice(reader, BLOCK + 10)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), threads=st.integers(0, 2), reuse=st.booleans(),
       batch_rows=st.sampled_from([1, 7, 250, 251, 499, 500, 501, 4_096, 65_536]))  # fmt: skip
def test_any_choice_is_what_numpy_would_choose(
    reader: ArchiveReader, day: Built, data: st.DataObject, threads: int, reuse: bool,
    batch_rows: int,
) -> None:  # fmt: skip
    rows = day.all()
    edges = st.one_of(
        st.none(),
        st.integers(NINE - 10**9, NINE + 14 * 10**9),
        st.sampled_from(rows["recv_ns"][:: BLOCK // 2].tolist()),
    )
    start, end = data.draw(edges), data.draw(edges)
    symbols = data.draw(st.none() | st.lists(st.sampled_from(["A", "C", "RARE"]), max_size=3))
    keep = np.ones(len(rows), bool)
    if start is not None:
        keep &= rows["recv_ns"] >= start
    if end is not None:
        keep &= rows["recv_ns"] < end
    if symbols is not None:
        numbers = [{"A": 0, "C": 2, "RARE": 9}[symbol] for symbol in symbols]
        keep &= np.isin(rows["instrument"], numbers)
    got = [
        batch.copy() if reuse else batch
        for batch in reader.batches(start_ns=start, end_ns=end, symbols=symbols,
                                    batch_rows=batch_rows, threads=threads, reuse=reuse)
    ]  # fmt: skip
    assert all(0 < len(batch) <= batch_rows for batch in got)
    assert (np.concatenate([rows[:0], *got]) == rows[keep]).all()
    assert sum(map(len, got)) == keep.sum()
    array = reader.to_numpy(start_ns=start, end_ns=end, symbols=symbols, threads=threads)
    assert len(array) == keep.sum() and (array == rows[keep]).all()


@pytest.mark.parametrize("threads", [0, 2])
def test_a_filter_decodes_only_the_blocks_that_may_have_rows(
    reader: ArchiveReader, day: Built, threads: int
) -> None:
    def decoded(**choice: Any) -> tuple[int, int]:
        before = reader.blocks_decoded
        rows = sum(map(len, reader.batches(threads=threads, **choice)))
        return reader.blocks_decoded - before, rows

    assert decoded() == (BLOCKS, BLOCK * BLOCKS)
    assert decoded(symbols=["RARE"]) == (1, 3)
    assert decoded(symbols=[]) == (0, 0)
    starts = [rows["recv_ns"][0] for _, rows in day.rows["ticks"]]
    assert decoded(start_ns=int(starts[4]), end_ns=int(starts[6])) == (2, 2 * BLOCK)
    assert decoded(start_ns=int(starts[4]), end_ns=int(starts[6]) + 1) == (3, 2 * BLOCK + 1)
    assert decoded(start_ns=NINE + 10**12) == (0, 0)
    assert decoded(start_ns=int(starts[4]), end_ns=int(starts[5]), symbols=["RARE"]) == (0, 0)


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_only_what_is_asked_for_is_decoded_ahead(reader: ArchiveReader, threads: int) -> None:
    """Memory stays flat because nobody runs far ahead of the caller."""
    batches = reader.batches(batch_rows=BLOCK, threads=threads)
    for taken in range(1, 4):
        next(batches)
        assert reader.blocks_decoded <= taken + threads + 1 - (threads == 0)
    batches.close()


def test_closing_early_leaves_no_thread(reader: ArchiveReader) -> None:
    before = set(threading.enumerate())
    for kind in (reader.batches, reader.blocks):
        made = kind(threads=2)
        next(made)
        assert set(threading.enumerate()) - before, "the threads are there while it runs"
        made.close()
        assert set(threading.enumerate()) <= before
    list(reader.batches(threads=2))
    reader.to_numpy(threads=2)
    assert set(threading.enumerate()) <= before


def test_batches_are_the_callers_own_unless_reused(reader: ArchiveReader, day: Built) -> None:
    for threads in (0, 2):
        kept = list(reader.batches(batch_rows=200, threads=threads))
        assert (np.concatenate(kept) == day.all()).all()
    again = reader.batches(batch_rows=BLOCK, reuse=True)
    shared = [batch.__array_interface__["data"][0] for batch in again]
    assert len(set(shared)) == 1


def test_blocks_carry_their_numbers(tmp_path: Path) -> None:
    built = Built().instruments("A", "B", "C")
    seqs = [np.array([3, 5, 6, 90], np.uint64), np.array([91, 2**63, 2**64 - 1], np.uint64)]
    for seq in seqs:
        built.block("ticks", ticks(len(seq)), seq)
    with ArchiveReader(built.seal().write(tmp_path / "a.dfa")) as reader:
        for threads in (0, 1):
            found = list(reader.blocks(threads=threads))
            assert [block.seq.tolist() for block in found] == [seq.tolist() for seq in seqs]
        (block,) = reader.blocks(start_ns=int(built.all()["recv_ns"][3]), end_ns=None,
                                 symbols=["A", "B", "C"])  # fmt: skip
        assert block.seq[0] == 90 or len(block.seq) == len(block.rows)


def test_records_are_named_tuples_of_python_numbers(reader: ArchiveReader, day: Built) -> None:
    first = next(iter(reader))
    assert first._fields == TICKS.fields and tuple(first) == tuple(day.all()[0].tolist())
    assert type(first.price) is int
    assert len(list(reader.records(symbols=["RARE"]))) == 3


def frames(tmp_path: Path) -> tuple[Path, NDArray[Any], list[bytes]]:
    built = Built((FRAMES,))
    rng = np.random.default_rng(3)
    said = [rng.bytes(int(n)) for n in rng.integers(0, 60, 90)]
    rows = np.zeros(90, FRAMES.dtype)
    rows["recv_ns"] = NINE + np.arange(90)
    rows["size"] = [len(one) for one in said]
    for at in range(0, 90, 30):
        built.block("frames", rows[at : at + 30], blob=b"".join(said[at : at + 30]))
    return built.seal().write(tmp_path / "f.dfa"), rows, said


def test_frames_come_with_their_bytes(tmp_path: Path) -> None:
    path, rows, said = frames(tmp_path)
    with ArchiveReader(path) as reader:
        for threads in (0, 2):
            got = list(reader.frames(threads=threads))
            assert [raw for _, raw in got] == said
            assert [int(row["size"]) for row, _ in got] == rows["size"].tolist()
            cut = reader.frames(start_ns=NINE + 17, end_ns=NINE + 64, threads=threads)
            assert [raw for _, raw in cut] == said[17:64]
        assert list(reader)[5].size == len(said[5]), "the only stream is what is iterated"


def test_streams_are_merged_by_their_numbers(tmp_path: Path) -> None:
    """Ticks and depth dealt out at random must come back in the order they were dealt."""
    rng = np.random.default_rng(11)
    which = rng.random(3_000) < 0.3
    whole = {"ticks": ticks(int(which.sum())), "depth": depth(int((~which).sum()))}
    seqs = {"ticks": np.flatnonzero(which), "depth": np.flatnonzero(~which)}
    built = Built((TICKS, DEPTH, BARS)).instruments("A", "B", "C")
    for name, step in (("ticks", 170), ("depth", 401)):
        for at in range(0, len(whole[name]), step):
            built.block(name, whole[name][at : at + step], seqs[name][at : at + step])
    with ArchiveReader(built.seal().write(tmp_path / "m.dfa")) as reader:
        for threads in (0, 2):
            at = dict.fromkeys(whole, 0)
            order: list[bool] = []
            for name, rows in reader.merged(["ticks", "depth", "bars"], threads=threads):
                assert (rows == whole[name][at[name] : at[name] + len(rows)]).all()
                at[name] += len(rows)
                order += [name == "ticks"] * len(rows)
            assert order == which.tolist()
        before = set(threading.enumerate())
        runs = reader.merged_batches(["depth", "ticks"], threads=1)
        first = next(runs)
        assert first.streams == ("depth", "ticks") and first.runs["rows"].sum() <= 571
        runs.close()
        assert set(threading.enumerate()) <= before
        chosen = list(reader.merged(["ticks"], symbols=["B"]))
        assert np.concatenate([rows for _, rows in chosen])["instrument"].tolist() == (
            whole["ticks"]["instrument"][whole["ticks"]["instrument"] == 1].tolist()
        )


def test_a_growing_file_is_read_as_it_was_until_refreshed(tmp_path: Path) -> None:
    built = Built().instruments("A", "B", "C").block("ticks", ticks(100))
    path = built.write(tmp_path / "live.dfa")
    with ArchiveReader(path) as reader:
        first = len(built.data)
        built.block("ticks", ticks(50, start_ns=NINE + 10**9)).instruments("D", first=3)
        path.write_bytes(built.data[: first + 60])  # half of the new block is there
        assert reader.rows() == 100 and reader.refresh() == 0 and reader.torn_bytes == 60
        batches = reader.batches()
        built.write(path)
        assert reader.refresh() == 1 and reader.rows() == 150 and reader.torn_bytes == 0
        assert reader.instruments.number_of("D") == 3
        assert sum(map(len, batches)) == 100, "a reading that has begun stays as it began"
        assert (reader.to_numpy() == built.all()).all()
        built.seal().write(path)
        assert reader.refresh() == 0 and reader.sealed and reader.refresh() == 0
        assert len(reader.digest) == 64


def test_what_the_writer_writes_is_read_while_it_writes(tmp_path: Path) -> None:
    """The product's own writer: blocks small as they are flushed, then a sealed file."""
    path, rows, levels = tmp_path / "live.dfa", ticks(900), depth(450)
    with ArchiveWriter(path, [TICKS, DEPTH], clock=ManualClock(), block_rows=128) as writer:
        writer.add_instruments([{"index": at, "symbol": f"S{at}", "kind": "FUT", "tick": 5,
                                 "lot": 75, "price_scale": 100, "qty_scale": 1}
                                for at in range(3)])  # fmt: skip
        writer.flush()
        with ArchiveReader(path) as reader:
            for part in range(9):
                writer.append("ticks", rows[100 * part : 100 * (part + 1)])
                writer.append("depth", levels[50 * part : 50 * (part + 1)])
                writer.flush()
                assert reader.refresh() > 0
                assert (reader.to_numpy() == rows[: 100 * (part + 1)]).all()
                assert reader.rows("depth") == 50 * (part + 1)
            order = [(name, len(run)) for name, run in reader.merged(["depth", "ticks"])]
        writer.seal()
    assert order == [("ticks", 100), ("depth", 50)] * 9
    with ArchiveReader(path) as reader:
        assert reader.sealed and (reader.to_numpy(threads=2) == rows).all()
        assert (reader.to_numpy("depth") == levels).all()
        assert [(n, len(run)) for n, run in reader.merged(["depth", "ticks"])] == order


def test_rows_outlive_the_reader(path: Path, day: Built) -> None:
    with ArchiveReader(path) as reader:
        array, table = reader.to_numpy(), reader.to_arrow()
        batches = reader.batches()
    assert (array == day.all()).all() and table.num_rows == len(array)
    with pytest.raises(UsageError, match="closed"):
        next(batches)
    with pytest.raises(UsageError, match="closed"):
        reader.refresh()
    reader.close()


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"stream": "quotes"}, "no stream 'quotes'; it has ticks, depth"),
        ({"symbols": ["RARER"]}, "'RARER' is not in the archive; near: RARE"),
        ({"symbols": ["?"]}, "is not in the archive; it has 4 instruments"),
        ({"symbols": "RARE"}, "a list of names"),
        ({"batch_rows": 0}, "batch_rows must be a whole number in 1..16777216, was 0"),
        ({"batch_rows": True}, "batch_rows"),
        ({"threads": -1}, "threads must be a whole number in 0..64"),
        ({"threads": 65}, "threads"),
    ],
)
def test_what_cannot_be_chosen_is_refused_at_once(
    reader: ArchiveReader, choice: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        reader.batches(**choice)


def test_more_refusals(tmp_path: Path, reader: ArchiveReader) -> None:
    path, _, _ = frames(tmp_path)
    with ArchiveReader(path) as other:
        with pytest.raises(UsageError, match="no instruments to choose by"):
            other.batches("frames", symbols=["A"])
        with pytest.raises(UsageError, match="no stream 'ticks'"):
            other.batches()
    with pytest.raises(UsageError, match="has no bytes"):
        reader.frames("ticks")
    for wrong in ("ticks", [], ["ticks", "ticks"]):
        with pytest.raises(UsageError, match="each once"):
            reader.merged(wrong)
    with pytest.raises(FileNotFoundError):
        ArchiveReader(tmp_path / "none.dfa")
