"""A legs file: an option structure in TOML, with the words of the trade.

    name = "short straddle"
    underlying = "BANKNIFTY"
    entry = "09:20"
    exit = "15:15"

    [[leg]]
    side = "sell"
    right = "CE"
    strike = "atm"
    stop = "30%"

docs/reference/legs-file.md has every key. A key that is not known is refused with the nearest one.
"""

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dhanfast.engine.hedge_settings import Cost, Delta, HedgePlan
from dhanfast.engine.leg_settings import (
    Amount,
    LegPlan,
    Reentry,
    Strike,
    StructurePlan,
    Whole,
    checked_plan,
)
from dhanfast.engine.settings import clock_time, duration_ns
from dhanfast.errors import ConfigError
from dhanfast.strategies.params import unknown
from dhanfast.strategies.structures import read_structure

TOP: Final = (
    "name",
    "underlying",
    "lot",
    "entry",
    "late",
    "exit",
    "hold",
    "weekdays",
    "dte",
    "stop",
    "target",
    "move_to_cost",
    "signals",
    "timeframe",
    "params",
    "order",
    "hedge",
    "leg",
)
HEDGE: Final = (
    "instrument",
    "band",
    "interval",
    "risk_aversion",
    "cost",
    "target",
    "to",
    "hysteresis",
    "pause",
    "hedges_max",
    "lots_max",
    "from",
    "until",
    "dry_run",
    "strike",
    "expiry",
)
ORDER: Final = ("deadline", "repairs")
LEG: Final = (
    "side",
    "right",
    "strike",
    "expiry",
    "lots",
    "stop",
    "target",
    "trail",
    "wait",
    "after_stop",
    "after_target",
    "when",
)
SETTLEMENT: Final = "settlement"
USUAL: Final = HedgePlan()


def read_plan(path: str | Path, values: Mapping[str, object] | None = None) -> StructurePlan:
    """The structure that a legs file describes, checked.

    Args:
        values: of its parameters, by name; what is not given has its default.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a value that is not understood or out
            of range; the message names file, place, value and what to write.
        UsageError: an unknown parameter, or a value out of its range.
    """
    structure = read_structure(path)
    try:
        return plan_of(structure.filled(values or {}), Path(path).stem)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def plan_of(tree: Mapping[str, Any], name: str = "legs") -> StructurePlan:
    """The structure that a tree of settings describes, checked.

    Args:
        name: of the structure, where the tree has none.

    Raises:
        ConfigError: see `read_plan`.
    """
    _known(tree, TOP, "key")
    legs = tree.get("leg", [])
    if not isinstance(legs, list) or not legs:
        raise ConfigError("leg: there is none; write a [[leg]] for each option")
    entry = _time(tree, "entry", "09:20")
    late_s = duration_ns(_text(tree, "late", "5m"), "late") // 10**9
    until = dt.datetime.combine(dt.date(2000, 1, 1), entry) + dt.timedelta(seconds=late_s)
    if until.date() != dt.date(2000, 1, 1):
        raise ConfigError(f"late: {tree['late']!r} after {entry} is another day")
    leaves = _text(tree, "exit", "15:15")
    hold = _text(tree, "hold", "day")
    order = _table(tree, "order")
    _known(order, ORDER, "key of order")
    deadline = _text(order, "deadline", "10s")
    plan = StructurePlan(
        name=_text(tree, "name", name),
        underlying=_text(tree, "underlying", None),
        legs=tuple(_leg(leg, f"leg {number}") for number, leg in enumerate(legs, 1)),
        entry=entry,
        until=until.time(),
        exit=None if leaves == SETTLEMENT else _clock(leaves, "exit"),
        hold=hold,
        weekdays=tuple(str(day).upper() for day in _list(tree, "weekdays")),
        dte=tuple(_whole(days, "dte") for days in _list(tree, "dte")),
        stop=Whole.parse(_optional(tree, "stop"), "stop"),
        target=Whole.parse(_optional(tree, "target"), "target"),
        move_to_cost=_flag(tree, "move_to_cost"),
        signals=_text(tree, "signals", ""),
        timeframe_ns=_timeframe(tree),
        lot=_lot(tree),
        deadline_ns=0 if deadline == "none" else duration_ns(deadline, "order.deadline"),
        repairs=_whole(order.get("repairs", 2), "order.repairs"),
        params=_table(tree, "params"),
        source=json.loads(json.dumps(tree, default=str)),
        hedge=_hedge(_table(tree, "hedge")) if "hedge" in tree else None,
    )
    return checked_plan(plan)


def _lot(tree: Mapping[str, Any]) -> int:
    """Units of a stock's contract; 0 = not said: an index."""
    if "lot" not in tree:
        return 0
    lot = _whole(tree["lot"], "lot")
    if lot < 1:
        raise ConfigError(f"lot: {lot} units; write those of the stock's contract, as lot = 500")
    return lot


def _timeframe(tree: Mapping[str, Any]) -> int:
    """Length of the bars of the strategy that is followed, ns; 0 = not said."""
    text = _text(tree, "timeframe", "")
    return duration_ns(text, "timeframe") if text else 0


