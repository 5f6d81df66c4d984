"""Names of strategies: the user's folder, entry points of packages, built in; what hides what."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest

from dhanfast.errors import StrategyError, UsageError
from dhanfast.strategies import shelf as shelf_module
from dhanfast.strategies.described import describe
from dhanfast.strategies.params import search_space
from dhanfast.strategies.plugins import find_strategy, strategy_params
from dhanfast.strategies.shelf import (
    CLASSES,
    EXAMPLES,
    GROUP,
    STRUCTURES,
    lookup,
    named,
    place_of,
    shelf,
)

SOURCE = '''"""Mine.

Hypothesis: it goes
    up.

And this is not of it.
Expected regime: always.
"""
from dhanfast.strategies import RuleStrategy, Rules, param


class Above(RuleStrategy):
    """Long above the average."""

    period = param(21, low=3, high=100)

    def rules(self, m):
        return Rules(long=m.close > m.ema(self.period))
'''
LEGS = 'underlying = "NIFTY"\n[[leg]]\nside = "buy"\nright = "PE"\nstrike = "atm"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a strategy, one that hides a built-in, a legs file, and other things."""
    (tmp_path / "above.py").write_text(SOURCE)
    (tmp_path / "v1.py").write_text(SOURCE)
    (tmp_path / "two.py").write_text(SOURCE + "\n\nclass Below(Above):\n    pass\n")
    (tmp_path / "put.toml").write_text(LEGS)
    (tmp_path / "_draft.py").write_text("1 / 0")
    (tmp_path / ".hidden.py").write_text("1 / 0")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "package").mkdir()
    (tmp_path / "dir.py").mkdir()
    return tmp_path


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package, as pip leaves it, that offers three strategies."""
    site = tmp_path / "site"
    (site / "myshop").mkdir(parents=True)
    (site / "myshop" / "__init__.py").write_text(SOURCE)
    info = site / "myshop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: myshop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nshop-above = myshop:Above\nmomentum = myshop:Above\ngone = myshop:Gone\n"
    )
    monkeypatch.syspath_prepend(str(site))
    shelf_module._points.cache_clear()
    yield site
    shelf_module._points.cache_clear()


def test_the_built_in_ones_are_all_there_and_can_be_made() -> None:
    rows = shelf()
    assert list(rows) == [*(name for name in CLASSES if name not in EXAMPLES), *STRUCTURES,
                          *EXAMPLES]  # fmt: skip
    for name, row in rows.items():
        assert (row.origin, row.hides) == ("built-in", ())
        one = describe(name)
        assert one.about and all(item.doc for item in one.params.values())
        assert row.legs == (one.door == "legs") == (name in STRUCTURES)
        if name not in EXAMPLES:
            assert one.hypothesis and one.regime
            assert len(search_space(name)) >= 3, name
            for key, found in search_space(name).items():
                item = one.params[key]
                assert all(item.accept(key, value) == value for value in found.values())


def test_a_folder_offers_its_files_by_their_stem(folder: Path) -> None:
    rows = shelf(folder)
    assert [name for name, row in rows.items() if row.origin == "user"] == [
        "above", "put", "two", "v1",
    ]  # fmt: skip
    assert rows["v1"].hides == ("built-in",) and rows["put"].legs
    assert place_of("above", folder) == str(folder / "above.py")
    assert find_strategy(place_of("above", folder), {"period": "5"}).settings() == {"period": 5}
    assert place_of("v1", folder) == str(folder / "v1.py") and place_of("v1") == "v1"
    assert place_of("momentum", folder) == "momentum"
    assert place_of("nobody", folder) == "nobody"
    assert place_of("x/y.py:Z", folder) == "x/y.py:Z" and place_of("a.b:C", folder) == "a.b:C"
    assert lookup("nobody", folder) is None
    with pytest.raises(UsageError, match=r"'abvoe'; did you mean above\?"):
        named("abvoe", folder)


def test_of_a_file_with_several_classes_one_is_named(folder: Path) -> None:
    with pytest.raises(StrategyError, match="exactly one strategy class"):
        find_strategy(place_of("two", folder), {})
    assert find_strategy(place_of("two:Below", folder), {}).kind.__name__ == "Below"


def test_two_files_of_one_name_are_refused(folder: Path) -> None:
    (folder / "put.py").write_text(SOURCE)
    with pytest.raises(UsageError, match=r"put\.py and put\.toml have the same name; rename one"):
        place_of("above", folder)


def test_no_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert shelf(tmp_path / "absent") == shelf(None)


def test_what_is_told_is_taken_from_the_docstring(folder: Path) -> None:
    one = describe("above", folder)
    assert (one.about, one.hypothesis, one.regime) == ("Long above the average.", "it goes up.",
                                                       "always.")  # fmt: skip
    assert (one.origin, one.door, list(one.params)) == ("user", "rules", ["period"])


@pytest.mark.usefixtures("offered")
def test_a_package_offers_strategies_by_name(folder: Path) -> None:
    assert {point.name for point in entry_points(group=GROUP)} >= {"shop-above", "momentum"}
    found = find_strategy("shop-above", {"period": 7})
    assert (found.name, found.door, found.settings()) == ("myshop:Above", "rules", {"period": 7})
    assert list(strategy_params("shop-above")) == ["period"]
    row = shelf(folder)["momentum"]
    assert (row.origin, row.place, row.hides) == ("installed", "myshop:Above", ("built-in",))
    assert find_strategy("momentum", {}).kind.__name__ == "Above"
    with pytest.raises(UsageError, match="no strategy in myshop is called 'Gone'"):
        find_strategy("gone", {})
    (folder / "momentum.py").write_text(SOURCE)
    assert shelf(folder)["momentum"].hides == ("installed", "built-in")
    with pytest.raises(UsageError, match=r"did you mean shop-above\?"):
        find_strategy("shop-abvoe", {})


def test_two_packages_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        (EntryPoint("cross", f"{package}:Cross", GROUP), package) for package in ("one", "two")
    ]
    listed = [
        SimpleNamespace(name=point.name, value=point.value, dist=SimpleNamespace(name=package))
        for point, package in points
    ]
    monkeypatch.setattr(shelf_module, "entry_points", lambda group: listed)
    shelf_module._points.cache_clear()
    try:
        with pytest.raises(UsageError, match="'cross' is offered by one and by two"):
            find_strategy("momentum", {})
    finally:
        shelf_module._points.cache_clear()
