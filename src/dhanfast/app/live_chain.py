"""The broker's option chain for the strategy of a paper or live run."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from dhanfast.app.chain_broker import BrokerChains, MarketTime
from dhanfast.app.config import Config
from dhanfast.app.live_market import Market
from dhanfast.engine.chain_watch import Asked, ChainWatch
from dhanfast.engine.live import LiveRun
from dhanfast.engine.served import ServedRun
from dhanfast.errors import ConfigError

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.rest import DhanRest
    from dhanfast.market.master import Master

SWITCH_S: Final = 0.0005
EVERY_MIN_S: Final = 3.0  # the broker gives a chain once in 3 s


def chain_of(
    config: Config, run: ServedRun, master: "Master", rest: "DhanRest", market: Market
) -> ChainWatch | None:
    """What asks for the chain; None when the run's strategy reads no figure of it.

    Raises:
        ConfigError: it is to be asked for more often than the broker allows.
        UsageError: the broker's list has no such underlying. BadData: the history is damaged.
        OutOfCalendar: the day's expiries are not known.
    """
    from dhanfast.brokers.dhan.history_lines import underlying_of

    if not isinstance(run, LiveRun) or not run.figures:
        return None
    told = config.chain
    if told.every.seconds < EVERY_MIN_S:
        raise ConfigError(
            f"chain.every must be at least {EVERY_MIN_S:g}s, was {told.every}: the broker gives a "
            "chain no more often"
        )
    name = config.strategy.underlying
    found = underlying_of(master, name)
    chains = BrokerChains(
        rest,
        MarketTime(market.clock, market.wall_ns, market.market_ns, market.speed, market.generated),
        found.symbol if found.kind == "EQ" else found.underlying or found.symbol,
        found.segment,
        found.security_id,
        _wanted(told.expiry, name, market),
        aside=asyncio.to_thread,
    )
    # What the broker sent is read in a thread of its own; ticks wait for it no longer than this.
    sys.setswitchinterval(SWITCH_S)

    async def fetch() -> Asked:
        answer = await chains.fetch()
        return Asked(answer.rows, answer.previous, answer.is_open)

    return ChainWatch(
        run.loop,
        market.clock,
        fetch,
        figures=run.figures,
        near=told.near,
        past=_past(config, name, market),
        every_s=max(told.every.seconds / market.speed, EVERY_MIN_S),
    )


def _wanted(expiry: str, name: str, market: Market) -> str:
    """An expiry as the broker's chains take it."""
    if expiry != "monthly":
        return expiry
    from dhanfast.market.optionsessions import option_expiries

    return str(option_expiries(name, market.day)["monthly"])


def _past(config: Config, name: str, market: Market) -> list[Any]:
    """Volatilities of the sessions before, oldest first."""
    from pathlib import Path

    from dhanfast.storage.volatility import VolatilityStore

    told = config.chain.history
    path = Path(told) if told else config.folders.volatility
    return [one.volatility for one in VolatilityStore(path).days(name, before=market.day)]
