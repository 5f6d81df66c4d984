"""How figures are printed: rupees with Indian grouping, IST times, durations, percentages.

Text only; the numbers themselves are computed in `metrics` and never read back from text.
"""

import datetime as dt
import math

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import Reason, RejectReason

NO_FIGURE = "n/a"  # an undefined figure (no trades, zero variance): never shown as 0
DAY_NS = 86_400_000_000_000
IST_NS = 19_800_000_000_000  # India has no daylight saving: IST is UTC + 5:30 at every date
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
REASON_NAMES = {int(reason): reason.name.lower() for reason in Reason}
REFUSAL_NAMES = {int(reason): reason.name.lower() for reason in RejectReason}


def _grouped(whole: int) -> str:
    """Group the digits of a non-negative integer the Indian way: 1234567 -> 12,34,567."""
    digits = str(whole)
    if len(digits) <= 3:
        return digits
    head, groups = digits[:-3], [digits[-3:]]
    while head:
        groups.append(head[-2:])
        head = head[:-2]
    return ",".join(reversed(groups))


def rupees(paise: float | None, *, sign: bool = False, decimals: int = 2) -> str:
    """Print an amount of paise as rupees with Indian digit grouping.

    Args:
        paise: amount; a fraction is rounded half away from zero to the last printed digit.
        sign: True prints "+" before a positive amount.
        decimals: 2 or 0.

    Units:
        paise in, rupees out: 123456789 -> "12,34,567.89".

    Raises:
        ValueError: decimals is neither 0 nor 2.
    """
    if decimals not in (0, 2):
        raise ValueError(f"decimals is {decimals}; give 0 or 2")
    if paise is None or not math.isfinite(paise):
        return NO_FIGURE
    unit = 1 if decimals == 2 else 100
    if isinstance(paise, int | np.integer):
        whole = (2 * abs(int(paise)) + unit) // (2 * unit)
    else:
        whole = math.floor(abs(paise) / unit + 0.5)
    body = _grouped(whole // 100) + f".{whole % 100:02d}" if decimals == 2 else _grouped(whole)
    if whole == 0:
        return body
    return ("-" if paise < 0 else "+" if sign else "") + body


def percent(fraction: float | None, *, sign: bool = False) -> str:
    """Print a fraction as a percentage with two decimals: 0.0123 -> "1.23%"."""
    if fraction is None or not math.isfinite(fraction):
        return NO_FIGURE
    return f"{100 * fraction:{'+' if sign else ''}.2f}%"


def ratio(value: float | None, decimals: int = 2) -> str:
    """Print a plain ratio with the given number of decimals."""
    if value is None or not math.isfinite(value):
        return NO_FIGURE
    return f"{value:.{decimals}f}"


def span(nanoseconds: float | None) -> str:
    """Print a duration with its two largest units: "2d 4h", "3h 07m", "12m 30s"."""
    if nanoseconds is None or not math.isfinite(nanoseconds):
        return NO_FIGURE
    seconds = round(nanoseconds / 1e9)
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {seconds:02d}s"


def ist(time_ns: int | None, *, seconds: bool = False) -> str:
    """Print a UTC instant in Indian time: "2022-03-07 09:15" (with seconds on request)."""
    if time_ns is None:
        return NO_FIGURE
    moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(
        microseconds=(int(time_ns) + IST_NS) // 1000
    )
    return moment.strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def iso_date(yyyymmdd: int | None) -> str:
    """Print an exchange date held as YYYYMMDD: 20220307 -> "2022-03-07"."""
    if not yyyymmdd:
        return NO_FIGURE
    return f"{yyyymmdd // 10_000:04d}-{yyyymmdd // 100 % 100:02d}-{yyyymmdd % 100:02d}"


def reason_name(code: int) -> str:
    """Name a `Reason` code in lower case; an unknown code shows its number."""
    return REASON_NAMES.get(int(code), f"reason_{int(code)}")


def refusal_name(code: int) -> str:
    """Name a `RejectReason` code in lower case; an unknown code shows its number."""
    return REFUSAL_NAMES.get(int(code), f"refusal_{int(code)}")


def ist_hours(times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hour of the Indian day, 0..23, of each UTC instant."""
    hours: NDArray[np.int64] = (times_ns + IST_NS) // 3_600_000_000_000 % 24
    return hours


def ist_days(times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970-01-01 in Indian time of each UTC instant."""
    days: NDArray[np.int64] = (times_ns + IST_NS) // DAY_NS
    return days


def ordinal_days(dates: NDArray[np.int32]) -> NDArray[np.int64]:
    """Days since 1970-01-01 of exchange dates held as YYYYMMDD."""
    wide = dates.astype(np.int64)
    months = (wide // 10_000 - 1970) * 12 + wide // 100 % 100 - 1
    firsts = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    days: NDArray[np.int64] = firsts + wide % 100 - 1
    return days
