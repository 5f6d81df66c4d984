"""Initial margin, approximated: what a future blocks of its value, by date.

The clearing corporation works margins out with SPAN several times a day. Here a date has one rate:
    rate = scan range + exposure margin,   scan range = max(floor, 6 * sigma * sqrt(2))
where tables/margins.csv gives the scan range of each period (the floor, or the sigma term worked
out from closes while it was above the floor). Every rate comes with the error to expect.
"""

from dataclasses import dataclass
from datetime import date
from functools import cache
from math import isfinite, sqrt

from dhanfast.errors import UsageError
from dhanfast.market.tables import Row, in_force, read, require_date, require_name

E9 = 1_000_000_000
SIGMA_DAILY_MAX = 0.2  # a daily volatility above 20 % is a mistake of units


@dataclass(frozen=True, slots=True)
class FutureMargin:
    """The initial margin of an index future on one date.

    Units:
        `*_e9` in 1e-9 of the contract's value; errors in percent of the margin itself: the true
        margin is expected between (1 + error_low/100) and (1 + error_high/100) times `rate_e9`.
    """

    rate_e9: int
    scan_e9: int
    exposure_e9: int
    error_low: int
    error_high: int
    confidence: str
    source: str
    note: str


def underlyings() -> list[str]:
    """Every underlying with margin rates."""
    return list(_underlyings())


def future_margin(underlying: str, on: date, *, sigma_daily: float | None = None) -> FutureMargin:
    """The margin of a future and how far to trust it.

    Args:
        underlying: BANKNIFTY, NIFTY, ...
        on: exchange date.
        sigma_daily: daily volatility as the exchange estimates it (EWMA of log returns, lambda
            0.995), a fraction; when given, 6 * sigma * sqrt(2) replaces a smaller scan range.

    Raises:
        UsageError: unknown underlying; sigma_daily not in 0..0.2.
        OutOfCalendar: no rate is known on that date.

    Source:
        tables/margins.csv; method: NSE Clearing, SPAN risk parameters (S94).
    """
    require_name(underlying, _underlyings(), "underlying")
    require_date(on, "date")
    margin = _margin(underlying, on)
    if sigma_daily is None:
        return margin
    if not isfinite(sigma_daily) or not 0 <= sigma_daily <= SIGMA_DAILY_MAX:
        raise UsageError(
            f"sigma_daily must be a fraction in 0..{SIGMA_DAILY_MAX} (0.01 = 1 % a day), "
            f"got {sigma_daily}"
        )
    scan = max(margin.scan_e9, round(6 * sigma_daily * sqrt(2) * E9))
    return FutureMargin(
        scan + margin.exposure_e9,
        scan,
        margin.exposure_e9,
        margin.error_low,
        margin.error_high,
        margin.confidence,
        margin.source,
        margin.note,
    )


def future_margin_rate(underlying: str, on: date, *, sigma_daily: float | None = None) -> int:
    """The margin rate of a future in 1e-9 of its value; see `future_margin`.

    Raises:
        UsageError: unknown underlying; sigma_daily not in 0..0.2.
        OutOfCalendar: no rate is known on that date.
    """
    return future_margin(underlying, on, sigma_daily=sigma_daily).rate_e9


@cache
def _underlyings() -> tuple[str, ...]:
    return tuple(sorted({row["underlying"] for row in read("margins")}))


@cache
def _rows(underlying: str) -> tuple[Row, ...]:
    return tuple(row for row in read("margins") if row["underlying"] == underlying)


def _margin(underlying: str, on: date) -> FutureMargin:
    row = in_force(_rows(underlying), on, f"futures margin of {underlying}", "margins")
    return _from_row(underlying, row["from"])


@cache
def _from_row(underlying: str, starts: str) -> FutureMargin:
    row = next(row for row in _rows(underlying) if row["from"] == starts)
    scan, exposure = int(row["scan_e9"]), int(row["exposure_e9"])
    return FutureMargin(
        scan + exposure,
        scan,
        exposure,
        int(row["error_low"]),
        int(row["error_high"]),
        row["confidence"],
        row["source"],
        row["note"],
    )
