"""`dhanfast trade --legs` with a hedge, on paper and at the exchange on loopback, and killed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_trade_legs import (
    MARKET,
    exchange,
    faults,
    held,
    live,
    orders,
    ours,
    resting,
    seen,
    trader_of,
)

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

# A sold call has half its units of delta, so its hedge goes in at once.
CALL = """
name = "call"
underlying = "BANKNIFTY"
entry = "09:16"
late = "5h"
exit = "15:20"

[order]
deadline = "{deadline}"
repairs = {repairs}

[hedge]
band = "4 lots"
pause = "5m"

[[leg]]
side = "sell"
right = "CE"
strike = "itm4"
lots = 6
"""


@pytest.fixture
def told() -> Any:
    """A generated day with a chain and its future: an exchange of the test's own."""
    with exchange(*MARKET) as said:
        yield said


def hedged(status: dict[str, Any]) -> bool:
    """The call and its future are held, and nothing works."""
    return bool(status["contracts"] == 2 and not status["orders_working"])


def test_a_paper_day_with_a_hedge_goes_on_after_a_kill(
    told: dict[str, Any], tmp_path: Path
) -> None:
    """Decided, filled, killed, repeated from the journal, left: the future behind the call."""
    trader, path = trader_of(tmp_path, told, text=CALL)
    with trader.running("--legs", path) as first:
        seen(lambda: "hedge: buy" in first.said)
        before = first.until(hedged)
        first.kill()
        decided = first.said
    with trader.running("--legs", path, "--json") as second:
        after = second.until(lambda status: status["state"] == "trading")
        for name in ("held", "contracts", "orders_sent", "orders_filled", "capital"):
            assert after[name] == before[name], name
        assert second.interrupt() == 0
        text = second.said
    found = json.loads(text[text.index("\n{") + 1 : text.rindex("\n}") + 2])
    assert found["status"]["held"] == 0
    assert found["summary"]["hedge"]["dealt"] >= 2  # in and out
    assert found["summary"]["counters"]["hedges"] >= 1
    assert any(name.endswith(" FUT") for name in found["summary"]["contracts"].values())
    assert "hedge: buy" in decided
    assert "outside the band" in decided
    assert "the structure is left" in text


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["timeout-after", "reset-after", "timeout"])
def test_killed_between_a_hedges_decision_and_its_fill(
    told: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    """The exchange takes the hedge's order (or never sees it) and does not say so; the engine dies.
    The next life asks for it by its number: it is there once, or it is decided anew."""
    trader, path = trader_of(tmp_path, told, text=CALL)
    old = {one["orderId"] for one in orders(told)}
    faults(told, {"kind": kind, "path": "/v2/orders", "method": "POST", "after": 1, "count": 1,
                  "delay_s": 60})  # fmt: skip
    with trader.running(*live(told, path)) as first:
        seen(lambda: len(ours(told, old)) >= (1 if kind == "timeout" else 2))
        if kind == "timeout":
            first.until(lambda status: status["orders_working"] == 1 and status["contracts"] == 1)
        first.kill()
    faults(told)
    with trader.running(*live(told, path)) as second:
        second.until(lambda status: hedged(status) and status["state"] == "trading")
        units = held(told)
        sides = sorted(units.values())
        assert len(units) == 2
        assert sides[0] < 0 < sides[1]
        assert sides[1] <= -sides[0]
        marks = [one["correlationId"] for one in ours(told, old)]
        assert len(set(marks)) == len(marks), "no number twice"
        bought = [one for one in ours(told, old) if one["transactionType"] == "BUY"
                  and one["filledQty"]]  # fmt: skip
        assert sum(one["filledQty"] for one in bought) == sides[1], "hedged once"
        assert second.interrupt() == 0
    assert held(told) == {}
    assert resting(told) == []
    last = [one["transactionType"] for one in ours(told, old) if one["filledQty"]][-2:]
    assert last == ["BUY", "SELL"], "the call is bought back before its hedge is sold"
