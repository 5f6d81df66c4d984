"""The broker's option chain as a source of `chain`, `iv`, `oi` and `payoff`."""

import json
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dhanfast.brokers.dhan.answers_data import Chain, ChainRow
from dhanfast.brokers.dhan.requests_data import ChainQuery
from dhanfast.brokers.download import Limits, Validators, download
from dhanfast.clock import Clock
from dhanfast.errors import BadData, ConfigError, OutOfCalendar, UsageError
from dhanfast.market.calendar import NS_PER_S, Calendar, exchange_date, midnight_ns
from dhanfast.market.optiontime import expiry_ns, segment_of
from dhanfast.storage.chains import Snapshot, snapshot
from dhanfast.storage.stamps import ist_text

if TYPE_CHECKING:
    from dhanfast.app.config import Config
    from dhanfast.brokers.dhan.hosts import Hosts
    from dhanfast.brokers.dhan.rest_data import Aside, DataCalls

PAISE: Final = 100.0  # a rupee
STATUS_S: Final = 10.0
AFTER_NS: Final = 3_600 * NS_PER_S
NAMED: Final = 6  # expiries that a message lists
CLOSED: Final = "the market is closed: last prices, as of"
GENERATED: Final = "GENERATED, not a real market"
NO_PREVIOUS: Final = "the broker gives no open interest of the day before: no changes"


@dataclass(frozen=True, slots=True)
class MarketTime:
    """The market's time: the machine's, or that of the exchange on this machine.

    Units:
        UTC ns. `speed` market seconds a second.
    """

    clock: Clock
    wall_ns: int
    market_ns: int
    speed: float
    generated: bool

    def now_ns(self) -> int:
        """The market's time now."""
        return self.market_ns + int((self.clock.now_ns() - self.wall_ns) * self.speed)


def market_time(config: "Config", hosts: "Hosts", clock: Clock) -> MarketTime:
    """The market's time as the configuration says.

    Raises:
        ConfigError: the exchange has no pace. DhanfastError: it does not answer.
    """
    wall_ns = clock.now_ns()
    if not hosts.is_loopback:
        return MarketTime(clock, wall_ns, wall_ns, 1.0, False)
    generated = bool(_said(hosts, "status", clock).get("generated"))
    if config.clock.source != "exchange":
        return MarketTime(clock, wall_ns, wall_ns, 1.0, generated)
    said = _said(hosts, "clock", clock)
    speed = float(said.get("speed") or 0)
    if speed <= 0:
        raise ConfigError("the exchange runs at full speed: start it with a --speed, as 1x")
    return MarketTime(clock, clock.now_ns(), int(said["market_ns"]), speed, generated)


def _said(hosts: "Hosts", name: str, clock: Clock) -> dict[str, Any]:
    """What the exchange on this machine says of itself."""
    place = hosts.rest.removesuffix("/v2")
    got = download(f"{place}/exchange/{name}", Limits(total_s=STATUS_S), Validators(), clock)
    try:
        said = json.loads(got.data or b"")
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise BadData(f"{place}: no exchange of dhanfast answers there")
    return said


def prices_of(now_ns: int, segment: str) -> tuple[int, bool, str]:
    """How new last prices can be: of now while there is trading, else of the last close.

    Returns:
        That time, ns UTC; whether there is trading; what to say of it, or nothing.
    """
    calendar = Calendar.load()
    day = exchange_date(now_ns)
    try:
        found = calendar.day(day, segment)
        if found is not None and not found.windows:
            return now_ns, True, f"the hours of {day} are not known: prices may be old"
        for opens, closes in found.windows if found is not None else ():
            if opens <= now_ns < closes:
                return now_ns, True, ""
        at_ns = _last_close(calendar, now_ns, segment)
    except OutOfCalendar:
        return now_ns, True, f"no table has the hours of {day}: prices may be old"
    return at_ns, False, f"{CLOSED} {ist_text(at_ns)}"


def _last_close(calendar: Calendar, now_ns: int, segment: str) -> int:
    """The last end of trading up to a time.

    Raises:
        OutOfCalendar: before the tables begin.
    """
    day = exchange_date(now_ns)
    while True:
        found = calendar.day(day, segment)
        ended = [closes for _, closes in (found.windows if found else ()) if closes <= now_ns]
        if ended:
            return ended[-1]
        day = calendar.previous_trading_day(day)


