"""Every check of the doctor, made green, yellow and red."""

import asyncio
import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast.clock import ManualClock
from dhanfast.engine import doctor
from dhanfast.engine.control import Found
from dhanfast.engine.doctor import Finding, Level
from dhanfast.errors import DhanfastError
from dhanfast.market.calendar import Calendar

S, MIN = 1_000_000_000, 60_000_000_000
NOW = 1_795_402_471 * S
GREEN, YELLOW, RED = Level.GREEN, Level.YELLOW, Level.RED


def ip(matches: bool | None, allowed: bool | None, primary: str = "10.0.0.1") -> Any:
    return SimpleNamespace(matches=matches, orders_allowed=allowed, primary=primary,
                           detected="10.0.0.9")  # fmt: skip


CASES: list[tuple[Level, Finding]] = [
    (GREEN, doctor.check_skew(0.4)),
    (GREEN, doctor.check_skew(-1.4)),
    (YELLOW, doctor.check_skew(3.0)),
    (YELLOW, doctor.check_skew(None)),
    (RED, doctor.check_skew(-5.5)),
    (RED, doctor.check_skew(19_800.0)),
    (GREEN, doctor.check_token(NOW + 600 * MIN, NOW)),
    (GREEN, doctor.check_token(NOW + 600 * MIN, NOW, NOW + 599 * MIN)),
    (YELLOW, doctor.check_token(NOW + 600 * MIN, NOW, NOW + 601 * MIN)),
    (YELLOW, doctor.check_token(NOW + 59 * MIN, NOW)),
    (YELLOW, doctor.check_token(0, NOW)),
    (RED, doctor.check_token(NOW - 1, NOW)),
    (RED, doctor.check_token(None, NOW)),
    (GREEN, doctor.check_data_plan(True, 0, NOW)),
    (GREEN, doctor.check_data_plan(True, NOW + 5 * 1440 * MIN, NOW)),
    (YELLOW, doctor.check_data_plan(True, NOW + MIN, NOW)),
    (RED, doctor.check_data_plan(True, NOW - MIN, NOW)),
    (RED, doctor.check_data_plan(False, NOW + 5 * 1440 * MIN, NOW)),
    (GREEN, doctor.check_ip(ip(True, True))),
    (YELLOW, doctor.check_ip(ip(None, None))),
    (RED, doctor.check_ip(ip(False, None))),
    (RED, doctor.check_ip(ip(True, False))),
    (RED, doctor.check_ip(ip(None, None, ""))),
    (RED, doctor.check_ip("no answer")),
    (GREEN, doctor.check_funds(SimpleNamespace(available=100))),
    (YELLOW, doctor.check_funds(SimpleNamespace(available=100), 101)),
    (RED, doctor.check_funds(SimpleNamespace(available=0))),
    (RED, doctor.check_funds(SimpleNamespace(available=-1))),
    (RED, doctor.check_funds("no answer")),
    (GREEN, doctor.check_latency([20 * 10**6] * 20)),
    (YELLOW, doctor.check_latency([20 * 10**6] * 9 + [300 * 10**6])),
    (RED, doctor.check_latency([20 * 10**6] * 9 + [1001 * 10**6])),
    (RED, doctor.check_latency([])),
    (GREEN, doctor.check_disk(2 * 10**9, Path("j"))),
    (YELLOW, doctor.check_disk(2 * 10**9 - 1, Path("j"))),
    (RED, doctor.check_disk(499_999_999, Path("j"))),
    (GREEN, doctor.check_limits(1024, 8_000_000)),
    (GREEN, doctor.check_limits(-1, -1)),
    (YELLOW, doctor.check_limits(1023, -1)),
    (YELLOW, doctor.check_limits(4096, 65_536)),
    (RED, doctor.check_limits(255, -1)),
    (GREEN, doctor.check_core(-1, frozenset({0, 1}), "")),
    (GREEN, doctor.check_core(1, frozenset({0, 1}), "performance")),
    (YELLOW, doctor.check_core(1, frozenset({0, 1}), "powersave")),
    (YELLOW, doctor.check_core(0, frozenset({0, 1}), "")),
    (RED, doctor.check_core(2, frozenset({0, 1}), "performance")),
    (GREEN, doctor.check_extras([])),
    (RED, doctor.check_extras(["aiohttp"])),
    (GREEN, doctor.check_config("", "mine")),
    (RED, doctor.check_config("", "")),
    (RED, doctor.check_config("x.toml: risk.band: wrong", "")),
    (GREEN, doctor.check_master("2026-11-23", dt.date(2026, 11, 23))),
    (YELLOW, doctor.check_master("2026-11-16", dt.date(2026, 11, 23))),
    (RED, doctor.check_master("2026-11-15", dt.date(2026, 11, 23))),
    (RED, doctor.check_master("", dt.date(2026, 11, 23))),
    (GREEN, doctor.check_calendar(Calendar.load(), dt.date(2026, 1, 27))),
    (YELLOW, doctor.check_calendar(Calendar.load(), dt.date(2026, 1, 26))),
    (YELLOW, doctor.check_calendar(Calendar.load(), dt.date(2026, 1, 25))),
    (RED, doctor.check_calendar(Calendar.load(), dt.date(2090, 1, 2))),
    (GREEN, doctor.check_crashed([])),
    (GREEN, doctor.check_crashed([Found("main", Path("main.sock"), 7)])),
    (YELLOW, doctor.check_crashed([Found("a", Path("a"), 7), Found("b", Path("b"), 0)])),
    (GREEN, doctor.check_secrets({})),
    (GREEN, doctor.check_secrets({Path("a"): 0o600, Path("b"): 0o400})),
    (RED, doctor.check_secrets({Path("a"): 0o600, Path("b"): 0o640})),
]


