"""What faults do: to answers, to order updates on their way, to feeds, to tokens and clocks."""

import heapq
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dhanfast.exchange.answers import Fate, Refusal, Reply
from dhanfast.exchange.chart_faults import SPOILERS, spoiled
from dhanfast.exchange.faults import SECOND, Fault
from dhanfast.exchange.feeds import UPDATES

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body>502</body></html>"
HTML: Final = {"content-type": "text/html"}


class Mishaps:
    """Lets the fault menu act.

    Args:
        core: what it acts on.

    Attributes:
        step_ns: what faults have added to the clock that `/exchange/clock` shows.
        counts: how often each kind has struck.
    """

    BEFORE: ClassVar[frozenset[str]] = frozenset({"http-429", "http-5xx", "timeout", "reset"})

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core
        self._queue: list[tuple[int, int, dict[str, Any]]] = []  # due, number, update
        self._held: dict[str, Any] | None = None
        self._held_until_ns = 0
        self._number = 0
        self._due_ns = 0
        self.step_ns = 0
        self.counts: dict[str, int] = {}

    # ---- requests ----

    def for_request(self, method: str, path: str) -> Fault | None:
        """The fault that strikes a request; the exchange's own paths are spared."""
        if path.startswith("/exchange/"):
            return None
        fault = self._core.faults.for_request(method, path, self._core.now_ns)
        return self._counted(fault)

    def for_handshake(self, path: str) -> Fault | None:
        """The fault that strikes a WebSocket's handshake: it is answered with 429."""
        return self._counted(self._core.faults.for_handshake(path, self._core.now_ns))

    def instead(self, fault: Fault, path: str) -> Reply:
        """The answer to a request that is not looked at."""
        if fault.kind == "http-429":
            data = "/marketfeed" in path or "/optionchain" in path
            return Refusal(429, 805 if data else 904, "" if data else "Too many requests").reply()
        if fault.kind == "http-5xx":
            return Reply(fault.status, dict(HTML), PAGE)
        return Reply(0, {}, b"", Fate.HANG if fault.kind == "timeout" else Fate.RESET)

    def after(self, fault: Fault, reply: Reply) -> Reply:
        """What the caller hears of a request that was done."""
        if fault.kind == "partial":
            self._break_up(fault)
            return reply
        if fault.kind in SPOILERS:
            return spoiled(fault.kind, reply)
        if fault.kind == "truncate":
            return replace(reply, body=reply.body[: len(reply.body) // 2])
        if fault.kind == "cut-off":
            return replace(reply, fate=Fate.CUT)
        if fault.kind == "slow":
            return reply.later(round(fault.delay_s * SECOND))
        if fault.kind == "http-5xx-after":
            return Reply(fault.status, dict(HTML), PAGE)
        fate = Fate.HANG if fault.kind == "timeout-after" else Fate.RESET
        return Reply(0, {}, b"", fate)

    def _break_up(self, fault: Fault) -> None:
        """Fill a part of the order just placed, and let the exchange end the rest."""
        ticket = self._core.placed
        if ticket is not None and ticket.is_open:
            status = "REJECTED" if fault.then == "reject" else "CANCELLED"
            self._core.desk.break_up(ticket, status, self._core.now_ns)

    def _counted(self, fault: Fault | None) -> Fault | None:
        if fault is not None:
            self.counts[fault.kind] = self.counts.get(fault.kind, 0) + 1
        return fault

    # ---- order updates ----

    def queue(self, update: dict[str, Any]) -> None:
        """Send an order update on its way."""
        fault = self._counted(self._core.faults.for_update(self._core.now_ns))
        kind = "" if fault is None else fault.kind
        delay_ns = 0 if fault is None else round(fault.delay_s * SECOND)
        if kind == "update-drop":
            return
        if kind == "update-reorder" and self._held is None:
            self._held, self._held_until_ns = update, self._core.real_ns + delay_ns
            return
        if kind == "update-delay":
            self._push(update, self._core.real_ns + delay_ns)
        else:
            self._push(update, 0)
        if kind == "update-duplicate":
            self._push(update, 0)
        if self._held is not None:
            held, self._held = self._held, None
            self._push(held, 0)

    def _push(self, update: dict[str, Any], due_ns: int) -> None:
        self._number += 1
        heapq.heappush(self._queue, (due_ns, self._number, update))

    def take(self) -> list[dict[str, Any]]:
        """Updates that are due."""
        real_ns = self._core.real_ns
        if self._held is not None and real_ns >= self._held_until_ns:
            held, self._held = self._held, None
            self._push(held, 0)
        due = []
        while self._queue and self._queue[0][0] <= real_ns:
            due.append(heapq.heappop(self._queue)[2])
        return due

    @property
    def next_real_ns(self) -> int | None:
        """When the next update is due; None when none waits."""
        times = [self._queue[0][0]] if self._queue else []
        if self._held is not None:
            times.append(self._held_until_ns)
        return min(times, default=None)

    # ---- events ----

    def pass_time(self) -> None:
        """Let events happen whose time has come."""
        for fault in self._core.faults.events(self._core.now_ns):
            self._counted(fault)
            if fault.kind == "token-expiry":
                self._core.tokens.expire(self._core.real_ns)
            elif fault.kind == "clock-step":
                self.step_ns += round(fault.step_s * SECOND)
            elif fault.kind == "disconnect":
                for link in list(self._core.feeds.links):
                    if link.kind != UPDATES:
                        self._core.feeds.finish(link, fault.code)
            else:
                for link in self._core.feeds.links:
                    if link.lane is not None:
                        link.lane.muted = fault.kind == "mute"
