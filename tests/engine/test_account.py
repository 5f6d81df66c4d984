"""Engines of one account: who may trade what, and what is said when the count is not whole."""

import asyncio
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast.clock import ManualClock
from dhanfast.engine.account import (
    DAMAGED,
    Claim,
    LiveAccount,
    Stake,
    account_digest,
    account_folder,
    stake_of,
)
from dhanfast.errors import DhanfastError, UsageError

NOON = 1_763_620_200 * 10**9
FUTURE = {"NSE_FNO 52175": "BANKNIFTY-Nov2026-FUT"}
CALLS = {f"NSE_FNO {number}": f"CALL {number}" for number in range(5)}


def test_a_digest_tells_accounts_apart_and_does_not_tell_the_client() -> None:
    mine = account_digest("https://api.dhan.co/v2", "1000000001")
    assert mine == account_digest("https://api.dhan.co/v2", "1000000001") and len(mine) == 32
    others = [("https://api.dhan.co/v2", "1000000002"), ("http://127.0.0.1:8/v2", "1000000001")]
    assert mine not in [account_digest(*other) for other in others]


def test_the_folder_is_the_users_alone(tmp_path: Path) -> None:
    folder = account_folder(tmp_path / "run", bytes(32))
    assert folder == account_folder(tmp_path / "run", bytes(32)) and folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(DhanfastError, match="owner and mode"):
        account_folder(tmp_path / "file", bytes(32))


# ---- what two engines cannot both have -----------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two", "words"),
    [
        (Stake("a", FUTURE), Stake("b", CALLS, pid=7), ""),
        (Stake("a", FUTURE), Stake("b", FUTURE, pid=7), "engine b (pid 7) trades BANKNIFTY"),
        (Stake("a", CALLS), Stake("b", CALLS, pid=7), "CALL 0, CALL 1, CALL 2 and 2 more"),
        (Stake("a", FUTURE, "loss 5"), Stake("b", CALLS, "loss 5"), ""),
        (Stake("a", FUTURE, "loss 5"), Stake("b", CALLS), ""),
        (Stake("a", FUTURE, "loss 5"), Stake("b", CALLS, "loss 6", 7), "at loss 6, this one wants"),
    ],
)
def test_what_stands_against_a_second_engine(one: Stake, two: Stake, words: str) -> None:
    said = one.against(two)
    assert words in said and bool(said) == bool(words)


def test_a_stake_names_what_is_ordered() -> None:
    contract = SimpleNamespace(segment="NSE_FNO", security_id=52175, symbol="X FUT")
    assert stake_of("a", [contract], "") == Stake("a", {"NSE_FNO 52175": "X FUT"}, "", os.getpid())


def test_a_seat_is_kept_until_it_is_closed(tmp_path: Path) -> None:
    with Claim(tmp_path, Stake("a", FUTURE)) as first:
        assert first.others == ()
        with pytest.raises(UsageError, match=f"engine a .pid {os.getpid()}.*end that engine"):
            Claim(tmp_path, Stake("b", FUTURE))
        with pytest.raises(UsageError, match="engine a trades on this account already"):
            Claim(tmp_path, Stake("a", CALLS))
        with Claim(tmp_path, Stake("c", CALLS)) as third:
            assert [one.run for one in third.others] == ["a"]
    first.close()  # a second time does nothing
    assert list(tmp_path.glob("*.engine")) == []
    Claim(tmp_path, Stake("b", FUTURE)).close()


def test_a_killed_engine_leaves_its_contracts_to_others(tmp_path: Path) -> None:
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        claim = Claim(tmp_path, Stake("dead", FUTURE))
        os.write(told, b"." if claim.others == () else b"!")
        signal.pause()
        os._exit(1)
    assert os.read(ready, 1) == b"."
    with pytest.raises(UsageError, match="engine dead"):
        Claim(tmp_path, Stake("next", FUTURE))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(ready)
    os.close(told)
    assert (tmp_path / "dead.engine").exists()
    with Claim(tmp_path, Stake("next", FUTURE)) as claim:
        assert claim.others == () and not (tmp_path / "dead.engine").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"run": 1, "pid": 1, "belt": "", "contracts": 3}']
)
def test_a_running_engine_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    with Claim(tmp_path, Stake("a", FUTURE)):
        (tmp_path / "a.engine").write_text(text)
        with pytest.raises(DhanfastError, match=r"a\.engine.*end that engine"):
            Claim(tmp_path, Stake("b", CALLS))


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(DhanfastError, match=r"absent.*owner and mode"):
        Claim(tmp_path / "absent", Stake("a", FUTURE))


# ---- while it trades -----------------------------------------------------------------------------


class Engine:
    """Hears what the watch has to say."""

    def __init__(self) -> None:
        self.holds: set[str] = set()
        self.notes: list[str] = []

    def hold(self, reason: str) -> None:
        self.holds.add(reason)

    def let_go(self, reason: str) -> None:
        self.holds.discard(reason)

    def remark(self, words: str, before: str = "") -> None:
        self.notes = [note for note in self.notes if note != before]
        if words:
            self.notes.append(words)

    def note(self, **words: Any) -> None:
        raise AssertionError("nothing of it is for the journal but the hold")


def account(folder: Path, run: str = "a", belt: str = "") -> LiveAccount:
    budget = SharedBudget(folder / "b", bytes(32), name=run, manual_ns=NOON)
    contracts = {f"NSE_FNO {run}": run}
    return LiveAccount(budget, Claim(folder, Stake(run, contracts, belt)))


def test_entries_wait_while_the_file_is_away_and_go_on_when_it_is_back(tmp_path: Path) -> None:
    mine, engine, path = account(tmp_path), Engine(), tmp_path / "b"
    said: list[tuple[bool, int]] = []

    class Steps(ManualClock):
        """Each pause is the next scene."""

        async def sleep(self, seconds: float) -> None:
            assert seconds == 1
            said.append((DAMAGED in engine.holds, len(engine.notes)))
            if len(said) == 2:
                path.rename(tmp_path / "away")
            elif len(said) == 4:
                (tmp_path / "away").rename(path)
            elif len(said) == 6:
                raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(mine.watch(engine, Steps(NOON)))
    assert said == [(False, 0)] * 2 + [(True, 1)] * 2 + [(False, 0)] * 2
    mine.claim.close()


def test_a_status_tells_what_all_engines_have_sent(tmp_path: Path) -> None:
    one, two = account(tmp_path, "a"), account(tmp_path, "b")
    for _ in range(3):
        assert one.budget.reserve(NOON) == 0
    assert two.budget.reserve(NOON) == 0
    assert one.requests(NOON) == two.requests(NOON) == {
        "second": (4, 9), "minute": (4, 240), "hour": (4, 960), "day": (4, 6_900),
    }  # fmt: skip
    one.claim.close()
    two.claim.close()


def test_a_belt_that_another_engine_has_set_is_only_looked_at(tmp_path: Path) -> None:
    first = account(tmp_path, "a", "loss 5,000")
    second = account(tmp_path, "b", "loss 5,000")
    third = account(tmp_path, "c")
    assert not first.belt_is_set("loss 5,000"), "it is the first to ask"
    assert second.belt_is_set("loss 5,000") and not third.belt_is_set("")
    with pytest.raises(UsageError, match="the same amounts in rupees"):
        account(tmp_path, "d", "loss 6,000")
    for one in (first, second, third):
        one.claim.close()
