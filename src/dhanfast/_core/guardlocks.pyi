from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from dhanfast._core.portfolio import Portfolio

class GuardKind(IntEnum):
    OPERATOR = 0
    DRAWDOWN = 1
    DAY_LOSS = 2
    PROFIT_LOCK = 3
    MAX_TRADES = 4
    CONSECUTIVE_LOSSES = 5
    COOLDOWN_PERIOD = 6
    STOPLOSS_GUARD = 7
    STOPLOSS_LONG = 8
    STOPLOSS_SHORT = 9
    LOW_PROFIT = 10
    MAX_DRAWDOWN = 11

class GuardNews(IntEnum):
    VETO = 0
    LOCK = 1
    ALERT = 2
    UNLOCK = 3

@disjoint_base
class GuardLocks:
    locks_made: Final[int]
    alerts_made: Final[int]
    events_lost: Final[int]
    portfolio: Final[Portfolio | None]
    def __new__(
        cls,
        *,
        carried: Mapping[str, Any] | None = None,
        vix: tuple[NDArray[Any], NDArray[Any]] | None = None,
        instruments: int = 1,
        **rules: int,
    ) -> GuardLocks: ...
    def start_day(self, date: int, equity: int, now_ns: int) -> None: ...
    def mark(self, now_ns: int, equity: int) -> None: ...
    def enter(self, now_ns: int) -> None: ...
    def close_trade(self, exit_ns: int, net: int, side: int, stopped: bool) -> None: ...
    def vix(self, now_ns: int, value: int) -> None: ...
    def carry(self) -> dict[str, Any]: ...
