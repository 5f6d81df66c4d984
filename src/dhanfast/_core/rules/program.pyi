from enum import IntEnum
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainfeed import ChainFeed
from dhanfast._core.guardlocks import GuardLocks

class Field(IntEnum):
    OPEN = 0
    HIGH = 1
    LOW = 2
    CLOSE = 3
    VOLUME = 4
    OI = 5
    SECOND = 6
    WEEKDAY = 7
    SESSION_START = 8
    BAR_OF_SESSION = 9
    VIX = 10
    POSITION = 11
    ENTRY_PRICE = 12
    BARS_HELD = 13
    FIELDS = 14

@final
class Program:
    column_count: int
    rows: int
    def __new__(
        cls, columns: int, constants: dict[int, float], ops: list[tuple[Any, ...]]
    ) -> Self: ...
    def see(self, guards: GuardLocks, interval_ns: int) -> None: ...
    def fill_with(self, column: int, figure: int) -> None: ...
    def see_chain(self, chain: ChainFeed, interval_ns: int) -> None: ...
    def read_field(self, column: int) -> None: ...
    def outputs(self, op: int) -> int: ...
    def keep(self, op: int, rows: NDArray[np.float64], recall: bool) -> None: ...
    def reached(self, op: int) -> int: ...
    def values(self, row: int) -> list[float]: ...
