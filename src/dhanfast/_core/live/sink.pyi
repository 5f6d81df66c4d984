from enum import IntEnum
from typing import Any

from numpy.typing import NDArray

class FeedEvent(IntEnum):
    LOST = 1
    BACK = 2

class TickSink:
    def take_ticks(self, ticks: NDArray[Any], recv_ns: int) -> None: ...
    def tell_event(self, event: int, at_ns: int) -> None: ...
