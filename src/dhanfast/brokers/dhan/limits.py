"""Dhan's limits, kept on our side a little below theirs, so that they are never met.

A sliding window per limit: no span of its length ever holds more calls than it allows. A bucket
that refills would let twice as many pass around its edge. The day's counts start at midnight IST.
Limits belong to the client id: everything of one account in one process shares one `Limits`.

Orders keep a part of each window free for what gets a position closed (`urgent`), so that a burst
of entries cannot hold up a cancel or an exit.
"""

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from dhanfast.clock import Clock
from dhanfast.errors import ConfigError, UsageError
from dhanfast.market.calendar import exchange_date, midnight_ns

NS_PER_S: Final = 1_000_000_000
NS_PER_DAY: Final = 86_400 * NS_PER_S
PENALTY_S: Final = 1.0  # after a 429 that does not say how long
KEYS_MAX: Final = 4_096  # chain keys and modified orders remembered


class CallClass(enum.StrEnum):
    """Which of the broker's limits a call counts against."""

    ORDER = "order"
    DATA = "data"
    QUOTE = "quote"
    CHAIN = "chain"
    OTHER = "other"
    CONNECT = "connect"  # a WebSocket's handshake


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `count` calls in any `window_s` seconds.

    Raises:
        ConfigError: a count below 1, or a window that is not positive.
    """

    count: int
    window_s: float

    def __post_init__(self) -> None:
        """Refuse what would stop everything."""
        if self.count < 1 or not 0 < self.window_s <= 86_400:
            raise ConfigError(
                f"a quota needs a count from 1 and a window of up to 86400 s, was {self.count} in "
                f"{self.window_s} s"
            )


def _quotas() -> dict[CallClass, tuple[Quota, ...]]:
    """What is kept unless told otherwise: spec section 4, a little less."""
    return {
        CallClass.ORDER: (Quota(9, 1.0), Quota(240, 60.0), Quota(960, 3_600.0)),
        CallClass.DATA: (Quota(4, 1.0),),
        CallClass.QUOTE: (Quota(1, 1.1),),
        CallClass.CHAIN: (Quota(1, 1.1),),
        CallClass.OTHER: (Quota(18, 1.0),),
        CallClass.CONNECT: (Quota(4, 2.0),),
    }


def _per_day() -> dict[CallClass, int]:
    """Calls a day, a little below the broker's."""
    return {CallClass.ORDER: 6_900, CallClass.DATA: 98_000}


@dataclass(frozen=True)
class LimitSettings:
    """The limits that are kept.

    Units:
        calls, seconds. `reserve` is the part of each window of orders that is kept for urgent
        calls. `chain_key_s` is the pause between two chains of one underlying and expiry.

    Raises:
        ConfigError: a figure out of range.
    """

    quotas: Mapping[CallClass, tuple[Quota, ...]] = field(default_factory=_quotas)
    per_day: Mapping[CallClass, int] = field(default_factory=_per_day)
    chain_key_s: float = 3.1
    modifications_max: int = 25  # of one order, by the broker
    reserve: float = 0.2

    def __post_init__(self) -> None:
        """Refuse figures that make no sense."""
        missing = set(CallClass) - set(self.quotas)
        if missing:
            raise ConfigError(f"limits: no quota for {', '.join(sorted(missing))}")
        if any(count < 1 for count in self.per_day.values()):
            raise ConfigError("limits: calls a day must be at least 1")
        if not (0 <= self.reserve < 1 and self.chain_key_s >= 0 and self.modifications_max >= 1):
            raise ConfigError(
                f"limits: reserve must be from 0 to below 1 (was {self.reserve}), chain_key_s from "
                f"0 (was {self.chain_key_s}), modifications_max from 1 (was "
                f"{self.modifications_max})"
            )


