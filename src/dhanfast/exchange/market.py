"""The market behind the exchange: a seeded, generated day, or a recorded archive."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import DEPTH_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.engine.recorded import as_ticks, kind_of, named
from dhanfast.errors import BadData, OutOfCalendar, UsageError
from dhanfast.exchange.contracts import (
    FIRST_ID,
    INDEX_IDS,
    Contract,
    Contracts,
    freeze_of,
    lot_and_tick,
    monthly,
    segment_of,
)
from dhanfast.exchange.history import History
from dhanfast.market.calendar import Calendar, TradingDay, exchange_date
from dhanfast.market.generate import STOCKS
from dhanfast.market.margin import future_margin_rate
from dhanfast.market.sessions import operating_range, ymd
from dhanfast.market.tickday import TickInstrument, tick_day
from dhanfast.storage.archive.listing import Listed
from dhanfast.storage.archive.reader import ArchiveReader

LEVELS_MAX: Final = 200  # an archive does not say how deep its books are
BATCH: Final = 8_192
VIX: Final = "INDIA VIX"
VIX_AT_REST: Final = 1_400  # 1/100 points
VIX_POWER: Final = 5  # of the index's change: a fall of 2 % lifts it by a tenth
INDEX_EVERY: Final = 5  # an equity has a record for each fifth of the index
MARGIN_E9: Final = 150_000_000  # of a future whose rate is in no table
EQUITY_TICK: Final = 5


@dataclass(frozen=True, slots=True)
class Equity:
    """A share of a generated market, which follows the index.

    Units:
        price in paise: where it opens.
    """

    security_id: int
    symbol: str
    name: str
    isin: str
    price: int


# Security ids and names are the broker's; prices and ISINs are invented.
EQUITIES: Final = (
    Equity(1333, "HDFCBANK", "HDFC Bank", "INE000A01001", 170_000),
    Equity(11536, "TCS", "Tata Consultancy Services", "INE000B01002", 310_000),
    Equity(2885, "RELIANCE", "Reliance Industries", "INE000C01003", 142_500),
)


# Of stocks in the place of an index: only number and name count, the price is the path's.
LISTED: Final = {
    one.symbol: one
    for one in (
        *EQUITIES,
        Equity(2031, "M&M", "Mahindra & Mahindra", "INE000D01004", 0),
        Equity(16669, "BAJAJ-AUTO", "Bajaj Auto", "INE000E01005", 0),
    )
}
FREEZE_LOTS: Final = 40  # of a generated stock's contracts: the largest order


@dataclass(frozen=True, slots=True)
class Records:
    """Some consecutive records of a market, in the order received.

    Shape:
        ticks TICK_DTYPE, rows DEPTH_DTYPE; no row is later than the last tick unless it is the end.
    """

    ticks: NDArray[Any]
    rows: NDArray[Any]


class Market(Protocol):
    """What the exchange asks of a market.

    Attributes:
        label: where the records come from. generated: whether they are.
        day: hours of the day. contracts: what is traded. levels: of its books; 0 = ticks only.
        history: days before this one; None when there are none.
    """

    label: str
    generated: bool
    day: TradingDay
    contracts: Contracts
    levels: int
    history: History | None

    def __iter__(self) -> Iterator[Records]:
        """The day from its first record on."""
        ...


class GeneratedMarket:
    """A seeded day of an index, its front future, its option chain, three shares and India VIX.

    GENERATED, NOT RECORDED: `market.tickday` makes index, future and options; shares follow the
    index, VIX goes against it. In the place of the index may stand a stock, which is a share that
    trades: its contracts are those of a stock, their lots invented. The same arguments give the
    same bytes.

    Args:
        symbol: BANKNIFTY, NIFTY, ...; or a stock: RELIANCE, M&M, ... (`generate.STOCKS`).
        day: a trading day.
        seed: which market.
        strikes: of the nearest expiry. levels: of the books: 5, 20 or 200.
        ticks: records of index, future and options; None for as many as a broker's feed delivers.
        equities: shares besides.

    Raises:
        UsageError, OutOfCalendar: as `tick_day`.
    """

    def __init__(
        self,
        symbol: str,
        day: date,
        *,
        seed: int,
        strikes: int = 21,
        levels: int = 20,
        ticks: int | None = None,
        equities: Sequence[Equity] = EQUITIES,
    ) -> None:
        self.plan = tick_day(symbol, day, seed=seed, ticks=ticks, strikes=strikes,
                             depth_levels=levels, batch=BATCH)  # fmt: skip
        self.label, self.generated, self.levels = self.plan.label, True, levels
        self.day = trading_day(day)
        self._stock = symbol in STOCKS
        self._equities = tuple(one for one in equities if one.symbol != symbol)
        shares = {one.symbol: one.price for one in self._equities}
        opened = float(self.plan.parts["index"][0])
        self.history: History | None = History(symbol, seed, strikes, shares, opened)
        listed = [self._listed(one) for one in self.plan.instruments]
        first = len(listed)
        listed += [
            Contract(first + at, "NSE_EQ", one.security_id, one.symbol, "EQ", one.symbol, 1,
                     EQUITY_TICK, isin=one.isin, name=one.name,
                     band_low=_band(one.price, 9), band_high=_band(one.price, 11))
            for at, one in enumerate(self._equities)
        ]  # fmt: skip
        listed.append(Contract(len(listed), "IDX_I", INDEX_IDS[VIX], VIX, "IDX", VIX, 0, 1))
        self.contracts = Contracts(listed)

    def _listed(self, one: TickInstrument) -> Contract:
        symbol, day = self.plan.symbol, self.plan.day
        segment = segment_of(one.kind, symbol)
        if one.kind == "IDX":
            security_id = INDEX_IDS[symbol]
            return Contract(one.index, segment, security_id, one.symbol, "IDX", symbol, 0, one.tick)
        if one.kind == "EQ":
            told, price = LISTED[symbol], int(self.plan.parts["index"][0])
            return Contract(one.index, segment, told.security_id, symbol, "EQ", symbol, 1, one.tick,
                            isin=told.isin, name=told.name, band_low=_band(price, 9, one.tick),
                            band_high=_band(price, 11, one.tick))  # fmt: skip
        assert one.expiry is not None
        strike = one.strike if one.kind != "FUT" else 0
        freeze = FREEZE_LOTS * one.lot if self._stock else freeze_of(symbol, day)
        return Contract(one.index, segment, FIRST_ID - 1 + one.index, one.symbol, one.kind, symbol,
                        one.lot, one.tick, one.expiry, strike, freeze,
                        monthly(symbol, one.expiry))  # fmt: skip

    def __iter__(self) -> Iterator[Records]:
        """The day from its first record on."""
        seen, first = 0, 0
        volumes = np.zeros(len(self._equities), np.uint64)
        traded = 0  # of the stock itself
        for ticks, rows in self.plan:
            its = (ticks["instrument"] == 0) & (ticks["price"] > 0)
            index = ticks[its]
            if len(index) and not first:
                first = int(index["price"][0])
            places = np.arange(seen, seen + len(index))
            seen += len(index)
            if self._stock and len(index):
                own, tick = LISTED[self.plan.symbol], self.contracts[0].tick
                ticks[its] = _trades(index, places, own, tick, traded)
                traded = int(ticks[its]["volume"][-1])
            chosen = places % INDEX_EVERY == 0
            parts = [ticks]
            for at, equity in enumerate(self._equities):
                share = _follow(index[chosen], places[chosen], equity, first, int(volumes[at]))
                if len(share):
                    volumes[at] = share["volume"][-1]
                    share["instrument"] = len(self.plan.instruments) + at
                    parts.append(share)
            if len(index):
                parts.append(_against(index[chosen], len(self.contracts) - 1, first))
            both = np.concatenate(parts)
            order = np.argsort(both["recv_ns"], kind="stable")
            yield Records(np.ascontiguousarray(both[order]), rows)


def _band(price: int, tenths: int, tick: int = EQUITY_TICK) -> int:
    return price * tenths // 10 // tick * tick


def _follow(
    index: NDArray[Any], places: NDArray[Any], equity: Equity, first: int, volume: int
) -> NDArray[Any]:
    """Trades of a share that moves with the index."""
    share = index.copy()
    level = equity.price * (index["price"] / first)
    share["price"] = np.maximum(np.rint(level / EQUITY_TICK).astype(np.int64), 2) * EQUITY_TICK
    return _trades(share, places, equity, EQUITY_TICK, volume)


def _trades(
    prices: NDArray[Any], places: NDArray[Any], equity: Equity, tick: int, volume: int
) -> NDArray[Any]:
    """Trades of a share at prices: `places` make their quantities."""
    share, price = prices.copy(), prices["price"]
    mixed = (places.astype(np.uint64) + np.uint64(equity.security_id)) * np.uint64(2654435761)
    qty = (mixed >> np.uint64(8)) % np.uint64(90) + np.uint64(10)
    share["qty"] = qty
    share["volume"] = np.uint64(volume) + np.cumsum(qty)
    share["bid"], share["ask"] = price - tick, price + tick
    share["bid_qty"] = (mixed >> np.uint64(16)) % np.uint64(900) + np.uint64(100)
    share["ask_qty"] = (mixed >> np.uint64(24)) % np.uint64(900) + np.uint64(100)
    share["oi"] = 0
    return share


def _against(index: NDArray[Any], number: int, first: int) -> NDArray[Any]:
    """India VIX of a generated day: at rest when the index is, up when it falls."""
    vix = index.copy()
    vix["instrument"] = number
    vix["price"] = np.rint(VIX_AT_REST * (first / index["price"]) ** VIX_POWER).astype(np.int64)
    return vix


class RecordedMarket:
    """A recorded day of a tick archive.

    Args:
        path: of the archive; books are used when it has a stream of them.

    Raises:
        BadData: the archive is damaged, has no ticks, or lists no instrument that can be traded.
        OutOfCalendar: its day is outside the calendar.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self.history: History | None = None
        with ArchiveReader(path) as reader:
            if "ticks" not in reader.streams:
                raise BadData(f"{path}: holds no ticks; it has {', '.join(reader.streams)}")
            span = reader.time_range("ticks")
            if span is None:
                raise BadData(f"{path}: holds no tick yet")
            self.generated = bool(reader.head.get("generated"))
            self.label = f"ticks of {reader.path.name}"
            self.day = trading_day(exchange_date(span[0]))
            used = {int(key) for key in reader.keys("ticks")}
            listed = [one for number, one in sorted(reader.instruments.items()) if number in used]
            self.levels = LEVELS_MAX if "depth" in reader.streams else 0
        if not listed:
            raise BadData(f"{path}: its instruments are not described; import it again")
        self._numbers = [one.index for one in listed]
        self.contracts = Contracts(_numbered(listed, self.day.date))

    def __iter__(self) -> Iterator[Records]:
        """The day from its first record on."""
        dense = np.full(max(self._numbers) + 2, 0xFFFF_FFFF, np.uint32)
        dense[self._numbers] = np.arange(len(self._numbers))
        with ArchiveReader(self._path) as reader:
            rows = _Rows(reader) if self.levels else None
            for batch in reader.batches("ticks", batch_rows=BATCH):
                ticks = as_ticks(batch).copy()
                ticks["instrument"] = dense[np.minimum(ticks["instrument"], len(dense) - 1)]
                last_ns = int(ticks["recv_ns"][-1] or ticks["exch_ns"][-1])
                yield Records(ticks, NO_ROWS if rows is None else rows.until(last_ns, dense))
            if rows is not None:
                yield Records(np.empty(0, TICK_DTYPE), rows.until(2**62, dense))


