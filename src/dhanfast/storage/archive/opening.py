"""Begin an archive file, or go on with one whose writer stopped or died."""

import json
import mmap
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dhanfast import __version__
from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.archive.chunkfile import ChunkFile, Disk, create_locked, open_locked
from dhanfast.storage.archive.chunks import FILE_MAGIC, Chunk, ChunkKind, Scan, pack_chunk, scan
from dhanfast.storage.durable import sync_folder

FORMAT: Final = 1
REPAIR_HINT: Final = "`dhanfast data verify --repair` saves what is whole"


@dataclass
class Opened:
    """A file ready for more chunks, and what a writer must know of the chunks already there.

    Attributes:
        file: its end, locked.
        fresh: true when the file was begun just now.
        clean: true when the last writer closed the file itself.
        torn_bytes: cut off because their chunk was not whole.
        instruments: by index, as the file knows them.
        notes: all of them, in order.
        rows: rows in the file.
        last_seq, last_ns: by stream: number and `time` of the last row.
    """

    file: ChunkFile
    fresh: bool = True
    clean: bool = True
    torn_bytes: int = 0
    instruments: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0
    last_seq: dict[str, int] = field(default_factory=dict)
    last_ns: dict[str, int] = field(default_factory=dict)


def to_json(value: object, what: str) -> bytes:
    """JSON in UTF-8, as short as it gets.

    Raises:
        UsageError: JSON cannot say it.
    """
    try:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: JSON cannot say {value!r:.200} ({error})") from error


def head_of(
    streams: Sequence[Stream], *, created_ns: int, day: int | None, source: str, generated: bool
) -> dict[str, Any]:
    """The HEAD of a new file.

    Raises:
        UsageError: no streams, or two of one name or number.
    """
    for role in ("id", "name"):
        values = [getattr(stream, role) for stream in streams]
        if not values or len(set(values)) < len(values):
            raise UsageError(f"streams: each needs its own {role}, given {values}")
    return {
        "format": FORMAT,
        "producer": f"dhanfast {__version__}",
        "created_ns": created_ns,
        "day": day,
        "generated": generated,
        "source": source,
        "streams": [stream.to_json() for stream in streams],
    }


def open_file(path: Path, head: dict[str, Any], disk: Disk) -> Opened:
    """Begin the file, or go on behind its last whole chunk.

    Args:
        path: its folder must exist.
        head: what a new file begins with; an existing one must have the same streams, day and
            `generated`.
        disk: how it is written.

    Raises:
        DhanfastError: another writer has it, it is sealed, or the disk refuses.
        BadData: it is foreign or damaged.
        UsageError: it is of other streams or another day.
    """
    first = FILE_MAGIC + pack_chunk(ChunkKind.HEAD, 0, to_json(head, "head"))
    while True:
        try:
            handle = open_locked(path)
        except FileNotFoundError:
            try:
                handle = create_locked(path, first)
            except FileExistsError:
                continue  # somebody was faster: his file is judged like any other
            except OSError as error:
                raise DhanfastError(
                    f"{path}: cannot be begun ({error.strerror}); nothing was changed"
                ) from error
            opened = Opened(ChunkFile(handle, len(first), disk))
            opened.file.synced_end = len(first)
            return opened
        try:
            return _go_on(path, handle, head, disk)
        except BaseException:
            os.close(handle)
            raise


def _go_on(path: Path, handle: int, head: dict[str, Any], disk: Disk) -> Opened:
    if os.fstat(handle).st_size == 0:
        raise BadData(f"{path}: empty, not an archive: remove it, then record again")
    with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as data:
        found = scan(data)
        if found.damage:
            offset, why = found.damage[0]
            raise BadData(f"{path}: byte {offset}: {why}; {REPAIR_HINT}")
        whole_chunks_of(path, data, found, head)
        end = found.chunks[-1].end
        if end < len(data):
            keep_cut(path, end, data[end:])
        opened = _survey(data, found.chunks, head)
    opened.torn_bytes = found.torn_bytes
    opened.file = ChunkFile(handle, end, disk)
    try:
        if end < os.fstat(handle).st_size:
            disk.truncate(handle, end)
        opened.file.sync()
    except OSError as error:
        raise DhanfastError(f"{path}: cannot be gone on with ({error.strerror})") from error
    return opened


