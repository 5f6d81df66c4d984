"""Locks of the guards: told once when they change, and kept beyond a day and a crash.

What outlasts a day (a lock of several days, a run of losses, closes of India VIX) is what
`Guards.carry` gives. It is written twice, in this order, on every change and at the day's end:

    1  the journal: a NOTE behind the input that caused the change
    2  the file JOURNAL/<run>-<mode>.locks.json, replaced as a whole

A day begins with the newest of both (`carried_over`), and its journal's START record holds what it
began with: a restart of the day repeats the journal from there and asks no file. A process may be
killed between any two of these steps: the next day finds the NOTE where the file is older, and
where inputs stand behind the NOTE the day is repeated (`app.live_settle`). A lock is lost with the
journal and the file together.
"""

import asyncio
import contextlib
import datetime as dt
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from dhanfast._core.guard_rules import NEXT_SESSION, UNTIL_UNLOCK
from dhanfast._core.guardlocks import GuardKind
from dhanfast._core.guards import Guards
from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.clock import Clock
from dhanfast.engine.guard_build import guards_of, recorded_vix, vix_values
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.settings import duration_ns
from dhanfast.engine.status import LockLine
from dhanfast.errors import BadData, ConfigError, DhanfastError, UsageError
from dhanfast.market.calendar import midnight_ns
from dhanfast.storage.durable import replace_file
from dhanfast.strategies.params import unknown

VERSION: Final = 1
SAVE_S: Final = 1.0  # what changed is in the file within this time
INPUTS: Final = (
    Kind.TICK, Kind.TIMER, Kind.ANSWER, Kind.UPDATE, Kind.COMMAND, Kind.STRATEGY,
)  # fmt: skip
IST: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))
_LOG: Final = logging.getLogger("dhanfast.guards")


class Locked(Protocol):
    """What is asked of `_core.guards.Guards`."""

    def locks(self) -> Sequence[Any]:
        """(name, since_ns, until_ns, value, limit) of each lock that holds."""
        ...

    def events(self) -> Sequence[Any]:
        """What happened since the last call: `what`, `name`, `text`, `time_ns`, `until_ns`."""
        ...

    def explain(self, reason: Any) -> str:
        """Why a lock holds."""
        ...

    def carry(self) -> dict[str, Any]:
        """What outlasts the day, plain data."""
        ...


class Watched(Protocol):
    """The engine, as far as the file of locks is its business."""

    clock: Clock

    def remark(self, words: str, before: str = "") -> None:
        """Tell somebody."""
        ...


@dataclass(frozen=True, slots=True)
class Carried:
    """What an earlier day, or an earlier life of this one, left.

    Attributes:
        day: of what is carried. at_ns: when it was written, UTC ns of the machine.
        state: as `Guards.carry` gave it. source: where it was found.
        whole: nothing happened after it that could have changed it.
    """

    day: dt.date
    at_ns: int
    state: dict[str, Any]
    source: str
    whole: bool


# ---- the file ------------------------------------------------------------------------------------


class LockFile:
    """The file of one engine's locks.

    Args:
        folder: of the journals; it is private. run, mode: of the engine.
    """

    def __init__(self, folder: Path, run: str, mode: str) -> None:
        self.path = folder / f"{run}-{mode}.locks.json"

    def write(self, day: dt.date, at_ns: int, state: dict[str, Any]) -> None:
        """Replace what is there, for good.

        Raises:
            DhanfastError: the disk refuses.
        """
        told = {"version": VERSION, "day": day.isoformat(), "at_ns": at_ns, "state": state,
                "sha256": _digest(state)}  # fmt: skip
        replace_file(self.path, (json.dumps(told, sort_keys=True) + "\n").encode())

    def read(self) -> Carried | None:
        """What was written last; None when nothing was.

        Raises:
            BadData: it is damaged: nobody knows what was locked.
        """
        try:
            told = json.loads(self.path.read_text())
            if told["version"] != VERSION or told["sha256"] != _digest(told["state"]):
                raise ValueError("its digest is of something else")
            day = dt.date.fromisoformat(told["day"])
            return Carried(day, int(told["at_ns"]), told["state"], str(self.path), whole=True)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(
                f"{self.path} is damaged ({error}), so nobody knows what was locked: look at the "
                "last days, then remove it; `dhanfast locks` shows what a journal says"
            ) from None


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


