"""Slippage that was measured: what paper and live days add to the store, and what a run takes."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.engine.settings import Measured, Settings, Slippage
from dhanfast.errors import ConfigError
from dhanfast.reports import figures, slippage
from dhanfast.reports.result import RunResult
from dhanfast.reports.summary import is_generated
from dhanfast.storage.slippage import Session, SlippageStore

FILLS_MIN: Final = 30  # orders that filled, of those a median is taken of
MODES: Final = ("live", "paper")  # real fills, where there are enough of them


def store_day(store: SlippageStore, result: RunResult, session: Session) -> int:
    """Add a day's orders to the store, in the place of what it had of the same session.

    Of a structure each contract is a session of its own, under `options_of` its underlying: what a
    premium's fill costs says nothing about a future's, and its distance to the strike is known. A
    future that hedges it stays under the underlying's name.

    Args:
        result: of the day, with passages.
    Returns:
        How many orders were stored: those that left.
    Raises:
        BadData, DhanfastError: the store cannot be written.
    """
    assert result.passages is not None, "a run of this version has passages"
    if result.contracts:
        return sum(
            _store(store, one, of, orders, passages)
            for one, of, orders, passages in _sessions(result, session)
        )
    return _store(store, result.traded, session, result.orders, result.passages)


def _sessions(
    result: RunResult, session: Session
) -> list[tuple[str, Session, NDArray[Any], NDArray[Any]]]:
    """A session for each contract: its name, the session, its orders and how they went."""
    found = []
    for name, orders, passages in slippage.by_contract(result):
        of = replace(
            session,
            source=f"{session.source}-{name.replace(' ', '-')}",
            symbol=options_of(session.symbol) if slippage.strike_of(name) else session.symbol,
            traded=name,
        )
        found.append((name, of, orders, passages))
    return found


def options_of(symbol: str) -> str:
    """What the store calls the options of an underlying."""
    return f"{symbol} options"


def _store(
    store: SlippageStore,
    traded: str,
    session: Session,
    all_orders: NDArray[Any],
    all_passages: NDArray[Any],
) -> int:
    """One session's orders that left; how many those are."""
    left = (all_passages["sent_ns"] > 0) | (all_orders["filled"] > 0)
    orders, passages = all_orders[left], all_passages[left]
    costs = slippage.costs_of(
        orders, passages, strategy=session.strategy, symbol=session.symbol, traded=traded
    )
    points = np.where(costs.rows["measured"], slippage.points_of(costs.rows), np.nan)
    store.put(session, orders, passages, points)
    return len(orders)


def session_of(result: RunResult, *, date: int, run: str, mode: str, tag: str) -> Session:
    """How a day of an engine is told apart in the store.

    Args:
        date: YYYYMMDD. mode: paper or live. tag: of its journal: one that was begun anew is
            another session.
    """
    return Session(
        source=f"{date}-{run}-{mode}-{tag}",
        date=date,
        run=run,
        mode=mode,
        symbol=result.symbol,
        traded=result.traded,
        strategy=result.strategy,
        generated=int(is_generated(result)),
    )


def with_measured(
    settings: Settings,
    symbol: str,
    generated: bool,
    ticks: bool,
    store: SlippageStore | None,
) -> Settings:
    """Settings whose slippage is a figure, where it was to be measured.

    Args:
        symbol: whose fills count. generated: those of a generated market count, and no others.
        ticks: the run fills at quotes: what is lost beyond them counts; on bars, beyond the mid.
        store: of measured fills.
    Raises:
        ConfigError: there is no store, or it has too few fills.
        BadData: the store is damaged.
    """
    if not settings.slippage.sessions or settings.slippage.measured is not None:
        return settings
    if store is None:
        raise ConfigError(
            "slippage: measured needs the store of measured fills; give a figure here, for "
            "example 1tick"
        )
    found = measured_slippage(
        store, symbol, settings.slippage.sessions, generated=generated, ticks=ticks
    )
    return replace(settings, slippage=found)


