"""The rules of `Guards`: their names, their ranges, and what may be carried from day to day."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import ConfigError

NEXT_SESSION: Final = 2**63 - 2  # as the end of a lock: the next trading day
UNTIL_UNLOCK: Final = 2**63 - 1
CARRY_VERSION: Final = 1
KINDS: Final = 12

_LARGEST: Final = 1 << 60
_DAY_NS: Final = 86_400 * 10**9
_PAUSE: Final = (-1, _LARGEST)
_AMOUNT: Final = (0, _LARGEST)
_COUNT: Final = (0, 1_000_000)
_TRADES: Final = (0, 512)
_SHARE: Final = (0, 10_000)
_FLAG: Final = (0, 1)
_VIX: Final = (0, 15_000)
_DAYS: Final = (0, 1000)

# {field of GuardRules: (least, most)}, in the order of the struct.
RULES: Final[dict[str, tuple[int, int]]] = {
    "drawdown_e4": _SHARE,
    "drawdown_paise": _AMOUNT,
    "drawdown_flat": _FLAG,
    "day_loss": _AMOUNT,
    "day_loss_flat": _FLAG,
    "alert_e4": _SHARE,
    "profit_arm": _AMOUNT,
    "profit_floor": _AMOUNT,
    "profit_step": _AMOUNT,
    "profit_flat": _FLAG,
    "trades_max": _COUNT,
    "losses_max": _COUNT,
    "losses_pause": _PAUSE,
    "cooldown_pause": _PAUSE,
    "stops_limit": _TRADES,
    "stops_lookback": _AMOUNT,
    "stops_pause": _PAUSE,
    "stops_per_side": _FLAG,
    "low_limit": _TRADES,
    "low_lookback": _AMOUNT,
    "low_pause": _PAUSE,
    "low_required": (-_LARGEST, _LARGEST),
    "fall_allowed": _AMOUNT,
    "fall_limit": _TRADES,
    "fall_lookback": _AMOUNT,
    "fall_pause": _PAUSE,
    "underlying_paise": _AMOUNT,
    "underlying_lots": _AMOUNT,
    "expiry_paise": _AMOUNT,
    "expiry_lots": _AMOUNT,
    "correlated_paise": _AMOUNT,
    "vix_high": _VIX,
    "vix_high_leave": _VIX,
    "vix_low": _VIX,
    "vix_low_leave": _VIX,
    "rank_high_e4": _SHARE,
    "rank_high_leave_e4": _SHARE,
    "rank_low_e4": _SHARE,
    "rank_low_leave_e4": _SHARE,
    "rank_days": _DAYS,
    "rank_days_min": _DAYS,
    "vix_age": _AMOUNT,
    "stale_ns": _AMOUNT,
    "expiry_day_off": _FLAG,
    "expiry_day_until": (0, _DAY_NS),
    "before_flat": (0, _DAY_NS),
}

# {key of what is carried: (how many numbers, None for one alone)}; -1 = any number of them.
_CARRIED: Final[dict[str, int | None]] = {
    "version": None,
    "date": None,
    "open": None,
    "peak": None,
    "equity": None,
    "loss_base": None,
    "profit_steps": None,
    "trades": None,
    "streak": None,
    "alerted": None,
    "wish_flat": None,
    "locked": None,
    "locks": 5 * KINDS,
    "forgotten": KINDS,
    "closed": -4,
    "vix": 4,
    "closes": -1,
}


def whole(what: str, value: object, least: int, most: int) -> int:
    """A whole number in a range.

    Raises:
        ConfigError: it is not; the message names the rule, the value and the range.
    """
    fits = isinstance(value, int | np.integer) and least <= value <= most
    if not fits:
        raise ConfigError(
            f"guards: {what} must be a whole number in {least}..{most}, was {value!r}; "
            "0 switches a rule off"
        )
    return int(value)  # type: ignore[call-overload, no-any-return]


def checked_rules(rules: Mapping[str, object]) -> list[int]:
    """Every rule in the order of the struct, 0 for those that are not given.

    Raises:
        ConfigError: an unknown rule, a number out of its range, or an edge on the wrong side.
    """
    for name in rules:
        if name not in RULES:
            raise ConfigError(f"guards: no rule is called {name!r}; rules: {', '.join(RULES)}")
    found = {
        name: whole(name, rules.get(name, 0), least, most) for name, (least, most) in RULES.items()
    }
    if found["profit_arm"] and found["profit_floor"] >= found["profit_arm"]:
        raise ConfigError(
            f"guards: profit_floor must be below profit_arm {found['profit_arm']}, was "
            f"{found['profit_floor']}: a floor above it would lock at once"
        )
    for high in ("vix_high", "rank_high_e4"):
        leave = _leave(high)
        if found[high] and not 0 < found[leave] <= found[high]:
            raise ConfigError(
                f"guards: {leave} must be above 0 and at most {high} {found[high]}, was "
                f"{found[leave]}"
            )
    for low in ("vix_low", "rank_low_e4"):
        leave = _leave(low)
        if found[low] and found[leave] < found[low]:
            raise ConfigError(
                f"guards: {leave} must be at least {low} {found[low]}, was {found[leave]}"
            )
    if (found["rank_high_e4"] or found["rank_low_e4"]) and found["rank_days"] < 2:
        raise ConfigError(
            f"guards: rank_days must be at least 2 for a rank, was {found['rank_days']}"
        )
    if found["rank_days_min"] > found["rank_days"]:
        raise ConfigError(
            f"guards: rank_days_min must be at most rank_days {found['rank_days']}, was "
            f"{found['rank_days_min']}"
        )
    return list(found.values())


def _leave(edge: str) -> str:
    return f"{edge.removesuffix('_e4')}_leave{'_e4' if edge.endswith('_e4') else ''}"


def checked_vix(vix: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times and values of India VIX as C-contiguous arrays.

    Raises:
        ConfigError: not two int64 arrays of one length, or times that go back.
    """
    stamps, levels = (np.ascontiguousarray(column) for column in vix)
    for name, column in (("times", stamps), ("values", levels)):
        if column.dtype != np.int64 or column.ndim != 1 or len(column) != len(stamps):
            raise ConfigError(
                f"guards: vix {name} must be int64 arrays of one length, was {column.dtype} of "
                f"shape {column.shape} beside {len(stamps)} times"
            )
    if (np.diff(stamps) < 0).any():
        raise ConfigError("guards: vix times must be in ascending order; sort them")
    return stamps, levels


