"""The writer of an archive file: rows in, whole chunks out, and no word more than is true.

A row goes through three states, and three counts tell where the rows are:

    rows_written    accepted; in memory: lost when this process is killed
    rows_flushed    in a whole chunk of the file: lost by a power cut, not by kill -9
    rows_synced     durable

`poll` flushes when the oldest row in memory is `flush_ns` old, and syncs when the oldest unsynced
chunk is `sync_ns` old; a full block is flushed at once. So kill -9 takes at most the rows of the
last `flush_ns` (and what came between two polls), a power cut those of the last
`flush_ns + sync_ns`.

    open ──the disk refuses──▶ alarm ──a retry succeeds──▶ open ──seal──▶ sealed
      └──────────close──────────┴────────────▶ closed

In `alarm` rows are gathered as long as a block of their stream has room, then dropped and counted;
nobody waits. When there is room again the file tells of them in a gap NOTE, and their sequence
numbers stay unused.
"""

import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.codec import LEVEL
from dhanfast._core.archive.schema import Stream
from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError, UsageError
from dhanfast.storage.archive.chunkfile import UNSYNCED_BYTES_MAX, Disk
from dhanfast.storage.archive.chunks import ChunkKind, pack_chunk
from dhanfast.storage.archive.opening import head_of, open_file, to_json
from dhanfast.storage.archive.pending import Pending
from dhanfast.storage.archive.sealing import Sealed, seal_locked

