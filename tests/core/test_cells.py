"""Cells of CSV text: against the csv module, Decimal and datetime; hostile bytes; refusals."""

import csv
import re
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dhanfast._core import cells
from dhanfast.errors import BadData, UsageError

NOTHING = {"", "NA", "N/A", "NAN", "NULL", "NONE"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]|\r(?!$)")
Scan = tuple[list[list[str]], list[int], list[int]]


def scanned(data: bytes, width: int, spare: bool = False) -> Scan:
    """Every kept row as texts, its line numbers, and the lines that are spoiled."""
    slots = np.arange(width, dtype=np.int32)
    starts, ends, lines, spoiled = cells.scan(data, 0, 0, slots, spare)
    columns = [column_of(data, starts[c], ends[c]) for c in range(width)]
    rows = [list(row) for row in zip(*columns, strict=True)] if len(lines) else []
    return rows, lines.tolist(), spoiled[:, 0].tolist()


def column_of(data: bytes, starts: np.ndarray, ends: np.ndarray) -> list[str]:
    """A column of text."""
    offsets, blob = cells.texts(data, starts, ends)
    raw = blob.tobytes()
    return [raw[a:b].decode() for a, b in pairwise(offsets)]


def oracle(text: str, width: int, spare: bool) -> Scan:
    """One line at a time through the strict csv module."""
    rows, lines, spoiled = [], [], []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line:
            continue
        try:
            if CONTROL.search(line) or "\r" in line:
                raise csv.Error("control character")
            found = next(csv.reader([line], strict=True))
        except csv.Error:
            spoiled.append(number)
            continue
        found = [cell.strip(" \t") for cell in found]
        if len(found) == width + 1 and not found[-1]:
            found.pop()
        if spare and len(found) == width - 1:
            found.append("")
        if len(found) == width:
            rows.append(found)
            lines.append(number)
        else:
            spoiled.append(number)
    return rows, lines, spoiled


TEXT = st.text(st.sampled_from('ab ,",\n\r\t\x00é"'), max_size=60)


@given(text=TEXT, width=st.integers(1, 4), spare=st.booleans())
@example(text='a,"b ""c"" ",\n"open,b\nx,y\n', width=2, spare=False)
@example(text='"a"b,c\n,\n"",""\r\n', width=2, spare=False)
@example(text='""""\n"""\n', width=1, spare=False)
def test_cells_are_those_of_the_csv_module(text: str, width: int, spare: bool) -> None:
    assert scanned(text.encode(), width, spare) == oracle(text, width, spare)


@given(data=st.binary(max_size=200), width=st.integers(1, 5))
def test_any_bytes_are_survived_and_every_line_is_accounted_for(data: bytes, width: int) -> None:
    slots = np.arange(width, dtype=np.int32)
    starts, ends, lines, spoiled = cells.scan(data, 0, 0, slots)
    filled = [n for n, line in enumerate(data.split(b"\n"), 1) if line.removesuffix(b"\r")]
    assert sorted([*lines.tolist(), *spoiled[:, 0].tolist()]) == filled
    for column in range(width):
        cells.texts(data, starts[column], ends[column])
        cells.decimals(data, starts[column], ends[column], 4)
        cells.dates(data, starts[column], ends[column])


