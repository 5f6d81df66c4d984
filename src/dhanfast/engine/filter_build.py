"""Filters as an engine takes them: from settings and the sessions of a run."""

import datetime as dt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.filters import WINDOW_DTYPE, Filters
from dhanfast._core.rules.graph import Expr, Graph
from dhanfast._core.strategy import NativeStrategy
from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.expiries import expiries
from dhanfast.strategies.market import Market

_DAY_NS: Final = 86_400 * 10**9
_IST_NS: Final = 19_800 * 10**9
WEEKLY: Final = 1  # bits of `spare[0]` of a session: what of the underlying expires on its day
MONTHLY: Final = 2
_BITS: Final = {"none": 0, "weekly": WEEKLY, "monthly": MONTHLY, "any": WEEKLY | MONTHLY}
_CYCLES: Final = (("W", WEEKLY), ("M", MONTHLY))

Check = tuple[int, Expr, Expr, Expr, float]


def filters_of(
    told: FilterSettings,
    strategy: NativeStrategy,
    sessions: NDArray[Any],
    interval_ns: int,
    room: int = 8192,
) -> Filters | None:
    """The filters of an engine around its strategy; None when all are off.

    Args:
        strategy: as the kernel would run it. sessions: SESSION_DTYPE, as `mark_expiries` left them.
        interval_ns: of the bars it sees. room: rows of vetoes between two times they are taken.
    """
    names = told.names
    if not names:
        return None
    place = {name: i for i, name in enumerate(names)}
    graph = Graph()
    checks = checks_of(told, Market(graph, interval_ns), place)
    return Filters(
        strategy,
        names,
        graph=graph if checks else None,
        checks=checks,
        windows=windows_of(told, sessions),
        spread=place.get("spread", -1),
        spread_ticks=told.spread_ticks,
        spread_bps=told.spread_bps,
        room=room,
    )


def checks_of(told: FilterSettings, m: Market, place: dict[str, int]) -> list[Check]:
    """What looks at bars, as series.

    Args:
        place: of each filter by name.
    """
    found: list[Check] = []
    if "volume" in place:
        # Against the bars before: a bar is no part of what it is compared with.
        usual = m.sma(told.volume_bars, of=m.volume).shift(1)
        times = m.volume / usual
        found.append((place["volume"], times >= told.volume, times >= told.volume, times,
                      told.volume))  # fmt: skip
    if "momentum" in place:
        found.append(_momentum(told, m, place["momentum"]))
    if "oi" in place:
        known = (m.oi > 0.0).where(m.oi, float("nan"))
        rise = known - known.shift(told.oi_bars)
        moved = m.close - m.close.shift(told.oi_bars)
        built = rise.equals(rise) if told.oi_cover else rise > 0.0
        found.append((place["oi"], built & (moved > 0.0), built & (moved < 0.0), rise, 0.0))
    return found


def _momentum(told: FilterSettings, m: Market, place: int) -> Check:
    roc = m.roc(told.momentum_bars)
    if told.momentum == "roc":
        return place, roc > 0.0, roc < 0.0, roc, 0.0
    adx = m.adx(told.momentum_bars).adx
    strong = adx >= told.adx
    if told.momentum == "adx":
        return place, strong, strong, adx, told.adx
    return place, strong & (roc > 0.0), strong & (roc < 0.0), adx, told.adx


def windows_of(told: FilterSettings, sessions: NDArray[Any]) -> NDArray[Any]:
    """When which filter objects, WINDOW_DTYPE, of every session."""
    place = {name: i for i, name in enumerate(told.names)}
    rows: list[tuple[int, int, int]] = []
    events: dict[int, list[tuple[int, int]]] = {}
    for event in told.events:
        start = 0 if event.start is None else _of_day(event.start)
        until = _DAY_NS if event.until is None else _of_day(event.until)
        events.setdefault(int(f"{event.day:%Y%m%d}"), []).append((start, until))
    for row in sessions:
        opens, closes = int(row["open_ns"]), int(row["close2_ns"] or row["close_ns"])
        midnight = (opens + _IST_NS) // _DAY_NS * _DAY_NS - _IST_NS
        if "open" in place:
            rows.append((opens, opens + told.open_ns, place["open"]))
        if "lunch" in place:
            rows.append((midnight + _of_day(told.lunch_from),
                         midnight + _of_day(told.lunch_until), place["lunch"]))  # fmt: skip
        if "close" in place:
            rows.append((closes - told.close_ns, closes + 1, place["close"]))
        rows += [(midnight + _of_day(span.start), midnight + _of_day(span.until),
                  place[span.name]) for span in told.windows]  # fmt: skip
        if int(row["spare"][0]) & _BITS[told.expiry]:
            start = 0 if told.expiry_from is None else _of_day(told.expiry_from)
            rows.append((midnight + start, midnight + _DAY_NS, place["expiry"]))
        rows += [(midnight + start, midnight + until, place["event"])
                 for start, until in events.get(int(row["date"]), ())]  # fmt: skip
    return np.array(rows, WINDOW_DTYPE)


def mark_expiries(
    told: FilterSettings, symbol: str, sessions: NDArray[Any], first: dt.date, last: dt.date
) -> None:
    """Write into sessions what of an underlying expires on their days, where a filter asks.

    Raises:
        UsageError: the underlying has no expiry rules. OutOfCalendar: dates outside them.
    """
    bits = _BITS[told.expiry]
    for cycle, bit in _CYCLES:
        if bits & bit:
            days = [int(f"{day:%Y%m%d}") for day in expiries(symbol, cycle, first, last)]
            sessions["spare"][np.isin(sessions["date"], days), 0] |= bit


def refuse_unseen(
    told: FilterSettings, source: str, *, volume: bool, oi: bool, quotes: bool
) -> None:
    """Refuse filters that look at what a run's data does not have.

    Args:
        source: how the data is called. volume, oi, quotes: whether it has them.
    Raises:
        BadData: no bar has a volume, or an open interest. ConfigError: there are no quotes.
    """
    if told.volume > 0 and not volume:
        raise BadData(
            f"filters.volume: {source} has no volume; bring bars of the future as --data, or set "
            "filters.volume.times = 0"
        )
    if told.oi_bars > 0 and not oi:
        raise BadData(
            f"filters.oi: {source} has no open interest; bring bars of the future that have it, or "
            "set filters.oi.bars = 0"
        )
    if told.quotes and not quotes:
        raise ConfigError(
            f"filters.spread: {source} has no bid and ask; run on ticks of the future, or set "
            "filters.spread.ticks and filters.spread.bps = 0"
        )


def _of_day(time: dt.time) -> int:
    return ((time.hour * 60 + time.minute) * 60 + time.second) * 10**9
