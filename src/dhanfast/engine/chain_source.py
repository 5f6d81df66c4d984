"""Days of an option chain for a legs run: recorded snapshots, or premiums by a model.

Every source states its grade, and a run has one source: recorded and modelled prices never mix.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainday import ChainDay
from dhanfast._core.options.modelled import fill_expiry
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.hedge_prices import (
    FUT,
    INDEX_TOLD,
    PARITY_TOLD,
    contract_date,
    future_session,
    index_prices,
    parity_prices,
)
from dhanfast.engine.premium_model import Volatilities, rate_on, years_left
from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import Calendar, TradingDay, exchange_date
from dhanfast.market.optionsessions import (
    days_to_expiry,
    exercise_stt,
    option_expiries,
    option_segment,
    option_sessions,
)
from dhanfast.storage.bars import BarSet
from dhanfast.storage.chains import ChainFile

RECORDED: Final = "recorded"
MODELLED: Final = "modelled"
EXPIRIES_A_DAY: Final = 4
STEPS: Final = {
    "BANKNIFTY": 10_000,
    "NIFTY": 5_000,
    "FINNIFTY": 5_000,
    "MIDCPNIFTY": 2_500,
    "SENSEX": 10_000,
    "BANKEX": 10_000,
}  # strikes near the money, paise
STRIKES: Final = 40

Held = Callable[[], list[tuple[int, int]]]  # (expiry YYYYMMDD, strike paise) of what is held
Ints = NDArray[np.int64]


def is_chain_file(path: str | Path) -> bool:
    """Whether a file is a table of chain snapshots; False for what is no Parquet file."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    if not Path(path).is_file():
        return False
    try:
        return {"strike", "ce_ltp", "pe_ltp"} <= set(read_schema(path).names)
    except (ArrowException, OSError):
        return False


@dataclass(frozen=True, slots=True)
class Day:
    """One day as a run takes it.

    Attributes:
        slots: of each expiry name the place in `expiries`; names that the data lack are absent.
        end_ns, spot: of each row; the index in paise, 0 = unknown.
        future: SESSION_DTYPE[1] of the future whose prices are the chain's last column; None: none.
    """

    on: date
    hours: TradingDay
    chain: ChainDay
    expiries: tuple[date, ...]
    slots: dict[str, int]
    end_ns: Ints
    spot: Ints
    future: NDArray[Any] | None = None

    @property
    def columns(self) -> int:
        """Columns of the chain: of every contract, the future's last."""
        return self.chain.width


class PricesTold(Protocol):
    """What a result tells of the prices it rests on."""

    grade: str
    underlying: str
    contracts: Contracts
    interval: str

    def told(self) -> tuple[str, ...]:
        """What a reader must know of its prices; the first line names the grade."""

    def fills_told(self, orders: NDArray[Any], passages: NDArray[Any]) -> tuple[str, ...]:
        """What a reader must know of the prices that a run's orders have filled at."""

    def data(self) -> dict[str, Any]:
        """What was read, as a result shows it."""

    def digest(self) -> list[bytes]:
        """The bytes that its prices follow from."""


class ChainSource(PricesTold, Protocol):
    """Where a run's days come from.

    Attributes:
        future: days have a future as well; set before the first day is asked for.
    """

    future: bool

    def days(self, held: Held) -> Iterator[Day]:
        """The days, in order; `held` says what must stay in the chain."""


