"""The day of trading as text: 80 columns, figures of `metrics`, nothing of its own."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from dhanfast.reports import metrics
from dhanfast.reports.day import day_text
from dhanfast.reports.figures import rupees
from dhanfast.reports.result import RunResult


@pytest.fixture
def result(make_result: Callable[..., RunResult]) -> RunResult:
    """A day of forty trades."""
    return make_result(seed=3, days=1, bars_a_day=375, trades_a_day=40)


def test_it_fits_and_tells_the_days_figures(result: RunResult) -> None:
    text = day_text(result)
    got = metrics.measure(result)
    assert max(map(len, text.splitlines())) <= 80
    assert rupees(got.final_equity - got.capital, sign=True) in text
    assert rupees(got.final_equity) in text and f"charges {rupees(got.charges_total)}: " in text
    assert f"{got.trades.wins:,}, {got.trades.losses:,}" in text


def test_the_latest_trades_are_shown_and_the_others_counted(result: RunResult) -> None:
    lines = day_text(result, trades_max=10).splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("IN "))
    assert lines[at + 1] == f"... {len(result.trades) - 10:,} earlier ones ..."
    nets = metrics.trade_net(result.trades)[-10:]
    shown = lines[at + 2 : at + 12]
    assert [line.split()[-1] for line in shown] == [
        rupees(round(float(net) / 1e6), sign=True) for net in nets
    ]
    assert lines[at + 12] == ""


def test_a_day_without_a_trade_says_so(result: RunResult) -> None:
    idle = dataclasses.replace(
        result, trades=result.trades[:0], orders=result.orders[:0],
        days=np.zeros(1, result.days.dtype), equity=result.equity[:0], passages=None,
    )  # fmt: skip
    text = day_text(idle, title="paper · mine")
    assert "paper · mine" in text.splitlines()[0] and "no trades" in text
    assert "IN        OUT" not in text


def test_generated_data_stands_at_the_top_and_notes_at_the_end(result: RunResult) -> None:
    marked = dataclasses.replace(
        result, data={"signals": {"generated": True}}, notes=("the margin is a guess",)
    )
    lines = day_text(marked).splitlines()
    assert lines[1].startswith("! GENERATED DATA") and lines[-1] == "! the margin is a guess"


@pytest.mark.parametrize(
    ("names", "shown"),
    [({0: "BANKNIFTY 2026-11-23 56500 CE"}, "56500 CE"),
     ({0: "BANKNIFTY 2026-11-23 56500 CE", 1: "BANKNIFTY 2026-12-28 56500 CE"}, "23/11 56500 CE")],
)  # fmt: skip
def test_trades_of_options_name_their_contract_and_their_side(
    result: RunResult, names: dict[int, str], shown: str
) -> None:
    lines = day_text(dataclasses.replace(result, contracts=names), trades_max=10).splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("IN "))
    nets = metrics.trade_net(result.trades)[-10:]
    for line, trade, net in zip(lines[at + 2 :], result.trades[-10:], nets, strict=False):
        assert f"  {shown} " in line and len(line) <= 80
        assert line.split()[2] == f"{int(trade['side']) * int(trade['qty']):+,}"
        assert line.split()[-1] == rupees(round(float(net) / 1e6), sign=True)
    assert lines[at + 12] == ""
