"""Files of ticks become archives: every cell kept, proved by reading the archive back.

    look at every cell once ──▶ decide ──▶ write a draft ──▶ seal ──▶ read back, compare ──▶ name

The draft has a name that nothing reads. Only a sealed and compared archive gets its own name, so a
kill at any point leaves either no archive or a whole one.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from dhanfast import __version__
from dhanfast._core.archive.schema import DEPTH, TICKS
from dhanfast.clock import Clock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.market.calendar import exchange_date
from dhanfast.storage.archive.chunks import SUFFIX
from dhanfast.storage.archive.layouts import find_layout
from dhanfast.storage.archive.messages import plan_messages
from dhanfast.storage.archive.planning import (
    Part,
    Plan,
    Survey,
    is_our_own,
    make_plan,
    survey_source,
)
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.restoring import restored
from dhanfast.storage.archive.sources import TickSource, open_source
from dhanfast.storage.archive.writer import BLOCK_ROWS, ArchiveWriter
from dhanfast.storage.durable import TEMP_PREFIX, sync_folder

NEVER_NS: Final = 1 << 62
LEVEL: Final = 9
Progress = Callable[[str, int, int], None]  # doing what, rows done, rows in all (0: unknown)


@dataclass(frozen=True)
class TickOptions:
    """How to import ticks.

    Attributes:
        columns: role -> name in the file, see `layouts`. tz: zone of stamps that carry none.
        clock: recv or exch: which clock the file's only time is. symbol: of a file that names none.
        tick: paise, and lot: units, of its instruments; 0 when unknown.
        generated: the rows are a generator's. block_rows, level: of the archive.
        check: read the archive back and compare every cell.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    tz: str | None = None
    clock: str | None = None
    symbol: str | None = None
    tick: int = 0
    lot: int = 0
    generated: bool = False
    block_rows: int = BLOCK_ROWS
    level: int = LEVEL
    check: bool = True


@dataclass
class ImportedTicks:
    """What became of a file of ticks.

    Attributes:
        file, sha256: the source. archive: what it became.
        rows: of the source. rows_by_stream: of the archive.
        source_bytes, bytes: sizes. instruments: how many. first_ns, last_ns: earliest and latest.
        generated: made, not recorded. unchanged: the catalog held it already.
        facts: what was read as what. notes: what is odd about it.
    """

    file: str
    sha256: str
    archive: str
    rows: int
    rows_by_stream: dict[str, int]
    source_bytes: int
    bytes: int
    instruments: int
    first_ns: int
    last_ns: int
    generated: bool
    facts: list[str]
    notes: list[str] = field(default_factory=list)
    unchanged: bool = False


def quiet(doing: str, done: int, total: int) -> None:
    """Say nothing of the progress."""


def prepare(path: Path, options: TickOptions) -> tuple[TickSource, Plan, Survey]:
    """Look at a file and decide how it is kept.

    Returns:
        the source, the plan, and what was seen.

    Raises:
        UsageError: columns or zone are not known, or the file names no instrument.
        BadData: a row has no time, or the file is damaged.
    """
    source = open_source(path)
    layout = find_layout(source.names, columns=options.columns, tz=options.tz, clock=options.clock)
    if any(is_our_own(source, stream) for stream in (TICKS, DEPTH)):
        # The numbers say which instrument; a column of symbols beside them is for people.
        number = source.names.index("instrument")
        layout = replace(layout, roles={**layout.roles, "instrument": number})
    if "instrument" not in layout.roles and options.symbol is None:
        raise UsageError(
            f"{path.name} has no column that names the instrument; say it with --symbol, or which "
            "column it is with --columns instrument=..."
        )
    survey = survey_source(source, layout, options.symbol)
    plan = plan_messages(source, survey, layout) if layout.messages else None
    return source, plan or make_plan(source, survey, layout), survey


def import_ticks(
    path: Path, archive: Path, options: TickOptions, clock: Clock, progress: Progress = quiet
) -> ImportedTicks:
    """Make an archive of a file of ticks.

    Args:
        path: CSV or Parquet.
        archive: the file to be made; it must not exist, its folder must.
        options: how.
        clock: dates the archive.
        progress: told what is being done.

    Raises:
        UsageError, BadData: as for `prepare`; or the archive exists; or it does not give back what
            was read (then it is not kept).
        DhanfastError: the disk refuses; nothing is left behind.
    """
    if archive.exists():
        raise UsageError(f"{archive}: is there already; choose another name, or remove it first")
    progress(f"reading {path.name}", 0, 0)
    source, plan, survey = prepare(path, options)
    return write_import(source, plan, survey, archive, options, clock, progress)


def write_import(
    source: TickSource, plan: Plan, survey: Survey, archive: Path, options: TickOptions,
    clock: Clock, progress: Progress = quiet,
) -> ImportedTicks:  # fmt: skip
    """Write a planned import.

    Raises:
        BadData, DhanfastError: as for `import_ticks`.
    """
    generated = options.generated or source.generated
    rows = survey.rows
    days = {int(f"{exchange_date(one):%Y%m%d}") for one in (survey.first_ns, survey.last_ns)}
    draft = archive.parent / f"{TEMP_PREFIX}{os.getpid()}-{source.path.stem[:80]}{SUFFIX}"
    with suppress(FileNotFoundError):
        draft.unlink()
    seen = _Seen()
    try:
        writer = ArchiveWriter(
            draft, plan.streams, clock=clock,
            day=days.pop() if len(days) == 1 else None, source=f"{source.path.name}, imported",
            generated=generated, block_rows=options.block_rows, flush_ns=NEVER_NS,
            sync_ns=NEVER_NS, level=1,
        )  # fmt: skip
        try:
            writer.add_instruments(
                plan.identities.listed(tick=options.tick, lot=options.lot, qty_scale=plan.qty_scale)
            )
            for part in plan.encode(_numbered_batches(source, rows, progress)):
                seen.look(part)
                if writer.append(part.stream, part.rows, part.blob, seq=part.seq) < len(part.rows):
                    writer.flush()  # says why
            notes = seen.notes()
            writer.note(_provenance(source, options, plan, rows, notes, clock))
            progress("sealing", 0, 0)
            writer.seal(level=options.level)
        except BaseException:
            with suppress(DhanfastError):
                writer.close()
            raise
        if options.check:
            compare(source, draft, rows, progress)
        _give_name(draft, archive)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise
    with ArchiveReader(archive) as reader:
        counts = {name: reader.rows(name) for name in reader.streams}
    return ImportedTicks(
        source.path.name, source.sha256, str(archive), rows, counts, source.path.stat().st_size,
        archive.stat().st_size, len(plan.identities.seen), survey.first_ns, survey.last_ns,
        generated, plan.facts, notes,
    )  # fmt: skip


