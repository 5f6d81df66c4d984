"""The future that hedges a structure: its contract of a day, and its price where none is recorded.

A chain has no future. Where premiums are recorded its price is the forward of put-call parity of
the month's expiry, or of the nearest one that the data have; where they are modelled it is the
index (basis 0, docs/decisions/0006-modelled-future.md). Either way it is a model's, and a result
says so.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.options.forward import forward_from_parity
from dhanfast.market.calendar import TradingDay
from dhanfast.market.sessions import session_table

Ints = NDArray[np.int64]
FUT: Final = "FUT"
PARITY_TOLD: Final = (
    "The hedge's future is modelled: it trades at the forward of put-call parity of the same rows, "
    "at the month's expiry or the nearest one that the data have, without a spread."
)
INDEX_TOLD: Final = (
    "The hedge's future is modelled: it trades at the index, basis 0, without a spread."
)


def future_session(underlying: str, hours: TradingDay) -> NDArray[Any]:
    """The month's future on one day: hours, lot, tick, freeze, charges.

    No margin rate: margin of a legs run is estimated for all of it together.

    Shape:
        SESSION_DTYPE[1].
    Raises:
        UsageError: not an index with a future. OutOfCalendar: a rule is not known on that date.
    """
    table = session_table(underlying, FUT, hours.date, hours.date)
    table["margin_rate_e9"] = 0
    return table


def contract_date(session: NDArray[Any]) -> date:
    """When the contract of a session record ends."""
    number = int(session["contract"][0])
    return date(number // 10_000, number // 100 % 100, number % 100)


def parity_prices(
    session: NDArray[Any], expiries: Sequence[date], strikes: Sequence[Ints], closes: Ints
) -> Ints:
    """The forward at each row, paise on the future's tick; 0 where no strike has both quotes.

    Args:
        session: of the future. expiries: of the chain. strikes: of each, paise.
        closes: [rows, columns] paise, of each expiry its calls, then its puts.
    """
    month = contract_date(session)
    place = expiries.index(month) if month in expiries else 0
    first = 2 * sum(len(grid) for grid in strikes[:place])
    count = len(strikes[place])
    strike, tick = strikes[place] / 100.0, int(session["tick"][0])
    found = np.zeros(len(closes), np.int64)
    for row, prices in enumerate(closes):
        calls = prices[first : first + count] / 100.0
        puts = prices[first + count : first + 2 * count] / 100.0
        level = forward_from_parity(strike, calls, puts, 1.0)
        if level > 0.0:
            found[row] = max(tick, round(100.0 * level / tick) * tick)
    return found


def index_prices(session: NDArray[Any], index: Ints) -> tuple[Ints, ...]:
    """Bars of the index as bars of the future, on its tick.

    Args:
        index: [rows, 4] paise: open, high, low, close.
    """
    tick = int(session["tick"][0])
    on_tick = (index + tick // 2) // tick * tick
    return tuple(np.ascontiguousarray(on_tick[:, part]) for part in range(4))
