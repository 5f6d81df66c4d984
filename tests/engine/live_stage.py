"""A live engine on a stage: a feed, a broker and an operator of the test's own, in virtual time."""

import datetime as dt
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from dhanfast._core.guards import Guards
from dhanfast._core.live.courier import Courier
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.records import ANSWER_DTYPE, UPDATE_DTYPE, Origin
from dhanfast._core.live.remote import Remote
from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.live import LiveRun
from dhanfast.engine.live_engine import LiveEngine, LivePlan
from dhanfast.engine.locks import LockFile, LockKeeper
from dhanfast.engine.settings import Settings
from dhanfast.errors import DhanfastError
from dhanfast.strategies.base import Strategy
from tests.brokers.dhan.virtual_time import VirtualClock, VirtualLoop, run_virtually
from tests.core.live.plain_broker import PlainBroker

DAY = dt.date(2026, 11, 20)
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
FUTURE = 7  # the feed's number of what is traded
PRICE = 5_000_000  # paise


def at(text: str, day: dt.date = DAY) -> int:
    """UTC ns of a time of the day in India."""
    moment = dt.datetime.combine(day, dt.time.fromisoformat(text), IST)
    return int(moment.timestamp()) * SECOND


def scripted(script: dict[int, str], *, stop: float = 50.0, target: float = 100.0) -> type:
    """A strategy that does at the n-th bar what the script says: buy, sell, exit or fail."""

    class Scripted(Strategy):
        """Reads its script."""

        def on_start(self, m: Any) -> None:
            self.bars = 0

        def on_bar(self, ctx: Any, bar: Any) -> None:
            self.bars += 1
            wish = script.get(self.bars)
            if wish == "fail":
                raise RuntimeError("not in the script")
            if wish in ("buy", "sell"):
                getattr(ctx, wish)(stop=stop, target=target)
            elif wish == "exit":
                ctx.exit()

    return Scripted


def journal_of(path: Path, **given: Any) -> Journal:
    """The journal of the day: begun, or gone on with when it is there."""
    if path.exists():
        return Journal(str(path), sync_ns=0, **given)
    header = JournalHeader(epoch=7, date=int(f"{DAY:%Y%m%d}"), run="main",
                           config_digest=bytes(32), created_ns=1, text="stage")  # fmt: skip
    return Journal(str(path), header, sync_ns=0, **given)


def records_of(path: Path) -> list[tuple[int, bytes]]:
    with JournalReader(str(path)) as reader:
        return [(kind, bytes(payload)) for kind, _, _, payload in reader]


def holds_of(path: Path) -> list[list[str]]:
    """What the journal says of holds, in order."""
    notes = (json.loads(payload) for kind, payload in records_of(path) if kind == Kind.NOTE)
    return [note["holds"] for note in notes if "holds" in note]


def commands_of(path: Path) -> list[str]:
    """Names of the commands in the journal."""
    return [
        Command(int.from_bytes(payload[:8], "little")).name
        for kind, payload in records_of(path)
        if kind == Kind.COMMAND
    ]


def tick_at(now_ns: int, price: int, volume: int, *, spread: int = 100) -> np.ndarray[Any, Any]:
    """One tick of the future with a quote around it."""
    tick = np.zeros(1, TICK_DTYPE)
    tick["instrument"], tick["price"], tick["qty"], tick["volume"] = FUTURE, price, 30, volume
    tick["bid"], tick["ask"] = price - spread, price + spread
    tick["bid_qty"] = tick["ask_qty"] = 3_000
    tick["exch_ns"] = tick["recv_ns"] = now_ns
    return tick


async def at_once(do: Callable[[], None]) -> None:
    """In virtual time there is no other thread."""
    do()


async def now_and_here(work: Callable[[], Any], limit_s: float) -> Any:
    """As `at_once`."""
    return work()


