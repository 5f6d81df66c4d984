"""What the router's rules do in a worker: volatility by bars, pacing of IOC, reasons kept."""

import math
import random
from typing import Any

import pytest

from dhanfast._core.execution.route import RouteWhy
from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast.engine.execution_settings import ExecutionSettings, checked_execution
from dhanfast.engine.route_settings import RouteSettings
from dhanfast.errors import ConfigError

from .worked import LOT, SECOND, WorkedOrder

MINUTE = 60 * SECOND
PERIOD = 14


def bar(open_: int, high: int, low: int, close: int) -> dict[str, int]:
    return {"open": open_, "high": high, "low": low, "close": close}


def plain_volatility(bars: list[tuple[dict[str, int], bool]], seconds: float) -> float:
    """Wilder's average of the true ranges; a session's first bar is measured from its open."""
    before, ranges = None, []
    for one, first in bars:
        if first and before is not None:
            before = one["open"]
        if before is not None:
            ranges.append(0.01 * (max(one["high"], before) - min(one["low"], before)))
        before = one["close"]
    if len(ranges) < PERIOD:
        return 0.0
    average = sum(ranges[:PERIOD]) / PERIOD
    for each in ranges[PERIOD:]:
        average = ((PERIOD - 1) * average + each) / PERIOD
    return average / math.sqrt(8 * seconds / math.pi)


def slices(**more: Any) -> WorkedOrder:
    rules = {"algo": Algo.SLICE, "horizon_ns": 60 * SECOND, "interval_ns": 10 * SECOND,
             "reprice_ns": SECOND, "urgency": 1}  # fmt: skip
    return WorkedOrder(**(rules | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
def test_volatility_is_that_of_a_plain_average_of_true_ranges(seed: int) -> None:
    rng, stand, price = random.Random(seed), slices(), 10_000
    seen: list[tuple[dict[str, int], bool]] = []
    for at in range(60):
        first = at % 20 == 0
        price += rng.choice([-2_000, 2_000]) if first else rng.randint(-30, 30)  # the night
        low, high = price - rng.randint(0, 40), price + rng.randint(0, 40)
        seen.append((bar(price, high, low, rng.randint(low, high)), first))
        price = seen[-1][0]["close"]
        stand.worker.on_signal_bar(seen[-1][0], MINUTE, first)
        assert stand.worker.volatility == pytest.approx(plain_volatility(seen, 60), rel=1e-9)
        assert (stand.worker.volatility > 0) == (at >= PERIOD)
    assert stand.worker.volatility < 0.2, "rupees a second, without the nights' 20 rupees"
    before = stand.worker.volatility
    stand.worker.start_session(stand.day)
    assert stand.worker.volatility == before, "a new day begins with what is known"


def test_bars_are_not_asked_for_where_nothing_counts_in_them() -> None:
    assert slices().worker.measures and not slices(route={"swing": 0}).worker.measures


@pytest.mark.parametrize(("swing_paise", "why"), [(200, "MID_SPREAD"), (400, "CROSS_VOLATILE")])
def test_a_market_that_moves_is_taken_at_once(swing_paise: int, why: str) -> None:
    """Spread 0.50: half is 0.25, four times that is 1 rupee in 5 s, or 0.447 in one; a minute's
    range of 4 rupees is 0.324 a second by the formula, of 8 it is 0.647."""
    stand = slices()
    for _ in range(PERIOD + 1):
        middle = 10_000
        stand.worker.on_signal_bar(
            bar(middle, middle + swing_paise, middle - swing_paise, middle), MINUTE
        )
    expected = 0.02 * swing_paise / math.sqrt(480 / math.pi)
    assert stand.worker.volatility == pytest.approx(expected)
    assert (expected > 1.0 / math.sqrt(5)) == (why == "CROSS_VOLATILE")
    stand.tick(1, bid=10_000, ask=10_050)
    stand.parent(2)
    stand.tick(2, bid=10_000, ask=10_050)
    assert (stand.filled() == 2 * LOT) == (why == "CROSS_VOLATILE")
    prices = [price for one in stand.worker.parents_now() for _, _, price in one["children"]]
    assert prices == ([] if why == "CROSS_VOLATILE" else [10_025])


@pytest.mark.parametrize("ioc", [False, True])
def test_children_that_are_immediate_or_cancel_keep_their_distance(ioc: bool) -> None:
    """One lot is offered a tick, ten ticks a second: a DAY limit stands there and takes each, IOC
    asks once an interval and never floods the broker."""
    stand = slices(urgency=2, route={"ioc": int(ioc)}, remainder=Remainder.CANCEL)
    stand.tick(1, bid=10_000, ask=10_005, qty=LOT)
    stand.parent(10)
    for tenth in range(11, 60):  # five seconds, the first of them the order's own
        stand.tick(tenth / 10, bid=10_000, ask=10_005, qty=LOT)
    if ioc:
        assert stand.worker.children_sent == 5 and stand.filled() == 5 * LOT
        assert len({time for time, _ in stand.fills()}) == 5
    else:
        assert stand.worker.children_sent == 1 and stand.filled() == 10 * LOT


def test_a_rule_out_of_range_is_named_as_it_is_written() -> None:
    for route, name in (
        (RouteSettings(share_e4=0), r"execution\.route\.fits \(1e-4\) must be .*, was 0"),
        (RouteSettings(future_e4=3_000), r"execution\.route\.future_protection \(1e-4\)"),
        (RouteSettings(patience_ns=0), r"execution\.route\.patience \(ns\) must be .*, was 0"),
        (RouteSettings(interval_ns=0), r"execution\.route\.interval \(ns\)"),
        (RouteSettings(swing=-1.0), r"execution\.route\.swing must be a number in 0\.\.1000"),
        (RouteSettings(slabs=((1, 1),)), r"execution\.route\.slabs must be four pairs"),
    ):
        for algo in ("none", "slice"):
            with pytest.raises(ConfigError, match=name):
                checked_execution(ExecutionSettings(algo=algo, route=route), 1)


def test_the_usual_rules_are_not_in_a_digest_and_others_are() -> None:
    usual = ExecutionSettings(algo="slice").as_dict()
    other = ExecutionSettings(algo="slice", route=RouteSettings(tight_ticks=3)).as_dict()
    assert "route" not in usual and other["route"]["tight_ticks"] == 3
    assert {key: other[key] for key in usual} == usual


def test_every_reason_has_a_name_in_reports() -> None:
    from dhanfast.reports.slippage import ROUTE_NAMES

    assert ROUTE_NAMES[0] == "unrouted" and ROUTE_NAMES[3] == "mid_spread"
    assert sorted(ROUTE_NAMES) == sorted(int(why) for why in RouteWhy)
