"""Candles: of today so far, of earlier generated days, and of expired options."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE
from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input, no_data
from dhanfast.exchange.contracts import Contract, monthly
from dhanfast.exchange.fields import Body, day_of, moment_of, rupees
from dhanfast.exchange.greeks import greeks
from dhanfast.exchange.history import Day, daily_bar
from dhanfast.exchange.orders import SEGMENT_WORDS
from dhanfast.exchange.recorded_history import RecordedDay
from dhanfast.exchange.routes import Call, Route
from dhanfast.market.calendar import exchange_date, midnight_ns
from dhanfast.market.tickday import TickInstrument

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

SECOND: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND
INTERVALS: Final = (1, 5, 15, 25, 60)
INTRADAY_DAYS: Final = 90
ROLLING_DAYS: Final = 30
HISTORY_DAYS: Final = 250  # generated days are made one by one: more would take minutes
FIELDS: Final = frozenset({
    "securityId", "exchangeSegment", "instrument", "expiryCode", "oi", "fromDate", "toDate",
    "interval",
})  # fmt: skip
ROLLING_FIELDS: Final = frozenset({
    "securityId", "exchangeSegment", "instrument", "expiryFlag", "expiryCode", "strike",
    "drvOptionType", "requiredData", "fromDate", "toDate", "interval",
})  # fmt: skip
COLUMNS: Final = ("open", "high", "low", "close", "iv", "volume", "strike", "oi", "spot")
RIGHTS: Final = {"CALL": ("CE", "ce"), "PUT": ("PE", "pe")}
INSTRUMENTS: Final = ("INDEX", "EQUITY", "FUTIDX", "OPTIDX", "FUTSTK", "OPTSTK", "FUTCOM",
                      "OPTFUT", "FUTCUR", "OPTCUR")  # fmt: skip


class Charts:
    """`/charts`.

    Args:
        core: whose market.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("POST", "/v2/charts/intraday", self.intraday, limit="data"),
            Route("POST", "/v2/charts/historical", self.historical, limit="data"),
            Route("POST", "/v2/charts/rollingoption", self.rolling, limit="data"),
        ]

    # ---- candles ----

    def intraday(self, call: Call) -> Reply:
        """`POST /charts/intraday`: minutes; what lies outside the market's time is not there."""
        body = Body(call.raw, FIELDS)
        contract = self._contract(body)
        minutes = self._interval(body)
        first_ns = moment_of(body.text("fromDate"))
        last_ns = moment_of(body.text("toDate"), end=True)
        if last_ns - first_ns > (INTRADAY_DAYS + 1) * 86_400 * SECOND:
            raise bad_input(f"At most {INTRADAY_DAYS} days in one request")
        bars = self._minutes(contract, first_ns, last_ns)
        bars = bars[(bars["start_ns"] >= first_ns) & (bars["start_ns"] < last_ns)]
        return answer(_columns(_wider(bars, minutes), body.flag("oi")))

    def historical(self, call: Call) -> Reply:
        """`POST /charts/historical`: days, the last one excluded.

        A day that has not ended has no candle.
        """
        body = Body(call.raw, FIELDS)
        contract = self._contract(body)
        first, last = day_of(body.text("fromDate")), day_of(body.text("toDate"))
        body.whole("expiryCode", 0, 3)
        today = self._core.market.day.date
        found = []
        first = max(first, min(last, today) - timedelta(days=HISTORY_DAYS))
        for day, bars in self._days(contract, first, min(last, today + timedelta(days=1))):
            if day < last and len(bars):
                found.append((midnight_ns(day), daily_bar(bars)))
        rows = np.zeros(len(found), BAR_DTYPE)
        for row, (start_ns, values) in zip(rows, found, strict=True):
            row["start_ns"] = start_ns
            row["open"], row["high"], row["low"], row["close"], row["volume"], row["oi"] = values
        if not len(rows):
            raise no_data()
        return answer(_columns(rows, body.flag("oi")))

    def _contract(self, body: Body) -> Contract:
        segment = body.choice("exchangeSegment", SEGMENT_WORDS)
        body.choice("instrument", INSTRUMENTS)
        found = self._core.contracts.find(segment, body.text("securityId"))
        if found is None:
            raise no_data("Invalid SecurityId")
        return found

    def _interval(self, body: Body) -> int:
        minutes = body.whole("interval", 1)
        if minutes not in INTERVALS:
            raise bad_input("interval is invalid")
        return minutes

    def _minutes(self, contract: Contract, first_ns: int, last_ns: int) -> NDArray[Any]:
        """Minute bars of the days that a stretch touches."""
        first, last = exchange_date(first_ns), exchange_date(max(first_ns, last_ns - 1))
        found = [bars for _, bars in self._days(contract, first, last, open_too=True)]
        return np.concatenate(found) if found else np.empty(0, BAR_DTYPE)

    def _days(
        self, contract: Contract, first: date, last: date, *, open_too: bool = False
    ) -> Iterator[tuple[date, NDArray[Any]]]:
        """Bars of each day; of today what has ended, `open_too` with the days so far."""
        core, today = self._core, self._core.market.day.date
        history = core.history
        if history is not None and first < today:
            for day in history.days(first, min(last, today - timedelta(days=1))):
                yield day.date, day.bars(contract.symbol)
        if first <= today <= last and (open_too or core.closed):
            bars = core.tape.bars_of(contract.index)
            if not core.closed:  # the open minute is not a candle yet
                bars = bars[bars["start_ns"] + MINUTE_NS <= core.now_ns]
            yield today, bars

    # ---- expired options ----

    def rolling(self, call: Call) -> Reply:
        """`POST /charts/rollingoption`: an option by its distance from the money, of each day."""
        body = Body(call.raw, ROLLING_FIELDS)
        history = self._core.history
        segment = body.choice("exchangeSegment", SEGMENT_WORDS)
        underlying = self._core.contracts.find("IDX_I", body.whole("securityId"))
        minutes = self._interval(body)
        body.choice("instrument", ("OPTIDX", "OPTSTK"))
        flag = body.choice("expiryFlag", ("WEEK", "MONTH"))
        code = body.whole("expiryCode", 0, 3)
        right, key = RIGHTS[body.choice("drvOptionType", tuple(RIGHTS))]
        steps = _steps(body.text("strike"))
        wanted = body.records("requiredData", len(COLUMNS))
        if any(name not in COLUMNS for name in wanted):
            raise bad_input("requiredData is invalid")
        if code == 0:
            raise bad_input("expiryCode is required")
        first, last = day_of(body.text("fromDate")), day_of(body.text("toDate"))
        if (last - first).days > ROLLING_DAYS:
            raise bad_input(f"At most {ROLLING_DAYS} days in one request")
        if underlying is None or history is None or not segment.endswith("FNO"):
            raise Refusal(400, 907, "No data present")
        columns: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "timestamp")}
        today = self._core.market.day.date
        for day in history.days(first, min(last, today) - timedelta(days=1)):
            if code == 1 and _in_cycle(day, flag):
                _append(columns, day, right, steps, minutes, underlying.symbol)
        shown = {name: values if name in wanted or name == "timestamp" else []
                 for name, values in columns.items()}  # fmt: skip
        other = {"ce": None, "pe": None}
        return answer({"data": {**other, key: shown}})


