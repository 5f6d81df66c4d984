"""Strategy: the whole contract an author of a Python strategy learns.

    from dhanfast.strategies import Strategy, param

    class Dip(Strategy):
        \"\"\"Buys a close below the average, leaves above it.\"\"\"
        period = param(20, low=2, high=200)

        def on_start(self, m):
            self.average = m.sma(self.period)

        def on_bar(self, ctx, bar):
            if ctx.position == 0 and bar.close < self.average.value:
                ctx.buy(stop=50, target=100)
            elif ctx.position > 0 and bar.close > self.average.value:
                ctx.exit()

`m` (a `Market`) declares series once, in on_start; their `.value` on the bar being handled is read
in on_bar (in on_tick: of the last complete bar), NaN during warm-up. `ctx` (a `Context`) is all the
strategy may know of its position and the time, and how it says what it wants. The same object runs
in backtest, replay, paper and live.
"""

from collections.abc import Callable
from typing import Any

from dhanfast._core.pydoor import BarView, ChainView, Context, FillView, PythonRunner, TickView
from dhanfast._core.rules.graph import Graph
from dhanfast._core.strategy import NativeStrategy
from dhanfast.errors import StrategyError
from dhanfast.strategies.market import Market
from dhanfast.strategies.params import Parametric, param

__all__ = [
    "BarView", "ChainView", "Context", "FillView", "Market", "Strategy", "TickView", "param",
]  # fmt: skip

# Callbacks of the full contract that need parts of the engine which are not in this version.
_LATER = {
    "on_order": "order updates",
    "on_timer": "timers",
}

Log = Callable[[int, str], None]
MINUTE_NS = 60_000_000_000


class Strategy(Parametric):
    """A strategy in Python. Define the callbacks you need; one that is absent costs nothing.

    Callbacks:
        on_start(m): declare series; called once before the first event.
        on_bar(ctx, bar): a bar of the run's timeframe is complete.
        on_tick(ctx, tick): a tick arrived (only in runs on ticks).
        on_chain(ctx, chain): figures of the option chain came, of those that on_start declared
            (`m.chain.pcr`): `chain.pcr`; only in runs with a chain.
        on_fill(ctx, fill): an order of this strategy filled, wholly or in part.
        on_stop(ctx): the run ends; positions are already closed.
        save(): what the strategy that takes its place in a running engine shall know: a dict of
            plain data (dict, list, str, int, float, bool, None).
        load(state): what `save` of the one before returned, before this one's first event. Its
            series are warmed up then; without `load`, or without a `save` before it, it is shown
            the bars of the day in on_bar instead, and what it wishes there is not heard.
    Raises:
        StrategyError: from the run, when a callback raises; the cause is chained.
    """

    def on_start(self, m: Market) -> None:
        """Declare the series this strategy reads."""

    def runner(self, log: Log, interval_ns: int = MINUTE_NS) -> NativeStrategy:
        """This strategy as the kernel runs it; used by the engine."""
        for name, part in _LATER.items():
            if hasattr(self, name):
                raise StrategyError(
                    f"{type(self).__name__}.{name}: {part} are not in this version; "
                    f"remove the method"
                )
        graph = Graph()
        context = Context(graph, log)
        self.on_start(Market(graph, interval_ns))
        names = ("on_bar", "on_tick", "on_fill", "on_chain")
        callbacks: list[Any] = [getattr(self, name, None) for name in names]
        if callbacks[0] is None and callbacks[1] is None and callbacks[3] is None:
            raise StrategyError(
                f"{type(self).__name__} defines none of on_bar, on_tick and on_chain"
            )
        if callbacks[3] is not None and not graph.chain_figures:
            raise StrategyError(
                f"{type(self).__name__}.on_chain asks for no figure: say which in on_start, for "
                "example self.pcr = m.chain.pcr"
            )
        return PythonRunner(self, context, *callbacks)
