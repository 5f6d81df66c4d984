"""What orders cost against the price they were decided on: implementation shortfall, taken apart.

    total     = side x (filled value - decision x filled)      what the decision's price became
    delay     = side x (arrival mid - decision) x filled        until the order was in the market
    execution = side x (filled value - arrival mid x filled)    what the market then took
    total     = delay + execution, to the half paisa

A positive figure is a cost. Where the market at the arrival is not known (bars, a feed without
quotes, targets) all of the total is execution. What an entry did not fill is counted apart, at the
mark when it ended: opportunity = side x (mark - decision) x units not filled. An exit that did not
fill is followed by another one, whose total counts from the first decision.

What "decision" is for each kind of order, and when a stop arrives: `_core/runlog.pxd`. Worked
examples: docs/reference/slippage.md.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.execution.route import RouteWhy
from dhanfast._core.types import OrderFlag, OrderKind
from dhanfast.errors import UsageError
from dhanfast.reports import figures
from dhanfast.reports.result import RunResult

KIND_NAMES: Final = {int(kind): kind.name.lower() for kind in OrderKind}
ROUTE_NAMES: Final = {int(why): why.name.lower() for why in RouteWhy}
DIMENSIONS: Final = (
    "strategy", "symbol", "date", "hour", "strike", "type", "reason", "route", "side",
)  # fmt: skip
UNKNOWN: Final = -(2**62)  # of `strike`: no strike, or the level was not known
STRIKE_EDGES_E4: Final = (-200, -100, -50, 50, 100, 200)  # of distance out of the money, 1e-4

# One order that left or filled. Money counts half paise, because a mid may lie between two.
COST_DTYPE: Final = np.dtype([
    ("id", "<u8"), ("decided_ns", "<i8"), ("qty", "<i8"), ("filled", "<i8"), ("decision", "<i8"),
    ("total2", "<i8"), ("delay2", "<i8"), ("execution2", "<i8"), ("opportunity", "<i8"),
    ("strike", "<i8"), ("strategy", "<u2"), ("symbol", "<u2"), ("side", "i1"), ("kind", "u1"),
    ("reason", "u1"), ("route", "u1"), ("flags", "u1"), ("arrived", "?"), ("measured", "?"),
])  # fmt: skip


@dataclass(frozen=True)
class Costs:
    """What each order of one or several runs cost.

    Attributes:
        rows: COST_DTYPE. strategies, symbols: what `strategy` and `symbol` of a row number.
        options: whether what was traded has strikes.
    """

    rows: NDArray[Any]
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    options: bool = False

    @property
    def measured(self) -> NDArray[Any]:
        """The rows that filled and whose decision's price is known."""
        kept: NDArray[Any] = self.rows[self.rows["measured"]]
        return kept


@dataclass(frozen=True)
class Slip:
    """Orders that share something, and what they cost; positive = cost.

    Units:
        mean, median, p95: of the orders' costs a unit, points (rupees); weighted: by units filled.
        bps: total of all by their value at the decision, 1e-4. total, delay, execution,
        opportunity: paise, halves possible. None where nothing filled.
    """

    name: str
    orders: int  # that filled, and whose decision's price is known
    units: int
    arrived: int  # of them with a known market at arrival
    mean: float | None
    median: float | None
    p95: float | None
    weighted: float | None
    bps: float | None
    total: float
    delay: float
    execution: float
    unfilled: int  # entries that left and did not fill wholly
    unfilled_units: int
    opportunity: float


def strike_of(traded: str) -> tuple[int, int] | None:
    """The strike in paise and +1 for a call, -1 for a put; None for what has no strike.

    Args:
        traded: the contract as results name it: "NIFTY-Jul2026-25000-CE", "NIFTY 25000 CE".
    """
    found = re.search(r"[\s-](\d+(?:\.\d{1,2})?)[\s-](CE|PE)$", traded.strip())
    if found is None:
        return None
    return round(float(found[1]) * 100), 1 if found[2] == "CE" else -1


