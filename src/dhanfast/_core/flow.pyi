from typing import Any, final

import numpy as np
from numpy.typing import NDArray

@final
class TickFlow:
    def __new__(
        cls,
        seed: int,
        ordinal: int,
        lanes: NDArray[Any],
        weights: NDArray[np.float64],
        odds: NDArray[np.uint16],
        wide: NDArray[np.uint16],
        minutes: NDArray[np.int64],
        index: NDArray[np.float64],
        future: NDArray[np.float64],
        heat: NDArray[np.float64],
        forward_ratio: float,
        discount: float,
        expiry_ns: int,
        depth_levels: int = 0,
        repeat_last: bool = False,
    ) -> TickFlow: ...
    def fill(self, ticks: NDArray[Any], depth: NDArray[Any] | None = None) -> tuple[int, int]: ...
    @property
    def rows_max(self) -> int: ...
