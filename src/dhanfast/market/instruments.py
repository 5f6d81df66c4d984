"""Contracts: what they are called, and their lot, tick and freeze quantity on a date.

Point in time: a backtest of 2021 asks for the lot of 2021. Live trading reads lot, tick and freeze
from the day's contract master instead; these tables are for backtests and for cross-checks.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import cache

from dhanfast.errors import BadData, OutOfCalendar, UsageError
from dhanfast.market import expiries
from dhanfast.market.tables import (
    Row,
    holds,
    missing,
    read,
    read_date,
    require_date,
    require_name,
)

KINDS = ("IDX", "FUT", "CE", "PE")
LOT_CYCLES = ("W", "M", "Q")
TICK_KINDS = ("OPT_IDX", "FUT_IDX", "OPT_STK", "FUT_STK", "EQ")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEK_MONTHS = "123456789OND"  # the month in a weekly symbol
OPTION_WORDS = {"CE": "CALL", "PE": "PUT"}
# Patterns as text: `re` compiles and keeps each on first use, so importing this module does not.
NSE_FUTURE = rf"(\d\d)({'|'.join(MONTHS)})FUT"
NSE_MONTHLY = rf"(\d\d)({'|'.join(MONTHS)})(\d+(?:\.\d{{1,2}})?)(CE|PE)"
NSE_WEEKLY = rf"(\d\d)([{WEEK_MONTHS}])(\d\d)(\d+(?:\.\d{{1,2}})?)(CE|PE)"
DHAN = r"-([A-Z][a-z]{2})(\d{4})-(?:(FUT)|(\d+(?:\.\d{1,2})?)-(CE|PE))"
DISPLAY_OPTION = r" (\d\d?) ([A-Z]{3}) (\d+(?:\.\d{1,2})?) (CALL|PUT)"
DISPLAY_FUTURE = r" ([A-Z]{3}) FUT"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing that trades, or an index.

    Units:
        strike in paise, 0 unless an option. expiry is None for an index only.
    """

    underlying: str
    kind: str  # one of KINDS
    expiry: date | None = None
    strike: int = 0
    cycle: str = ""  # W or M; "" for an index

    def __post_init__(self) -> None:
        """Refuse what cannot exist.

        Raises:
            UsageError: kind, expiry, strike and cycle do not fit together.
        """
        require_name(self.kind, KINDS, "kind")
        if (self.kind == "IDX") != (self.expiry is None):
            raise UsageError(
                f"expiry of {self.underlying} {self.kind} must be "
                f"{'absent' if self.kind == 'IDX' else 'a date'}, got {self.expiry}"
            )
        if self.expiry is not None:
            require_date(self.expiry, "expiry")
        if (self.kind in OPTION_WORDS) != (self.strike > 0) or self.strike < 0:
            raise UsageError(
                f"strike of {self.underlying} {self.kind} must be "
                f"{'positive paise' if self.kind in OPTION_WORDS else '0'}, "
                f"got {self.strike}"
            )
        wanted = ("",) if self.kind == "IDX" else ("M", "W")
        if self.cycle not in wanted:
            raise UsageError(
                f"cycle of {self.underlying} {self.kind} must be one of {wanted}, "
                f"got {self.cycle!r}"
            )

    @property
    def symbol(self) -> str:
        """The exchange's trading symbol, as NSE and Kite write it; see `nse_symbol`."""
        return nse_symbol(self)

    @property
    def is_option(self) -> bool:
        """Whether this is a call or a put."""
        return self.kind in OPTION_WORDS


def contract(underlying: str, kind: str, expiry: date, strike: int = 0) -> Instrument:
    """The listed contract of an underlying that expires on a date.

    Args:
        underlying: BANKNIFTY, NIFTY, ...
        kind: FUT, CE or PE.
        expiry: exchange date of its expiry.
        strike: paise; options only.

    Raises:
        UsageError: nothing expires on that date; a weekly future; fields that do not fit.
        OutOfCalendar: outside the expiry rules.
    """
    cycle = expiries.cycle_of(underlying, expiry)
    if kind == "FUT" and cycle != "M":
        raise UsageError(
            f"{underlying} has no future that expires on {expiry}: futures are monthly"
        )
    return Instrument(underlying, kind, expiry, strike, cycle)


