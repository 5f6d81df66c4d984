"""A live run on paper decides what the backtest on the same ticks decides, and repeats itself."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.engine.live import LiveRun
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.market.tickday import tick_day

DAY = dt.date(2026, 11, 20)


@pytest.fixture(scope="module")
def ticks() -> NDArray[Any]:
    """A generated day of the future, numbered 1 as its feed numbers it."""
    parts = [
        batch.ticks[batch.ticks["instrument"] == 1] for batch in tick_day("BANKNIFTY", DAY, seed=7)
    ]
    return np.concatenate(parts)


def journal_at(path: Path) -> Journal:
    header = JournalHeader(
        epoch=7, date=20261120, run="main", config_digest=bytes(32), created_ns=1, text="momentum"
    )
    return Journal(str(path), header)


def run_at(path: Path, ticks: NDArray[Any]) -> LiveRun:
    return LiveRun(
        "momentum",
        symbol="BANKNIFTY",
        journal=journal_at(path),
        instrument=1,
        first_ns=int(ticks["exch_ns"][0]),
    )


def records_of(path: Path) -> list[tuple[int, bytes]]:
    return [(kind, bytes(payload)) for kind, _, _, payload in JournalReader(str(path))]


@pytest.mark.parametrize("polled", [False, True])
def test_paper_decides_as_the_backtest(tmp_path: Path, ticks: NDArray[Any], polled: bool) -> None:
    alone = ticks.copy()
    alone["instrument"] = 0
    want = backtest_ticks("momentum", [alone], symbol="BANKNIFTY")
    run = run_at(tmp_path / "a.dfj", ticks)
    for at in range(len(ticks)):
        if polled:
            run.loop.poll(int(ticks["recv_ns"][at]))
        run.loop.take_ticks(ticks[at : at + 1], int(ticks["recv_ns"][at]))
    got = run.so_far()
    assert got is not None and len(want.trades) > 10
    assert got.orders.tobytes() == want.orders.tobytes()
    assert got.trades.tobytes() == want.trades.tobytes()


@pytest.mark.parametrize("cut", [0.1, 0.5, 1.0])
def test_a_journal_brings_the_engine_back(tmp_path: Path, ticks: NDArray[Any], cut: float) -> None:
    """Killed anywhere, the run that repeats the journal and goes on ends as if nothing had been."""
    whole, first = run_at(tmp_path / "whole.dfj", ticks), run_at(tmp_path / "first.dfj", ticks)
    stop = int(len(ticks) * cut)
    for run, count in ((whole, len(ticks)), (first, stop)):
        run.loop.command(Command.STOP_ENTRIES, int(ticks["recv_ns"][0]))
        for at in range(count):
            if at == 4000:
                run.loop.command(Command.RESUME, int(ticks["recv_ns"][at]))
            run.loop.take_ticks(ticks[at : at + 1], int(ticks["recv_ns"][at]))
    first.journal.close()
    second = run_at(tmp_path / "second.dfj", ticks)
    back = second.recover(records_of(tmp_path / "first.dfj"), int(ticks["recv_ns"][stop - 1]))
    assert back.records == first.loop.inputs and (back.unmet, back.open) == (0, 0)
    assert second.loop.gate_state == first.loop.gate_state
    for at in range(stop, len(ticks)):
        if at == 4000:
            second.loop.command(Command.RESUME, int(ticks["recv_ns"][at]))
        second.loop.take_ticks(ticks[at : at + 1], int(ticks["recv_ns"][at]))
    want, got = whole.so_far(), second.so_far()
    assert want is not None and got is not None
    assert got.digest == want.digest and len(want.trades) > 5
