"""What a position of options blocks, estimated, and how far to trust it.

The clearing corporation's SPAN files are not public in time; this is the method without the files
(docs/reference/payoff.md has it in full):

    span     = scan + calendar charge - net option value, 0 at least
    exposure = 2 % of the value written (stocks 3.5 %), more far out and on the expiry day
    required = span + exposure + premium of what is bought

The scan is the worst of sixteen scenarios: seven moves of the price within the scan range, each
with volatility up and down, and two moves of twice the range that count 35 %.

Source:
    NSE Clearing, SPAN risk parameters; SEBI circular of 2024-10-01 (expiry day).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.options.door import greeks
from dhanfast._core.options.door import price as black_price
from dhanfast.errors import UsageError
from dhanfast.market.calendar import NS_PER_S, Calendar, exchange_date
from dhanfast.market.margin import E9, FutureMargin, future_margin, underlyings
from dhanfast.market.optiontime import expiry_ns, segment_of, years_to_expiry
from dhanfast.options.payoff import Leg

STOCK_SCAN: Final = 0.142  # price scan range of stocks, at least
STOCK_EXPOSURE: Final = 0.035
VOLATILITY_SCAN: Final = {"index": 0.04, "stock": 0.10}  # volatility points, at least
CALENDAR: Final = {"index": 0.0175, "stock": 0.022}  # of the far value
EXTREME_MOVES: Final = 2.0
EXTREME_SHARE: Final = 0.35
FAR_OUT: Final = 0.10  # of the level: written options further out block more
FAR_EXPOSURE: Final = 0.01
EXPIRY_EXPOSURE: Final = 0.02
EXPIRY_EXPOSURE_FROM: Final = date(2024, 11, 20)
NO_OFFSET_FROM: Final = date(2025, 2, 10)  # what ends today offsets nothing that lives on
VOLATILITY_LEAST: Final = 0.01
HEDGED_ERROR: Final = 2  # percent, both ways
STOCK_ERROR: Final = 25
STOCK_HEDGED: Final = (-5, 25)  # exposure may be 5 % of value where ours is 3.5 %
NORMAL: Final = np.array([0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0])


@dataclass(frozen=True, slots=True)
class MarginEstimate:
    """The margin of a position and its parts.

    Units:
        rupees; errors in percent of `required`: the true margin is expected between
        (1 + error_low/100) and (1 + error_high/100) times it.
    """

    required: float
    span: float
    scan: float
    calendar: float
    exposure: float
    premium: float  # of what is bought, paid in full
    written_first: float  # required for the written legs alone, as if they were sent first
    error_low: int
    error_high: int
    note: str


def margin_estimate(
    legs: Sequence[Leg],
    underlying: str,
    at_ns: int,
    level: float,
    *,
    forwards: dict[date, float] | None = None,
    rate: float = 0.0,
    sigma_daily: float | None = None,
) -> MarginEstimate:
    """Estimate what a position blocks.

    Args:
        legs: options of one underlying, each with a volatility; of the position as a whole.
        underlying: an index with margin rates, else a stock.
        at_ns: the moment, ns UTC.
        level: close of the underlying on the day before, or its level.
        forwards: of each expiry; `level` where there is none.
        rate: continuous.
        sigma_daily: daily volatility as the exchange estimates it (EWMA of log returns, lambda
            0.995); without it the tables' scan range, which a jump of volatility outruns.

    Raises:
        UsageError: no legs; a future; a leg without a volatility or past its expiry; level or sigma
            refused.
        OutOfCalendar: no rates are known on that date.
    """
    if not legs or not 0.0 < level < 1e100:
        raise UsageError(f"{len(legs)} legs, level {level}: give one leg or more and a level above "
                         "0")  # fmt: skip
    for leg in legs:
        if leg.right == "FUT" or not leg.volatility > 0.0:
            raise UsageError(f"{leg.text}: an estimate takes options that have a volatility")
    day = exchange_date(at_ns)
    index = underlying in underlyings()
    table = future_margin(underlying, day, sigma_daily=sigma_daily) if index else None
    if sigma_daily is not None and not 0.0 <= sigma_daily <= 0.2:
        raise UsageError(f"sigma_daily is {sigma_daily}: give a fraction a day, as 0.011")
    world = _World(underlying, at_ns, day, level, forwards or {}, rate, index, table, sigma_daily)
    written = [leg for leg in legs if leg.quantity < 0]
    alone = _parts(written, world)[0] if written else 0.0
    required, span, scan, calendar, exposure, premium = _parts(legs, world)
    if not written:
        low, high, note = 0, 0, "nothing is written: the premium"
    elif _is_hedged(legs) and index:
        low, high, note = -HEDGED_ERROR, HEDGED_ERROR, "every written option is covered"
    elif _is_hedged(legs):
        low, high, note = *STOCK_HEDGED, "covered, but a stock may ask 5 % of exposure"
    elif table is not None:
        low, high, note = table.error_low, table.error_high, "naked: by the scan range of the date"
    else:
        low, high, note = -STOCK_ERROR, STOCK_ERROR, "naked stock options: the floor of 14.2 % only"
    return MarginEstimate(required, span, scan, calendar, exposure, premium, alone, low, high, note)


@dataclass(frozen=True, slots=True)
class _World:
    """What every part of an estimate looks at."""

    underlying: str
    at_ns: int
    day: date
    level: float
    forwards: dict[date, float]
    rate: float
    index: bool
    table: FutureMargin | None
    sigma_daily: float | None

    @property
    def kind(self) -> str:
        return "index" if self.index else "stock"

    @property
    def scan_range(self) -> float:
        if self.table is not None:
            return self.table.scan_e9 / E9
        return max(STOCK_SCAN, 6.0 * (self.sigma_daily or 0.0) * sqrt(2.0))

    @property
    def volatility_range(self) -> float:
        return max(VOLATILITY_SCAN[self.kind], 0.25 * (self.sigma_daily or 0.0) * sqrt(252.0))

    def forward(self, expiry: date) -> float:
        return self.forwards.get(expiry, self.level)

    def years(self, expiry: date) -> tuple[float, float]:
        """To an expiry, from now and from the next trading day at this time."""
        end_ns = expiry_ns(expiry, segment_of(self.underlying))
        if end_ns < self.at_ns:
            raise UsageError(f"expiry {expiry} is over: leave its legs out")
        following = Calendar.load().next_trading_day(self.day)
        later_ns = self.at_ns + (following - self.day) // timedelta(seconds=1) * NS_PER_S
        return years_to_expiry(self.at_ns, end_ns), years_to_expiry(later_ns, end_ns)


def _parts(legs: Sequence[Leg], world: _World) -> tuple[float, ...]:
    """Required, span, scan, calendar charge, exposure, premium."""
    ending = [leg for leg in legs if leg.expiry == world.day]
    apart = bool(ending) and world.day >= NO_OFFSET_FROM
    living = [leg for leg in legs if leg not in ending] if apart else list(legs)
    scan = _scan(living, world) + (_scan(ending, world) if apart else 0.0)
    calendar = _calendar(living, world)
    net = sum(leg.quantity * leg.premium for leg in legs)
    span = max(0.0, scan + calendar - net)
    premium = sum(leg.quantity * leg.premium for leg in legs if leg.quantity > 0)
    exposure = sum(_exposure(leg, world) for leg in legs if leg.quantity < 0)
    return span + exposure + premium, span, scan, calendar, exposure, premium


def _scan(legs: Sequence[Leg], world: _World) -> float:
    """The worst loss of the scenarios, rupees, 0 at least."""
    loss: NDArray[np.float64] = np.zeros(16)
    moves = np.concatenate([np.repeat(NORMAL, 2), [EXTREME_MOVES, -EXTREME_MOVES]])
    shifts = np.concatenate([np.tile([1.0, -1.0], len(NORMAL)), [0.0, 0.0]])
    for leg in legs:
        now, later = world.years(leg.expiry)
        forward = world.forward(leg.expiry)
        moved = np.maximum(forward * (1.0 + moves * world.scan_range), 1e-6)
        volatility = np.maximum(leg.volatility + shifts * world.volatility_range, VOLATILITY_LEAST)
        today = black_price(leg.volatility, forward, leg.strike, now, leg.right, world.rate)
        then = black_price(volatility, moved, leg.strike, later, leg.right, world.rate)
        loss -= leg.quantity * (np.asarray(then) - today)
    loss[-2:] *= EXTREME_SHARE
    return max(0.0, float(loss.max()))


def _calendar(legs: Sequence[Leg], world: _World) -> float:
    """Charge for deltas of two expiries that cancel, rupees."""
    deltas: dict[date, float] = {}
    for leg in sorted(legs, key=lambda one: one.expiry):
        years = world.years(leg.expiry)[0]
        one = greeks(leg.volatility, world.forward(leg.expiry), leg.strike, years, leg.right,
                     world.rate)  # fmt: skip
        deltas[leg.expiry] = deltas.get(leg.expiry, 0.0) + leg.quantity * one.delta
    total = 0.0
    for (_, near), (expiry, far) in pairwise(deltas.items()):
        if near * far < 0.0:
            total += CALENDAR[world.kind] * world.forward(expiry) * min(abs(near), abs(far))
    return total


def _exposure(leg: Leg, world: _World) -> float:
    """Of one written leg, rupees."""
    share = world.table.exposure_e9 / E9 if world.table is not None else STOCK_EXPOSURE
    if world.index and abs(leg.strike - world.level) > FAR_OUT * world.level:
        share += FAR_EXPOSURE
    if world.index and leg.expiry == world.day and world.day >= EXPIRY_EXPOSURE_FROM:
        share += EXPIRY_EXPOSURE
    return share * world.level * -leg.quantity


def _is_hedged(legs: Sequence[Leg]) -> bool:
    """Whether bought options of the same right and no earlier expiry cover every written one."""
    for right in ("CE", "PE"):
        held = 0
        for expiry in sorted({leg.expiry for leg in legs}, reverse=True):
            held += sum(leg.quantity for leg in legs
                        if leg.right == right and leg.expiry == expiry)  # fmt: skip
            if held < 0:
                return False
    return True
