"""Records of a broadcast ring as rows of the archive's streams.

A ring carries ticks, changes of depth, or events of which some hold a tick or a bar; its tag says
which. What is no market data (orders, timers, commands) is not archived.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.schema import BARS, DEPTH, TICKS, Stream
from dhanfast._core.broadcast import FOLDER, BroadcastReader
from dhanfast._core.types import DEPTH_DTYPE, EVENT_DTYPE, TICK_DTYPE, EventKind
from dhanfast.errors import BadData

RINGS: Final[dict[str, tuple[np.dtype[Any], tuple[Stream, ...]]]] = {
    "tick": (TICK_DTYPE, (TICKS,)),
    "depth": (DEPTH_DTYPE, (DEPTH,)),
    "event": (EVENT_DTYPE, (TICKS, BARS)),
}
IN_EVENTS: Final = ((EventKind.TICK, TICKS), (EventKind.BAR, BARS))
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one stream out of a batch, and which records of the batch they were."""

    stream: Stream
    rows: NDArray[Any]
    places: NDArray[np.intp]


class Ring:
    """A ring that is attached: what it carries, and who it is.

    Args:
        name: of the ring.
        folder: where rings lie.

    Attributes:
        reader: its reader, at the oldest record still there.
        tag: what it carries.
        streams: what may come out of it.
        identity: differs between this ring and one made later under the same name.

    Raises:
        FileNotFoundError: there is no ring of that name.
        BadData: it is foreign, damaged, or carries something else.
    """

    def __init__(self, name: str, *, folder: str = FOLDER) -> None:
        refused: BadData | None = None
        for tag, (dtype, streams) in RINGS.items():
            try:
                self.reader = BroadcastReader(
                    name, dtype=dtype, tag=tag, oldest=True, folder=folder
                )
            except BadData as error:
                refused = error
                continue
            self.tag, self.streams = tag, streams
            break
        else:
            raise BadData(
                f"ring {name!r} carries none of {', '.join(RINGS)}: {refused}"
            ) from refused
        info = os.stat(self.reader.path)
        boot = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        self.identity = f"{boot}:{info.st_dev}:{info.st_ino}"
        self._file = (info.st_dev, info.st_ino)

    @property
    def replaced(self) -> bool:
        """True when the name is gone, or is another ring's by now."""
        try:
            info = os.stat(self.reader.path)
        except FileNotFoundError:
            return True
        return (info.st_dev, info.st_ino) != self._file

    def parts(self, batch: NDArray[Any]) -> list[Part]:
        """The rows in a batch, by stream."""
        if self.tag != "event":
            return [Part(self.streams[0], batch, np.arange(len(batch)))]
        parts = []
        for kind, stream in IN_EVENTS:
            places = np.flatnonzero(batch["kind"] == kind)
            if len(places):
                size = stream.dtype.itemsize
                raw = np.ascontiguousarray(batch["payload"][places, :size])
                parts.append(Part(stream, raw.view(stream.dtype).reshape(-1), places))
        return parts

    def times(self, batch: NDArray[Any]) -> NDArray[np.int64]:
        """When each record was received; 0 for one that does not say."""
        if self.tag != "event":
            return np.asarray(batch["recv_ns"], np.int64)
        received = np.zeros(len(batch), np.int64)
        for part in self.parts(batch):
            if "recv_ns" in part.stream.fields:
                received[part.places] = part.rows["recv_ns"]
        return received
