"""The broker's rate limits, by client: sliding windows of real time."""

from collections import deque
from typing import Final

from dhanfast.exchange.answers import Refusal
from dhanfast.market.calendar import IST_OFFSET_NS, NS_PER_DAY

SECOND: Final = 1_000_000_000
HOUR: Final = 3_600 * SECOND
# Class of request -> (requests, window); and requests a calendar day of India.
WINDOWS: Final = {
    "order": ((10, SECOND), (250, 60 * SECOND), (1_000, HOUR)),
    "data": ((5, SECOND),),
    "quote": ((1, SECOND),),
    "other": ((20, SECOND),),
}
DAILY: Final = {"order": 7_000, "data": 100_000}
CHAIN_NS: Final = 3 * SECOND
KEYS_MAX: Final = 4_096


class Limits:
    """Counts requests; the one that is too many is refused and not counted."""

    def __init__(self) -> None:
        self._past: dict[str, deque[int]] = {name: deque() for name in WINDOWS}
        self._today: dict[str, int] = dict.fromkeys(DAILY, 0)
        self._day = -1
        self._chains: dict[tuple[str, ...], int] = {}

    def take(self, kind: str, real_ns: int, *, data: bool) -> None:
        """Count one request.

        Args:
            kind: a key of WINDOWS. real_ns: UTC ns. data: answer with 805 rather than DH-904.

        Raises:
            Refusal: 429, one too many.
        """
        day = (real_ns + IST_OFFSET_NS) // NS_PER_DAY
        if day != self._day:
            self._day, self._today = day, dict.fromkeys(DAILY, 0)
        past = self._past[kind]
        longest = WINDOWS[kind][-1][1]
        while past and past[0] <= real_ns - longest:
            past.popleft()
        for most, window in WINDOWS[kind]:
            if len(past) >= most and past[-most] > real_ns - window:
                wait_ns = past[-most] + window - real_ns
                raise _too_many(data, -(-wait_ns // SECOND))
        if kind in DAILY:
            if self._today[kind] >= DAILY[kind]:
                raise _too_many(data, 0)
            self._today[kind] += 1
        past.append(real_ns)

    def take_chain(self, key: tuple[str, ...], real_ns: int) -> None:
        """Count one request of an option chain: one in three seconds of each.

        Raises:
            Refusal: 429 with 805.
        """
        last = self._chains.get(key)
        if last is not None and real_ns < last + CHAIN_NS:
            raise _too_many(True, -(-(last + CHAIN_NS - real_ns) // SECOND))
        if len(self._chains) >= KEYS_MAX:
            self._chains = {one: at for one, at in self._chains.items()
                            if real_ns < at + CHAIN_NS}  # fmt: skip
        self._chains[key] = real_ns


def _too_many(data: bool, wait_s: int) -> Refusal:
    if data:
        return Refusal(429, 805, retry_after_s=wait_s)
    return Refusal(429, 904, "Too many requests", retry_after_s=wait_s)
