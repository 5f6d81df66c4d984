"""Implementation shortfall of ways to execute one order, on generated books.

A parent order arrives at a random time and is given to every way in turn, each on its own copy of
the same market: the ticks and the 20-level book of one contract, matched by the native exchange
(`_core.match`: price and time priority, queue by what is displayed, latency). What a way costs is

    shortfall = side x (value of its fills + what is left at the price that would have to be paid
                        for it at the end - quantity x arrival mid)

so what does not fill is not free: the rest pays the other side's best when the time is over.
The book does not answer to the order: what it takes is back with the next message. Large orders
cost more in a real market, whichever way; see `docs/reference/order-routing.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast._core.execution.worker import Worker
from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.types import (
    BAR_DTYPE,
    DepthFlag,
    DepthOp,
    OrderFlag,
    OrderKind,
    ReportKind,
    Side,
)
from dhanfast.engine.route_settings import RouteSettings
from dhanfast.market.tickday import tick_day

SECOND = 1_000_000_000
HORIZON_NS = 60 * SECOND
GRACE_NS = 5 * SECOND  # after the deadline: what is on its way arrives
LATENCY_NS = 20_000_000
LEVELS = 20
BROKERAGE = 2_360  # paise an executed order: 20 rupees and 18 % of tax
MINUTE = 60 * SECOND
SWING_BARS = 20  # of a minute, before the parent: what measures volatility
ORDER_ID = 1_000
PASSIVE, NORMAL, URGENT = 0, 1, 2  # execution.style
USUAL: Final = RouteSettings()


@dataclass(frozen=True)
class Contract:
    """One contract of one generated day: its ticks, and the book after each.

    Shape:
        ticks: TICK_DTYPE[n]; bars: BAR_DTYPE of the quote's middle, `bar_ns` each; bids[i] and
        asks[i]: int64[k, 2], price and quantity, best first.
    """

    symbol: str
    lot: int
    tick: int
    ticks: NDArray[Any]
    bars: NDArray[Any]
    bids: list[NDArray[np.int64]]
    asks: list[NDArray[np.int64]]
    bar_ns: int = MINUTE
    head_ns: int = 20 * MINUTE  # no parent begins before this, counted from the first record,
    tail_ns: int = 20 * MINUTE  # nor after this, counted back from the last
    freeze: int = 600  # largest order, units
    unit: float = 1.0  # of what prices are for: a Bitcoin's thousandth


@dataclass(frozen=True)
class Parent:
    """One order to be executed: decided on the record `at`."""

    contract: Contract
    at: int
    side: int
    qty: int


@dataclass(frozen=True)
class Outcome:
    """What one way made of one parent.

    Units:
        paise and units; `cost` is of the whole parent, `missed` the part of it for what was left.
    """

    mid2: int  # twice the arrival mid: exact
    qty: int
    filled: int
    cost: int  # twice the shortfall, paise: exact
    missed: int  # twice
    orders: int  # that filled, in whole or in part
    seconds: float  # to its last fill
    unit: float = 1.0  # of the contract


# ---- the market ---------------------------------------------------------------------------------


def contract_of(symbol: str, day: date, seed: int, kind: str, ticks: int | None = None) -> Contract:
    """The future, or the call at the money, of one generated day.

    Args:
        kind: FUT or CE. ticks: records of the whole day; None: as many as a feed delivers.
    """
    plan = tick_day(symbol, day, seed=seed, strikes=1 if kind == "CE" else 0)
    chosen = next(one for one in plan.instruments if one.kind == kind)
    stream = tick_day(
        symbol, day, seed=seed, strikes=1 if kind == "CE" else 0, instruments=[chosen.symbol],
        depth_levels=LEVELS, ticks=ticks,
    )  # fmt: skip
    batches = list(stream)
    rows = np.concatenate([batch.ticks for batch in batches])
    depth = np.concatenate([batch.depth for batch in batches])
    rows["instrument"] = 0
    books = list(_books(rows["recv_ns"], depth))
    return Contract(chosen.symbol, chosen.lot, chosen.tick, rows, bars_of(rows, MINUTE),
                    [one[0] for one in books], [one[1] for one in books])  # fmt: skip


def bars_of(ticks: NDArray[Any], bar_ns: int) -> NDArray[Any]:
    """Bars of the quote's middle, rounded down to the paisa; only where there is a quote."""
    quoted = ticks[(ticks["bid"] > 0) & (ticks["ask"] > 0)]
    mid = (quoted["bid"] + quoted["ask"]) // 2
    number = quoted["recv_ns"] // bar_ns
    begins = np.flatnonzero(np.diff(number, prepend=number[0] - 1))
    bars = np.zeros(len(begins), BAR_DTYPE)
    bars["start_ns"] = number[begins] * bar_ns
    bars["open"], bars["close"] = mid[begins], mid[np.append(begins[1:], len(mid)) - 1]
    bars["high"] = np.maximum.reduceat(mid, begins)
    bars["low"] = np.minimum.reduceat(mid, begins)
    return bars


