"""Contracts of a run of legs by their numbers: what they are called, and what rules them."""

from collections.abc import Sequence
from datetime import date

from dhanfast.engine.hedge_prices import FUT
from dhanfast.market.optionsessions import option_notes


class Contracts:
    """Every contract that a run has seen, numbered as it came.

    Args:
        underlying: an index; or, with `lot`, a stock: units of its contract.
    """

    def __init__(self, underlying: str, lot: int = 0) -> None:
        self.underlying, self.lot = underlying, lot
        self.keys: list[tuple[date, int, str]] = []
        self._numbers: dict[tuple[date, int, str], int] = {}

    def number(self, expiry: date, strike: int, right: str) -> int:
        """The contract's number, a new one for a contract that is new."""
        key = (expiry, strike, right)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.keys)
            self.keys.append(key)
        return found

    def name(self, number: int) -> str:
        """As a person says it: BANKNIFTY 2026-01-27 60000 CE."""
        expiry, strike, right = self.keys[number]
        if right == FUT:
            return f"{self.underlying} {expiry} FUT"
        rupees = f"{strike // 100}" if strike % 100 == 0 else f"{strike / 100:.2f}"
        return f"{self.underlying} {expiry} {rupees} {right}"

    def rules_told(self, days: Sequence[date]) -> tuple[str, ...]:
        """What a reader must know of lots, charges and the like on some days."""
        return option_notes(self.underlying, list(days), self.lot)