@pytest.mark.parametrize(("level", "finding"), CASES, ids=lambda one: str(one)[:50])
def test_levels(level: Level, finding: Finding) -> None:
    assert finding.level is level and finding.said
    assert bool(finding.remedy) == (level is not GREEN), "what is not green says what to do"


def test_every_check_is_shown_green_and_red() -> None:
    """Of all functions called check_*: those that judge facts are above, four more below."""
    made = {name for name in dir(doctor) if name.startswith("check_")}
    alone = {"check_folders", "check_reach", "check_kill_switch", "check_exit"}
    names = {level: {finding.name for of, finding in CASES if of is level} for level in Level}
    assert names[GREEN] == names[RED] | {"engine"} and len(names[GREEN]) == len(made - alone)


MODES = {"secrets": 0o700, "catalog": 0o755}


def test_folders_are_judged_and_repaired(tmp_path: Path) -> None:
    root = tmp_path / "home"
    assert doctor.check_folders(root, MODES).level is YELLOW
    old = os.umask(0)
    try:
        assert len(doctor.repair_folders(root, MODES)) == 2
    finally:
        os.umask(old)
    assert doctor.check_folders(root, MODES).level is GREEN
    (root / "secrets").chmod(0o750)
    (root / "catalog").chmod(0o777)  # its own business
    found = doctor.check_folders(root, MODES)
    assert found.level is RED and found.fix == "folders" and "chmod 700" in found.remedy
    assert doctor.repair_folders(root, MODES) == [f"{root / 'secrets'}: mode 700"]
    assert doctor.check_folders(root, MODES).level is GREEN
    assert (root / "catalog").stat().st_mode & 0o777 == 0o777
    (root / "secrets").rmdir()
    (root / "secrets").symlink_to(tmp_path)
    found = doctor.check_folders(root, MODES)
    assert found.level is RED and not found.fix
    assert doctor.repair_folders(root, MODES) == [] and (root / "secrets").is_symlink()