@dataclass(frozen=True)
class _Fills:
    """Costs a unit, rupees, that a simulated fill must add: of orders at the market, of stops."""

    market: NDArray[np.float64]
    stops: NDArray[np.float64]
    dates: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.market) + len(self.stops)


def measured_slippage(
    store: SlippageStore, symbol: str, sessions: int, *, generated: bool, ticks: bool
) -> Slippage:
    """The median of the last days' fills of a symbol, live ones where there are enough.

    Stops have a median of their own when both they and the others are enough; else all share one.

    Raises:
        ConfigError: too few fills. BadData: the store is damaged.
    """
    counts = []
    for mode in MODES:
        fills = _fills(store, symbol, sessions, mode, generated=generated, ticks=ticks)
        counts.append(f"{len(fills)} of {mode} days")
        if len(fills) < FILLS_MIN:
            continue
        apart = min(len(fills.market), len(fills.stops)) >= FILLS_MIN
        both = np.concatenate([fills.market, fills.stops])
        market = _paise(fills.market if apart else both)
        stop = _paise(fills.stops) if apart else market
        told = Measured(
            symbol=symbol,
            mode=mode,
            days=len(fills.dates),
            first=fills.dates[0],
            last=fills.dates[-1],
            market_fills=len(fills.market),
            stop_fills=len(fills.stops),
            apart=apart,
        )
        return Slippage(paise=market, stop_more=stop - market, sessions=sessions, measured=told)
    raise ConfigError(
        f"slippage: measured: {symbol} has {' and '.join(counts)} among its last {sessions}, and "
        f"{FILLS_MIN} fills are needed; trade it on paper first (`dhanfast trade`), or give a "
        "figure, for example 1tick"
    )


def _fills(
    store: SlippageStore, symbol: str, sessions: int, mode: str, *, generated: bool, ticks: bool
) -> _Fills:
    """The last days' fills of one mode."""
    known = [one for one in store.sessions(symbol=symbol, generated=generated) if one.mode == mode]
    dates = tuple(sorted({one.date for one in known})[-sessions:])
    market: list[Any] = [np.zeros(0)]
    stops: list[Any] = [np.zeros(0)]
    for one in known:
        if one.date in dates:
            of_market, of_stops = slippage.model_points(*store.rows(one.source), quotes=ticks)
            market.append(of_market)
            stops.append(of_stops)
    return _Fills(np.concatenate(market), np.concatenate(stops), dates)


def _paise(points: NDArray[np.float64]) -> int:
    """A median as whole paise; what was gained is not counted on."""
    return max(0, int(np.floor(float(np.median(points)) * 100 + 0.5)))


def measured_notes(settings: Settings, first_date: int, *, quoted: bool = True) -> tuple[str, ...]:
    """What a reader of the result must know of a slippage that was measured.

    Args:
        first_date: of the data, YYYYMMDD. quoted: the run saw quotes, where it ran on ticks.
    """
    of, slip = settings.slippage.measured, settings.slippage
    if of is None:
        return ()
    figure = f"{slip.paise / 100:.2f} points a unit"
    if of.apart:
        figure += f", stops {(slip.paise + slip.stop_more) / 100:.2f}"
    notes = [
        f"Slippage is measured: the median of {of.market_fills + of.stop_fills} {of.mode} fills "
        f"({of.stop_fills} of stops) of {of.symbol} on {of.days} days, "
        f"{figures.iso_date(of.first)} to {figures.iso_date(of.last)}: {figure}."
    ]
    if of.last >= first_date:
        notes.append(
            "Look-ahead: the measured slippage is of days that are not before the data; at the "
            "time of the data nobody could have known it."
        )
    if not quoted:
        notes.append(
            "No tick carried a quote: the measured slippage counts beyond the quote, so half the "
            "spread is missing from these fills."
        )
    return tuple(notes)
