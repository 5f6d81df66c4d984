"""Explaining a bar: the numbers the rule itself had."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import Reason
from dhanfast.engine.explain import explain_bar
from dhanfast.engine.runs import IST, backtest
from dhanfast.errors import UsageError
from dhanfast.storage.bars import write_parquet
from dhanfast.strategies import Context, Market, Strategy

MINUTE = 60_000_000_000
AT = dt.datetime(2022, 2, 10, 11, 30)


class Recorder(Strategy):
    """Momentum's series, written down on every bar of a real run."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, dict[str, float]] = {}

    def on_start(self, m: Market) -> None:
        macd = m.macd(12, 26, 9)
        self.series = {
            "close": m.close,
            "ema(close, 9)": m.ema(9),
            "rsi(close, 14)": m.rsi(14),
            "atr(high, low, close, 14)": m.atr(14),
            "macd(close, 12, 26, 9)[2]": macd.hist,
            "(1.5 * atr(high, low, close, 14))": 1.5 * m.atr(14),
            "(60 < rsi(close, 14))": m.rsi(14) > 60,
        }

    def on_bar(self, ctx: Context, bar: Any) -> None:
        self.rows[bar.start_ns] = {name: one.value for name, one in self.series.items()}


def test_the_nodes_of_a_bar_are_those_of_the_run(draw: Any, tmp_path: Path) -> None:
    bars = draw()
    recorder = Recorder()
    backtest(recorder, bars)
    path = tmp_path / "bars.parquet"
    write_parquet(path, bars)
    start_ns = int(AT.replace(tzinfo=IST).timestamp()) * 10**9
    for source in (bars, path, str(path)):
        values = explain_bar("momentum", source, AT)
        assert {k: values[k] for k in recorder.series} == recorder.rows[start_ns]
    utc = AT.replace(tzinfo=IST).astimezone(dt.UTC)
    assert str(explain_bar("momentum", bars, utc)) == str(explain_bar("momentum", bars, AT))


def test_the_rule_is_true_on_the_bar_that_decided_an_entry(draw: Any) -> None:
    bars = draw()
    result = backtest("momentum", bars)
    entry = result.orders[result.orders["reason"] == Reason.SIGNAL][5]
    start = dt.datetime.fromtimestamp((int(entry["created_ns"]) - MINUTE) / 1e9, IST)
    values = explain_bar("momentum", bars, start)
    rules = {label: v for label, v in values.items() if label.count("&") == 2}
    true = [label for label, value in rules.items() if value == 1]
    assert len(rules) == 2 and len(true) == 1
    assert ("(ema(close, 9) < close)" in true[0]) == (entry["side"] > 0)


def test_parameters_count(draw: Any) -> None:
    values = explain_bar("momentum", draw(), AT, {"ema": "21"})
    assert "ema(close, 21)" in values and "ema(close, 9)" not in values


def test_a_python_strategys_series_are_shown_and_warm_up_is_nan(draw: Any) -> None:
    early = dt.datetime(2022, 2, 1, 9, 17)
    values = explain_bar("momentum-python", draw(), early)
    assert np.isnan(values["ema(close, 9)"]) and values["close"] > 0


@pytest.mark.parametrize(
    "at",
    [dt.datetime(2022, 2, 5, 10, 0), dt.datetime(2022, 2, 10, 11, 30, 30), dt.datetime(1, 1, 1)],
)
def test_a_time_without_a_bar_is_refused_with_what_there_is(draw: Any, at: Any) -> None:
    with pytest.raises(
        UsageError, match=r"no bar of BANKNIFTY starts at .*covers 2022-02-01 09:15"
    ):
        explain_bar("momentum", draw(), at)


def test_a_native_strategy_has_no_nodes_to_show(draw: Any) -> None:
    with pytest.raises(UsageError, match="momentum-cython is a native strategy"):
        explain_bar("momentum-cython", draw(), AT)
