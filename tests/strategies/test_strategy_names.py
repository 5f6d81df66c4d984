"""How a strategy is named on the command line, and what is said when it cannot be found."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dhanfast._core.strategy import NativeStrategy
from dhanfast.errors import StrategyError, UsageError
from dhanfast.strategies.library.momentum import Momentum
from dhanfast.strategies.plugins import BUILT_IN, find_strategy, strategy_params

SOURCE = '''
from dhanfast.strategies import RuleStrategy, Rules, param

class Above(RuleStrategy):
    """Long above the average."""
    period = param(21, low=3, high=100)
    def rules(self, m):
        return Rules(long=m.close > m.ema(self.period))

NOT_A_STRATEGY = 7
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that Python can import, with one strategy and one module that raises."""
    folder = tmp_path / "foreignpkg"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "rules.py").write_text(SOURCE)
    (folder / "broken.py").write_text("raise RuntimeError('no licence key')\n")
    (folder / "lacking.py").write_text("import foreignpkg_is_not_here\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "foreignpkg"]:
        del sys.modules[name]


@pytest.mark.parametrize(("name", "door"), [
    ("momentum", "rules"), ("v1", "rules"), ("momentum-python", "python"),
    ("momentum-cython", "cython"),
])  # fmt: skip
def test_built_in_names(name: str, door: str) -> None:
    found = find_strategy(name, {})
    assert found.door == door
    assert found.settings() == {key: item.default for key, item in strategy_params(name).items()}


@pytest.mark.usefixtures("package")
def test_class_of_an_installed_module() -> None:
    found = find_strategy("foreignpkg.rules:Above", {"period": "30"})
    assert found.name == "foreignpkg.rules:Above"
    assert found.kind.__name__ == "Above"
    assert found.settings() == {"period": 30}


def test_class_of_a_file(package: Path) -> None:
    for name in (f"{package / 'rules.py'}", f"{package / 'rules.py'}:Above"):
        assert find_strategy(name, {}).settings() == {"period": 21}


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("name", "error", "message"), [
    ("momentun", UsageError, r"'momentun'; did you mean momentum\?"),
    ("foreignpkg.rules", UsageError, r"an installed class as package\.module:Class"),
    ("foreignpkg.rules:Abvoe", UsageError, r"'Abvoe'; did you mean Above\?"),
    ("foreignpkg.rules:NOT_A_STRATEGY", UsageError, r"known: Above"),
    ("foreignpkg.nothere:Above", UsageError, r"no module 'foreignpkg\.nothere' is installed"),
    ("nopackage.here:Above", UsageError, r"no module 'nopackage\.here' is installed"),
    (".rules:Above", UsageError, r"no module '\.rules' is installed"),
    (":Above", UsageError, r"no module '' is installed"),
    ("foreignpkg.broken:Above", StrategyError, r"RuntimeError: no licence key"),
    ("foreignpkg.lacking:Above", StrategyError, r"No module named 'foreignpkg_is_not_here'"),
    ("missing.py:Above", UsageError, r"strategy file missing\.py does not exist"),
])  # fmt: skip
def test_refusals_name_what_to_do(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_strategy(name, {})


def test_a_strategy_imported_into_the_module_counts(package: Path) -> None:
    """A package may gather its strategies in one place."""
    (package / "gathered.py").write_text("from foreignpkg.rules import Above\n")
    assert find_strategy("foreignpkg.gathered:Above", {}).kind.__name__ == "Above"


def test_a_native_class_without_parameters() -> None:
    found = find_strategy(NativeStrategy, {})
    assert (found.door, found.settings()) == ("cython", {})
    with pytest.raises(UsageError, match=r"'fast'.*known: none"):
        find_strategy(NativeStrategy, {"fast": 3})


def test_an_instance_takes_no_parameters() -> None:
    assert find_strategy(Momentum(ema=12), {}).settings()["ema"] == 12
    with pytest.raises(UsageError, match="set them when it is made"):
        find_strategy(Momentum(), {"ema": 12})


def test_something_else_is_not_a_strategy() -> None:
    with pytest.raises(UsageError, match="int is not a strategy"):
        find_strategy(int, {})


def test_every_built_in_exists() -> None:
    for name in BUILT_IN:
        assert find_strategy(name, {}).kind.__doc__
