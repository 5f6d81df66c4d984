"""Dhan's depth feeds: 20 levels of up to 50 instruments a connection, or 200 levels of one.

Only NSE_EQ and NSE_FNO have depth. Bid and ask come apart and without a shared number: a book is
the latest of each, and may be crossed for a moment. For 200 levels the broker's own sources name
two paths, and tokens made by API have been seen to be dropped without a word; so a connection that
brought nothing tries the other path next, and the error says how the token was made.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from dhanfast._core.live.intake import DepthIntake
from dhanfast.brokers.dhan.feed_connection import World
from dhanfast.brokers.dhan.feed_pool import CrossCheck, FeedPool
from dhanfast.brokers.dhan.feed_requests import (
    DEPTH_LEAVE,
    SEGMENTS,
    Credentials,
    Mode,
    Security,
    address,
    requests,
)
from dhanfast.brokers.dhan.feed_subscriptions import Change, Subscriptions
from dhanfast.brokers.dhan.feed_watch import Hours, WatchSettings
from dhanfast.clock import Clock
from dhanfast.errors import ConfigError, UsageError

PER_CONNECTION: Final = {20: 50, 200: 1}
PATHS_200: Final = ("/", "/twohundreddepth")
WITH_DEPTH: Final = (SEGMENTS["NSE_EQ"], SEGMENTS["NSE_FNO"])


@dataclass(frozen=True, slots=True)
class DepthSettings:
    """Which depth, how much of it, and where the broker's sources disagree.

    Attributes:
        levels: 20 or 200.
        connections: that may be opened; whether they count with those of the live feed is not
            documented.
        leave_code: request code that unsubscribes: 24, or 25 as the broker's portal has it.

    Raises:
        ConfigError: a field is out of range.
    """

    levels: int = 20
    connections: int = 5
    leave_code: int = DEPTH_LEAVE
    watch: WatchSettings = field(default_factory=WatchSettings)

    def __post_init__(self) -> None:
        """Refuse what the broker would."""
        if self.levels not in PER_CONNECTION:
            raise ConfigError(f"levels of a depth feed must be 20 or 200, was {self.levels}")
        if not 1 <= self.connections <= 5:
            raise ConfigError(f"connections must be from 1 to 5, was {self.connections}")
        if self.leave_code not in (24, 25):
            raise ConfigError(f"leave_code must be 24 or 25, was {self.leave_code}")


@dataclass(frozen=True, slots=True)
class DepthSpeech:
    """How a depth feed is spoken to.

    Args:
        base: its address, without a query. settings: which one it is.
    """

    base: str
    settings: DepthSettings

    def address(self, token: Credentials, fruitless: int) -> str:
        """See Speech."""
        path = urlsplit(self.base).path or "/"
        if self.settings.levels == 200 and fruitless % 2 and path in PATHS_200:
            path = PATHS_200[1 - PATHS_200.index(path)]
        return address(self.base, token, live=False, path=path)

    def ask(self, mode: Mode, securities: Sequence[Security]) -> list[str]:
        """See Speech."""
        return requests(Mode.DEPTH, securities, flat=self.settings.levels == 200)

    def leave(self, mode: Mode, securities: Sequence[Security]) -> list[str]:
        """See Speech."""
        return requests(self.settings.leave_code, securities)


class DhanDepth(FeedPool):
    """A depth feed; see FeedPool for its life.

    Args:
        base: its address, `Hosts.depth20` or `Hosts.depth200`.
        intake: takes its messages; its decoder is of as many levels as the settings say.
        world, hours, market_clock, cross_check: as FeedPool.
    """

    def __init__(
        self,
        base: str,
        intake: DepthIntake,
        world: World,
        *,
        hours: Hours,
        settings: DepthSettings | None = None,
        market_clock: Clock | None = None,
        cross_check: CrossCheck | None = None,
    ) -> None:
        settings = settings or DepthSettings()
        super().__init__(
            f"{settings.levels}-level depth",
            intake,
            Subscriptions(PER_CONNECTION[settings.levels], settings.connections),
            DepthSpeech(base, settings),
            world,
            hours=hours,
            watch=settings.watch,
            market_clock=market_clock,
            cross_check=cross_check,
        )

    def subscribe(self, securities: Iterable[Security], mode: Mode = Mode.DEPTH) -> Change:
        """See FeedPool.

        Raises:
            UsageError: also for another mode, or a segment without depth.
        """
        wanted = list(securities)
        if mode is not Mode.DEPTH:
            raise UsageError("a depth feed has depth only; ticker, quote and full are DhanFeed's")
        for each in wanted:
            if each.segment not in WITH_DEPTH:
                raise UsageError(f"{each} has no depth: the broker has it for NSE_EQ and NSE_FNO")
        return super().subscribe(wanted, mode)

    def unsubscribe(self, securities: Iterable[Security], mode: Mode = Mode.DEPTH) -> Change:
        """See FeedPool."""
        return super().unsubscribe(securities, mode)
