"""Files of ticks become archives that give them back, cell for cell; what the ticks say of them."""

import csv
import datetime
import decimal
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE, DepthFlag, DepthOp
from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.exporting import ExportOptions, export_archive
from dhanfast.storage.archive.importing import ImportedTicks, TickOptions, import_ticks
from dhanfast.storage.archive.reader import ArchiveReader

T0 = 1_767_325_500_000_000_000  # 2026-01-02 09:15 IST
CLOCK = ManualClock(T0)


def bring(path: Path, **options: Any) -> tuple[Path, ImportedTicks]:
    """Import a file beside itself; not compared, so that the tests compare."""
    archive = path.with_suffix(".dfa")
    archive.unlink(missing_ok=True)
    done = import_ticks(path, archive, TickOptions(check=False, **options), CLOCK)
    return archive, done


def give_back(archive: Path, suffix: str) -> Path:
    """Export the source of an archive."""
    back = archive.with_name(f"back{suffix}")
    with ArchiveReader(archive) as reader:
        export_archive(reader, back, ExportOptions(as_source=True))
    return back


def assert_same_table(first: pa.Table, second: pa.Table) -> None:
    """Equal in schema, metadata and every bit; NaN equals itself, -0.0 is not 0.0."""
    assert first.schema.equals(second.schema, check_metadata=True)
    for name, left, right in zip(first.column_names, first.columns, second.columns, strict=True):
        left, right = (_bits(column) for column in (left, right))
        assert left.equals(right), name


def _bits(column: Any) -> Any:
    column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        return column.view({32: pa.int32(), 64: pa.int64()}[column.type.bit_width])
    return column


RECORDED = (
    "ticks/binance_usdm_BTCUSDT_l2_2024-08-08.parquet",
    "ticks/nse_stock_futures_ticks_2025-11-17_1207_1224.parquet",
    "fixtures/optionvault_mit/tick_data_NIFTY_tick.csv",
    "fixtures/optionvault_mit/tick_data_combined_indices_tick.csv",
    "fixtures/optionvault_mit/level2_NIFTY_level2.csv",
)


@pytest.mark.data
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_file_comes_back_bit_for_bit(data_dir: Path, tmp_path: Path, name: str) -> None:
    source = data_dir / name
    archive = tmp_path / "ticks.dfa"
    import_ticks(source, archive, TickOptions(check=False), CLOCK)
    back = give_back(archive, source.suffix)
    if source.suffix == ".csv":
        assert back.read_bytes() == source.read_bytes()
    else:
        assert_same_table(pq.read_table(source), pq.read_table(back))


