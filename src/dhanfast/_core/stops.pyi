from enum import IntEnum
from typing import Self, final

class DistanceUnit(IntEnum):
    NONE = 0
    POINTS = 1
    PERCENT = 2
    ATR = 3

@final
class Stops:
    def __new__(
        cls,
        *,
        stop: tuple[float, str] | None = None,
        target: tuple[float, str] | None = None,
        trail: tuple[float, str] | None = None,
        trail_from: tuple[float, str] | None = None,
        cost_at: tuple[float, str] | None = None,
        cost_plus: tuple[float, str] | None = None,
        cost_charges: bool = False,
        override: bool = False,
        rest: bool = True,
        step_ticks: int = 20,
        every_ns: int = 5_000_000_000,
        changes_max: int = 15,
        atr_period: int = 14,
        bars_max: int = 0,
        time_max_ns: int = 0,
        only_losing: bool = False,
    ) -> Self: ...

@final
class StopWatch:
    stop: int
    def __new__(
        cls,
        stops: Stops,
        *,
        side: int,
        entry: int,
        tick: int,
        stop: int = 0,
        atr: float = ...,
        paid: int = 0,
        qty: int = 1,
        charges: int = 0,
    ) -> Self: ...
    def see(self, low: int, high: int, last: int, now_ns: int) -> int: ...
    def quiet(self, last_ns: int) -> tuple[int, int, int]: ...
