"""The tick archives of a catalog: what is there, which day is where, and taking old days away.

    ROOT/ticks/2026/2026-01-02.dfa         what the recorder wrote (.2.dfa: a second part)
    ROOT/ticks/2025/2025-11-17-NAME.dfa    what was imported: first day, name of the source

There is no list beside the files: a sealed archive says itself what it holds, where it came from
and what is missing, and is opened in a millisecond. So nothing can disagree after a kill at any
point.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from dhanfast.clock import Clock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.market.calendar import exchange_date
from dhanfast.storage.archive.chunkfile import holder_of
from dhanfast.storage.archive.chunks import SUFFIX
from dhanfast.storage.archive.importing import (
    ImportedTicks,
    Progress,
    TickOptions,
    prepare,
    quiet,
    write_import,
)
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.catalog import LOCK
from dhanfast.storage.durable import TEMP_PREFIX, exclusive, make_folder, sync_folder

TICKS: Final = "ticks"
DRAFT_NS: Final = 3_600_000_000_000
_DRAFT: Final = re.compile(re.escape(TEMP_PREFIX) + r"(\d+)-")
_SAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass
class HeldArchive:
    """One archive of a catalog.

    Attributes:
        path: the file. bytes: its size. sealed, writing: complete; open in a writer now.
        generated: made, not recorded. digest: of the seal, "" without one.
        rows: by stream. first_ns, last_ns: of its rows, 0 when it has none. day: as HEAD says.
        symbols: how many instruments have rows. lost: rows its recorder noted as missing, and gaps:
            how many such notes. sources: provenance notes of an import.
        error: why it could not be opened, "" when it could.
    """

    path: Path
    bytes: int
    sealed: bool = False
    writing: bool = False
    generated: bool = False
    digest: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int = 0
    day: int | None = None
    symbols: int = 0
    gaps: int = 0
    lost: int = 0
    sources: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""

    @property
    def first_day(self) -> date | None:
        """First IST date; from HEAD when there are no rows."""
        if self.first_ns:
            return exchange_date(self.first_ns)
        if self.day:
            return date(self.day // 10_000, self.day // 100 % 100, self.day % 100)
        return None

    @property
    def last_day(self) -> date | None:
        """Last IST date; from HEAD when there are no rows."""
        return exchange_date(self.last_ns) if self.last_ns else self.first_day


def archive_files(root: Path) -> list[Path]:
    """The archives below a catalog's `ticks` folder (or a folder itself), by name."""
    folder = root / TICKS if (root / TICKS).is_dir() else root
    found = [path for path in folder.rglob(f"*{SUFFIX}") if not path.name.startswith(".")]
    return sorted(found, key=lambda path: (path.name, path))


def held_archives(root: Path) -> list[HeldArchive]:
    """What the tick archives of a catalog are; one that cannot be opened says why."""
    found = []
    for path in archive_files(root) if (root / TICKS).is_dir() else ():
        with suppress(FileNotFoundError):  # taken away while we looked
            found.append(look(path))
    return found


def look(path: Path) -> HeldArchive:
    """What one archive is.

    Raises:
        FileNotFoundError: there is none.
    """
    held = HeldArchive(path, path.stat().st_size)
    try:
        with ArchiveReader(path) as reader:
            held.sealed, held.digest = reader.sealed, reader.digest
            held.generated = bool(reader.head.get("generated"))
            day = reader.head.get("day")
            held.day = day if isinstance(day, int) else None
            held.rows = {name: reader.rows(name) for name in reader.streams}
            spans, keys = [], set()
            for name, stream in reader.streams.items():
                if stream.time is not None and (span := reader.time_range(name)):
                    spans.append(span)
                if stream.key is not None:
                    keys |= set(reader.keys(name).tolist())
            held.symbols = len(keys)
            if spans:
                held.first_ns = min(one for one, _ in spans)
                held.last_ns = max(one for _, one in spans)
            notes = reader.notes
            gaps = [note for note in notes if note.get("kind") == "gap"]
            held.gaps = len(gaps)
            held.lost = sum(one for note in gaps if isinstance(one := note.get("lost"), int))
            held.sources = [note for note in notes if note.get("kind") == "provenance"]
    except BadData as error:
        held.error = str(error)
    held.writing = not held.sealed and is_writing(path)
    return held


