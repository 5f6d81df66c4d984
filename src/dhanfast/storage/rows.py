"""Rows as a file gave them, before anyone trusts them, and the rules a bar must obey.

A reader (`csv_rows`, `parquet_rows`) fills a `RowTable`; `find_defects` names every row that breaks
a rule. `bars.read_bars` and the importer refuse (or leave out) such rows, `verify` reports them:
one set of rules, so the three can never disagree.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData, UsageError

FIELDS: Final = ("ts", "date", "time", "instrument", "open", "high", "low", "close", "volume", "oi")
PRICES: Final = ("open", "high", "low", "close")
PRICE_MAX: Final = 1_000_000_000.0  # rupees; above it a double no longer holds a clean paisa
OFF_GRID: Final = 0.001  # paise; further than this from a whole paisa is counted and stated
SHOWN_MAX: Final = 10  # bad rows written out in a refusal; the rest are counted
NOT_USED: Final = "none"  # `volume=none`: the column is there, but must not be read

# Names a column may have when the user maps none. Compared without case and outer blanks.
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "ts": ("ts", "timestamp", "datetime", "date_time", "date"),
    "time": ("time",),
    "instrument": ("instrument", "symbol"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume",),
    "oi": ("oi", "open_interest"),
}

REMEDIES: Final[Mapping[str, str]] = {
    "unparsable": "write a plain number, without thousands separators or units",
    "bad-stamp": "write ISO 8601 (2022-01-03 09:15:00+05:30) or an integer epoch",
    "ragged": "give every line as many cells as the header",
    "not-finite": "ask the source for the row again, or leave it out",
    "not-positive": "a zero usually means 'no trade'; leave the row out",
    "too-large": "check the unit: prices are rupees, not paise",
    "high-below-low": "the columns may be swapped; check --columns",
    "outside-range": "ask the source for the row again, or leave it out",
    "bad-volume": "write a whole number of units, or leave the column out with volume=none",
    "duplicate": "keep one row a stamp; several instruments in one file need a column `instrument`",
    "out-of-order": "sort the file by time",
}


@dataclass(frozen=True)
class Defect:
    """One rule broken by some rows of a file.

    Units:
        `rows` are 0-based indexes into the table; `lines` are what the user counts.
    """

    kind: str  # a key of REMEDIES
    column: str
    rows: NDArray[np.intp]
    says: str  # completes "<value> ..."
    lines: tuple[int, ...] = ()  # only when the row is not in the table (a ragged line)
    texts: tuple[str, ...] = ()  # the values of those lines

    @property
    def count(self) -> int:
        """How many rows break the rule."""
        return len(self.lines) or len(self.rows)


@dataclass(frozen=True)
class RowTable:
    """One file as columns.

    Units:
        `ts`: int64 UTC nanoseconds as stamped by the source, 0 where it could not be read;
        `prices`: float64 rupees, NaN where they could not be read; `volume`, `oi`: units.

    Shape:
        `prices` is [4, n]: open, high, low, close; every other array is [n].
    """

    name: str
    sha256: str
    unit: str  # how the file's places are counted: "line" or "row"
    ts: NDArray[np.int64]
    prices: NDArray[np.float64]
    volume: NDArray[np.int64] | None
    oi: NDArray[np.int64] | None
    codes: NDArray[np.int32] | None  # which of `names` each row belongs to; None when one or none
    names: tuple[str, ...]  # instruments named by the file, empty when it names none
    generated: bool
    stamp_column: str  # what the file calls it
    facts: tuple[str, ...]
    defects: tuple[Defect, ...]
    place: Callable[[Sequence[int]], list[int]] = field(repr=False)  # row index -> line or row
    cell: Callable[[int, str], str] = field(repr=False)  # (row index, our column) -> its text
    header: Mapping[str, str] = field(default_factory=dict)  # our column -> the file's

    def __len__(self) -> int:
        return len(self.ts)


def parse_columns(text: str) -> dict[str, str]:
    """Turn `ts=date,open=o` into a mapping of our columns to the file's.

    Args:
        text: comma-separated pairs; `ts=date+time` joins two columns, `volume=none` ignores one.

    Raises:
        UsageError: a pair without `=`, a column we do not know, one named twice.
    """
    mapping: dict[str, str] = {}
    for pair in text.split(","):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and equals and theirs):
            raise UsageError(
                f"--columns: {pair.strip()!r} is not a pair; write for example ts=date,open=o"
            )
        if ours in mapping:
            raise UsageError(f"--columns: {ours} is given twice; keep one")
        mapping[ours] = theirs
    return mapping


def _mapped(mapping: Mapping[str, str]) -> dict[str, str]:
    """Check a user's mapping and split `ts=date+time` into its two columns."""
    known = set(FIELDS) - {"date"}
    for ours in mapping:
        if ours not in known:
            raise UsageError(
                f"--columns: {ours!r} is not a column of ours; those are {', '.join(sorted(known))}"
            )
    found = {ours: theirs for ours, theirs in mapping.items()}
    day, plus, clock = found.get("ts", "").partition("+")
    if plus:
        if "time" in found:
            raise UsageError("--columns: give ts=DATE+TIME or time=TIME, not both")
        found["ts"], found["time"] = day.strip(), clock.strip()
    return found


