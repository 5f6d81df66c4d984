"""Runs taken apart and beside each other: the figures are those of the metrics, on 80 columns."""

import json
from collections.abc import Callable

import pytest

from dhanfast.reports import extremes, groups, metrics
from dhanfast.reports.analysis import TITLES, analysis_dict, analysis_text
from dhanfast.reports.figures import percent, rupees
from dhanfast.reports.html_parts import POINTS_MAX, excursion_part, expiry_part, heat_part
from dhanfast.reports.result import RunResult
from dhanfast.reports.side_by_side import FIGURES, figures_of, side_by_side
from dhanfast.reports.summary import summary


def test_every_table_is_printed_and_fits(result: RunResult) -> None:
    tables = {"exit": groups.by_exit_reason(result), "expiry": groups.by_expiry(result),
              "hour": groups.by_hour(result), "entry": groups.by_entry_reason(result)}  # fmt: skip
    text = analysis_text(result, tables, months=True)
    assert max(map(len, text.splitlines())) <= 80
    for name, rows in tables.items():
        assert f"{TITLES[name]} (net of charges)" in text
        for row in rows:
            assert rupees(row.net) in text
    assert "BY MONTH" in text and "DEEPEST FALLS" in text and "HOW FAR TRADES WENT" in text
    for fall in extremes.falls(result):
        assert rupees(-fall.amount) in text


def test_without_trades_it_says_so_and_fits(idle: RunResult) -> None:
    text = analysis_text(idle, {"exit": groups.by_exit_reason(idle)})
    assert "BY EXIT REASON" not in text and "HOW FAR" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert excursion_part(idle) == heat_part(idle) == expiry_part(idle) == ""


def test_as_plain_data_it_is_the_summarys(result: RunResult) -> None:
    out = analysis_dict(result, {"hour": groups.by_hour(result)}, months=True)
    whole = summary(result)
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    for name in ("by_hour", "by_month", "drawdowns", "excursions", "trades"):
        assert out[name] == whole[name]
    assert 1 <= len(whole["drawdowns"]) <= 5
    assert whole["drawdowns"][0]["pct"] == pytest.approx(whole["max_drawdown_pct"])
    assert [row["name"] for row in whole["excursions"]] == ["all", "won", "lost"]
    assert sum(row["trades"] for row in whole["by_expiry"]) == whole["trades"]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_runs_beside_each_other(make_result: Callable[..., RunResult], count: int) -> None:
    runs = [make_result(seed=seed) for seed in range(count)]
    text = side_by_side(runs, [f"runs/number-{seed}" for seed in range(count)])
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    rows = figures_of(runs)
    assert [row.name for row in rows[3:]] == [name for name, _, _ in FIGURES]
    for run, got in zip(runs, zip(*(row.values for row in rows), strict=True), strict=True):
        measured = metrics.measure(run)
        named = dict(zip([row.name for row in rows], got, strict=True))
        assert named["Sharpe"] == measured.sharpe and named["net ₹"] == measured.net
        assert named["trades"] == measured.trades.count
        assert rupees(measured.net) in text and percent(measured.trades.win_rate) in text


def test_the_drawing_holds_every_trade_or_says_how_many(
    make_result: Callable[..., RunResult],
) -> None:
    few = make_result()
    drawn = excursion_part(few)
    assert "shown" not in drawn and drawn.count("h0") <= len(few.trades)
    many = make_result(days=60, trades_a_day=POINTS_MAX // 60 + 5, bars_a_day=375)
    assert f"3,000 of {len(many.trades):,} shown" in excursion_part(many)


def test_the_heat_table_adds_up(result: RunResult) -> None:
    import re

    cells = re.findall(r">(\u2212?[\d,]+)<small>([\d,]+)</small>", heat_part(result))
    assert sum(int(count) for _, count in cells) == len(result.trades)
    total = sum(int(text.replace(",", "").replace("\u2212", "-")) for text, _ in cells)
    net = int(metrics.trade_net(result.trades).sum()) / metrics.UPAISE / 100
    assert total == pytest.approx(net, abs=len(cells))
