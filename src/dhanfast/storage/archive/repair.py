"""What is wrong with an archive file, and how to save what is whole.

A torn tail (the writer was killed, the power failed) is cut off. Damage in the middle is cut out of
a copy that then takes the file's name. What was cut is kept beside the file as NAME.cut-OFFSET.
"""

import hashlib
import mmap
import os
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData, DhanfastError
from dhanfast.storage.archive.chunkfile import open_locked
from dhanfast.storage.archive.chunks import FILE_MAGIC, Chunk, ChunkKind, Scan, pack_chunk, scan
from dhanfast.storage.archive.opening import REPAIR_HINT, keep_cut, to_json
from dhanfast.storage.archive.sealing import ENTRY, SEAL, SEAL_MAGIC, streams_of
from dhanfast.storage.durable import replacing


@dataclass(slots=True)
class Condition:
    """What a file is like.

    Attributes:
        path: of the file.
        sealed: it ends with a SEAL that fits every byte before it.
        rows: in whole blocks.
        rows_by_stream: the same, by name.
        blocks: how many.
        whole_bytes: up to the end of the last whole chunk.
        torn_bytes: behind it.
        damage: (offset, why) of everything else that is wrong.
        cut: files that `repair` put cut bytes into.
    """

    path: Path
    sealed: bool = False
    rows: int = 0
    rows_by_stream: dict[str, int] = field(default_factory=dict)
    blocks: int = 0
    whole_bytes: int = 0
    torn_bytes: int = 0
    damage: list[tuple[int, str]] = field(default_factory=list)
    cut: list[Path] = field(default_factory=list)


def inspect(path: str | os.PathLike[str], *, decode: bool = False) -> Condition:
    """Look at every chunk of a file; nothing is changed and nobody is locked out.

    Args:
        path: of the file.
        decode: decode every block too, not only check its CRC.

    Raises:
        FileNotFoundError: there is none.
        DhanfastError: the system refuses to read it.
    """
    condition = Condition(Path(path))
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                condition.damage.append((0, "empty, not an archive"))
                return condition
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _inspect(condition, data, scan(data), decode)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DhanfastError(f"{path}: cannot be read ({error.strerror})") from error
    return condition


def _inspect(condition: Condition, data: Any, found: Scan, decode: bool) -> None:
    condition.whole_bytes, condition.torn_bytes = found.end, found.torn_bytes
    condition.damage = found.damage
    if not found.chunks or found.chunks[0].kind != ChunkKind.HEAD:
        if not condition.damage:
            condition.damage.append((min(len(data), len(FILE_MAGIC)), "no whole HEAD"))
        return
    try:
        streams = streams_of(condition.path, data, found.chunks[0])
    except BadData as error:
        condition.damage.append((found.chunks[0].offset, str(error)))
        return
    condition.rows_by_stream = {stream.name: 0 for stream in streams.values()}
    codecs = {number: Codec(stream) for number, stream in streams.items()}
    for chunk in found.chunks[1:]:
        if chunk.kind == ChunkKind.HEAD:
            condition.damage.append((chunk.offset, "a second HEAD"))
        elif chunk.kind == ChunkKind.ROWS:
            try:
                _count(condition, codecs[chunk.stream], chunk.body(data), decode)
            except KeyError:
                condition.damage.append((chunk.offset, f"rows of no stream ({chunk.stream})"))
            except BadData as error:
                condition.damage.append((chunk.offset, f"a block that does not decode: {error}"))
    _judge_seal(condition, data, found, codecs)


def _count(condition: Condition, codec: Codec, body: bytes, decode: bool) -> None:
    rows = codec.head(body).rows
    if decode:
        codec.decode(body)
    condition.rows += rows
    condition.rows_by_stream[codec.stream.name] += rows
    condition.blocks += 1


