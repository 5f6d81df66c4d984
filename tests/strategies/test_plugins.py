"""Finding strategies: by name, file, class, instance; and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.strategy import NativeStrategy
from dhanfast.errors import StrategyError, UsageError
from dhanfast.strategies import RuleStrategy, Strategy
from dhanfast.strategies.library.momentum import Momentum
from dhanfast.strategies.plugins import BUILT_IN, find_strategy, strategy_params

Write = Callable[..., str]

DIP = '''
from dhanfast.strategies import Rules, RuleStrategy, param


class Dip(RuleStrategy):
    """Buys below an average."""

    period = param(20, low=2, high=200)

    def rules(self, m):
        return Rules(long=m.close < m.sma(self.period))
'''


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a strategy file and returns its name."""

    def make(text: str, name: str = "dip.py") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return make


@pytest.mark.parametrize(
    "name, door", [("momentum", "rules"), ("momentum-python", "python"), ("v1", "rules")]
)
def test_built_in_strategies_are_found_and_can_run(name: str, door: str) -> None:
    found = find_strategy(name, {})
    assert (found.name, found.door) == (name, door)
    assert isinstance(found.runner(lambda at, text: None, 60_000_000_000), NativeStrategy)


def test_every_built_in_is_documented_and_has_documented_parameters() -> None:
    for name in BUILT_IN:
        found = find_strategy(name, {})
        assert found.kind.__doc__
        assert all(item.doc for item in strategy_params(name).values())
        assert found.settings() == {k: p.default for k, p in strategy_params(name).items()}


def test_the_native_door_runs_as_it_is() -> None:
    found = find_strategy("momentum-cython", {"ema": "12"})
    assert found.door == "cython" and found.settings()["ema"] == 12
    assert found.runner(lambda at, text: None, 1) is found.made
    assert strategy_params("momentum-cython") == Momentum.params()


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'momentun'; did you mean momentum\?.*path\.py:Class"):
        find_strategy("momentun", {})
    with pytest.raises(UsageError, match="no strategy is called ''"):
        find_strategy("", {})


def test_an_unknown_parameter_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'emma'; did you mean ema\?"):
        find_strategy("momentum", {"emma": 3})
    with pytest.raises(UsageError, match=r"'emma'; did you mean ema\?"):
        find_strategy("momentum-cython", {"emma": 3})


def test_a_file_with_one_class_needs_no_class_name(write: Write) -> None:
    name = write(DIP)
    found = find_strategy(name, {"period": "30"})
    assert (found.kind.__name__, found.door) == ("Dip", "rules")
    assert found.settings() == {"period": 30}
    assert find_strategy(name + ":Dip", {}).kind.__name__ == "Dip"
    assert list(strategy_params(name)) == ["period"]


def test_of_several_classes_one_must_be_named(write: Write) -> None:
    name = write(DIP + "\n\nclass Deep(Dip):\n    period = param(50)\n")
    with pytest.raises(StrategyError, match=r"exactly one strategy class.*found: Deep, Dip"):
        find_strategy(name, {})
    assert find_strategy(name + ":Deep", {}).settings() == {"period": 50}
    with pytest.raises(UsageError, match=r"'Dipp'; did you mean Dip\?"):
        find_strategy(name + ":Dipp", {})


@pytest.mark.parametrize(
    "text, message",
    [
        ("def rules(:", "SyntaxError"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit: 0"),
        ("x = 1", r"exactly one strategy class.*found: none"),
        ("from dhanfast.strategies import RuleStrategy", "found: none"),
        ("class Dip: pass", "found: none"),
    ],
)
def test_a_broken_file_says_what_is_wrong(write: Write, text: str, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        find_strategy(write(text), {})


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "junk.py"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(StrategyError, match="cannot be imported"):
        find_strategy(str(path), {})


def test_a_file_that_does_not_exist_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    for name in ("absent.py", "folder.py"):
        with pytest.raises(UsageError, match=f"{name} does not exist"):
            find_strategy(str(tmp_path / name), {})


def test_classes_and_instances() -> None:
    assert find_strategy(Momentum, {"ema": 5}).settings()["ema"] == 5
    made = Momentum(ema=7)
    found = find_strategy(made, {})
    assert found.made is made and found.name == "Momentum"
    with pytest.raises(UsageError, match="cannot be given with an instance"):
        find_strategy(made, {"ema": 5})


@pytest.mark.parametrize("wrong", [int, object(), 3, None])
def test_what_is_no_strategy_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not a strategy: derive it from RuleStrategy"):
        find_strategy(wrong, {})


class _Broken(Strategy):
    def __init__(self) -> None:
        raise KeyError("no period")


class _BrokenStart(Strategy):
    def on_start(self, m: Any) -> None:
        raise KeyError("no period")

    def on_bar(self, ctx: Any, bar: Any) -> None:
        pass


class _BrokenRules(RuleStrategy):
    def rules(self, m: Any) -> Any:
        return m.no_such_series(9)


def test_errors_of_a_strategys_own_code_name_it_and_keep_their_cause() -> None:
    with pytest.raises(StrategyError, match="_Broken cannot be made: KeyError: 'no period'"):
        find_strategy(_Broken, {})
    for kind, cause in ((_BrokenStart, KeyError), (_BrokenRules, AttributeError)):
        found = find_strategy(kind, {})
        with pytest.raises(StrategyError, match=f"{kind.__name__} cannot start") as caught:
            found.runner(lambda at, text: None, 60_000_000_000)
        assert isinstance(caught.value.__cause__, cause)
