"""Two engines trade one account at the exchange on loopback: what they share, and what they do not.

Real processes. One holds the future, the other a structure of options on the same index.
"""

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run
from dhanfast.engine.control import ControlClient
from tests.app.live_process import Running, Trader, exchange

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

WINGS = """
name = "wings"
underlying = "BANKNIFTY"
entry = "09:16"
late = "5h"
exit = "15:20"

[[leg]]
side = "buy"
right = "CE"
strike = "otm2"

[[leg]]
side = "buy"
right = "PE"
strike = "otm2"
"""
MARKET = ("--seed", "5", "--start", "09:17", "--speed", "20x", "--strikes", "15", "--ticks",
          "500000")  # fmt: skip


def asked(told: dict[str, Any], path: str) -> Any:
    """What the exchange answers."""
    headers = {"access-token": told["token"], "client-id": told["client_id"]}
    address = f"http://127.0.0.1:{told['port']}/v2/{path}"
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return json.load(answer)


def held(told: dict[str, Any]) -> list[int]:
    """Units of each contract, as the exchange's own books have them."""
    found = (int(one["netQty"]) for one in asked(told, "positions"))
    return sorted(units for units in found if units)


def resting(told: dict[str, Any]) -> list[str]:
    return [one["orderId"] for one in asked(told, "orders")
            if one["orderStatus"] in ("PENDING", "TRANSIT")]  # fmt: skip


class Pair:
    """The two sides of one user, with one folder."""

    def __init__(self, folder: Path, told: dict[str, Any]) -> None:
        shared = {"broker__client_id": told["client_id"], "engine__reconcile_every": "1s"}
        self.future = Trader(folder, told, **shared)
        self.options = Trader(folder, told, **shared, engine__run="wings")
        self.options.sets = {key: value for key, value in self.options.sets.items()
                             if not key.startswith("strategy.")}  # fmt: skip
        (folder / "wings.toml").write_text(WINGS)
        self.live = ("--live", "--confirm-live", told["client_id"])
        self.legs = (*self.live, "--legs", str(folder / "wings.toml"))

    @contextlib.contextmanager
    def wings(self) -> Iterator[Running]:
        with self.options.running(*self.legs) as engine:
            engine.client = ControlClient(self.options.folder / "run" / "wings.sock", timeout_s=30)
            yield engine


def at_rest(status: dict[str, Any]) -> bool:
    """It holds something, and its books and the broker's agree."""
    return bool(status["held"] and status["state"] == "trading"
                and 0 <= status["reconciled_ago_s"] <= 5)  # fmt: skip


def both_legs(status: dict[str, Any]) -> bool:
    return at_rest(status) and status["contracts"] == 2 and not status["orders_working"]


def stop_is_out(status: dict[str, Any]) -> bool:
    return at_rest(status) and bool(status["orders_working"])


def differences(status: dict[str, Any]) -> list[str]:
    return [note for note in status["notes"] if "the broker holds" in note]


@pytest.mark.slow
def test_two_engines_of_one_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each keeps to its own units, both count in one budget, a killed one takes nothing with it, a
    third on the same contract is refused, and one panic closes both."""
    with exchange(*MARKET) as told:
        pair = Pair(tmp_path / "home", told)
        monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
        with contextlib.ExitStack() as running:
            first = running.enter_context(pair.future.running(*pair.live))
            first.until(lambda status: status["held"])  # the list of instruments has one writer
            second = running.enter_context(pair.wings())
            one, two = first.until(stop_is_out), second.until(both_legs)
            assert sorted((one["held"], two["held"] // 2, two["held"] // 2)) == held(told)
            now, also = first.status(), second.status()
            assert now["requests"]["day"] == also["requests"]["day"]
            assert now["requests_of"] == also["requests_of"]
            sent = now["requests_of"]
            assert sent["main"] >= 2 <= sent["wings"], "entry and stop; two legs"
            assert sum(sent.values()) == now["requests"]["day"][0]

            code, _, err = pair.future.ended(*pair.live, engine__run="third")
            assert code == 2 and f"engine main (pid {first.process.pid})" in err
            assert "another underlying" in err and "wings" not in err

            stop = resting(told)
            first.kill()
            assert resting(told) == stop and len(stop) == 1
            assert second.until(both_legs)["requests_of"]["main"] == sent["main"], (
                "it keeps its count"
            )
            assert differences(second.status()) == [], "the other's units are not its own"

            with pair.future.running(*pair.live) as again:
                back = again.until(stop_is_out)
                assert back["held"] == one["held"] and resting(told) == stop
                assert back["requests_of"]["main"] == sent["main"], "a restart counts nothing twice"
                assert differences(back) == differences(second.status()) == []

                assert run(["panic", "--yes"]) == 0
                assert capsys.readouterr().out.count("everything is closed") == 2
                assert held(told) == [] and resting(told) == []
                assert again.status()["state"] == second.status()["state"] == "closed"
                assert again.interrupt() == 0
            assert second.interrupt() == 0

        (path,) = (tmp_path / "home" / "run").glob("account-*/requests.budget")
        assert told["client_id"] not in str(path) and path.stat().st_mode & 0o077 == 0
        assert list(path.parent.glob("*.engine")) == [], "who has ended has left"
        os.truncate(path, 100)
        code, _, err = pair.future.ended(*pair.live)
        assert code not in (0, None) and str(path) in "".join(err.split("\n"))
        assert "remove the file" in " ".join(err.split())
        assert held(told) == []
