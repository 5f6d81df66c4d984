from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, Self, final

from numpy.typing import NDArray

from dhanfast._core.chainday import ChainDay
from dhanfast._core.hedger import Hedge
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.legs import Leg
from dhanfast._core.legwhole import LegWhole
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog

class Fault(IntEnum):
    WHOLE = 0
    NO_FINAL_PRICE = 1
    EXPIRY_MISSED = 2

@final
class LegRun(LegWhole):
    gate: Final[Gate]
    log: Final[RunLog]
    fault: Final[int]
    fault_leg: Final[int]
    ticking: Final[bool]
    rows_seen: Final[int]
    cycles: Final[int]
    reentries: Final[int]
    settled: Final[int]
    armed: Final[int]
    def __new__(
        cls,
        legs: list[Leg],
        plan: Mapping[str, Any],
        portfolio: Portfolio,
        gate: Gate,
        log: RunLog,
        *,
        hedge: Hedge | None = None,
        ticking: bool = False,
        risk: LegRisk | None = None,
    ) -> Self: ...
    def run_day(
        self,
        chain: ChainDay,
        *,
        slots: Sequence[int],
        entry_ns: int,
        until_ns: int,
        exit_ns: int,
        trade: bool,
        date: int,
        signal_ns: NDArray[Any] | None = None,
        signal_side: NDArray[Any] | None = None,
        again_ns: int = 0,
    ) -> bool: ...
    def finish(self) -> None: ...
    def close_books(self) -> None: ...
    def counters(self) -> dict[str, int]: ...
