"""Swaps, failures and kills in any order: a restart has the position and decisions it had.

The history of what the engine was at each record of its journal is the oracle: a life that begins
with a journal cut there must be the same, whatever strategies followed each other until then.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal
from dhanfast.engine.live import LiveRun
from dhanfast.engine.seat import Misuse
from dhanfast.errors import DhanfastError
from tests.engine.live_stage import FUTURE, PRICE, SECOND, at, journal_of, records_of, tick_at
from tests.engine.seat_stand import RULES, strategy

TEXTS: dict[str, dict[str, str]] = {
    "Quiet": {},
    "Buyer": {"on_bar": "ctx.position or ctx.buy(stop=20.0, target=30.0)"},
    "Turner": {
        "on_bar": "ctx.exit() if ctx.position else ctx.sell(stop=15.0)",
        "save": "{'n': len(self.bars), 'had': self.loaded}",
    },
    "Keeper": {"save": "{'n': len(self.bars)}"},
    "Early": {"on_bar": "if ctx.can_enter: raise ValueError('first')"},
    "Late": {
        "on_bar": "if len(self.bars) % 4 == 3: raise ValueError('later')\n"
        "        ctx.position or ctx.sell(stop=20.0)"
    },
    "Filled": {"on_bar": "ctx.position or ctx.buy(stop=20.0)", "on_fill": "raise OSError('fill')"},
    "Refuses": {"save": "{'x': float('nan')}", "load": "1 / 0"},
}
HANDING = ("Turner", "Keeper")
NAMES = [*HANDING, *HANDING, "Buyer", *TEXTS, "always", "momentum", "momentum-cython", "v1"]
COMMANDS = (Command.RESUME, Command.RESUME, Command.FLATTEN, Command.STOP_ENTRIES)
TICKER = '''
from dhanfast.strategies import Strategy


class Ticker(Strategy):
    """Decides on ticks; breaks on the one after so many."""

    def on_start(self, m):
        self.ticks = 0

    def on_tick(self, ctx, tick):
        self.ticks += 1
        if self.ticks == 40:
            raise ArithmeticError("forty")
        if self.ticks % 7 == 0:
            ctx.exit() if ctx.position else ctx.buy(stop=25.0)
'''


class SeatMachine(RuleBasedStateMachine):
    """One day on paper, in lives."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="seat-"))
        self.path = self.folder / "day.dfj"
        self.places = {name: strategy(self.folder, name, **words) for name, words in TEXTS.items()}
        for name, text in (("always", RULES), ("ticker", TICKER)):
            (self.folder / f"{name}.py").write_text(text)
            self.places[name] = str(self.folder / f"{name}.py")
        self.now, self.price, self.volume = at("09:20"), PRICE, 0
        self.history: dict[int, Any] = {}
        self.journal: Journal | None = None

    def place(self, name: str) -> str:
        return self.places.get(name, name)

    @initialize(
        first=st.sampled_from([*HANDING, "Buyer", "ticker"]),
        way=st.sampled_from(["flatten", "keep"]),
    )
    def begin(self, first: str, way: str) -> None:
        self.first, self.misuse = self.place(first), Misuse(way)
        self.live([])

    def live(self, records: list[tuple[int, bytes]]) -> None:
        """A life of the engine, with what the journal holds."""
        self.journal = journal_of(self.path)
        self.run = self.made(self.journal)
        if records:
            self.run.recover(records, self.now)

    def made(self, journal: Journal) -> LiveRun:
        return LiveRun(self.first, symbol="BANKNIFTY", journal=journal, instrument=FUTURE,
                       first_ns=at("09:20"), misuse=self.misuse)  # fmt: skip

    def figures(self) -> Any:
        """What a person or the market could see of it."""
        return figures_of(self.run)

    # ---- what happens ---------------------------------------------------------------------------

    @rule(
        steps=st.lists(st.integers(-1_500, 1_500), min_size=4, max_size=16),
        gap=st.sampled_from([5, 31, 61]),
    )
    def ticks(self, steps: list[int], gap: int) -> None:
        for step in steps:
            self.now += gap * SECOND
            self.price += step
            self.volume += 30
            self.run.loop.take_ticks(tick_at(self.now, self.price, self.volume), self.now)
            self.note()

    @rule(seconds=st.integers(1, 200))
    def time(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.run.loop.poll(self.now)

    @rule(name=st.sampled_from([*NAMES, "ticker"]), fresh=st.booleans())
    def swap(self, name: str, fresh: bool) -> None:
        seat, before = self.run.seat, self.figures()
        try:
            ready = seat.make(self.place(name), {}, self.run.bars_so_far(), seat._turn, fresh=fresh)
            seat.install(ready, self.now)
        except DhanfastError:
            assert self.figures() == before, "refused, and something has changed"
            return
        after = self.figures()
        for field in ("position", "stop", "target", "orders", "trades", "sent"):
            assert after[field] == before[field], f"a swap has changed {field}"
        assert after["swaps"] == before["swaps"] + 1
        self.run.loop.command(Command.RESUME, self.now)  # as the service does

    @rule()
    def eat(self) -> None:
        if not self.run.seat.stopped:
            self.run.seat._stop("memory", "the process grew")

    @rule(what=st.sampled_from(COMMANDS))
    def command(self, what: Command) -> None:
        self.run.loop.command(what, self.now)

    # ---- deaths ---------------------------------------------------------------------------------

    @precondition(lambda self: self.journal is not None and self.journal.seq > 0)
    @rule(lost=st.integers(0, 5))
    def kill(self, lost: int) -> None:
        """The process dies `lost` records earlier than it has come."""
        assert self.journal is not None
        self.journal.close()
        records = records_of(self.path)
        records = records[: max(1, len(records) - lost)]
        self.path.unlink()
        copied = journal_of(self.path)
        for kind, payload in records:
            copied.append_record(kind, payload, self.now, vital=True)
        copied.close()
        self.live(records)
        assert not self.run.loop.stopped and not self.run.loop.failing
        wanted = self.history.get(len(records))
        assert self.journal is not None
        if wanted is not None and self.journal.seq == len(records):
            assert self.figures() == wanted, "not what it was at this record"
        self.history = {seq: told for seq, told in self.history.items() if seq <= len(records)}

    @invariant()
    def note(self) -> None:
        if self.journal is not None:
            self.history[self.journal.seq] = self.figures()

    @invariant()
    def somebody_or_nobody_decides(self) -> None:
        if self.journal is None:
            return
        seat, kernel = self.run.seat, self.run.kernel
        assert self.run.loop.error is None and not kernel.strategy.failed
        assert kernel.strategy is seat.now.runner or seat.stopped
        assert not seat.stopped or self.run.barred

    def teardown(self) -> None:
        if self.journal is not None:
            self.journal.close()
            self.repeat_it_all()
        shutil.rmtree(self.folder)

    def repeat_it_all(self) -> None:
        """The whole day once more, in a folder of its own."""
        (self.folder / "again").mkdir()
        journal = journal_of(self.folder / "again" / "day.dfj")
        run = self.made(journal)
        run.recover(records_of(self.path), self.now)
        assert figures_of(run) == self.figures()
        journal.close()


def figures_of(run: LiveRun) -> dict[str, Any]:
    """Everything of a run that its journal must bring back."""
    kernel, seat = run.kernel, run.seat
    trades, orders = run.rows_so_far()
    made = seat.now.found.made
    return {
        "position": kernel.position, "stop": kernel.stop_price, "target": kernel.target_price,
        "orders": np.ascontiguousarray(orders).tobytes(),
        "trades": np.ascontiguousarray(trades).tobytes(),
        "sent": kernel.orders_sent, "bars": kernel.bars_seen, "gate": run.loop.gate_state,
        "name": seat.now.name, "stopped": seat.stopped, "swaps": seat.swaps,
        "rollbacks": seat.rollbacks, "stops": seat.stops, "changes": list(seat.changes),
        "state": [list(getattr(made, "bars", ())), getattr(made, "fills", None),
                  getattr(made, "loaded", None), getattr(made, "ticks", None)],
    }  # fmt: skip


TestSeat = SeatMachine.TestCase
TestSeat.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
