"""The recorder: drains a broadcast ring into daily archive files, in a process of its own.

Nobody waits for it. When it is too slow, or away, the ring laps it: the file then says in a gap
NOTE how many records are missing and between which times. A record's sequence number is its
position in the ring plus a constant, so a recorder that was killed and comes back finds in the file
itself how far it got: what is still in the ring is recorded once, what is not is counted.

    waiting ──the ring is there──▶ recording ◀──there is room again── alarm
                                       └────the disk refuses──────────▶┘
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.codec import LEVEL
from dhanfast._core.broadcast import FOLDER
from dhanfast.clock import Clock, SystemClock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.market.calendar import exchange_date, midnight_ns
from dhanfast.storage.archive import finish
from dhanfast.storage.archive.chunkfile import Disk, FileHeld
from dhanfast.storage.archive.folder import ArchiveFolder, day_number, is_sealed
from dhanfast.storage.archive.ringrows import Part, Ring
from dhanfast.storage.archive.writer import SECOND_NS, ArchiveWriter

BATCH: Final = 16_384
PAUSE_S: Final = 0.001
DAY_NS: Final = 86_400 * SECOND_NS


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recorder writes and how; see `ArchiveWriter` for the rest.

    Attributes:
        source: where the rows come from, in words.
        generated: a generator's market: its dates are believed whatever the clock says.
        instruments: what the numbers in the rows mean.
        flush_ns, sync_ns, block_rows, level: as for the writer.
        seal: seal a file when its day is over, and the last one at the end.
    """

    source: str = ""
    generated: bool = False
    instruments: Sequence[Mapping[str, Any]] = ()
    flush_ns: int = SECOND_NS
    sync_ns: int = SECOND_NS
    block_rows: int = 65_536
    level: int = LEVEL
    seal: bool = True


