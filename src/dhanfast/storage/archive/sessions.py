"""Rows against the hours of the exchange, and silences inside them."""

from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import OutOfCalendar
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.storage.archive.checks import SILENCE_NS, Findings
from dhanfast.storage.stamps import DAY_NS, IST_OFFSET_NS, S

BEFORE_OPEN: Final = 30 * 60 * S
AFTER_CLOSE: Final = 60 * 60 * S
USUAL_TIMES: Final = 30  # a feed is silent when it pauses so many times its usual spacing


def days_of(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """IST day number of times."""
    days: NDArray[np.int64] = (times + IST_OFFSET_NS) // DAY_NS
    return days


class SessionChecks:
    """Which rows lie in the hours of their exchange, and where the feed paused.

    Args:
        found: counts. calendar: of the exchange. segment: whose hours; "none" for no hours at all,
            then only silences of the whole feed are looked for.
        silence_ns: how long an instrument may pause inside a session without a note.
    """

    def __init__(
        self, found: Findings, calendar: Calendar, segment: str, silence_ns: int = SILENCE_NS
    ) -> None:
        self._found, self._calendar, self._segment = found, calendar, segment
        self._silence_ns = silence_ns
        self._days: dict[int, TradingDay | None] = {}
        self._last: dict[int, int] = {}
        self._pauses: list[tuple[int, int, int]] = []  # key, from, to
        self._feed_last: int | None = None
        self._feed_pauses: list[tuple[int, int]] = []

    def look(self, times: NDArray[np.int64], keys: NDArray[Any]) -> None:
        """Look at a block of rows in the order of the file."""
        if self._segment.lower() != "none":
            self._look_at_hours(times, keys)
        self._look_for_pauses(times, keys)

    def _look_at_hours(self, times: NDArray[np.int64], keys: NDArray[Any]) -> None:
        days = days_of(times)
        for number in np.unique(days).tolist():
            mine = days == number
            where, who = times[mine], keys[mine]
            trading = self._day(number)
            if trading is None:
                if self._known(number):
                    day = date(1970, 1, 1) + timedelta(days=number)
                    self._found.add("not-a-trading-day", where, who, f"{day}")
                else:
                    self._found.add("calendar", where[:1], None, "outside the calendar's years")
                continue
            inside = np.zeros(len(where), bool)
            for opens, closes in trading.windows:
                inside |= (where >= opens) & (where < closes)
            before = where < trading.open_ns
            after = where >= trading.close_ns
            near = (before & (where >= trading.open_ns - BEFORE_OPEN)) | (
                after & (where < trading.close_ns + AFTER_CLOSE)
            )
            for kind, which in (
                ("pre-open", before & near), ("closing", after & near),
                ("outside-hours", ~inside & ~near),
            ):  # fmt: skip
                self._found.add(kind, where[which], who[which], "by its receive time")

    def _known(self, number: int) -> bool:
        return self._calendar.covers(date(1970, 1, 1) + timedelta(days=number))

    def _day(self, number: int) -> TradingDay | None:
        if number not in self._days:
            try:
                day = self._calendar.day(date(1970, 1, 1) + timedelta(days=number), self._segment)
                self._days[number] = day if day is not None and day.windows else None
            except OutOfCalendar:
                self._days[number] = None
        return self._days[number]

    def _look_for_pauses(self, times: NDArray[np.int64], keys: NDArray[Any]) -> None:
        steps = np.diff(times, prepend=times[0] if self._feed_last is None else self._feed_last)
        for at in np.flatnonzero(steps > SILENCE_NS).tolist():
            self._feed_pauses.append((int(times[at] - steps[at]), int(times[at])))
        self._feed_last = int(times[-1])
        known, dense = np.unique(keys, return_inverse=True)
        order = np.argsort(dense, kind="stable")
        own, who = times[order], dense[order]
        gaps = np.diff(own, prepend=own[0])
        firsts = np.flatnonzero(np.diff(who, prepend=-1))
        for at in firsts.tolist():
            last = self._last.get(int(known[who[at]]))
            gaps[at] = 0 if last is None else own[at] - last
        for at in np.flatnonzero(gaps > self._silence_ns).tolist():
            self._pauses.append((int(known[who[at]]), int(own[at] - gaps[at]), int(own[at])))
        lasts = np.flatnonzero(np.diff(who, append=len(known)))
        for at in lasts.tolist():
            self._last[int(known[who[at]])] = int(own[at])

    def finish(self, rows: int, first_ns: int, last_ns: int) -> None:
        """Say what pauses there were, now that the usual spacing is known.

        Args:
            rows: in all. first_ns, last_ns: of the file.
        """
        for key, start, end in self._pauses:
            for opens, closes in self._parts(start, end):
                if closes - opens > self._silence_ns:
                    text = f"{(closes - opens) / S:,.0f} s"
                    self._found.add("silence", np.array([opens]), np.array([key]), text)
        session = sum(closes - opens for opens, closes in self._parts(first_ns, last_ns))
        usual = session / max(rows, 1)
        for start, end in self._feed_pauses:
            for opens, closes in self._parts(start, end):
                if closes - opens > max(SILENCE_NS, USUAL_TIMES * usual):
                    text = f"{(closes - opens) / S:,.0f} s without any row"
                    self._found.add("feed-silent", np.array([opens]), None, text)

    def _parts(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of a span that lie in sessions; all of it when there are no hours."""
        if self._segment.lower() == "none":
            return [(start, end)]
        first, last = days_of(np.array([start, end])).tolist()
        parts = []
        for number in range(first, min(last, first + 4000) + 1):
            trading = self._day(number)
            for opens, closes in trading.windows if trading is not None else ():
                if max(opens, start) < min(closes, end):
                    parts.append((max(opens, start), min(closes, end)))
        return parts
