"""Strategies for tests of who decides in a live run, and what must be so after a restart."""

import json
from pathlib import Path
from typing import Any

from dhanfast._core.live.journal import Kind
from tests.engine.live_stage import Stage, records_of

LOT = 30

KEEPER = '''
from dhanfast.strategies import Strategy, param


class {name}(Strategy):
    """Notes every bar, and what it was told; buys on the bar `enter`."""

    enter = param(0, low=0)
    stop = param(50.0, low=0.0)

    def on_start(self, m):
        self.average = m.sma(2)
        self.bars, self.fills, self.loaded = [], 0, None

    def on_bar(self, ctx, bar):
        self.bars.append((bar.close, ctx.position))
        {on_bar}
        if len(self.bars) == self.enter:
            ctx.buy(stop=self.stop, target=100.0)

    def on_fill(self, ctx, fill):
        self.fills += 1
        {on_fill}
'''
HANDS = """
    def save(self):
        return {save}

    def load(self, state):
        self.loaded = state
        {load}
"""


def strategy(
    folder: Path, name: str, *, on_bar: str = "", on_fill: str = "", save: str = "",
    load: str = "",
) -> str:  # fmt: skip
    """A file of one strategy; with `save` it hands over, and takes."""
    text = KEEPER.format(name=name, on_bar=on_bar, on_fill=on_fill)
    if save:
        text += HANDS.format(save=save, load=load)
    path = folder / f"{name.lower()}.py"
    path.write_text(text)
    return str(path)


def inputs_of(path: Path) -> list[dict[str, Any]]:
    """What the journal says of strategies, in order."""
    return [json.loads(payload[16:]) for kind, payload in records_of(path) if kind == Kind.STRATEGY]


def made(stage: Stage) -> Any:
    """The object that decides."""
    return stage.run.seat.now.found.made


def figures(stage: Stage) -> tuple[Any, ...]:
    """What must be the same after a restart."""
    run = stage.run
    orders, trades = run.rows_so_far()[1], run.rows_so_far()[0]
    kernel = run.kernel
    return (
        kernel.position, kernel.bars_seen, kernel.orders_sent, kernel.stop_price,
        kernel.target_price, orders.tobytes(), trades.tobytes(), run.seat.now.name,
        run.seat.stopped, run.seat.swaps, run.seat.rollbacks, run.seat.stops,
        run.seat.now.since_ns, run.seat.changes, run.loop.gate_state,
        made(stage).settings(), getattr(made(stage), "bars", None),
        getattr(made(stage), "fills", None), getattr(made(stage), "loaded", None),
    )  # fmt: skip


def again(stage: Stage, folder: Path, first: str, **given: Any) -> Stage:
    """The engine after a kill: what stands in the journal, and nothing else."""
    stage.journal.close()
    return Stage(folder, first, start="09:50", **given)


RULES = '''
from dhanfast.strategies import RuleStrategy, Rules


class Always(RuleStrategy):
    """Long whenever it may be."""

    def rules(self, m):
        return Rules(long=m.close > m.sma(3), stop=50.0, target=500.0)
'''
FAILS = "if len(self.bars) == 3: raise RuntimeError('third')"
