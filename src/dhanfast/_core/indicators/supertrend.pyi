from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class Supertrend:
    def __new__(cls, period: int = 10, factor: float = 3.0) -> Supertrend: ...
    def update(self, high: float, low: float, close: float) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        line: NDArray[np.float64] | None = None,
        direction: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    @property
    def period(self) -> int: ...
    @property
    def factor(self) -> float: ...
    @property
    def value(self) -> float: ...
    @property
    def direction(self) -> float: ...
    @property
    def upper(self) -> float: ...
    @property
    def lower(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

def supertrend(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    period: int = 10,
    factor: float = 3.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
