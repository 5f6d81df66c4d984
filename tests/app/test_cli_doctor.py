"""`dhanfast doctor` as it is typed, against a broker on loopback."""

import datetime as dt
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app import readiness
from dhanfast.app.cli import run
from dhanfast.app.config import load_config
from dhanfast.app.readiness import require_ready
from dhanfast.clock import SystemClock
from dhanfast.engine.doctor import Finding, green, red, yellow

from ..listing import as_csv, option, share
from .broker_stand import Account, broker, jwt

Say = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """A user who is ready: folders, today's instruments, a token, a broker that answers."""
    made = Account()
    for name in ("DHAN_CLIENT_ID", "DHANFAST_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--no-input"]) == 0
    Path("m.csv").write_bytes(as_csv([option(), share()]))
    assert run(["instruments", "update", "--from", "m.csv"]) == 0
    monkeypatch.setenv("DHAN_ACCESS_TOKEN", made.token)
    with broker(made) as port:
        monkeypatch.setenv("DHANFAST__BROKER__EXCHANGE", f"http://127.0.0.1:{port}")
        yield made


@pytest.fixture
def say(account: Account, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs the doctor: its exit code, its findings by name, everything it printed."""

    def call(*words: str) -> tuple[int, dict[str, Any], str]:
        capsys.readouterr()
        code = run(["doctor", "--json", *words])
        printed = capsys.readouterr()
        said = json.loads(printed.out) if printed.out else {"findings": []}
        found = {one["name"]: one for one in said["findings"]}
        assert len(found) == len(said["findings"])
        return code, found, printed.out + printed.err

    return call


def levels(found: dict[str, Any]) -> dict[str, str]:
    """Of what the account and the user's folder decide; the machine's own are its business."""
    mine = ("configuration", "folders", "secrets", "engine", "instruments", "broker", "clock",
            "token", "data plan", "latency", "address", "funds")  # fmt: skip
    return {name: found[name]["level"] for name in mine if name in found}


def test_everything_is_green(say: Say, account: Account) -> None:
    _, found, text = say("--live")
    assert set(levels(found).values()) <= {"green", "yellow"}  # the day may end after the token
    assert levels(found).keys() >= {"broker", "clock", "data plan", "latency", "address", "funds"}
    assert levels(found)["broker"] == levels(found)["data plan"] == "green"
    assert account.token not in text


def test_paper_needs_no_address_and_no_funds(say: Say, account: Account) -> None:
    account.ip_match, account.available = "MISMATCH", -5.0
    _, found, _ = say()
    assert "address" not in found and "funds" not in found
    code, found, _ = say("--live")
    assert code == 6 and levels(found)["address"] == levels(found)["funds"] == "red"
    assert "10.0.0.9" in found["address"]["said"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"data_plan": "Deactive"}, "data plan"),
        ({"token_hours": -1.0}, "token"),
        ({"late_s": 60.0}, "clock"),
    ],
)
def test_what_the_broker_says_turns_red(
    say: Say, account: Account, change: dict[str, Any], name: str
) -> None:
    for key, value in change.items():
        setattr(account, key, value)
    code, found, _ = say()
    assert code == 6 and levels(found)[name] == "red" and found[name]["remedy"]


def test_a_dead_token_is_told_and_not_shown(
    say: Say, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = jwt("1000000001", 1.0)
    monkeypatch.setenv("DHAN_ACCESS_TOKEN", dead)
    code, found, text = say()
    assert code == 6 and "red" in levels(found).values() and "dhanfast auth login" in text
    assert dead not in text
    monkeypatch.delenv("DHAN_ACCESS_TOKEN")
    code, found, text = say("--set", "broker.token=env:NOBODY")
    assert code == 6 and levels(found)["token"] == "red" and "NOBODY" in text


def test_files_on_disk_turn_red_and_are_repaired(
    say: Say, account: Account, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "run").chmod(0o755)
    (home / "secrets" / "store.json").write_text("{}")
    (home / "secrets" / "store.json").chmod(0o644)
    (home / "strategies").rmdir()
    code, found, _ = say()
    assert code == 6 and levels(found)["folders"] == levels(found)["secrets"] == "red"
    _, found, text = say("--fix")
    assert levels(found)["folders"] == levels(found)["secrets"] == "green"
    assert (home / "strategies").is_dir() and text.count("fixed: ") == 3
    assert (home / "run").stat().st_mode & 0o777 == 0o700


def test_a_wrong_configuration_is_red_and_the_rest_is_still_looked_at(
    say: Say, tmp_path: Path
) -> None:
    (tmp_path / "home" / "config.toml").write_text("[risk]\nband = 3\n")
    code, found, _ = say()
    assert code == 6 and "risk.band" in found["configuration"]["said"]
    assert levels(found)["folders"] == "green" and "broker" not in found


def test_an_unreachable_broker_is_red(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dhanfast.brokers.dhan.caller.CallSettings.__init__.__defaults__",
                        (0.2, 0.2, 0.2, 0.2, 1, 0.2, 0.2))  # fmt: skip
    monkeypatch.setenv("DHANFAST__BROKER__EXCHANGE", "http://127.0.0.1:1")
    code, found, _ = say()
    assert code == 6 and levels(found)["broker"] == "red"


def test_the_screen_fits_and_says_how_many(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.data_plan = "Deactive"
    capsys.readouterr()
    assert run(["doctor"]) == 6
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert max(len(line) for line in lines if "/" not in line) <= 80
    assert any("RED  data plan" in line for line in lines) and "red" in lines[-1]
    assert "do not trade" in printed.err


def test_old_instruments_are_told(say: Say, tmp_path: Path) -> None:
    day = dt.date.today() - dt.timedelta(days=20)
    code, found, _ = say("--user-dir", str(tmp_path / "other"))
    assert code == 6 and "no list" in found["instruments"]["said"]
    words = ["--folder", str(tmp_path / "other" / "instruments"), "--day", str(day)]
    assert run(["instruments", "update", "--from", "m.csv", *words]) == 0
    code, found, _ = say("--user-dir", str(tmp_path / "other"))
    assert code == 6 and "days old" in found["instruments"]["said"]


def test_missing_instruments_are_fetched(say: Say, account: Account, tmp_path: Path) -> None:
    account.instruments = Path("m.csv").read_bytes()
    place = ("--user-dir", str(tmp_path / "other"))
    assert say(*place)[1]["instruments"]["level"] == "red"
    _, found, text = say("--fix", *place)
    assert found["instruments"]["level"] == "green" and "fixed: instruments: updated" in text
    account.instruments = b"<html>sorry</html>"
    _, found, text = say("--fix", "--user-dir", str(tmp_path / "third"))
    assert found["instruments"]["level"] == "red" and "instruments: not updated" in text


def test_real_orders_wait_for_green(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Red: refused before anything is asked or sent. An exchange on this machine is let through."""
    findings = [
        green("disk", "much"),
        yellow("core", "slow", "see"),
        red("token", "ended", "log in"),
    ]

    async def examined(*_: Any, live: bool, **__: Any) -> list[Finding]:
        assert live
        return findings

    monkeypatch.setattr(readiness, "examine", examined)
    config = load_config([], None, [], dict(os.environ))
    require_ready(config, SystemClock())
    monkeypatch.delenv("DHANFAST__BROKER__EXCHANGE")
    assert run(["trade", "--live", "--confirm-live", "1"]) == 6
    assert "token: ended; log in" in capsys.readouterr().err and account.said == []
    findings.pop()
    require_ready(load_config([], None, [], dict(os.environ)), SystemClock())
