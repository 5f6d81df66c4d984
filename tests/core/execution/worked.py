"""A worker over the simulated exchange on a stand, and a plain look at what it may not break."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.execution.worker import Worker
from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag, OrderKind, ReportKind, Side

SECOND = 1_000_000_000
LOT = 75
FREEZE = 1_800
DAY = {
    "open_ns": 0,
    "close_ns": 25_200 * SECOND,
    "entry_until_ns": 20_000 * SECOND,
    "lot": LOT,
    "tick": 5,
    "freeze": FREEZE,
    "margin_rate_e9": 10**8,
}


class WorkedOrder:
    """One worker, one exchange; keeps every report."""

    def __init__(
        self,
        *,
        gate: dict[str, Any] | None = None,
        match: dict[str, Any] | None = None,
        day: dict[str, Any] | None = None,
        **rules: Any,
    ) -> None:
        self.gate = Gate(instruments=1, **(gate or {}))
        self.match = Match(self.gate, **(match or {}))
        self.worker = Worker(self.match, self.gate, **rules)
        self.day = DAY | (day or {})
        self.worker.start_session(self.day)
        self.now = 0
        self.mark = 0
        self.next_id = 1
        self.reports: list[NDArray[Any]] = []
        self.wakes: list[int] = []

    def tick(
        self, at_s: float, *, bid: int = 10_000, ask: int = 10_010, last: int = 0,
        qty: int = 75_000, volume: int = 0,
    ) -> None:  # fmt: skip
        """A quote of `qty` units a side, a trade when there is a `last`."""
        self.now = round(at_s * SECOND)
        self.mark = last or (bid + ask) // 2
        self.worker.on_tick(
            {
                "exch_ns": self.now, "recv_ns": self.now, "price": last, "bid": bid, "ask": ask,
                "bid_qty": qty, "ask_qty": qty, "volume": volume, "qty": LOT if last else 0,
            }
        )  # fmt: skip
        self.listen()

    def wake(self, at_s: float) -> None:
        """Time without a tick."""
        self.now = max(self.now, round(at_s * SECOND))
        self.worker.wake_up(self.now)
        self.listen()

    def parent(self, lots: int, *, side: int = Side.BUY, flags: int = 0, **more: Any) -> int:
        """A worked order of so many lots; its id."""
        order = {
            "id": max(self.next_id, self.highest() + 1), "qty": lots * LOT, "side": side,
            "kind": OrderKind.MARKET, "flags": flags | OrderFlag.WORKED,
        }  # fmt: skip
        position = more.pop("position", 0)
        approved = self.gate.check(
            order | more, mark=self.mark, session=self.day, now_ns=self.now, position=position
        )
        self.worker.submit_order(approved, self.now)
        self.next_id = int(order["id"]) + 1
        self.listen()
        return int(order["id"])

    def highest(self) -> int:
        """The highest id seen at the exchange or in a report."""
        children = [report["order_id"] + child_of(report) for report in self.all()]
        return max([0, *self.match.working(), *(int(each) for each in children)])

    def listen(self) -> None:
        rows = self.worker.take_reports()
        if len(rows):
            self.reports.append(rows)

    def all(self) -> NDArray[Any]:
        """Every report so far."""
        return np.concatenate(self.reports) if self.reports else np.zeros(0)

    def fills(self) -> list[tuple[int, int]]:
        """(time in whole seconds, units) of every fill."""
        rows = self.all()
        return [
            (int(row["time_ns"]) // SECOND, int(row["qty"]))
            for row in rows
            if row["kind"] == ReportKind.FILLED
        ]

    def filled(self) -> int:
        return sum(qty for _, qty in self.fills())

    def last(self) -> tuple[str, int, int]:
        """Kind, reason and left of the last report."""
        row = self.all()[-1]
        return ReportKind(int(row["kind"])).name, int(row["reason"]), int(row["left"])


def child_of(report: Any) -> int:
    """How far above the order's id its child's is."""
    spare = report["spare"]
    return int(spare[0]) | int(spare[1]) << 8 | int(spare[2]) << 16
