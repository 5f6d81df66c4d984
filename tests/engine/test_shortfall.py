"""The shortfall study on a few parents: its market, its sums, and what each way may not do."""

import importlib.util
import math
import sys
from datetime import date
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dhanfast._core.types import TICK_DTYPE

LIB = Path(__file__).resolve().parents[2] / "scripts" / "lib" / "shortfall.py"
DAY = date(2025, 11, 17)
S = 1_000_000_000


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


def test_the_book_after_each_record_has_its_quote_in_front(
    lib: ModuleType,
    contract,  # type: ignore[no-untyped-def]
) -> None:
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
    for parent in lib.parents_of(contract, 12, 3):
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
    for parent in lib.parents_of(contract, 6, 5):
        for way in lib.WAYS:
            outcome = lib.executed(way, parent)
            assert outcome == lib.executed(way, parent)  # the same every time
            assert 0 <= outcome.filled <= parent.qty
            assert (outcome.missed != 0) <= (outcome.filled < parent.qty)
            if way.name != "passive":
                assert outcome.filled == parent.qty, way.name


def test_the_bars_that_measure_volatility_are_those_of_a_plain_loop(lib: ModuleType) -> None:
    rows = np.zeros(6, TICK_DTYPE)
    rows["recv_ns"] = [10, 30 * S, 59 * S, 60 * S, 200 * S, 210 * S]
    rows["bid"] = [100, 0, 90, 110, 120, 119]
    rows["ask"] = [103, 104, 94, 110, 122, 120]
    bars = lib.bars_of(rows, lib.MINUTE)
    # Middles, rounded down: 101, none (one side only), 92 | 110 | 121, 119.
    assert bars["start_ns"].tolist() == [0, 60 * S, 180 * S]
    fields = [[row[name] for name in ("open", "high", "low", "close")] for row in bars]
    assert fields == [[101, 101, 92, 92], [110] * 4, [121, 121, 119, 119]]


def test_only_what_was_known_measures_volatility(
    lib: ModuleType,
    contract,  # type: ignore[no-untyped-def]
) -> None:
    """The mean true range of the 14 bars before, by hand, for the first parent."""
    parent = lib.parents_of(contract, 5, 9)[0]
    floor = lib._Floor(next(way for way in lib.WAYS if way.name == "smart"), parent)
    now = int(contract.ticks["recv_ns"][parent.at])
    past = [bar for bar in contract.bars if int(bar["start_ns"]) + lib.MINUTE <= now]
    past = past[-lib.SWING_BARS :]
    ranges = [
        0.01 * (max(int(bar["high"]), int(before["close"]))
                - min(int(bar["low"]), int(before["close"])))
        for before, bar in pairwise(past)
    ]  # fmt: skip
    average = sum(ranges[:14]) / 14
    for each in ranges[14:]:
        average = (13 * average + each) / 14
    assert floor.worker.volatility == pytest.approx(average / math.sqrt(8 * 60 / math.pi))
    assert floor.worker.volatility > 0.1


def test_the_summary_is_that_of_numbers_worked_out_by_hand(lib: ModuleType) -> None:
    # Mid 100.00: 1 rupee lost on 10 units is 100 bps; 3 on 10 is 300, of them 200 missed.
    one = lib.Outcome(20_000, 10, 10, 2_000, 0, 1, 1.0)
    two = lib.Outcome(20_000, 10, 5, 6_000, 4_000, 3, 3.0)
    found = lib.summary([one, two], [two, two])
    assert (found["bps_mean"], found["bps_median"], found["bps_p95"]) == (200, 200, 290)
    assert (found["points_mean"], found["rupees_mean"]) == (2, 20)
    assert (found["filled"], found["whole"], found["missed_bps"]) == (0.75, 0.5, 100)
    assert (found["saved_bps_mean"], found["orders"]) == (100, 2)
    # Two values 200 apart: deviation 141.42, by the root of two: 100. Rupees 20 apart: 10.
    for name, error in (("bps", 100), ("saved_bps", 100), ("points", 1), ("rupees", 10)):
        assert found[f"{name}_se"] == pytest.approx(error)
    assert found["brokerage_rupees"] == pytest.approx(47.2)
    assert (found["seconds_mean"], found["seconds_median"]) == (2, 2)


