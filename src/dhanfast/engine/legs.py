"""Backtest of an option structure: a plan, a source of chain days, one native run, one result."""

import datetime as dt
import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast import __version__
from dhanfast._core.chainday import Missing
from dhanfast._core.legorder import Told, Unwind
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.legrun import Fault, LegRun
from dhanfast._core.legs import Leg
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import Reason
from dhanfast.engine.chain_source import ChainSource, Day, PricesTold
from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.guard_build import in_order
from dhanfast.engine.hedge_settings import FUTURE
from dhanfast.engine.hedging import (
    begin_hedge,
    hedge_exchange,
    hedge_hours,
    hedge_notes,
    hedge_of,
    hedge_rows,
)
from dhanfast.engine.leg_filters import begin_filters, veto_rows, vetoes_of
from dhanfast.engine.leg_margin import Margins, margin_notes, margins_of
from dhanfast.engine.leg_risk import (
    checked_leg_risk,
    is_risk_line,
    leg_risk_of,
    plain_of,
    recorded_guards_of_legs,
    risk_lines,
    risk_notes,
)
from dhanfast.engine.leg_settings import WEEKDAYS, StructurePlan, checked_plan
from dhanfast.engine.settings import RiskSettings, Settings, checked
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.calendar import TradingDay
from dhanfast.market.optionsessions import (
    days_to_expiry,
    option_expiries,
    option_sessions,
)
from dhanfast.market.sessions import ymd
from dhanfast.reports.result import RunResult

NS_PER_S: Final = 1_000_000_000
NOBODY: Final = 0xFFFF
OPTION_TICK: Final = 5  # paise, of every index option on every date (tables/ticks.csv)
MISSING: Final = {
    Missing.NO_SPOT: "the index is not known",
    Missing.NO_EXPIRY: "the data has no such expiry",
    Missing.NO_STRIKE: "no listed strike fits",
    Missing.NO_QUOTE: "the strike has no price",
    Missing.HELD: "entries were held back",
    Missing.GUARDED: "a guard let it wait",
    Missing.ASKED: "its margin was not known in time",
    Missing.MARGIN: "the funds fall short of its margin",
    Missing.UNASKED: "its margin could not be had",
    Missing.NO_SIZE: "its size comes to nothing",
    Missing.EXPOSED: "it would go beyond an exposure limit",
    Missing.FILTERED: "a filter kept it out",
}
TOLD: Final = {
    Told.LATE: "no row between the entry time and its latest",
    Told.CUT: "the data ends before the exit, closed at the last price",
    Told.NOT_AGAIN: "was to be entered again, and no strike had a price until the end",
    Told.COMBINED_STOP: "stop of the whole",
    Told.COMBINED_TARGET: "target of the whole",
    Told.SIGNAL_DROPPED: "a signal came outside the entry times, or no strike was there",
    Told.UNFILLED: "an entry met no price all day",
    Told.REPAIRED: "refused or lost, asked again",
    Told.TRAILED: "trailed stop of the whole",
    Told.LOCKED: "profit of the whole kept",
    Told.DROPPED: "was to be entered again, and all was left for another reason first",
    Told.INDEX_STOP: "stop on the index",
    Told.INDEX_TARGET: "target on the index",
    Told.ARMED: "let in by another leg",
    Told.NOT_ARMED: "was to be let in by another leg, and is in already",
    Told.TOO_LATE: "is not entered again after again_until",
}
ENDED: Final = {Reason.STOP_LOSS: "stop", Reason.TAKE_PROFIT: "target"}
OF_WHOLE: Final = (Told.COMBINED_STOP, Told.COMBINED_TARGET, Told.TRAILED, Told.LOCKED)
OF_INDEX: Final = (Told.INDEX_STOP, Told.INDEX_TARGET)
UNWOUND: Final = {
    Unwind.DEADLINE: "not whole at the deadline",
    Unwind.REFUSED: "an order was refused",
    Unwind.PARTLY: "a part of it ended before the rest was in",
    Unwind.CANCELLED: "an operator's cancel",
    Unwind.UNLED: "the strategy that it follows was stopped",
}


@dataclass(frozen=True)
class Signals:
    """What a structure follows: times (UTC ns, ascending), sides (+1, -1, 0 = flat), origin."""

    at_ns: NDArray[np.int64]
    side: NDArray[np.int8]
    told: str


