"""The seat of the strategy in a live run: who decides, who takes its place, what ends it.

    swap    a newcomer is made and shown the bars of the day beside the engine's thread (`make`),
            then takes the seat between two events (`install`). Until its second bar the one before
            waits: a newcomer that fails earlier gives the seat back.
    stop    a strategy that raised, hung or ate memory decides nothing any more; what becomes of the
            position is `on_error`. The engine lives on, but with "stop".

Either is an input of the journal, STRATEGY, written before it is done and repeated by a restart:
made again from the file's text in the journal, given the state that was saved, stopped at the call
that failed without that being made.

Threads: `make` any one thread beside the engine's; everything else the engine's.
"""

import dataclasses
import hashlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.filters import Filters
from dhanfast._core.pydoor import PythonRunner
from dhanfast._core.strategy import NativeStrategy
from dhanfast._core.timing import LatencyHistogram
from dhanfast._core.warmup import warm_up
from dhanfast.engine.aside import aside
from dhanfast.engine.provenance import strategy_sha256
from dhanfast.engine.swap_words import (
    SOURCE_MAX,
    bytes_of,
    plain_state,
    read_words,
    stop_words,
    swap_words,
)  # fmt: skip
from dhanfast.errors import (
    BadData,
    CallbackOverdue,
    DhanfastError,
    JournalFailed,
    StrategyError,
    UsageError,
)  # fmt: skip
from dhanfast.strategies.plugins import Found, find_strategy, graph_of
from dhanfast.strategies.shelf import place_of

if TYPE_CHECKING:
    from dhanfast.engine.seated import Seated

DOORS: Final = ("rules", "python", "cython")
ON_ERROR: Final = ("flatten", "keep", "stop")
STOPPED: Final = "the strategy was stopped"  # why entries wait
MAKE_S: Final = 20.0
SHOWN_MAX: Final = 10  # of the changes of a day, in a result's notes
_WHAT: Final = {"raised": "raised", "hung": "ran too long", "memory": "took too much memory"}
_THEN: Final = {
    "keep": "no entries; what is held stays with its stop, its target and the square-off",
    "flatten": "no entries; what was held is closed",
    "stop": "what was held is closed and the engine ends",
}
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LOG: Final = logging.getLogger("dhanfast.strategy")


@dataclass(frozen=True, slots=True)
class Misuse:
    """What is done about a strategy that misbehaves.

    Attributes:
        on_error: flatten, keep or stop. memory_max: bytes by which the process may grow while a
        strategy decides; 0 = any.
    Raises:
        UsageError: another word, or less than nothing.
    """

    on_error: str = "stop"
    memory_max: int = 0

    def __post_init__(self) -> None:
        if self.on_error not in ON_ERROR:
            raise UsageError(f"on_error must be one of {', '.join(ON_ERROR)}, was {self.on_error}")
        if self.memory_max < 0:
            raise UsageError(f"memory_max must not be negative, was {self.memory_max}")


@dataclass(slots=True)
class Decider:
    """A strategy that decides, or has decided.

    Attributes:
        name: for people. runner: as the kernel runs it. since_ns: the market's time, 0 = from the
        start. bars: of the day, that were over when it took the seat. left: when it left it.
    """

    name: str
    found: Found
    runner: NativeStrategy
    log: "_Log"
    since_ns: int = 0
    bars: int = 0
    left: int = 0

    @property
    def names(self) -> set[str]:
        """What it may be called."""
        return {self.name, self.found.name, short_name(self.found.name)}


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Made and warmed up, and not in the seat yet.

    Attributes:
        shown: bars of the day that it has seen. handed: it takes what the one before saves.
        turn: of the seat, for which it was made. took_s: seconds of making it.
    """

    name: str
    found: Found
    runner: NativeStrategy
    log: "_Log"
    sha256: str
    shown: int
    handed: bool
    turn: int
    took_s: float = 0.0


Beside = Callable[[Callable[[], Newcomer], float], Awaitable[Newcomer]]


class _Log:
    """A strategy's log, which is not heard before it decides."""

    def __init__(self, say: Callable[[int, str], None], *, heard: bool) -> None:
        self._say, self.heard = say, heard

    def __call__(self, at_ns: int, text: str) -> None:
        if self.heard:
            self._say(at_ns, text)


