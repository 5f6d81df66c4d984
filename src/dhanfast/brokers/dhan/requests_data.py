"""Requests for market data: snapshots, option chains, candles, expired options."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from dhanfast.brokers.dhan import checks
from dhanfast.brokers.dhan.requests import Body
from dhanfast.errors import UsageError
from dhanfast.market.master import ID_MAX

IDS_MAX: Final = 1_000
INTRADAY_DAYS_MAX: Final = 90
ROLLING_DAYS_MAX: Final = 30
INTERVALS: Final = (1, 5, 15, 25, 60)
INSTRUMENTS: Final = ("INDEX", "EQUITY", "FUTIDX", "OPTIDX", "FUTSTK", "OPTSTK", "FUTCOM",
                      "OPTFUT", "FUTCUR", "OPTCUR")  # fmt: skip
COLUMNS: Final = ("open", "high", "low", "close", "iv", "volume", "strike", "oi", "spot")
STAMP: Final = "%Y-%m-%d %H:%M:%S"


def quote_body(ids: Mapping[str, Sequence[int]], client_id: str) -> Body:
    """The body of a snapshot: security ids by segment.

    Raises:
        UsageError: nothing, more than 1,000 ids, one twice, an unknown segment, a bad id.
    """
    count = sum(len(of) for of in ids.values())
    if not 1 <= count <= IDS_MAX:
        raise UsageError(f"a snapshot takes from 1 to {IDS_MAX} ids, got {count}; cut it in pieces")
    body: Body = {}
    for segment, numbers in ids.items():
        checks.chosen("exchangeSegment", segment, checks.QUOTE_SEGMENTS)
        for number in numbers:
            checks.whole(segment, number, 0, ID_MAX)
        if len(set(numbers)) != len(numbers):
            raise UsageError(f"{segment}: an id stands there twice")
        if numbers:
            body[segment] = list(numbers)
    return {**body, "dhanClientId": client_id}


class ChainQuery(msgspec.Struct, frozen=True, kw_only=True):
    """An option chain (`POST /optionchain`), or without expiry the list of expiries.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    underlying: int  # security id of the underlying
    segment: str = "IDX_I"
    expiry: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        checks.whole("UnderlyingScrip", self.underlying, 0, ID_MAX)
        checks.chosen("UnderlyingSeg", self.segment, checks.QUOTE_SEGMENTS)
        if self.expiry:
            checks.day("Expiry", self.expiry)

    @property
    def key(self) -> str:
        """What the broker's limit of one in 3 s goes by."""
        return f"{self.segment}/{self.underlying}/{self.expiry}"

    def body(self, client_id: str) -> Body:
        """What is sent; these keys, and no others, begin with a capital."""
        return {
            "UnderlyingScrip": self.underlying,
            "UnderlyingSeg": self.segment,
            **({"Expiry": self.expiry} if self.expiry else {}),
            "dhanClientId": client_id,
        }


class DailyQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Daily candles (`POST /charts/historical`).

    Args:
        first, last: dates, both included; the broker excludes its toDate, which is one day more.
        expiry_code: sent as given; the sources number it differently.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    segment: str
    security_id: str
    instrument: str
    first: str
    last: str
    oi: bool = False
    expiry_code: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        _chart(self.segment, self.security_id, self.instrument)
        _span(self.first, self.last)
        checks.whole("expiryCode", self.expiry_code, 0, 3)

    def body(self, client_id: str) -> Body:
        """What is sent."""
        until = checks.day("toDate", self.last) + timedelta(days=1)
        return {
            "securityId": self.security_id,
            "exchangeSegment": self.segment,
            "instrument": self.instrument,
            "expiryCode": self.expiry_code,
            "oi": self.oi,
            "fromDate": self.first,
            "toDate": until.isoformat(),
            "dhanClientId": client_id,
        }


class IntradayQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Candles of minutes (`POST /charts/intraday`), of any span: it is cut into pieces of 90 days.

    Args:
        begin, end: times YYYY-MM-DD HH:MM:SS, IST; begin included, end excluded.
        expiry_code: None = not sent; one source needs 0 for futures and options.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    segment: str
    security_id: str
    instrument: str
    begin: str
    end: str
    interval: int = 1  # minutes
    oi: bool = False
    expiry_code: int | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        _chart(self.segment, self.security_id, self.instrument)
        begin, end = checks.minute("fromDate", self.begin), checks.minute("toDate", self.end)
        if begin >= end:
            raise UsageError(f"toDate: {self.end} must be after fromDate {self.begin}")
        if self.interval not in INTERVALS:
            raise UsageError(f"interval: {self.interval!r} is none of {INTERVALS} minutes")
        if self.expiry_code is not None:
            checks.whole("expiryCode", self.expiry_code, 0, 3)

    def bodies(self, client_id: str) -> Iterator[Body]:
        """What is sent, a request for every 90 days or part of them, oldest first."""
        end = checks.minute("toDate", self.end)
        for begin, until in _pieces(checks.minute("fromDate", self.begin), end, INTRADAY_DAYS_MAX):
            yield {
                "securityId": self.security_id,
                "exchangeSegment": self.segment,
                "instrument": self.instrument,
                "interval": self.interval,
                "oi": self.oi,
                **({} if self.expiry_code is None else {"expiryCode": self.expiry_code}),
                "fromDate": begin.strftime(STAMP),
                "toDate": until.strftime(STAMP),
                "dhanClientId": client_id,
            }


class ExpiredQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Candles of options that have expired, by distance from the money (`/charts/rollingoption`).

    Args:
        underlying: security id of the underlying.
        strike: ATM, ATM+n or ATM-n, n up to 10.
        first, last: dates, both included; cut into pieces of 30 days.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    underlying: int
    side: str  # CALL or PUT
    first: str
    last: str
    strike: str = "ATM"
    expiry_flag: str = "WEEK"
    expiry_code: int = 1
    segment: str = "NSE_FNO"
    instrument: str = "OPTIDX"
    interval: int = 1
    columns: tuple[str, ...] = COLUMNS

    def __post_init__(self) -> None:
        """Check every field."""
        checks.whole("securityId", self.underlying, 0, ID_MAX)
        checks.chosen("drvOptionType", self.side, ("CALL", "PUT"))
        checks.chosen("exchangeSegment", self.segment, checks.QUOTE_SEGMENTS)
        checks.chosen("instrument", self.instrument, ("OPTIDX", "OPTSTK"))
        checks.chosen("expiryFlag", self.expiry_flag, ("WEEK", "MONTH"))
        checks.whole("expiryCode", self.expiry_code, 1, 3)
        _span(self.first, self.last)
        if self.interval not in INTERVALS:
            raise UsageError(f"interval: {self.interval!r} is none of {INTERVALS} minutes")
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise UsageError(f"requiredData: {self.columns} must name columns, each once")
        for column in self.columns:
            checks.chosen("requiredData", column, COLUMNS)
        checks.chosen("strike", self.strike, _STRIKES)

    def bodies(self, client_id: str) -> Iterator[Body]:
        """What is sent, a request for every 30 days or part of them, oldest first."""
        end = checks.day("toDate", self.last) + timedelta(days=1)
        midnight = datetime.min.time()
        spans = _pieces(
            datetime.combine(checks.day("fromDate", self.first), midnight),
            datetime.combine(end, midnight),
            ROLLING_DAYS_MAX,
        )
        for begin, until in spans:
            yield {
                "securityId": self.underlying,
                "exchangeSegment": self.segment,
                "instrument": self.instrument,
                "expiryFlag": self.expiry_flag,
                "expiryCode": self.expiry_code,
                "strike": self.strike,
                "drvOptionType": self.side,
                "requiredData": list(self.columns),
                "fromDate": begin.date().isoformat(),
                "toDate": until.date().isoformat(),
                "interval": self.interval,
                "dhanClientId": client_id,
            }


_STRIKES: Final = ("ATM", *(f"ATM{sign}{steps}" for sign in "+-" for steps in range(1, 11)))


def _chart(segment: str, security_id: str, instrument: str) -> None:
    """What every chart names."""
    checks.chosen("exchangeSegment", segment, checks.QUOTE_SEGMENTS)
    checks.security_id("securityId", security_id)
    checks.chosen("instrument", instrument, INSTRUMENTS)


def _span(first: str, last: str) -> tuple[date, date]:
    """Two dates in order."""
    begin, end = checks.day("fromDate", first), checks.day("toDate", last)
    if begin > end:
        raise UsageError(f"toDate: {last} must not be before fromDate {first}")
    return begin, end


def _pieces(begin: datetime, end: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
    """A span cut into half-open pieces of at most so many days."""
    step = timedelta(days=days)
    while begin < end:
        until = min(begin + step, end)
        yield begin, until
        begin = until
