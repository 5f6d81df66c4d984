"""Dhan's live market feed: ticks of up to 25,000 instruments over up to five connections.

intake = FeedIntake(DhanDecoder(instruments), sink, clock=clock)
feed = DhanFeed(hosts.feed, intake, world, hours=Hours(Calendar.load()))
feed.subscribe([Security.of("NSE_FNO", 49081)], Mode.FULL)
await feed.run()        # in a task of the engine's group, until feed.close()
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dhanfast._core.live.intake import FeedIntake
from dhanfast.brokers.dhan.feed_connection import World
from dhanfast.brokers.dhan.feed_pool import CrossCheck, FeedPool
from dhanfast.brokers.dhan.feed_requests import Credentials, Mode, Security, address, requests
from dhanfast.brokers.dhan.feed_subscriptions import Change, Subscriptions
from dhanfast.brokers.dhan.feed_watch import Hours, WatchSettings
from dhanfast.clock import Clock
from dhanfast.errors import ConfigError, UsageError

CONNECTIONS_MAX = 5  # a sixth makes the broker drop the oldest
PER_CONNECTION_MAX = 5_000


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """Size and patience of the live feed.

    Attributes:
        connections: that may be opened; leave some to other programs of the account.
        per_connection: subscriptions of each; a new one is opened when the last is full.

    Raises:
        ConfigError: more than the broker allows, or none.
    """

    connections: int = CONNECTIONS_MAX
    per_connection: int = PER_CONNECTION_MAX
    watch: WatchSettings = field(default_factory=WatchSettings)

    def __post_init__(self) -> None:
        """Refuse what the broker would."""
        for name, most in (
            ("connections", CONNECTIONS_MAX),
            ("per_connection", PER_CONNECTION_MAX),
        ):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ConfigError(f"{name} of the feed must be from 1 to {most}, was {value}")


@dataclass(frozen=True, slots=True)
class LiveSpeech:
    """How the live feed is spoken to.

    Args:
        base: its address, without a query.
    """

    base: str

    def address(self, token: Credentials, fruitless: int) -> str:
        """See Speech."""
        return address(self.base, token, live=True)

    def ask(self, mode: Mode, securities: Sequence[Security]) -> list[str]:
        """See Speech."""
        return requests(mode, securities)

    def leave(self, mode: Mode, securities: Sequence[Security]) -> list[str]:
        """See Speech."""
        return requests(mode.leave, securities)


class DhanFeed(FeedPool):
    """The live market feed; see FeedPool for its life.

    Args:
        base: its address, `Hosts.feed`.
        intake: takes its messages; its table has every instrument that may be wanted.
        world, hours, market_clock, cross_check: as FeedPool.
    """

    def __init__(
        self,
        base: str,
        intake: FeedIntake,
        world: World,
        *,
        hours: Hours,
        settings: FeedSettings | None = None,
        market_clock: Clock | None = None,
        cross_check: CrossCheck | None = None,
    ) -> None:
        settings = settings or FeedSettings()
        super().__init__(
            "live feed",
            intake,
            Subscriptions(settings.per_connection, settings.connections),
            LiveSpeech(base),
            world,
            hours=hours,
            watch=settings.watch,
            market_clock=market_clock,
            cross_check=cross_check,
        )

    def subscribe(self, securities: Iterable[Security], mode: Mode) -> Change:
        """See FeedPool.

        Raises:
            UsageError: also for Mode.DEPTH, which is another feed's.
        """
        if mode is Mode.DEPTH:
            raise UsageError("the live feed has ticker, quote and full; depth is DhanDepth's")
        return super().subscribe(securities, mode)
