"""Expiry dates, by rule and exception.

The rule in force names a weekday. Weeklies (W) expire on it in each week that has no monthly
expiry; monthlies (M) on the last one of the month; quarterlies and half-yearlies (Q) are the
monthlies of March, June, September and December. A holiday moves an expiry to the ordinary trading
day before; a muhurat-only day is a holiday for this purpose. Where a special weekend session lies
in between, circulars decided each case, so only tables/expiry_exceptions.csv can answer.

Weeklies of a monthly's week do not exist: that date carries the monthly contract.
"""

import datetime
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.market.tables import Row, read, read_date, require_date, require_name

WEEKDAYS = {"MON": 0, "TUE": 1, "WED": 2, "THU": 3, "FRI": 4}
CYCLES = ("W", "M", "Q", "ALL")
QUARTER_MONTHS = (3, 6, 9, 12)
ONE_DAY = timedelta(days=1)
STOCK = "STOCK"  # any single stock of NSE, among the underlyings of the rules


@dataclass(frozen=True, slots=True, order=True)
class Expiry:
    """One expiry date and where it comes from."""

    date: datetime.date
    cycle: str  # W or M
    nominal: datetime.date  # what the weekday rule says before holidays
    confidence: str
    source: str

    @property
    def is_shifted(self) -> bool:
        """Whether a holiday moved it."""
        return self.date != self.nominal


def validity() -> tuple[date, date]:
    """The first and the last date the expiry rules cover."""
    rows = read("expiry_rules")
    return min(read_date(row["from"]) for row in rows), max(read_date(row["to"]) for row in rows)


def underlyings() -> list[str]:
    """Every underlying with expiry rules; STOCK stands for any single stock of NSE."""
    return sorted({row["underlying"] for row in read("expiry_rules")})


def expiries(underlying: str, cycle: str, first: date, last: date) -> list[date]:
    """Expiry dates of an underlying from `first` to `last`, both included, in order.

    Args:
        underlying: BANKNIFTY, NIFTY, ..., or STOCK for any single stock.
        cycle: W, M, Q or ALL (weeklies and monthlies).
        first: exchange date.
        last: exchange date.

    Raises:
        UsageError: unknown underlying or cycle; `first` after `last`.
        OutOfCalendar: a date outside the rules, or an expiry that only a circular can tell.

    Source:
        tables/expiry_rules.csv, tables/expiry_exceptions.csv.
    """
    return [expiry.date for expiry in expiry_table(underlying, cycle, first, last)]


def expiry_table(underlying: str, cycle: str, first: date, last: date) -> list[Expiry]:
    """As `expiries`, with cycle, nominal date, confidence and source of each.

    Raises:
        UsageError: unknown underlying or cycle; `first` after `last`.
        OutOfCalendar: a date outside the rules, or an expiry that only a circular can tell.
    """
    require_name(underlying, underlyings(), "underlying")
    require_name(cycle, CYCLES, "cycle")
    _require_span(first, last)
    found: list[Expiry] = []
    if cycle in ("M", "Q", "ALL"):
        found += [expiry for expiry in _monthlies(underlying) if first <= expiry.date <= last]
    if cycle == "Q":
        found = [expiry for expiry in found if expiry.nominal.month in QUARTER_MONTHS]
    if cycle in ("W", "ALL"):
        found += _weeklies_between(underlying, first, last)
    return sorted(found)


def front_month(underlying: str, on: date, roll_days: int = 0) -> date:
    """The expiry of the monthly contract that is in front on a date.

    Args:
        underlying: BANKNIFTY, NIFTY, ...
        on: exchange date.
        roll_days: leave a contract this many trading days before its expiry day; 0 trades it
            through that day.

    Raises:
        UsageError: unknown underlying; negative roll_days.
        OutOfCalendar: no monthly contract is known at or after that date.
    """
    require_name(underlying, underlyings(), "underlying")
    if roll_days < 0:
        raise UsageError(f"roll_days must be 0 or more, got {roll_days}")
    _require_span(on, on)
    for expiry in _monthlies(underlying):
        if expiry.date >= on and last_trade_date(expiry.date, roll_days) >= on:
            return expiry.date
    raise OutOfCalendar(
        f"{underlying}: no monthly expiry known on or after {on} (roll_days {roll_days}); the "
        f"rules of market/tables/expiry_rules.csv and the calendar end on {validity()[1]}. "
        f"Choose an earlier date, or add the next year with its source"
    )


def cycle_of(underlying: str, expiry: date) -> str:
    """W or M: which contract an expiry date carries.

    Raises:
        UsageError: no contract of the underlying expires on that date.
        OutOfCalendar: outside the rules.
    """
    found = expiry_table(underlying, "ALL", expiry, expiry)
    if not found:
        raise UsageError(f"{underlying} has no contract that expires on {expiry}; see `expiries`")
    return found[0].cycle


