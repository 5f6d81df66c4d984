from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from dhanfast._core.guards import Guards

class RiskState(IntEnum):
    ACTIVE = 0
    REDUCING = 1
    HALTED = 2

@disjoint_base
class Approved:
    def __new__(cls, token: object = None) -> Approved: ...
    @property
    def order(self) -> NDArray[Any]: ...

@disjoint_base
class Gate:
    state: Final[int]
    day_locked: Final[bool]
    guards: Final[Guards | None]
    def __new__(
        cls,
        *,
        qty_max: int = 0,
        notional_max: int = 0,
        position_max: int = 0,
        loss_day_max: int = 0,
        band_e4: int = 0,
        orders_per_s_max: int = 0,
        margin_check: bool = False,
        instruments: int = 0,
        guards: Guards | None = None,
    ) -> Gate: ...
    def check(
        self,
        order: Any,
        *,
        position: int = 0,
        pending: int = 0,
        mark: int = 0,
        day_pnl: int = 0,
        margin_free: int = 0,
        now_ns: int = 0,
        session: Any = None,
        data_ns: int = 0,
    ) -> Approved: ...
    def check_many(
        self,
        orders: NDArray[Any],
        *,
        position: int = 0,
        pending: int = 0,
        mark: int = 0,
        day_pnl: int = 0,
        margin_free: int = 0,
        session: Any = None,
    ) -> NDArray[np.uint8]: ...
    def halt(self) -> None: ...
    def reduce_only(self) -> None: ...
    def activate(self) -> None: ...
    def start_day(self) -> None: ...
    @property
    def verdicts(self) -> dict[str, int]: ...
