"""Routing as the page says it: a table read from the top, prices in exact fractions.

Written for reading. Nothing of the native code is used but the numbers of its enums.
"""

from dataclasses import dataclass, field
from fractions import Fraction as F
from typing import Any

from dhanfast._core.execution.route import RouteStyle as S
from dhanfast._core.execution.route import RouteWhy as W

SLABS = ((1000, 500), (10_000, 300), (50_000, 200), (0, 100))
RULES: dict[str, Any] = {
    "swing": 4.0, "future_e4": 100, "wide_e4": 20_000, "tight_ticks": 2,
    "tight_e6": 100, "loose_e6": 20_000, "share_e4": 10_000, "interval_ns": 10**9,
    "reprices_max": 3, "patience_ns": 5 * 10**9, "join_ns": 2 * 10**9, "mid_ns": 2 * 10**9,
    "cross_ns": 2 * 10**9, "wide_ns": 2 * 10**9, "option": True, "ioc": False,
    "entry_cross": True, "slabs": SLABS,
}  # fmt: skip


@dataclass
class Market:
    """One side's view: `near` is the own side's best, `far` the other's."""

    near: int
    far: int
    last: int
    far_qty: int
    volatility: float
    tick: int
    low: int
    high: int
    side: int
    rules: dict[str, Any] = field(default_factory=lambda: dict(RULES))

    def grid(self, price: F) -> int:
        """Down for a buy, up for a sell, inside the range; one tick at least."""
        steps = F(max(price, F(self.tick)), self.tick)
        whole = steps.numerator // steps.denominator
        if self.side < 0 and whole != steps:
            whole += 1
        value = whole * self.tick
        if self.high and value > self.high:
            value = self.high // self.tick * self.tick
        if self.low and value < self.low:
            value = -(-self.low // self.tick) * self.tick
        return value

    def beyond(self, price: int, room: int) -> int:
        return self.grid(F(price + self.side * max(room, self.tick)))

    def room(self, price: int) -> int:
        share = self.rules["future_e4"]
        if self.rules["option"]:
            share = next(e4 for below, e4 in self.rules["slabs"] if price < below or below == 0)
        return int(F(price * share, 10_000))

    @property
    def taken(self) -> int:
        """What an order that takes would pay, as far as anything is known."""
        if self.far:
            return self.far
        known = [price for price in (self.near, self.last) if price]
        return max(known) * 1 if self.side > 0 and known else min(known, default=0)


def market_of(view: dict[str, Any], side: int, rules: dict[str, Any] | None = None) -> Market:
    bid, ask = view.get("bid", 0), view.get("ask", 0)
    return Market(
        bid if side > 0 else ask, ask if side > 0 else bid, view.get("last", 0),
        view.get("ask_qty" if side > 0 else "bid_qty", 0),
        view.get("volatility", 0.0), view["tick"], view.get("band_low", 0),
        view.get("band_high", 0), side, {**RULES, **(rules or {})},
    )  # fmt: skip


def loose(m: Market) -> bool:
    """The spread is more than an entry pays."""
    if not (m.near and m.far and m.rules["loose_e6"]):
        return False
    return F((m.far - m.near) * m.side, m.near + m.far) * 2 > F(m.rules["loose_e6"], 10**6)


def decide(m: Market, qty: int, urgency: int, leaves: bool) -> tuple[S, W]:
    """The table: the first row that holds."""
    rules, spread, both = m.rules, (m.far - m.near) * m.side, m.near > 0 and m.far > 0
    middle = F(m.near + m.far, 2)
    rows: list[tuple[bool, S, W]] = [
        (not (m.near or m.far or m.last), S.NOTHING, W.NO_MARKET),
        (not (m.near or m.far), S.CROSS, W.CROSS_LAST),
        (not m.far and urgency >= 2 and leaves, S.CROSS, W.CROSS_URGENT),
        (not m.far, S.JOIN, W.JOIN_EMPTY),
        (urgency == 3, S.WIDE if leaves else S.CROSS, W.CROSS_URGENT),
        (urgency == 0, S.JOIN, W.JOIN_PASSIVE),
        (not leaves and loose(m), S.MID, W.MID_WIDE),
        (urgency == 2, S.CROSS, W.CROSS_URGENT),
        (not m.near, S.MID, W.MID_SPREAD),
    ]  # fmt: skip
    if both:
        fits = not m.far_qty or qty <= m.far_qty * rules["share_e4"] // 10_000
        tight = spread <= rules["tight_ticks"] * m.tick or F(spread) <= middle * F(
            rules["tight_e6"], 10**6
        )
        move = F(m.volatility) ** 2 * F(rules["patience_ns"], 10**9)
        bound = F(0.005 * spread * rules["swing"]) ** 2
        volatile = rules["swing"] > 0 and m.volatility > 0 and move > bound
        rows += [
            (not fits, S.MID, W.MID_THIN),
            (tight, S.CROSS, W.CROSS_TIGHT),
            (volatile, S.CROSS, W.CROSS_VOLATILE),
            (True, S.MID, W.MID_SPREAD),
        ]
    return next((style, why) for holds, style, why in rows if holds)


def price(m: Market, style: S) -> int:
    """Where a style stands."""
    room = m.room(m.taken)
    wide = F(m.rules["wide_e4"], 10_000)
    if style in (S.JOIN, S.MID):
        if not m.near:
            return m.grid(F(m.far - m.side * m.tick))
        crossed = m.far > 0 and (m.far - m.near) * m.side < m.tick
        if style == S.MID and m.far and (m.far - m.near) * m.side > 0:
            return m.grid(F(m.near + m.far, 2))
        return m.grid(F(m.far - m.side * m.tick if crossed else m.near))
    if style == S.CROSS:
        return m.beyond(m.taken, room)
    if style == S.WIDE:
        return m.beyond(m.taken, int(room * wide))
    end = m.high if m.side > 0 else m.low
    return m.grid(F(end)) if end else m.beyond(m.taken, int(int(room * wide) * wide))


def entry(m: Market, qty: int, urgency: int, age_ns: int) -> tuple[int, S, W]:
    style, why = decide(m, qty, urgency, False)
    waits = style in (S.JOIN, S.MID) and why != W.JOIN_EMPTY and not loose(m)
    if waits and m.rules["entry_cross"] and age_ns >= m.rules["patience_ns"]:
        style, why = S.CROSS, W.CROSS_PATIENCE
    return (0 if style == S.NOTHING else price(m, style)), style, why


def rung(rules: dict[str, Any], urgency: int, age_ns: int) -> S:
    """The ladder is one list of times; the more urgent, the more of its start is left out."""
    ladder = [(S.JOIN, "join_ns"), (S.MID, "mid_ns"), (S.CROSS, "cross_ns"), (S.WIDE, "wide_ns")]
    for style, name in ladder[urgency:]:
        if age_ns < rules[name]:
            return style
        age_ns -= rules[name]
    return S.BAND


def leave(m: Market, qty: int, urgency: int, age_ns: int) -> tuple[int, S, W]:
    style, why = decide(m, qty, urgency, True)
    if style == S.NOTHING:
        return 0, style, why
    high = rung(m.rules, urgency, age_ns)
    if high > style:
        style, why = high, W[f"LADDER_{high.name}"]
    return price(m, style), style, why
