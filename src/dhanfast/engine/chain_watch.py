"""The option chain of a paper or live run: asked for every so often, its figures told to the run.

Asking waits on the network, and figures are made in a thread of their own; what is told is one more
input of the engine, journaled before it is used. What goes wrong here ends nothing: figures that do
not come grow old, and are unknown to rules when `chain.max_age` is over.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.options.chainmeter import ChainMeter
from dhanfast.clock import Clock
from dhanfast.engine.chain_input import VOLATILITY_MOST, aligned, looked
from dhanfast.engine.premium_model import rate_on
from dhanfast.errors import DhanfastError
from dhanfast.market.optiontime import expiry_ns, segment_of
from dhanfast.storage.chains import Snapshot

PAUSE_MAX_S: Final = 60.0
Aside = Callable[..., Awaitable[Any]]
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the broker said.

    Attributes:
        rows: the chain. before: the same at the end of the session before; None: not known.
        is_open: whether there is trading; else it is a chain of the last close.
    """

    rows: Snapshot
    before: Snapshot | None
    is_open: bool


class Told(Protocol):
    """Who takes the figures: the loop of a live run."""

    def use_chain(self, row: Any, wall_ns: int) -> bool:
        """A set of figures, known from now on."""
        ...


class ChainWatch:
    """Asks for a chain and tells its figures, until it is cancelled.

    Args:
        told: takes them. clock: of the machine. fetch: asks the broker.
        figures: names of those that the strategy reads. near: see `ChainSettings`.
        past: volatilities of the sessions before, oldest first.
        every_s: seconds from one beginning to the next.
        aside: makes the figures without holding the engine up.
    Attributes:
        sets: told so far. failures: rounds in a row without one, and why the last: `trouble`.
    """

    def __init__(
        self, told: Told, clock: Clock, fetch: Callable[[], Awaitable[Asked]], *,
        figures: Sequence[str], near: int, past: Sequence[float], every_s: float,
        aside: Aside = asyncio.to_thread,
    ) -> None:  # fmt: skip
        self._told, self._clock, self._fetch = told, clock, fetch
        self._figures, self._near, self._every_s = tuple(figures), near, every_s
        self._past = [one for one in past if 0.0 < one < VOLATILITY_MOST]
        self._aside = aside
        self.sets = self.failures = 0
        self.trouble = ""

    async def keep(self) -> None:
        """Round after round."""
        while True:
            begun_ns = self._clock.now_ns()
            pause_s = await self.once()
            gone_s = (self._clock.now_ns() - begun_ns) / 1e9
            await self._clock.sleep(max(pause_s - gone_s, 0.001))

    async def once(self) -> float:
        """One round; the seconds from its beginning to the next."""
        try:
            found = await self._fetch()
            if not found.is_open:
                return self._every_s
            row = await self._aside(self.figures_of, found)
        except DhanfastError as error:
            return self._failed(error)
        if self.trouble:
            _LOG.info("the option chain is there again")
        self.failures, self.trouble = 0, ""
        self.sets += self._told.use_chain(row, self._clock.now_ns())
        return self._every_s

    def figures_of(self, found: Asked) -> NDArray[Any]:
        """The set of one answer.

        Shape:
            CHAIN_DTYPE[1].

        Raises:
            OutOfCalendar: its expiry is outside the tables. UsageError: no chain has such strikes.
        """
        rows = found.rows
        before = None if found.before is None else aligned(found.before, rows.strike)
        meter = ChainMeter(
            rows.strike, expiry_ns(rows.expiry, segment_of(rows.underlying)), rate_on(rows.date),
            figures=self._figures, near=self._near, past=self._past, before=before,
        )  # fmt: skip
        return looked(meter, rows)

    def _failed(self, error: DhanfastError) -> float:
        """Said when it is new; longer and longer between two tries."""
        self.failures += 1
        if str(error) != self.trouble:
            self.trouble = str(error)
            _LOG.warning("no option chain: %s; its figures grow old", error)
        return float(np.clip(self._every_s * 2.0 ** min(self.failures - 1, 8), self._every_s,
                             max(PAUSE_MAX_S, self._every_s)))  # fmt: skip
