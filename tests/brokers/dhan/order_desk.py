"""A running courier with its stub, for the tests of orders."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from dhanfast._core.live.records import INTENT_DTYPE, IntentKind
from dhanfast._core.types import Side
from dhanfast.brokers.dhan.courier import CourierSettings, DhanCourier
from dhanfast.clock import SystemClock
from dhanfast.security.tokens import FixedToken, Token
from tests.brokers.dhan.order_stub import Stub

TAG = "df00c0ffee"
TABLE = [("NSE_FNO", "49081", "INTRADAY")]
SECRET = "eyJhbGciOi.SECRETSECRET.value"
QUICK = {"request_s": 5.0, "queue_s": 5.0, "ping_s": 0.0, "close_s": 2.0}


def intent(number: int, kind: int = IntentKind.PLACE, **fields: Any) -> np.void:
    """A request; order `number` at 101.05 unless told otherwise."""
    record = np.zeros(1, INTENT_DTYPE)[0]
    given = {"id": number, "order": number, "price": 10_105, "qty": 75, "side": Side.BUY}
    for name, value in (given | {"kind": kind} | fields).items():
        record[name] = value
    return record


class Desk:
    """A courier, its stub, and what it answered."""

    def __init__(self, stub: Stub, courier: DhanCourier) -> None:
        self.stub, self.courier = stub, courier
        self.answers: list[Any] = []
        self.updates: list[Any] = []
        self._news = asyncio.Event()
        courier.on_answer = self._answered
        courier.on_update = self.updates.append

    def _answered(self, answer: np.void) -> None:
        self.answers.append(answer.copy())
        self._news.set()

    async def answer(self, number: int) -> Any:
        """The answer to an intent, once it is there."""
        async with asyncio.timeout(20):
            while True:
                for one in self.answers:
                    if one["intent"] == number:
                        return one
                self._news.clear()
                await self._news.wait()

    @staticmethod
    def plug_of(line: Any) -> Any:
        """The socket of a line."""
        return line.transport.get_extra_info("socket")

    async def until(self, claim: Callable[[], bool]) -> None:
        """Let the loop run until something is so."""
        async with asyncio.timeout(20):
            while not claim():
                await asyncio.sleep(0.001)


def made(hosts: Any, tokens: Any = None, context: Any = None, **changes: Any) -> DhanCourier:
    """A courier that does not run yet."""
    return DhanCourier(
        hosts, tokens or FixedToken(Token("1000000001", SECRET)), SystemClock(), tag=TAG,
        instruments=TABLE, settings=CourierSettings(**(QUICK | changes)), context=context,
    )  # fmt: skip


@asynccontextmanager
async def opened(ready: bool = True, tokens: Any = None, **changes: Any) -> AsyncIterator[Desk]:
    """A running courier."""
    stub = Stub()
    desk = Desk(stub, made(await stub.start(), tokens, **changes))
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(desk.courier.run())
            if ready:
                await desk.courier.wait_ready(changes.get("connections", 3))
            yield desk
            await desk.courier.close()
    finally:
        await stub.stop()
