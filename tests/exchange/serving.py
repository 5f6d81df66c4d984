"""A served exchange for tests: a core on a port of loopback, in a thread of its own."""

import asyncio
import contextlib
import datetime as dt
import json
import random
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from dhanfast.clock import PacedClock, SystemClock
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.faults import Fault
from dhanfast.exchange.market import GeneratedMarket
from dhanfast.exchange.settings import ExchangeSettings

DAY = dt.date(2025, 11, 17)
SECOND = 1_000_000_000
LIMIT_S = 20.0


@dataclass
class Account:
    """A core driven by hand: one client's requests, at times the test says."""

    core: ExchangeCore
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"access-token": self.token, "client-id": self.core.settings.client_id}

    def ask(self, method: str, path: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """Status and decoded body of one request, a tenth of a second after the last."""
        raw = b"" if body is None else json.dumps(body).encode()
        core = self.core
        reply = core.request(method, "/v2" + path, query, self.headers, raw, core.now_ns,
                             real_ns=core.real_ns + SECOND // 5)  # fmt: skip
        return reply.status, reply.json()

    def run(self, seconds: float) -> None:
        """Let the market go on."""
        span = round(seconds * SECOND)
        self.core.advance(self.core.now_ns + span, self.core.real_ns + span)

    def contract(self, kind: str, near: int = 0) -> Any:
        """The future, or the option `near` strikes above the money."""
        core = self.core
        found = [one for one in core.contracts if one.kind == kind]
        spot = core.last(core.contracts[0])
        found.sort(key=lambda one: abs(one.strike - spot))
        return sorted(found[:9], key=lambda one: one.strike)[len(found[:9]) // 2 + near]

    def order(self, contract: Any, side: str, kind: str = "LIMIT", **given: Any) -> dict[str, Any]:
        """The body that the official client sends for an order."""
        return {
            "transactionType": side, "exchangeSegment": contract.segment,
            "productType": "INTRADAY", "orderType": kind, "validity": "DAY",
            "securityId": str(contract.security_id), "quantity": contract.lot,
            "disclosedQuantity": 0, "price": 0.0, "afterMarketOrder": False,
            "boProfitValue": None, "boStopLossValue": None, "triggerPrice": 0.0,
            "dhanClientId": "1000000001",
        } | given  # fmt: skip

    def mid(self, contract: Any) -> int:
        """Between the quotes, on the tick, paise."""
        face = self.core.shown[contract.index]
        return int(face["bid"] + face["ask"]) // 2 // contract.tick * contract.tick


@cache
def market_of(symbol: str, levels: int) -> GeneratedMarket:
    """A market can be walked through as often as one likes."""
    return GeneratedMarket(symbol, DAY, seed=1, strikes=11, levels=levels)


def make_core(
    symbol: str = "NIFTY", faults: tuple[Fault, ...] = (), *, levels: int = 20, **given: Any
) -> ExchangeCore:
    """A core on a generated day, at the open."""
    settings = ExchangeSettings.seeded(1, **given)
    return ExchangeCore(market_of(symbol, levels), settings, random.Random(1), faults)


def make_account(faults: tuple[Fault, ...] = (), minutes: float = 2, **given: Any) -> Account:
    """One with a token, some minutes after the open."""
    core = make_core(faults=faults, **given)
    core.advance(core.market.day.windows[0][0] + round(minutes * 60 * SECOND))
    return Account(core, core.tokens.mint("SELF", core.real_ns).value)


@dataclass
class Served:
    """A running server. `call` runs a function on its thread, where the core lives."""

    server: Any
    loop: asyncio.AbstractEventLoop
    token: str

    @property
    def core(self) -> ExchangeCore:
        return self.server.core

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.server.port}"

    def call(self, work: Any) -> Any:
        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(LIMIT_S)

    def get(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.http + path, data=data)
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            return json.load(answer)


@contextlib.contextmanager
def serving(core: ExchangeCore, speed: float = 1.0, minutes: float = 2) -> Iterator[Served]:
    """Serve a core until the block ends."""
    pytest.importorskip("aiohttp")
    from dhanfast.exchange.server import ExchangeServer

    clock, ready, found = SystemClock(), threading.Event(), []

    def started(server: Any) -> None:
        token = core.tokens.mint("SELF", clock.now_ns()).value
        found.append(Served(server, asyncio.get_running_loop(), token))
        ready.set()

    async def run() -> None:
        start_ns = core.market.day.windows[0][0] + round(minutes * 60 * SECOND)
        server = ExchangeServer(core, clock, PacedClock(clock, speed), start_ns=start_ns)
        await server.run(started)

    failures: list[BaseException] = []

    def body() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        assert ready.wait(LIMIT_S) and found, failures
        yield found[0]
    finally:
        if found:
            found[0].loop.call_soon_threadsafe(found[0].server.stop)
        thread.join(LIMIT_S)
    assert not thread.is_alive() and not failures, failures
