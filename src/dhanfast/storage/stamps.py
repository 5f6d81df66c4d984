"""When a row happened: every way a file may write a time, brought to UTC nanoseconds.

India has had one offset, +05:30, since 1945, so IST is arithmetic and needs no zone database.
A stamp without a zone is never guessed: the caller says `tz`, or the file is refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData, UsageError
from dhanfast.storage.arrow_values import values_of

S: Final = 1_000_000_000
IST_OFFSET_NS: Final = 19_800 * S
DAY_NS: Final = 86_400 * S
IST: Final = timezone(timedelta(seconds=19_800), "IST")
ZONES: Final = ("Asia/Kolkata", "UTC")
FIRST_NS: Final = 631_152_000 * S  # 1990-01-01: NSE opened in 1994; earlier stamps are mistakes
LAST_NS: Final = 4_102_444_800 * S  # 2100-01-01
UNITS: Final = (
    ("seconds", S),
    ("milliseconds", 1_000_000),
    ("microseconds", 1_000),
    ("nanoseconds", 1),
)

_INTEGER_NS: Final = "stamps are integers, nanoseconds since 1970 UTC"
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ](\d{1,2})(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?"
    r"\s*(Z|z|[+-]\d\d(?::?\d\d)?)?"
)


@dataclass(frozen=True)
class Stamps:
    """Times of a file's rows.

    Units:
        `ns`: UTC nanoseconds, 0 where `bad` is true.
    """

    ns: NDArray[np.int64]
    bad: NDArray[np.bool_]
    fact: str  # how they were read, for the user


def check_zone(tz: str | None) -> str | None:
    """Return `tz` when it is a zone we know.

    Raises:
        UsageError: any other name.
    """
    if tz is not None and tz not in ZONES:
        raise UsageError(f"--tz: {tz!r} is not known; use {' or '.join(ZONES)}")
    return tz


def ist_date(day: date | str | None, option: str) -> date | None:
    """Read an IST date given as a date or as YYYY-MM-DD.

    Raises:
        UsageError: not a date.
    """
    if day is None:
        return None
    if isinstance(day, datetime):
        raise UsageError(f"{option}: give a date (YYYY-MM-DD), not a time")
    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"{option}: {day!r} is not a date; write YYYY-MM-DD") from None


def midnight_ns(day: date) -> int:
    """UTC nanoseconds of 00:00 IST of a date."""
    return (day - date(1970, 1, 1)).days * DAY_NS - IST_OFFSET_NS


def ist_text(ns: int) -> str:
    """Write an instant as IST, to the second or as fine as it needs."""
    seconds, part = divmod(int(ns) + IST_OFFSET_NS, S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{part:09d}".rstrip("0") if part else text.removesuffix(":00")


def from_integers(values: NDArray[np.int64], tz: str | None) -> Stamps:
    """Read integer stamps; the unit follows from their size.

    Args:
        values: epoch counts, or dates written as YYYYMMDD.
        tz: `Asia/Kolkata` when the source wrote its IST clock as if it were UTC.

    Raises:
        UsageError: dates without a zone.
    """
    if len(values) and values.min() >= FIRST_NS and values.max() < LAST_NS and tz in (None, "UTC"):
        return Stamps(values, np.zeros(len(values), bool), _INTEGER_NS)  # the common case, fast
    # The unit is the one most rows agree with; the four ranges do not touch each other.
    fits = [(values >= FIRST_NS // size) & (values < LAST_NS // size) for _, size in UNITS]
    counts = [int(np.count_nonzero(fit)) for fit in fits]
    is_date = (values >= 1990_01_01) & (values <= 2099_12_31)
    if int(np.count_nonzero(is_date)) > max(counts):
        return _from_dates(values, tz)
    best = int(np.argmax(counts))
    unit, size = UNITS[best]
    good = fits[best]
    ns = np.where(good, values, 0) * size
    fact = f"stamps are integers, {unit} since 1970 UTC" if size > 1 else _INTEGER_NS
    if tz == "Asia/Kolkata":
        ns = np.where(good, ns - IST_OFFSET_NS, 0)
        fact = f"stamps are integers, {unit} of an IST clock written as epoch; 19,800 s taken off"
    return Stamps(ns.astype(np.int64), ~good, fact)


def _from_dates(values: NDArray[np.int64], tz: str | None) -> Stamps:
    """Read YYYYMMDD integers."""
    texts = np.array([str(value) for value in values.tolist()])
    return _slowly(texts.tolist(), tz, lambda row: f"row {row + 1}")


def from_texts(texts: Any, tz: str | None, where: Callable[[int], str]) -> Stamps:
    """Read stamps written as text: integers, or ISO 8601 with or without a zone.

    Args:
        texts: a pyarrow string array without nulls.
        tz: the zone of stamps that carry none.
        where: names a row for messages, such as `line 17`.

    Raises:
        BadData: some rows have a zone and others not, or the zones differ, or `tz` contradicts.
        UsageError: no row has a zone and `tz` is missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    trimmed = pc.utf8_trim_whitespace(texts)
    try:
        return from_integers(values_of(pc.cast(trimmed, pa.int64()), np.int64), tz)
    except pa.ArrowInvalid:
        pass
    zone = _ISO.fullmatch(trimmed[0].as_py())
    suffix = (zone and zone.group(8)) or ""
    if not suffix or pc.all(pc.ends_with(trimmed, suffix)).as_py():
        bare = pc.utf8_slice_codeunits(trimmed, 0, -len(suffix)) if suffix else trimmed
        try:
            clock = pc.cast(pc.cast(bare, pa.timestamp("ns")), pa.int64())
        except pa.ArrowInvalid:
            pass
        else:
            offset = _offset_s(suffix) if suffix else None
            _refuse_contradiction(offset, tz)
            return placed_clock(values_of(clock, np.int64), offset, tz)
    return _slowly(trimmed.to_pylist(), tz, where)


