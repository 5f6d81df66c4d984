"""What a running engine reads of its account: when it was read, and whose orders it counts."""

import asyncio
from typing import Any

from dhanfast._core.live.records import Origin, Seen
from dhanfast.brokers.base import OrderSeen
from dhanfast.brokers.dhan.account import DhanAccount
from dhanfast.clock import ManualClock

TAG = "df00c0ffee"
SECURITY = ("NSE_FNO", "49081")
SECOND = 1_000_000_000


def order(correlation: str, **more: Any) -> OrderSeen:
    about: dict[str, Any] = {
        "order_id": "112", "correlation": correlation, "segment": SECURITY[0],
        "security_id": SECURITY[1], "symbol": "X", "product": "INTRADAY", "side": 1, "kind": 1,
        "validity": 0, "seen": Seen.TRADED, "status": "TRADED", "qty": 30, "filled": 30,
        "price": 10_000, "trigger": 0, "value": 300_000, "broker_ns": 5, "text": "",
    }  # fmt: skip
    return OrderSeen(**about | more)


class SlowBroker:
    """Answers after some seconds."""

    def __init__(self, clock: ManualClock, seconds: int, found: list[OrderSeen]) -> None:
        self.clock, self.seconds, self.found = clock, seconds, found

    async def orders(self) -> list[OrderSeen]:
        self.clock.advance(self.seconds)
        return self.found


def account_of(clock: ManualClock, *found: OrderSeen, seconds: int = 0) -> DhanAccount:
    rest: Any = SlowBroker(clock, seconds, list(found))
    return DhanAccount(rest, clock, tag=TAG, security=SECURITY, product="INTRADAY")


def test_what_is_read_is_as_of_when_it_was_read_not_when_it_was_asked_for() -> None:
    """What the engine sends because of it is counted in the second in which it leaves."""
    clock = ManualClock(100 * SECOND)
    account = account_of(clock, order(f"{TAG}-7"), seconds=3)
    (update,) = asyncio.run(account.updates())
    assert int(update["at_ns"]) == 103 * SECOND == clock.now_ns()
    assert (int(update["order"]), int(update["filled"]), int(update["value"])) == (7, 30, 300_000)
    assert update["origin"] == Origin.REST


def test_orders_of_others_are_not_this_journals() -> None:
    clock = ManualClock(SECOND)
    found = [order(""), order("dfother-7"), order(f"{TAG}-8", order_id="113")]
    updates = asyncio.run(account_of(clock, *found).updates())
    assert [int(update["order"]) for update in updates] == [8]


def test_what_others_filled_of_the_contract_is_counted_by_side_and_time() -> None:
    clock = ManualClock(SECOND)
    found = [
        order("", filled=30, value=100, broker_ns=10),
        order("", filled=60, value=200, broker_ns=11),
        order("", filled=90, value=400, broker_ns=12, side=-1),
        order("", filled=120, value=800, broker_ns=13, security_id="1"),
        order(f"{TAG}-9", filled=150, value=1_600, broker_ns=14),
    ]
    account = account_of(clock, *found)
    assert asyncio.run(account.closed_elsewhere(1, 11)) == (60, 200)
    assert asyncio.run(account.closed_elsewhere(1, 0)) == (90, 300)
    assert asyncio.run(account.closed_elsewhere(-1, 0)) == (90, 400)