@dataclass
class Seen:
    """What the days leave behind for the result.

    Attributes:
        days: that were run. end_ns, spot: the index in paise by time. skipped: days that the plan
        does not want. unlisted: by a leg's text the days without its expiry.
    """

    days: list[dt.date] = field(default_factory=list)
    end_ns: list[NDArray[np.int64]] = field(default_factory=list)
    spot: list[NDArray[np.int64]] = field(default_factory=list)
    skipped: int = 0  # not a weekday or DTE of the plan
    unlisted: dict[str, int] = field(default_factory=dict)  # leg text: days without its expiry
    told: tuple[str, ...] = ()  # what else a reader must know
    hedges: list[NDArray[Any]] = field(default_factory=list)  # HEDGE_DTYPE, as they came
    vetoes: list[NDArray[Any]] = field(default_factory=list)  # VETO_DTYPE, as they came


def backtest_legs(
    plan: StructurePlan,
    source: ChainSource,
    settings: Settings | None = None,
    *,
    signals: Signals | None = None,
) -> RunResult:
    """Run a structure over the days of a source, by the rules and charges of each date.

    Args:
        plan: the structure. source: its prices, of one grade.
        settings: capital, slippage, latency and the exchange's; guards, sizes and margin of
            structures. Lots, stops and algorithms of a single instrument are refused.
        signals: what the plan follows, when it follows signals.
    Returns:
        The result; `grade` and its first note say what its prices are.
    Raises:
        ConfigError: plan or settings that cannot be run.
        BadData: prices that break a rule; no closing value for a structure held to its end.
        OutOfCalendar: dates outside the tables.
    """
    plan, settings = checked_plan(plan), checked_legs(settings or Settings())
    if plan.underlying != source.underlying:
        raise ConfigError(
            f"underlying: the legs are of {plan.underlying}, the data of {source.underlying}"
        )
    if plan.lot != source.contracts.lot:
        raise ConfigError(
            f"lot: the legs have {plan.lot} units, the data was read for {source.contracts.lot}"
        )
    if bool(plan.signals) != (signals is not None):
        raise ConfigError("signals: a plan that follows signals needs them, and no other takes any")
    guards, told = recorded_guards_of_legs(settings.guards, plan)
    run = _built(plan, settings, leg_risk_of(plan, settings, source.contracts, guards))
    source.future = plan.hedge is not None and plan.hedge.instrument == FUTURE
    seen, parts, log = Seen(told=told), [], []
    spent = 0
    for day in source.days(run.held):
        expiries = {name: day.expiries[slot] for name, slot in day.slots.items()}
        check_freeze(plan, day.hours, expiries)
        _begin_hedge(run, plan, day)
        begin_filters(run.risk, settings.filters, plan.underlying, day.hours)
        begun = time.perf_counter_ns()
        while not _run_day(run, plan, day, seen, signals):
            parts.append(run.log.take())
        spent += time.perf_counter_ns() - begun
        _check_fault(run, plan, day)
        log += texts_of(run, plan)
        seen.hedges += [run.hedge.take_rows()] if run.hedge is not None else []
        seen.vetoes += veto_rows(run.risk)
        seen.days.append(day.on)
        seen.end_ns.append(day.end_ns)
        seen.spot.append(day.spot)
    if not seen.days:
        raise BadData(f"{source.underlying}: the data has no trading day")
    run.finish()
    log += texts_of(run, plan)
    parts.append(run.log.take())
    return result_of(plan, source, settings, signals, run, seen, parts, log, spent)


