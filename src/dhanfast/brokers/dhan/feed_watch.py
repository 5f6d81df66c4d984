"""Is the feed silent because the market is, or because it died? Decided without any network.

A connection that was up and says nothing while one of its segments trades is *mute*: it is asked
again for what is wanted (the broker has been seen to forget), then dropped and opened anew; when
that has not helped twice, the broker's REST side is asked whether anything traded at all. An
instrument that says nothing while others do is *stale*: it is asked for again, and if it stays so,
the REST side decides; a far option may just not trade. Outside the hours of its segment nothing is
expected and nothing is done: after the close Dhan sends one packet an instrument and no more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dhanfast.errors import ConfigError, OutOfCalendar
from dhanfast.market.calendar import NS_PER_S, Calendar, Window, exchange_date, midnight_ns

MINUTES_MAX: Final = 24 * 60
# Segments of the feed by the calendar's names; the others trade when `Hours.other` says so.
CALENDAR_NAMES: Final = {0: "NSE_INDEX", 1: "NSE_EQ", 2: "NSE_FNO", 4: "BSE_EQ", 8: "BSE_FNO"}


class Hours:
    """When segments of the feed trade.

    Args:
        calendar: of the exchange.
        other: segments that are not in it, as (open, close) in minutes after midnight IST, every
            weekday. A segment in neither is never expected to speak.

    Raises:
        ConfigError: minutes that are no span of a day.
    """

    def __init__(
        self, calendar: Calendar, other: Mapping[int, tuple[int, int]] | None = None
    ) -> None:
        self._calendar, self._other = calendar, dict(other or {})
        for segment, (opens, closes) in self._other.items():
            if not 0 <= opens < closes <= MINUTES_MAX:
                raise ConfigError(
                    f"hours of segment {segment} must be minutes after midnight, open before "
                    f"close, were {opens} to {closes}"
                )
        self._day: dict[int, tuple[Window, ...]] = {}
        self._day_ends_ns = 0
        self._day_begins_ns = 1
        self.unknown_year = False  # the calendar does not reach this day: nothing is watched

    def is_open(self, segment: int, now_ns: int) -> bool:
        """Whether a segment trades at a time of the market, UTC ns."""
        if not self._day_begins_ns <= now_ns < self._day_ends_ns:
            self._turn_to(now_ns)
        return any(opens <= now_ns < closes for opens, closes in self._day.get(segment, ()))

    def open_segments(self, segments: Iterable[int], now_ns: int) -> frozenset[int]:
        """Those of the segments that trade now."""
        return frozenset(each for each in segments if self.is_open(each, now_ns))

    def _turn_to(self, now_ns: int) -> None:
        day = exchange_date(now_ns)
        self._day_begins_ns = midnight_ns(day)
        self._day_ends_ns = self._day_begins_ns + 86_400 * NS_PER_S
        self._day, self.unknown_year = {}, False
        for segment, name in CALENDAR_NAMES.items():
            try:
                trading = self._calendar.day(day, name)
            except OutOfCalendar:
                self.unknown_year = True
                break
            if trading is not None:
                self._day[segment] = trading.windows
        if day.weekday() < 5:
            for segment, (opens, closes) in self._other.items():
                self._day[segment] = (
                    (
                        self._day_begins_ns + opens * 60 * NS_PER_S,
                        self._day_begins_ns + closes * 60 * NS_PER_S,
                    ),
                )


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How long silence is believed.

    Units:
        seconds.

    Raises:
        ConfigError: a field is out of range.
    """

    mute_s: float = 10.0  # a whole connection
    stale_s: float = 120.0  # one instrument; far options are silent for long
    look_s: float = 1.0  # how often it is looked at
    ask_most: int = 100  # stale instruments asked for again at one look

    def __post_init__(self) -> None:
        """Refuse what would flood a broker or never see anything."""
        for name, low, high in (
            ("mute_s", 1.0, 3_600.0),
            ("stale_s", 1.0, 86_400.0),
            ("look_s", 0.05, 60.0),
            ("ask_most", 1, 5_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name} must be from {low:g} to {high:g}, was {value!r}")


class Act(Enum):
    """What to do about a mute connection."""

    NOTHING = "nothing"
    ASK = "subscribe again"
    RECONNECT = "reconnect"
    CROSS_CHECK = "ask REST whether the market moves"


class MuteWatch:
    """The silence of one connection.

    Args:
        settings: how long it may be.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self._mute_ns = round(settings.mute_s * NS_PER_S)
        self._since_ns = 0  # since when silence counts
        self._messages = -1
        self._asked = False
        self.reconnects = 0  # in a row, without a message between them
        self._trusted = False  # the broker says that nothing trades: silence is true

    @property
    def trusted(self) -> bool:
        """Whether its silence was found to be true."""
        return self._trusted

    def look(self, now_ns: int, *, up_ns: int, messages: int, expected: bool) -> Act:
        """What to do now.

        Args:
            now_ns: of the clock of silence.
            up_ns: since when the socket is up; 0: it is not.
            messages: of this socket so far.
            expected: one of its segments trades now.
        """
        if up_ns == 0 or not expected:
            self._since_ns, self._messages = 0, -1
            self._asked = False
            if not expected:
                self.reconnects, self._trusted = 0, False
            return Act.NOTHING
        if messages != self._messages:
            if messages:
                self.reconnects, self._trusted = 0, False
            self._since_ns, self._messages, self._asked = now_ns, messages, False
            return Act.NOTHING
        silence_ns = now_ns - self._since_ns
        if silence_ns < self._mute_ns or self._trusted:
            return Act.NOTHING
        if not self._asked:
            self._asked = True
            return Act.ASK
        if silence_ns < 2 * self._mute_ns:
            return Act.NOTHING
        self.reconnects += 1
        self._since_ns, self._messages, self._asked = 0, -1, False
        return Act.RECONNECT if self.reconnects <= 2 else Act.CROSS_CHECK

    def believe(self) -> None:
        """Nothing trades: this silence is no fault, until something comes."""
        self._trusted = True


class StaleWatch:
    """Instruments that are silent while their connection is not.

    Args:
        settings: how long an instrument may be.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self.stale_ns = round(settings.stale_s * NS_PER_S)
        self._ask_most = settings.ask_most
        self._asked_ns: dict[int, int] = {}  # by instrument: when it was asked for again
        self._checked: set[int] = set()

    @property
    def stale(self) -> int:
        """Instruments that are stale now."""
        return len(self._asked_ns)

    def look(self, now_ns: int, quiet: list[int]) -> tuple[list[int], list[int]]:
        """Which instruments to ask for again, and which to cross-check.

        Args:
            quiet: instruments unheard of for `stale_ns` whose segment trades.
        """
        found = set(quiet)
        for heard in self._asked_ns.keys() - found:
            del self._asked_ns[heard]
        self._checked &= found
        ask = [each for each in quiet if each not in self._asked_ns][: self._ask_most]
        check = [
            each
            for each in quiet
            if each not in self._checked
            and now_ns - self._asked_ns.get(each, now_ns) >= self.stale_ns
        ]
        self._asked_ns.update(dict.fromkeys(ask, now_ns))
        self._checked.update(check)
        return ask, check

    def clear(self) -> None:
        """The market has closed, or the connection is new: count afresh."""
        self._asked_ns.clear()
        self._checked.clear()