# ---- lot, tick, freeze -------------------------------------------------------------------------


def lot(underlying: str, expiry: date, cycle: str, trade_date: date) -> int:
    """Units per lot of one contract on one day.

    Args:
        underlying: BANKNIFTY, NIFTY, ...
        expiry: the contract's expiry.
        cycle: W, M, or Q for a quarterly or half-yearly contract listed long before its month.
        trade_date: the day it is traded; long-dated contracts are converted on stated evenings.

    Raises:
        UsageError: unknown underlying or cycle; trade_date after expiry.
        OutOfCalendar: the lot is not in the tables.

    Source:
        tables/lots.csv.
    """
    return int(_lot_row(underlying, expiry, cycle, trade_date)["lot"])


def lot_confidence(underlying: str, expiry: date, cycle: str, trade_date: date) -> str:
    """How sure the table is of a lot: A, B, C or D.

    Raises:
        UsageError: unknown underlying or cycle; trade_date after expiry.
        OutOfCalendar: the lot is not in the tables.
    """
    return _lot_row(underlying, expiry, cycle, trade_date)["confidence"]


def tick(kind: str, trade_date: date, *, underlying: str = "", level: int | None = None) -> int:
    """The price step, paise.

    Args:
        kind: OPT_IDX, FUT_IDX, OPT_STK, FUT_STK or EQ.
        trade_date: exchange date.
        underlying: for index futures without `level`: the circular names some of them.
        level: close of the underlying on the last trading day of the month before, paise; the band
            is picked from it once a month.

    Raises:
        UsageError: unknown kind; level not positive.
        OutOfCalendar: not in the tables, or it depends on a level that was not given.

    Source:
        tables/ticks.csv, tables/tick_points.csv.
    """
    require_name(kind, TICK_KINDS, "kind")
    require_date(trade_date, "trade_date")
    _require_level(level)
    rows = [row for row in read("ticks") if row["instrument"] == kind]
    current = [row for row in rows if holds(row, trade_date)]
    if not current:
        raise missing(rows, trade_date, f"tick of {kind}", "ticks")
    if level is not None:
        for row in current:
            if _within(level, row["level_min"], row["level_max"]):
                return int(row["tick"])
        raise OutOfCalendar(
            f"tick of {kind} at {level} paise on {trade_date} is not known: "
            f"{current[0]['note']}; add the row to market/tables/ticks.csv with its source"
        )
    if not current[0]["level_min"] and not current[0]["level_max"]:
        return int(current[0]["tick"])
    for row in read("tick_points"):
        if kind == "FUT_IDX" and row["underlying"] == underlying and holds(row, trade_date):
            return int(row["tick"])
    raise OutOfCalendar(
        f"tick of {kind} {underlying} on {trade_date} depends on the price: pass level= (close of "
        f"the underlying at the end of the month before, in paise)"
    )


def freeze(underlying: str, trade_date: date, *, level: int | None = None) -> int:
    """The largest single order in units; one unit more is rejected by the exchange.

    Args:
        underlying: an index.
        trade_date: exchange date.
        level: close of the index on the last trading day of the month before, paise; the slab
            gives the limit. Without it the published points answer: inside the month of a point
            that point, between two points the smaller one (never too large for either), after the
            last point the last.

    Raises:
        UsageError: unknown underlying; level not positive.
        OutOfCalendar: before the slabs, or before the first published point.

    Source:
        tables/freeze_slabs.csv, tables/freeze_points.csv.
    """
    names = {row["underlying"] for row in read("underlyings")}
    require_name(underlying, names, "underlying")
    require_date(trade_date, "trade_date")
    _require_level(level)
    slabs = [row for row in read("freeze_slabs") if holds(row, trade_date)]
    if not slabs:
        raise missing(
            read("freeze_slabs"), trade_date, f"freeze quantity of {underlying}", "freeze_slabs"
        )
    if level is None:
        return _freeze_point(underlying, trade_date)
    for row in slabs:
        if int(row["above"]) < level and (not row["up_to"] or level <= int(row["up_to"])):
            return int(row["freeze"])
    raise missing(slabs, trade_date, f"freeze slab of {level} paise", "freeze_slabs")


