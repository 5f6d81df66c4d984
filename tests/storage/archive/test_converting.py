"""Archives from archives: the rows that were chosen, in the right order, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.archive.schema import DEPTH, FRAMES, TICKS, Stream
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.converting import Converted, ConvertOptions, convert
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import ArchiveWriter

OPEN = 1_767_325_500_000_000_000
CLOCK = ManualClock(OPEN)


def make(
    path: Path, times: Any, symbols: str = "AB", *, streams: tuple[Stream, ...] = (TICKS, DEPTH)
) -> Path:
    """An archive: each time a tick and a row of depth, numbered by arrival."""
    times = np.asarray(times, np.int64) + OPEN
    writer = ArchiveWriter(path, streams, clock=CLOCK, block_rows=7, source=path.name)
    writer.add_instruments([{"index": at, "symbol": name} for at, name in enumerate(symbols)])
    for at, time in enumerate(times.tolist()):
        for stream in streams:
            row = np.zeros(1, stream.dtype)
            row["recv_ns"] = time
            if stream.key:
                row["instrument"], row["price"] = at % len(symbols), 1000 + at
            if stream.blob:
                row["size"] = 3
            writer.append(stream.name, row, b"abc" if stream.blob else b"")
    writer.seal()
    return path


def rows(path: Path) -> list[tuple[str, int, str, int]]:
    """Every row of both streams in order: stream, time, symbol, price."""
    with ArchiveReader(path) as reader:
        return [
            (name, int(row["recv_ns"]) - OPEN, reader.instruments[int(row["instrument"])].symbol,
             int(row["price"]))
            for name, batch in reader.merged(["ticks", "depth"]) for row in batch
        ]  # fmt: skip


def run(target: Path, *paths: Path, **options: Any) -> Converted:
    """Convert."""
    return convert(list(paths), target, ConvertOptions(**options), CLOCK)


def test_one_file_keeps_rows_numbers_and_notes(tmp_path: Path) -> None:
    source = make(tmp_path / "a.dfa", range(50))
    done = run(tmp_path / "b.dfa", source, block_rows=20, level=1)
    assert (done.how, done.rows) == ("copied", {"ticks": 50, "depth": 50})
    assert rows(tmp_path / "b.dfa") == rows(source)
    with ArchiveReader(tmp_path / "b.dfa") as reader:
        assert reader.sealed and reader.digest == done.digest
        (told,) = [note for note in reader.notes if note["kind"] == "converted"]
        assert told["from"][0]["file"] == "a.dfa" and len(told["from"][0]["digest"]) == 64


def test_a_cut_by_time_and_symbol(tmp_path: Path) -> None:
    source = make(tmp_path / "a.dfa", range(50), "ABC")
    run(tmp_path / "b.dfa", source, start_ns=OPEN + 10, end_ns=OPEN + 31, symbols=("A", "C"))
    wanted = [row for row in rows(source) if 10 <= row[1] < 31 and row[2] != "B"]
    assert rows(tmp_path / "b.dfa") == wanted
    run(tmp_path / "c.dfa", source, streams=("ticks",), without=("A",))
    with ArchiveReader(tmp_path / "c.dfa") as reader:
        assert list(reader.streams) == ["ticks"] and reader.rows() == 33


def test_files_in_a_row_are_joined(tmp_path: Path) -> None:
    early, late = make(tmp_path / "e.dfa", range(20), "BA"), make(tmp_path / "l.dfa", [30, 30, 40])
    done = run(tmp_path / "j.dfa", late, early)
    assert done.how == "joined"
    assert rows(tmp_path / "j.dfa") == rows(early) + rows(late)


def test_files_that_overlap_are_merged_by_time(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    paths = [make(tmp_path / f"{at}.dfa", np.sort(rng.integers(0, 60, 40)), names)
             for at, names in enumerate(("AB", "BC", "CAD"))]  # fmt: skip
    done = run(tmp_path / "m.dfa", *paths)
    assert done.how == "merged by time" and done.rows == {"ticks": 120, "depth": 120}
    order = {"ticks": 0, "depth": 1}
    every = [(row[1], order[row[0]], at, number, row)
             for at, path in enumerate(paths) for number, row in enumerate(rows(path))]  # fmt: skip
    assert rows(tmp_path / "m.dfa") == [one[-1] for one in sorted(every)]


def test_frames_are_joined_but_never_merged(tmp_path: Path) -> None:
    streams = (TICKS, DEPTH, FRAMES)
    first = make(tmp_path / "a.dfa", range(5), streams=streams)
    second = make(tmp_path / "b.dfa", range(10, 15), streams=streams)
    run(tmp_path / "j.dfa", first, second)
    with ArchiveReader(tmp_path / "j.dfa") as reader:
        assert [data for _, data in reader.frames()] == [b"abc"] * 10
    third = make(tmp_path / "c.dfa", range(3, 7), streams=streams)
    with pytest.raises(BadData, match="stream 'frames' carries bytes"):
        run(tmp_path / "m.dfa", first, third)
    run(tmp_path / "m.dfa", first, third, streams=("ticks", "depth"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"symbols": ("AX",)}, "symbol 'AX' is not in the archive"),
        ({"streams": ("tick",)}, "no stream 'tick'; there are ticks, depth"),
    ],
)
def test_refused(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    source = make(tmp_path / "a.dfa", range(5))
    with pytest.raises(UsageError, match=says):
        run(tmp_path / "b.dfa", source, **options)
    with pytest.raises(UsageError, match="is there already"):
        run(source, source)
    with pytest.raises(UsageError, match="no archive to convert"):
        run(tmp_path / "b.dfa")
    assert [path.name for path in tmp_path.iterdir()] == ["a.dfa"]


def test_files_whose_numbers_mean_other_words_are_not_merged(tmp_path: Path) -> None:
    def named(path: Path, words: list[str]) -> Path:
        stream = TICKS.with_extra([("what", "u1")])
        stream = Stream(0, "ticks", stream.dtype, "instrument", "recv_ns", "exch_ns",
                        meaning={"what": {"enum": words}})  # fmt: skip
        return make(path, range(3), streams=(stream,))

    one, two = named(tmp_path / "a.dfa", ["x", "y"]), named(tmp_path / "b.dfa", ["y", "x"])
    with pytest.raises(BadData, match="do not mean the same words"):
        run(tmp_path / "c.dfa", one, two)
    assert TICK_DTYPE.itemsize == 72 and DEPTH_DTYPE.itemsize == 48