NO_ROWS: Final = np.empty(0, DEPTH_DTYPE)


class _Rows:
    """Book rows of an archive, up to a time at a time."""

    def __init__(self, reader: ArchiveReader) -> None:
        self._batches = iter(reader.batches("depth", batch_rows=4 * BATCH))
        self._kept: list[NDArray[Any]] = []
        self._last_ns = -1

    def until(self, last_ns: int, dense: NDArray[Any]) -> NDArray[Any]:
        """Rows received at or before a time that were not given yet."""
        while self._last_ns <= last_ns:
            batch = next(self._batches, None)
            if batch is None:
                break
            if batch.dtype != DEPTH_DTYPE:
                raise BadData(f"rows of depth are {batch.dtype}; they must be {DEPTH_DTYPE}")
            rows = batch.copy()
            rows["instrument"] = dense[np.minimum(rows["instrument"], len(dense) - 1)]
            self._last_ns = int(rows["recv_ns"][-1])
            self._kept.append(rows)
        found = np.concatenate(self._kept) if self._kept else NO_ROWS
        due = int(np.searchsorted(found["recv_ns"], last_ns, side="right"))
        self._kept = [found[due:]] if due < len(found) else []
        return np.ascontiguousarray(found[:due])


def _numbered(listed: Sequence[Listed], day: date) -> list[Contract]:
    """What an archive lists, under the broker's numbers; its own where it has them."""
    taken = {(one.segment, one.security_id) for one in listed if one.security_id}
    number = FIRST_ID
    made = []
    stocks = frozenset(one.symbol for one in listed if one.kind == "EQ")
    for at, one in enumerate(listed):
        contract = _contract(at, one, day, stocks)
        if one.segment and one.security_id:
            contract = replace(contract, segment=one.segment, security_id=int(one.security_id))
        elif contract.kind == "IDX" and contract.symbol in INDEX_IDS:
            contract = replace(contract, security_id=INDEX_IDS[contract.symbol])
        else:
            while (contract.segment, str(number)) in taken:
                number += 1
            contract = replace(contract, security_id=number)
            number += 1
        made.append(contract)
    return made


