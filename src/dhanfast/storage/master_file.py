"""One copy of the instrument master as a file: columns that are used where they lie.

Layout (docs/reference/instruments.md describes it byte for byte), little-endian:

    0   8  "DFMASTER"
    8   4  format, 1
   12   4  bytes of the head
   16   4  CRC-32C of the head
   20   4  zero
   24      head: JSON
       ..  zeros to a multiple of 64, then the body: arrays, each at a multiple of 64

A file is written once under a name made of its body's SHA-256 and never changed, so a reader may
map it while a later day is being written.
"""

import hashlib
import mmap
import struct
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.crc import crc32c
from dhanfast.errors import BadData
from dhanfast.market.master import KINDS, SEGMENT_NAMES, Column, Master, Numbers, Texts, Words
from dhanfast.storage.durable import replace_file

MAGIC: Final = b"DFMASTER"
FORMAT: Final = 1
START: Final = struct.Struct("<8sIIII")
ALIGN: Final = 64
BODY_MAX: Final = 1 << 31
DTYPES: Final = ("<i8", "<i4", "<i2", "|i1", "|u1", "<u2", "<u4")
PACKED: Final = ".zst"  # what the name of a compressed copy ends in
PACK_LEVEL: Final = 6


class Part(msgspec.Struct, frozen=True):
    """One array of the body. `count` 1 in a master of more rows: all rows are that value."""

    dtype: str
    offset: int
    count: int


class Section(msgspec.Struct, frozen=True):
    """One column: `numbers` (values), `words` (codes and table) or `texts` (offsets, bytes)."""

    name: str
    kind: str
    parts: tuple[Part, ...]
    places: int = 0
    table: tuple[str, ...] = ()


class Head(msgspec.Struct, frozen=True):
    """What the file holds."""

    rows: int
    form: str
    body_bytes: int
    sha256: str
    columns: tuple[Section, ...]


def master_bytes(master: Master) -> tuple[bytes, str]:
    """A master as the bytes of a file, and the SHA-256 of its body.

    Args:
        master: of any size below 2 GiB.
    """
    body: list[bytes] = []
    at = 0

    def part(array: NDArray[Any], fold: bool) -> Part:
        nonlocal at
        if fold and len(array) > 1 and (array == array[0]).all():
            array = array[:1]
        dtype = array.dtype.newbyteorder("<")
        data = np.ascontiguousarray(array, dtype).tobytes()
        made = Part(dtype.str, at, len(array))
        body.append(data + bytes(-len(data) % ALIGN))
        at += len(body[-1])
        return made

    sections = []
    for name, column in master.columns.items():
        if isinstance(column, Numbers):
            parts: tuple[Part, ...] = (part(column.values, True),)
            sections.append(Section(name, "numbers", parts, places=column.places))
        elif isinstance(column, Words):
            sections.append(Section(name, "words", (part(column.codes, True),), table=column.table))
        else:
            parts = part(column.offsets, False), part(column.blob, False)
            sections.append(Section(name, "texts", parts))
    joined = b"".join(body)
    sha256 = hashlib.sha256(joined).hexdigest()
    head = msgspec.json.encode(Head(len(master), master.form, len(joined), sha256, tuple(sections)))
    start = START.pack(MAGIC, FORMAT, len(head), crc32c(head), 0)
    gap = bytes(-(START.size + len(head)) % ALIGN)
    return b"".join((start, head, gap, joined)), sha256


def read_master(path: Path, sha256: str | None = None) -> Master:
    """Map a file and prove that it is what was written.

    Args:
        path: made of `master_bytes`; compressed with zstd when its name ends in `.zst`.
        sha256: of the body, as the manifest has it; None: the file's own word is taken.

    Raises:
        BadData: damaged, of a later format, or not such a file.
        FileNotFoundError: it is gone.
    """
    if path.name.endswith(PACKED):
        return parse_master_bytes(_unpacked(path), path.name, sha256)
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:  # an empty file cannot be mapped
            raise _damaged(path.name, "empty") from error
    return parse_master_bytes(data, path.name, sha256)


def pack_master(path: Path, target: Path) -> int:
    """Write a compressed copy beside a file; returns its size in bytes.

    Raises:
        BadData: the file is damaged: nothing is written.
        DhanfastError: the disk refuses.
    """
    import zstandard

    read_master(path)
    data = zstandard.ZstdCompressor(level=PACK_LEVEL, write_checksum=True).compress(
        path.read_bytes()
    )
    replace_file(target, data)
    return len(data)


