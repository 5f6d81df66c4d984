from typing import Any, Self, final

from numpy.typing import NDArray

from dhanfast._core.bars import TimeBars
from dhanfast._core.kernel import Kernel

def run_split(kernel: Kernel, bars: NDArray[Any], signal_bars: NDArray[Any]) -> bool: ...

@final
class TickLoop:
    kernel: Kernel
    ticks_seen: int
    ticks_outside: int
    ticks_late: int
    until_ns: int
    beyond_ns: int
    def __new__(
        cls, kernel: Kernel, builder: TimeBars, *, until_ns: int = 0, singly: bool = False
    ) -> Self: ...
    def run(self, ticks: NDArray[Any]) -> bool: ...
    def take_bars(self) -> NDArray[Any]: ...
    def extend(self, sessions: NDArray[Any], until_ns: int) -> None: ...
    def close_bars(self) -> None: ...