def order_units_max(freeze_units: int, lot_units: int) -> int:
    """The largest order that is a whole number of lots and not above the freeze quantity.

    Raises:
        UsageError: a lot that is not positive or is above the freeze quantity.
    """
    if lot_units <= 0 or freeze_units < lot_units:
        raise UsageError(
            f"freeze {freeze_units} units must be at least one lot, and lot {lot_units} positive"
        )
    return freeze_units // lot_units * lot_units


@cache
def _lot_row(underlying: str, expiry: date, cycle: str, trade_date: date) -> Row:
    names = {row["underlying"] for row in read("lots")}
    require_name(underlying, names, "underlying")
    require_name(cycle, LOT_CYCLES, "cycle")
    if require_date(trade_date, "trade_date") > require_date(expiry, "expiry"):
        raise UsageError(f"trade_date {trade_date} is after the expiry {expiry} of the contract")
    for row in read("lots"):
        if (
            row["underlying"] == underlying
            and cycle in row["cycle"]
            and read_date(row["expiry_from"]) <= expiry <= read_date(row["expiry_to"])
            and read_date(row["trade_from"]) <= trade_date <= read_date(row["trade_to"])
        ):
            return row
    rows = [
        row for row in read("lots") if row["underlying"] == underlying and cycle in row["cycle"]
    ]
    span = "no contract of that cycle"
    if rows:
        span = (
            f"expiries {min(row['expiry_from'] for row in rows)} to "
            f"{max(row['expiry_to'] for row in rows)}"
        )
    raise OutOfCalendar(
        f"lot of {underlying} {cycle} {expiry} traded on {trade_date} is not known; "
        f"market/tables/lots.csv covers {span}. Choose another contract, or add a row with its "
        f"source"
    )


def _freeze_point(underlying: str, trade_date: date) -> int:
    points = [
        (read_date(row["effective"]), int(row["freeze"]))
        for row in read("freeze_points")
        if row["underlying"] == underlying
    ]
    before = [point for point in points if point[0] <= trade_date]
    after = [point for point in points if point[0] > trade_date]
    if not before:
        raise OutOfCalendar(
            f"freeze quantity of {underlying} on {trade_date}: the published points begin "
            f"{points[0][0] if points else 'nowhere'}. Pass level= (index close at the end of the "
            f"month before, in paise), or add a row to market/tables/freeze_points.csv"
        )
    effective, units = before[-1]
    same_month = (effective.year, effective.month) == (trade_date.year, trade_date.month)
    if same_month or not after:
        return units
    return min(units, after[0][1])


def _require_level(level: int | None) -> None:
    if level is not None and (level <= 0 or level != int(level)):
        raise UsageError(f"level must be a positive whole number of paise, got {level!r}")


def _within(level: int, low: str, high: str) -> bool:
    return (not low or int(low) <= level) and (not high or level <= int(high))


# ---- symbols -----------------------------------------------------------------------------------


def nse_symbol(instrument: Instrument) -> str:
    """The symbol as NSE and Kite write it.

    Monthly `BANKNIFTY24AUG50000CE`, weekly `BANKNIFTY2392038000CE`, future `BANKNIFTY24AUGFUT`.
    A monthly is named by the month of its rule, also when a holiday moved it.
    """
    if instrument.expiry is None:
        return instrument.underlying
    day = instrument.expiry
    year = f"{day.year % 100:02}"
    if instrument.kind == "FUT":
        return f"{instrument.underlying}{year}{MONTHS[day.month - 1]}FUT"
    tail = f"{_rupees(instrument.strike)}{instrument.kind}"
    if instrument.cycle == "M":
        return f"{instrument.underlying}{year}{MONTHS[day.month - 1]}{tail}"
    return f"{instrument.underlying}{year}{WEEK_MONTHS[day.month - 1]}{day.day:02}{tail}"


