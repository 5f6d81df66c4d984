"""The engine in service: a live run, its feed, its broker and whoever steers it, on one loop.

    feed ──ticks──▶ LiveRun.loop ──requests──▶ courier
                       ▲   ▲  ▲
      order updates ───┘   │  └── timer
      reconcile ───────────┘

Entries are held back while any reason holds (`holds`): the account has not been compared with the
broker's yet, the two differ, an operator said so. Exits pass always. The reasons are journaled, so
that an operator's pause outlives a restart.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.loop import Command
from dhanfast.clock import Clock
from dhanfast.engine.live import LiveRun
from dhanfast.errors import DhanfastError

TICK_S: Final = 0.02  # time is looked at so often, and sooner when something is due
AGREE_AFTER: Final = 2  # looks in a row at which the positions must differ to be believed
LOOK_AGAIN_S: Final = 1.0
SLACK_NS: Final = 5_000_000_000  # clocks of engine and broker
FLAT_S: Final = 20.0  # how long a stop waits for the position to be closed
OPERATOR: Final = "operator"
RECONCILE: Final = "not compared with the broker yet"
DIFFERS: Final = "the broker's position differs"
STOPPING: Final = "the engine is stopping"
_LOG: Final = logging.getLogger("dhanfast.engine")


class FeedService(Protocol):
    """Brings ticks into the run's loop until it is closed."""

    async def run(self) -> None:
        """Until `close`, or an end that is final."""
        ...

    async def close(self) -> None:
        """End it within a deadline."""
        ...


