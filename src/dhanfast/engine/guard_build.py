"""Guards as an engine takes them: from settings, with India VIX from recorded bars."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.guards import Guards
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.errors import ConfigError
from dhanfast.storage.bars import BarSet, read_bars

VIX: Final = "INDIAVIX"
DAY_NS: Final = 86_400 * 10**9
_IST_NS: Final = 19_800 * 10**9

Vix = tuple[NDArray[np.int64], NDArray[np.int64]]
Line = tuple[int, str]


def guards_of(
    settings: GuardSettings,
    *,
    vix: Vix | None = None,
    carried: Mapping[str, Any] | None = None,
    instruments: int = 1,
) -> Guards | None:
    """The guards of an engine; None when all are off, so that nothing is asked.

    Args:
        vix: India VIX as `vix_values` gives it; None = its values come one by one.
        carried: what `Guards.carry` gave at the end of an earlier day.
        instruments: how many are traded.

    Raises:
        ConfigError: see `Guards`.
    """
    if not settings.any_on:
        return None
    return Guards(vix=vix, carried=carried, instruments=instruments, **settings.rules())


def recorded_guards(
    settings: GuardSettings, *, instruments: int = 1
) -> tuple[Guards | None, tuple[str, ...]]:
    """The guards of a run over recorded data, and what a reader must know of the VIX they see.

    Raises:
        ConfigError, BadData, UsageError: see `recorded_vix`.
    """
    bars = recorded_vix(settings)
    if bars is None:
        return guards_of(settings, instruments=instruments), ()
    who = "Guards and strategy" if settings.vix_told else "Guards"
    made = guards_of(settings, vix=vix_values(bars), instruments=instruments)
    return made, (vix_note(bars, who),)


def recorded_vix(settings: GuardSettings) -> BarSet | None:
    """The recorded India VIX of a backtest; None when no rule asks for it.

    Raises:
        ConfigError: a rule asks for it and no data is named.
        BadData, UsageError: the data cannot be read.
    """
    if not settings.needs_vix:
        return None
    source = settings.vix_data
    if not source:
        raise ConfigError(
            "risk.guards.vix.data: a rule looks at India VIX and no data is named; give a file of "
            f"its bars or a catalog symbol such as {VIX}, or switch risk.guards.vix off"
        )
    return read_bars(source, symbol=VIX) if Path(source).is_file() else read_bars(source)


def vix_values(bars: BarSet) -> Vix:
    """India VIX as an engine may know it: each close from the end of its bar on.

    A bar of a day or more counts from the last instant of its exchange date: a decision inside a
    day sees the close of the day before, never its own.

    Units:
        (UTC ns from which a value is known, 1/100 points).
    """
    starts = bars.bars["start_ns"].astype(np.int64)
    if bars.interval_ns >= DAY_NS:
        known = ((starts + _IST_NS) // DAY_NS + bars.interval_ns // DAY_NS) * DAY_NS - _IST_NS - 1
    else:
        known = starts + bars.interval_ns
    return known, bars.bars["close"].astype(np.int64)


def vix_note(bars: BarSet, who: str = "Guards") -> str:
    """What a reader of a result must know of the India VIX that `who` saw."""
    source = ", ".join(f"{one.name} (sha256 {one.sha256[:12]})" for one in bars.sources)
    seen = "each day's close from the next day on" if bars.interval_ns >= DAY_NS else "bar by bar"
    return (
        f"{who} saw India VIX of {bars.first:%Y-%m-%d} to {bars.last:%Y-%m-%d}, {bars.timeframe}, "
        f"{seen}: {source}."
    )


def in_order(own: Sequence[Line], told: Sequence[Line]) -> tuple[Line, ...]:
    """A strategy's lines (UTC ns, text) with those of its guards where they belong.

    Args:
        own: in the order they were written, which stays; one without a time follows the last.
        told: of the guards.
    """
    newest = accumulate((at for at, _ in own), max)
    placed = [(at, line) for at, line in zip(newest, own, strict=True)]
    placed += [(line[0], line) for line in told]
    return tuple(line for _, line in sorted(placed, key=lambda one: one[0]))
