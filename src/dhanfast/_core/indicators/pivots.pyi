from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

class PivotLevels(NamedTuple):
    pivot: NDArray[np.float64]
    r1: NDArray[np.float64]
    r2: NDArray[np.float64]
    r3: NDArray[np.float64]
    r4: NDArray[np.float64]
    s1: NDArray[np.float64]
    s2: NDArray[np.float64]
    s3: NDArray[np.float64]
    s4: NDArray[np.float64]

class Pivots:
    def __new__(cls, kind: str = "classic") -> Pivots: ...
    def update(
        self, high: float, low: float, close: float, session_start: bool = False
    ) -> float: ...
    def update_many(
        self,
        high: ArrayLike,
        low: ArrayLike,
        close: ArrayLike,
        session_start: ArrayLike,
    ) -> PivotLevels: ...
    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> float: ...
    @property
    def resistances(self) -> tuple[float, float, float, float]: ...
    @property
    def supports(self) -> tuple[float, float, float, float]: ...
    @property
    def ready(self) -> bool: ...
    def reset(self) -> None: ...

def pivots(
    high: ArrayLike,
    low: ArrayLike,
    close: ArrayLike,
    session_start: ArrayLike,
    kind: str = "classic",
) -> PivotLevels: ...
