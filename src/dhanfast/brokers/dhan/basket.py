"""What orders would need together, and what the account has: asked before a structure is sent."""

from collections.abc import Mapping, Sequence

from dhanfast.brokers.dhan.requests_account import MarginQuery, MarginsQuery
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.errors import BadData

SIDES = {1: "BUY", -1: "SELL"}
TICK = 5  # paise, of every index option: a price off the tick might be refused


class DhanBasket:
    """The margin calculator and the funds of an account.

    Args:
        rest: the broker. instruments: (segment, security id) by the number that orders have.
        product: of every order.
    """

    def __init__(
        self, rest: DhanRest, instruments: Mapping[int, tuple[str, str]], product: str
    ) -> None:
        self._rest, self._instruments, self._product = rest, dict(instruments), product

    async def required(self, orders: Sequence[tuple[int, int, int]]) -> int:
        """What the broker would block for all of them together, paise.

        Positions and orders of the account are left out of it: the funds are without what those
        have blocked.

        Args:
            orders: (contract's number, signed units, price in paise) each.
        Raises:
            DhanfastError: the broker could not be asked.
            BadData: it says that selling and buying options needs nothing.
        """
        asked = []
        for number, units, price in orders:
            segment, security = self._instruments[number]
            asked.append(
                MarginQuery(
                    side=SIDES[1 if units > 0 else -1],
                    segment=segment,
                    security_id=security,
                    qty=abs(units),
                    price=max(TICK, (price + TICK - 1) // TICK * TICK),
                    product=self._product,
                )
            )
        total = (await self._rest.margins(MarginsQuery(orders=tuple(asked)))).total
        if total <= 0:
            raise BadData(f"the margin of {len(asked)} orders is {total / 100:.2f} rupees")
        return total

    async def funds(self) -> int:
        """What the account may use now, paise.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        return (await self._rest.funds()).available
