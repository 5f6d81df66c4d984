"""The option chain as a run over recorded data sees it: sets of figures, each from its moment on.

From recorded snapshots, or from premiums that are modelled over the index. Every set says what was
known at its `at_ns` and nothing later; the two grades never mix, and OI has no model.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainfeed import CHAIN_DTYPE, FIGURES, OF_INTEREST, ChainFeed
from dhanfast._core.options.chainmeter import ChainMeter
from dhanfast._core.strategy import NativeStrategy
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.engine.chain_source import MODELLED, RECORDED, ModelledChains
from dhanfast.engine.premium_model import rate_on, read_volatilities
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.market.optionsessions import (
    is_index,
    option_expiries,
    option_segment,
    option_sessions,
)
from dhanfast.market.optiontime import expiry_ns, segment_of
from dhanfast.storage.bars import BarSet
from dhanfast.storage.chains import Snapshot, chain_bytes, read_chains
from dhanfast.storage.stamps import ist_text
from dhanfast.storage.volatility import VolatilityStore
from dhanfast.strategies.plugins import graphs_of

SUFFIX: Final = ".parquet"
VOLATILITY_MOST: Final = 10.0
_COLUMNS: Final = ("call", "put", "call_oi", "put_oi", "call_volume", "put_volume")
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChainSeen:
    """What a run is told of an option chain.

    Attributes:
        rows: CHAIN_DTYPE, ascending. figures: names of those that were computed. grade: recorded or
            modelled. notes: what a reader of the result must know. data: what was read.
    """

    rows: NDArray[Any]
    figures: tuple[str, ...]
    grade: str
    notes: tuple[str, ...]
    data: dict[str, Any]
    age_ns: int

    def feed(self, until_ns: int | None = None) -> ChainFeed:
        """The sets as one run takes them; those after `until_ns` left out."""
        rows = self.rows if until_ns is None else self.rows[self.rows["at_ns"] <= until_ns]
        return ChainFeed(rows, figures=self.figures, age_ns=self.age_ns)


def figures_asked(strategy: NativeStrategy) -> tuple[str, ...]:
    """Names of the chain's figures that a strategy reads; all of one that cannot say which."""
    graphs = graphs_of(strategy)
    if not graphs:
        return FIGURES if strategy.wants_chain else ()
    read = {name for graph in graphs for name in graph.chain_figures}
    return tuple(name for name in FIGURES if name in read)


def chain_seen(strategy: NativeStrategy, settings: ChainSettings, bars: BarSet) -> ChainSeen | None:
    """The chain of a run over bars; None when the strategy asks for none, or none is named.

    Raises:
        ConfigError: figures of open interest from a modelled chain.
        BadData, UsageError, OutOfCalendar: the data cannot be used.
    """
    figures = figures_asked(strategy)
    if not figures or not (settings.data or settings.volatility):
        return None
    if settings.volatility:
        if not graphs_of(strategy):
            figures = tuple(name for name in figures if name not in OF_INTEREST)
        return modelled_chain(bars, settings, figures)
    return recorded_chain(bars.symbol, settings, figures)


def whole_chain(settings: ChainSettings, bars: BarSet) -> ChainSeen | None:
    """Every figure that a chain has, for strategies that are made later; None when none is named.

    Raises:
        BadData, UsageError, OutOfCalendar: the data cannot be used.
    """
    if settings.volatility:
        figures = tuple(name for name in FIGURES if name not in OF_INTEREST)
        return modelled_chain(bars, settings, figures)
    return recorded_chain(bars.symbol, settings, FIGURES) if settings.data else None


def chain_of_ticks(
    strategy: NativeStrategy, settings: ChainSettings, symbol: str
) -> ChainSeen | None:
    """As `chain_seen`, for a run over ticks.

    Raises:
        ConfigError: premiums are to be modelled: a model needs bars of the index.
        BadData, UsageError, OutOfCalendar: the data cannot be used.
    """
    figures = figures_asked(strategy)
    if figures and settings.volatility:
        raise ConfigError(
            "chain.volatility: a run over ticks sees recorded chains only (chain.data, --chain); "
            "premiums are modelled over bars of the index"
        )
    if not figures or not settings.data:
        return None
    return recorded_chain(symbol, settings, figures)


