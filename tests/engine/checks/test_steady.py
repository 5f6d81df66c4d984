"""What makes a strategy unfit is found, whatever it is; what is fit passes."""

from collections.abc import Callable

import numpy as np
import pytest

from dhanfast.engine.checks import Steady, check_strategy
from dhanfast.engine.checks.steady import hard_bars, speed_of
from dhanfast.errors import StrategyError, UsageError
from dhanfast.storage.bars import BarSet
from tests.engine.checks.cheats import HEAD, HONEST
from tests.engine.checks.peeking import Ahead

Write = Callable[[str], str]
ENTER = "ctx.buy(stop=50, target=50)"
ON_BAR = "    def on_bar(self, ctx, bar):\n"

# name -> (source, codes that must be found)
UNFIT: dict[str, tuple[str, set[str]]] = {
    "random": (
        "import random\nclass Mine(Strategy):\n" + ON_BAR
        + f"        if random.random() < 0.05:\n            {ENTER}\n",
        {"random", "random-drawn", "second-run", "elsewhere"},
    ),
    "numpy's random": (
        "import numpy as np\nclass Mine(Strategy):\n" + ON_BAR
        + f"        if np.random.rand() < 0.05:\n            {ENTER}\n",
        {"random", "random-drawn", "second-run"},
    ),
    "a generator without a seed": (
        "import numpy as np\nclass Mine(Strategy):\n"
        "    def on_start(self, m):\n        self.dice = np.random.default_rng()\n" + ON_BAR
        + f"        if self.dice.random() < 0.05:\n            {ENTER}\n",
        {"random", "second-run"},
    ),
    "the machine's clock": (
        "import datetime\nclass Mine(Strategy):\n" + ON_BAR
        + "        today = datetime.datetime.now().toordinal()\n"
        + f"        if int(bar.close) % 11 == today % 11:\n            {ENTER}\n",
        {"clock", "elsewhere"},
    ),
    "seconds since the epoch": (
        "from time import time\nclass Mine(Strategy):\n" + ON_BAR
        + f"        if int(bar.close) % 11 == int(time() / 7200) % 11:\n            {ENTER}\n",
        {"clock", "elsewhere"},
    ),
    "the order of a set of words": (
        "WORDS = ['nifty', 'banknifty', 'finnifty', 'sensex', 'bankex', 'midcap', 'vix', 'oi']\n"
        "class Mine(Strategy):\n" + ON_BAR
        + "        words, at = list(set(WORDS)), int(bar.close)\n"  # as another order once in 8!
        + f"        if words[at % 8] == WORDS[at // 8 % 8]:\n            {ENTER}\n",
        {"elsewhere"},
    ),
    "state kept on a class of another module": (
        "import builtins\nclass Mine(Strategy):\n" + ON_BAR
        + "        kept = builtins.__dict__.setdefault('_dhanfast_steady', [])\n"
        + "        kept.append(bar.close)\n"
        + f"        if len(kept) % 17 == 3:\n            {ENTER}\n",
        {"second-run"},
    ),
    "an error after a while": (
        "class Mine(Strategy):\n    def on_start(self, m):\n        self.left = 500\n" + ON_BAR
        + "        self.left -= 1\n        x = 1 / self.left\n",
        {"raises"},
    ),
    "a division that a still market breaks": (
        "class Mine(Strategy):\n" + ON_BAR
        + "        if (bar.close - bar.low) / (bar.high - bar.low) > 0.9:\n"
        + f"            {ENTER}\n",
        {"raises"},
    ),
    "slow": (
        "class Mine(Strategy):\n" + ON_BAR
        + "        total = sum(range(20_000))\n"
        + f"        if bar.close > bar.open:\n            {ENTER}\n",
        {"slow"},
    ),
    "a global": (
        "COUNT = 0\nclass Mine(Strategy):\n" + ON_BAR
        + "        global COUNT\n        COUNT += 1\n"
        + f"        if bar.close > bar.open:\n            {ENTER}\n",
        {"global-state"},
    ),
    "errors swallowed": (
        "class Mine(Strategy):\n" + ON_BAR
        + f"        try:\n            {ENTER}\n        except Exception:\n            pass\n",
        {"swallows"},
    ),
    "a thread": (
        "import threading\nclass Mine(Strategy):\n" + ON_BAR + f"        {ENTER}\n",
        {"threads"},
    ),
}  # fmt: skip


