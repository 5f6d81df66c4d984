"""The runs: short functions that pick clock, source of events and broker, and drive the engine."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.strategy import NativeStrategy
from dhanfast.engine.chain_input import ChainSeen, chain_seen
from dhanfast.engine.engine import Engine, Written
from dhanfast.engine.execution_settings import WORKED_FREEZES
from dhanfast.engine.filter_build import mark_expiries, refuse_unseen
from dhanfast.engine.guard_build import Line, in_order, recorded_guards
from dhanfast.engine.measured import measured_notes, with_measured
from dhanfast.engine.provenance import data_of, run_digest, versions_of
from dhanfast.engine.settings import Settings, checked, timeframe_text
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.sessions import session_notes, session_table
from dhanfast.reports.result import RunResult
from dhanfast.storage.bars import BarSet, read_bars, require_days
from dhanfast.storage.slippage import SlippageStore
from dhanfast.strategies.plugins import Found, find_strategy, graphs_of

IST = dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")
MODELLED = (
    "The future's prices are modelled: fills use the index level itself (basis 0), because "
    "the data holds no prices of the future."
)
NO_VOLUME = (
    "{0}: the strategy declares series of volume (vwap, obv), and these bars have none: an index "
    "is not traded. Bring bars of its future as --data, or use a series without volume, such as "
    "session_mean (of the built-in vwap: weight=time)"
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
    slippages: SlippageStore | None = None,
) -> RunResult:
    """Run a strategy over recorded or generated bars with the rules and charges of each date.

    Args:
        strategy: as for `-s` (a name, file.py:Class, package.module:Class), a class, an instance.
        data: bars that give the signals: a file, a catalog symbol, or a BarSet.
        params: values of the strategy's parameters by name.
        start, end: first and last exchange date, inclusive; None = all there is.
        settings: capital, lots, slippage and so on; None = the defaults of `Settings`.
        detail: finer bars of the same symbol, on which stops and targets are resolved.
        trade_data: bars of the traded future itself; fills then use its recorded prices.
        slippages: measured fills, for a slippage that is to be measured.
    Returns:
        The complete result; money in paise.
    Raises:
        UsageError, ConfigError, StrategyError: unknown names, impossible settings, it raised.
        BadData, OutOfCalendar: bars that break a rule, dates outside the tables.
    """
    settings = checked(settings or Settings())
    found = find_strategy(strategy, params or {})
    signals = bars_of(data, start, end)
    settings = with_measured(settings, signals.symbol, signals.generated, False, slippages)
    interval_ns = settings.timeframe_ns or signals.interval_ns
    meets = meets_of(detail, trade_data, signals, interval_ns, start, end)
    sessions = sessions_of(signals, settings, meets.interval_ns if meets else interval_ns)
    shown, outside = at_timeframe(signals, interval_ns, sessions)
    guards, seen = recorded_guards(settings.guards)
    messages: list[Line] = []
    runner = _runner_of(found, signals, settings, interval_ns, messages)
    chain = chain_seen(runner, settings.chain, signals)
    engine = Engine(
        runner, sessions, settings, interval_ns=interval_ns,
        match_interval_ns=meets.interval_ns if meets else 0, bars=len((meets or signals).bars),
        guards=guards, chain=None if chain is None else chain.feed(),
    )  # fmt: skip
    written = _fed(engine, shown, meets)
    found.stopped(runner)
    return replace(
        with_chain(_result(found, settings, signals, meets, engine, written), chain),
        bars=shown if meets is None else meets.bars,
        counters=_counted(engine, outside),
        config=config_of(found, settings, start, end),
        notes=notes_of(signals, meets, settings, trade_data is not None)
        + seen
        + (() if chain is None else chain.notes),
        log=in_order(messages, engine.guard_log()),
        **engine.decisions.told(len(written.trades)),
    )


def refuse_unseen_bars(settings: Settings, signals: BarSet) -> None:
    """Refuse filters that look at what these bars do not have.

    Raises:
        BadData, ConfigError: see `refuse_unseen`.
    """
    refuse_unseen(
        settings.filters,
        f"{signals.symbol} {signals.timeframe}",
        volume=bool(signals.bars["volume"].any()),
        oi=bool(signals.bars["oi"].any()),
        quotes=False,
    )


def _runner_of(
    found: Found, signals: BarSet, settings: Settings, interval_ns: int, messages: list[Line]
) -> NativeStrategy:
    """The strategy as the kernel runs it, its log in `messages`.

    Raises:
        BadData: it, or a filter, looks at volume or open interest, and no bar has any.
        ConfigError: a filter looks at quotes.
    """
    refuse_unseen_bars(settings, signals)
    runner = found.runner(lambda at_ns, text: messages.append((at_ns, text)), interval_ns)
    if not signals.bars["volume"].any():
        refuse_without_volume(runner, f"{signals.symbol} {signals.timeframe}")
    return runner


def refuse_without_volume(runner: NativeStrategy, bars: str) -> None:
    """Refuse bars without volume to a strategy that needs it.

    Args:
        bars: how they are called.
    Raises:
        BadData: it declares series of volume: they can never be known.
    """
    if any("volume" in graph.needs for graph in graphs_of(runner)):
        raise BadData(NO_VOLUME.format(bars))


def _fed(engine: Engine, shown: NDArray[Any], meets: BarSet | None) -> Written:
    """Run the engine from the first bar to the end."""
    engine.feed(shown if meets is None else meets.bars, None if meets is None else shown)
    return engine.finish()


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
        timeframe=timeframe_text(settings.timeframe_ns or signals.interval_ns),
        capital=settings.capital,
        trades=written.trades,
        orders=written.orders,
        equity=written.equity,
        days=written.days,
        passages=written.passages,
        bars=None,
        counters={},
        config={},
        data=data_of(signals, meets),
        notes=(),
        digest=run_digest(signals, meets, written),
        kernel_ns=engine.kernel_ns,
        versions=versions_of(found),
    )


def with_chain(result: RunResult, chain: ChainSeen | None) -> RunResult:
    """The result of a run that saw an option chain; its digest depends on what was seen."""
    if chain is None:
        return result
    rows = np.ascontiguousarray(chain.rows).view(np.uint8)
    digest = hashlib.sha256(bytes.fromhex(result.digest) + rows.tobytes()).hexdigest()
    return replace(result, data={**result.data, "chain": chain.data}, digest=digest)


def _counted(engine: Engine, outside: int) -> dict[str, int]:
    """The engine's counters, with the bars that making a longer timeframe left out."""
    counters = engine.counters()
    counters["bars_outside_session"] += outside
    return counters


