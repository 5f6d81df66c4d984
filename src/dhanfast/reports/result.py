"""What one run produced: the only thing a report reads, and the only thing a run hands over."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# One closed trade (a position from flat to flat, or to a reversal). Money in paise; charges in
# micro-paise (1e-6 paisa) unrounded, one column a component, both sides of the trade together.
TRADE_DTYPE = np.dtype(
    [
        ("entry_ns", "<i8"),
        ("exit_ns", "<i8"),  # time of the first fill, of the last fill
        ("qty", "<i8"),  # units at the largest
        ("entry_value", "<i8"),
        ("exit_value", "<i8"),  # paise: sum of price * units of the fills
        ("gross", "<i8"),  # paise, before charges
        ("mae", "<i8"),
        ("mfe", "<i8"),  # paise, worst (<= 0) and best (>= 0) open P&L
        ("stop", "<i8"),
        ("target", "<i8"),  # price in paise as first set; 0 = none
        ("brokerage", "<i8"),
        ("exchange", "<i8"),
        ("sebi", "<i8"),
        ("ipft", "<i8"),
        ("stamp", "<i8"),
        ("stt", "<i8"),
        ("gst", "<i8"),
        ("contract", "<i8"),  # expiry as YYYYMMDD, 0 when it has none
        ("instrument", "<u4"),
        ("bars", "<u4"),  # bars held
        ("side", "i1"),
        ("entry_reason", "u1"),
        ("exit_reason", "u1"),
        ("spare", "u1", 5),
    ]
)

# One order as it ended. Prices in paise.
ORDER_ROW_DTYPE = np.dtype(
    [
        ("id", "<u8"),
        ("created_ns", "<i8"),
        ("done_ns", "<i8"),
        ("price", "<i8"),
        ("trigger", "<i8"),
        ("qty", "<i8"),
        ("filled", "<i8"),
        ("value", "<i8"),  # value: paise of its fills
        ("instrument", "<u4"),
        ("side", "i1"),
        ("kind", "u1"),
        ("flags", "u1"),
        ("reason", "u1"),
        ("status", "u1"),  # ReportKind of its last report
        ("refused", "u1"),  # RejectReason, 0 = none
        ("spare", "u1", 6),
    ]
)

# Equity after charges, one row a bar (or a day when streaming). Paise.
EQUITY_DTYPE = np.dtype([("time_ns", "<i8"), ("equity", "<i8"), ("position", "<i8")])

# One exchange day's bill as charged: paise, rounded as brokers round (STT and stamp to the rupee).
DAY_DTYPE = np.dtype(
    [
        ("date", "<i4"),
        ("trades", "<i4"),
        ("gross", "<i8"),
        ("brokerage", "<i8"),
        ("exchange", "<i8"),
        ("sebi", "<i8"),
        ("ipft", "<i8"),
        ("stamp", "<i8"),
        ("stt", "<i8"),
        ("gst", "<i8"),
        ("charges", "<i8"),  # sum of the seven
        ("equity", "<i8"),  # at the end of the day
    ]
)


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
