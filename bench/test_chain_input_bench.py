"""The option chain as a strategy's input: what a tick costs, and what its nodes cost a backtest.

Bar, a contract: a tick of a chain with all figures that a strategy subscribed to, 5 us.
"""

from datetime import date
from typing import Any

import numpy as np
import pytest

from dhanfast import options
from dhanfast._core.chainfeed import CHAIN_DTYPE, FIGURES
from dhanfast._core.options.chainmeter import ChainMeter
from dhanfast._core.types import BAR_DTYPE
from dhanfast.engine.chain_input import ChainSeen
from dhanfast.engine.engine import Engine
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.market.generate import generate_bars
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Market, Rules, RuleStrategy

from .test_options_bench import RATE, chain, snapshot_of

STRIKES, TICKS, MINUTE = 100, 5_000, 60 * 10**9
SOME = ("pcr", "atm_iv", "straddle", "support", "resistance")


@pytest.mark.parametrize("figures", [FIGURES, SOME, ("pcr", "max_pain", "support")],
                         ids=["all", "five", "interest"])  # fmt: skip
def test_figures_follow_ticks(benchmark: Any, figures: tuple[str, ...]) -> None:
    """One option's tick of a chain of 100 strikes near the money, each figure read after it.

    Time a tick = median / ticks_per_round; bar 5 us for all of them.
    """
    rows = snapshot_of(chain(STRIKES), STRIKES)
    rng = np.random.default_rng(6)
    place, put = rng.integers(40, 60, TICKS), rng.integers(0, 2, TICKS)
    base = np.where(put == 1, rows.put[place], rows.call[place])
    price = np.round(base * (1 + rng.normal(0, 0.001, TICKS)) * 20) / 20
    later = rows.at_ns + np.arange(TICKS) * 10**6
    oi = np.where(rng.random(TICKS) < 0.1, 65 * rng.integers(0, 20_000, TICKS), -1)
    names = ("call", "put", "call_oi", "put_oi")
    before = {name: getattr(rows, name) for name in names}

    def fresh() -> tuple[tuple[ChainMeter], dict[str, Any]]:
        made = ChainMeter(rows.strike, options.expiry_ns(rows.expiry), RATE, figures=figures,
                          before=before, past=0.1 + 0.1 * rng.random(252))  # fmt: skip
        made.look(rows.at_ns, **before)
        return (made,), {}

    def every(made: ChainMeter) -> None:
        made.follow(place, put, price, oi, oi, later)

    benchmark.extra_info["ticks_per_round"] = TICKS
    benchmark.pedantic(every, setup=fresh, rounds=20)


class Plain(RuleStrategy):
    """Two comparisons of prices."""

    def rules(self, m: Market) -> Rules:
        return Rules(long=m.close > m.sma(20), exit_long=m.close < m.sma(20), stop=100.0)


class Chained(RuleStrategy):
    """The same, and four of the chain that are always true."""

    def rules(self, m: Market) -> Rules:
        c = m.chain
        there = (c.pcr > 0) & (c.atm_iv > 0) & (c.straddle > 0) & (c.support > 0)
        return Rules(long=(m.close > m.sma(20)) & there, exit_long=m.close < m.sma(20), stop=100.0)


@pytest.mark.parametrize("kind", [Plain, Chained])
def test_a_year_of_minutes(benchmark: Any, kind: type[RuleStrategy]) -> None:
    """Time a bar = median / bars_per_round; the difference is what four chain nodes cost."""
    days = generate_bars("BANKNIFTY", date(2022, 1, 1), date(2022, 12, 31), seed=1)
    bars = BarSet("BANKNIFTY", np.concatenate(list(days)), MINUTE, True, ())
    sessions = sessions_of(bars, Settings(), MINUTE)
    ends = bars.bars["start_ns"][::5] + MINUTE
    sets = np.zeros(len(ends), CHAIN_DTYPE)
    sets["at_ns"] = ends
    for name in FIGURES:
        sets[name] = 1.0
    seen = ChainSeen(sets, FIGURES, "recorded", (), {}, 15 * MINUTE)
    raw = np.ascontiguousarray(bars.bars, BAR_DTYPE)

    def fresh() -> tuple[tuple[Engine], dict[str, Any]]:
        runner = kind().runner(lambda at_ns, text: None)
        return (Engine(runner, sessions, Settings(), interval_ns=MINUTE, bars=len(raw),
                       equity_each_bar=False, chain=seen.feed()),), {}  # fmt: skip

    def every(engine: Engine) -> None:
        engine.feed(raw)
        assert engine.finish().trades.size > 1_000

    benchmark.extra_info["bars_per_round"] = len(raw)
    benchmark.pedantic(every, setup=fresh, rounds=10)