def costs_of(
    orders: NDArray[Any], passages: NDArray[Any], *, strategy: str, symbol: str, traded: str = ""
) -> Costs:
    """Work out what each order cost.

    Args:
        orders: ORDER_ROW_DTYPE. passages: PASSAGE_DTYPE, one an order, in the same place.
        strategy, symbol: whose they are. traded: the contract; its strike is read from its name.
    Shape:
        one row an order that left or filled; those that the gate refused never did.
    Raises:
        ValueError: the two are not of the same orders.
    """
    if len(orders) != len(passages) or (orders["id"] != passages["id"]).any():
        raise ValueError(
            f"{len(orders)} orders and {len(passages)} passages are not of the same orders"
        )
    left = (passages["sent_ns"] > 0) | (orders["filled"] > 0)
    orders, passages = orders[left], passages[left]
    rows = np.zeros(len(orders), COST_DTYPE)
    for name in ("id", "qty", "filled", "side", "kind", "reason", "flags"):
        rows[name] = orders[name]
    for name in ("decided_ns", "decision", "route"):
        rows[name] = passages[name]
    filled, side = orders["filled"], orders["side"].astype(np.int64)
    decision = passages["decision"]
    rows["measured"] = (filled > 0) & (decision > 0)
    quoted = (passages["bid"] > 0) & (passages["ask"] >= passages["bid"])
    rows["arrived"] = arrived = rows["measured"] & quoted
    total2 = np.where(rows["measured"], 2 * side * (orders["value"] - decision * filled), 0)
    mid2 = passages["bid"] + passages["ask"]
    delay2 = np.where(arrived, side * (mid2 - 2 * decision) * filled, 0)
    rows["total2"], rows["delay2"], rows["execution2"] = total2, delay2, total2 - delay2
    short = orders["qty"] - filled
    entry = (orders["flags"] & int(OrderFlag.EXIT)) == 0
    missed = entry & (short > 0) & (decision > 0) & (passages["end_mark"] > 0)
    rows["opportunity"] = np.where(missed, side * (passages["end_mark"] - decision) * short, 0)
    strike = strike_of(traded)
    rows["strike"] = UNKNOWN if strike is None else _distance(passages["signal"], *strike)
    return Costs(rows, (strategy,), (symbol,), strike is not None)


def _distance(level: NDArray[np.int64], strike: int, call: int) -> NDArray[np.int64]:
    """How far out of the money the strike was, 1e-4 of the level; UNKNOWN where that was not."""
    safe = np.where(level > 0, level, 1)
    away = np.floor(call * (strike - level) * 10_000 / safe + 0.5).astype(np.int64)
    return np.where(level > 0, away, UNKNOWN)


def run_costs(result: RunResult) -> Costs | None:
    """What the orders of a run cost; None when it was written before that was kept."""
    if result.passages is None:
        return None
    if not result.contracts:
        return costs_of(
            result.orders,
            result.passages,
            strategy=result.strategy,
            symbol=result.symbol,
            traded=result.traded,
        )
    parts = [
        costs_of(orders, passages, strategy=result.strategy, symbol=result.symbol, traded=name)
        for name, orders, passages in by_contract(result)
    ]
    whole = joined(parts)
    order = np.argsort(whole.rows["id"], kind="stable")
    return Costs(whole.rows[order], whole.strategies, whole.symbols, whole.options)


def by_contract(result: RunResult) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """The orders of a run of several contracts, contract by contract.

    Returns:
        (its name, orders, passages) each, without contracts that had none.
    """
    assert result.passages is not None and result.contracts
    found = []
    for number, name in sorted(result.contracts.items()):
        mine = result.orders["instrument"] == number
        if mine.any():
            found.append((name, result.orders[mine], result.passages[mine]))
    return found


def joined(parts: Sequence[Costs]) -> Costs:
    """Several runs' costs as one."""
    strategies = tuple(sorted({name for part in parts for name in part.strategies}))
    symbols = tuple(sorted({name for part in parts for name in part.symbols}))
    rows = [np.zeros(0, COST_DTYPE)]
    for part in parts:
        mine = part.rows.copy()
        for field, all_names, names in (
            ("strategy", strategies, part.strategies),
            ("symbol", symbols, part.symbols),
        ):
            place = np.array([all_names.index(name) for name in names], np.uint16)
            mine[field] = place[part.rows[field]]
        rows.append(mine)
    return Costs(np.concatenate(rows), strategies, symbols, any(part.options for part in parts))


