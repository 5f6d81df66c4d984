"""The files of a folder of downloads that others read: Parquet of our schema, made of the pieces.

A month at a time, so that five years of a chain do not have to fit in memory. Options by their
distance from the money become the contracts they were, by strike and expiry; the expiry is that
of the dated tables, since the broker does not tell it.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import expiries
from dhanfast.market.calendar import Calendar, exchange_date, midnight_ns
from dhanfast.market.instruments import Instrument, nse_symbol
from dhanfast.storage.downloads import BASE, Columns, DownloadFolder, Line, Piece, Series
from dhanfast.storage.durable import replacing
from dhanfast.storage.parquet_rows import GENERATED_KEY

PIECES_KEY: Final = b"dhanfast.pieces"  # schema metadata: which pieces a file is made of
DAY_NS: Final = 86_400_000_000_000
OPEN_NS: Final = 33_300_000_000_000  # 09:15, for days that the calendar does not know
RUPEES: Final = ("open", "high", "low", "close")
AHEAD_DAYS: Final = 200  # the third monthly expiry lies within it


@dataclass(frozen=True)
class Made:
    """A file that was made.

    Units:
        rows; first and last are IST dates.
    """

    path: Path
    rows: int
    instruments: int
    first: str
    last: str


def make_file(folder: DownloadFolder, name: str, generated: bool) -> Made | None:
    """Make a file at the top of a folder from the pieces of its series; None without a bar.

    Args:
        name: of the file, without its ending.
        generated: whether the bars are, which the file then says of itself.

    Raises:
        BadData: a piece is damaged.
        DhanfastError: the disk is full or refuses; the old file stands.
    """
    import pyarrow.parquet as pq

    held = [one for one in folder.series().values() if one.line.file == name and one.rows]
    if not held:
        return None
    path = folder.root / f"{name}.parquet"
    options = any(one.line.expiry or one.line.kind == "EXPIRED" for one in held)
    schema = _schema(options, held[0].line.kind == "EXPIRED", generated, _digest(held))
    names, seen = _Names(), set[str]()
    rows, first, last = 0, "", ""
    with replacing(path) as sink:
        writer = pq.ParquetWriter(sink, schema, compression="zstd")
        for low, high in _months(held):
            table = _month(folder, held, low, high, schema, names)
            if table is None:
                continue
            writer.write_table(table)
            rows += len(table)
            stamps = table.column("ts")
            first = first or str(exchange_date(stamps[0].as_py()))
            last = str(exchange_date(stamps[-1].as_py()))
            seen.update(table.column("instrument").unique().to_pylist())
        writer.close()
    return Made(path, rows, len(seen), first, last)


def file_is_current(folder: DownloadFolder, name: str) -> bool:
    """Whether a file is there and made of the pieces that are held now."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    held = [one for one in folder.series().values() if one.line.file == name and one.rows]
    try:
        noted = pq.read_schema(folder.root / f"{name}.parquet").metadata or {}
    except (OSError, pa.ArrowException):
        return not held
    return noted.get(PIECES_KEY) == _digest(held)


def _digest(held: Sequence[Series]) -> bytes:
    """What a file is made of, in short."""
    names = sorted(f"{one.line.key} {piece.sha256}" for one in held for piece in one.pieces)
    return hashlib.sha256("\n".join(names).encode()).hexdigest().encode()


def rolling_expiry(underlying: str, cycle: str, code: int, day: date) -> date | None:
    """The expiry that the broker's WEEK or MONTH with a code means on a day; None when no table
    tells it.

    WEEK counts every expiry from that day on, the monthly ones too; MONTH the monthly ones.

    Args:
        underlying: BANKNIFTY, or a single stock.
        code: 1 the next, 2 the one after it, 3.
    """
    found = _expiries_from(underlying, cycle)
    place = bisect_left(found, day) + code - 1
    if not found or day < found[0] - timedelta(days=AHEAD_DAYS) or place >= len(found):
        return None
    return found[place]


@cache
def _expiries_from(underlying: str, cycle: str) -> list[date]:
    """All expiries of a cycle that the tables know; year by year, since some are in no table."""
    known = expiries.underlyings()
    rule = underlying if underlying in known else "STOCK"
    low, high = expiries.validity()
    found: list[date] = []
    for year in range(low.year, high.year + 1):
        for month in range(1, 13):
            begin = date(year, month, 1)
            end = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
            try:
                found += expiries.expiries(rule, "ALL" if cycle == "WEEK" else "M",
                                           max(begin, low), min(end, high))  # fmt: skip
            except (OutOfCalendar, UsageError):
                continue
    return found


# ---- months ----


def _months(held: Sequence[Series]) -> Iterator[tuple[date, date]]:
    """First day of each month that some piece touches, and of the next."""
    spans = [piece.days for one in held for piece in one.pieces if piece.rows]
    low = min(first for first, _ in spans).replace(day=1)
    end = max(last for _, last in spans)
    while low <= end:
        high = (low + timedelta(days=31)).replace(day=1)
        yield low, high
        low = high


class _Names:
    """Texts as numbers: a column of them sorts and repeats as fast as any other."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The number of a text."""
        return self._codes.setdefault(text, len(self._codes))

    def ranks(self) -> NDArray[np.int32]:
        """Place of each text in the alphabet, by its number."""
        order = sorted(self._codes, key=lambda text: text)
        ranks = np.empty(len(order), np.int32)
        ranks[[self._codes[text] for text in order]] = np.arange(len(order))
        return ranks

    def texts(self, codes: NDArray[Any]) -> Any:
        """A column of texts for Parquet."""
        import pyarrow as pa

        known = pa.array(list(self._codes), pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), known).cast(pa.string())


