from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

DAY_PLAN_DTYPE: Final[np.dtype[Any]]

def plan_days(
    seed: int,
    ordinals: NDArray[np.int64],
    trend: NDArray[np.float64],
    sigma: float,
    pull: float,
) -> NDArray[Any]: ...
def second_shares(seed: int, ordinal: int, levels: NDArray[np.float64]) -> NDArray[np.float64]: ...

@final
class DayPath:
    def __new__(
        cls, seed: int, ordinal: int, shares: NDArray[np.float64], parts: int, plan: Any
    ) -> DayPath: ...
    def become_future(
        self,
        carry: float,
        basis: float,
        keep: float,
        shares: NDArray[np.float64],
        units: float,
        lot: int,
    ) -> None: ...
    def levels(self) -> NDArray[np.float64]: ...
    def bars(
        self, first: int, count: int, start_ns: int, step_ns: int, tick: int
    ) -> NDArray[Any]: ...
    def ticks(
        self,
        first: int,
        count: int,
        start_ns: int,
        step_ns: int,
        tick: int,
        lot: int = 0,
        traded: int = 0,
    ) -> NDArray[Any]: ...