def one(text: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A column of one cell."""
    data = text.encode()
    return data + b"\n", np.array([0], np.uint32), np.array([len(data)], np.uint32)


def decimal(text: str, places: int) -> tuple[int, int]:
    values, faults = cells.decimals(*one(text), places)
    return int(values[0]), int(faults[0])


NUMBERS = st.from_regex(r"[+-]?[0-9]{0,22}(\.[0-9]{0,14})?", fullmatch=True) | st.text(
    st.sampled_from("0123456789.+-eE_naNA/ul "), max_size=12
)


@given(text=NUMBERS, places=st.integers(0, 12))
@example(text="9223372036854775807", places=0)
@example(text="9223372036854775808", places=0)
@example(text="-9223372036854775807", places=0)
@example(text="922337203685477580.7", places=1)
@example(text="65.0", places=0)
@example(text="-0.01000", places=2)
def test_numbers_are_those_of_decimal(text: str, places: int) -> None:
    got, fault = decimal(text, places)
    if text.upper() in NOTHING:
        assert (got, fault) == (0, cells.BLANK)
        return
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text, re.ASCII):
        assert (got, fault) == (0, cells.NOT_OF_FORM)
        return
    sign = "-" if text.startswith("-") else ""
    digits = text.lstrip("+-")
    whole, _, part = digits.partition(".")
    kept = int((whole or "0") + part[:places].ljust(places, "0"))
    if part[places:].strip("0"):
        assert fault in (cells.TOO_FINE, cells.TOO_LARGE) and got == 0
    elif kept > 2**63 - 1:
        assert (got, fault) == (0, cells.TOO_LARGE)
    else:
        assert (got, fault) == (int(Decimal(f"{sign}{digits}").scaleb(places)), 0)


DATES = st.dates().map(str) | st.from_regex(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?", fullmatch=True
) | st.text(st.sampled_from("0123-: T"), max_size=19)  # fmt: skip


@given(text=DATES)
@example(text="2024-02-29")
@example(text="1900-02-29")
@example(text="2026-07-28 14:30:00")
@example(text="2026-07-28 24:00:00")
@example(text="0001-01-01")
def test_dates_are_those_of_datetime(text: str) -> None:
    values, faults = cells.dates(*one(text))
    got, fault = int(values[0]), int(faults[0])
    if text == "":
        assert (got, fault) == (0, cells.BLANK)
        return
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?", text):
            raise ValueError
        day = datetime.fromisoformat(text).date()
    except ValueError:
        assert (got, fault) == (0, cells.NOT_OF_FORM)
        return
    wanted = 0 if day == date(1, 1, 1) else int(f"{day:%d}") + 100 * day.month + 10_000 * day.year
    assert (got, fault) == (wanted, 0)


def test_a_cell_with_quotes_in_it_is_no_number_and_no_date() -> None:
    data = b'"1""2","3"\n'
    starts, ends, _, _ = cells.scan(data, 0, 0, np.arange(2, dtype=np.int32))
    for column, fault in ((0, cells.NOT_OF_FORM), (1, 0)):
        assert cells.decimals(data, starts[column], ends[column], 0)[1][0] == fault
    assert cells.dates(data, starts[0], ends[0])[1][0] == cells.NOT_OF_FORM


def test_the_header_is_the_first_line_with_something_in_it() -> None:
    assert cells.header(b'\n\r\n a ,"b,c",\nx') == (["a", "b,c", ""], 14, 3)
    assert cells.header(b"") == ([], 0, 0)
    assert cells.header(b"\n\n") == ([], 2, 2)
    assert cells.header(b"xx\na,b", 3) == (["a", "b"], 6, 1)
    with pytest.raises(BadData, match="header line is not comma-separated"):
        cells.header(b'"open\n')


def test_a_line_of_too_many_cells_is_spoiled_and_the_next_is_read() -> None:
    data = b"," * 5_000 + b"\na,b\n"
    assert scanned(data, 2) == ([["a", "b"]], [2], [1])


def test_columns_can_be_left_out() -> None:
    data = b"a,b,c\nd,e,f\n"
    starts, ends, _, _ = cells.scan(data, 0, 0, np.array([1, -1, 0], np.int32))
    assert column_of(data, starts[0], ends[0]) == ["c", "f"]
    assert column_of(data, starts[1], ends[1]) == ["a", "d"]


@pytest.mark.parametrize("slots", [[0, 0], [1, 2], [], [0, 2]])
def test_slots_that_are_no_places_are_refused(slots: list[int]) -> None:
    with pytest.raises(UsageError, match="slots must name the places"):
        cells.scan(b"a,b\n", 0, 0, np.array(slots, np.int32))


def test_columns_of_another_text_are_refused() -> None:
    far, near = np.array([7], np.uint32), np.array([0], np.uint32)
    for call in (cells.dates, cells.texts, lambda *a: cells.decimals(*a, 2)):
        with pytest.raises(UsageError, match="row 0 lies outside the text"):
            call(b"abc", near, far)
        with pytest.raises(UsageError, match="row 0 lies outside the text"):
            call(b"abcdefgh", far, near)
        with pytest.raises(UsageError, match="take both of one scan"):
            call(b"abc", near, np.array([0, 1], np.uint32))
        with pytest.raises(UsageError, match="data is empty"):
            call(b"", near, near)
    with pytest.raises(UsageError, match=r"places must be 0\.\.12"):
        cells.decimals(b"1", near, near, 13)


def test_lines_are_counted() -> None:
    assert [cells.count_lines(data) for data in (b"", b"a", b"a\n", b"a\nb")] == [1, 1, 2, 2]