@dataclass
class RecordedChains:
    """Snapshots of a chain, as they were taken: a row has one price, the last trade's.

    Args:
        file: `storage.read_chains`. underlying: of it.
        first, last: exchange dates, inclusive; None = all.
        finals: closing values of the index by expiry, paise, where the file has none.
        lot: of a stock, units; 0: an index.
    """

    file: ChainFile
    underlying: str
    first: date | None = None
    last: date | None = None
    finals: Mapping[date, int] = field(default_factory=dict)
    sha256: str = ""
    grade: str = RECORDED
    interval: str = "snapshots"
    lot: int = 0
    future: bool = False

    def __post_init__(self) -> None:
        self.contracts = Contracts(self.underlying, self.lot)
        places = self.file.places(self.underlying)
        dates = self.file.days(places).astype(object)
        keep = [
            (self.first is None or on >= self.first) and (self.last is None or on <= self.last)
            for on in dates
        ]
        self.places, self._dates = places[np.array(keep, bool)], dates[np.array(keep, bool)]
        if len(self.places) == 0:
            raise BadData(
                f"{self.file.name}: no snapshot of {self.underlying} from "
                f"{self.first or 'the start'} to {self.last or 'the end'}"
            )
        self.snapshots = len(self.places)
        self._settled: dict[date, str] = {}

    def days(self, held: Held) -> Iterator[Day]:
        """The days that have snapshots within trading hours."""
        calendar = Calendar.load()
        segment = option_segment(self.underlying, self.lot)[0]
        for on in sorted(set(self._dates.tolist())):
            hours = calendar.day(on, segment)
            if hours is None or not hours.windows:
                raise BadData(f"{self.file.name}: {on} is not a trading day")
            day = self._day(on, hours, self.places[self._dates == on])
            if day is not None:
                yield day

    def _day(self, on: date, hours: TradingDay, places: Ints) -> Day | None:
        at_ns = self.file.at_ns[places]
        inside = np.zeros(len(places), bool)
        for opens, closes in hours.windows:
            inside |= (at_ns >= opens) & (at_ns < closes)
        if not inside.any():
            return None
        times = np.unique(at_ns[inside])
        expiries = sorted({self.file[int(place)].expiry for place in places})[:EXPIRIES_A_DAY]
        tables, strikes, counts = [], [], []
        for expiry in expiries:
            columns, prices = self._table(expiry, times, places)
            tables.append(prices)
            strikes.append(columns)
            counts.append(len(columns))
        spot = np.zeros(len(times), np.int64)
        for place in places[inside]:
            at = int(np.searchsorted(times, self.file.at_ns[place]))
            level = self.file.spot[place]
            spot[at] = 0 if np.isnan(level) else round(100.0 * level)
        finals = [self._final(on, expiry, hours, places) for expiry in expiries]
        if self.lot:
            self._check_lot(on, places)
        names = option_expiries(self.underlying, on, self.lot)
        slots = {
            name: expiries.index(expiry) for name, expiry in names.items() if expiry in expiries
        }
        prices = np.ascontiguousarray(np.hstack(tables))
        future = future_session(self.underlying, hours) if self.future else None
        if future is not None:
            column = parity_prices(future, expiries, strikes, prices)
            prices = np.ascontiguousarray(np.column_stack((prices, column)))
        chain = chain_day(
            self.contracts, hours, expiries, strikes, finals, times, times + 1, (prices,) * 4, spot,
            future=future,
        )  # fmt: skip
        return Day(on, hours, chain, tuple(expiries), slots, times + 1, spot, future)

    def _check_lot(self, on: date, places: Ints) -> None:
        """Open interest is whole lots: another lot than the contracts' is found out.

        Raises:
            BadData: it is not a multiple of the lot.
        """
        step = 0
        for place in places:
            shot = self.file[int(place)]
            for held in (shot.call_oi, shot.put_oi):
                units = np.nan_to_num(held).astype(np.int64)
                step = int(np.gcd(step, np.gcd.reduce(units)))
        if step % self.lot:
            raise BadData(
                f"{self.file.name}: open interest of {self.underlying} on {on} comes in steps of "
                f"{step}, and the lot was said to be {self.lot}: give the contracts' lot of "
                "these days, or --from and --to of days that have this one"
            )

    def _table(self, expiry: date, times: Ints, places: Ints) -> tuple[Ints, Ints]:
        """Strikes of an expiry, and its last prices: calls, then puts; 0 = no quote."""
        shots = [self.file[int(place)] for place in places]
        shots = [shot for shot in shots if shot.expiry == expiry]
        strikes = np.unique(np.concatenate([shot.strike for shot in shots]))
        n = len(strikes)
        table = np.zeros((len(times), 2 * n), np.int64)
        for shot in shots:
            row = int(np.searchsorted(times, shot.at_ns))
            if row == len(times) or times[row] != shot.at_ns:
                continue
            at = np.searchsorted(strikes, shot.strike)
            table[row, at] = np.rint(100.0 * np.nan_to_num(shot.call))
            table[row, n + at] = np.rint(100.0 * np.nan_to_num(shot.put))
        return np.rint(100.0 * strikes).astype(np.int64), table

    def _traded(self, number: int, at_ns: int) -> bool | None:
        """Whether a contract's volume has risen since the snapshot before; None: not known."""
        expiry, strike, right = self.contracts.keys[number]
        places = self.file.places(self.underlying, expiry)
        place = int(np.searchsorted(self.file.at_ns[places], at_ns))
        if place == 0 or place == len(places) or self.file.at_ns[places[place]] != at_ns:
            return None
        volumes = []
        for shot in (self.file[int(places[place - 1])], self.file[int(places[place])]):
            at = int(np.searchsorted(shot.strike, strike / 100.0))
            if at == len(shot) or shot.date != exchange_date(at_ns):
                return None
            volumes.append(float((shot.call_volume if right == "CE" else shot.put_volume)[at]))
        return volumes[1] > volumes[0] if volumes[0] <= volumes[1] else None

    def _final(self, on: date, expiry: date, hours: TradingDay, places: Ints) -> int:
        """The index's closing value of an expiry day; 0 when it is not this day, or not known."""
        if expiry != on:
            return 0
        if expiry in self.finals:
            self._settled[expiry] = f"given: {self.finals[expiry] / 100:.2f}"
            return self.finals[expiry]
        after = [
            place
            for place in places
            if self.file.at_ns[place] >= hours.close_ns and self.file.spot[place] > 0
        ]
        if not after:
            return 0
        level = float(self.file.spot[after[-1]])
        self._settled[expiry] = f"the index as recorded after the close: {level:.2f}"
        return round(100.0 * level)

    def told(self) -> tuple[str, ...]:
        """What a reader must know of its prices."""
        lines = [
            f"Grade recorded: fills are at last traded prices of {self.snapshots} recorded chain "
            "snapshots, minutes apart. A decision meets the next snapshot; a stop is seen at a "
            "snapshot and filled at its price. 0 is no quote, and nothing fills there. Prices of "
            "far strikes may be old."
        ]
        lines += [PARITY_TOLD] if self.future else []
        lines += [
            f"Final settlement of {expiry}: {text}"
            for expiry, text in sorted(self._settled.items())
        ]
        return tuple(lines)

    def fills_told(self, orders: NDArray[Any], passages: NDArray[Any]) -> tuple[str, ...]:
        """How many fills took a price that was no newer than the snapshot before."""
        at = zip(orders["instrument"].tolist(), passages["first_fill_ns"].tolist(), strict=True)
        found = [self._traded(number, at_ns) for number, at_ns in at if at_ns]
        old = found.count(False)
        if not old:
            return ()
        return (
            f"{old} of {len(found)} fills took a last price that had not traded since the snapshot "
            "before: nobody may have been there to trade at it",
        )

    def data(self) -> dict[str, Any]:
        """What was read."""
        return {
            "grade": self.grade,
            "chains": {
                "symbol": self.underlying,
                "rows": self.file.rows,
                "snapshots": self.snapshots,
                "generated": self.file.generated,
                "first": str(self._dates[0]),
                "last": str(self._dates[-1]),
                "sources": [{"name": self.file.name, "sha256": self.sha256}],
            },
        }

    def digest(self) -> list[bytes]:
        """Times, strikes and prices of the file, and the final prices that were given."""
        parts = [self.file.at_ns.tobytes(), self.file.spot.tobytes()]
        parts += [self.file.columns[name].tobytes() for name in ("strike", "ce_ltp", "pe_ltp")]
        return [*parts, repr(sorted(self.finals.items())).encode()]