def bars_of(data: str | Path | BarSet, start: dt.date | None, end: dt.date | None) -> BarSet:
    """The bars to run on: read when `data` names them.

    Raises:
        BadData: they break a rule, or there are none.
    """
    bars = _between(data, start, end) if isinstance(data, BarSet) else _read(data, start, end)
    if len(bars.bars) == 0:
        raise BadData(
            f"{bars.symbol}: no bars from {start or 'the start'} to {end or 'the end'}; "
            "see `dhanfast data list` for what there is"
        )
    return bars


def meets_of(
    detail: str | Path | BarSet | None,
    trade_data: str | Path | BarSet | None,
    signals: BarSet,
    interval_ns: int,
    start: dt.date | None,
    end: dt.date | None,
) -> BarSet | None:
    """The bars that orders meet when they are not the signal bars."""
    if detail is not None and trade_data is not None:
        raise ConfigError("detail and trade_data: give one of them; trade_data may be finer bars")
    finer = detail if detail is not None else trade_data
    if finer is None:
        return None
    meets = bars_of(finer, start, end)
    _check_finer(meets, signals, interval_ns, "detail" if detail is not None else "trade_data")
    return meets


def _read(source: str | Path, start: dt.date | None, end: dt.date | None) -> BarSet:
    """Bars of a file or the catalog; a file that needs telling how it is written goes by import."""
    try:
        return read_bars(source, start=start, end=end)
    except (BadData, UsageError) as error:
        if not any(option in str(error) for option in ("--symbol", "--columns", "--tz")):
            raise
        raise type(error)(
            f"{error}. These are options of `dhanfast data import`: import the file, "
            "then run on its symbol"
        ) from error


def _between(bars: BarSet, start: dt.date | None, end: dt.date | None) -> BarSet:
    """The bars of exchange dates start..end; the same refusals as for a file."""
    if start is not None and end is not None and end < start:
        raise UsageError(f"end {end} lies before start {start}")
    stamps = bars.bars["start_ns"]
    keep = np.ones(len(stamps), bool)
    if start is not None:
        keep &= stamps >= _midnight_ns(start)
    if end is not None:
        keep &= stamps < _midnight_ns(end) + 86_400 * 10**9
    if keep.any():
        require_days(bars, start, end)
    return bars if keep.all() else replace(bars, bars=bars.bars[keep])


def _midnight_ns(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), IST).timestamp()) * 10**9


def _check_finer(meets: BarSet, signals: BarSet, interval_ns: int, name: str) -> None:
    """Refuse bars for fills that cannot serve the bars of the signals.

    Raises:
        ConfigError: another symbol, or bars that are longer or do not divide the timeframe.
        BadData: they begin later or end earlier than the signals.
    """
    if name == "detail" and meets.symbol != signals.symbol:
        raise ConfigError(
            f"detail must be finer bars of {signals.symbol}, was {meets.symbol}; "
            "bars of its future go to trade_data"
        )
    if interval_ns % meets.interval_ns:
        raise ConfigError(
            f"{name} must have bars that divide the timeframe {timeframe_text(interval_ns)}, "
            f"were {timeframe_text(meets.interval_ns)}"
        )
    if meets.first.date() > signals.first.date() or meets.last.date() < signals.last.date():
        raise BadData(
            f"{name} covers {meets.first.date()} to {meets.last.date()}, the signals need "
            f"{signals.first.date()} to {signals.last.date()}; narrow the run or bring more data"
        )


