"""Replay: recorded ticks through the engine, at the pace of their recording or at full speed.

The engine that runs is the one of a tick-level backtest, fed the same ticks in the same order; the
clock only decides when it gets them. So what it decides does not depend on speed, pauses, seeks or
how ticks are cut into batches, and at `max` a replay is the backtest.

One thread calls `run`; any other may call `pause`, `resume`, `seek`, `set_speed`, `stop` and
`status`. A command is taken between two events, at full speed between two batches.

    ready ──run──▶ running ◀──resume / pause──▶ paused
                      │  ▲                        │
        source ends,  │  └── seek: what lies between is run through at full speed; backwards a new
        stop          ▼      engine runs from the start
                   finished
"""

import datetime as dt
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.timing import LatencyHistogram
from dhanfast.clock import PacedClock, Ticking, checked_speed
from dhanfast.errors import UsageError

IST: Final = dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")
MAX: Final = math.inf
# Paced, a batch is looked at in pieces: preparing one takes microseconds, not the time of a block.
PIECE: Final = 4096

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
Ticks = NDArray[Any]


class TickSink(Protocol[Result_co]):
    """An engine as a replay sees it: takes ticks, then hands over what it found."""

    def feed(self, ticks: Ticks) -> None:
        """Run over more ticks; they are not kept."""
        ...

    def finish(self) -> Result_co:
        """Close what is open and hand over the result; called once."""
        ...


@dataclass(frozen=True, slots=True)
class ReplayStatus:
    """Where a replay stands.

    Units:
        position_ns: receive time of the last tick fed, UTC ns; 0 before the first. behind_ns: how
        late it was fed, real ns. speed: infinite at full speed.
    """

    state: str  # ready, running, paused, finished
    ticks: int  # fed to the engine that runs now
    position_ns: int
    speed: float
    behind_ns: int
    restarts: int  # engines begun again by seeking backwards


class _Restart(Exception):
    """Begin again from the first tick."""


