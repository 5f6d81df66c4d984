"""The hedge of a run of legs: built from its plan, told its days, and what a result says of it."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.hedge import HedgeWhy
from dhanfast._core.hedger import HEDGE_DTYPE, Hedge, HedgeDone, hedge_leg
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast.engine.hedge_settings import FUTURE, HedgePlan, hours_of
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import BadData

if TYPE_CHECKING:
    from dhanfast.engine.leg_settings import StructurePlan

WHY: Final = {
    HedgeWhy.BAND: "outside the band",
    HedgeWhy.COST_BAND: "outside the cost-aware band",
    HedgeWhy.INTERVAL: "at its interval",
    HedgeWhy.EMPTY: "the structure is left",
    HedgeWhy.WAITS: "too soon after the last one",
    HedgeWhy.DAY_LIMIT: "as many today as may be",
    HedgeWhy.AT_MOST: "as large as it may be",
    HedgeWhy.HOURS: "outside its hours",
    HedgeWhy.SHUT: "entries are held back",
    HedgeWhy.BLIND: "a price that it takes is missing",
}


def hedge_of(
    plan: "StructurePlan",
    broker: Broker,
    portfolio: Portfolio,
    gate: Gate,
    log: RunLog,
    slippage: Slippage,
    *,
    ticking: bool = False,
) -> Hedge | None:
    """The native hedge of a plan; None when it has none.

    Args:
        slippage: that its fills lose at a simulated exchange.
        broker: of the hedge alone. portfolio, gate, log: of the legs, with a place after theirs.
    """
    if plan.hedge is None:
        return None
    count = len(plan.legs)
    leg = hedge_leg(count, broker, portfolio, gate, log, ticking=ticking)
    rules = plan.hedge.native(sum(one.lots for one in plan.legs))
    return Hedge(leg, rules, slippage=slippage.paise, slippage_ticks=slippage.ticks)


def hedge_exchange(plan: HedgePlan, settings: Settings, gate: Gate, instruments: int) -> Match:
    """The simulated exchange of a hedge; its ticks of slippage are told to the hedge itself.

    Args:
        instruments: of the gate.
    """
    slab = settings.protection_slab and plan.instrument != FUTURE
    return Match(
        gate,
        instruments=instruments,
        latency_ns=settings.latency_ns,
        slippage_e6=settings.slippage.rate_e6,
        protection_e4=0 if slab else settings.protection_e4,
        protection_slab=slab,
        limit_through=settings.limit_through,
        stop_market_ok=True,
    )


def begin_hedge(
    hedge: Hedge,
    plan: "StructurePlan",
    on: dt.date,
    moments: tuple[int, int],
    slots: Mapping[str, int],
    future: NDArray[Any] | None,
    columns: int,
) -> None:
    """Tell a hedge what it may trade on a day, before the day begins.

    Args:
        moments: its hours, UTC ns. slots: of each expiry name its place in the chain.
        future: its session, when it is one; its prices are the last of `columns` of the chain.
    Raises:
        BadData: the day's data lack the expiry of its options.
    """
    wanted = plan.hedge
    assert wanted is not None, "who calls has a hedge"
    if wanted.instrument == FUTURE:
        hedge.set_day(
            from_ns=moments[0], until_ns=moments[1], column=columns - 1, session=future
        )  # fmt: skip
        return
    if wanted.expiry not in slots:
        raise BadData(
            f"hedge.expiry: the data have no {wanted.expiry} expiry of {plan.underlying} on {on}; "
            "hedge with an expiry that they have, or with the future"
        )
    hedge.set_day(from_ns=moments[0], until_ns=moments[1], slot=slots[wanted.expiry])


def hedge_hours(plan: "StructurePlan") -> tuple[dt.time, dt.time]:
    """From when until when a plan's hedge may be made, IST."""
    assert plan.hedge is not None, "who calls has a hedge"
    return hours_of(plan.hedge, plan)


def hedge_rows(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The decisions of a run, in order.

    Shape:
        HEDGE_DTYPE[n].
    """
    return np.concatenate([np.zeros(0, HEDGE_DTYPE), *parts])


def hedge_texts(
    rows: NDArray[Any], name_of: Callable[[int], str]
) -> list[tuple[int, str]]:  # fmt: skip
    """Decisions as a person reads them: (UTC ns, text).

    Args:
        rows: HEDGE_DTYPE. name_of: a contract by its number.
    """
    return [(int(row["time_ns"]), _text(row, name_of)) for row in rows]


def _text(row: Any, name_of: Callable[[int], str]) -> str:
    why = WHY[HedgeWhy(int(row["why"]))]
    if row["done"] == HedgeDone.HELD_BACK:
        gap = "" if np.isnan(row["before"]) else f", delta {row['before']:+.1f} off its target"
        return f"hedge: held back: {why}{gap}"
    verb = "buy" if row["units"] > 0 else "sell"
    would = "would " if row["done"] == HedgeDone.WOULD else ""
    text = f"hedge: {would}{verb} {abs(int(row['units'])):,} of {name_of(int(row['listed']))}"
    text += f" at {row['price'] / 100:,.2f}: {why}"
    if np.isnan(row["before"]):
        return text
    return text + (
        f", delta {row['before']:+.1f} to {row['after']:+.1f} off its target, band "
        f"{row['band']:.1f}, charges {row['cost'] / 100:,.2f}"
    )


def hedge_notes(plan: "StructurePlan", rows: NDArray[Any]) -> list[str]:
    """What a reader must know of a run's hedge."""
    if plan.hedge is None:
        return []
    lines = []
    if plan.hedge.dry_run:
        would = int((rows["done"] == HedgeDone.WOULD).sum())
        lines.append(
            f"The hedge is a dry run: {would} decisions were written down and nothing was sent; "
            "profit, charges and margin are those of the structure without it."
        )
    held = rows[rows["done"] == HedgeDone.HELD_BACK]
    for why in sorted(set(held["why"].tolist())):
        count = int((held["why"] == why).sum())
        lines.append(f"{count} times a hedge was held back: {WHY[HedgeWhy(why)]}")
    return lines