BLOCK_ROWS: Final = 65_536
BLOCK_ROWS_MAX: Final = 1 << 20
SECOND_NS: Final = 1_000_000_000
INSTRUMENT: Final[Mapping[str, Any]] = {
    "kind": "", "tick": 0, "lot": 0, "expiry": None, "strike": None, "right": None,
    "price_scale": 100, "qty_scale": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm:
    """The disk refuses.

    Attributes:
        doing: "write" or "sync".
        error: in the system's words.
        errno: the system's number.
        since_ns: when it began.
    """

    doing: str
    error: str
    errno: int
    since_ns: int


def _due(since_ns: int | None, now_ns: int, wait_ns: int) -> bool:
    return since_ns is not None and now_ns - since_ns >= wait_ns


class ArchiveWriter:
    """The one writer of a file: begins it, or goes on behind its last whole chunk.

    Args:
        path: of the file; its folder must exist.
        streams: what rows there will be. An existing file must have the same.
        clock: tells how old rows are, and dates the file.
        day: exchange date YYYYMMDD, None when the file spans several.
        source: where the rows come from, in words.
        generated: true for a market that a generator made.
        block_rows: rows of a block, 1 to 1,048,576.
        flush_ns: how old a row in memory may get (0: each poll).
        sync_ns: how long a chunk may wait to be durable (0: each poll).
        retry_ns: how long after a refusal the disk is asked again.
        level: zstd level of the blocks, -7 to 22.
        background_sync: let another thread wait for the disk when `poll` syncs.
        disk: how the file is written; tests put in one that refuses.

    Shape:
        one owner thread.

    Attributes:
        path: of the file.
        resumed: None for a new file, else what was found in the old one.
        rows_written: rows in the file and in memory.
        rows_flushed: rows in whole chunks of the file.
        rows_synced: rows that survive a power cut.
        rows_dropped: rows refused in an alarm.
        alarm: what the disk said, None when all is well.
        alarms: how often it began to refuse.

    Raises:
        DhanfastError: another writer has the file, it is sealed, or it cannot be written.
        BadData: the file is foreign or damaged.
        UsageError: an argument is out of range, or the file is of other streams or another day.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        streams: Sequence[Stream],
        *,
        clock: Clock,
        day: int | None = None,
        source: str = "",
        generated: bool = False,
        block_rows: int = BLOCK_ROWS,
        flush_ns: int = SECOND_NS,
        sync_ns: int = SECOND_NS,
        retry_ns: int = SECOND_NS,
        level: int = LEVEL,
        background_sync: bool = False,
        disk: Disk | None = None,
    ) -> None:
        if not 1 <= block_rows <= BLOCK_ROWS_MAX:
            raise UsageError(f"block_rows must be in 1..{BLOCK_ROWS_MAX}, was {block_rows}")
        for name, value in (("flush_ns", flush_ns), ("sync_ns", sync_ns), ("retry_ns", retry_ns)):
            if value < 0:
                raise UsageError(f"{name} must be 0 or more, was {value}")
        self.path = Path(path)
        self._clock, self._disk, self._background = clock, disk or Disk(), background_sync
        self._flush_ns, self._sync_ns, self._retry_ns = flush_ns, sync_ns, retry_ns
        now = clock.now_ns()
        head = head_of(streams, created_ns=now, day=day, source=source, generated=generated)
        self._pending = {each.name: Pending(each, block_rows, level) for each in streams}
        opened = open_file(self.path, head, self._disk)
        self._file = opened.file
        self._instruments = opened.instruments
        self._control: deque[bytes] = deque()
        self._next_seq = 0
        for name, seq in opened.last_seq.items():
            self._pending[name].last_seq = seq
            self._next_seq = max(self._next_seq, seq + 1)
        self.rows_written = self.rows_flushed = self.rows_synced = opened.rows
        self.rows_dropped = self.alarms = 0
        self.alarm: Alarm | None = None
        self._state, self._doing = "open", "write"
        self._retry_at = self._sync_rows = 0
        self._oldest_row: int | None = None
        self._oldest_chunk: int | None = None
        self.resumed = None if opened.fresh else opened
        if not opened.fresh:
            self.note({"kind": "resumed", "time_ns": now, "clean": opened.clean,
                       "torn_bytes": opened.torn_bytes})  # fmt: skip

    @property
    def state(self) -> str:
        """'open', 'alarm', 'sealed' or 'closed'."""
        return "alarm" if self.alarm and self._state == "open" else self._state

    @property
    def stream_names(self) -> tuple[str, ...]:
        """The streams of the file, in the order of its HEAD."""
        return tuple(self._pending)

    @property
    def next_seq(self) -> int:
        """Sequence number of the next row that brings none of its own."""
        return self._next_seq

    def last_seq(self, stream_name: str) -> int:
        """Sequence number of the last row of a stream, in the file or in memory; -1 before it."""
        return self._stream(stream_name).last_seq

    @property
    def file_bytes(self) -> int:
        """Bytes of whole chunks in the file."""
        return self._file.end

    def _stream(self, name: str) -> Pending:
        if self._state != "open":
            raise UsageError(f"{self.path}: this writer is {self._state}; nothing more goes in")
        try:
            return self._pending[name]
        except KeyError:
            known = ", ".join(self._pending)
            raise UsageError(f"{self.path}: no stream {name!r}; the file has {known}") from None

    def append(
        self,
        stream_name: str,
        rows: NDArray[Any],
        blob: bytes = b"",
        *,
        seq: NDArray[np.uint64] | None = None,
    ) -> int:
        """Take rows; they are in the file after `flush`, or when `poll` finds them due.

        Args:
            stream_name: one of the file's streams.
            rows: array of the stream's dtype, in the order they arrived.
            blob: bytes of all rows, one after another, for a stream that has them.
            seq: number of each row, ascending, when the caller counts them.

        Shape:
            returns how many rows were taken: all, but in an alarm when memory is full too.

        Raises:
            UsageError: another dtype, lengths that do not add up, numbers that do not ascend, or
                the writer is closed. Nothing was taken.
        """
        pending = self._stream(stream_name)
        rows = np.asarray(rows).reshape(-1)
        if rows.dtype != pending.stream.dtype:
            raise UsageError(
                f"{self.path}: rows of stream {stream_name!r} are {pending.stream.dtype}, "
                f"given {rows.dtype}"
            )
        ends = pending.ends(rows, blob)
        if not len(rows):
            return 0
        numbers = self._numbers(pending, len(rows), seq)
        at = 0
        while at < len(rows):
            take = pending.room(ends, at, len(rows))
            if take == 0:
                if self._make_room():
                    continue
                pending.drop(rows[at:], self._clock.now_ns())
                self.rows_dropped += len(rows) - at
                break
            if self._oldest_row is None:
                self._oldest_row = self._clock.now_ns()
            part = blob
            if ends is not None:
                part = blob[int(ends[at - 1]) if at else 0 : int(ends[at + take - 1])]
            pending.add(rows[at : at + take], numbers[at : at + take], part)
            at += take
            self.rows_written += take
        if pending.full:
            self._make_room()
        return at

    def _numbers(
        self, pending: Pending, count: int, seq: NDArray[np.uint64] | None
    ) -> NDArray[np.uint64]:
        if seq is None:
            first = self._next_seq
            self._next_seq += count
            return np.arange(first, first + count, dtype=np.uint64)
        numbers = np.asarray(seq)
        if numbers.dtype != np.uint64 or numbers.shape != (count,):
            raise UsageError(f"seq must be uint64[{count}], was {numbers.dtype}{numbers.shape}")
        if int(numbers[0]) <= pending.last_seq or (numbers[1:] <= numbers[:-1]).any():
            raise UsageError(
                f"{self.path}: sequence numbers of stream {pending.stream.name!r} must ascend from "
                f"{pending.last_seq + 1}; given {numbers[:3].tolist()}..."
            )
        self._next_seq = max(self._next_seq, int(numbers[-1]) + 1)
        return numbers

    def add_instruments(self, instruments: Sequence[Mapping[str, Any]]) -> None:
        """Tell what the numbers in the rows mean; what the file already knows is left out.

        Args:
            instruments: `index` and `symbol` of each, and what else the format page lists.

        Raises:
            UsageError: an index or a symbol is missing, or taken by another; nothing was taken.
        """
        self._refuse_closed()
        by_symbol = {each["symbol"]: index for index, each in self._instruments.items()}
        fresh: dict[int, dict[str, Any]] = {}
        for given in instruments:
            entry = {**INSTRUMENT, **given}
            index, symbol = entry.get("index"), entry.get("symbol")
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 1 << 32:
                raise UsageError(
                    f"{self.path}: instrument {given!r:.200}: index must be 0..2**32-1"
                )
            if not isinstance(symbol, str) or not symbol:
                raise UsageError(f"{self.path}: instrument {index}: symbol must be a name")
            if by_symbol.setdefault(symbol, index) != index:
                raise UsageError(
                    f"{self.path}: symbol {symbol!r} of instrument {index} is that of instrument "
                    f"{by_symbol[symbol]}; a symbol is one instrument's in the file"
                )
            if self._instruments.get(index) != entry:
                fresh[index] = entry
        if fresh:
            body = to_json(list(fresh.values()), f"{self.path}: instruments")
            self._control.append(pack_chunk(ChunkKind.INSTRUMENTS, 0, body))
            self._instruments = {**self._instruments, **fresh}

    def note(self, fields: Mapping[str, Any]) -> None:
        """Put a NOTE into the file at the next flush.

        Args:
            fields: at least `kind`.

        Raises:
            UsageError: there is no kind, or JSON cannot say it.
        """
        self._refuse_closed()
        if not isinstance(fields.get("kind"), str):
            raise UsageError(f"{self.path}: a note needs a kind, given {dict(fields)!r:.200}")
        body = to_json(dict(fields), f"{self.path}: note")
        self._control.append(pack_chunk(ChunkKind.NOTE, 0, body))

    def _refuse_closed(self) -> None:
        if self._state != "open":
            raise UsageError(f"{self.path}: this writer is {self._state}; nothing more goes in")

    def poll(self, now_ns: int) -> None:
        """Flush and sync what is due; in an alarm ask the disk again when `retry_ns` is over.

        Never raises because of the disk: `alarm` tells.

        Args:
            now_ns: the clock's time.
        """
        self._refuse_closed()
        if self.alarm and now_ns < self._retry_at:
            return
        try:
            self._doing = "sync"
            if self._file.end_sync():
                self.rows_synced = self._sync_rows
            if self.alarm:
                self._recover()
                return
            if self._control or _due(self._oldest_row, now_ns, self._flush_ns):
                self._write_out()
            if _due(self._oldest_chunk, now_ns, self._sync_ns):
                self._sync(background=self._background)
        except OSError as error:
            self._refused(error, now_ns)

    def flush(self) -> None:
        """Write all rows in memory as whole chunks.

        Raises:
            DhanfastError: the disk refuses; `alarm` is on, the rows stay in memory.
        """
        self._refuse_closed()
        try:
            if self.alarm:
                self._recover()
            self._write_out()
        except OSError as error:
            self._refused(error, self._clock.now_ns())
            raise self._complaint("flushed") from error

    def sync(self) -> None:
        """Flush, and return when all rows are durable.

        Raises:
            DhanfastError: the disk refuses; `alarm` is on, nothing more counts as durable.
        """
        self.flush()
        try:
            self._sync()
        except OSError as error:
            self._refused(error, self._clock.now_ns())
            raise self._complaint("made durable") from error

    def _complaint(self, done: str) -> DhanfastError:
        waiting = self.rows_written - self.rows_synced
        said = self.alarm.error if self.alarm else "no answer"
        return DhanfastError(
            f"{self.path}: cannot be {done} ({said}); {waiting} rows are not durable, "
            f"{self.rows_dropped} were dropped. Free some space or mend the disk, then try again"
        )

    def _write_out(self) -> None:
        """Everything in memory into the file; OSError leaves in memory what is not there."""
        while self._control:
            self._put(self._control[0])
            self._control.popleft()
        gathered = [each for each in self._pending.values() if each.count]
        for pending in sorted(gathered, key=lambda each: each.first_seq):
            self._put(pending.chunk())
            self.rows_flushed += pending.count
            pending.clear()
        self._oldest_row = None
        for pending in self._pending.values():
            if pending.dropped:
                note = {
                    "kind": "gap",
                    "stream": pending.stream.name,
                    "from_ns": pending.dropped_from,
                    "to_ns": pending.dropped_to,
                    "lost": pending.dropped,
                    "reason": "the disk refused to take more",
                }
                if self.alarm:
                    note["reason"] = f"disk: {self.alarm.error}"
                self._put(pack_chunk(ChunkKind.NOTE, 0, to_json(note, "note")))
                pending.forgive()

    def _put(self, chunk: bytes) -> None:
        if self._file.unsynced_bytes > UNSYNCED_BYTES_MAX:
            self._sync()  # what a failed sync must write again is kept in memory: bounded here
        self._doing = "write"
        self._file.append(chunk)
        if self._oldest_chunk is None:
            self._oldest_chunk = self._clock.now_ns()

    def _sync(self, *, background: bool = False) -> None:
        if background and self._file.syncing:
            return
        self._doing = "sync"
        self._sync_rows = self.rows_flushed
        self._oldest_chunk = None
        if background:
            self._file.begin_sync()
            return
        try:
            self._file.sync()
        except OSError:
            self._oldest_chunk = self._clock.now_ns()
            raise
        self.rows_synced = self._sync_rows

    def _make_room(self) -> bool:
        """Flush because a block is full; False when the disk refuses, or did a moment ago."""
        if self.alarm and self._clock.now_ns() < self._retry_at:
            return False
        try:
            if self.alarm:
                self._recover()
            self._write_out()
        except OSError as error:
            self._refused(error, self._clock.now_ns())
            return False
        return True

    def _recover(self) -> None:
        """Ask a disk that refused: first what it may have lost, then what it never took."""
        self._sync()
        self._write_out()
        self._sync()
        self.alarm = None

    def _refused(self, error: OSError, now_ns: int) -> None:
        self._retry_at = now_ns + self._retry_ns
        if self.alarm is None:
            self.alarms += 1
            self.alarm = Alarm(self._doing, error.strerror or str(error), error.errno or 0, now_ns)

    def seal(self, *, level: int = LEVEL) -> Sealed:
        """Make the file complete for ever: full blocks, index, digest, read-only.

        Args:
            level: zstd level of its blocks, -7 to 22.

        Raises:
            DhanfastError: the disk refuses; the file is as it was, and still open.
            BadData: what was written does not read back; the file is as it was.
        """
        self.sync()
        sealed = seal_locked(self.path, self._file.handle, level=level)
        self._state = "sealed"
        self._file.close()
        return sealed

    def close(self) -> None:
        """Write what is in memory, make it durable, and let the file go, unsealed.

        Raises:
            DhanfastError: the disk refuses; the message counts the rows that are not there. The
                file is closed all the same.
        """
        if self._state != "open":
            return
        try:
            self.flush()  # first, so that "closed" is the last word of the file
            now = self._clock.now_ns()
            self.note({"kind": "closed", "time_ns": now, "rows": self.rows_written})
            self.sync()
        finally:
            self._state = "closed"
            self._file.close()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