def _contract(at: int, one: Listed, day: date, stocks: frozenset[str]) -> Contract:
    found, kind = named(one.symbol, stocks), kind_of(one)
    if kind == "OPT":
        kind = one.right or "CE"
    underlying = found.underlying if found is not None else one.symbol
    lot, tick = one.lot, one.tick
    expiry = date.fromisoformat(one.expiry) if one.expiry else None
    if found is not None and found.expiry is not None:
        known_lot, known_tick = lot_and_tick(found, day)
        lot, tick, expiry = lot or known_lot, tick or known_tick, expiry or found.expiry
    if kind == "IDX" or (kind in ("FUT", "CE", "PE") and expiry is None):
        return Contract(at, "IDX_I", 0, one.symbol, "IDX", underlying, 0, tick or 1)
    if kind not in ("FUT", "CE", "PE"):
        return Contract(at, "NSE_EQ", 0, one.symbol, "EQ", one.symbol, 1, tick or EQUITY_TICK)
    strike = one.strike or (found.strike if found is not None else 0)
    assert expiry is not None
    return Contract(at, segment_of(kind, underlying), 0, one.symbol, kind, underlying, lot or 1,
                    tick or EQUITY_TICK, expiry, strike if kind != "FUT" else 0,
                    freeze_of(underlying, day), monthly(underlying, expiry))  # fmt: skip