def codes(got: Steady) -> set[str]:
    return {one.code for one in got.findings}


@pytest.mark.parametrize("name", UNFIT)
def test_what_is_unfit_is_found(name: str, write: Write, short: BarSet) -> None:
    source, expected = UNFIT[name]
    slow_ns = 50_000 if name == "slow" else 10**9
    got = check_strategy(write(HEAD + source), short, slow_ns=slow_ns)
    assert expected <= codes(got), got.findings
    only_warned = expected <= {"global-state", "swallows", "threads"}
    assert got.passed == only_warned
    if not only_warned:
        assert codes(got) - expected <= {"random", "second-run", "elsewhere", "clock"}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_strategy_is_fit(name: str, write: Write, short: BarSet) -> None:
    got = check_strategy(write(HONEST[name]), short, slow_ns=10**9)
    assert got.findings == () and got.passed and got.elsewhere
    assert got.source == ("mine.py",) and got.speed is not None
    assert 0 < got.speed.median <= got.speed.p99 <= got.speed.most


@pytest.mark.parametrize("name", ["momentum", "momentum-python", "momentum-cython", "v1"])
def test_the_library_is_fit(name: str, short: BarSet) -> None:
    got = check_strategy(name, short, slow_ns=10**9)
    assert got.findings == () and got.elsewhere


def test_where_it_raises_is_told_by_bar_and_line(write: Write, short: BarSet) -> None:
    source = HEAD + UNFIT["an error after a while"][0]
    got = check_strategy(write(source), short)
    (one,) = got.findings
    assert one.text == "raises ZeroDivisionError: division by zero (mine.py:7)"
    assert one.where == "2024-01-02 11:19"  # the 500th bar: 375 of a day, then 125
    assert got.bars == 500


def test_a_class_of_a_module_is_found_by_the_new_process(short: BarSet) -> None:
    got = check_strategy(Ahead, short)
    assert got.elsewhere or "cannot be imported" in got.elsewhere_why


def test_a_class_typed_in_is_run_here_only(short: BarSet) -> None:
    class Mine(Ahead):
        """Exists in this function alone."""

    got = check_strategy(Mine, short)
    assert not got.elsewhere and got.elsewhere_why.startswith("test_a_class_typed_in")


def test_hard_bars_are_legal(short: BarSet) -> None:
    for bars in hard_bars(short.bars).values():
        assert (np.diff(bars["start_ns"]) > 0).all() and (bars["low"] > 0).all()
        assert (bars["high"] >= bars["low"]).all()


def test_speed_by_hand() -> None:
    from dhanfast._core.watch import DECISION_DTYPE

    rows = np.zeros(200, DECISION_DTYPE)
    rows["took_ns"] = np.arange(200, 0, -1)
    got = speed_of(rows)
    assert got is not None and (got.median, got.p99, got.most) == (100, 198, 200)
    assert speed_of(rows[:0]) is None


def test_refusals(write: Write, short: BarSet) -> None:
    with pytest.raises(UsageError, match=r"slow must be at least 1 ns, was 0"):
        check_strategy("momentum", short, slow_ns=0)
    with pytest.raises(UsageError, match="no strategy is called 'momentun'"):
        check_strategy("momentun", short)
    with pytest.raises(StrategyError, match="cannot be imported"):
        check_strategy(write("import nothing_of_this_name\n"), short)
    ticks = HEAD + "class Mine(Strategy):\n    def on_tick(self, ctx, tick):\n        pass\n"
    with pytest.raises(UsageError, match="defines on_tick and no on_bar"):
        check_strategy(write(ticks), short)
