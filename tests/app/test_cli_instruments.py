"""`dhanfast instruments` as a user types it: what it prints, its exit codes, its files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run

from ..brokers.test_download import Server, serving
from ..listing import as_csv, option, options, share

FILES = Path(__file__).parents[1] / "market" / "dhan"
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs `dhanfast instruments ...` with a home of its own: (code, stdout, stderr)."""
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        code = run(["instruments", *map(str, words)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def two_days(say: Say, tmp_path: Path) -> Path:
    """Copies of 20 and 21 July: a lot changed, a contract came."""
    path = tmp_path / "master.csv"
    path.write_bytes(as_csv([option(), share()]))
    assert say("update", "--from", path, "--day", "2026-07-20")[0] == 0
    path.write_bytes(as_csv([option(LOT_SIZE="75"), share(), *options(12, 500)]))
    assert say("update", "--from", path, "--day", "2026-07-21")[0] == 0
    return path


def test_update_says_what_came_and_what_was_left(say: Say, tmp_path: Path) -> None:
    bad = option(SECURITY_ID="7", LOT_SIZE="x")
    rows = [*options(200), option(SECURITY_ID="8", SEGMENT="M"), share(), share(), bad]
    (tmp_path / "m.csv").write_bytes(as_csv([*rows[:6], *rows[7:]]))
    code, out, err = say("update", "--from", "m.csv", "--day", "2026-07-20")
    assert code == 0 and out == "2026-07-20: 200 contracts from m.csv (detailed)\n"
    assert "refused: 1 rows" in err and "LOT_SIZE 'x' must be a whole number" in err
    assert "repeated word for word: 1 rows" in err and "left out: 1 rows of NSE/M" in err
    code, out, _ = say("update", "--from", "m.csv", "--day", "2026-07-21", "--json")
    said = json.loads(out)
    assert said["unchanged"] and said["since"] == "2026-07-20" and said["copy"]["rows"] == 200


def test_update_shows_alarms_first(say: Say, two_days: Path) -> None:
    two_days.write_bytes(as_csv([option(LOT_SIZE="50"), share(), *options(12, 500)]))
    code, out, err = say("update", "--from", two_days, "--day", "2026-07-22", "--check")
    assert code == 6 and "error: 1 alarms since 2026-07-21; see above" in err
    assert out.splitlines()[1:] == [
        "since 2026-07-21: 1 alarms, 0 notices",
        "  ALARM  lot: 1",
        "    NSE_FNO 49081 NIFTY-Jul2026-25000-CE: 75 -> 50",
    ]


def test_diff(say: Say, two_days: Path) -> None:
    code, out, _ = say("diff")
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "2026-07-20 to 2026-07-21: 1 alarms, 12 notices")
    assert lines[3] == "  notice new: 12" and lines[-1] == "    and 4 more; --json shows all"
    assert say("diff", "2026-07-20") == say("diff", "2026-07-20", "2026-07-21") == say("diff")
    said = json.loads(say("diff", "--json")[1])
    assert (said["from"], said["to"], said["alarms"]) == ("2026-07-20", "2026-07-21", 1)
    assert said["counts"] == {"lot": 1, "new": 12} and len(said["changes"]) == 13
    assert said["changes"][0] == {
        "level": "alarm", "kind": "lot", "segment": "NSE_FNO", "security_id": 49081,
        "symbol": "NIFTY-Jul2026-25000-CE", "old": 65, "new": 75,
    }  # fmt: skip
    assert say("diff", "--check")[0] == 6
    assert say("diff", "2026-07-21", "2026-07-21", "--check")[:2] == (
        0, "no changes 2026-07-21 to 2026-07-21\n")  # fmt: skip


def test_diff_of_files(say: Say, two_days: Path, tmp_path: Path) -> None:
    code, out, _ = say("diff", FILES / "instruments_compact.csv",
                         FILES / "instruments_detailed.csv", "--json")  # fmt: skip
    said = json.loads(out)
    assert code == 0 and said["not_compared"] == ["freeze", "isin", "symbol", "underlying"]
    copies = json.loads(say("list", "--json")[1])
    packed, newest = (tmp_path / "home/instruments" / one["file"] for one in copies["copies"])
    assert json.loads(say("diff", packed, newest, "--json")[1])["counts"] == {"lot": 1, "new": 12}
    assert json.loads(say("diff", packed, two_days, "--json")[1])["counts"]["lot"] == 1


def test_find(say: Say, two_days: Path) -> None:
    code, out, err = say("find", "nifty", "25000", "--right", "CE")
    head, row = out.splitlines()
    assert head.split() == ["SEGMENT", "ID", "SYMBOL", "EXPIRY", "LOT", "TICK", "FREEZE", "NAME"]
    assert row.split()[:7] == ["NSE_FNO", "49081", "NIFTY-Jul2026-25000-CE", "2026-07-28", "75",
                               "0.05", "1800"]  # fmt: skip
    said = json.loads(say("find", "49081", "--as-of", "2026-07-20", "--json")[1])
    (contract,) = said["contracts"]
    assert (said["day"], said["found"]) == ("2026-07-20", 1)
    wanted = {"lot": 65, "strike_paise": 2_500_000, "tick_paise": 5, "tick_micros": 50_000,
              "freeze": 1_800, "expiry": "2026-07-28", "upper_micros": 1_500_000_000,
              "segment": "NSE_FNO", "underlying_id": 13}  # fmt: skip
    assert wanted.items() <= contract.items()
    assert contract["extras"]["MTF_LEVERAGE"] == "0.0000"
    code, out, err = say("find", "--segment", "NSE_FNO", "--expiry", "2026-07-28", "--limit", "2")
    assert (code, len(out.splitlines()), err) == (0, 3, "and 11 more; --limit shows them\n")
    assert len(say("find", "--strike", "20,050.00")[1].splitlines()) == 2
    assert say("find", "nothing") == (0, "", "nothing fits in the copy of 2026-07-21\n")


def test_list(say: Say, two_days: Path) -> None:
    assert [line.split() for line in say("list")[1].splitlines()[1:]] == [
        ["2026-07-20", "2", "0", "detailed", "master.csv"],
        ["2026-07-21", "14", "0", "detailed", "master.csv"],
    ]


def test_an_empty_folder_says_how_to_fill_it(say: Say) -> None:
    assert "is empty; fill it: dhanfast instruments update" in say("list")[2]
    for words in (("find", "x"), ("diff", "2026-07-20")):
        code, _, err = say(*words)
        assert code == 2 and "fetch one: dhanfast instruments update" in err
    assert "holds 0 copies and two are needed" in say("diff")[2]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["find"], 2, "say what to find"),
        (["find", "x", "--segment", "NFO"], 2, "segment 'NFO' is not known; choose from IDX_I"),
        (["find", "--strike", "0.001"], 2, "--strike must be rupees such as 25000 or 252.5"),
        (["find", "--strike", "NaN"], 2, "--strike must be rupees"),
        (["find", "x", "--expiry", "28-07-2026"], 2, "28-07-2026"),
        (["find", "x", "--as-of", "2020-01-01"], 1, "the first copy is of 2026-07-20"),
        (["diff", "yesterday"], 2, "'yesterday' is neither a day (YYYY-MM-DD) nor a file"),
        (["update", "--from", "nothing.csv"], 1, "nothing.csv"),
        (["update", "--from", "http://example.com/x.csv"], 2, "use https, or allow it with"),
        (["update", "--from", "master.csv", "--format", "compact"], 1, "say --format detailed"),
        (["update", "--from", "master.csv", "--day", "2126-01-01"], 2, "is in the future"),
        (["update", "--from", "master.csv", "--rows-min", "99"], 1, "are fewer than 99"),
        (["update", "--from", "master.csv", "--timeout", "0"], 2, "timeout must be above 0"),
    ],
)
def test_refusals(say: Say, two_days: Path, words: list[str], code: int, says: str) -> None:
    got, _, err = say(*words)
    assert got == code and says in err and "Traceback" not in err


