"""The outer belt: the broker's own exit on a day's profit or loss, set by us and read back.

It holds when this machine does not: the broker closes everything of the account by itself. It is
set once, when a live engine starts, and counts as set only when the broker's answer to a question
of its own says so. Nobody here ever takes it off: it ends with the broker's day.

    (start) ──set, read back──▶ SET ──read: off or another amount──▶ OFF   for the rest of the day
       └──refused, unclear──▶ REFUSED ──asked again each `every_s`──▶ SET

While it is not SET entries are held, unless the settings say that one goes on without it. OFF after
SET: it has fired, or somebody took it off; a journal that says it was set keeps a restart from
setting it anew, which the broker would answer by closing everything again.
"""

import enum
import logging
from dataclasses import dataclass
from typing import Any, Final, Protocol

from dhanfast.brokers.base import Accepted, Outcome, Refused
from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError

BELT: Final = "the broker's P&L exit is not set"
EVERY_S: Final = 60.0
NEVER: Final = 10_00_00_000_00  # ten crore rupees: the call wants both amounts
ACTIVE: Final = "ACTIVE"
_LOG: Final = logging.getLogger("dhanfast.belt")


class BeltBroker(Protocol):
    """What the belt asks of a broker: `DhanRest` is such."""

    async def set_pnl_exit(self, settings: Any) -> Outcome:
        """Leave everything at a profit or loss of the day."""
        ...

    async def pnl_exit(self) -> Any:
        """`status`, `profit`, `loss` (paise) as they are now."""
        ...


class Held(Protocol):
    """The engine, as far as the belt is its business."""

    def hold(self, reason: str) -> None:
        """No entries."""
        ...

    def let_go(self, reason: str) -> None:
        """Not for this reason any more."""
        ...

    def remark(self, words: str, before: str = "") -> None:
        """Tell somebody; instead of earlier words."""
        ...

    def note(self, **words: Any) -> None:
        """Into the journal."""
        ...


class BeltState(enum.StrEnum):
    """How the belt is."""

    UNKNOWN = "not set yet"
    SET = "set"
    REFUSED = "refused"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class BeltPlan:
    """What the broker is to do by itself.

    Units:
        paise of the day's result; 0 = not at any.

    Attributes:
        products: of the broker's call: INTRADAY, DELIVERY.
        kill: it also bars the account from trading for the rest of the day.
        holds: entries wait while it is not set.
    """

    loss: int
    profit: int
    products: tuple[str, ...] = ("INTRADAY",)
    kill: bool = False
    holds: bool = True

    @property
    def text(self) -> str:
        """loss 10,000, profit 25,000."""
        told = [("loss", self.loss), ("profit", self.profit)]
        return ", ".join(f"{name} {amount / 100:,.0f}" for name, amount in told if amount)


class Belt:
    """The belt of one account for one day.

    Args:
        broker: whose. clock: of the pauses. plan: what is wanted.
        was_set: an earlier life of this day had set it.
        every_s: between two looks.
    Attributes:
        state: how it is. said: what was wrong last, empty when nothing was.
    """

    def __init__(
        self,
        broker: BeltBroker,
        clock: Clock,
        plan: BeltPlan,
        *,
        was_set: bool = False,
        every_s: float = EVERY_S,
    ) -> None:
        self._broker, self._clock, self.plan = broker, clock, plan
        self._was_set, self._every_s = was_set, every_s
        self.state, self.said = BeltState.UNKNOWN, ""

    @property
    def text(self) -> str:
        """How it is, for a line of a status."""
        return f"P&L exit {self.state.value}: {self.plan.text}"

    async def keep(self, engine: Held) -> None:
        """Set it, look whether it stays set, and hold entries while it is not; until cancelled."""
        if self.plan.holds:
            engine.hold(BELT)
        while True:
            before = (self.state, self.said)
            await self.look()
            if (self.state, self.said) != before:
                self._tell(engine, before[1])
            await self._clock.sleep(self._every_s)

    async def look(self) -> BeltState:
        """Set it when it was not yet, and read how it is."""
        try:
            if not self._was_set:
                refusal = await self._fasten()
                if refusal:
                    self.state, self.said = BeltState.REFUSED, refusal
                    return self.state
            self._read(await self._broker.pnl_exit())
        except DhanfastError as error:
            if self.state in (BeltState.SET, BeltState.OFF):
                self.said = f"not confirmed: {error}"
            else:
                self.state, self.said = BeltState.REFUSED, str(error)
        return self.state

    async def _fasten(self) -> str:
        """Ask for it once; why it was refused. What nobody can tell, the look that follows shows.

        Raises:
            DhanfastError: it could not be asked for.
        """
        from dhanfast.brokers.dhan.requests_account import PnlExit

        plan = self.plan
        profit, loss = self._wanted
        wish = PnlExit(profit=profit, loss=loss, products=plan.products, kill_switch=plan.kill)
        outcome = await self._broker.set_pnl_exit(wish)
        if isinstance(outcome, Refused):
            return f"the broker refuses it: {outcome.code} {outcome.text}".rstrip()
        self._was_set = isinstance(outcome, Accepted)
        return ""

    @property
    def _wanted(self) -> tuple[int, int]:
        return self.plan.profit or NEVER, self.plan.loss or NEVER

    def _read(self, found: Any) -> None:
        """What the broker says it has, against what is wanted."""
        if found.status.upper() != ACTIVE:
            said = f"the broker says {found.status or 'nothing'}"
            if self._was_set:
                self.state = BeltState.OFF
                said += ": it has fired, or somebody took it off"
            else:
                self.state = BeltState.REFUSED
            self.said = said
        elif (found.profit, found.loss) != self._wanted:
            self.state = BeltState.OFF if self._was_set else BeltState.REFUSED
            self.said = (
                f"the broker has profit {found.profit / 100:,.2f} and loss "
                f"{found.loss / 100:,.2f}, not what was asked for"
            )
        else:
            self.state, self.said, self._was_set = BeltState.SET, "", True

    def _tell(self, engine: Held, before: str) -> None:
        """Say what has changed: to the journal, the log and who watches."""
        engine.note(belt=self.state.value, wanted=self.plan.text, said=self.said)
        old = f"the broker's P&L exit: {before}" if before else ""
        engine.remark(f"the broker's P&L exit: {self.said}" if self.said else "", old)
        if self.state is BeltState.SET:
            _LOG.info("%s", self.text)
            engine.let_go(BELT)
            return
        goes_on = "" if self.plan.holds else "; entries go on, as configured"
        _LOG.error("%s; %s%s", self.text, self.said, goes_on)
        if self.plan.holds:
            engine.hold(BELT)


def was_set(notes: list[dict[str, Any]]) -> bool:
    """Whether the notes of a journal, in order, say that the belt was set."""
    return any(note.get("belt") in (BeltState.SET.value, BeltState.OFF.value) for note in notes)
