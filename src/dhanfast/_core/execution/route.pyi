from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from typing_extensions import disjoint_base

class Urgency(IntEnum):
    PASSIVE = 0
    NORMAL = 1
    URGENT = 2
    EMERGENCY = 3

class RouteStyle(IntEnum):
    NOTHING = 0
    JOIN = 1
    MID = 2
    CROSS = 3
    WIDE = 4
    BAND = 5

class RouteWhy(IntEnum):
    UNROUTED = 0
    JOIN_PASSIVE = 1
    JOIN_EMPTY = 2
    MID_SPREAD = 3
    MID_WIDE = 4
    MID_THIN = 5
    CROSS_TIGHT = 6
    CROSS_VOLATILE = 7
    CROSS_URGENT = 8
    CROSS_LAST = 9
    CROSS_PATIENCE = 10
    LADDER_JOIN = 11
    LADDER_MID = 12
    LADDER_CROSS = 13
    LADDER_WIDE = 14
    LADDER_BAND = 15
    NO_MARKET = 17

class Routed(NamedTuple):
    price: int
    kind: int
    validity: int
    style: RouteStyle
    why: RouteWhy

@disjoint_base
class Router:
    def __new__(
        cls,
        *,
        slabs: Iterable[tuple[int, int]] = ...,
        swing: float = 4.0,
        future_e4: int = 100,
        wide_e4: int = 20_000,
        tight_ticks: int = 2,
        tight_e6: int = 100,
        loose_e6: int = 20_000,
        share_e4: int = 10_000,
        interval_ns: int = 1_000_000_000,
        reprices_max: int = 3,
        patience_ns: int = 5_000_000_000,
        join_ns: int = 2_000_000_000,
        mid_ns: int = 2_000_000_000,
        cross_ns: int = 2_000_000_000,
        wide_ns: int = 2_000_000_000,
        option: bool = True,
        ioc: bool = False,
        entry_cross: bool = True,
        entry_urgency: int = 1,
        exit_urgency: int = 1,
    ) -> Router: ...
    def entry(
        self, market: Mapping[str, Any], side: int, qty: int, urgency: int, age_ns: int = 0
    ) -> Routed: ...
    def exit(
        self, market: Mapping[str, Any], side: int, qty: int, urgency: int, age_ns: int = 0
    ) -> Routed: ...
    def urgency(self, reason: int, flags: int) -> Urgency: ...
    def many(
        self,
        market: Mapping[str, Any],
        side: int,
        qty: int,
        urgency: int,
        count: int,
        leaves: bool = False,
    ) -> int: ...

def volatility(average_range: float, bar_ns: int) -> float: ...
