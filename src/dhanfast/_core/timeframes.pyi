from collections.abc import Iterable
from typing import Any, Self, final

from numpy.typing import NDArray

@final
class BarSet:
    def __new__(
        cls,
        intervals_ns: Iterable[int],
        sessions: NDArray[Any],
        *,
        instruments: int = 1,
        volume: str = "cumulative",
        flat: bool = False,
    ) -> Self: ...
    @property
    def timeframes(self) -> int: ...
    @property
    def instruments(self) -> int: ...
    @property
    def foreign(self) -> int: ...
    def update_many(self, ticks: NDArray[Any]) -> tuple[NDArray[Any], ...]: ...
    def advance(self, now_ns: int) -> tuple[NDArray[Any], ...]: ...
    @property
    def late(self) -> int: ...
    @property
    def outside(self) -> int: ...

def aggregate(
    bars: NDArray[Any],
    interval_ns: int,
    sessions: NDArray[Any],
    *,
    source_ns: int = 60_000_000_000,
) -> tuple[NDArray[Any], int]: ...
