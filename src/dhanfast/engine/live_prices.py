"""What the result of a live day of a structure tells of its prices."""

from dataclasses import dataclass, field
from typing import Any, Final

from numpy.typing import NDArray

from dhanfast.engine.contracts import Contracts
from dhanfast.engine.runs import GENERATED

PAPER: Final = (
    "Grade paper: orders met a simulated exchange on the live quotes of their contracts. Fills pay "
    "the spread; nobody else's orders were in the way, and none of these moved the market."
)
REPLAY: Final = "replay"
RECORDED: Final = (
    "Grade replay: orders met a simulated exchange on the recorded quotes of their contracts. "
    "Fills pay the spread; nobody else's orders were in the way, and none of these moved the "
    "market."
)
LIVE: Final = "Grade live: orders were sent to the broker, and fills are what it told."


@dataclass
class LivePrices:
    """What a live day's result tells of its prices.

    Args:
        contracts: of the day. grade: paper, live or replay. generated: the market is.
        notes: what else a reader must know. start: bytes that the day follows from.
    """

    contracts: Contracts
    grade: str
    generated: bool
    notes: tuple[str, ...]
    start: bytes
    interval: str = "ticks"
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.underlying = self.contracts.underlying

    def told(self) -> tuple[str, ...]:
        """What a reader must know, the grade first."""
        grade = {"paper": PAPER, "live": LIVE, REPLAY: RECORDED}[self.grade]
        return (grade, *([GENERATED] if self.generated else []), *self.notes)

    def fills_told(self, orders: NDArray[Any], passages: NDArray[Any]) -> tuple[str, ...]:
        """Nothing more: fills were at quotes, or at the broker."""
        return ()

    def data(self) -> dict[str, Any]:
        """What was read."""
        return {"grade": self.grade, "generated": self.generated, **self.counts}

    def digest(self) -> list[bytes]:
        """The settings; what the market did is in the orders."""
        return [self.start]
