from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

NAMES: Final[tuple[str, ...]]

@final
class Bundle:
    def __new__(
        cls,
        ema: int = 21,
        rsi: int = 14,
        macd: tuple[int, int, int] = (12, 26, 9),
        zscore: int = 20,
        slope: int = 14,
    ) -> Bundle: ...
    def update(self, sample: float, /) -> float: ...
    def update_many(
        self, values: ArrayLike, out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]: ...
    def reset(self) -> None: ...
    @property
    def values(self) -> dict[str, float]: ...
    @property
    def ready(self) -> bool: ...

def bundle(
    values: ArrayLike,
    ema: int = 21,
    rsi: int = 14,
    macd: tuple[int, int, int] = (12, 26, 9),
    zscore: int = 20,
    slope: int = 14,
) -> dict[str, NDArray[np.float64]]: ...
