"""Settings of filters: entries of any strategy that are taken back. All are off by default."""

import datetime as dt
import re
from dataclasses import dataclass, fields
from typing import Any, Final

from dhanfast.errors import ConfigError
from dhanfast.strategies.params import unknown

TIMES: Final = ("open", "lunch", "close")
EXPIRIES: Final = ("none", "weekly", "monthly", "any")
MOMENTUM: Final = ("none", "roc", "adx", "both")
NAME: Final = r"[a-z][a-z0-9_-]{0,23}"
SPANS_MAX: Final = 8
_SPAN: Final = re.compile(rf"^\s*({NAME})\s+(\d\d:\d\d)\s*-\s*(\d\d:\d\d)\s*$")
_EVENT: Final = re.compile(
    rf"^\s*(\d{{4}}-\d\d-\d\d)\s+({NAME})(?:\s+(\d\d:\d\d)\s*-\s*(\d\d:\d\d))?\s*$"
)
_MINUTE_NS: Final = 60_000_000_000
# Names of filters that are not a user's window.
RESERVED: Final = (*TIMES, "expiry", "event", "volume", "momentum", "oi", "spread")


@dataclass(frozen=True, slots=True)
class Span:
    """A time of every day in which no entry is made, IST, [start, until)."""

    name: str
    start: dt.time
    until: dt.time

    @classmethod
    def parse(cls, text: str) -> "Span":
        """`fixing 11:30-12:00`.

        Raises:
            ConfigError: not of that form, or it ends before it begins.
        """
        found = _SPAN.match(text)
        if not found:
            raise ConfigError(
                f"filters.windows: {text!r} is not understood; write a name and two times in IST, "
                'for example "fixing 11:30-12:00"'
            )
        if found[1] in RESERVED:
            raise ConfigError(f"filters.windows: {found[1]} is a filter already; take another name")
        return cls(found[1], *_times(text, "windows", found[2], found[3]))

    def __str__(self) -> str:
        return f"{self.name} {self.start:%H:%M}-{self.until:%H:%M}"


@dataclass(frozen=True, slots=True)
class Event:
    """A day, or a time of a day, in which no entry is made."""

    day: dt.date
    name: str
    start: dt.time | None = None
    until: dt.time | None = None

    @classmethod
    def parse(cls, text: str) -> "Event":
        """`2026-02-01 budget`, or `2026-02-06 policy 09:45-10:45` for a time of that day.

        Raises:
            ConfigError: not of that form, no such date, or it ends before it begins.
        """
        found = _EVENT.match(text)
        if not found:
            raise ConfigError(
                f"filters.events: {text!r} is not understood; write a date and a name, and two "
                'times in IST when it is not the whole day: "2026-02-06 policy 09:45-10:45"'
            )
        try:
            day = dt.date.fromisoformat(found[1])
        except ValueError:
            raise ConfigError(f"filters.events: {found[1]} is no date") from None
        if found[3] is None:
            return cls(day, found[2])
        return cls(day, found[2], *_times(text, "events", found[3], found[4]))

    def __str__(self) -> str:
        times = "" if self.start is None else f" {self.start:%H:%M}-{self.until:%H:%M}"
        return f"{self.day} {self.name}{times}"


