"""Generated markets as the bars of a run."""

import datetime as dt

import numpy as np

from dhanfast.errors import UsageError
from dhanfast.market.generate import generate_bars
from dhanfast.storage.bars import BarSet, Source

MINUTE_NS = 60_000_000_000


def generated_bars(
    symbol: str, first: dt.date, last: dt.date, *, seed: int = 1, kind: str = "IDX"
) -> BarSet:
    """One-minute bars of a seeded market, marked as generated.

    Args:
        symbol: an index the market tables know, e.g. BANKNIFTY.
        first, last: exchange dates, inclusive.
        seed: the same seed gives the same bars on any machine.
        kind: IDX for the index, FUT for its front-month future.
    Raises:
        UsageError: no trading day in the range, or an unknown symbol.
        OutOfCalendar: a date outside the calendar.
    """
    days = list(generate_bars(symbol, first, last, seed=seed, instrument=kind))
    if not days:
        raise UsageError(f"no trading day from {first} to {last}: nothing to generate")
    bars = np.concatenate(days)
    source = Source(f"generated {symbol} {kind} seed {seed}", "", len(bars))
    return BarSet(symbol, bars, MINUTE_NS, True, (source,), ("generated, not recorded",))
