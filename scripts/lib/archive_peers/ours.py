"""Our archive in the table: a sealed file, written by the writer's parts and read by the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from data import as_ticks
from formats import PART, Format, Rows

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.schema import TICKS, Stream
from dhanfast.clock import ManualClock
from dhanfast.storage.archive.chunks import ChunkKind, pack_chunk
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import ArchiveWriter


class Ours(Format):
    """Encoding: the blocks' chunks with their checksums. Decoding: every check of the reader.

    The file is sealed with the level of live recording.
    """

    name, needs = "dhanfast", ("dhanfast",)
    folder = Path()

    def __init__(self, rows: Rows) -> None:
        self.stream = (
            TICKS
            if rows.dtype == TICKS.dtype
            else Stream(0, "ticks", rows.dtype, None, "recv_ns", "exch_ns")
        )
        self.path = self.folder / f"{self.name}-{rows.dtype.itemsize}.dfa"
        self.path.unlink(missing_ok=True)
        with ArchiveWriter(self.path, [self.stream], clock=ManualClock(), generated=True,
                           flush_ns=10**18, sync_ns=10**18) as writer:  # fmt: skip
            for at in range(0, len(rows), PART):
                writer.append("ticks", rows[at : at + PART])
            writer.seal()
        super().__init__(rows)

    def encode(self, rows: Rows) -> list[bytes]:
        codec = Codec(self.stream)
        return [
            pack_chunk(ChunkKind.ROWS, 0, codec.encode(rows[at : at + PART], at))
            for at in range(0, len(rows), PART)
        ]

    def decode(self, made: Any) -> int:
        """All records through one buffer, as the engine reads them."""
        with ArchiveReader(self.path) as reader:
            return sum(len(batch) for batch in reader.batches(batch_rows=8_192, reuse=True))

    def check(self, rows: Rows, made: Any) -> bool:
        with ArchiveReader(self.path) as reader:
            return bool(np.array_equal(reader.to_numpy(), rows))


class OursAsTicks(Ours):
    """The narrow ticks as full Tick records: what the engine itself would keep of them."""

    name = "dhanfast, as Tick records"
    keeps = "all fields, and four more"

    def __init__(self, rows: Rows) -> None:
        super().__init__(self._given(rows))

    def encode(self, rows: Rows) -> list[bytes]:
        return super().encode(self._given(rows))

    def check(self, rows: Rows, made: Any) -> bool:
        return super().check(self._given(rows), made)

    def _given(self, rows: Rows) -> Rows:
        if not hasattr(self, "_ticks"):
            self._ticks = as_ticks(rows)
        return self._ticks
