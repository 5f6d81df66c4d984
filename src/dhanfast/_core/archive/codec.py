"""Blocks of an archive: rows to bytes and back, with zstd from the `zstandard` library."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from dhanfast._core.archive.decode import Cursor, block_head
from dhanfast._core.archive.encode import Encoder
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData

LEVEL: Final = 1  # of zstd; the higher ones to 12 are slower and larger on these columns
_LOCAL: Final = threading.local()  # a decompressor is one thread's; making one costs a context


@dataclass(frozen=True, slots=True)
class BlockHead:
    """Facts of a block, known without decompressing it.

    Units:
        times in UTC ns; `keys` is uint32[k], the instruments of the block, ascending.
    """

    rows: int
    first_seq: int
    time_min: int
    time_max: int
    event_min: int
    event_max: int
    keys: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Block:
    """A decoded block: rows, the sequence number of each, and the bytes of all rows."""

    rows: NDArray[Any]
    seq: NDArray[np.uint64]
    blob: bytes


class Codec:
    """Encodes and decodes the blocks of one stream. One thread at a time; each cursor its own.

    Args:
        stream: the stream's description.
        level: zstd level of `encode`, -7 to 22.
    """

    def __init__(self, stream: Stream, level: int = LEVEL) -> None:
        self.stream = stream
        self._encoder = Encoder(stream, zstandard.ZstdCompressor(level=level).compress)

    def encode(
        self,
        rows: NDArray[Any],
        first_seq: int,
        seq: NDArray[np.uint64] | None = None,
        blob: bytes = b"",
    ) -> bytes:
        """Make a ROWS body.

        Args:
            rows: array of the stream's dtype, 1 to 1,048,576 of them.
            first_seq: sequence number of the first row.
            seq: the number of each row when they are not consecutive.
            blob: bytes of all rows, one after another.

        Raises:
            UsageError: another dtype, no rows or too many, lengths that do not fit.
        """
        return self._encoder.encode(rows, first_seq, seq, blob)

    def head(self, body: Any) -> BlockHead:
        """Read the facts of a body.

        Raises:
            BadData: it cannot be a block.
        """
        return BlockHead(*block_head(body))

    def cursor(self, body: Any, *, keys: Sequence[int] | None = None) -> Cursor:
        """Begin to read a body from its first row.

        Args:
            body: bytes of the chunk's body; not needed afterwards.
            keys: instruments wanted; None for all.

        Raises:
            BadData: damage; the message names the byte of the body.
        """
        return Cursor(self.stream, body, _unpack, keys)

    def decode(self, body: Any, *, key: int | None = None) -> Block:
        """Read a whole body.

        Args:
            body: bytes of the chunk's body.
            key: the one instrument wanted; None for all.

        Raises:
            BadData: damage; the message names the byte of the body.
        """
        cursor = self.cursor(body, keys=None if key is None else [key])
        rows = np.empty(cursor.left, self.stream.dtype)
        seq = np.empty(cursor.left, np.uint64)
        count = cursor.read_into(rows.view(np.uint8), seq)
        return Block(rows[:count], seq[:count], cursor.blob)


def _unpack(packed: Any, size: int) -> bytes:
    """Decompress one frame that must give exactly `size` bytes."""
    try:
        claimed = zstandard.frame_content_size(packed)
        if claimed != size:
            raise BadData(f"a zstd frame of {claimed} bytes where {size} belong")
        try:
            decompressor = _LOCAL.decompressor
        except AttributeError:
            decompressor = _LOCAL.decompressor = zstandard.ZstdDecompressor()
        return bytes(decompressor.decompress(packed, allow_extra_data=False))
    except zstandard.ZstdError as error:
        raise BadData(f"damaged zstd frame ({error})") from error
