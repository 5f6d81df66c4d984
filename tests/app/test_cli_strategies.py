"""`dhanfast strategies` and `dhanfast new`: lists, tables, and files that run as they are."""

import datetime as dt
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhanfast
from dhanfast._core.types import BAR_DTYPE
from dhanfast.app.cli import run
from dhanfast.app.strategy_table import TEN, WIDTH
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.settings import Settings
from dhanfast.reports.metrics import measure
from dhanfast.storage.bars import BarSet, Source, join_bars, read_bars, write_parquet
from dhanfast.strategies.shelf import CLASSES, STRUCTURES

Say = Callable[..., tuple[int, str, str]]
DAY_NS, IST_NS = 86_400 * 10**9, 19_800 * 10**9
CAPITAL = 10**9  # the table's default, in paise


def daily(symbol: str, level: float, swing: float) -> BarSet:
    """A year and a half of daily bars that wave around a level."""
    days = [dt.date(2021, 1, 1) + dt.timedelta(days=i) for i in range(460)]
    rows = np.zeros(len(days), BAR_DTYPE)
    for i, (row, day) in enumerate(zip(rows, days, strict=True)):
        row["start_ns"] = (day - dt.date(1970, 1, 1)).days * DAY_NS - IST_NS
        for name in ("open", "high", "low", "close"):
            row[name] = round(100 * level * (1 + swing * np.sin(i / 3.0)))
    return BarSet(symbol, rows, DAY_NS, False, (Source("made", "", len(rows)),))


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fortnights of an index in two files, and daily bars of it, of NIFTY and of VIX."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = tmp_path_factory.mktemp("market")
    for name, first, last in (("a", 1, 9), ("b", 10, 18)):
        days = dt.date(2022, 3, first), dt.date(2022, 3, last)
        write_parquet(place / f"{name}.parquet", generated_bars("BANKNIFTY", *days, seed=2))
    parts = []
    for one in (daily("INDIAVIX", 18, 0.3), daily("NIFTY", 17_000, 0.01),
                daily("BANKNIFTY", 36_000, 0.012)):  # fmt: skip
        write_parquet(place / "one.parquet", one)
        parts.append(pq.read_table(place / "one.parquet"))
    pq.write_table(pa.concat_tables(parts), place / "daily.parquet")
    return place


