"""A live run: the engine of a backtest on ticks, driven by journaled inputs.

Everything here is synchronous and has no network: `engine.live_engine` brings the inputs, a test or
a simulation may as well. What differs between paper and live is the broker that is handed in.
"""

import datetime as dt
import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.callwatch import CallWatch
from dhanfast._core.chainfeed import FIGURES, ChainFeed
from dhanfast._core.guards import Guards
from dhanfast._core.live.courier import Courier
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.loop import LiveLoop
from dhanfast._core.live.records import ANSWER_DTYPE, Outcome
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.strategy import NativeStrategy
from dhanfast._core.types import BAR_DTYPE
from dhanfast.clock import Clock
from dhanfast.engine.chain_input import ChainSeen, figures_asked
from dhanfast.engine.decisions import Decisions
from dhanfast.engine.guard_build import guards_of
from dhanfast.engine.seat import STOPPED, Misuse, Seat
from dhanfast.engine.served import Held, InputLoop, OrdersThere, Recovered, ServedRun
from dhanfast.engine.settings import Settings
from dhanfast.engine.status import PositionLine
from dhanfast.engine.tickruns import TickRun
from dhanfast.engine.worked import hold_worked, worked_note
from dhanfast.errors import BadData, UsageError
from dhanfast.reports.result import RunResult
from dhanfast.strategies.base import Log
from dhanfast.strategies.plugins import Found

GRACE_NS: Final = 300_000_000


