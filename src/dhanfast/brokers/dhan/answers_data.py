"""What Dhan says of the market: snapshots, option chains, candles. Prices are paise."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dhanfast.brokers.dhan.fields import Fields, paise_of
from dhanfast.errors import BadData

PRICES: Final = ("open", "high", "low", "close")
SPARE: Final = {"volume": "volume", "open_interest": "oi"}  # columns of counts
PLAIN_MAX: Final = 1e11  # doubles up to here tell 1e-4 apart from a whole number
NEAR: Final = 1e-4
SECONDS_MAX: Final = 4_102_444_800  # 2100-01-01
EXPIRED_PRICES: Final = ("open", "high", "low", "close", "strike", "spot")


class Level(msgspec.Struct, frozen=True):
    """One step of a book. Units: paise, units."""

    price: int
    qty: int
    orders: int


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument now. What a shorter form of the call leaves out is 0 or empty.

    Units:
        paise, units, UTC ns. previous_close: of the day before, whatever the time.
    """

    segment: str
    security_id: int
    last: int
    open: int = 0
    high: int = 0
    low: int = 0
    previous_close: int = 0
    average: int = 0
    last_qty: int = 0
    last_trade_ns: int = 0  # 0 = never traded
    volume: int = 0
    buy_qty: int = 0
    sell_qty: int = 0
    oi: int = 0
    oi_high: int = 0
    oi_low: int = 0
    lower_circuit: int = 0
    upper_circuit: int = 0
    net_change: int = 0
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()


class OptionSide(msgspec.Struct, frozen=True, kw_only=True):
    """A call or put of a chain. Units: paise, units; iv in percent; greeks as the broker's."""

    security_id: int  # 0 when the answer does not say
    last: int
    average: int
    oi: int
    previous_oi: int
    volume: int
    previous_volume: int
    previous_close: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    iv: float
    delta: float
    theta: float
    gamma: float
    vega: float


class ChainRow(msgspec.Struct, frozen=True, kw_only=True):
    """One strike. Units: paise. A side that the broker leaves out is None."""

    strike: int
    call: OptionSide | None
    put: OptionSide | None


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """An option chain, strikes rising. Units: last of the underlying in paise."""

    last: int
    rows: tuple[ChainRow, ...]


