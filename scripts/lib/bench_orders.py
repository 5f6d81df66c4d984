"""One order from call to answer, on loopback against one tiny server: four clients in one run.

    bench_orders.py [--rounds N] [--json FILE]

The clients take turns; figures are over all rounds. CPU is of the client's process, per order. The
raw socket sends our own bytes and looks at nothing that comes back: it is the floor.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import dhanhq
import numpy as np
import uvloop

from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.records import INTENT_DTYPE, IntentKind, Outcome
from dhanfast.brokers.dhan.courier import CourierSettings, DhanCourier
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.clock import SystemClock
from dhanfast.security.tokens import FixedToken, Token

CLIENT_ID, TOKEN, TAG = "1000000001", "bench." + "t" * 300, "df00c0ffee"
TABLE = [("NSE_FNO", "49081", "INTRADAY")]
BODY = b'{"orderId":"112111182198","orderStatus":"TRANSIT"}'
REPLY = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
) + BODY
COUNTS = {"ours": 1_000, "raw socket": 1_000, "aiohttp": 300, "official client": 200}
BARS = [
    ("p50, official client / ours", "official client", "ours", "p50", 8.0, True),
    ("CPU, official client / ours", "official client", "ours", "cpu", 12.0, True),
    ("p50, ours / raw socket", "ours", "raw socket", "p50", 1.2, False),
]


def serve(pipe: Any) -> None:
    """Answer every whole request with the same order, a thread a connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])

    def attend(plug: socket.socket) -> None:
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        held = b""
        while data := plug.recv(65_536):
            held += data
            head, blank, body = held.partition(b"\r\n\r\n")
            at = head.lower().find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if blank and len(body) >= size:
                held = body[size:]
                plug.sendall(REPLY)

    while True:
        plug, _ = listener.accept()
        threading.Thread(target=attend, args=(plug,), daemon=True).start()


def order(number: int) -> np.void:
    """A limit order."""
    record = np.zeros(1, INTENT_DTYPE)[0]
    record["id"] = record["order"] = number
    record["price"], record["qty"], record["side"] = 10_105, 75, 1
    record["kind"] = IntentKind.PLACE
    return record


class Ours:
    """The courier, as the engine uses it: the next order leaves when the answer is told."""

    def __init__(self, port: int) -> None:
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.runner.run(self._open(port))

    async def _open(self, port: int) -> None:
        self.courier = DhanCourier(
            Hosts.loopback(port), FixedToken(Token(CLIENT_ID, TOKEN)), SystemClock(), tag=TAG,
            instruments=TABLE, settings=CourierSettings(connections=2, ping_s=0),
        )  # fmt: skip
        self.task = asyncio.get_running_loop().create_task(self.courier.run())
        await self.courier.wait_ready(2)

    def run(self, count: int) -> list[int]:
        """Nanoseconds of each order."""
        orders = [order(number).tobytes() for number in range(1, count + 1)]
        return self.runner.run(self._run(orders))

    async def _run(self, orders: list[bytes]) -> list[int]:
        done = asyncio.get_running_loop().create_future()
        spent: list[int] = []
        begun, left = 0, iter(orders)

        def next_one() -> None:
            nonlocal begun
            intent = next(left, None)
            if intent is None:
                done.set_result(None)
                return
            begun = time.perf_counter_ns()
            self.courier.carry_intent(intent)

        def answered(answer: Any) -> None:
            spent.append(time.perf_counter_ns() - begun)
            assert answer["outcome"] == Outcome.TAKEN
            asyncio.get_running_loop().call_soon(next_one)

        self.courier.on_answer = answered
        next_one()
        await done
        return spent

    def close(self) -> None:
        """End."""

        async def end() -> None:
            await self.courier.close()
            await self.task

        self.runner.run(end())
        self.runner.close()


class Raw:
    """The same bytes through a blocking socket, prepared beforehand."""

    def __init__(self, port: int) -> None:
        self.plug = socket.create_connection(("127.0.0.1", port))
        self.plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.book = RequestBook(f"127.0.0.1:{port}", "/v2", CLIENT_ID, TAG, TABLE)
        self.book.set_token(TOKEN)

    def run(self, count: int) -> list[int]:
        """Nanoseconds of each order."""
        requests = [self.book.request(order(number)) for number in range(1, count + 1)]
        spent = []
        for request in requests:
            begun = time.perf_counter_ns()
            self.plug.sendall(request)
            self.plug.recv(65_536)
            spent.append(time.perf_counter_ns() - begun)
        return spent

    def close(self) -> None:
        """End."""
        self.plug.close()


