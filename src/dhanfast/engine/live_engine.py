"""The engine in service: a live run, its feed, its broker and whoever steers it, on one loop.

    feed ──ticks──▶ LiveRun.loop ──requests──▶ courier
                       ▲   ▲  ▲
      order updates ───┘   │  └── timer
      reconcile ───────────┘

Entries are held back while any reason holds (`holds`): the account has not been compared with the
broker's yet, the two differ, the market or the order updates are not heard, an operator said so.
Exits pass always. The reasons are journaled, so that what an operator said outlives a restart.

An end is an orderly one whatever ends it: entries stop, what is open is closed, services are ended.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Kind
from dhanfast.clock import Clock
from dhanfast.engine.belt import Belt
from dhanfast.engine.chain_watch import ChainWatch
from dhanfast.engine.kelly_history import HistoryKeeper
from dhanfast.engine.locks import LockKeeper
from dhanfast.engine.margin_asker import MarginAsker
from dhanfast.engine.odd_events import OddTeller, unusual_text
from dhanfast.engine.reconcile import Account, Comparing, KillSwitch, Reconciler
from dhanfast.engine.seat import Beside
from dhanfast.engine.served import CourierService, FeedService, ServedRun, UpdateService
from dhanfast.engine.swap_command import swapped
from dhanfast.engine.veto_notes import VetoNotes
from dhanfast.engine.worked import HOLDS
from dhanfast.errors import DhanfastError, JournalFailed, NotAuthenticated

TICK_S: Final = 0.02  # time is looked at so often, and sooner when something is due
FEED_LOOK_S: Final = 1.0
LOOK_AGAIN_S: Final = 1.0  # after a comparison that did not end in agreement
LOGIN_AGAIN_S: Final = 30.0  # without a login: 1, 2, 4 ... s, at most this
UNANSWERED_AFTER: Final = 3  # comparisons in a row that failed, until entries wait for it
TOLD_AGAIN: Final = 30  # of those, the log has the first and then every so many
FLAT_S: Final = 20.0  # how long a stop waits for the position to be closed
KILL_S: Final = 10.0  # for the broker's own kill switch

OPERATOR: Final = "operator"
PANIC: Final = "panic: the day is over"
RECONCILE: Final = "not compared with the broker yet"
DIFFERS: Final = "the broker's books differ"
UNANSWERED: Final = "the broker does not answer"
LOGIN: Final = "no login at the broker"
FEED: Final = "no market data"
UPDATES: Final = "no order updates"
KEPT: Final = (OPERATOR, PANIC)  # said by a person: a restart does not lift them
_LOG: Final = logging.getLogger("dhanfast.engine")


@dataclass(frozen=True, slots=True)
class LivePlan:
    """How a live engine behaves.

    Units:
        seconds.

    Attributes:
        flatten_on_stop: a stop closes what is open before it ends.
        until_ns: market time at which the day's service ends; 0 = when told.
        stale_s: silence of the traded instrument in market hours that keeps entries out.
        flat_s: how long an order to close is given before it is told of as not done.
    """

    heartbeat_s: float = 60.0
    reconcile_s: float = 30.0
    flatten_on_stop: bool = True
    until_ns: int = 0
    stale_s: float = 15.0
    flat_s: float = FLAT_S


class LiveEngine:
    """One live run in service.

    Args:
        run: recovered or new. clock: of the machine. feed: brings its ticks.
        account, updates, courier: of a real broker; None on paper.
        plan: how it behaves. holds: reasons that hold from the start.
        belt: the broker's own exit on profit or loss; None: none is wanted.
        keeper: of the guards' locks; None: there are no guards.
        comparing: compares the run with the account; None: by its one position.
    Attributes:
        holds: why entries wait. notes: what somebody should look at. stopping: it is ending.
        history: keeps the trades that Kelly sizing knows; None: no size follows from them.
        chain: asks for the option chain; None: the strategy does not.
        asker: asks the broker what a structure needs; None: it is not asked.
        beside: where another strategy is made; None: a thread.
    """

    def __init__(
        self,
        run: ServedRun,
        clock: Clock,
        feed: FeedService,
        *,
        account: KillSwitch | None = None,
        updates: UpdateService | None = None,
        courier: CourierService | None = None,
        plan: LivePlan | None = None,
        holds: Sequence[str] = (),
        belt: Belt | None = None,
        keeper: LockKeeper | None = None,
        comparing: Comparing | None = None,
    ) -> None:
        self.run, self.clock, self.feed = run, clock, feed
        self.account, self.updates, self.courier = account, updates, courier
        self.plan, self.belt, self.keeper = plan or LivePlan(), belt, keeper
        self.beside: Beside | None = None
        self.history: HistoryKeeper | None = None
        self.chain: ChainWatch | None = None
        self.asker: MarginAsker | None = None
        self._vetoes = VetoNotes(run, self.note_if_room)
        self.holds: set[str] = {*holds, FEED}
        if account is not None:
            self.holds.add(RECONCILE)
        if updates is not None:
            self.holds.add(UPDATES)
        self.notes: list[str] = []
        self.started_ns = clock.now_ns()
        self.stopping = False
        self._reconciler = comparing
        if comparing is None and account is not None:
            self._reconciler = Reconciler(run, clock, cast(Account, account))
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()  # compare now
        self._at_once = False
        self._mute = False
        self._bar = ""
        self._odd = OddTeller()
        self._unanswered = self._shut_out = 0  # comparisons in a row that failed, and why
        self._failures: list[Exception] = []

    @property
    def reconciled_ns(self) -> int:
        """When the account was last compared with the broker's, UTC ns; 0 = not yet."""
        return 0 if self._reconciler is None else self._reconciler.compared_ns

    # ---- life ------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Run until told to stop, the day's end, or an error that ends it.

        Raises:
            DhanfastError: why the engine ended before it was told to, and what it could not close;
                of the kind of the first trouble.
        """
        self._apply_holds()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._until_failed(work))
                for work in (self._time(), self._heartbeat(), self._watch_feed())
            ]
            group.create_task(self._until_failed(self._service("feed", self.feed)))
            if self.updates is not None:
                updates = self._service("order updates", self.updates)
                group.create_task(self._until_failed(updates))
            if self.courier is not None:
                orders = self._service("order connections", self.courier)
                group.create_task(self._until_failed(orders))
            if self.account is not None:
                tasks.append(group.create_task(self._until_failed(self._reconcile_often())))
            if self.keeper is not None:
                tasks.append(group.create_task(self._until_failed(self.keeper.keep(self))))
            if self.asker is not None:
                tasks.append(group.create_task(self._until_failed(self.asker.keep())))
            if self.belt is not None:
                tasks.append(group.create_task(self._until_failed(self.belt.keep(self))))
            if self.chain is not None:
                tasks.append(group.create_task(self._until_failed(self.chain.keep())))
            await self._stop.wait()
            if self.plan.flatten_on_stop:
                await self._until_failed(self._flatten())
            for task in tasks:
                task.cancel()
            await self.feed.close()
            if self.updates is not None:
                await self.updates.close()
            if self.courier is not None:
                await self.courier.close()  # last: what is in flight is awaited
            if self.keeper is not None:
                await self._until_failed(self._end_locks(self.keeper))
        if self._failures:
            raise _together(self._failures)

    def stop(self, *, at_once: bool = False) -> None:
        """Ask for an orderly end: what is open is closed first, when the plan says so.

        Args:
            at_once: leave what is open as it is.
        """
        self.stopping = True
        self._at_once |= at_once
        self._stop.set()

    async def _until_failed(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it; a failure is told by `serve`, after an orderly end."""
        try:
            await work
        except Exception as error:  # not to go on: to close what is open before it is raised
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if any(error is known for known in self._failures):
            return
        ours = isinstance(error, DhanfastError)
        _LOG.critical("%s", error, exc_info=None if ours else error)
        self._failures.append(error)
        self.notes.append(str(error) or type(error).__name__)
        self.stop()

    async def _service(
        self, name: str, service: FeedService | UpdateService | CourierService
    ) -> None:
        await service.run()
        if not self.stopping:
            raise DhanfastError(f"the {name} ended, and nobody had told it to")

    async def _time(self) -> None:
        """The engine's clock: bars that end without a tick, time rules, what the broker owes."""
        loop, clock = self.run.loop, self.clock
        while True:
            self._look()
            due_ns = loop.poll(clock.now_ns())
            if self.plan.until_ns and loop.market_time(clock.now_ns()) >= self.plan.until_ns:
                self.stop()
            await clock.sleep(min(TICK_S, max((due_ns - clock.now_ns()) / 1e9, 0.0005)))

    def _look(self) -> None:
        """Whether entries may go on, and the engine itself."""
        loop = self.run.loop
        if loop.error is not None:
            self._fail(loop.error)
        trouble = self.run.journal.trouble or ("is full" if loop.entries_lost else "")
        if trouble and not any(isinstance(known, JournalFailed) for known in self._failures):
            self._fail(
                JournalFailed(
                    f"the journal {self.run.journal.path} {trouble}: no order may leave that it "
                    "does not hold; free disk space, then start the engine again"
                )
            )
        remote = self.run.remote
        if remote is not None:
            self._odd.look(remote)
        self._look_at_guards()
        self._hold_while(loop.blind or self._mute, FEED)
        self._look_at_bar()
        if self.updates is not None:
            away = not self.updates.online
            if away and UPDATES not in self.holds:
                self._wake.set()  # what is not told is read
            self._hold_while(away, UPDATES)

    def _look_at_bar(self) -> None:
        """Whether the run says of itself that it must make no entry."""
        bar = self.run.barred
        if bar != self._bar:
            if self._bar:
                self.let_go(self._bar)
            if bar:
                self.hold(bar)
            self._bar = bar

    async def _end_locks(self, keeper: LockKeeper) -> None:
        self._look_at_guards()
        keeper.end()

    def _look_at_guards(self) -> None:
        if self.keeper is not None:
            self.keeper.look(self.run.kernel.orders_sent, self.run.trades_mark)
        if self.history is not None:
            self.history.look(self.run.trades_mark)
        self._vetoes.look()

    async def _watch_feed(self) -> None:
        """Whether what is traded is heard of."""
        while True:
            await self.clock.sleep(FEED_LOOK_S)
            if self.run.seat is not None:
                self.run.seat.look()
            quiet_ns = self.clock.now_ns() - self.feed.seen_ns(self.run.instrument)
            stale = self.feed.status().stale > 0  # of any instrument, in its market's hours
            self._mute = stale and quiet_ns > self.plan.stale_s * 1e9

    async def _heartbeat(self) -> None:
        while True:
            await self.clock.sleep(self.plan.heartbeat_s)
            _LOG.info("%s", self.heartbeat_text())

    def heartbeat_text(self) -> str:
        """How it goes, on one line."""
        kernel, books = self.run.kernel, self.run.portfolio.snapshot()
        entries = f"held: {', '.join(sorted(self.holds))}" if self.holds else "open"
        remote = self.run.remote
        odd = "" if remote is None else unusual_text(remote)
        if self.keeper is not None and self.keeper.text:
            entries += f", locked: {self.keeper.text}"
        return (
            f"bars {kernel.bars_seen}, orders {kernel.orders_sent}, position {kernel.position}, "
            f"result {(books['equity'] - books['capital']) / 100:.2f} rupees, entries {entries}"
            f"{odd}"
        )

    @property
    def flat(self) -> bool:
        """Nothing is held and nothing is on its way."""
        return self.run.flat

    async def _flatten(self) -> None:
        """Out of everything, and wait for it."""
        self.run.loop.command(Command.HALT, self.clock.now_ns())
        if not await self._became_flat():
            raise DhanfastError(
                f"{self._left()}: see the broker's own terminal, or `dhanfast panic`"
                if self.account is not None
                else f"{self._left()} (simulated)"
            )

    async def _became_flat(self) -> bool:
        """Wait until nothing is open, but not for ever."""
        loop, clock = self.run.loop, self.clock
        until_ns = clock.now_ns() + int(self.plan.flat_s * 1e9)
        while not self.flat and not loop.stopped and clock.now_ns() < until_ns:
            if self._at_once:
                break
            loop.poll(clock.now_ns())
            await clock.sleep(TICK_S)
        return self.flat

    def _left(self) -> str:
        """What is still open, in words."""
        kernel = self.run.kernel
        what = []
        if kernel.position:
            what.append(f"{self.run.held_text()} are still held")
        if kernel.broker.live:
            what.append(f"{kernel.broker.live} of its orders still work")
        return " and ".join(what) or "nothing is open"

    # ---- why entries wait ------------------------------------------------------------------------

    def hold(self, reason: str) -> None:
        """Hold entries back for a reason, until it is let go."""
        if reason not in self.holds:
            self.holds.add(reason)
            _LOG.warning("entries are held back: %s", reason)
            self._apply_holds()

    def let_go(self, reason: str) -> None:
        """A reason does not hold any more."""
        if reason in self.holds:
            self.holds.discard(reason)
            _LOG.info("no longer holds entries back: %s", reason)
            self._apply_holds()

    def _hold_while(self, holds: bool, reason: str) -> None:
        if holds:
            self.hold(reason)
        else:
            self.let_go(reason)

    def note(self, **words: Any) -> None:
        """Into the journal, for people and for the next start."""
        told = json.dumps(words, sort_keys=True).encode()
        try:
            self.run.journal.append_record(Kind.NOTE, told, self.clock.now_ns(), vital=True)
        except JournalFailed as error:
            self._fail(error)

    def note_if_room(self, **words: Any) -> None:
        """As `note`, but of what exits need no room is taken; what is full is told elsewhere."""
        told = json.dumps(words, sort_keys=True).encode()
        with contextlib.suppress(JournalFailed):
            self.run.journal.append_record(Kind.NOTE, told, self.clock.now_ns())

    def remark(self, words: str, before: str = "") -> None:
        """Somebody should look at this, instead of at earlier words; nothing: not any more."""
        self.notes = [note for note in self.notes if note not in (before, words)]
        if words:
            self.notes.append(words)

    def _apply_holds(self) -> None:
        now_ns = self.clock.now_ns()
        self.note(holds=sorted(self.holds))
        closed = self.stopping or PANIC in self.holds or self.run.loop.error is not None
        if self.holds or closed:
            if self.run.loop.gate_state == 0:
                self.run.loop.command(Command.STOP_ENTRIES, now_ns)
        else:
            self.run.loop.command(Command.RESUME, now_ns)

    # ---- the broker is right about positions -----------------------------------------------------

    async def _reconcile_often(self) -> None:
        while True:
            agreed = await self._compared()
            heard = self.updates is None or self.updates.online
            pause_s = self.plan.reconcile_s if agreed and heard else LOOK_AGAIN_S
            if self._shut_out:
                pause_s = min(LOGIN_AGAIN_S, LOOK_AGAIN_S * 2 ** min(self._shut_out - 1, 10))
            self._wake.clear()
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _compared(self) -> bool:
        """Compare, and bear a broker that does not answer or does not let us in.

        Without a login an end would leave what is open to itself. So it goes on: entries wait,
        exits are tried all the same, and a token that somebody brings is found by the next try.
        """
        try:
            agreed = await self.reconcile()
        except NotAuthenticated as error:
            self._shut_out += 1
            note = f"{LOGIN}: {error}"
            if note not in self.notes:
                self.notes = [*self._notes_without_login(), note]
                _LOG.error("%s", note)
            self.hold(LOGIN)
            return False
        except DhanfastError as error:
            if self._unanswered % TOLD_AGAIN == 0:
                _LOG.warning("could not compare with the broker: %s", error)
            self._unanswered += 1
            if self._unanswered >= UNANSWERED_AFTER:
                self.hold(UNANSWERED)
            return False
        self._unanswered = self._shut_out = 0
        self.notes = self._notes_without_login()
        self.let_go(UNANSWERED)
        self.let_go(LOGIN)
        return agreed

    def _notes_without_login(self) -> list[str]:
        return [note for note in self.notes if not note.startswith(LOGIN)]

    async def reconcile(self) -> bool:
        """Compare orders and position with the broker's; doing it twice changes nothing more.

        Returns:
            True when both agree; always on paper.
        Raises:
            DhanfastError: the broker could not be asked.
        """
        if self._reconciler is None:
            return True
        verdict = await self._reconciler.compare()
        if verdict.note:
            self.hold(DIFFERS)
            if verdict.note not in self.notes:
                self.notes = [*self._other_notes(), verdict.note]
                _LOG.error("%s", verdict.note)
        if verdict.settled:
            self.let_go(RECONCILE)
        if verdict.agreed:
            self.notes = self._other_notes()
            self.let_go(DIFFERS)
        return verdict.agreed

    def _other_notes(self) -> list[str]:
        """The notes without those of a difference."""
        said = set() if self._reconciler is None else self._reconciler.said
        return [note for note in self.notes if note not in said]

    async def reread(self) -> None:
        """The order updates were away: read every order again, and compare before any entry.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        self.hold(RECONCILE)
        self.run.loop.command(Command.READ_ALL, self.clock.now_ns())
        if not await self.reconcile():
            self._wake.set()

    # ---- commands --------------------------------------------------------------------------------

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Do what an operator says; see `control.COMMANDS`.

        Returns:
            text: what was done; and of what closes, left: units that are still held or wanted.
        Raises:
            DhanfastError: it cannot be done, or was not done in time.
        """
        if name in ("pause", "stop-entries"):
            self.hold(OPERATOR)
            return {"text": "no new entries; stops, targets and exits go on"}
        if name == "resume":
            self.let_go(OPERATOR)
            if self.stopping:
                return {"text": "the engine is ending: no entries"}
            if self.holds:
                return {"text": f"entries are still held: {', '.join(sorted(self.holds))}"}
            return {"text": "entries are allowed again"}
        if name == "flatten":
            self.hold(OPERATOR)
            self.run.loop.command(Command.FLATTEN, self.clock.now_ns())
            return await self._closed("flat; entries are paused until `dhanfast resume`")
        if name == "panic":
            self.hold(PANIC)
            self.run.loop.command(Command.HALT, self.clock.now_ns())
            done = await self._closed("everything is closed; no more entries today")
            if arguments.get("broker_kill"):
                done["text"] += await self._broker_kill(done["text"])
            return done
        if name in HOLDS:
            return self.run.hold_orders(name, self.clock.now_ns())
        if name in ("lock", "unlock"):
            return self._locked(name, arguments)
        if name == "swap":
            return await self._swapped(arguments)
        raise DhanfastError(f"{name}: no such command")

    async def _swapped(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Have another strategy decide; see `swap_command.swapped`."""
        done = await swapped(self.run.seat, self.clock.now_ns, self.beside, **arguments)
        self._look_at_bar()
        if self.run.loop.gate_state and not self.holds:
            self._apply_holds()  # it was stopped a moment ago, and nobody had looked yet
        if self.holds:
            done["text"] += f"; entries are still held: {', '.join(sorted(self.holds))}"
        return done

    def _locked(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Lock entries, or end locks; the journal repeats it.

        Raises:
            DhanfastError: there are no guards, or no such lock holds.
        """
        if self.keeper is None:
            raise DhanfastError("there are no guards: switch one on in [risk.guards]")
        told = self.keeper.asked(name, arguments, self.run.loop.market_time(self.clock.now_ns()))
        self.run.loop.command(
            Command.LOCK if name == "lock" else Command.UNLOCK,
            self.clock.now_ns(), units=told.kind, price=told.until_ns,
        )  # fmt: skip
        self._look_at_guards()
        return {"text": told.text, "locks": [lock.name for lock in self.keeper.lines()]}

    async def _closed(self, words: str) -> dict[str, Any]:
        """Wait until nothing is open."""
        if await self._became_flat():
            return {"text": words, "left": 0}
        left = abs(self.run.kernel.position) or self.run.kernel.broker.live
        return {"text": f"told, but {self._left()} after {self.plan.flat_s:g} s", "left": left}

    async def _broker_kill(self, done: str) -> str:
        """The broker's own kill switch, when there is a broker.

        Raises:
            DhanfastError: it was not thrown; with what was done before.
        """
        if self.account is None:
            return "; the broker's kill switch is not touched: orders are simulated"
        try:
            async with asyncio.timeout(KILL_S):
                return f"; the broker's kill switch: {await self.account.kill_switch(True)}"
        except TimeoutError:
            why = f"no answer in {KILL_S:g} s"
        except DhanfastError as error:
            why = str(error)
        raise DhanfastError(f"{done}; BUT the broker's kill switch was not thrown: {why}")


def _together(failures: list[Exception]) -> Exception:
    """The first failure, with the words of those that came of it; a bug stays what it is."""
    first, *others = failures
    bugs = [error for error in failures if not isinstance(error, DhanfastError)]
    if bugs:
        for error in failures:
            if error is not bugs[0]:
                bugs[0].add_note(str(error))
        return bugs[0]
    if not others:
        return first
    words = "; ".join(str(error) for error in others)
    made = type(first)(f"{first}; {words}")
    made.__cause__ = first
    return made
