"""Seal a day: small blocks become full ones, with index and digest, and the file is read-only.

    NAME.dfa            live, locked, durable; it stays as it is until the last step
    NAME.dfa.sealing    written, read back against the live file, synced
    rename              the one moment in which NAME.dfa changes: old and whole, or new and whole

A crash before the rename leaves the live file and a draft that the next sealing overwrites; after
it, the sealed file.
"""

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from dhanfast._core.archive.codec import LEVEL, Codec
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData, DhanfastError
from dhanfast.storage.archive.chunkfile import open_locked
from dhanfast.storage.archive.chunks import FILE_MAGIC, Chunk, ChunkKind, pack_chunk, scan
from dhanfast.storage.archive.opening import REPAIR_HINT, json_of
from dhanfast.storage.archive.pending import Pending
from dhanfast.storage.durable import sync_folder

DRAFT: Final = ".sealing"
BLOCK_ROWS: Final = 65_536
ENTRY: Final = struct.Struct("<QQIHHQqqqqIIQ")
SEAL: Final = struct.Struct("<8sQQQ32s")
SEAL_MAGIC: Final = b"DFSEALED"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file that is complete.

    Attributes:
        path: of the file.
        rows: of all streams.
        blocks: of all streams.
        live_bytes: size before.
        sealed_bytes: size now.
        sha256: of every byte before the SEAL chunk, as hexadecimal digits.
    """

    path: Path
    rows: int
    blocks: int
    live_bytes: int
    sealed_bytes: int
    sha256: str


def seal_file(path: str | os.PathLike[str], *, level: int = LEVEL) -> Sealed:
    """Seal a file whose writer is gone; a torn tail must have been cut by `repair` before.

    Args:
        path: of the file.
        level: zstd level of its blocks, -7 to 22.

    Raises:
        DhanfastError: a writer has it, it is sealed already, or the disk refuses; the file is as
            it was.
        BadData: it is foreign or damaged, or what was written does not read back.
        FileNotFoundError: there is none.
    """
    handle = open_locked(Path(path))
    try:
        return seal_locked(Path(path), handle, level=level)
    finally:
        os.close(handle)


def seal_locked(path: Path, handle: int, *, level: int = LEVEL) -> Sealed:
    """Seal a file that this process has open and locked; see `seal_file`."""
    if os.fstat(handle).st_size == 0:
        raise BadData(f"{path}: empty, not an archive")
    draft = path.with_name(path.name + DRAFT)
    with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as live:
        chunks = _live_chunks(path, live)
        try:
            with suppress(FileNotFoundError):
                os.unlink(draft)  # of a sealing that was killed
            with draft.open("x+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # nobody writes the new file behind our back
                sealed = _write(path, live, chunks, file, level)
                _verify(path, live, chunks, draft, sealed)
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
                os.replace(draft, path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(draft)
            raise DhanfastError(
                f"{path}: cannot be sealed ({error.strerror}); it is whole and unsealed, as it "
                "was. Free some space, then seal it again"
            ) from error
        except BaseException:
            with suppress(OSError):
                os.unlink(draft)
            raise
    sync_folder(path.parent)
    return sealed


def _live_chunks(path: Path, live: Any) -> list[Chunk]:
    found = scan(live)
    if found.damage or found.torn_bytes:
        offset, why = found.damage[0] if found.damage else (found.end, "a torn tail")
        raise BadData(f"{path}: byte {offset}: {why}; {REPAIR_HINT}, and it can be sealed then")
    if not found.chunks or found.chunks[0].kind != ChunkKind.HEAD:
        raise BadData(f"{path}: byte {len(FILE_MAGIC)}: no whole HEAD; nothing in it can be read")
    if any(chunk.kind == ChunkKind.SEAL for chunk in found.chunks):
        raise DhanfastError(f"{path}: sealed already")
    return [chunk for chunk in found.chunks if chunk.kind != ChunkKind.INDEX]


def streams_of(path: Path, data: Any, head: Chunk) -> dict[int, Stream]:
    """The streams of a file by number.

    Raises:
        BadData: its HEAD does not describe them.
    """
    try:
        return {each["id"]: Stream.from_json(each) for each in json_of(path, data, head)["streams"]}
    except (KeyError, TypeError) as error:
        raise BadData(f"{path}: byte {head.offset}: a HEAD without streams") from error


class _Draft:
    """The sealed file while it is written: chunks, digest, and the index of its blocks."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.end = self.rows = 0
        self._entries: list[bytes] = []
        self._keys: list[bytes] = []
        self._key_count = 0

    def put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.end += len(data)

    def put_rows(self, pending: Pending) -> None:
        chunk = pending.chunk()
        size = int.from_bytes(chunk[8:16], "little")
        head = Codec(pending.stream).head(memoryview(chunk)[24 : 24 + size])
        keys = np.asarray(head.keys, "<u4").tobytes()
        self._entries.append(
            ENTRY.pack(self.end, size, head.rows, pending.stream.id, 0, head.first_seq,
                       head.time_min, head.time_max, head.event_min, head.event_max,
                       len(keys) // 4, self._key_count, 0)
        )  # fmt: skip
        self._keys.append(keys)
        self._key_count += len(keys) // 4
        self.rows += pending.count
        self.put(chunk)
        pending.clear()

    def finish(self, path: Path, live_bytes: int) -> Sealed:
        count = len(self._entries)
        index = struct.pack("<Q", count) + b"".join(self._entries) + b"".join(self._keys)
        index_at = self.end
        self.put(pack_chunk(ChunkKind.INDEX, 0, index))
        digest = self._digest.digest()
        seal = SEAL.pack(SEAL_MAGIC, index_at, self.rows, 0, digest)
        self._file.write(pack_chunk(ChunkKind.SEAL, 0, seal))
        self._file.flush()
        return Sealed(path, self.rows, count, live_bytes, self._file.tell(), digest.hex())


def _write(path: Path, live: Any, chunks: list[Chunk], file: Any, level: int) -> Sealed:
    """All of the live file once more, in full blocks. What is no row stays where it was."""
    draft = _Draft(file)
    draft.put(FILE_MAGIC)
    codecs = {n: Codec(each) for n, each in streams_of(path, live, chunks[0]).items()}
    gathered = {n: Pending(codec.stream, BLOCK_ROWS, level) for n, codec in codecs.items()}
    for chunk in chunks:
        if chunk.kind != ChunkKind.ROWS:
            draft.put(live[chunk.offset : chunk.end])
            continue
        if chunk.stream not in codecs:
            raise BadData(f"{path}: byte {chunk.offset}: rows of an unknown stream {chunk.stream}")
        block, pending = codecs[chunk.stream].decode(chunk.body(live)), gathered[chunk.stream]
        ends, at = pending.ends(block.rows, block.blob), 0
        while at < len(block.rows):
            take = pending.room(ends, at, len(block.rows))
            part = b""
            if ends is not None and take:
                part = block.blob[int(ends[at - 1]) if at else 0 : int(ends[at + take - 1])]
            if take:
                pending.add(block.rows[at : at + take], block.seq[at : at + take], part)
                at += take
            if pending.full or not take:
                draft.put_rows(pending)
    for pending in sorted((p for p in gathered.values() if p.count), key=lambda p: p.first_seq):
        draft.put_rows(pending)
    return draft.finish(path, len(live))


def _verify(path: Path, live: Any, chunks: list[Chunk], draft: Path, sealed: Sealed) -> None:
    """Read the draft back: its chunks, its digest, and every row against the live file."""
    with draft.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = scan(data)
        digest = hashlib.sha256()
        for begin in range(0, found.chunks[-1].offset, 1 << 24):
            digest.update(data[begin : min(begin + (1 << 24), found.chunks[-1].offset)])
        whole = not found.damage and not found.torn_bytes
        if not whole or digest.hexdigest() != sealed.sha256:
            raise BadData(f"{draft}: does not read back as it was written: check the disk")
        streams = streams_of(path, live, chunks[0])
        want, got = _digests(live, chunks, streams), _digests(data, found.chunks, streams)
        if want != got:
            odd = [streams[n].name for n in streams if want.get(n) != got.get(n)]
            raise BadData(
                f"{draft}: rows of {', '.join(odd)} differ from {path}: it stays unsealed"
            )


def _digests(data: Any, chunks: list[Chunk], streams: Mapping[int, Stream]) -> dict[int, bytes]:
    """By stream a digest of every row, number and byte, however they are cut into blocks."""
    codecs = {number: Codec(stream) for number, stream in streams.items()}
    sums = {number: [hashlib.blake2b() for _ in range(3)] for number in streams}
    for chunk in chunks:
        if chunk.kind == ChunkKind.ROWS:
            block = codecs[chunk.stream].decode(chunk.body(data))
            rows, numbers, blobs = sums[chunk.stream]
            rows.update(np.ascontiguousarray(block.rows).view(np.uint8).data)
            numbers.update(np.ascontiguousarray(block.seq).view(np.uint8).data)
            blobs.update(block.blob)
    return {n: b"".join(total.digest() for total in parts) for n, parts in sums.items()}
