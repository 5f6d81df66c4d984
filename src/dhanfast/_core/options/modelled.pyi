from typing import Any

from numpy.typing import NDArray

def fill_expiry(
    index: NDArray[Any],
    years_open: NDArray[Any],
    years_close: NDArray[Any],
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