class _Gone:
    """What is left of a strategy that was stopped: its parameters, and of a blend its files."""

    def __init__(self, found: Found) -> None:
        self._settings = found.settings()
        code = getattr(found.made, "code", None)
        self._code: bytes = b"" if code is None else code()

    def code(self) -> bytes:
        """The files of a blend."""
        return self._code

    def settings(self) -> dict[str, Any]:
        """{parameter: value}, as they were."""
        return self._settings


class Seat:
    """Who decides in a live run, or leads the legs of a structure.

    Args:
        run: whose strategy it is, its loop made. name: of the first, for people; "": as found.
        misuse: what is done about one that misbehaves.
        watch: ends calls that take too long, started by who owns it; None: nobody does.
        folder: of the user's strategies, where names are looked for.
    Attributes:
        now: who decides. stopped: why nobody does; "" = somebody does.
        swaps, rollbacks, stops: so far today. installed: time of an installation on the engine's
        thread, ns. changes: (market's time, text) of each, for a result.
    """

    def __init__(
        self, run: "Seated", found: Found, runner: NativeStrategy, *, name: str = "",
        misuse: Misuse | None = None, watch: CallWatch | None = None, folder: Path | None = None,
    ) -> None:  # fmt: skip
        self._run, self._watch, self._folder = run, watch, folder
        self.misuse = misuse or Misuse()
        self.now = Decider(name or short_name(found.name), found, runner,
                           _Log(run.tell, heard=True))  # fmt: skip
        self._alone = found.door in DOORS
        self._before: Decider | None = None
        self._pending: Newcomer | None = None
        self._armed: tuple[int, int, str] | None = None
        self._sources = {hashlib.sha256(found.source).hexdigest(): found.source}
        self._turn = self.swaps = self.rollbacks = self.stops = 0
        self.stopped = ""
        self.changes: list[tuple[int, str]] = []
        self.installed = LatencyHistogram()
        self._making = self._repeating = False
        self._memory = 0
        for part in python_parts(runner):
            part.watch = watch
        loop = run.loop
        loop.watch = watch
        loop.on_strategy, loop.on_failed, loop.on_ahead = self._use, self._failed, self._ahead

    # ---- another strategy ------------------------------------------------------------------------

    async def swap(
        self, name: str, params: Mapping[str, object], *, wall_ns: Callable[[], int],
        expect: str = "", fresh: bool = False,
        beside: "Beside | None" = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Make a newcomer beside the engine's thread, then give it the seat.

        Args:
            name: as -s takes it. params: its parameters. wall_ns: the machine's time, UTC ns.
            expect: refuse unless this one decides now; "": whoever does.
            fresh: nothing is handed over: it is shown the bars of the day instead.
            beside: does the making; None: a thread.
        Returns:
            text: what was done; and the figures of it.
        Raises:
            DhanfastError: why not; nothing has changed then.
        """
        if beside is None:
            beside = aside
        if expect and expect not in self.now.names:
            raise UsageError(f"{self.now.name} decides now, and not {expect}: nothing was changed")
        self._check_alone(self.now.found)
        if self._making:
            raise DhanfastError("another strategy is being made ready: wait for it")
        if self._run.loop.stopped or self._run.loop.error is not None:
            raise DhanfastError("the engine is ending: no strategy is taken any more")
        bars, turn = self._bars(), self._turn
        self._making = True
        try:
            ready = await beside(lambda: self.make(name, params, bars, turn, fresh=fresh), MAKE_S)
            before = self.now.name
            took_ns = self.install(ready, wall_ns())
        except Exception as error:  # whatever a user's code raises: it is told, the engine goes on
            kind = type(error) if isinstance(error, DhanfastError) else StrategyError
            words = str(error) or type(error).__name__
            raise kind(f"{name} does not take over, and nothing was changed: {words}") from error
        finally:
            self._making = False
        how = "given what it had saved" if ready.handed else f"shown {self.now.bars} bars"
        return {
            "text": f"{self.now.name} decides from here on, in the place of {before}; "
            f"{self._run.held_text()} kept; {how}; made in {ready.took_s * 1e3:.0f} ms, installed "
            f"in {took_ns / 1e3:.0f} us",
            "strategy": self.now.name, "before": before, "bars": self.now.bars,
            "handed": ready.handed, "made_ms": ready.took_s * 1e3, "installed_us": took_ns / 1e3,
            "swaps": self.swaps,
        }  # fmt: skip

    def _check_alone(self, found: Found) -> None:
        """The books of a blend's members are of their whole day; filters stay around whoever comes.

        Raises:
            UsageError: it is not alone.
        """
        decides = self._run.kernel.strategy
        if isinstance(decides, Filters):
            decides = decides.inner
        wrapped = not self.stopped and decides is not self.now.runner
        if wrapped or not self._alone or found.door not in DOORS:
            raise UsageError(
                "a blend of several is not exchanged in a running engine: end it, then start "
                "another with another engine.run"
            )

    def make(
        self, name: str, params: Mapping[str, object], bars: Any, turn: int, *,
        fresh: bool = False, place: str = "", source: bytes = b"",
    ) -> Newcomer:  # fmt: skip
        """A newcomer, and show it the bars of the day.

        Args:
            name, params: as for `swap`. bars: BAR_DTYPE. turn: of the seat. fresh: as for `swap`.
            place, source: of a journal, in the place of what `name` means now.
        Raises:
            DhanfastError: there is none of that name, a wrong parameter, it cannot be imported, it
                raised, or it looks at what has no history in a running engine.
        """
        begun = time.perf_counter()
        found = find_strategy(place or place_of(name, self._folder), dict(params), source)
        self._check_alone(found)
        if len(found.source) > SOURCE_MAX:
            raise UsageError(f"{name} has {len(found.source):,} bytes, {SOURCE_MAX:,} are allowed")
        log = _Log(self._run.tell, heard=False)
        runner = self._run.runner_of(found, log)
        graph = graph_of(runner)
        needs = set() if graph is None else graph.needs - {"volume"}
        outside = sorted(needs | ({"chain"} if runner.wants_chain else set()))
        if outside:
            raise UsageError(
                f"{name} looks at {', '.join(outside)}, of which a running engine keeps no "
                "history: it cannot be warmed up; start an engine with it"
            )
        handed = self._hands(found, fresh)
        for part in python_parts(runner):
            part.quiet = handed
        warm_up(runner, bars.view("u1"), self._run.interval_ns)
        sha256, took_s = strategy_sha256(found), time.perf_counter() - begun
        return Newcomer(
            short_name(name), found, runner, log, sha256, len(bars), handed, turn, took_s
        )

    def _hands(self, found: Found, fresh: bool) -> bool:
        """Whether the one that decides hands over what it knows."""
        saves = not self.stopped and hasattr(self.now.found.made, "save")
        return not fresh and saves and found.door == "python" and hasattr(found.made, "load")

    def install(self, ready: Newcomer, wall_ns: int) -> int:
        """Give a newcomer the seat, between two events.

        Returns:
            What it took, ns.
        Raises:
            DhanfastError: it fails at the last moment, or so does the one before; the seat has
                changed meanwhile; the journal has no room. Nothing has changed then.
        """
        begun_ns = time.perf_counter_ns()
        if ready.turn != self._turn:
            raise DhanfastError("another change came in between: ask again")
        bars = self._bars()
        for part in python_parts(ready.runner):
            part.watch = self._watch
        warm_up(ready.runner, bars.view("u1"), self._run.interval_ns, shown=ready.shown)
        state = None
        if ready.handed:
            said = self._call(f"{self.now.name}.save", self.now.found.made.save)
            state = plain_state(said, self.now.name)
            self._load(ready.found, ready.name, state)
        known = ready.sha256 in self._sources
        words = swap_words(
            name=ready.name, place=ready.found.place, params=ready.found.settings(),
            sha256=ready.sha256, bars=len(bars), state=state,
            source=b"" if known else ready.found.source,
        )  # fmt: skip
        self._pending = ready
        try:
            if not self._run.loop.use_strategy(words, wall_ns):
                raise JournalFailed("the journal has no room for it")
        finally:
            self._pending = None
        took_ns = time.perf_counter_ns() - begun_ns
        self.installed.record(took_ns)
        return took_ns

    def _load(self, found: Found, name: str, state: dict[str, Any]) -> None:
        self._call(f"{name}.load", lambda: found.made.load(state))

    def _call(self, what: str, function: Callable[[], Any]) -> Any:
        """A call into a user's code that is no bar, tick or fill.

        Raises:
            StrategyError: it raised, or took too long.
        """
        try:
            return function() if self._watch is None else self._watch.call(function)
        except (Exception, SystemExit, CallbackOverdue) as error:
            raise StrategyError(f"{what}: {type(error).__name__}: {error}") from error

    # ---- an end ----------------------------------------------------------------------------------

    def _failed(self) -> None:
        """The strategy has failed on the last input: stop it, or put back the one before."""
        part, call = 0, 0
        for index, each in enumerate(python_parts(self.now.runner)):
            if each.failed:
                part, call = index, each.calls
                break
        error = self._run.kernel.strategy.error  # what stands around it has it from it
        why = "hung" if isinstance(error, CallbackOverdue) else "raised"
        self._stop(why, f"{type(error).__name__}: {error}", part, call)

    def _stop(self, why: str, text: str, part: int = 0, call: int = 0) -> None:
        way = "rollback" if self._unproven(1) and self._before is not None else self.misuse.on_error
        words = stop_words(why=why, text=text, way=way, part=part, call=call)
        self._run.loop.use_strategy(words, self._run.loop.wall_ns, vital=True)

    def look(self) -> None:
        """Whether the process has grown too much, and what is not needed any more; now and then."""
        if self._before is not None and not self._unproven(1):
            self._before = None
        if not self.misuse.memory_max or self.stopped or self._making:
            self._memory = 0
            return
        bytes_now = own_bytes()
        if not self._memory:
            self._memory = bytes_now
        grown = bytes_now - self._memory
        if grown > self.misuse.memory_max:
            limit = self.misuse.memory_max >> 20
            self._memory = 0
            self._stop("memory", f"the process grew by {grown >> 20:,} MiB, {limit:,} are allowed")

    def _unproven(self, bars: int) -> bool:
        """Whether it has at most so many bars behind it."""
        return bool(self._run.kernel.bars_seen <= self.now.bars + bars)

    # ---- inputs of the journal -------------------------------------------------------------------

    def _use(self, words: bytes) -> None:
        """Do what a STRATEGY input says: what is pending, or what a journal repeats."""
        told = read_words(words)
        self._turn += 1
        if told["op"] == "swap":
            ready = self._pending
            if ready is None:
                ready = self._made_again(told)
            self._sit(ready, told)
        elif told["way"] == "rollback":
            self._roll_back(told)
        else:
            self._end(told)

    def _sit(self, ready: Newcomer, told: dict[str, Any]) -> None:
        old = self.now
        if self.stopped:
            self._before = None
        elif not self._unproven(0) or self._before is None:
            old.left = self._run.kernel.bars_seen
            self._before = old
        self._sources.setdefault(ready.sha256, ready.found.source)
        self._take(Decider(ready.name, ready.found, ready.runner, ready.log))
        self.swaps += 1
        self._tell(f"{self.now.name} decides in the place of {old.name}; "
                   f"{self._run.held_text()} kept")  # fmt: skip

    def _take(self, decider: Decider) -> None:
        """The seat is its from here on."""
        self.now, self.stopped, self._memory = decider, "", 0
        decider.since_ns, decider.bars = self._run.loop.now_ns, self._run.kernel.bars_seen
        for part in python_parts(decider.runner):
            part.quiet, part.watch = False, self._watch
            part.begin_count()
        self._arm()
        decider.log.heard = True
        self._run.loop.put_strategy(decider.runner)
        self._run.seated(decider.found, decider.runner)

    def _roll_back(self, told: dict[str, Any]) -> None:
        failed, back = self.now, self._before
        if back is None:
            raise BadData("the journal puts back a strategy that this run does not have")
        self._before = None
        failed.log.heard = False
        self._take(back)
        self.rollbacks += 1
        self._tell(f"{failed.name} {_WHAT[told['why']]} before its second bar "
                   f"({told['text']}): {back.name} decides again")  # fmt: skip
        try:  # the bars that it has missed; what it wishes on them is not heard
            warm_up(
                back.runner, self._bars().view("u1"), self._run.interval_ns, shown=back.left,
                position=self._run.kernel.position, entry_price=self._run.entry_price(),
            )  # fmt: skip
        except StrategyError:
            return  # the kernel sees that it has failed, and it is stopped

    def _end(self, told: dict[str, Any]) -> None:
        way, name = told["way"], self.now.name
        self.now.log.heard = False
        self.stopped = f"{name} {_WHAT[told['why']]}: {told['text']}"
        self.stops += 1
        self._before = None
        self._run.loop.drop_strategy(way)
        gone = dataclasses.replace(self.now.found, made=_Gone(self.now.found))
        self.now.found, self.now.runner = gone, NativeStrategy()
        self._run.seated(gone, self.now.runner)
        self._tell(f"{self.stopped}; {_THEN[way]}")
        if way == "stop":
            self._run.loop.error = StrategyError(f"strategy stopped: {told['text']}")
        elif not self._repeating:
            _LOG.error("%s", self.mending)

    def _tell(self, text: str) -> None:
        self.changes.append((self._run.loop.now_ns, text))
        self._run.tell(self._run.loop.now_ns, f"strategy: {text}")
        if not self._repeating:
            _LOG.warning("%s", text)

    # ---- a restart -------------------------------------------------------------------------------

    def _ahead(self, words: bytes | None, last: bool) -> None:
        """What is known of a journal's next input: how the strategy fails on it, or that it is the
        last, on which it may hang."""
        self._repeating = True
        if self._watch is not None:
            self._watch.idle = not last
        told: dict[str, Any] = read_words(words) if words is not None else {"op": ""}
        self._armed = None
        if told["op"] == "stop" and told["call"]:
            self._armed = (int(told["part"]), int(told["call"]), str(told["text"]))
        self._arm()

    def _arm(self) -> None:
        part, call, text = self._armed or (0, 0, "")
        for index, each in enumerate(python_parts(self.now.runner)):
            each.fail_call(call if index == part else 0, text)

    def repeated(self) -> None:
        """The journal has been repeated to its end."""
        self._armed, self._repeating = None, False
        self._arm()
        if self._watch is not None:
            self._watch.idle = False

    def _made_again(self, told: dict[str, Any]) -> Newcomer:
        """The newcomer of a journal.

        Raises:
            BadData: it cannot be made as it was.
        """
        name, sha256 = told["name"], told["sha256"]
        source = bytes_of(told["source"]) if "source" in told else self._sources.get(sha256, b"")
        bars = self._bars()
        try:
            ready = self.make(
                name, told["params"], bars[: told["bars"]], self._turn, fresh=not told["handed"],
                place=told["place"], source=source,
            )  # fmt: skip
            if ready.sha256 != sha256 or len(bars) < told["bars"]:
                raise BadData("its code, or the program, has changed since")
            if told["handed"]:
                self._load(ready.found, name, told["state"])
        except DhanfastError as error:
            raise BadData(f"the journal's strategy {name} cannot be brought back: {error}") \
                from error  # fmt: skip
        return ready

    # ---- for faces -------------------------------------------------------------------------------

    @property
    def mending(self) -> str:
        """What can be done about a strategy that was stopped."""
        if self._alone:
            return "mend it, then: dhanfast strategy swap NEW"
        return "mend it, end this engine, then start another with another engine.run"

    def notes(self) -> tuple[str, ...]:
        """What a reader of the result must know."""
        if not self.changes:
            return ()
        told = [text for _, text in self.changes[-SHOWN_MAX:]]
        more = len(self.changes) - len(told)
        first = f"more than one strategy decided: {self.swaps} swaps, {self.rollbacks} put back, "
        return (f"{first}{self.stops} stopped" + (f"; the last {SHOWN_MAX}:" if more else ":"),
                *told)  # fmt: skip

    def _bars(self) -> Any:
        return self._run.bars_so_far()


def short_name(name: str) -> str:
    """What a strategy is called: of a file its class, or else the file without its folder."""
    path, _, wanted = name.partition(":")
    return (wanted or Path(path).stem) if path.endswith(".py") else name


def python_parts(runner: Any) -> list[PythonRunner]:
    """The Python strategies that a runner is, or is made of."""
    if isinstance(runner, PythonRunner):
        return [runner]
    inner = getattr(runner, "inner", None)
    parts = [inner] if inner is not None else list(getattr(runner, "inners", ()))
    return [found for part in parts for found in python_parts(part)]


def own_bytes() -> int:
    """Memory of this process that is its own, bytes: what files are mapped for is left out."""
    words = Path("/proc/self/statm").read_bytes().split()
    return (int(words[1]) - int(words[2])) * _PAGE