def previous_close_ns(at_ns: int, segment: str) -> int:
    """The close of the trading day before that of a time; its midnight where no table has it."""
    start_ns = midnight_ns(exchange_date(at_ns))
    try:
        return _last_close(Calendar.load(), start_ns, segment)
    except OutOfCalendar:
        return start_ns


@dataclass(frozen=True)
class BrokerChain:
    """What the broker said at one moment: a `ChainSource`.

    Attributes:
        rows: the chain. previous: the same of the day before, as the broker tells it today.
        far: the chain of the next expiry, where it was asked for.
        taken_ns: when each of them came, ns UTC: later than their time where the market is closed.
        is_open: whether there was trading. notes: what a reader must know.
    """

    rows: Snapshot
    previous: Snapshot
    far: Snapshot | None
    taken_ns: tuple[int, ...]
    is_open: bool
    generated: bool
    notes: list[str] = field(default_factory=list)

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON, beside the figures."""
        return {"live": True, "open": self.is_open, "generated": self.generated,
                "notes": self.notes}  # fmt: skip

    @property
    def kept(self) -> list[Snapshot]:
        """Its chains as a file keeps them, each at the time it was taken; none while the market is
        closed but for the hour after the close, in which the index's closing level appears.
        """
        if not self.is_open and not 0 <= self.taken_ns[0] - self.rows.at_ns <= AFTER_NS:
            return []
        held = [self.rows] if self.far is None else [self.rows, self.far]
        return [replace(rows, at_ns=ns) for rows, ns in zip(held, self.taken_ns, strict=True)]

    def before(self, since: str | None) -> Snapshot:
        """The day before: what changes are against."""
        if since is not None:
            raise UsageError("--since goes with FILE: the broker tells the day before only")
        return self.previous

    def following(self) -> Snapshot:
        """The chain of the expiry after.

        Raises:
            UsageError: it was not asked for.
        """
        if self.far is None:
            raise UsageError(f"the broker lists no expiry of {self.rows.underlying} after "
                             f"{self.rows.expiry}")  # fmt: skip
        return self.far


class BrokerChains:
    """Asks the broker for chains of one underlying.

    Args:
        rest: the broker's client. time: the market's.
        name, segment, security_id: of the underlying, as the broker calls it.
        wanted: expiry: a date, nearest, next; None is the nearest.
        far: ask for the next expiry too.
        aside: reads what came without holding others up; None: here.
    """

    def __init__(
        self, rest: "DataCalls", time: MarketTime, name: str, segment: str, security_id: int,
        wanted: str | None, *, far: bool = False, aside: "Aside | None" = None,
    ) -> None:  # fmt: skip
        self._rest, self._time, self.name = rest, time, name
        self._segment, self._id = segment, security_id
        self._place = _place_of(wanted)
        self._far, self._aside = far, aside
        self._listed: list[date] = []
        self._listed_on: date | None = None

    async def fetch(self) -> BrokerChain:
        """The chain now.

        Raises:
            BrokerError, NotAuthenticated: the broker refuses or is not there.
            UsageError: it lists no such expiry. BadData: what it sent is no chain.
        """
        hours = segment_of(self.name)
        expiry, later = await self._chosen(prices_of(self._time.now_ns(), hours)[0])
        said, now_ns = await self._asked(expiry)
        at_ns, is_open, note = prices_of(now_ns, hours)
        taken, far = [now_ns], None
        if self._far and later is not None:
            other, far_ns = await self._asked(later)
            taken.append(max(far_ns, now_ns))
            far = snapshot_of(other, self.name, later, prices_of(taken[1], hours)[0])
        day_ns = previous_close_ns(at_ns, hours)
        previous = previous_of(said, self.name, expiry, day_ns)
        notes = [GENERATED] if self._time.generated else []
        notes += [note] if note else []
        if np.isnan(previous.call_oi).all() and np.isnan(previous.put_oi).all():
            notes.append(NO_PREVIOUS)
        rows = snapshot_of(said, self.name, expiry, at_ns)
        return BrokerChain(rows, previous, far, tuple(taken), is_open, self._time.generated, notes)

    async def _asked(self, expiry: date) -> tuple[Chain, int]:
        """One chain, and the second in which it came."""
        query = ChainQuery(underlying=self._id, segment=self._segment, expiry=str(expiry))
        more: dict[str, Any] = {} if self._aside is None else {"aside": self._aside}
        said = await self._rest.chain(query, **more)
        if not said.rows:
            raise BadData(f"the broker sent a chain of {self.name} {expiry} without strikes")
        return said, self._time.now_ns() // NS_PER_S * NS_PER_S

    async def _chosen(self, at_ns: int) -> tuple[date, date | None]:
        """The expiry that is meant, and the one after it.

        Raises:
            UsageError: the broker lists none such.
        """
        today = exchange_date(self._time.now_ns())
        if self._listed_on != today:
            query = ChainQuery(underlying=self._id, segment=self._segment)
            self._listed = _dates(await self._rest.expiries(query))
            self._listed_on = today
        if not self._listed:
            raise UsageError(f"the broker lists no options of {self.name}")
        coming = [one for one in self._listed if not _over(one, at_ns, segment_of(self.name))]
        if isinstance(self._place, date):
            if self._place not in self._listed:
                raise UsageError(f"--expiry {self._place}: the broker lists no such expiry of "
                                 f"{self.name}; it has {_shown(self._listed)}")  # fmt: skip
            expiry = self._place
        elif len(coming) <= self._place:
            raise UsageError(
                f"the broker lists {len(coming)} expiries of {self.name} after {ist_text(at_ns)} "
                f"IST ({_shown(self._listed)}); of a market that is not today's, clock.source = "
                "exchange takes its time"
            )
        else:
            expiry = coming[self._place]
        return expiry, next((one for one in self._listed if one > expiry), None)


def _place_of(wanted: str | None) -> date | int:
    """An expiry as it is typed: a date, or the place among those to come.

    Raises:
        UsageError: neither.
    """
    places = {None: 0, "nearest": 0, "next": 1}
    if wanted in places:
        return places[wanted]
    try:
        return date.fromisoformat(str(wanted))
    except ValueError:
        raise UsageError(
            f"--expiry {wanted!r} is not a date; write YYYY-MM-DD, nearest or next"
        ) from None


def _dates(texts: list[str]) -> list[date]:
    try:
        return sorted({date.fromisoformat(text) for text in texts})
    except ValueError:
        raise BadData(f"the broker's list of expiries has no dates: {texts[:3]}") from None


def _over(expiry: date, at_ns: int, segment: str) -> bool:
    """Whether an expiry has been."""
    today = exchange_date(at_ns)
    if expiry != today:
        return expiry < today
    try:
        return at_ns >= expiry_ns(expiry, segment)
    except OutOfCalendar:
        return False


def _shown(days: list[date]) -> str:
    more = f", ... ({len(days)} in all)" if len(days) > NAMED else ""
    return ", ".join(map(str, days[:NAMED])) + more


def snapshot_of(said: Chain, name: str, expiry: date, at_ns: int) -> Snapshot:
    """The broker's chain as a snapshot; a price of 0 is no quote.

    Raises:
        BadData: strikes twice, or a value that cannot be.
    """
    return _made(said, name, expiry, at_ns, said.last / PAISE,
                 {"call": "last", "call_oi": "oi", "call_volume": "volume"})  # fmt: skip


def previous_of(said: Chain, name: str, expiry: date, at_ns: int) -> Snapshot:
    """Closes, open interest and volume of the day before, which the broker sends with a chain.

    Open interest that is 0 at every strike was not told.

    Raises:
        BadData: strikes twice, or a value that cannot be.
    """
    told = any(side is not None and side.previous_oi for row in said.rows
               for side in (row.call, row.put))  # fmt: skip
    return _made(said, name, expiry, at_ns, 0.0,
                 {"call": "previous_close", "call_oi": "previous_oi" if told else "",
                  "call_volume": "previous_volume"})  # fmt: skip


def _made(
    said: Chain, name: str, expiry: date, at_ns: int, spot: float, fields: dict[str, str]
) -> Snapshot:
    columns = {}
    for column, attribute in fields.items():
        scale = PAISE if column == "call" else 1.0
        for side in ("call", "put"):
            values = np.array([_value(row, side, attribute) for row in said.rows])
            columns[column.replace("call", side)] = values / scale
    strike = np.array([row.strike for row in said.rows]) / PAISE
    try:
        return snapshot(at_ns, name, expiry, strike, spot=spot, **columns)
    except UsageError as error:
        raise BadData(f"the broker's chain of {name} {expiry}: {error}") from None


def _value(row: ChainRow, side: str, attribute: str) -> float:
    """One figure of an option; of one that the broker does not list nothing is open or traded."""
    option = row.call if side == "call" else row.put
    if not attribute:
        return float("nan")
    return 0.0 if option is None else float(getattr(option, attribute))
