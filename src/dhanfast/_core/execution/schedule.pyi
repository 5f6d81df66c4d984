from enum import IntEnum
from typing import Any

class Algo(IntEnum):
    NONE = 0
    SLICE = 1
    TWAP = 2
    VWAP = 3
    POV = 4
    ICEBERG = 5

class Remainder(IntEnum):
    CANCEL = 0
    REPRICE = 1
    KEEP = 2

def schedule(
    lots: int,
    start_ns: int,
    end_ns: int,
    *,
    number: int = 1,
    profile: Any = None,
    **rules: int,
) -> list[tuple[int, int]]: ...