@pytest.fixture
def say(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Say:  # fmt: skip
    """Runs a command for a user without anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))

    def call(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return code, printed.out, printed.err

    return call


def fits(text: str) -> bool:
    return max(map(len, text.splitlines())) <= WIDTH


# ---- strategies ---------------------------------------------------------------------------------


def test_all_ten_in_one_command(say: Say, market: Path) -> None:
    data = ("--data", market / "a.parquet", "--data", market / "b.parquet")
    words = ("strategies", "backtest", *data, "--volatility", market / "daily.parquet")
    code, out, _ = say(*words)
    assert code == 0 and fits(out)
    assert "2022-03-02 to 2022-03-17" in out and "capital ₹ 1,00,00,000" in out
    code, out, _ = say(*words, "--json")
    rows = {row["name"].split()[0]: row for row in json.loads(out)}
    assert tuple(rows) == TEN and not any(row["missing"] for row in rows.values())
    assert {rows[name]["prices"] for name in STRUCTURES} == {"modelled"}
    assert {row["prices"] for name, row in rows.items() if name in CLASSES} == {"index"}
    assert all(row["took_ms"] > 0 for row in rows.values())
    # The figures are those of the run itself, over the joined bars.
    bars = join_bars([read_bars(market / f"{name}.parquet") for name in "ab"])
    for name, params in (("momentum", {}), ("vwap", {"weight": "time"}), ("supertrend", {})):
        result = dhanfast.backtest(name, bars, params=params, settings=Settings(capital=CAPITAL))
        got = measure(result)
        assert rows[name] | {"took_ms": 0} == {
            "name": name if not params else "vwap weight=time", "prices": "index",
            "trades": len(result.trades), "gross": round(got.gross / 100),
            "net": round(got.net / 100), "fall": round(got.drawdown_amount / 100),
            "refused": result.counters["orders_refused"], "took_ms": 0,
            "digest": result.digest, "missing": "",
        }  # fmt: skip


def test_a_row_of_the_table_is_the_run_of_its_own_command(say: Say, market: Path) -> None:
    files = ("--data", market / "a.parquet", "--volatility", market / "daily.parquet")
    _, out, _ = say("strategies", "backtest", "iron-condor", "vix-regime", *files, "--json")
    condor, regime = json.loads(out)
    capital = ("--capital", "10000000", "--json")
    _, out, _ = say("backtest", "-s", "iron-condor", *files, *capital)
    assert json.loads(out)["digest"] == condor["digest"]
    sets = ("--set", "risk.guards.vix.told=true",
            "--set", f"risk.guards.vix.data={market / 'daily.parquet'}")  # fmt: skip
    _, out, _ = say("backtest", "-s", "vix-regime", *files[:2], *capital, *sets)
    assert json.loads(out)["digest"] == regime["digest"]


def test_what_needs_the_volatility_says_so_and_the_rest_runs(say: Say, market: Path) -> None:
    code, out, _ = say("strategies", "backtest", "--data", market / "a.parquet")
    assert code == 0 and fits(out)
    assert out.count("needs --volatility: premiums are modelled") == 2
    assert "vix-regime        needs --volatility: it looks at India VIX" in out
    assert "modelled:" not in out  # no row of that grade, no word about it


def test_orders_that_a_small_account_could_not_send_are_said(say: Say, market: Path) -> None:
    words = ("strategies", "backtest", "momentum", "--data", market / "a.parquet")
    code, out, _ = say(*words, "--capital", "50000")
    assert code == 0 and "orders the gate refused, as for want of margin: momentum " in out


@pytest.mark.parametrize(
    "words, code, text",
    [
        ((), 2, "--data: name a file of bars"),
        (("--data", "a.parquet", "--data", "a.parquet"), 1, "must follow each other"),
        (("--data", "b.parquet", "--data", "a.parquet"), 1, "begins 2022-03-0"),
        (("--data", "a.parquet", "--data", "daily.parquet"), 2, "--symbol"),
        (("--data", "a.parquet", "momentun"), 2, "did you mean momentum?"),
        (("--data", "a.parquet", "--from", "2023-01-01"), 1, "2023-01-01"),
        (("--data", "a.parquet", "--capital", "much"), 3, "capital"),
        (("--data", "a.parquet", "--slippage", "much"), 3, "slippage"),
        (("--data", "a.parquet", "--volatility", "a.parquet", "iron-condor"), 2, "INDIAVIX"),
        (("--data", "absent.parquet"), 2, "absent.parquet"),
    ],
)
def test_what_the_table_refuses(
    words: tuple[str, ...], code: int, text: str, say: Say, market: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(market)
    said = say("strategies", "backtest", *words)
    assert said[0] == code and text in said[2], said


def test_joined_bars_are_the_bars_read_at_once(market: Path, tmp_path: Path) -> None:
    parts = [read_bars(market / f"{name}.parquet") for name in "ab"]
    whole = generated_bars("BANKNIFTY", dt.date(2022, 3, 1), dt.date(2022, 3, 9), seed=2)
    joined = join_bars(parts)
    assert joined.bars[: len(whole.bars)].tobytes() == parts[0].bars.tobytes()
    assert len(joined.bars) == sum(len(part.bars) for part in parts)
    assert joined.sources == parts[0].sources + parts[1].sources and joined.generated
    assert join_bars(parts[:1]).bars.tobytes() == parts[0].bars.tobytes()


def test_list_and_show_tell_the_users_own(say: Say, tmp_path: Path) -> None:
    say("new", "strategy", "mine")
    (tmp_path / "home/strategies/broken.py").write_text("1 / 0")
    (tmp_path / "home/strategies/v1.py").write_text(
        (tmp_path / "home/strategies/mine.py").read_text()
    )
    code, out, _ = say("strategies")
    assert code == 0 and fits(out) and say("strategies", "list")[1] == out
    assert "mine              rules   [user] Long when the close crosses" in out
    assert "ZeroDivisionError" in out and "(hides the built-in" in out
    rows = {row["name"]: row for row in json.loads(say("strategies", "--json")[1])}
    assert rows["mine"]["origin"] == "user" and "ZeroDivisionError" in rows["broken"]["error"]
    code, out, _ = say("strategies", "show", "mine")
    assert (
        code == 0
        and fits(out)
        and "[search 20..120 by 10]" in " ".join(out.split())
        and "hypothesis" in out
    )
    assert say("strategies", "mine")[1] == out
    (row,) = json.loads(say("strategies", "show", "expiry-straddle", "--json")[1])
    assert row["params"]["entry"]["range"].startswith("09:20|") and row["door"] == "legs"
    assert row["params"]["lots"]["search"] is None
    assert say("strategies", "--json", "list")[0] == 2
    assert say("strategies", "nobody")[0] == 2


# ---- new ----------------------------------------------------------------------------------------


def digest(say: Say, name: str, market: Path, *more: object) -> str:
    code, out, err = say("backtest", "-s", name, "--data", market / "a.parquet", "--json", *more)
    assert code == 0, err
    found = json.loads(out)
    assert found["trades"] > 0
    return str(found["digest"])


def test_rules_and_python_templates_run_and_agree(say: Say, market: Path, tmp_path: Path) -> None:
    code, out, err = say("new", "strategy", "gap-fade")
    assert code == 0 and out.strip() == str(tmp_path / "home/strategies/gap-fade.py")
    assert "dhanfast strategies show gap-fade" in err
    assert say("new", "strategy", "gap_two", "--python")[0] == 0
    assert digest(say, "gap-fade", market) == digest(say, "gap_two", market)
    assert "class GapFade(RuleStrategy)" in (tmp_path / "home/strategies/gap-fade.py").read_text()
    sets = ("--set", "period=20", "--set", "stop_atr=0")
    assert digest(say, "gap-fade", market, *sets) == digest(say, "gap_two", market, *sets)


def test_the_legs_template_runs_with_its_parameters(say: Say, market: Path) -> None:
    code, _, err = say("new", "strategy", "short-both", "--legs")
    assert code == 0 and "--volatility" in err
    told = ("--volatility", market / "daily.parquet")
    assert digest(say, "short-both", market, *told) != digest(
        say, "short-both", market, *told, "--set", "stop=60"
    )
    assert say("backtest", "-s", "short-both", "--data", market / "a.parquet", *told,
               "--set", "stpo=3")[0] == 2  # fmt: skip


@pytest.mark.parametrize("name", [n for n in (*CLASSES, *STRUCTURES) if n != "momentum-cython"])
def test_any_built_in_can_be_the_template(name: str, say: Say, market: Path) -> None:
    assert say("new", "strategy", "my-own", "--template", name)[0] == 0
    more: tuple[object, ...] = ()
    if name in STRUCTURES:
        more = ("--volatility", market / "daily.parquet")
    if name == "vix-regime":
        more = ("--set", "risk.guards.vix.told=true",
                "--set", f"risk.guards.vix.data={market / 'daily.parquet'}")  # fmt: skip
    if name == "vwap":
        more = ("--set", "weight=time")
    assert digest(say, "my-own", market, *more) == digest(say, name, market, *more)
    (row,) = json.loads(say("strategies", "show", "my-own", "--json")[1])
    assert row["origin"] == "user"


def test_the_cython_template_compiles_and_agrees(
    say: Say, market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built with nothing but Cython and the compiler, as `pip install` does it."""
    assert say("new", "strategy", "fast-cross", "--cython", "--dir", tmp_path / "src")[0] == 0
    assert say("new", "strategy", "slow-cross")[0] == 0
    root = tmp_path / "src" / "fast-cross"
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == [
        "fast_cross/__init__.py", "fast_cross/strategy.pyx", "pyproject.toml", "setup.py",
    ]  # fmt: skip
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text())
    place = project["project"]["entry-points"]["dhanfast.strategies"]["fast-cross"]
    assert place == "fast_cross.strategy:FastCross"
    source = root / "fast_cross" / "strategy.pyx"
    call(sys.executable, "-m", "cython", "-3", source, "-o", source.with_suffix(".c"))
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    target = source.with_suffix(sysconfig.get_config_var("EXT_SUFFIX"))
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{dhanfast.get_include()}"]
    flags = ["-shared", "-fPIC", "-O1", "-ffp-contract=off"]
    call(*compiler, *flags, *includes, source.with_suffix(".c"), "-o", target)
    monkeypatch.syspath_prepend(str(root))
    assert digest(say, place, market) == digest(say, "slow-cross", market)
    (row,) = json.loads(say("strategies", "show", place, "--json")[1])
    assert row["params"]["period"]["search"] == "20..120 by 10" and row["hypothesis"]


