from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, Self, final

LOTS_MOST: Final[int]
HEDGES_MOST: Final[int]

class HedgeTo(IntEnum):
    CENTRE = 0
    EDGE = 1

class HedgeWhy(IntEnum):
    INSIDE = 0
    BAND = 1
    COST_BAND = 2
    INTERVAL = 3
    EMPTY = 4
    WAITS = 5
    DAY_LIMIT = 6
    AT_MOST = 7
    HOURS = 8
    SHUT = 9
    BLIND = 10

def checked_rules(rules: Mapping[str, Any]) -> Mapping[str, Any]: ...

@final
class HedgeRule:
    def __new__(cls, rules: Mapping[str, Any]) -> Self: ...
    def look(
        self,
        now_ns: int,
        net: float,
        gamma: float,
        price: float,
        position: int,
        *,
        unit: float = 1.0,
        lot: int = 1,
        freeze: int = 0,
        from_ns: int = 0,
        until_ns: int = ...,
        shut: bool = False,
    ) -> tuple[int, HedgeWhy, bool, float, float]: ...
    def new_day(self) -> None: ...
    def cost_band(self, gamma: float, price: float, unit: float = 1.0) -> float: ...
