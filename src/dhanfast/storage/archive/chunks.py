"""Chunks: the frame around everything in an archive (docs/reference/archive-format.md)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

from dhanfast._core.archive.crc import crc32c
from dhanfast.errors import UsageError

FILE_MAGIC: Final = b"DFARCH1\n"
CHUNK_MAGIC: Final = b"DFCK"
HEAD_BYTES: Final = 24
BODY_BYTES_MAX: Final = 1 << 40
SUFFIX: Final = ".dfa"

_HEAD: Final = struct.Struct("<4sBBHQI")
_CRC: Final = struct.Struct("<I")


class ChunkKind(IntEnum):
    """What a chunk holds."""

    HEAD = 1
    INSTRUMENTS = 2
    ROWS = 3
    INDEX = 4
    SEAL = 5
    NOTE = 6


@dataclass(frozen=True, slots=True)
class Chunk:
    """A whole chunk of a file: where it is and what it is.

    Attributes:
        offset: of its first byte in the file.
        kind: a ChunkKind, or a number that a later program wrote.
        stream: number of the stream; 0 but for ROWS.
        size: bytes of the body.
    """

    offset: int
    kind: int
    stream: int
    size: int

    @property
    def body_at(self) -> int:
        """Offset of the body's first byte."""
        return self.offset + HEAD_BYTES

    @property
    def end(self) -> int:
        """Offset of the byte after the chunk: where the next one begins."""
        return self.offset + chunk_bytes(self.size)

    def body(self, data: Any) -> Any:
        """The body as a slice of the file's bytes."""
        return data[self.body_at : self.body_at + self.size]


@dataclass(slots=True)
class Scan:
    """What a walk over a file found.

    Attributes:
        chunks: the whole ones, in the order of the file.
        end: the byte after the last of them.
        torn_bytes: what follows it, and no whole chunk lies beyond.
        damage: (offset, why) of everything else that is no whole chunk.
    """

    chunks: list[Chunk] = field(default_factory=list)
    end: int = 0
    torn_bytes: int = 0
    damage: list[tuple[int, str]] = field(default_factory=list)


def chunk_bytes(size: int) -> int:
    """Bytes of a chunk whose body has `size` bytes."""
    return HEAD_BYTES + size + -size % 8


def pack_chunk(kind: int, stream_id: int, body: bytes) -> bytes:
    """Make a whole chunk.

    Args:
        kind: a ChunkKind.
        stream_id: number of the stream of a ROWS chunk, else 0.
        body: at most 2**40 bytes.

    Raises:
        UsageError: a number does not fit its place.
    """
    if not 0 <= kind <= 255 or not 0 <= stream_id <= 65535 or len(body) > BODY_BYTES_MAX:
        raise UsageError(
            f"a chunk of kind {kind}, stream {stream_id} and {len(body)} bytes: kind is 0 to 255, "
            f"stream 0 to 65535, the body at most {BODY_BYTES_MAX} bytes"
        )
    head = _HEAD.pack(CHUNK_MAGIC, kind, 0, stream_id, len(body), crc32c(body))
    return b"".join((head, _CRC.pack(crc32c(head)), body, bytes(-len(body) % 8)))


def chunk_at(data: Any, offset: int, *, bodies: bool = True) -> Chunk | str:
    """The whole chunk at an offset, or what is wrong there.

    Args:
        data: the file's bytes: bytes, or a memory map.
        offset: a multiple of 8.
        bodies: check the CRC of the body too; without, only that it fits into the file.
    """
    if len(data) - offset < HEAD_BYTES:
        return f"{len(data) - offset} bytes, less than the head of a chunk"
    head = data[offset : offset + HEAD_BYTES]
    magic, kind, zero, stream, size, body_crc = _HEAD.unpack_from(head)
    if magic != CHUNK_MAGIC:
        return f"{bytes(magic)!r} where a chunk begins with {CHUNK_MAGIC!r}"
    if _CRC.unpack_from(head, 20)[0] != crc32c(head[:20]):
        return "the head of a chunk with a wrong CRC"
    if zero or size > BODY_BYTES_MAX:
        return f"the head of a chunk that says {size} bytes and {zero} where 0 belongs"
    chunk = Chunk(offset, kind, stream, size)
    if chunk.end > len(data):
        return f"a chunk of {chunk.end - offset} bytes of which {len(data) - offset} are there"
    if bodies:
        if any(data[chunk.body_at + size : chunk.end]):
            return "a chunk that is not filled up with zeros"
        with memoryview(data) as whole, whole[chunk.body_at : chunk.body_at + size] as body:
            if crc32c(body) != body_crc:
                return "the body of a chunk with a wrong CRC"
    return chunk


def scan(data: Any, *, bodies: bool = True) -> Scan:
    """Walk over all chunks of a file; never raises.

    Args:
        data: the file's bytes: bytes, or a memory map.
        bodies: check the CRC of every body too. Without, a flipped bit in a body goes unseen; the
            last chunk's body is checked in any case, for it may be torn.
    """
    found = Scan()
    magic = bytes(data[: len(FILE_MAGIC)])
    if magic != FILE_MAGIC:
        whole = FILE_MAGIC.startswith(magic)
        found.torn_bytes = len(data) if whole else 0
        if not whole:
            found.damage.append((0, f"{magic!r} where an archive begins with {FILE_MAGIC!r}"))
        return found
    found.end = at = len(FILE_MAGIC)
    while at < len(data):
        chunk = chunk_at(data, at, bodies=bodies)
        if isinstance(chunk, Chunk) and chunk.end == len(data) and not bodies:
            chunk = chunk_at(data, at)
        if isinstance(chunk, Chunk):
            found.chunks.append(chunk)
            found.end = at = chunk.end
            continue
        beyond = next(whole_chunks_from(data, at + 8), None)
        if beyond is None:
            found.torn_bytes = len(data) - at
            break
        found.damage.append((at, chunk))
        at = beyond.offset
    return found


def whole_chunks_from(data: Any, offset: int) -> Iterator[Chunk]:
    """Whole chunks at or after an offset, however the bytes before them look."""
    at = data.find(CHUNK_MAGIC, offset)
    while at >= 0:
        if at % 8 == 0:
            chunk = chunk_at(data, at)
            if isinstance(chunk, Chunk):
                yield chunk
        at = data.find(CHUNK_MAGIC, at + 1)
