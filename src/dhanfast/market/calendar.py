"""Trading days and hours of the exchange, by date.

Facts come from market/tables: years, holidays, special_days, hours. A weekday of a covered year
that is not a holiday is a trading day with the hours in force on that date; a special day says its
own hours. Dates outside the tables are refused, never guessed.

Full validity is 2019-01-01 to 2026-12-31. 2009 to 2018 is history with confidence B, for checking
recorded data; weekend special sessions of those years are not complete.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from dhanfast.errors import ConfigError, OutOfCalendar
from dhanfast.market.tables import Row, in_force, read, read_date, require_date, require_name

Window = tuple[int, int]

NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S
IST_OFFSET_NS = 19_800 * NS_PER_S  # UTC+05:30, never daylight saving
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
KINDS = ("normal", "muhurat", "drill", "budget", "outage")
# Segments of other exchanges that keep the hours of one in the table.
SAME_HOURS = {"BSE_FNO": "NSE_FNO", "BSE_INDEX": "NSE_INDEX", "BSE_EQ": "NSE_EQ"}


def midnight_ns(day: date) -> int:
    """UTC nanoseconds of 00:00 IST on an exchange date."""
    return (day.toordinal() - EPOCH_ORDINAL) * NS_PER_DAY - IST_OFFSET_NS


def exchange_date(time_ns: int) -> date:
    """The exchange date (IST) of an instant.

    Args:
        time_ns: UTC nanoseconds.
    """
    return date.fromordinal((time_ns + IST_OFFSET_NS) // NS_PER_DAY + EPOCH_ORDINAL)


@dataclass(frozen=True, slots=True)
class TradingDay:
    """One exchange date on which there is trading.

    Units:
        windows and auction are half-open [open, close) in UTC nanoseconds.
    """

    date: date
    windows: tuple[Window, ...]  # in order; empty when the hours were never published
    kind: str  # one of KINDS
    note: str
    source: str  # tags of tables/sources.csv
    confidence: str  # A, B, C or D
    auction: Window | None = None  # closing auction of the cash segment, from 2026-08-03

    @property
    def is_special(self) -> bool:
        """Whether this is a muhurat or drill session: no entries, no signal statistics."""
        return self.kind in ("muhurat", "drill")

    @property
    def open_ns(self) -> int:
        """First instant of trading, UTC ns.

        Raises:
            OutOfCalendar: the hours of this day are not in the tables.
        """
        return self._known()[0][0]

    @property
    def close_ns(self) -> int:
        """First instant after trading, UTC ns.

        Raises:
            OutOfCalendar: the hours of this day are not in the tables.
        """
        return self._known()[-1][1]

    def _known(self) -> tuple[Window, ...]:
        if not self.windows:
            raise OutOfCalendar(
                f"hours of {self.date} ({self.kind}) are not known: {self.note}. "
                f"Add them to market/tables/special_days.csv with their source"
            )
        return self.windows


class Calendar:
    """Trading days, hours and holidays, from the dated tables.

    Use `Calendar.load()`: it reads the tables once per process.
    """

    def __init__(
        self,
        years: tuple[Row, ...],
        holidays: tuple[Row, ...],
        special_days: tuple[Row, ...],
        hours: tuple[Row, ...],
    ) -> None:
        """Build from rows of the four tables.

        Raises:
            ConfigError: years with gaps, or a year whose weekday holidays do not add up.
        """
        self._years = {int(row["year"]): row for row in years}
        self._holidays = {read_date(row["date"]): row["name"] for row in holidays}
        self._special = {read_date(row["date"]): row for row in special_days}
        self._hours: dict[str, list[Row]] = {}
        for row in hours:
            self._hours.setdefault(row["segment"], []).append(row)
        self._days: dict[tuple[str, date], TradingDay | None] = {}
        self._check_years()
        self.first = date(min(self._years), 1, 1)
        self.last = date(max(self._years), 12, 31)

    @classmethod
    def load(cls) -> "Calendar":
        """The calendar of the shipped tables; the same object each time."""
        return _load()

    def covers(self, day: date) -> bool:
        """Whether the tables say anything about a date."""
        return self.first <= require_date(day, "day") <= self.last

    def confidence(self, day: date) -> str:
        """How sure the tables are of the year of a date: A, B, C or D (see tables/sources.csv).

        Raises:
            OutOfCalendar: outside the tables.
        """
        self._require(day)
        return self._years[day.year]["confidence"]

    def holiday(self, day: date) -> str | None:
        """The name of the weekday holiday on a date, or None.

        A muhurat-only weekday is a holiday that also has an evening session.

        Raises:
            OutOfCalendar: outside the tables.
        """
        self._require(day)
        return self._holidays.get(day)

    def day(self, day: date, segment: str = "NSE_FNO") -> TradingDay | None:
        """What trades on a date, or None when the exchange is closed.

        Args:
            day: exchange date.
            segment: NSE_FNO, NSE_INDEX, NSE_EQ, NSE_EQ_CASH_ONLY, or the same of BSE.

        Raises:
            OutOfCalendar: outside the tables.
            UsageError: unknown segment.
        """
        self._require(day)
        key = (segment, day)
        if key not in self._days:
            self._days[key] = self._make(day, segment)
        return self._days[key]

    def is_trading_day(self, day: date) -> bool:
        """Whether there is any session on a date, special ones included.

        Raises:
            OutOfCalendar: outside the tables.
        """
        self._require(day)
        return day in self._special or self.is_ordinary(day)

    def is_ordinary(self, day: date) -> bool:
        """Whether a date is a weekday that is no holiday: the days that expiries may fall on.

        Raises:
            OutOfCalendar: outside the tables.
        """
        self._require(day)
        return day.weekday() < 5 and day not in self._holidays

    def days(self, first: date, last: date, segment: str = "NSE_FNO") -> list[TradingDay]:
        """Every trading day from `first` to `last`, both included, in order.

        Raises:
            OutOfCalendar: a bound lies outside the tables.
            UsageError: unknown segment.
        """
        self._require(first)
        self._require(last)
        found = (self.day(day, segment) for day in each_date(first, last))
        return [day for day in found if day is not None]

    def windows(self, first: date, last: date, segment: str = "NSE_FNO") -> list[Window]:
        """The trading windows from `first` to `last` as one list, in order.

        Units:
            UTC nanoseconds, half-open.

        Raises:
            OutOfCalendar: a bound lies outside the tables.
        """
        return [window for day in self.days(first, last, segment) for window in day.windows]

    def previous_trading_day(self, day: date, *, ordinary: bool = False) -> date:
        """The last trading day before a date.

        Args:
            day: exchange date, itself not counted.
            ordinary: skip special sessions on holidays and weekends.

        Raises:
            OutOfCalendar: outside the tables.
        """
        return self._step(day, -1, ordinary)

    def next_trading_day(self, day: date, *, ordinary: bool = False) -> date:
        """The first trading day after a date.

        Args:
            day: exchange date, itself not counted.
            ordinary: skip special sessions on holidays and weekends.

        Raises:
            OutOfCalendar: outside the tables.
        """
        return self._step(day, 1, ordinary)

    def _step(self, day: date, sign: int, ordinary: bool) -> date:
        self._require(day)
        trades = self.is_ordinary if ordinary else self.is_trading_day
        while True:
            day += timedelta(days=sign)
            if trades(day):
                return day

    def _make(self, day: date, segment: str) -> TradingDay | None:
        name = SAME_HOURS.get(segment, segment)
        rows = self._hours.get(name)
        if rows is None:
            require_name(segment, [*self._hours, *SAME_HOURS], "segment")
        if not self.is_trading_day(day):
            return None
        special = self._special.get(day)
        base = midnight_ns(day)
        if special is not None and not (special["kind"] == "normal" and day.weekday() < 5):
            return TradingDay(
                day,
                _windows(special["windows"], base),
                special["kind"],
                special["note"],
                special["source"],
                special["confidence"],
            )
        hours = in_force(rows or [], day, f"hours of {segment}", "hours")
        auction = _windows(hours["auction"], base)
        return TradingDay(
            day,
            _windows(hours["windows"], base),
            "normal",
            special["note"] if special else hours["note"],
            special["source"] if special else hours["source"],
            max(hours["confidence"], self._years[day.year]["confidence"]),
            auction[0] if auction else None,
        )

    def _require(self, day: date) -> None:
        if not self.covers(day):
            raise OutOfCalendar(
                f"{day} is outside the market calendar, which covers {self.first} to {self.last}. "
                f"Choose dates inside it, or add the year to market/tables/years.csv, holidays.csv "
                f"and special_days.csv with its source"
            )

    def _check_years(self) -> None:
        if sorted(self._years) != list(range(min(self._years), max(self._years) + 1)):
            raise ConfigError("market/tables/years.csv has a gap between its years; add the year")
        counts = dict.fromkeys(self._years, 0)
        for day in self._holidays:
            if day.weekday() > 4 or day.year not in counts:
                raise ConfigError(
                    f"market/tables/holidays.csv: {day} is a weekend or in a year that years.csv "
                    f"does not list; remove the row or add the year"
                )
            counts[day.year] += 1
        for year, row in self._years.items():
            if counts[year] != int(row["weekday_holidays"]):
                raise ConfigError(
                    f"market/tables: {counts[year]} holidays of {year} in holidays.csv, but "
                    f"years.csv says {row['weekday_holidays']}; correct one of them"
                )


def each_date(first: date, last: date) -> Iterator[date]:
    """Every date from `first` to `last`, both included."""
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        yield date.fromordinal(ordinal)


@cache
def _load() -> Calendar:
    return Calendar(read("years"), read("holidays"), read("special_days"), read("hours"))


@cache
def _minutes(text: str) -> tuple[tuple[int, int], ...]:
    """ "09:15-10:00 11:30-12:30" as nanoseconds after midnight."""
    spans = []
    for span in text.split():
        opens, closes = (
            (int(part[:2]) * 60 + int(part[3:])) * 60 * NS_PER_S for part in span.split("-")
        )
        spans.append((opens, closes))
    return tuple(spans)


def _windows(text: str, base_ns: int) -> tuple[Window, ...]:
    return tuple((base_ns + opens, base_ns + closes) for opens, closes in _minutes(text))