def monthly_expiry(underlying: str, year: int, month: int) -> date:
    """The expiry date of the monthly contract named by a year and a month.

    Raises:
        UsageError: unknown underlying.
        OutOfCalendar: outside the rules, or no contract of that month.
    """
    require_name(underlying, underlyings(), "underlying")
    for expiry in _monthlies(underlying):
        if (expiry.nominal.year, expiry.nominal.month) == (year, month):
            return expiry.date
    first, last = validity()
    raise OutOfCalendar(
        f"{underlying}: no monthly contract known for {year}-{month:02}; the rules of "
        f"market/tables/expiry_rules.csv cover {first} to {last}"
    )


@cache
def last_trade_date(expiry: date, roll_days: int) -> date:
    """The last day a contract is held when it is left `roll_days` trading days before expiry."""
    calendar = Calendar.load()
    for _ in range(roll_days):
        expiry = calendar.previous_trading_day(expiry, ordinary=True)
    return expiry


def _require_span(first: date, last: date) -> None:
    require_date(first, "first")
    require_date(last, "last")
    if first > last:
        raise UsageError(f"first {first} is after last {last}; swap them")
    begin, end = validity()
    for day in (first, last):
        if not begin <= day <= end:
            raise OutOfCalendar(
                f"{day} is outside the expiry rules, which cover {begin} to {end}. Choose dates "
                f"inside them, or add rows to market/tables/expiry_rules.csv with their source"
            )


def _rules(underlying: str, cycle: str) -> list[Row]:
    return [
        row
        for row in read("expiry_rules")
        if row["underlying"] == underlying and row["cycle"] == cycle
    ]


@cache
def _monthlies(underlying: str) -> tuple[Expiry, ...]:
    found = []
    for row in _rules(underlying, "M"):
        begin, end = read_date(row["from"]), read_date(row["to"])
        year, month = begin.year, begin.month
        while date(year, month, 1) <= end:
            nominal = _last_weekday(year, month, WEEKDAYS[row["weekday"]])
            if begin <= nominal <= end:
                found.append(_settle(underlying, "M", nominal, row))
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return tuple(sorted(found))


def _weeklies_between(underlying: str, first: date, last: date) -> list[Expiry]:
    """Only the weeks asked for: an unknown shift elsewhere must not refuse them."""
    monthly_weeks = {expiry.nominal.isocalendar()[:2] for expiry in _monthlies(underlying)}
    found = []
    for row in _rules(underlying, "W"):
        begin = max(read_date(row["from"]), first)
        end = min(read_date(row["to"]), last + timedelta(days=7))
        nominal = begin + timedelta(days=(WEEKDAYS[row["weekday"]] - begin.weekday()) % 7)
        while nominal <= end:
            if nominal.isocalendar()[:2] not in monthly_weeks:
                expiry = _settle(underlying, "W", nominal, row)
                if first <= expiry.date <= last:
                    found.append(expiry)
            nominal += timedelta(days=7)
    return found


@cache
def _exceptions() -> dict[tuple[str, str, date], Row]:
    return {
        (row["underlying"], row["cycle"], read_date(row["nominal"])): row
        for row in read("expiry_exceptions")
    }


def _settle(underlying: str, cycle: str, nominal: date, row: Row) -> Expiry:
    """The nominal date after exceptions and holidays."""
    calendar = Calendar.load()
    exception = _exceptions().get((underlying, cycle, nominal))
    if exception is not None and exception["actual"]:
        actual = read_date(exception["actual"])
        return Expiry(actual, cycle, nominal, exception["confidence"], exception["source"])
    day = nominal
    while not calendar.is_ordinary(day):
        session = calendar.day(day)
        if exception is not None or (session is not None and session.kind != "muhurat"):
            why = exception["note"] if exception is not None else f"special session on {day}"
            raise OutOfCalendar(
                f"{underlying} {cycle} expiry of {nominal} was moved, and the tables do not know "
                f"to which day: {why}. Add it to market/tables/expiry_exceptions.csv, or ask for "
                f"dates that leave it out"
            )
        day -= ONE_DAY
    confidence = max(row["confidence"], calendar.confidence(nominal))
    return Expiry(day, cycle, nominal, confidence, row["source"])


def _last_weekday(year: int, month: int, weekday: int) -> date:
    following = date(year + month // 12, month % 12 + 1, 1)
    last = following - ONE_DAY
    return last - timedelta(days=(last.weekday() - weekday) % 7)
