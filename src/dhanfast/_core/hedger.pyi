from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.legs import Leg
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog

HEDGE_DTYPE: Final[np.dtype[Any]]

class HedgeDone(IntEnum):
    HELD_BACK = 0
    SENT = 1
    WOULD = 2

def hedge_leg(
    instrument: int,
    broker: Broker,
    portfolio: Portfolio,
    gate: Gate,
    log: RunLog,
    *,
    ticking: bool = False,
) -> HedgeLeg: ...

@final
class HedgeLeg(Leg):
    given_up: Final[int]

@final
class Hedge:
    leg: Final[HedgeLeg]
    hedges: Final[int]
    held_back: Final[int]
    blind_rows: Final[int]
    units_max: Final[int]
    rows_lost: Final[int]
    def __new__(
        cls,
        leg: HedgeLeg,
        rules: Mapping[str, Any],
        *,
        slippage: int = 0,
        slippage_ticks: int = 0,
    ) -> Self: ...
    def set_day(
        self,
        *,
        from_ns: int,
        until_ns: int,
        slot: int = -1,
        column: int = -1,
        session: NDArray[Any] | None = None,
    ) -> None: ...
    def take_rows(self) -> NDArray[Any]: ...
    def counters(self) -> dict[str, int]: ...
