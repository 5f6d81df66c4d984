"""What one run produced: the only thing a report reads, and the only thing a run hands over."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from dhanfast._core.portfolio import DAY_BILL_DTYPE as DAY_DTYPE
from dhanfast._core.runlog import EQUITY_DTYPE, ORDER_ROW_DTYPE, PASSAGE_DTYPE, TRADE_DTYPE
from dhanfast.reports.signals import FactorRows, VetoRows

# Rows as the native floor writes them; the meaning and unit of each field stand beside the structs
# in `_core/runlog.pxd` and `_core/portfolio.pxd`. One trade is a position from flat to flat: money
# in paise, its charges in micro-paise, unrounded. One day is one exchange day's bill in paise,
# rounded as brokers round: STT and stamp duty to the rupee.
__all__ = [
    "DAY_DTYPE",
    "EQUITY_DTYPE",
    "ORDER_ROW_DTYPE",
    "PASSAGE_DTYPE",
    "TRADE_DTYPE",
    "RunResult",
]


@dataclass(frozen=True)
class RunResult:
    """One backtest, replay or paper session, complete.

    Units:
        capital and all money columns in paise unless the dtype says micro-paise; times UTC ns.
    """

    strategy: str  # name, as given to -s
    symbol: str  # what gave the signals, e.g. BANKNIFTY
    traded: str  # what was traded, e.g. "BANKNIFTY FUT"
    timeframe: str  # "1m"
    capital: int  # paise
    trades: NDArray[Any]  # TRADE_DTYPE
    orders: NDArray[Any]  # ORDER_ROW_DTYPE
    equity: NDArray[Any]  # EQUITY_DTYPE
    days: NDArray[Any]  # DAY_DTYPE
    bars: NDArray[Any] | None  # BAR_DTYPE of the traded instrument, for the chart
    counters: dict[str, int]  # bars, bars_outside_session, signals, refused_<reason>, ...
    config: dict[str, Any]  # every setting of the run, JSON-able, in a fixed order
    data: dict[str, Any]  # files with sha256, rows, first, last, generated
    notes: tuple[str, ...]  # what a reader must know: modelled prices, generated data
    digest: str  # sha256 hex of inputs and decisions
    kernel_ns: int  # time inside the kernel
    versions: dict[str, str] = field(default_factory=dict)
    log: tuple[tuple[int, str], ...] = ()  # the strategy's own lines: (UTC ns, text)
    passages: NDArray[Any] | None = None  # PASSAGE_DTYPE, one an order; None: not kept then
    grade: str = ""  # of option premiums: recorded or modelled; "" where none were traded
    contracts: dict[int, str] = field(default_factory=dict)  # by `instrument` of trades and orders
    margin: dict[str, Any] = field(default_factory=dict)  # of options, estimated; {} = not at all
    hedges: NDArray[Any] | None = None  # HEDGE_DTYPE, a decision each; None: nothing was hedged
    vetoes: VetoRows | None = None  # of filters; None: none was on
    factors: FactorRows | None = None  # of a score or a blend; None: the strategy is neither
    members: tuple[dict[str, Any], ...] = ()  # of a blend: what each made in its own book

    def __str__(self) -> str:
        """The report as text, 80 columns wide: what `dhanfast backtest` prints."""
        from dhanfast.reports.terminal import summary_text

        return summary_text(self)