def trading_day(day: date) -> TradingDay:
    """The hours of a day.

    Raises:
        OutOfCalendar: not a trading day, or its hours are not in the tables.
    """
    found = Calendar.load().day(day)
    if found is None or not found.windows:
        raise OutOfCalendar(f"{day} is not a trading day with known hours; choose another date")
    return found


def session_of(contract: Contract, day: TradingDay, prev_close: int) -> NDArray[Any]:
    """The rules that the matching kernel holds for one instrument on one day.

    Args:
        prev_close: what a future's operating range is measured from, paise; 0 = no range.

    Shape:
        SESSION_DTYPE[1].
    """
    session = np.zeros(1, SESSION_DTYPE)
    row = session[0]
    row["open_ns"], row["close_ns"] = day.windows[0]
    if len(day.windows) > 1:
        row["open2_ns"], row["close2_ns"] = day.windows[1]
    row["date"] = ymd(day.date)
    row["lot"], row["tick"] = max(contract.lot, 1), contract.tick
    row["freeze"] = contract.freeze
    row["band_low"], row["band_high"] = contract.band_low, contract.band_high
    if contract.expiry is not None:
        row["contract"] = ymd(contract.expiry)
        row["margin_rate_e9"] = margin_rate(contract.underlying, day.date)
    if contract.kind == "FUT" and prev_close > 0:
        try:
            row["band_low"], row["band_high"] = operating_range(
                contract.underlying, day.date, prev_close
            )
        except (OutOfCalendar, UsageError):
            row["band_low"] = row["band_high"] = 0
    return session


def margin_rate(underlying: str, day: date) -> int:
    """Margin of an underlying's future, 1e-9 of its value; a plain 15 % where no table knows it."""
    try:
        return future_margin_rate(underlying, day)
    except (OutOfCalendar, UsageError):
        return MARGIN_E9
