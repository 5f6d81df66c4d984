"""Recording a broadcast ring: the recorder's process, what it tells of itself, and when it ends.

    publisher ──ring NAME──▶ recorder ──▶ ROOT/YYYY-MM-DD.dfa
        ▲                       │
        └──ring NAME.progress───┘   how far it has come: a publisher that can wait waits for it

A publisher says beside its ring, in `dhanfast-NAME.about.json`, what the records are.
"""

import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from dhanfast._core.broadcast import FOLDER, BroadcastReader, BroadcastWriter, remove
from dhanfast.clock import Clock, SystemClock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.archive.recorder import BATCH, Recorder, Recording
from dhanfast.storage.archive.writer import BLOCK_ROWS

# `taken`: records of the ring that the recorder has read or knows to be lost, from the first ever.
# `kept`: those of them that are in whole chunks of the file; kill -9 cannot take them back.
PROGRESS_DTYPE: Final = np.dtype([
    ("taken", "<u8"), ("kept", "<u8"), ("lost", "<u8"), ("rows", "<u8"), ("synced", "<u8"),
    ("bytes", "<u8"),
])  # fmt: skip
PROGRESS_TAG: Final = "progress"
PROGRESS_SLOTS: Final = 64
IDLE_S: Final = 0.001


@dataclass(frozen=True, slots=True)
class About:
    """What a publisher says of its ring.

    Attributes:
        source: where the records come from, in words.
        generated: a generator's market.
        instruments: as an archive lists them.
    """

    source: str = ""
    generated: bool = False
    instruments: tuple[Mapping[str, Any], ...] = ()


def about_path(ring: str, folder: str = FOLDER) -> Path:
    """Where a publisher tells of its ring."""
    return Path(folder) / f"dhanfast-{ring}.about.json"


def write_about(ring: str, about: About, folder: str = FOLDER) -> None:
    """Tell of a ring, before it is made."""
    told = {"source": about.source, "generated": about.generated,
            "instruments": [dict(each) for each in about.instruments]}  # fmt: skip
    path = about_path(ring, folder)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.write_text(json.dumps(told))
    os.replace(draft, path)


def read_about(ring: str, folder: str = FOLDER) -> About:
    """What is told of a ring; nothing when nobody told.

    Raises:
        BadData: it cannot be understood.
    """
    path = about_path(ring, folder)
    try:
        told = json.loads(path.read_text())
        return About(
            str(told.get("source", "")),
            bool(told.get("generated", False)),
            tuple(dict(each) for each in told.get("instruments", ())),
        )
    except FileNotFoundError:
        return About(source=f"ring {ring}")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadData(f"{path}: not a description of a ring ({error}); remove it") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a recorder did.

    Attributes:
        paths: files it wrote to, in order. sealed: whether the last one is.
        records: taken from the ring. lost: were in the ring, are not in a file.
        skipped: no market data. late: of an earlier day than their file's.
        error: the last thing that went wrong, None when nothing did.
    """

    paths: tuple[Path, ...]
    sealed: bool
    records: int
    lost: int
    skipped: int
    late: int
    error: str | None


class RingRecorder(Recorder):
    """A recorder that tells a publisher how far it is, and knows when its ring has ended."""

    @property
    def ring_state(self) -> str:
        """'waiting' before there is a ring, else as `BroadcastReader.state`."""
        return "waiting" if self._ring is None else self._ring.reader.state

    @property
    def behind(self) -> int:
        """Records that are in the ring and not yet taken."""
        return 0 if self._ring is None else self._ring.reader.behind

    @property
    def ended(self) -> bool:
        """Whether the ring's writer has closed it, or is dead, and nothing is left in it."""
        return self.ring_state in ("closed", "dead", "removed") and self.behind == 0

    def progress(self) -> tuple[int, ...]:
        """A record of PROGRESS_DTYPE."""
        taken = 0 if self._ring is None else self._ring.reader.position
        writer = self.writer
        if writer is None:
            return (taken, taken, self.lost, 0, 0, 0)
        waiting = writer.rows_written - writer.rows_flushed
        lost = self.lost + writer.rows_dropped
        return (taken, max(0, taken - waiting), lost, writer.rows_written, writer.rows_synced,
                writer.file_bytes)  # fmt: skip


