"""The live feed of `dhanfast trade`: what is subscribed, and who besides the engine takes it.

[feed] ring publishes every tick that comes, of [feed] instruments too, to a broadcast ring; the
engine has used a tick before it is published, and a reader that is slow or absent changes nothing.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from dhanfast.app.config import Config
from dhanfast.app.live_market import Market
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.clock import Clock
from dhanfast.engine.recording import About, write_about
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.security.tokens import TokenSource

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.feed import DhanFeed
    from dhanfast.brokers.dhan.feed_pool import CrossCheck
    from dhanfast.brokers.dhan.feed_requests import Security
    from dhanfast.brokers.dhan.rest import DhanRest
    from dhanfast.market.master import Contract, Master

TRADED: Final = 0  # the feed's number of what is traded
VIX_NAMES: Final = ("INDIA VIX", "INDIAVIX")
RING_SLOTS: Final = 1 << 17  # seconds of a whole exchange
RING_TAG: Final = "tick"
BEAT_S: Final = 1.0
NEWER_NS: Final = 5_000_000_000  # REST's time of a trade is in seconds, and comes by another way


class FeedRing:
    """The feed's ring: described, published to by the intake, alive while the engine is.

    Args:
        name: of the ring. about: what a recorder should know.
    Raises:
        UsageError: another program publishes to it.
    """

    def __init__(self, name: str, about: About) -> None:
        from dhanfast._core.broadcast import BroadcastWriter
        from dhanfast._core.types import TICK_DTYPE

        write_about(name, about)
        self.name = name
        self.writer = BroadcastWriter(
            name, record_bytes=TICK_DTYPE.itemsize, slots=RING_SLOTS, tag=RING_TAG
        )

    async def beat(self, clock: Clock) -> None:
        """Show that the publisher lives, also while nothing comes; until cancelled."""
        while True:
            self.writer.heartbeat()
            await clock.sleep(BEAT_S)

    def close(self) -> None:
        """The day is over: a recorder takes the rest and seals its file."""
        self.writer.close()


def vix_of(master: "Master") -> "Contract":
    """India VIX in the broker's list.

    Raises:
        BadData: it is not there: guards that look at it would let nothing through.
    """
    rows = [row for name in VIX_NAMES for row in master.pick(name, segment="IDX_I", kind="IDX")]
    if not rows:
        raise BadData(
            "the instrument list has no India VIX (IDX_I), and a guard looks at it: switch "
            "risk.guards.vix off, or look for it: dhanfast instruments find VIX"
        )
    return master.contract(int(rows[0]))


def tick_of(contract: "Contract") -> int:
    """What prices are snapped to, paise: an index has no tick, it is given to the paisa."""
    return 1 if contract.kind == "IDX" else contract.tick or 1


def subscribed(
    config: Config, master: "Master", contract: "Contract", more: Iterable["Contract"] = ()
) -> list["Contract"]:
    """What the feed carries, each once, what is traded first: a place is the feed's number of it.

    Args:
        more: that the engine needs besides what is traded.
    Raises:
        UsageError: the list of the day does not know an instrument of [feed].
        ConfigError: one whose price is no whole number of paise.
    """
    wanted = [contract, *more]
    for text in config.feed.instruments:
        segment, _, number = text.partition(":")
        try:
            found = master.get(segment, int(number))
        except UsageError as error:
            raise UsageError(f"feed.instruments: {text}: {error}") from None
        if not found.tick and found.tick_micros:
            raise ConfigError(
                f"feed.instruments: {text}: the tick of {found.symbol} is no whole number of "
                "paise, and prices are kept in paise: leave it out"
            )
        wanted.append(found)
    by_key = {(each.segment, each.security_id): each for each in reversed(wanted)}
    return [by_key[key] for key in dict.fromkeys((e.segment, e.security_id) for e in wanted)]


def listed(index: int, contract: "Contract", symbol: str) -> dict[str, Any]:
    """An instrument as an archive lists it."""
    option = contract.is_option
    return {
        "index": index,
        "symbol": symbol,
        "kind": "OPT" if option else contract.kind,
        "tick": tick_of(contract),
        "lot": contract.lot or 1,
        "expiry": None if contract.expiry is None else contract.expiry.isoformat(),
        "strike": contract.strike if option else None,
        "right": contract.kind if option else None,
        "segment": contract.segment,
        "security_id": contract.security_id,
    }


def about_feed(contracts: Sequence["Contract"], market: Market) -> About:
    """What a recorder should know of the feed's ring."""
    names = [each.symbol for each in contracts]
    return About(
        source=f"dhan live feed, {market.day}" + "".join(f"; {note}" for note in market.notes),
        generated=market.generated,
        instruments=tuple(
            listed(
                place,
                each,
                each.symbol if names.count(each.symbol) == 1 else f"{each.symbol} {each.segment}",
            )
            for place, each in enumerate(contracts)
        ),
    )


