from typing import Any

import numpy as np
from numpy.typing import NDArray

BLANK: int
NOT_OF_FORM: int
TOO_FINE: int
TOO_LARGE: int

def count_lines(data: Any) -> int: ...
def header(data: Any, start: int = 0) -> tuple[list[str], int, int]: ...
def scan(
    data: Any, start: int, number: int, slots: NDArray[np.int32], spare: bool = False
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.int64]]: ...
def decimals(
    data: Any, starts: NDArray[np.uint32], ends: NDArray[np.uint32], places: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]: ...
def dates(
    data: Any, starts: NDArray[np.uint32], ends: NDArray[np.uint32]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]: ...
def texts(
    data: Any, starts: NDArray[np.uint32], ends: NDArray[np.uint32]
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]: ...
