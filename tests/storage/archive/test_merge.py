"""Many files as one: the order is heapq's, instruments meet by symbol, files open when due."""

import heapq
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.archive.schema import FRAMES, TICKS
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive import merge as merging
from dhanfast.storage.archive.listing import Listed, Listing, join_listings
from dhanfast.storage.archive.merge import merge
from dhanfast.storage.archive.reader import ArchiveReader

from .built import NINE, Built, ticks

SYMBOLS = ["A", "B", "C", "D", "E"]


def write(path: Path, rows: NDArray[Any], symbols: Sequence[str], step: int = 40) -> Path:
    built = Built().instruments(*symbols)
    for at in range(0, len(rows), step):
        built.block("ticks", rows[at : at + step])
    return built.seal().write(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.data(), threads=st.integers(0, 2), batch_rows=st.sampled_from([1, 33, 4_096]))
def test_the_order_is_that_of_a_plain_merge(
    tmp_path: Path, data: st.DataObject, threads: int, batch_rows: int
) -> None:
    """Files overlap, follow one another, have equal times and clocks that step back."""
    paths, files, tables = [], [], []
    for number in range(data.draw(st.integers(1, 5))):
        count = data.draw(st.integers(0, 150))
        rows = ticks(count, seed=number)
        times = data.draw(st.integers(0, 400)) + np.cumsum(
            np.random.default_rng(data.draw(st.integers(0, 99))).integers(-1, 4, count)
        )
        rows["recv_ns"], rows["oi"] = NINE + times, number
        symbols = data.draw(st.permutations(SYMBOLS))[:3]
        paths.append(
            write(tmp_path / f"{number}.dfa", rows, symbols, data.draw(st.integers(1, 60)))
        )
        files.append(rows)
        tables.append(symbols)
    chosen = data.draw(st.none() | st.just(sorted({symbol for t in tables for symbol in t})[:2]))
    start = data.draw(st.none() | st.integers(NINE, NINE + 500))
    made = merge(paths, start_ns=start, symbols=chosen, threads=threads, batch_rows=batch_rows)
    wanted = []
    for number, rows in enumerate(files):
        kept = [
            (int(row["recv_ns"]), number, tables[number][row["instrument"]], row) for row in rows
        ]
        wanted.append([one for one in kept if (start is None or one[0] >= start)
                       and (chosen is None or one[2] in chosen)])  # fmt: skip
    answer = list(heapq.merge(*wanted, key=lambda one: one[:2]))
    batches = list(made)
    assert all(0 < len(batch) <= batch_rows for batch in batches)
    got = np.concatenate([np.empty(0, TICKS.dtype), *batches])
    assert [(int(r["recv_ns"]), int(r["oi"])) for r in got] == [one[:2] for one in answer]
    names = [made.instruments[int(row["instrument"])].symbol for row in got]
    assert names == [one[2] for one in answer]
    for field in ("price", "volume", "exch_ns", "flags"):
        assert got[field].tolist() == [int(one[3][field]) for one in answer]


def test_a_file_is_opened_when_it_is_due_and_closed_when_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [
        write(tmp_path / f"{day}.dfa", ticks(100, start_ns=NINE + day * 10**12), ["A", "B", "C"])
        for day in range(6)
    ]
    events: list[tuple[str, str]] = []

    class Watched(ArchiveReader):
        def __init__(self, path: Any) -> None:
            super().__init__(path)
            events.append(("open", self.path.stem))

        def close(self) -> None:
            events.append(("close", self.path.stem))
            super().close()

    monkeypatch.setattr(merging, "ArchiveReader", Watched)
    made = merge(reversed(paths), batch_rows=50)
    assert events == [(what, str(day)) for day in range(5, -1, -1) for what in ("open", "close")]
    events.clear()
    next(made)
    assert events == [("open", "0")], "the other days are not due"
    for _ in made:
        opened = [name for what, name in events if what == "open"]
        closed = [name for what, name in events if what == "close"]
        assert len(opened) - len(closed) <= 1
    assert [name for what, name in events if what == "open"] == list("012345")
    assert [name for what, name in events if what == "close"] == list("012345")


