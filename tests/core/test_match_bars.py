"""The sim exchange on bars: each test is one law, with the figures worked by hand."""

from typing import Any

import pytest

from .match_floor import FILLED, MARKET, MINUTE, OPEN, SL, SLM, Floor

# ---- bars ----

BarCase = tuple[dict[str, Any], tuple[int, int, int, int], dict[str, Any], list[tuple[int, ...]]]
BAR_CASES: list[BarCase] = [
    # rules, bar (open, high, low, close), order, fills as (price, minute offset in ns)
    ({"slippage": 3}, (10_000, 10_050, 9_950, 10_020), {"kind": MARKET}, [(10_005, 0)]),
    ({"slippage": 3}, (10_000, 10_050, 9_950, 10_020), {"kind": MARKET, "side": -1}, [(9_995, 0)]),
    ({"slippage_e6": 1_000}, (10_000, 10_050, 9_950, 10_020), {"kind": MARKET}, [(10_010, 0)]),
    # Slippage beyond the protection: never worse than the limit.
    ({"slippage": 300, "protection_e4": 100}, (10_000, 10_050, 9_950, 10_020), {"kind": MARKET},
     [(10_100, 0)]),
    # A limit: at the open when marketable, at the limit on touch, not at all.
    ({}, (10_000, 10_050, 9_950, 10_020), {"price": 10_010}, [(10_000, 0)]),
    ({}, (10_000, 10_050, 9_950, 10_020), {"price": 9_950}, [(9_950, MINUTE - 1)]),
    ({"limit_through": True}, (10_000, 10_050, 9_950, 10_020), {"price": 9_950}, []),
    ({"limit_through": True}, (10_000, 10_050, 9_949, 10_020), {"price": 9_950},
     [(9_950, MINUTE - 1)]),
    ({}, (10_000, 10_050, 9_950, 10_020), {"price": 9_945}, []),
    # A stop: at its trigger, at the open after a gap, always slipped.
    ({"slippage": 5}, (10_000, 10_050, 9_950, 10_020), {"kind": SLM, "trigger": 10_030},
     [(10_035, MINUTE - 1)]),
    ({"slippage": 5}, (10_100, 10_150, 10_050, 10_120), {"kind": SLM, "trigger": 10_030},
     [(10_105, 0)]),
    ({"slippage": 5}, (9_900, 9_950, 9_850, 9_920), {"kind": SLM, "trigger": 9_950, "side": -1},
     [(9_895, 0)]),
    ({}, (10_000, 10_050, 9_950, 10_020), {"kind": SLM, "trigger": 10_055}, []),
    # A stop-limit: never beyond its limit; after a gap it rests, and fills if the price comes back.
    ({"slippage": 20}, (10_000, 10_050, 9_950, 10_020),
     {"kind": SL, "trigger": 10_030, "price": 10_040}, [(10_040, MINUTE - 1)]),
    ({}, (10_100, 10_150, 10_050, 10_120), {"kind": SL, "trigger": 10_030, "price": 10_040}, []),
    ({}, (10_100, 10_150, 10_030, 10_120), {"kind": SL, "trigger": 10_030, "price": 10_040},
     [(10_040, MINUTE - 1)]),
    # Prices off the tick are rounded against the order.
    ({}, (10_001, 10_050, 9_950, 10_020), {"kind": MARKET}, [(10_005, 0)]),
    ({}, (10_001, 10_050, 9_950, 10_020), {"kind": MARKET, "side": -1}, [(10_000, 0)]),
    # A quarter into the bar: a quarter of the way to the worst price, then the tick, then slippage.
    ({"latency_ns": MINUTE // 4, "slippage": 5}, (10_000, 10_050, 9_950, 10_020),
     {"kind": MARKET}, [(10_020, MINUTE // 4)]),
    ({"latency_ns": MINUTE // 4}, (10_000, 10_050, 9_960, 10_020),
     {"kind": MARKET, "side": -1}, [(9_990, MINUTE // 4)]),
    # Active inside the bar: a limit needs the close, a stop has the whole range.
    ({"latency_ns": 1}, (10_000, 10_050, 9_950, 10_020), {"price": 9_960}, []),
    ({"latency_ns": 1}, (10_000, 10_050, 9_950, 9_955), {"price": 9_960}, [(9_960, MINUTE - 1)]),
    ({"latency_ns": 1}, (10_000, 10_050, 9_950, 10_020), {"kind": SLM, "trigger": 10_050},
     [(10_050, MINUTE - 1)]),
    ({"latency_ns": 1}, (10_000, 10_050, 9_950, 9_955), {"price": 10_300}, [(10_050, MINUTE - 1)]),
    # An IOC inside the bar meets the price of its moment or expires.
    ({"latency_ns": MINUTE // 2}, (10_000, 10_050, 9_950, 9_955),
     {"price": 10_025, "validity": 1}, [(10_025, MINUTE // 2)]),
    ({"latency_ns": MINUTE // 2}, (10_000, 10_050, 9_950, 9_955),
     {"price": 10_020, "validity": 1}, []),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "bar", "order", "want"), BAR_CASES)
def test_bars_fill_by_the_stated_rules(
    rules: dict[str, Any],
    bar: tuple[int, int, int, int],
    order: dict[str, Any],
    want: list[tuple[int, ...]],
) -> None:
    floor = Floor(stop_market_ok=True, **rules)
    floor.send(**{"side": 1, "qty": 10, "now": OPEN + MINUTE} | order)
    floor.bar(1, bar)
    fills = [(int(r["price"]), int(r["time_ns"]) - OPEN - MINUTE)
             for r in floor.match.reports() if r["kind"] == FILLED]  # fmt: skip
    assert fills == want


def test_of_a_group_the_stop_comes_first_when_a_bar_reaches_both() -> None:
    floor = Floor(stop_market_ok=True)
    target = floor.send(-1, 10, 10_040, group=1)
    stop = floor.send(-1, 10, kind=SLM, trigger=9_960, group=1)
    floor.bar(0, (10_000, 10_050, 9_950, 10_020))
    assert [said[:3] for said in floor.said()[2:]] == [
        (stop, "TRIGGERED", 0), (stop, "FILLED", 9_960), (target, "CANCELLED", 0),
    ]  # fmt: skip


def test_between_open_and_range_the_caller_may_protect_a_new_position() -> None:
    floor = Floor(stop_market_ok=True)
    floor.send(1, 10, kind=MARKET)
    prices = (10_000, 10_050, 9_950, 10_020)
    floor.bar(0, prices, part="open")
    assert floor.fills() == [(1, 10_000, 10)]
    floor.send(-1, 10, kind=SLM, trigger=9_960, group=1)
    floor.send(-1, 10, 10_040, group=1)
    floor.bar(0, prices, part="range")
    assert floor.fills() == [(2, 9_960, 10)]


def test_a_cancel_due_inside_a_bar_is_exposed_to_the_open_only() -> None:
    for opens, said in ((10_000, "CANCELLED"), (9_950, "FILLED")):
        floor = Floor(latency_ns=50)
        floor.send(1, 10, 9_960, now=OPEN)
        floor.bar(0, (10_000, 10_050, 9_990, 10_020))
        floor.match.cancel_order(1, OPEN + MINUTE)
        floor.bar(1, (opens, 10_050, 9_950, 10_020))
        assert floor.said()[1][1] == said


def test_an_order_takes_only_its_share_of_a_bars_volume() -> None:
    floor = Floor(volume_share_e4=1_000)
    floor.send(1, 50, kind=MARKET)
    for minute, volume in enumerate((250, 50, 100, 0)):  # 20 (whole lots), 0, 10, unknown: the rest
        floor.bar(minute, (10_000 + minute * 5, 10_050, 9_950, 10_020), volume=volume)
    assert floor.fills() == [(1, 10_000, 20), (1, 10_010, 10), (1, 10_015, 20)]


def test_quiet_bands_are_exact() -> None:
    floor = Floor(stop_market_ok=True)
    assert floor.match.quiet_band(0) == (-(2**63), 2**63 - 1)
    floor.send(1, 10, 9_900)
    floor.send(-1, 10, 10_200)
    floor.send(-1, 10, kind=SLM, trigger=9_950)
    floor.send(1, 10, kind=SLM, trigger=10_150)
    assert floor.match.quiet_band(0) == (9_950, 10_150)
    touch = Floor()
    touch.send(1, 10, 9_900)
    touch.send(-1, 10, 10_200)
    assert touch.match.quiet_band(0) == (9_900, 10_200)
    through = Floor(limit_through=True)
    through.send(1, 10, 9_900)
    through.send(-1, 10, 10_200)
    assert through.match.quiet_band(0) == (9_899, 10_201)
