"""Tables of trades and months against a plain loop over the rows."""

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import Reason
from dhanfast.reports import groups, metrics
from dhanfast.reports.result import RunResult

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))


Table = Callable[[RunResult], list[groups.Group]]


def entry_time(trade: Any) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(trade["entry_ns"]) / 1e9, IST)


WAYS: dict[str, tuple[Table, Callable[[Any], str]]] = {
    "exit": (groups.by_exit_reason, lambda row: Reason(row["exit_reason"]).name.lower()),
    "hour": (groups.by_hour, lambda row: f"{entry_time(row):%H}:00"),
    "weekday": (groups.by_weekday, lambda row: f"{entry_time(row):%A}"),
    "side": (groups.by_side, lambda row: "long" if row["side"] > 0 else "short"),
    "entry": (groups.by_entry_reason, lambda row: Reason(row["entry_reason"]).name.lower()),
    "expiry": (groups.by_expiry, lambda row: expiry_band(row)),
}


def expiry_band(row: Any) -> str:
    """The band by a calendar, written for reading."""
    if not row["contract"]:
        return "no expiry"
    days = (dt.datetime.strptime(str(row["contract"]), "%Y%m%d").date()
            - entry_time(row).date()).days  # fmt: skip
    if days < 0:
        return "no expiry"
    if days < 2:
        return "1 day" if days else "expiry day"
    for low, high in ((2, 2), (3, 4), (5, 7), (8, 14), (15, 30)):
        if low <= days <= high:
            return f"{low} days" if low == high else f"{low} to {high} days"
    return "31 days and more"


@pytest.mark.parametrize("way", WAYS)
def test_groups_equal_a_plain_loop(result: RunResult, way: str) -> None:
    table, name_of = WAYS[way]
    nets = defaultdict(list)
    for trade, net in zip(result.trades, metrics.trade_net(result.trades).tolist(), strict=True):
        nets[name_of(trade)].append(net)
    got = {row.name: row for row in table(result)}
    assert set(got) == set(nets)
    for name, mine in nets.items():
        row = got[name]
        assert (row.count, row.wins, row.losses) == (
            len(mine), sum(n > 0 for n in mine), sum(n < 0 for n in mine)
        )  # fmt: skip
        assert row.net == pytest.approx(sum(mine) / 10**6)
        assert row.expectancy == pytest.approx(sum(mine) / len(mine) / 10**6)
        assert row.win_rate == row.wins / row.count


@pytest.mark.parametrize("way", WAYS)
def test_groups_of_no_trades_are_empty(idle: RunResult, way: str) -> None:
    assert WAYS[way][0](idle) == []


def test_months_add_up_and_compound_to_the_run(result: RunResult) -> None:
    months = groups.by_month(result)
    assert [(row.year, row.month) for row in months] == [(2022, 1), (2022, 2), (2022, 3)]
    measured = metrics.measure(result)
    assert sum(row.pnl for row in months) == measured.final_equity - measured.capital
    assert sum(row.days for row in months) == 60
    growth = 1.0
    for row in months:
        assert row.pnl == row.gross - row.charges
        assert row.fraction is not None
        growth *= 1 + row.fraction
    assert growth - 1 == pytest.approx(measured.total_return)


def test_exit_reasons_come_most_frequent_first(result: RunResult) -> None:
    counts = [row.count for row in groups.by_exit_reason(result)]
    assert counts == sorted(counts, reverse=True)


def test_days_to_expiry_at_every_edge(make_result: Callable[..., RunResult]) -> None:
    """An entry of each distance, late in the Indian evening and early in the morning."""
    made = make_result(days=2, trades_a_day=3)
    for away in (0, 1, 2, 3, 4, 5, 7, 8, 14, 15, 30, 31, 400, -1):
        trades = made.trades.copy()
        for row in trades:
            expiry = entry_time(row).date() + dt.timedelta(days=away)
            row["contract"] = int(expiry.strftime("%Y%m%d"))
        run = dataclasses.replace(made, trades=trades)
        (band,) = groups.by_expiry(run)
        assert band.name == expiry_band(trades[0]) and band.count == 6
    trades["contract"] = 0
    (band,) = groups.by_expiry(dataclasses.replace(made, trades=trades))
    assert band.name == "no expiry"


def test_vix_bands_take_the_last_level_that_was_known(result: RunResult) -> None:
    entries = result.trades["entry_ns"]
    known = np.array([entries[0] + 1, entries[60], entries[120]], np.int64)
    levels = np.array([11.9, 15.0, 40.0])
    got = {row.name: row.count for row in groups.by_vix(result, known, levels)}
    at = np.searchsorted(known, entries, side="right")
    expected = {"not known": int((at == 0).sum()), "below 12": int((at == 1).sum()),
                "15 to 20": int((at == 2).sum()), "35 and more": int((at == 3).sum())}  # fmt: skip
    assert got == expected and sum(got.values()) == len(entries) and got["not known"] == 1
    assert groups.by_vix(result, known[:0], levels[:0])[0].name == "not known"
    with pytest.raises(ValueError, match="one ascending time each"):
        groups.by_vix(result, known[::-1], levels)
    with pytest.raises(ValueError, match="one ascending time each"):
        groups.by_vix(result, known, levels[:2])


@pytest.mark.parametrize("edge", range(1, len(groups.VIX_EDGES)))
def test_vix_bands_are_closed_below(result: RunResult, edge: int) -> None:
    known = np.zeros(1, np.int64)
    at, below = (groups.by_vix(result, known, np.array([groups.VIX_EDGES[edge] - less]))[0].name
                 for less in (0.0, 0.01))  # fmt: skip
    assert at.startswith(str(groups.VIX_EDGES[edge])) and at != below