class SharedOrders(Protocol):
    """Who keeps the limits of orders when several order in one account: the engine that trades."""

    def wait_ns(self, *, urgent: bool) -> int:
        """Nanoseconds until another request may leave; 0 = now."""
        ...

    def prepay(self, *, urgent: bool) -> int:
        """As `wait_ns`; at 0 it is counted where all engines of the account are."""
        ...

    def spend(self, count: int) -> None:
        """So many have left, now; one that was prepaid among them."""
        ...


class _Window:
    """The calls of the last `window_s` seconds."""

    __slots__ = ("count", "span_ns", "times")

    def __init__(self, quota: Quota) -> None:
        self.count = quota.count
        self.span_ns = round(quota.window_s * NS_PER_S)
        self.times: deque[int] = deque()

    def wait_ns(self, now_ns: int, kept: int) -> int:
        """Nanoseconds until one more fits while `kept` places stay free."""
        while self.times and now_ns - self.times[0] >= self.span_ns:
            self.times.popleft()
        room = max(1, self.count - kept)
        over = len(self.times) - room
        return 0 if over < 0 else self.times[over] + self.span_ns - now_ns

    def shift(self, back_ns: int) -> None:
        """The clock was set back: all calls were that much earlier."""
        self.times = deque(at - back_ns for at in self.times)


