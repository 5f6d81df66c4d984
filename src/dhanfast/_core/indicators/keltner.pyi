from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class Keltner:
    def __new__(cls, period: int = 20, atr_period: int = 10, width: float = 2.0) -> Keltner: ...
    def update(self, high: float, low: float, close: float) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        upper: NDArray[np.float64] | None = None,
        middle: NDArray[np.float64] | None = None,
        lower: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
    @property
    def period(self) -> int: ...
    @property
    def atr_period(self) -> int: ...
    @property
    def width(self) -> float: ...
    @property
    def value(self) -> float: ...
    @property
    def upper(self) -> float: ...
    @property
    def middle(self) -> float: ...
    @property
    def lower(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

def keltner(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    period: int = 20,
    atr_period: int = 10,
    width: float = 2.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
