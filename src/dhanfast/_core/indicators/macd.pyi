from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class Macd:
    fast: Final[int]
    slow: Final[int]
    signal_period: Final[int]
    def __new__(cls, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd: ...
    def update(self, sample: float, /) -> float: ...
    def update_many(
        self,
        values: ArrayLike,
        line: NDArray[np.float64] | None = None,
        signal: NDArray[np.float64] | None = None,
        hist: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
    def reset(self) -> None: ...
    @property
    def value(self) -> float: ...
    @property
    def signal(self) -> float: ...
    @property
    def hist(self) -> float: ...
    @property
    def ready(self) -> bool: ...

def macd(
    values: ArrayLike, fast: int = 12, slow: int = 26, signal: int = 9
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]: ...