# ---- recovery ------------------------------------------------------------------------------------


def carried_in(records: Iterable[tuple[int, bytes]], day: dt.date, source: str) -> Carried | None:
    """What a journal says last of locks; before the first change, what its day began with.

    Args:
        records: (kind, payload) of the whole journal. day: its date. source: its name.
    """
    found: Carried | None = None
    for kind, payload in records:
        if kind in INPUTS:
            if found is not None and found.whole:
                found = Carried(found.day, found.at_ns, found.state, source, whole=False)
            continue
        if kind not in (Kind.NOTE, Kind.START):
            continue
        with contextlib.suppress(ValueError):
            told = json.loads(payload)
            state = told.get("carry" if kind == Kind.NOTE else "carried")
            if state:
                found = Carried(day, int(told.get("at_ns", 0)), state, source, whole=True)
    return found


def carried_over(folder: Path, run: str, mode: str, day: dt.date) -> Carried | None:
    """What a new day begins with: the newer of the file and the last journal before it.

    Args:
        folder: of the journals. run, mode: of the engine. day: that begins.
    Raises:
        BadData: the file is damaged.
    """
    kept = LockFile(folder, run, mode).read()
    journal = last_journal(folder, run, mode, day)
    noted = None
    if journal is not None:
        path, of = journal
        with JournalReader(str(path)) as reader:
            records = ((kind, bytes(payload)) for kind, _, _, payload in reader)
            noted = carried_in(records, of, path.name)
    if noted is None or kept is None:
        return noted or kept
    # Of the same change the journal is asked: it knows whether anything came after it.
    return noted if (noted.day, noted.at_ns) >= (kept.day, kept.at_ns) else kept


def earlier_journals(
    folder: Path, run: str, mode: str, day: dt.date
) -> Iterator[tuple[Path, dt.date]]:
    """The journals of an engine that are of earlier days, newest first."""
    for path in sorted(folder.glob(f"*-{run}-{mode}.dfj"), reverse=True):
        with contextlib.suppress(ValueError):
            of = dt.datetime.strptime(path.name[:8], "%Y%m%d").date()
            if of < day and path.name == f"{of:%Y%m%d}-{run}-{mode}.dfj":
                yield path, of


def last_journal(folder: Path, run: str, mode: str, day: dt.date) -> tuple[Path, dt.date] | None:
    """The newest journal of an engine that is of an earlier day."""
    return next(earlier_journals(folder, run, mode, day), None)


def opening(
    settings: GuardSettings, carried: Carried | None, day: dt.date
) -> dict[str, Any] | None:
    """What the guards of a new day begin with: what was carried, and the history of India VIX.

    Args:
        settings: of the guards. carried: of earlier days. day: that begins.
    Raises:
        BadData, UsageError: the history that the settings name cannot be read.
    """
    state = None if carried is None else carried.state
    if not settings.needs_vix or not settings.vix_data:
        return state
    bars = recorded_vix(settings)
    assert bars is not None
    times, values = vix_values(bars)
    begins_ns = midnight_ns(day)
    known = times < begins_ns  # the day itself comes by the feed
    guards = guards_of(settings, vix=(times[known], values[known]))
    plain = guards_of(settings)
    assert guards is not None and plain is not None
    guards.start_day(int(f"{day:%Y%m%d}"), 0, begins_ns)
    seen = guards.carry()
    if state is None:
        state = plain.carry()
    if seen["vix"][1] <= state["vix"][1]:
        return state
    return {**state, "vix": seen["vix"], "closes": seen["closes"]}


# ---- a running day -------------------------------------------------------------------------------


