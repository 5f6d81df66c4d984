"""Filters of a structure: windows of time in which it is not begun."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.filters import VETO_DTYPE, Filters
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.strategy import NativeStrategy
from dhanfast._core.types import SESSION_DTYPE
from dhanfast.engine.filter_build import mark_expiries, windows_of
from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.errors import ConfigError
from dhanfast.market.calendar import TradingDay
from dhanfast.market.sessions import ymd
from dhanfast.reports.signals import VetoRows

# Filters that look at a contract: (name, what is set, why a structure cannot follow it).
NOT_OF_LEGS: Final = (
    ("volume", "volume.times", "an index has no volume"),
    ("momentum", "momentum.by", "it is a signal's: write it into the strategy that is followed"),
    ("oi", "oi.bars", "an index has no open interest"),
    ("spread", "spread", "every leg has a spread of its own, and its order waits at a limit"),
)


def checked_leg_filters(told: FilterSettings) -> FilterSettings:
    """`told`, or a refusal of what looks at a contract.

    Raises:
        ConfigError: names the setting and why.
    """
    for name, key, why in NOT_OF_LEGS:
        if name in told.names:
            raise ConfigError(
                f"filters.{key}: a legs run does not follow it: {why}; times, windows, expiry days "
                "and events are followed"
            )
    return told


def filters_of_legs(told: FilterSettings) -> Filters | None:
    """The filters of a run of legs, which know no day yet; None when all are off."""
    return Filters(NativeStrategy(), told.names) if told.names else None


def begin_filters(
    risk: LegRisk | None, told: FilterSettings, underlying: str, hours: TradingDay
) -> None:
    """Tell the filters of a run when they object on a day; nothing where there are none.

    Raises:
        UsageError: the underlying has no expiry rules. OutOfCalendar: the day is outside them.
    """
    if risk is None or risk.filters is None:
        return
    row = np.zeros(1, SESSION_DTYPE)
    row["date"] = ymd(hours.date)
    row["open_ns"], row["close_ns"] = hours.windows[0][0], hours.windows[-1][1]
    mark_expiries(told, underlying, row, hours.date, hours.date)
    risk.filters.see(windows_of(told, row))


def veto_rows(risk: LegRisk | None) -> list[NDArray[Any]]:
    """Take away what filters have written; empty without any."""
    return [] if risk is None or risk.filters is None else [risk.filters.take()]


def vetoes_of(risk: LegRisk | None, rows: Sequence[NDArray[Any]]) -> VetoRows | None:
    """What filters have taken back, for a result; None without filters.

    Args:
        rows: all that was taken away.
    """
    if risk is None or risk.filters is None:
        return None
    filters = risk.filters
    told = np.concatenate([np.empty(0, VETO_DTYPE), *rows])
    return VetoRows(filters.names, told, dict(filters.vetoed))
