"""A Dhan account as the live engine compares itself with it: one instrument, or several."""

from collections.abc import Mapping
from typing import Any

from dhanfast._core.live.records import Origin
from dhanfast.brokers.base import Accepted, Refused
from dhanfast.brokers.dhan.answers import update_from
from dhanfast.brokers.dhan.requests import order_of
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError


class Book:
    """Orders and switches of one account, as the engine of one journal sees them.

    Args:
        rest: the broker. clock: when an answer was read.
        tag: of the journal's correlation ids.
        instruments: what is traded: (segment, security id) -> the number that updates carry.
        product: whose positions count, as in orders.
    """

    def __init__(
        self, rest: DhanRest, clock: Clock, *, tag: str,
        instruments: Mapping[tuple[str, str], int], product: str,
    ) -> None:  # fmt: skip
        self._rest, self._clock, self._tag = rest, clock, tag
        self._instruments, self._product = dict(instruments), product

    async def updates(self) -> list[Any]:
        """Every order of this journal, UPDATE_DTYPE records.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        orders = await self._rest.orders()
        now_ns = self._clock.now_ns()  # not before: what is sent because of them leaves after it
        return [
            update_from(
                order, Origin.REST, tag=self._tag, at_ns=now_ns, instruments=self._instruments
            )
            for order in orders
            if order_of(order.correlation, self._tag)
        ]

    async def _traded_by_others(
        self, security: tuple[str, str], side: int, since_ns: int
    ) -> tuple[int, int]:  # fmt: skip
        """(units, paise) that orders that are not of this journal traded since a time."""
        fills = [
            order
            for order in await self._rest.orders()
            if (order.segment, order.security_id) == security
            and order.filled > 0
            and not order_of(order.correlation, self._tag)
            and order.side == side
            and order.broker_ns >= since_ns
        ]
        return sum(order.filled for order in fills), sum(order.value for order in fills)

    async def kill_switch(self, on: bool) -> str:
        """Turn the broker's kill switch; what the broker said.

        Raises:
            DhanfastError: it was not turned, or nobody can tell.
        """
        done = await self._rest.kill_switch(on)
        if isinstance(done, Accepted):
            return done.text or "on"
        raise DhanfastError(
            f"refused: {done.text} ({done.code})" if isinstance(done, Refused) else f"{done.cause}"
        )


class DhanAccount(Book):
    """Orders, position and switches of one account and one contract.

    Args:
        rest: the broker. clock: when an answer was read.
        tag: of the journal's correlation ids.
        security: (segment, security id) of what is traded.
        product: whose position counts, as in orders.
    """

    def __init__(
        self, rest: DhanRest, clock: Clock, *, tag: str, security: tuple[str, str], product: str
    ) -> None:
        super().__init__(rest, clock, tag=tag, instruments={security: 0}, product=product)
        self._security = security

    async def position(self) -> int:
        """Signed units held of the contract under the product.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        return sum(
            held.qty
            for held in await self._rest.positions()
            if (held.segment, held.security_id) == self._security and held.product == self._product
        )

    async def closed_elsewhere(self, side: int, since_ns: int) -> tuple[int, int]:
        """What orders that are not of this journal traded on one side since a time.

        Args:
            side: 1 bought, -1 sold. since_ns: of the broker's time, UTC ns.
        Returns:
            (units, their value in paise).
        Raises:
            DhanfastError: the broker could not be asked.
        """
        return await self._traded_by_others(self._security, side, since_ns)


class DhanContracts(Book):
    """Orders, positions and switches of one account and several contracts.

    Args:
        rest, clock, tag, product: as for `DhanAccount`.
        instruments: (segment, security id) of each contract -> its number.
        ending: the same of contracts that end today in delivery -> as a person says it; whoever
            opened them, and under any product: `delivery` tells of them.
    """

    def __init__(
        self, rest: DhanRest, clock: Clock, *, tag: str,
        instruments: Mapping[tuple[str, str], int], product: str,
        ending: Mapping[tuple[str, str], str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(rest, clock, tag=tag, instruments=instruments, product=product)
        self._ending = dict(ending or {})
        self._ends: dict[str, int] = {}

    async def positions(self) -> dict[int, int]:
        """Signed units held of each of the contracts under the product, by their numbers.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        found: dict[int, int] = {}
        ends: dict[str, int] = {}
        for held in await self._rest.positions():
            security = held.segment, held.security_id
            number = self._instruments.get(security)
            if number is not None and held.product == self._product:
                found[number] = found.get(number, 0) + held.qty
            if security in self._ending:
                name = self._ending[security]
                ends[name] = ends.get(name, 0) + held.qty
        self._ends = {name: units for name, units in ends.items() if units}
        return found

    def delivery(self) -> str:
        """What the account held at the last look that ends today in delivery; empty: nothing."""
        if not self._ends:
            return ""
        held = ", ".join(f"{units:+,} of {name}" for name, units in sorted(self._ends.items()))
        return (
            f"the account holds {held}, which end today in delivery of the stock: entries wait "
            "until that is closed in the broker's terminal, or by `dhanfast panic`"
        )

    async def closed_elsewhere(
        self, instrument: int, side: int, since_ns: int
    ) -> tuple[int, int]:  # fmt: skip
        """What orders that are not of this journal traded of one contract since a time.

        Args:
            instrument: its number. side: 1 bought, -1 sold. since_ns: the broker's time, UTC ns.
        Returns:
            (units, their value in paise).
        Raises:
            DhanfastError: the broker could not be asked.
        """
        security = next(key for key, number in self._instruments.items() if number == instrument)
        return await self._traded_by_others(security, side, since_ns)
