"""CSV in: what a file says is what the engine gets, and a bad row is named where it stands."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.bars import BarSet, interval_name, read_bars

Make = Callable[..., Path]
IST = timezone(timedelta(hours=5, minutes=30))
START = datetime(2022, 1, 3, 9, 15, tzinfo=IST)
FORMS: dict[str, tuple[Callable[[datetime], str], str | None]] = {
    "seconds": (lambda at: str(int(at.timestamp())), None),
    "milliseconds": (lambda at: str(int(at.timestamp()) * 1000), None),
    "microseconds": (lambda at: str(int(at.timestamp()) * 1_000_000), None),
    "nanoseconds": (lambda at: str(int(at.timestamp()) * 1_000_000_000), "UTC"),
    "ist as epoch": (lambda at: str(int(at.timestamp()) + 19_800), "Asia/Kolkata"),
    "naive ist": (lambda at: at.strftime("%Y-%m-%d %H:%M:%S"), "Asia/Kolkata"),
    "naive ist, minutes": (lambda at: at.strftime("%Y-%m-%dT%H:%M"), "Asia/Kolkata"),
    "naive utc": (lambda at: at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"), "UTC"),
    "zoned ist": (lambda at: at.isoformat(), None),
    "zoned ist, said twice": (lambda at: at.isoformat(), "Asia/Kolkata"),
    "zoned utc": (lambda at: at.astimezone(UTC).isoformat(), None),
    "zulu": (lambda at: at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), None),
    "compact zone": (lambda at: at.strftime("%Y-%m-%d %H:%M:%S%z"), None),
}


@st.composite
def paise_bars(draw: st.DrawFn) -> list[tuple[int, int, int, int, int]]:
    """Legal bars as (open, high, low, close, volume), prices in paise."""
    bars = []
    for _ in range(draw(st.integers(3, 12))):
        low, high = sorted(draw(st.tuples(*[st.integers(1, 9_999_999)] * 2)))
        first, last = draw(st.tuples(*[st.integers(low, high)] * 2))
        bars.append((first, high, low, last, draw(st.integers(0, 2**50))))
    return bars


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bars=paise_bars(), form=st.sampled_from(sorted(FORMS)), step=st.sampled_from([1, 5, 15]))
def test_what_was_written_is_what_is_read(
    tmp_path: Path, bars: list[tuple[int, int, int, int, int]], form: str, step: int
) -> None:
    write, tz = FORMS[form]
    times = [START + timedelta(minutes=step * n) for n in range(len(bars))]
    lines = ["ts,open,high,low,close,volume"]
    for at, (*prices, volume) in zip(times, bars, strict=True):
        rupees = ",".join(str(Decimal(price) / 100) for price in prices)
        lines.append(f"{write(at)},{rupees},{volume}")
    path = tmp_path / "round.csv"
    path.write_text("\n".join(lines))
    got = read_bars(path, symbol="NIFTY", tz=tz)
    assert got.bars["start_ns"].tolist() == [int(at.timestamp()) * 10**9 for at in times]
    columns = ("open", "high", "low", "close", "volume")
    assert [tuple(bar[c] for c in columns) for bar in got.bars] == bars
    assert (got.timeframe, got.off_grid, got.generated) == (f"{step}m", 0, False)


def check_invariants(bar_set: BarSet) -> None:
    """What every accepted set of bars obeys, whatever the file was."""
    bars = bar_set.bars
    assert len(bars) >= 1
    assert (np.diff(bars["start_ns"]) > 0).all()
    assert (bars["low"] >= 1).all() and (bars["volume"] >= 0).all()
    for price in ("open", "close"):
        assert ((bars["low"] <= bars[price]) & (bars[price] <= bars["high"])).all()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_hostile_bytes_are_refused_or_legal(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "hostile.csv"
    path.write_bytes(data)
    try:
        check_invariants(read_bars(path, symbol="X", tz="UTC"))
    except DhanfastError as error:
        assert "hostile.csv" in str(error)


CELLS = st.sampled_from(
    ["1641181500", "1641181560", "1641181620", "2022-01-03 09:15", "", "nan", "inf", "-1", "0",
     "1e400", "100.5", "99", '"1,000"', "x", "1641181500000000000", "\x00", "9" * 30, "1e18"]
)  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, min_size=5, max_size=7), min_size=1, max_size=6))
def test_hostile_cells_are_refused_or_legal(tmp_path: Path, grid: list[list[str]]) -> None:
    path = tmp_path / "cells.csv"
    body = "\n".join(",".join(row) for row in grid)
    path.write_text(f"ts,open,high,low,close,volume\n{body}\n")
    try:
        check_invariants(read_bars(path, symbol="X", tz="UTC"))
    except DhanfastError as error:
        assert "cells.csv" in str(error)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spoil=st.dictionaries(st.integers(0, 7), st.tuples(st.integers(1, 4), CELLS), min_size=1))
def test_accepted_rows_are_those_a_plain_reader_accepts(
    tmp_path: Path, spoil: dict[int, tuple[int, str]]
) -> None:
    rows = [[str(1_641_181_500 + 60 * n), "100", "102", "99", "101", "5"] for n in range(8)]
    for row, (column, cell) in spoil.items():
        rows[row][column] = cell
    text = "ts,open,high,low,close,volume\n" + "\n".join(",".join(row) for row in rows) + "\n"
    path = tmp_path / "spoilt.csv"
    path.write_text(text)
    want = [plain_verdict(cells) for cells in list(csv.reader(io.StringIO(text)))[1:]]
    try:
        read_bars(path, symbol="X")
        accepted = True
    except BadData as error:
        accepted = False
        first = want.index(False) + 2
        assert f"line {first}:" in str(error), str(error)
        assert f"{want.count(False)} bad row" in str(error)
    assert accepted == all(want)


def plain_verdict(cells: list[str]) -> bool:
    """Whether a row is a legal bar, by the rules as one would say them."""
    if len(cells) != 6:
        return False
    try:
        opens, high, low, close = (Decimal(cell) for cell in cells[1:5])
    except ArithmeticError:
        return False
    prices = (opens, high, low, close)
    if not all(price.is_finite() and 0 < price <= 10**9 for price in prices):
        return False
    return low <= opens <= high and low <= close <= high


@pytest.mark.parametrize(
    ("row", "column", "cell", "says"),
    [
        (1, 1, "nan", "line 3: open: 'nan' is not a finite number"),
        (1, 2, "inf", "line 3: high: 'inf' is not a finite number"),
        (1, 3, "0", "line 3: low: '0' is not a positive price"),
        (1, 3, "0.004", "line 3: low: '0.004' is not a positive price"),
        (2, 4, "-5", "line 4: close: '-5' is not a positive price"),
        (2, 2, "10", "line 4: high: '10' is below the low"),
        (0, 1, "103", "line 2: open: '103' is above the high"),
        (0, 4, "99", "line 2: close: '99' is below the low"),
        (0, 1, "1.2.3", "line 2: open: '1.2.3' is not a number"),
        (0, 1, "", "line 2: open: '' is not a number"),
        (0, 2, "2e9", "line 2: high: '2e9' is above 1,000,000,000 rupees"),
        (2, 5, "-1", "line 4: volume: '-1' is negative"),
        (2, 5, "1.5", "line 4: volume: '1.5' is not a whole number"),
        (2, 0, 1641181500000000000, "line 4: ts: '1641181500000000000' repeats the stamp"),
        (2, 0, 1641181440000000000, "line 4: ts: '1641181440000000000' is earlier than"),
        (1, 0, 16411815, "line 3: ts: '16411815' is not a time"),
    ],
)
def test_a_bad_cell_is_named(
    csv_file: Make, rows: list[list[Any]], row: int, column: int, cell: object, says: str
) -> None:
    rows[row][column] = cell
    with pytest.raises(BadData) as refused:
        read_bars(csv_file(rows), symbol="NIFTY")
    message = str(refused.value)
    assert says in message
    assert message.startswith("bars.csv: 1 bad row of 3; nothing was taken")
    assert "--on-bad skip" in message


def test_the_first_ten_are_shown_and_all_are_counted(csv_file: Make) -> None:
    rows = [[1_641_181_500 + 60 * n, 100, 102, 99, 0, 0] for n in range(25)]
    with pytest.raises(BadData) as refused:
        read_bars(csv_file(rows), symbol="NIFTY")
    message = str(refused.value)
    assert "25 bad rows of 25" in message and "and 15 more" in message
    assert message.count("close: '0'") == 10


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text(
        "\n\nts,open,high,low,close\n1641181500,1,1,1,1\n\n1641181560,1,1,1,1\n\n\n"
        "1641181620,x,1,1,1\n"
    )
    with pytest.raises(BadData, match=r"line 9: open: 'x' is not a number"):
        read_bars(path, symbol="X")


def test_a_ragged_line_is_named(csv_file: Make, rows: list[list[Any]]) -> None:
    rows[1].append("7")
    with pytest.raises(BadData, match=r"line 3: line: .* has not the 6 cells of the header"):
        read_bars(csv_file(rows), symbol="X")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"ts,open,high,low,close\n", "a header but no rows"),
        (b"ts,open,high,low,close\n \n\n", "a header but no rows"),
        (b"ts,open,high,close\n1,2,3,4\n", "no column low"),
        (b"1641181500,1,2,1,2\n1641181560,1,2,1,2\n", "looks like data: put a header"),
        (b"ts,open,open,high,low,close\n1,1,1,1,1,1\n", "2 columns named 'open'"),
        (b"PK\x03\x04rest", "a spreadsheet"),
        (b"ts,open,high,low,close\n1641181500,1,1,1,1\n", "one bar does not tell how long"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(data)
    with pytest.raises(BadData, match=says):
        read_bars(path, symbol="X")


def test_columns_can_be_named_and_joined(csv_file: Make) -> None:
    rows = [["20220103", f"09:{15 + n}", 1, 4, 1, 3, "n/a"] for n in range(3)]
    path = csv_file(rows, header="Day,Clock,o,h,l,c,volume")
    got = read_bars(
        path, symbol="X", tz="Asia/Kolkata",
        columns="ts=Day+Clock,open=o,high=h,low=l,close=c,volume=none",
    )  # fmt: skip
    assert got.first == START and got.bars["high"].tolist() == [400] * 3
    assert got.bars["volume"].tolist() == [0] * 3


def test_a_bare_date_takes_its_time_column(csv_file: Make) -> None:
    rows = [["2022-01-03", f"09:{15 + n}:00", 1, 4, 1, 3] for n in range(3)]
    got = read_bars(
        csv_file(rows, header="date,time,open,high,low,close"), symbol="X", tz="Asia/Kolkata"
    )
    assert got.first == START


@pytest.mark.parametrize(
    ("columns", "says"),
    [("ts", "not a pair"), ("ts=a,ts=b", "twice"), ("price=p", "not a column of ours")],
)
def test_a_mapping_that_makes_no_sense(csv_file: Make, columns: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_bars(csv_file(), symbol="X", columns=columns)


def stamped(csv_file: Make, *stamps: str) -> Path:
    return csv_file([[stamp, 1, 1, 1, 1] for stamp in stamps], header="ts,open,high,low,close")


def test_stamps_without_a_zone_are_never_guessed(csv_file: Make) -> None:
    path = stamped(csv_file, "2022-01-03 09:15", "2022-01-03 09:16")
    with pytest.raises(UsageError, match=r"bars.csv: .*--tz Asia/Kolkata or --tz UTC"):
        read_bars(path, symbol="X")


@pytest.mark.parametrize(
    ("second", "says"),
    [("2022-01-03 03:46:00Z", r"line 2 has \+05:30, line 3 has \+00:00"),
     ("2022-01-03 09:16:00", r"line 2 has \+05:30, line 3 has no zone")],
)  # fmt: skip
def test_mixed_zones_are_refused(csv_file: Make, second: str, says: str) -> None:
    path = stamped(csv_file, "2022-01-03 09:15:00+05:30", second, "2022-01-03 09:17:00+05:30")
    with pytest.raises(BadData, match=says):
        read_bars(path, symbol="X", tz="Asia/Kolkata")


@pytest.mark.parametrize("broken", [False, True])
def test_a_zone_that_contradicts_the_stamps(csv_file: Make, broken: bool) -> None:
    third = "soon" if broken else "2022-01-03 09:17:00+05:30"
    path = stamped(csv_file, "2022-01-03 09:15:00+05:30", "2022-01-03 09:16:00+05:30", third)
    with pytest.raises(BadData, match=r"carry the zone \+05:30, but --tz UTC"):
        read_bars(path, symbol="X", tz="UTC")


def test_an_unknown_zone_stamp_and_file(csv_file: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'EST' is not known"):
        read_bars(csv_file(), symbol="X", tz="EST")
    with pytest.raises(UsageError, match="'middle' is not known"):
        read_bars(csv_file(), symbol="X", stamp="middle")
    with pytest.raises(UsageError, match="no such file"):
        read_bars(tmp_path / "absent.csv")


def test_end_stamps_are_brought_to_the_start(csv_file: Make) -> None:
    path = stamped(csv_file, *(f"2022-01-03 09:{16 + n}" for n in range(3)))
    got = read_bars(path, symbol="X", tz="Asia/Kolkata", stamp="end")
    assert got.first == START and got.interval_ns == 60 * 10**9
    assert any("1m taken off" in fact for fact in got.facts)


def test_dates_choose_rows_and_only_those_are_judged(csv_file: Make) -> None:
    days = ["2022-01-03", "2022-01-04", "2022-01-05"]
    rows = [[f"{day} 09:{15 + n}", 1, 1, 1, 1] for day in days for n in range(3)]
    rows[0][1] = 0
    path = csv_file(rows, header="ts,open,high,low,close")
    got = read_bars(path, symbol="X", tz="Asia/Kolkata", start="2022-01-04", end="2022-01-04")
    assert [str(got.first.date()), str(got.last.date()), len(got.bars)] == [
        "2022-01-04", "2022-01-04", 3]  # fmt: skip
    with pytest.raises(BadData, match="line 2"):
        read_bars(path, symbol="X", tz="Asia/Kolkata")


def test_dates_the_file_does_not_cover(csv_file: Make) -> None:
    path = csv_file()
    with pytest.raises(BadData, match=r"no bar from 2023-01-02 .* covers 2022-01-03 09:15"):
        read_bars(path, symbol="X", start="2023-01-02")
    with pytest.raises(BadData, match=r"2021-12-01 to 2022-01-02 \(23 trading days\)"):
        read_bars(path, symbol="X", start="2021-12-01")
    assert len(read_bars(path, symbol="X", start="2022-01-01", end="2022-01-03").bars) == 3
    with pytest.raises(UsageError, match="lies before"):
        read_bars(path, symbol="X", start="2022-02-01", end="2022-01-01")
    with pytest.raises(UsageError, match="'soon' is not a date"):
        read_bars(path, symbol="X", start="soon")


def test_the_instrument_is_named_or_asked_for(csv_file: Make, rows: list[list[Any]]) -> None:
    with pytest.raises(UsageError, match="say it with --symbol"):
        read_bars(csv_file())
    named = [[*row, name] for row in rows for name in ("NIFTY", "BANKNIFTY")]
    path = csv_file(named, header="ts,open,high,low,close,volume,symbol", name="two.csv")
    with pytest.raises(UsageError, match=r"2 instruments \(NIFTY, BANKNIFTY\)"):
        read_bars(path)
    with pytest.raises(UsageError, match="not 'SENSEX'"):
        read_bars(path, symbol="SENSEX")
    got = read_bars(path, symbol="BANKNIFTY")
    assert (got.symbol, len(got.bars), got.sources[0].rows) == ("BANKNIFTY", 3, 3)


def test_prices_between_two_paise_are_counted(csv_file: Make, rows: list[list[Any]]) -> None:
    rows[1][1:5] = ["100.128", "102.0", "99.5", "101.00001"]
    got = read_bars(csv_file(rows), symbol="X")
    assert got.off_grid == 1 and got.bars["open"][1] == 10013
    assert any("not a whole paisa" in note and "line 3" in note for note in got.notes)


def test_semicolons_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "excel.csv"
    text = "TS;Open;High;Low;Close\r\n1641181500;1;2;1;2\r\n1641181560;1;2;1;2\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_bars(path, symbol="X").bars) == 2


@pytest.mark.parametrize(
    ("ns", "name"),
    [(60 * 10**9, "1m"), (900 * 10**9, "15m"), (3600 * 10**9, "1h"), (86_400 * 10**9, "1d"),
     (10**9, "1s"), (250 * 10**6, "250ms"), (7, "7ns"), (90 * 10**9, "90s")],
)  # fmt: skip
def test_intervals_have_names(ns: int, name: str) -> None:
    assert interval_name(ns) == name


def test_a_bad_row_of_one_instrument_does_not_stop_another(csv_file: Make) -> None:
    rows = [[1_641_181_500 + 60 * n, 100, 102, 99, 101, name] for n in range(4) for name in "AB"]
    rows[3][1] = "x"  # line 5, instrument B
    path = csv_file(rows, header="ts,open,high,low,close,instrument")
    assert len(read_bars(path, symbol="A").bars) == 4
    with pytest.raises(BadData, match=r"1 bad row of 8.*\n.*line 5: open: 'x' is not a number"):
        read_bars(path, symbol="B")


def test_dates_may_be_dates_but_not_times(csv_file: Make) -> None:
    path = csv_file()
    assert len(read_bars(path, symbol="X", start=START.date(), end=START.date()).bars) == 3
    with pytest.raises(UsageError, match="not a time"):
        read_bars(path, symbol="X", start=START)


def test_a_stamp_column_called_time(csv_file: Make, rows: list[list[Any]]) -> None:
    path = csv_file(rows, header="time,open,high,low,close,volume")
    assert read_bars(path, symbol="X").first == START


def test_whole_dates_written_as_numbers_need_a_zone(csv_file: Make) -> None:
    path = stamped(csv_file, "20220103", "20220104", "20220105", "20220199")
    with pytest.raises(UsageError, match="--tz"):
        read_bars(path, symbol="X")
    with pytest.raises(BadData, match="line 5: ts: '20220199' is not a time"):
        read_bars(path, symbol="X", tz="Asia/Kolkata")
    path = stamped(csv_file, "20220103", "20220104", "20220105")
    got = read_bars(path, symbol="X", tz="Asia/Kolkata")
    assert (got.timeframe, got.first.isoformat()) == ("1d", "2022-01-03T00:00:00+05:30")


def test_zones_that_are_not_indian(csv_file: Make) -> None:
    path = stamped(csv_file, "2022-01-02 22:45-05", "2022-01-02 22:46-05", "2022-01-02 22:47-05")
    assert read_bars(path, symbol="X").first == START


@pytest.mark.parametrize(
    "second", ["2022-01-03 24:15Z", "2022-02-30 09:15Z", "2022-01-03 9:15Zulu"]
)
def test_times_that_do_not_exist(csv_file: Make, second: str) -> None:
    path = stamped(csv_file, "2022-01-03 09:15Z", second, "2022-01-03 09:17Z", "2022-01-03 09:18Z")
    with pytest.raises(BadData, match=f"line 3: ts: '{second}' is not a time"):
        read_bars(path, symbol="X")


def test_text_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes(b"ts,open,high,low,close\n1641181500,1,1,1,\xff\n1641181560,1,1,1,1\n")
    with pytest.raises(BadData, match=r"latin.csv: not a CSV file we can read: .*UTF8"):
        read_bars(path, symbol="X")


def test_a_time_column_given_twice(csv_file: Make) -> None:
    with pytest.raises(UsageError, match=r"ts=DATE\+TIME or time=TIME, not both"):
        read_bars(csv_file(), symbol="X", columns="ts=ts+x,time=y")


def test_a_file_of_unreadable_stamps_names_them(csv_file: Make) -> None:
    """Not the interval, which nobody can tell when no stamp was read."""
    rows = [[f"03-01-2022 09:{minute}", 1, 1, 1, 1, 0] for minute in (15, 16)]
    path = csv_file(rows)
    with pytest.raises(BadData, match=r"line 2: ts: '03-01-2022 09:15' is not a time"):
        read_bars(path, symbol="X", tz="Asia/Kolkata")