def chain_files(path: str | Path) -> tuple[Path, ...]:
    """The files of snapshots that a path names: itself, or those of a folder, by name.

    Raises:
        BadData: there is none.
    """
    place = Path(path)
    if not place.is_dir():
        return (place,)
    found = tuple(sorted(each for each in place.iterdir() if each.suffix == SUFFIX))
    if not found:
        raise BadData(f"{place}: the folder has no {SUFFIX} file of chain snapshots")
    return found


# ---- recorded ---------------------------------------------------------------------------------


def recorded_chain(underlying: str, settings: ChainSettings, figures: Sequence[str]) -> ChainSeen:
    """The sets of recorded snapshots within trading hours.

    Raises:
        BadData: a file that breaks a rule; no chain of this underlying and expiry; a day in two
            files; a day that is no trading day.
        UsageError: not an index. OutOfCalendar: a date outside the tables.
    """
    paths = chain_files(settings.data)
    made = _Recorded(underlying, settings, tuple(figures), paths)
    rows = made.rows()
    span = f"{ist_text(int(rows['at_ns'][0]))} to {ist_text(int(rows['at_ns'][-1]))}"
    notes = [
        f"Chain figures are recorded: {len(rows)} snapshots of {underlying}, {settings.expiry} "
        f"expiry, {span}, each from the moment it was taken on; prices are last trades.",
    ]
    if made.missing:
        notes.append(
            f"On {len(made.missing)} recorded days the {settings.expiry} expiry was not: "
            f"{', '.join(map(str, made.missing[:3]))}{' ...' if len(made.missing) > 3 else ''}"
        )
    if made.generated:
        notes.append("The option chain is of a generated market, not recorded from a real one.")
    sources = [
        {"name": path.name, "sha256": hashlib.sha256(chain_bytes(path)).hexdigest()}
        for path in paths
    ]
    data = _told(RECORDED, settings, rows, {"sources": sources, "generated": made.generated})
    return ChainSeen(rows, tuple(figures), RECORDED, tuple(notes), data, settings.age_ns)


class _Recorded:
    """Snapshots of one underlying, day by day, as sets of figures."""

    def __init__(
        self, underlying: str, settings: ChainSettings, figures: tuple[str, ...],
        paths: Sequence[Path],
    ) -> None:  # fmt: skip
        if not is_index(underlying):
            raise UsageError(
                f"chain: {underlying} is no index, and figures of a chain are known to strategies "
                "on an index: choose one; `dhanfast chain -u NAME` shows a stock's"
            )
        self.underlying, self.settings, self.figures = underlying, settings, figures
        self.generated = False
        self.missing: list[date] = []
        self._days: dict[date, list[Snapshot]] = {}
        owners: dict[date, str] = {}
        for path in paths:
            file = read_chains(path)
            if underlying not in file.underlyings:
                continue
            self.generated |= file.generated
            for place in file.places(underlying).tolist():
                shot = file[place]
                if owners.setdefault(shot.date, file.name) != file.name:
                    raise BadData(
                        f"{file.name} and {owners[shot.date]} both have chains of {underlying} on "
                        f"{shot.date}: keep a day in one file"
                    )
                self._days.setdefault(shot.date, []).append(shot)
        if not self._days:
            names = ", ".join(path.name for path in paths[:3])
            raise BadData(f"{names}: no chain of {underlying}, whose bars these are")

    def rows(self) -> NDArray[Any]:
        """Every set, in order of time.

        Raises:
            BadData: the expiry was recorded on no day; a day without trading.
        """
        parts = [self._rows_of(on) for on in sorted(self._days)]
        rows: NDArray[Any] = np.concatenate(parts)
        if len(rows) == 0:
            raise BadData(
                f"{self.settings.data}: no snapshot of {self.underlying}, {self.settings.expiry} "
                "expiry, inside trading hours; choose another with chain.expiry"
            )
        return rows

    def _rows_of(self, on: date) -> NDArray[Any]:
        hours = _hours(on, self.underlying)
        expiry = option_expiries(self.underlying, on)[self.settings.expiry]
        shots = [
            shot
            for shot in self._days[on]
            if shot.expiry == expiry
            and any(opens <= shot.at_ns < closes for opens, closes in hours.windows)
        ]
        if not shots:
            self.missing.append(on)
            return np.empty(0, CHAIN_DTYPE)
        end = self._end_of(_session_before(on, self.underlying), expiry)
        past = [volatility for day, volatility in self._volatilities if day < on]
        meters: dict[bytes, ChainMeter] = {}
        rows = []
        for shot in shots:
            key = shot.strike.tobytes()
            if key not in meters:
                meters[key] = self._meter(shot, self.figures, end, past)
            rows.append(looked(meters[key], shot))
        return np.concatenate(rows)

    def _meter(
        self, shot: Snapshot, figures: Sequence[str], end: Snapshot | None, past: Sequence[float]
    ) -> ChainMeter:
        return ChainMeter(
            shot.strike, expiry_ns(shot.expiry, segment_of(self.underlying)), rate_on(shot.date),
            figures=figures, near=self.settings.near, past=past,
            before=None if end is None else aligned(end, shot.strike),
        )  # fmt: skip

    def _end_of(self, on: date | None, expiry: date) -> Snapshot | None:
        """The last snapshot of a day; None when that day was not recorded."""
        shots = [] if on is None else [s for s in self._days.get(on, []) if s.expiry == expiry]
        return shots[-1] if shots else None

    @cached_property
    def _volatilities(self) -> list[tuple[date, float]]:
        """A volatility a session, oldest first: of the history, and of what was recorded."""
        if not _ranked(self.figures):
            return []
        found = dict(_history(self.settings, self.underlying))
        for on, shots in self._days.items():
            later = [shot for shot in shots if shot.expiry > on]
            nearest = min((shot.expiry for shot in later), default=None)
            for shot in reversed([shot for shot in later if shot.expiry == nearest]):
                meter = self._meter(shot, ("atm_iv",), None, ())
                value = float(looked(meter, shot)["atm_iv"][0])
                if 0.0 < value < VOLATILITY_MOST:
                    found[on] = value
                    break
        return sorted(found.items())