class Replay(Generic[Result]):
    """Feeds ticks to an engine at a pace, under control from other threads.

    Args:
        source: opens the ticks from the first: an iterable of TICK_DTYPE arrays in the order they
            were recorded, each used before the next is asked for. Called again to seek backwards.
        engine: makes a new engine; called again to seek backwards.
        clock: what paces; not looked at while the speed is `MAX`.
        speed: 1 for the pace of the recording, `MAX` for none.
        again: whether source and engine can be made again; False refuses to seek backwards.
        tell: gets a sentence when something happens that a user should know.

    Units:
        times in UTC ns, of receiving.

    Raises:
        ConfigError: an impossible speed.
    """

    def __init__(
        self,
        source: Callable[[], Iterable[Ticks]],
        engine: Callable[[], TickSink[Result]],
        *,
        clock: Ticking,
        speed: float = MAX,
        again: bool = True,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._source, self._make, self._again, self._tell = source, engine, again, tell
        self._clock = PacedClock(clock, speed)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._state = "ready"
        self._hold = self._ending = False  # what was asked for: stand still, end
        self._speed = self._clock.speed
        self._seek_ns: int | None = None
        self._through_ns: int | None = None  # running at full speed to here
        self._ticks = self._position_ns = self._behind_ns = self._restarts = 0
        self._lateness = LatencyHistogram()

    # ---- commands, from any thread ---------------------------------------------------------------

    def pause(self) -> None:
        """Stand still after the event that runs now."""
        self._ask(hold=True)

    def resume(self) -> None:
        """Go on from where the market's time stood still."""
        self._ask(hold=False)

    def stop(self) -> None:
        """End after the event that runs now; the result is of what was fed."""
        self._ask(ending=True)

    def set_speed(self, speed: float) -> None:
        """Go on at another speed.

        Raises:
            ConfigError: an impossible speed.
        """
        self._ask(speed=checked_speed(speed))

    def seek(self, to_ns: int) -> None:
        """Go to a time of the market, with the engine's state as if it had run there.

        Forwards, what lies between is run through at full speed. Backwards, a new engine runs from
        the start to there. A replay that is paused stays paused there.

        Raises:
            UsageError: not a time after 1970.
        """
        if isinstance(to_ns, bool) or not isinstance(to_ns, int) or to_ns < 0:
            raise UsageError(f"seek: {to_ns!r} is not a time in ns since 1970, UTC")
        self._ask(seek_ns=to_ns)

    def _ask(
        self,
        *,
        hold: bool | None = None,
        ending: bool = False,
        speed: float | None = None,
        seek_ns: int | None = None,
    ) -> None:
        with self._lock:
            self._hold = self._hold if hold is None else hold
            self._ending = self._ending or ending
            self._speed = self._speed if speed is None else speed
            self._seek_ns = self._seek_ns if seek_ns is None else seek_ns
            self._wake.set()

    # ---- what others may see ---------------------------------------------------------------------

    def status(self) -> ReplayStatus:
        """Where it stands; from any thread."""
        return ReplayStatus(
            self._state,
            self._ticks,
            self._position_ns,
            self._speed,
            self._behind_ns,
            self._restarts,
        )

    @property
    def lateness(self) -> LatencyHistogram:
        """How late each paced event reached the engine, real ns; the running thread writes it."""
        return self._lateness

    @property
    def stopped(self) -> bool:
        """Whether `stop` ended it before the ticks did, or may yet."""
        return self._ending

    # ---- the thread that runs --------------------------------------------------------------------

    def run(self) -> Result:
        """Feed every tick, at its time, and hand over what the engine found.

        Raises:
            UsageError: it has run before.
            BadData, StrategyError: as the source and the engine raise them.
        """
        if self._state != "ready":
            raise UsageError("this replay has run; make a new one")
        self._state = "running"
        try:
            while True:
                engine = self._make()
                try:
                    self._feed_all(engine)
                    return engine.finish()
                except _Restart:
                    self._restarts += 1
                    self._ticks = self._position_ns = self._behind_ns = 0
        finally:
            self._state = "finished"

    def _feed_all(self, engine: TickSink[Result]) -> None:
        for batch in self._source():
            at = 0
            while at < len(batch):
                if self._wake.is_set() and not self._obey():
                    return
                if math.isinf(self._clock.speed) and self._through_ns is None:
                    engine.feed(batch[at:] if at else batch)
                    self._fed(len(batch) - at, int(batch["recv_ns"][-1]))
                    at = len(batch)
                else:
                    at = self._feed_paced(engine, batch, at, min(at + PIECE, len(batch)))
        if self._wake.is_set():  # what was asked for with the last events still holds
            self._obey()

    def _feed_paced(self, engine: TickSink[Result], batch: Ticks, at: int, end: int) -> int:
        """Feed batch[at:end], each event at its time; returns how far it came."""
        # A clock that stepped back while recording must not hold events up: none is due before
        # one that came earlier.
        times = np.maximum.accumulate(batch["recv_ns"][at:end])
        np.maximum(times, self._position_ns, out=times)
        first, done = at, 0
        while done < len(times) and not self._wake.is_set():
            now_ns = 0
            if self._through_ns is not None and times[done] < self._through_ns:
                upto = int(np.searchsorted(times, self._through_ns))
            elif self._arrive(int(times[done])):
                break
            else:
                now_ns = self._await(int(times[done]))
                upto = int(np.searchsorted(times, now_ns, side="right"))
            if upto <= done:
                continue
            engine.feed(batch[first + done : first + upto])
            if now_ns:
                self._record(now_ns - times[done:upto])
                if self._ticks == 0:  # what a first event costs to set up delays no other
                    self._clock.start(now_ns)
            self._fed(upto - done, int(times[upto - 1]))
            done = upto
        return first + done

    def _arrive(self, due_ns: int) -> bool:
        """Begin pacing at the next event's time; True when the loop must look around first."""
        clock, through_ns = self._clock, self._through_ns
        if through_ns is not None:
            self._through_ns = None
            clock.start(through_ns)
            self._look_around()
            return True
        if not clock.running:
            clock.start(due_ns)
        return math.isinf(clock.speed)

    def _await(self, due_ns: int) -> int:
        """The market's time once an event is due; an earlier one when a command came first."""
        clock = self._clock
        now_ns = clock.now_ns()
        if now_ns >= due_ns:
            return now_ns
        clock.wait_until(due_ns, self._wake)
        now_ns = clock.now_ns()
        return now_ns if self._wake.is_set() else max(now_ns, due_ns)

    def _record(self, late_ns: NDArray[np.int64]) -> None:
        """Count how late events were fed, given in the market's time."""
        if len(late_ns) == 1:
            self._behind_ns = int(late_ns[0] / self._clock.speed)
            self._lateness.record(self._behind_ns)
            return
        real_ns = (late_ns / self._clock.speed).astype(np.int64)
        self._behind_ns = int(real_ns[-1])
        self._lateness.record_many(real_ns)

    def _fed(self, count: int, last_ns: int) -> None:
        self._ticks += count
        self._position_ns = max(self._position_ns, last_ns)

    def _look_around(self) -> None:
        """Have `_obey` called before the next event."""
        with self._lock:
            self._wake.set()

    def _obey(self) -> bool:
        """Do what was asked for; stands still while paused. False when the replay shall end."""
        clock, held_ns = self._clock, None
        while True:
            with self._lock:
                self._wake.clear()
                hold, ending, speed = self._hold, self._ending, self._speed
                seek_ns, self._seek_ns = self._seek_ns, None
            if ending:
                return False
            if speed != clock.speed:
                if math.isinf(clock.speed):
                    clock.pause()  # it told no time: it begins again with the next event
                clock.set_speed(speed)
            if seek_ns is not None:
                self._go_to(seek_ns)
            if not hold or self._through_ns is not None:
                break
            self._state = "paused"
            if clock.running:
                clock.pause()
                held_ns = None if math.isinf(clock.speed) else clock.now_ns()
            clock.wait(self._wake)
        if held_ns is not None and self._through_ns is None:
            clock.start(held_ns)
        self._state = "running"
        return True

    def _go_to(self, to_ns: int) -> None:
        back = self._ticks and to_ns <= self._position_ns
        if back and not self._again:
            self._tell(
                f"not gone back to {ist(to_ns)}: strategy or ticks were given as objects and "
                "cannot begin again; name them instead"
            )
            return
        self._through_ns = to_ns
        if back:
            self._tell(f"going back to {ist(to_ns)}: a new engine runs from the start to there")
            raise _Restart


def ist(at_ns: int) -> str:
    """A time of the market as people of it read it: 2024-03-04 09:15:00."""
    return f"{dt.datetime.fromtimestamp(at_ns // 10**9, IST):%Y-%m-%d %H:%M:%S}"
