"""`dhanfast chain`, `iv`, `oi` and `payoff` as a user types them."""

import json
import shlex
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast import options
from dhanfast.app.cli import run as run_cli
from tests.options.made import EXPIRY, NEXT, RATE, at, chain, table, write

Run = Callable[[str], tuple[int, str, str]]
LATER = at("13:00")
BEFORE, NOW = chain(at("09:30"), tick=0.05), chain(LATER, tick=0.05, seed=2, forward=25_280.0)
FAR = chain(LATER, expiry=NEXT, tick=0.05, seed=3, scale=6.0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stock = chain(LATER, underlying="RELIANCE", tick=0.05)
    return write(tmp_path_factory.mktemp("chains") / "a.parquet", table(BEFORE, NOW, FAR, stock))


@pytest.fixture
def run(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs `dhanfast WORDS` with FILE for the file: exit code, output, messages."""
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))

    def call(words: str) -> tuple[int, str, str]:
        code = run_cli([str(file) if word == "FILE" else word for word in shlex.split(words)])
        output, messages = capsys.readouterr()
        wide = [line for line in output.splitlines() if len(line) > 80]
        assert not wide or "--json" in words, wide
        return code, output, messages

    return call


def told(run: Run, words: str) -> dict[str, Any]:
    code, output, messages = run(f"{words} --json")
    assert (code, messages) == (0, "")
    found: dict[str, Any] = json.loads(output)
    return found


def test_chain_is_the_library(run: Run) -> None:
    shown = told(run, "chain FILE -u NIFTY --rate 5.25% --strikes 100 --near 3")
    solved = options.solve_chain(NOW, RATE)
    assert shown["forward"] == solved.forward and shown["at"] == "2026-01-22 13:00"
    assert shown["put_call_oi"] == solved.put_call_ratio()
    assert shown["put_call_oi_near"] == solved.put_call_ratio(near=3)
    assert shown["max_pain"] == solved.max_pain() and shown["straddle"] == solved.straddle()
    assert shown["gamma_exposure"] == pytest.approx(float(solved.gamma_exposure().sum()))
    rows = shown["rows"]
    assert [row["strike"] for row in rows] == NOW.strike.tolist()
    for name, column in (("volatility", solved.volatility), ("call", NOW.call),
                         ("put_delta", solved.put.delta), ("put_oi", NOW.put_oi)):  # fmt: skip
        np.testing.assert_array_equal([row[name] for row in rows], column)


def test_chain_as_a_table(run: Run) -> None:
    code, output, _ = run("chain FILE -u NIFTY --strikes 3")
    lines = output.splitlines()
    assert code == 0 and lines[0].startswith("NIFTY 2026-01-27, at 2026-01-22 13:00 IST, 5.10 days")
    shown = [line.replace("*", " ").split()[5] for line in lines[lines.index("") + 3 :]]
    assert shown == ["25000", "25100", "25200", "25300", "25400", "25500", "25600"]
    assert sum("*25300*" in line for line in lines) == 1


def test_which_chain(run: Run) -> None:
    assert told(run, 'chain FILE -u NIFTY --at "2026-01-22 12:59"')["at"] == "2026-01-22 09:30"
    assert told(run, "chain FILE -u NIFTY --at 2026-01-22")["at"] == "2026-01-22 13:00"
    assert told(run, f"chain FILE -u NIFTY -e {NEXT}")["expiry"] == str(NEXT)
    assert told(run, "chain FILE -u NIFTY -e next")["expiry"] == str(NEXT)
    assert told(run, "chain FILE -u NIFTY -e nearest")["expiry"] == str(EXPIRY)
    assert told(run, "chain FILE -u RELIANCE")["underlying"] == "RELIANCE"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("chain FILE", "a.parquet has 2 underlyings: name one with -u, as NIFTY, RELIANCE"),
        ("chain FILE -u SENSEX", "no underlying 'SENSEX'; it has NIFTY, RELIANCE"),
        ("chain FILE -u NIFTY --at noon", "--at 'noon' is not a moment"),
        ("chain FILE -u NIFTY --at 2026-01-23", "no chain of NIFTY on 2026-01-23"),
        ("chain FILE -u NIFTY --at 2026-01-22T09:00", "first chain of NIFTY on 2026-01-22 is"),
        ("chain FILE -u NIFTY -e may", "--expiry 'may' is not a date"),
        ("chain FILE -u NIFTY -e 2026-02-03", "that expires 2026-02-03; it has 2026-01-27"),
        ("chain FILE -u RELIANCE -e next", "no expiry of RELIANCE after 2026-01-27"),
        ("chain FILE -u NIFTY --rate 5.25", "--rate 5.25 is 525 %; give at most 100 %"),
        ("chain FILE -u NIFTY --rate x", "--rate 'x' is not a number"),
        ("oi FILE -u NIFTY --since 2026-01-22T15:00 --at 2026-01-22T10:00", "after the chain of"),
        ("oi FILE -u NIFTY --since 2026-01-22T13:01", "after the chain of 2026-01-22 13:00; give"),
        ("chain FILE -u NIFTY --forward -1", "forward is -1.0: give a price above 0"),
        ("payoff", "give either FILE with --spread, or --leg"),
        ("payoff FILE -u NIFTY", "give --spread: one of bull-call"),
        ("payoff FILE -u NIFTY --spread condor", "did you mean iron-condor"),
        ("payoff FILE -u NIFTY --spread straddle --days 3", "--days goes with --leg"),
        ("payoff FILE -u RELIANCE --spread straddle", "--lot is needed"),
        ("payoff FILE -u RELIANCE --spread calendar --lot 500", "no expiry of RELIANCE after"),
        ('payoff --leg "sell 25200 CE 133.75" --spread straddle', "--spread goes with FILE"),
        ('payoff --leg "short 25200 CE 1"', "write side, lots if not 1"),
        ('payoff --leg "buy 25200 CE 1" --forward 25000', "all three"),
        ('payoff --leg "buy 25200 CE 1" --forward 0 --volatility 12% --days 5', "above 0"),
    ],
)
def test_refusals(run: Run, words: str, message: str) -> None:
    code, output, messages = run(words)
    assert code == 2 and output == "" and message in messages


def test_a_file_that_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.parquet").write_text("x")
    code, _, messages = run(f"chain {tmp_path / 'b.parquet'}")
    assert code == 1 and "not a Parquet file" in messages


def test_iv_is_the_library(run: Run) -> None:
    shown = told(run, "iv FILE -u NIFTY --rate 5.25% --strikes 4")
    solved = options.solve_chain(NOW, RATE)
    smile = options.smile_of(solved)
    assert shown["smile"]["a"] == smile.a and shown["smile"]["used"] == smile.used
    assert shown["smile"]["at_money"] == smile.at_money()
    row = shown["rows"][0]
    assert row["right"] == "PE" and row["fit"] == float(smile.volatility(row["strike"]))
    assert row["error"] == pytest.approx(row["fit"] - row["volatility"])
    assert [one["days"] for one in shown["standing"]] == [30, 90, 252]
    assert "has 0 sessions" in shown["standing"][0]["reason"]
    assert run("iv FILE -u NIFTY --strikes 2")[0] == 0


def test_iv_remembers_sessions_and_ranks_among_them(run: Run, tmp_path: Path) -> None:
    """Five days of history, the value of each the library's; today is not its own past."""
    days = [date(2026, 1, 15), date(2026, 1, 16), date(2026, 1, 19), date(2026, 1, 20)]
    past = [chain(at("15:20", day), scale=1.0 + 0.1 * i) for i, day in enumerate(days)]
    today = chain(at("15:20"), scale=1.15)
    expiring = chain(at("15:20", EXPIRY), scale=0.01)
    path = write(tmp_path / "days.parquet", table(*past, today, expiring))
    words = f"iv {path} --rate 5.25% --at 2026-01-22 --days 4 --days 5"
    shown = told(run, f"{words} --remember")
    assert shown["remembered"] == 5 and shown["history"] == 4  # nothing of the day of expiry
    values = [options.solve_chain(one, RATE).at_money_volatility() for one in past]
    wanted = options.standing(values, options.solve_chain(today, RATE).at_money_volatility(), 4)
    assert shown["standing"][0] == pytest.approx(wanted._asdict())
    assert "has 4 sessions" in shown["standing"][1]["reason"]
    assert told(run, f"{words} --remember")["remembered"] == 0
    text = run(f"{words} --remember")[1]
    assert "over 4 sessions: rank" in text and "over 5 sessions: none" in text
    ending = told(run, f"iv {path} --at 2026-01-27 --days 4")
    assert "day of expiry" in ending["standing"][0]["reason"]


def test_oi_is_the_library(run: Run) -> None:
    shown = told(run, "oi FILE -u NIFTY --levels 2 --strikes 50")
    assert shown["since"] == "2026-01-22 09:30"
    moved = options.interest_change(BEFORE, NOW)
    found = options.interest_levels(NOW, BEFORE, count=2)
    assert [one["strike"] for one in shown["support"]] == [one.strike for one in found.support]
    assert shown["resistance"][0] == found.resistance[0]._asdict()
    for row, change, kind in zip(shown["rows"], moved.put_oi, moved.put_class, strict=True):
        assert row["put_change"] == change
        assert row["put_class"] == options.BuildUp(int(kind)).text
    code, output, _ = run("oi FILE -u NIFTY --strikes 3")
    assert code == 0 and "changes since 2026-01-22 09:30 IST" in output


def test_payoff_is_the_library(run: Run) -> None:
    shown = told(run, "payoff FILE -u NIFTY --spread iron-condor --lots 2 --rate 5.25%")
    solved = options.solve_chain(NOW, RATE)
    spread = options.build_spread("iron-condor", solved, lots=2, lot=65)
    payoff = spread.payoff()
    assert [leg["quantity"] for leg in shown["legs"]] == [130, 130, -130, -130]
    assert shown["premium"] == spread.premium and shown["profit_max"] == payoff.profit_max
    assert shown["breakevens"] == list(payoff.breakevens) and not shown["modelled"]
    assert shown["profit_probability"] == spread.profit_probability()
    assert shown["margin"]["required"] > 130 * 200.0 and shown["margin"]["error_high"] == 2
    for row in shown["points"]:
        assert row["value"] == float(payoff.value(row["level"]))
    text = run("payoff FILE -u NIFTY --spread straddle --side sell")[1]
    assert "least unlimited" in text and "margin about Rs" in text


def test_payoff_of_a_calendar_says_that_it_is_modelled(run: Run) -> None:
    shown = told(run, "payoff FILE -u NIFTY --spread calendar --right PE --rate 5.25%")
    assert shown["modelled"] and len(shown["breakevens"]) == 2
    assert {leg["expiry"] for leg in shown["legs"]} == {str(EXPIRY), str(NEXT)}
    assert "BY THE MODEL" in run("payoff FILE -u NIFTY --spread calendar")[1]


def test_payoff_of_typed_legs(run: Run) -> None:
    words = 'payoff --leg "sell 25200 CE 133.75" --leg "buy 2 25400ce 60" --lot 65'
    shown = told(run, words)
    assert shown["premium"] == 65 * (2 * 60.0 - 133.75) and shown["profit_max"] is None
    assert shown["breakevens"] == [25_213.75, 25_586.25]
    assert shown["profit_probability"] is None
    shown = told(run, f"{words} --forward 25180 --volatility 12% --days 5")
    below = options.lognormal_below(25_180.0, 0.12, 5 / 365)
    wanted = below(25_213.75) + 1.0 - below(25_586.25)
    assert shown["profit_probability"] == pytest.approx(wanted)
    assert run(words)[0] == 0


def test_what_changes_are_against(run: Run) -> None:
    words = "oi FILE -u NIFTY --strikes 2 --json"
    assert told(run, f"{words} --since 2026-01-22T10:00")["since"] == "2026-01-22 09:30"
    now = told(run, f"{words} --since 2026-01-22T13:00")
    assert now["since"] == now["at"] and all(row["call_change"] == 0.0 for row in now["rows"])


def test_too_few_quotes_for_a_smile_are_said(run: Run, tmp_path: Path) -> None:
    few = chain(strikes=[25_000.0, 25_100.0, 25_200.0, 25_300.0], tick=0.05)
    path = write(tmp_path / "few.parquet", table(few))
    shown = told(run, f"iv {path}")
    assert shown["smile"] is None and "4 volatilities" in shown["smile_reason"]
    assert "no smile: 4 volatilities" in run(f"iv {path}")[1]
    assert told(run, f"payoff {path} --spread straddle")["profit_probability_smile"] is None


def test_a_day_of_one_snapshot_has_no_changes(run: Run) -> None:
    """Compared with itself it would show a change of 0 at every strike."""
    shown = told(run, "oi FILE -u RELIANCE --levels 1")
    assert shown["since"] is None and shown["support"][0]["change"] is None
    assert all(row["call_change"] is None and row["put_class"] == "" for row in shown["rows"])
    assert shown["rows"][0]["call_oi"] is not None
    text = run("oi FILE -u RELIANCE")[1]
    assert "no changes: there is no earlier snapshot to compare with" in text


def test_a_chain_of_one_side_takes_the_forward_that_is_given(run: Run, tmp_path: Path) -> None:
    both = chain(LATER, tick=0.05)
    none = np.zeros(len(both))
    calls = options.snapshot(LATER, "NIFTY", EXPIRY, both.strike, both.call, none,
                             call_oi=both.call_oi, put_oi=both.put_oi)  # fmt: skip
    path = write(tmp_path / "calls.parquet", table(calls))
    for words in ("chain", "iv", "oi"):
        code, _, messages = run(f"{words} {path}")
        assert code == 1 and "no strike has a call and a put with a price; give the" in messages
        shown = told(run, f"{words} {path} --forward 25180 --rate 5.25%")
        assert shown["forward"] == 25_180.0
        solved = options.solve_chain(calls, RATE, forward=25_180.0)
        assert shown["at_money_volatility"] == solved.at_money_volatility()
    words = f"payoff {path} --spread bull-call"
    assert "give the forward" in run(words)[2]
    legs = told(run, f"{words} --forward 25180 --rate 5.25%")["legs"]
    assert [leg["strike"] for leg in legs] == [25_200.0, 25_400.0]


def test_the_smile_of_what_has_ended_is_none(run: Run, tmp_path: Path) -> None:
    held = chain(LATER, tick=0.05)
    ended = options.snapshot(LATER, "NIFTY", date(2026, 1, 20), held.strike, held.call, held.put)
    shown = told(run, f"iv {write(tmp_path / 'ended.parquet', table(ended))}")
    assert shown["smile"] is None and "have ended" in shown["smile_reason"]