def live_feed(
    config: Config, hosts: Hosts, tokens: TokenSource, clock: Clock, loop: Any,
    market: Market, contracts: Sequence["Contract"], rest: "DhanRest | None", ring: FeedRing | None,
) -> "DhanFeed":  # fmt: skip
    """The feed, subscribed and not yet started.

    Args:
        contracts: what is subscribed; see `subscribed`.
        rest: asked when a socket stays silent; None: nobody can be.
        ring: takes every tick as well.
    """
    from dhanfast._core.live.intake import FeedIntake
    from dhanfast._core.wire.dhan import DhanDecoder
    from dhanfast.brokers.dhan.feed import DhanFeed, FeedSettings
    from dhanfast.brokers.dhan.feed_connection import World
    from dhanfast.brokers.dhan.feed_door import Door
    from dhanfast.brokers.dhan.feed_requests import Mode, Security
    from dhanfast.brokers.dhan.feed_socket import picows_connect
    from dhanfast.brokers.dhan.feed_watch import Hours, WatchSettings
    from dhanfast.brokers.link import Backoff
    from dhanfast.market.calendar import Calendar

    rng = random.Random(clock.now_ns())
    securities = [Security.of(each.segment, each.security_id) for each in contracts]
    table = [
        (security.segment, security.security_id, place, tick_of(contract))
        for place, (security, contract) in enumerate(zip(securities, contracts, strict=True))
    ]
    decoder = DhanDecoder(table, depth=False, stats=False)
    writer = None if ring is None else ring.writer
    intake = FeedIntake(decoder, loop, writer=writer, clock=clock)
    if writer is not None:
        intake.set_market(market.wall_ns, market.market_ns, market.speed)
    told = config.feed
    backoff = Backoff(first_s=told.reconnect_first.seconds, most_s=told.reconnect_max.seconds)
    check = None if rest is None else token_check(rest, tokens)
    world = World(
        clock, rng, tokens, Door(clock, rng), picows_connect, check=check, backoff=backoff
    )
    feed = DhanFeed(
        hosts.feed,
        intake,
        world,
        hours=Hours(Calendar.load()),
        settings=FeedSettings(1, watch=WatchSettings(stale_s=max(1.0, told.stale_after.seconds))),
        market_clock=market,
        cross_check=None
        if rest is None
        else newer_at_rest(rest, lambda each: market.at(seen) if (seen := heard(each)) else 0),
    )

    def heard(security: "Security") -> int:
        place = intake.table.find(*security)
        return 0 if place is None else feed.seen_ns(place)

    feed.subscribe(securities, Mode[told.mode.upper()])
    return feed


def token_check(rest: "DhanRest", tokens: TokenSource) -> Callable[[Any], Any]:
    """Asks the broker whether a token still counts, for a socket that stays silent."""

    async def alive(token: Any) -> bool:
        await rest.profile()  # NotAuthenticated: it does not, nor does a renewed one
        return bool(await tokens.token() == token)  # else REST has renewed it meanwhile

    return alive


def newer_at_rest(rest: "DhanRest", heard_ns: Callable[["Security"], int]) -> "CrossCheck":
    """Asks the broker's REST side which securities have traded after the feed's last packet.

    Args:
        rest: keeps the broker's limit of snapshots by itself.
        heard_ns: the market's time of the last packet of a security; 0 = none yet.
    """
    from dhanfast.brokers.dhan.feed_requests import SEGMENT_NAMES
    from dhanfast.brokers.dhan.requests_data import IDS_MAX

    async def moved(securities: Sequence["Security"]) -> Sequence["Security"]:
        found: list[Security] = []
        for first in range(0, len(securities), IDS_MAX):
            part = securities[first : first + IDS_MAX]
            ids: dict[str, list[int]] = {}
            for each in part:
                ids.setdefault(SEGMENT_NAMES[each.segment], []).append(each.security_id)
            told = await rest.quote(ids)
            for each in part:
                seen = told.get((SEGMENT_NAMES[each.segment], each.security_id))
                if seen is not None and seen.last_trade_ns > heard_ns(each) + NEWER_NS:
                    found.append(each)
        return found

    return moved