def looked(meter: ChainMeter, shot: Snapshot) -> NDArray[Any]:
    """The set of one snapshot; figures of open interest or volume that is not all known are NaN.

    Args:
        meter: of its strikes.

    Shape:
        CHAIN_DTYPE[1].
    """
    columns = {name: getattr(shot, name) for name in _COLUMNS}
    unknown = {name: bool(np.isnan(columns[name]).any()) for name in _COLUMNS[2:]}
    return meter.look(
        shot.at_ns,
        oi_known=not (unknown["call_oi"] or unknown["put_oi"]),
        volume_known=not (unknown["call_volume"] or unknown["put_volume"]),
        **columns,
    )


def aligned(end: Snapshot, strike: Floats) -> Mapping[str, Floats]:
    """Columns of an earlier snapshot at the strikes of a later one, NaN where it had none.

    Args:
        end: the earlier. strike: of the later, ascending.
    """
    place = np.minimum(np.searchsorted(end.strike, strike), len(end.strike) - 1)
    there = end.strike[place] == strike
    return {name: np.where(there, getattr(end, name)[place], np.nan) for name in _COLUMNS[:4]}


# ---- modelled ---------------------------------------------------------------------------------


def modelled_chain(bars: BarSet, settings: ChainSettings, figures: Sequence[str]) -> ChainSeen:
    """A set at the end of each bar of the index, from premiums of the model.

    Raises:
        ConfigError: a figure that needs open interest or volume.
        BadData, UsageError, OutOfCalendar: see `ModelledChains` and `read_volatilities`.
    """
    refused = [name for name in figures if name in OF_INTEREST]
    if refused:
        raise ConfigError(
            f"chain.volatility: m.chain.{refused[0]} needs open interest or volume, and a modelled "
            "chain has neither; give recorded snapshots (chain.data, --chain), or leave it out"
        )
    source = ModelledChains(
        bars, read_volatilities(settings.volatility, bars.symbol), (settings.expiry,)
    )
    known = dict(_history(settings, bars.symbol)) if _ranked(figures) else {}
    parts = []
    for hours, rows, _ in source.trading_days():
        past = [value for day, value in sorted(known.items()) if day < hours.date]
        parts.append(_modelled_day(source, hours, rows, settings, figures, past))
        if _ranked(figures):
            value = _modelled_close(source, hours, rows)
            if 0.0 < value < VOLATILITY_MOST:
                known[hours.date] = value
    found: NDArray[Any] = np.concatenate([np.empty(0, CHAIN_DTYPE), *parts])
    if len(found) == 0:
        raise BadData(f"{bars.symbol}: no bar lies inside trading hours")
    shape = source.volatilities.shape
    note = (
        f"Chain figures are modelled: no premium behind them was ever traded. {settings.expiry} "
        f"expiry, Black's formula over the index, volatility {shape.at_money:g} of India VIX at "
        "the close before with a fixed smile: see docs/reference/options-backtest.md for the error."
    )
    data = _told(MODELLED, settings, found, {"volatility": list(source.volatilities.sources)})
    return ChainSeen(found, tuple(figures), MODELLED, (note,), data, settings.age_ns)