def _times(text: str, key: str, start: str, until: str) -> tuple[dt.time, dt.time]:
    try:
        made = dt.time.fromisoformat(start), dt.time.fromisoformat(until)
    except ValueError:
        raise ConfigError(f"filters.{key}: {text!r} has a time that does not exist") from None
    if made[0] >= made[1]:
        raise ConfigError(f"filters.{key}: {text!r} must end after it begins")
    return made


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """What takes back entries; as it stands here, nothing does. Exits pass always.

    Attributes:
        times: which of open, lunch and close are on. open_ns: so long after the session opens.
        lunch_from, lunch_until: IST. close_ns: so long before it closes. windows: of one's own.
        expiry: on expiry days of the underlying: none, weekly, monthly or any. expiry_from: from
        this time of it; None = all day. events: days, and times of days.
        volume: least volume of a bar, a multiple of the mean of volume_bars before it; 0 = off.
        momentum: none, roc (its sign must be the entry's), adx (at least adx), both.
        momentum_bars: of either. oi_bars: open interest must have risen over so many bars, with the
        price moving the entry's way; 0 = off. oi_cover: it may have fallen, too.
        spread_ticks, spread_bps: largest distance of bid and ask; 0 = off.
    Units:
        ns; bars of the run's timeframe; ticks of the contract; 1e-4 of the middle.
    """

    times: tuple[str, ...] = ()
    open_ns: int = 15 * _MINUTE_NS
    lunch_from: dt.time = dt.time(12, 0)
    lunch_until: dt.time = dt.time(13, 30)
    close_ns: int = 30 * _MINUTE_NS
    windows: tuple[Span, ...] = ()
    expiry: str = "none"
    expiry_from: dt.time | None = None
    events: tuple[Event, ...] = ()
    volume: float = 0.0
    volume_bars: int = 20
    momentum: str = "none"
    momentum_bars: int = 14
    adx: float = 20.0
    oi_bars: int = 0
    oi_cover: bool = False
    spread_ticks: float = 0.0
    spread_bps: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The filters that are on, in the order in which they are asked."""
        days = (("expiry", self.expiry != "none"), ("event", bool(self.events)))
        confirmed = (
            ("volume", self.volume > 0),
            ("momentum", self.momentum != "none"),
            ("oi", self.oi_bars > 0),
            ("spread", self.quotes),
        )
        return (
            *(name for name in TIMES if name in self.times),
            *(span.name for span in self.windows),
            *(name for name, on in (*days, *confirmed) if on),
        )

    @property
    def quotes(self) -> bool:
        """Whether bid and ask are looked at."""
        return self.spread_ticks > 0 or self.spread_bps > 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in a fixed order: what differs from the default."""
        plain: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value == one.default:
                continue
            if isinstance(value, tuple):
                value = [str(each) for each in value]
            plain[one.name] = f"{value:%H:%M}" if isinstance(value, dt.time) else value
        return plain


def checked_filters(told: FilterSettings) -> FilterSettings:
    """`told`, or a refusal that names the field, the value and the range.

    Raises:
        ConfigError: a value out of its range, or two that contradict each other.
    """

    def need(ok: bool, name: str, value: object, rule: str) -> None:
        if not ok:
            raise ConfigError(f"filters.{name} must be {rule}, was {value}")

    for name in told.times:
        if name not in TIMES:
            raise ConfigError(unknown("filters.times", name, list(TIMES)))
    need(len(set(told.times)) == len(told.times), "times", told.times, "each name once")
    need(0 < told.open_ns <= 360 * _MINUTE_NS, "open", f"{told.open_ns} ns", "above 0, at most 6h")
    need(0 < told.close_ns <= 360 * _MINUTE_NS, "close", f"{told.close_ns} ns",
         "above 0, at most 6h")  # fmt: skip
    need(told.lunch_from < told.lunch_until, "lunch_from", told.lunch_from,
         f"before filters.lunch_until, {told.lunch_until}")  # fmt: skip
    spans = [span.name for span in told.windows]
    need(len(spans) <= SPANS_MAX, "windows", f"{len(spans)} of them", f"at most {SPANS_MAX}")
    need(len(set(spans)) == len(spans), "windows", ", ".join(spans), "of names that differ")
    if told.expiry not in EXPIRIES:
        raise ConfigError(unknown("filters.expiry_day", told.expiry, list(EXPIRIES)))
    need(told.expiry_from is None or told.expiry != "none", "expiry_from", told.expiry_from,
         "none while filters.expiry_day is none")  # fmt: skip
    if told.momentum not in MOMENTUM:
        raise ConfigError(unknown("filters.momentum.by", told.momentum, list(MOMENTUM)))
    for name, value, low, high in (
        ("volume.times", told.volume, 0.0, 1000.0),
        ("volume.bars", told.volume_bars, 1, 10_000),
        ("momentum.bars", told.momentum_bars, 2, 10_000),
        ("momentum.adx", told.adx, 0.0, 100.0),
        ("oi.bars", told.oi_bars, 0, 10_000),
        ("spread.ticks", told.spread_ticks, 0.0, 100_000.0),
        ("spread.bps", told.spread_bps, 0.0, 10_000.0),
    ):
        need(low <= value <= high, name, value, f"in {low:g}..{high:g}")
    return told
