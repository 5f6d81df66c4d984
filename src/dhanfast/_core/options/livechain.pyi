from collections.abc import Sequence
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.options.results import LiveFigures

_Column = Sequence[float] | NDArray[Any]
WANTED: dict[str, int]
COLUMNS: tuple[str, ...]

@final
class LiveChain:
    ticks: int
    dropped: int
    def __new__(
        cls,
        strike: _Column,
        expiry_ns: int,
        rate: float = 0.0,
        *,
        wanted: Sequence[str] = ("volatility", "exposure", "max_pain", "ratios"),
        near: int = 5,
        window: int | None = None,
        nearest: int = 5,
    ) -> Self: ...
    def load(self, at_ns: int, **columns: _Column) -> None: ...
    def follow(
        self,
        place: _Column,
        put: _Column,
        price: _Column,
        oi: _Column,
        volume: _Column,
        at_ns: _Column,
    ) -> int: ...
    @property
    def figures(self) -> LiveFigures: ...
    @property
    def strike(self) -> NDArray[np.float64]: ...
    @property
    def volatility(self) -> NDArray[np.float64]: ...
    @property
    def call_delta(self) -> NDArray[np.float64]: ...
    @property
    def gamma(self) -> NDArray[np.float64]: ...
    @property
    def vega(self) -> NDArray[np.float64]: ...
