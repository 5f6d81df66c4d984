"""Arrow tables of an archive, and the libraries that read them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dhanfast._core.archive.schema import DEPTH, FRAMES, TICKS
from dhanfast.storage.archive.reader import ArchiveReader

from .built import NINE, Built, depth, ticks

NAMES = ["NIFTY", "BANKNIFTY", "FINNIFTY"]


@pytest.fixture(scope="module", params=["dense", "sparse"])
def built(request: pytest.FixtureRequest) -> Built:
    """Instruments numbered 0, 1, 2, or far apart with one that is not described."""
    numbers = [0, 1, 2] if request.param == "dense" else [5, 70_000, 900]
    made = Built()
    for number, name in zip(numbers, NAMES, strict=True):
        made.instruments(name, first=number)
    for part in range(4):
        rows = ticks(250, start_ns=NINE + part * 10**9, instruments=numbers, seed=part)
        if request.param == "sparse":
            rows["instrument"][7] = 6
        made.block("ticks", rows)
        made.block("depth", depth(10))
    return made


@pytest.fixture(scope="module")
def path(built: Built, tmp_path_factory: Any) -> Path:
    return built.seal().write(tmp_path_factory.mktemp("arrow") / "a.dfa")


def symbols_of(built: Built, path: Path) -> list[str | None]:
    with ArchiveReader(path) as reader:
        listing = reader.instruments
    return [
        listing[number].symbol if number in listing else None
        for number in built.all()["instrument"].tolist()
    ]


@pytest.mark.parametrize("threads", [0, 2])
def test_every_field_comes_back(built: Built, path: Path, threads: int) -> None:
    with ArchiveReader(path) as reader:
        table = reader.to_arrow(seq=True, threads=threads)
        numbers = np.concatenate([block.seq for block in reader.blocks()])
    table.validate(full=True)
    rows = built.all()
    for name in TICKS.fields:
        assert table[name].type == pa.from_numpy_dtype(rows.dtype[name])
        assert table[name].to_pylist() == rows[name].tolist()
    assert table["seq"].to_pylist() == numbers.tolist()
    assert table["symbol"].to_pylist() == symbols_of(built, path)
    assert table["recv_time"].type == pa.timestamp("ns", tz="UTC")
    assert table["recv_time"].cast(pa.int64()).to_pylist() == rows["recv_ns"].tolist()
    assert b'"day": 20260102' in table.schema.metadata[b"dhanfast"]


def test_times_and_symbols_share_memory_with_their_numbers(built: Built, path: Path) -> None:
    with ArchiveReader(path) as reader:
        batch = next(iter(reader.to_batches()))
        dense = list(reader.instruments) == [0, 1, 2]

    def place(name: str) -> int:
        column = batch.column(name)
        column = column.indices if name == "symbol" else column
        return int(column.buffers()[1].address)

    assert place("recv_time") == place("recv_ns") and place("exch_time") == place("exch_ns")
    assert (place("symbol") == place("instrument")) == dense


def test_a_choice_and_a_field_named_seq(built: Built, path: Path) -> None:
    with ArchiveReader(path) as reader:
        table = reader.to_arrow(symbols=["NIFTY"], start_ns=NINE + 10**9, end_ns=NINE + 2 * 10**9)
        other = reader.to_arrow("depth", seq=True)
        nothing = reader.to_arrow(symbols=[])
    assert set(table["symbol"].to_pylist()) == {"NIFTY"}
    assert min(table["recv_ns"].to_pylist()) >= NINE + 10**9
    assert other["seq"].to_pylist() == built.all("depth")["seq"].tolist()
    assert other["archive_seq"].to_pylist()[:2] == [250, 251] and DEPTH.event == "exch_ns"
    assert nothing.num_rows == 0 and nothing.schema == table.schema


def test_batches_are_decoded_as_they_are_asked_for(path: Path) -> None:
    with ArchiveReader(path) as reader:
        batches = reader.to_batches()
        batches.read_next_batch()
        assert reader.blocks_decoded == 1
        assert sum(batch.num_rows for batch in batches) == 750


def test_bytes_are_a_column(tmp_path: Path) -> None:
    said = [b"one", b"", b"three", b"4444"]
    rows = np.zeros(4, FRAMES.dtype)
    rows["size"] = [len(one) for one in said]
    path = Built((FRAMES,)).block("frames", rows, blob=b"".join(said)).write(tmp_path / "f.dfa")
    with ArchiveReader(path) as reader:
        table = reader.to_arrow("frames")
    table.validate(full=True)
    assert table["bytes"].to_pylist() == said and "symbol" not in table.column_names


def test_duckdb_reads_it(built: Built, path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = built.all()
    with ArchiveReader(path) as reader:
        connection = duckdb.connect()
        connection.register("whole", reader.to_arrow())
        connection.register("streamed", reader.to_batches())
        query = (
            "select symbol, count(*), sum(price)::hugeint, max(recv_ns) from {} "
            "where symbol is not null group by symbol"
        )
        answers = [
            sorted(connection.sql(query.format(name)).fetchall()) for name in ("whole", "streamed")
        ]
    named = np.array(symbols_of(built, path), object)
    wanted = sorted(
        (name, int((named == name).sum()), int(rows["price"][named == name].sum()),
         int(rows["recv_ns"][named == name].max()))
        for name in NAMES
    )  # fmt: skip
    assert answers[0] == answers[1] == wanted
    connection.close()


def test_polars_reads_it(built: Built, path: Path) -> None:
    polars = pytest.importorskip("polars")
    with ArchiveReader(path) as reader:
        frame = polars.from_arrow(reader.to_arrow())
    assert frame["symbol"].to_list() == symbols_of(built, path)
    assert frame["recv_time"].dt.timestamp("ns").to_list() == built.all()["recv_ns"].tolist()
    assert frame["price"].to_list() == built.all()["price"].tolist()
