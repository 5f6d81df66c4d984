"""What a day of a stock's options takes from the broker's list, since no table has it.

Lots, ticks and freeze quantities of two hundred stocks change by circular. A backtest is told the
lot; a live day reads all three of each expiry from the list of the day, and a replay from what the
archive says of its contracts. The expiries too are those that are listed.

A stock's options end in delivery of the stock. So the contract that ends on a day is none of the
expiries that the day may enter, and nothing stays over night: what is held is always left before
the day on which it would be delivered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from dhanfast.engine.leg_settings import StructurePlan, checked_plan
from dhanfast.errors import BadData
from dhanfast.market.optionsessions import (
    DELIVERY_DAYS,
    days_to_expiry,
    is_index,
    option_segment,
)

if TYPE_CHECKING:
    from dhanfast.engine.leg_universe import Slot, Universe


@dataclass(frozen=True, slots=True)
class Terms:
    """How contracts of one expiry trade.

    Units:
        lot and freeze in units, freeze 0 = not known; tick in paise.
    """

    lot: int
    tick: int
    freeze: int = 0


@dataclass(frozen=True, slots=True)
class StockList:
    """A stock's options as somebody lists them.

    Attributes:
        whose: as an error calls it: "the broker's list of 2026-11-20". expiries: dates, rising.
        terms: of the contracts of an expiry.
    """

    whose: str
    expiries: Sequence[date]
    terms: Callable[[date], Terms]


def coming(stock: StockList, underlying: str, day: date) -> tuple[date, ...]:
    """The expiries that a day may enter: what ends on the day itself is none of them.

    Raises:
        BadData: there is none.
    """
    found = tuple(sorted(one for one in stock.expiries if one > day))
    if found:
        return found
    ends = f"; those of {day} end in delivery today, and are not entered" * (day in stock.expiries)
    raise BadData(
        f"{stock.whose} has no options of {underlying} that end after {day}{ends}: choose a stock "
        "that `dhanfast instruments find` shows with options"
    )


def names_of(dates: Sequence[date]) -> dict[str, date]:
    """`optionsessions.EXPIRIES` of a stock, whose contracts are all monthly.

    Args:
        dates: as `coming` gives them; a name that they do not reach is absent.
    """
    names = {"nearest": dates[0], "monthly": dates[0]}
    return names if len(dates) < 2 else names | {"next": dates[1]}


def checked_terms(terms: Terms, what: str, whose: str) -> Terms:
    """`terms`, if orders can be made by them.

    Args:
        what: the contracts, as a person says it.
    Raises:
        BadData: no lot, no tick, or a freeze quantity below one lot.
    """
    wrong = ""
    if terms.lot < 1:
        wrong = f"a lot of {terms.lot} units"
    elif terms.tick < 1:
        wrong = f"a tick of {terms.tick} paise"
    elif 0 < terms.freeze < terms.lot:
        wrong = f"a freeze quantity of {terms.freeze}, below its lot of {terms.lot} units"
    if wrong:
        raise BadData(f"{what}: {whose} gives it {wrong}: nothing is traded until it is right")
    return terms


def filled(plan: StructurePlan, universe: "Universe") -> StructurePlan:
    """The plan of a day, with the lot of a stock's contracts in it.

    Raises:
        BadData: the file says another lot; a contract ends on the day.
        ConfigError: the plan has what a stock's options cannot do.
        UsageError: an index with a lot.
    """
    if not universe.coming:
        option_segment(plan.underlying, plan.lot)
        return plan
    _check_lot(plan, universe.slots)
    return checked_plan(replace(plan, lot=universe.slots[0].terms.lot))


def marked(plan: StructurePlan) -> StructurePlan:
    """The plan before its contracts are known: of a stock it is checked as such.

    Raises:
        ConfigError: the plan has what a stock's options cannot do.
    """
    return plan if is_index(plan.underlying) else checked_plan(replace(plan, lot=plan.lot or 1))


def _check_lot(plan: StructurePlan, slots: Sequence["Slot"]) -> None:
    for slot in slots:
        if plan.lot not in (0, slot.terms.lot):
            raise BadData(
                f"lot: the file says {plan.lot} units, and contracts of {plan.underlying} that "
                f"expire on {slot.expiry} have {slot.terms.lot}: correct it, or leave it out: only "
                "a backtest needs it"
            )


def check_delivery(universe: "Universe", day: date) -> None:
    """Refuse a day whose contracts end in delivery on it.

    Raises:
        BadData: one does.
    """
    for slot in universe.slots if universe.coming else ():
        if slot.expiry <= day:
            raise BadData(
                f"{universe.underlying} {slot.expiry}: its contracts are settled by delivery on "
                f"{day}, and are not entered on that day"
            )


def told_of(universe: "Universe", day: date) -> list[str]:
    """What a reader must know of a stock's contracts on a day."""
    notes = []
    for slot in universe.slots:
        terms = slot.terms
        freeze = f"{terms.freeze:,} at once" if terms.freeze else "its freeze quantity is not known"
        notes.append(
            f"Contracts of {universe.underlying} that expire on {slot.expiry}: {terms.lot:,} units "
            f"a lot, {freeze}, a tick of {terms.tick / 100:.2f}, as they are listed on {day}"
        )
        left = days_to_expiry(day, slot.expiry)
        if left <= DELIVERY_DAYS:
            notes.append(
                f"{universe.underlying} {slot.expiry} is settled by delivery in {left} trading "
                f"day{'s' * (left > 1)}: a broker may ask more for it now, for bought options in "
                "the money too, or take no new positions in it. The estimate of margin does not "
                "have that; live the broker's own answer has it"
            )
    return notes