def resolve_columns(header: Sequence[str], mapping: Mapping[str, str], file: str) -> dict[str, int]:
    """Find where each of our columns stands in a file's header.

    Args:
        header: the file's column names, in order.
        mapping: the user's choice, ours -> theirs; what is missing is found by its usual name.
        file: name of the file, for messages.

    Returns:
        our column -> index in the header; `volume`, `oi`, `instrument` and `time` may be absent.

    Raises:
        BadData: a column is missing or the name stands twice in the header.
        UsageError: the mapping names a column of ours that does not exist.
    """
    wanted = _mapped(mapping)
    plain = [name.strip().casefold() for name in header]
    found: dict[str, int] = {}
    missing: list[str] = []
    for ours, aliases in ALIASES.items():
        theirs = wanted.get(ours)
        if theirs == NOT_USED:
            continue
        names = (theirs.strip().casefold(),) if theirs is not None else aliases
        name = next((name for name in names if name in plain), None)
        if name is None:
            if theirs is not None or ours in ("ts", *PRICES):
                missing.append(theirs or ours)
            continue
        if plain.count(name) > 1:
            raise BadData(
                f"{file}: the header has {plain.count(name)} columns named {name!r}; "
                f"rename all but one, or leave the column out with --columns {ours}={NOT_USED}"
            )
        found[ours] = plain.index(name)
    if "time" in found and "time" not in wanted and plain[found.get("ts", 0)] != "date":
        clock = found.pop("time")  # only a bare `date` needs its `time`; others hold both
        if missing == ["ts"]:
            found["ts"] = clock  # a file whose only stamp column is called `time`
            missing.clear()
    if missing:
        raise BadData(_missing_message(file, missing, header))
    return found


def _shown(names: Sequence[str]) -> str:
    """Column names as a terminal may show them: nothing unprintable, not endless."""
    safe = [name if name.isprintable() else ascii(name) for name in names[:20]]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return (", ".join(name[:40] for name in safe) or "nothing") + more


def _missing_message(file: str, missing: Sequence[str], header: Sequence[str]) -> str:
    """Say which columns are missing, what is there, and what to type."""
    digits = sum(any(char.isdigit() for char in name) for name in header)
    hint = ""
    if header and digits > len(header) // 2:
        hint = " The first line looks like data: put a header line above it."
    return (
        f"{file}: no column {', '.join(missing)}; the file has: {_shown(header)}."
        f"{hint} Name yours with --columns, for example --columns ts=date,open=o,close=c"
    )


