"""Watch: decides as what it watches, writes down every decision, keeps states where asked."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from dhanfast._core.strategy import Action
from dhanfast._core.watch import DECISION_DTYPE, Watch
from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.errors import StrategyError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
DOORS = ("momentum", "momentum-python", "momentum-cython")


@pytest.fixture(scope="module")
def bars() -> BarSet:
    return generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 19), seed=9)


def runner(door: str) -> Any:
    return find_strategy(door, {}).runner(lambda at_ns, text: None, MINUTE)


def written(strategy: Any, bars: BarSet) -> Any:
    settings = Settings(capital=10**10)
    engine = Engine(strategy, sessions_of(bars, settings, MINUTE), settings, interval_ns=MINUTE)
    engine.feed(bars.bars)
    return engine.finish(), engine.counters()


@pytest.mark.parametrize("door", DOORS)
def test_a_watched_run_is_the_run(door: str, bars: BarSet) -> None:
    plain, counted = written(runner(door), bars)
    watch = Watch(runner(door), len(bars.bars))
    watched, counted_too = written(watch, bars)
    for name in ("trades", "orders", "equity", "days", "passages"):
        assert getattr(plain, name).tobytes() == getattr(watched, name).tobytes()
    assert counted == counted_too
    rows = watch.decisions
    assert len(rows) == counted["bars"] and rows.dtype == DECISION_DTYPE
    assert np.array_equal(rows["start_ns"], bars.bars["start_ns"])
    assert int((rows["action"] != Action.HOLD).sum()) == counted["signals"]
    assert int(rows["session_start"].sum()) == len(plain.days)
    assert (rows["took_ns"] >= 0).all()


def test_all_doors_say_the_same_on_every_bar(bars: BarSet) -> None:
    said = []
    for door in DOORS:
        watch = Watch(runner(door), len(bars.bars))
        written(watch, bars)
        said.append([watch.decisions[name].tolist() for name in
                     ("position", "action", "stop", "target")])  # fmt: skip
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize("door", DOORS)
def test_flat_never_holds_and_wants_at_least_as_often(door: str, bars: BarSet) -> None:
    watch = Watch(runner(door), len(bars.bars), flat=True)
    result, counted = written(watch, bars)
    assert len(result.trades) == len(result.orders) == counted["signals"] == 0
    assert (watch.decisions["position"] == 0).all()
    held = Watch(runner(door), len(bars.bars))
    written(held, bars)
    entered = np.isin(held.decisions["action"], (Action.GO_LONG, Action.GO_SHORT))
    assert (watch.decisions["action"][entered] == held.decisions["action"][entered]).all()


def test_states_are_kept_on_the_probed_bars_alone(bars: BarSet) -> None:
    strategy = runner("momentum")
    starts = bars.bars["start_ns"][[50, 51, 300, 301, 900]]
    calls: list[int] = []

    def state() -> dict[str, float]:
        calls.append(1)
        return {"calls": float(len(calls))}

    probes = np.concatenate((starts[:1] - 7, starts))  # one that never comes
    watch = Watch(strategy, len(bars.bars), graph=strategy.graph, probes=probes, state_of=state)
    written(watch, bars)
    assert list(watch.states) == starts.tolist() and len(calls) == 5
    for number, (at, kept) in enumerate(watch.states.items()):
        row = bars.bars[bars.bars["start_ns"] == at][0]
        assert kept["close"] == row["close"] / 100 and kept["calls"] == number + 1
        assert "ema(close, 9)" in kept


def test_more_bars_than_room_stop_the_run(bars: BarSet) -> None:
    watch = Watch(runner("momentum"), 100)
    with pytest.raises(StrategyError, match="more than 100 bars came: give more room"):
        written(watch, bars)
    assert watch.count == watch.room == 100


def test_what_the_watched_and_the_state_raise_stops_the_run(bars: BarSet) -> None:
    def state() -> dict[str, float]:
        raise KeyError("no state")

    at = bars.bars["start_ns"][10:11]
    watch = Watch(runner("momentum"), 10_000, probes=at, state_of=state)
    with pytest.raises(StrategyError, match="no state"):
        written(watch, bars)
    assert watch.count == 11


def test_refusals() -> None:
    with pytest.raises(ValueError, match="room must be at least 1 bar, was 0"):
        Watch(runner("momentum"), 0)
    for probes in ([5, 5], [7, 3]):
        with pytest.raises(ValueError, match="ascending order, each once"):
            Watch(runner("momentum"), 10, probes=probes)
    with pytest.raises(TypeError):
        Watch(None, 10)  # type: ignore[arg-type]
