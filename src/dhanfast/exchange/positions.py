"""Positions, trades and funds of the account, exact in paise."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from dhanfast.exchange.contracts import Contract
from dhanfast.exchange.orders import BUY, Ticket

E9: Final = 1_000_000_000
INTRADAY_E9: Final = 200_000_000  # of an equity's value
MTF_E9: Final = 250_000_000


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill.

    Units:
        price in paise, qty in units.
    """

    number: int
    ticket: Ticket
    product: str
    qty: int
    price: int
    time_ns: int


@dataclass(slots=True)
class Position:
    """What was bought and sold today of one contract in one product.

    Units:
        quantities in units, values in paise x units.
    """

    contract: Contract
    product: str
    buy_qty: int = 0
    buy_value: int = 0
    sell_qty: int = 0
    sell_value: int = 0

    @property
    def net(self) -> int:
        """Units held, negative when sold short."""
        return self.buy_qty - self.sell_qty

    @property
    def realized(self) -> float:
        """Profit of what was bought and sold, paise: at the average of each side."""
        closed = min(self.buy_qty, self.sell_qty)
        if not closed:
            return 0.0
        # Averages are fractions: a double near money, rounded where it is shown.
        return closed * (self.sell_value / self.sell_qty - self.buy_value / self.buy_qty)

    @property
    def cost(self) -> float:
        """Average price of the side that is open, paise."""
        if self.net > 0:
            return self.buy_value / self.buy_qty
        return self.sell_value / self.sell_qty if self.net < 0 else 0.0

    def unrealized(self, last: int) -> float:
        """Profit of what is held at a price, paise."""
        return self.net * (last - self.cost) if last and self.net else 0.0


class Books:
    """Trades and positions of the day.

    Args:
        funds: at the start of the day, paise.
        last_price: of an instrument, paise; 0 = none.
        short_rate: margin of a short option or of a future, 1e-9 of its underlying's value.
        spot: price of a contract's underlying, paise; 0 = none.
    """

    def __init__(
        self,
        funds: int,
        last_price: Callable[[Contract], int],
        short_rate: Callable[[Contract], int],
        spot: Callable[[Contract], int],
    ) -> None:
        self.funds = funds
        self.trades: list[Trade] = []
        self.positions: dict[tuple[int, str], Position] = {}
        self._last, self._rate, self._spot = last_price, short_rate, spot

    def position(self, contract: Contract, product: str) -> Position:
        """Of a contract in a product; made when there is none."""
        key = contract.index, product
        if key not in self.positions:
            self.positions[key] = Position(contract, product)
        return self.positions[key]

    def net(self, contract: Contract, product: str) -> int:
        """Units held."""
        held = self.positions.get((contract.index, product))
        return held.net if held is not None else 0

    def fill(self, ticket: Ticket, qty: int, price: int, time_ns: int) -> Trade:
        """Book one fill."""
        product = ticket.wish.product
        trade = Trade(len(self.trades) + 1, ticket, product, qty, price, time_ns)
        self.trades.append(trade)
        held = self.position(ticket.contract, product)
        if ticket.side == BUY:
            held.buy_qty += qty
            held.buy_value += qty * price
        else:
            held.sell_qty += qty
            held.sell_value += qty * price
        return trade

    def convert(self, contract: Contract, qty: int, side: int, source: str, target: str) -> None:
        """Move units of one side to another product, at their average price."""
        held, other = self.position(contract, source), self.position(contract, target)
        if side == BUY:
            value = held.buy_value * qty // held.buy_qty
            held.buy_qty, held.buy_value = held.buy_qty - qty, held.buy_value - value
            other.buy_qty, other.buy_value = other.buy_qty + qty, other.buy_value + value
        else:
            value = held.sell_value * qty // held.sell_qty
            held.sell_qty, held.sell_value = held.sell_qty - qty, held.sell_value - value
            other.sell_qty, other.sell_value = other.sell_qty + qty, other.sell_value + value

    # ---- funds ----

    def realized(self) -> float:
        """Profit of all that is closed, paise."""
        return sum(held.realized for held in self.positions.values())

    def unrealized(self) -> float:
        """Profit of all that is held at last prices, paise."""
        return sum(held.unrealized(self._last(held.contract)) for held in self.positions.values())

    def need(self, contract: Contract, product: str, side: int, qty: int, price: int) -> int:
        """What opening units blocks: premium, value or margin, paise.

        Args:
            price: that is paid or got for a unit; 0 = the last price.
        """
        value = qty * (price or self._last(contract))
        if contract.is_option and side == BUY:
            return value
        if contract.expiry is not None:
            level = self._spot(contract) or price
            return -(-qty * level * self._rate(contract) // E9)
        if product == "INTRADAY":
            return -(-value * INTRADAY_E9 // E9)
        if product == "MTF":
            return -(-value * MTF_E9 // E9)
        return value if side == BUY else 0

    def blocked(self, working: Iterable[Ticket]) -> int:
        """What positions and working orders block, paise; orders that reduce block nothing."""
        buys: dict[tuple[int, str], list[Ticket]] = {}
        sells: dict[tuple[int, str], list[Ticket]] = {}
        for ticket in working:
            book = buys if ticket.side == BUY else sells
            book.setdefault((ticket.contract.index, ticket.wish.product), []).append(ticket)
        total = 0
        for held in self.positions.values():
            if held.net:
                side = 1 if held.net > 0 else -1
                cost = round(held.cost)
                total += self.need(held.contract, held.product, side, abs(held.net), cost)
        for book in (buys, sells):
            for (index, product), tickets in book.items():
                other = self.positions.get((index, product))
                covered = -other.net * tickets[0].side if other is not None else 0
                total += self._opening(tickets, max(covered, 0))
        return total

    def _opening(self, tickets: list[Ticket], covered: int) -> int:
        """Of one side's orders, what goes beyond the position that they would close."""
        total = 0
        groups: set[int] = set()
        for ticket in tickets:
            if ticket.group and ticket.group in groups:
                continue  # one of two cancels the other
            groups.add(ticket.group)
            closing = min(covered, ticket.left)
            covered -= closing
            opening = ticket.left - closing
            if opening:
                price = ticket.price or ticket.trigger
                total += self.need(ticket.contract, ticket.wish.product, ticket.side, opening,
                                   price)  # fmt: skip
        return total

    def available(self, working: Iterable[Ticket]) -> int:
        """What new orders may use, paise."""
        return round(self.funds + self.realized()) - self.blocked(working)
