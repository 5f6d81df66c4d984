"""A paper day against the backtest on the same ticks: what differs is told, and adds up."""

import datetime as dt
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.live.journal import Journal
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast.engine.live import LiveRun
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.market.tickday import tick_day
from dhanfast.reports import metrics
from dhanfast.reports.compare import Comparison, compare_runs
from dhanfast.reports.compare_text import comparison_text
from dhanfast.reports.result import RunResult

DAY = dt.date(2026, 11, 20)


@pytest.fixture(scope="module")
def ticks() -> NDArray[Any]:
    """A generated day of the future, numbered 1 as its feed numbers it."""
    parts = [
        batch.ticks[batch.ticks["instrument"] == 1] for batch in tick_day("BANKNIFTY", DAY, seed=7)
    ]
    return np.concatenate(parts)


def paper(path: Path, ticks: NDArray[Any], settings: Settings) -> RunResult:
    """The day on paper, tick by tick, to its close."""
    header = JournalHeader(
        epoch=7, date=20261120, run="main", config_digest=bytes(32), created_ns=1, text="momentum"
    )
    run = LiveRun("momentum", symbol="BANKNIFTY", journal=Journal(str(path), header), instrument=1,
                  first_ns=int(ticks["exch_ns"][0]), settings=settings)  # fmt: skip
    for at in range(len(ticks)):
        run.loop.take_ticks(ticks[at : at + 1], int(ticks["recv_ns"][at]))
    return run.finish()


def backtest(ticks: NDArray[Any], settings: Settings) -> RunResult:
    alone = ticks.copy()
    alone["instrument"] = 0
    return backtest_ticks("momentum", [alone], symbol="BANKNIFTY", settings=settings)


def adds_up(got: Comparison) -> bool:
    nets = [metrics.trade_net(run.trades) for run in (got.a, got.b)]
    for one in got.pairs:
        mine = sum((Fraction(int(net[row]), metrics.UPAISE) * sign for net, row, sign in
                    zip(nets, (one.a, one.b), (-1, 1), strict=True) if row is not None),
                   Fraction(0))  # fmt: skip
        if one.total != mine:
            return False
    return sum(got.totals.values()) == got.difference


def test_paper_and_backtest_of_one_day_differ_in_nothing(
    tmp_path: Path, ticks: NDArray[Any]
) -> None:
    settings = Settings(capital=10**9)
    got = compare_runs(backtest(ticks, settings), paper(tmp_path / "a.dfj", ticks, settings))
    assert got.matched == len(got.a.trades) == len(got.b.trades) > 10
    assert not any(one.total for one in got.pairs) and adds_up(got)
    assert {name for name, paise in got.totals.items() if paise} <= {"rounding"}


def test_paper_that_pays_more_is_told_as_fill(tmp_path: Path, ticks: NDArray[Any]) -> None:
    plain, dear = (Settings(capital=10**9, slippage=Slippage.parse(text)) for text in
                   ("1tick", "6pts"))  # fmt: skip
    got = compare_runs(backtest(ticks, plain), paper(tmp_path / "a.dfj", ticks, dear))
    assert adds_up(got) and got.matched > 5
    assert got.totals["fill"] < 0 == got.totals["latency"] == got.totals["data"]


def test_a_slow_way_to_the_exchange_is_told_as_latency(tmp_path: Path, ticks: NDArray[Any]) -> None:
    quick, slow = Settings(capital=10**9), Settings(capital=10**9, latency_ns=9 * 10**9)
    got = compare_runs(backtest(ticks, quick), paper(tmp_path / "a.dfj", ticks, slow))
    assert adds_up(got) and got.matched > 5 and got.totals["latency"] != 0
    assert got.totals["data"] == got.totals["size"] == 0


def test_a_feed_that_is_a_constant_away_costs_charges_alone(
    tmp_path: Path, ticks: NDArray[Any]
) -> None:
    """The paper day sees every price ten rupees up: what entries pay more, exits bring back."""
    moved = ticks.copy()
    for name in ("price", "bid", "ask"):
        moved[name] = np.where(moved[name] > 0, moved[name] + 1000, 0)
    settings = Settings(capital=10**9)
    got = compare_runs(backtest(ticks, settings), paper(tmp_path / "a.dfj", moved, settings))
    assert adds_up(got) and got.matched == len(got.a.trades) == len(got.b.trades) > 10
    assert {name for name, paise in got.totals.items() if paise} <= {"charge", "rounding"}
    assert got.totals["charge"] < 0 and got.same_data is False
    assert "charge    charges" in comparison_text(got)
