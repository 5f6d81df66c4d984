from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

NOTE_DTYPE: np.dtype[Any]

class Stage(IntEnum):
    REST = 0
    HEDGES = 1
    SALES = 2
    LEAVE = 3

class Told(IntEnum):
    NOT_ENTERED = 1
    LATE = 2
    CUT = 3
    NOT_AGAIN = 4
    COMBINED_STOP = 5
    COMBINED_TARGET = 6
    SIGNAL_DROPPED = 7
    UNFILLED = 8
    UNWOUND = 9
    REPAIRED = 10
    STAYS_OUT = 11

class Unwind(IntEnum):
    DEADLINE = 1
    REFUSED = 2
    PARTLY = 3
    CANCELLED = 4
    UNLED = 5

@disjoint_base
class LegOrder:
    stage: Final[Stage]
    paused: Final[bool]
    notes_lost: Final[int]
    unwound: Final[int]
    repaired: Final[int]
    uncovered_max: Final[int]
    def take_notes(self) -> NDArray[Any]: ...