def _judge_seal(condition: Condition, data: Any, found: Scan, codecs: dict[int, Codec]) -> None:
    seals = [chunk for chunk in found.chunks if chunk.kind == ChunkKind.SEAL]
    for seal in seals:
        if seal is not found.chunks[-1]:
            condition.damage.append((seal.offset, "a SEAL that is not the last chunk"))
    if not seals or seals[-1] is not found.chunks[-1]:
        return
    seal, body = seals[-1], bytes(seals[-1].body(data))
    if len(body) != SEAL.size or body[:8] != SEAL_MAGIC:
        condition.damage.append((seal.offset, "a SEAL that is none"))
        return
    _, index_at, rows, _, digest = SEAL.unpack(body)
    total = hashlib.sha256()
    for begin in range(0, seal.offset, 1 << 24):
        total.update(data[begin : min(begin + (1 << 24), seal.offset)])
    before = len(condition.damage)
    if total.digest() != digest:
        condition.damage.append((seal.offset, "the bytes before the SEAL are not what it sealed"))
    if rows != condition.rows:
        condition.damage.append((seal.offset, f"SEAL of {rows} rows, blocks of {condition.rows}"))
    index = next((chunk for chunk in found.chunks if chunk.offset == index_at), None)
    if index is None or index.kind != ChunkKind.INDEX:
        condition.damage.append((seal.offset, f"SEAL says the INDEX is at {index_at}; it is not"))
    elif bytes(index.body(data)) != _index_of(data, found, codecs):
        condition.damage.append((index_at, "an INDEX that does not agree with the blocks"))
    whole = len(condition.damage) == before and condition.torn_bytes == 0
    condition.sealed = whole and not condition.damage


def _index_of(data: Any, found: Scan, codecs: dict[int, Codec]) -> bytes:
    """The INDEX that the blocks of a file want."""
    entries, keys, count = [], [], 0
    for chunk in found.chunks:
        if chunk.kind == ChunkKind.ROWS and chunk.stream in codecs:
            with suppress(BadData):
                head = codecs[chunk.stream].head(chunk.body(data))
                entries.append(
                    ENTRY.pack(chunk.offset, chunk.size, head.rows, chunk.stream, 0,
                               head.first_seq, head.time_min, head.time_max, head.event_min,
                               head.event_max, len(head.keys), count, 0)
                )  # fmt: skip
                keys.append(np.asarray(head.keys, "<u4").tobytes())
                count += len(head.keys)
    return struct.pack("<Q", len(entries)) + b"".join(entries) + b"".join(keys)


def repair(path: str | os.PathLike[str], *, tail_only: bool = False) -> Condition:
    """Cut what is not whole out of a file; a whole file, sealed or not, is left alone.

    Args:
        path: of the file.
        tail_only: refuse a file that is damaged in the middle.

    Shape:
        returns its condition afterwards; `cut` names the files that hold what was taken out.

    Raises:
        DhanfastError: a writer has it, or there is no room; the file is as it was.
        BadData: no whole HEAD, so that nothing can be saved, or `tail_only` and damaged.
        FileNotFoundError: there is none.
    """
    path = Path(path)
    before = inspect(path)
    unfinished = not before.sealed and _ends_with_index(path)
    if not (before.damage or before.torn_bytes or unfinished):
        return before
    if tail_only and before.damage:
        offset, why = before.damage[0]
        raise BadData(f"{path}: byte {offset}: {why}; {REPAIR_HINT}")
    handle = _open_even_sealed(path)
    try:
        with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as data:
            found = scan(data)
            if not found.chunks or found.chunks[0].kind != ChunkKind.HEAD:
                raise BadData(
                    f"{path}: byte {len(FILE_MAGIC)}: no whole HEAD, so nothing can be saved; move "
                    "it away"
                )
            if before.damage:
                cut = _cut_out(path, data, found)
            else:
                cut = [_cut_off(path, handle, data, found)]
    except OSError as error:
        raise DhanfastError(f"{path}: cannot be repaired ({error.strerror})") from error
    finally:
        os.close(handle)
    after = inspect(path)
    after.cut = cut
    return after


