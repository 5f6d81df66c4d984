from collections.abc import Callable
from enum import IntEnum
from typing import Any, Self, final

from numpy.typing import NDArray
from typing_extensions import disjoint_base

class FeedEvent(IntEnum):
    LOST = 1
    BACK = 2

@disjoint_base
class TickSink:
    def take_ticks(self, ticks: NDArray[Any], recv_ns: int) -> None: ...
    def tell_event(self, event: int, at_ns: int) -> None: ...

@final
class TickCall(TickSink):
    def __new__(
        cls,
        on_ticks: Callable[[NDArray[Any], int], object],
        on_event: Callable[[int, int], object] | None = None,
    ) -> Self: ...

@disjoint_base
class DepthSink:
    def take_rows(self, rows: NDArray[Any], recv_ns: int) -> None: ...
    def tell_event(self, event: int, at_ns: int) -> None: ...

@final
class DepthCall(DepthSink):
    def __new__(
        cls,
        on_rows: Callable[[NDArray[Any], int], object],
        on_event: Callable[[int, int], object] | None = None,
    ) -> Self: ...
