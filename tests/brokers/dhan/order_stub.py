"""A broker on loopback that does what it is asked, counts what it did, and misbehaves when told."""

import asyncio
import json
import ssl
from collections import Counter, deque
from typing import Any

import httptools

from dhanfast.brokers.dhan.hosts import Hosts

ORDER = {
    "dhanClientId": "1000000001", "orderStatus": "PENDING", "transactionType": "BUY",
    "exchangeSegment": "NSE_FNO", "productType": "INTRADAY", "orderType": "LIMIT",
    "validity": "DAY", "securityId": "49081", "quantity": 75, "price": 101.05, "triggerPrice": 0.0,
    "filledQty": 0, "averageTradedPrice": 0.0, "updateTime": "2026-07-22 09:20:00",
}  # fmt: skip
Request = tuple[str, str, dict[str, str], Any]  # method, path, headers, body


def error(status: int, code: str, text: str = "no") -> tuple[int, bytes]:
    """One of the broker's own error bodies."""
    body = {"errorType": "X", "errorCode": code, "errorMessage": text}
    return status, json.dumps(body).encode()


# Whether it is done, and what is answered: the two need not agree.
REPLIES: dict[str, tuple[bool, int, bytes]] = {
    "refuse": (False, *error(400, "DH-906", "margin")),
    "limit": (False, 429, b""),
    "limit_said": (False, *error(429, "DH-904")),
    "unauthorised": (False, *error(401, "DH-901")),
    "server": (False, *error(500, "DH-908")),
    "server_done": (True, 502, b"<html>bad gateway</html>"),
    "page": (False, 404, b"<html>not here</html>"),
    "empty": (True, 202, b""),
    "garbage": (True, 200, b"{no json"),
    "no_id": (True, 200, b'{"status":"success"}'),
}
CUTS = ("reset_unread", "reset_done", "hang_done", "half", "not_http", "close_after", "twice")


class Stub:
    """The server; `faults` says how it treats the next requests, one each."""

    def __init__(self) -> None:
        self.faults: deque[str] = deque()
        self.seen: list[Request] = []
        self.done: Counter[str] = Counter()
        self.orders: dict[str, dict[str, Any]] = {}
        self.lines: set[_Line] = set()
        self.held: list[tuple[_Line, Request]] = []
        self.late: list[_Line] = []  # of a dead token
        self.pings = 0
        self.headers = ""
        self.token = ""
        self.server: asyncio.Server | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> Hosts:
        """Listen; where it is."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: _Line(self), "127.0.0.1", 0, ssl=context)
        port = self.server.sockets[0].getsockname()[1]
        return (
            Hosts.loopback(port) if context is None else Hosts(rest=f"https://localhost:{port}/v2")
        )

    async def stop(self) -> None:
        """Cut every connection."""
        assert self.server is not None
        self.server.close()
        for line in list(self.lines):
            line.transport.abort()
        await self.server.wait_closed()

    def release(self) -> None:
        """Do and answer all that hang; refuse what is to be refused late."""
        late, self.late = self.late, []
        for line in late:
            line.reply(*error(401, "DH-901"))
        held, self.held = self.held, []
        for line, request in held:
            line.reply(*self.act(request))

    def act(self, request: Request) -> tuple[int, bytes]:
        """Do it, as a broker would."""
        method, path, _, body = request
        tail = path.rpartition("/")[2]
        if method == "POST":
            name = body["correlationId"]
            self.done[name] += 1
            order_id = str(900_000 + len(self.orders))
            self.orders[order_id] = ORDER | {"orderId": order_id, "correlationId": name}
            return 200, json.dumps({"orderId": order_id, "orderStatus": "TRANSIT"}).encode()
        if method == "GET":
            key = "correlationId" if "/external/" in path else "orderId"
            found = [one for one in self.orders.values() if one[key] == tail]
            return (200, json.dumps(found[0]).encode()) if found else error(404, "DH-906")
        status = "CANCELLED" if method == "DELETE" else "PENDING"
        return 202, json.dumps({"orderId": tail, "orderStatus": status}).encode()


class _Line(asyncio.Protocol):
    """One connection of the stub."""

    def __init__(self, stub: Stub) -> None:
        self.stub = stub
        self.begin()

    def begin(self) -> None:
        self.url, self.headers, self.body = b"", dict[str, str](), b""
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.stub.lines.add(self)

    def connection_lost(self, error: BaseException | None) -> None:
        self.stub.lines.discard(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        method, path = self.parser.get_method().decode(), self.url.decode()
        request = (method, path, self.headers, json.loads(self.body) if self.body else None)
        stub, token = self.stub, self.headers.get("access-token")
        self.begin()
        if path.endswith("/profile"):
            stub.pings += 1
        else:
            stub.seen.append(request)
        if stub.token and token != stub.token:
            if stub.faults and stub.faults[0] == "late":
                stub.faults.popleft()
                stub.late.append(self)
            else:
                self.reply(*error(401, "DH-901"))
        elif path.endswith("/profile"):
            self.reply(200, b'{"dhanClientId":"1000000001"}')
        else:
            self.treat(request, stub.faults.popleft() if stub.faults else "")

    def treat(self, request: Request, fault: str) -> None:
        """One request, well or badly."""
        if fault in REPLIES:
            done, status, body = REPLIES[fault]
            if done:
                self.stub.act(request)
            self.reply(status, body)
        elif fault == "hang":
            self.stub.held.append((self, request))
        elif fault == "reset_unread":
            self.transport.abort()
        elif not fault:
            self.reply(*self.stub.act(request))
        else:
            self.cut(fault, *self.stub.act(request))

    def cut(self, fault: str, status: int, body: bytes) -> None:
        """It is done; the answer is another matter."""
        if fault == "reset_done":
            self.transport.abort()
        elif fault == "half":
            self.transport.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"orderId":"1",')
            self.transport.close()
        elif fault == "not_http":
            self.transport.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        elif fault == "close_after":
            self.reply(status, body, more="Connection: close\r\n")
            self.transport.close()
        elif fault == "twice":
            self.reply(status, body)
            self.reply(status, body)
        else:
            assert fault == "hang_done"

    def reply(self, status: int, body: bytes, more: str = "") -> None:
        """An answer."""
        if self.transport.is_closing():
            return
        retry = "Retry-After: 3\r\n" if status == 429 else ""
        head = f"HTTP/1.1 {status} X\r\n{retry}{more}{self.stub.headers}"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
