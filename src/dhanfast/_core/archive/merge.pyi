from collections.abc import Sequence
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

FULL: Final[int]
DUE: Final[int]
ENDED: Final[int]
RUN_DTYPE: Final[np.dtype[Any]]

@final
class RowMerger:
    def __new__(cls, dtype: np.dtype[Any], time: str, key: str | None, sources: int) -> Self: ...
    def start(self, source: int, numbers: NDArray[np.uint32] | None = None) -> None: ...
    def feed(self, source: int, rows: NDArray[Any]) -> None: ...
    def take(self, out: NDArray[Any], at: int, until: int | None = None) -> tuple[int, int]: ...

def sequence_runs(sequences: Sequence[NDArray[np.uint64]], starts: list[int]) -> NDArray[Any]: ...