class Candles(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Candles, oldest first.

    Units:
        start_ns: UTC ns of the candle's start. open, high, low, close: paise. volume, oi: units.

    Shape:
        int64[n] each; oi is all zeros when the broker sends none.
    """

    start_ns: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]
    oi: NDArray[np.int64]

    def __len__(self) -> int:
        """How many."""
        return len(self.start_ns)


class ExpiredCandles(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Candles of an expired option. A column that was not asked for is absent from `columns`.

    Units:
        start_ns: UTC ns. open, high, low, close, strike, spot: paise as int64. volume, oi: int64.
        iv: percent as float64.
    """

    start_ns: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        """How many."""
        return len(self.start_ns)


def snapshots_of(said: Any) -> dict[tuple[str, int], Snapshot]:
    """A snapshot of any form, by segment and security id; ids without data are missing.

    Raises:
        BadData: another shape, or a number that is none.
    """
    found = {}
    for segment, of in _data(said, "marketfeed").items():
        if not isinstance(of, Mapping):
            raise BadData(f"marketfeed: {segment} is no object")
        for key, one in of.items():
            if not str(key).isdigit():
                raise BadData(f"marketfeed: {segment} {key!r} is no security id")
            number = int(key)
            found[segment, number] = _snapshot(segment, number, one)
    return found


def chain_of(said: Any) -> Chain:
    """An option chain; also when a layer of `data` is twice around it.

    Raises:
        BadData: another shape, or a number that is none.
    """
    data = _data(said, "optionchain")
    if "oc" not in data and isinstance(data.get("data"), Mapping):
        data = data["data"]
    strikes = data.get("oc")
    if not isinstance(strikes, Mapping):
        raise BadData("optionchain: data.oc is missing in what the broker sent")
    rows = []
    for text, sides in strikes.items():
        fields = Fields(sides, f"optionchain {text}")
        strike = Fields({"strike": text}, "optionchain").paise("strike")
        rows.append(
            ChainRow(strike=strike, call=_side(fields.raw("ce")), put=_side(fields.raw("pe")))
        )
    rows.sort(key=lambda row: row.strike)
    return Chain(last=Fields(data, "optionchain").paise("last_price"), rows=tuple(rows))


def expiries_of(said: Any) -> list[str]:
    """Expiries of an underlying, as dates YYYY-MM-DD.

    Raises:
        BadData: another shape.
    """
    data = said.get("data") if isinstance(said, Mapping) else said
    if not isinstance(data, list) or not all(isinstance(day, str) for day in data):
        raise BadData("expirylist: a list of dates was expected")
    return sorted(data)


def candles_of(said: Any) -> Candles:
    """Candles; empty columns are an answer, not an error.

    Raises:
        BadData: columns of different lengths, or a number that is none.
    """
    columns = _columns(said, "charts")
    start_ns = _seconds(columns)
    values = {name: _prices(columns, name, len(start_ns)) for name in PRICES}
    counts = {to: _counts(columns, name, len(start_ns)) for name, to in SPARE.items()}
    return Candles(start_ns=start_ns, **values, **counts)


def joined(pieces: list[Candles]) -> Candles:
    """Pieces of one history as one; a candle that two pieces share stands once.

    Raises:
        BadData: the pieces are not in order.
    """
    if not pieces:
        return candles_of({})
    names = ("start_ns", *PRICES, "volume", "oi")
    whole = {name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names}
    starts = whole["start_ns"]
    if np.any(np.diff(starts) < 0):
        raise BadData("charts: the broker's candles are not in order of time")
    first = np.concatenate([[True], np.diff(starts) > 0]) if len(starts) else np.zeros(0, bool)
    return Candles(**{name: column[first] for name, column in whole.items()})


def without_flat_tail(candles: Candles) -> Candles:
    """Daily candles without the last one when it is flat and nothing traded.

    The broker makes such a candle up for options on the day a range ends.
    """
    if not len(candles):
        return candles
    tail = {name: int(getattr(candles, name)[-1]) for name in (*PRICES, "volume")}
    if tail["volume"] or len({tail[name] for name in PRICES}) > 1:
        return candles
    names = ("start_ns", *PRICES, "volume", "oi")
    return Candles(**{name: getattr(candles, name)[:-1] for name in names})


def expired_of(said: Any, side: str) -> ExpiredCandles:
    """Candles of an expired option: the side that was asked for (CALL or PUT).

    Raises:
        BadData: another shape, columns of different lengths, or a number that is none.
    """
    data = said.get("data") if isinstance(said, Mapping) else said
    if not isinstance(data, Mapping | None):
        raise BadData(f"rollingoption: two sides were expected, the broker sent {said!r:.60}")
    columns = _columns((data or {}).get("ce" if side == "CALL" else "pe") or {}, "rollingoption")
    start_ns = _seconds(columns)
    found: dict[str, NDArray[Any]] = {}
    for name in (*EXPIRED_PRICES, "volume", "oi", "iv"):
        if not columns.get(name):
            continue  # not asked for, or no data
        if name in EXPIRED_PRICES:
            found[name] = _prices(columns, name, len(start_ns))
        elif name == "iv":
            said_iv = _length(columns, name, len(start_ns))
            found[name] = np.array([Fields({name: x}, "charts").number(name) for x in said_iv])
        else:
            found[name] = _counts(columns, name, len(start_ns))
    return ExpiredCandles(start_ns=start_ns, columns=found)


def joined_expired(pieces: list[ExpiredCandles]) -> ExpiredCandles:
    """Pieces of one history as one; a column must be in every piece that has candles.

    Raises:
        BadData: a piece lacks a column that another has.
    """
    pieces = [piece for piece in pieces if len(piece)]
    if not pieces:
        return expired_of({}, "CALL")
    names = pieces[0].columns.keys()
    if any(piece.columns.keys() != names for piece in pieces):
        raise BadData("rollingoption: the pieces of the answer do not have the same columns")
    return ExpiredCandles(
        start_ns=np.concatenate([piece.start_ns for piece in pieces]),
        columns={name: np.concatenate([piece.columns[name] for piece in pieces]) for name in names},
    )


def _data(said: Any, what: str) -> Mapping[str, Any]:
    """The object below `data`."""
    data = said.get("data") if isinstance(said, Mapping) else None
    if not isinstance(data, Mapping):
        raise BadData(f"{what}: data is missing in what the broker sent")
    return data


def _snapshot(segment: str, security_id: int, said: Any) -> Snapshot:
    """One instrument."""
    fields = Fields(said, f"marketfeed {segment} {security_id}")
    day = Fields(fields.raw("ohlc") or {}, "ohlc")
    depth = Fields(fields.raw("depth") or {}, "depth")
    return Snapshot(
        segment=segment,
        security_id=security_id,
        last=fields.paise("lastPrice"),
        open=day.paise("open"),
        high=day.paise("high"),
        low=day.paise("low"),
        previous_close=day.paise("close"),
        average=fields.paise("averagePrice"),
        last_qty=fields.count("lastQuantity"),
        last_trade_ns=fields.ist_ns("lastTradeTime"),
        volume=fields.count("volume"),
        buy_qty=fields.count("buyQuantity"),
        sell_qty=fields.count("sellQuantity"),
        oi=fields.count("oi"),
        oi_high=fields.count("oiDayHigh"),
        oi_low=fields.count("oiDayLow"),
        lower_circuit=fields.paise("lowerCircuitLimit"),
        upper_circuit=fields.paise("upperCircuitLimit"),
        net_change=fields.paise("netChange"),
        bids=_levels(depth.rows("buy")),
        asks=_levels(depth.rows("sell")),
    )


def _levels(rows: list[Any]) -> tuple[Level, ...]:
    """One side of a book, without its empty steps."""
    found = []
    for row in rows:
        fields = Fields(row, "depth")
        if fields.count("quantity"):
            found.append(
                Level(fields.paise("price"), fields.count("quantity"), fields.count("orders"))
            )
    return tuple(found)


def _side(said: Any) -> OptionSide | None:
    """One option."""
    if not said:
        return None
    fields = Fields(said, "optionchain")
    greeks = Fields(fields.raw("greeks") or {}, "greeks")
    return OptionSide(
        security_id=fields.count("securityId"),
        last=fields.paise("lastPrice"),
        average=fields.paise("averagePrice"),
        oi=fields.count("oi"),
        previous_oi=fields.count("previousOi"),
        volume=fields.count("volume"),
        previous_volume=fields.count("previousVolume"),
        previous_close=fields.paise("previousClosePrice"),
        bid=fields.paise("topBidPrice"),
        bid_qty=fields.count("topBidQuantity"),
        ask=fields.paise("topAskPrice"),
        ask_qty=fields.count("topAskQuantity"),
        iv=fields.number("impliedVolatility"),
        delta=greeks.number("delta"),
        theta=greeks.number("theta"),
        gamma=greeks.number("gamma"),
        vega=greeks.number("vega"),
    )


def _columns(said: Any, what: str) -> dict[str, list[Any]]:
    """Columns of an answer; only lists."""
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise BadData(f"{what}: columns were expected, the broker sent {type(said).__name__}")
    if isinstance(said.get("data"), Mapping):
        said = said["data"]
    return {str(name): column for name, column in said.items() if isinstance(column, list)}


def _seconds(columns: dict[str, list[Any]]) -> NDArray[np.int64]:
    """The starts, which are true UTC seconds here.

    Raises:
        BadData: one is no time between 1970 and 2100.
    """
    starts = columns.get("timestamp") or []
    seconds = _plain(starts, 1)
    if seconds is None:
        exact = [Fields({"timestamp": value}, "charts").whole("timestamp") for value in starts]
        seconds = np.array(exact, dtype=np.int64)
    odd = np.flatnonzero((seconds < 0) | (seconds >= SECONDS_MAX))
    if len(odd):
        raise BadData(
            f"charts: timestamp {int(seconds[odd[0]])} is no time in seconds; nothing of it is used"
        )
    return seconds * 1_000_000_000


def _length(columns: dict[str, list[Any]], name: str, count: int) -> list[Any]:
    """A column that must be as long as the starts."""
    column = columns.get(name) or []
    if len(column) != count:
        raise BadData(
            f"charts: {name} has {len(column)} values for {count} candles; nothing of it is used"
        )
    return column


def _prices(columns: dict[str, list[Any]], name: str, count: int) -> NDArray[np.int64]:
    """A column of prices as paise."""
    column = _length(columns, name, count)
    if (plain := _plain(column, 100)) is not None:
        return plain
    exact = [paise_of(Fields({name: value}, "charts").decimal(name)) for value in column]
    return np.array(exact, dtype=np.int64)


def _counts(columns: dict[str, list[Any]], name: str, count: int) -> NDArray[np.int64]:
    """A column of quantities; one that the broker leaves out is zeros."""
    if not columns.get(name):
        return np.zeros(count, dtype=np.int64)
    column = _length(columns, name, count)
    plain = _plain(column, 1)
    if plain is not None and (not len(plain) or plain.min() >= 0):
        return plain
    exact = [Fields({name: value}, "charts").count(name) for value in column]
    return np.array(exact, dtype=np.int64)


def _plain(column: list[Any], scale: int) -> NDArray[np.int64] | None:
    """A column of numbers times `scale`, when each of them surely is a whole number then.

    What is no plain number, out of range or between two whole numbers goes the long way, which
    reads every form the broker writes and names what it cannot read; both say the same.
    """
    if not set(map(type, column)) <= {int, float}:
        return None
    try:
        scaled = np.array(column, np.float64) * scale
    except OverflowError:
        return None
    whole = np.rint(scaled)
    if not np.all(np.abs(scaled) <= PLAIN_MAX) or np.any(
        np.abs(scaled - whole) > (NEAR if scale > 1 else 0)
    ):
        return None
    return whole.astype(np.int64)
