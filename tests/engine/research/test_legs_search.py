"""Searches over a legs file: a trial is the backtest, shared days are the source's, refusals."""

import datetime as dt
import os
import pickle
import signal
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.chainday import ChainDay
from dhanfast.app.research_legs import LegsFile
from dhanfast.engine.chain_source import ModelledChains
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.premium_model import Volatilities
from dhanfast.engine.research.chain_shelf import Shelf, ShelvedChains
from dhanfast.engine.research.legs_job import prepared_legs
from dhanfast.engine.research.pool import Ask, Processes
from dhanfast.engine.research.prepare import Prepared
from dhanfast.engine.research.search import Engines, optimize
from dhanfast.engine.research.shared import holding
from dhanfast.engine.research.trial import Span
from dhanfast.engine.research.walk import walk_forward
from dhanfast.engine.research.windows import Plan
from dhanfast.engine.settings import Settings
from dhanfast.errors import ConfigError, UsageError
from dhanfast.reports import metrics
from dhanfast.strategies.structures import structure_of
from tests.engine import test_legs_stocks as stocks

FIRST, LAST = dt.date(2022, 4, 4), dt.date(2022, 4, 22)
RICH = Settings(capital=10**11)
TREE: dict[str, Any] = {
    "name": "straddle",
    "underlying": "BANKNIFTY",
    "entry": "{entry}",
    "stop": "{whole}%",
    "parameter": {
        "entry": {"default": "09:30", "choices": ["09:30", "10:30"]},
        "stop": {"default": 30.0, "low": 5, "high": 500, "search": [10, 50, 20]},
        "whole": {"default": 25.0, "low": 1, "high": 500},
        "expiry": {"default": "nearest", "choices": ["nearest", "monthly"]},
    },
    "leg": [
        {"side": "sell", "right": right, "strike": "atm", "stop": "{stop}%", "expiry": "{expiry}"}
        for right in ("CE", "PE")
    ],
}
RANGES = ["stop=10..50:20", "entry=09:30,10:30"]


def closes(level: float, swing: float) -> dict[dt.date, float]:
    days = [dt.date(2022, 1, 3) + dt.timedelta(days=away) for away in range(120)]
    return {day: level * (1 + swing * (at % 2)) for at, day in enumerate(days)}


def source(last: dt.date = LAST) -> ModelledChains:
    vix = dict.fromkeys(closes(1, 0), 20.0)
    told = Volatilities("BANKNIFTY", vix, closes(35_000, 0.012), closes(17_000, 0.010))
    index = generated_bars("BANKNIFTY", FIRST, last, seed=4, kind="IDX")
    return ModelledChains(index, told, ("nearest",), 20)


def legs_file(**more: Any) -> LegsFile:
    return LegsFile(structure_of(TREE | more), "straddle")


@cache
def made() -> Prepared:
    file = legs_file()
    return prepared_legs(file, file.structure.params, source(), sha256="a", settings=RICH)


def run(params: Mapping[str, object], last: dt.date = LAST) -> Any:
    return backtest_legs(legs_file()(params), source(last), RICH)


def test_a_trial_is_the_backtest_to_the_paisa() -> None:
    bench = made().job.bench()
    nets = set()
    for params in ({"stop": 10.0}, {"stop": 50.0, "entry": "10:30"}, {"whole": 5.0}):
        row = bench.trial(1, dict(params), made().whole)
        result = run(params)
        assert np.array_equal(row.daily, metrics.daily_pnl(result))
        assert (row.net, row.trades) == (row.daily.sum(), len(result.trades))
        assert row.drawdown == metrics.deepest(result)[1]
        nets.add(row.net)
    assert len(nets) == 3


def test_the_first_days_are_the_backtest_of_these() -> None:
    row = made().job.bench().trial(1, {"stop": 10.0}, (Span(0, 4),))
    result = run({"stop": 10.0}, dt.date(2022, 4, 7))
    assert np.array_equal(row.daily, metrics.daily_pnl(result))
    assert len(row.daily) == 4


def test_days_of_the_shelf_are_the_days_of_the_source() -> None:
    shelf = Shelf(source())
    shelved = ShelvedChains(shelf.rows)
    theirs = list(source().days(lambda: []))
    mine = list(shelved.days(lambda: []))
    assert len(mine) == len(theirs) == len(shelf.dates) > 10
    for one, other in zip(mine, theirs, strict=True):
        assert (one.on, one.expiries, one.slots) == (other.on, other.expiries, other.slots)
        got, expected = one.chain.parts(), other.chain.parts()
        for name in expected:
            assert np.array_equal(got[name], expected[name]), name
        assert np.shares_memory(got["prices"][0], shelf.rows)  # no copy
        again = ChainDay(**expected).parts()
        assert again["listed"] is expected["listed"]
    assert mine[0] is next(iter(shelved.days(lambda: [])))


