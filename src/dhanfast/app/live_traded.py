"""What an engine trades, as its composition sees it: one future, or a structure of options.

`live_one.OneFuture` and `live_legs.Structure` are such things; `live_build` builds the same engine
around either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.live.journal import Journal
from dhanfast.clock import Clock
from dhanfast.engine.margin_asker import MarginAsker
from dhanfast.engine.reconcile import Comparing, KillSwitch
from dhanfast.engine.served import ServedRun
from dhanfast.engine.settings import Settings

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.rest import DhanRest
    from dhanfast.market.master import Contract


@dataclass(frozen=True, slots=True)
class Compared:
    """The broker's side of an engine's account.

    Attributes:
        account: can be barred. comparing: compares the run with it; None: by its one position.
    """

    account: KillSwitch
    comparing: Comparing | None


class Traded(Protocol):
    """What is traded on one day.

    Attributes:
        contract: what a person calls it by, the feed's number 0.
        watch: ends calls of its strategy that take too long, once `run` was called; None: nobody.
    """

    contract: "Contract"
    watch: CallWatch | None

    @property
    def watched(self) -> Sequence["Contract"]:
        """What the run needs of the feed, by its numbers; known after `begin`."""
        ...

    @property
    def names(self) -> Mapping[int, str] | None:
        """Of contracts, by their numbers; None: there is one, and it is `contract`."""
        ...

    @property
    def words(self) -> list[Any]:
        """What decisions depend on of it: only the same goes on with a journal."""
        ...

    async def begin(self, found: Mapping[str, Any] | None, rest: "DhanRest") -> None:
        """Settle what is settled once a day.

        Args:
            found: what the day was started with; None: it begins now.
        """
        ...

    def started(self) -> dict[str, Any]:
        """What the START record of a day must tell of it."""
        ...

    def settings(self, start: dict[str, Any], mode: str) -> Settings:
        """What the day's engine takes.

        Raises:
            ConfigError: it cannot be traded with.
        """
        ...

    def check(self, settings: Settings) -> None:
        """Whether our dated tables and the broker's list say the same.

        Raises:
            BadData: they differ: orders would be refused or too large.
        """
        ...

    def run(
        self, settings: Settings, journal: Journal, courier: Any, start: dict[str, Any],
        vix: int | None,
    ) -> ServedRun:  # fmt: skip
        """The day's run, before its first input or the repeating of its journal."""
        ...

    def ordered(self) -> dict[tuple[str, str], int]:
        """What may be ordered: (segment, security id) -> the number that orders have."""
        ...

    def asker(self, run: Any, rest: Any, clock: Clock) -> MarginAsker | None:
        """Asks the broker what entries need; None: it is not asked."""
        ...

    def compared(self, run: Any, rest: Any, clock: Clock, tag: str) -> Compared:
        """The broker's side of the account."""
        ...