class Feed:
    """Ticks every `step_s`, at the price that the stage says."""

    def __init__(self, stage: "Stage", step_s: float = 5.0) -> None:
        self.stage, self.step_s = stage, step_s
        self.silent = self.closed = False
        self.stale = self.volume = self.last_ns = 0
        self.ends: Exception | None = None

    async def run(self) -> None:
        while not self.closed:
            await self.stage.clock.sleep(self.step_s)
            if self.ends is not None:
                raise self.ends
            if not self.silent and not self.closed:
                self.give()

    def give(self) -> None:
        stage = self.stage
        now, self.volume = stage.clock.now_ns(), self.volume + 30
        price = stage.price(now)
        stage.run.loop.take_ticks(tick_at(now, price, self.volume), now)
        self.last_ns = now
        stage.match(price)

    async def close(self) -> None:
        self.closed = True

    def status(self) -> Any:
        return SimpleNamespace(stale=self.stale, whole=not self.silent, running=not self.closed,
                               gaps=0)  # fmt: skip

    def seen_ns(self, instrument: int) -> int:
        return self.last_ns if instrument == FUTURE else 0


class Updates:
    """The order-update socket."""

    def __init__(self, stage: "Stage") -> None:
        self.stage, self.online, self.closed = stage, False, False

    async def run(self) -> None:
        await self.stage.clock.sleep(0.2)
        self.online = True
        while not self.closed:
            await self.stage.clock.sleep(0.1)

    async def close(self) -> None:
        self.closed = True


class Account:
    """The broker's books over REST."""

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage
        self.stray = 0  # units in the broker's list of positions that no trade explains
        self.others: list[tuple[int, int, int, int]] = []  # trades: side, units, price, market ns
        self.error: DhanfastError | None = None
        self.kill_error: DhanfastError | None = None
        self.asked = 0
        self.killed: list[bool] = []

    async def updates(self) -> list[Any]:
        self.asked += 1
        await self.stage.clock.sleep(0.01)
        if self.error is not None:
            raise self.error
        broker = self.stage.broker
        said = broker.take_said()
        for order in broker.orders.values():
            broker._say(order, Origin.REST)
        mine = broker.take_said()
        broker.said = said
        return [self.stage.update(message) for message in mine]

    async def position(self) -> int:
        await self.stage.clock.sleep(0.01)
        theirs = sum(side * units for side, units, _, _ in self.others)
        return self.stage.broker.position + self.stray + theirs

    def trade(self, side: int, units: int, price: int, *, ago_s: float = 0.0) -> None:
        """Somebody else trades the contract in this account."""
        market_ns = self.stage.run.loop.market_time(self.stage.clock.now_ns())
        self.others.append((side, units, price, market_ns - int(ago_s * SECOND)))

    async def closed_elsewhere(self, side: int, since_ns: int) -> tuple[int, int]:
        await self.stage.clock.sleep(0.01)
        found = [
            (units, price)
            for of, units, price, at_ns in self.others
            if of == side and at_ns >= since_ns
        ]
        return sum(units for units, _ in found), sum(units * price for units, price in found)

    async def kill_switch(self, on: bool) -> str:
        if self.kill_error is not None:
            raise self.kill_error
        self.killed.append(on)
        return "activated"


class Wire(Courier):
    """Requests reach the broker 50 ms later, and so does its answer."""

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage
        self.sent: list[dict[str, Any]] = []
        self.dead = False

    def carry_intent(self, intent: Any) -> None:
        made = {name: intent[name].item() for name in intent.dtype.names if name != "spare"}
        made["broker_id"] = made["broker_id"].rstrip(b"\0").decode()
        self.sent.append(made)
        if not self.dead:
            self.stage.later(0.05, lambda: self._arrive(made))

    def _arrive(self, made: dict[str, Any]) -> None:
        fields = self.stage.broker.serve(made)
        self.stage.deliver()
        self.stage.later(0.05, lambda: self._answer(made, fields))

    def _answer(self, made: dict[str, Any], fields: dict[str, Any]) -> None:
        answer = np.zeros(1, ANSWER_DTYPE)[0]
        answer["intent"], answer["at_ns"] = made["id"], self.stage.clock.now_ns()
        for name, value in fields.items():
            answer[name] = value
        self.on_answer(answer)


