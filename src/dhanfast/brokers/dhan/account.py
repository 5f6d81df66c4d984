"""One instrument of a Dhan account, as the live engine compares itself with it."""

from collections.abc import Mapping
from typing import Any

from dhanfast._core.live.records import Origin
from dhanfast.brokers.base import Accepted, OrderSeen, Refused
from dhanfast.brokers.dhan.answers import update_from
from dhanfast.brokers.dhan.requests import order_of
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError


class DhanAccount:
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
        self._rest, self._clock, self._tag = rest, clock, tag
        self._security, self._product = security, product
        self._instruments: Mapping[tuple[str, str], int] = {security: 0}

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
        fills = [
            order
            for order in await self._rest.orders()
            if self._is_foreign_fill(order) and order.side == side and order.broker_ns >= since_ns
        ]
        return sum(order.filled for order in fills), sum(order.value for order in fills)

    def _is_foreign_fill(self, order: OrderSeen) -> bool:
        return (
            (order.segment, order.security_id) == self._security
            and order.filled > 0
            and not order_of(order.correlation, self._tag)
        )

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