class LiveRun(TickRun):
    """One day of one strategy on one future, from journaled inputs to requests and books.

    Args:
        strategy, symbol, params, settings, interval: as for `TickRun`.
        journal: of the day and run; see `recover` when it is not new.
        instrument: the feed's number of the future that is traded.
        first_ns: a time of the trading day, UTC ns; its session must be known.
        remote_of: given the gate, makes the broker's side; None simulates an exchange (paper).
        courier: carries requests; with `remote_of`.
        grace_ns: how long after its end a bar waits for late ticks.
        sync_each: a request leaves only when the disk has it.
        generated: the market is generated.
        notes: what a reader of the result must know.
        guards: of the gate, with what earlier days left; None makes those of the settings.
        source: of the strategy's file, as the day began with it. name: of it, for people.
        misuse: what is done when it misbehaves. watch: ends its calls that take too long.
        folder: of the user's strategies, where another one is looked for.
        vix: the feed's number of India VIX, whose ticks the guards see; None: it has none.
    Raises:
        As `TickRun`; UsageError: remote_of without courier, or the other way round.
        BadData: the journal is of another day.
    Attributes:
        loop: takes the inputs. remote: the broker's side; None on paper. instrument: as given.
        chain: what tells the strategy of the option chain; None: it does not ask.
        seat: who decides, and how another one takes its place.
    """

    def __init__(
        self,
        strategy: str | type | object,
        *,
        symbol: str,
        journal: Journal,
        instrument: int,
        first_ns: int,
        params: Mapping[str, object] | None = None,
        settings: Settings | None = None,
        interval: str = "1m",
        remote_of: Callable[[Gate], Remote] | None = None,
        courier: Courier | None = None,
        grace_ns: int = GRACE_NS,
        sync_each: bool = False,
        generated: bool = False,
        notes: tuple[str, ...] = (),
        guards: Guards | None = None,
        vix: int | None = None,
        source: bytes = b"",
        name: str = "",
        misuse: Misuse | None = None,
        watch: CallWatch | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__(
            strategy, symbol=symbol, params=params, settings=settings, interval=interval,
            generated=generated, notes=notes, guards=guards, source=source,
        )  # fmt: skip
        if (remote_of is None) != (courier is None):
            raise UsageError("remote_of and courier come together")
        _of_this_day(journal, first_ns)
        self.remote: Remote | None = None
        self.chain: ChainFeed | None = None
        self.journal, self.instrument = journal, instrument
        self._remote_of = remote_of
        self._live_engine = self._begin(first_ns)
        self.loop = LiveLoop(
            self._live_engine.tick_loop(0),
            journal,
            instrument=instrument,
            remote=self.remote,
            courier=courier,
            grace_ns=grace_ns,
            sync_each=sync_each,
            guards=self._live_engine.guards,
            vix=vix,
            chain=self.chain,
        )
        if courier is not None:
            courier.on_answer = self.loop.use_answer
        self.loop.on_drain = self._live_engine.drain
        self.seat = Seat(
            self, self._found, self._runner, name=name, misuse=misuse, watch=watch, folder=folder
        )

    def rows_so_far(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Trades and orders that have ended, rows of the run log."""
        return self._live_engine.rows_so_far()

    # ---- its strategy, which may be exchanged ----------------------------------------------------

    def decider(self, name: str) -> str:
        """The strategy that decides.

        Args:
            name: of what the engine was started with.
        """
        return self.seat.now.name

    @property
    def interval_ns(self) -> int:
        """Length of a signal bar."""
        return self._interval_ns

    def runner_of(self, found: Found, log: Log) -> NativeStrategy:
        """A strategy as this run runs it.

        Args:
            log: given (market's UTC ns, text).
        Raises:
            StrategyError: it cannot start.
        """
        return self._runner_of(found, log)

    def bars_so_far(self) -> NDArray[Any]:
        """The signal bars of the day until now, BAR_DTYPE."""
        self._live_engine.drain()
        if len(self._kept) != 1:
            self._kept = [np.concatenate([np.empty(0, BAR_DTYPE), *self._kept])]
        return self._kept[0]

    def entry_price(self) -> float:
        """Average price of what is held, rupees; NaN when nothing is."""
        place = self.portfolio.position(0)
        return abs(place["cost"] / place["qty"]) / 100 if place["qty"] else float("nan")

    def seated(self, found: Found, runner: NativeStrategy) -> None:
        """This one decides from now on; what is written of the run names it."""
        self._found, self._runner = found, runner
        self._live_engine.strategy = runner
        self._live_engine.decisions.another()

    def _notes(self, quoted: bool) -> tuple[str, ...]:
        return (*super()._notes(quoted), *self.seat.notes())

    def _own_guards(self) -> tuple[Guards | None, tuple[str, ...]]:
        """India VIX comes by the feed, and its history with guards that are handed in."""
        return guards_of(self._settings.guards), ()

    def _own_chain(self) -> ChainSeen | None:
        """Its sets come one by one, as inputs."""
        return None

    def _chain_feed(self) -> ChainFeed | None:
        if self.figures:
            self.chain = ChainFeed(figures=FIGURES, age_ns=self._settings.chain.age_ns)
        return self.chain

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the option chain's figures that the strategy reads."""
        return figures_asked(self._runner)

    def _broker_of(self) -> Callable[[Gate], Broker] | None:
        if self._remote_of is None:
            return None
        made = self._remote_of

        def broker(gate: Gate) -> Broker:
            self.remote = made(gate)
            return self.remote

        return broker

    @property
    def guards(self) -> Guards | None:
        """The rules that keep entries out for a while; None: there are none."""
        return self._live_engine.guards

    @property
    def decisions(self) -> Decisions:
        """Filters, books and factors around the strategy."""
        return self._live_engine.decisions

    @property
    def vetoed(self) -> dict[str, int]:
        """{filter: entries it took back}."""
        return self.decisions.vetoed

    @property
    def trades_mark(self) -> int:
        """The position: trades begin and end with it."""
        return int(self.kernel.position)

    def size_explained(self) -> dict[str, Any]:
        """What the rules of sizing know of closed trades, and of the last size."""
        return dict(self.kernel.size_explained())

    @property
    def flat(self) -> bool:
        """Nothing is held, and nothing is on its way."""
        return bool(self.kernel.position == 0 and self.kernel.broker.live == 0)

    @property
    def late(self) -> int:
        """Ticks that came when time had closed their bar: they count for no bar."""
        return self.loop.late

    @property
    def barred(self) -> str:
        """Why it must make no entry now: nobody decides."""
        return STOPPED if self.seat.stopped else ""

    def held_text(self) -> str:
        """What is held, in words."""
        return f"{self.kernel.position:+,} units"

    def held_now(self) -> Held:
        """What is held, in figures; paise."""
        place = self.portfolio.position(0)
        average = abs(place["cost"] // place["qty"]) if place["qty"] else 0
        return Held(average, place["mark"])

    def position_lines(self, name: str) -> list[PositionLine]:
        """What is held, or was today; empty before the first trade.

        Args:
            name: of what is traded.
        """
        place, kernel = self.portfolio.position(0), self.kernel
        if not place["qty"] and not place["realised"]:
            return []
        return [
            PositionLine(
                symbol=name,
                qty=place["qty"],
                average=abs(place["cost"] // place["qty"]) if place["qty"] else 0,
                last=place["mark"],
                stop=kernel.stop_local or kernel.stop_price,
                target=kernel.target_price,
                realised=place["realised"],
                unrealised=place["qty"] * place["mark"] - place["cost"],
            )
        ]

    def hold_orders(self, name: str, now_ns: int) -> dict[str, Any]:
        """Pause, resume or cancel what an algorithm works; see `worked.hold_worked`.

        Raises:
            DhanfastError: no algorithm works orders.
        """
        return hold_worked(self, name, now_ns)

    def notes_now(self) -> list[str]:
        """What somebody should know: that nobody decides, of its orders, of a blend's members."""
        stopped = self.seat.stopped
        gone = [f"{stopped}; {self.seat.mending}"] if stopped else []
        return [*gone, *worked_note(self), *self._live_engine.decisions.notes()]

    def texts_so_far(self) -> list[tuple[int, str]]:
        """Nothing: its orders, and the log of its guards, say it all."""
        return []

    def tell(self, at_ns: int, text: str) -> None:
        """A line of the result's log.

        Args:
            at_ns: the market's time, UTC ns.
        """
        self._messages.append((at_ns, text))

    @property
    def kernel(self) -> Any:
        """The kernel: position, orders, counters."""
        return self._live_engine.kernel

    @property
    def portfolio(self) -> Any:
        """The books."""
        return self._live_engine.portfolio

    def recover(self, records: Iterable[tuple[int, bytes]], wall_ns: int) -> Recovered:
        """Bring the run to where the journal ends, and settle what had not been answered.

        A request that is not in the journal never left: its answer is a refusal. One that is there
        without an answer is in doubt: the broker is asked for it by its number. A RESUME record
        must have been appended first: numbers are skipped behind it, each time it is repeated.

        Args:
            records: (kind, payload) of the journal from its beginning.
            wall_ns: now, UTC ns.
        Raises:
            BadData: the journal was written by other code, another strategy or other settings.
        """
        found = recovered(self.loop, self.remote, records, wall_ns)
        self.seat.repeated()
        return found

    def so_far(self) -> RunResult | None:
        """The result of what has happened until now, nothing closed for it; None without a bar.

        What was written is handed over with it: the next call tells of what came after.
        """
        written = self._live_engine.written()
        if self._bar_count == 0:
            return None
        self._live_engine.kernel_ns = self.loop.used_ns
        result = self._result(self._live_engine, written)
        if self.chain is None:
            return result
        seen = {"grade": "live", "expiry": self._settings.chain.expiry, "sets": self.chain.count}
        note = (
            "Chain figures are live: the broker's chain as it was asked for now and then, "
            f"{seen['expiry']} expiry, {seen['sets']} sets so far."
        )
        data, notes = {**result.data, "chain": seen}, (*result.notes, note)
        return replace(result, data=data, notes=notes)

    def feed(self, ticks: NDArray[Any]) -> None:
        """A live run is fed through `loop`.

        Raises:
            UsageError: always.
        """
        raise UsageError("a live run takes its ticks through `loop`")

    def finish(self) -> RunResult:
        """The end of the day: bill it and hand over the result.

        Raises:
            BadData: no tick with a price came inside a session.
        """
        self._found.stopped(self._runner)
        self.kernel.end_day(self.loop.input_ns)
        result = self.so_far()
        if result is None:
            raise BadData(f"{self._symbol}: no tick with a price lies inside a session")
        return result


class RunOrders:
    """The broker's limits of orders as a live run keeps them, for others that order in its account.

    What they spend is an input of the run and in its journal, as everything that decides is.

    Args:
        run: with a remote broker. clock: of the machine.
    """

    def __init__(self, run: ServedRun, clock: Clock) -> None:
        self._run, self._clock = run, clock

    def wait_ns(self, *, urgent: bool) -> int:
        """Nanoseconds until another request may leave; 0 = now."""
        assert self._run.remote is not None
        return self._run.remote.wait_of(self._clock.now_ns(), urgent=urgent)

    def prepay(self, *, urgent: bool) -> int:
        """As `wait_ns`; at 0 the account's other engines see it at once, and `spend` follows."""
        assert self._run.remote is not None
        return self._run.remote.prepay(self._clock.now_ns(), urgent=urgent)

    def spend(self, count: int) -> None:
        """So many have left, now."""
        self._run.loop.command(Command.SPENT, self._clock.now_ns(), units=count)


def _of_this_day(journal: Journal, first_ns: int) -> None:
    """Whether a journal is of the market's day.

    Raises:
        BadData: it is of another.
    """
    day = int(f"{trading_day(first_ns):%Y%m%d}")
    if journal.header.date != day:
        raise BadData(
            f"{journal.path} is the journal of {journal.header.date}, and the market's day is "
            f"{day}: a day has a journal of its own"
        )


def recovered(
    loop: InputLoop,
    remote: OrdersThere | None,
    records: Iterable[tuple[int, bytes]],
    wall_ns: int,
) -> Recovered:
    """Repeat a journal and settle what had not been answered; see `LiveRun.recover`.

    Args:
        loop, remote: of a run before its first input.
        records: (kind, payload) of the journal from its beginning.
        wall_ns: now, UTC ns.
    Raises:
        BadData: the journal was written by other code, another strategy or other settings.
    """
    count = 0

    def counted() -> Iterable[tuple[int, bytes]]:
        nonlocal count
        for record in records:
            count += 1
            yield record

    unmet, waiting = loop.replay(counted())
    if remote is not None:
        remote.begin_life()
    loop.settle_failure()
    for intents, outcome, code in (
        (unmet, Outcome.REFUSED, -errno.ECANCELED),
        (waiting, Outcome.UNKNOWN, -errno.ECONNRESET),
    ):
        for intent in intents:
            answer = np.zeros(1, ANSWER_DTYPE)[0]
            answer["intent"], answer["at_ns"] = intent["id"], wall_ns
            answer["outcome"], answer["code"] = outcome, code
            loop.use_answer(answer)
    if remote is not None:
        loop.command(Command.READ_ALL, wall_ns)
    return Recovered(count, len(unmet), len(waiting))


def trading_day(now_ns: int) -> dt.date:
    """The date in India of a time in UTC ns."""
    return dt.datetime.fromtimestamp(
        now_ns // 10**9, dt.timezone(dt.timedelta(hours=5, minutes=30))
    ).date()