def placed_clock(clock: NDArray[np.int64], offset_s: int | None, tz: str | None) -> Stamps:
    """Bring clock readings to UTC by their offset, or by the caller's zone."""
    if offset_s is None:
        if tz is None:
            raise UsageError(
                "the stamps carry no time zone; say which with --tz Asia/Kolkata or --tz UTC"
            )
        offset_s = 19_800 if tz == "Asia/Kolkata" else 0
        fact = f"stamps carry no zone; read as {tz}"
    else:
        fact = f"stamps carry their zone, {_offset_text(offset_s)}"
    ns = clock - offset_s * S
    bad = (ns < FIRST_NS) | (ns >= LAST_NS)
    return Stamps(np.where(bad, 0, ns).astype(np.int64), bad, fact)


def _slowly(texts: list[str], tz: str | None, where: Callable[[int], str]) -> Stamps:
    """Read texts one at a time: stamps with a zone, and files where some cannot be read."""
    clock = np.zeros(len(texts), np.int64)
    offsets = np.zeros(len(texts), np.int64)
    state = np.zeros(len(texts), np.int8)  # 0 unread, 1 without zone, 2 with zone
    known: dict[str, tuple[int, int | None] | None] = {}  # a day has few dates: parse each once
    for row, text in enumerate(texts):
        parsed = _parse(text, known)
        if parsed is not None:
            clock[row] = parsed[0]
            state[row] = 1 if parsed[1] is None else 2
            offsets[row] = parsed[1] or 0
    offset = _one_offset(state, offsets, where)
    if not state.any():
        return Stamps(clock, np.ones(len(texts), bool), "no stamp could be read")
    _refuse_contradiction(offset, tz)
    placed = placed_clock(clock, offset, tz)
    bad = placed.bad | (state == 0)
    return Stamps(np.where(bad, 0, placed.ns).astype(np.int64), bad, placed.fact)


def _one_offset(
    state: NDArray[np.int8], offsets: NDArray[np.int64], where: Callable[[int], str]
) -> int | None:
    """The one zone of a file, None when its stamps carry none; refuse a mixture."""
    with_zone = np.flatnonzero(state == 2)
    if not len(with_zone):
        return None
    first = int(with_zone[0])
    without = np.flatnonzero(state == 1)
    other = with_zone[offsets[with_zone] != offsets[first]]
    for rows, says in ((without, "no zone"), (other, "")):
        if len(rows):
            row = int(rows[0])
            raise BadData(
                f"time zones are mixed: {where(first)} has {_offset_text(int(offsets[first]))}, "
                f"{where(row)} has {says or _offset_text(int(offsets[row]))}; "
                "write the whole file in one zone"
            )
    return int(offsets[first])


def _refuse_contradiction(offset_s: int | None, tz: str | None) -> None:
    """A zone given by the caller must not contradict the one the stamps carry."""
    if offset_s is not None and tz is not None and offset_s != (0 if tz == "UTC" else 19_800):
        raise BadData(
            f"the stamps carry the zone {_offset_text(offset_s)}, but --tz {tz} was given; "
            "leave --tz out, the stamps say it themselves"
        )


def _offset_s(zone: str) -> int:
    """Seconds east of UTC of a zone written as Z, +0530, +05:30 or +05."""
    if zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds


def _offset_text(offset_s: int) -> str:
    """Write an offset as +05:30."""
    sign, size = ("-", -offset_s) if offset_s < 0 else ("+", offset_s)
    return f"{sign}{size // 3600:02d}:{size % 3600 // 60:02d}"


def _parse(text: str, days: dict[str, Any]) -> tuple[int, int | None] | None:
    """Read one ISO stamp into (clock nanoseconds, offset in seconds or None)."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, part, zone = match.groups()
    key = f"{year}-{month}-{day}"
    if key not in days:
        try:
            days[key] = (date.fromisoformat(key) - date(1970, 1, 1)).days
        except ValueError:
            days[key] = None
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if days[key] is None or hours > 23 or minutes > 59 or seconds > 59:
        return None
    if not 7_000 < days[key] < 48_000:  # keeps the arithmetic inside int64; placed_clock judges
        return None
    clock = (days[key] * 86_400 + hours * 3600 + minutes * 60 + seconds) * S
    clock += int((part or "").ljust(9, "0"))
    if zone is None:
        return clock, None
    offset = _offset_s(zone)
    return (clock, offset) if abs(offset) <= 50_400 else None