class Limits:
    """Counts calls and says when the next one may go. One thread's.

    Args:
        clock: wall time; when it is set back, ages of calls stay what they were.
        settings: what is kept.
    """

    def __init__(self, clock: Clock, settings: LimitSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or LimitSettings()
        self._windows = {
            kind: [_Window(quota) for quota in quotas]
            for kind, quotas in self._settings.quotas.items()
        }
        self._last_ns = clock.now_ns()
        self._today = exchange_date(self._last_ns)
        self._taken_today: dict[CallClass, int] = {}
        self._closed_until_ns: dict[CallClass, int] = {}
        self._orders: SharedOrders | None = None
        self._keys: dict[str, int] = {}  # chain key -> last call
        self._modified: dict[str, int] = {}

    def share(self, orders: SharedOrders) -> None:
        """Order calls count where another keeps count of them, and by its limits, from now on."""
        self._orders = orders

    def wait_ns(self, kind: CallClass, key: str = "", *, urgent: bool = False) -> int:
        """Nanoseconds until a call may go; 0 = now. Counts nothing.

        Args:
            key: of a chain: its underlying and expiry.
            urgent: it closes a position or cancels: it may use what is kept for such.
        """
        return self._wait_ns(kind, key, urgent, self._now_ns())

    def take(self, kind: CallClass, key: str = "", *, urgent: bool = False) -> int:
        """As `wait_ns`; when that is 0 the call is counted as sent now."""
        now_ns = self._now_ns()
        wait_ns = self._wait_ns(kind, key, urgent, now_ns)
        if wait_ns == 0 and kind is CallClass.ORDER and self._orders is not None:
            wait_ns = self._orders.prepay(urgent=urgent)  # another engine may have been quicker
        if wait_ns == 0:
            self._count(kind, key, now_ns)
        return wait_ns

    async def taken(
        self, kind: CallClass, key: str = "", *, urgent: bool = False, patience_s: float = 30.0
    ) -> int:
        """Wait until a call may go, and count it.

        Returns:
            0, or the nanoseconds it would take when that is longer than `patience_s`: then it was
            not counted and must not go.
        """
        until_ns = self._now_ns() + round(patience_s * NS_PER_S)
        while wait_ns := self.take(kind, key, urgent=urgent):
            if self._now_ns() + wait_ns > until_ns:
                return wait_ns
            await self._clock.sleep(wait_ns / NS_PER_S)
        return 0

    def note(self, kind: CallClass, count: int = 1) -> None:
        """Count calls that went another way: those of a courier, or of slices of an order."""
        now_ns = self._now_ns()
        for _ in range(count):
            self._count(kind, "", now_ns)

    def restore(self, kind: CallClass, count: int) -> None:
        """Count calls of today from before a restart; they weigh on the day alone."""
        self._now_ns()
        self._taken_today[kind] = self._taken_today.get(kind, 0) + max(0, count)

    def used_today(self, kind: CallClass) -> int:
        """Calls since midnight IST."""
        self._now_ns()
        return self._taken_today.get(kind, 0)

    def penalise(self, kind: CallClass, seconds: float = 0.0) -> None:
        """The broker said that it was too fast: no call of this class for a while.

        Args:
            seconds: as it asked; 0 = it did not say, which means one second.
        """
        until_ns = self._now_ns() + round((seconds or PENALTY_S) * NS_PER_S)
        self._closed_until_ns[kind] = max(self._closed_until_ns.get(kind, 0), until_ns)

    def modify(self, order_id: str) -> None:
        """Count a modification of an order.

        Raises:
            UsageError: it was modified as often as the broker allows.
        """
        count = self._modified.get(order_id, 0)
        if count >= self._settings.modifications_max:
            raise UsageError(
                f"order {order_id} was modified {count} times, the broker allows no more; cancel "
                "it and place a new one"
            )
        self._modified.pop(order_id, None)
        self._modified[order_id] = count + 1
        if len(self._modified) > KEYS_MAX:
            self._modified.pop(next(iter(self._modified)))

    def modifications(self, order_id: str) -> int:
        """How often an order was modified through here."""
        return self._modified.get(order_id, 0)

    def _now_ns(self) -> int:
        """The time; takes note of a clock that was set back and of a new day."""
        now_ns = self._clock.now_ns()
        if now_ns < self._last_ns:
            self._shift(self._last_ns - now_ns)
        self._last_ns = now_ns
        today = exchange_date(now_ns)
        if today > self._today:
            self._today = today
            self._taken_today.clear()
        return now_ns

    def _shift(self, back_ns: int) -> None:
        """Move all that was noted back by as much as the clock was."""
        for windows in self._windows.values():
            for window in windows:
                window.shift(back_ns)
        for kind in self._closed_until_ns:
            self._closed_until_ns[kind] -= back_ns
        for key in self._keys:
            self._keys[key] -= back_ns

    def _wait_ns(self, kind: CallClass, key: str, urgent: bool, now_ns: int) -> int:
        wait_ns = max(0, self._closed_until_ns.get(kind, 0) - now_ns)
        if kind is CallClass.ORDER and self._orders is not None:
            till_tomorrow_ns = midnight_ns(self._today) + NS_PER_DAY - now_ns
            return max(wait_ns, min(self._orders.wait_ns(urgent=urgent), till_tomorrow_ns))
        kept = 0.0 if urgent or kind is not CallClass.ORDER else self._settings.reserve
        for window in self._windows[kind]:
            wait_ns = max(wait_ns, window.wait_ns(now_ns, int(window.count * kept)))
        per_day = self._settings.per_day.get(kind)
        if per_day is not None and self._taken_today.get(kind, 0) >= per_day - int(per_day * kept):
            wait_ns = max(wait_ns, midnight_ns(self._today) + NS_PER_DAY - now_ns)
        if key and key in self._keys:
            gap_ns = round(self._settings.chain_key_s * NS_PER_S)
            wait_ns = max(wait_ns, self._keys[key] + gap_ns - now_ns)
        return wait_ns

    def _count(self, kind: CallClass, key: str, now_ns: int) -> None:
        if kind is CallClass.ORDER and self._orders is not None:
            self._orders.spend(1)
        for window in self._windows[kind]:
            window.times.append(now_ns)
            while len(window.times) > window.count:
                window.times.popleft()  # noted from outside, beyond what was allowed
        self._taken_today[kind] = self._taken_today.get(kind, 0) + 1
        if key:
            self._keys.pop(key, None)
            self._keys[key] = now_ns
            if len(self._keys) > KEYS_MAX:
                self._keys.pop(next(iter(self._keys)))