def checked_carry(carried: object) -> dict[str, Any]:
    """What `Guards.carry` gave, whole and of whole numbers.

    Raises:
        ConfigError: a key is missing, unknown or malformed; the message names it.
    """
    if not isinstance(carried, Mapping):
        raise ConfigError(f"guards: carried must be a mapping, was {type(carried).__name__}")
    for key in carried:
        if key not in _CARRIED:
            raise ConfigError(f"guards: carried.{key} is not known; was it made by `carry`?")
    for key, size in _CARRIED.items():
        if key not in carried:
            raise ConfigError(f"guards: carried.{key} is missing; was it made by `carry`?")
        value = carried[key]
        if size is None:
            whole(f"carried.{key}", value, -(2**63), 2**63 - 1)
            continue
        if not isinstance(value, list | tuple):
            raise ConfigError(f"guards: carried.{key} must be a list, was {value!r}")
        if (len(value) != size) if size > 0 else len(value) % -size:
            raise ConfigError(f"guards: carried.{key} has {len(value)} numbers, which is not whole")
        for number in value:
            whole(f"carried.{key}", number, -(2**63), 2**63 - 1)
    if carried["version"] != CARRY_VERSION:
        raise ConfigError(
            f"guards: carried.version must be {CARRY_VERSION}, was {carried['version']}: it was "
            "written by another version of dhanfast"
        )
    if not 0 <= carried["locked"] < 1 << KINDS:
        raise ConfigError(f"guards: carried.locked has unknown locks: {carried['locked']}")
    return dict(carried)