def _give_name(draft: Path, archive: Path) -> None:
    try:
        os.link(draft, archive)  # unlike a rename it never takes the place of another file
        os.unlink(draft)
    except FileExistsError:
        raise UsageError(f"{archive}: is there already; remove it first") from None
    except OSError as error:
        raise DhanfastError(f"{archive}: cannot be named so ({error.strerror})") from error
    sync_folder(archive.parent)


def _numbered_batches(
    source: TickSource, total: int, progress: Progress
) -> Iterator[tuple[int, list[Any]]]:
    first = 0
    for batch in source.batches():
        progress("writing", first, total)
        yield first, batch
        first += len(batch[0])


class _Seen:
    """What passed by while it was written: times, and clocks that ran backwards."""

    def __init__(self) -> None:
        self._back: dict[str, tuple[int, int]] = {}
        self._last: dict[str, int] = {}
        self._behind = self._rows = 0

    def look(self, part: Part) -> None:
        """Look at rows before they are written."""
        for name in ("recv_ns", "exch_ns"):
            values = part.rows[name]
            key = f"{name} of {part.stream}"
            steps = np.diff(values, prepend=self._last.get(key, int(values[0])))
            count, worst = self._back.get(key, (0, 0))
            self._back[key] = (
                count + int(np.count_nonzero(steps < 0)),
                min(worst, int(steps.min())),
            )
            self._last[key] = int(values[-1])
        both = part.rows["exch_ns"] != 0
        self._rows += int(np.count_nonzero(both))
        behind = part.rows["recv_ns"] < part.rows["exch_ns"]
        self._behind += int(np.count_nonzero(both & behind))

    def notes(self) -> list[str]:
        """What is odd, in words."""
        found = [
            f"{key} runs backwards {count:,} times, at most {-worst / 1e9:.6f} s; the order of the "
            "source is kept"
            for key, (count, worst) in self._back.items()
            if count
        ]
        if self._behind:
            found.append(
                f"{self._behind:,} of {self._rows:,} rows were received before the exchange's "
                "time: the receiver's clock is behind"
            )
        return found


def _provenance(
    source: TickSource, options: TickOptions, plan: Plan, rows: int, notes: Sequence[str],
    clock: Clock,
) -> dict[str, Any]:  # fmt: skip
    return {
        "kind": "provenance", "file": source.path.name, "sha256": source.sha256, "rows": rows,
        "options": {"columns": dict(options.columns), "tz": options.tz, "clock": options.clock,
                    "symbol": options.symbol, "tick": options.tick, "lot": options.lot},
        "facts": plan.facts, "notes": list(notes), "imported_by": f"dhanfast {__version__}",
        "imported_at_ns": clock.now_ns(),
    }  # fmt: skip


def compare(source: TickSource, archive: Path, rows: int, progress: Progress = quiet) -> None:
    """Prove that an archive gives back its source, cell for cell and bit for bit.

    Raises:
        BadData: it does not; the message names the column and the row.
    """
    with ArchiveReader(archive) as reader:
        pieces = restored(reader)
        held: list[Any] = []
        first = 0
        for batch in source.batches():
            progress("comparing", first, rows)
            need = len(batch[0])
            while sum(len(table) for table in held) < need:
                table = next(pieces, None)
                if table is None:
                    raise BadData(f"{source.path}: rows from {first + 1} on did not come back")
                held.append(table)
            whole = pa.concat_tables(held)
            _compare_batch(source, batch, whole.slice(0, need), first)
            held = [whole.slice(need)]
            first += need
        if sum(len(table) for table in held) or next(pieces, None) is not None:
            raise BadData(f"{source.path}: more rows came back than there are")


def _compare_batch(source: TickSource, batch: Sequence[Any], back: Any, first: int) -> None:
    for at, column in enumerate(batch):
        ours = back.column(at).combine_chunks()
        ours = ours.chunk(0) if hasattr(ours, "chunks") and ours.num_chunks else ours
        if pa.types.is_dictionary(ours.type):
            ours = ours.dictionary_decode()
        if not _bits(ours).equals(_bits(column)):
            for row, (old, new) in enumerate(zip(_bits(column), _bits(ours), strict=True)):
                if old != new:
                    raise BadData(
                        f"{source.path}: row {first + row + 1}, column {source.names[at]!r}: "
                        f"{column[row].as_py()!r} would come back as {ours[row].as_py()!r}; the "
                        "archive is not kept. Please report it, with the row"
                    )


def _bits(column: Any) -> Any:
    """Floats as the whole numbers of their bits: NaN equals itself, -0.0 is not 0.0."""
    kind = column.type
    if not pa.types.is_floating(kind):
        return column
    return column.view({16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[kind.bit_width])