@pytest.mark.data
def test_the_futures_file_fills_the_ticks(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / RECORDED[1]
    archive = tmp_path / "ticks.dfa"
    done = import_ticks(source, archive, TickOptions(), CLOCK)
    with ArchiveReader(archive) as reader:
        ticks = reader.to_numpy()
        symbols = {index: entry.symbol for index, entry in reader.instruments.items()}
    for tick, row in zip(ticks, pq.read_table(source).to_pylist(), strict=True):
        assert (tick["recv_ns"], tick["exch_ns"]) == (row["ts"], 0)
        assert symbols[tick["instrument"]] == row["instrument"]
        for ours, theirs in (("price", "ltp"), ("bid", "bid"), ("ask", "ask")):
            assert tick[ours] == decimal.Decimal(repr(row[theirs])) * 100
        for ours, theirs in (("qty", "ltq"), ("volume", "volume"), ("oi", "oi")):
            assert tick[ours] == row[theirs]
    assert done.rows == len(ticks) == 4214


# Any table of plain columns

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KINDS: tuple[tuple[pa.DataType, st.SearchStrategy[Any]], ...] = (
    *(
        (pa.type_for_alias(f"int{bits}"), st.integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
        for bits in (8, 16, 32, 64)
    ),
    *((pa.type_for_alias(f"uint{bits}"), st.integers(0, (1 << bits) - 1)) for bits in (8, 32, 64)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.float64(), st.integers(-(10**7), 10**7).map(lambda paise: paise / 100)),
    (pa.bool_(), st.booleans()),
    (pa.string(), WORDS),
    (pa.large_string(), WORDS),
    (pa.binary(), st.binary(max_size=6)),
    (pa.date32(), st.dates(datetime.date(1970, 1, 2))),
    (pa.timestamp("us", "UTC"), st.integers(-(1 << 50), 1 << 50)),
    (pa.timestamp("s"), st.integers(0, 1 << 33)),
    (pa.time64("ns"), st.integers(0, 86_399_999_999_999)),
    (pa.duration("ms"), st.integers(-(1 << 40), 1 << 40)),
    (pa.decimal128(12, 3), st.decimals(-(10**8), 10**8, places=3)),
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A table with a time, a price, an instrument and columns of any type, nulls among them."""
    rows = draw(st.integers(1, 12))

    def column(kind: pa.DataType, cells: st.SearchStrategy[Any]) -> pa.Array:
        values = draw(st.lists(st.none() | cells, min_size=rows, max_size=rows))
        return pa.array(values, kind)

    times = draw(st.lists(st.integers(T0, T0 + 10**12), min_size=rows, max_size=rows))
    price = draw(st.sampled_from([kind for kind in KINDS if pa.types.is_floating(kind[0])]))
    columns: dict[str, pa.Array] = {
        "recv_ns": pa.array(times, pa.int64()),
        "symbol": pa.array(draw(st.lists(st.sampled_from(["A", "B", "C D"]), min_size=rows,
                                         max_size=rows))),
        "ltp": column(*price),
        "ltq": column(pa.int64(), st.integers(-5, 1 << 40)),
    }  # fmt: skip
    for number, (kind, cells) in enumerate(draw(st.lists(st.sampled_from(KINDS), max_size=5))):
        columns[draw(st.sampled_from([f"x{number}", f"price{number}", f"{number} é"]))] = column(
            kind, cells
        )
    return pa.table(columns).replace_schema_metadata({"made": "by hand"})


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_any_table_comes_back(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "any.parquet"
    pq.write_table(table, path)
    archive, _ = bring(path)
    assert_same_table(pq.read_table(path), pq.read_table(give_back(archive, ".parquet")))


@pytest.mark.parametrize("value", ["dictionary", "null"])
def test_dictionaries_and_columns_of_nulls_come_back(tmp_path: Path, value: str) -> None:
    odd = pa.array(["x", None, "y"]).dictionary_encode() if value == "dictionary" else pa.nulls(3)
    table = pa.table({"recv_ns": [T0, T0, T0 + 1], "symbol": ["A", "B", "A"],
                      "ltp": [1.0, 2.5, 3.05], "odd": odd})  # fmt: skip
    path = tmp_path / "odd.parquet"
    pq.write_table(table, path)
    archive, _ = bring(path)
    assert_same_table(pq.read_table(path), pq.read_table(give_back(archive, ".parquet")))


# Any CSV

CELLS = st.one_of(
    st.sampled_from(["", "0", "-0", "1", "007", "1.50", "2.5", "26000.0", "1e5", "nan", "-", "a,b",
                     'say "so"', "6.510819264522089e-05", "0.1519775390625", "9223372036854775807",
                     "99999999999999999999", "true", "é", "1.", ".5", "+1", " 1"]),
    st.integers(-(10**6), 10**6).map(str),
    st.integers(-(10**6), 10**6).map(lambda paise: repr(paise / 100)),
    st.floats(allow_nan=False).map(repr),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=5),
)  # fmt: skip


@st.composite
def columns_of_cells(draw: st.DrawFn) -> list[list[str]]:
    """Rows of cells; each column is of one kind, or of any."""
    rows, width = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    made = []
    for _ in range(width):
        kind = draw(st.sampled_from(["any", "int", "money", "fixed", "float"]))
        cells: st.SearchStrategy[str] = {
            "any": CELLS,
            "int": st.integers(-(1 << 63), (1 << 63) - 1).map(str),
            "money": st.integers(0, 10**8).map(lambda paise: repr(paise / 100)),
            "fixed": st.integers(-(10**8), 10**8).map(lambda n: f"{decimal.Decimal(n) / 1000:.3f}"),
            "float": st.floats(allow_nan=False).map(repr),
        }[kind]
        made.append(draw(st.lists(cells, min_size=rows, max_size=rows)))
    return [list(row) for row in zip(*made, strict=True)]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(extra=columns_of_cells(), newline=st.sampled_from(["\n", "\r\n"]), ends=st.booleans())
def test_any_csv_comes_back(
    tmp_path: Path, extra: list[list[str]], newline: str, ends: bool
) -> None:
    header = ["ts", "symbol", "ltp", *(f"x{at}" for at in range(len(extra[0])))]
    rows = [[f"2026-01-02 09:15:{at:02d}.500", "A", "1.05", *cells]
            for at, cells in enumerate(extra)]  # fmt: skip
    path = tmp_path / "any.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator=newline)
        writer.writerow(header)
        writer.writerows(rows)
    if not ends:
        path.write_bytes(path.read_bytes().removesuffix(newline.encode()))
    archive, _ = bring(path, tz="Asia/Kolkata")
    back = give_back(archive, ".csv")
    with open(back, newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [header, *rows]
    assert back.read_bytes().endswith(newline.encode()) == ends


@pytest.mark.parametrize(
    "stamps",
    [
        ["2026-01-02 09:15:00", "2026-01-02 09:15:00.250000"],  # as Python writes
        ["2026-01-02T09:15:00+05:30", "2026-01-02T09:15:01+05:30"],
        ["2026-01-02T03:45:00.123456789Z", "2026-01-02T03:45:01.000000000Z"],
        ["1767325500", "1767325501"],
        ["1767325500.5", "1767325501.25"],
        ["2026-01-02 9:15", "2026-01-02 09:15:01"],  # two ways in one file: kept as words
    ],
)
def test_stamps_come_back_however_they_are_written(tmp_path: Path, stamps: list[str]) -> None:
    path = tmp_path / "stamps.csv"
    lines = [f"{stamp},A,{at}.5" for at, stamp in enumerate(stamps)]
    path.write_text("\n".join(["timestamp,symbol,ltp", *lines]) + "\n")
    zoned = stamps[0][-1] == "Z" or stamps[0].endswith("05:30") or stamps[0].isdigit()
    if stamps[0] == "1767325500.5":
        with pytest.raises(BadData, match="row 1, column 'timestamp'"):
            bring(path, tz="UTC")
        return
    archive, done = bring(path, tz=None if zoned else "Asia/Kolkata")
    assert give_back(archive, ".csv").read_bytes() == path.read_bytes()
    assert done.first_ns // 10**9 == T0 // 10**9


# What the ticks say


def ticks_file(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A Parquet file of rows."""
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def test_generated_ticks_come_back_as_ticks(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    ticks = np.zeros(70_000, TICK_DTYPE)
    ticks["recv_ns"] = T0 + np.arange(len(ticks)) * 1000
    ticks["exch_ns"] = ticks["recv_ns"] - 5
    for name in ("price", "bid", "ask"):
        ticks[name] = rng.integers(1, 10**8, len(ticks))
    ticks["instrument"] = rng.integers(0, 9, len(ticks))
    ticks["volume"] = rng.integers(0, 1 << 40, len(ticks))
    for name in ("qty", "bid_qty", "ask_qty", "oi", "flags"):
        ticks[name] = rng.integers(0, 1 << 32, len(ticks))
    path = tmp_path / "made.parquet"
    pq.write_table(
        pa.table({name: pa.array(np.ascontiguousarray(ticks[name])) for name in ticks.dtype.names}),
        path,
    )
    archive, done = bring(path, generated=True)
    with ArchiveReader(archive) as reader:
        assert reader.to_numpy().tobytes() == ticks.tobytes()
        assert reader.streams["ticks"].dtype == TICK_DTYPE
        assert reader.head["generated"] is True and reader.head["day"] == 20260102
        assert [entry.symbol for entry in reader.instruments.values()] != []
    assert_same_table(pq.read_table(path), pq.read_table(give_back(archive, ".parquet")))
    assert done.rows == 70_000


def test_our_own_depth_comes_back_as_depth(tmp_path: Path) -> None:
    path = tmp_path / "day.parquet"
    depth = np.zeros(5000, DEPTH_DTYPE)
    rng = np.random.default_rng(1)
    for name in depth.dtype.names:
        depth[name] = rng.integers(0, 100, len(depth))
    depth["recv_ns"] = T0 + np.arange(len(depth))
    described = [{"index": 7, "symbol": "X26JAN100CE", "kind": "CE", "tick": 5, "lot": 35,
                  "expiry": "2026-01-27", "strike": 10000}]  # fmt: skip
    depth["instrument"] = 7
    table = pa.table(
        {name: pa.array(np.ascontiguousarray(depth[name])) for name in depth.dtype.names}
    )
    told = {"dhanfast.generated": "true", "dhanfast.instruments": json.dumps(described)}
    pq.write_table(table.replace_schema_metadata(told), path)
    archive, done = bring(path)
    assert done.generated and done.rows_by_stream == {"depth": 5000}
    with ArchiveReader(archive) as reader:
        assert reader.to_numpy("depth").tobytes() == depth.tobytes()
        entry = reader.instruments[7]
    assert (entry.symbol, entry.kind, entry.right, entry.strike) == (
        "X26JAN100CE", "OPT", "CE", 10000
    )  # fmt: skip
    assert (entry.tick, entry.lot, entry.expiry) == (5, 35, "2026-01-27")
    assert_same_table(pq.read_table(path), pq.read_table(give_back(archive, ".parquet")))


def test_a_price_that_is_not_paise_keeps_its_bits(tmp_path: Path) -> None:
    prices = [100.05, 100.123456, float("nan")]
    rows = [{"recv_ns": T0 + at, "symbol": "A", "ltp": price, "iv": price}
            for at, price in enumerate(prices)]  # fmt: skip
    archive, _ = bring(ticks_file(tmp_path / "raw.parquet", rows))
    with ArchiveReader(archive) as reader:
        ticks = reader.to_numpy()
        assert ticks["price"].tolist() == [10005, 10012, 0]
        assert ticks["ltp"].tobytes() == np.array(prices).tobytes()


@pytest.mark.parametrize("prices", [("100", "101"), ("100", "101.5"), ("-7", "0"), ("1e2", "3")])
def test_a_csv_of_whole_rupees_comes_back(tmp_path: Path, prices: tuple[str, str]) -> None:
    path = tmp_path / "whole.csv"
    lines = [f"2025-11-17 09:15:0{at}.5,X,{price}" for at, price in enumerate(prices)]
    path.write_text("\n".join(["ts,symbol,ltp", *lines, ""]))
    archive, _ = bring(path, tz="Asia/Kolkata")
    assert give_back(archive, ".csv").read_bytes() == path.read_bytes()
    with ArchiveReader(archive) as reader:
        rows = reader.to_numpy()
    assert rows["price"].tolist() == [round(float(price) * 100) for price in prices]


def test_whole_prices_of_others_are_rupees_whatever_their_clock_is_called(tmp_path: Path) -> None:
    path = tmp_path / "others.parquet"
    table = pa.table({"recv_ns": [T0, T0 + 1], "symbol": ["X", "X"], "price": [100, 101]})
    pq.write_table(table, path)
    archive, done = bring(path)
    assert "price: whole rupees" in done.facts
    with ArchiveReader(archive) as reader:
        assert reader.to_numpy()["price"].tolist() == [10_000, 10_100]
    assert_same_table(pq.read_table(give_back(archive, ".parquet")), table)


def test_the_clock_is_stated(tmp_path: Path) -> None:
    rows = [{"ts": T0 + at, "symbol": "A", "ltp": 1.0} for at in range(3)]
    path = ticks_file(tmp_path / "clock.parquet", rows)
    for clock, exch in ((None, 0), ("recv", 0), ("exch", T0)):
        archive, done = bring(path, clock=clock)
        with ArchiveReader(archive) as reader:
            assert reader.to_numpy()[0][["recv_ns", "exch_ns"]].tolist() == (T0, exch)
        said = "exchange's clock" if clock == "exch" else "receiver's clock"
        assert any(fact.startswith(f"the only time is the {said}") for fact in done.facts)


def test_clocks_that_run_backwards_are_kept_and_told(tmp_path: Path) -> None:
    times = [T0, T0 + 5, T0 + 2, T0 + 9]
    rows = [{"recv_ns": time, "symbol": "A", "ltp": 1.0} for time in times]
    archive, done = bring(ticks_file(tmp_path / "back.parquet", rows))
    with ArchiveReader(archive) as reader:
        assert reader.to_numpy()["recv_ns"].tolist() == times
        told = next(note for note in reader.notes if note["kind"] == "provenance")
    assert done.notes == told["notes"]
    assert "recv_ns of ticks runs backwards 1 times" in done.notes[0]
    assert told["sha256"] == done.sha256 and told["rows"] == 4


def test_one_symbol_with_two_strikes_is_two_instruments(tmp_path: Path) -> None:
    rows = [
        {"recv_ns": T0, "symbol": "N", "ltp": 1.0, "expiry": "2026-01-27", "strike": strike,
         "instrument_type": "CE"}
        for strike in (26000.0, 26100.0, 26000.0)
    ]  # fmt: skip
    archive, _ = bring(ticks_file(tmp_path / "two.parquet", rows))
    with ArchiveReader(archive) as reader:
        assert reader.to_numpy()["instrument"].tolist() == [0, 1, 0]
        listed = list(reader.instruments.values())
    assert [entry.strike for entry in listed] == [2600000, 2610000]
    assert [entry.symbol for entry in listed] == ["N 2026-01-27 26000", "N 2026-01-27 26100"]
    assert {(entry.kind, entry.right, entry.expiry) for entry in listed} == {
        ("OPT", "CE", "2026-01-27")
    }


# Messages of an order book


def messages() -> list[dict[str, Any]]:
    """Depth, a snapshot, a quote and a trade, as hftbacktest's converter writes them."""

    def row(seq: int, event: str, side: str, price: float, qty: float) -> dict[str, Any]:
        return {
            "ts": T0 + seq,
            "local_ts": T0 + seq + 9,
            "instrument": "X",
            "seq": seq,
            "event": event,
            "side": side,
            "price": price,
            "qty": qty,
            "update_id": 100 + seq,
        }

    return [
        row(0, "depth", "B", 99.5, 1.25), row(0, "depth", "S", 100.5, 0.0),
        row(1, "bbo", "B", 99.5, 1.25), row(1, "bbo", "S", 100.0, 2.5),
        row(2, "snapshot", "B", 99.5, 3.0), row(2, "snapshot", "S", 100.0, 4.0),
        row(3, "trade", "S", 99.5, 0.125), row(4, "depth", "B", 99.0, 7.0),
    ]  # fmt: skip


def test_messages_become_depth_and_ticks(tmp_path: Path) -> None:
    path = ticks_file(tmp_path / "l2.parquet", messages())
    archive, done = bring(path)
    assert done.rows_by_stream == {"ticks": 2, "depth": 7}
    with ArchiveReader(archive) as reader:
        ticks, depth = reader.to_numpy("ticks"), reader.to_numpy("depth")
        order = [name for name, rows in reader.merged(["ticks", "depth"]) for _ in rows]
        assert reader.instruments[0].qty_scale == 1000
    assert order == ["depth", "depth", "ticks", *["depth"] * 4, "ticks", "depth"]
    sets, clear = int(DepthOp.SET), int(DepthOp.CLEAR)
    last, snap = int(DepthFlag.LAST), int(DepthFlag.SNAPSHOT)
    assert depth[["op", "side", "price", "qty", "flags", "seq"]].tolist() == [
        (sets, 1, 9950, 1250, 0, 0), (sets, -1, 10050, 0, last, 0),
        (clear, 1, 0, 0, snap, 2), (clear, -1, 0, 0, snap, 2),
        (sets, 1, 9950, 3000, snap, 2), (sets, -1, 10000, 4000, snap | last, 2),
        (sets, 1, 9900, 7000, last, 4),
    ]  # fmt: skip
    assert ticks[["price", "qty", "bid", "bid_qty", "ask", "ask_qty", "what"]].tolist() == [
        (0, 0, 9950, 1250, 10000, 2500, 2), (9950, 125, 9950, 1250, 10000, 2500, 1),
    ]  # fmt: skip
    assert_same_table(pq.read_table(path), pq.read_table(give_back(archive, ".parquet")))


@pytest.mark.parametrize("change", ["event", "side", "pair", "price"])
def test_messages_of_another_make_are_kept_as_rows(tmp_path: Path, change: str) -> None:
    rows = messages()
    if change == "event":
        rows[6]["event"] = "funding"
    elif change == "side":
        rows[6]["side"] = "N"
    elif change == "pair":
        rows[2], rows[3] = rows[3], rows[2]
    else:
        rows[0]["price"] = 99.123
    path = ticks_file(tmp_path / "other.parquet", rows)
    archive, done = bring(path)
    assert done.rows_by_stream == {"ticks": len(rows)}
    assert_same_table(pq.read_table(path), pq.read_table(give_back(archive, ".parquet")))


# Refusals


@pytest.mark.parametrize(
    ("header", "row", "options", "says"),
    [
        ("symbol,ltp", "A,1", {}, "no column is a time"),
        ("ts,symbol,x", "1767325500,A,1", {}, "no column is a price"),
        ("ts,ltp", "1767325500,1", {}, "no column that names the instrument"),
        ("timestamp,symbol,ltp", "2026-01-02 09:15:00,A,1", {}, "carry no time zone"),
        ("ts,symbol,ltp", ",A,1", {}, "row 1, column 'ts'"),
        ("ts,symbol,ltp", "17,A,1", {}, "17 is not a time"),
        ("ts,symbol,ltp", "1767325500,A,1", {"columns": {"price": "close"}}, "no column 'close'"),
        ("ts,symbol,ltp", "1767325500,A,1", {"columns": {"open": "ltp"}}, "'open' is not a column"),
        ("ts,symbol,ltp", "1767325500,A,1,9", {}, "Expected 3 columns, got 4"),
        ("exch_ts,recv_ts,symbol,ltp", "1767325500,1767325500,A,1", {"clock": "recv"},
         "the file has both clocks"),
        ("ts,symbol,ltp", "1767325500,A,1", {"clock": "sun"}, "'sun' is not known"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, header: str, row: str, options: dict[str, Any], says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"{header}\n{row}\n")
    with pytest.raises((BadData, UsageError), match=says):
        bring(path, **options)
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = ticks_file(tmp_path / "a.parquet", [{"recv_ns": T0, "symbol": "A", "ltp": 1.0}])
    archive = tmp_path / "there.dfa"
    archive.write_bytes(b"something")
    with pytest.raises(UsageError, match="is there already"):
        import_ticks(path, archive, TickOptions(), CLOCK)
    assert archive.read_bytes() == b"something"


def test_columns_of_lists_are_refused(tmp_path: Path) -> None:
    path = ticks_file(
        tmp_path / "l.parquet", [{"recv_ns": T0, "symbol": "A", "ltp": 1.0, "x": [1]}]
    )
    with pytest.raises(BadData, match="'x' is list"):
        bring(path)


def test_an_archive_that_does_not_give_back_its_source_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dhanfast.storage.archive import forms

    path = ticks_file(tmp_path / "a.parquet", [{"recv_ns": T0, "symbol": "A", "ltp": 1.05}])
    monkeypatch.setattr(forms, "scaled_of", lambda column, digits: np.zeros(len(column), np.int64))
    monkeypatch.setattr(
        "dhanfast.storage.archive.planning.scaled_of", lambda c, d: np.zeros(len(c), np.int64)
    )
    with pytest.raises(BadData, match=r"row 1, column 'ltp': 1\.05 would come back as 0\.0"):
        import_ticks(path, tmp_path / "a.dfa", TickOptions(), CLOCK)
    assert list(tmp_path.iterdir()) == [path]
