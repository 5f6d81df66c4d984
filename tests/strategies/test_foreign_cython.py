"""The package of docs/how-to/write-a-strategy-cython.md, compiled, against the same rules."""

import datetime as dt
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import dhanfast
from dhanfast.engine.generated import generated_bars
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Market, Rules, RuleStrategy, param
from dhanfast.strategies.plugins import find_strategy, strategy_params

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "write-a-strategy-cython.md"
NAME = "mycross.cross:Cross"


def blocks(language: str) -> list[str]:
    """Code blocks of the page in one language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return found


class CrossRules(RuleStrategy):
    """The page's strategy through the rules door: the oracle."""

    fast = param(9, low=2, high=200)
    slow = param(21, low=3, high=400)
    stop_atr = param(2.0, low=0, high=20)

    def rules(self, m: Market) -> Rules:
        fast, slow = m.ema(self.fast), m.ema(self.slow)
        return Rules(
            long=fast.crosses_above(slow),
            short=fast.crosses_below(slow),
            stop=self.stop_atr * m.atr(14),
        )


def call(*command: str | Path) -> None:
    answer = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-4000:]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled package, made with nothing but Cython and the C compiler."""
    folder = tmp_path_factory.mktemp("foreign")
    package = folder / "mycross"
    package.mkdir()
    (package / "__init__.py").touch()
    (source,) = blocks("cython")
    (package / "cross.pyx").write_text(source)
    c_file = package / "cross.c"
    call(sys.executable, "-m", "cython", "-3", package / "cross.pyx", "-o", c_file)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    target = package / f"cross{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{dhanfast.get_include()}"]
    flags = ["-shared", "-fPIC", "-O1", "-ffp-contract=off"]
    call(*compiler, *flags, *includes, c_file, "-o", target)
    return folder


@pytest.fixture(scope="module")
def bars() -> BarSet:
    return generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 31), seed=3)


@pytest.fixture
def importable(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(foreign))


@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize("params", [{}, {"fast": 5, "slow": 13, "stop_atr": 0.0}])
def test_compiled_module_trades_as_the_rules_do(bars: BarSet, params: dict[str, object]) -> None:
    compiled = dhanfast.backtest(NAME, bars, params=params)
    rules = dhanfast.backtest(CrossRules, bars, params=params)
    assert len(compiled.trades) >= 20  # at least one a session: it did trade
    assert compiled.digest == rules.digest
    assert np.array_equal(compiled.trades, rules.trades)


@pytest.mark.usefixtures("importable")
def test_its_parameters_are_known_and_checked(bars: BarSet) -> None:
    assert list(strategy_params(NAME)) == ["fast", "slow", "stop_atr"]
    found = find_strategy(NAME, {"fast": "12"})
    assert found.door == "cython"
    assert found.settings() == {"fast": 12, "slow": 21, "stop_atr": 2.0}
    with pytest.raises(UsageError, match=r"did you mean fast"):
        find_strategy(NAME, {"fats": "12"})
    with pytest.raises(UsageError, match=r"fast must be in 2\.\.200, was 1"):
        find_strategy(NAME, {"fast": "1"})
    assert dhanfast.backtest(NAME, bars).config["params"]["fast"] == 9


@pytest.mark.usefixtures("importable")
def test_a_wrong_class_is_answered_with_the_right_one() -> None:
    with pytest.raises(UsageError, match=r"'Corss'; did you mean Cross"):
        find_strategy("mycross.cross:Corss", {})