class LockKeeper:
    """Tells of what the guards do, and keeps what must not be forgotten.

    Args:
        guards: of the gate. day: the market's. file: where it is kept; None: in the journal only.
        now_ns: the machine's time, UTC ns. note: writes a NOTE record. tell: takes lines of the
            day's result, (market's time, text). aside: does what waits for the disk elsewhere.
    """

    def __init__(
        self,
        guards: Locked,
        day: dt.date,
        file: LockFile | None,
        *,
        now_ns: Callable[[], int],
        note: Callable[..., None],
        tell: Callable[[int, str], None] = lambda at_ns, text: None,
        aside: Callable[[Callable[[], None]], Awaitable[None]] = asyncio.to_thread,
    ) -> None:
        self.guards, self._day, self._file = guards, day, file
        self._now_ns, self._note, self._line, self._aside = now_ns, note, tell, aside
        self._said: set[str] = set()  # vetoes, since anything changed
        self._passed = self._held = 0
        self._unsaved: tuple[int, dict[str, Any]] | None = None
        self._state: dict[str, Any] | None = None
        self._alerts: dict[str, str] = {}  # words by guard
        for event in guards.events():  # of before a restart: the journal has them
            self._remember(event)

    def look(self, passed: int, held: int) -> None:
        """Tell what is new; cheap when nothing is.

        Args:
            passed: orders that have passed the gate: a veto after one is a new one.
            held: changes with the position: a trade that ended is carried over as well.
        """
        changed = held != self._held
        self._held = held
        if passed != self._passed:
            self._passed = passed
            self._said.clear()
        for event in self.guards.events():
            if event.what == "veto":
                if event.name in self._said:
                    continue
                self._said.add(event.name)
            else:
                changed = True
                self._said.clear()
            self._tell(event)
        if changed:
            self._keep()

    def _tell(self, event: Any) -> None:
        """One change, in the log and in the journal."""
        say = _LOG.info if event.what in ("veto", "unlock") else _LOG.warning
        say("%s", event.text)
        if event.what != "veto":
            self._line(event.time_ns, f"guards: {event.text}")
        self._remember(event)
        self._note(
            guard=event.what, name=event.name, text=event.text, time_ns=event.time_ns,
            until_ns=event.until_ns,
        )  # fmt: skip

    def _remember(self, event: Any) -> None:
        """An alert stands until its guard locks, or is unlocked."""
        if event.what == "alert":
            self._alerts[event.name] = event.text
        elif event.what != "veto":
            self._alerts.pop(event.name, None)

    @property
    def alerts(self) -> list[str]:
        """Words of the alerts that stand, oldest first."""
        return list(self._alerts.values())

    def _keep(self, *, always: bool = False) -> None:
        state = self.guards.carry()
        if state == self._state and not always:
            return
        at_ns = self._now_ns()
        self._state = state
        self._note(carry=state, at_ns=at_ns)
        self._unsaved = (at_ns, state)

    def asked(self, name: str, arguments: dict[str, Any], market_ns: int) -> "Asked":
        """What a command of an operator means.

        Args:
            name: lock or unlock. arguments: `lock`, a name or all; `until`, see `end_of`.
            market_ns: the market's time now.
        Raises:
            UsageError: no lock is called so, or it does not hold; an end that is none.
        """
        wanted = str(arguments.get("lock") or "").lower().replace("-", "_")
        held = [lock.name for lock in self.lines()]
        if name == "lock":
            kind = _kind(wanted or "operator")
            until_ns = end_of(str(arguments.get("until") or ""), self._day, market_ns)
            text = f"{GuardKind(kind).name.lower()} is locked until {until_text(until_ns)}"
            return Asked(kind, until_ns, text)
        if wanted == "all":
            return Asked(-1, 0, f"unlocked: {', '.join(held) or 'nothing was locked'}")
        kind = _kind(wanted)
        if wanted not in held:
            raise UsageError(f"{wanted} is not locked; locked: {', '.join(held) or 'nothing'}")
        return Asked(kind, 0, f"unlocked: {wanted}")

    def save(self) -> None:
        """Bring the file to what the journal has; may wait for the disk.

        Raises:
            DhanfastError: the disk refuses; the journal has it all the same.
        """
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is not None and self._file is not None:
            try:
                self._file.write(self._day, *unsaved)
            except DhanfastError:
                self._unsaved = self._unsaved or unsaved
                raise

    async def keep(self, engine: Watched) -> None:
        """The file follows the journal, and the disk is waited for elsewhere; until cancelled."""
        said = ""
        while True:
            await engine.clock.sleep(SAVE_S)
            if self._unsaved is None:
                continue
            before, said = said, ""
            try:
                await self._aside(self.save)
            except DhanfastError as error:
                said = f"locks are in the journal alone: {error}"
            engine.remark(said, before)

    def end(self) -> None:
        """The day's service is over.

        Raises:
            DhanfastError: see `save`.
        """
        self._keep(always=True)
        self.save()

    def lines(self) -> list[LockLine]:
        """The locks that hold now."""
        return lock_lines(self.guards)

    @property
    def text(self) -> str:
        """Their names, for a line of the log; empty when there is none."""
        return ", ".join(lock[0] for lock in self.guards.locks())


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as the loop takes it: the kind of lock, -1 for all; its end; what to answer."""

    kind: int
    until_ns: int
    text: str


def _kind(name: str) -> int:
    """The number of a lock."""
    names = {kind.name.lower(): int(kind) for kind in GuardKind}
    if name not in names:
        raise UsageError(unknown("lock", name, names))
    return names[name]


def end_of(text: str, day: dt.date, market_ns: int) -> int:
    """When a lock ends: empty until unlocked, `session` the next one, `30m`, or a time HH:MM.

    Raises:
        UsageError: none of these, or a time that has passed.
    """
    if not text:
        return UNTIL_UNLOCK
    if text == "session":
        return NEXT_SESSION
    try:
        if ":" not in text:
            length_ns = duration_ns(text, "until")
            until_ns = market_ns + length_ns
        else:
            moment = dt.datetime.combine(day, dt.time.fromisoformat(text), IST)
            until_ns = int(moment.timestamp()) * 10**9
    except (ValueError, ConfigError):
        raise UsageError(
            f"until {text!r}: write a time of today HH:MM, a length such as 30m, session, or "
            "nothing: until it is unlocked"
        ) from None
    if until_ns <= market_ns:
        raise UsageError(f"until {text}: that has passed")
    if until_ns >= NEXT_SESSION:
        raise UsageError(f"until {text}: is beyond every clock; leave --until out: until unlocked")
    return until_ns


def lock_lines(guards: Locked) -> list[LockLine]:
    """The locks of guards, as faces show them."""
    return [
        LockLine(
            name=name, since_ns=since_ns, until_ns=until_ns, until=until_text(until_ns),
            value=value, limit=limit, text=guards.explain(name),
        )
        for name, since_ns, until_ns, value, limit in guards.locks()
    ]  # fmt: skip


def lines_of(carried: Carried, now_ns: int) -> list[LockLine]:
    """The locks of a day that is over, without those that have ended.

    Args:
        now_ns: of the market, UTC ns; 0: as they were left.
    """
    guards = Guards(carried=carried.state)
    today = dt.datetime.fromtimestamp(now_ns // 10**9, IST).date()
    return [
        line
        for line in lock_lines(guards)
        if line.until_ns > now_ns and (line.until_ns != NEXT_SESSION or carried.day >= today)
    ]


def until_text(until_ns: int) -> str:
    """When a lock ends: a time in India, the next session, or when somebody unlocks it."""
    if until_ns > NEXT_SESSION:
        return "unlocked"
    if until_ns == NEXT_SESSION:
        return "next session"
    return dt.datetime.fromtimestamp(until_ns // 10**9, IST).strftime("%Y-%m-%d %H:%M:%S")
