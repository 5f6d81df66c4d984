"""A generated day published to broadcast rings and recorded: the generator's side.

The ring never makes its writer wait, so a generator that runs as fast as it can would lap the
recorder. This one paces itself instead: it publishes no further than one ring beyond what the
recorder says is in whole chunks of its file (`recording.PROGRESS_DTYPE.kept`). So nothing is lost,
not even when the recorder is killed: what it had not written is still in the ring for the next one.
"""

import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broadcast import FOLDER, BroadcastWriter
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast.clock import Ticking
from dhanfast.engine.generated_ticks import listed
from dhanfast.engine.recording import About, ProgressReader, forget, write_about
from dhanfast.engine.replay import Replay
from dhanfast.errors import DhanfastError
from dhanfast.market.tickday import TickDay
from dhanfast.storage.archive.writer import BLOCK_ROWS

SLOTS: Final = 1 << 18  # four blocks of a file: the recorder always has one to write
PIECE: Final = 8192
WAIT_S: Final = 0.0005
STARTS_MAX: Final = 6
SECOND_NS: Final = 1_000_000_000


@dataclass
class Lane:
    """One ring, its recorder's process, and what the process said at its end.

    Attributes:
        ring: name of the ring. root: folder that is recorded into.
        outcome: what the recorder did, as JSON; empty while it runs.
        starts: how often a recorder was started.
    """

    ring: str
    root: Path
    about: About
    dtype: np.dtype[Any]
    tag: str
    folder: str = FOLDER
    slots: int = SLOTS
    outcome: dict[str, Any] = field(default_factory=dict)
    starts: int = 0

    def __post_init__(self) -> None:
        """Make the ring, then start its recorder."""
        write_about(self.ring, self.about, self.folder)
        self.writer = BroadcastWriter(
            self.ring,
            record_bytes=self.dtype.itemsize,
            slots=self.slots,
            tag=self.tag,
            folder=self.folder,
        )
        self.progress = ProgressReader(self.ring, self.folder)
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        self.starts += 1
        return subprocess.Popen(
            [sys.executable, "-m", "dhanfast.engine.recording", self.ring, str(self.root),
             self.folder, str(min(BLOCK_ROWS, self.slots // 4))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the generator, which ends the ring
        )  # fmt: skip

    def look_after(self) -> None:
        """Start another recorder when the one there was killed.

        Raises:
            DhanfastError: it ended by itself, or was killed again and again.
        """
        code = self.process.poll()
        if code is None:
            return
        said = self.process.communicate()[1].strip()
        if code >= 0 or self.starts >= STARTS_MAX:
            how = said.splitlines()[-1] if said else f"exit code {code}"
            raise DhanfastError(f"the recorder of ring {self.ring} ended: {how}")
        self.process = self._start()

    def room(self) -> int:
        """How many records may be published without overwriting one that is not in the file."""
        return self.slots - PIECE - (self.writer.published - int(self.progress.read()["kept"]))

    def finish(self) -> dict[str, Any]:
        """Close the ring, wait for the recorder to take the rest and seal, and forget the ring.

        Raises:
            DhanfastError: the recorder could not finish.
        """
        self.writer.close()
        while True:
            out, said = self.process.communicate()
            if self.process.returncode >= 0 or self.starts >= STARTS_MAX:
                break
            self.process = self._start()
        forget(self.ring, self.folder)
        if self.process.returncode != 0:
            raise DhanfastError(
                f"the recorder of ring {self.ring} failed: {said.strip() or 'it was killed'}"
            )
        self.outcome = json.loads(out)
        return self.outcome

    def abandon(self) -> None:
        """End without waiting for a good end: the recorder closes what it has."""
        self.writer.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate()
        forget(self.ring, self.folder)


class GeneratorFeed:
    """Publishes a day to one ring for ticks and one for depth, each with a recorder's process.

    It is the engine of a `Replay`, which paces it; `lanes` tell how it went.

    Args:
        day: the day's plan.
        root: folder for the daily file of ticks; that of depth goes into its folder `depth`.
        clock: what paces.
        speed: 1 for the pace of the day, infinite for as fast as the recorders can write.
        duration_ns: end after so much of the market's time; 0 for the whole day.
        ring: name of the ring; the depth's is NAME.depth.
        folder: where rings lie.
        slots: records of a ring, a power of two above 16,384.

    Raises:
        UsageError: a ring of that name has a live writer.
    """

    def __init__(
        self,
        day: TickDay,
        root: Path,
        *,
        clock: Ticking,
        speed: float = math.inf,
        duration_ns: int = 0,
        ring: str | None = None,
        folder: str = FOLDER,
        slots: int = SLOTS,
    ) -> None:
        name = ring or f"generated-{os.getpid()}"
        about = About(day.label, True, tuple(listed(each) for each in day.instruments))
        self._day, self._duration_ns = day, duration_ns
        self.lanes = [Lane(name, root, about, TICK_DTYPE, "tick", folder, slots)]
        if day.depth_levels:
            self.lanes.append(
                Lane(f"{name}.depth", root / "depth", about, DEPTH_DTYPE, "depth", folder, slots)
            )
        self._depth: list[NDArray[Any]] = []
        self.dropped = 0
        self.replay: Replay[GeneratorFeed] = Replay(
            self._ticks, lambda: self, clock=clock, speed=speed, again=False
        )

    def _ticks(self) -> Iterator[NDArray[Any]]:
        end_ns = 0
        for ticks, depth in self._day:
            if self._duration_ns and not end_ns:
                end_ns = int(ticks["recv_ns"][0]) + self._duration_ns
            if end_ns:
                ticks = ticks[ticks["recv_ns"] < end_ns]
                depth = depth[depth["recv_ns"] < end_ns]
            if len(depth):
                self._depth.append(depth)
            if not len(ticks):
                break
            yield ticks

    def feed(self, ticks: NDArray[Any]) -> None:
        """Publish ticks, and the changes of depth up to the last of them."""
        self._publish(self.lanes[0], ticks)
        if self._depth:
            self._publish_depth(int(ticks["recv_ns"][-1]))

    def _publish_depth(self, until_ns: int | None) -> None:
        while self._depth:
            rows = self._depth[0]
            due = len(rows)
            if until_ns is not None:
                due = int(np.searchsorted(rows["recv_ns"], until_ns, side="right"))
            self._publish(self.lanes[1], rows[:due])
            if due < len(rows):
                self._depth[0] = rows[due:]
                return
            self._depth.pop(0)

    def _publish(self, lane: Lane, rows: NDArray[Any]) -> None:
        idle = threading.Event()
        for at in range(0, len(rows), PIECE):
            piece = rows[at : at + PIECE]
            while lane.room() < len(piece):
                lane.look_after()
                if self.replay.stopped:
                    self.dropped += len(rows) - at  # asked to end: these were never published
                    return
                idle.wait(WAIT_S)
            lane.writer.put_many(piece)

    def finish(self) -> "GeneratorFeed":
        """Publish what is left of the depth."""
        if not self.replay.stopped:
            self._publish_depth(None)
        return self

    def run(self) -> list[dict[str, Any]]:
        """Publish the day and have it recorded and sealed.

        Returns:
            what each recorder did: paths, sealed, records, lost, skipped, late, error.

        Raises:
            DhanfastError: a recorder could not go on.
        """
        try:
            self.replay.run()
            return [lane.finish() for lane in self.lanes]
        except BaseException:
            for lane in self.lanes:
                lane.abandon()
            raise
