"""A broker on loopback with one account, for commands that talk to one: the few calls they make.

It answers in the shapes of tests/fixtures and the broker's documents; faults are set by hand.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

IST_S = 19_800


def jwt(client: str, ends_s: float) -> str:
    """A token with the claims that the broker's have."""
    claims = {"exp": int(ends_s), "dhanClientId": client, "tokenConsumerType": "SELF"}
    parts = [json.dumps(one).encode() for one in ({"alg": "HS512"}, claims)]
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=")
                    for one in (*parts, b"signature"))  # fmt: skip


class Account:
    """What is open, and how the broker behaves."""

    def __init__(self) -> None:
        self.token = jwt("1000000001", time.time() + 36_000)
        self.orders = {"11": "PENDING", "12": "TRADED", "13": "TRANSIT"}
        self.held = {"52175": 60, "35001": -30, "1": 0}
        self.killed = False
        self.exit_works = True
        self.data_plan = "Active"
        self.token_hours = 10.0
        self.ip_match = "MATCH"
        self.available = 250_000.0
        self.late_s = 0.0  # its clock
        self.said: list[str] = []
        self.instruments = b""  # the detailed file

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """One call."""
        self.said.append(f"{method} {path}")
        parts = path.split("?")[0].removeprefix("/v2/").split("/")
        if parts[0] == "orders" and method == "DELETE":
            self.orders[parts[1]] = "CANCELLED"
            return 202, None
        if parts[0] == "orders":
            return 200, [self._order(one, status) for one, status in self.orders.items()]
        if parts[0] == "positions" and method == "DELETE":
            if self.exit_works:
                self.held = dict.fromkeys(self.held, 0)
            return 200, {"status": "SUCCESS", "message": "All orders and positions exited"}
        if parts[0] == "positions":
            return 200, [self._position(one, qty) for one, qty in self.held.items()]
        if parts[0] == "killswitch":
            self.killed = "killSwitchStatus=ACTIVATE" in path
            return 200, {"dhanClientId": "1000000001", "killSwitchStatus": "ACTIVATE"}
        return 200, self._account(parts[0])

    def _account(self, name: str) -> dict[str, Any]:
        ends = time.gmtime(time.time() + self.token_hours * 3600 + IST_S)
        return {
            "profile": {"dhanClientId": "1000000001", "activeSegment": "E,D",
                        "tokenValidity": time.strftime("%d/%m/%Y %H:%M", ends), "ddpi": "Active",
                        "mtf": "Active", "dataPlan": self.data_plan,
                        "dataValidity": "2099-01-01 00:00:00.0"},
            "ip": {"primaryIP": "10.0.0.1", "secondaryIP": "", "modifyDatePrimary": "2026-01-01",
                   "modifyDateSecondary": "", "ipMatchStatus": self.ip_match,
                   "ordersAllowed": self.ip_match == "MATCH", "detectedIP": "10.0.0.9"},
            "fundlimit": {"dhanClientId": "1000000001", "availabelBalance": self.available,
                          "sodLimit": 0.0, "collateralAmount": 0.0, "receiveableAmount": 0.0,
                          "utilizedAmount": 0.0, "blockedPayoutAmount": 0.0,
                          "withdrawableBalance": 0.0},
        }[name]  # fmt: skip

    @staticmethod
    def _order(order_id: str, status: str) -> dict[str, Any]:
        return {"dhanClientId": "1000000001", "orderId": order_id, "correlationId": "",
                "orderStatus": status, "transactionType": "BUY", "exchangeSegment": "NSE_FNO",
                "productType": "INTRADAY", "orderType": "LIMIT", "validity": "DAY",
                "tradingSymbol": "BANKNIFTY-FUT", "securityId": "52175", "quantity": 60,
                "price": 100.5, "triggerPrice": 0.0, "filledQty": 60 if status == "TRADED" else 0,
                "remainingQuantity": 0, "averageTradedPrice": 100.5,
                "createTime": "2026-11-23 09:20:00", "updateTime": "2026-11-23 09:20:01",
                "omsErrorDescription": "", "legName": "NA"}  # fmt: skip

    @staticmethod
    def _position(security: str, qty: int) -> dict[str, Any]:
        return {"dhanClientId": "1000000001", "tradingSymbol": f"SYM-{security}",
                "securityId": security, "exchangeSegment": "NSE_FNO", "productType": "INTRADAY",
                "positionType": "LONG" if qty > 0 else "SHORT" if qty else "CLOSED",
                "buyAvg": 100.0, "buyQty": max(qty, 0), "costPrice": 100.0, "sellAvg": 100.0,
                "sellQty": max(-qty, 0), "netQty": qty, "realizedProfit": 0.0,
                "unrealizedProfit": 0.0, "multiplier": 1, "carryForwardBuyQty": 0,
                "carryForwardSellQty": 0, "carryForwardBuyValue": 0.0,
                "carryForwardSellValue": 0.0, "dayBuyQty": max(qty, 0), "daySellQty": max(-qty, 0),
                "dayBuyValue": 0.0, "daySellValue": 0.0, "crossCurrency": False}  # fmt: skip


@contextmanager
def broker(account: Account) -> Iterator[int]:
    """The broker on a port of its own, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() - account.late_s, usegmt=True)

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/api-data/api-scrip-master-detailed.csv":
                self._reply(200, account.instruments)
                return
            if self.headers.get("access-token") != account.token:
                status, said = 401, {"errorType": "Invalid_Authentication",
                                     "errorCode": "DH-901", "errorMessage": "token"}  # fmt: skip
            else:
                status, said = account.answer(self.command, self.path)
            self._reply(status, b"" if said is None else json.dumps(said).encode())

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_PUT = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