def whole_chunks_of(path: Path, data: Any, found: Scan, head: Mapping[str, Any]) -> None:
    """Refuse a file that rows of this head must not be added to; drop an INDEX without its SEAL.

    Raises:
        DhanfastError: it is sealed.
        BadData: its HEAD is not whole or no HEAD.
        UsageError: it is of other streams or another day.
    """
    if not found.chunks or found.chunks[0].kind != ChunkKind.HEAD:
        raise BadData(
            f"{path}: byte {len(FILE_MAGIC)}: no whole HEAD, so nothing in it can be read: move it "
            "away, then record again"
        )
    if any(chunk.kind == ChunkKind.SEAL for chunk in found.chunks):
        raise DhanfastError(f"{path}: sealed, and a sealed file is never written again")
    while found.chunks[-1].kind == ChunkKind.INDEX:
        found.chunks.pop()
    old = json_of(path, data, found.chunks[0])
    for name in ("format", "day", "generated", "streams"):
        if name not in old or _plain(old[name]) != _plain(head[name]):
            raise UsageError(
                f"{path}: begun with {name} {old.get(name)!r:.300}, and the rows to come are of "
                f"{head[name]!r:.300}: record into another file"
            )


def _plain(value: Any) -> Any:
    """Streams without what only remarks on them."""
    if isinstance(value, list):
        return [{k: v for k, v in stream.items() if k != "meaning"} for stream in value]
    return value


def json_of(path: Path, data: Any, chunk: Chunk) -> Any:
    """The JSON of a chunk.

    Raises:
        BadData: it is none.
    """
    try:
        return json.loads(bytes(chunk.body(data)))
    except ValueError as error:
        raise BadData(f"{path}: byte {chunk.offset}: not JSON in UTF-8 ({error})") from error


def _survey(data: Any, chunks: Iterable[Chunk], head: Mapping[str, Any]) -> Opened:
    """What is in a file that is gone on with; `file` is filled in by the caller."""
    streams = {each["id"]: Stream.from_json(each) for each in head["streams"]}
    opened = Opened(file=None, fresh=False, clean=False)  # type: ignore[arg-type]
    last: dict[int, Chunk] = {}
    for chunk in chunks:
        opened.clean = False
        if chunk.kind == ChunkKind.INSTRUMENTS:
            known = json.loads(bytes(chunk.body(data)))
            opened.instruments.update({each["index"]: each for each in known})
        elif chunk.kind == ChunkKind.NOTE:
            opened.notes.append(json.loads(bytes(chunk.body(data))))
            opened.clean = opened.notes[-1].get("kind") == "closed"
        elif chunk.kind == ChunkKind.ROWS:
            opened.rows += int.from_bytes(data[chunk.body_at : chunk.body_at + 4], "little")
            last[chunk.stream] = chunk
    for number, chunk in last.items():
        stream = streams[number]
        block = Codec(stream).decode(chunk.body(data))
        opened.last_seq[stream.name] = int(block.seq[-1])
        if stream.time:
            opened.last_ns[stream.name] = int(block.rows[stream.time][-1])
    return opened


def keep_cut(path: Path, offset: int, data: bytes) -> Path:
    """Keep bytes that are cut out of a file beside it, durable before the cut.

    Raises:
        DhanfastError: there is no room for them; nothing was cut.
    """
    number = 1
    while True:
        more = "" if number == 1 else f"-{number}"
        aside = path.with_name(f"{path.name}.cut-{offset}{more}")
        try:
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            break
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _no_room(aside, error) from error
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    except OSError as error:
        with suppress(OSError):
            os.unlink(aside)
        raise _no_room(aside, error) from error
    finally:
        os.close(handle)
    sync_folder(path.parent)
    return aside


def _no_room(aside: Path, error: OSError) -> DhanfastError:
    return DhanfastError(
        f"{aside}: the torn bytes cannot be kept ({error.strerror}), so nothing was cut. "
        "Free some space and try again"
    )
