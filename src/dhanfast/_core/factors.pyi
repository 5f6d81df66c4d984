from collections.abc import Iterable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

ROOM_MIN: int

def factor_dtype(count: int) -> np.dtype[np.void]: ...

@final
class Factors:
    names: tuple[str, ...]
    weights: tuple[float, ...]
    room: int
    count: int
    lost: int
    def __new__(
        cls, names: Iterable[str], weights: Iterable[float], room: int = 8192
    ) -> Factors: ...
    def reserve(self, room: int) -> None: ...
    def take(self) -> NDArray[Any]: ...
