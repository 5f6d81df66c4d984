"""How much history is needed: against what is known of each indicator."""

import datetime as dt
import itertools
import math
from collections.abc import Callable

import pytest

from dhanfast.engine.checks import Warmup, check_warmup
from dhanfast.engine.checks.warmup import DECISION, ladder, needs_of
from dhanfast.engine.generated import generated_bars
from dhanfast.errors import StrategyError, UsageError
from dhanfast.storage.bars import BarSet
from tests.engine.checks.cheats import HEAD

Write = Callable[[str], str]
RULES = "class Mine(RuleStrategy):\n    def rules(self, m):\n        return Rules("


def needs(got: Warmup) -> dict[str, int | None]:
    return {need.name: need.bars for need in got.needs}


@pytest.mark.parametrize("period", [5, 20, 60])
def test_a_moving_average_needs_its_period(period: int, write: Write, bars: BarSet) -> None:
    got = check_warmup(write(f"{HEAD}{RULES}long=m.close > m.sma({period}))\n"), bars, most=1000)
    found = needs(got)[f"sma(close, {period})"]
    assert found is not None and period <= found <= math.ceil(period * 1.25)
    (need,) = [one for one in got.needs if one.name == f"sma(close, {period})"]
    assert need.first == found  # it has no value before it is right
    assert got.passed and got.findings == ()


@pytest.mark.parametrize("period", [9, 50])
def test_an_exponential_average_forgets_geometrically(
    period: int, write: Write, bars: BarSet
) -> None:
    """The first value weighs (1 - a)^n: it must fall to about a hundredth of a bar's movement."""
    got = check_warmup(write(f"{HEAD}{RULES}long=m.close > m.ema({period}))\n"), bars, most=3000)
    found = needs(got)[f"ema(close, {period})"]
    alpha = 2 / (period + 1)
    assert found is not None
    start = period + math.log(0.01) / math.log(1 - alpha)  # the seed is off by a movement
    assert 0.5 * start < found < 3 * start
    (need,) = [one for one in got.needs if one.name == f"ema(close, {period})"]
    lengths = [n for n in sorted(need.worst) if n > 3 * period]
    falls = [need.worst[n] for n in lengths[:4]]
    assert falls == sorted(falls, reverse=True)


def test_a_sum_from_the_first_bar_is_never_stable(write: Write) -> None:
    future = generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 31), kind="FUT")
    got = check_warmup(write(f"{HEAD}{RULES}long=m.obv() > 0.0)\n"), future, most=2000)
    assert needs(got)["obv(close, volume)"] is None and got.bars is None
    assert not got.passed
    assert {one.code for one in got.findings} == {"never-stable"}


def test_a_decision_that_counts_from_the_first_bar_is_found(write: Write, bars: BarSet) -> None:
    source = (
        HEAD
        + """
class Mine(Strategy):
    def on_start(self, m):
        self.bars = 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        if self.bars % 3 == 0:
            ctx.buy(stop=50, target=50)
"""
    )
    got = check_warmup(write(source), bars, most=1000)
    assert needs(got)[DECISION] is None
    told = {one.where: one.level for one in got.findings}
    assert told[DECISION] == "problem" and told["self.bars"] == "warning"
    assert not got.passed


def test_history_that_is_too_short_is_told(bars: BarSet) -> None:
    enough = check_warmup("momentum", bars, most=2000, history=400)
    assert enough.passed and enough.bars is not None and enough.bars <= 400
    short = check_warmup("momentum", bars, most=2000, history=20)
    assert not short.passed
    assert any(one.code == "needs-more" and "is given 20" in one.text for one in short.findings)


def test_all_doors_need_the_same_for_their_decisions(bars: BarSet) -> None:
    found = {name: needs(check_warmup(name, bars, most=1000))[DECISION]
             for name in ("momentum", "momentum-python", "momentum-cython")}  # fmt: skip
    assert len(set(found.values())) == 1 and None not in found.values()


def test_the_ladder_reaches_its_top() -> None:
    steps = ladder(5000)
    assert steps[0] == 1 and steps[-1] == 5000
    assert all(b > a and b <= max(a + 1, math.ceil(a * 1.25)) for a, b in
               itertools.pairwise(steps))  # fmt: skip


def test_needs_by_hand() -> None:
    values = {1: [{"a": 9.0, DECISION: 1.0}], 2: [{"a": 5.1, DECISION: 0.0}],
              3: [{"a": 5.0, DECISION: 0.0}], 4: [{"a": 5.0, DECISION: 0.0}]}  # fmt: skip
    found = {need.name: need for need in needs_of(values, {"a": (1.0, 5.0)}, 0.01)}
    assert found["a"].bars == 3 and found["a"].worst[2] == pytest.approx(0.1)
    assert found[DECISION].bars == 2 and math.isinf(found[DECISION].worst[1])
    loose = {need.name: need.bars for need in needs_of(values, {"a": (1.0, 5.0)}, 0.2)}
    assert loose["a"] == 2
    late = {1: [{"a": 5.0}], 2: [{"a": 6.0}], 3: [{"a": 5.0}]}  # right by chance, then wrong
    assert needs_of(late, {"a": (1.0, 5.0)}, 0.01)[0].bars is None


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"probes": 0}, r"probes must be in 1\.\.1,000, was 0"),
        ({"most": 1}, r"most must be in 2\.\.1,000,000 bars, was 1"),
        ({"tolerance": 0.0}, "tolerance must be above 0"),
        ({"history": 0}, "history must be at least 1 bar, was 0"),
    ],
)
def test_refusals(named: dict[str, int], words: str, short: BarSet) -> None:
    with pytest.raises(UsageError, match=words):
        check_warmup("momentum", short, **named)  # type: ignore[arg-type]


def test_one_that_raises_is_not_measured(write: Write, short: BarSet) -> None:
    source = HEAD + "class Mine(Strategy):\n    def on_bar(self, ctx, bar):\n        1 / 0\n"
    with pytest.raises(StrategyError, match="division by zero"):
        check_warmup(write(source), short)
