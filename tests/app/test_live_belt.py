"""`dhanfast trade --live` sets the broker's own exit; it acts when this machine does not."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.app.live_process import Trader, exchange

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
            status = engine.until(lambda status: status["held"])
            assert status["belt"] == "P&L exit set: loss 1,000, profit 100"
            found = pnl_exit(told)
            assert (found["pnlExitStatus"], found["loss"], found["profit"]) == (
                "ACTIVE", "1000.00", "100.00"
            )  # fmt: skip
            engine.kill()
        with trader.running("--live", "--confirm-live", client) as again:
            # Whatever the market has done meanwhile, the exit was not set a second time: it is on
            # still, or it has fired and entries wait.
            status = again.until(lambda status: not status["belt"].startswith("P&L exit not set"))
            if status["belt"].startswith("P&L exit off"):
                assert pnl_exit(told)["pnlExitStatus"] == "DISABLED"
                assert any("has fired" in note for note in status["notes"])
            else:
                assert pnl_exit(told)["pnlExitStatus"] == "ACTIVE"
            again.kill()
