"""Bring files into the catalog: all of a command's files, or none of them.

The day (IST) is the atom. A day that the catalog holds already must come out bar for bar the same;
otherwise the import is refused, or with `replace` the new file's day takes the old one's place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dhanfast import __version__
from dhanfast.clock import Clock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.bars import BarSet, Built, ReadOptions, build, load_table
from dhanfast.storage.catalog import LOCK, SYMBOL, Catalog, Provenance, Series, years_of
from dhanfast.storage.durable import exclusive
from dhanfast.storage.rows import RowTable, count_bad, describe
from dhanfast.storage.stamps import DAY_NS, IST_OFFSET_NS, ist_text

SHOWN_MAX: Final = 5  # days written out when an overlap is refused


@dataclass(frozen=True)
class ImportOptions:
    """How to import.

    Units:
        `symbol` names the instrument of files that do not say, or picks one of several.
    """

    read: ReadOptions = field(default_factory=ReadOptions)
    symbol: str | None = None
    on_bad: str = "refuse"
    replace: bool = False


@dataclass(frozen=True)
class Imported:
    """What became of one instrument of one file.

    Units:
        rows are bars; days are IST dates.
    """

    file: str
    sha256: str
    key: str
    rows: int
    rows_added: int  # bars the catalog did not hold
    days_replaced: int
    skipped: int
    skipped_rows: tuple[str, ...]  # the first of them, written out
    first: str
    last: str
    generated: bool
    notes: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def unchanged(self) -> bool:
        """Whether the catalog held all of it already."""
        return not (self.rows_added or self.days_replaced)


@dataclass
class _Staged:
    """A series as it shall be, in memory, before anything is written."""

    series: Series
    years: dict[int, NDArray[Any]] = field(default_factory=dict)  # only years that change


def import_files(
    catalog: Catalog,
    paths: Sequence[Path],
    options: ImportOptions,
    clock: Clock,
    progress: Callable[[int, str], None] = lambda done, name: None,
) -> list[Imported]:
    """Import files into a catalog, all of them or none.

    Args:
        catalog: made when absent.
        paths: CSV or Parquet files; a file may hold several instruments.
        options: how to read them, and what to do with bad rows and overlaps.
        clock: for the date in the provenance.
        progress: called with (files done, name of the next) before each file.

    Returns:
        what became of each instrument of each file, in order.

    Raises:
        BadData: a bad row, or a day that differs from the catalog's; nothing was imported.
        UsageError: a file that cannot be opened, or an option that does not fit.
        DhanfastError: another import runs, or the disk refuses; nothing was imported.
    """
    if not paths:
        raise UsageError("no file to import; name at least one")
    try:
        catalog.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DhanfastError(f"{catalog.root}: cannot be made: {error.strerror}") from error
    with exclusive(catalog.root / LOCK, "importing"):
        staged: dict[str, _Staged] = {}
        held = catalog.manifest().series
        done: list[Imported] = []
        for index, path in enumerate(paths):
            progress(index, path.name)
            table = load_table(path, options.read)
            for symbol in _symbols(table, options.symbol):
                built = build(table, symbol, options.read, on_bad=options.on_bad)
                stage = _stage_of(built.bar_set, staged, held)
                done.append(_stage(catalog, stage, table, built, options, clock))
        changes = {key: (s.series, s.years) for key, s in staged.items() if s.years}
        if changes:
            catalog.commit(changes)
    return done


def _symbols(table: RowTable, symbol: str | None) -> Sequence[str]:
    """The instruments to import from a table, all with names that can be folders."""
    if not table.names and symbol is None:
        raise UsageError(
            f"{table.name} has no column that names the instrument; say it with --symbol"
        )
    if table.names and symbol is not None and symbol not in table.names:
        raise UsageError(f"{table.name} holds {', '.join(table.names[:12])}, not {symbol!r}")
    chosen = table.names if symbol is None else (symbol,)
    for name in chosen:
        if not SYMBOL.fullmatch(name):
            raise BadData(
                f"{table.name}: the instrument {name!r} cannot be a name in the catalog; "
                "use letters, digits and & . _ - (at most 64)"
            )
    return chosen


def _stage_of(bar_set: BarSet, staged: dict[str, _Staged], held: dict[str, Series]) -> _Staged:
    """The series a bar set goes to: staged before, in the catalog, or new."""
    empty = Series(bar_set.symbol, bar_set.interval_ns, bar_set.generated, (), ())
    if empty.key not in staged:
        staged[empty.key] = _Staged(held.get(empty.key, empty))
    return staged[empty.key]


def _stage(
    catalog: Catalog,
    stage: _Staged,
    table: RowTable,
    built: Built,
    options: ImportOptions,
    clock: Clock,
) -> Imported:
    """Merge a bar set into its series, in memory."""
    bar_set, series = built.bar_set, stage.series
    if series.sources and series.generated != bar_set.generated:
        old, new = ("generated", "recorded") if series.generated else ("recorded", "generated")
        raise BadData(
            f"{table.name}: its bars are {new}, those of {series.key} in the catalog are {old}; "
            "the two are never mixed: use another catalog folder"
        )
    added = replaced = 0
    years = years_of(bar_set.bars)
    for year in np.unique(years).tolist():
        old_bars = _year(catalog, stage, year)
        merged, plus, swapped = _merge(
            old_bars, bar_set.bars[years == year], options.replace, table.name, series.key
        )
        added, replaced = added + plus, replaced + swapped
        if plus or swapped:
            stage.years[year] = merged
    first, last = (ist_text(int(bar_set.bars["start_ns"][at])) for at in (0, -1))
    skipped = count_bad(built.skipped)
    if added or replaced:
        entry = Provenance(
            name=table.name, sha256=table.sha256, rows=len(bar_set.bars), skipped=skipped,
            first=first, last=last, columns=dict(options.read.columns or {}), tz=options.read.tz,
            stamp=options.read.stamp, on_bad=options.on_bad, generated=bar_set.generated,
            days_replaced=replaced, imported_by=f"dhanfast {__version__}",
            imported_at_ns=clock.now_ns(), notes=bar_set.notes, facts=bar_set.facts,
        )  # fmt: skip
        stage.series = msgspec.structs.replace(series, sources=(*series.sources, entry))
    return Imported(
        file=table.name, sha256=table.sha256, key=series.key, rows=len(bar_set.bars),
        rows_added=added, days_replaced=replaced, skipped=skipped,
        skipped_rows=tuple(describe(table, built.skipped)), first=first, last=last,
        generated=bar_set.generated, notes=bar_set.notes, facts=bar_set.facts,
    )  # fmt: skip


def _year(catalog: Catalog, stage: _Staged, year: int) -> NDArray[Any] | None:
    """The bars of one year as staged or as held; None when there are none."""
    if year in stage.years:
        return stage.years[year]
    file = next((file for file in stage.series.files if file.year == year), None)
    if file is None:
        return None
    try:
        return catalog.read_year(stage.series, file)
    except FileNotFoundError as error:
        raise BadData(f"{error.filename}: missing; restore it, or use another folder") from error


def _merge(
    old: NDArray[Any] | None, new: NDArray[Any], replace: bool, file: str, key: str
) -> tuple[NDArray[Any], int, int]:
    """Merge a year by days.

    Returns:
        (bars, bars of days not held before, days replaced).
    """
    if old is None:
        return new, len(new), 0
    old_days, new_days = _days(old), _days(new)
    both = np.intersect1d(old_days, new_days)
    differ = [day for day in both.tolist() if not _same(old, old_days, new, new_days, day)]
    if differ and not replace:
        raise _overlap(old, old_days, new, new_days, differ, file, key)
    fresh = ~np.isin(new_days, both)
    take = fresh | np.isin(new_days, differ)
    merged = np.concatenate([old[~np.isin(old_days, differ)], new[take]])
    merged = merged[np.argsort(merged["start_ns"], kind="stable")]
    return merged, int(np.count_nonzero(fresh)), len(differ)


def _days(bars: NDArray[Any]) -> NDArray[np.int64]:
    """IST day number of each bar."""
    days: NDArray[np.int64] = (bars["start_ns"] + IST_OFFSET_NS) // DAY_NS
    return days


def _part(bars: NDArray[Any], days: NDArray[np.int64], day: int) -> NDArray[Any]:
    """The bars of one day; both arrays are sorted."""
    start, stop = np.searchsorted(days, [day, day + 1])
    return bars[start:stop]


def _same(
    old: NDArray[Any], old_days: NDArray[np.int64], new: NDArray[Any],
    new_days: NDArray[np.int64], day: int,
) -> bool:  # fmt: skip
    """Whether two arrays hold the same bars on a day."""
    return _part(old, old_days, day).tobytes() == _part(new, new_days, day).tobytes()


def _overlap(
    old: NDArray[Any], old_days: NDArray[np.int64], new: NDArray[Any],
    new_days: NDArray[np.int64], differ: Sequence[int], file: str, key: str,
) -> BadData:  # fmt: skip
    """Build the refusal for days that differ: which, and how."""
    lines = [f"{file}: {len(differ)} day{'s differ' if len(differ) > 1 else ' differs'} from {key}"]
    for day in differ[:SHOWN_MAX]:
        ours, theirs = _part(old, old_days, day), _part(new, new_days, day)
        says = f"{len(ours)} bars in the catalog, {len(theirs)} in the file"
        if len(ours) == len(theirs):
            at = int(np.flatnonzero(ours != theirs)[0])
            says = f"first difference at {ist_text(int(theirs['start_ns'][at]))[11:]}"
        lines.append(f"  {np.datetime64(day, 'D')}: {says}")
    if len(differ) > SHOWN_MAX:
        lines.append(f"  and {len(differ) - SHOWN_MAX:,} more")
    lines.append("  Nothing was imported. --replace puts the file's days in their place.")
    return BadData("\n".join(lines))


def describe_import(item: Imported) -> str:
    """One line that says what became of an instrument of a file."""
    interval = item.key.rpartition("/")[2]
    if item.unchanged:
        return f"{item.file}: {item.key}: held already ({item.rows:,} bars), nothing changes"
    parts = [f"{item.rows_added:,} bars added"]
    if item.days_replaced:
        parts.append(f"{item.days_replaced:,} days replaced")
    if item.skipped:
        parts.append(f"{item.skipped:,} bad rows left out")
    label = " GENERATED" if item.generated else ""
    span = f"{item.first[:10]} to {item.last[:10]}"
    return f"{item.file}: {item.key}{label}: {', '.join(parts)}; {span}, step {interval}"
