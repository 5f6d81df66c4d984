"""Score: factors weighed natively are what plain arithmetic makes of them, with hysteresis."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.strategy import Action
from dhanfast._core.watch import Watch
from dhanfast.engine.engine import Engine
from dhanfast.engine.explain import explained
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import backtest, sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.errors import StrategyError, UsageError
from dhanfast.reports.rundir import read_run, write_run
from dhanfast.reports.signals import entry_text, means
from dhanfast.reports.summary import summary
from dhanfast.reports.terminal import summary_text
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Market, Rules, RuleStrategy, Score, param

MINUTE = 60_000_000_000
SPANS = {"fast": 3, "slow": 20, "long": 45}


class Weighed(RuleStrategy):
    """Three changes of the close, weighed."""

    long_at = param(0.5, low=0.01, high=1.0)
    short_at = param(-0.5, low=-1.0, high=-0.01)
    back = param(0.1, low=-1.0, high=1.0)
    exits = param(True)
    heavy = param(2.0, low=0.1, high=10.0)

    def rules(self, m: Market) -> Rules:
        factors = {
            name: (m.scaled(m.close - m.close.shift(span), -15.0, 15.0), weight)
            for (name, span), weight in zip(SPANS.items(), (self.heavy, 1.0, 0.5), strict=True)
        }
        score = Score(factors, self.long_at, self.short_at, self.back, -self.back, self.exits)
        return Rules(score=score, stop=30.0, target=60.0)


@cache
def bars() -> BarSet:
    import datetime as dt

    return generated_bars("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 4), seed=12)


def values(heavy: float) -> tuple[Any, Any]:
    """(factors, total) of every bar, by numpy."""
    close = bars().bars["close"] / 100.0
    columns = []
    for span in SPANS.values():
        change = np.full(len(close), np.nan)
        change[span:] = close[span:] - close[:-span]
        columns.append(np.clip(change / 15.0, -1.0, 1.0))
    weights = np.array([heavy, 1.0, 0.5])
    factors = np.stack(columns, axis=1)
    return factors, factors @ (weights / weights.sum())


@settings(max_examples=25, deadline=None)
@given(
    long_at=st.floats(0.1, 1.0),
    short_at=st.floats(-1.0, -0.1),
    back=st.floats(-0.5, 0.1),
    exits=st.booleans(),
    heavy=st.floats(0.2, 5.0),
)
def test_every_wish_is_what_plain_arithmetic_says(
    long_at: float, short_at: float, back: float, exits: bool, heavy: float
) -> None:
    made = Weighed(long_at=long_at, short_at=short_at, back=back, exits=exits, heavy=heavy)
    watch = Watch(made.runner(lambda at_ns, text: None, MINUTE), len(bars().bars))
    plain = Settings(capital=10**10)
    engine = Engine(watch, sessions_of(bars(), plain, MINUTE), plain, interval_ns=MINUTE)
    engine.feed(bars().bars)
    written = engine.finish()
    _, total = values(heavy)
    on = {1: False, -1: False}
    for at, row in enumerate(watch.decisions):
        if min(abs(abs(total[at]) - edge) for edge in (long_at, -short_at, abs(back))) < 1e-9:
            return  # a rounding may decide: what follows is not comparable
        on[1] = bool(total[at] >= long_at or (on[1] and total[at] >= back))
        on[-1] = bool(total[at] <= short_at or (on[-1] and total[at] <= -back))
        held = int(np.sign(row["position"]))
        if held and exits and not on[held]:
            expected = int(Action.GO_FLAT)
        else:
            expected = 0 if on[1] == on[-1] else (1 if on[1] else -1)
        assert int(row["action"]) == expected, (at, total[at], held)
    rows = engine.decisions.told(len(written.trades))["factors"]
    assert len(rows.rows) == len(written.trades)


def test_each_trade_has_the_factors_its_entry_was_decided_on() -> None:
    result = backtest(Weighed, bars(), settings=Settings(capital=10**10))
    told = result.factors
    assert told is not None and len(told.rows) == len(result.trades) > 10
    assert told.names == tuple(SPANS) and math.isclose(sum(told.weights), 1.0)
    factors, total = values(2.0)
    ends = bars().bars["start_ns"] + MINUTE
    for row, trade in zip(told.rows, result.trades, strict=True):
        at = int(np.searchsorted(ends, row["decided_ns"]))
        assert ends[at] == row["decided_ns"] <= trade["entry_ns"]
        np.testing.assert_allclose(row["values"], factors[at], rtol=1e-12)
        assert row["total"] == pytest.approx(total[at]) and row["side"] == trade["side"]


def test_report_explain_and_run_directory_show_the_factors(tmp_path: Any) -> None:
    import datetime as dt

    result = backtest(Weighed, bars(), settings=Settings(capital=10**10))
    assert result.factors is not None
    text = summary_text(result)
    assert "FACTORS OF THE ENTRIES" in text and max(map(len, text.splitlines())) <= 80
    net = np.asarray(result.trades["gross"], float)
    rows = means(result.factors, net)
    towards = result.factors.rows["values"] * result.factors.rows["side"][:, None]
    assert [row.agreed for row in rows] == (towards > 0).sum(axis=0).tolist()
    assert rows[1].net == round(net[towards[:, 1] > 0].sum())
    assert summary(result)["factors"]["names"] == list(SPANS)
    again = read_run(write_run(result, tmp_path / "run")).factors
    assert again is not None and again.rows.tobytes() == result.factors.rows.tobytes()
    first = result.factors.rows[0]
    line = entry_text(result.factors.names, result.factors.weights, first)
    assert line.startswith("long" if first["side"] > 0 else "short") and line.count(" x ") == 3
    start = dt.datetime.fromtimestamp(
        (int(first["decided_ns"]) - MINUTE) // 10**9, dt.timezone(dt.timedelta(hours=5.5))
    )
    shown = explained(Weighed, bars(), start)
    assert [one[0] for one in shown.factors] == list(SPANS)
    np.testing.assert_allclose([one[1] for one in shown.factors], first["values"])
    assert shown.values["score"] == pytest.approx(first["total"])


def test_equal_factors_keep_their_names() -> None:
    class Twice(RuleStrategy):
        """The same series twice."""

        def rules(self, m: Market) -> Rules:
            series = m.scaled(m.close - m.close.shift(5), -10, 10)
            return Rules(score=Score({"a": (series, 1.0), "b": (series, 3.0)}, long_at=0.5))

    import datetime as dt

    shown = explained(Twice, bars(), dt.datetime(2022, 2, 2, 11, 0))
    assert [one[0] for one in shown.factors] == ["a", "b"]
    assert shown.factors[0][1] == shown.factors[1][1]


def rules_of(score: Callable[[Market], Score], **more: Any) -> type[RuleStrategy]:
    class Made(RuleStrategy):
        """Of a test."""

        def rules(self, m: Market) -> Rules:
            return Rules(score=score(m), **more)

    return Made


@pytest.mark.parametrize(
    ("words", "score", "more"),
    [
        ("factors must be 1..32", lambda m: Score({}, long_at=0.5), {}),
        ("weight of 'a' must be above 0", lambda m: Score({"a": (m.close, 0)}, long_at=0.5), {}),
        (r"must be \(series, weight\)", lambda m: Score({"a": m.close}, long_at=0.5), {}),
        ("long_at, short_at or both", lambda m: Score({"a": (m.close, 1)}), {}),
        ("long_at must be above 0", lambda m: Score({"a": (m.close, 1)}, long_at=0.0), {}),
        ("short_at must be below 0", lambda m: Score({"a": (m.close, 1)}, short_at=0.5), {}),
        ("long_until must be in", lambda m: Score({"a": (m.close, 1)}, 0.5, None, 0.6), {}),
        ("there is no short_at", lambda m: Score({"a": (m.close, 1)}, 0.5, short_until=0.1), {}),
        ("leave long out", lambda m: Score({"a": (m.close, 1)}, 0.5), {"long": 1.0}),
    ],
)
def test_what_cannot_be_meant_is_refused(words: str, score: Any, more: dict[str, Any]) -> None:
    with pytest.raises(StrategyError, match=words):
        rules_of(score, **more)().runner(lambda at_ns, text: None, MINUTE)


def test_scaled_needs_two_ends() -> None:
    with pytest.raises(UsageError, match="low and high must differ"):
        rules_of(lambda m: Score({"a": (m.scaled(m.close, 5, 5), 1)}, 0.5))().runner(
            lambda at_ns, text: None, MINUTE
        )
