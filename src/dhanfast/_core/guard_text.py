"""What a guard found, in words: one line with the value, the limit and the end."""

import datetime as dt
from typing import Final, NamedTuple

from dhanfast._core.guard_rules import NEXT_SESSION, UNTIL_UNLOCK

_IST: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))
_HIGH, _LOW, _RANK_HIGH, _RANK_LOW = 1, 2, 4, 8  # VixBand


class GuardEvent(NamedTuple):
    """One veto, lock, alert or unlock.

    Units:
        time_ns, until_ns: UTC ns; `until_ns` may be NEXT_SESSION or UNTIL_UNLOCK, 0 = no end of
            its own. value, limit, part_of: paise, counts, 1e-4 or ns, as the guard measures.
    """

    time_ns: int
    what: str  # veto, lock, alert, unlock
    name: str  # of a veto its RejectReason, else the lock's
    value: int
    limit: int
    part_of: int
    until_ns: int
    text: str


class GuardLocked(NamedTuple):
    """One lock that holds entries back now; units as in `GuardEvent`."""

    name: str
    since_ns: int
    until_ns: int
    value: int
    limit: int


def rupees(paise: int) -> str:
    """123456 -> 1,234.56."""
    whole, rest = divmod(abs(paise), 100)
    return f"{'-' if paise < 0 else ''}{whole:,}.{rest:02d}"


def moment(time_ns: int) -> str:
    """Date and time in IST."""
    return dt.datetime.fromtimestamp(time_ns // 10**9, _IST).strftime("%Y-%m-%d %H:%M:%S IST")


def length(span_ns: int) -> str:
    """5400000000000 -> 1h30m; below a minute 12.3s."""
    minutes, rest = divmod(span_ns, 60 * 10**9)
    if minutes == 0:
        return f"{_short(rest / 1e9)}s"
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}h" * (hours > 0) + f"{minutes}m" * (minutes > 0) + f"{rest // 10**9}s" * (rest > 0)
    )


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _percent(part: int, whole: int) -> str:
    return f"{_short(100 * part / whole)} %" if whole > 0 else "all"


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def until_text(until_ns: int, name: str) -> str:
    """What entries wait for."""
    if until_ns == NEXT_SESSION:
        wait = "for the next session"
    elif until_ns == UNTIL_UNLOCK:
        return f"entries wait for `dhanfast unlock {name}`"
    else:
        wait = f"until {moment(until_ns)}"
    return f"entries wait {wait}" + (f" or `dhanfast unlock {name}`" if name else "")


def found(name: str, value: int, limit: int, part_of: int, *, over: bool = True) -> str:
    """What a lock's rule measured.

    Args:
        name: of the lock.
        value, limit, part_of: as the guard keeps them.
        over: whether the limit is reached; an alert comes before.
    """
    near = "is at or over" if over else "comes near"
    if name == "drawdown":
        return (
            f"drawdown {_percent(value, part_of)} of the day's peak {rupees(part_of)} {near} the "
            f"limit {_percent(limit, part_of)}"
        )
    if name == "day_loss":
        return (
            f"loss {rupees(value)} from the equity {rupees(part_of)} {near} the limit "
            f"{rupees(limit)}"
        )
    texts = {
        "operator": "locked by the operator",
        "profit_lock": f"profit of the day {rupees(value)} is at or under its floor "
        f"{rupees(limit)}",
        "max_trades": f"{_some(value, 'position')} opened today, the limit is {limit}",
        "consecutive_losses": f"{_some(value, 'losing trade')} in a row, the limit is {limit}",
        "cooldown_period": f"a position was closed with {rupees(value)}",
        "low_profit": f"the window's {_some(part_of, 'trade')} brought {rupees(value)}, less than "
        f"{rupees(limit)}",
        "max_drawdown": f"the results of the window's {_some(part_of, 'trade')} fell by "
        f"{rupees(value)}, the limit is {rupees(limit)}",
    }
    if name in texts:
        return texts[name]
    side = {"stoploss_long": " of long positions", "stoploss_short": " of short positions"}
    stops = _some(value, "stop")
    return f"{stops}{side.get(name, '')} within {length(part_of)}, the limit is {limit}"


def told(what: str, name: str, value: int, limit: int, part_of: int, until_ns: int) -> str:
    """A lock, an alert or an unlock in words."""
    if what == "unlock":
        return f"{name} unlocked by command"
    if limit == 0 and value == 0 and part_of == 0:
        return f"{name} locked by command: {until_text(until_ns, name)}"
    if what == "alert":
        return found(name, value, limit, part_of, over=False)
    return f"{found(name, value, limit, part_of)}: {until_text(until_ns, name)}"


def why(reason: str, lock: str, value: int, limit: int, part_of: int, until_ns: int) -> str:
    """A veto in words.

    Args:
        reason: name of the RejectReason.
        lock: name of the lock that was in force, "" for a condition.
    """
    if lock:
        return told("lock", lock, value, limit, part_of, until_ns)
    if reason == "GUARD_EXPIRY":
        day = f"{part_of // 10_000}-{part_of // 100 % 100:02d}-{part_of % 100:02d}"
        late = f" and {_clock(value)} is at or after {_clock(limit)}" if limit else ""
        return f"the contract expires today, {day}{late}: {until_text(until_ns, '')}"
    if reason == "GUARD_FLAT_BY":
        left = f"{length(value)} before" if value > 0 else "after"
        return f"{left} the square-off at {moment(part_of)[11:16]}, an entry needs {length(limit)}"
    if reason == "GUARD_STALE":
        if part_of == 0:
            return "no market data has come yet"
        return f"the last market data is {length(value)} old, the limit is {length(limit)}"
    if reason == "GUARD_VIX":
        return _vix_text(value, limit, part_of)
    if reason == "GUARD_CORRELATION":
        return f"correlated exposure would be {rupees(value)}, the limit is {rupees(limit)}"
    what = "expiry" if part_of >= 2 else "underlying"
    if part_of % 2:
        return f"exposure in the {what} would be {value} lots, the limit is {limit}"
    return f"exposure in the {what} would be {rupees(value)}, the limit is {rupees(limit)}"


def _vix_text(value: int, limit: int, band: int) -> str:
    if band == _HIGH:
        return f"India VIX {value / 100:.2f}: entries wait until it is below {limit / 100:.2f}"
    if band == _LOW:
        return f"India VIX {value / 100:.2f}: entries wait until it is above {limit / 100:.2f}"
    if band in (_RANK_HIGH, _RANK_LOW):
        side = "below" if band == _RANK_HIGH else "above"
        return (
            f"India VIX is above {_short(value / 100)} % of its last closes: entries wait until "
            f"that is {side} {_short(limit / 100)} %"
        )
    if value == 0:
        return "India VIX is not known: entries wait for it"
    return (
        f"India VIX {value / 100:.2f} of {moment(limit)} is too old, or has too few days before "
        "it: entries wait"
    )


def _clock(of_day_ns: int) -> str:
    minutes = of_day_ns // (60 * 10**9)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
