"""One run of one seed: exchange, network, engine, deaths, and what must be true afterwards.

    world = World(Plan.of(seed), folder)
    outcome = world.run()
    assert outcome.violations == []

The engine is the real one: LiveEngine, LiveRun, Remote, journal on disk, DhanRest, OrderUpdates and
the native request bytes. The exchange is the real ExchangeCore. Network, clocks and death are not.
"""

import asyncio
import datetime as dt
import json
import logging
import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
from numpy.typing import NDArray

from dhanfast._core.execution.route import RouteWhy
from dhanfast._core.guardlocks import GuardKind
from dhanfast._core.guards import Guards
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.remote import Remote
from dhanfast._core.live.sink import FeedEvent
from dhanfast.brokers.dhan.account import DhanAccount
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.brokers.dhan.updates import Broken, OrderUpdates, UpdateSettings
from dhanfast.brokers.link import Backoff
from dhanfast.engine import live_engine, seat
from dhanfast.engine.guard_build import guards_of
from dhanfast.engine.live import LiveRun
from dhanfast.engine.live_engine import LiveEngine, LivePlan
from dhanfast.engine.settings import RiskSettings, Settings
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.errors import DhanfastError
from dhanfast.exchange import core
from dhanfast.exchange.answers import Reply
from dhanfast.exchange.settings import ExchangeSettings

from . import checks, deciders
from .cut import cut_behind
from .market import SYMBOL, OneFuture, future_of, lively, thinned, vix_walk, window
from .orders import VIX
from .plan import Event, Plan, Swap
from .simloop import SimClock, VirtualLoop
from .wires import Net, SimCourier, SimLine, SimTokens, SimWeb
from .wisher import Eager, Wisher

FEED_LAG_S = 0.003
QUIET_S = 12.0  # between the last fault and the end
AFTER_S = 45.0  # what the market has left when the engine is told to stop
POLL_S = 0.2
EPOCH = 0xD1CE
LOCKED = int(GuardKind.OPERATOR)
SLABS = {"protection_e4": 0, "stop_room_e4": 0}
VIX_EVERY = 7  # ticks of the future to one of the index
VIX_CLOSES = [1_450, 1_480, 1_500, 1_520, 1_550]
SMALL = {"segment_bytes": 1 << 19, "reserve_bytes": 1 << 14, "sync_ns": 0}  # a journal's


@dataclass
class Outcome:
    """What one seed showed."""

    seed: int
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    digest: str = ""


class SimFeed:
    """Ticks come from the world by themselves; this says how it is."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()
        self.last_ns = 0

    async def run(self) -> None:
        await self._closed.wait()

    async def close(self) -> None:
        self._closed.set()

    def status(self) -> Any:
        return SimpleNamespace(stale=0)

    def seen_ns(self, instrument: int) -> int:
        return self.last_ns


@dataclass
class Life:
    """One process of the engine, from its start to its death."""

    number: int
    run: LiveRun
    courier: SimCourier
    dies_at: int  # journal record; 0 = of age
    engine: LiveEngine | None = None
    feed: SimFeed = field(default_factory=SimFeed)
    task: "asyncio.Task[None] | None" = None
    dead: bool = False

    @property
    def gone(self) -> bool:
        """Whether its end has come: what it does from now on never happened."""
        return self.dead or bool(self.dies_at and self.run.journal.seq >= self.dies_at)


class FrozenRun(LiveRun):
    """On a day whose largest order is the plan's; freeze: units."""

    def __init__(self, *words: Any, freeze: int, **more: Any) -> None:
        self._freeze = freeze
        super().__init__(*words, **more)

    def _between(self, first: dt.date, last: dt.date) -> NDArray[Any]:
        sessions = super()._between(first, last)
        sessions["freeze"] = self._freeze
        return sessions


