from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

NOTICE_DTYPE: Final[np.dtype[Any]]
COUNT_NAMES: Final[tuple[str, ...]]

class TickFlag(IntEnum):
    SEED = 1
    QTY_WRAPPED = 2
    TIME_RECEIVED = 4

class WireCount(IntEnum):
    MESSAGES = 0
    BYTES = 1
    PACKETS = 2
    UNKNOWN_CODE = 3
    CUT = 4
    SHORT = 5
    LOST = 6
    TRAILING = 7
    DROPPED_BYTES = 8
    LENGTH_FIELD = 9
    UNKNOWN_SEGMENT = 10
    UNKNOWN_INSTRUMENT = 11
    BAD_PRICE = 12
    OFF_TICK = 13
    NO_TRADE = 14
    VOLUME_BACK = 15
    QTY_WRAP = 16
    RAW_SIDE = 17
    ROWS_CUT = 18
    COUNTS = 19

class Decoded(NamedTuple):
    ticks: NDArray[Any]
    depth: NDArray[Any]
    stats: NDArray[Any]
    notices: NDArray[Any]

@final
class WireSink:
    def __new__(cls, rows: int) -> Self: ...

def count_names(counts: Sequence[int]) -> dict[str, int]: ...