@dataclass(frozen=True)
class RowView:
    """The rows of one instrument within a table, as arrays ready for the checks.

    Shape:
        `rows` maps each position back to the table; `paise` is float64[4, m], already whole.
    """

    table: RowTable
    rows: NDArray[np.intp] | None  # None: all rows, in order
    ts: NDArray[np.int64]
    paise: NDArray[np.float64]
    off_grid: NDArray[np.bool_] | None  # per row; None when every price is on the paisa

    def back(self, where: NDArray[Any]) -> NDArray[np.intp]:
        """Table indexes of the positions where a mask is true."""
        positions = np.flatnonzero(where)
        return positions if self.rows is None else self.rows[positions]


def view_of(table: RowTable, rows: NDArray[np.intp] | None) -> RowView:
    """Take some rows of a table and bring their prices to paise, half to even."""
    ts = table.ts if rows is None else table.ts[rows]
    prices = table.prices if rows is None else table.prices[:, rows]
    paise = np.empty_like(prices)
    off: NDArray[np.bool_] | None = None
    for column in range(len(prices)):  # one at a time: the working set stays in the cache
        exact = prices[column] * 100.0
        np.rint(exact, out=paise[column])
        with np.errstate(invalid="ignore"):  # an infinite price; the checks name it
            exact -= paise[column]
        np.abs(exact, out=exact)
        if len(exact) and not exact.max() <= OFF_GRID:  # also true when one is NaN
            mask = exact > OFF_GRID
            off = mask if off is None else off | mask
    return RowView(table, rows, ts, paise, off if off is not None and off.any() else None)


def all_good(view: RowView) -> bool:
    """Say whether every row obeys every rule: one cheap pass, for files that are clean."""
    if view.table.defects:
        return False
    opens, highs, lows, closes = view.paise
    low_ends = np.minimum(opens, closes)
    high_ends = np.maximum(opens, closes)  # NaN wins in both, and every comparison with it fails
    good = (lows >= 1.0) & (lows <= low_ends) & (high_ends <= highs) & (highs <= PRICE_MAX * 100)
    if not good.all() or not (np.diff(view.ts) > 0).all():
        return False
    for counts in (view.table.volume, view.table.oi):
        if counts is not None and len(counts) and counts.min() < 0:
            return False
    return True


def find_defects(view: RowView) -> list[Defect]:
    """Name every row of a view that breaks a rule.

    Returns:
        one Defect a rule and column; a row that could not be read is named once, not again by
        the rules that need its value.
    """
    mine = None if view.rows is None else set(view.rows.tolist())
    defects = [d for d in (_share(defect, mine) for defect in view.table.defects) if d.count]
    unread = np.zeros(len(view.table), bool)
    for defect in defects:
        unread[defect.rows] = True
    unread = unread if view.rows is None else unread[view.rows]
    defects += _price_defects(view, unread)
    defects += _count_defects(view, unread)
    defects += _order_defects(view, unread)
    return defects


def _share(defect: Defect, mine: set[int] | None) -> Defect:
    """The part of a defect that concerns these rows."""
    if mine is None or defect.lines:
        return defect
    rows = np.array([row for row in defect.rows.tolist() if row in mine], np.intp)
    return Defect(defect.kind, defect.column, rows, defect.says)


def _price_defects(view: RowView, unread: NDArray[np.bool_]) -> list[Defect]:
    """Prices that are not numbers, not positive, too large, or in the wrong order."""
    defects: list[Defect] = []
    sound = ~unread

    def add(kind: str, column: str, where: NDArray[np.bool_], says: str) -> None:
        where = where & ~unread
        if where.any():
            defects.append(Defect(kind, column, view.back(where), says))

    for column, paise in zip(PRICES, view.paise, strict=True):
        finite = np.isfinite(paise)
        add("not-finite", column, ~finite, "is not a finite number")
        with np.errstate(invalid="ignore"):
            low = finite & (paise < 1.0)
            big = finite & (paise > PRICE_MAX * 100)
        add("not-positive", column, low, "is not a positive price")
        add("too-large", column, big, f"is above {PRICE_MAX:,.0f} rupees")
        sound &= finite & ~low & ~big
    opens, highs, lows, closes = view.paise
    crossed = sound & (highs < lows)
    add("high-below-low", "high", crossed, "is below the low")
    sound &= ~crossed
    add("outside-range", "open", sound & (opens > highs), "is above the high")
    add("outside-range", "open", sound & (opens < lows), "is below the low")
    add("outside-range", "close", sound & (closes > highs), "is above the high")
    add("outside-range", "close", sound & (closes < lows), "is below the low")
    return defects