def _modelled_day(
    source: ModelledChains, hours: TradingDay, rows: NDArray[Any], settings: ChainSettings,
    figures: Sequence[str], past: Sequence[float],
) -> NDArray[Any]:  # fmt: skip
    expiry = option_expiries(source.underlying, hours.date)[settings.expiry]
    meter, end_ns, call, put = _modelled_meter(
        source, hours, rows, expiry, figures=figures, near=settings.near, past=past
    )
    return meter.looks(end_ns, call, put)


def _modelled_close(source: ModelledChains, hours: TradingDay, rows: NDArray[Any]) -> float:
    """Volatility at the money at the day's last bar, of the nearest expiry after that day."""
    names = option_expiries(source.underlying, hours.date)
    expiry = names["nearest"] if names["nearest"] > hours.date else names["next"]
    meter, end_ns, call, put = _modelled_meter(
        source, hours, rows[-1:], expiry, figures=("atm_iv",)
    )
    return float(meter.look(int(end_ns[0]), call=call[0], put=put[0])["atm_iv"][0])


def _modelled_meter(
    source: ModelledChains, hours: TradingDay, rows: NDArray[Any], expiry: date, **given: Any
) -> tuple[ChainMeter, NDArray[np.int64], Floats, Floats]:
    """A meter of a modelled expiry, ends of the bars, and premiums of calls and puts, rupees."""
    sessions = option_sessions(source.underlying, hours, [expiry])
    _, end_ns, strikes, tables = source.premiums(hours, rows, [expiry], sessions, [])
    meter = ChainMeter(
        strikes[0] / 100.0, expiry_ns(expiry, segment_of(source.underlying)), rate_on(hours.date),
        **given,
    )  # fmt: skip
    close, count = tables[3] / 100.0, len(strikes[0])
    return meter, end_ns, close[:, :count], close[:, count:]


# ---- both -------------------------------------------------------------------------------------


def _ranked(figures: Sequence[str]) -> bool:
    return any(name.startswith(("iv_rank", "iv_percentile")) for name in figures)


def _history(settings: ChainSettings, underlying: str) -> list[tuple[date, float]]:
    if not settings.history:
        return []
    path = Path(settings.history)
    if not path.is_file():
        raise BadData(f"chain.history: {path} does not exist; `dhanfast iv --remember` makes one")
    return [(one.day, one.volatility) for one in VolatilityStore(path).days(underlying)]


def _hours(on: date, underlying: str) -> TradingDay:
    hours = Calendar.load().day(on, option_segment(underlying)[0])
    if hours is None or not hours.windows:
        raise BadData(f"chain of {underlying}: {on} is not a trading day")
    return hours


def _session_before(on: date, underlying: str) -> date | None:
    """The trading day before; None where the calendar begins."""
    segment = option_segment(underlying)[0]
    days = Calendar.load().days(on - timedelta(days=14), on - timedelta(days=1), segment)
    held = [day.date for day in days if day.windows]
    return held[-1] if held else None


def _told(
    grade: str, settings: ChainSettings, rows: NDArray[Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "grade": grade,
        "expiry": settings.expiry,
        "sets": len(rows),
        "first": ist_text(int(rows["at_ns"][0])),
        "last": ist_text(int(rows["at_ns"][-1])),
        "sha256": hashlib.sha256(np.ascontiguousarray(rows).view(np.uint8).data).hexdigest(),
        **more,
    }


def refuse_without_chain(strategy: NativeStrategy, feed: ChainFeed | None) -> None:
    """Refuse a run that has no chain to a strategy that looks at one.

    Raises:
        ConfigError: there is none. UsageError: it lacks a figure that the strategy reads.
    """
    asked = figures_asked(strategy)
    if not asked:
        return
    if feed is None:
        raise ConfigError(
            f"the strategy looks at the option chain (m.chain.{asked[0]}), and nothing tells it: "
            "give a backtest --chain FILE (chain.data), or --volatility FILE (chain.volatility) "
            "for modelled premiums"
        )
    missing = [name for name in asked if name not in feed.figures]
    if missing and graphs_of(strategy):
        raise UsageError(f"the run's chain does not have {missing[0]}, which the strategy reads")
