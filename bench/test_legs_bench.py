"""A modelled day of a chain, and an iron condor with leg stops over it."""

import datetime as dt

import numpy as np

from dhanfast._core.types import BAR_DTYPE
from dhanfast.app.legs_file import plan_of
from dhanfast.engine.chain_source import ModelledChains
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.premium_model import Volatilities
from dhanfast.storage.bars import BarSet

DAY = dt.date(2022, 4, 20)
ROWS = 375
CONDOR = {
    "underlying": "BANKNIFTY",
    "leg": [
        {"side": "sell", "right": "CE", "strike": "otm4", "stop": "50%"},
        {"side": "sell", "right": "PE", "strike": "otm4", "stop": "50%"},
        {"side": "buy", "right": "CE", "strike": "otm8"},
        {"side": "buy", "right": "PE", "strike": "otm8"},
    ],
}


def source() -> ModelledChains:
    """One day of minutes that wander, 40 strikes, two expiries: 160 contracts."""
    rng = np.random.default_rng(7)
    bars = np.zeros(ROWS, BAR_DTYPE)
    opens = dt.datetime.combine(DAY, dt.time(9, 15), dt.timezone(dt.timedelta(hours=5.5)))
    bars["start_ns"] = int(opens.timestamp()) * 10**9 + 60 * 10**9 * np.arange(ROWS)
    walk = 3_500_000 + np.cumsum(rng.integers(-2_000, 2_001, ROWS + 1))
    bars["open"], bars["close"] = walk[:-1], walk[1:]
    bars["high"], bars["low"] = np.maximum(walk[:-1], walk[1:]), np.minimum(walk[:-1], walk[1:])
    days = [DAY - dt.timedelta(days=back) for back in range(90, 0, -1)]
    index = {day: 35_000 * (1 + 0.012 * (i % 2)) for i, day in enumerate(days)}
    base = {day: 17_000 * (1 + 0.010 * (i % 2)) for i, day in enumerate(days)}
    told = Volatilities("BANKNIFTY", dict.fromkeys(days, 20.0), index, base)
    return ModelledChains(
        BarSet("BANKNIFTY", bars, 60 * 10**9, False, ()), told, ("nearest", "next"), 40
    )


def test_modelled_chain_of_a_day(benchmark):
    """375 rows of 160 contracts, four prices each, and the native day made of them."""
    benchmark.extra_info["option_bars_per_round"] = ROWS * 160
    made = source()
    benchmark(lambda: list(made.days(list)))


def test_condor_over_a_day(benchmark):
    """The whole run of one day: chain, legs, margin, result."""
    plan = plan_of(CONDOR)
    benchmark.extra_info["rows_per_round"] = ROWS
    benchmark(lambda: backtest_legs(plan, source()))


def test_hedged_condor_over_a_day(benchmark):
    """The same with its delta looked at in every row: what a hedge adds to a run."""
    plan = plan_of(CONDOR | {"hedge": {"band": "5 units", "pause": "1m"}})
    benchmark.extra_info["rows_per_round"] = ROWS
    found = benchmark(lambda: backtest_legs(plan, source()))
    benchmark.extra_info["native_ns_a_row"] = round(found.kernel_ns / ROWS)