def measure(costs: Costs, rows: NDArray[Any] | None = None, name: str = "all") -> Slip:
    """The figures of some orders.

    Args:
        costs: all of them. rows: the ones to count; None = all. name: what to call them.
    """
    mine = costs.rows if rows is None else rows
    kept = mine[mine["measured"]]
    entries = (mine["flags"] & int(OrderFlag.EXIT)) == 0
    short = mine[entries & (mine["qty"] > mine["filled"])]
    units, total2 = int(kept["filled"].sum()), int(kept["total2"].sum())
    mean = median = p95 = weighted = bps = None
    if len(kept):
        points = points_of(kept)
        mean, median = float(points.mean()), float(np.median(points))
        p95, weighted = float(np.percentile(points, 95)), total2 / 200 / units
        bps = 1e4 * total2 / 2 / int((kept["decision"] * kept["filled"]).sum())
    return Slip(
        name=name,
        orders=len(kept),
        units=units,
        arrived=int(kept["arrived"].sum()),
        mean=mean,
        median=median,
        p95=p95,
        weighted=weighted,
        bps=bps,
        total=total2 / 2,
        delay=int(kept["delay2"].sum()) / 2,
        execution=int(kept["execution2"].sum()) / 2,
        unfilled=len(short),
        unfilled_units=int((short["qty"] - short["filled"]).sum()),
        opportunity=float(int(short["opportunity"].sum())),
    )