def _leg(tree: Any, name: str) -> LegPlan:
    if not isinstance(tree, dict):
        raise ConfigError(f"{name}: must be a table; write [[leg]] and its keys below")
    try:
        _known(tree, LEG, "key")
        right = _text(tree, "right", None).upper()
        trail = _table(tree, "trail")
        _known(trail, ("every", "step"), "key of trail")
        if trail and len(trail) != 2:
            raise ConfigError('trail: write both, as trail = { every = "10pts", step = "5pts" }')
        return LegPlan(
            side=_text(tree, "side", None).lower(),
            right=right,
            strike=Strike.parse(str(_needed(tree, "strike")), right, "strike"),
            expiry=_text(tree, "expiry", "nearest"),
            lots=_whole(tree.get("lots", 1), "lots"),
            stop=Amount.parse(_optional(tree, "stop"), "stop"),
            target=Amount.parse(_optional(tree, "target"), "target"),
            trail=(
                Amount.parse(trail.get("every"), "trail.every"),
                Amount.parse(trail.get("step"), "trail.step"),
            ),
            wait=Amount.parse(_optional(tree, "wait"), "wait", signed=True),
            after_stop=_again(tree, "after_stop"),
            after_target=_again(tree, "after_target"),
            when=_text(tree, "when", ""),
        )
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _hedge(tree: Mapping[str, Any]) -> HedgePlan:
    try:
        _known(tree, HEDGE, "key of hedge")
        strike = tree.get("strike")
        return HedgePlan(
            instrument=_text(tree, "instrument", "future").lower(),
            band=Delta.parse(tree.get("band", 0), "band"),
            interval_ns=_pause(tree, "interval", 0),
            risk_aversion=_number(tree, "risk_aversion", 0.0),
            cost=Cost() if "cost" not in tree else Cost.parse(tree["cost"], "cost"),
            target=Delta.parse(tree.get("target", 0), "target"),
            to=_text(tree, "to", "centre").lower(),
            hysteresis=_number(tree, "hysteresis", USUAL.hysteresis),
            pause_ns=_pause(tree, "pause", USUAL.pause_ns),
            hedges_max=_whole(tree.get("hedges_max", USUAL.hedges_max), "hedges_max"),
            lots_max=_most(tree),
            start=None if "from" not in tree else _time(tree, "from", ""),
            end=None if "until" not in tree else _time(tree, "until", ""),
            dry_run=_flag(tree, "dry_run"),
            strike=None if strike is None else Strike.parse(str(strike), "CE", "strike"),
            expiry=_text(tree, "expiry", "nearest"),
        )
    except ConfigError as error:
        raise ConfigError(f"hedge: {error}") from None


def _pause(tree: Mapping[str, Any], name: str, usual: int) -> int:
    return usual if name not in tree else duration_ns(_text(tree, name, None), name)


def _number(tree: Mapping[str, Any], name: str, usual: float) -> float:
    value = tree.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name}: {value!r} must be a number")
    return float(value)


def _most(tree: Mapping[str, Any]) -> int:
    """As it says, from 1 on; 0 when it does not."""
    value = _whole(tree.get("lots_max", 0), "lots_max")
    if "lots_max" in tree and value < 1:
        raise ConfigError(f"lots_max must be 1 or more, was {value}")
    return value


def _again(tree: Mapping[str, Any], name: str) -> Reentry:
    table = _table(tree, name)
    if not table:
        return Reentry()
    _known(table, ("again", "times"), f"key of {name}")
    return Reentry(_text(table, "again", "asap"), _whole(table.get("times", 1), f"{name}.times"))


def _known(tree: Mapping[str, Any], names: tuple[str, ...], what: str) -> None:
    for name in tree:
        if name not in names:
            raise ConfigError(unknown(what, name, list(names)))


def _needed(tree: Mapping[str, Any], name: str) -> Any:
    if name not in tree:
        raise ConfigError(f"{name}: is missing")
    return tree[name]


def _text(tree: Mapping[str, Any], name: str, usual: str | None) -> str:
    value = _needed(tree, name) if usual is None else tree.get(name, usual)
    if isinstance(value, dt.time):
        value = value.isoformat()
    if not isinstance(value, str):
        raise ConfigError(f"{name}: {value!r} must be text, in quotes")
    return value.strip()


def _optional(tree: Mapping[str, Any], name: str) -> str | None:
    value = tree.get(name)
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return None if value is None else str(value)
    raise ConfigError(f"{name}: {value!r} must be text, in quotes")


def _time(tree: Mapping[str, Any], name: str, usual: str) -> dt.time:
    return _clock(_text(tree, name, usual), name)


def _clock(text: str, name: str) -> dt.time:
    found = clock_time(text, name)
    if found is None:
        raise ConfigError(
            f"{name}: {text!r} is not a time of day; write HH:MM in IST"
            + (f', or "{SETTLEMENT}"' if name == "exit" else "")
        )
    return found


def _list(tree: Mapping[str, Any], name: str) -> list[Any]:
    value = tree.get(name, [])
    if not isinstance(value, list):
        raise ConfigError(f"{name}: {value!r} must be a list, as [0, 1]")
    return value


def _table(tree: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = tree.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{name}: {value!r} must be a table, in braces")
    return value


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name}: {value!r} must be a whole number")
    return value


def _flag(tree: Mapping[str, Any], name: str) -> bool:
    value = tree.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{name}: {value!r} must be true or false")
    return value