def parse_nse_symbol(symbol: str, stocks: Collection[str] = ()) -> Instrument:
    """The instrument that a symbol of NSE or Kite names.

    Args:
        symbol: as `nse_symbol` writes it; an index's own name is the index.
        stocks: names of single stocks to know besides the indexes.

    Raises:
        BadData: not a symbol of a known name, or a date that does not exist.
        OutOfCalendar: a contract outside the expiry rules.
    """
    for name in _names_at_start(symbol, stocks):
        rest = symbol[len(name) :]
        if not rest:
            return Instrument(name, "IDX")
        if match := re.fullmatch(NSE_FUTURE, rest):
            return _monthly(name, match[1], match[2], "FUT", "0", stocks)
        if match := re.fullmatch(NSE_MONTHLY, rest):
            return _monthly(name, match[1], match[2], match[4], match[3], stocks)
        if match := re.fullmatch(NSE_WEEKLY, rest):
            expiry = _date(symbol, 2000 + int(match[1]), WEEK_MONTHS.index(match[2]) + 1, match[3])
            _require_weekly(symbol, "STOCK" if name in stocks else name, expiry)
            return Instrument(name, match[5], expiry, _paise(match[4]), "W")
    raise _unknown(symbol, "NSE symbol", "BANKNIFTY24AUG50000CE, BANKNIFTY2392038000CE")


def dhan_symbol(instrument: Instrument) -> str:
    """The trading symbol of Dhan's master: `BANKNIFTY-Nov2024-52000-CE`, `BANKNIFTY-Nov2024-FUT`.

    It holds no day, so weeklies of a month share it; Dhan tells them apart by security id.
    """
    if instrument.expiry is None:
        return instrument.underlying
    month = MONTHS[instrument.expiry.month - 1].capitalize()
    head = f"{instrument.underlying}-{month}{instrument.expiry.year}"
    if instrument.kind == "FUT":
        return f"{head}-FUT"
    return f"{head}-{_rupees(instrument.strike)}-{instrument.kind}"


def parse_dhan_symbol(
    symbol: str, expiry: date | None = None, stocks: Collection[str] = ()
) -> Instrument:
    """The instrument that a trading symbol of Dhan's master names.

    Args:
        symbol: as `dhan_symbol` writes it.
        expiry: the master's expiry column; without it the monthly contract is meant.
        stocks: names of single stocks to know besides the indexes.

    Raises:
        BadData: not a symbol of a known name; `expiry` in another month than the symbol's.
        OutOfCalendar: a contract outside the expiry rules.
    """
    for name in _names_at_start(symbol, stocks):
        if symbol == name:
            return Instrument(name, "IDX")
        match = re.fullmatch(DHAN, symbol[len(name) :])
        if match is None or match[1].upper() not in MONTHS:
            continue
        month, kind = match[1].upper(), match[3] or match[5]
        monthly = _monthly(name, match[2][2:], month, kind, match[4] or "0", stocks)
        if expiry is None or expiry == monthly.expiry:
            return monthly
        if (expiry.year, expiry.month) != (int(match[2]), MONTHS.index(month) + 1):
            raise BadData(f"Dhan symbol {symbol!r} is not of the month of its expiry {expiry}")
        if kind == "FUT":
            raise BadData(
                f"Dhan symbol {symbol!r}: futures are monthly and this month's expires "
                f"on {monthly.expiry}, not on {expiry}"
            )
        _require_weekly(symbol, "STOCK" if name in stocks else name, expiry)
        return Instrument(name, kind, expiry, monthly.strike, "W")
    raise _unknown(symbol, "Dhan symbol", "BANKNIFTY-Nov2024-52000-CE, BANKNIFTY-Nov2024-FUT")


def dhan_display(instrument: Instrument) -> str:
    """The display name of Dhan's master: `BANKNIFTY 27 NOV 52000 CALL`, `BANKNIFTY NOV FUT`."""
    if instrument.expiry is None:
        return instrument.underlying
    month = MONTHS[instrument.expiry.month - 1]
    if instrument.kind == "FUT":
        return f"{instrument.underlying} {month} FUT"
    word = OPTION_WORDS[instrument.kind]
    day = f"{instrument.expiry.day:02}"
    return f"{instrument.underlying} {day} {month} {_rupees(instrument.strike)} {word}"


