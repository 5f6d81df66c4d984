"""Connections of one endpoint as one feed: subscriptions, gaps, the watchdog, one life.

    subscribe ─▶ Subscriptions ─▶ lane 0..n ─▶ Connection ─▶ socket ─▶ Intake ─▶ sink
                                                   ▲
                                   watch: mute? stale? ─── ask again, drop, cross-check

A feed is run once. `run` ends when `close` was called, or with the reason for which the broker
cannot be had. A lane is connected when something is first wanted on it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, Protocol

import numpy as np

from dhanfast._core.live.intake import FeedIntake, Intake
from dhanfast._core.live.sink import FeedEvent
from dhanfast.brokers.dhan.feed_connection import Connection, State, World
from dhanfast.brokers.dhan.feed_endings import Cause, Ending
from dhanfast.brokers.dhan.feed_requests import DISCONNECT, Credentials, Mode, Security
from dhanfast.brokers.dhan.feed_status import ConnectionStatus, FeedStatus
from dhanfast.brokers.dhan.feed_subscriptions import Change, Subscriptions
from dhanfast.brokers.dhan.feed_watch import Act, Hours, MuteWatch, StaleWatch, WatchSettings
from dhanfast.brokers.link import CLOSE_S
from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError, UsageError

NS_PER_S: Final = 1_000_000_000
STALE_LOOKS: Final = 5  # looks at connections for one at instruments
CALIBRATE_S: Final = 60.0
STEP_TOLD_NS: Final = 50_000_000  # a wall clock that is set by more than this is told of
log = logging.getLogger("dhanfast.feed")

# Of these securities, those that the broker's REST side has newer data of than the feed. When it
# cannot tell it raises a DhanfastError.
CrossCheck = Callable[[Sequence[Security]], Awaitable[Sequence[Security]]]


class Speech(Protocol):
    """How an endpoint is spoken to."""

    def address(self, token: Credentials, fruitless: int) -> str:
        """Where to connect; `fruitless`: connections in a row that brought nothing."""
        ...

    def ask(self, mode: Mode, securities: Sequence[Security]) -> list[str]:
        """Requests that subscribe."""
        ...

    def leave(self, mode: Mode, securities: Sequence[Security]) -> list[str]:
        """Requests that unsubscribe."""
        ...


class _Lane:
    """The plan of one connection of a pool."""

    def __init__(self, pool: "FeedPool", number: int, settings: WatchSettings) -> None:
        self.pool, self.number = pool, number
        self.intake = pool.intake
        self.mute, self.stale = MuteWatch(settings), StaleWatch(settings)
        self.open_ns = 0  # since when one of its segments was seen open
        self._version = -1
        self._securities: list[Security] = []
        self._segments: frozenset[int] = frozenset()
        self._numbers = np.empty(0, np.uint32)
        self._segment_of = np.empty(0, np.int64)
        self._asked: dict[Security, int] = {}
        self._asked_ns = np.empty(0, np.int64)

    def _refresh(self) -> None:
        """What it carries, in arrays: made again only when that has changed."""
        if self._version == self.pool.subscriptions.version:
            return
        self._version = self.pool.subscriptions.version
        self._securities = self.pool.subscriptions.securities(self.number)
        self._segments = frozenset(each.segment for each in self._securities)
        self._numbers = np.array(self.pool.instruments(self._securities), np.uint32)
        self._segment_of = np.array([each.segment for each in self._securities], np.int64)
        self._asked = {each: self._asked.get(each, 0) for each in self._securities}
        self._asked_ns = np.array(list(self._asked.values()), np.int64)

    @property
    def securities(self) -> list[Security]:
        """What it carries, each once."""
        self._refresh()
        return self._securities

    @property
    def segments(self) -> frozenset[int]:
        """Segments of what it carries."""
        self._refresh()
        return self._segments

    def asked(self, securities: Iterable[Security], now_ns: int) -> None:
        """They have been asked for, now."""
        self._asked.update(dict.fromkeys(securities, now_ns))
        self._version = -1

    def unconfirmed(self) -> int:
        """Instruments unheard of since they were asked for."""
        self._refresh()
        return len(self.intake.quiet(self._numbers, self._asked_ns))

    def quiet(self, since_ns: int, segments: frozenset[int]) -> dict[int, Security]:
        """Instruments of some segments unheard of since a time, that were asked for before it."""
        self._refresh()
        old = np.flatnonzero(
            (self._asked_ns <= since_ns) & np.isin(self._segment_of, list(segments))
        )
        places = self.intake.quiet(self._numbers[old], np.full(len(old), since_ns, np.int64))
        return {int(self._numbers[at]): self._securities[at] for at in old[places]}

    def address(self, token: Credentials, fruitless: int) -> str:
        """See Plan."""
        return self.pool.speech.address(token, fruitless)

    def hello(self) -> list[str]:
        """See Plan."""
        now = self.pool.world.clock.now_ns()
        said: list[str] = []
        for mode, securities in self.pool.subscriptions.lane(self.number):
            self.asked(securities, now)
            said += self.pool.speech.ask(mode, securities)
        return said

    def goodbye(self) -> list[str]:
        """See Plan."""
        return [DISCONNECT]

    def up(self) -> None:
        """See Plan."""
        self.stale.clear()
        self.pool.lane_up(self.number)

    def down(self) -> None:
        """See Plan."""
        self.pool.lane_down(self.number)


class FeedPool:
    """One feed; `DhanFeed` and `DhanDepth` say of what.

    Args:
        name: for logs and status. intake: takes its messages. subscriptions: empty.
        speech: how it is spoken to. world: what connections share.
        hours: when segments trade. market_clock: the market's time, for the hours; None: the
            clock of the world. cross_check: asks REST; None: nobody can.
    """

    def __init__(
        self,
        name: str,
        intake: Intake,
        subscriptions: Subscriptions,
        speech: Speech,
        world: World,
        *,
        hours: Hours,
        watch: WatchSettings,
        market_clock: Clock | None = None,
        cross_check: CrossCheck | None = None,
    ) -> None:
        self.name, self.intake, self.subscriptions = name, intake, subscriptions
        self.speech, self.world = speech, world
        self._hours, self._watch = hours, watch
        self._market_clock = market_clock or world.clock
        self._cross_check = cross_check
        self._lanes: dict[int, tuple[_Lane, Connection]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._closing, self._ended = asyncio.Event(), asyncio.Event()
        self._started = False
        self._close_s = CLOSE_S
        self._down: set[int] = set()
        self._was_up = False
        self.gaps = self.mute = 0

    def subscribe(self, securities: Iterable[Security], mode: Mode) -> Change:
        """Want securities in a mode, now and on every later socket.

        Args:
            securities: in order. Those wanted in this mode already are ignored and counted.

        Raises:
            UsageError: not a security, not in the intake's table, or no room; nothing was changed.
        """
        wanted = [each.checked() for each in securities]
        for each in wanted:
            if self.intake.table.find(each.segment, each.security_id) is None:
                raise UsageError(
                    f"{each} is not in the table of the {self.name}; give its decoder a table with "
                    "every instrument that may be wanted"
                )
        change = self.subscriptions.add(wanted, mode)
        now = self.world.clock.now_ns()
        for number, added in change.lanes.items():
            lane, connection = self._lane(number)
            lane.asked(added, now)
            connection.send(self.speech.ask(mode, added))
            if self._group is not None and number not in self._tasks:
                self._start(number)
        return change

    def unsubscribe(self, securities: Iterable[Security], mode: Mode) -> Change:
        """Want securities in a mode no longer; those not wanted in it are ignored and counted."""
        change = self.subscriptions.remove(securities, mode)
        for number, removed in change.lanes.items():
            self._lane(number)[1].send(self.speech.leave(mode, removed))
            gone = [each for each in removed if not self.subscriptions.modes(each)]
            self.intake.forget(self.instruments(gone))
        return change

    async def run(self) -> None:
        """Keep the feed until it is closed. Only once.

        Raises:
            UsageError: it was started before.
            NotAuthenticated: the broker takes no token of this account.
            DhanfastError: an end after which trying again cannot help.
        """
        if self._started:
            raise UsageError(f"the {self.name} was started before; make a new one")
        self._started = True
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for number in self.subscriptions.used_lanes():
                    self._start(number)
                watch = group.create_task(self._keep_watch())
                await self._closing.wait()
                watch.cancel()
                await self._close_lanes()
        except BaseExceptionGroup as group_error:
            raise _first(group_error) from None
        finally:
            self._group = None
            self._ended.set()

    async def close(self, deadline_s: float = CLOSE_S) -> None:
        """Leave: say goodbye on every connection, drop what does not answer; return when ended.

        Args:
            deadline_s: what the broker gets to answer.
        """
        self._close_s = deadline_s
        self._closing.set()
        if self._started:
            await self._ended.wait()
        self._started = True

    def lane_up(self, number: int) -> None:
        """A connection is up and has asked for its part."""
        was_down = bool(self._down)
        self._down.discard(number)
        if not self._down and (was_down or not self._was_up):
            self._was_up = True
            self.intake.tell_event(FeedEvent.BACK)

    def lane_down(self, number: int) -> None:
        """A connection was up and is no more: what it carried is unknown until it comes again."""
        self.gaps += not self._closing.is_set()
        self.intake.forget(self.instruments(self.subscriptions.securities(number)))
        if not self._down:
            self.intake.tell_event(FeedEvent.LOST)
        self._down.add(number)

    def instruments(self, securities: Iterable[Security]) -> list[int]:
        """Indices of securities, without those that are not in the table."""
        found = (self.intake.table.find(*each) for each in securities)
        return [each for each in found if each is not None]

    def seen_ns(self, instrument: int) -> int:
        """When the last packet of an instrument came, UTC ns of the feed's clock; 0 = never."""
        return self.intake.seen_ns(instrument)

    def status(self) -> FeedStatus:
        """How it is now."""
        lanes = [self._lanes[number] for number in sorted(self._lanes)]
        lag = self.intake.lag if isinstance(self.intake, FeedIntake) else None
        return FeedStatus(
            name=self.name,
            running=self._group is not None,
            whole=bool(lanes)
            and all(
                connection.state is State.UP
                for lane, connection in lanes
                if self.subscriptions.size(lane.number)
            ),
            connections=tuple(self._told(lane, connection) for lane, connection in lanes),
            subscriptions=len(self.subscriptions),
            unconfirmed=sum(lane.unconfirmed() for lane, _ in lanes),
            stale=sum(lane.stale.stale for lane, _ in lanes),
            duplicates=self.subscriptions.duplicates,
            absent=self.subscriptions.absent,
            gaps=self.gaps,
            mute=self.mute,
            last_message_ns=max((connection.counts.seen_ns for _, connection in lanes), default=0),
            silent_until_ns=self.world.door.silent_until_ns,
            hours_known=not self._hours.unknown_year,
            lag_p50_ns=None if lag is None else lag.percentile(50),
            lag_p99_ns=None if lag is None else lag.percentile(99),
            counters=self.intake.counters,
        )

    def _told(self, lane: _Lane, connection: Connection) -> ConnectionStatus:
        counts = connection.counts
        return ConnectionStatus(
            number=lane.number,
            state=connection.state.value,
            up_ns=connection.up_ns,
            opened=connection.opened,
            failures=connection.failures,
            subscriptions=self.subscriptions.size(lane.number),
            messages=counts.messages,
            bytes=counts.size,
            pings=counts.pings,
            dropped_frames=counts.dropped_frames,
            last_message_ns=counts.seen_ns,
            last_ending="" if connection.last is None else str(connection.last),
        )

    def _lane(self, number: int) -> tuple[_Lane, Connection]:
        if number not in self._lanes:
            lane = _Lane(self, number, self._watch)
            self._lanes[number] = lane, Connection(f"{self.name} {number}", lane, self.world)
        return self._lanes[number]

    def _start(self, number: int) -> None:
        assert self._group is not None
        _, connection = self._lane(number)
        self._tasks[number] = self._group.create_task(connection.run())

    async def _close_lanes(self) -> None:
        async with asyncio.TaskGroup() as closing:
            for _, connection in self._lanes.values():
                closing.create_task(connection.close(self._close_s))
        for task in self._tasks.values():
            task.cancel()

    async def _keep_watch(self) -> None:
        """Look at every connection, for ever."""
        looks, calibrated_ns = 0, self.world.clock.now_ns()
        while True:
            await self.world.clock.sleep(self._watch.look_s)
            looks += 1
            for number in list(self._tasks):
                lane, connection = self._lanes[number]
                await self._look(lane, connection, instruments=looks % STALE_LOOKS == 0)
            if self.world.clock.now_ns() - calibrated_ns >= CALIBRATE_S * NS_PER_S:
                calibrated_ns = self.world.clock.now_ns()
                stepped = self.intake.calibrate()
                if abs(stepped) > STEP_TOLD_NS:
                    log.warning("the wall clock was set by %.3f s", stepped / NS_PER_S)

    async def _look(self, lane: _Lane, connection: Connection, *, instruments: bool) -> None:
        now = self.world.clock.now_ns()
        open_now = self._hours.open_segments(lane.segments, self._market_clock.now_ns())
        if not open_now:
            lane.open_ns = 0
            lane.stale.clear()
        elif lane.open_ns == 0:
            lane.open_ns = now
        up_ns = connection.up_ns if connection.state is State.UP else 0
        act = lane.mute.look(
            now, up_ns=up_ns, messages=connection.messages, expected=bool(open_now)
        )
        if act is Act.ASK:
            log.warning("%s is mute: asking again for all it carries", connection.name)
            connection.send(lane.hello())
        elif act is not Act.NOTHING:
            await self._drop_mute(lane, connection, act)
        elif instruments and up_ns and open_now and not lane.mute.trusted:
            await self._look_at_instruments(lane, connection, now, open_now)

    async def _drop_mute(self, lane: _Lane, connection: Connection, act: Act) -> None:
        if act is Act.CROSS_CHECK:
            moved = await self._moved(connection, lane.securities)
            if moved is not None and not moved:
                log.warning("%s is mute, and REST has nothing newer: believed", connection.name)
                lane.mute.believe()
                return
        self.mute += 1
        connection.drop(Ending(Cause.MUTE, 0, connection.messages > 0))

    async def _look_at_instruments(
        self, lane: _Lane, connection: Connection, now: int, segments: frozenset[int]
    ) -> None:
        since = now - lane.stale.stale_ns
        if max(connection.up_ns, lane.open_ns) > since:
            return
        of = lane.quiet(since, segments)
        ask, check = lane.stale.look(now, list(of))
        for number in ask:
            for mode, home in self.subscriptions.modes(of[number]):
                if home == lane.number:
                    connection.send(self.speech.ask(mode, [of[number]]))
        moved = await self._moved(connection, [of[number] for number in check]) if check else None
        if moved:
            self.mute += 1
            connection.drop(Ending(Cause.MUTE, 0, True, f"{len(moved)} instruments are stale"))

    async def _moved(
        self, connection: Connection, securities: Sequence[Security]
    ) -> Sequence[Security] | None:
        """What REST has newer data of; None: nobody can tell."""
        if self._cross_check is None:
            return None
        try:
            moved = await self._cross_check(securities)
        except DhanfastError as error:
            log.warning("%s: REST cannot tell what has moved: %s", connection.name, error)
            return None
        if moved:
            log.warning("%s: REST has newer data of %d instruments", connection.name, len(moved))
        return moved


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that stopped a feed, or the group when it is not one of ours."""
    ours = [each for each in errors.exceptions if isinstance(each, DhanfastError)]
    return ours[0] if len(ours) == len(errors.exceptions) else errors
