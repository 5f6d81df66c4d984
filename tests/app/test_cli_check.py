"""`dhanfast check`: what it prints, its exit codes, what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dhanfast.app.cli import run

HONEST = """
from dhanfast.strategies import Strategy

class Mine(Strategy):
    def on_start(self, m):
        self.average = m.sma(20)

    def on_bar(self, ctx, bar):
        if ctx.position == 0 and bar.close > self.average.value + 10:
            ctx.buy(stop=50, target=50)
"""
CHEAT = """
import random
import sys
from dhanfast.strategies import Strategy

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        frame = sys._getframe(0)
        while "bars" not in frame.f_locals:
            frame = frame.f_back
        bars = frame.f_locals["bars"]
        at = bars["start_ns"].searchsorted(bar.start_ns) + 1
        if ctx.position == 0 and at < len(bars) and bars["close"][at] / 100 > bar.close:
            ctx.buy(stop=50, target=50 + random.random())
"""
Said = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "bars.parquet"
    words = ["generate", "BANKNIFTY", "--from", "2024-01-01", "--to", "2024-01-12"]
    assert run([*words, "--seed", "4", "-o", str(path)]) == 0
    return path


@pytest.fixture
def said(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    def told(check: str, source: str, *more: str) -> tuple[int, str, str]:
        path = tmp_path / "mine.py"
        path.write_text(source)
        code = run(["check", check, "-s", str(path), "--data", str(market), *more])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return told


@pytest.mark.parametrize("check", ["lookahead", "warmup", "strategy"])
def test_an_honest_strategy_ends_with_0(check: str, said: Said) -> None:
    code, out, err = said(check, HONEST)
    assert code == 0 and err == ""
    assert out.splitlines()[-1].startswith("passed: ")
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = said(check, HONEST, "--json")
    told = json.loads(out)
    assert code == 0 and told["check"] == check and told["passed"] is True


@pytest.mark.parametrize(("check", "words"), [
    ("lookahead", ["lookahead-entry", "engine-insides", "unrepeatable"]),
    ("strategy", ["second-run", "random-drawn", "elsewhere", "engine-insides"]),
])  # fmt: skip
def test_a_cheat_ends_with_6_and_is_named(check: str, words: list[str], said: Said) -> None:
    code, out, _ = said(check, CHEAT)
    assert code == 6 and out.splitlines()[-1].startswith("PROBLEMS: ")
    assert max(map(len, out.splitlines())) <= 80
    for word in words:
        assert f"! {word}" in out
    code, out, _ = said(check, CHEAT, "--json")
    assert code == 6 and {one["code"] for one in json.loads(out)["findings"]} >= set(words)


def test_history_that_is_too_short_ends_with_6(said: Said) -> None:
    code, out, _ = said("warmup", HONEST, "--history", "5", "--most", "500")
    assert code == 6 and "! needs-more" in out and "is given 5" in out
    assert said("warmup", HONEST, "--history", "50", "--most", "500")[0] == 0


def test_parameters_and_settings_reach_the_strategy(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", "warmup", "-s", "momentum", "--data", str(market), "--most", "500"]
    assert run([*words, "--set", "ema=40"]) == 0
    assert "ema(close, 40)" in capsys.readouterr().out
    assert run([*words, "--timeframe", "5m"]) == 0
    assert ", 5m, " in capsys.readouterr().out


@pytest.mark.parametrize(("words", "code", "told"), [
    (["lookahead", "--cuts", "0"], 2, "cuts must be in 1..100,000, was 0"),
    (["warmup", "--tolerance", "much"], 2, "--tolerance 'much' is not a share; write 1% or 0.01"),
    (["warmup", "--tolerance", "0%"], 2, "tolerance must be above 0"),
    (["strategy", "--slow", "quick"], 3, "slow: 'quick' is not a duration"),
    (["strategy", "--set", "emma=3"], 2, "did you mean ema?"),
    (["lookahead", "--from", "2025-01-01"], 1, "no bar from 2025-01-01"),
])  # fmt: skip
def test_refusals(
    words: list[str], code: int, told: str, market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", words[0], "-s", "momentum", "--data", str(market), *words[1:]]) == code
    assert told in capsys.readouterr().err


def test_without_data_or_strategy_it_says_what_is_missing(
    market: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "lookahead", "-s", "momentum"]) == 2
    assert "Missing option '--data'" in capsys.readouterr().err
    assert run(["check", "lookahead", "--data", str(market)]) == 2
    assert "no strategy: name one with -s" in capsys.readouterr().err


def test_ticks_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ticks = tmp_path / "day.dfa"
    words = ["generate", "BANKNIFTY", "--what", "ticks", "--kind", "FUT", "--ticks", "500"]
    days = ["--from", "2024-01-01", "--to", "2024-01-01", "-o", str(ticks)]
    assert run([*words, *days]) == 0
    capsys.readouterr()
    assert run(["check", "lookahead", "-s", "momentum", "--data", str(ticks)]) == 2
    assert "a check runs on bars, and this is a tick archive" in capsys.readouterr().err
