"""Recorded minute bars of options for a legs run: what was traded, minute by minute.

A minute in which a contract has not traded is no quote: nobody knows what it would have cost.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.options.forward import forward_from_parity
from dhanfast.engine.chain_source import EXPIRIES_A_DAY, RECORDED, Day, Held, chain_day
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.hedge_prices import PARITY_TOLD, future_session, parity_prices
from dhanfast.errors import BadData
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.market.optionsessions import option_expiries, option_segment
from dhanfast.market.optiontime import expiry_ns, segment_of, years_to_expiry
from dhanfast.storage.bars import interval_name
from dhanfast.storage.option_bars import OptionBars
from dhanfast.storage.stamps import DAY_NS, IST_OFFSET_NS

EPOCH: Final = date(1970, 1, 1)
Ints = NDArray[np.int64]


@dataclass
class RecordedBars:
    """Bars of option contracts, as they were traded.

    Args:
        bars: `storage.option_bars`. underlying: theirs.
        first, last: exchange dates, inclusive; None = all.
        finals: closing values of the index by expiry, paise: bars do not have them.
        lot: of a stock, units; 0: an index.
    """

    bars: OptionBars
    underlying: str
    first: date | None = None
    last: date | None = None
    finals: Mapping[date, int] = field(default_factory=dict)
    grade: str = RECORDED
    lot: int = 0
    future: bool = False

    def __post_init__(self) -> None:
        self.contracts = Contracts(self.underlying, self.lot)
        self.interval = interval_name(self.bars.interval_ns)
        self._days = (self.bars.ts + IST_OFFSET_NS) // DAY_NS
        low = (self.first - EPOCH).days if self.first else -1
        high = (self.last - EPOCH).days if self.last else 1 << 40
        self._kept = [day for day in np.unique(self._days).tolist() if low <= day <= high]
        if not self._kept:
            raise BadData(
                f"{self.bars.name}: no bar from {self.first or 'the start'} to "
                f"{self.last or 'the end'}"
            )
        self._settled: dict[date, int] = {}

    def days(self, held: Held) -> Iterator[Day]:
        """The days that have bars within trading hours."""
        segment = option_segment(self.underlying, self.lot)[0]
        for number in self._kept:
            on = EPOCH + timedelta(days=number)
            hours = Calendar.load().day(on, segment)
            if hours is None or not hours.windows:
                raise BadData(f"{self.bars.name}: {on} is not a trading day")
            low, high = np.searchsorted(self._days, (number, number + 1))
            inside = np.zeros(high - low, bool)
            for opens, closes in hours.windows:
                at = self.bars.ts[low:high]
                inside |= (at >= opens) & (at < closes)
            rows = low + np.flatnonzero(inside)
            if len(rows):
                yield self._day(on, hours, rows)

    def _day(self, on: date, hours: TradingDay, rows: Ints) -> Day:
        bars = self.bars
        start_ns = np.unique(bars.ts[rows])
        end_ns = np.minimum(start_ns + bars.interval_ns, hours.close_ns)
        days = np.unique(bars.expiry[rows])[:EXPIRIES_A_DAY]
        expiries = [EPOCH + timedelta(days=int(day)) for day in days]
        grids, firsts, columns = [], [], 0
        for day in days:
            grid = np.unique(bars.strike[rows[bars.expiry[rows] == day]])
            grids.append(grid)
            firsts.append(columns)
            columns += 2 * len(grid)
        tables = np.zeros((4, len(start_ns), columns), np.int64)
        for day, grid, first in zip(days, grids, firsts, strict=True):
            self._fill(tables, rows[bars.expiry[rows] == day], start_ns, grid, first)
        spot = self._levels(rows, start_ns, end_ns, expiries, grids, tables[3])
        finals = [self._final(on, expiry) for expiry in expiries]
        future = future_session(self.underlying, hours) if self.future else None
        if future is not None:
            column = parity_prices(future, expiries, grids, tables[3])
            tables = np.concatenate(
                (tables, np.broadcast_to(column[:, None], (4, len(column), 1))), axis=2
            )
        chain = chain_day(
            self.contracts, hours, expiries, grids, finals, start_ns, end_ns, tuple(tables), spot,
            future=future,
        )  # fmt: skip
        names = option_expiries(self.underlying, on, self.lot)
        slots = {
            name: expiries.index(expiry) for name, expiry in names.items() if expiry in expiries
        }
        return Day(on, hours, chain, tuple(expiries), slots, end_ns, spot, future)

    def _fill(self, tables: Ints, rows: Ints, start_ns: Ints, grid: Ints, first: int) -> None:
        """Bars of one expiry into the day's tables; those without volume are left at 0."""
        bars = self.bars
        rows = rows[bars.volume[rows] > 0]
        row = np.searchsorted(start_ns, bars.ts[rows])
        column = first + np.searchsorted(grid, bars.strike[rows])
        column += np.where(bars.right[rows] > 0, 0, len(grid))
        for part in range(4):
            tables[part, row, column] = bars.prices[part, rows]
        apart = np.flatnonzero(tables[3, row, column] != bars.prices[3, rows])
        if len(apart):
            at = rows[apart[0]]
            raise BadData(
                f"{self.bars.name}: two bars of strike {bars.strike[at] / 100:g} at one time with "
                "different prices"
            )

    def _levels(
        self,
        rows: Ints,
        start_ns: Ints,
        end_ns: Ints,
        expiries: list[date],
        grids: list[Ints],
        closes: Ints,
    ) -> Ints:
        """The index at the end of each row: as recorded, else the nearest expiry's forward."""
        spot = np.zeros(len(start_ns), np.int64)
        if self.bars.has_spot:
            spot[np.searchsorted(start_ns, self.bars.ts[rows])] = self.bars.spot[rows]
            return spot
        n = len(grids[0])
        strike = grids[0] / 100.0
        end = expiry_ns(expiries[0], segment_of(self.underlying))
        for row in range(len(start_ns)):
            call, put = closes[row, :n] / 100.0, closes[row, n : 2 * n] / 100.0
            years = years_to_expiry(int(end_ns[row]), end)
            found = forward_from_parity(strike, call, put, years)
            spot[row] = round(100.0 * found) if found > 0 else 0
        return spot

    def _final(self, on: date, expiry: date) -> int:
        if expiry != on or expiry not in self.finals:
            return 0
        self._settled[expiry] = self.finals[expiry]
        return self.finals[expiry]

    def told(self) -> tuple[str, ...]:
        """What a reader must know of its prices."""
        lines = [
            f"Grade recorded: fills are at prices of recorded {self.interval} bars of the options. "
            "A minute in which a contract has not traded has no price, and nothing fills there."
        ]
        lines += [PARITY_TOLD] if self.future else []
        if not self.bars.has_spot:
            lines.append(
                "The bars have no index: strikes are chosen around the forward of put-call parity"
            )
        lines += [
            f"Final settlement of {expiry}: given: {paise / 100:.2f}"
            for expiry, paise in sorted(self._settled.items())
        ]
        return tuple(lines)

    def fills_told(self, orders: NDArray[Any], passages: NDArray[Any]) -> tuple[str, ...]:
        """Nothing more: a bar with volume has traded."""
        return ()

    def data(self) -> dict[str, Any]:
        """What was read."""
        bars = self.bars
        return {
            "grade": self.grade,
            "options": {
                "symbol": self.underlying,
                "rows": len(bars.ts),
                "generated": bars.generated,
                "interval": self.interval,
                "first": str(EPOCH + timedelta(days=self._kept[0])),
                "last": str(EPOCH + timedelta(days=self._kept[-1])),
                "sources": [{"name": bars.name, "sha256": bars.sha256}],
            },
        }

    def digest(self) -> list[bytes]:
        """Every column of the bars, and the final prices that were given."""
        bars = self.bars
        parts = [bars.ts, bars.prices, bars.volume, bars.expiry, bars.strike, bars.right, bars.spot]
        return [*(part.tobytes() for part in parts), repr(sorted(self.finals.items())).encode()]
