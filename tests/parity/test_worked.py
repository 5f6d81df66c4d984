"""Worked orders: paper decides as the backtest, and a journal brings an algorithm back mid-way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.execution.route import RouteWhy
from dhanfast._core.live.inputs import Command
from dhanfast._core.types import OrderFlag
from dhanfast.engine.execution_settings import ExecutionSettings, learnt_profile
from dhanfast.engine.live import LiveRun
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.reports.result import RunResult
from dhanfast.reports.slippage import by, run_costs

from .test_live import journal_at, records_of, ticks

__all__ = ["ticks"]

SECOND = 1_000_000_000
STYLES: dict[str, dict[str, Any]] = {
    "twap": {"style": "urgent", "random_e4": 2_500, "seed": 4},
    "pov": {"rate_e4": 5_000, "floor_e4": 5_000},
    "iceberg": {"display_lots": 2, "random_e4": 3_000, "style": "passive"},
    "slice": {"child_lots": 3},
}


def settings(algo: str) -> Settings:
    return Settings(
        lots=10,
        capital=10**11,
        execution=ExecutionSettings(
            algo=algo, horizon_ns=120 * SECOND, interval_ns=15 * SECOND, reprice_ns=2 * SECOND,
            **STYLES[algo],
        ),
    )  # fmt: skip


def run_at(path: Path, ticks: NDArray[Any], algo: str) -> LiveRun:
    return LiveRun(
        "momentum",
        symbol="BANKNIFTY",
        journal=journal_at(path),
        instrument=1,
        first_ns=int(ticks["exch_ns"][0]),
        settings=settings(algo),
    )


@pytest.mark.parametrize("algo", STYLES)
@pytest.mark.parametrize("polled", [False, True])
def test_paper_works_orders_as_the_backtest(
    tmp_path: Path,
    ticks: NDArray[Any],
    algo: str,
    polled: bool,
) -> None:
    """Also when timers wake the worker between ticks, and when only ticks tell it the time."""
    alone = ticks.copy()
    alone["instrument"] = 0
    want = backtest_ticks("momentum", [alone], symbol="BANKNIFTY", settings=settings(algo))
    run = run_at(tmp_path / "a.dfj", ticks, algo)
    for at in range(len(ticks)):
        if polled:
            run.loop.poll(int(ticks["recv_ns"][at]))
        run.loop.take_ticks(ticks[at : at + 1], int(ticks["recv_ns"][at]))
    got = run.so_far()
    assert got is not None and want.counters["orders_worked"] > 10
    assert want.counters["children_sent"] > want.counters["orders_worked"]
    assert got.orders.tobytes() == want.orders.tobytes()
    assert got.trades.tobytes() == want.trades.tobytes()
    assert got.passages is not None and want.passages is not None
    assert got.passages.tobytes() == want.passages.tobytes()
    assert_reasons(want, settings(algo))


def assert_reasons(result: RunResult, rules: Settings) -> None:
    """Each worked order that left with the router's limit says why, and the report groups by it."""
    assert result.passages is not None
    worked = result.orders["flags"] & OrderFlag.WORKED != 0
    whys = {RouteWhy(int(why)).name.lower() for why in result.passages["route"][worked]}
    costs = run_costs(result)
    assert costs is not None
    told = {slip.name: slip for slip in by(costs, "route")}
    expected = {
        "urgent": {"cross_urgent", "mid_wide", "join_empty", "cross_last"},
        "passive": {"join_passive", "join_empty", "cross_last"},
        "normal": {"cross_tight", "cross_volatile", "mid_spread", "mid_thin", "mid_wide",
                   "join_empty", "cross_last"},
    }[rules.execution.style]  # fmt: skip
    assert whys & expected and whys <= expected | {"unrouted"}
    assert set(told) >= whys & expected
    left = (result.passages["sent_ns"] > 0) | (result.orders["filled"] > 0)
    for name in whys:
        same = result.passages["route"] == RouteWhy[name.upper()]
        filled = same & left & (result.orders["filled"] > 0) & (result.passages["decision"] > 0)
        assert told[name].orders == int(filled.sum())
    assert not result.passages["route"][~worked].any(), "what is not worked is not routed"


@pytest.mark.parametrize("algo", ["twap", "iceberg"])
def test_a_journal_cut_inside_an_algorithm_brings_it_back(
    tmp_path: Path,
    ticks: NDArray[Any],
    algo: str,
) -> None:
    """Killed while a parent is worked (and once while it is paused), the next life goes on."""
    pause, resume = 3_000, 4_000
    whole, first = (run_at(tmp_path / f"{name}.dfj", ticks, algo) for name in ("whole", "first"))

    def drive(run: LiveRun, start: int, stop: int) -> None:
        for at in range(start, stop):
            wall = int(ticks["recv_ns"][at])
            run.loop.poll(wall)
            if at == pause:
                run.loop.command(Command.PAUSE_ORDERS, wall)
            if at == resume:
                run.loop.command(Command.RESUME_ORDERS, wall)
            run.loop.take_ticks(ticks[at : at + 1], wall)

    stop = 0
    while not (stop > len(ticks) // 3 and first.kernel.broker.parents_now()):
        drive(first, stop, stop + 1)
        stop += 1
    first.journal.close()
    second = run_at(tmp_path / "second.dfj", ticks, algo)
    back = second.recover(records_of(tmp_path / "first.dfj"), int(ticks["recv_ns"][stop - 1]))
    assert back.records == first.loop.inputs and (back.unmet, back.open) == (0, 0)
    assert second.kernel.broker.parents_now() == first.kernel.broker.parents_now() != []
    drive(second, stop, len(ticks))
    drive(whole, 0, len(ticks))
    want, got = whole.so_far(), second.so_far()
    assert want is not None and got is not None
    assert got.digest == want.digest and len(want.trades) > 5


def test_a_vwap_learns_its_profile_and_works_by_it(ticks: NDArray[Any]) -> None:
    """The day's own volume, learnt from its bars, works the day's orders."""
    alone = ticks.copy()
    alone["instrument"] = 0
    plain = backtest_ticks("momentum", [alone], symbol="BANKNIFTY")
    assert plain.bars is not None
    profile = learnt_profile(plain.bars)
    assert sum(profile) == int(np.sum(plain.bars["volume"])) and sum(map(bool, profile)) > 300
    how = ExecutionSettings(algo="vwap", profile=profile, style="urgent", horizon_ns=120 * SECOND)
    rich = Settings(lots=10, capital=10**11, execution=how)
    result = backtest_ticks("momentum", [alone], symbol="BANKNIFTY", settings=rich)
    assert result.counters["orders_worked"] > 10
    worked = result.orders[result.orders["flags"] & OrderFlag.WORKED != 0]
    assert (worked["filled"] <= worked["qty"]).all() and (worked["filled"] > 0).all()