def test_secrets_are_taken_from_others(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.touch(0o644)
    path.chmod(0o644)
    assert doctor.repair_secrets({path: 0o644, tmp_path / "gone": 0o600}) == [f"{path}: mode 600"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "skew"),
    [
        ("Mon, 23 Nov 2026 07:54:31 GMT", 0.5),
        ("Mon, 23 Nov 2026 07:54:41 GMT", 10.5),
        ("Mon, 23 Nov 2026 07:54:31 -0000", 0.5),
        ("yesterday", None),
        ("", None),
    ],
)
def test_skew_is_read_from_the_date(text: str, skew: float | None) -> None:
    now = int(dt.datetime(2026, 11, 23, 7, 54, 31, tzinfo=dt.UTC).timestamp()) * S
    assert doctor.skew_of({"date": text}, now) == skew
    assert doctor.skew_of({}, now) is None


@dataclass
class Broker:
    """Answers after a while of the test's own clock."""

    clock: ManualClock
    works: bool = True
    probes: int = 0

    async def profile(self) -> Any:
        if not self.works:
            raise DhanfastError("the line is dead")
        return SimpleNamespace(client_id="1")

    async def ip(self) -> Any:
        raise DhanfastError("not this call")

    async def funds(self) -> Any:
        return SimpleNamespace(available=5)

    async def probe(self) -> Mapping[str, str]:
        self.probes += 1
        self.clock.advance(0.5 if self.probes == 1 else 0.02)
        return {}


def test_the_broker_is_asked_once_for_each_and_probed_warm() -> None:
    clock = ManualClock(NOW)
    broker = Broker(clock)
    facts = asyncio.run(doctor.ask_broker(broker, clock, live=True, probes=10))
    assert broker.probes == 11 and facts.latencies_ns == (20_000_000,) * 10
    assert facts.ip == "not this call" and facts.funds.available == 5
    assert doctor.check_reach(facts).level is GREEN


def test_a_broker_that_does_not_answer_is_not_probed() -> None:
    clock = ManualClock(NOW)
    broker = Broker(clock, works=False)
    facts = asyncio.run(doctor.ask_broker(broker, clock, live=False))
    assert broker.probes == 0 and facts.ip is None and facts.funds is None
    assert doctor.check_reach(facts).level is RED


def test_the_worst_counts() -> None:
    made = [doctor.green("a", "x"), doctor.yellow("b", "x", "y")]
    assert doctor.worst([]) is GREEN and doctor.worst(made) is YELLOW
    assert doctor.worst([*made, doctor.red("c", "x", "y"), *made]) is RED


# ---- what the broker itself would stop -----------------------------------------------------------


def exit_state(status: str, loss: int = 0, profit: int = 0) -> Any:
    return SimpleNamespace(status=status, loss=loss, profit=profit)


@pytest.mark.parametrize(
    "said, level, words",
    [
        (False, Level.GREEN, "off"),
        (True, Level.RED, "takes no orders today"),
        ("no route", Level.YELLOW, "cannot be read: no route"),
    ],
)
def test_the_brokers_kill_switch(said: Any, level: Level, words: str) -> None:
    found = doctor.check_kill_switch(said)
    assert found.level is level and words in found.said


@pytest.mark.parametrize(
    "said, wanted, level, words",
    [
        (exit_state("DISABLED"), (0, 0), Level.GREEN, "off"),
        (exit_state("DISABLED"), (5_000, 0), Level.GREEN, "set at the start"),
        (exit_state("ACTIVE", 5_000, 9_000), (5_000, 9_000), Level.GREEN, "on at loss 50.00"),
        (exit_state("ACTIVE", 5_000, 9_000), (7_000, 0), Level.YELLOW, "on at loss 50.00"),
        (exit_state("ACTIVE", 5_000, 9_000), (0, 0), Level.YELLOW, "[risk] wants none"),
        ("no route", (0, 0), Level.YELLOW, "cannot be read"),
        ("no route", (1, 0), Level.RED, "cannot be read"),
    ],
)
def test_the_brokers_exit(said: Any, wanted: tuple[int, int], level: Level, words: str) -> None:
    found = doctor.check_exit(said, *wanted)
    assert found.level is level and words in found.said
