"""The exchange: packets a second to its feeds, and an order's round trip without sockets."""

import datetime as dt
import json
import random
from typing import Any

import numpy as np
import pytest

from dhanfast._core.feedout import FeedLane, FeedMode
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.market import GeneratedMarket
from dhanfast.exchange.settings import ExchangeSettings

DAY = dt.date(2025, 11, 17)
SECOND = 1_000_000_000


def make_core(levels: int) -> ExchangeCore:
    market = GeneratedMarket("NIFTY", DAY, seed=1, levels=levels)
    return ExchangeCore(market, ExchangeSettings.seeded(1, limits=False), random.Random(1))


@pytest.mark.parametrize("mode", ["TICKER", "QUOTE", "FULL"])
def test_feed_packets(benchmark: Any, mode: str) -> None:
    """One client of every instrument: books applied, orders matched, frames written."""
    core = make_core(20)
    core.advance(core.market.day.windows[0][0])
    lane = FeedLane(len(core.contracts), 1 << 28)
    for one in core.contracts:
        lane.subscribe(one.index, FeedMode[mode])
    core.tape.attach(lane)
    ticks, rows = core._batch.ticks, core._batch.rows
    benchmark.extra_info["packets_per_round"] = len(ticks)
    benchmark.extra_info["rows_per_round"] = len(rows)

    def work() -> None:
        core.tape.step(ticks, 0, rows, 0, 2**62)
        lane.take()

    benchmark(work)


@pytest.mark.parametrize("clients", [0, 1, 5])
def test_clients(benchmark: Any, clients: int) -> None:
    """What more clients cost; with none it is the books and the matching alone."""
    core = make_core(20)
    core.advance(core.market.day.windows[0][0])
    lanes = [FeedLane(len(core.contracts), 1 << 28) for _ in range(clients)]
    for lane in lanes:
        for one in core.contracts:
            lane.subscribe(one.index, FeedMode.FULL)
        core.tape.attach(lane)
    ticks, rows = core._batch.ticks, core._batch.rows
    benchmark.extra_info["ticks_per_round"] = len(ticks)

    def work() -> None:
        core.tape.step(ticks, 0, rows, 0, 2**62)
        for lane in lanes:
            lane.take()

    benchmark(work)


def test_order_round_trip_in_the_core(benchmark: Any) -> None:
    """One `POST /orders` and one `DELETE`, the update messages taken, no sockets."""
    core = make_core(20)
    core.advance(core.market.day.windows[0][0] + 60 * SECOND)
    token = core.tokens.mint("SELF", core.real_ns).value
    headers = {"access-token": token, "client-id": "1000000001"}
    future = core.contracts[1]
    price = int(core.shown[future.index]["last"]) // 2 // future.tick * future.tick
    body = json.dumps({
        "transactionType": "BUY", "exchangeSegment": "NSE_FNO", "productType": "INTRADAY",
        "orderType": "LIMIT", "validity": "DAY", "securityId": str(future.security_id),
        "quantity": future.lot, "price": 21500.0,
    }).encode()  # fmt: skip
    assert price > 0

    def work() -> None:
        reply = core.request("POST", "/v2/orders", {}, headers, body, core.now_ns)
        order_id = reply.json()["orderId"]
        core.request("DELETE", f"/v2/orders/{order_id}", {}, headers, b"", core.now_ns)
        core.take_updates()

    benchmark.pedantic(work, rounds=2000, warmup_rounds=50)
    assert len(core.desk.blotter.tickets) > 2000
    assert np.all([not ticket.is_open for ticket in core.desk.blotter.tickets])
