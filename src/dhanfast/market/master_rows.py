"""From checked cells to the sorted columns of a `Master`."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core import cells
from dhanfast.market.master import KINDS, NONE, SEGMENTS, Column, Master, Numbers, Texts, Words
from dhanfast.market.master_forms import FLAGS, LEFT, PERCENT, PERCENT_PLACES, SYMBOL

if TYPE_CHECKING:
    from dhanfast.market.master_csv import Sheet

Facts = dict[str, NDArray[Any]]  # checked numbers of every row of the file, refused ones included
Rows = NDArray[np.int64]

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FUTURE: Final = KINDS.index("FUT")
# Columns whose name in the master is the one in `Form.columns`, kept for `Master.extras`.
SPARE_WORDS: Final = ("type",)
SPARE_TEXTS: Final = ("symbol_name",)


def assemble(sheet: "Sheet", facts: Facts) -> tuple[Master, int]:
    """Name the rows that still stand, sort them, and make the master of them.

    Args:
        sheet: the cells; more rows are refused here: without a symbol, or of an id used twice.
        facts: segment, key, kind, expiry, strike, lot, tick, freeze, upper, lower; one a row.

    Returns:
        the master, and how many rows repeated another one word for word.
    """
    import pyarrow as pa

    rows = np.flatnonzero(sheet.alive)
    symbols, underlyings = _names(sheet, facts, rows)
    named = np.array([bool(text) for text in symbols], bool)
    nameless = np.zeros(len(sheet.alive), bool)
    nameless[rows[~named]] = True
    owner = "symbol" if sheet.form.name == "compact" else "underlying"
    sheet.refuse(nameless, owner, "names no symbol; without it the contract cannot be told")
    place = np.full(len(sheet.alive), -1, np.int64)
    place[rows] = np.arange(len(rows))
    chosen, repeated = _sorted_once(sheet, facts["key"])
    at = place[chosen]
    columns = _columns(sheet, facts, chosen)
    columns["symbol"] = _texts_of(pa.array([symbols[i] for i in at.tolist()], pa.string()))
    columns["underlying"] = _words_of(pa.array([underlyings[i] for i in at.tolist()], pa.string()))
    columns["order"] = Numbers(_order(columns))
    return Master(columns, sheet.form.name), repeated


def _sorted_once(sheet: "Sheet", keys: NDArray[Any]) -> tuple[Rows, int]:
    """Rows that stand, by key; of equal rows the first, of different ones with one key none."""
    rows = np.flatnonzero(sheet.alive)
    rows = rows[np.argsort(keys[rows], kind="stable")]
    ordered = keys[rows]
    again = np.zeros(len(rows), bool)
    again[1:] = ordered[1:] == ordered[:-1]
    clash = np.zeros(len(sheet.alive), bool)
    firsts = np.maximum.accumulate(np.where(again, 0, np.arange(len(rows))))

    def text(row: int) -> list[str]:
        return [sheet.cell(slot, row) for slot in range(len(sheet.starts))]

    for index in np.flatnonzero(again).tolist():
        one, other = int(rows[firsts[index]]), int(rows[index])
        clash[one] |= text(one) != text(other)
    bad_keys = np.unique(keys[clash])
    clash[rows[np.isin(ordered, bad_keys)]] = True
    if clash.any():
        sheet.refuse(clash, "id", "stands in this segment twice and the rows differ; none is taken")
    keep = ~again & ~np.isin(ordered, bad_keys)
    repeated = int((again & ~np.isin(ordered, bad_keys)).sum())
    return rows[keep], repeated


# ---- symbols and underlyings -------------------------------------------------------------------


def _names(sheet: "Sheet", facts: Facts, rows: Rows) -> tuple[list[str], list[str]]:
    """Symbol and underlying of rows; empty where the file names none."""
    derivative = facts["kind"][rows] >= FUTURE
    if sheet.form.name == "compact":
        symbols = sheet.texts(sheet.place("symbol"), rows)
        found = _prefix(symbols)
        listed = symbols.to_pylist()
        underlyings = [
            prefix or "" if other else symbol
            for prefix, other, symbol in zip(found, derivative.tolist(), listed, strict=True)
        ]
        unknown = sum(bool(symbol) and not name
                      for symbol, name in zip(listed, underlyings, strict=True))  # fmt: skip
        if unknown:
            sheet.notes["SEM_TRADING_SYMBOL that names no underlying in a form we know"] += unknown
        return listed, underlyings
    given = sheet.texts(sheet.place("underlying"), rows).to_pylist()
    named = sheet.texts(sheet.place("symbol_name"), rows)
    symbols, underlyings = [], []
    for row, own, text, prefix, other in zip(
        rows.tolist(), given, named.to_pylist(), _prefix(named), derivative.tolist(), strict=True
    ):
        own = "" if own.upper() in LEFT else own
        underlying = own or (prefix or "" if other else text)
        underlyings.append(underlying)
        if not other:
            symbols.append(underlying)
        elif prefix:
            symbols.append(text)
        else:
            symbols.append(_symbol(facts, row, underlying) if underlying else "")
    return symbols, underlyings


def _prefix(symbols: Any) -> list[str | None]:
    """What stands before month and year in symbols of derivatives; None elsewhere."""
    import pyarrow.compute as pc

    found = pc.struct_field(pc.extract_regex(symbols, SYMBOL), "underlying")
    texts: list[str | None] = found.to_pylist()
    return texts


def _symbol(facts: Facts, row: int, underlying: str) -> str:
    """The trading symbol as the compact file writes it, where the detailed one leaves it out."""
    expiry = int(facts["expiry"][row])
    month = f"{MONTHS[expiry // 100 % 100 - 1]}{expiry // 10_000}"
    if facts["segment"][row] == SEGMENTS["MCX_COMM"]:
        month = f"{expiry % 100:02}{month}"
    kind = KINDS[int(facts["kind"][row])]
    if kind == "FUT":
        return f"{underlying}-{month}-FUT"
    rupees, paise = divmod(int(facts["strike"][row]), 100)
    strike = f"{rupees}.{paise:02}".rstrip("0") if paise else str(rupees)
    return f"{underlying}-{month}-{strike}-{kind}"


# ---- columns -----------------------------------------------------------------------------------


def _columns(sheet: "Sheet", facts: Facts, rows: Rows) -> dict[str, Column]:
    """Every column but symbol, underlying and order."""
    columns: dict[str, Column] = {
        name: Numbers(_small(facts[name][rows]))
        for name in ("kind", "expiry", "strike", "lot", "tick", "freeze", "upper", "lower")
    }
    columns["key"] = Numbers(facts["key"][rows])
    columns["underlying_id"] = Numbers(_optional(sheet, "underlying_id", rows))
    columns["expiry_code"] = Numbers(_optional(sheet, "expiry_code", rows, zero=True))
    for name in ("exchange", "instrument", "series", "expiry_flag", *SPARE_WORDS):
        columns[name] = _words_of(_listed(sheet, name, rows))
    flags = columns["expiry_flag"]
    assert isinstance(flags, Words)
    table = tuple("" if flag == "N" else flag for flag in flags.table)
    columns["expiry_flag"] = Words(flags.codes, table)
    for name in ("name", "isin", *SPARE_TEXTS):
        columns[name] = _texts_of(_listed(sheet, name, rows))
    read = set(sheet.form.columns.values())
    for header, slot in sheet.slots.items():
        if header not in read:
            columns[header] = _spare(sheet, header, slot, rows)
    return columns


def _listed(sheet: "Sheet", ours: str, rows: Rows) -> Any:
    """Cells of a column as Arrow text; words that stand for nothing, and a column the file does
    not have, as blanks.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not sheet.has(ours):
        return pa.repeat("", len(rows))
    given = sheet.texts(sheet.place(ours), rows)
    nothing = pc.is_in(pc.utf8_upper(given), value_set=pa.array(LEFT))
    return pc.if_else(nothing, "", given)