def parse_master_bytes(data: Any, name: str, sha256: str | None = None) -> Master:
    """A master over a buffer that must not change.

    Args:
        data: the bytes of a file; `name`: of it, for messages; `sha256`: see `read_master`.

    Raises:
        BadData: damaged, of a later format, or not such a file.
    """
    size = len(data)
    if size < START.size:
        raise _damaged(name, f"{size} bytes are too few")
    magic, version, head_bytes, crc, _ = START.unpack_from(data)
    if magic != MAGIC:
        raise BadData(f"{name}: this is no instrument master of dhanfast; give another file")
    if version != FORMAT:
        raise BadData(f"{name}: format {version}, this version reads {FORMAT}; update dhanfast")
    body_at = START.size + head_bytes + -(START.size + head_bytes) % ALIGN
    raw = bytes(data[START.size : START.size + head_bytes])
    if body_at > size or crc32c(raw) != crc:
        raise _damaged(name, "its head does not have its checksum")
    try:
        head = msgspec.json.decode(raw, type=Head)
    except (msgspec.DecodeError, ValueError) as error:
        raise _damaged(name, str(error)) from error
    if body_at + head.body_bytes != size:
        raise _damaged(name, f"{size} bytes instead of {body_at + head.body_bytes}")
    body = memoryview(data)[body_at:]
    if hashlib.sha256(body).hexdigest() != head.sha256 or sha256 not in (None, head.sha256):
        raise _damaged(name, "its SHA-256 is not the one that was written down")
    columns = {section.name: _column(section, head.rows, body, name) for section in head.columns}
    master = Master(columns, head.form)
    _require_sound(master, name)
    return master


def _column(section: Section, rows: int, body: memoryview, name: str) -> Column:
    """One column over the body."""
    arrays = [_array(part, body, name) for part in section.parts]
    if section.kind == "texts" and len(arrays) == 2:
        offsets, blob = arrays
        rising = len(offsets) == rows + 1 and not int(offsets[0]) and (np.diff(offsets) >= 0).all()
        if not rising or int(offsets[-1]) != len(blob):
            raise _damaged(name, f"the texts of {section.name} do not fit")
        return Texts(offsets, blob)
    if len(arrays) != 1 or section.kind not in ("numbers", "words"):
        raise _damaged(name, f"the column {section.name} is of no known kind")
    values = arrays[0]
    if len(values) == 1 and rows > 1:
        values = np.broadcast_to(values, (rows,))
    if section.kind == "numbers":
        return Numbers(values, section.places)
    if len(values) and int(values.max()) >= len(section.table):
        raise _damaged(name, f"a code of {section.name} is not in its table")
    return Words(values, section.table)


def _array(part: Part, body: memoryview, name: str) -> NDArray[Any]:
    """One array, inside the body and aligned."""
    if part.dtype not in DTYPES or part.offset % ALIGN or part.offset < 0 or part.count < 0:
        raise _damaged(name, f"an array of {part.dtype} at {part.offset}")
    dtype = np.dtype(part.dtype)
    if part.offset + part.count * dtype.itemsize > len(body):
        raise _damaged(name, "an array reaches beyond the end")
    return np.frombuffer(body, dtype, part.count, part.offset)


def _require_sound(master: Master, name: str) -> None:
    """What lookups rely on."""
    if not len(master):
        raise _damaged(name, "it has no rows")
    order = master.numbers("order")
    kinds = master.numbers("kind")
    segments = set(np.unique(master.keys >> 32).tolist())
    if (
        int(kinds.min()) < 0
        or int(kinds.max()) >= len(KINDS)
        or not segments <= set(SEGMENT_NAMES)
        or int(order.max()) >= len(master)
        or not (np.bincount(order.astype(np.int64), minlength=len(master)) == 1).all()
    ):
        raise _damaged(name, "its rows are not in order")


def _unpacked(path: Path) -> bytes:
    """The bytes of a compressed copy."""
    import zstandard

    try:
        data = path.read_bytes()
        if not 0 < zstandard.frame_content_size(data) <= BODY_MAX:
            raise _damaged(path.name, "of no size that a master has")
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise _damaged(path.name, str(error)) from error


def _damaged(name: str, why: str) -> BadData:
    """The file cannot be trusted."""
    return BadData(
        f"{name}: damaged ({why}); restore it from a backup, or make a new copy of today: "
        "dhanfast instruments update"
    )