def record(
    ring: str,
    root: str | os.PathLike[str],
    *,
    stop: Callable[[], bool],
    clock: Clock,
    seal: bool = True,
    follow: bool = False,
    block_rows: int = BLOCK_ROWS,
    look: Callable[[RingRecorder], None] = lambda recorder: None,
    folder: str = FOLDER,
) -> Outcome:
    """Record a ring until told to stop; what the ring holds then is taken first.

    Args:
        ring: its name; it need not be there yet.
        root: folder of daily files, made when missing.
        stop: asked before each round.
        clock: dates files and times flushes.
        seal: seal the last file when the ring was closed by its writer. Told to stop, or with the
            writer dead, it is left so that the next recorder goes on with it.
        follow: wait for a next writer when the ring has ended, instead of ending as well.
        block_rows: of a block; a full one is written at once.
        look: called each round.
        folder: where rings lie.

    Raises:
        BadData: the ring carries something else, or is badly described.
        DhanfastError: another recorder has the folder or the ring, or the last rows could not be
            written.
    """
    what = _what(ring, folder, seal, block_rows)
    again = functools.partial(_what, ring, folder, seal, block_rows)
    told = _progress_ring(ring, folder)
    paths: list[Path] = []
    try:
        recorder = RingRecorder(ring, root, clock=clock, what=what, told=again,
                                ring_folder=folder)  # fmt: skip
        row = np.zeros(1, PROGRESS_DTYPE)

        def tell() -> None:
            _see(recorder, paths)
            row[0] = recorder.progress()
            told.put_many(row)

        _take_all(recorder, stop, follow, tell, look)
        complete = seal and recorder.ring_state == "closed" and recorder.behind == 0
        if recorder.writer is not None and not complete:
            recorder.writer.close()  # so that `close` does not seal it
        elif recorder.writer is not None and not again().seal:
            recorder.writer.seal()
        recorder.close()
        tell()
    finally:
        told.close()
    return Outcome(
        tuple(paths), complete and bool(paths), recorder.records,
        recorder.lost + (recorder.writer.rows_dropped if recorder.writer else 0),
        recorder.skipped, recorder.late, recorder.last_error,
    )  # fmt: skip


def _what(ring: str, folder: str, seal: bool, block_rows: int) -> Recording:
    about = read_about(ring, folder)
    # A recorder seals files of days gone by when it starts. A generated day may be any day, and
    # its file one that a killed recorder left for us.
    return Recording(
        source=about.source,
        generated=about.generated,
        instruments=about.instruments,
        seal=seal and not about.generated,
        block_rows=block_rows,
    )


def _take_all(
    recorder: RingRecorder,
    stop: Callable[[], bool],
    follow: bool,
    tell: Callable[[], None],
    look: Callable[[RingRecorder], None],
) -> None:
    """Round after round until told to stop or the ring has ended; then what is still in it."""
    idle = threading.Event()
    while not stop():
        taken = recorder.step()
        tell()
        look(recorder)
        if taken < BATCH and not follow and recorder.ended:
            break
        if taken < BATCH:
            idle.wait(IDLE_S)
    left = recorder.behind
    while left > 0 and (taken := recorder.step()):
        left -= taken
    tell()


def _see(recorder: RingRecorder, paths: list[Path]) -> None:
    writer = recorder.writer
    if writer is not None and (not paths or paths[-1] != writer.path):
        paths.append(writer.path)


def _progress_ring(ring: str, folder: str) -> BroadcastWriter:
    """The ring that tells how far we are; its writer's lock keeps a second recorder out."""
    try:
        return BroadcastWriter(
            f"{ring}.progress",
            record_bytes=PROGRESS_DTYPE.itemsize,
            slots=PROGRESS_SLOTS,
            tag=PROGRESS_TAG,
            folder=folder,
        )
    except UsageError as error:
        raise DhanfastError(f"ring {ring} is being recorded already ({error})") from error


class ProgressReader:
    """The newest word of a ring's recorder; zeros before the first.

    Args:
        ring: name of the ring that is recorded.
        folder: where rings lie.

    Shape:
        one owner thread; others may look at `last`, what it read last.
    """

    def __init__(self, ring: str, folder: str = FOLDER) -> None:
        self._name, self._folder = f"{ring}.progress", folder
        self._reader: BroadcastReader | None = None
        self.last: Any = np.zeros(1, PROGRESS_DTYPE)[0]

    def read(self) -> Any:
        """A record of PROGRESS_DTYPE."""
        if self._reader is None:
            try:
                self._reader = BroadcastReader(
                    self._name, dtype=PROGRESS_DTYPE, tag=PROGRESS_TAG, oldest=True,
                    folder=self._folder,
                )  # fmt: skip
            except FileNotFoundError:
                return self.last
        while True:
            rows, _ = self._reader.read(PROGRESS_SLOTS)
            if not len(rows):
                return self.last
            self.last = rows[-1].copy()


def forget(ring: str, folder: str = FOLDER) -> None:
    """Remove what a recording left in memory: the ring, its description, its progress."""
    for name in (ring, f"{ring}.progress"):
        with suppress(FileNotFoundError, UsageError):
            remove(name, folder=folder)
    for path in (about_path(ring, folder), Path(folder) / f"dhanfast-{ring}.recorder.json"):
        with suppress(FileNotFoundError):
            path.unlink()


def main(arguments: list[str]) -> int:
    """The recorder's process: RING ROOT FOLDER BLOCK_ROWS; prints what it did as JSON."""
    ring, root, folder, block_rows = arguments
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.append(number))
    try:
        done = record(
            ring,
            root,
            stop=lambda: bool(asked),
            clock=SystemClock(),
            folder=folder,
            block_rows=int(block_rows),
        )
    except (DhanfastError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({
        "paths": [str(path) for path in done.paths], "sealed": done.sealed,
        "records": done.records, "lost": done.lost, "skipped": done.skipped, "late": done.late,
        "error": done.error,
    }))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
