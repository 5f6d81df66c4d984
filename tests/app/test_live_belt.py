"""`dhanfast trade --live` sets the broker's own exit; it acts when this machine does not."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.app.live_process import LIMIT_S, Trader, exchange

pytest.importorskip("picows")
pytest.importorskip("uvloop")


def pnl_exit(told: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{told['port']}/v2/pnlExit",
        headers={"access-token": told["token"], "client-id": told["client_id"]},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def test_the_brokers_exit_is_set_and_closes_what_a_dead_engine_left(tmp_path: Path) -> None:
    with exchange("--seed", "5", "--start", "09:12", "--speed", "60x") as told:
        client = told["client_id"]
        trader = Trader(tmp_path / "home", told, broker__client_id=client,
                        risk__broker_loss_exit="1000", risk__broker_profit_exit="100")  # fmt: skip
        with trader.running("--live", "--confirm-live", client) as engine:
            status = engine.until(lambda status: status["belt"].startswith("P&L exit set"))
            assert status["belt"] == "P&L exit set: loss 1,000, profit 100"  # as it was read back
            found = pnl_exit(told)
            if found["pnlExitStatus"] == "ACTIVE":  # a market that is quick has fired it already
                assert (found["loss"], found["profit"]) == ("1000.00", "100.00")
            engine.until(lambda status: status["held"] or status["trades"])
            engine.kill()
        ends = time.monotonic() + LIMIT_S  # nobody is there but the exchange
        while pnl_exit(told)["pnlExitStatus"] == "ACTIVE":
            assert time.monotonic() < ends, "it never fired"
            time.sleep(0.1)  # the broker answers twenty such requests a second
        with trader.running("--live", "--confirm-live", client) as again:
            # It is not set a second time: entries wait for a person.
            status = again.until(lambda status: status["belt"].startswith("P&L exit off"))
            assert any("has fired" in note for note in status["notes"])
            again.kill()
        assert pnl_exit(told)["pnlExitStatus"] == "DISABLED"
