from enum import IntEnum
from typing import Any, Self, final

from dhanfast._core.risk import Gate

class SizeMethod(IntEnum):
    LOTS = 0
    RISK = 1
    KELLY = 2
    VOLATILITY = 3

class SizeReason(IntEnum):
    SIZED = 0
    NO_STOP = 1
    NO_PRICE = 2
    NO_EQUITY = 3
    SMALL = 4
    NO_EDGE = 5
    FEW_TRADES = 6
    NO_VOLATILITY = 7
    LIMITS = 8
    MARGIN = 9

class SizeCut(IntEnum):
    NOTHING = 0
    FREEZE = 1
    QTY_MAX = 2
    NOTIONAL_MAX = 3
    POSITION_MAX = 4
    FREE_MARGIN = 5

@final
class Sizing:
    def __new__(
        cls,
        *,
        method: str = "lots",
        lots: int = 1,
        risk: int = 0,
        risk_e6: int = 0,
        kelly_fraction: float = 0.5,
        kelly_cap_e6: int = 20_000,
        kelly_trades_min: int = 30,
        kelly_fall_back: bool = False,
        trades: float = 0.0,
        win_rate: float = 0.0,
        win: float = 0.0,
        loss: float = 0.0,
        target_e6: int = 0,
        measure: str = "atr",
        period: int = 14,
        fit: bool = False,
        interval_ns: int = 60_000_000_000,
    ) -> Self: ...

@final
class Sizer:
    def __new__(cls, sizing: Sizing, gate: Gate | None = None) -> Self: ...
    def closed(self, result: float) -> None: ...
    def bar(self, bar: object, first: bool = False) -> None: ...
    def entry(
        self,
        session: object,
        *,
        price: int,
        equity: int,
        margin_free: int = 0,
        stop: float = 0.0,
        side: int = 1,
        freezes: int = 1,
    ) -> int: ...
    @property
    def explained(self) -> dict[str, Any]: ...