def test_a_merge_that_ends_early_leaves_nothing_open(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.dfa", ticks(500, seed=n), ["A", "B", "C"]) for n in range(3)]
    before = set(threading.enumerate())
    made = merge(paths, threads=2, batch_rows=10)
    next(made)
    made.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(StopIteration):
        next(made)
    with ArchiveReader(paths[0]) as reader:
        list(merge([reader, paths[1]]))
        assert reader.rows() == 500 and reader.refresh() == 0, "an open reader is left open"


def test_memory_is_a_few_blocks_a_file(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.dfa", ticks(2_000, seed=n), ["A", "B", "C"], 100)
             for n in range(3)]  # fmt: skip
    readers = [ArchiveReader(path) for path in paths]
    for threads in (0, 2):
        begun = sum(reader.blocks_decoded for reader in readers)
        made = merge(readers, threads=threads, batch_rows=30)
        for taken in range(1, 20):
            next(made)
            decoded = sum(reader.blocks_decoded for reader in readers) - begun
            assert decoded <= taken * 30 // 100 + 3 * (2 + 2 * threads)
        made.close()
    for reader in readers:
        reader.close()


def test_files_that_disagree_are_named_both(tmp_path: Path) -> None:
    first = Built().instruments("A", lot=75).block("ticks", ticks(5, instruments=[0]))
    one = first.seal().write(tmp_path / "one.dfa")
    for fact, value in (("lot", 50), ("tick", 10), ("kind", "OPT"), ("strike", 100),
                        ("price_scale", 10_000)):  # fmt: skip
        other = Built().instruments("A", **({"lot": 75, "strike": 200} | {fact: value}))
        two = other.block("ticks", ticks(5, instruments=[0])).write(tmp_path / "two.dfa")
        third = Built().instruments("A", strike=200).write(tmp_path / "three.dfa")
        with pytest.raises(BadData, match=f"A: {fact} is .*\\.dfa and .*two\\.dfa"):
            merge([one, third, two])
    wide = TICKS.with_extra([("extra", "u4")])
    odd = Built((wide,)).instruments("A").write(tmp_path / "wide.dfa")
    with pytest.raises(BadData, match=r"another dtype in .*wide\.dfa than in .*one\.dfa"):
        merge([one, odd])


def test_an_instrument_nobody_described_cannot_be_merged(tmp_path: Path) -> None:
    built = Built().instruments("A").block("ticks", ticks(9, instruments=[0, 4]))
    path = built.write(tmp_path / "x.dfa")
    with pytest.raises(BadData, match=r"x\.dfa: instrument 4 has rows but is not described"):
        merge([path])
    built = Built().instruments("A", first=2**32 - 1)
    built.block("ticks", ticks(9, instruments=[2**32 - 1]))
    with pytest.raises(BadData, match="instrument number 4294967295"):
        merge([built.write(tmp_path / "y.dfa")])


def test_damage_comes_after_the_rows_before_it(tmp_path: Path) -> None:
    good = write(tmp_path / "good.dfa", ticks(200, start_ns=NINE), ["A", "B", "C"])
    built = Built().instruments("A", "B", "C")
    for part in range(3):
        built.block("ticks", ticks(100, start_ns=NINE + (1 + part) * 10**12))
    offset = built.index[1][0]
    built.seal().data[offset + 60] ^= 1
    bad = built.write(tmp_path / "bad.dfa")
    for threads in (0, 2):
        made, got = merge([bad, good], threads=threads), []
        with pytest.raises(BadData, match=f"bad.dfa: byte {offset}"):
            while True:
                got.append(next(made))
        assert sum(map(len, got)) == 300


def test_a_file_replaced_meanwhile_is_noticed(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.dfa", ticks(50, start_ns=NINE + n * 10**12), ["A", "B", "C"])
             for n in range(2)]  # fmt: skip
    made = merge(paths)
    write(tmp_path / "new.dfa", ticks(50), ["A", "B", "C"]).rename(paths[1])
    with pytest.raises(BadData, match=r"1\.dfa: replaced while it was being merged"):
        list(made)


def test_a_live_file_is_merged_as_far_as_it_was(tmp_path: Path) -> None:
    built = Built().instruments("A", "B", "C").block("ticks", ticks(50))
    path = built.write(tmp_path / "live.dfa")
    made = merge([path])
    with path.open("ab") as file:
        more = Built(data=bytearray())
        more.data = bytearray()
        more.block("ticks", ticks(20, start_ns=NINE + 10**9))
        file.write(more.data)
    assert sum(map(len, made)) == 50


def test_what_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dfa", ticks(5), ["A", "B", "C"])
    frames = Built((FRAMES,)).write(tmp_path / "f.dfa")
    assert list(merge([frames], "frames")) == []
    for files, choice, said in (
        ([], {}, "1 to 65536"),
        (path, {}, "a list of them"),
        ([path], {"stream": "quotes"}, "no stream 'quotes'"),
        ([path], {"symbols": ["Z"]}, "'Z' is not in the archive"),
        ([path], {"threads": 99}, "threads"),
        ([path], {"batch_rows": 0}, "batch_rows"),
    ):
        with pytest.raises(UsageError, match=said):
            merge(files, **choice)  # type: ignore[arg-type]


def test_listings_meet_by_symbol() -> None:
    one = Listing([Listed(4, "A", kind="FUT", lot=75), Listed(0, "B")])
    two = Listing([Listed(0, "C"), Listed(1, "A", expiry="2026-01-27", security_id="9")])
    joined, numbers = join_listings([("one", one), ("two", two), ("three", Listing())])
    assert [entry.symbol for entry in joined.values()] == ["A", "B", "C"]
    assert numbers == [{4: 0, 0: 1}, {0: 2, 1: 0}, {}]
    a = joined.by_symbol["A"]
    assert (a.index, a.kind, a.lot, a.expiry, a.security_id) == (0, "FUT", 75, "2026-01-27", "9")
    assert Listed.from_json(a.to_json()) == a
    told = {"index": 3, "symbol": "X", "security_id": 12, "later": "unknown"}
    assert Listed.from_json(told).security_id == "12"