def parse_dhan_display(text: str, on: date, stocks: Collection[str] = ()) -> Instrument:
    """The instrument that a display name of Dhan's master names.

    Args:
        text: as `dhan_display` writes it; it holds no year.
        on: the date it was listed: the first such contract that has not expired is meant.
        stocks: names of single stocks to know besides the indexes.

    Raises:
        BadData: not a display name of a known name, or nothing expires then.
        OutOfCalendar: a contract outside the expiry rules.
    """
    require_date(on, "on")
    for name in _names_at_start(text, stocks):
        if text == name:
            return Instrument(name, "IDX")
        rule = "STOCK" if name in stocks else name
        if (match := re.fullmatch(DISPLAY_FUTURE, text[len(name) :])) and match[1] in MONTHS:
            expiry = _next_monthly(rule, MONTHS.index(match[1]) + 1, on)
            return Instrument(name, "FUT", expiry, 0, "M")
        if (match := re.fullmatch(DISPLAY_OPTION, text[len(name) :])) and match[2] in MONTHS:
            month = MONTHS.index(match[2]) + 1
            expiry = _date(text, on.year, month, match[1])
            if expiry < on:
                expiry = _date(text, on.year + 1, month, match[1])
            kind = "CE" if match[4] == "CALL" else "PE"
            cycle = expiries.cycle_of(rule, expiry)
            return Instrument(name, kind, expiry, _paise(match[3]), cycle)
    raise _unknown(text, "Dhan display name", "BANKNIFTY 27 NOV 52000 CALL, BANKNIFTY NOV FUT")


def _names_at_start(symbol: str, stocks: Collection[str]) -> list[str]:
    """Known names that begin the symbol, longest first: BANKNIFTY before any shorter one."""
    names = {row["underlying"] for row in read("underlyings")}.union(stocks)
    return sorted((name for name in names if symbol.startswith(name)), key=len, reverse=True)


def _monthly(
    name: str, year: str, month: str, kind: str, strike: str, stocks: Collection[str]
) -> Instrument:
    rule = "STOCK" if name in stocks else name
    expiry = expiries.monthly_expiry(rule, 2000 + int(year), MONTHS.index(month) + 1)
    return Instrument(name, kind, expiry, _paise(strike), "M")


def _require_weekly(symbol: str, rule: str, expiry: date) -> None:
    found = expiries.expiry_table(rule, "ALL", expiry, expiry)
    if not found:
        raise BadData(f"symbol {symbol!r}: no contract of {rule} expires on {expiry}")
    if found[0].cycle != "W":
        raise BadData(
            f"symbol {symbol!r}: {expiry} carries the monthly contract, whose symbol "
            f"names the month instead of the day"
        )


def _next_monthly(rule: str, month: int, on: date) -> date:
    expiry = expiries.monthly_expiry(rule, on.year, month)
    return expiry if expiry >= on else expiries.monthly_expiry(rule, on.year + 1, month)


def _date(symbol: str, year: int, month: int, day: str) -> date:
    try:
        return date(year, month, int(day))
    except ValueError as cause:
        raise BadData(f"symbol {symbol!r} names a date that does not exist: {cause}") from cause


def _rupees(paise: int) -> str:
    """A strike as symbols print it: whole rupees without a point, else without end zeros."""
    rupees, rest = divmod(paise, 100)
    return f"{rupees}.{rest:02}".rstrip("0") if rest else str(rupees)


def _paise(rupees: str) -> int:
    whole, _, rest = rupees.partition(".")
    return int(whole) * 100 + int(rest.ljust(2, "0") if rest else "0")


def _unknown(symbol: str, what: str, examples: str) -> BadData:
    names = ", ".join(row["underlying"] for row in read("underlyings"))
    return BadData(
        f"{symbol!r} is not a {what} of a known name ({names}, or one passed in stocks=); "
        f"expected a form like {examples}"
    )
