"""The contracts of a live day of a structure: their names, and the chain that ticks keep."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainnow import ChainNow
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.leg_universe import Universe
from dhanfast.engine.stock_terms import told_of
from dhanfast.market import charges
from dhanfast.market.calendar import TradingDay
from dhanfast.market.optionsessions import option_segment, option_sessions, stock_sessions

INDEX: Final = 0  # the feed's number of the index, or of the stock


class Named(Contracts):
    """The contracts of a universe, by their feed numbers: the index has 0.

    Args:
        universe: of the day. day: its date.
    """

    def __init__(self, universe: Universe, day: dt.date) -> None:
        super().__init__(universe.underlying, universe.slots[0].terms.lot)
        self._universe, self._day = universe, day
        self.number(dt.date.max, 0, "IDX")
        for expiry, strike, right in universe.contracts():
            self.number(expiry, strike, right)

    def name(self, number: int) -> str:
        """As a person says it: BANKNIFTY 2026-11-24 60000 CE; the index by its own name."""
        return super().name(number) if number != INDEX else self.underlying

    def rules_told(self, days: Sequence[dt.date]) -> tuple[str, ...]:
        """What a reader must know of lots, charges and the like; of a stock as it is listed."""
        if not self.lot:
            return super().rules_told(days)
        segment = option_segment(self.underlying, self.lot)[1]
        notes = [*told_of(self._universe, self._day), *charges.rates(segment, self._day).notes]
        return tuple(dict.fromkeys(notes))


def sessions_of(universe: Universe, hours: TradingDay) -> NDArray[Any]:
    """How contracts of each slot trade: by dated tables; of a stock as they are listed.

    Shape:
        SESSION_DTYPE, one a slot.

    Raises:
        OutOfCalendar: lot, tick or charges are not known on the day.
    """
    dates = [slot.expiry for slot in universe.slots]
    if not universe.coming:
        return option_sessions(universe.underlying, hours, dates)
    terms = [(one.terms.lot, one.terms.tick, one.terms.freeze) for one in universe.slots]
    return stock_sessions(hours, dates, terms)


def chain_of(universe: Universe, hours: TradingDay) -> ChainNow:
    """The chain that ticks keep, its columns in the order of the universe.

    Raises:
        OutOfCalendar: lot, tick or charges are not known on the day.
    """
    return ChainNow(
        [np.array(slot.strikes, np.int64) for slot in universe.slots],
        sessions_of(universe, hours),
        begin_ns=hours.windows[0][0],
        more=int(universe.future is not None),
    )