class Recorder:
    """One ring into one folder; `step` is one round, `run` goes round until told to stop.

    Args:
        ring_name: of the ring; it need not be there yet.
        root: the archive's folder; no other recorder may write into it.
        clock: dates files, times flushes.
        what: what is written and how.
        told: asked for that again when a ring is found, as its publisher may have come later.
        ring_folder: where rings lie.
        status: file that tells others how it goes; default beside the ring, in memory, where a
            full disk cannot silence it.
        disk: how files are written; tests put in one that refuses.

    Attributes:
        lost: records that were in the ring and are not in the file, drops of a full disk included.
        skipped: events that are no market data.
        late: rows of an earlier day than the file's; they are in the file of the later day.
        records: taken from the ring.
        last_error: the last thing that went wrong, None when nothing did.
        writer: of the file that is open now.

    Raises:
        BadData: the ring carries something else.
        DhanfastError: the folder cannot be made.
    """

    def __init__(
        self,
        ring_name: str,
        root: str | os.PathLike[str],
        *,
        clock: Clock,
        what: Recording | None = None,
        told: Callable[[], Recording] | None = None,
        ring_folder: str = FOLDER,
        status: str | os.PathLike[str] | None = None,
        disk: Disk | None = None,
    ) -> None:
        self._name, self._clock, self._what = ring_name, clock, what or Recording()
        self._ring_folder, self._disk, self._told = ring_folder, disk, told
        self._folder = ArchiveFolder(root)
        beside = Path(ring_folder) / f"dhanfast-{ring_name}.recorder.json"
        self._status = Path(status) if status is not None else beside
        self.writer: ArchiveWriter | None = None
        self._instruments = {each["index"]: each for each in self._what.instruments}
        self._day = date.min
        self._ring: Ring | None = None
        self._base = self._expected = self._epoch = 0
        self._last_ns = self._next_look = self._next_status = self._next_try = 0
        self._seen_records, self._seen_ns = 0, clock.now_ns()
        self.lost = self.skipped = self.late = self.records = 0
        self.last_error: str | None = None
        self._sealing: list[subprocess.Popen[bytes]] = []
        self._attach()
        old = self._folder.unsealed(clock.now_ns()) if self._what.seal else []
        if old:
            self._sealing.append(finish.start(old))

    @property
    def state(self) -> str:
        """'waiting' for the ring, 'recording', or 'alarm'."""
        if self.writer is not None and self.writer.state == "alarm":
            return "alarm"
        if self.writer is None and self._next_try:
            return "alarm"
        return "recording" if self._ring is not None else "waiting"

    def add_instruments(self, instruments: Sequence[Mapping[str, Any]]) -> None:
        """Tell what the numbers in the rows mean: this file and the later ones say it.

        Raises:
            UsageError: an index or a symbol is missing, or taken by another.
        """
        if self.writer is not None:
            self.writer.add_instruments(instruments)
        self._instruments.update((each["index"], each) for each in instruments)

    def _attach(self) -> None:
        try:
            self._ring = Ring(self._name, folder=self._ring_folder)
        except FileNotFoundError:
            return
        if self._told is not None:
            self._what = self._told()
            self.add_instruments(self._what.instruments)
        self._epoch = self._ring.reader.epoch
        self._expected = self._ring.reader.position
        self._base = (self.writer.next_seq if self.writer else 0) - self._expected
        if self.writer is not None:
            if self._streams_of(self.writer) != {each.name for each in self._ring.streams}:
                self._leave_file()
            else:
                self._note_ring()

    @staticmethod
    def _streams_of(writer: ArchiveWriter) -> set[str]:
        return set(writer.stream_names)

    def _note_ring(self) -> None:
        if self.writer is not None and self._ring is not None:
            self.writer.note({
                "kind": "ring", "name": self._name, "tag": self._ring.tag,
                "identity": self._ring.identity, "epoch": self._epoch, "base": self._base,
                "position": self._expected, "time_ns": self._clock.now_ns(),
            })  # fmt: skip

    def step(self) -> int:
        """One round: what the ring has, at most a batch, into the file; what is due, to the disk.

        Shape:
            returns how many records were taken.

        Raises:
            DhanfastError: another recorder writes into this folder.
        """
        now = self._clock.now_ns()
        taken = 0
        if now >= self._next_look:
            self._next_look = now + SECOND_NS // 4
            self._look()
        if self._ring is not None:
            batch, _ = self._ring.reader.read(BATCH)
            taken = len(batch)
            self.records += taken
            if taken:
                self._take(batch, self._ring.reader.position - taken)
        if self.writer is not None:
            self.writer.poll(now)
        if now >= self._next_status:
            self._next_status = now + SECOND_NS
            self.tell()
        return taken

    def _look(self) -> None:
        """Has the ring come, gone, or got another writer? Have files been sealed?"""
        self._sealing = [each for each in self._sealing if each.poll() is None]
        if self._ring is not None:
            epoch = self._ring.reader.epoch
            if epoch != self._epoch and self.writer is not None:
                self.writer.note({"kind": "marker", "text": "another program writes the ring",
                                  "epoch": epoch, "before": self._epoch,
                                  "time_ns": self._clock.now_ns()})  # fmt: skip
            self._epoch = epoch
            if self._ring.reader.behind == 0 and self._ring.replaced:
                self._ring = None
        if self._ring is None:
            try:
                self._attach()
            except BadData as error:
                self.last_error = str(error)

    def _take(self, batch: NDArray[Any], first: int) -> None:
        """Records from position `first` on, split where the exchange's day changes."""
        assert self._ring is not None
        times = self._ring.times(batch)
        at = 0
        while at < len(batch):
            limit_ns = midnight_ns(self._day) + DAY_NS if self._day > date.min else -(1 << 62)
            newer = np.flatnonzero(times[at:] >= limit_ns)
            end = at + int(newer[0]) if len(newer) else len(batch)
            if end == at:
                day = self._day_of(int(times[at]))
                if day <= self._day:
                    end = len(batch)  # a stamp of the future: not believed
                else:
                    self._turn_to(day)
                    continue
            self._record(batch[at:end], first + at, times[at:end])
            at = end

    def _day_of(self, time_ns: int) -> date:
        today = exchange_date(self._clock.now_ns())
        if time_ns <= 0:
            return max(today, self._day)
        day = exchange_date(time_ns)
        return day if self._what.generated else min(day, today)

    def _turn_to(self, day: date) -> None:
        """Leave the old day's file, to be sealed beside us; the new one is opened when needed."""
        self._leave_file()
        self._day = day
        self._next_try = 0

    def _leave_file(self) -> None:
        writer, self.writer = self.writer, None
        if writer is None:
            return
        try:
            writer.close()
        except DhanfastError as error:
            self.last_error = str(error)
            self.lost += writer.rows_written - writer.rows_flushed
        self.lost += writer.rows_dropped
        if self._what.seal:
            self._sealing.append(finish.start([writer.path]))

    def _open(self) -> ArchiveWriter | None:
        """The day's file, or its next part; None while the disk refuses."""
        now = self._clock.now_ns()
        if self._next_try and now < self._next_try:
            return None
        try:
            parts = self._folder.parts(self._day)
            path = parts[-1] if parts else self._folder.path(self._day)
            if parts and is_sealed(path):
                path = self._folder.next_part(self._day)
            try:
                self.writer = self._begin(path)
            except (BadData, UsageError) as error:
                self.last_error = str(error)  # it stays as it is; recording goes on beside it
                self.writer = self._begin(self._folder.next_part(self._day))
        except (DhanfastError, OSError) as error:
            self.last_error = str(error)
            if isinstance(error, FileHeld) and not self._sealing:
                raise
            self._next_try = now + SECOND_NS
            return None
        self._next_try = 0
        self.writer.add_instruments(list(self._instruments.values()))
        self._go_on(self.writer)
        return self.writer

    def _begin(self, path: Path) -> ArchiveWriter:
        assert self._ring is not None
        what = self._what
        return ArchiveWriter(
            path, self._ring.streams, clock=self._clock, day=day_number(self._day),
            source=what.source, generated=what.generated, block_rows=what.block_rows,
            flush_ns=what.flush_ns, sync_ns=what.sync_ns, level=what.level,
            background_sync=True, disk=self._disk,
        )  # fmt: skip

    def _go_on(self, writer: ArchiveWriter) -> None:
        """Number rows on from what the file holds of this very ring, or tell of a gap."""
        assert self._ring is not None
        if writer.resumed is not None:
            rings = [note for note in writer.resumed.notes if note.get("kind") == "ring"]
            last_ns = writer.resumed.last_ns
            if rings and rings[-1].get("identity") == self._ring.identity:
                self._base = int(rings[-1]["base"])
                self._expected = max(int(rings[-1]["position"]), writer.next_seq - self._base)
                self._last_ns = max(last_ns.values(), default=0)
            else:
                self._base = writer.next_seq - self._expected
                for stream, since in last_ns.items():
                    writer.note({
                        "kind": "gap", "stream": stream, "from_ns": since,
                        "to_ns": self._clock.now_ns(), "lost": None,
                        "reason": "the recorder was away, and the ring is another",
                    })  # fmt: skip
        self._note_ring()

    def _record(self, batch: NDArray[Any], first: int, times: NDArray[np.int64]) -> None:
        assert self._ring is not None
        writer = self.writer or self._open()
        if writer is None:
            return  # `expected` stays: when there is a file again, its gap is counted
        first_ns = int(times.max(initial=0))
        missing = first - self._expected
        if missing > 0:
            self.lost += missing
            only = self._ring.streams[0].name if len(self._ring.streams) == 1 else None
            writer.note({"kind": "gap", "stream": only, "from_ns": self._last_ns,
                         "to_ns": int(times[0]) or first_ns, "lost": missing,
                         "reason": "the ring went on faster than the recorder"})  # fmt: skip
        self._expected = max(self._expected, first + len(batch))
        kept = 0
        for part in self._ring.parts(batch):
            kept += len(part.places)
            self._append(writer, part, first)
        self.skipped += len(batch) - kept
        self._last_ns = max(self._last_ns, first_ns)
        opened = midnight_ns(self._day)
        self.late += int(np.count_nonzero((times > 0) & (times < opened)))

    def _append(self, writer: ArchiveWriter, part: Part, first: int) -> None:
        seq = (part.places + (first + self._base)).astype(np.uint64)
        last = writer.last_seq(part.stream.name)
        skip = int(np.searchsorted(seq, last, side="right")) if last >= 0 else 0
        if skip < len(seq):  # what the file has already is not recorded twice
            writer.append(part.stream.name, part.rows[skip:], seq=seq[skip:])

    def tell(self, state: str | None = None) -> None:
        """Replace the status file, so that others see the old or the new one, whole.

        Args:
            state: what to say instead of `state`.
        """
        now, writer, ring = self._clock.now_ns(), self.writer, self._ring
        span = now - self._seen_ns
        rate = (self.records - self._seen_records) * SECOND_NS / span if span > 0 else 0.0
        self._seen_records, self._seen_ns = self.records, now
        alarm = writer.alarm if writer is not None else None
        told = {
            "pid": os.getpid(), "time_ns": now, "ring": self._name, "state": state or self.state,
            "ring_state": ring.reader.state if ring else None, "epoch": self._epoch,
            "behind": ring.reader.behind if ring else None, "records": self.records,
            "lost": self.lost + (writer.rows_dropped if writer else 0), "skipped": self.skipped,
            "late": self.late, "rate_per_s": round(rate, 1),
            "path": str(writer.path) if writer else None,
            "rows_written": writer.rows_written if writer else 0,
            "rows_flushed": writer.rows_flushed if writer else 0,
            "rows_synced": writer.rows_synced if writer else 0,
            "alarm": asdict(alarm) if alarm else None,
            "last_error": self.last_error, "sealing": len(self._sealing),
        }  # fmt: skip
        draft = self._status.with_name(f"{self._status.name}.{os.getpid()}.new")
        with suppress(OSError):  # a status that cannot be told must not stop the recording
            draft.write_text(json.dumps(told, indent=1))
            os.replace(draft, self._status)

    def run(self, stop: Callable[[], bool], *, pause: Callable[[float], None] = time.sleep) -> None:
        """Go round until told to stop, then take what the ring still has, and close.

        Args:
            stop: asked before each round.
            pause: waits so many seconds when the ring had less than a batch.

        Raises:
            DhanfastError: another recorder writes into this folder, or the last rows could not be
                written.
        """
        try:
            while not stop():
                if self.step() < BATCH:
                    pause(PAUSE_S)
            left = self._ring.reader.behind if self._ring is not None else 0
            while left > 0 and (taken := self.step()):
                left -= taken
        finally:
            self.close()

    def close(self) -> None:
        """Write, sync and close the file; seal it when asked to. Waits for sealings under way.

        Raises:
            DhanfastError: the last rows could not be written, or the file not be sealed.
        """
        writer = self.writer
        try:
            if writer is not None and writer.state != "closed":
                try:
                    if self._what.seal:
                        writer.seal()
                finally:
                    writer.close()
            for each in self._sealing:
                each.wait()
        except DhanfastError as error:
            self.last_error = str(error)
            raise
        finally:
            self.tell("stopped")


def record_ring(
    ring_name: str,
    root: str | os.PathLike[str],
    *,
    what: Recording | None = None,
    clock: Clock | None = None,
    ring_folder: str = FOLDER,
    status: str | os.PathLike[str] | None = None,
) -> Recorder:
    """Record until SIGTERM or SIGINT; made to be the whole of a process.

    Args:
        ring_name: of the ring; it need not be there yet.
        root: the archive's folder.
        what: what is written and how.
        told: asked for that again when a ring is found, as its publisher may have come later.
        clock: the machine's by default.
        ring_folder: where rings lie.
        status: file that tells others how it goes.

    Shape:
        returns the recorder, closed, with its counts.

    Raises:
        BadData: the ring carries something else.
        DhanfastError: another recorder writes into this folder, or the last rows could not be
            written.
    """
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        recorder = Recorder(ring_name, root, clock=clock or SystemClock(), what=what,
                            ring_folder=ring_folder, status=status)  # fmt: skip
        recorder.run(lambda: stopping)
        return recorder
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
