"""A small trading floor for the tests of the sim exchange."""

from typing import Any

from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.types import (
    OrderKind,
    RejectReason,
    ReportKind,
)

LIMIT, MARKET, SL, SLM = OrderKind
ACCEPTED, REJECTED, FILLED, CANCELLED, EXPIRED, TRIGGERED = ReportKind
MINUTE = 60_000_000_000
OPEN = 1_000 * MINUTE
SESSION = {"open_ns": OPEN, "close_ns": OPEN + 375 * MINUTE, "lot": 10, "tick": 5,
           "freeze": 100, "band_low": 9_000, "band_high": 11_000, "date": 20240102}  # fmt: skip


class Floor:
    """One exchange and its gate, with orders numbered from 1."""

    def __init__(self, session: dict[str, Any] | None = SESSION, **rules: Any) -> None:
        self.gate = Gate()
        self.match = Match(self.gate, **rules)
        self.count, self.now = 0, OPEN
        if session:
            self.match.start_session(0, session)

    def send(
        self,
        side: int,
        qty: int,
        price: int = 0,
        *,
        kind: int = LIMIT,
        now: int | None = None,
        **fields: Any,
    ) -> int:
        self.count += 1
        order = {"id": self.count, "side": side, "qty": qty, "price": price, "kind": int(kind)}
        approved = self.gate.check(order | fields, mark=10_000)
        self.match.submit_order(approved, self.now if now is None else now)
        return self.count

    def tick(self, **fields: int) -> None:
        self.now += 1
        self.match.on_tick({"recv_ns": self.now} | fields)

    def bar(self, minute: int, prices: tuple[int, int, int, int], **more: Any) -> None:
        start = OPEN + minute * MINUTE
        part = more.pop("part", "both")
        names = dict(zip(("open", "high", "low", "close"), prices, strict=True))
        self.match.on_bar({"start_ns": start} | names | more, start + MINUTE, part=part)

    def said(self) -> list[tuple[int, str, int, int, int]]:
        """Reports as (order, kind or refusal, price, quantity, left)."""
        return [(int(r["order_id"]),
                 RejectReason(r["reason"]).name if r["reason"] else ReportKind(r["kind"]).name,
                 int(r["price"]), int(r["qty"]), int(r["left"]))
                for r in self.match.reports()]  # fmt: skip

    def fills(self) -> list[tuple[int, int, int]]:
        return [(order, price, qty) for order, kind, price, qty, _ in self.said()
                if kind == "FILLED"]  # fmt: skip
