"""Falls and excursions against plain loops, and against the figures they must agree with."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.reports import extremes, metrics
from dhanfast.reports.result import EQUITY_DTYPE, TRADE_DTYPE, RunResult

MINUTE_NS = 60_000_000_000
CAPITAL = 1_000


def run_with(template: RunResult, path: list[int]) -> RunResult:
    equity = np.zeros(len(path), EQUITY_DTYPE)
    equity["time_ns"] = MINUTE_NS * np.arange(1, len(path) + 1)
    equity["equity"] = path
    return dataclasses.replace(template, equity=equity, capital=CAPITAL)


def slow_falls(path: list[int]) -> list[tuple[int, int, int | None]]:
    """Walk the curve: (amount, row of the lowest, row of the recovery) of each fall."""
    found = []
    peak, lowest, at = CAPITAL, None, 0
    for row, value in enumerate(path):
        if value >= peak:
            if lowest is not None:
                found.append((peak - lowest, at, row))
            peak, lowest = value, None
        elif lowest is None or value < lowest:
            lowest, at = value, row
    if lowest is not None:
        found.append((peak - lowest, at, None))
    return found


@given(path=st.lists(st.integers(500, 1500), max_size=60))
@settings(max_examples=200, deadline=None)
def test_falls_equal_a_walk_along_the_curve(path: list[int]) -> None:
    template = RunResult("", "", "", "1m", CAPITAL, np.zeros(0, TRADE_DTYPE), *(4 * (None,)), {},
                         {}, {}, (), "", 0)  # type: ignore[arg-type]  # fmt: skip
    run = run_with(template, path)
    got = extremes.falls(run, most=1000)
    expected = slow_falls(path)
    assert (
        sorted((fall.amount, fall.trough_ns, fall.recovered_ns) for fall in got)
        == sorted(
            (amount, MINUTE_NS * (at + 1), None if back is None else MINUTE_NS * (back + 1))
            for amount, at, back in expected
        )
        if all(back is not None for _, _, back in expected)
        else len(got) == len(expected)
    )
    assert [fall.fraction for fall in got] == sorted((fall.fraction for fall in got), reverse=True)
    deepest, largest = metrics.deepest(run)
    if deepest is None:
        assert got == []
        return
    assert got[0].fraction == pytest.approx(deepest.fraction, rel=1e-12)
    assert max(fall.amount for fall in got) == largest


def test_falls_by_hand(result: RunResult) -> None:
    run = run_with(result, [1000, 900, 950, 1000, 1100, 990, 1100, 1050])
    got = extremes.falls(run)
    assert [(fall.amount, round(fall.fraction, 6)) for fall in got] == [
        (100, 0.1), (110, 0.1), (50, round(50 / 1100, 6))]  # fmt: skip
    first = got[0]
    assert (first.peak_ns, first.trough_ns, first.recovered_ns) == (
        MINUTE_NS, 2 * MINUTE_NS, 4 * MINUTE_NS)  # fmt: skip
    assert first.duration_ns == 3 * MINUTE_NS
    assert got[2].recovered_ns is None and got[2].duration_ns == MINUTE_NS
    assert len(extremes.falls(run, most=1)) == 1 and extremes.falls(run, most=0) == []


def test_the_first_fall_is_the_maximum_drawdown(make_result: Callable[..., RunResult]) -> None:
    for seed in range(4):
        run = make_result(seed=seed)
        deepest, _ = metrics.deepest(run)
        first = extremes.falls(run)[0]
        assert deepest is not None
        assert dataclasses.replace(first, peak_ns=0, duration_ns=0) == dataclasses.replace(
            deepest, peak_ns=0, duration_ns=0)  # fmt: skip


def test_excursions_equal_a_plain_loop(result: RunResult) -> None:
    rows = list(zip(result.trades, metrics.trade_net(result.trades).tolist(), strict=True))
    for row in extremes.excursions(result):
        chosen = {"all": lambda net: True, "won": lambda net: net > 0, "lost": lambda net: net < 0}
        mine = [trade for trade, net in rows if chosen[row.name](net)]
        assert row.count == len(mine) > 0
        worst = sorted(int(trade["mae"]) for trade in mine)
        best = sorted(int(trade["mfe"]) for trade in mine)
        assert row.mae_mean == pytest.approx(sum(worst) / len(worst))
        assert row.mfe_mean == pytest.approx(sum(best) / len(best))
        assert (row.mae_worst, row.mfe_best) == (worst[0], best[-1])
        assert row.mae_median == pytest.approx(np.median(worst))
        gross = sum(int(trade["gross"]) for trade in mine)
        assert row.captured == pytest.approx(gross / sum(best))


def test_without_trades_nothing_is_defined(idle: RunResult) -> None:
    assert [row.count for row in extremes.excursions(idle)] == [0, 0, 0]
    assert all(row.captured is None and row.mae_mean is None for row in extremes.excursions(idle))
    assert extremes.falls(dataclasses.replace(idle, equity=idle.equity[:0])) == []
