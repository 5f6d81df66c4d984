"""How each trade of a run went, from the decision to enter to the last fill of its exit.

A trade is a position from flat to flat and names no orders. Its entry is the order of its side
whose first fill is the trade's, its exit the order of the other side whose last fill is.

What the market moved until an order arrived is told by the price it met there. Of a simulated
market fill that is known, for what the fill lost is a setting: it is the price before that
slippage. Of a real one the mid when the order left is known, and the rest belongs to the fill.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np

from dhanfast._core.types import OrderFlag, OrderKind
from dhanfast.reports.result import RunResult

MILLION: Final = 1_000_000
SLIPPED: Final = frozenset({int(OrderKind.MARKET), int(OrderKind.SLM)})


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a trade.

    Units:
        price: paise a unit, exact. times: UTC ns. decision: paise; None when not known.
        mid: of the market that was seen when the order left. met: what a simulated fill met before
        its slippage, at the exchange. None where there is none.
    """

    price: Fraction
    filled_ns: int
    decided_ns: int
    decision: int | None
    mid: Fraction | None
    met: Fraction | None


@dataclass(frozen=True, slots=True)
class Way:
    """One trade.

    Attributes:
        at_ns: when its entry was decided; when it filled, where that is not known.
        key: of the contract. gross: paise. reason: a `Reason`, of the exit.
    """

    key: tuple[int, str]
    side: int
    at_ns: int
    qty: int
    gross: Fraction
    reason: int
    entry: Side
    exit: Side


def ways_of(run: RunResult) -> list[Way]:
    """How each trade of a run went, in the order of its trades."""
    entries, exits = _orders_by_fill(run)
    tick = tick_of(run)
    found = []
    for trade in run.trades:
        qty, side = int(trade["qty"]), int(trade["side"])
        place = int(trade["instrument"])
        came = entries.get((place, side, int(trade["entry_ns"])))
        left = exits.get((place, -side, int(trade["exit_ns"])))
        bought = Fraction(int(trade["entry_value"]), max(1, qty))
        sold = Fraction(int(trade["exit_value"]), max(1, qty))
        entry = _side(run, came, bought, int(trade["entry_ns"]), tick)
        leave = _side(run, left, sold, int(trade["exit_ns"]), tick)
        name = run.contracts.get(int(trade["instrument"]), "")
        found.append(Way(
            (int(trade["contract"]), name), side, entry.decided_ns, qty,
            Fraction(int(trade["gross"])), int(trade["exit_reason"]), entry, leave,
        ))  # fmt: skip
    return found


def _orders_by_fill(run: RunResult) -> tuple[dict[Any, int], dict[Any, int]]:
    """Rows of orders: entries by (instrument, side, first fill), exits by their last fill."""
    entries: dict[Any, int] = {}
    exits: dict[Any, int] = {}
    if run.passages is None:
        return entries, exits
    for row, (order, passage) in enumerate(zip(run.orders, run.passages, strict=True)):
        if order["filled"] == 0:
            continue
        if int(order["flags"]) & int(OrderFlag.EXIT):
            exits[_place(order, int(passage["last_fill_ns"]))] = row
        else:
            entries.setdefault(_place(order, int(passage["first_fill_ns"])), row)
    return entries, exits


def _place(order: Any, filled_ns: int) -> tuple[int, int, int]:
    return int(order["instrument"]), int(order["side"]), filled_ns


def tick_of(run: RunResult) -> int | None:
    """The tick in paise, by what all prices of the run's orders are multiples of; None = no price.

    Stops and targets are on their ticks wherever the market was, so that a handful tells it.
    """
    prices = np.concatenate((run.orders["price"], run.orders["trigger"]))
    prices = prices[prices > 0]
    return int(np.gcd.reduce(prices)) if len(prices) > 1 else None


def _side(
    run: RunResult, row: int | None, price: Fraction, filled_ns: int, tick: int | None
) -> Side:
    if row is None or run.passages is None:
        return Side(price, filled_ns, filled_ns, None, None, None)
    order, passage = run.orders[row], run.passages[row]
    decision = int(passage["decision"]) or None
    bid, ask = int(passage["bid"]), int(passage["ask"])
    mid = Fraction(bid + ask, 2) if 0 < bid <= ask else None
    met: Fraction | None = None
    if int(order["kind"]) in SLIPPED and not int(order["flags"]) & int(OrderFlag.STOP):
        met = unslipped(price, int(order["side"]), run.config.get("slippage"), tick)
    return Side(price, filled_ns, int(passage["decided_ns"]) or filled_ns, decision, mid, met)


def unslipped(price: Fraction, side: int, slippage: Any, tick: int | None) -> Fraction | None:
    """What a simulated market fill met before its slippage; None when that is not known.

    Args:
        price: paise. side: +1 bought, -1 sold. slippage: as the result's config has it.
        tick: paise, of the contract; None = not known.
    """
    if not isinstance(slippage, dict) or slippage.get("measured"):
        return None
    ticks = int(slippage.get("ticks", 0))
    if ticks and tick is None:
        return None
    lost = ticks * (tick or 0) + int(slippage.get("paise", 0))
    rate = int(slippage.get("rate_e6", 0))
    if rate:
        return price * MILLION / (MILLION + side * rate)
    return price - side * lost
