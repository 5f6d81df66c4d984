"""What is compared: every row of the table, its sides and the bar it is held to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        group, what: where it stands. unit: of the figures, one of what.
        ours: subject of `ours.py`; several are summed by `Row.sums`.
        peers: subjects of the other workers, interleaved with ours.
        most_ns: our figure must not exceed it. faster: {peer: ours must be this many times as fast}
        (below 1: may be that much slower).
    """

    group: str
    what: str
    unit: str
    ours: str
    peers: tuple[str, ...] = ()
    most_ns: float | None = None
    faster: tuple[tuple[str, float], ...] = ()
    minus: tuple[str, ...] = ()  # of our own subjects: the sum that `ours` is held against
    minus_most: float = 0.0


STRATEGY = "strategy"
ROWS: tuple[Row, ...] = (
    Row(
        STRATEGY,
        "rule door, momentum",
        "bar",
        "rules",
        ("c.strategy", "vectorbt", "backtesting", "backtrader", "nautilus"),
        50.0,
        (("vectorbt", 5.0), ("backtesting", 250.0), ("backtrader", 3000.0)),
    ),
    Row(STRATEGY, "Cython door, momentum", "bar", "cython", ("c.strategy",), 35.0),
    Row(
        STRATEGY,
        "Python door, momentum",
        "bar",
        "python",
        ("backtesting",),
        1000.0,
        (("backtesting", 15.0),),
    ),
    *(
        Row(
            "indicators", name, "bar", name, (f"talib.{name}",), None, ((f"talib.{name}", 1 / 1.2),)
        )
        for name in (
            "sma",
            "ema",
            "wma",
            "rsi",
            "macd",
            "bollinger",
            "roc",
            "slope",
            "std",
            "min",
            "max",
            "atr",
            "adx",
            "cci",
            "stochastic",
            "obv",
        )
    ),
    Row(
        "fused",
        "five in one pass",
        "bar",
        "five",
        minus=("ema", "rsi", "macd", "zscore", "slope"),
        minus_most=2 / 3,
    ),
    *(
        Row(
            "scalar",
            f"{name}, one update from Python",
            "update",
            f"scalar.{name}",
            (f"nautilus.{name}", f"talipp.{name}"),
            None,
            ((f"nautilus.{name}", least),),
        )
        for name, least in (
            ("ema", 1.0),
            ("rsi", 1.5),
            ("macd", 1.5),
            ("atr", 1.5),
            ("bollinger", 2.5),
        )
    ),
    *(
        Row(
            "kernel",
            f"{name}, native loop",
            "bar",
            f"loop.{name}",
            (f"c.{name}",),
            None,
            ((f"c.{name}", 1 / 1.5),),
        )
        for name in ("ema", "rsi", "macd", "atr")
    ),
    Row(
        "bars",
        "ticks to minutes, streaming",
        "tick",
        "bars.streaming",
        ("c.bars", "nautilus.bars"),
        8.0,
        (("nautilus.bars", 40.0),),
    ),
    Row(
        "bars",
        "ticks to minutes, batch",
        "tick",
        "bars.batch",
        ("c.bars", "polars.bars"),
        None,
        (("polars.bars", 1.0),),
    ),
    Row(
        "book",
        "delta and best",
        "delta",
        "book.delta",
        ("c.book", "hftbacktest.delta", "order_book.delta"),
        15.0,
        (("hftbacktest.delta", 8.0),),
    ),
    Row(
        "book",
        "20-level snapshot",
        "snapshot",
        "book.snapshot",
        ("order_book.snapshot",),
        60.0,
        (("order_book.snapshot", 20.0),),
    ),
    Row(
        "ticks",
        "a rule that never trades",
        "tick",
        "ticks.never",
        ("hftbacktest.ticks", "hftbacktest.minutes", "nautilus.ticks"),
        40.0,
        (("hftbacktest.ticks", 2.5), ("nautilus.ticks", 100.0)),
    ),
    Row(
        "ticks",
        "in and out minute by minute",
        "tick",
        "ticks.orders",
        ("hftbacktest.ticks_orders", "hftbacktest.minutes_orders", "nautilus.ticks_orders"),
        67.0,
        (("hftbacktest.ticks_orders", 2.5), ("nautilus.ticks_orders", 100.0)),
    ),
    Row("ticks", "momentum on minutes of ticks", "tick", "ticks.momentum", (), 67.0),
    Row("ticks", "Python on_tick", "tick", "ticks.python", (), 500.0),
    Row("risk", "gate, every limit on", "order", "gate", (), 100.0),
    Row("ring", "push and drain", "event", "ring", (), 10.0),
)

# Which module prepares a subject, by the part of its name before the dot.
MODULES = {
    "c": "plain_c",
    "talib": "batch_peers",
    "talipp": "batch_peers",
    "polars": "batch_peers",
    "order_book": "batch_peers",
    "hftbacktest": "hft_peer",
    "vectorbt": "strategy_peers",
    "backtesting": "strategy_peers",
    "backtrader": "strategy_peers",
    "nautilus": "nautilus_peer",
}

# Distribution names by subject prefix; nautilus_trader lives apart: it wants an older pandas.
PEERS = {
    "vectorbt": "vectorbt",
    "backtesting": "backtesting",
    "backtrader": "backtrader",
    "talib": "TA-Lib",
    "talipp": "talipp",
    "polars": "polars",
    "hftbacktest": "hftbacktest",
    "order_book": "order-book",
}
APART = {"nautilus": "nautilus_trader"}
SLOW = ("backtrader", "nautilus", "backtesting", "vectorbt")  # a round of these takes seconds
GROUPS = (*dict.fromkeys(row.group for row in ROWS), "process", "growth")


def module_of(subject: str) -> str:
    """The worker module of a subject; ours when no peer is named."""
    prefix, dot, _ = subject.partition(".")
    if dot or prefix in MODULES:
        return MODULES.get(prefix, "ours")
    return "ours"