def test_one_process_two_and_a_killed_one_give_one_digest() -> None:
    found = [optimize(made(), ranges=RANGES, engines=Engines(jobs=jobs)) for jobs in (1, 2)]
    assert len({one.digest for one in found}) == 1
    assert found[0].head["grade"] == "modelled"
    assert "Grade modelled" in found[0].notes[0]
    assert found[0].deflated is not None and found[0].overfitting is not None
    asks = [Ask(row.number, row.params, made().whole) for row in found[0].rows]
    killed = False
    with holding(made().arrays), Processes(made().job, 2) as pool:
        rows = {}
        for place, row in pool.rows(asks):
            rows[place] = row.as_dict()
            if not killed:
                os.kill(pool.pids[1], signal.SIGKILL)
                killed = True
    assert [rows[at] for at in range(len(asks))] == [row.as_dict() for row in found[0].rows]


def test_the_job_is_small_and_the_same_every_time() -> None:
    raw = pickle.dumps(made().job)
    assert len(raw) < 10_000  # it goes with every message to a cluster
    file = legs_file()
    again = prepared_legs(file, file.structure.params, source(), sha256="a", settings=RICH)
    assert again.head == made().head
    assert again.job.held == made().job.held


def test_a_walk_forward_of_legs() -> None:
    plan = Plan(kind="rolling", train=6, test=3, windows=2, warmup=2)
    found = [walk_forward(made(), plan, ranges=RANGES, method="grid", engines=Engines(jobs=jobs))
             for jobs in (1, 2)]  # fmt: skip
    assert len({one.digest for one in found}) == 1
    assert found[0].stitched.grade == "modelled"
    assert "Grade modelled" in " ".join(found[0].stitched.notes)
    assert len(found[0].stitched.days) == 6
    used = set(found[0].stitched.trades["instrument"].tolist())
    assert used <= set(found[0].stitched.contracts)


def test_recorded_snapshots_of_a_stock_keep_their_lot_and_grade(tmp_path: Path) -> None:
    path = stocks.chains(tmp_path, stocks.DAY_ROWS)
    file = LegsFile(structure_of({
        "underlying": "HDFCBANK", "lot": stocks.LOT, "entry": "09:30", "exit": "15:00",
        "parameter": {"stop": {"default": 50.0, "low": 5, "high": 90}},
        "leg": [{"side": "sell", "right": "CE", "strike": "atm", "stop": "{stop}%"}],
    }), "stock")  # fmt: skip
    search = prepared_legs(file, file.structure.params, stocks.source(path), sha256="a")
    assert (search.head["grade"], search.data["grade"]) == ("recorded", "recorded")
    once = search.job.bench().result({"stop": 50.0}, search.whole)
    plain_run = backtest_legs(file({"stop": 50.0}), stocks.source(path))
    assert once.trades.tobytes() == plain_run.trades.tobytes()
    assert int(once.trades["qty"][0]) == stocks.LOT
    size = search.arrays[0].nbytes
    assert size < 200_000  # four prices of a snapshot are one table
    with pytest.raises(ConfigError, match="lot: the legs have 550 units"):
        prepared_legs(file, file.structure.params, stocks.source(path, 1100), sha256="a")


def test_what_a_search_of_legs_does_not_run_is_refused() -> None:
    def prepare(file: LegsFile, **more: Any) -> Prepared:
        given = {"sha256": "a"} | more
        return prepared_legs(file, file.structure.params, source(dt.date(2022, 4, 5)), **given)

    with pytest.raises(UsageError, match="follows momentum"):
        prepare(legs_file(signals="momentum", leg=[leg | {"when": "long"} for leg in TREE["leg"]]))
    with pytest.raises(UsageError, match="does not run a structure that is hedged"):
        prepare(legs_file(hedge={"band": "1lot"}))
    with pytest.raises(UsageError, match='hold with hold = "day"'):
        prepare(legs_file(hold="expiry", exit="settlement"))
    with pytest.raises(ConfigError, match="the legs are of NIFTY, the data of BANKNIFTY"):
        prepare(legs_file(underlying="NIFTY"))
    with pytest.raises(UsageError, match="stop must be in"):
        prepare(legs_file(), params={"stop": 900})
    with pytest.raises(UsageError, match="stap"):
        prepare(legs_file(), params={"stap": 9})
    with pytest.raises(ConfigError, match="lots: a legs run does not follow it"):
        prepare(legs_file(), settings=Settings(lots=2))
    with pytest.raises(UsageError, match="objective"):
        prepare(legs_file(), objective="luck")
    row = made().job.bench().trial(0, {"expiry": "monthly"}, made().whole)
    assert "leave expiries out of the search" in row.refused
    with pytest.raises(UsageError, match="stop"):
        optimize(made(), ranges=["stap=1..2:1"])
