"""What is wrong with an archive: its bytes, its rows, and what is missing between them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData
from dhanfast.market.calendar import Calendar
from dhanfast.storage.archive.checks import (
    MEANING,
    NOTES,
    DepthChecks,
    Findings,
    TickChecks,
    check_clocks,
)
from dhanfast.storage.archive.listing import Listing
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.repair import Condition, inspect
from dhanfast.storage.archive.sessions import SessionChecks, days_of
from dhanfast.storage.stamps import ist_text

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ArchiveFinding:
    """One kind of trouble in a stream.

    Attributes:
        stream: its name, empty for the file as a whole. kind: a key of `checks.MEANING`.
        first, last: IST times, empty when it has none. count: of rows. detail: in words.
    """

    stream: str
    kind: str
    first: str
    last: str
    count: int
    detail: str

    @property
    def level(self) -> str:
        """`defect` or `note`."""
        return "note" if self.kind in NOTES else "defect"

    @property
    def meaning(self) -> str:
        """What it means, in a sentence."""
        return MEANING[self.kind]


@dataclass
class VerifiedArchive:
    """What was found in an archive.

    Attributes:
        source: the file. sealed, generated: as it says. digest: of its seal, "" without one.
        rows: by stream. days: IST dates with rows. first, last: IST times. findings: all of them.
        cut: files that a repair put bytes into that were not whole.
    """

    source: str
    sealed: bool
    generated: bool
    digest: str
    rows: dict[str, int]
    days: int
    first: str
    last: str
    findings: list[ArchiveFinding] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)

    @property
    def defects(self) -> int:
        """How many findings are defects."""
        return sum(finding.level == "defect" for finding in self.findings)


def verify_archive(
    path: Path,
    *,
    segment: str = "NSE_FNO",
    calendar: Calendar | None = None,
    progress: Progress = lambda doing, done, total: None,
) -> VerifiedArchive:
    """Check a file: checksums and digest, every block, every row.

    Args:
        path: of the archive.
        segment: whose hours hold, see `market.calendar`; "none" for none.
        calendar: the shipped tables when None.
        progress: told how many rows are done.

    Raises:
        BadData: it is no archive at all.
        FileNotFoundError: there is none.
    """
    progress(f"checksums of {path.name}", 0, 0)
    condition = inspect(path)
    bytes_found = _of_bytes(condition)
    try:
        reader = ArchiveReader(path)
    except BadData:
        if not condition.damage or (condition.rows == 0 and not condition.rows_by_stream):
            raise
        return VerifiedArchive(str(path), False, False, "", condition.rows_by_stream, 0, "", "",
                               bytes_found)  # fmt: skip
    with reader:
        rows = {name: reader.rows(name) for name in reader.streams}
        generated = bool(reader.head.get("generated"))
        spans, days, findings = [], set(), [*bytes_found, *_lost(reader)]
        for name in reader.streams:
            run = _StreamRun(reader, name, segment, calendar or Calendar.load())
            try:
                run.all(progress)
            except BadData as error:
                if not condition.damage:
                    raise
                findings.append(ArchiveFinding(name, "damage", "", "", 1, str(error)))
            findings += run.findings()
            days |= run.days
            if run.rows:
                spans.append((run.first_ns, run.last_ns))
        first = ist_text(min(one for one, _ in spans)) if spans else ""
        last = ist_text(max(one for _, one in spans)) if spans else ""
        return VerifiedArchive(str(path), reader.sealed and not condition.damage, generated,
                               reader.digest, rows, len(days), first, last, findings)  # fmt: skip


def _of_bytes(condition: Condition) -> list[ArchiveFinding]:
    found = [
        ArchiveFinding("", "damage", "", "", 1, f"byte {offset}: {why}")
        for offset, why in condition.damage
    ]
    if condition.torn_bytes:
        says = f"{condition.torn_bytes:,} bytes behind byte {condition.whole_bytes:,}"
        found.append(ArchiveFinding("", "torn-tail", "", "", 1, says))
    if not condition.sealed and not condition.damage:
        says = f"{condition.rows:,} rows in {condition.blocks:,} whole blocks"
        found.append(ArchiveFinding("", "unsealed", "", "", 1, says))
    return found


def _lost(reader: ArchiveReader) -> list[ArchiveFinding]:
    """Gaps that the recorder itself noted."""
    found = []
    for note in reader.notes:
        if note.get("kind") == "gap":
            times = [note.get("from_ns"), note.get("to_ns")]
            first, last = (ist_text(one) if isinstance(one, int) else "" for one in times)
            lost = note.get("lost")
            count = lost if isinstance(lost, int) and lost > 0 else 1
            found.append(ArchiveFinding(str(note.get("stream", "")), "lost", first, last, count,
                                        str(note.get("reason", "no reason given"))))  # fmt: skip
    return found


class _StreamRun:
    """All blocks of a stream through the checks that fit it."""

    def __init__(self, reader: ArchiveReader, name: str, segment: str, calendar: Calendar) -> None:
        self._reader, self._name = reader, name
        stream = reader.streams[name]
        fields = set(stream.fields)
        listing = reader.instruments
        self._found = Findings({index: entry.symbol for index, entry in listing.items()})
        self.days: set[int] = set()
        self.rows, self.first_ns, self.last_ns = 0, 1 << 62, -(1 << 62)
        self._time = stream.time
        self._keyed = stream.key == "instrument"
        self._ticks = self._depth = None
        self._sessions = None
        self._last: int | None = None
        if not self._keyed or stream.time != "recv_ns":
            return
        if {"price", "bid", "ask", "qty", "volume"} <= fields:
            tick, lot = _steps(listing)
            self._ticks = TickChecks(self._found, stream.dtype, tick, lot)
            self._sessions = SessionChecks(self._found, calendar, segment)
        elif {"side", "op", "price", "qty", "flags"} <= fields:
            self._depth = DepthChecks(self._found)
            if "ticks" not in reader.streams or not reader.rows("ticks"):
                self._sessions = SessionChecks(self._found, calendar, segment)

    def all(self, progress: Progress) -> None:
        """Every block, in order."""
        total = self._reader.rows(self._name)
        for batch in self._reader.batches(self._name, reuse=True):
            progress(f"verifying {self._name}", self.rows, total)
            self._look(batch)
            self.rows += len(batch)
        if self._sessions is not None and self.rows:
            self._sessions.finish(self.rows, self.first_ns, self.last_ns)

    def _look(self, batch: NDArray[Any]) -> None:
        if self._time is None:
            return
        times = batch[self._time]
        self.first_ns = min(self.first_ns, int(times.min()))
        self.last_ns = max(self.last_ns, int(times.max()))
        days = days_of(times)
        self.days |= set(np.unique(days).tolist())
        if self._ticks is not None:
            self._ticks.look(batch, days)
        elif self._depth is not None:
            self._depth.look(batch)
        elif self._keyed and {"exch_ns", "recv_ns"} <= set(batch.dtype.names or ()):
            self._last = check_clocks(self._found, batch, self._last)
        if self._sessions is not None:
            self._sessions.look(np.ascontiguousarray(times), batch["instrument"])

    def findings(self) -> list[ArchiveFinding]:
        """What was found."""
        return [
            ArchiveFinding(self._name, kind, ist_text(one.first_ns), ist_text(one.last_ns),
                           one.count, self._found.detail(kind))
            for kind, one in sorted(self._found.tallies.items(), key=_rank)
        ]  # fmt: skip


def _rank(item: tuple[str, Any]) -> int:
    """Kinds in the order of their list."""
    return list(MEANING).index(item[0])


def _steps(listing: Listing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tick and lot by number; a lot holds only for what trades in lots."""
    size = max(listing, default=-1) + 1
    tick, lot = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for index, entry in listing.items():
        tick[index] = entry.tick
        if entry.kind in ("FUT", "OPT", ""):
            lot[index] = entry.lot * entry.qty_scale
    return tick, lot