def _steps(text: str) -> int:
    """Strikes above the money of "ATM", "ATM+2", "ATM-10".

    Raises:
        Refusal: DH-905.
    """
    rest = text.removeprefix("ATM")
    if text == "ATM":
        return 0
    sign, number = rest[:1], rest[1:]
    if not text.startswith("ATM") or sign not in "+-" or not number.isdecimal() \
            or not 1 <= int(number) <= 10:  # fmt: skip
        raise bad_input("strike is invalid")
    return int(number) if sign == "+" else -int(number)


def _in_cycle(day: Day | RecordedDay, flag: str) -> bool:
    """Whether the listed options of a day are of the cycle asked for."""
    options = day.options("CE")
    if not options or options[0].expiry is None:
        return False
    underlying = next(one.symbol for one in day.instruments.values() if one.kind == "IDX")
    return flag == "WEEK" or monthly(underlying, options[0].expiry)


def _append(
    columns: dict[str, list[Any]],
    day: Day | RecordedDay,
    right: str,
    steps: int,
    minutes: int,
    symbol: str,
) -> None:
    """Candles of one day: the strike is chosen at each from the level of the index."""
    options = day.options(right)
    spot_bars = _wider(day.bars(symbol), minutes)
    candles = {one.strike: _wider(day.bars(one.symbol), minutes) for one in options}
    at = {strike: {int(bar["start_ns"]): bar for bar in bars} for strike, bars in candles.items()}
    strikes = sorted(candles)
    for spot in spot_bars:
        level = int(spot["close"])
        money = min(range(len(strikes)), key=lambda place: abs(strikes[place] - level))
        if not 0 <= money + steps < len(strikes):
            continue
        strike = strikes[money + steps]
        bar = at[strike].get(int(spot["start_ns"]))
        if bar is None:
            continue
        for name in ("open", "high", "low", "close"):
            columns[name].append(rupees(bar[name]))
        columns["volume"].append(int(bar["volume"]))
        columns["oi"].append(int(bar["oi"]))
        columns["strike"].append(rupees(strike))
        columns["spot"].append(rupees(level))
        columns["iv"].append(_volatility(options, int(bar["close"]), strike, level,
                                         int(spot["start_ns"]), right))  # fmt: skip
        columns["timestamp"].append(int(bar["start_ns"]) // SECOND)


def _volatility(
    options: Sequence[TickInstrument], price: int, strike: int, level: int, now_ns: int, right: str
) -> float:
    expiry = options[0].expiry
    assert expiry is not None  # options have one
    end_ns = midnight_ns(expiry) + (15 * 3600 + 1800) * SECOND
    years = (end_ns - now_ns) / SECOND / (365 * 86_400)
    found = greeks(price / 100, level / 100, strike / 100, years, right == "CE")
    return round(100.0 * found.volatility, 4)


def _wider(bars: NDArray[Any], minutes: int) -> NDArray[Any]:
    """Bars of more minutes, each from the day's open on."""
    if minutes == 1 or not len(bars):
        return bars
    day = (bars["start_ns"] + 19_800 * SECOND) // (86_400 * SECOND)
    # 09:15 is three quarters past a full hour: buckets are counted from it.
    since = (bars["start_ns"] + 19_800 * SECOND) % (86_400 * SECOND) // MINUTE_NS - 555
    bucket = since // minutes
    new = np.ones(len(bars), bool)
    new[1:] = (bucket[1:] != bucket[:-1]) | (day[1:] != day[:-1])
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(bars)) - 1
    wide = bars[first].copy()
    wide["start_ns"] = bars["start_ns"][first] - (since - bucket * minutes)[first] * MINUTE_NS
    wide["high"] = np.maximum.reduceat(bars["high"], first)
    wide["low"] = np.minimum.reduceat(bars["low"], first)
    wide["close"], wide["oi"] = bars["close"][last], bars["oi"][last]
    wide["volume"] = np.add.reduceat(bars["volume"], first)
    return wide


def _columns(bars: NDArray[Any], interest: bool) -> dict[str, list[Any]]:
    """The answer's columns; timestamps are true UTC seconds."""
    found: dict[str, list[Any]] = {
        name: [rupees(value) for value in bars[name].tolist()]
        for name in ("open", "high", "low", "close")
    }
    found["volume"] = bars["volume"].tolist()
    found["timestamp"] = (bars["start_ns"] // SECOND).tolist()
    if interest:
        found["open_interest"] = bars["oi"].tolist()
    return found