def _ends_with_index(path: Path) -> bool:
    """True for a file whose sealing was cut off: an INDEX without a SEAL says nothing."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        chunks = scan(data, bodies=False).chunks
        return bool(chunks) and chunks[-1].kind == ChunkKind.INDEX


def _open_even_sealed(path: Path) -> int:
    """A sealed file that was damaged is read-only: it must be written once more."""
    handle = None
    try:
        handle = open_locked(path)
    except DhanfastError:
        if os.access(path, os.W_OK) or os.stat(path).st_uid != os.geteuid():
            raise
        os.chmod(path, 0o644)
        handle = open_locked(path)
    return handle


def _cut_off(path: Path, handle: int, data: Any, found: Scan) -> Path:
    """Cut the tail behind the last whole chunk, and an INDEX that has lost its SEAL."""
    end = found.end
    while found.chunks[-1].kind == ChunkKind.INDEX:
        end = found.chunks.pop().offset
    aside = keep_cut(path, end, data[end:])
    os.ftruncate(handle, end)
    os.fsync(handle)
    os.fchmod(handle, 0o444 if found.chunks[-1].kind == ChunkKind.SEAL else 0o644)
    return aside


def _cut_out(path: Path, data: Any, found: Scan) -> list[Path]:
    """Copy what is whole under the file's name, with a gap NOTE where something was not."""
    gaps = _gaps(path, data, found)
    if not gaps:
        raise BadData(
            f"{path}: every chunk is whole, but they do not belong together (it was changed after "
            "it was sealed): there is nothing to cut. Export what you trust into a new file"
        )
    cut = [keep_cut(path, begin, data[begin:end]) for begin, end in gaps]
    with replacing(path) as file:
        file.write(FILE_MAGIC)
        spans, last_ns = _spans(path, data, found), 0
        for chunk in found.chunks:
            while gaps and gaps[0][0] < chunk.offset:
                begin, end = gaps.pop(0)
                coming = next((low for at, (low, _) in spans.items() if at >= end), last_ns)
                file.write(_gap(begin, end, last_ns, coming))
            if chunk.kind not in (ChunkKind.INDEX, ChunkKind.SEAL) and not _inside(chunk, gaps):
                file.write(data[chunk.offset : chunk.end])
                last_ns = spans.get(chunk.offset, (0, last_ns))[1]
        for begin, end in gaps:
            file.write(_gap(begin, end, last_ns, last_ns))
    return cut


def _inside(chunk: Chunk, gaps: list[tuple[int, int]]) -> bool:
    return any(begin <= chunk.offset < end for begin, end in gaps)


def _gaps(path: Path, data: Any, found: Scan) -> list[tuple[int, int]]:
    """[begin, end) of everything that is no whole chunk or does not decode."""
    gaps = []
    whole = {chunk.offset for chunk in found.chunks}
    for offset, _ in found.damage:
        after = [at for at in whole if at > offset]
        gaps.append((offset, min(after) if after else len(data)))
    streams = streams_of(path, data, found.chunks[0])
    for chunk in found.chunks[1:]:
        if chunk.kind == ChunkKind.HEAD or not _decodes(data, chunk, streams):
            gaps.append((chunk.offset, chunk.end))
    if found.torn_bytes:
        gaps.append((found.end, len(data)))
    return sorted(gaps)


def _decodes(data: Any, chunk: Chunk, streams: dict[int, Stream]) -> bool:
    if chunk.kind != ChunkKind.ROWS:
        return True
    try:
        Codec(streams[chunk.stream]).decode(chunk.body(data))
    except (BadData, KeyError):
        return False
    return True


def _spans(path: Path, data: Any, found: Scan) -> dict[int, tuple[int, int]]:
    """First and last time of each block that has one, by its offset."""
    streams = streams_of(path, data, found.chunks[0])
    spans = {}
    for chunk in found.chunks:
        if chunk.kind == ChunkKind.ROWS and chunk.stream in streams:
            with suppress(BadData):
                head = Codec(streams[chunk.stream]).head(chunk.body(data))
                spans[chunk.offset] = (head.time_min, head.time_max)
    return spans


def _gap(begin: int, end: int, from_ns: int, to_ns: int) -> bytes:
    low, high = sorted((from_ns, to_ns))
    note = {"kind": "gap", "stream": None, "from_ns": low, "to_ns": high, "lost": None,
            "reason": f"bytes {begin} to {end} were damaged"}  # fmt: skip
    return pack_chunk(ChunkKind.NOTE, 0, to_json(note, "gap"))
