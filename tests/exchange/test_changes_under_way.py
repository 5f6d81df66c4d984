"""Changes that follow each other faster than the exchange takes them."""

import json
import random
from typing import Any

from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.settings import ExchangeSettings
from tests.faults.market import OneFuture, future_of, window

SECOND = 1_000_000_000


def test_changes_under_way_are_taken_in_their_order() -> None:
    contract, _ = future_of(0)
    ticks = window(0, 0.3, 60)
    settings = ExchangeSettings(funds=10**13, latency_ns=300_000_000)
    core = ExchangeCore(OneFuture(contract, ticks), settings, random.Random(1))
    now_ns = int(ticks["recv_ns"][5])
    core.advance(now_ns)
    token = core.tokens.mint("APP", now_ns).value

    def ask(method: str, path: str, body: dict[str, Any] | None = None, after_ns: int = 0) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        reply = core.request(method, f"/v2/orders{path}", {}, {"access-token": token}, raw,
                             now_ns + after_ns)  # fmt: skip
        assert reply.status == 200, reply.body
        return reply.json()

    lot, tick = contract.lot, contract.tick
    far = int(ticks["price"][ticks["price"] > 0][0]) * 97 // 100 // tick * tick / 100
    made = ask("POST", "", {
        "transactionType": "BUY", "exchangeSegment": contract.segment, "productType": "INTRADAY",
        "orderType": "LIMIT", "validity": "DAY", "securityId": str(contract.security_id),
        "quantity": lot, "price": far,
    })  # fmt: skip
    order = f"/{made['orderId']}"
    for lots, price in ((2, far), (3, far), (3, far + tick / 100)):
        ask("PUT", order, {"orderType": "LIMIT", "validity": "DAY", "quantity": lots * lot,
                           "price": price}, 1_000_000)  # fmt: skip
    core.advance(now_ns + 20 * SECOND)
    shown = ask("GET", order, after_ns=20 * SECOND)
    shown = shown[0] if isinstance(shown, list) else shown
    assert (shown["quantity"], shown["orderStatus"]) == (3 * lot, "PENDING")
    assert shown["price"] == round(far + tick / 100, 2) and shown["filledQty"] == 0
