"""The instrument master against a plain reader: every field, every lookup, every refusal."""

import dataclasses
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.errors import BadData, UsageError
from dhanfast.market.master import (
    Numbers,
    Texts,
    Words,
)
from dhanfast.market.master_csv import Parsed, known_columns, parse_master

from ..listing import (
    COMPACT,
    DETAILED,
    Row,
    as_csv,
    detailed_rows,
    option,
    options,
    read_plainly,
    share,
    to_compact,
)

FILES = Path(__file__).parent / "dhan"
JULY = date(2026, 7, 28)


def read(*rows: Row, header: list[str] | None = None, form: str | None = None) -> Parsed:
    """The master of some detailed rows."""
    return parse_master(as_csv(list(rows), header), name="rows.csv", form=form)


def require_equal(parsed: Parsed, wanted: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Every contract is what the plain reader says, and no more of them."""
    master = parsed.master
    assert parsed.refused == () and len(master) == len(wanted)
    for (segment, number), facts in wanted.items():
        got = dataclasses.asdict(master.get(segment, number))
        assert {name: got[name] for name in facts} == facts
        assert (got["segment"], got["security_id"]) == (segment, number)


@pytest.mark.parametrize("form", ["compact", "detailed"])
def test_the_recorded_forms_are_read(form: str) -> None:
    data = (FILES / f"instruments_{form}.csv").read_bytes()
    parsed = parse_master(data, name=form, form=form)
    require_equal(parsed, read_plainly(data))
    assert (parsed.left_out, parsed.notes, parsed.master.form) == ({}, (), form)


def test_what_both_forms_say_of_one_contract_is_the_same() -> None:
    both = [parse_master((FILES / f"instruments_{form}.csv").read_bytes(), name=form).master
            for form in ("compact", "detailed")]  # fmt: skip
    for segment, number in (("IDX_I", 13), ("NSE_EQ", 1333), ("NSE_FNO", 35001)):
        one, two = (dataclasses.asdict(master.get(segment, number)) for master in both)
        for name in ("isin", "underlying_id", "freeze", "upper", "lower", "series"):
            del one[name], two[name]
        assert one == two


def test_one_id_in_two_segments_is_two_contracts() -> None:
    data = (FILES / "instruments_compact.csv").read_bytes()
    master = parse_master(data, name="compact").master
    assert master.get("IDX_I", 13).kind == "IDX"
    assert master.get("NSE_FNO", 13).symbol == "NIFTY-Jul2026-25000-CE"
    assert master.row("NSE_EQ", 13) == -1


@given(rows=detailed_rows())
def test_generated_files_are_read_as_the_plain_reader_reads_them(rows: list[Row]) -> None:
    data = as_csv(rows)
    require_equal(parse_master(data, name="made"), read_plainly(data))
    short = as_csv([to_compact(row) for row in rows], COMPACT)
    require_equal(parse_master(short, name="made"), read_plainly(short))


@given(rows=detailed_rows(), order=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(rows: list[Row], order: Any) -> None:
    header = [name for name in DETAILED if name]
    first = parse_master(as_csv(rows, header), name="a").master
    order.shuffle(rows)
    order.shuffle(header)
    second = parse_master(as_csv(rows, header), name="b").master
    for row in range(len(first)):
        assert first.contract(row) == second.contract(row)
        assert first.extras(row) == second.extras(row)


# ---- numbers that floats would spoil -----------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "text", "field", "value"),
    [
        ("STRIKE_PRICE", "25000.05000", "strike", 2_500_005),
        ("STRIKE_PRICE", "0.29", "strike", 29),  # 0.29 * 100 is 28.999999999999996
        ("STRIKE_PRICE", "9007199254740993.01", "strike", 900_719_925_474_099_301),
        ("LOT_SIZE", "65.0", "lot", 65),
        ("LOT_SIZE", "65", "lot", 65),
        ("TICK_SIZE", "5.0000", "tick", 5),
        ("TICK_SIZE", "0.2500", "tick", 0),  # a quarter of a paisa: no whole number of them
        ("TICK_SIZE", "0.2500", "tick_micros", 2_500),
        ("TICK_SIZE", "1000", "tick", 1_000),
        ("SM_FREEZE_QTY", "1800.00", "freeze", 1_800),
        ("SM_FREEZE_QTY", "0", "freeze", None),
        ("SM_FREEZE_QTY", "", "freeze", None),
        ("SM_UPPER_LIMIT", "86.4525", "upper", 86_452_500),
        ("SM_UPPER_LIMIT", "x", "upper", None),
        ("SM_EXPIRY_DATE", "2026-07-28 14:30:00", "expiry", JULY),
        ("SECURITY_ID", "49081.0", "security_id", 49_081),
        ("SECURITY_ID", "4294967295", "security_id", 2**32 - 1),
        ("EXPIRY_FLAG", "NA", "expiry_flag", ""),
        ("DISPLAY_NAME", ' "x", y ', "name", '"x", y'),
    ],
)
def test_a_cell_is_read_exactly(column: str, text: str, field: str, value: object) -> None:
    contract = read(option(**{column: text})).master.contract(0)
    assert getattr(contract, field) == value


def test_an_index_has_its_tick_in_rupees() -> None:
    index = share(SEGMENT="I", INSTRUMENT="INDEX", TICK_SIZE="0.0500")
    assert read(index).master.get("IDX_I", 1333).tick == 5
    assert "tick of no use" in str(read(option(), index | {"TICK_SIZE": "50.0"}).refused[0])


def test_columns_we_do_not_know_are_kept() -> None:
    header = [*DETAILED[:-1], "SELL_CO_MIN_MARGIN_PER", "NEW_THING", ""]
    new = {"NEW_THING": "ü 1", "SELL_CO_MIN_MARGIN_PER": "12.25"}
    bad = {"SECURITY_ID": "2", "NEW_THING": "", "SELL_CO_MIN_MARGIN_PER": "none of it"}
    parsed = read(option(**new), option(**bad), header=header)
    first, second = parsed.master.extras(1), parsed.master.extras(0)
    assert first["NEW_THING"] == "ü 1" and first["SELL_CO_MIN_MARGIN_PER"] == Decimal("12.2500")
    assert second["NEW_THING"] == "" and second["SELL_CO_MIN_MARGIN_PER"] is None
    assert first["BRACKET_FLAG"] == "N" and first["MTF_LEVERAGE"] == Decimal(0)
    assert parsed.notes == ("SELL_CO_MIN_MARGIN_PER that is no number of 4 decimals: 1 rows",)


def test_every_column_of_the_documents_is_typed() -> None:
    assert set(known_columns("compact")) == set(COMPACT)
    untyped = set(DETAILED) - set(known_columns("detailed")) - {""}
    master = read(option()).master
    assert {type(master.columns[name]) for name in untyped} == {Numbers, Words}
    assert not any(isinstance(master.columns[name], Texts) for name in untyped)


# ---- rows that are refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "column", "why"),
    [
        ({"SECURITY_ID": "x1"}, "SECURITY_ID", "must be a whole number 1..4294967295"),
        ({"SECURITY_ID": "1.333e3"}, "SECURITY_ID", "must be a whole number"),
        ({"SECURITY_ID": "0"}, "SECURITY_ID", "must be a whole number"),
        ({"SECURITY_ID": "4294967296"}, "SECURITY_ID", "must be a whole number"),
        ({"SECURITY_ID": ""}, "SECURITY_ID", "must be a whole number"),
        ({"EXCH_ID": ""}, "EXCH_ID", "is missing"),
        ({"SEGMENT": "NA"}, "SEGMENT", "is missing"),
        ({"INSTRUMENT": ""}, "INSTRUMENT", "is missing"),
        ({"INSTRUMENT": "INDEX"}, "INSTRUMENT", "contradicts the segment"),
        ({"OPTION_TYPE": "PUT"}, "OPTION_TYPE", "is not CE, PE, XX or blank"),
        ({"OPTION_TYPE": "XX"}, "OPTION_TYPE", "must be CE or PE for an option"),
        ({"INSTRUMENT": "FUTIDX"}, "OPTION_TYPE", "must be XX or blank"),
        ({"SM_EXPIRY_DATE": "28-07-2026"}, "SM_EXPIRY_DATE", "is no date YYYY-MM-DD"),
        ({"SM_EXPIRY_DATE": "2026-02-30"}, "SM_EXPIRY_DATE", "is no date YYYY-MM-DD"),
        ({"SM_EXPIRY_DATE": ""}, "SM_EXPIRY_DATE", "is missing for a future or an option"),
        ({"SM_EXPIRY_DATE": "0001-01-01"}, "SM_EXPIRY_DATE", "is missing"),
        ({"STRIKE_PRICE": "-0.01"}, "STRIKE_PRICE", "must be above zero for an option"),
        ({"STRIKE_PRICE": "25,000"}, "STRIKE_PRICE", "is no number of rupees"),
        ({"STRIKE_PRICE": "0.125"}, "STRIKE_PRICE", "is no whole number of paise"),
        ({"STRIKE_PRICE": "9" * 19}, "STRIKE_PRICE", "is no number of rupees"),
        ({"INSTRUMENT": "FUTIDX", "OPTION_TYPE": "XX"}, "STRIKE_PRICE", "must be blank or -0.01"),
        ({"LOT_SIZE": "65.5"}, "LOT_SIZE", "must be a whole number of units"),
        ({"LOT_SIZE": "0"}, "LOT_SIZE", "must be at least 1 unit"),
        ({"LOT_SIZE": ""}, "LOT_SIZE", "must be at least 1 unit"),
        ({"LOT_SIZE": "-65"}, "LOT_SIZE", "must be a whole number of units"),
        ({"TICK_SIZE": "0.05"}, "TICK_SIZE", "look whether the unit of the column has changed"),
        ({"TICK_SIZE": "0"}, "TICK_SIZE", "is a tick of no use"),
        ({"TICK_SIZE": "1001"}, "TICK_SIZE", "is a tick of no use"),
        ({"TICK_SIZE": "nan"}, "TICK_SIZE", "is a tick of no use"),
        ({"SM_FREEZE_QTY": "many"}, "SM_FREEZE_QTY", "must be a whole number of units, or blank"),
        ({"SM_FREEZE_QTY": "-1"}, "SM_FREEZE_QTY", "must be a whole number of units, or blank"),
        (
            {"UNDERLYING_SYMBOL": "", "SYMBOL_NAME": "BSXOPT"},
            "UNDERLYING_SYMBOL",
            "names no symbol",
        ),
    ],
)
def test_a_row_is_refused_by_name(changes: Row, column: str, why: str) -> None:
    good = share()
    parsed = read(good, option(**changes), share(SECURITY_ID="7"))
    assert (len(parsed.master), parsed.refused_count, parsed.rows) == (2, 1, 3)
    (refused,) = parsed.refused
    assert (refused.line, refused.column) == (3, column)
    assert refused.value == (changes.get(column) or option(**changes)[column])
    assert str(refused).startswith(f"line 3: {column} ") and why in refused.why


def test_lines_that_are_no_rows_are_refused_and_the_rest_stands() -> None:
    text = as_csv(options(6)).decode().split("\n")
    text[2] += ",more"
    text[3] = text[3].replace("NIFTY 28", '"NIFTY 28', 1)
    text[4] = text[4].replace("NIFTY", "NIF\x07TY")
    data = "\n".join(text).encode()
    lines = data.split(b"\n")
    lines[5] = lines[5].replace(b"NIFTY 28", b"NIFTY \xff")
    parsed = parse_master(b"\r\n".join(lines), name="bad")
    assert [one.line for one in parsed.refused] == [3, 4, 5, 6]
    assert [one.why.split(";")[0] for one in parsed.refused] == [
        "has 34 cells where the header has 33",
        "has a quote that is not closed, or text after one that is",
        "holds a control character",
        "is not UTF-8 text",
    ]
    assert (len(parsed.master), parsed.rows) == (2, 6)


def test_equal_rows_are_one_and_unequal_rows_of_one_id_are_none() -> None:
    rows = [option(), share(), option(), option(SECURITY_ID="5"),
            option(SECURITY_ID="5", LOT_SIZE="75"), option(SECURITY_ID="5")]  # fmt: skip
    parsed = read(*rows)
    assert (len(parsed.master), parsed.repeated, parsed.refused_count) == (2, 1, 3)
    assert [one.line for one in parsed.refused] == [5, 6, 7]
    assert "stands in this segment twice and the rows differ" in parsed.refused[0].why


def test_markets_without_a_segment_are_counted_not_refused() -> None:
    rows = [option(), option(EXCH_ID="NSE", SEGMENT="M"), option(EXCH_ID="NCDEX", SEGMENT="M"),
            option(EXCH_ID="NSE", SEGMENT="M", SECURITY_ID="x")]  # fmt: skip
    parsed = read(*rows)
    assert parsed.left_out == {"NCDEX/M": 1, "NSE/M": 2} and parsed.refused_count == 0
    assert len(parsed.master) == 1


def test_thousands_of_bad_rows_are_counted_and_the_first_are_shown() -> None:
    bad = [row | {"TICK_SIZE": "0.05"} for row in options(1_500, first=10)]
    parsed = read(option(SECURITY_ID="1"), *bad)
    assert (parsed.refused_count, len(parsed.refused)) == (1_500, 1_000)


# ---- files that are refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\n  \n", "the file is empty"),
        (b"\n" * 600 + b"x", "blank lines only"),
        (b"<!DOCTYPE html><html>Access denied", "is a web page"),
        (b"\xef\xbb\xbf  <html>", "is a web page"),
        (b'{"errorType":"Rate_Limit"}', "is JSON, perhaps an error"),
        (b"\x1f\x8b\x08\x00", "is compressed"),
        (b"PK\x03\x04", "is compressed"),
        ("SEM_EXM_EXCH_ID".encode("utf-16"), "is UTF-16 text"),
        (b"\x00\x01\x02", "is binary"),
        (b"a,b,c\n1,2,3\n", "this is no instrument file of Dhan"),
        (as_csv([]), "a header but no rows"),
        (as_csv([option(TICK_SIZE="0.05")]), "no row of 1 can be taken; the first: line 2: TICK_"),
        (as_csv([option()], [*DETAILED, "ISIN"]), "the header has ISIN twice"),
        (as_csv([option()], ['"', *DETAILED])[3:], "header line is not comma-separated"),
        (as_csv(options(2))[:-40], "ends in the middle of a row"),
        (as_csv(options(2))[:-2], "ends in the middle of a row"),
    ],
)
def test_a_file_is_refused_by_name(data: bytes, says: str) -> None:
    with pytest.raises(BadData, match=r"^the file\.csv: ") as caught:
        parse_master(data, name="the file.csv")
    assert says in str(caught.value)


@pytest.mark.parametrize("form", ["compact", "detailed"])
def test_a_column_that_is_needed_and_missing_is_named(form: str) -> None:
    rows = {"compact": to_compact(option()), "detailed": option()}[form]
    header = {"compact": COMPACT, "detailed": DETAILED}[form]
    lot = {"compact": "SEM_LOT_UNITS", "detailed": "LOT_SIZE"}[form]
    renamed = [name + "S" if name == lot else name for name in header]
    with pytest.raises(BadData, match=f"no column {lot}; the nearest is {lot}S"):
        parse_master(as_csv([rows], renamed), name="x")


def test_the_form_that_was_named_must_be_the_form() -> None:
    with pytest.raises(BadData, match="this is the detailed file; say --format detailed"):
        read(option(), form="compact")
    with pytest.raises(UsageError, match="format must be compact or detailed"):
        read(option(), form="huge")


@pytest.mark.parametrize("change", ["bom", "crlf", "lower", "spaces", "no end", "short rows"])
def test_what_editors_do_to_a_file_does_not_matter(change: str) -> None:
    data = as_csv(options(3))
    wanted = read_plainly(data)
    head, _, body = data.partition(b"\n")
    data = {
        "bom": b"\xef\xbb\xbf" + data,
        "crlf": data.replace(b"\n", b"\r\n"),
        "lower": head.lower() + b"\n" + body,
        "spaces": head.replace(b",", b" , ") + b"\n" + body,
        "no end": data.removesuffix(b"\n"),
        "short rows": head + b"\n" + body.replace(b",\n", b"\n"),
    }[change]
    require_equal(parse_master(data, name="x"), wanted)


@given(rows=detailed_rows(), data=st.data())
def test_spoiled_bytes_are_refused_or_accounted_for(rows: list[Row], data: st.DataObject) -> None:
    """Whatever happens to a file on its way: an error, or every line accounted for."""
    text = bytearray(as_csv(rows))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(text) - 1))
        piece = data.draw(st.sampled_from([b"", b",", b'"', b"\n", b"\xff", b"-", b"9", b"\x00"]))
        text[place : place + data.draw(st.integers(0, 3))] = piece
        if not text:
            return
    try:
        parsed = parse_master(bytes(text), name="spoiled.csv")
    except BadData as error:
        assert str(error).startswith("spoiled.csv: ")
        return
    taken = len(parsed.master) + parsed.refused_count + parsed.repeated
    assert parsed.rows == taken + sum(parsed.left_out.values())
    lines = [line for line in bytes(text).split(b"\n")[1:] if line.removesuffix(b"\r")]
    assert parsed.rows <= len(lines) + 1
