"""One life of the run of a structure on generated ticks, and the next one on its journal."""

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.app.legs_file import plan_of
from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.legs_live import LegsRun
from dhanfast.engine.legs_replay import RecordedStructure, recorded_structure
from dhanfast.engine.seat import Misuse, Seat
from dhanfast.engine.settings import Settings
from dhanfast.market.tickday import tick_day
from tests.engine.live_stage import now_and_here
from tests.engine.test_legs_signals import drive, plan

DAY = dt.date(2025, 11, 17)
SECOND = 1_000_000_000


class World(NamedTuple):
    path: Path
    ticks: RecordedStructure
    all: NDArray[Any]


def world_in(folder: Path, text: str, *, ticks: int = 24_000) -> World:
    """A generated day, and a file of strategies: own.py."""
    (folder / "own.py").write_text(text)
    path = folder / "generated.dfa"
    day = tick_day("BANKNIFTY", DAY, seed=5, ticks=ticks, strikes=21)
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    first = plan_of({"underlying": "BANKNIFTY", "entry": "09:30", "late": "1m", "exit": "15:00",
                     "leg": [{"side": "buy", "right": "CE", "strike": "atm"}]})  # fmt: skip
    found = recorded_structure(first, [path])
    return World(folder, found, np.concatenate(list(found.open(0))))


class Life:
    """One life of the run of a day, on its journal."""

    def __init__(
        self, world: World, path: Path, of: str, way: str = "flatten", *,
        watch: CallWatch | None = None, made: StructurePlan | None = None,
        settings: Settings | None = None, **params: Any,
    ) -> None:  # fmt: skip
        self.world, self.path = world, path
        self.given = (of, way, watch, made, settings, params)
        header = JournalHeader(epoch=1, date=20251117, run="legs", config_digest=bytes(32),
                               created_ns=world.ticks.first_ns, text="")  # fmt: skip
        old = path.exists()
        journal = Journal(str(path), sync_ns=0) if old else Journal(str(path), header, sync_ns=0)
        chosen = made or plan(world.path, of, params=params)
        self.run = LegsRun(
            chosen, settings or Settings(), world.ticks.universe, world.ticks.hours, journal,
            generated=True, misuse=Misuse(way), watch=watch, folder=world.path, **self.wired(),
        )  # fmt: skip
        self.at = 0
        self.second_ns = int(world.all["recv_ns"][0]) // SECOND * SECOND + SECOND

    def wired(self) -> dict[str, Any]:
        """What carries its orders: nothing, they are simulated."""
        return {}

    def hand_on(self, heir: "Life") -> None:
        """What outlives the process."""
        heir.at, heir.second_ns = self.at, self.second_ns

    def on(self, until: Callable[[], bool] = lambda: False, step: int = 20) -> Self:
        """Ticks until something is so, or to the end."""
        while self.at < len(self.world.all) and not until():
            ticks = self.world.all[self.at : self.at + step]
            self.second_ns = drive(self.run, ticks, self.second_ns)
            self.at += step
        return self

    def again(self) -> Self:
        """Killed, and started anew on what the journal holds."""
        self.run.journal.close()
        with JournalReader(str(self.path)) as reader:
            records = [(kind, bytes(payload)) for kind, _, _, payload in reader]
        of, way, watch, made, settings, params = self.given
        new = type(self)(self.world, self.path, of, way, watch=watch, made=made, settings=settings,
                   **params)  # fmt: skip
        self.hand_on(new)
        new.run.journal.append_record(Kind.RESUME, b"{}", new.second_ns, vital=True)
        new.run.recover(records, new.second_ns)
        return new

    def swap(self, name: str) -> dict[str, Any]:
        """Another leads."""
        place = f"{self.world.path / 'own.py'}:{name}"
        return asyncio.run(
            self.seat.swap(place, {}, wall_ns=lambda: self.second_ns, beside=now_and_here)
        )

    @property
    def seat(self) -> Seat:
        """Whom the legs follow."""
        assert self.run.seat is not None
        return self.run.seat

    def resume(self) -> None:
        """What the live engine does once nothing holds entries back."""
        self.run.loop.command(Command.RESUME, self.second_ns)

    @property
    def words(self) -> list[dict[str, Any]]:
        """What the journal says of strategies."""
        with JournalReader(str(self.path)) as reader:
            return [json.loads(bytes(payload)[16:]) for kind, _, _, payload in reader
                    if kind == Kind.STRATEGY]  # fmt: skip

    @property
    def figures(self) -> tuple[Any, ...]:
        """What a restart must bring back."""
        trades, orders = self.run.rows_so_far()
        seat, loop = self.run.seat, self.run.loop
        led = None if seat is None else (
            loop.led, seat.now.name, seat.stopped, seat.stops, seat.swaps, seat.rollbacks,
            seat.changes,
        )  # fmt: skip
        return (trades.tobytes(), orders.tobytes(), self.run.positions(), loop.gate_state, led,
                self.run.portfolio.snapshot(), self.run.vetoed)  # fmt: skip