def _books(times: NDArray[np.int64], depth: NDArray[Any]) -> Iterator[tuple[Any, Any]]:
    """Both sides after each record; a message carries the clock of its tick."""
    sides: dict[int, dict[int, int]] = {int(Side.BUY): {}, int(Side.SELL): {}}
    tables = [np.empty((0, 2), np.int64)] * 2
    at, stale = 0, True
    clock = depth["recv_ns"].tolist()
    fields = list(zip(depth["side"].tolist(), depth["op"].tolist(), depth["price"].tolist(),
                      depth["qty"].tolist(), depth["flags"].tolist(), strict=True))  # fmt: skip
    for now in times.tolist():
        while at < len(clock) and clock[at] <= now:
            side, what, price, qty, flags = fields[at]
            if what == DepthOp.CLEAR:
                sides[side].clear()
            elif qty:
                sides[side][price] = qty
            else:
                sides[side].pop(price, None)
            stale = stale or bool(flags & DepthFlag.LAST)
            at += 1
        if stale:
            tables = [_best_first(sides[int(Side.BUY)], -1), _best_first(sides[int(Side.SELL)], 1)]
            stale = False
        yield tables[0], tables[1]


def _best_first(levels: dict[int, int], way: int) -> NDArray[np.int64]:
    ranked = sorted(levels.items(), key=lambda level: way * level[0])[:LEVELS]
    return np.array(ranked, np.int64).reshape(-1, 2)


