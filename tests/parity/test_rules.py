"""Sizing and stops that move: paper decides as the backtest, ticks one by one as in one pass, and a
journal brings all of it back."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.types import Reason
from dhanfast.engine.live import LiveRun
from dhanfast.engine.settings import Settings
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.engine.stop_settings import Distance, StopSettings
from dhanfast.engine.tickruns import backtest_ticks

from .test_live import journal_at, records_of
from .test_live import ticks as ticks  # the same generated day

S = 1_000_000_000
TRAIL = StopSettings(
    stop=Distance(1.5, "atr"), override=True, trail=Distance(1.0, "atr"),
    trail_from=Distance(0.5, "atr"), cost_at=Distance(0.02, "percent"), cost_charges=True,
    step_ticks=2, every_ns=2 * S, changes_max=4, time_max_ns=600 * S, only_losing=True,
)  # fmt: skip
RULES = {
    "trail": Settings(stops=TRAIL),
    "watched": Settings(stops=StopSettings(trail=Distance(15, "points"), rest=False, step_ticks=1)),
    "risk": Settings(
        stops=TRAIL,
        sizing=SizingSettings(method="risk", risk_e6=5_000, fit=True),
        latency_ns=S // 5,
    ),
    "kelly": Settings(
        sizing=SizingSettings(method="kelly", kelly_fall_back=True, kelly_trades_min=3, fit=True)
    ),
    "volatility": Settings(
        sizing=SizingSettings(method="volatility", target_e6=20_000, measure="returns", fit=True)
    ),
}


def live(path: Path, ticks: NDArray[Any], settings: Settings) -> LiveRun:
    return LiveRun("momentum", symbol="BANKNIFTY", journal=journal_at(path), instrument=1,
                   first_ns=int(ticks["exch_ns"][0]), settings=settings)  # fmt: skip


def feed(run: LiveRun, ticks: NDArray[Any], first: int, last: int) -> None:
    for at in range(first, last):
        run.loop.take_ticks(ticks[at : at + 1], int(ticks["recv_ns"][at]))


@pytest.mark.parametrize("name", list(RULES))
def test_paper_decides_as_the_backtest(tmp_path: Path, ticks: NDArray[Any], name: str) -> None:
    alone = ticks.copy()
    alone["instrument"] = 0
    want = backtest_ticks("momentum", [alone], symbol="BANKNIFTY", settings=RULES[name])
    run = live(tmp_path / "a.dfj", ticks, RULES[name])
    feed(run, ticks, 0, len(ticks))
    got = run.so_far()
    assert got is not None and len(want.trades) > 5
    assert got.orders.tobytes() == want.orders.tobytes()
    assert got.trades.tobytes() == want.trades.tobytes()
    one_by_one = backtest_ticks(
        "momentum", [alone[at : at + 1] for at in range(len(alone))], symbol="BANKNIFTY",
        settings=RULES[name],
    )  # fmt: skip
    assert one_by_one.digest == want.digest
    if RULES[name].stops != StopSettings():
        assert want.counters["stops_moved"] > 5
        assert (want.trades["exit_reason"] == Reason.STOP_LOSS).sum() > 3
    if RULES[name].sizing != SizingSettings():
        assert len(np.unique(want.trades["qty"])) > 1 or name == "kelly"


def test_a_journal_brings_back_how_far_a_stop_had_got(tmp_path: Path, ticks: NDArray[Any]) -> None:
    settings = RULES["risk"]
    whole = live(tmp_path / "whole.dfj", ticks, settings)
    feed(whole, ticks, 0, len(ticks))
    stop = len(ticks) // 2
    while True:  # killed while a stop is on its way up
        first = live(tmp_path / f"first{stop}.dfj", ticks, settings)
        feed(first, ticks, 0, stop)
        if first.kernel.position and first.kernel.stops_moved:
            break
        stop += 500
        assert stop < len(ticks)
    first.journal.close()
    second = live(tmp_path / "second.dfj", ticks, settings)
    second.recover(records_of(tmp_path / f"first{stop}.dfj"), int(ticks["recv_ns"][stop - 1]))
    for name in ("stop_price", "stop_local", "stops_moved", "position"):
        assert getattr(second.kernel, name) == getattr(first.kernel, name)
    assert second.kernel.size_explained() == first.kernel.size_explained()
    feed(second, ticks, stop, len(ticks))
    want, got = whole.so_far(), second.so_far()
    assert want is not None and got is not None and got.digest == want.digest
