"""Bars from a file or from the catalog: the door the engine reads market data through.

    bar_set = read_bars("BANKNIFTY_1m_2022.parquet", start="2022-01-03", end="2022-06-30")

A file is read once: what is hashed is what is parsed. Rows that break a rule (`rows.py`) are
refused with their place and value: a strategy never runs on them. Prints outside the session
(pre-open, closing) are legal rows; the kernel filters them by the calendar.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.rows import (
    Defect,
    RowTable,
    RowView,
    all_good,
    bad_rows,
    count_bad,
    find_defects,
    parse_columns,
    refusal,
    view_of,
)
from dhanfast.storage.stamps import DAY_NS, IST, S, check_zone, ist_date, ist_text, midnight_ns

STAMPS: Final = ("start", "end")
ON_BAD: Final = ("refuse", "skip")
SAMPLE: Final = 255  # steps looked at to guess the interval before it is counted
_SIZES: Final = (("d", DAY_NS), ("h", 3600 * S), ("m", 60 * S), ("s", S), ("ms", 1_000_000))


class Source(NamedTuple):
    """One file that gave bars: its name, the SHA-256 of its bytes, the rows taken from it."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class BarSet:
    """The bars of one instrument, ready for the engine.

    Units:
        prices inside `bars` are int64 paise, times UTC ns of a bar's start; `interval_ns` ns.

    Shape:
        `bars` is BAR_DTYPE[n], n >= 1, sorted, strictly increasing `start_ns`, instrument 0.
    """

    symbol: str
    bars: NDArray[Any]
    interval_ns: int
    generated: bool
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()  # what a reader of a result must know: rounding, rows left out
    facts: tuple[str, ...] = ()  # how the source was read: unit of stamps, interval
    off_grid: int = 0  # rows with a price that was not a whole paisa and had to be rounded

    @property
    def first(self) -> datetime:
        """Start of the first bar, IST."""
        return _ist(int(self.bars["start_ns"][0]))

    @property
    def last(self) -> datetime:
        """Start of the last bar, IST."""
        return _ist(int(self.bars["start_ns"][-1]))

    @property
    def timeframe(self) -> str:
        """The interval as people write it: 1m, 15m, 1d."""
        return interval_name(self.interval_ns)


@dataclass(frozen=True)
class ReadOptions:
    """How a file writes its bars.

    Raises:
        UsageError: an unknown zone or stamp.
    """

    columns: Mapping[str, str] | None = None
    tz: str | None = None
    stamp: str = "start"

    def __post_init__(self) -> None:
        check_zone(self.tz)
        if self.stamp not in STAMPS:
            raise UsageError(f"--stamp: {self.stamp!r} is not known; use start or end")


def read_bars(
    source: str | os.PathLike[str],
    *,
    symbol: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    columns: Mapping[str, str] | str | None = None,
    tz: str | None = None,
    stamp: str = "start",
) -> BarSet:
    """Read the bars of one instrument.

    Args:
        source: a Parquet or CSV file; a catalog folder; or `SYMBOL` or `SYMBOL/1m` of the user's
            own catalog. Parquet of our schema needs no further argument.
        symbol: which instrument when the source holds several; its name when the file says none.
        start, end: first and last IST date, inclusive; None for all.
        columns: our column -> the file's, or `ts=date,open=o`; see `rows.parse_columns`.
        tz: `Asia/Kolkata` or `UTC`, for stamps that carry no zone.
        stamp: `end` when the file stamps a bar with its end; the interval is then taken off.

    Units:
        prices in a file are rupees; they become int64 paise, half to even.

    Raises:
        BadData: a row breaks a rule, named with file, place, column and value; or the file holds
            nothing between `start` and `end`.
        UsageError: no such source; an option that is unknown or does not fit.
    """
    first, last = ist_date(start, "--from"), ist_date(end, "--to")
    if first and last and last < first:
        raise UsageError(f"--to {last} lies before --from {first}")
    mapping = parse_columns(columns) if isinstance(columns, str) else columns
    options = ReadOptions(mapping, tz, stamp)
    path = Path(source)
    if not path.is_file():
        from dhanfast.storage.catalog import read_series

        if mapping or tz or stamp != "start":
            raise UsageError(
                f"{source}: --columns, --tz and --stamp describe a file, and this is none"
            )
        bar_set = read_series(source, symbol=symbol, first=first, last=last)
    else:
        table = load_table(path, options)
        chosen = _choose(table, symbol)
        bar_set = build(table, chosen, options, first=first, last=last).bar_set
    require_days(bar_set, first, last)
    return bar_set


