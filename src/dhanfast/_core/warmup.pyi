from typing import Any

from numpy.typing import NDArray

from dhanfast._core.strategy import NativeStrategy

def warm_up(
    strategy: NativeStrategy,
    bars: NDArray[Any],
    interval_ns: int,
    *,
    shown: int = 0,
    position: int = 0,
    entry_price: float = ...,
) -> None: ...
