"""The runs: short functions that pick clock, source of events and broker, and drive the engine."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast.engine.engine import Engine, Written
from dhanfast.engine.provenance import data_of, run_digest, versions_of
from dhanfast.engine.settings import Settings, checked, timeframe_text
from dhanfast.errors import BadData, ConfigError
from dhanfast.market.sessions import session_notes, session_table
from dhanfast.reports.result import RunResult
from dhanfast.storage.bars import BarSet, read_bars
from dhanfast.strategies.plugins import Found, find_strategy

IST = dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")
MODELLED = (
    "The future's prices are modelled: fills use the index level itself (basis 0), because "
    "the data holds no prices of the future."
)
GENERATED = "The market data is generated, not recorded: the result says nothing about any market."


def backtest(
    strategy: str | type | object,
    data: str | Path | BarSet,
    *,
    params: Mapping[str, object] | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    settings: Settings | None = None,
    detail: str | Path | BarSet | None = None,
    trade_data: str | Path | BarSet | None = None,
) -> RunResult:
    """Run a strategy over recorded or generated bars with the rules and charges of each date.

    Args:
        strategy: a built-in's name, a file (`path.py` or `path.py:Class`), a class, or an instance.
        data: bars that give the signals: a file, a catalog symbol, or a BarSet.
        params: values of the strategy's parameters by name.
        start, end: first and last exchange date, inclusive; None = all there is.
        settings: capital, lots, slippage and so on; None = the defaults of `Settings`.
        detail: finer bars of the same symbol, on which stops and targets are resolved.
        trade_data: bars of the traded future itself; fills then use its recorded prices.
    Returns:
        The complete result; money in paise.
    Raises:
        UsageError, ConfigError: unknown strategy or parameter, impossible settings.
        BadData, OutOfCalendar: bars that break a rule, dates outside the tables.
        StrategyError: the strategy raised.
    """
    settings = checked(settings or Settings())
    found = find_strategy(strategy, params or {})
    if detail is not None and trade_data is not None:
        raise ConfigError("detail and trade_data: give one of them; trade_data may be finer bars")
    signals = bars_of(data, start, end)
    finer = detail if detail is not None else trade_data
    meets = None if finer is None else bars_of(finer, start, end)
    sessions = sessions_of(signals, settings, (meets or signals).interval_ns)
    interval_ns = settings.timeframe_ns or signals.interval_ns
    shown, outside = _at_timeframe(signals, interval_ns, sessions)
    messages: list[tuple[int, str]] = []
    runner = found.runner(lambda at_ns, text: messages.append((at_ns, text)), interval_ns)
    engine = Engine(
        runner, sessions, settings, interval_ns=interval_ns, bars=len((meets or signals).bars),
        match_interval_ns=meets.interval_ns if meets else 0,
    )  # fmt: skip
    engine.feed(shown if meets is None else meets.bars, None if meets is None else shown)
    written = engine.finish()
    found.stopped()
    result = _result(found, settings, signals, meets, engine, written)
    counters = dict(result.counters)
    counters["bars_outside_session"] += outside
    return replace(
        result,
        timeframe=timeframe_text(interval_ns),
        bars=shown if meets is None else meets.bars,
        counters=counters,
        config=_config(found, settings, start, end),
        notes=_notes(signals, meets, trade_data is not None),
        log=tuple(messages),
    )


def _result(
    found: Found,
    settings: Settings,
    signals: BarSet,
    meets: BarSet | None,
    engine: Engine,
    written: Written,
) -> RunResult:
    """What was written down, with where it came from."""
    return RunResult(
        strategy=found.name,
        symbol=signals.symbol,
        traded=f"{signals.symbol} FUT",
        timeframe="",
        capital=settings.capital,
        trades=written.trades,
        orders=written.orders,
        equity=written.equity,
        days=written.days,
        bars=None,
        counters=engine.counters(),
        config={},
        data=data_of(signals, meets),
        notes=(),
        digest=run_digest(signals, meets, written),
        kernel_ns=engine.kernel_ns,
        versions=versions_of(found),
    )


def bars_of(data: str | Path | BarSet, start: dt.date | None, end: dt.date | None) -> BarSet:
    """The bars to run on: read when `data` names them.

    Raises:
        BadData: they break a rule, or there are none.
    """
    bars = data if isinstance(data, BarSet) else read_bars(data, start=start, end=end)
    if len(bars.bars) == 0:
        raise BadData(
            f"{bars.symbol}: no bars from {start or 'the start'} to {end or 'the end'}; "
            "see `dhanfast data list` for what there is"
        )
    return bars


def sessions_of(bars: BarSet, settings: Settings, interval_ns: int) -> NDArray[Any]:
    """The dated table of every session, with square-off early enough that its order can fill.

    Raises:
        OutOfCalendar: a date outside the tables. UsageError: no future of this symbol is known.
        ConfigError: an entry of so many lots is above the freeze quantity.
    """
    sessions = session_table(
        bars.symbol,
        "FUT",
        bars.first.date(),
        bars.last.date(),
        entry_from=settings.entry_from,
        entry_until=settings.entry_until,
        square_off=settings.square_off,
    ).copy()
    largest = settings.lots * sessions["lot"]
    over = np.flatnonzero((sessions["freeze"] > 0) & (largest > sessions["freeze"]))
    if len(over):
        row = sessions[over[0]]
        most = int(row["freeze"]) // int(row["lot"])
        raise ConfigError(
            f"lots must be at most {most} on {row['date']}: {settings.lots} lots of "
            f"{row['lot']} exceed the freeze quantity {row['freeze']} of one order"
        )
    # The closing order fills at the first print of a later bar, so it must leave one bar early;
    # a contract is never held past the last bar of its expiry day.
    last_chance = sessions["close_ns"] - interval_ns
    split = sessions["open2_ns"] > 0
    last_chance[split] = sessions["close2_ns"][split] - interval_ns
    expires = (sessions["contract"] == sessions["date"]) & (sessions["square_off_ns"] == 0)
    sessions["square_off_ns"][expires] = last_chance[expires]
    timed = sessions["square_off_ns"] > 0
    sessions["square_off_ns"][timed] = np.minimum(sessions["square_off_ns"], last_chance)[timed]
    return sessions


def _at_timeframe(
    signals: BarSet, interval_ns: int, sessions: NDArray[Any]
) -> tuple[NDArray[Any], int]:
    """Bars of the run's timeframe, and how many of the data's lay outside every session."""
    if interval_ns == signals.interval_ns:
        return signals.bars, 0
    if interval_ns < signals.interval_ns or interval_ns % signals.interval_ns:
        raise ConfigError(
            f"timeframe must be a multiple of the data's "
            f"{timeframe_text(signals.interval_ns)}, was {timeframe_text(interval_ns)}"
        )
    from dhanfast._core.timeframes import aggregate

    bars, outside = aggregate(signals.bars, interval_ns, sessions, source_ns=signals.interval_ns)
    if len(bars) == 0:
        raise BadData(f"{signals.symbol}: no bar lies inside a session")
    return bars, outside


def _notes(signals: BarSet, meets: BarSet | None, recorded_future: bool) -> tuple[str, ...]:
    notes = []
    if signals.generated or (meets is not None and meets.generated):
        notes.append(GENERATED)
    if not recorded_future:
        notes.append(MODELLED)
    notes += session_notes(signals.symbol, "FUT", signals.first.date(), signals.last.date())
    return tuple(notes)


def _config(
    found: Found, settings: Settings, start: dt.date | None, end: dt.date | None
) -> dict[str, Any]:
    return {
        "strategy": found.name,
        "door": found.door,
        "params": found.settings(),
        "from": start.isoformat() if start else None,
        "to": end.isoformat() if end else None,
        **settings.as_dict(),
    }