def _month(
    folder: DownloadFolder, held: Sequence[Series], low: date, high: date, schema: Any,
    names: _Names,
) -> Any:  # fmt: skip
    """All bars of a month as a table by time and instrument; None without any."""
    import pyarrow as pa

    parts = []
    for one in held:
        for piece in one.pieces:
            if piece.rows and piece.days[0] < high and piece.days[1] >= low:
                part = _part(folder, one.line, piece, low, high, names)
                if len(part["ts"]):
                    parts.append(part)
    if not parts:
        return None
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((names.ranks()[whole["instrument"]], whole["ts"]))
    arrays = []
    for field in schema:
        values = whole[field.name][order]
        if field.name in ("instrument", "underlying", "right"):
            arrays.append(names.texts(values))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _part(
    folder: DownloadFolder, line: Line, piece: Piece, low: date, high: date, names: _Names
) -> dict[str, NDArray[Any]]:
    """The columns of the file for what a piece holds of a month."""
    columns = folder.read(line.key, piece)
    starts = columns["start_ns"]
    begin, end = np.searchsorted(starts, [midnight_ns(low), midnight_ns(high)])
    mine = {name: values[begin:end] for name, values in columns.items()}
    count = int(end - begin)
    found: dict[str, NDArray[Any]] = {"ts": mine["start_ns"]}
    if line.interval_s == 86_400:
        found["ts"] = opens_of(mine["start_ns"], line.hours)
    found |= {name: mine[name] / 100.0 for name in RUPEES}
    found |= {"volume": mine["volume"], "oi": mine["oi"]}
    if line.kind == "EXPIRED":
        return found | _contracts(line, mine, names)
    found["instrument"] = np.full(count, names.code(line.name), np.int32)
    if line.expiry:
        found |= {
            "underlying": np.full(count, names.code(line.underlying), np.int32),
            "expiry": np.full(count, np.datetime64(line.expiry, "D")),
            "strike": np.full(count, line.strike / 100.0 if line.strike else np.nan),
            "right": np.full(count, names.code(line.right or "FUT"), np.int32),
        }
    return found


def opens_of(starts: NDArray[np.int64], hours: str) -> NDArray[np.int64]:
    """The opens of the days that some daily bars are of: the broker stamps them with midnight.

    Units:
        UTC ns.
    """
    calendar = Calendar.load()

    def opens(start_ns: int) -> int:
        day = exchange_date(start_ns)
        trading = calendar.day(day, hours) if calendar.covers(day) else None
        if trading is None or not trading.windows:
            return midnight_ns(day) + OPEN_NS
        return trading.open_ns

    return np.array([opens(start) for start in starts.tolist()], np.int64)


def _contracts(line: Line, mine: Columns, names: _Names) -> dict[str, NDArray[Any]]:
    """Which contract each bar of a distance from the money was of."""
    starts, strikes = mine["start_ns"], mine["strike"]
    days = (starts + 19_800_000_000_000) // DAY_NS
    expiry = np.full(len(starts), np.datetime64("NaT", "D"))
    codes = np.full(len(starts), names.code(line.name), np.int32)
    edges = np.flatnonzero(np.diff(days, prepend=-1, append=-1)).tolist()
    for begin, end in pairwise(edges):
        on = date(1970, 1, 1) + timedelta(days=int(days[begin]))
        ends = rolling_expiry(line.underlying, line.cycle, line.code, on)
        if ends is None:
            continue
        expiry[begin:end] = np.datetime64(ends, "D")
        listed, places = np.unique(strikes[begin:end], return_inverse=True)
        symbols = [_symbol(line.underlying, ends, strike, line.right) for strike in listed.tolist()]
        codes[begin:end] = np.array([names.code(one) for one in symbols], np.int32)[places]
    count = len(starts)
    return {
        "instrument": codes,
        "underlying": np.full(count, names.code(line.underlying), np.int32),
        "expiry": expiry,
        "strike": strikes / 100.0,
        "right": np.full(count, names.code(line.right), np.int32),
        "spot": mine["spot"] / 100.0,
        "iv": mine["iv"],
        "money": np.full(count, line.money, np.int8),
    }


@cache
def _symbol(underlying: str, expiry: date, strike: int, right: str) -> str:
    """A contract as the exchange writes it."""
    known = underlying in expiries.underlyings()
    cycle = expiries.cycle_of(underlying if known else "STOCK", expiry)
    return nse_symbol(Instrument(underlying, right, expiry, strike, cycle))


def _schema(options: bool, rolling: bool, generated: bool, digest: bytes) -> Any:
    """Columns of a file, whether it was generated, and of what it is made."""
    import pyarrow as pa

    fields = [("ts", pa.int64()), ("instrument", pa.string())]
    fields += [(name, pa.float64()) for name in RUPEES]
    fields += [(name, pa.int64()) for name in BASE if name in ("volume", "oi")]
    if options:
        fields += [("underlying", pa.string()), ("expiry", pa.date32()),
                   ("strike", pa.float64()), ("right", pa.string())]  # fmt: skip
    if rolling:
        fields += [("spot", pa.float64()), ("iv", pa.float64()), ("money", pa.int8())]
    flag = b"true" if generated else b"false"
    return pa.schema(fields, metadata={GENERATED_KEY: flag, PIECES_KEY: digest})
