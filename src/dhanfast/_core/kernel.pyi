from typing import Any, Self, final

from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.chainfeed import ChainFeed
from dhanfast._core.dealer import Dealer
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.sizing import Sizing
from dhanfast._core.stops import Stops
from dhanfast._core.strategy import NativeStrategy

@final
class Kernel(Dealer):
    bars_seen: int
    bars_outside: int
    bars_matched: int
    equity_peak: int
    drawdown_max: int
    chain_seen: int
    def __new__(
        cls,
        strategy: NativeStrategy,
        broker: Broker,
        portfolio: Portfolio,
        gate: Gate,
        log: RunLog,
        sessions: NDArray[Any],
        *,
        lots: int = 1,
        interval_ns: int = 60_000_000_000,
        match_interval_ns: int = 0,
        on_opposite: int = ...,
        slippage: int = 0,
        slippage_ticks: int = 0,
        stop_more: int = 0,
        equity_each_bar: bool = True,
        sizing: Sizing | None = None,
        stops: Stops | None = None,
    ) -> Self: ...
    def extend(self, sessions: NDArray[Any]) -> None: ...
    def run(self, bars: NDArray[Any]) -> bool: ...
    def finish(self) -> None: ...
    def end_day(self, now_ns: int = 0) -> None: ...
    def see_chain(self, chain: ChainFeed) -> None: ...
    @property
    def equity(self) -> int: ...
    @property
    def stop_local(self) -> int: ...
    def size_explained(self) -> dict[str, Any]: ...
    @property
    def sizes(self) -> dict[str, int]: ...
