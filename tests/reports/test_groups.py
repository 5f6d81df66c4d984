"""Tables of trades and months against a plain loop over the rows."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from typing import Any

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
}


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
