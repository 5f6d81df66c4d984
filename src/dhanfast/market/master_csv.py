"""Dhan's instrument CSVs, compact and detailed, as a `Master`.

Columns are chosen by header name, never by place. Numbers are read as decimal text, so that `65.0`
is 65 units, `25000.05000` is 2,500,005 paise, and no float comes between. What the file says of a
contract is taken whole or not at all: a row with one cell that cannot be is refused, with its line,
its column and what to do; the rest of the file stands.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core import cells
from dhanfast.errors import BadData
from dhanfast.market.master import ID_MAX, KINDS, MICROS, NONE, Master
from dhanfast.market.master_forms import (
    FORMS,
    LEFT,
    SEGMENT_OF,
    TICK_MICROS,
    Form,
    form_of,
)
from dhanfast.market.master_rows import Facts, assemble

REFUSED_KEPT: Final = 1_000  # refused rows written out; all are counted
LOT_MAX: Final = 1_000_000_000
PARSER: Final = 1  # raise it when the same file makes another master


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that was not taken, and why."""

    line: int
    column: str
    value: str
    why: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"line {self.line}: {self.column} {self.value!r} {self.why}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What came of a file.

    Units:
        rows counts lines with content below the header; repeated those that repeat another one
        word for word; left_out rows of markets without an API segment, by `EXCHANGE/SEGMENT`.
    """

    master: Master
    rows: int
    refused_count: int
    refused: tuple[Refused, ...]  # the first of them
    repeated: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


@dataclass
class Sheet:
    """The cells of a file, and which rows still stand.

    Units:
        starts, ends: see `_core.cells.scan`; slots: place of each header name in them.
    """

    name: str
    data: Any
    form: Form
    header: list[str]
    slots: dict[str, int]
    starts: NDArray[np.uint32]
    ends: NDArray[np.uint32]
    lines: NDArray[np.uint32]
    alive: NDArray[np.bool_]
    refused: list[Refused] = field(default_factory=list)
    refused_count: int = 0
    notes: Counter[str] = field(default_factory=Counter)

    def has(self, ours: str) -> bool:
        """Whether the file has one of our columns."""
        return self.form.columns.get(ours, "") in self.slots

    def place(self, ours: str) -> int:
        """Where a column of ours stands in starts and ends."""
        return self.slots[self.form.columns[ours]]

    def cell(self, slot: int, row: int) -> str:
        """One cell as it stands in the file."""
        one = slice(row, row + 1)
        _, blob = cells.texts(self.data, self.starts[slot, one], self.ends[slot, one])
        return bytes(blob).decode("utf-8", "replace")

    def decimals(self, ours: str, places: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """A column of ours as whole numbers of 10**-places, and what is wrong with each."""
        slot = self.place(ours)
        return cells.decimals(self.data, self.starts[slot], self.ends[slot], places)

    def texts(self, slot: int, rows: Any = slice(None)) -> Any:
        """Cells of a column as an Arrow array."""
        import pyarrow as pa

        starts = np.ascontiguousarray(self.starts[slot][rows])
        ends = np.ascontiguousarray(self.ends[slot][rows])
        offsets, blob = cells.texts(self.data, starts, ends)
        return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(blob))

    def words(self, ours: str) -> tuple[NDArray[Any], list[str]]:
        """A column of ours as codes and the distinct texts, upper case, blanks as nothing."""
        coded = self.texts(self.place(ours)).dictionary_encode()
        table = [word.upper() for word in coded.dictionary.to_pylist()]
        return np.asarray(coded.indices), ["" if word in LEFT else word for word in table]

    def refuse(self, bad: NDArray[np.bool_], ours: str, why: str) -> None:
        """Take rows out that still stand."""
        slot, column = self.place(ours), self.form.columns[ours]
        rows = np.flatnonzero(bad & self.alive)
        self.refused_count += len(rows)
        for row in rows[: REFUSED_KEPT - len(self.refused)].tolist():
            value = self.cell(slot, row)[:60]
            self.refused.append(Refused(int(self.lines[row]), column, value, why))
        self.alive &= ~bad

    def refuse_line(self, line: int, value: str, why: str) -> None:
        """Count a line that is no row at all."""
        self.refused_count += 1
        if len(self.refused) < REFUSED_KEPT:
            self.refused.append(Refused(line, "the line", value[:60], why))


def parse_master(data: Any, *, name: str, form: str | None = None) -> Parsed:
    """Read an instrument file.

    Args:
        data: the bytes of the CSV, UTF-8, with or without a byte-order mark.
        name: of the file or address, for messages.
        form: `compact` or `detailed`; None: what the header says.

    Raises:
        BadData: not such a file (a web page, an archive, empty, cut short, columns missing), or no
            row of it can be taken.

    Source:
        Columns, units and blanks as the broker's documents and files of 2026 have them:
        docs/reference/instruments.md.
    """
    sheet = _open(data, name, form)
    total = len(sheet.lines) + sheet.refused_count
    left_out, segments = _segments(sheet)
    facts: Facts = {"segment": segments}
    _identity(sheet, facts)
    _expiry_and_strike(sheet, facts)
    _trading_rules(sheet, facts)
    master, repeated = assemble(sheet, facts)
    if not len(master):
        first = f"; the first: {sheet.refused[0]}" if sheet.refused else ""
        raise BadData(
            f"{name}: no row of {total:,} can be taken{first}; download the file again, or look "
            "whether its columns have changed"
        )
    notes = tuple(f"{text}: {count:,} rows" for text, count in sorted(sheet.notes.items()))
    refused = tuple(sorted(sheet.refused, key=lambda one: one.line))
    return Parsed(master, total, sheet.refused_count, refused, repeated, left_out, notes)


# ---- the file as a whole -----------------------------------------------------------------------


def _open(data: Any, name: str, form: str | None) -> Sheet:
    """Find header and cells."""
    require_csv(data, name)
    begin = 3 if bytes(data[:3]) == b"\xef\xbb\xbf" else 0
    data, bad_lines = _decodable(data)
    try:
        header, start, number = cells.header(data, begin)
    except BadData as error:
        raise BadData(f"{name}: {error}") from None
    header = [cell.strip().upper() for cell in header]
    shape = form_of(header, name, form)
    named = [column for column in header if column]
    twice = [column for column, count in Counter(named).items() if count > 1]
    if twice:
        raise BadData(f"{name}: the header has {twice[0]} twice; download the file again")
    slots = {column: place for place, column in enumerate(named)}
    where = np.array([slots.get(column, -1) for column in header], np.int32)
    _require_end(data, name, header)
    starts, ends, lines, spoiled = cells.scan(data, start, number, where, header[-1] == "")
    sheet = Sheet(name, data, shape, header, slots, starts, ends, lines, np.ones(len(lines), bool))
    for line in bad_lines:
        sheet.refuse_line(line, "", "is not UTF-8 text; download the file again")
    for line, count, first, last in spoiled.tolist():
        text = bytes(data[first:last]).decode("utf-8", "replace").strip()
        sheet.refuse_line(line, text, _spoiled(count, len(header)))
    if not len(lines) and not sheet.refused_count:
        raise BadData(f"{name}: a header but no rows; download the file again")
    return sheet


def _spoiled(count: int, width: int) -> str:
    """Why a line is no row."""
    if count == -1:
        return "has a quote that is not closed, or text after one that is; correct the quotes"
    if count == -2:
        return "holds a control character; download the file again"
    return f"has {count} cells where the header has {width}; download the file again"


def require_csv(data: Any, name: str) -> None:
    """Refuse what is no CSV at all, naming what it is.

    Raises:
        BadData: empty, a web page, JSON, compressed, UTF-16, or binary.
    """
    head = bytes(data[:512])
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    what = ""
    if not text:
        what = "is empty" if not bytes(data[: 1 << 20]).strip() else "begins with blank lines only"
    elif head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        what = "is UTF-16 text; save it as CSV in UTF-8"
    elif head[:2] == b"\x1f\x8b" or head[:4] in (b"PK\x03\x04", b"\x28\xb5\x2f\xfd"):
        what = "is compressed; unpack it first"
    elif text[:1] == b"<":
        what = f"is a web page, not a CSV ({text[:40].decode('utf-8', 'replace')!r})"
    elif text[:1] in b"{[":
        what = f"is JSON, perhaps an error ({text[:60].decode('utf-8', 'replace')!r})"
    elif b"\x00" in head:
        what = "is binary, not a CSV"
    if what:
        raise BadData(f"{name}: the file {what}; download it again. Nothing was changed")


def _decodable(data: Any) -> tuple[Any, list[int]]:
    """The data with lines that are not UTF-8 emptied, and the numbers of those lines."""
    try:
        str(memoryview(data), "utf-8")
        return data, []
    except UnicodeDecodeError:
        pass
    lines, bad = bytes(data).split(b"\n"), []
    for index, line in enumerate(lines):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            bad.append(index + 1)
            lines[index] = b""
    return b"\n".join(lines), bad


def _require_end(data: Any, name: str, header: Sequence[str]) -> None:
    """A last line without its end must at least be as wide as the header: else it was cut off."""
    if not len(data) or data[len(data) - 1] in b"\n\r":
        return
    tail = bytes(data[max(0, len(data) - 65_536) :])
    begin = len(data) - len(tail) + tail.rfind(b"\n") + 1
    try:
        last, _, _ = cells.header(data, begin)
        whole = len(last) == len(header)
    except BadData:
        whole = False
    if not whole:
        raise BadData(
            f"{name}: the file ends in the middle of a row, so the download was cut short; "
            "download it again. Nothing was changed"
        )


# ---- what a contract is ------------------------------------------------------------------------


def _segments(sheet: Sheet) -> tuple[dict[str, int], NDArray[np.int64]]:
    """API segment of each row; rows of other markets are set aside and counted."""
    exchange, exchanges = sheet.words("exchange")
    letter, letters = sheet.words("letter")
    for ours, codes, table in (("exchange", exchange, exchanges), ("letter", letter, letters)):
        blank = np.array([not word for word in table], bool)
        sheet.refuse(blank[codes], ours, "is missing; without it the id says nothing")
    numbers = [[SEGMENT_OF.get((first, second), -1) for second in letters] for first in exchanges]
    segments = np.array(numbers, np.int64).reshape(len(exchanges), len(letters))[exchange, letter]
    left: dict[str, int] = {}
    outside = (segments < 0) & sheet.alive
    pairs, counts = np.unique(
        exchange[outside].astype(np.int64) * len(letters) + letter[outside], return_counts=True
    )
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        first, second = divmod(pair, len(letters))
        text = f"{exchanges[first]}/{letters[second]}"
        left[text] = left.get(text, 0) + count
    sheet.alive &= ~outside
    return dict(sorted(left.items())), segments


def _identity(sheet: Sheet, facts: Facts) -> None:
    """Security id and kind."""
    ids, fault = sheet.decimals("id", 0)
    sheet.refuse((fault > 0) | (ids < 1) | (ids > ID_MAX), "id",
                 f"must be a whole number 1..{ID_MAX}; correct the row")  # fmt: skip
    facts["key"] = (np.maximum(facts["segment"], 0) << 32) | np.clip(ids, 0, ID_MAX)
    codes, table = sheet.words("instrument")
    shapes = np.array(
        [-1 if not word else 0 if word == "INDEX" else 2 if word.startswith("FUT")
         else 3 if word.startswith("OPT") else 1 for word in table], np.int64
    )  # fmt: skip
    shape = shapes[codes]
    sheet.refuse(shape < 0, "instrument", "is missing; without it the tick's unit is unknown")
    sheet.refuse((shape == 0) != (facts["segment"] == 0), "instrument",
                 "contradicts the segment: INDEX and segment I go together")  # fmt: skip
    right, rights = sheet.words("right")
    sides = np.array([{"CE": 1, "PE": 2, "XX": 0, "": 0}.get(word, -1) for word in rights])
    side = sides[right]
    sheet.refuse(side < 0, "right", "is not CE, PE, XX or blank")
    sheet.refuse((shape == 3) & (side == 0), "right", "must be CE or PE for an option")
    sheet.refuse((shape != 3) & (side > 0), "right", "must be XX or blank for what is no option")
    facts["kind"] = np.where(shape == 3, KINDS.index("CE") + side - 1, shape).clip(0)


def _expiry_and_strike(sheet: Sheet, facts: Facts) -> None:
    """Expiry date, and strike in paise."""
    slot = sheet.place("expiry")
    expiry, fault = cells.dates(sheet.data, sheet.starts[slot], sheet.ends[slot])
    sheet.refuse(fault == cells.NOT_OF_FORM, "expiry", "is no date YYYY-MM-DD; correct the row")
    derivative = facts["kind"] >= KINDS.index("FUT")
    sheet.refuse(derivative & (expiry == 0), "expiry", "is missing for a future or an option")
    facts["expiry"] = expiry
    strike, fault = sheet.decimals("strike", 2)
    option = facts["kind"] >= KINDS.index("CE")
    unreadable = (fault == cells.NOT_OF_FORM) | (fault == cells.TOO_LARGE)
    sheet.refuse(unreadable, "strike", "is no number of rupees")
    sheet.refuse(option & (fault == cells.TOO_FINE), "strike", "is no whole number of paise")
    sheet.refuse(option & (strike <= 0), "strike", "must be above zero for an option")
    sheet.refuse(~option & (strike > 0), "strike", "must be blank or -0.01 for what is no option")
    facts["strike"] = np.where(option, strike, 0)


def _trading_rules(sheet: Sheet, facts: Facts) -> None:
    """Lot, tick, freeze quantity and price band."""
    index = facts["kind"] == 0
    lot, fault = sheet.decimals("lot", 0)
    sheet.refuse((fault > 1) | (lot < 0) | (lot > LOT_MAX), "lot",
                 "must be a whole number of units; correct the row")  # fmt: skip
    sheet.refuse(~index & (lot < 1), "lot", "must be at least 1 unit")
    facts["lot"] = lot
    paise, fault = sheet.decimals("tick", 4)  # of a paisa: millionths of a rupee
    rupees, index_fault = sheet.decimals("tick", 6)
    micros = np.where(index, rupees, paise)
    low, high = TICK_MICROS
    wrong = (np.where(index, index_fault, fault) > 0) | (micros < low) | (micros > high)
    sheet.refuse(
        wrong, "tick",
        f"is a tick of no use: paise (rupees for an index) that make {low / MICROS} to "
        f"{high / MICROS:g} rupees; look whether the unit of the column has changed",
    )  # fmt: skip
    facts["tick"] = micros
    facts["freeze"] = np.full(len(lot), NONE)
    if sheet.has("freeze"):
        freeze, fault = sheet.decimals("freeze", 0)
        sheet.refuse((fault > 1) | (freeze < 0), "freeze",
                     "must be a whole number of units, or blank; correct the row")  # fmt: skip
        facts["freeze"] = np.where(freeze > 0, freeze, NONE)
        below = sheet.alive & (freeze > 0) & (freeze < lot)
        if below.any():
            sheet.notes["freeze quantity below one lot"] += int(below.sum())
    for ours in ("upper", "lower"):
        band = np.full(len(lot), NONE)
        if sheet.has(ours):
            band, fault = sheet.decimals(ours, 6)
            unread = sheet.alive & (fault > 1)
            if unread.any():
                sheet.notes[f"{sheet.form.columns[ours]} that is no number"] += int(unread.sum())
            band = np.where(band > 0, band, NONE)
        facts[ours] = band


def known_columns(form: str) -> tuple[str, ...]:
    """Header names that are read into typed columns.

    Args:
        form: `compact` or `detailed`.

    Raises:
        KeyError: no such form.
    """
    return tuple(FORMS[form].columns.values())
