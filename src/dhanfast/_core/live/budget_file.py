"""The file of an account's requests: made, looked through and opened.

The layout is that of native/df_budget.h. Who opens it holds the file's lock meanwhile: nobody who
only counts ever does. A new file is complete before it has its name.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
from pathlib import Path
from typing import Final

from dhanfast._core.archive.crc import crc32c
from dhanfast.errors import BadData, DhanfastError

MAGIC: Final = b"DFBUDGET"
VERSION: Final = 1
STAMPS: Final = 8192
SEATS: Final = 32
PAGE: Final = 4096
FILE_BYTES: Final = PAGE + 8 * STAMPS
FIRST: Final = 1 << 23
LAST: Final = 1 << 39
DAY_SHIFT: Final = 40
BASE: Final = (1 << DAY_SHIFT) - 1
FIXED: Final = struct.Struct("<8sII32s48sq")  # and the checksum after it
COUNTS: Final = struct.Struct("<QQq")  # head, day, closed until
COUNTS_AT: Final = 128
SEAT: Final = struct.Struct("<QQq64s8x")
SEATS_AT: Final = 1024
IST_NS: Final = 19_800_000_000_000
DAY_NS: Final = 86_400_000_000_000
SLACK_NS: Final = 1_000_000_000
READS: Final = 100  # of times while others count so fast that they overtake the reader
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
REMEDY: Final = (
    "end all engines of the account, remove the file, and start them again: each brings back from "
    "its journal what it has sent today"
)


def open_budget(
    path: str, account: bytes, name: str, *, utc_ns: int, mono_ns: int
) -> tuple[int, int, int]:
    """Open the file of an account, which is made when it is not there.

    Args:
        path: of the file; its folder must exist. account: 32 bytes.
        name: of the engine that takes a seat; "": none is taken.
        utc_ns, mono_ns: now, by the machine's two clocks.
    Returns:
        (descriptor, seat or -1, what to add to the monotonic clock, ns).
    Raises:
        BadData: damaged, of another account, of another version.
        DhanfastError: it cannot be made, or there is no seat left.
    """
    if len(account) != 32:
        raise BadData(f"account must be 32 bytes, had {len(account)}")
    handle = _opened(path, account, utc_ns, mono_ns)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        offset_ns = _looked_through(handle, path, account, utc_ns, mono_ns)
        seat = _seated(handle, path, name, utc_ns) if name else -1
        fcntl.flock(handle, fcntl.LOCK_UN)
    except BaseException:
        os.close(handle)
        raise
    return handle, seat, offset_ns


def _opened(path: str, account: bytes, utc_ns: int, mono_ns: int) -> int:
    """The file as it is, or a new one; two that make it at once get the same."""
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            _made(path, account, utc_ns, mono_ns)
        except OSError as error:
            raise _unusable(path, error) from error


def _made(path: str, account: bytes, utc_ns: int, mono_ns: int) -> None:
    """A new file, whole before it has its name, its room on the disk taken."""
    blank = bytearray(FILE_BYTES)
    _put_fixed(blank, account, utc_ns - mono_ns)
    COUNTS.pack_into(blank, COUNTS_AT, FIRST, day_of(utc_ns) << DAY_SHIFT | FIRST, 0)
    draft = f"{path}.{os.getpid()}.new"
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(draft, flags, 0o600)
        try:
            os.posix_fallocate(handle, 0, FILE_BYTES)  # a full disk is told of now, not by a signal
            os.pwrite(handle, blank, 0)
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            os.close(handle)
            os.unlink(draft)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: str, error: OSError) -> DhanfastError:
    remedy = (
        "make room on the disk" if error.errno == errno.ENOSPC
        else "look at the owner and mode of the file and its folder"
    )  # fmt: skip
    return DhanfastError(
        f"{path}: the file that counts the account's requests cannot be used "
        f"({error.strerror}); {remedy}"
    )


def _put_fixed(raw: bytearray, account: bytes, offset_ns: int) -> None:
    boot = _boot()
    FIXED.pack_into(raw, 0, MAGIC, VERSION, FILE_BYTES, account, boot, offset_ns)
    struct.pack_into("<I", raw, FIXED.size, crc32c(bytes(raw[: FIXED.size])))


def _boot() -> bytes:
    """This start of the machine: the monotonic clock is not comparable beyond it."""
    try:
        return BOOT.read_bytes().strip()[:48]
    except OSError:
        return b"unknown"


def day_of(utc_ns: int) -> int:
    """The number of a day in India."""
    return (utc_ns + IST_NS) // DAY_NS


def _looked_through(handle: int, path: str, account: bytes, utc_ns: int, mono_ns: int) -> int:
    """Whether the file makes sense; its clock is set anew after a start of the machine.

    Returns:
        What to add to the monotonic clock.
    Raises:
        BadData: it does not; the message says what to do.
    """
    size = os.fstat(handle).st_size
    raw = bytearray(os.pread(handle, FILE_BYTES, 0))
    if size != FILE_BYTES or bytes(raw[:8]) != MAGIC:
        what = f"has {size} bytes, not {FILE_BYTES}" if bytes(raw[:8]) == MAGIC else "is none"
        raise BadData(f"{path}: it should count the account's requests, and {what}; {REMEDY}")
    _, version, _, whose, boot, offset_ns = FIXED.unpack_from(raw)
    (crc,) = struct.unpack_from("<I", raw, FIXED.size)
    if version != VERSION:
        raise BadData(
            f"{path}: it was written by another version of this program (layout {version}, this "
            f"one has {VERSION}); {REMEDY}"
        )
    if crc != crc32c(bytes(raw[: FIXED.size])):
        raise BadData(f"{path}: its first bytes are damaged; {REMEDY}")
    if whose != account:
        raise BadData(f"{path}: it counts the requests of another account; {REMEDY}")
    head, day, _ = COUNTS.unpack_from(raw, COUNTS_AT)
    if not FIRST <= head < LAST or day & BASE > head:
        raise BadData(f"{path}: its counts are damaged ({head}, {day}); {REMEDY}")
    stamps = _stamps_of(handle)
    if not stamps:
        raise BadData(f"{path}: its times are damaged; {REMEDY}")
    last = max(stamps)
    if boot.rstrip(b"\0") != _boot():
        offset_ns = max(utc_ns, last + 1) - mono_ns
        _put_fixed(raw, account, offset_ns)
        os.pwrite(handle, raw[: FIXED.size + 4], 0)
    now_ns = mono_ns + offset_ns
    if last > now_ns + SLACK_NS:
        raise BadData(f"{path}: its times are damaged; {REMEDY}")
    today = day_of(utc_ns)
    if day >> DAY_SHIFT > today:  # of a clock that was ahead: its requests count for today
        os.pwrite(handle, struct.pack("<Q", today << DAY_SHIFT | day & BASE), COUNTS_AT + 8)
    return int(offset_ns)


def _stamps_of(handle: int) -> tuple[int, ...]:
    """The times of the last requests; none when they make no sense."""
    for _ in range(READS):
        (before,) = struct.unpack("<Q", os.pread(handle, 8, COUNTS_AT))
        stamps = struct.unpack(f"<{STAMPS}q", os.pread(handle, 8 * STAMPS, PAGE))
        (after,) = struct.unpack("<Q", os.pread(handle, 8, COUNTS_AT))
        if _ring_is_whole(stamps, before, after):
            return stamps
        if after == before:  # nobody counts: it was not that
            break
    return ()


def _ring_is_whole(stamps: tuple[int, ...], before: int, after: int) -> bool:
    """Whether times rise from the oldest to the last, however many came in while they were read.

    Others count meanwhile: what is read is then of two moments, and yet falls once only, where the
    next one goes: between `head` as it was before and after, or one further, since whoever made the
    last may not have moved it.
    """
    falls = [
        at for at in range(STAMPS)
        if stamps[at] <= stamps[at - 1] and stamps[at - 1] > 0
    ]  # fmt: skip
    if min(stamps) < 0 or len(falls) > 1:
        return False
    return not falls or (falls[0] - before) % STAMPS <= after - before + 1


def _seated(handle: int, path: str, name: str, utc_ns: int) -> int:
    """The seat of an engine: the one it had, a free one, or one of an earlier day.

    Raises:
        DhanfastError: all are taken today.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") | 1
    today = day_of(utc_ns)
    chosen, oldest = -1, today
    for seat in range(SEATS):
        raw = os.pread(handle, SEAT.size, SEATS_AT + seat * SEAT.size)
        have, counted, _, _ = SEAT.unpack(raw)
        if have == key:
            return seat
        day = 0 if have == 0 else counted >> DAY_SHIFT
        if day < oldest:
            chosen, oldest = seat, day
    if chosen < 0:
        raise DhanfastError(
            f"{path}: {SEATS} engines have sent orders for this account today, and there is no "
            "place for another; start it under one of their names (engine.run)"
        )
    told = SEAT.pack(key, today << DAY_SHIFT, utc_ns, name.encode()[:64])
    os.pwrite(handle, told, SEATS_AT + chosen * SEAT.size)
    return chosen
