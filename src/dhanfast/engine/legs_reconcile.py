"""A structure of options beside the broker's books, contract by contract.

Every contract that the engine watches is compared, whether it has traded it or not: a position that
nobody here knows keeps entries out. Units of ours that are gone, with trades of somebody else to
show for it, are booked as closed. When it was a bought contract and sold ones are still held, these
are no longer covered as the plan says, and everything is left.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from dhanfast._core.live.inputs import Command
from dhanfast.clock import Clock
from dhanfast.engine.reconcile import (
    MOVED,
    Comparison,
    KillSwitch,
    OrderBook,
    Verdict,
)

if TYPE_CHECKING:
    from dhanfast.engine.legs_live import LegsRun

Positions = dict[int, int]  # feed number of a contract -> signed units; without those of 0
_LOG: Final = logging.getLogger("dhanfast.engine")


class LegsAccount(OrderBook, KillSwitch, Protocol):
    """What a real broker says of the account, contract by contract."""

    async def positions(self) -> Mapping[int, int]:
        """Signed units held of each contract that is watched, by its feed number."""
        ...

    async def closed_elsewhere(
        self, instrument: int, side: int, since_ns: int
    ) -> tuple[int, int]:  # fmt: skip
        """(units, value in paise) of one contract that orders of others traded on a side since."""
        ...


class LegsReconciler(Comparison[Positions]):
    """Compares a structure with an account.

    Args:
        run: with a desk. clock: of the machine. account: the broker's side.
        delivery: what the account holds, at its last look, that ends today in delivery of a stock:
            entries wait while it is not empty; None: what is traded is settled in cash.
    """

    def __init__(
        self, run: "LegsRun", clock: Clock, account: LegsAccount,
        delivery: Callable[[], str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(run, clock, account)
        self._delivery = delivery
        self._structure, self._account = run, account
        self._last: Positions = {}  # differences of the look before, and of this one
        self._now: Positions = {}

    def _ours(self) -> Positions:
        return self._structure.positions()

    async def _theirs(self) -> Positions:
        found = await self._account.positions()
        theirs = {number: units for number, units in found.items() if units}
        self._last, self._now = self._now, _differences(self._ours(), theirs)
        return theirs

    async def _difference(self, ours: Positions, theirs: Positions) -> Verdict:
        """Act on what was seen twice; the rest is looked at again."""
        stays = {
            number: units for number, units in self._now.items() if self._last.get(number) == units
        }
        if not stays:
            return MOVED
        booked = False
        for number in sorted(stays):
            booked |= await self._closed(number, ours.get(number, 0), theirs.get(number, 0))
        if booked:
            self._differed, self._now = 0, {}
            return MOVED
        return self._told(
            "; ".join(
                f"{self._structure.name_of(number)}: the broker holds {theirs.get(number, 0):+,} "
                f"units, this engine {ours.get(number, 0):+,}"
                for number in sorted(stays)
            )
            + ": entries wait until they agree; close the difference in the broker's terminal, or "
            "`dhanfast panic`"
        )

    async def _closed(self, number: int, ours: int, theirs: int) -> bool:
        """Book units of ours that are gone at the broker; only the trades of others explain it."""
        if not ours or ours * theirs < 0 or abs(theirs) >= abs(ours):
            return False
        missing = abs(ours) - abs(theirs)
        units, value = await self._account.closed_elsewhere(
            number, -1 if ours > 0 else 1, self._since_ns()
        )
        price = value // units if units == missing else 0
        if not price:
            return False
        loop, now_ns = self._structure.loop, self._clock.now_ns()
        loop.command(
            Command.CLOSED_ELSEWHERE, now_ns, units=missing, price=price, contract=number
        )  # fmt: skip
        gone = abs(ours) - abs(self._ours().get(number, 0))
        if not gone:
            return False
        name = self._structure.name_of(number)
        _LOG.warning("%d units of %s were closed elsewhere, at %.2f", gone, name, price / 100)
        return True

    async def compare(self) -> Verdict:
        """As `Comparison.compare`; then leave what is sold and covered no more.

        Only what both sides agree on is left: the sold contracts may be gone as well, and buying
        them back then would open a position. That something is uncovered is the loop's to know: it
        outlives a restart.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        verdict = await super().compare()
        loop = self._structure.loop
        if verdict.agreed and loop.uncovered and any(one < 0 for one in self._ours().values()):
            _LOG.error("a bought contract covered what is sold, and is gone: everything is left")
            loop.command(Command.FLATTEN, self._clock.now_ns())
        if verdict.agreed and self._delivery is not None and (note := self._delivery()):
            return self._told(note)
        return verdict


def _differences(ours: Positions, theirs: Positions) -> Positions:
    """Units that the broker has more than we, by contract."""
    both = ours.keys() | theirs.keys()
    found = {number: theirs.get(number, 0) - ours.get(number, 0) for number in both}
    return {number: units for number, units in found.items() if units}
