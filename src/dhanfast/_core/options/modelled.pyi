from typing import Any

from numpy.typing import NDArray

def fill_expiry(
    index: NDArray[Any],
    start_ns: NDArray[Any],
    end_ns: NDArray[Any],
    expiry_ns: int,
    strike: NDArray[Any],
    tables: NDArray[Any],
    first: int,
    *,
    level: float,
    slope: float,
    bend: float,
    rate: float,
    tick: int,
    reach: float = 4.0,
    lowest: float = 0.6,
    highest: float = 3.0,
) -> None: ...
