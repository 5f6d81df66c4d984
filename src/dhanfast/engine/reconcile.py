"""A live run beside the broker's books: the broker is right about positions, we about intent.

A difference must be seen twice in a row, with no request in flight, to be believed: a fill may lie
between two reads. Units of ours that are gone at the broker, and that trades of somebody else
explain, were closed elsewhere and are booked as such. Anything else is told of, and nobody trades
on it.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.records import Seen
from dhanfast.clock import Clock
from dhanfast.engine.served import ServedRun

SLACK_NS: Final = 5_000_000_000  # between the clocks of engine and broker
AGREE_AFTER: Final = 2  # looks in a row at which the two must differ to be believed
_LOG: Final = logging.getLogger("dhanfast.engine")


class KillSwitch(Protocol):
    """Whose account can be barred."""

    async def kill_switch(self, on: bool) -> str:
        """Throw the broker's own kill switch; what it said.

        Raises:
            DhanfastError: it was not thrown.
        """
        ...


class OrderBook(Protocol):
    """Whose orders can be read."""

    async def updates(self) -> Sequence[Any]:
        """Every order of the day that is of this journal, UPDATE_DTYPE records."""
        ...


class Account(OrderBook, KillSwitch, Protocol):
    """What a real broker says of the account."""

    async def position(self) -> int:
        """Signed units held of what is traded."""
        ...

    async def closed_elsewhere(self, side: int, since_ns: int) -> tuple[int, int]:
        """(units, value in paise) that orders of others traded on a side since a market time."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one comparison found.

    Attributes:
        settled: it could be made: nothing was on its way, and a difference was seen often enough.
        agreed: both have the same.
        note: the difference, for people; empty when there is none to act on.
    """

    settled: bool
    agreed: bool
    note: str = ""


MOVED: Final = Verdict(settled=False, agreed=False)


Position = TypeVar("Position")


class Comparing(Protocol):
    """Compares a run with an account, again and again."""

    @property
    def compared_ns(self) -> int:
        """When a comparison was last made, UTC ns; 0 = never."""
        ...

    @property
    def said(self) -> set[str]:
        """Notes given so far."""
        ...

    async def compare(self) -> Verdict:
        """Read the broker's books, use what they tell, and compare.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        ...


class Comparison(ABC, Generic[Position]):
    """What every comparison has: a run, the orders of its journal, and patience.

    Args:
        run: with a remote broker. clock: of the machine. account: the broker's side.
    Attributes:
        compared_ns: when a comparison was last made, UTC ns; 0 = never. said: notes given so far.
    """

    def __init__(self, run: ServedRun, clock: Clock, account: OrderBook) -> None:
        self._run, self._clock, self._orders = run, clock, account
        self._one = asyncio.Lock()
        self._differed = 0
        self._unknown: frozenset[int] = frozenset()
        self.compared_ns = 0
        # The market's time then: asked for later, the loop would give that of its last input.
        self._agreed_ns = run.loop.market_time(clock.now_ns())
        self.said: set[str] = set()

    @abstractmethod
    def _ours(self) -> Position:
        """What the run holds."""

    @abstractmethod
    async def _theirs(self) -> Position:
        """What the broker holds."""

    @abstractmethod
    async def _difference(self, ours: Position, theirs: Position) -> Verdict:
        """The broker's position is another than ours, and stays so."""

    async def compare(self) -> Verdict:
        """Read the broker's books, use what they tell, and compare.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        async with self._one:
            return await self._compare()

    async def _compare(self) -> Verdict:
        updates = await self._orders.updates()
        for update in updates:
            self._run.loop.use_update(update)
        unknown = self._strangers(updates)
        before = self._ours()
        theirs = await self._theirs()
        ours = self._ours()
        if ours != before or self._unsettled():
            self._differed = 0
            return MOVED  # something moved meanwhile: look again
        self.compared_ns = self._clock.now_ns()
        again, self._unknown = self._unknown & unknown, unknown
        if again:
            return self._told(
                f"order {min(again)} of this journal works at the broker, and this engine does not "
                "know it: cancel it in the broker's terminal, or `dhanfast panic`"
            )
        if theirs == ours:
            self._differed = 0
            self._agreed_ns = self._run.loop.market_time(self.compared_ns)
            return Verdict(settled=True, agreed=True)
        self._differed += 1
        if self._differed < AGREE_AFTER:
            return MOVED
        return await self._difference(ours, theirs)

    def _strangers(self, updates: Sequence[Any]) -> frozenset[int]:
        """Orders of this journal that work at the broker and that nobody here knows."""
        if self._run.remote is None:
            return frozenset()
        known = {order["number"] for order in self._run.remote.orders_there()}
        return frozenset(
            int(update["order"])
            for update in updates
            if update["order"] and Seen.TRANSIT <= update["seen"] <= Seen.PENDING
            and int(update["order"]) not in known
        )  # fmt: skip

    def _unsettled(self) -> bool:
        """Whether any order at the broker has a request in flight or is in doubt."""
        remote = self._run.remote
        return remote is not None and any(
            order["waits"] or order["state"] != "working" for order in remote.orders_there()
        )

    def _told(self, note: str) -> Verdict:
        self.said.add(note)
        return Verdict(settled=True, agreed=False, note=note)

    def _since_ns(self) -> int:
        """The market's time of the last agreement, with room for two clocks."""
        return self._agreed_ns - SLACK_NS


class Reconciler(Comparison[int]):
    """Compares a run of one instrument with an account.

    Args:
        run: with a remote broker. clock: of the machine. account: the broker's side.
    """

    def __init__(self, run: ServedRun, clock: Clock, account: Account) -> None:
        super().__init__(run, clock, account)
        self._account = account

    def _ours(self) -> int:
        return self._run.kernel.position

    async def _theirs(self) -> int:
        return await self._account.position()

    async def _difference(self, ours: int, theirs: int) -> Verdict:
        """The broker's position is another than ours, and stays so."""
        if ours and ours * theirs >= 0 and abs(theirs) < abs(ours):
            # A position list may lag behind its orders: only somebody else's trades explain it.
            missing = abs(ours) - abs(theirs)
            units, value = await self._account.closed_elsewhere(
                -1 if ours > 0 else 1, self._since_ns()
            )
            price = value // units if units == missing else 0
            if price:
                self._run.loop.command(
                    Command.CLOSED_ELSEWHERE, self._clock.now_ns(), units=missing, price=price
                )
            booked = abs(ours) - abs(self._run.kernel.position)
            if booked:
                _LOG.warning("%d units were closed elsewhere: booked at %.2f", booked, price / 100)
                self._differed = 0
                return MOVED
        return self._told(
            f"the broker holds {theirs:+,} units, this engine {ours:+,}: entries wait until they "
            "agree; close the difference in the broker's terminal, or `dhanfast panic`"
        )
