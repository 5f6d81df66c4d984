"""What an archive file holds, and where: from its INDEX, or chunk by chunk when it has none.

Nothing here decompresses a row. A sealed file is known from its last bytes: SEAL, INDEX, and the
few chunks that are no blocks. An unsealed one is read from the front, every checksum verified, up
to its last whole chunk; that is done once, and `extend` goes on there when the file has grown.
Whatever sizes a file claims are held against its length before they are used.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.codec import BlockHead
from dhanfast._core.archive.decode import block_head
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData
from dhanfast.storage.archive.chunks import CHUNK_MAGIC, FILE_MAGIC, Chunk, ChunkKind, chunk_at
from dhanfast.storage.archive.listing import Listed, Listing

FORMAT: Final = 1
BLOCK_ROWS_MAX: Final = 1 << 20
BLOCK_BYTES_MAX: Final = 1 << 29  # of decoded rows: a block that claims more is refused
SEAL_BYTES: Final = 88
_SEAL: Final = struct.Struct("<8sQQQ32s")

BLOCK_DTYPE: Final = np.dtype([
    ("offset", "<u8"), ("length", "<u8"), ("rows", "<u4"), ("stream", "<u2"), ("spare", "<u2"),
    ("first_seq", "<u8"), ("time_min", "<i8"), ("time_max", "<i8"), ("event_min", "<i8"),
    ("event_max", "<i8"), ("keys", "<u4"), ("first_key", "<u4"), ("spare2", "<u8"),
])  # fmt: skip


class Damage(Exception):
    """Something in a file is not as the format says: where, and what.

    Args:
        offset: byte of the file.
        why: in words, no path in it.
        foreign: repairing the file would not help.
    """

    def __init__(self, offset: int, why: str, *, foreign: bool = False) -> None:
        super().__init__(why)
        self.offset, self.why, self.foreign = offset, why, foreign


@dataclass
class Contents:
    """All that is known of a file without reading a row.

    Attributes:
        head: the HEAD object. streams: by number. notes: as they stand in the file.
        entries: the instruments, the last word on each number. instruments: the same as a listing.
        blocks: BLOCK_DTYPE, in order of the file. keys: the instruments of all blocks.
        sealed: it ends with its seal. digest: the seal's SHA-256 of the rest.
        whole_bytes: where the last whole chunk ends. torn_bytes: what follows it.
    """

    head: dict[str, Any] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)
    entries: dict[int, Listed] = field(default_factory=dict)
    instruments: Listing = field(default_factory=Listing)
    notes: list[dict[str, Any]] = field(default_factory=list)
    blocks: NDArray[Any] = field(default_factory=lambda: np.zeros(0, BLOCK_DTYPE))
    keys: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    sealed: bool = False
    digest: bytes = b""
    whole_bytes: int = 0
    torn_bytes: int = 0


def read_contents(view: memoryview) -> Contents:
    """Read what a file holds.

    Args:
        view: the whole file.

    Raises:
        Damage: it is no archive, or a part of it is not as the format says.
    """
    if bytes(view[:8]) != FILE_MAGIC:
        begins = bytes(view[:8])
        why = f"not a dhanfast archive: it begins with {begins!r}, not {FILE_MAGIC!r}"
        raise Damage(0, why, foreign=True)
    seal = _seal_of(view)
    contents = Contents(whole_bytes=8)
    if seal is None:
        extend(contents, view)
    else:
        _read_sealed(contents, view, seal)
    if not contents.head:
        raise Damage(8, "there is no whole HEAD: the writer ended before its first flush")
    return contents


def extend(contents: Contents, view: memoryview) -> None:
    """Take in the whole chunks that follow what is known, every checksum verified.

    Args:
        contents: changed in place.
        view: the whole file, as it is now.

    Raises:
        Damage: the file is shorter than before, or has a damaged chunk with whole ones behind it.
    """
    if len(view) < contents.whole_bytes:
        raise Damage(
            len(view),
            f"the file has {len(view)} bytes and had {contents.whole_bytes}: it was cut or replaced"
            " while it was being read",
        )
    at, end = contents.whole_bytes, len(view)
    blocks: list[tuple[Any, ...]] = []
    keys: list[NDArray[np.uint32]] = []
    first_key = len(contents.keys)
    while isinstance(chunk := chunk_at(view, at), Chunk):
        if contents.sealed:
            raise Damage(at, "there are chunks after the seal")
        if chunk.kind == ChunkKind.ROWS:
            entry, mine = _block_of(contents, view, chunk, first_key)
            blocks.append(entry)
            keys.append(mine)
            first_key += len(mine)
        elif chunk.kind == ChunkKind.SEAL:
            _take_seal(contents, chunk, bytes(chunk.body(view)))
        else:
            _take(contents, view, chunk)
        at = chunk.end
    if at < end:
        _refuse_damage(view, at)
        if contents.sealed:
            raise Damage(at, f"{end - at} bytes follow the seal")
    if blocks:
        contents.blocks = np.concatenate([contents.blocks, np.array(blocks, BLOCK_DTYPE)])
        contents.keys = np.concatenate([contents.keys, *keys])
    _list(contents)
    contents.whole_bytes, contents.torn_bytes = at, end - at


def whole_chunk(view: memoryview, offset: int) -> Chunk:
    """The chunk at an offset, its checksums verified.

    Raises:
        Damage: there is none, or not all of it, or a checksum is another one.
    """
    found = chunk_at(view, offset)
    if isinstance(found, str):
        raise Damage(offset, found)
    return found


def _refuse_damage(view: memoryview, at: int) -> None:
    """A torn tail is what no whole chunk follows; anything else is damage.

    What is spent on checksums is bounded by the size of the tail: one made of heads that claim all
    the rest of the file is nobody's torn tail.
    """
    why = chunk_at(view, at)
    budget = 2 * (len(view) - at)
    for place in _magic_places(view, at + 8):
        found = chunk_at(view, place, bodies=False)
        if isinstance(found, str):
            continue
        budget -= found.end - found.offset
        if budget < 0 or isinstance(chunk_at(view, place), Chunk):
            raise Damage(at, f"{why}, and whole chunks follow at byte {place}")


def _magic_places(view: memoryview, start: int) -> Iterator[int]:
    """Multiples of 8 where a chunk's magic stands, from a multiple of 8 on."""
    magic = np.frombuffer(CHUNK_MAGIC, "<u4")[0]
    for window in range(start, len(view) - 7, 1 << 23):
        words = min(1 << 20, (len(view) - window) // 8)
        lows = np.frombuffer(view, "<u4", 2 * words, window)[::2]
        yield from (np.flatnonzero(lows == magic) * 8 + window).tolist()


def _block_of(
    contents: Contents, view: memoryview, chunk: Chunk, first_key: int
) -> tuple[tuple[Any, ...], NDArray[np.uint32]]:
    stream = contents.streams.get(chunk.stream)
    if stream is None:
        raise Damage(chunk.offset, f"a block of stream {chunk.stream}, which HEAD does not have")
    try:
        head = BlockHead(*block_head(chunk.body(view)))
    except BadData as error:
        raise Damage(chunk.body_at, str(error)) from error
    check_size(chunk.offset, stream, head.rows)
    keys = np.array(head.keys, np.uint32)
    entry = (chunk.offset, chunk.size, head.rows, chunk.stream, 0, head.first_seq,
             head.time_min, head.time_max, head.event_min, head.event_max, len(keys), first_key,
             0)  # fmt: skip
    return entry, keys


def check_size(offset: int, stream: Stream, rows: int) -> None:
    """Refuse a block that would need more memory than any writer makes.

    Raises:
        Damage: no rows, too many, or too large ones.
    """
    if not 1 <= rows <= BLOCK_ROWS_MAX or rows * stream.dtype.itemsize > BLOCK_BYTES_MAX:
        raise Damage(
            offset,
            f"a block claims {rows} rows of {stream.dtype.itemsize} bytes; at most "
            f"{BLOCK_ROWS_MAX} rows and {BLOCK_BYTES_MAX >> 20} MB are allowed",
        )


def _take(contents: Contents, view: memoryview, chunk: Chunk) -> None:
    """Read a chunk that is neither block nor seal; unknown kinds are left alone."""
    if not contents.head and chunk.kind != ChunkKind.HEAD:
        raise Damage(chunk.offset, "the first chunk is not HEAD")
    if chunk.kind not in (ChunkKind.HEAD, ChunkKind.INSTRUMENTS, ChunkKind.NOTE):
        return
    try:
        value = json.loads(bytes(chunk.body(view)))
        if chunk.kind == ChunkKind.HEAD:
            _take_head(contents, value)
        elif chunk.kind == ChunkKind.INSTRUMENTS:
            if not isinstance(value, list):
                raise BadData("INSTRUMENTS must be a list")
            entries = [Listed.from_json(one) for one in value]
            contents.entries.update((entry.index, entry) for entry in entries)
        elif not isinstance(value, dict):
            raise BadData("a NOTE must be an object")
        else:
            contents.notes.append(value)
    except (ValueError, RecursionError) as error:  # BadData is a ValueError
        raise Damage(chunk.body_at, str(error) or type(error).__name__) from error


def _list(contents: Contents) -> None:
    try:
        contents.instruments = Listing(list(contents.entries.values()))
    except BadData as error:
        raise Damage(8, str(error)) from error


def _take_head(contents: Contents, value: Any) -> None:
    if contents.head:
        raise BadData("a second HEAD")
    if not isinstance(value, dict) or not isinstance(value.get("format"), int):
        raise BadData("HEAD must be an object with a `format`")
    if value["format"] != FORMAT:
        raise BadData(
            f"archive format {value['format']}, this program reads {FORMAT}: update dhanfast"
        )
    described = value.get("streams")
    if not isinstance(described, list):
        raise BadData("HEAD has no list of `streams`")
    streams = [Stream.from_json(one) for one in described]
    contents.streams = {stream.id: stream for stream in streams}
    if len(contents.streams) < len(streams) or len({s.name for s in streams}) < len(streams):
        raise BadData("two streams have one number or one name")
    contents.head = value


@dataclass(frozen=True)
class _Seal:
    index: int
    rows: int
    digest: bytes


def _take_seal(contents: Contents, chunk: Chunk, body: bytes) -> None:
    """The seal of a file that was being written when it was opened."""
    if len(body) != _SEAL.size or body[:8] != b"DFSEALED":
        raise Damage(chunk.body_at, "the seal is none")
    contents.sealed, contents.digest = True, _SEAL.unpack(body)[4]


def _seal_of(view: memoryview) -> _Seal | None:
    """The seal when the file ends with a whole one."""
    at = len(view) - SEAL_BYTES
    if at < 8 or at % 8:
        return None
    chunk = chunk_at(view, at)
    if isinstance(chunk, str) or (chunk.kind, chunk.size) != (ChunkKind.SEAL, _SEAL.size):
        return None
    magic, index, rows, _zero, digest = _SEAL.unpack(chunk.body(view))
    return _Seal(index, rows, digest) if magic == b"DFSEALED" else None


def _read_sealed(contents: Contents, view: memoryview, seal: _Seal) -> None:
    end = len(view) - SEAL_BYTES
    if seal.index % 8 or not 8 <= seal.index < end:
        raise Damage(end, f"the seal names byte {seal.index} as the index's place")
    chunk = whole_chunk(view, seal.index)
    if chunk.kind != ChunkKind.INDEX or chunk.end > end:
        raise Damage(seal.index, "the seal's index is no INDEX chunk")
    body = chunk.body(view)
    blocks, keys = _entries(chunk, body)
    _check_entries(chunk, blocks, keys, seal)
    ends = (blocks["offset"] + blocks["length"] + np.uint64(24 + 7)) & ~np.uint64(7)
    starts = np.append(blocks["offset"], np.uint64(chunk.offset))
    if (starts[1:] < ends).any() or (len(blocks) and starts[0] < 8):
        raise Damage(chunk.body_at, "blocks of the index overlap or are out of order")
    ends = np.concatenate([np.array([8], np.uint64), ends])
    for gap in np.flatnonzero(starts != ends).tolist():
        _walk(contents, view, int(ends[gap]), int(starts[gap]))
    _walk(contents, view, chunk.end, end)
    for number, count in zip(*np.unique(blocks["stream"], return_counts=True), strict=True):
        if int(number) not in contents.streams:
            raise Damage(chunk.body_at, f"{count} blocks of stream {number}, which HEAD has not")
    for stream in contents.streams.values():
        mine = blocks["rows"][blocks["stream"] == stream.id]
        check_size(chunk.body_at, stream, int(mine.max()) if len(mine) else 1)
    _list(contents)
    contents.blocks, contents.keys = blocks, keys
    contents.sealed, contents.digest = True, seal.digest
    contents.whole_bytes = len(view)


def _walk(contents: Contents, view: memoryview, at: int, end: int) -> None:
    """The chunks between two blocks of a sealed file."""
    while at < end:
        chunk = whole_chunk(view, at)
        if chunk.end > end:
            raise Damage(at, "a chunk reaches into the next one of the index")
        if chunk.kind in (ChunkKind.ROWS, ChunkKind.INDEX, ChunkKind.SEAL):
            raise Damage(at, "a block (or index or seal) that the index does not have")
        _take(contents, view, chunk)
        at = chunk.end


def _entries(chunk: Chunk, body: memoryview) -> tuple[NDArray[Any], NDArray[np.uint32]]:
    count = int.from_bytes(body[:8], "little") if len(body) >= 8 else -1
    rest = len(body) - 8 - count * BLOCK_DTYPE.itemsize
    if count < 0 or rest < 0 or rest % 4:
        raise Damage(chunk.body_at, f"the index claims {count} blocks in {len(body)} bytes")
    blocks = np.frombuffer(body, BLOCK_DTYPE, count, 8).copy()
    keys = np.frombuffer(body, np.uint32, rest // 4, 8 + count * BLOCK_DTYPE.itemsize).copy()
    return blocks, keys


def _check_entries(
    chunk: Chunk, blocks: NDArray[Any], keys: NDArray[np.uint32], seal: _Seal
) -> None:
    size = np.uint64(chunk.offset)
    rows = blocks["rows"]
    counts = blocks["keys"].astype(np.int64)
    wrong = (
        (blocks["offset"] % np.uint64(8) != 0)
        | (blocks["offset"] > size)
        | (blocks["length"] > size)
        | (rows < 1)
        | (rows > BLOCK_ROWS_MAX)
        | (blocks["time_min"] > blocks["time_max"])
        | (blocks["first_key"].astype(np.int64) != np.cumsum(counts) - counts)
    )
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        at = chunk.body_at + 8 + first * BLOCK_DTYPE.itemsize
        raise Damage(at, f"entry {first} of the index makes no sense: {blocks[first]}")
    if counts.sum() != len(keys):
        raise Damage(chunk.body_at, f"the index has {len(keys)} keys for {counts.sum()}")
    if int(rows.sum(dtype=np.uint64)) != seal.rows:
        raise Damage(
            chunk.body_at, f"the index has {rows.sum(dtype=np.uint64)} rows, the seal {seal.rows}"
        )