def require_days(bar_set: BarSet, first: date | None, last: date | None) -> None:
    """Refuse a range that begins before or ends after the data: the result would cover less.

    Raises:
        BadData: trading days of the range lie outside the data.
        OutOfCalendar: the range sticks out of the data and of the calendar.
    """
    held_first, held_last = bar_set.first.date(), bar_set.last.date()
    spans = []
    if first is not None and first < held_first:
        spans.append((first, held_first - timedelta(days=1)))
    if last is not None and last > held_last:
        spans.append((held_last + timedelta(days=1), last))
    if not spans:
        return
    from dhanfast.market.calendar import Calendar

    for low, high in spans:
        count = sum(not day.is_special for day in Calendar.load().days(low, high))
        if count:
            raise BadData(
                f"{bar_set.sources[0].name}: no bars for {low} to {high} ({count:,} trading days); "
                f"the data covers {held_first} to {held_last}: choose --from and --to inside it"
            )


def load_table(path: Path, options: ReadOptions) -> RowTable:
    """Read a file as it stands, without judging its rows.

    Raises:
        BadData: the file is empty, of another kind, or its columns are missing.
        UsageError: the file cannot be opened, or its stamps need `tz`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    columns = dict(options.columns or {})
    if data[:4] == b"PAR1":
        from dhanfast.storage.parquet_rows import read_parquet_rows

        return read_parquet_rows(path.name, data, sha256, columns, options.tz)
    if data and path.suffix.lower() in (".parquet", ".pq"):
        raise BadData(f"{path.name}: not a Parquet file (its first bytes are {data[:4]!r})")
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise BadData(f"{path.name}: a spreadsheet or archive, not text; save it as CSV")
    from dhanfast.storage.csv_rows import read_csv_rows

    return read_csv_rows(path.name, data, sha256, columns, options.tz)


def _choose(table: RowTable, symbol: str | None) -> str:
    """The one instrument to read from a file.

    Raises:
        UsageError: the file holds several or another, or names none and neither does the caller.
    """
    held = table.names
    if symbol is None:
        if len(held) == 1:
            return held[0]
        if held:
            shown = ", ".join(held[:12]) + (", ..." if len(held) > 12 else "")
            raise UsageError(
                f"{table.name} holds {len(held)} instruments ({shown}); choose one with --symbol"
            )
        raise UsageError(
            f"{table.name} has no column that names the instrument; say it with --symbol"
        )
    if held and symbol not in held:
        raise UsageError(f"{table.name} holds {', '.join(held[:12])}, not {symbol!r}")
    return symbol


@dataclass(frozen=True)
class Built:
    """Bars made from a table, and the rows that were left out of them."""

    bar_set: BarSet
    skipped: tuple[Defect, ...]


def build(
    table: RowTable,
    symbol: str,
    options: ReadOptions,
    *,
    first: date | None = None,
    last: date | None = None,
    on_bad: str = "refuse",
) -> Built:
    """Make the bars of one instrument from a table.

    Args:
        table: a file's rows; `symbol`: one of its names, or the name to give them.
        options: how the file writes its bars.
        first, last: IST dates, inclusive; rows outside are neither checked nor taken.
        on_bad: `refuse` the file for a bad row, or `skip` such rows.

    Raises:
        BadData: bad rows (with `refuse`); no row left; an interval that cannot be told.
        UsageError: an unknown `on_bad`.
    """
    if on_bad not in ON_BAD:
        raise UsageError(f"--on-bad: {on_bad!r} is not known; use refuse or skip")
    rows = rows_of(table, symbol)
    view = view_of(table, rows)
    if np.count_nonzero(view.ts) < 2 and not all_good(view):
        raise refusal(table, find_defects(view))  # the rows, not the interval they leave unknown
    interval, fact = infer_interval(view.ts, table.name)
    shift = interval if options.stamp == "end" else 0
    view = _between(view, shift, first, last)
    skipped: list[Defect] = []
    if not all_good(view):
        skipped = find_defects(view)
        if skipped and on_bad == "refuse":
            raise refusal(table, skipped)
        view = _without(view, bad_rows(skipped))
        if not len(view.ts):
            raise BadData(f"{table.name}: every row of {symbol} is bad; nothing is left to take")
    bar_set = _bar_set(view, symbol, interval, shift, (*table.facts, fact))
    if skipped:
        note = f"{table.name}: {count_bad(skipped):,} bad rows left out"
        bar_set = replace(bar_set, notes=(*bar_set.notes, note))
    return Built(bar_set, tuple(skipped))


def rows_of(table: RowTable, symbol: str) -> NDArray[np.intp] | None:
    """Table indexes of an instrument's rows, in file order; None for all rows.

    Raises:
        BadData: the table has no row of it.
    """
    if table.codes is None:
        if not len(table):
            raise BadData(f"{table.name}: no row could be read; check the file")
        return None
    rows = np.flatnonzero(table.codes == table.names.index(symbol))
    if not len(rows):
        raise BadData(f"{table.name}: no row of {symbol}")
    return rows


def _between(view: RowView, shift: int, first: date | None, last: date | None) -> RowView:
    """The part of a view that lies between two dates. Unreadable stamps stay, to be named."""
    if first is None and last is None:
        return view
    low = midnight_ns(first) if first else -(1 << 62)
    high = midnight_ns(last) + DAY_NS if last else 1 << 62
    starts = view.ts - shift
    inside = ((starts >= low) & (starts < high)) | (view.ts == 0)
    if not (inside & (view.ts != 0)).any():
        read = starts[view.ts != 0]
        span = f"{ist_text(read.min())} to {ist_text(read.max())}" if len(read) else "no time"
        raise BadData(
            f"{view.table.name}: no bar from {first or 'its start'} to {last or 'its end'}; "
            f"the file covers {span} IST"
        )
    return view if inside.all() else _narrowed(view, inside)


def _without(view: RowView, bad: NDArray[np.intp]) -> RowView:
    """A view less some table rows."""
    keep = np.ones(len(view.table), bool)
    keep[bad] = False
    return _narrowed(view, keep if view.rows is None else keep[view.rows])


def _narrowed(view: RowView, keep: NDArray[np.bool_]) -> RowView:
    """A view of fewer rows."""
    off = None if view.off_grid is None else view.off_grid[keep]
    rows = view.back(keep)
    return RowView(view.table, rows, view.ts[keep], view.paise[:, keep], off)


def _bar_set(
    view: RowView, symbol: str, interval: int, shift: int, facts: tuple[str, ...]
) -> BarSet:
    """Lay good rows out as records."""
    table, rows = view.table, view.rows
    bars = np.zeros(len(view.ts), BAR_DTYPE)
    np.subtract(view.ts, shift, out=bars["start_ns"])
    for index, column in enumerate(("open", "high", "low", "close")):
        bars[column] = view.paise[index]
    for column, counts in (("volume", table.volume), ("oi", table.oi)):
        if counts is not None:
            bars[column] = counts if rows is None else counts[rows]
    notes = []
    if shift:
        facts += (f"stamped with the bar's end: {interval_name(interval)} taken off",)
    off_grid = 0
    if view.off_grid is not None and view.off_grid.any():
        off_grid = int(np.count_nonzero(view.off_grid))
        at = table.place([int(view.back(view.off_grid)[0])])[0]
        notes.append(
            f"{table.name}: {off_grid:,} rows have a price that is not a whole paisa; "
            f"rounded half to even (first: {table.unit} {at})"
        )
    source = Source(table.name, table.sha256, len(bars))
    return BarSet(symbol, bars, interval, table.generated, (source,), tuple(notes), facts, off_grid)


def infer_interval(ts: NDArray[np.int64], name: str) -> tuple[int, str]:
    """Tell the interval of bars: the commonest step forward between neighbours.

    Args:
        ts: stamps in file order, UTC ns; zeros (unreadable) are passed over.
        name: of the file, for messages.

    Returns:
        the interval in ns, and a sentence that states it.

    Raises:
        BadData: fewer than two different stamps.
    """
    steps = np.diff(ts)
    # A sample finds the candidate; the count over all steps decides whether it is one.
    sample = np.sort(steps[:: len(steps) // SAMPLE + 1])
    common = int(sample[len(sample) // 2]) if len(steps) else 0
    agree = int(np.count_nonzero(steps == common))
    if common <= 0 or 2 * agree <= len(steps):
        stamps = np.unique(ts[ts != 0])
        if len(stamps) < 2:
            raise BadData(
                f"{name}: one bar does not tell how long it is; give at least two different stamps"
            )
        steps, counts = np.unique(np.diff(stamps), return_counts=True)
        best = int(np.argmax(counts))
        common, agree = int(steps[best]), int(counts[best])
    total = max(len(ts) - 1, 1)
    return common, f"interval {interval_name(common)}, the step of {agree:,} of {total:,} rows"


def interval_name(interval_ns: int) -> str:
    """Write an interval as 1m, 15m, 1d, 90s or 250ms."""
    for unit, size in _SIZES:
        if interval_ns % size == 0:
            return f"{interval_ns // size}{unit}"
    return f"{interval_ns}ns"


def join_bars(parts: Sequence[BarSet]) -> BarSet:
    """Bars of one instrument that were read in parts, as if they had been read at once.

    Args:
        parts: at least one, each later than all before it.
    Raises:
        BadData: another symbol, another interval, or a part that begins before the one before it
            has ended; the message names them.
        UsageError: no part.
    """
    if not parts:
        raise UsageError("bars to join: there are none")
    first = parts[0]
    for before, after in pairwise(parts):
        if (after.symbol, after.interval_ns) != (first.symbol, first.interval_ns):
            raise BadData(
                f"bars to join must be of one instrument and length: {first.symbol} "
                f"{first.timeframe} and {after.symbol} {after.timeframe}"
            )
        if after.bars["start_ns"][0] <= before.bars["start_ns"][-1]:
            raise BadData(
                f"bars to join must follow each other: {after.sources[0].name} begins "
                f"{after.first:%Y-%m-%d %H:%M}, {before.sources[0].name} ends "
                f"{before.last:%Y-%m-%d %H:%M}"
            )
    return replace(
        first,
        bars=np.concatenate([part.bars for part in parts]),
        generated=any(part.generated for part in parts),
        sources=tuple(one for part in parts for one in part.sources),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        facts=tuple(dict.fromkeys(fact for part in parts for fact in part.facts)),
        off_grid=sum(part.off_grid for part in parts),
    )


def write_parquet(path: str | os.PathLike[str], bar_set: BarSet) -> None:
    """Write bars as Parquet of our schema, which `read_bars` takes without options.

    Args:
        path: of the new file, replaced at once when it exists.
        bar_set: what to write; whether it was generated is kept in the file's metadata.

    Units:
        prices are written as float64 rupees, `ts` as int64 UTC ns of the bar's start.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from dhanfast.storage.durable import replace_file
    from dhanfast.storage.parquet_rows import GENERATED_KEY

    bars = bar_set.bars
    names = pa.array([bar_set.symbol] * len(bars), pa.string())
    columns: dict[str, Any] = {"ts": np.ascontiguousarray(bars["start_ns"]), "instrument": names}
    columns |= {name: bars[name] / 100.0 for name in ("open", "high", "low", "close")}
    columns |= {name: np.ascontiguousarray(bars[name]) for name in ("volume", "oi")}
    flag = b"true" if bar_set.generated else b"false"
    table = pa.table(columns).replace_schema_metadata({GENERATED_KEY: flag})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    replace_file(Path(path), sink.getvalue())


def _ist(ns: int) -> datetime:
    """An instant as an aware IST time, to the microsecond."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)).astimezone(IST)
