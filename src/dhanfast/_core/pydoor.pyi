import datetime
from collections.abc import Callable
from typing import Any, Final, Self, final

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.rules.graph import Graph
from dhanfast._core.strategy import NativeStrategy

@final
class BarView:
    @property
    def start_ns(self) -> int: ...
    @property
    def open(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def close(self) -> float: ...
    @property
    def volume(self) -> int: ...
    @property
    def oi(self) -> int: ...

@final
class TickView:
    @property
    def exch_ns(self) -> int: ...
    @property
    def price(self) -> float: ...
    @property
    def bid(self) -> float: ...
    @property
    def ask(self) -> float: ...
    @property
    def qty(self) -> int: ...
    @property
    def volume(self) -> int: ...

@final
class ChainView:
    forward: Final[float]
    atm_strike: Final[float]
    atm_iv: Final[float]
    straddle: Final[float]
    risk_reversal: Final[float]
    butterfly: Final[float]
    days_to_expiry: Final[float]
    iv_rank_30: Final[float]
    iv_rank_90: Final[float]
    iv_rank_252: Final[float]
    iv_percentile_30: Final[float]
    iv_percentile_90: Final[float]
    iv_percentile_252: Final[float]
    pcr: Final[float]
    pcr_near: Final[float]
    call_oi: Final[float]
    put_oi: Final[float]
    call_oi_change: Final[float]
    put_oi_change: Final[float]
    call_build_up: Final[float]
    put_build_up: Final[float]
    support: Final[float]
    resistance: Final[float]
    max_pain: Final[float]
    gamma_exposure: Final[float]
    pcr_volume: Final[float]
    pcr_volume_near: Final[float]
    @property
    def at_ns(self) -> int: ...

@final
class FillView:
    time_ns: int
    price: float
    qty: int
    left: int
    reason: int

@final
class Context:
    graph: Graph
    def __new__(cls, graph: Graph, log: Callable[[int, str], None]) -> Self: ...
    @property
    def position(self) -> int: ...
    @property
    def entry_price(self) -> float: ...
    @property
    def bars_held(self) -> int: ...
    @property
    def can_enter(self) -> bool: ...
    @property
    def session_start(self) -> bool: ...
    @property
    def now_ns(self) -> int: ...
    @property
    def now(self) -> datetime.datetime: ...
    def buy(self, *, stop: float = 0.0, target: float = 0.0) -> None: ...
    def sell(self, *, stop: float = 0.0, target: float = 0.0) -> None: ...
    def exit(self) -> None: ...
    def log(self, text: str) -> None: ...

@final
class PythonRunner(NativeStrategy):
    target: Any
    context: Context
    watch: CallWatch | None
    quiet: bool
    calls: Final[int]
    def begin_count(self) -> None: ...
    def fail_call(self, call: int, text: str) -> None: ...
    def __new__(
        cls,
        target: Any,
        context: Context,
        on_bar: Any,
        on_tick: Any,
        on_fill: Any,
        on_chain: Any = None,
    ) -> Self: ...