@dataclass
class ModelledChains:
    """Minute bars of options by `premium_model` over the recorded bars of their index.

    Args:
        index: its bars. volatilities: what the level of a day follows from.
        expiries: names (`nearest`, ...) that the run takes.
        strikes: listed a day and expiry, around the day's first price.
    """

    index: BarSet
    volatilities: Volatilities
    expiries: Sequence[str]
    strikes: int = STRIKES
    grade: str = MODELLED
    future: bool = False

    def __post_init__(self) -> None:
        self.underlying = self.index.symbol
        self.interval = self.index.timeframe
        self.contracts = Contracts(self.underlying)
        if self.underlying not in STEPS:
            raise UsageError(
                f"{self.underlying}: premiums are modelled for {', '.join(STEPS)} only"
            )
        if not 3 <= self.strikes <= 400:
            raise UsageError(f"strikes must be in 3..400, was {self.strikes}")
        self._estimated: list[date] = []

    def days(self, held: Held) -> Iterator[Day]:
        """The trading days of the index's bars."""
        for hours, rows, after in self.trading_days():
            yield self._day(hours, rows, after, held())

    def trading_days(self) -> Iterator[tuple[TradingDay, NDArray[Any], NDArray[Any]]]:
        """Each trading day with its bars inside the hours, and the first bars behind them."""
        bars = self.index.bars
        segment = option_segment(self.underlying)[0]
        days = Calendar.load().days(self.index.first.date(), self.index.last.date(), segment)
        for hours in days:
            if not hours.windows:
                continue
            low, high = np.searchsorted(bars["start_ns"], (hours.open_ns, hours.close_ns))
            rows = bars[low:high]
            inside = np.zeros(len(rows), bool)
            for opens, closes in hours.windows:
                inside |= (rows["start_ns"] >= opens) & (rows["start_ns"] < closes)
            rows = rows[inside]
            if len(rows):
                yield hours, rows, bars[high : high + 4]

    def _day(
        self,
        hours: TradingDay,
        rows: NDArray[Any],
        after: NDArray[Any],
        held: list[tuple[int, int]],
    ) -> Day:
        on = hours.date
        names = {
            name: expiry
            for name, expiry in option_expiries(self.underlying, on).items()
            if name in self.expiries
        }
        wanted = set(names.values())
        wanted |= {_date(contract) for contract, _ in held if _date(contract) >= on}
        expiries = sorted(wanted)[:EXPIRIES_A_DAY]
        sessions = option_sessions(self.underlying, hours, expiries)
        future = future_session(self.underlying, hours) if self.future else None
        start_ns, end_ns, strikes, tables = self.premiums(
            hours, rows, expiries, sessions, held, future
        )
        finals = [self._final(on, expiry, hours, rows, after) for expiry in expiries]
        spot = np.ascontiguousarray(rows["close"])
        chain = chain_day(
            self.contracts, hours, expiries, strikes, finals, start_ns, end_ns, tuple(tables), spot,
            sessions, future=future,
        )  # fmt: skip
        slots = {name: expiries.index(expiry) for name, expiry in names.items()}
        return Day(on, hours, chain, tuple(expiries), slots, end_ns, spot, future)

    def premiums(
        self, hours: TradingDay, rows: NDArray[Any], expiries: Sequence[date],
        sessions: NDArray[Any], held: list[tuple[int, int]], future: NDArray[Any] | None = None,
    ) -> tuple[Ints, Ints, list[Ints], Ints]:  # fmt: skip
        """Option bars of a day by the model.

        Args:
            rows: bars of the index inside the hours. expiries: whose options.
            sessions: SESSION_DTYPE of each expiry. held: contracts that are listed besides.
            future: the session of the future whose prices are the last column; None: there is none.

        Returns:
            Start and end of each bar, strikes of each expiry, and premiums, paise.

        Shape:
            premiums int64[4, bars, options]: open, high, low, close; of each expiry its calls, then
            its puts.
        """
        on = hours.date
        start_ns = np.ascontiguousarray(rows["start_ns"])
        end_ns = np.minimum(start_ns + self.index.interval_ns, hours.close_ns)
        end_ns[:-1] = np.minimum(end_ns[:-1], start_ns[1:])
        index = np.column_stack([rows[name] for name in ("open", "high", "low", "close")])
        strikes = [self._strikes(int(rows["open"][0]), expiry, held) for expiry in expiries]
        columns = 2 * sum(map(len, strikes)) + (future is not None)
        tables = np.empty((4, len(rows), columns), np.int64)
        if future is not None:
            tables[:, :, -1] = index_prices(future, index)
        level, shape = self.volatilities.level(on), self.volatilities.shape
        first = 0
        for session, expiry, grid in zip(sessions, expiries, strikes, strict=True):
            away = days_to_expiry(on, expiry)
            fill_expiry(
                np.ascontiguousarray(index), years_left(hours, away, start_ns),
                years_left(hours, away, end_ns), grid, tables, first, level=level,
                slope=shape.slope, bend=shape.bend, rate=rate_on(on), tick=int(session["tick"]),
            )  # fmt: skip
            first += 2 * len(grid)
        return start_ns, end_ns, strikes, tables

    def _strikes(self, level: int, expiry: date, held: list[tuple[int, int]]) -> Ints:
        """The listed strikes around a level, and those that are held."""
        step = STEPS[self.underlying]
        middle = (level + step // 2) // step
        low = max(1, middle - self.strikes // 2)
        listed = {step * (low + i) for i in range(self.strikes)}
        listed |= {strike for contract, strike in held if _date(contract) == expiry}
        return np.array(sorted(listed), np.int64)

    def _final(
        self, on: date, expiry: date, hours: TradingDay, rows: NDArray[Any], after: NDArray[Any]
    ) -> int:
        """The index's closing value: its print after the close, else its last bar."""
        if expiry != on:
            return 0
        prints = after[
            (after["start_ns"] >= hours.close_ns)
            & (after["start_ns"] < hours.close_ns + 3_600 * 10**9)
        ]
        if len(prints):
            return int(prints["close"][-1])
        self._estimated.append(on)
        return int(rows["close"][-1])

    def told(self) -> tuple[str, ...]:
        """What a reader must know of its prices."""
        shape = self.volatilities.shape
        lines = [
            "Grade modelled: no premium here was ever traded. Option bars are Black's formula over "
            f"the recorded index, its volatility {shape.at_money:g} of India VIX at the close "
            f"before, scaled to the underlying, with a fixed smile (slope {shape.slope:g}, bend "
            f"{shape.bend:g}). No spread, no depth, no intraday change of volatility: see "
            "docs/reference/options-backtest.md for the measured error."
        ]
        lines += [INDEX_TOLD] if self.future else []
        if self._estimated:
            lines.append(
                f"Final settlement of {len(self._estimated)} expiries is the index's last "
                "bar: the data has no print after the close"
            )
        return tuple(lines)

    def fills_told(self, orders: NDArray[Any], passages: NDArray[Any]) -> tuple[str, ...]:
        """Nothing more than that they are modelled."""
        return ()

    def data(self) -> dict[str, Any]:
        """What was read."""
        bars = self.index
        return {
            "grade": self.grade,
            "index": {
                "symbol": bars.symbol,
                "rows": len(bars.bars),
                "generated": bars.generated,
                "first": str(bars.first),
                "last": str(bars.last),
                "sources": [{"name": one.name, "sha256": one.sha256} for one in bars.sources],
            },
            "volatility": list(self.volatilities.sources),
        }

    def digest(self) -> list[bytes]:
        """The index's bars, the closes, and the smile."""
        told = self.volatilities
        read = (
            sorted(told.vix.items()), told.shape, sorted(told.index.items()),
            sorted(told.base.items()), self.strikes, tuple(self.expiries),
        )  # fmt: skip
        return [self.index.bars.tobytes(), repr(read).encode()]


def chain_day(
    contracts: Contracts, hours: TradingDay, expiries: Sequence[date], strikes: Sequence[Ints],
    finals: Sequence[int], start_ns: Ints, end_ns: Ints, prices: Sequence[Ints], spot: Ints,
    sessions: NDArray[Any] | None = None, *, future: NDArray[Any] | None = None,
) -> ChainDay:  # fmt: skip
    """The native form of a day; with a future's session its prices are the last column."""
    if sessions is None:
        known = spot[spot > 0]
        sessions = option_sessions(
            contracts.underlying, hours, list(expiries), lot=contracts.lot,
            level=int(known[0]) if len(known) else 0,
        )  # fmt: skip
    rate, full = exercise_stt(contracts.underlying, hours.date, contracts.lot)
    listed = [
        contracts.number(expiry, strike, right)
        for expiry, grid in zip(expiries, strikes, strict=True)
        for right in ("CE", "PE")
        for strike in grid.tolist()
    ]
    if future is not None:
        listed.append(contracts.number(contract_date(future), 0, FUT))
    counts = [len(grid) for grid in strikes]
    return ChainDay(
        start_ns=start_ns,
        end_ns=end_ns,
        prices=prices,
        spot=spot,
        strike=np.concatenate(
            [*(np.concatenate([grid, grid]) for grid in strikes), [0] * (future is not None)]
        ).astype(np.int64),
        listed=np.array(listed, np.uint32),
        first=[2 * sum(counts[:place]) for place in range(len(counts))],
        count=counts,
        sessions=sessions,
        final_price=finals,
        exercise_e9=[rate] * len(expiries),
        exercise_full=[full] * len(expiries),
    )


def _date(ymd: int) -> date:
    return date(ymd // 10_000, ymd // 100 % 100, ymd % 100)
