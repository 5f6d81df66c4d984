"""The shortfall study on a few parents: its market, its sums, and what each way may not do."""

import importlib.util
import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

LIB = Path(__file__).resolve().parents[2] / "scripts" / "lib" / "shortfall.py"
DAY = date(2025, 11, 17)


@pytest.fixture(scope="module")
def lib() -> ModuleType:
    spec = importlib.util.spec_from_file_location("shortfall_study", LIB)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def contract(lib: ModuleType):  # type: ignore[no-untyped-def]
    return lib.contract_of("BANKNIFTY", DAY, 1, "CE")


def test_the_book_after_each_record_has_its_quote_in_front(lib: ModuleType, contract) -> None:  # type: ignore[no-untyped-def]
    ticks = contract.ticks
    assert len(ticks) == len(contract.bids) == len(contract.asks) > 1000
    for at in range(0, len(ticks), 97):
        bids, asks = contract.bids[at], contract.asks[at]
        assert (bids[0, 0], bids[0, 1]) == (ticks["bid"][at], ticks["bid_qty"][at])
        assert (asks[0, 0], asks[0, 1]) == (ticks["ask"][at], ticks["ask_qty"][at])
        assert (np.diff(bids[:, 0]) < 0).all() and (np.diff(asks[:, 0]) > 0).all()
        assert bids[0, 0] < asks[0, 0] and len(asks) <= lib.LEVELS


def test_a_market_order_walks_the_book_that_stands_when_it_arrives(
    lib: ModuleType,
    contract,  # type: ignore[no-untyped-def]
) -> None:
    """By hand: the levels of the first record after its latency, best first."""
    clock = contract.ticks["recv_ns"]
    checked = 0
    for parent in lib.parents_of(contract, 12, 3, 600):
        arrives = int(clock[parent.at]) + lib.LATENCY_NS
        at = int(np.searchsorted(clock, arrives))
        far = contract.asks[at] if parent.side > 0 else contract.bids[at]
        left, value = parent.qty, 0
        for price, qty in far.tolist():
            take = min(left, qty // contract.lot * contract.lot)
            left, value = left - take, value + take * price
        if left:
            continue
        outcome = lib.executed(lib.WAYS[0], parent)
        mid2 = int(contract.bids[parent.at][0, 0] + contract.asks[parent.at][0, 0])
        assert (outcome.filled, outcome.missed, outcome.orders) == (parent.qty, 0, 1)
        assert outcome.cost == parent.side * (2 * value - parent.qty * mid2)
        checked += 1
    assert checked >= 8


def test_every_way_fills_no_more_than_asked_and_counts_what_it_missed(
    lib: ModuleType,
    contract,  # type: ignore[no-untyped-def]
) -> None:
    for parent in lib.parents_of(contract, 6, 5, 600):
        for way in lib.WAYS:
            outcome = lib.executed(way, parent)
            assert outcome == lib.executed(way, parent)  # the same every time
            assert 0 <= outcome.filled <= parent.qty
            assert (outcome.missed != 0) <= (outcome.filled < parent.qty)
            if way.name != "passive":
                assert outcome.filled == parent.qty, way.name


def test_the_summary_is_that_of_numbers_worked_out_by_hand(lib: ModuleType) -> None:
    # Mid 100.00: 1 rupee lost on 10 units is 100 bps; 3 on 10 is 300, of them 200 missed.
    one = lib.Outcome(20_000, 10, 10, 2_000, 0, 1, 1.0)
    two = lib.Outcome(20_000, 10, 5, 6_000, 4_000, 3, 3.0)
    found = lib.summary([one, two], [two, two])
    assert found["mean_bps"] == 200 and found["median_bps"] == 200 and found["p95_bps"] == 290
    assert found["mean_points"] == 2 and found["mean_rupees"] == 20
    assert found["fill_ratio"] == 0.75 and found["missed_bps"] == 100
    assert found["saved_bps"] == 100 and found["orders"] == 2
    # Two values 200 apart: standard deviation 141.42, standard error 100, 1.96 of them.
    assert found["mean_bps_ci"] == pytest.approx(196) and found["saved_bps_ci"] == pytest.approx(
        196
    )
    assert found["brokerage_rupees"] == pytest.approx(47.2) and found["seconds"] == 2
