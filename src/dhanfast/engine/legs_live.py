"""A live run of an option structure: the engine of a legs backtest, driven by journaled inputs.

What `engine.live.LiveRun` is for one instrument. A contract's number is the feed's: 0 is the
index, 1..n are the day's contracts in the order of its `Universe`. On paper each leg has an
exchange of its own, as in a backtest; live each has its place at one desk, which shares numbers,
requests and limits of the account.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.callwatch import CallWatch
from dhanfast._core.guards import Guards
from dhanfast._core.legorder import Stage
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Leg
from dhanfast._core.live.courier import Courier
from dhanfast._core.live.desk import Desk
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.legloop import LegLoop
from dhanfast._core.live.remote import Remote
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.guard_build import in_order
from dhanfast.engine.hedge_prices import future_session
from dhanfast.engine.hedging import begin_hedge, hedge_exchange, hedge_hours, hedge_of, hedge_texts
from dhanfast.engine.leg_figures import LegFigures
from dhanfast.engine.leg_filters import begin_filters, veto_rows
from dhanfast.engine.leg_judge import Judge
from dhanfast.engine.leg_risk import leg_risk_of
from dhanfast.engine.leg_settings import StructurePlan, checked_plan
from dhanfast.engine.leg_signals import Lead
from dhanfast.engine.leg_universe import Universe
from dhanfast.engine.legs import (
    OPTION_TICK,
    Seen,
    Signals,
    again_ns,
    check_freeze,
    checked_legs,
    fits_day,
    moment,
    result_of,
    texts_of,
)
from dhanfast.engine.legs_chain import INDEX, Named, chain_of
from dhanfast.engine.live import recovered
from dhanfast.engine.live_prices import REPLAY, LivePrices
from dhanfast.engine.seat import STOPPED, Misuse, Seat
from dhanfast.engine.served import Held, Recovered
from dhanfast.engine.settings import RiskSettings, Settings
from dhanfast.engine.status import PositionLine
from dhanfast.engine.stock_terms import check_delivery, filled
from dhanfast.engine.worked import HOLDS
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.calendar import TradingDay
from dhanfast.market.sessions import ymd
from dhanfast.reports.result import RunResult

TRADES_MAX: Final = 1 << 13
ORDERS_MAX: Final = 1 << 15
EQUITY_MAX: Final = 1 << 17
LEFT_STRIKES: Final = (
    "the {what} has left the strikes that are watched since the day's start: what is held goes on, "
    "and a new structure needs another engine.run"
)
STAGES: Final = {
    Stage.HEDGES: "entering: bought legs first",
    Stage.SALES: "entering: bought legs are in, sold legs are sent",
    Stage.LEAVE: "leaving: sold legs first, bought ones when those are flat",
}
SIDES: Final = {1: "long", -1: "short", 0: "flat"}
_SPOT: Final = bytes(4)  # of a TICK record: the index's number


def check_live_plan(plan: StructurePlan) -> StructurePlan:
    """`plan`, or a refusal of what only a backtest of it can do.

    Raises:
        ConfigError: it is carried over night, or settled.
    """
    if plan.hold != "day" or plan.exit is None:
        raise ConfigError(
            'hold: paper and live carry nothing over night: write hold = "day" and an exit time; '
            "a structure that is held to its expiry is backtested"
        )
    return checked_plan(plan)


class LegsRun:
    """One day of one option structure, from journaled inputs to requests and books.

    Args:
        plan: the structure. settings: capital, risk and the simulated exchange's.
        universe: the day's contracts. hours: of the trading day.
        journal: of the day and run; see `recover` when it is not new.
        limits: of requests, as `Remote` takes them; None simulates an exchange (paper).
        courier: carries requests; with `limits`.
        sync_each: a request leaves only when the disk has it.
        generated: the market is generated. notes: what a reader of the result must know.
        grade: of a run whose orders are simulated: paper or replay.
        guards: rules that entries wait for, see `guards_of_legs`. vix: the feed has India VIX, its
        number behind that of the last contract.
        misuse, watch, folder, source: of the strategy that the legs follow, as `LiveRun` has them.
    Raises:
        ConfigError: a plan or settings that cannot be traded.
        UsageError: limits without courier, or the other way round.
        BadData: the journal is of another day; a leg's expiry is not in the universe.
    Attributes:
        loop: takes the inputs. remote: the desk of all legs; None on paper. instrument: the index.
        seat: whom the legs follow; None: nobody, a structure by the clock decides by its file.
    """

    decisions = None  # factors and members are of a strategy's entries
    late: int = 0  # rows are not closed behind anybody's back

    def __init__(
        self,
        plan: StructurePlan,
        settings: Settings,
        universe: Universe,
        hours: TradingDay,
        journal: Journal,
        *,
        limits: Mapping[str, int] | None = None,
        courier: Courier | None = None,
        sync_each: bool = False,
        generated: bool = False,
        notes: tuple[str, ...] = (),
        grade: str = "paper",
        guards: Guards | None = None,
        vix: bool = False,
        misuse: Misuse | None = None,
        watch: CallWatch | None = None,
        folder: Path | None = None,
        source: bytes = b"",
    ) -> None:
        if (limits is None) != (courier is None):
            raise UsageError("limits and courier come together")
        if guards is None and settings.guards.any_on:
            raise UsageError("guards are on in the settings, and none were handed in")
        _of_day(journal, hours)
        check_delivery(universe, hours.date)
        self.plan = plan = check_live_plan(filled(plan, universe))
        self._settings = checked_legs(settings)
        self.universe, self._hours, self.journal, self.instrument = universe, hours, journal, INDEX
        self._names = universe.names(hours.date)
        check_freeze(plan, hours, self._names, universe.lots() if universe.coming else None)
        self._contracts = Named(universe, hours.date)
        self._prices = LivePrices(
            self._contracts, grade if limits is None else "live", generated, notes,
            bytes(journal.header.config_digest),
        )  # fmt: skip
        self.remote: Desk | None = None
        self._passes = leg_risk_of(
            plan, settings, self._contracts, guards, far=limits is not None
        )  # fmt: skip
        self._run, self._figures = self._built(limits)
        self.chain = chain_of(universe, hours)
        self._beside: list[tuple[int, str]] = []  # what others have to say
        self._lead = lead = None if not plan.signals else Lead(
            plan, hours.windows[0][0], generated=generated, tell=self.tell, source=source
        )  # fmt: skip
        self.loop = LegLoop(
            self._run, self.chain, journal, desk=self.remote, courier=courier,
            sync_each=sync_each, lead=None if lead is None else lead.ticks, vix=vix,
        )  # fmt: skip
        if courier is not None:
            courier.on_answer = self.loop.use_answer
        self.loop.on_drain = self._drain
        self.seat: Seat | None = None
        if lead is not None:
            self.seat = lead.lead(self, misuse=misuse, watch=watch, folder=folder)
        self._begin_rows()
        self._begin_hedge(hours)
        self._begin_day(plan, hours)

    def _begin_rows(self) -> None:
        """What is gathered of the day, for its result."""
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._messages: list[tuple[int, str]] = []
        self._failed: Exception | None = None  # of the judge, told of once
        self._told: list[tuple[int, str]] = []  # by structure and hedge, as it came
        self._hedges: list[NDArray[Any]] = []
        self._vetoes: list[NDArray[Any]] = []  # rows of filters

    def _begin_day(self, plan: StructurePlan, hours: TradingDay) -> None:
        """Tell the loop the day's times, before its first input."""
        begin_filters(self._passes, self._settings.filters, plan.underlying, hours)
        on = hours.date
        assert plan.exit is not None
        self.loop.begin_day(
            slots=self.universe.places(plan, on),
            entry_ns=moment(on, plan.entry),
            until_ns=moment(on, plan.until),
            exit_ns=moment(on, plan.exit),
            trade=fits_day(plan, hours, self._names["nearest"]),
            date=ymd(on),
            open_ns=hours.windows[0][0],
            close_ns=hours.windows[-1][1],
            again_ns=again_ns(plan, on),
        )

    def _begin_hedge(self, hours: TradingDay) -> None:
        """Tell the hedge what it may trade today."""
        if self._run.hedge is None:
            return
        start, end = hedge_hours(self.plan)
        on, future = hours.date, self.universe.future
        begin_hedge(
            self._run.hedge, self.plan, on, (moment(on, start), moment(on, end)),
            self.universe.named(on),
            None if future is None else future_session(self.plan.underlying, hours),
            self.chain.day.width,
        )  # fmt: skip

    def _built(self, limits: Mapping[str, int] | None) -> tuple[LegRun, LegFigures]:
        """Gate, books and log, and a leg with a broker of its own for each of the plan."""
        settings, legs_count = self._settings, len(self.plan.legs)
        count = legs_count + (self.plan.hedge is not None)
        risk = {name: getattr(settings.risk, name) for name in RiskSettings.__slots__}
        gate = Gate(instruments=count, **risk)
        portfolio = Portfolio(settings.capital, count)
        log = RunLog(trades_max=TRADES_MAX, orders_max=ORDERS_MAX, equity_max=EQUITY_MAX)
        made = self._simulated(gate) if limits is None else self._at_desk(gate, limits)
        brokers = [made(place) for place in range(count)]
        legs = [
            Leg(leg.native(), place, broker, portfolio, gate, log, ticking=True)
            for place, (leg, broker) in enumerate(
                zip(self.plan.legs, brokers[:legs_count], strict=True)
            )
        ]
        hedge = hedge_of(
            self.plan, brokers[-1], portfolio, gate, log, settings.slippage, ticking=True
        )  # fmt: skip
        run = LegRun(
            legs, self.plan.native(), portfolio, gate, log, hedge=hedge, ticking=True,
            risk=self._passes,
        )  # fmt: skip
        return run, LegFigures(run, brokers)

    def _simulated(self, gate: Gate) -> Callable[[int], Broker]:
        """An exchange for each leg, and for the hedge."""
        settings, hedge = self._settings, self.plan.hedge
        count = len(self.plan.legs) + (hedge is not None)

        def made(place: int) -> Broker:
            if hedge is not None and place == len(self.plan.legs):
                return hedge_exchange(hedge, settings, gate, count)
            return Match(
                gate,
                instruments=count,
                latency_ns=settings.latency_ns,
                slippage=settings.slippage.paise + settings.slippage.ticks * OPTION_TICK,
                slippage_e6=settings.slippage.rate_e6,
                protection_e4=0 if settings.protection_slab else settings.protection_e4,
                protection_slab=settings.protection_slab,
                limit_through=settings.limit_through,
                stop_market_ok=True,
            )

        return made

    def _at_desk(self, gate: Gate, limits: Mapping[str, int]) -> Callable[[int], Broker]:
        """A place at one desk for each leg, and for the hedge."""
        self.remote = Desk(**limits)
        desk = self.remote

        def made(place: int) -> Broker:
            # What leaves is protected by its premium's slab, in any run.
            return Remote(gate, desk=desk, place=place, protection_e4=0, stop_room_e4=0)

        return made

    # ---- what the engine asks ------------------------------------------------------------------

    @property
    def kernel(self) -> LegFigures:
        """What it has done."""
        return self._figures

    @property
    def portfolio(self) -> Portfolio:
        """The books, a place a leg."""
        return self._run.portfolio

    @property
    def guards(self) -> Guards | None:
        """The rules that keep entries out for a while; None: there are none."""
        return None if self._passes is None else self._passes.guards

    @property
    def vetoed(self) -> dict[str, int]:
        """{filter: structures it kept out, counted by entry}."""
        filters = None if self._passes is None else self._passes.filters
        return {} if filters is None else filters.vetoed

    @property
    def judge(self) -> Judge | None:
        """What decides how many structures are sent; None: the file does."""
        return None if self._passes is None else self._passes.judge

    @property
    def trades_mark(self) -> int:
        """Units held, beside structures that guards and sizes know as closed."""
        closed = 0 if self._passes is None else self._passes.told_closed
        return self.kernel.position + closed * 10**9

    def size_explained(self) -> dict[str, Any]:
        """What is known of structures that have closed, as Kelly sizing needs it."""
        return {} if self.judge is None else self.judge.explained

    @property
    def barred(self) -> str:
        """Why it must make no entry now."""
        if self.seat is not None and self.seat.stopped:
            return STOPPED
        if not self.universe.beyond(self.chain.index):
            return ""
        return LEFT_STRIKES.format(what="stock" if self.universe.coming else "index")

    @property
    def flat(self) -> bool:
        """Nothing is held, nothing works, and no leg is on its way in or out."""
        return self.loop.flat

    def hold_orders(self, name: str, now_ns: int) -> dict[str, Any]:
        """Pause, resume or cancel the order that enters the legs; the journal repeats it.

        Args:
            name: one of `worked.HOLDS`. now_ns: UTC ns of the engine's clock.
        """
        before = self._run.stage
        self.loop.command(HOLDS[name], now_ns)
        return {"text": _hold_text(name, before, self._run.stage), "worked": int(self._entering)}

    @property
    def _entering(self) -> bool:
        return self._run.stage in (Stage.HEDGES, Stage.SALES)

    def decider(self, name: str) -> str:
        """The structure, and another strategy than its file's if that one leads.

        Args:
            name: of what the engine was started with.
        """
        led = self.seat is not None and self.seat.swaps > self.seat.rollbacks
        return f"{name} after {self.seat.now.name}" if self.seat is not None and led else name

    def notes_now(self) -> list[str]:
        """Where the order of the legs stands, while it is not done."""
        notes = []
        if self.seat is not None and self.seat.stopped:
            notes.append(f"{self.seat.stopped}; {self.seat.mending}")
        elif self.seat is not None:
            who = self.seat.now.name if self.seat.swaps else self.plan.signals
            notes.append(f"{who} is {SIDES[self.loop.led]} on {self.plan.underlying}")
        if self._run.paused:
            notes.append("orders of legs are paused: `dhanfast orders resume`")
        if self.judge is not None and self.judge.question is not None:
            notes.append("the broker is asked for margin and funds")
        if self._run.stage != Stage.REST:
            notes.append(STAGES[Stage(self._run.stage)])
        elif self._run.restart:
            notes.append("all legs are to be entered again")
        return notes

    def name_of(self, number: int) -> str:
        """A contract as a person says it, by its feed number."""
        return self._contracts.name(number)

    def names(self) -> dict[int, str]:
        """Every contract's name by its feed number, the index's too."""
        return {number: self.name_of(number) for number in range(len(self._contracts.keys))}

    def positions(self) -> dict[int, int]:
        """Signed units held, by the contract's feed number; without those of 0."""
        found: dict[int, int] = {}
        for leg in self._run.legs_now():
            if leg["position"]:
                number = leg["listed"]
                found[number] = found.get(number, 0) + leg["position"]
        return {number: units for number, units in found.items() if units}

    def held_text(self) -> str:
        """What is held, in words."""
        held = self.positions()
        contracts = "1 contract" if len(held) == 1 else f"{len(held)} contracts"
        return f"{self.kernel.position:,} units in {contracts}"

    def held_now(self) -> Held:
        """The index's level, and how many contracts are held."""
        return Held(0, int(self.chain.index), len(self.positions()))

    def position_lines(self, name: str) -> list[PositionLine]:
        """What the legs hold, or held today, a line each; empty before the first trade.

        Args:
            name: of the index; each line has its contract's.
        """
        lines = []
        for place, leg in enumerate(self._run.legs_now()):
            books = self.portfolio.position(place)
            if not books["qty"] and not books["realised"]:
                continue
            lines.append(
                PositionLine(
                    symbol=self.name_of(leg["listed"]),
                    qty=books["qty"],
                    average=abs(books["cost"] // books["qty"]) if books["qty"] else 0,
                    last=books["mark"],
                    stop=leg["stop"],
                    target=leg["target"],
                    realised=books["realised"],
                    unrealised=books["qty"] * books["mark"] - books["cost"],
                )
            )
        return lines

    # ---- the day's rows --------------------------------------------------------------------------

    def _drain(self) -> None:
        """Take away what was written so far, so that there is room for more."""
        rows = self._run.log.take()
        if not self._parts or any(len(each) for each in rows):
            self._parts.append(rows)
        # Of a run that is served a LockKeeper tells what guards do.
        told = texts_of(self._run, self.plan, guards=self._prices.grade == REPLAY)
        error = None if self._passes is None else self._passes.error
        if error is not None and error is not self._failed:
            self._failed = error
            told.append((self.loop.input_ns, f"margin: not known: {error}"))
        self._vetoes += veto_rows(self._passes)
        self._messages += told
        if self._run.hedge is not None:
            decided = self._run.hedge.take_rows()
            self._hedges.append(decided)
            lines = hedge_texts(decided, self.name_of)
            self._beside += lines
            told = sorted([*told, *lines], key=lambda line: line[0])
        self._told += told
        if self._lead is not None:
            self._lead.drain()

    def rows_so_far(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Trades and orders that have ended, rows of the run log."""
        self._drain()
        if len(self._parts) > 1:
            columns = zip(*self._parts, strict=True)
            self._parts = [tuple(np.concatenate(rows) for rows in columns)]
        return self._parts[0][0], self._parts[0][1]

    def texts_so_far(self) -> list[tuple[int, str]]:
        """What structure and hedge have told of themselves today: (UTC ns, text)."""
        self._drain()
        return self._told

    def tell(self, at_ns: int, text: str) -> None:
        """A line of the result's log.

        Args:
            at_ns: the market's time, UTC ns.
        """
        self._beside.append((at_ns, text))

    def recover(self, records: Iterable[tuple[int, bytes]], wall_ns: int) -> Recovered:
        """Bring the run to where the journal ends; see `live.LiveRun.recover`.

        Args:
            records: (kind, payload) of the journal from its beginning. wall_ns: now, UTC ns.
        Raises:
            BadData: the journal was written by other code, another plan or other settings.
        """
        found = recovered(self.loop, self.remote, records, wall_ns)
        if self.seat is not None:
            self.seat.repeated()
        return found

    def so_far(self) -> RunResult | None:
        """The result of what has happened until now, nothing closed for it; None without a row."""
        if self.kernel.bars_seen == 0:
            return None
        self.rows_so_far()
        seen = Seen([self._hours.date], *_index_of(self.journal))
        seen.hedges, seen.vetoes = self._hedges, self._vetoes
        seen.skipped = int(not fits_day(self.plan, self._hours, self._names["nearest"]))
        self._prices.counts = {"ticks": self.loop.inputs}
        result = result_of(
            self.plan, self._prices, self._settings, self._signals(), self._run, seen, self._parts,
            list(self._messages), self.loop.used_ns,
        )  # fmt: skip
        told = () if self.seat is None else self.seat.notes()
        log = in_order(result.log, self._beside)
        return replace(result, log=log, notes=(*result.notes, *told))

    def _signals(self) -> Signals | None:
        """Whom the legs followed; when each signal came is in the journal."""
        if self._lead is None:
            return None
        return Signals(np.empty(0, np.int64), np.empty(0, np.int8), self._lead.told())

    def finish(self) -> RunResult:
        """The end of the day: bill it and hand over the result; nothing is closed for it.

        Raises:
            BadData: the index never had a price while the market was open.
        """
        self._run.close_books()
        result = self.so_far()
        if result is None:
            raise BadData(f"{self.plan.underlying}: no tick of it lies inside the session")
        return result


def _hold_text(name: str, before: Stage, after: Stage) -> str:
    """What a hold has done, for who asked."""
    if name == "pause-orders":
        return "no leg is sent until resume; exits, stops and targets go on"
    if name == "resume-orders":
        return "legs are sent again"
    if before in (Stage.HEDGES, Stage.SALES) and after not in (Stage.HEDGES, Stage.SALES):
        return "the entry is taken back: sold legs first, then bought ones"
    return "no structure is being entered: nothing to cancel"


def _of_day(journal: Journal, hours: TradingDay) -> None:
    """Whether a journal is of the market's day.

    Raises:
        BadData: it is of another.
    """
    if journal.header.date != ymd(hours.date):
        raise BadData(
            f"{journal.path} is the journal of {journal.header.date}, and the market's day is "
            f"{hours.date}: a day has a journal of its own"
        )


def _index_of(journal: Journal) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """The index as the day's journal has it: times of the market, and levels in paise."""
    at = TICK_DTYPE.fields["instrument"][1]  # type: ignore[index]
    with JournalReader(journal.path) as reader:
        raw = b"".join(
            payload[: TICK_DTYPE.itemsize]
            for kind, _, _, payload in reader
            if kind == Kind.TICK and payload[at : at + 4] == _SPOT
        )
    ticks = np.frombuffer(raw, TICK_DTYPE)
    ticks = ticks[ticks["price"] > 0]
    return [ticks["recv_ns"].astype(np.int64)], [ticks["price"].astype(np.int64)]
