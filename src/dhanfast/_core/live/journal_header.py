"""The first bytes of a journal: who wrote it, for which day, under which configuration."""

import struct
from dataclasses import dataclass
from typing import Final

from dhanfast._core.archive.crc import crc32c
from dhanfast.errors import BadData, UsageError

MAGIC: Final = b"DFJRNL1\n"
ORDER: Final = 0x01020304
VERSION: Final = 1
PAGE: Final = 4096
TEXT_AT: Final = 192
TEXT_MAX: Final = 4 << 20
FIXED: Final = struct.Struct("<8sIIIIqII32s64sI")  # and the checksum after it
LIVE_AT: Final = 144  # u64 each: synced end, synced sequence number, writer's pid, state
LIVE: Final = struct.Struct("<QQQQ")
OPEN: Final = 1
CLOSED: Final = 2


@dataclass(frozen=True, slots=True)
class JournalHeader:
    """What a journal says of itself before its first record.

    Args:
        epoch: random, 1..2**32 - 1; makes correlation ids of one journal unlike all others'.
        date: trading day, YYYYMMDD.
        run: name of the run, 1..64 bytes of UTF-8.
        config_digest: sha256 of the configuration, 32 bytes.
        created_ns: UTC ns.
        text: whatever else a reader needs: the strategy's source, the run's settings.
    Raises:
        UsageError: a value is out of range.
    """

    epoch: int
    date: int
    run: str
    config_digest: bytes
    created_ns: int
    text: str

    def __post_init__(self) -> None:
        """Refuse what does not fit the layout."""
        if not 1 <= self.epoch < 1 << 32:
            raise UsageError(f"epoch must be from 1 to 2**32 - 1, was {self.epoch}")
        if not 19_000_101 <= self.date <= 99_991_231:
            raise UsageError(f"date must be YYYYMMDD, was {self.date}")
        if not 1 <= len(self.run.encode()) <= 64 or "\0" in self.run:
            raise UsageError(f"run must be 1..64 bytes without zeros, was {self.run!r}")
        if len(self.config_digest) != 32:
            raise UsageError(
                f"config_digest must be a sha256 of 32 bytes, had {len(self.config_digest)}"
            )
        if not -(1 << 63) <= self.created_ns < 1 << 63:
            raise UsageError(f"created_ns must fit 64 bits, was {self.created_ns}")
        if len(self.text.encode()) > TEXT_MAX:
            raise UsageError(f"text must be at most {TEXT_MAX} bytes of UTF-8")

    @property
    def tag(self) -> str:
        """What correlation ids of this journal begin with: df and the epoch in hexadecimal."""
        return f"df{self.epoch:08x}"

    @property
    def first(self) -> int:
        """Offset of the first record, a multiple of 4,096."""
        return -(-(TEXT_AT + len(self.text.encode())) // PAGE) * PAGE

    def pack(self) -> bytes:
        """All bytes before the first record; the part that changes is zero."""
        text = self.text.encode()
        marks = (MAGIC, ORDER, VERSION, self.epoch, self.date, self.created_ns, self.first)
        fixed = FIXED.pack(*marks, len(text), self.config_digest, self.run.encode(), 0)
        head = fixed + struct.pack("<I", crc32c(fixed + text))
        return (head.ljust(TEXT_AT, b"\0") + text).ljust(self.first, b"\0")


@dataclass(frozen=True, slots=True)
class LiveMarks:
    """The part of a header that its writer changes: a lower bound of what is on the disk.

    Args:
        synced_end: every byte before it has been written to the disk.
        synced_seq: the last record among them.
        pid: of the last writer.
        state: OPEN, CLOSED, or 0 before the first writer.
    """

    synced_end: int
    synced_seq: int
    pid: int
    state: int


def unpack(raw: bytes, path: str) -> tuple[JournalHeader, LiveMarks]:
    """Read a header.

    Args:
        raw: the file's first bytes, TEXT_AT + TEXT_MAX of them or all there are.
        path: named in errors.
    Raises:
        BadData: not a journal, of another version, or damaged.
    """
    if len(raw) < PAGE or raw[:8] != MAGIC:
        raise BadData(f"{path}: not a journal: starts with {raw[:8]!r}, wanted {MAGIC!r}")
    fields = FIXED.unpack_from(raw)
    _, order, version, epoch, date, created_ns, first, size, digest, run, _ = fields
    if order != ORDER or version != VERSION:
        raise BadData(
            f"{path}: journal of layout {version} (byte order {order:#010x}); this program reads "
            f"layout {VERSION}: use the one that wrote it"
        )
    text = raw[TEXT_AT : TEXT_AT + size]
    (crc,) = struct.unpack_from("<I", raw, FIXED.size)
    if size > TEXT_MAX or len(text) != size or crc32c(raw[: FIXED.size] + text) != crc:
        raise BadData(f"{path}: the journal's header is damaged: its checksum does not match")
    try:
        header = JournalHeader(
            epoch, date, run.rstrip(b"\0").decode(), digest, created_ns, text.decode()
        )
    except (UsageError, UnicodeDecodeError) as error:
        raise BadData(f"{path}: the journal's header makes no sense: {error}") from error
    if first != header.first:
        raise BadData(f"{path}: the header puts records at {first}, they begin at {header.first}")
    return header, LiveMarks(*LIVE.unpack_from(raw, LIVE_AT))