def _count_defects(view: RowView, unread: NDArray[np.bool_]) -> list[Defect]:
    """Negative volume or open interest."""
    defects = []
    for column, counts in (("volume", view.table.volume), ("oi", view.table.oi)):
        if counts is not None:
            mine = counts if view.rows is None else counts[view.rows]
            where = (mine < 0) & ~unread
            if where.any():
                defects.append(Defect("bad-volume", column, view.back(where), "is negative"))
    return defects


def _order_defects(view: RowView, unread: NDArray[np.bool_]) -> list[Defect]:
    """Stamps that repeat or go back. The first row with a stamp is the one that stands."""
    good = np.flatnonzero(~unread)
    if len(good) < 2:
        return []
    stamps = view.ts[good]
    before = np.maximum.accumulate(stamps)[:-1]
    late = np.flatnonzero(stamps[1:] <= before) + 1
    if not len(late):
        return []
    seen_at = np.unique(stamps, return_index=True)[1]
    first = np.zeros(len(stamps), bool)
    first[seen_at] = True
    repeats = late[~first[late]]
    back = late[first[late]]
    defects = []
    for kind, positions, says in (
        ("duplicate", repeats, "repeats the stamp of an earlier row"),
        ("out-of-order", back, "is earlier than the row before"),
    ):
        if len(positions):
            where = np.zeros(len(view.ts), bool)
            where[good[positions]] = True
            defects.append(Defect(kind, "ts", view.back(where), says))
    return defects


def bad_rows(defects: Sequence[Defect]) -> NDArray[np.intp]:
    """Table indexes of all rows with a defect, each once, ascending."""
    if not defects:
        return np.empty(0, np.intp)
    return np.unique(np.concatenate([defect.rows for defect in defects])).astype(np.intp)


def count_bad(defects: Sequence[Defect]) -> int:
    """How many rows or lines of the file have a defect."""
    return len(bad_rows(defects)) + sum(len(defect.lines) for defect in defects)


def describe(table: RowTable, defects: Sequence[Defect], limit: int = SHOWN_MAX) -> list[str]:
    """Write the first bad cells out, in the order of the file.

    Returns:
        lines such as `line 17: low: 'nan' is not a finite number`.
    """
    cells: list[tuple[int, str]] = []
    for defect in defects:
        rows = defect.rows[:limit].tolist()
        texts = [table.cell(row, defect.column) for row in rows]
        places = table.place(rows)
        if defect.lines:
            places, texts = list(defect.lines[:limit]), list(defect.texts[:limit])
        column = table.header.get(defect.column, defect.column)
        for at, text in zip(places, texts, strict=True):
            cells.append((at, f"{table.unit} {at}: {column}: {text!r} {defect.says}"))
    cells.sort(key=lambda cell: cell[0])  # stable: within a row the order of the checks
    return [text for _, text in cells[:limit]]


def refusal(table: RowTable, defects: Sequence[Defect]) -> BadData:
    """Build the error for a file with bad rows: what, where, how many, and what to do."""
    shown = describe(table, defects)
    cells = sum(defect.count for defect in defects)
    total = count_bad(defects)
    rows = f"{total:,} bad row{'s' if total != 1 else ''}"
    lines = [f"{table.name}: {rows} of {len(table):,}; nothing was taken from this file"]
    lines += [f"  {line}" for line in shown]
    if cells > len(shown):
        lines.append(f"  and {cells - len(shown):,} more")
    kinds = dict.fromkeys(defect.kind for defect in defects)
    lines += [f"  {kind}: {REMEDIES[kind]}" for kind in kinds]
    lines.append(
        "  Repair the file, or import it with --on-bad skip: bad rows are left out and counted."
    )
    return BadData("\n".join(lines))
