import numpy as np
from numpy.typing import ArrayLike, NDArray

class Vwap:
    def __new__(cls, width: float = 1.0, empty_weight: float = 0.0) -> Vwap: ...
    def update(
        self, high: float, low: float, close: float, volume: float, session_start: bool = False
    ) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike,
        session_start: ArrayLike,
        out: NDArray[np.float64] | None = None,
        upper: NDArray[np.float64] | None = None,
        lower: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
    @property
    def width(self) -> float: ...
    @property
    def empty_weight(self) -> float: ...
    @property
    def value(self) -> float: ...
    @property
    def sigma(self) -> float: ...
    @property
    def upper(self) -> float: ...
    @property
    def lower(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

class RollingVwap:
    def __new__(cls, period: int = 100, empty_weight: float = 0.0) -> RollingVwap: ...
    def update(self, high: float, low: float, close: float, volume: float) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        volume: ArrayLike,
        out: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]: ...
    @property
    def period(self) -> int: ...
    @property
    def empty_weight(self) -> float: ...
    @property
    def value(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

def vwap(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    volume: ArrayLike,
    session_start: ArrayLike | None = None,
    width: float = 1.0,
    empty_weight: float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
def rolling_vwap(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    volume: ArrayLike,
    period: int = 100,
    empty_weight: float = 0.0,
) -> NDArray[np.float64]: ...
