"""Panic against an account in memory whose every call may fail."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.live.records import Seen
from dhanfast.brokers.base import Accepted, OrderSeen, Outcome, PositionSeen, Refused, Unknown
from dhanfast.clock import ManualClock
from dhanfast.engine.panic import Panic
from dhanfast.errors import DhanfastError


def order(order_id: str, seen: int) -> OrderSeen:
    return OrderSeen(
        order_id=order_id, correlation="", segment="NSE_FNO", security_id="1", symbol="X",
        product="INTRADAY", side=1, kind=1, validity=0, seen=seen, status="", qty=30, filled=0,
        price=100, trigger=0, value=0, broker_ns=0, text="",
    )  # fmt: skip


def position(security: str, qty: int) -> PositionSeen:
    return PositionSeen(
        segment="NSE_FNO", security_id=security, symbol=f"S{security}", product="INTRADAY",
        qty=qty, bought=0, sold=0, buy_value=0, sell_value=0, realised=0, unrealised=0,
    )  # fmt: skip


class Account:
    """The truth, behind calls that fail as `faults` says: once each, in order."""

    def __init__(self, orders: list[int], held: list[int], faults: list[str]) -> None:
        self.book = {str(n): seen for n, seen in enumerate(orders)}
        self.held = {str(n): qty for n, qty in enumerate(held)}
        self.faults = faults
        self.killed = False

    def _did(self, act: Callable[[], None]) -> Outcome:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "raise":
            raise DhanfastError("the line is dead")
        if fault == "refuse":
            return Refused(code="DH-906", text="no")
        act()
        return Unknown(cause="no answer") if fault == "lose" else Accepted()

    def _read(self) -> None:
        if self.faults and self.faults.pop(0) == "raise":
            raise DhanfastError("the line is dead")

    async def orders(self) -> list[OrderSeen]:
        self._read()
        return [order(name, seen) for name, seen in self.book.items()]

    async def positions(self) -> list[PositionSeen]:
        self._read()
        return [position(name, qty) for name, qty in self.held.items()]

    async def cancel(self, order_id: str) -> Outcome:
        return self._did(lambda: self.book.__setitem__(order_id, Seen.CANCELLED))

    async def exit_all(self) -> Outcome:
        def act() -> None:
            self.held = dict.fromkeys(self.held, 0)

        return self._did(act)

    async def kill_switch(self, on: bool) -> Outcome:
        return self._did(lambda: setattr(self, "killed", on))

    def open(self) -> set[str]:
        return {name for name, seen in self.book.items()
                if seen in (Seen.UNCLEAR, Seen.TRANSIT, Seen.PENDING)}  # fmt: skip


def panic(account: Account, **more: Any) -> Any:
    return asyncio.run(Panic(account, ManualClock(), looks=3).run(**more))


faults = st.lists(st.sampled_from(["", "raise", "refuse", "lose"]), max_size=12)


@given(
    orders=st.lists(st.sampled_from(list(map(int, Seen))), max_size=4),
    held=st.lists(st.integers(-90, 90), max_size=3),
    faults=faults,
    kill=st.booleans(),
)
@settings(max_examples=150)
def test_what_it_says_is_what_is_so(
    orders: list[int], held: list[int], faults: list[str], kill: bool
) -> None:
    account = Account(orders, held, faults)
    result = panic(account, kill=kill)
    if result.orders_left is not None:
        assert {one.order_id for one in result.orders_left} == account.open()
    if result.positions_left is not None:
        left = {one.security_id: one.qty for one in result.positions_left}
        assert left == {name: qty for name, qty in account.held.items() if qty}
    if result.clean:
        assert not account.open() and not any(account.held.values())
        assert account.killed == kill
    assert result.clean or result.problems or result.orders_left or result.positions_left
    if account.killed:
        assert not account.open() and not any(account.held.values()), "switched while open"


def test_every_step_is_tried_after_a_failure() -> None:
    account = Account([Seen.PENDING, Seen.PENDING], [60], ["raise", "", "raise", "refuse", ""])
    heard: list[str] = []
    result = asyncio.run(Panic(account, ManualClock(), told=heard.append, looks=2).run())
    assert not any(account.held.values()) and account.open() == {"0", "1"}
    assert [one.order_id for one in result.orders_left or ()] == ["0", "1"]
    assert any("positions cannot be read" in words for words in heard)
    assert any("cancel order 1: refused: DH-906 no" in words for words in heard)


def test_it_waits_for_the_fills_of_the_exits() -> None:
    clock = ManualClock()

    class Slow(Account):
        async def positions(self) -> list[PositionSeen]:
            if clock.now_ns() >= 4_000_000_000:
                self.held = dict.fromkeys(self.held, 0)
            return await super().positions()

        async def exit_all(self) -> Outcome:
            return Accepted()

    result = asyncio.run(Panic(Slow([], [30], []), clock, looks=10, pause_s=1.0).run())
    assert result.clean and result.closed == 1 and clock.now_ns() == 4_000_000_000


def test_an_unreadable_book_is_never_called_clean() -> None:
    result = panic(Account([], [], ["raise"] * 100))
    assert result.orders_left is None and result.positions_left is None and not result.clean
