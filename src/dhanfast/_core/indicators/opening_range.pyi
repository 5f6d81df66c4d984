from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class OpeningRange:
    def __new__(cls, bars: int = 15) -> OpeningRange: ...
    def update(self, high: float, low: float, session_start: bool = False) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        session_start: ArrayLike,
        high_out: NDArray[np.float64] | None = None,
        low_out: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    @property
    def bars(self) -> int: ...
    @property
    def value(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

@final
class OpeningMinutes:
    def __new__(cls, minutes: int = 15, bar_minutes: int = 1) -> OpeningMinutes: ...
    def update(
        self, high: float, low: float, since_open_ns: int, session_start: bool = False
    ) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        since_open_ns: ArrayLike,
        session_start: ArrayLike,
        high_out: NDArray[np.float64] | None = None,
        low_out: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
    @property
    def minutes(self) -> int: ...
    @property
    def bar_minutes(self) -> int: ...
    @property
    def value(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

def opening_range(
    high: ArrayLike,
    low: ArrayLike,
    session_start: ArrayLike,
    bars: int = 15,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def opening_minutes(
    high: ArrayLike,
    low: ArrayLike,
    since_open_ns: ArrayLike,
    session_start: ArrayLike,
    minutes: int = 15,
    bar_minutes: int = 1,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
