from enum import IntEnum
from typing import Any, Self, final

from numpy.typing import NDArray
from typing_extensions import disjoint_base

class BarKind(IntEnum):
    TIME = 0
    TICKS = 1
    VOLUME = 2
    RANGE = 3

class VolumeFrom(IntEnum):
    CUMULATIVE = 0
    QTY = 1
    NOTHING = 2

def boundary_table(sessions: NDArray[Any]) -> NDArray[Any]: ...

@disjoint_base
class BarBuilder:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def update_many(self, ticks: NDArray[Any]) -> NDArray[Any]: ...
    def replay(self, ticks: NDArray[Any]) -> NDArray[Any]: ...
    def advance(self, now_ns: int) -> NDArray[Any]: ...
    def flush(self) -> NDArray[Any]: ...
    @property
    def current(self) -> NDArray[Any] | None: ...
    @property
    def late(self) -> int: ...
    @property
    def outside(self) -> int: ...
    @property
    def empty(self) -> int: ...
    @property
    def foreign(self) -> int: ...
    @property
    def volume_back(self) -> int: ...

@final
class TimeBars(BarBuilder):
    def __new__(
        cls,
        interval_ns: int,
        sessions: NDArray[Any],
        *,
        instrument: int = 0,
        volume: str = "cumulative",
        flat: bool = False,
    ) -> Self: ...

@final
class TickBars(BarBuilder):
    def __new__(
        cls,
        ticks: int,
        sessions: NDArray[Any],
        *,
        instrument: int = 0,
        volume: str = "cumulative",
    ) -> Self: ...

@final
class VolumeBars(BarBuilder):
    def __new__(
        cls,
        units: int,
        sessions: NDArray[Any],
        *,
        instrument: int = 0,
        volume: str = "cumulative",
    ) -> Self: ...

@final
class RangeBars(BarBuilder):
    def __new__(
        cls,
        paise: int,
        sessions: NDArray[Any],
        *,
        instrument: int = 0,
        volume: str = "cumulative",
    ) -> Self: ...
