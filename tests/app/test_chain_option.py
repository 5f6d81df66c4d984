"""`backtest --chain`, `explain --chain` and `[chain]`: what they take, and what they refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dhanfast.app.cli import cli
from dhanfast.app.config import load_config
from dhanfast.app.live_build import deciding_digest
from dhanfast.app.live_chain import chain_of
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.storage.bars import write_parquet
from tests.engine.test_chain_input import bars, daily, snapshots
from tests.options.made import table, write

STRATEGY = '''
from dhanfast.strategies import Rules, RuleStrategy

class Crowd(RuleStrategy):
    """Long when puts are many."""
    def rules(self, m):
        return Rules(long=m.chain.pcr > 1.0, exit_long=m.chain.pcr < 0.95, stop=50.0)
'''
PRICES = STRATEGY.replace("m.chain.pcr > 1.0", "m.chain.straddle > 1.0").replace(
    "m.chain.pcr < 0.95", "m.chain.straddle < 0.5"
)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), catch_exceptions=True)


def said(found: Result) -> str:
    return f"{found.output}{found.exception}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    (tmp_path / "crowd.py").write_text(STRATEGY)
    (tmp_path / "prices.py").write_text(PRICES)
    write_parquet(tmp_path / "bars.parquet", bars())
    write(tmp_path / "chains.parquet", table(*snapshots()))
    daily(tmp_path / "vix.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def backtest(*words: str, strategy: str = "crowd.py") -> Result:
    return run("backtest", "-s", strategy, "--data", "bars.parquet", *words)


def test_the_result_says_what_chain_it_saw(place: Path) -> None:
    found = backtest("--chain", "chains.parquet", "--json")
    assert found.exit_code == 0, said(found)
    told: dict[str, Any] = json.loads(found.output)
    assert any("Chain figures are recorded: 51 snapshots of NIFTY" in one for one in told["notes"])
    again = backtest("--set", "chain.data=chains.parquet", "--json")
    assert json.loads(again.output)["digest"] == told["digest"]
    shown = backtest("--chain", "chains.parquet")
    assert "Chain figures are recorded" in shown.output
    modelled = backtest("--volatility", "vix.parquet", strategy="prices.py")
    assert "Chain figures are modelled: no premium" in modelled.output


@pytest.mark.parametrize(("words", "text"), [
    ((), "nothing tells it: give a backtest --chain FILE"),
    (("--chain", "chains.parquet", "--volatility", "vix.parquet"), "never mix; give one"),
    (("--volatility", "vix.parquet"), "m.chain.pcr needs open interest or volume"),
    (("--chain", "gone.parquet"), "gone.parquet: no such file"),
    (("--chain", "chains.parquet", "--set", "chain.expiry=weekly"), "chain.expiry"),
    (("--set", "chain.nearr=3"), "near"),
    (("--strikes", "50", "--chain", "chains.parquet"), "is of a run of --legs"),
])  # fmt: skip
def test_refusals(place: Path, words: tuple[str, ...], text: str) -> None:
    found = backtest(*words)
    assert found.exit_code != 0 and text in said(found)


def test_a_strategy_that_looks_at_no_chain_takes_none(place: Path) -> None:
    found = backtest("--chain", "chains.parquet", strategy="momentum")
    assert found.exit_code != 0
    assert "--chain: momentum looks at no option chain (m.chain); leave it out" in said(found)


def test_legs_take_no_chain(place: Path) -> None:
    found = run("backtest", "--legs", "x.toml", "--data", "chains.parquet", "--chain", "c.parquet")
    assert found.exit_code != 0 and "--chain: does not go with --legs" in said(found)


def test_explain_shows_the_figures(place: Path) -> None:
    words = ("explain", "-s", "crowd.py", "--data", "bars.parquet", "--at", "2026-01-22 11:15")
    found = run(*words, "--chain", "chains.parquet", "--json")
    assert found.exit_code == 0, said(found)
    assert json.loads(found.output)["chain.pcr"] > 0
    assert "nothing tells it" in said(run(*words))


def config(*sets: str) -> Any:
    named = {"strategy": [{"name": "run", "use": "momentum"}]}
    return load_config((), None, sets, {}, beneath=named, named_only=True)


def test_the_configuration_becomes_settings() -> None:
    assert config().settings().chain == ChainSettings()
    made = config("chain.expiry=next", "chain.near=3", "chain.max_age=5m", "chain.data=c.parquet",
                  "chain.history=v.sqlite").settings().chain  # fmt: skip
    assert made == ChainSettings(data="c.parquet", expiry="next", near=3, age_ns=300 * 10**9,
                                 history="v.sqlite")  # fmt: skip
    assert "chain" not in config().settings().as_dict()


def test_a_journal_is_gone_on_with_by_the_same_chain_only() -> None:
    usual = deciding_digest(config(), "paper", [])
    assert deciding_digest(config("chain.max_age=1m"), "paper", []) != usual
    assert deciding_digest(config("chain.max_age=15m"), "paper", []) == usual


def test_a_run_that_asks_for_nothing_asks_nobody() -> None:
    assert chain_of(config(), object(), None, None, None) is None  # type: ignore[arg-type]