def _optional(sheet: "Sheet", ours: str, rows: Rows, zero: bool = False) -> NDArray[Any]:
    """A column of whole numbers, NONE where it says nothing (0 too, unless it means something)."""
    if not sheet.has(ours):
        return np.full(len(rows), NONE)
    values, fault = sheet.decimals(ours, 0)
    values, fault = values[rows], fault[rows]
    odd = int((fault > cells.BLANK).sum())
    if odd:
        sheet.notes[f"{sheet.form.columns[ours]} that is no whole number"] += odd
    return np.where((fault > 0) | ((values == 0) & (not zero)), NONE, values)


def _spare(sheet: "Sheet", header: str, slot: int, rows: Rows) -> Column:
    """A column we do not need ourselves: typed when it is known, text when it is new."""
    if header in FLAGS:
        return _words_of(sheet.texts(slot, rows))
    if PERCENT.fullmatch(header):
        starts = np.ascontiguousarray(sheet.starts[slot][rows])
        ends = np.ascontiguousarray(sheet.ends[slot][rows])
        values, fault = cells.decimals(sheet.data, starts, ends, PERCENT_PLACES)
        odd = int((fault > cells.BLANK).sum())
        if odd:
            sheet.notes[f"{header} that is no number of {PERCENT_PLACES} decimals"] += odd
        return Numbers(np.where(fault > 0, NONE, values), PERCENT_PLACES)
    return _texts_of(sheet.texts(slot, rows))


def _order(columns: dict[str, Column]) -> NDArray[np.uint32]:
    """Rows by underlying, segment, expiry, kind and strike."""
    underlying = columns["underlying"]
    assert isinstance(underlying, Words)

    def numbers(name: str) -> NDArray[Any]:
        column = columns[name]
        assert isinstance(column, Numbers)
        return column.values

    keys = (numbers("strike"), numbers("kind"), numbers("expiry"), numbers("key") >> 32)
    return np.lexsort((*keys, underlying.codes)).astype(np.uint32)


def _small(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in the smallest integer type that holds them all."""
    if not len(values):
        return values
    low, high = int(values.min()), int(values.max())
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.int64)


def _texts_of(listed: Any) -> Texts:
    """Arrow text without nulls as a column."""
    _, offsets, blob = listed.buffers()
    if not len(listed):
        return Texts(np.zeros(1, np.int32), np.empty(0, np.uint8))
    ends = np.frombuffer(offsets, np.int32)[listed.offset : listed.offset + len(listed) + 1]
    data = np.frombuffer(blob, np.uint8) if blob is not None else np.empty(0, np.uint8)
    return Texts(ends - ends[0], data[ends[0] : ends[-1]])


def _words_of(listed: Any) -> Words:
    """Arrow text as codes, the table in the order of the alphabet."""
    coded = listed.dictionary_encode()
    found = coded.dictionary.to_pylist()
    table = tuple(sorted(found))
    place = {word: index for index, word in enumerate(table)}
    width = np.uint8 if len(table) <= 256 else np.uint16 if len(table) <= 65_536 else np.uint32
    moved = np.array([place[word] for word in found], width)
    return Words(moved[np.asarray(coded.indices)], table)
