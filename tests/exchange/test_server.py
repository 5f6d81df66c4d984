"""The exchange on its port: answers that never come, sockets that are reset, feeds that stop."""

import base64
import json
import os
import socket
import struct
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.exchange.serving import LIMIT_S, Served, make_core, serving


@pytest.fixture(scope="module")
def served() -> Any:
    with serving(make_core(limits=False, ping_s=0.2, pong_s=0.6), speed=20) as one:
        yield one


def rest(served: Served, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"access-token": served.token, "client-id": "1000000001"}
    request = urllib.request.Request(served.http + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
            content = answer.read()
            return answer.status, json.loads(content) if content else None
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def order(served: Served, **given: Any) -> dict[str, Any]:
    future = served.core.contracts[1]
    return {"transactionType": "BUY", "exchangeSegment": "NSE_FNO", "productType": "INTRADAY",
            "orderType": "LIMIT", "validity": "DAY", "securityId": str(future.security_id),
            "quantity": future.lot, "price": 22000.0} | given  # fmt: skip


def faults(served: Served, *entries: dict[str, Any]) -> None:
    assert served.get("/exchange/faults", list(entries)) == {"faults": len(entries)}


class Socket:
    """A WebSocket by hand: frames as they are on the wire."""

    def __init__(self, served: Served, path: str) -> None:
        self.raw = socket.create_connection(("127.0.0.1", served.server.port), LIMIT_S)
        key = base64.b64encode(os.urandom(16)).decode()
        self.raw.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
        )
        self.file = self.raw.makefile("rb")
        self.head = b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += self.file.readline()

    def send(self, payload: bytes, code: int = 1) -> None:
        """One masked frame."""
        mask = b"\x01\x02\x03\x04"
        body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        size = bytes([0x80 | len(body)]) if len(body) < 126 else struct.pack(">BH", 0xFE, len(body))
        self.raw.sendall(bytes([0x80 | code]) + size + mask + body)

    def frame(self) -> tuple[int, bytes] | None:
        """Code and payload of the next frame; None at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            return None
        assert head[0] & 0xF0 == 0x80 and head[1] < 128  # whole, not compressed, not masked
        size = head[1]
        if size == 126:
            size = struct.unpack(">H", self.file.read(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.file.read(8))[0]
        return head[0] & 0xF, self.file.read(size)

    def close(self) -> None:
        self.file.close()
        self.raw.close()


def live(served: Served) -> Socket:
    return Socket(served, f"/?version=2&token={served.token}&clientId=1000000001&authType=2")


def subscribe(served: Served, link: Socket, code: int = 21) -> None:
    future = served.core.contracts[1]
    link.send(
        json.dumps(
            {
                "RequestCode": code,
                "InstrumentCount": 1,
                "InstrumentList": [
                    {"ExchangeSegment": "NSE_FNO", "SecurityId": str(future.security_id)}
                ],
            }
        ).encode()
    )


def test_our_own_paths(served: Served) -> None:
    first = served.get("/exchange/clock")
    assert first["speed"] == 20 and first["running"] is True
    assert served.get("/exchange/clock")["market_ns"] > first["market_ns"]
    assert served.get("/exchange/status")["generated"] is True
    assert rest(served, "POST", "/exchange/step")[0] == 404
    assert rest(served, "POST", "/exchange/faults", [{"kind": "x"}])[0] == 400
    assert rest(served, "POST", "/exchange/faults", {})[0] == 400


def test_an_order_that_was_taken_but_whose_answer_is_lost(served: Served) -> None:
    faults(served, {"kind": "reset-after", "count": 1, "path": "/v2/orders", "method": "POST"})
    with pytest.raises(OSError):
        rest(served, "POST", "/v2/orders", order(served, correlationId="lost-1"))
    status, found = rest(served, "GET", "/v2/orders/external/lost-1")
    assert status == 200 and found["orderStatus"] == "PENDING"


def test_an_order_that_never_arrived(served: Served) -> None:
    faults(served, {"kind": "reset", "count": 1, "path": "/v2/orders", "method": "POST"})
    with pytest.raises(OSError):
        rest(served, "POST", "/v2/orders", order(served, correlationId="lost-2"))
    assert rest(served, "GET", "/v2/orders/external/lost-2")[0] == 404


def test_an_answer_that_does_not_come(served: Served) -> None:
    faults(served, {"kind": "timeout-after", "count": 1, "path": "/v2/orders", "method": "POST"})
    body = json.dumps(order(served, correlationId="lost-3")).encode()
    with socket.create_connection(("127.0.0.1", served.server.port), 0.3) as raw:
        raw.sendall(b"POST /v2/orders HTTP/1.1\r\nHost: x\r\naccess-token: %b\r\n"
                    b"client-id: 1000000001\r\nContent-Length: %d\r\n\r\n%b"
                    % (served.token.encode(), len(body), body))  # fmt: skip
        with pytest.raises(TimeoutError):
            raw.recv(1)
    assert rest(served, "GET", "/v2/orders/external/lost-3")[0] == 200


def test_a_slow_answer(served: Served) -> None:
    faults(served, {"kind": "slow", "count": 1, "delay_s": 0.2})
    began = time.monotonic()
    assert rest(served, "GET", "/v2/fundlimit")[0] == 200
    assert time.monotonic() - began >= 0.2


def test_pings_and_the_end_of_a_client_that_does_not_answer(served: Served) -> None:
    link = live(served)
    assert b"101" in link.head and b"permessage-deflate" not in link.head.lower()
    answered = 0
    while answered < 5:  # far beyond pong_s
        frame = link.frame()
        assert frame is not None
        if frame[0] == 9:
            link.send(frame[1], 10)
            answered += 1
    pings = 0
    with pytest.raises(OSError):
        while True:
            frame = link.frame()
            if frame is None:
                raise ConnectionResetError
            pings += frame[0] == 9
    assert 1 <= pings <= 4
    link.close()


def test_a_ping_of_a_client_is_answered(served: Served) -> None:
    link = live(served)
    link.send(b"hello", 9)
    while True:
        frame = link.frame()
        assert frame is not None
        if frame[0] == 10:
            assert frame[1] == b"hello"
            break
    link.close()


def test_a_dead_token_is_taken_at_the_handshake_and_then_reset(served: Served) -> None:
    link = Socket(served, "/?version=2&token=x&clientId=1000000001&authType=2")
    assert b"101" in link.head
    with pytest.raises(OSError):
        if link.frame() is None:
            raise ConnectionResetError
    link.close()


def test_a_refused_handshake(served: Served) -> None:
    faults(served, {"kind": "handshake-429", "count": 1, "path": "/"})
    link = live(served)
    assert link.head.startswith(b"HTTP/1.1 429")
    link.close()
    link = live(served)
    assert link.head.startswith(b"HTTP/1.1 101")
    link.close()


def test_leaving_is_answered_by_a_close(served: Served) -> None:
    link = live(served)
    link.send(b'{"RequestCode":12}')
    frames = []
    while (frame := link.frame()) is not None:
        frames.append(frame[0])
    assert frames[-1] == 8
    link.close()


def test_a_disconnect_fault_ends_the_feed_with_its_code(served: Served) -> None:
    link = live(served)
    subscribe(served, link)
    faults(served, {"kind": "disconnect", "code": 806})
    last = (0, b"")
    while (frame := link.frame()) is not None:
        if frame[0] == 2:
            last = frame
    assert struct.unpack("<BHBIH", last[1])[4] == 806
    link.close()


def test_a_mute_feed_stays_connected_and_silent(served: Served) -> None:
    link = live(served)
    subscribe(served, link)
    faults(served, {"kind": "mute"})
    while served.get("/exchange/status")["faults"].get("mute", 0) == 0:
        pass
    silent, data = 0, 0
    while silent < 4:
        frame = link.frame()
        assert frame is not None
        if frame[0] == 9:
            link.send(frame[1], 10)
            silent += 1
            data = 0 if silent == 1 else data
        data += frame[0] == 2
    assert data == 0
    faults(served, {"kind": "unmute"})
    while (frame := link.frame()) is not None and frame[0] != 2:
        if frame[0] == 9:
            link.send(frame[1], 10)
    assert frame is not None
    link.close()


def test_a_slow_reader_is_dropped_and_memory_does_not_grow() -> None:
    with serving(make_core(room_max=1 << 16, limits=False), speed=400) as served:
        link = live(served)
        for one in list(served.core.contracts)[1:24]:
            link.send(json.dumps({"RequestCode": 21, "InstrumentCount": 1, "InstrumentList": [
                {"ExchangeSegment": one.segment, "SecurityId": str(one.security_id)}]
            }).encode())  # fmt: skip
        deadline = time.monotonic() + LIMIT_S
        while served.get("/exchange/status")["feeds"]["slow"] == 0:
            assert time.monotonic() < deadline
        link.close()


def test_at_full_speed_the_day_ends() -> None:
    core = make_core(limits=False)
    with serving(core, speed=float("inf"), minutes=370) as served:
        deadline = time.monotonic() + LIMIT_S
        while served.get("/exchange/clock")["running"]:
            assert time.monotonic() < deadline
        assert served.get("/exchange/clock")["speed"] is None
        assert core.closed


def test_what_is_too_long_or_no_json(served: Served) -> None:
    assert rest(served, "GET", "/v2/none")[0] == 404
    request = urllib.request.Request(served.http + "/v2/orders", b"{", method="POST",
                                     headers={"access-token": served.token})  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=LIMIT_S)
    assert json.load(caught.value)["errorCode"] == "DH-905"
    caught.value.close()
