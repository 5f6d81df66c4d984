"""The instrument master of one day: everything a broker lists, by segment and security id.

A security id is unique only together with its segment, so every lookup takes both. Rows are kept in
columns, sorted by (segment, id): one contract is a binary search, a thousand are one call of numpy,
and a master of 200,000 rows is read from its cache without touching a row.

The tables of `market.instruments` are for backtests and cross-checks; lot, tick and freeze of a
live day come from here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dhanfast.errors import BadData, UsageError

SEGMENTS: Final = {
    "IDX_I": 0, "NSE_EQ": 1, "NSE_FNO": 2, "NSE_CURRENCY": 3, "BSE_EQ": 4, "MCX_COMM": 5,
    "BSE_CURRENCY": 7, "BSE_FNO": 8,
}  # fmt: skip
SEGMENT_NAMES: Final = {number: name for name, number in SEGMENTS.items()}
KINDS: Final = ("IDX", "EQ", "FUT", "CE", "PE")  # of a column `kind`, by number
NONE: Final = -(2**63)  # in a column of numbers: the file does not say
MICROS: Final = 1_000_000  # of a rupee; ticks of currencies are quarters of a paisa
MICROS_PER_PAISA: Final = 10_000
ID_MAX: Final = 2**32 - 1

# Columns every master has. Others come with the detailed file, or are new to us.
NUMBERS: Final = ("key", "kind", "expiry", "strike", "lot", "tick", "freeze", "upper", "lower",
                  "underlying_id", "order")  # fmt: skip
WORDS: Final = ("exchange", "instrument", "underlying", "series", "expiry_flag")
TEXTS: Final = ("symbol", "name", "isin")


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A column of whole numbers; `places` says of what power of ten. NONE stands for nothing."""

    values: NDArray[Any]
    places: int = 0

    def at(self, row: int) -> int | Decimal | None:
        """The value of a row: an int, or a Decimal when the column has decimals."""
        value = int(self.values[row])
        if value == NONE:
            return None
        return Decimal(value).scaleb(-self.places) if self.places else value


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A column of few distinct texts: codes into a table."""

    codes: NDArray[Any]
    table: tuple[str, ...]

    def at(self, row: int) -> str:
        """The text of a row."""
        return self.table[int(self.codes[row])]


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A column of text, end to end in UTF-8; row i is blob[offsets[i]:offsets[i + 1]]."""

    offsets: NDArray[Any]
    blob: NDArray[np.uint8]

    def at(self, row: int) -> str:
        """The text of a row."""
        return bytes(self.blob[self.offsets[row] : self.offsets[row + 1]]).decode()

    def arrow(self) -> Any:
        """The column as an Arrow array over the same memory."""
        import pyarrow as pa

        parts = pa.py_buffer(self.offsets), pa.py_buffer(self.blob)
        return pa.StringArray.from_buffers(len(self.offsets) - 1, *parts)


Column = Numbers | Words | Texts


@dataclass(frozen=True, slots=True)
class Contract:
    """One row of a master.

    Units:
        strike and tick in paise, tick_micros, upper and lower in millionths of a rupee, lot and
        freeze in units as the file gives them. strike is 0 unless an option; tick is 0 where it is
        no whole number of paise (currencies); lot is 0 for an index. None: the file does not say.
    """

    segment: str
    security_id: int
    exchange: str
    instrument: str  # as the broker calls it: INDEX, EQUITY, FUTIDX, OPTSTK, ...
    kind: str  # one of KINDS
    symbol: str
    name: str
    underlying: str
    underlying_id: int | None
    expiry: date | None
    expiry_flag: str  # M, W or nothing
    strike: int
    lot: int
    tick: int
    tick_micros: int
    freeze: int | None
    upper: int | None
    lower: int | None
    series: str
    isin: str

    @property
    def is_option(self) -> bool:
        """Whether this is a call or a put."""
        return self.kind in ("CE", "PE")


def segment_number(segment: str | int) -> int:
    """The number of a segment in binary packets.

    Args:
        segment: its name (`NSE_FNO`), or the number itself.

    Raises:
        UsageError: no such segment.
    """
    number = SEGMENTS.get(segment) if isinstance(segment, str) else segment
    if number not in SEGMENT_NAMES:
        raise UsageError(f"segment {segment!r} is not known; choose from {', '.join(SEGMENTS)}")
    return number


