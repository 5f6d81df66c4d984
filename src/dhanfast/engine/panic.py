"""The way out without an engine: cancel what works, exit what is held, prove it by reading.

Every step is tried whatever became of the one before; what failed is told, and only what the
broker's own books show counts as done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from dhanfast._core.live.records import Seen
from dhanfast.brokers.base import Accepted, OrderSeen, Outcome, PositionSeen, Refused
from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError, NotAuthenticated

OPEN: Final = (Seen.UNCLEAR, Seen.TRANSIT, Seen.PENDING)
LOOKS: Final = 15  # at the positions, until they are flat
PAUSE_S: Final = 1.0


class PanicBroker(Protocol):
    """What panic needs of a broker."""

    async def orders(self) -> list[OrderSeen]:
        """The order book of the day."""
        ...

    async def cancel(self, order_id: str) -> Outcome:
        """Cancel one order."""
        ...

    async def exit_all(self) -> Outcome:
        """Close every position and cancel every order of the account."""
        ...

    async def positions(self) -> list[PositionSeen]:
        """What is held."""
        ...

    async def kill_switch(self, on: bool) -> Outcome:
        """Bar the account from trading for the rest of the day."""
        ...


@dataclass(frozen=True, slots=True)
class PanicResult:
    """What panic did, and what is left.

    Attributes:
        cancelled: orders whose end the book shows. closed: positions that are flat now.
        orders_left, positions_left: still there at the last look; None = could not be read.
        kill_switch: empty when not asked for, else what became of it.
        problems: what went wrong on the way, in order.
    """

    cancelled: int
    closed: int
    orders_left: tuple[OrderSeen, ...] | None
    positions_left: tuple[PositionSeen, ...] | None
    kill_switch: str
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether the broker's books show nothing open, and the kill switch did what was asked."""
        flat = self.orders_left == () and self.positions_left == ()
        return flat and self.kill_switch in ("", "on")


class Panic:
    """One panic.

    Args:
        broker: whose account.
        clock: of the pauses between two looks.
        told: hears each step as it is done.
        looks: at the positions before it gives up.
        pause_s: between two looks.
    """

    def __init__(
        self,
        broker: PanicBroker,
        clock: Clock,
        *,
        told: Callable[[str], None] = lambda _: None,
        looks: int = LOOKS,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._broker, self._clock, self._told = broker, clock, told
        self._looks, self._pause_s = looks, pause_s
        self._problems: list[str] = []

    async def run(self, *, kill: bool = False) -> PanicResult:
        """Do it.

        Args:
            kill: throw the broker's kill switch when everything is flat.
        Raises:
            NotAuthenticated: there is no token, so nothing was done.
        """
        before = await self._positions(first=True) or ()
        held = [one for one in before if one.qty]
        self._told(f"open positions: {len(held)}")
        orders = await self._orders() or ()
        for order in orders:
            self._hear(f"cancel order {order.order_id}", await self._cancelled(order.order_id))
        self._told(f"orders to cancel: {len(orders)}")
        self._hear("exit all positions", await self._exited())
        orders_left, positions_left = await self._watch()
        flat = orders_left == () and positions_left == ()
        switch = await self._switched(flat) if kill else ""
        if kill and switch != "on":
            self._problem(f"kill switch {switch}")
        gone = {order.order_id for order in orders} - {o.order_id for o in orders_left or ()}
        left = {(one.segment, one.security_id, one.product) for one in positions_left or ()}
        closed = [one for one in held if (one.segment, one.security_id, one.product) not in left]
        return PanicResult(
            cancelled=len(gone) if orders_left is not None else 0,
            closed=len(closed) if positions_left is not None else 0,
            orders_left=orders_left,
            positions_left=positions_left,
            kill_switch=switch,
            problems=tuple(self._problems),
        )

    async def _watch(
        self,
    ) -> tuple[tuple[OrderSeen, ...] | None, tuple[PositionSeen, ...] | None]:
        """Look until nothing is open, or long enough."""
        orders: tuple[OrderSeen, ...] | None = None
        positions: tuple[PositionSeen, ...] | None = None
        for look in range(self._looks):
            if look:
                await self._clock.sleep(self._pause_s)
            found = await self._positions()
            positions = None if found is None else tuple(one for one in found if one.qty)
            orders = await self._orders()
            if positions == () and orders == ():
                self._told("nothing is open")
                return orders, positions
        return orders, positions

    async def _orders(self) -> tuple[OrderSeen, ...] | None:
        """Orders that may still fill; None when the book cannot be read."""
        try:
            return tuple(one for one in await self._broker.orders() if one.seen in OPEN)
        except DhanfastError as error:
            self._problem(f"the order book cannot be read: {error}")
            return None

    async def _positions(self, *, first: bool = False) -> Sequence[PositionSeen] | None:
        """What is held; None when it cannot be read."""
        try:
            return await self._broker.positions()
        except NotAuthenticated as error:
            if first:
                raise
            self._problem(f"positions cannot be read: {error}")
            return None
        except DhanfastError as error:
            self._problem(f"positions cannot be read: {error}")
            return None

    async def _cancelled(self, order_id: str) -> Outcome | DhanfastError:
        try:
            return await self._broker.cancel(order_id)
        except DhanfastError as error:
            return error

    async def _exited(self) -> Outcome | DhanfastError:
        try:
            return await self._broker.exit_all()
        except DhanfastError as error:
            return error

    async def _switched(self, flat: bool) -> str:
        """The kill switch; the broker takes it only when nothing is open."""
        if not flat:
            return "off: the broker takes it only when no order and no position is open"
        try:
            outcome = await self._broker.kill_switch(True)
        except DhanfastError as error:
            return f"unknown: {error}"
        if isinstance(outcome, Accepted):
            return "on"
        return f"off: {outcome.text}" if isinstance(outcome, Refused) else f"?: {outcome.cause}"

    def _hear(self, what: str, outcome: Outcome | DhanfastError) -> None:
        """Note what became of one step."""
        if isinstance(outcome, Accepted):
            self._told(f"{what}: done")
        elif isinstance(outcome, Refused):
            self._problem(f"{what}: refused: {outcome.code} {outcome.text}".rstrip())
        elif isinstance(outcome, DhanfastError):
            self._problem(f"{what}: {outcome}")
        else:
            self._problem(f"{what}: nobody can tell: {outcome.cause}")

    def _problem(self, words: str) -> None:
        if words not in self._problems:
            self._problems.append(words)
            self._told(words)