@pytest.fixture
def server() -> Any:
    """A server on this machine."""
    with serving() as made:
        yield made


def test_update_from_an_address(say: Say, server: Server) -> None:
    url = server.say("/i.csv?token=secret", 200, as_csv(options(3)))
    code, out, err = say("update", "--from", url)
    assert code == 0 and f"3 contracts from {server.url}/i.csv (detailed)" in out
    assert "secret" not in out + err + say("list", "--json")[1]
    server.say("/i.csv?token=secret", 503, b"<html>")
    code, out, err = say("update", "--from", url)
    assert code == 1 and "answers 503" in err and "secret" not in err
    assert "3" in say("list")[1]


def test_the_broker_is_asked_over_https_for_the_detailed_file(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def from_address(url: str, *_: Any, **__: Any) -> Any:
        asked.append(url)
        return lambda newest: __import__("dhanfast.storage.masters", fromlist=["Raw"]).Raw(
            as_csv(options(10)), url
        )

    monkeypatch.setattr("dhanfast.brokers.dhan_instruments.from_address", from_address)
    code, _, err = say("update")
    assert code == 1 and "10 contracts are fewer than 50,000" in err
    assert say("update", "--rows-min", "1", "--format", "compact")[0] == 1  # it is the other form
    base = "https://images.dhan.co/api-data/api-scrip-master"
    assert asked == [f"{base}-detailed.csv", f"{base}.csv"]


def test_the_list_comes_from_where_trade_takes_it(say: Say, server: Server, tmp_path: Path) -> None:
    """A configuration of an exchange on this machine: doctor's advice works as it is written."""
    (tmp_path / "home").mkdir()
    config = tmp_path / "home" / "config.toml"
    config.write_text(f'[broker]\nexchange = "{server.url}"\n')
    server.say("/api-data/api-scrip-master-detailed.csv", 200, as_csv(options(3)))
    code, out, _ = say("update")
    assert code == 0 and f"3 contracts from {server.url}/api-data/" in out
    config.write_text(f'[broker.hosts]\ninstruments = "{server.url}/own"\n')
    server.say("/own/api-scrip-master-detailed.csv", 200, as_csv(options(4)))
    code, out, _ = say("update")
    assert code == 0 and f"4 contracts from {server.url}/own/" in out
    config.write_text("[broker]\nexchange = 5\n")
    code, _, err = say("update")
    assert code == 3 and "broker.exchange" in err