def is_writing(path: Path) -> bool:
    """Whether a writer has the file open right now; looks without touching the lock."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return holder_of(handle) is not None
    finally:
        os.close(handle)


def archives_of_day(root: Path, day: date) -> list[Path]:
    """The archives that have rows of an IST date, in order of their names.

    Raises:
        UsageError: there is none; the message says which days there are.
    """
    held = [one for one in held_archives(root) if not one.error]
    found = [one.path for one in held if _covers(one, day)]
    if found:
        return found
    days = sorted({one.first_day for one in held if one.first_day})
    span = f"it has {days[0]} to {days[-1]}, {len(days)} days" if days else "it has none at all"
    raise UsageError(f"{root}: no tick archive of {day}; {span}. See: dhanfast data list")


def _covers(held: HeldArchive, day: date) -> bool:
    first, last = held.first_day, held.last_day
    return first is not None and last is not None and first <= day <= last


def import_into(
    root: Path, path: Path, options: TickOptions, clock: Clock, progress: Progress = quiet
) -> ImportedTicks:
    """Import a file of ticks into a catalog.

    A file whose bytes and options are held already changes nothing.

    Raises:
        UsageError, BadData, DhanfastError: as for `importing.import_ticks`; the catalog is as it
        was.
    """
    try:
        (root / TICKS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DhanfastError(f"{root}: cannot be made: {error.strerror}") from error
    with exclusive(root / LOCK, "importing"):
        sweep(root)
        progress(f"reading {path.name}", 0, 0)
        source, plan, survey = prepare(path, options)
        for held in held_archives(root):
            for note in held.sources:
                told = note.get("options") or {}
                same = told.get("columns") == dict(options.columns) and told.get("tz") == options.tz
                same = same and told.get("clock") == options.clock
                same = same and told.get("symbol") == options.symbol
                if same and note.get("sha256") == source.sha256:
                    return ImportedTicks(
                        path.name, source.sha256, str(held.path), survey.rows, held.rows,
                        path.stat().st_size, held.bytes, held.symbols, held.first_ns, held.last_ns,
                        held.generated, plan.facts, [], unchanged=True,
                    )  # fmt: skip

        day = exchange_date(survey.first_ns)
        folder = root / TICKS / f"{day.year:04d}"
        make_folder(folder)
        stem = _SAFE.sub("_", path.stem)[:80].strip("._-") or "ticks"
        archive = _free(folder, f"{day}-{stem}")
        return write_import(source, plan, survey, archive, options, clock, progress)


def _free(folder: Path, stem: str) -> Path:
    path, number = folder / f"{stem}{SUFFIX}", 2
    while path.exists():
        path, number = folder / f"{stem}.{number}{SUFFIX}", number + 1
    return path


def sweep(root: Path) -> None:
    """Take away drafts of killed imports, conversions and sealings. Call it under the lock.

    A draft of ours carries the number of its process. A recorder's does not: it may be at work this
    very moment, so that only one that nobody has written to for an hour is taken away.
    """
    now_ns = (root / LOCK).stat().st_mtime_ns  # written when the lock was taken
    for path in (root / TICKS).rglob(f"{TEMP_PREFIX}*"):
        with suppress(OSError):
            named = _DRAFT.match(path.name)
            if named is not None:
                stale = not _lives(int(named[1]))
            else:
                stale = now_ns - path.stat().st_mtime_ns > DRAFT_NS
            if stale:
                path.unlink()


def _lives(process: int) -> bool:
    """Whether a process of that number exists and is not this one."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


