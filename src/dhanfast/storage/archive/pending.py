"""Rows of one stream that are not in the file yet, and the count of those that never will be."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import UsageError
from dhanfast.storage.archive.chunks import ChunkKind, pack_chunk

BLOB_BYTES_MAX: Final = 64 << 20  # of a block, and so of a row


class Pending:
    """The block that is being gathered for one stream; its memory is taken at construction.

    Args:
        stream: the description of the rows.
        rows_max: how many rows make a block.
        level: zstd level of the block.

    Attributes:
        count: rows gathered.
        last_seq: number of the last row ever gathered, -1 before the first.
        dropped: rows refused since `forgive`, and dropped_from, dropped_to: times of the first and
            the last of them, in UTC ns.
    """

    def __init__(self, stream: Stream, rows_max: int, level: int) -> None:
        self.stream = stream
        self.count = 0
        self.last_seq = -1
        self.dropped = self.dropped_from = self.dropped_to = 0
        self._codec = Codec(stream, level)
        self._rows: NDArray[Any] = np.empty(rows_max, stream.dtype)
        self._seq = np.empty(rows_max, np.uint64)
        self._blobs: list[bytes] = []
        self._blob_bytes = 0

    def ends(self, rows: NDArray[Any], blob: bytes) -> NDArray[np.int64] | None:
        """Where the bytes of each row end; None for a stream without bytes.

        Raises:
            UsageError: the lengths in the rows do not add up to the bytes, or one is too long.
        """
        name = self.stream.blob
        if name is None:
            if blob:
                raise UsageError(
                    f"stream {self.stream.name!r} has no bytes; {len(blob)} were given"
                )
            return None
        longest = int(rows[name].max(initial=0))
        if longest > BLOB_BYTES_MAX:
            raise UsageError(
                f"stream {self.stream.name!r}: a row of {longest} bytes; at most {BLOB_BYTES_MAX}"
            )
        ends = np.cumsum(rows[name], dtype=np.int64)
        total = int(ends[-1]) if len(ends) else 0
        if total != len(blob):
            raise UsageError(
                f"stream {self.stream.name!r}: the rows' {name} add up to {total}, and {len(blob)} "
                "bytes were given"
            )
        return ends

    def room(self, ends: NDArray[np.int64] | None, at: int, limit: int) -> int:
        """How many rows from row `at` on still go into this block, at most up to row `limit`."""
        take = min(limit - at, len(self._rows) - self.count)
        if ends is not None and take:
            before = int(ends[at - 1]) if at else 0
            fits = BLOB_BYTES_MAX - self._blob_bytes + before
            take = min(take, int(np.searchsorted(ends[at:limit], fits, side="right")))
        return take

    def add(self, rows: NDArray[Any], seq: NDArray[np.uint64], blob: bytes) -> None:
        """Take rows that have room."""
        end = self.count + len(rows)
        self._rows[self.count : end] = rows
        self._seq[self.count : end] = seq
        self.count = end
        self.last_seq = int(seq[-1])
        if blob:
            self._blobs.append(blob)
            self._blob_bytes += len(blob)

    def drop(self, rows: NDArray[Any], now_ns: int) -> None:
        """Count rows that cannot be kept."""
        time = self.stream.time
        first = int(rows[time][0]) if time else now_ns
        if not self.dropped:
            self.dropped_from = first
        self.dropped_to = int(rows[time][-1]) if time else now_ns
        self.dropped += len(rows)

    def forgive(self) -> None:
        """Begin to count the refused ones anew: the file tells of the old ones."""
        self.dropped = self.dropped_from = self.dropped_to = 0

    @property
    def full(self) -> bool:
        """True when nothing more goes into this block."""
        return self.count == len(self._rows) or self._blob_bytes >= BLOB_BYTES_MAX

    @property
    def first_seq(self) -> int:
        """Number of the first row gathered."""
        return int(self._seq[0])

    def chunk(self) -> bytes:
        """The rows gathered as a whole ROWS chunk."""
        seq = self._seq[: self.count]
        dense = int(seq[-1]) - int(seq[0]) == self.count - 1
        body = self._codec.encode(
            self._rows[: self.count],
            int(seq[0]),
            None if dense else seq,
            b"".join(self._blobs),
        )
        return pack_chunk(ChunkKind.ROWS, self.stream.id, body)

    def clear(self) -> None:
        """Begin an empty block: the rows are in the file."""
        self.count = self._blob_bytes = 0
        self._blobs.clear()