def sessions_of(bars: BarSet, settings: Settings, interval_ns: int) -> NDArray[Any]:
    """The dated table of every session, with square-off early enough that its order can fill.

    Raises:
        BadData: no bar is of a trading day.
        OutOfCalendar: a date outside the tables. UsageError: no future of this symbol is known.
        ConfigError: an entry of so many lots is above the freeze quantity, or above as many of
            them as an entry that is worked may have.
    """
    sessions = sessions_between(
        bars.symbol, bars.first.date(), bars.last.date(), settings, interval_ns
    )
    if len(sessions) == 0:
        raise BadData(
            f"{bars.symbol}: no trading day from {bars.first.date()} to {bars.last.date()}; "
            "every bar lies outside the exchange's sessions"
        )
    return sessions


def sessions_between(
    symbol: str, first: dt.date, last: dt.date, settings: Settings, interval_ns: int
) -> NDArray[Any]:
    """As `sessions_of`, for dates; may be empty.

    Args:
        interval_ns: square-off leaves so long before the close that its order can fill.
    Raises:
        OutOfCalendar: a date outside the tables. UsageError: no future of this symbol is known.
        ConfigError: an entry of so many lots is above the freeze quantity, or above as many of
            them as an entry that is worked may have.
    """
    sessions = session_table(
        symbol,
        "FUT",
        first,
        last,
        entry_from=settings.entry_from,
        entry_until=settings.entry_until,
        square_off=settings.square_off,
    ).copy()
    how = settings.execution
    times = WORKED_FREEZES if how.works and how.entries else 1
    most = sessions["freeze"] // np.maximum(sessions["lot"], 1) * times
    over = np.flatnonzero((sessions["freeze"] > 0) & (settings.lots > most))
    if len(over):
        row = sessions[over[0]]
        limit = f"{times} times the freeze quantity" if times > 1 else "the freeze quantity"
        raise ConfigError(
            f"lots must be at most {most[over[0]]} on {_iso(row['date'])}: {settings.lots} lots of "
            f"{row['lot']} exceed {limit} {row['freeze']} of one order"
        )
    mark_expiries(settings.filters, symbol, sessions, first, last)
    # The closing order fills at the first print of a later bar, so it must leave before the last
    # bar begins; a contract is never held past the last bar of its expiry day.
    split = sessions["open2_ns"] > 0
    opens = np.where(split, sessions["open2_ns"], sessions["open_ns"])
    closes = np.where(split, sessions["close2_ns"], sessions["close_ns"])
    rest = (closes - opens) % interval_ns
    last_chance = np.maximum(closes - np.where(rest > 0, rest, interval_ns), opens)
    expires = (sessions["contract"] == sessions["date"]) & (sessions["square_off_ns"] == 0)
    sessions["square_off_ns"][expires] = last_chance[expires]
    timed = sessions["square_off_ns"] > 0
    sessions["square_off_ns"][timed] = np.minimum(sessions["square_off_ns"], last_chance)[timed]
    return sessions


def _iso(ymd: int) -> dt.date:
    return dt.date(ymd // 10_000, ymd // 100 % 100, ymd % 100)


def at_timeframe(
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


def notes_of(
    signals: BarSet, meets: BarSet | None, settings: Settings, recorded_future: bool
) -> tuple[str, ...]:
    """What a reader of a result must know of its prices and its dates."""
    notes = []
    if signals.generated or (meets is not None and meets.generated):
        notes.append(GENERATED)
    if not recorded_future:
        notes.append(MODELLED)
    for bars in (signals, meets):
        if bars is not None and not bars.generated:
            notes += [f"{bars.symbol} {bars.timeframe}: {note}" for note in bars.notes]
    notes += measured_notes(settings, int(f"{signals.first:%Y%m%d}"))
    notes += session_notes(signals.symbol, "FUT", signals.first.date(), signals.last.date())
    return tuple(notes)


def config_of(
    found: Found, settings: Settings, start: dt.date | None, end: dt.date | None
) -> dict[str, Any]:
    """Every setting of a run, as it is written into its result."""
    return {
        "strategy": found.name,
        "door": found.door,
        "params": found.settings(),
        "from": start.isoformat() if start else None,
        "to": end.isoformat() if end else None,
        **settings.as_dict(),
    }