class Stage:
    """One day of a scripted strategy.

    Args:
        folder: of its journal. script: see `scripted`. live: at a plain broker, not on paper.
        start: of its time, IST. price: paise by UTC ns. journal: arguments of the Journal.
        seat: of the run, what is about its strategy: misuse, watch, folder, name, source.
        shared: the budget that it has with other engines.
    """

    def __init__(self, folder: Path, script: dict[int, str] | type | str, *, live: bool = False,
                 start: str = "09:30", price: Callable[[int], int] | None = None,
                 plan: LivePlan | None = None, holds: tuple[str, ...] = (),
                 journal: dict[str, Any] | None = None, broker: PlainBroker | None = None,
                 market: tuple[int, float] | None = None, guards: Guards | None = None,
                 vix: int | None = None, settings: Settings | None = None,
                 params: dict[str, Any] | None = None, seat: dict[str, Any] | None = None,
                 shared: SharedBudget | None = None) -> None:  # fmt: skip
        self.path = folder / "day.dfj"
        old = records_of(self.path) if self.path.exists() else None
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, at(start))
        self.price = price or (lambda now_ns: PRICE)
        self.broker = broker or PlainBroker()
        self.journal = journal_of(self.path, **(journal or {}))
        self.courier = Wire(self) if live else None
        self.run = LiveRun(
            scripted(script) if isinstance(script, dict) else script,
            symbol="BANKNIFTY",
            journal=self.journal,
            instrument=FUTURE,
            first_ns=at(start),
            remote_of=(lambda gate: Remote(gate)) if live else None,
            courier=self.courier,
            guards=guards,
            vix=vix,
            settings=settings,
            params=params,
            **(seat or {}),
        )
        if shared is not None:
            assert self.run.remote is not None
            self.run.remote.share(shared)
        if market is not None:
            self.run.loop.set_market(self.clock.now_ns(), *market)
        try:
            self.recovered = None if old is None else self.run.recover(old, self.clock.now_ns())
        except BaseException:
            self.loop.close()
            raise
        self.feed, self.account, self.updates = Feed(self), Account(self), Updates(self)
        self.engine = LiveEngine(
            self.run, self.clock, self.feed,
            account=self.account if live else None, updates=self.updates if live else None,
            plan=plan or LivePlan(), holds=holds,
        )  # fmt: skip
        self.engine.beside = now_and_here
        self.lock_file = LockFile(folder, "main", "paper")
        if guards is not None:
            self.engine.keeper = LockKeeper(
                guards, DAY, self.lock_file, now_ns=self.clock.now_ns,
                note=self.engine.note_if_room, tell=self.run.tell, aside=at_once,
            )  # fmt: skip

    # ---- the world ------------------------------------------------------------------------------

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self.loop.call_later(seconds, do)

    def update(self, message: dict[str, Any]) -> Any:
        update = np.zeros(1, UPDATE_DTYPE)[0]
        update["at_ns"] = self.clock.now_ns()
        for name, value in message.items():
            update[name] = value
        return update

    def deliver(self) -> None:
        """What the broker has said goes over the socket, when it is up."""
        said = self.broker.take_said()
        if self.updates.online:
            for message in said:
                self.run.loop.use_update(self.update(message))

    def match(self, price: int) -> None:
        """Orders at the broker meet the market."""
        for order in list(self.broker.orders.values()):
            met = self.broker.can_fill(order, price - 100, price + 100, price)
            if met:
                self.broker.fill(order, order.open, met)
        self.deliver()

    # ---- the play -------------------------------------------------------------------------------

    def play(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Serve the engine while `act` is done, then stop it.

        Raises:
            What `serve` raises.
        """

        async def main() -> None:
            serving = self.loop.create_task(self.engine.serve())
            acting = self.loop.create_task(act())
            try:
                await acting
            finally:
                acting.cancel()
                self.engine.stop()
                await serving

        run_virtually(main(), self.loop)

    async def wait(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    async def until(self, seen: Callable[[], Any], most_s: float = 600.0) -> None:
        """Wait until something is so."""
        ends = self.clock.now_ns() + int(most_s * SECOND)
        while not seen():
            assert self.clock.now_ns() < ends, f"not seen in {most_s} s"
            await self.clock.sleep(0.05)

    @property
    def position(self) -> int:
        return int(self.run.kernel.position)