class World:
    """All of one run.

    Args:
        plan: what chance decides. folder: where the journal is written.
    """

    courier_type: type[SimCourier] = SimCourier
    remote_rules: ClassVar[dict[str, int]] = {}
    stops: ClassVar[StopSettings | None] = None  # instead of the plan's

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.path = plan, folder / f"{plan.seed}.dfj"
        self.loop = VirtualLoop()
        self.contract, _ = future_of(plan.day_seed)
        if plan.freeze:
            freeze = plan.freeze * self.contract.lot // 2
            self.contract = replace(self.contract, freeze=freeze)
        cut = lively if plan.lively else window
        self.ticks = cut(plan.day_seed, plan.first, plan.busy_s + QUIET_S + AFTER_S)
        if plan.thin:
            self.ticks = thinned(plan.seed, self.ticks, plan.busy_s)
        start_ns = int(self.ticks["recv_ns"][0]) - 500_000_000
        self.clock = SimClock(self.loop, start_ns)
        self.vix = vix_walk(plan.seed, self.ticks, VIX) if plan.guards.needs_vix else None
        self.net = Net(plan, random.Random(f"net {plan.seed}"))
        settings = ExchangeSettings(funds=10**13, latency_ns=plan.latency_ns)
        core.ORDERS_MAX = 256  # live ones; its pool is most of what an exchange costs to make
        chances = random.Random(f"exchange {plan.seed}")
        self.core = core.ExchangeCore(
            OneFuture(self.contract, self.ticks), settings, chances, plan.faults
        )
        self.core.advance(self.clock.true_ns())
        self.tokens = SimTokens(settings.client_id, self._mint)
        self.lines: list[SimLine] = []
        self.outcome = Outcome(plan.seed)
        self.deaths = list(plan.kills)
        self.lives: list[Life] = []
        self.gap_until_s = -1.0
        self._blind = False
        self.limits_hit = 0
        self._pump_at = 0.0
        self._ended = asyncio.Event()
        self.own_bytes, self._make_s = deciders.BASE, 0.0
        self._swaps: list[asyncio.Task[None]] = []

    # ---- the broker -----------------------------------------------------------------------------

    def _mint(self) -> str:
        return self.core.tokens.mint("APP", self.clock.true_ns()).value

    def token_is_good(self, value: str) -> bool:
        return self.core.tokens.state(value, None, self.clock.true_ns()) == 0

    def serve(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        """One request, whoever sent it."""
        struck = sum(self.core.mishaps.counts.values())
        reply = self.core.request(method, path, query, headers, body, self.clock.true_ns())
        if reply.status == 429 and struck == sum(self.core.mishaps.counts.values()):
            self.limits_hit += 1
        self.pump()
        return reply

    def pump(self) -> None:
        """Send order updates that are due on their way."""
        for update in self.core.take_updates(self.clock.true_ns()):
            text = msgspec.json.encode(update).decode()
            for line in self.lines:
                line.tell(text)
        due_ns = self.core.mishaps.next_real_ns
        if due_ns is not None and self._pump_at <= self.loop.time():
            wait_s = max((due_ns - self.clock.true_ns()) / 1e9, 0.0)
            self._pump_at = self.loop.time() + wait_s
            self.loop.call_later(wait_s, self._pump_due)

    def _pump_due(self) -> None:
        self.core.advance(self.clock.true_ns())
        self._pump_at = 0.0
        self.pump()

    async def dial(self, url: str) -> SimLine:
        await asyncio.sleep(self.net.delay_s())
        if self.net.is_refused():
            raise Broken("no connection")
        line = SimLine(self.net, self)
        self.lines = [*(one for one in self.lines if one.open), line]
        return line

    # ---- the market -----------------------------------------------------------------------------

    def _tick(self, at: int) -> None:
        self.core.advance(int(self.ticks["recv_ns"][at]))
        self.pump()
        life = self.life
        if life is not None and self.loop.time() >= self.gap_until_s:
            self.loop.call_later(FEED_LAG_S, self._feed, life, at)
        if at + 1 < len(self.ticks):
            due_ns = int(self.ticks["recv_ns"][at + 1]) - self.clock.true_ns()
            self.loop.call_later(max(due_ns / 1e9, 0.0), self._tick, at + 1)

    def _feed(self, life: Life, at: int) -> None:
        if not life.gone:
            if self._blind:
                life.run.loop.tell_event(FeedEvent.BACK, self.clock.now_ns())
                self._blind = False
            life.feed.last_ns = self.clock.now_ns()
            life.run.loop.take_ticks(self.ticks[at : at + 1], life.engine.clock.now_ns())
            if self.vix is not None and at % VIX_EVERY == 0 and not life.gone:
                life.run.loop.take_ticks(self.vix[at : at + 1], life.engine.clock.now_ns())

    # ---- lives of the engine --------------------------------------------------------------------

    @property
    def life(self) -> Life | None:
        """The process that lives now."""
        return self.lives[-1] if self.lives and not self.lives[-1].gone else None

    def strategy(self) -> Any:
        plan = self.plan
        if plan.strategy == "wisher":
            return Wisher(plan.seed, plan.act_part, plan.stop, plan.target)
        if plan.strategy == "eager":
            return Eager(plan.seed, plan.stop)
        return plan.strategy

    def live_run(self, journal: Journal, courier: Any) -> LiveRun:
        """The engine of this run, on any journal."""
        plan, lot = self.plan, self.contract.lot
        room = {"stop_room_e4": plan.execution.route.stop_room_e4}
        decided = plan.decided
        chosen = {"strategy": self.strategy()} if decided is None else deciders.place_of(self)
        risk = RiskSettings(qty_max=plan.lots * lot, position_max=plan.lots * lot,
                            margin_check=False)  # fmt: skip
        return FrozenRun(
            freeze=self.contract.freeze,
            **chosen,
            symbol=SYMBOL,
            journal=journal,
            instrument=1,
            first_ns=int(self.ticks["recv_ns"][0]),
            settings=Settings(
                capital=10**12,
                lots=plan.lots,
                on_opposite=plan.opposite,
                risk=risk,
                stops=self.stops or plan.stops,
                sizing=plan.sizing,
                guards=plan.guards,
                execution=plan.execution,
                **({} if decided is None else {"filters": decided.filters}),
            ),
            interval=f"{plan.bar_s}s",
            remote_of=lambda gate: Remote(
                gate, modifies_max=plan.modifies_max,
                **(SLABS if plan.slabs else {}) | (room if room["stop_room_e4"] else {})
                | self.remote_rules,
            ),
            courier=courier,
            generated=True,
            guards=self._guards(),
            vix=2 if plan.guards.needs_vix else None,
        )  # fmt: skip

    def _guards(self) -> Guards | None:
        """Those of a day that knows the closes of India VIX before it."""
        made = guards_of(self.plan.guards)
        if made is None or not self.plan.guards.rank_days:
            return made
        return guards_of(self.plan.guards, carried=made.carry() | {"closes": VIX_CLOSES})

    def journal(self) -> tuple[Journal, list[tuple[int, bytes]]]:
        """The day's journal, and what it holds already."""
        if self.path.exists():
            old = [(kind, bytes(payload)) for kind, _, _, payload in JournalReader(str(self.path))]
            return Journal(str(self.path), **SMALL), old
        header = JournalHeader(EPOCH, 20261120, "sim", bytes(32), self.clock.true_ns(), "{}")
        return Journal(str(self.path), header, **SMALL), []

    def begin_life(self) -> None:
        """Start the engine, as `dhanfast trade` does: with the day's journal when there is one."""
        number = len(self.lives)
        journal, old = self.journal()
        contract = self.contract
        security = (contract.segment, str(contract.security_id))
        settings = self.core.settings
        book = RequestBook("sim", "/v2", settings.client_id, journal.tag,
                           [(*security, "INTRADAY")])  # fmt: skip
        courier = self.courier_type(self.net, self, self.clock, self.tokens, book, security)
        run = self.live_run(journal, courier)
        dies_in = self.deaths.pop(0) if self.deaths else 0
        life = Life(number, run, courier, journal.seq + dies_in if dies_in else 0)
        if self.plan.decided is not None:
            deciders.SeatWatch(self, run)
            self.own_bytes = deciders.BASE
        self.lives.append(life)
        courier.is_dead = lambda: life.gone
        courier.on_update = run.loop.use_update
        rest = DhanRest(Hosts.loopback(1), self.tokens, self.clock, session=SimWeb(self.net, self))
        account = DhanAccount(rest, self.clock, tag=journal.tag, security=security,
                              product="INTRADAY")  # fmt: skip
        updates = OrderUpdates(
            Hosts.loopback(1), self.tokens, self.clock, tag=journal.tag, instruments={security: 0},
            on_update=lambda update, words: None if life.gone else run.loop.use_update(update),
            on_connected=lambda: life.engine.reread(), probe=rest.profile, dial=self.dial,
            rng=random.Random(f"line {self.plan.seed} {number}"),
            settings=UpdateSettings(backoff=Backoff(most_s=8.0)),
        )  # fmt: skip
        if any(kind == Kind.START for kind, _ in old):
            journal.append_record(Kind.RESUME, b"{}", self.clock.now_ns(), vital=True)
            back = run.recover(old, self.clock.now_ns())
            self.outcome.counts["requests that had not left"] += back.unmet
            self.outcome.counts["requests without an answer"] += back.open
        else:
            journal.append_record(Kind.START, b"{}", self.clock.now_ns(), vital=True)
        plan = LivePlan(reconcile_s=self.plan.reconcile_s)
        life.engine = LiveEngine(run, self.clock, life.feed, account=account, updates=updates,
                                 plan=plan)  # fmt: skip
        life.engine.beside = partial(self._beside, life)
        life.task = self.loop.create_task(life.engine.serve())
        life.task.add_done_callback(lambda task: self._over(life, task))

    def _over(self, life: Life, task: "asyncio.Task[None]") -> None:
        if life.dead or life.gone:
            self._bury(life)
            return
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.violate(f"the engine ended: {type(error).__name__}: {error}")
        self._ended.set()

    def watch_death(self) -> None:
        """After each turn of the loop: has the engine written its last record?"""
        life = self.lives[-1] if self.lives else None
        if life is not None and not life.dead and life.gone and life.task is not None:
            life.dead = True
            self.outcome.counts["death"] += 1
            life.task.cancel()

    def _bury(self, life: Life) -> None:
        life.run.journal.close()
        cut_behind(self.path, life.dies_at)
        down_s = self.plan.down_s[min(life.number, len(self.plan.down_s) - 1)]
        self.loop.call_later(down_s, self.begin_life)

    def violate(self, words: str) -> None:
        self.outcome.violations.append(words)

    # ---- single events --------------------------------------------------------------------------

    def _strike(self, event: Event) -> None:
        self.outcome.counts[event.kind] += 1
        if event.kind in ("token-expiry", "no-login"):
            self.core.tokens.expire(self.clock.true_ns())
            if event.kind == "no-login":
                self.tokens.away_until_s = self.loop.time() + event.for_s
        elif event.kind == "clock-step":
            self.clock.skew_ns += round(event.step_s * 1e9)
        elif event.kind == "gap":
            self.gap_until_s = self.loop.time() + event.for_s
            if self.life is not None:
                self.life.run.loop.tell_event(FeedEvent.LOST, self.clock.now_ns())
                self._blind = True
        else:
            for line in self.lines:
                if event.kind == "mute":
                    line.muted_until_s = self.loop.time() + event.for_s
                elif line.open:
                    line.cut()

    def _say(self, event: Event) -> None:
        """An operator's word, when there is an engine to hear it."""
        life = self.life
        if life is None or life.engine is None or life.engine.stopping:
            return
        self.outcome.counts[event.kind] += 1
        units = LOCKED if event.kind == "LOCK" else -1
        until_ns = self.clock.now_ns() + 10 * 10**9
        price = until_ns if event.kind == "LOCK" else 0
        life.run.loop.command(Command[event.kind], self.clock.now_ns(), units=units, price=price)

    async def _beside(self, life: Life, work: Callable[[], Any], limit_s: float) -> Any:
        """Another strategy is made, which takes its time."""
        await asyncio.sleep(self._make_s)
        if life.gone:
            raise DhanfastError("the process is gone")
        return work()

    def _swap(self, swap: Swap) -> None:
        """An operator exchanges the strategy, when there is an engine to hear it."""
        life = self.life
        if life is not None and life.engine is not None and not life.engine.stopping:
            self._make_s = swap.make_s
            self._swaps.append(self.loop.create_task(self._swapped(life, swap)))

    async def _swapped(self, life: Life, swap: Swap) -> None:
        assert life.engine is not None
        try:
            await life.engine.command(
                "swap", strategy=deciders.named(self, swap.use), params=json.dumps(swap.params),
                fresh=swap.fresh,
            )  # fmt: skip
        except DhanfastError:
            self.outcome.counts["swap refused"] += 1

    def _eat(self) -> None:
        """The process has grown."""
        self.own_bytes += deciders.GROWS

    # ---- the run --------------------------------------------------------------------------------

    async def _story(self) -> None:
        self.begin_life()
        first_ns = int(self.ticks["recv_ns"][0])
        self.loop.call_later((first_ns - self.clock.true_ns()) / 1e9, self._tick, 0)
        for event in (*self.plan.events, *self.plan.logins):
            self.loop.call_at(event.at_s, self._strike, event)
        for event in self.plan.commands:
            self.loop.call_at(event.at_s, self._say, event)
        for swap in () if self.plan.decided is None else self.plan.decided.swaps:
            self.loop.call_at(swap.at_s, self._swap, swap)
        for at_s in () if self.plan.decided is None else self.plan.decided.eats:
            self.loop.call_at(at_s, self._eat)
        await asyncio.sleep(self.plan.busy_s)
        self.net.healed = True
        self.tokens.away_until_s = 0.0
        self.core.faults.replace([])
        self.deaths.clear()
        await asyncio.sleep(QUIET_S)
        while self.life is None or self.life.engine is None:
            await asyncio.sleep(0.5)
        self.life.dies_at = 0
        self.before_stop = self.life.run.kernel.position
        self.life.engine.stop()
        await self._ended.wait()

    def run(self) -> Outcome:
        """The whole story, and what it proves."""
        self.loop.on_turn = self.watch_death
        poll_s, live_engine.TICK_S = live_engine.TICK_S, POLL_S
        own_bytes, seat.own_bytes = seat.own_bytes, lambda: self.own_bytes
        try:
            self.loop.run_until_complete(self._story())
            checks.check(self)
        finally:
            live_engine.TICK_S = poll_s
            seat.own_bytes = own_bytes
            self._close()
        counts = self.outcome.counts
        counts.update(self.net.counts)
        counts.update(self.core.mishaps.counts)
        counts["order at the broker"] += len(self.core.desk.blotter.tickets)
        counts["trade"] += len(self.core.books.trades)
        counts["limit met"] += self.limits_hit
        counts["token renewed"] += self.tokens.renewed
        run = self.lives[-1].run
        self._count_routes(run)
        for name, count in run.kernel.gate.verdicts.items():
            if name.startswith("GUARD_"):
                counts["entry kept out by a guard"] += count
        counts["child order"] += getattr(run.kernel.broker, "children_sent", 0)
        counts["order worked"] += getattr(run.kernel.broker, "parents", 0)
        counts["exit that was hurried"] += getattr(run.kernel.broker, "hurried", 0)
        counts["entry without a size"] += run.kernel.signals_unsized
        counts["stop moved"] += run.kernel.stops_moved
        counts["entry taken back by a filter"] += sum(run.vetoed.values())
        counts["opposite stances of a blend"] += (
            run.decisions.counters(0).get("blend_conflicts", 0)
        )  # fmt: skip
        return self.outcome

    def _count_routes(self, run: LiveRun) -> None:
        """How worked orders left, of the life that ended last."""
        result = run.so_far()
        if result is None or result.passages is None:
            return
        for why in result.passages["route"][result.passages["route"] > 0]:
            self.outcome.counts[RouteWhy(int(why)).name] += 1
        large = result.orders["qty"] > self.contract.freeze
        filled = result.orders["filled"] > 0
        self.outcome.counts["order above the freeze quantity"] += int((large & filled).sum())

    def _close(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.on_turn = None
        if tasks:
            with suppress(Exception):
                self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()
        for life in self.lives:
            life.run.journal.close()
        self.path.unlink(missing_ok=True)


def run_seed(
    seed: int, folder: Path, change: Callable[[Plan], Plan] | None = None,
    world: type[World] = World,
) -> Outcome:  # fmt: skip
    """Run one seed.

    Args:
        folder: for the journal. change: another plan made of the seed's own. world: another one.
    """
    plan = Plan.of(seed)
    silent, was = logging.getLogger("dhanfast"), logging.getLogger("dhanfast").level
    silent.setLevel(logging.CRITICAL + 1)  # what breaks is meant to
    try:
        return world(change(plan) if change is not None else plan, folder).run()
    except (DhanfastError, AssertionError, RuntimeError) as error:
        return Outcome(seed, [f"{type(error).__name__}: {error}"])
    finally:
        silent.setLevel(was)