def parents_of(contract: Contract, count: int, seed: int) -> list[Parent]:
    """`count` orders at random times, of half to eight times what is displayed at the best."""
    rng = np.random.default_rng(seed)
    clock = contract.ticks["recv_ns"]
    first, last = clock[0] + contract.head_ns, clock[-1] - contract.tail_ns
    shown = float(np.median([book[0, 1] for book in contract.asks if len(book)]))
    made = []
    for moment in np.sort(rng.integers(first, last, count)):
        at = int(np.searchsorted(clock, moment, side="right")) - 1
        while not (len(contract.bids[at]) and len(contract.asks[at])):
            at += 1
        wanted = shown * math.exp(rng.uniform(math.log(0.5), math.log(8.0)))
        lots = max(1, min(round(wanted / contract.lot), contract.freeze // contract.lot))
        side = int(Side.BUY) if rng.random() < 0.5 else int(Side.SELL)
        made.append(Parent(contract, at, side, lots * contract.lot))
    return made


# ---- ways ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """One way to execute: the rules of a worker, or none for a naive market order."""

    name: str
    said: str
    rules: Callable[[Parent], dict[str, Any]] | None


def _worked(
    algo: Algo,
    style: int,
    route: RouteSettings = USUAL,
    remainder: Remainder = Remainder.REPRICE,
) -> Callable[[Parent], dict[str, Any]]:
    def rules(parent: Parent) -> dict[str, Any]:
        lots = parent.qty // parent.contract.lot
        return {"algo": int(algo), "urgency": style, "remainder": int(remainder),
                "horizon_ns": HORIZON_NS, "interval_ns": 10 * SECOND, "reprice_ns": SECOND,
                "display_lots": max(1, lots // 5), "seed": 1, "route": route.rules()}  # fmt: skip

    return rules


MID_ONLY: Final = RouteSettings(tight_ticks=0, tight_e6=0, swing=0.0)
NEVER_TAKES: Final = RouteSettings(entry_cross=False)
WAYS: Final = (
    Way("market", "one market order, protected: what is naive", None),
    Way("limit", "one marketable limit, protected", _worked(Algo.SLICE, URGENT)),
    Way("join", "joins its own side, follows it, and takes after 5 s",
        _worked(Algo.SLICE, PASSIVE)),
    Way("mid", "pegs to the mid, and takes after 5 s", _worked(Algo.SLICE, NORMAL, MID_ONLY)),
    Way("smart", "the rules choose: takes at once, or mid and takes after 5 s",
        _worked(Algo.SLICE, NORMAL)),
    Way("twap", "six slices in 60 s, each routed like smart", _worked(Algo.TWAP, NORMAL)),
    Way("iceberg", "a fifth at a time, each routed like smart", _worked(Algo.ICEBERG, NORMAL)),
    Way("passive", "joins its own side for 60 s, and is then cancelled",
        _worked(Algo.SLICE, PASSIVE, NEVER_TAKES, Remainder.CANCEL)),
)  # fmt: skip


class _Floor:
    """One exchange, one way, one parent."""

    def __init__(self, way: Way, parent: Parent) -> None:
        contract = parent.contract
        clock = contract.ticks["recv_ns"]
        self.session = {
            "open_ns": int(clock[0]), "close_ns": int(clock[-1]) + HORIZON_NS, "lot": contract.lot,
            "tick": contract.tick, "date": 20251117,
        }  # fmt: skip
        self.gate = Gate(instruments=1)
        self.match = Match(self.gate, latency_ns=LATENCY_NS, protection_slab=True, depth_only=True)
        self.worker = None
        if way.rules is None:
            self.match.start_session(0, self.session)
        else:
            self.worker = Worker(self.match, self.gate, **way.rules(parent))
            self.worker.start_session(self.session)
            now = int(clock[parent.at])
            known = contract.bars[contract.bars["start_ns"] + contract.bar_ns <= now][-SWING_BARS:]
            for bar in known:
                self.worker.on_signal_bar(bar, contract.bar_ns)
        self.contract = contract
        self.fills: list[tuple[int, int, int, int]] = []  # time, price, quantity, order
        self.done = False

    def show(self, at: int) -> None:
        """The record `at`: its trade, then its book; then whoever waits for time."""
        contract, now = self.contract, int(self.contract.ticks["recv_ns"][at])
        if self.worker is None:
            self.match.on_ticks(contract.ticks[at : at + 1])
        else:
            self.worker.on_ticks(contract.ticks[at : at + 1])
        self.match.on_depth(0, contract.bids[at], contract.asks[at], now)
        self.hear(now)

    def hear(self, now: int) -> None:
        if self.worker is not None:
            self.worker.wake_up(now)
        rows = self.match.reports() if self.worker is None else self.worker.take_reports()
        for row in rows:
            child = int(row["order_id"]) + (0 if self.worker is None else _child(row["spare"]))
            if row["kind"] == ReportKind.FILLED:
                self.fills.append((int(row["time_ns"]), int(row["price"]), int(row["qty"]), child))
            if row["kind"] != ReportKind.ACCEPTED and row["left"] == 0:
                self.done = True

    def send(self, parent: Parent, mark: int, now: int) -> None:
        order = {"id": ORDER_ID, "qty": parent.qty, "side": parent.side, "created_ns": now,
                 "kind": OrderKind.MARKET,
                 "flags": 0 if self.worker is None else OrderFlag.WORKED}  # fmt: skip
        approved = self.gate.check(order, mark=mark, session=self.session, now_ns=now)
        door = self.match if self.worker is None else self.worker
        door.submit_order(approved, now)


def _child(spare: Any) -> int:
    return int(spare[0]) | int(spare[1]) << 8 | int(spare[2]) << 16


def executed(way: Way, parent: Parent) -> Outcome:
    """One way's outcome for one parent; the same every time."""
    contract, floor = parent.contract, _Floor(way, parent)
    start = int(contract.ticks["recv_ns"][parent.at])
    floor.show(parent.at)
    bid, ask = int(contract.bids[parent.at][0, 0]), int(contract.asks[parent.at][0, 0])
    floor.send(parent, (bid + ask) // 2, start)
    at = parent.at
    end = start + HORIZON_NS + GRACE_NS
    while (
        not floor.done
        and at + 1 < len(contract.ticks)
        and int(contract.ticks["recv_ns"][at + 1]) <= end
    ):
        at += 1
        floor.show(at)
    filled = sum(qty for _, _, qty, _ in floor.fills)
    value = sum(price * qty for _, price, qty, _ in floor.fills)
    left = parent.qty - filled
    far = contract.asks[at] if parent.side > 0 else contract.bids[at]
    rest = int(far[0, 0]) if len(far) else int(contract.ticks["price"][at])
    missed = parent.side * left * (2 * rest - (bid + ask))
    cost = parent.side * (2 * value - filled * (bid + ask)) + missed
    last = max((when for when, _, _, _ in floor.fills), default=end)
    return Outcome(
        bid + ask,
        parent.qty,
        filled,
        cost,
        missed,
        len({child for _, _, _, child in floor.fills}),
        (last - start) / SECOND,
        contract.unit,
    )


# ---- figures ------------------------------------------------------------------------------------


def summary(outcomes: list[Outcome], market: list[Outcome]) -> dict[str, float]:
    """Figures of one way over all parents; `market` are the naive orders for the same parents.

    Units:
        bps of the arrival mid; points are rupees a unit; rupees of the whole parent. `_se` is the
        standard error of the mean: deviation by the root of the number of parents; that of
        `saved_bps` is of the differences, parent by parent.
    """
    scale = np.array([one.qty * one.mid2 for one in outcomes], np.float64)
    units = np.array([one.qty for one in outcomes], np.float64)
    cost = np.array([one.cost for one in outcomes], np.float64)
    seconds = np.array([one.seconds for one in outcomes])
    found: dict[str, float] = {"parents": len(outcomes)}
    for name, values in (
        ("bps", 1e4 * cost / scale),
        ("points", cost / (200 * units)),
        ("rupees", cost / 200 * outcomes[0].unit),
        ("saved_bps", 1e4 * (np.array([one.cost for one in market]) - cost) / scale),
    ):
        found[f"{name}_mean"] = float(values.mean())
        found[f"{name}_se"] = float(values.std(ddof=1)) / math.sqrt(len(values))
        found[f"{name}_median"] = float(np.median(values))
        found[f"{name}_p95"] = float(np.percentile(values, 95))
    orders = float(np.mean([one.orders for one in outcomes]))
    return found | {
        "filled": sum(one.filled for one in outcomes) / sum(one.qty for one in outcomes),
        "whole": float(np.mean([one.filled == one.qty for one in outcomes])),
        "missed_bps": float(np.mean([1e4 * one.missed for one in outcomes] / scale)),
        "orders": orders,
        "brokerage_rupees": orders * BROKERAGE / 100,
        "seconds_mean": float(seconds.mean()),
        "seconds_median": float(np.median(seconds)),
    }


def study(
    kind: str,
    count: int,
    markets: int,
    *,
    day: date = date(2025, 11, 17),
    symbol: str = "BANKNIFTY",
    ticks: int | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> dict[str, dict[str, float]]:
    """`count` parents over `markets` generated days (seeds 1, 2, ...), every way for each.

    Args:
        kind: FUT or CE. told: called with a line of progress now and then.
    """
    outcomes: dict[str, list[Outcome]] = {way.name: [] for way in WAYS}
    for seed in range(1, markets + 1):
        contract = contract_of(symbol, day, seed, kind, ticks)
        share = count * seed // markets - count * (seed - 1) // markets
        execute_all(parents_of(contract, share, seed), outcomes)
        told(f"{contract.symbol}, market {seed} of {markets}: {len(outcomes['market'])} parents")
    return summaries(outcomes)


def execute_all(parents: list[Parent], outcomes: dict[str, list[Outcome]]) -> None:
    """Every way for each parent, onto the lists of `outcomes`."""
    for parent in parents:
        for way in WAYS:
            outcomes[way.name].append(executed(way, parent))


def summaries(outcomes: dict[str, list[Outcome]]) -> dict[str, dict[str, float]]:
    """`summary` of each way, against the naive one."""
    return {name: summary(found, outcomes["market"]) for name, found in outcomes.items()}