def call(*command: Any) -> None:
    answer = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-4000:]


@pytest.mark.parametrize(
    "words, text",
    [
        (("v1",), "v1 is built in"),
        (("iron-condor", "--legs"), "iron-condor is built in"),
        (("Mine",), "write small letters and digits"),
        (("../mine",), "write small letters and digits"),
        (("mine-",), "write small letters and digits"),
        (("",), "write small letters and digits"),
        (("mine", "--template", "momentun"), "did you mean momentum?"),
        (("mine", "--template", "momentum-cython"), "no template is called"),
        (("mine", "--template", "v1", "--legs"), "leave out --rules"),
        (("mine", "--rules", "--legs"), "--rules and --legs: a strategy has one door"),
        (("class", "--cython"), "a package cannot be called so"),
        (("numpy", "--cython"), "or there is one already"),
    ],
)
def test_names_and_templates_that_are_refused(
    words: tuple[str, ...], text: str, say: Say, tmp_path: Path
) -> None:
    code, out, err = say("new", "strategy", *words)
    assert (code, out) == (2, "") and text in err
    assert not os.path.exists(tmp_path / "home" / "strategies")


@pytest.mark.parametrize("door", ["--rules", "--python", "--legs", "--cython"])
def test_nothing_is_written_over(door: str, say: Say, tmp_path: Path) -> None:
    assert say("new", "strategy", "mine", door)[0] == 0
    kept = {path: path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()}
    code, out, err = say("new", "strategy", "mine", door)
    assert (code, out) == (2, "") and "is there already" in err
    assert kept == {path: path.read_bytes() for path in (tmp_path / "home").rglob("*")
                    if path.is_file()}  # fmt: skip
