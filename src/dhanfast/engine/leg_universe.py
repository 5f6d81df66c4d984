"""Which contracts a structure needs on one live day: expiries and listed strikes around the index.

A backtest has the whole chain of its data. A live day subscribes to what the rules of the legs can
ask for: as far from the money as each rule reaches, and room on both sides for the index to move.
The choice is made once, before the first input, and is kept with the day: numbers of contracts are
places in it, and a restart must find the same ones.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainday import StrikeRule
from dhanfast.engine.hedge_prices import FUT
from dhanfast.engine.hedge_settings import FUTURE
from dhanfast.engine.leg_settings import LegPlan, StructurePlan
from dhanfast.engine.stock_terms import StockList, Terms, checked_terms, coming, names_of
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.expiries import front_month
from dhanfast.market.optionsessions import option_expiries

STRIKES_MAX: Final = 100  # of an expiry: a call and a put of each
ROOM: Final = 0.025  # of the index, that it may move on either side
ROOM_MIN: Final = 10  # strikes
REACH: Final = 25  # strikes on either side in which a premium or a delta is looked for
STRADDLE: Final = 0.04  # of the index: more than a straddle of a month costs

Strikes = NDArray[np.int64]
NO_TERMS: Final = Terms(0, 0)


@dataclass(frozen=True, slots=True)
class Slot:
    """One expiry of the day.

    Units:
        paise. `low`, `high`: of the index, between which every rule finds its strike in `strikes`
        as it would in the whole list.

    Attributes:
        terms: of a stock's contracts, as they are listed; of an index dated tables have them.
    """

    expiry: dt.date
    strikes: tuple[int, ...]
    low: int
    high: int
    terms: Terms = NO_TERMS


@dataclass(frozen=True, slots=True)
class Universe:
    """The contracts of one day.

    Attributes:
        level: of the index or stock they were chosen around, paise. slots: by expiry, rising.
        future: when the future that hedges ends; None: there is none.
        coming: of a stock, the expiries that are listed after the day; (): an index.
    """

    underlying: str
    level: int
    slots: tuple[Slot, ...]
    future: dt.date | None = None
    coming: tuple[dt.date, ...] = ()

    def names(self, day: dt.date) -> Mapping[str, dt.date]:
        """The day's expiries by their names in a plan; a name without one is absent.

        Raises:
            OutOfCalendar: of an index, the day lies outside the rules.
        """
        return names_of(self.coming) if self.coming else option_expiries(self.underlying, day)

    def contracts(self) -> Iterator[tuple[dt.date, int, str]]:
        """(expiry, strike, right) of every column: of each expiry its calls, then its puts; last
        the future, with a strike of 0."""
        for slot in self.slots:
            for right in ("CE", "PE"):
                for strike in slot.strikes:
                    yield slot.expiry, strike, right
        if self.future is not None:
            yield self.future, 0, FUT

    def places(self, plan: StructurePlan, day: dt.date) -> list[int]:
        """Which slot each leg takes.

        Raises:
            BadData: a leg's expiry is not in it.
        """
        names = self.names(day)
        known = {slot.expiry: place for place, slot in enumerate(self.slots)}
        for leg in plan.legs:
            found = names.get(leg.expiry)
            if found not in known:
                raise BadData(
                    f"{leg.text}: its expiry {found} is not among those that this day "
                    f"was begun with ({', '.join(str(one) for one in known)})"
                )
        return [known[names[leg.expiry]] for leg in plan.legs]

    def named(self, day: dt.date) -> dict[str, int]:
        """Of each expiry name that it has the place in `slots`."""
        known = {slot.expiry: place for place, slot in enumerate(self.slots)}
        names = self.names(day)
        return {name: known[expiry] for name, expiry in names.items() if expiry in known}

    def lots(self) -> dict[dt.date, tuple[int, int]]:
        """Lot and freeze quantity of a stock's contracts, units, by expiry."""
        return {slot.expiry: (slot.terms.lot, slot.terms.freeze) for slot in self.slots}

    def beyond(self, level: int) -> bool:
        """Whether the index stands where the rules may need strikes that are not watched.

        Args:
            level: of the index, paise; 0 = not known, which is not beyond.
        """
        return level > 0 and any(not slot.low <= level <= slot.high for slot in self.slots)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for the record that a day begins with."""
        return {
            "underlying": self.underlying,
            "level": self.level,
            "slots": [
                {
                    "expiry": slot.expiry.isoformat(),
                    "strikes": list(slot.strikes),
                    "low": slot.low,
                    "high": slot.high,
                    **({"terms": list(astuple(slot.terms))} if self.coming else {}),
                }
                for slot in self.slots
            ],
            **({} if self.future is None else {"future": self.future.isoformat()}),
            **({"coming": [one.isoformat() for one in self.coming]} if self.coming else {}),
        }

    @classmethod
    def of_dict(cls, plain: Mapping[str, Any]) -> "Universe":
        """What `as_dict` made."""
        return cls(
            plain["underlying"],
            plain["level"],
            tuple(
                Slot(
                    dt.date.fromisoformat(slot["expiry"]),
                    tuple(slot["strikes"]),
                    slot["low"],
                    slot["high"],
                    Terms(*slot["terms"]) if "terms" in slot else NO_TERMS,
                )
                for slot in plain["slots"]
            ),
            dt.date.fromisoformat(plain["future"]) if "future" in plain else None,
            tuple(dt.date.fromisoformat(one) for one in plain.get("coming", ())),
        )


def universe_of(
    plan: StructurePlan, day: dt.date, level: int, listed: Callable[[dt.date], Strikes],
    stock: StockList | None = None,
) -> Universe:  # fmt: skip
    """The contracts that a plan needs on a day.

    Args:
        level: of the index or stock, paise.
        listed: strikes of an expiry that have a call and a put, paise, rising; empty: none.
        stock: the list of a stock's options; None: an index, which dated tables know.
    Raises:
        BadData: an expiry, or a strike that a leg names, is not listed; or without lot or tick.
        ConfigError: a rule reaches further than STRIKES_MAX.
        OutOfCalendar: no expiries are known on the day.
    """
    dates = () if stock is None else coming(stock, plan.underlying, day)
    names = names_of(dates) if dates else option_expiries(plan.underlying, day)
    wanted = [*plan.legs, *_hedges(plan)]
    for leg in wanted:
        if leg.expiry not in names:
            raise BadData(
                f"{leg.text}: of {plan.underlying} only options that expire on "
                f"{names['nearest']} are listed on {day}: write nearest"
            )
    slots = []
    for expiry in sorted({names[leg.expiry] for leg in wanted}):
        legs = [leg for leg in wanted if names[leg.expiry] == expiry]
        grid = listed(expiry)
        if len(grid) == 0:
            raise BadData(
                f"{legs[0].text}: the broker's list of {day} has no options of {plan.underlying} "
                f"that expire on {expiry}"
            )
        slot = _slot(expiry, legs, grid, level)
        if stock is not None:
            what = f"{plan.underlying} {expiry}"
            slot = replace(slot, terms=checked_terms(stock.terms(expiry), what, stock.whose))
        slots.append(slot)
    future = None
    if plan.hedge is not None and plan.hedge.instrument == FUTURE:
        future = front_month(plan.underlying, day)
    return Universe(plan.underlying, level, tuple(slots), future, dates)


def _hedges(plan: StructurePlan) -> list[LegPlan]:
    """The options that may hedge, as legs that reach as far: calls and puts."""
    hedge = plan.hedge
    if hedge is None or hedge.strike is None:
        return []
    strike, steps = hedge.strike, hedge.strike.rule is StrikeRule.STEPS
    return [
        LegPlan(
            "buy", right, replace(strike, amount=way * strike.amount) if steps else strike,
            hedge.expiry,
        )
        for right, way in (("CE", 1.0), ("PE", -1.0))
    ]  # fmt: skip


def _slot(expiry: dt.date, legs: Sequence[LegPlan], grid: Strikes, level: int) -> Slot:
    """The strikes of one expiry, and how far the index may move before they do not do."""
    money = _nearest(grid, level)
    low = int(np.searchsorted(grid, level * (1 - ROOM)))
    high = int(np.searchsorted(grid, level * (1 + ROOM), side="right"))
    room = max(ROOM_MIN, money - low, high - money)
    first, last, named = money - room, money + room, set()
    for leg in legs:
        if leg.strike.rule is StrikeRule.EXACT:
            named.add(_named(leg, grid, expiry))
            continue
        down, up = _reach(leg, grid, level, money)
        first, last = min(first, down - room), max(last, up + room)
        if leg.strike.rule in (StrikeRule.PERCENT, StrikeRule.STRADDLE):  # further than the index
            low_at, high_at = max(money - room, 0), min(money + room, len(grid) - 1)
            first = min(first, _reach(leg, grid, int(grid[low_at]), low_at)[0])
            last = max(last, _reach(leg, grid, int(grid[high_at]), high_at)[1])
    inside = grid[max(first, 0) : last + 1].tolist()
    strikes = tuple(sorted({*inside, *named}))
    if len(strikes) > STRIKES_MAX:
        widest = max(legs, key=lambda leg: np.ptp(_reach(leg, grid, level, money)))
        raise ConfigError(
            f"{widest.text}: {len(strikes)} strikes of {expiry} would have to be watched, and "
            f"paper and live watch {STRIKES_MAX}: choose a strike nearer to the money"
        )
    # Where the list itself ends there is nothing more to watch, wherever the index goes.
    return Slot(
        expiry,
        strikes,
        low=int(grid[money - room]) if first > 0 else 0,
        high=int(grid[money + room]) if last < len(grid) - 1 else 2**62,
    )


def _reach(leg: LegPlan, grid: Strikes, level: int, money: int) -> tuple[int, int]:
    """Places in the list of strikes between which a rule chooses, the index being at a level."""
    rule, amount = leg.strike.rule, leg.strike.amount
    if rule is StrikeRule.STEPS:
        at = money + int(amount)
        return min(at, money), max(at, money)
    if rule is StrikeRule.PERCENT:
        at = _nearest(grid, level * (1.0 + 0.01 * amount))
    elif rule is StrikeRule.STRADDLE:
        at = _nearest(grid, level * (1.0 + STRADDLE * amount))
    elif rule is StrikeRule.EXACT:
        at = _nearest(grid, 100.0 * amount)
    else:
        return money - REACH, money + REACH
    return min(at, money), max(at, money)


def _named(leg: LegPlan, grid: Strikes, expiry: dt.date) -> int:
    """The strike that a leg names.

    Raises:
        BadData: it is not listed.
    """
    wanted = round(100.0 * leg.strike.amount)
    nearest = int(grid[_nearest(grid, wanted)])
    if nearest != wanted:
        raise BadData(
            f"{leg.text}: the strike {wanted / 100:g} of {expiry} is not in the broker's list; the "
            f"nearest is {nearest / 100:g}"
        )
    return wanted


def _nearest(grid: Strikes, level: float) -> int:
    """The place of the strike nearest to a level; of two that are as near, the lower."""
    return int(np.argmin(np.abs(grid - level)))