@contextmanager
def held_still(path: Path) -> Iterator[bool]:
    """Keep writers away from a file while the block runs; False when one has it already."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield os.stat(path).st_ino == os.fstat(handle).st_ino
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Pruned:
    """What became of an archive.

    Attributes:
        path: the file. action: removed, shortened or kept. why: when kept.
        freed: bytes. rows: that are gone. first_day, last_day: IST dates it held.
    """

    path: Path
    action: str
    why: str
    freed: int
    rows: int
    first_day: date | None
    last_day: date | None


def prune(
    root: Path, before: date, *, symbols: Sequence[str] = (), dry_run: bool = False,
    clock: Clock | None = None,
) -> list[Pruned]:  # fmt: skip
    """Take away archives whose last day is before a date, or only some instruments of them.

    Args:
        root: of the catalog. before: files with rows of this IST date or later stay.
        symbols: only these; an archive with others is written anew without them.
        dry_run: say what would happen, change nothing.
        clock: dates what is written anew; needed with `symbols`.

    Returns:
        every archive that is old enough, in order.

    Raises:
        DhanfastError: an import or another prune runs, or the disk refuses. What was done until
            then stays done; every file is whole.
    """
    if dry_run or not (root / TICKS).is_dir():
        return [one for held in held_archives(root) if (one := _judged(held, before, symbols))]
    done = []
    with exclusive(root / LOCK, "pruning"):
        sweep(root)
        for held in held_archives(root):
            judged = _judged(held, before, symbols)
            if judged is not None:
                done.append(_carry_out(held, judged, symbols, clock))
    return done


def _judged(held: HeldArchive, before: date, symbols: Sequence[str]) -> Pruned | None:
    """What would become of an archive; None when it is too young."""
    if held.error:
        return _kept(held, f"cannot be read: {held.error}")
    if held.last_day is None or held.last_day >= before:
        return None
    if held.writing:
        return _kept(held, "it is being written")
    rows = sum(held.rows.values())
    if not symbols:
        return Pruned(held.path, "removed", "", held.bytes, rows, held.first_day, held.last_day)
    with ArchiveReader(held.path) as reader:
        mine, others = _rows_of(reader, symbols)
    if not mine:
        return _kept(held, "none of the symbols is in it")
    if not others:
        return Pruned(held.path, "removed", "", held.bytes, rows, held.first_day, held.last_day)
    part = held.bytes * mine // (mine + others)
    return Pruned(held.path, "shortened", "", part, mine, held.first_day, held.last_day)


def _kept(held: HeldArchive, why: str) -> Pruned:
    return Pruned(held.path, "kept", why, 0, 0, held.first_day, held.last_day)


def _rows_of(reader: ArchiveReader, symbols: Sequence[str]) -> tuple[int, int]:
    """Rows of some instruments, and all other rows."""
    wanted = {entry.index for name in symbols if (entry := reader.instruments.by_symbol.get(name))}
    mine = others = 0
    for name, stream in reader.streams.items():
        total = reader.rows(name)
        own = 0
        if stream.key is not None and wanted & set(reader.keys(name).tolist()):
            names = [reader.instruments[index].symbol for index in sorted(wanted)]
            own = sum(len(batch) for batch in reader.batches(name, symbols=names, reuse=True))
        mine, others = mine + own, others + total - own
    return mine, others


def _carry_out(
    held: HeldArchive, judged: Pruned, symbols: Sequence[str], clock: Clock | None
) -> Pruned:
    if judged.action == "kept":
        return judged
    with held_still(held.path) as still:
        if not still:
            return _kept(held, "it is being written")
        try:
            if judged.action == "removed":
                held.path.unlink()
                sync_folder(held.path.parent)
                return judged
            from dhanfast.storage.archive.converting import without_symbols

            if clock is None:
                raise UsageError("prune with symbols needs a clock")
            without_symbols(held.path, symbols, clock)
        except OSError as error:
            raise DhanfastError(f"{held.path}: cannot be pruned ({error.strerror})") from error
    freed = held.bytes - held.path.stat().st_size
    return Pruned(held.path, "shortened", "", freed, judged.rows, held.first_day, held.last_day)