def points_of(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Cost a unit of each order that filled, points (rupees)."""
    points: NDArray[np.float64] = rows["total2"] / (200.0 * np.maximum(rows["filled"], 1))
    return points


def model_points(
    orders: NDArray[Any], passages: NDArray[Any], *, quotes: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a simulated fill must lose to lose what these orders did, of each that filled.

    A simulation on bars fills at a price of the tape: what an order lost against the mid, or
    against its decision where the mid was unknown, is missing; a stop's loss counts from its
    trigger. One on ticks fills at the quotes themselves: only what was lost beyond them is missing.

    Args:
        orders, passages: ORDER_ROW_DTYPE and PASSAGE_DTYPE, one an order.
        quotes: the simulation fills at quotes.
    Returns:
        points (rupees a unit) of orders at the market, and of stops. Targets fill at their limit.
    """
    target = (orders["flags"] & int(OrderFlag.TARGET)) != 0
    kept = (orders["filled"] > 0) & (passages["decision"] > 0) & ~target
    orders, passages = orders[kept], passages[kept]
    side, filled = orders["side"].astype(np.int64), orders["filled"]
    stop = (orders["flags"] & int(OrderFlag.STOP)) != 0
    known = (passages["bid"] > 0) & (passages["ask"] >= passages["bid"])
    if quotes:
        from2 = 2 * np.where(side > 0, passages["ask"], passages["bid"])
    else:
        from2 = passages["bid"] + passages["ask"]
        known &= ~stop
    from2 = np.where(known, from2, 2 * passages["decision"])
    points = side * (2 * orders["value"] - from2 * filled) / (200.0 * filled)
    return points[~stop], points[stop]


def dimensions(text: str | Iterable[str]) -> tuple[str, ...]:
    """The dimensions of a `--by`, checked.

    Args:
        text: "hour,reason", or the names.
    Raises:
        UsageError: there is none of a name; the message lists them.
    """
    given = text.split(",") if isinstance(text, str) else text
    names = tuple(dict.fromkeys(name.strip() for name in given if name.strip()))
    for name in names:
        if name not in DIMENSIONS:
            raise UsageError(f"slippage by {name!r}: choose from {', '.join(DIMENSIONS)}")
    if not names:
        raise UsageError(f"slippage by nothing: choose from {', '.join(DIMENSIONS)}")
    return names


def by(costs: Costs, dimension: str) -> list[Slip]:
    """The orders taken apart by one thing; every order is in one group.

    Args:
        dimension: one of DIMENSIONS.
    Raises:
        UsageError: no such dimension, or strikes of what has none.
    """
    (name,) = dimensions([dimension])
    if name == "strike" and not costs.options:
        raise UsageError(
            f"slippage by strike: {', '.join(costs.symbols)} was traded in futures, which have no "
            "strike; leave it out"
        )
    keys, names = _keys(costs, name)
    found = [
        measure(costs, costs.rows[keys == key], names.get(key, f"{name}_{key}"))
        for key in np.unique(keys).tolist()
    ]
    if name in ("type", "reason", "route"):
        found.sort(key=lambda slip: (-slip.orders, slip.name))
    return found


def tables(costs: Costs) -> dict[str, list[Slip]]:
    """By every dimension that tells orders apart but the date, and always by hour, type, reason."""
    found = {}
    for name in DIMENSIONS:
        if name == "date" or (name == "strike" and not costs.options):
            continue  # of a year there are too many dates for a table
        groups = by(costs, name)
        if len(groups) > 1 or name in ("hour", "type", "reason"):
            found[name] = groups
    return found


def _keys(costs: Costs, name: str) -> tuple[NDArray[np.int64], dict[int, str]]:
    """A number for each row, and what it is called."""
    rows = costs.rows
    if name in ("strategy", "symbol"):
        named = costs.strategies if name == "strategy" else costs.symbols
        return rows[name].astype(np.int64), dict(enumerate(named))
    if name == "hour":
        hours = figures.ist_hours(rows["decided_ns"])
        return hours, {hour: f"{hour:02d}:00" for hour in range(24)}
    if name == "date":
        days = figures.ist_days(rows["decided_ns"])
        return days, {day: str(np.datetime64(day, "D")) for day in np.unique(days).tolist()}
    if name == "strike":
        return _strike_keys(rows["strike"])
    codes = rows["kind" if name == "type" else name].astype(np.int64)
    if name == "side":
        return codes, {1: "buy", -1: "sell"}
    named_codes = {"type": KIND_NAMES, "route": ROUTE_NAMES, "reason": figures.REASON_NAMES}
    return codes, named_codes[name]


def _strike_keys(distance: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Steps of distance from the money: those below it are in the money."""
    keys = np.searchsorted(np.array(STRIKE_EDGES_E4), distance, side="right").astype(np.int64)
    keys[distance == UNKNOWN] = -1
    names = {
        -1: "unknown",
        0: "in, over 2 %",
        1: "in, 1 to 2 %",
        2: "in, 0.5 to 1 %",
        3: "at the money",
        4: "out, 0.5 to 1 %",
        5: "out, 1 to 2 %",
        6: "out, over 2 %",
    }
    return keys, names


def as_dict(slip: Slip) -> dict[str, Any]:
    """JSON-able: points a unit, rupees and basis points, positive = cost."""
    out: dict[str, Any] = {"name": slip.name, "orders": slip.orders, "units": slip.units}
    out["arrival_known"] = slip.arrived
    for key in ("mean", "median", "p95", "weighted"):
        value = getattr(slip, key)
        out[f"points_{key}"] = None if value is None else round(value, 6)
    out["bps"] = None if slip.bps is None else round(slip.bps, 4)
    for key in ("total", "delay", "execution"):
        out[f"{key}_rupees"] = getattr(slip, key) / 100
    out["unfilled_orders"], out["unfilled_units"] = slip.unfilled, slip.unfilled_units
    out["opportunity_rupees"] = slip.opportunity / 100
    return out


def summary_of(costs: Costs, names: Sequence[str] | None = None) -> dict[str, Any]:
    """All figures as one JSON-able dict.

    Args:
        names: dimensions to take it apart by; None = as `tables`.
    Raises:
        UsageError: as `by`.
    """
    parts = tables(costs) if names is None else {name: by(costs, name) for name in names}
    filled = costs.rows["filled"] > 0
    return {
        "all": as_dict(measure(costs)),
        "without_decision_price": int((filled & ~costs.rows["measured"]).sum()),
        "by": {name: [as_dict(slip) for slip in slips] for name, slips in parts.items()},
    }
