"""The market of a live engine: whose time it is, which day, and the contract that is traded."""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast.app.config import Config
from dhanfast.app.config_folders import Folders
from dhanfast.clock import Clock
from dhanfast.engine.live import trading_day
from dhanfast.engine.settings import Settings
from dhanfast.errors import BadData, ConfigError, DhanfastError

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.hosts import Hosts
    from dhanfast.market.master import Contract, Master

SEGMENT: Final = "NSE_FNO"
MINUTE_NS: Final = 60_000_000_000
RECORDED_NOTE: Final = "The market is a recorded one, served by `dhanfast exchange`: not today's."


@dataclass(frozen=True, slots=True)
class Market:
    """The market's time against the machine's, and the trading day.

    Units:
        UTC ns. `speed` market seconds a second.

    Attributes:
        ends_ns: the market's time at which the day's service ends.
        generated: prices are not those of a real market.
    """

    clock: Clock
    wall_ns: int
    market_ns: int
    speed: float
    day: dt.date
    ends_ns: int
    generated: bool
    notes: tuple[str, ...]

    def at(self, wall_ns: int) -> int:
        """The market's time at a time of the machine."""
        return self.market_ns + int((wall_ns - self.wall_ns) * self.speed)

    def now_ns(self) -> int:
        """The market's time now; so a Market is a clock for who watches hours."""
        return self.at(self.clock.now_ns())

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of the market's time."""
        await self.clock.sleep(seconds / self.speed)


async def market_of(config: Config, clock: Clock) -> Market:
    """The market's time as the configuration says: the machine's, or the loopback exchange's.

    Raises:
        ConfigError: the exchange has no speed that could be kept up with.
        DhanfastError: the exchange does not answer. OutOfCalendar: a day outside the tables.
    """
    from dhanfast.market.calendar import Calendar

    wall_ns = clock.now_ns()
    market_ns, speed = wall_ns, 1.0
    notes: tuple[str, ...] = ()
    generated, place = False, config.broker.exchange.rstrip("/")
    if place:
        generated = bool((await _asked(f"{place}/exchange/status")).get("generated"))
        notes = () if generated else (RECORDED_NOTE,)
    if config.clock.source == "exchange":
        said = await _asked(f"{place}/exchange/clock")
        wall_ns = clock.now_ns()
        market_ns, speed = int(said["market_ns"]), float(said["speed"] or 0)
        if speed <= 0:
            raise ConfigError("the exchange runs at full speed: start it with a --speed, as 60x")
    day = trading_day(market_ns)
    hours = Calendar.load().day(day, SEGMENT)
    if hours is None:
        raise DhanfastError(f"{day} is no trading day; start again on the next one")
    ends_ns = hours.close_ns + MINUTE_NS
    if market_ns >= ends_ns:
        raise DhanfastError(f"the market of {day} has closed; start again on the next trading day")
    return Market(clock, wall_ns, market_ns, speed, day, ends_ns, generated, notes)


async def _asked(url: str) -> Any:
    import aiohttp

    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as web, web.get(url) as answer:
            return json.loads(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise DhanfastError(
            f"no exchange at {url}: {error}; start one with `dhanfast exchange --generate`"
        ) from None


def master_of(hosts: "Hosts", folders: Folders, market: Market, clock: Clock) -> "Master":
    """The broker's list of the day: what it calls every instrument.

    Raises:
        BadData, DhanfastError: the list cannot be had, or is not to be believed.
    """
    from dhanfast.brokers.dhan_instruments import DEFAULT_FORM, ROWS_MIN, from_address
    from dhanfast.brokers.download import Limits
    from dhanfast.storage.masters import MasterStore, UpdateOptions

    folder: Path = folders.instruments
    address = f"{hosts.instruments}/api-scrip-master-detailed.csv"
    limits = Limits(plain_http=False)
    rows_min = ROWS_MIN
    if hosts.is_loopback:
        folder, rows_min = folder / "loopback", 1  # its contracts are not those of the real market
        limits = Limits(plain_http=True)
    store = MasterStore(folder)
    options = UpdateOptions(DEFAULT_FORM, market.day, rows_min, 0.01, hosts.is_loopback, 730)
    store.update(from_address(address, limits, clock, fresh=hosts.is_loopback), options, clock)
    return store.load(store.newest())


def contract_of(master: "Master", underlying: str, day: dt.date) -> "Contract":
    """The front-month future of an underlying.

    Raises:
        BadData, UsageError: the list has no such future.
    """
    rows = master.pick(underlying, segment=SEGMENT, kind="FUT")
    listed = [master.contract(int(row)) for row in rows]
    coming = sorted(
        (each for each in listed if each.expiry is not None and each.expiry >= day),
        key=lambda each: each.expiry or dt.date.max,
    )
    if not coming:
        raise BadData(
            f"the instrument list of {day} has no future of {underlying} in {SEGMENT}: choose an "
            "underlying that `dhanfast instruments find` shows with one"
        )
    return coming[0]


def sessions_of_day(
    config: Config, settings: Settings, market: Market, contract: "Contract"
) -> None:
    """Whether our dated tables and the broker's list say the same of the contract.

    Raises:
        BadData: they differ in expiry, lot or tick: orders would be refused or too large.
    """
    from dhanfast.engine.runs import sessions_between

    sessions = sessions_between(
        config.strategy.underlying, market.day, market.day, settings, MINUTE_NS
    )
    if len(sessions) == 0:
        raise DhanfastError(f"{market.day} is no trading day of {config.strategy.underlying}")
    row = sessions[0]
    assert contract.expiry is not None
    for name, ours, theirs in (
        ("expiry", int(row["contract"]), int(f"{contract.expiry:%Y%m%d}")),
        ("lot", int(row["lot"]), contract.lot),
        ("tick in paise", int(row["tick"]), contract.tick),
    ):
        if ours != theirs:
            raise BadData(
                f"{contract.symbol}: {name} is {theirs} in the broker's list and {ours} in the "
                f"dated tables for {market.day}: nothing is traded until they agree"
            )
