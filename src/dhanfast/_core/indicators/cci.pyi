from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

@final
class Cci:
    @property
    def period(self) -> int: ...
    def __new__(cls, period: int = 20) -> Cci: ...
    def update(self, high: float, low: float, close: float) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        out: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]: ...
    def reset(self) -> None: ...
    @property
    def value(self) -> float: ...
    @property
    def ready(self) -> bool: ...

def cci(
    high: ArrayLike, low: ArrayLike, close: ArrayLike, period: int = 20
) -> NDArray[np.float64]: ...
