import numpy as np
from numpy.typing import ArrayLike, NDArray

class Adx:
    def __new__(cls, period: int = 14) -> Adx: ...
    def update(self, high: float, low: float, close: float) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        adx: NDArray[np.float64] | None = None,
        plus_di: NDArray[np.float64] | None = None,
        minus_di: NDArray[np.float64] | None = None,
        dx: NDArray[np.float64] | None = None,
    ) -> tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ]: ...
    @property
    def period(self) -> int: ...
    @property
    def value(self) -> float: ...
    @property
    def plus_di(self) -> float: ...
    @property
    def minus_di(self) -> float: ...
    @property
    def dx(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

def adx(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    period: int = 14,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