def key_of(segment: str | int, security_id: int) -> int:
    """What rows are sorted by: segment number * 2**32 + security id.

    Raises:
        UsageError: no such segment; an id that is not 0..2**32 - 1.
    """
    if not 0 <= security_id <= ID_MAX:
        raise UsageError(f"security id must be 0..{ID_MAX}, got {security_id}")
    return segment_number(segment) << 32 | security_id


def expiry_number(day: date) -> int:
    """A date as the column `expiry` keeps it: YYYYMMDD."""
    return day.year * 10_000 + day.month * 100 + day.day


def expiry_date(number: int) -> date | None:
    """What `expiry_number` made, and None of 0."""
    return date(number // 10_000, number // 100 % 100, number % 100) if number else None


class Master:
    """Contracts of one day, read-only."""

    def __init__(self, columns: Mapping[str, Column], form: str) -> None:
        """Take columns over; they are not copied and must not change.

        Args:
            columns: NUMBERS, WORDS and TEXTS at least, all of one length, sorted by `key`.
            form: `compact` or `detailed`, the file they came from.

        Raises:
            BadData: a column is missing, of another length, or keys do not rise.
        """
        for names, kind in ((NUMBERS, Numbers), (WORDS, Words), (TEXTS, Texts)):
            for name in names:
                if not isinstance(columns.get(name), kind):
                    raise BadData(f"the master has no column {name!r} of {kind.__name__.lower()}")
        self.columns: dict[str, Column] = dict(columns)
        self.form = form
        self.keys: NDArray[np.int64] = self.numbers("key")
        lengths = {name: _length(column) for name, column in columns.items()}
        wrong = [name for name, length in lengths.items() if length != len(self.keys)]
        if wrong:
            raise BadData(f"column {wrong[0]!r} has {lengths[wrong[0]]} rows, not {len(self.keys)}")
        if not (self.keys[1:] > self.keys[:-1]).all():
            raise BadData("rows of the master must rise by (segment, id), each once")

    def __len__(self) -> int:
        """How many contracts."""
        return len(self.keys)

    def numbers(self, name: str) -> NDArray[Any]:
        """The values of a column of numbers; see `Contract` for units."""
        column = self.columns[name]
        assert isinstance(column, Numbers), name
        return column.values

    def words(self, name: str) -> Words:
        """A column of words."""
        column = self.columns[name]
        assert isinstance(column, Words), name
        return column

    def texts(self, name: str) -> Texts:
        """A column of text."""
        column = self.columns[name]
        assert isinstance(column, Texts), name
        return column

    # ---- by segment and id ---------------------------------------------------------------------

    def rows(self, keys: ArrayLike) -> NDArray[np.int64]:
        """Rows of many keys at once.

        Args:
            keys: int64[n] as `key_of` makes them.

        Shape:
            int64[n]; -1 where there is no such contract.
        """
        wanted = np.asarray(keys, np.int64)
        places = np.searchsorted(self.keys, wanted)
        found = np.minimum(places, max(len(self) - 1, 0))
        hit = self.keys[found] == wanted if len(self) else np.zeros(wanted.shape, bool)
        return np.where(hit, found, -1)

    def row(self, segment: str | int, security_id: int) -> int:
        """The row of a contract, or -1.

        Raises:
            UsageError: no such segment, or an impossible id.
        """
        key = key_of(segment, security_id)
        place = int(self.keys.searchsorted(key))
        return place if place < len(self.keys) and self.keys[place] == key else -1

    def get(self, segment: str | int, security_id: int) -> Contract:
        """The contract of a segment and an id.

        Raises:
            UsageError: the master does not list it.
        """
        row = self.row(segment, security_id)
        if row < 0:
            name = SEGMENT_NAMES[segment_number(segment)]
            raise UsageError(
                f"{name} {security_id} is not in the master of {len(self):,} contracts; "
                "look for it: dhanfast instruments find TEXT"
            )
        return self.contract(row)

    def contract(self, row: int) -> Contract:
        """One row as an object.

        Raises:
            UsageError: row out of range.
        """
        if not 0 <= row < len(self):
            raise UsageError(f"row must be 0..{len(self) - 1}, got {row}")
        key = int(self.keys[row])

        def number(name: str) -> int:
            return int(self.numbers(name)[row])

        def given(name: str) -> int | None:
            value = number(name)
            return None if value == NONE else value

        tick = number("tick")
        return Contract(
            segment=SEGMENT_NAMES[key >> 32], security_id=key & ID_MAX,
            exchange=self.words("exchange").at(row), instrument=self.words("instrument").at(row),
            kind=KINDS[number("kind")], symbol=self.texts("symbol").at(row),
            name=self.texts("name").at(row), underlying=self.words("underlying").at(row),
            underlying_id=given("underlying_id"), expiry=expiry_date(number("expiry")),
            expiry_flag=self.words("expiry_flag").at(row), strike=number("strike"),
            lot=number("lot"), tick=0 if tick % MICROS_PER_PAISA else tick // MICROS_PER_PAISA,
            tick_micros=tick, freeze=given("freeze"), upper=given("upper"), lower=given("lower"),
            series=self.words("series").at(row), isin=self.texts("isin").at(row),
        )  # fmt: skip

    def extras(self, row: int) -> dict[str, str | int | Decimal | None]:
        """What else the file said of a row: margins, flags, and columns new to us, by their names.

        Raises:
            UsageError: row out of range.
        """
        if not 0 <= row < len(self):
            raise UsageError(f"row must be 0..{len(self) - 1}, got {row}")
        known = {*NUMBERS, *WORDS, *TEXTS}
        return {name: column.at(row) for name, column in self.columns.items() if name not in known}

    # ---- by underlying, expiry, strike and right -------------------------------------------------

    @cached_property
    def _underlyings(self) -> tuple[dict[str, int], NDArray[np.int64]]:
        """Code of each underlying, and where its rows begin in the column `order`."""
        words = self.words("underlying")
        ordered = words.codes[self.numbers("order")]
        edges = np.searchsorted(ordered, np.arange(len(words.table) + 1))
        return {name: code for code, name in enumerate(words.table)}, edges

    @property
    def underlyings(self) -> Sequence[str]:
        """Names of everything that something in the master is written on, or is itself."""
        return self.words("underlying").table

    def pick(
        self, underlying: str, *, segment: str | None = None, kind: str | None = None,
        expiry: date | None = None, strike: int | None = None, right: str | None = None,
    ) -> NDArray[np.int64]:  # fmt: skip
        """Rows of one underlying, by segment, expiry, kind (calls before puts) and strike.

        Args:
            underlying: exactly as the master writes it: NIFTY, GOLD, ...
            segment: such as NSE_FNO; `kind`: one of KINDS; `right`: CE or PE.
            strike: paise.

        Raises:
            UsageError: an unknown segment, kind or right.
        """
        if right is not None and right not in ("CE", "PE"):
            raise UsageError(f"right must be CE or PE, got {right!r}")
        if kind is not None and kind not in KINDS:
            raise UsageError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
        number = None if segment is None else segment_number(segment)
        codes, edges = self._underlyings
        code = codes.get(underlying)
        if code is None:
            return np.empty(0, np.int64)
        rows = np.asarray(self.numbers("order")[edges[code] : edges[code + 1]], np.int64)
        keep = np.ones(len(rows), bool)
        if number is not None:
            keep &= self.keys[rows] >> 32 == number
        for name, wanted in (
            ("kind", None if kind is None else KINDS.index(kind)),
            ("kind", None if right is None else KINDS.index(right)),
            ("expiry", None if expiry is None else expiry_number(expiry)),
            ("strike", strike),
        ):
            if wanted is not None:
                keep &= self.numbers(name)[rows] == wanted
        return rows[keep]

    def one(
        self, underlying: str, *, segment: str | None = None, kind: str | None = None,
        expiry: date | None = None, strike: int | None = None, right: str | None = None,
    ) -> Contract:  # fmt: skip
        """The one contract that `pick` finds.

        Raises:
            UsageError: none, or several; the message says what there is.
        """
        rows = self.pick(underlying, segment=segment, kind=kind, expiry=expiry, strike=strike,
                         right=right)  # fmt: skip
        if len(rows) == 1:
            return self.contract(int(rows[0]))
        wanted = " ".join(
            str(part) for part in (underlying, segment, kind, expiry, strike and f"{strike} paise",
                                   right) if part is not None
        )  # fmt: skip
        if len(rows):
            seen = ", ".join(
                f"{one.segment} {one.security_id} {one.symbol}"
                for one in (self.contract(int(row)) for row in rows[:4])
            )
            raise UsageError(f"{wanted} names {len(rows)} contracts ({seen}, ...); say more")
        near = self.expiries(underlying, segment=segment)
        has = ", ".join(str(day) for day in near[:6]) or "no derivatives"
        raise UsageError(f"{wanted} is not in the master; expiries of {underlying}: {has}")

    def expiries(
        self, underlying: str, *, segment: str | None = None, kind: str | None = None
    ) -> tuple[date, ...]:
        """Dates on which something of an underlying expires, rising.

        Raises:
            UsageError: an unknown segment or kind.
        """
        rows = self.pick(underlying, segment=segment, kind=kind)
        days = np.unique(self.numbers("expiry")[rows])
        return tuple(day for day in map(expiry_date, days.tolist()) if day is not None)

    def strikes(
        self, underlying: str, expiry: date, *, segment: str | None = None, right: str = "CE"
    ) -> NDArray[np.int64]:
        """Strikes listed for an expiry, paise, rising.

        Raises:
            UsageError: an unknown segment or right.
        """
        rows = self.pick(underlying, segment=segment, expiry=expiry, right=right)
        return np.unique(self.numbers("strike")[rows]).astype(np.int64)

    # ---- by text -------------------------------------------------------------------------------

    def by_symbol(self, symbol: str, *, segment: str | None = None) -> list[Contract]:
        """Contracts of exactly this symbol; weeklies of one month share theirs.

        Raises:
            UsageError: an unknown segment.
        """
        import pyarrow.compute as pc

        hit = np.asarray(pc.equal(self.texts("symbol").arrow(), symbol))
        if segment is not None:
            hit = hit & (self.keys >> 32 == segment_number(segment))
        return [self.contract(int(row)) for row in np.flatnonzero(hit)]

    def find(
        self, text: str, *, segment: str | None = None, expiry: date | None = None,
        strike: int | None = None, right: str | None = None,
    ) -> NDArray[np.int64]:  # fmt: skip
        """Rows whose symbol, name or ISIN holds every word of a text, or whose id it is.

        Args:
            text: words, in any case; all must be found. Blank: every row.
            segment, expiry, strike (paise), right: only these.

        Returns:
            rows: those whose symbol, underlying or id is the text first, then by segment,
            underlying, expiry, kind and strike.

        Raises:
            UsageError: an unknown segment or right.
        """
        if right is not None and right not in ("CE", "PE"):
            raise UsageError(f"right must be CE or PE, got {right!r}")
        keep = np.ones(len(self), bool)
        if segment is not None:
            keep &= self.keys >> 32 == segment_number(segment)
        if expiry is not None:
            keep &= self.numbers("expiry") == expiry_number(expiry)
        if strike is not None:
            keep &= self.numbers("strike") == strike
        if right is not None:
            keep &= self.numbers("kind") == KINDS.index(right)
        words = text.split()
        exact = self._exactly(text.strip()) if words else np.zeros(len(self), bool)
        if words:
            keep &= self._holding(words) | exact
        rows = np.flatnonzero(keep)
        place = np.empty(len(self), np.int64)
        place[self.numbers("order")] = np.arange(len(self))
        return rows[np.lexsort((place[rows], self.keys[rows] >> 32, ~exact[rows]))]

    def _holding(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Rows that hold every word somewhere in their texts."""
        import pyarrow.compute as pc

        texts = [self.texts(name).arrow() for name in TEXTS]
        hit = np.ones(len(self), bool)
        for word in words:
            some = np.zeros(len(self), bool)
            for column in texts:
                some |= np.asarray(pc.match_substring(column, word, ignore_case=True))
            hit &= some
        return hit

    def _exactly(self, text: str) -> NDArray[np.bool_]:
        """Rows whose symbol, underlying or id is the text."""
        import pyarrow.compute as pc

        hit = np.asarray(pc.equal(self.texts("symbol").arrow(), text.upper())).copy()
        hit |= np.asarray(pc.equal(self.texts("symbol").arrow(), text))
        code = self._underlyings[0].get(text.upper())
        if code is not None:
            hit |= self.words("underlying").codes == code
        if text.isascii() and text.isdigit() and len(text) <= 10:
            hit |= self.keys & ID_MAX == int(text)
        return hit


def _length(column: Column) -> int:
    """Rows of a column."""
    if isinstance(column, Texts):
        return len(column.offsets) - 1
    return len(column.values if isinstance(column, Numbers) else column.codes)