def _built(plan: StructurePlan, settings: Settings, passes: LegRisk | None) -> LegRun:
    """Gate, books and log, and a leg with an exchange of its own for each of the plan."""
    count = len(plan.legs) + (plan.hedge is not None)
    risk = {name: getattr(settings.risk, name) for name in RiskSettings.__slots__}
    gate = Gate(instruments=count, **risk)
    portfolio = Portfolio(settings.capital, count)
    log = RunLog(trades_max=1 << 16, orders_max=1 << 18, equity_max=1 << 18)
    legs = []
    for place, leg in enumerate(plan.legs):
        broker = Match(
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
        legs.append(Leg(leg.native(), place, broker, portfolio, gate, log))
    if plan.hedge is None:
        return LegRun(legs, plan.native(), portfolio, gate, log, risk=passes)
    broker = hedge_exchange(plan.hedge, settings, gate, count)
    hedge = hedge_of(plan, broker, portfolio, gate, log, settings.slippage)
    return LegRun(legs, plan.native(), portfolio, gate, log, hedge=hedge, risk=passes)


def checked_legs(settings: Settings) -> Settings:
    """Refuse what a structure of legs does not follow.

    Raises:
        ConfigError: a setting of a single instrument is on.
    """
    settings = checked_leg_risk(checked(settings))
    for name, usual, instead in (
        ("lots", 1, "lots of each leg"),
        ("stops", StopSettings(), "stop, target and trail of each leg"),
        ("execution", ExecutionSettings(), "nothing: entries and exits leave at once"),
        ("timeframe_ns", 0, "the data's own rows"),
    ):
        if getattr(settings, name) != usual:
            raise ConfigError(f"{name}: a legs run does not follow it; it has {instead}")
    if settings.slippage.sessions:
        raise ConfigError(
            "slippage: measured: what premiums' fills cost depends on strike and premium, and "
            "one median of all says little of any: give ticks, points or percent; `dhanfast "
            "report slippage` has what was measured"
        )
    return settings


def fits_day(
    plan: StructurePlan, hours: TradingDay, nearest: dt.date | None = None
) -> bool:  # fmt: skip
    """Whether a plan may be entered on a day: its weekdays and days to expiry, no special session.

    Args:
        nearest: the nearest expiry, where a list says it; None: the tables do.
    Raises:
        OutOfCalendar: no expiries are known on it.
    """
    on = hours.date
    fits = not hours.is_special
    if plan.weekdays:
        fits &= WEEKDAYS[on.weekday()] in plan.weekdays
    if plan.dte:
        if nearest is None:
            nearest = option_expiries(plan.underlying, on, plan.lot)["nearest"]
        fits &= days_to_expiry(on, nearest) in plan.dte
    return bool(fits)


def _begin_hedge(run: LegRun, plan: StructurePlan, day: Day) -> None:
    """Tell the hedge, if there is one, what it may trade on a day."""
    if run.hedge is None:
        return
    start, end = (moment(day.on, at) for at in hedge_hours(plan))
    begin_hedge(run.hedge, plan, day.on, (start, end), day.slots, day.future, day.columns)


def _run_day(
    run: LegRun, plan: StructurePlan, day: Day, seen: Seen, signals: Signals | None
) -> bool:
    """One day; False when the log must be taken away first."""
    fits = fits_day(plan, day.hours)
    slots = [day.slots.get(leg.expiry, -1) for leg in plan.legs]
    at, side = None, None
    if signals is not None:
        low, high = np.searchsorted(signals.at_ns, (day.hours.open_ns, day.hours.close_ns))
        at, side = signals.at_ns[low:high], signals.side[low:high]
    exit_ns = 0 if plan.exit is None else moment(day.on, plan.exit)
    if not run.run_day(
        day.chain,
        slots=slots,
        entry_ns=moment(day.on, plan.entry),
        until_ns=moment(day.on, plan.until),
        exit_ns=exit_ns,
        trade=fits,
        date=ymd(day.on),
        signal_ns=at,
        signal_side=side,
        again_ns=again_ns(plan, day.on),
    ):
        return False
    seen.skipped += not fits
    for leg, slot in zip(plan.legs, slots, strict=True):
        if slot < 0 and fits:
            seen.unlisted[leg.text] = seen.unlisted.get(leg.text, 0) + 1
    return True


def again_ns(plan: StructurePlan, on: dt.date) -> int:
    """After which nothing is entered again on a day, UTC ns; 0 = no limit."""
    return 0 if plan.again_until is None else moment(on, plan.again_until)


def moment(on: dt.date, at: dt.time) -> int:
    """A time of day of a date in India, UTC ns."""
    stamp = dt.datetime.combine(on, at, dt.timezone(dt.timedelta(hours=5, minutes=30)))
    return int(stamp.timestamp()) * NS_PER_S


def check_freeze(
    plan: StructurePlan, hours: TradingDay, expiries: Mapping[str, dt.date],
    listed: Mapping[dt.date, tuple[int, int]] | None = None,
) -> None:  # fmt: skip
    """Refuse entries above the freeze quantity of the day.

    Args:
        expiries: by their names in the plan; a name without one is passed over.
        listed: lot and freeze quantity by expiry, where a list has them; None: the tables do.
    Raises:
        ConfigError: a leg has too many lots.
    """
    for leg in plan.legs:
        expiry = expiries.get(leg.expiry)
        if expiry is None or leg.lots == 1:
            continue
        if listed is not None:
            lot, freeze = listed.get(expiry, (0, 0))
        else:
            session = option_sessions(plan.underlying, hours, [expiry], lot=plan.lot)[0]
            lot, freeze = int(session["lot"]), int(session["freeze"])
        if freeze and leg.lots * lot > freeze:
            raise ConfigError(
                f"{leg.text}: lots must be at most {freeze // lot} on {hours.date}: "
                f"{leg.lots} of {lot} exceed the freeze quantity {freeze}"
            )


def _check_fault(run: LegRun, plan: StructurePlan, day: Day) -> None:
    """Why the run cannot go on, as an exception."""
    if run.risk is not None and run.risk.error is not None:
        raise run.risk.error
    if run.fault == Fault.WHOLE:
        return
    leg = "the hedge" if run.fault_leg == len(plan.legs) else plan.legs[run.fault_leg].text
    if run.fault == Fault.NO_FINAL_PRICE:
        raise BadData(
            f"{leg}: held to its expiry {day.on}, and the data does not have the index's "
            f"closing value of that day; give it with --final-price {day.on}=VALUE"
        )
    raise BadData(
        f"{leg}: held past its expiry, because the data has no rows of that day; the next "
        f"day is {day.on}. Bring the day, or leave before it"
    )


def texts_of(
    run: LegRun, plan: StructurePlan, *, guards: bool = True
) -> list[tuple[int, str]]:  # fmt: skip
    """What the run has told since the last time: (UTC ns, text).

    Args:
        guards: with what its guards have told; False leaves that to who else reads them.
    """
    lines: list[tuple[int, str]] = []
    for row in run.take_notes():
        number = int(row["leg"])
        leg = "structure" if number == NOBODY else f"leg {number + 1} ({plan.legs[number].text})"
        if row["told"] == Told.NOT_ENTERED:
            text = f"not entered: {MISSING[Missing(row['why'])]}"
        elif row["told"] == Told.STAYS_OUT:
            text = f"stays out: {MISSING[Missing(row['why'])]}"
        elif row["told"] == Told.UNWOUND:
            text = f"taken back: {UNWOUND[Unwind(row['why'])]}"
        elif row["told"] == Told.WITH_LEG:
            text = f"all leave with it, after its {ENDED[Reason(row['why'])]}"
        elif row["told"] == Told.AGAIN:
            text = "entered again" + (", the other way round" if row["why"] else "")
        elif row["told"] == Told.SIGNAL_DROPPED and row["why"] == Missing.FILTERED:
            text = f"a signal was not followed: {MISSING[Missing.FILTERED]}"
        else:
            text = TOLD[Told(row["told"])]
        if row["told"] in OF_WHOLE:
            text += f" at {row['strike'] / 100:,.2f} rupees"
        elif row["told"] in OF_INDEX:
            text += f" at {row['strike'] / 100:,.2f}"
        elif row["strike"]:
            text += f", strike {row['strike'] / 100:g}"
        lines.append((int(row["time_ns"]), f"{leg}: {text}"))
    passed = risk_lines(run.risk, guards=guards)
    return list(in_order(lines, passed)) if passed else lines


def result_of(
    plan: StructurePlan,
    source: PricesTold,
    settings: Settings,
    signals: Signals | None,
    run: LegRun,
    seen: Seen,
    parts: Sequence[tuple[NDArray[Any], ...]],
    log: list[tuple[int, str]],
    spent: int,
) -> RunResult:
    """What was written down, with where it came from."""
    trades, orders, passages, equity = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    days = run.portfolio.bills()
    hedges = hedge_rows(seen.hedges)
    margins = margins_of(
        trades,
        source.contracts,
        np.concatenate(seen.end_ns),
        np.concatenate(seen.spot),
        orders[np.isin(orders["instrument"], hedges["listed"])] if len(hedges) else None,
    )
    return RunResult(
        strategy=plan.name,
        symbol=plan.underlying,
        traded=f"{plan.underlying} options, {len(plan.legs)} legs",
        timeframe=source.interval,
        capital=settings.capital,
        trades=trades,
        orders=orders,
        equity=equity,
        days=days,
        bars=None,
        counters=run.counters() | {"days_not_chosen": seen.skipped} | _counts(log),
        config={"legs": plan.source, "grade": source.grade, **_config(settings)},
        data=source.data(),
        notes=(
            *_notes(plan, source, settings, signals, seen, margins, log),
            *risk_notes(run.risk, settings),
            *hedge_notes(plan, hedges),
            *source.fills_told(orders, passages),
        ),
        digest=_digest(source, orders, trades, equity, days, hedges),
        kernel_ns=spent,
        versions={
            "dhanfast": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        log=tuple(log),
        passages=passages,
        grade=source.grade,
        contracts=_names(source, trades["instrument"], orders["instrument"], hedges["listed"]),
        margin=margins.summary(),
        vetoes=vetoes_of(run.risk, seen.vetoes),
        hedges=None if plan.hedge is None else hedges,
    )


def _digest(source: PricesTold, *rows: NDArray[Any]) -> str:
    """SHA-256 of what a run rests on and what it decided; empty rows add nothing."""
    digest = hashlib.sha256()
    for raw in (*source.digest(), *(each.tobytes() for each in rows)):
        digest.update(raw)
    return digest.hexdigest()


def _names(source: PricesTold, *numbers: NDArray[Any]) -> dict[int, str]:
    """Contracts that were traded or looked at, by their numbers."""
    used = sorted({number for column in numbers for number in column.tolist()})
    return {number: source.contracts.name(number) for number in used}


def _notes(
    plan: StructurePlan,
    source: PricesTold,
    settings: Settings,
    signals: Signals | None,
    seen: Seen,
    margins: Margins,
    log: Sequence[tuple[int, str]],
) -> tuple[str, ...]:
    """What a reader must know, the grade first."""
    notes = [*source.told()]
    if signals is not None:
        notes.append(signals.told)
    notes += [
        f"{text}: the data lacks its expiry on {count} days, nothing was entered then"
        for text, count in seen.unlisted.items()
    ]
    asked = settings.margin.on or settings.sizing.method != "lots"
    notes += margin_notes(margins, settings.capital, asked=asked)
    notes += _counted_notes(log)
    notes += source.contracts.rules_told(seen.days)
    notes += seen.told
    return tuple(notes)


def _config(settings: Settings) -> dict[str, Any]:
    """The settings that a legs run follows."""
    plain = settings.as_dict()
    kept = (
        "capital_paise",
        "slippage",
        "latency_ns",
        "limit_through",
        "protection_e4",
        "protection_slab",
        "risk",
    )
    return {name: plain[name] for name in kept if name in plain} | plain_of(settings)


def _kind(text: str) -> str:
    """What a line of the log tells, without whose and how much."""
    return text.split(": ", 1)[1].split(", strike")[0].split(" at ")[0]


def _counts(log: Sequence[tuple[int, str]]) -> dict[str, int]:
    found = {"structures_not_entered": 0, "legs_cut_at_end_of_data": 0}
    for _, text in log:
        found["structures_not_entered"] += "not entered" in text or TOLD[Told.LATE] in text
        found["legs_cut_at_end_of_data"] += TOLD[Told.CUT] in text
    return found


def _counted_notes(log: Sequence[tuple[int, str]]) -> list[str]:
    """How often what a reader must know has happened; the run's log has each by name."""
    counts: dict[str, int] = {}
    usual = {TOLD[told] for told in (*OF_WHOLE, *OF_INDEX)}
    for _, text in log:
        if is_risk_line(text):
            continue
        kind = _kind(text)
        if kind not in usual:
            counts[kind] = counts.get(kind, 0) + 1
    return [f"{count} times: {kind} (each is named in the log)" for kind, count in counts.items()]