class Aio:
    """aiohttp on uvloop, JSON both ways."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v2/orders"
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.session = self.runner.run(self._open())

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(headers={"access-token": TOKEN, "client-id": CLIENT_ID})

    def run(self, count: int) -> list[int]:
        """Nanoseconds of each order."""
        return self.runner.run(self._run(count))

    async def _run(self, count: int) -> list[int]:
        spent = []
        for number in range(1, count + 1):
            body = {
                "dhanClientId": CLIENT_ID, "correlationId": f"{TAG}-{number}",
                "transactionType": "BUY", "exchangeSegment": "NSE_FNO", "orderType": "LIMIT",
                "productType": "INTRADAY", "validity": "DAY", "securityId": "49081",
                "quantity": 75, "disclosedQuantity": 0, "price": 101.05, "triggerPrice": 0.0,
                "afterMarketOrder": False, "boProfitValue": None, "boStopLossValue": None,
            }  # fmt: skip
            begun = time.perf_counter_ns()
            async with self.session.post(self.url, json=body) as answer:
                said = await answer.json()
            spent.append(time.perf_counter_ns() - begun)
            assert said["orderId"]
        return spent

    def close(self) -> None:
        """End."""
        self.runner.run(self.session.close())
        self.runner.close()


class Official:
    """The broker's own client."""

    def __init__(self, port: int) -> None:
        context = dhanhq.DhanContext(CLIENT_ID, TOKEN)
        context.get_dhan_http().base_url = f"http://127.0.0.1:{port}/v2"
        self.http = context.get_dhan_http()
        self.client = dhanhq.dhanhq(context)

    def run(self, count: int) -> list[int]:
        """Nanoseconds of each order."""
        spent = []
        for number in range(1, count + 1):
            begun = time.perf_counter_ns()
            said = self.client.place_order(
                "49081", "NSE_FNO", "BUY", 75, "LIMIT", "INTRADAY", 101.05, tag=f"{TAG}-{number}"
            )
            spent.append(time.perf_counter_ns() - begun)
            assert said["status"] == "success", said
        return spent

    def close(self) -> None:
        """End."""
        self.http.session.close()


CLIENTS: dict[str, Callable[[int], Any]] = {
    "ours": Ours,
    "raw socket": Raw,
    "aiohttp": Aio,
    "official client": Official,
}


def measure(port: int, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds by client: p50, p99, CPU. Medians of rounds: one bad one counts little."""
    clients = {name: made(port) for name, made in CLIENTS.items()}
    parts: dict[str, list[tuple[float, float, float]]] = {name: [] for name in clients}
    for number in range(rounds + 1):
        for name, client in clients.items():
            count = COUNTS[name]
            cpu = time.process_time_ns()
            spent = client.run(count)
            cpu = time.process_time_ns() - cpu
            if number:  # the first round warms up
                p50, p99 = np.percentile(spent, [50, 99])
                parts[name].append((p50 / 1e3, p99 / 1e3, cpu / count / 1e3))
    for client in clients.values():
        client.close()
    names = ("p50", "p99", "cpu")
    return {
        name: dict(zip(names, np.median(found, axis=0).tolist(), strict=True))
        for name, found in parts.items()
    }


def main() -> int:
    """Measure, print, and say which bars are held."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    server = spawn.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        found = measure(ours.recv(), arguments.rounds)
    finally:
        server.terminate()
        server.join()
    print(f"{'us an order':<18}{'p50':>9}{'p99':>9}{'CPU':>9}")
    for name, row in found.items():
        print(f"{name:<18}{row['p50']:9.1f}{row['p99']:9.1f}{row['cpu']:9.1f}")
    missed = 0
    for text, over, under, key, bar, at_least in BARS:
        ratio = found[over][key] / found[under][key]
        held = ratio >= bar if at_least else ratio <= bar
        missed += not held
        sign = ">=" if at_least else "<="
        print(f"{text:<32}{ratio:7.2f}  bar {sign} {bar:g}  {'held' if held else 'MISSED'}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