def test_a_study_gives_every_way_the_same_parents(lib: ModuleType) -> None:
    """Two markets, six parents: twice the same; and the naive way saves nothing on itself."""
    first, again = (lib.study("CE", 6, 2) for _ in range(2))
    assert first == again and list(first) == [way.name for way in lib.WAYS]
    assert {figures["parents"] for figures in first.values()} == {6}
    assert first["market"]["saved_bps_mean"] == first["market"]["saved_bps_se"] == 0
    for figures in first.values():
        saved = first["market"]["bps_mean"] - figures["bps_mean"]
        assert figures["saved_bps_mean"] == pytest.approx(saved)


# ---- a recording --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(lib: ModuleType) -> ModuleType:
    """The recorded market's module, which imports the study by its own name."""
    path = LIB.with_name("shortfall_recorded.py")
    spec = importlib.util.spec_from_file_location("shortfall_recorded_study", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shortfall"] = lib
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules["shortfall"]
    return module


def recording(path: Path, rows: list[tuple[int, str, str, float, float, int, int]]) -> Path:
    """Rows of (seconds, event, side, price, quantity, update, update before) as a file."""
    pa = pytest.importorskip("pyarrow")
    names = ("ts", "event", "side", "price", "qty", "update_id", "prev_update_id")
    table = {
        name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    table["ts"] = [seconds * S for seconds in table["ts"]]
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(table), path)
    return path


ROWS: list[tuple[int, str, str, float, float, int, int]] = [
    (1, "depth", "B", 99.0, 7.0, 5, 4),  # before the snapshot's number: not counted
    (1, "depth", "B", 99.9, 0.0, 12, 10),  # after it, though earlier in the file
    (2, "snapshot", "B", 99.9, 1.0, 10, 0),
    (2, "snapshot", "B", 99.8, 2.0, 10, 0),
    (2, "snapshot", "S", 100.1, 3.0, 10, 0),
    (3, "trade", "B", 100.1, 0.5, 0, 0),
    (4, "depth", "S", 100.1, 2.5, 13, 12),
    (4, "depth", "B", 100.0, 4.0, 13, 12),
    (3, "depth", "B", 100.0, 5.0, 14, 13),  # a clock that falls back stands still
]


def test_a_recording_is_its_rows_one_by_one(recorded: ModuleType, tmp_path: Path) -> None:
    contract = recorded.recorded_contract(recording(tmp_path / "l2.parquet", ROWS))
    ticks = contract.ticks
    # The trade meets the snapshot less the level that a later change has taken away; the message
    # of two rows is one record.
    assert ticks["recv_ns"].tolist() == [3 * S, 4 * S, 4 * S]
    assert ticks["price"].tolist() == [10_010, 0, 0] and ticks["qty"].tolist() == [500, 0, 0]
    assert ticks["volume"].tolist() == [500, 500, 500]
    assert [book.tolist() for book in contract.bids] == [
        [[9_980, 2_000]], [[10_000, 4_000], [9_980, 2_000]], [[10_000, 5_000], [9_980, 2_000]],
    ]  # fmt: skip
    assert [book.tolist() for book in contract.asks] == [
        [[10_010, 3_000]], [[10_010, 2_500]], [[10_010, 2_500]],
    ]  # fmt: skip
    assert ticks["bid"].tolist() == [9_980, 10_000, 10_000]
    assert ticks["ask_qty"].tolist() == [3_000, 2_500, 2_500]


def test_a_recording_with_a_hole_is_refused(recorded: ModuleType, tmp_path: Path) -> None:
    hole = [row for row in ROWS if row[5] != 13]
    with pytest.raises(ValueError, match="messages of the depth are missing"):
        recorded.recorded_contract(recording(tmp_path / "hole.parquet", hole))
    blind = [row for row in ROWS if row[1] != "snapshot"]
    with pytest.raises(ValueError, match="has no snapshot"):
        recorded.recorded_contract(recording(tmp_path / "blind.parquet", blind))
