"""A chain on a generated path, priced by Black's formula written out, and a run hedged on it."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainday import ChainDay, StrikeRule
from dhanfast._core.hedger import Hedge, hedge_leg
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Leg
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import SESSION_DTYPE
from tests.core.test_hedge import RULES as HEDGE
from tests.core.test_legrun import PLAN, RULES

MINUTE = 60_000_000_000
DAY = 86_400_000_000_000
YEAR = 365.0 * DAY
OPEN = 1_700_000_000_000_000_000
CAPITAL = 10**13
DATE = 20260126
EXPIRY = 20260127


def cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def black(forward: float, strike: float, years: float, sigma: float, right: int) -> float:
    """Black's formula without a rate."""
    if years <= 0.0:
        return max(0.0, right * (forward - strike))
    deviation = sigma * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    return right * (forward * cdf(right * d1) - strike * cdf(right * (d1 - deviation)))


def delta(forward: float, strike: float, years: float, sigma: float, right: int) -> float:
    deviation = sigma * math.sqrt(years)
    return right * cdf(right * (math.log(forward / strike) / deviation + 0.5 * deviation))


def gamma(forward: float, strike: float, years: float, sigma: float) -> float:
    deviation = sigma * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + 0.5 * deviation
    return math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi) / (forward * deviation)


def session(lot: int, until: int, expiry: int = EXPIRY, **more: Any) -> NDArray[Any]:
    record = np.zeros(1, SESSION_DTYPE)
    record["open_ns"] = record["entry_from_ns"] = OPEN
    record["close_ns"] = record["entry_until_ns"] = until
    record["lot"], record["tick"] = lot, 1
    record["contract"], record["date"], record["expiry_ns"] = expiry, DATE, until
    for name, value in more.items():
        record[name] = value
    return record


class Market:
    """Bars of options and a future over one path.

    Args:
        path: forward, rupees, one more than there are rows: a row opens where the last has closed.
        sigma: of the options. step: of a row, ns. life: from OPEN to the expiry, ns.
        strikes: rupees. lot: of the options.
    """

    def __init__(self, path: NDArray[np.float64], sigma: float, step: int, life: int,
                 strikes: tuple[float, ...], lot: int = 1) -> None:  # fmt: skip
        self.path, self.sigma, self.step, self.life = path, sigma, step, life
        self.strikes, self.lot = strikes, lot
        self.rows = len(path) - 1

    def years(self, row: int) -> float:
        """From the end of a row to the expiry; row -1 is the beginning."""
        return (self.life - (row + 1) * self.step) / YEAR

    def price(self, row: int, strike: float, right: int) -> int:
        value = black(self.path[row + 1], strike, self.years(row), self.sigma, right)
        return max(1, round(100 * value))

    def chain(self, missing: frozenset[tuple[int, int]] = frozenset()) -> ChainDay:
        """The day; (row, column) in `missing` have no quote."""
        count = len(self.strikes)
        columns = 2 * count + 1
        closes = np.zeros((self.rows + 1, columns), np.int64)
        for row in range(-1, self.rows):
            for at, strike in enumerate(self.strikes):
                closes[row + 1, at] = self.price(row, strike, 1)
                closes[row + 1, count + at] = self.price(row, strike, -1)
            closes[row + 1, -1] = round(100 * self.path[row + 1])
        opens, ends = closes[:-1].copy(), closes[1:].copy()
        for row, column in missing:
            opens[row, column] = ends[row, column] = 0
        start = OPEN + self.step * np.arange(self.rows)
        return ChainDay(
            start_ns=start, end_ns=start + self.step,
            prices=(opens, np.maximum(opens, ends), np.minimum(opens, ends), ends),
            spot=ends[:, -1].copy(),
            strike=np.array([round(100 * one) for one in self.strikes] * 2 + [0]),
            listed=np.arange(columns, dtype=np.uint32), first=[0], count=[count],
            sessions=session(self.lot, OPEN + self.life), final_price=[0], exercise_e9=[0],
            exercise_full=[0],
        )  # fmt: skip


def hedged(legs: list[dict[str, Any]], rules: dict[str, Any] | None,
           slippage: int = 0, **plan: Any) -> LegRun:  # fmt: skip
    """A run of legs (fields of LegRules) with a hedge (fields of HedgeRules; None: without one)."""
    count = len(legs) + 1
    gate, log = Gate(instruments=count), RunLog(8192, 65536, 65536)
    portfolio = Portfolio(CAPITAL, count)

    def exchange() -> Match:
        return Match(gate, instruments=count, protection_e4=2_000, stop_market_ok=True,
                     slippage=slippage)  # fmt: skip

    usual = RULES | {"strike_rule": int(StrikeRule.EXACT)}
    made = [Leg(usual | one, at, exchange(), portfolio, gate, log) for at, one in enumerate(legs)]
    hedge = None
    if rules is not None:
        leg = hedge_leg(len(legs), exchange(), portfolio, gate, log)
        hedge = Hedge(leg, HEDGE | rules)
    return LegRun(made, PLAN | plan, portfolio, gate, log, hedge=hedge)


def run_day(run: LegRun, market: Market, chain: ChainDay | None = None, *, option: bool = False,
            exit_row: int | None = None, future: dict[str, Any] | None = None) -> None:  # fmt: skip
    """One day: entered at the end of the first row, left at the end of `exit_row`."""
    chain = market.chain() if chain is None else chain
    end = OPEN + market.rows * market.step
    if run.hedge is not None and option:
        run.hedge.set_day(from_ns=0, until_ns=2**62, slot=0)
    elif run.hedge is not None:
        told = {"lot": market.lot, "until": OPEN + market.life} | (future or {})
        run.hedge.set_day(
            from_ns=0, until_ns=2**62, column=2 * len(market.strikes), session=session(**told)
        )
    leaves = end - market.step if exit_row is None else OPEN + (exit_row + 1) * market.step
    assert run.run_day(
        chain, slots=[0] * len(run.legs_now()[: -1 if run.hedge else None]),
        entry_ns=OPEN, until_ns=end, exit_ns=leaves, trade=True, date=DATE,
    )  # fmt: skip
