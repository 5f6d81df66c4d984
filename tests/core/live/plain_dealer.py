"""The kernel's side of a Remote in plain Python: what `dealer.pyx` does, told by reports alone."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from dhanfast._core.types import OrderFlag, OrderKind, Reason, RejectReason, ReportKind

from .desk import STOP_FLAGS, TARGET_FLAGS, TICK, Desk


@dataclass
class Ask:
    """One order of the kernel."""

    id: int
    side: int
    flags: int
    asked: int
    left: int
    gone: int = 0
    requests: int = 1
    unanswered: int = 1
    accepted: int = 0
    others: int = 0  # fills of other orders of its group: each may bring word of what is left
    filled: int = 0
    value: int = 0
    ended: str = ""


class PlainDealer:
    """Holds one position at a time, long or short, with a stop and a target."""

    def __init__(self, desk: Desk, stop: int, target: int, tick: int = TICK) -> None:
        self.desk, self.stop_points, self.target_points = desk, stop, target
        self.tick = tick
        self.asks: dict[int, Ask] = {}
        self.position = self.entry = self.stop = self.target = self.exit = self.group = 0
        self.leaving = self.cover = False
        self.stop_price = self.target_price = 0
        self.entered: dict[int, int] = defaultdict(int)  # units, by group

    # ---- wishes ---------------------------------------------------------------------------------

    def enter(self, side: int, qty: int) -> None:
        self.entry = self._send(side, qty, OrderKind.MARKET)

    def leave(self) -> None:
        if self.entry:
            self.desk.remote.cancel_order(self.entry, self.desk.now)
        if self.exit or not (self.position or self.entry):
            return
        self.leaving = True
        if self.position:
            self.exit = self._send(self._away(), abs(self.position), OrderKind.MARKET,
                                   flags=OrderFlag.EXIT, reason=Reason.EXIT_SIGNAL)  # fmt: skip

    def _away(self) -> int:
        return -1 if self.position > 0 else 1

    def _send(self, side: int, qty: int, kind: OrderKind, **more: Any) -> int:
        desk = self.desk
        desk.position = self.position
        group = self.group if more.get("flags", 0) & OrderFlag.EXIT else 0
        order = desk.order(side, qty, kind, group=group, **more)
        self.asks[order] = Ask(order, side, more.get("flags", 0), qty, qty)
        return order

    # ---- reports --------------------------------------------------------------------------------

    def hear(self) -> None:
        """Book every report, then do what they ask for, until there is nothing more."""
        while True:
            rows = self.desk.remote.take_reports()
            for row in rows:
                self._one(row)
            if len(rows):
                continue
            if not self.cover:
                return
            self.cover = False
            if self.position:
                self._protect()
                if self.leaving and not self.exit:
                    self.leave()

    def _one(self, row: Any) -> None:
        ask = self.asks[int(row["order_id"])]
        kind, left = int(row["kind"]), int(row["left"])
        assert not ask.ended, f"order {ask.id} {ask.ended}, then {ReportKind(kind).name}"
        ask.left = left
        if kind == ReportKind.ACCEPTED:
            ask.accepted += 1
            ask.unanswered = max(0, ask.unanswered - 1)
            if not ask.unanswered:
                ask.gone = ask.asked - left
            return
        if kind == ReportKind.FILLED:
            self._fill(ask, int(row["qty"]), int(row["price"]))
            if left:
                return
        if kind == ReportKind.REJECTED and ask.flags & OrderFlag.EXIT:
            assert row["reason"] != RejectReason.LIMIT_RATE, "a limit kept an exit out"
        self._ended(ask, ReportKind(kind).name)

    def _fill(self, ask: Ask, qty: int, price: int) -> None:
        assert qty > 0 and price > 0
        ask.filled += qty
        ask.value += qty * price
        ask.gone += qty
        if ask.flags & OrderFlag.EXIT:
            assert ask.side * self.position < 0 and qty <= abs(self.position)
            for other in self.asks.values():
                other.others += other is not ask and not other.ended
            self.position += ask.side * qty
        else:
            if not self.position:
                self.group = ask.id
                at = price // self.tick * self.tick
                self.stop_price = at - ask.side * self.stop_points
                self.target_price = at + ask.side * self.target_points
            self.position += ask.side * qty
            self.entered[self.group] += qty
            self.cover = True
        if not self.position and self.entry == self.group and not self.asks[self.entry].ended:
            self.desk.remote.cancel_order(self.entry, self.desk.now)
            self.leaving = True

    def _ended(self, ask: Ask, how: str) -> None:
        ask.ended = how
        if ask.id == self.entry:
            self.entry = 0
        elif ask.id == self.exit:
            self.exit = 0
        elif ask.id == self.stop:
            self.stop = 0
            if how == "REJECTED" and self.position:
                self.leaving = True
        elif ask.id == self.target:
            self.target = 0
        if not (self.position or self.entry):
            self.leaving = False
        self.cover |= how in ("CANCELLED", "FILLED") or self.leaving

    def _protect(self) -> None:
        qty, side = abs(self.position), self._away()
        price = self.stop_price
        if self.stop:
            self._resize(self.stop, trigger=price)
        else:
            self.stop = self._send(side, qty, OrderKind.SLM, trigger=price, flags=STOP_FLAGS)
        if self.target_points and self.target:
            self._resize(self.target, price=self.target_price)
        elif self.target_points:
            self.target = self._send(side, qty, OrderKind.LIMIT, price=self.target_price,
                                     flags=TARGET_FLAGS)  # fmt: skip

    def _resize(self, order: int, *, price: int = 0, trigger: int = 0) -> None:
        ask = self.asks[order]
        whole = abs(self.position) + ask.gone
        if ask.asked != whole:
            self.desk.resize(order, whole, price=price, trigger=trigger)
            ask.asked = whole
            ask.requests += 1
            ask.unanswered += 1
