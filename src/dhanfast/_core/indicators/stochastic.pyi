from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class Stochastic:
    @property
    def period(self) -> int: ...
    @property
    def smooth(self) -> int: ...
    @property
    def signal(self) -> int: ...
    def __new__(cls, period: int = 14, smooth: int = 3, signal: int = 3) -> Stochastic: ...
    def update(self, high: float, low: float, close: float) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        k: NDArray[np.float64] | None = None,
        d: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    def reset(self) -> None: ...
    @property
    def value(self) -> float: ...
    @property
    def d(self) -> float: ...
    @property
    def raw(self) -> float: ...
    @property
    def ready(self) -> bool: ...

def stochastic(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    period: int = 14,
    smooth: int = 3,
    signal: int = 3,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
