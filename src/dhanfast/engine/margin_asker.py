"""Asks the broker what a structure needs, and what there is; the answer is an input of the run.

The engine's loop does not wait for it: the structure does, and its judge knows how long.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Final, Protocol

from dhanfast._core.live.inputs import Command
from dhanfast.clock import Clock
from dhanfast.engine.leg_judge import Judge, Question
from dhanfast.engine.served import InputLoop
from dhanfast.errors import DhanfastError

LOOK_S: Final = 0.02
UNKNOWN: Final = -1
_LOG: Final = logging.getLogger("dhanfast.engine")


class Basket(Protocol):
    """The account, as far as it is asked."""

    async def required(self, orders: Sequence[tuple[int, int, int]]) -> int:
        """What orders would block together, paise."""
        ...

    async def funds(self) -> int:
        """What may be used, paise."""
        ...


class MarginAsker:
    """Brings the broker's answers to a judge's questions into the run.

    Args:
        loop: takes the answers. judge: whose questions. basket: the account.
        clock: of the machine. answer_s: how long an answer is waited for.
    """

    def __init__(
        self, loop: InputLoop, judge: Judge, basket: Basket, clock: Clock, answer_s: float
    ) -> None:
        self._loop, self._judge, self._basket = loop, judge, basket
        self._clock, self._answer_s = clock, answer_s

    async def keep(self) -> None:
        """Answer every question once, until cancelled."""
        asked = 0
        while True:
            question = self._judge.question
            if question is None or question.number == asked:
                await self._clock.sleep(LOOK_S)
                continue
            asked = question.number
            await self._answer(question)

    async def _answer(self, question: Question) -> None:
        required, funds = await asyncio.gather(
            self._figure("margin", self._basket.required(question.orders)),
            self._figure("funds", self._basket.funds()),
        )
        self._loop.command(
            Command.MARGIN,
            self._clock.now_ns(),
            units=required,
            price=funds,
            contract=question.number,
        )

    async def _figure(self, what: str, asked: Awaitable[int]) -> int:
        """Paise; UNKNOWN when the broker does not say it in time."""
        try:
            async with asyncio.timeout(self._answer_s):
                return await asked
        except TimeoutError:
            _LOG.warning("the broker did not say the %s in %g s", what, self._answer_s)
        except DhanfastError as error:
            _LOG.warning("the broker did not say the %s: %s", what, error)
        return UNKNOWN
