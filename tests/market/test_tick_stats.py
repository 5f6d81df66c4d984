"""The statistics of generated ticks against stated targets, and those against the records.

scripts/generator-stats prints the same figures; docs/reference/generator.md shows them.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import TICK_DTYPE

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(scope="module")
def stats() -> ModuleType:
    path = SCRIPTS / "lib" / "tick_stats.py"
    spec = importlib.util.spec_from_file_location("tick_stats", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What the records show (mean over contracts or days) and the band for the mean of the generated.
TARGETS: dict[str, dict[str, tuple[float, float, float]]] = {
    "futures": {
        "gap_mean_s": (1.242, 1.10, 1.39), "gap_median_s": (1.185, 1.0, 1.35),
        "gap_spread": (1.215, 0.68, 1.73), "gap_p10": (0.526, 0.37, 0.80),
        "gap_p90": (1.126, 1.05, 1.50), "gap_p99": (4.73, 2.0, 9.0),
        "spread_ticks": (9.31, 4.1, 13.1), "spread_p10": (0.676, 0.58, 0.78),
        "spread_p90": (1.471, 1.25, 1.70), "spread_memory": (0.836, 0.68, 0.90),
        "trades": (0.0947, 0.061, 0.125), "traded_mean": (2.40, 1.9, 2.9),
        "traded_median": (1.0, 1.0, 1.4), "traded_p90": (5.60, 4.0, 7.0),
        "traded_p99": (13.2, 9.0, 17.0), "trade_at_bid": (0.349, 0.2, 0.48),
        "trade_at_ask": (0.277, 0.22, 0.40), "trade_inside": (0.176, 0.12, 0.27),
        "trade_near": (0.962, 0.91, 1.0), "shown_mean": (1.95, 1.55, 2.7),
        "shown_median": (1.25, 1.0, 2.0), "shown_p90": (3.75, 3.0, 5.0),
        "shown_p99": (8.5, 5.0, 14.0), "oi_steps_a_minute": (0.353, 0.26, 0.40),
        "oi_step_lots": (8.83, 3.0, 16.0),
    },
    "index": {
        "gap_mean_s": (0.247, 0.24, 0.26), "gap_median_s": (0.30, 0.25, 0.32),
        "gap_spread": (0.297, 0.25, 0.33), "gap_p10": (0.50, 0.45, 0.55),
        "gap_p90": (1.0, 0.95, 1.15), "gap_p99": (1.0, 0.95, 1.3),
    },
    "books": {
        "gap_mean_s": (5.66, 3.5, 7.0), "gap_spread": (0.685, 0.5, 1.1),
        "spread_ticks": (3.94, 3.0, 5.0), "spread_median": (3.5, 2.5, 4.5),
        "level_lots_mean": (17.3, 13.0, 23.0), "level_lots_median": (16.0, 12.0, 20.0),
        "hole_ticks_median": (1.0, 1.0, 2.0), "hole_ticks_p90": (3.0, 2.0, 4.5),
        "changes_mean": (2.53, 1.9, 3.5),
    },
    "chains": {
        "within_1": (0.304, 0.20, 0.37), "within_3": (0.556, 0.48, 0.62),
        "within_5": (0.689, 0.64, 0.76), "within_10": (0.872, 0.84, 0.94),
        "round_ratio": (2.78, 1.9, 3.7), "calls": (0.508, 0.46, 0.53),
        "skew": (-0.0556, -0.08, -0.035), "curvature": (0.0512, 0.043, 0.059),
    },
}  # fmt: skip


@pytest.mark.parametrize("group", sorted(TARGETS))
def test_generated_ticks_lie_in_the_stated_bands(stats: ModuleType, group: str) -> None:
    _, _, generated = stats.GROUPS[group]
    found = {name: mean for name, mean, _, _ in stats.spans(generated((1, 2, 3)))}
    for name, (_, low, high) in TARGETS[group].items():
        assert low <= found[name] <= high, f"{group}: {name} is {found[name]:.4g}"


@pytest.mark.data
@pytest.mark.parametrize("group", sorted(TARGETS))
def test_the_targets_are_those_of_the_records(
    stats: ModuleType, group: str, data_dir: Path
) -> None:
    _, recorded, _ = stats.GROUPS[group]
    found = {name: mean for name, mean, _, _ in stats.spans(recorded(data_dir))}
    for name, (target, low, high) in TARGETS[group].items():
        assert found[name] == pytest.approx(target, rel=0.01), name
        assert low <= target <= high, name


def test_statistics_of_a_stream_counted_by_hand(stats: ModuleType) -> None:
    """Five records: width 2, 2, 4, 2, 2 ticks; trades of 1 and 3 lots at the bid and inside."""
    rows: list[Any] = [
        # recv s, price, bid, ask, volume, bid and ask lots, oi lots
        (0, 100, 100, 110, 10, 1, 3, 7), (1, 0, 100, 110, 10, 1, 3, 7),
        (3, 100, 95, 115, 20, 2, 3, 7), (4, 105, 105, 115, 50, 2, 1, 9),
        (10, 0, 105, 115, 50, 4, 4, 9),
    ]  # fmt: skip
    ticks = np.zeros(5, TICK_DTYPE)
    for tick, (at, price, bid, ask, volume, bid_lots, ask_lots, oi) in zip(
        ticks, rows, strict=True
    ):
        tick["recv_ns"], tick["price"], tick["bid"], tick["ask"] = at * 10**9, price, bid, ask
        tick["volume"], tick["oi"] = volume, 10 * oi
        tick["bid_qty"], tick["ask_qty"] = 10 * bid_lots, 10 * ask_lots
    found = stats.contract_stats(ticks, 5, 10)
    assert found["gap_mean_s"] == 2.5 and found["gap_median_s"] == 1.5
    assert found["spread_ticks"] == 2.4 and found["quote_moves"] == 0.5
    assert found["trades"] == 0.5 and found["traded_mean"] == 2.0
    assert found["trade_at_bid"] == 0.5 and found["trade_inside"] == 0.5
    assert found["trade_at_ask"] == 0.0 and found["trade_near"] == 1.0
    assert found["shown_mean"] == 2.4 and found["shown_median"] == 2.5
    assert found["oi_steps_a_minute"] == 6.0 and found["oi_step_lots"] == 2.0


def test_books_are_replayed_and_counted_by_hand(stats: ModuleType) -> None:
    from dhanfast._core.types import DEPTH_DTYPE

    rows = np.zeros(7, DEPTH_DTYPE)
    rows["recv_ns"] = [0, 0, 0, 0, 5, 5, 5]
    rows["price"] = [100, 90, 110, 120, 100, 95, 110]
    rows["qty"] = [10, 20, 30, 40, 0, 50, 60]
    rows["side"] = [1, 1, -1, -1, 1, 1, -1]
    rows["flags"] = [2, 2, 2, 3, 0, 0, 1]
    times, books = stats.replay_books(rows, 5, 10)
    assert times.tolist() == [0, 5]
    assert books[0] == ([(20, 1), (18, 2)], [(22, 3), (24, 4)])
    assert books[1] == ([(19, 5), (18, 2)], [(22, 6), (24, 4)])
    found = stats.book_stats(np.array([0, 5, 10]) * 10**9, [*books, books[1]])
    assert found["changes_mean"] == 1.5  # three levels differ, then none
    assert found["spread_ticks"] == pytest.approx(8 / 3)


def test_implied_volatility_comes_back(stats: ModuleType) -> None:
    for strike, call in ((5.2e4, True), (4.9e4, False)):
        price = stats.premium_of(5e4, strike, 0.07, call)
        assert stats.deviation_of(price, 5e4, strike, call) == pytest.approx(0.07, rel=1e-6)


def test_the_script_prints_tables_and_json(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        answer = subprocess.run(
            [sys.executable, str(SCRIPTS / "generator-stats"), "--group", "index", *words],
            capture_output=True, text=True, check=True, timeout=120,
            env=os.environ | {"DHANFAST_DATA": str(tmp_path / "nowhere")},
        )  # fmt: skip
        assert "set DHANFAST_DATA" in answer.stderr
        return answer.stdout

    assert "| gap_mean_s | | | 0.25 |" in run()
    found = json.loads(run("--json"))
    assert found["index"]["recorded"] is None and len(found["index"]["generated"]) == 4