class UpdateService(Protocol):
    """Brings order updates into the run's loop until it is closed."""

    async def run(self) -> None:
        """Until `close`."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


class CourierService(Protocol):
    """Keeps the connections that requests leave by."""

    async def run(self) -> None:
        """Until `close`."""
        ...

    async def close(self) -> None:
        """Await what is in flight, then end."""
        ...


class Account(Protocol):
    """What a real broker says of the account."""

    async def updates(self) -> Sequence[Any]:
        """Every order of the day, UPDATE_DTYPE records."""
        ...

    async def position(self) -> int:
        """Signed units held of what is traded."""
        ...

    async def closed_elsewhere(self, side: int, since_ns: int) -> tuple[int, int]:
        """(units, value in paise) that orders of others traded on a side since a market time."""
        ...


@dataclass(frozen=True, slots=True)
class LivePlan:
    """How a live engine behaves.

    Units:
        seconds.

    Attributes:
        flatten_on_stop: a stop closes what is open before it ends.
        until_ns: market time at which the day's service ends; 0 = when told.
    """

    heartbeat_s: float = 60.0
    reconcile_s: float = 30.0
    flatten_on_stop: bool = True
    until_ns: int = 0


class LiveEngine:
    """One live run in service.

    Args:
        run: recovered or new. clock: of the machine. feed: brings its ticks.
        account, updates, courier: of a real broker; None on paper.
        plan: how it behaves.
    """

    def __init__(
        self,
        run: LiveRun,
        clock: Clock,
        feed: FeedService,
        *,
        account: Account | None = None,
        updates: UpdateService | None = None,
        courier: CourierService | None = None,
        plan: LivePlan | None = None,
        holds: Sequence[str] = (),
    ) -> None:
        self.run, self.clock, self.feed = run, clock, feed
        self.account, self.updates, self.courier = account, updates, courier
        self.plan = plan or LivePlan()
        self.holds: set[str] = set(holds)
        if account is not None:
            self.holds.add(RECONCILE)
        self.notes: list[str] = []
        self.started_ns = clock.now_ns()
        self.reconciled_ns = 0
        self.stopping = False
        self._stop = asyncio.Event()
        self._differed = 0
        self._agreed_ns = self.started_ns
        self._reconciling = asyncio.Lock()

    # ---- life -----------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Run until told to stop, the day's end, or an error that ends it.

        Raises:
            DhanfastError: the engine stopped, or could not get out of its position.
        """
        self._apply_holds()
        failed: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._time()), group.create_task(self._heartbeat())]
                services: list[FeedService | UpdateService | CourierService] = [self.feed]
                services += [each for each in (self.updates, self.courier) if each is not None]
                for service in services:
                    group.create_task(service.run())
                if self.account is not None:
                    tasks.append(group.create_task(self._reconcile_often()))
                await self._stop.wait()
                if self.plan.flatten_on_stop:
                    await self._flatten()
                for task in tasks:
                    task.cancel()
                for service in services:  # the courier last: what is in flight is awaited
                    await service.close()
        except* DhanfastError as errors:
            failed = errors.exceptions[0]
        if failed is not None:
            raise DhanfastError(f"the engine ended: {failed}") from failed
        if self.run.loop.error is not None:
            raise self.run.loop.error

    def stop(self) -> None:
        """Ask for an orderly end: what is open is closed first, when the plan says so."""
        self.stopping = True
        self._stop.set()

    async def _time(self) -> None:
        """The engine's clock: bars that end without a tick, time rules, what the broker owes."""
        loop, clock = self.run.loop, self.clock
        while True:
            now_ns = clock.now_ns()
            due_ns = loop.poll(now_ns)
            if loop.error is not None and not self.stopping:
                _LOG.critical("%s", loop.error)
                self.notes.append(str(loop.error))
                self.stop()
            if self.plan.until_ns and loop.market_time(now_ns) >= self.plan.until_ns:
                self.stop()
            pause_s = min(TICK_S, max((due_ns - clock.now_ns()) / 1e9, 0.0005))
            await clock.sleep(pause_s)

    async def _heartbeat(self) -> None:
        while True:
            await self.clock.sleep(self.plan.heartbeat_s)
            kernel = self.run.kernel
            books = self.run.portfolio.snapshot()
            _LOG.info(
                "bars %d, orders %d, position %d, result %.2f rupees, entries %s",
                kernel.bars_seen,
                kernel.orders_sent,
                kernel.position,
                (books["equity"] - books["capital"]) / 100,
                f"held: {', '.join(sorted(self.holds))}" if self.holds else "open",
            )

    async def _flatten(self) -> None:
        """Out of everything, and wait for it."""
        loop = self.run.loop
        if loop.stopped:
            return
        self.hold(STOPPING)  # else the end of another reason would let entries in again
        loop.command(Command.HALT, self.clock.now_ns())
        until_ns = self.clock.now_ns() + int(FLAT_S * 1e9)
        while not self.flat and self.clock.now_ns() < until_ns:
            await self.clock.sleep(TICK_S)
        if not self.flat:
            raise DhanfastError(
                f"{self.run.kernel.position} units are still held, or an order still works, "
                f"{FLAT_S:.0f} s after the engine was told to close them: see `dhanfast positions` "
                "and the broker's own terminal"
            )

    @property
    def flat(self) -> bool:
        """Nothing is held and nothing is on its way."""
        return self.run.kernel.position == 0 and self.run.kernel.broker.live == 0

    # ---- why entries wait -------------------------------------------------------------------------

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

    def _apply_holds(self) -> None:
        note = json.dumps({"holds": sorted(self.holds)}).encode()
        self.run.journal.append_record(Kind.NOTE, note, self.clock.now_ns(), vital=True)
        command = Command.STOP_ENTRIES if self.holds else Command.RESUME
        self.run.loop.command(command, self.clock.now_ns())

    # ---- the broker is right about positions ------------------------------------------------------

    async def _reconcile_often(self) -> None:
        while True:
            try:
                agreed = await self.reconcile()
            except DhanfastError as error:
                _LOG.warning("could not compare with the broker: %s", error)
                agreed = False
            await self.clock.sleep(self.plan.reconcile_s if agreed else LOOK_AGAIN_S)

    async def reconcile(self) -> bool:
        """Compare orders and position with the broker's; doing it twice changes nothing more.

        Returns:
            True when both agree.
        Raises:
            DhanfastError: the broker could not be asked.
        """
        if self.account is None:
            return True
        async with self._reconciling:
            for update in await self.account.updates():
                self.run.loop.use_update(update)
            before = self.run.kernel.position
            theirs = await self.account.position()
            ours = self.run.kernel.position
            if ours != before or self._unsettled():
                return False  # something moved meanwhile: look again
            self.reconciled_ns = self.clock.now_ns()
            if theirs == ours:
                self._differed, self._agreed_ns = 0, self.reconciled_ns
                self.let_go(DIFFERS)
                self.let_go(RECONCILE)
                return True
            self._differed += 1
            if self._differed >= AGREE_AFTER:
                await self._take_difference(ours, theirs)
            return False

    async def reread(self) -> None:
        """The order updates were away: read every order again, and compare.

        Raises:
            DhanfastError: the broker could not be asked.
        """
        self.run.loop.command(Command.READ_ALL, self.clock.now_ns())
        await self.reconcile()

    def _unsettled(self) -> bool:
        """Whether any order at the broker has a request in flight or is in doubt."""
        remote = self.run.remote
        return remote is not None and any(
            order["waits"] or order["state"] != "working" for order in remote.orders_there()
        )

    async def _take_difference(self, ours: int, theirs: int) -> None:
        """The broker's position is another than ours, and stays so."""
        assert self.account is not None
        self.hold(DIFFERS)
        self.let_go(RECONCILE)
        missing = abs(ours) - abs(theirs)
        if missing > 0 and ours * theirs >= 0:
            # A position list may lag behind its orders: only a trade of somebody else explains it.
            since_ns = self.run.loop.market_time(self._agreed_ns) - SLACK_NS
            units, value = await self.account.closed_elsewhere(-1 if ours > 0 else 1, since_ns)
            if units == missing:
                price = value // units
                _LOG.warning("%d units were closed elsewhere at %.2f", units, price / 100)
                self.run.loop.command(
                    Command.CLOSED_ELSEWHERE, self.clock.now_ns(), units=units, price=price
                )
                self._differed = 0
                return
        words = (
            f"the broker holds {theirs} units, this engine {ours}: entries wait until they agree; "
            "close the rest in the broker's terminal, or `dhanfast panic`"
        )
        if words not in self.notes:
            self.notes.append(words)
            _LOG.error("%s", words)

    # ---- commands ---------------------------------------------------------------------------------

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Do what an operator says; see `control.COMMANDS`.

        Raises:
            DhanfastError: it cannot be done, or was not done in time.
        """
        if name in ("pause", "stop-entries"):
            self.hold(OPERATOR)
            return {"text": "no new entries; stops, targets and exits go on"}
        if name == "resume":
            self.let_go(OPERATOR)
            rest = f"; still held: {', '.join(sorted(self.holds))}" if self.holds else ""
            return {"text": f"entries are allowed again{rest}"}
        if name == "flatten":
            self.run.loop.command(Command.FLATTEN, self.clock.now_ns())
            return await self._closed("closed")
        if name == "panic":
            self.hold(OPERATOR)
            self.run.loop.command(Command.HALT, self.clock.now_ns())
            done = await self._closed("everything is closed and entries are held")
            if arguments.get("broker_kill"):
                done["text"] += await self._broker_kill()
            return done
        raise DhanfastError(f"{name}: no such command")

    async def _closed(self, words: str) -> dict[str, Any]:
        """Wait until nothing is held."""
        until_ns = self.clock.now_ns() + int(FLAT_S * 1e9)
        while not self.flat and self.clock.now_ns() < until_ns:
            await self.clock.sleep(TICK_S)
        held = self.run.kernel.position
        if not self.flat:
            return {"text": f"told, but {held} units are still held", "held": held}
        return {"text": words, "held": 0}

    async def _broker_kill(self) -> str:
        """The broker's own kill switch, when there is a broker."""
        kill = getattr(self.account, "kill_switch", None)
        if kill is None:
            return "; the broker's kill switch is not touched: orders are simulated"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                return f"; broker's kill switch: {await kill(True)}"
        return "; the broker's kill switch did not answer"
