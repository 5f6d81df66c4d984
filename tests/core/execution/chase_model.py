"""An order under way as the page says it, over the model of routes."""

from dataclasses import dataclass
from typing import Any

from dhanfast._core.execution.route import RouteStyle as S
from tests.core.execution.route_model import RULES, entry, leave, market_of, price

KEEP, CHANGE, GIVE_UP = 0, 1, 2


@dataclass
class PlainChase:
    """Keeps what it said, when, and in answer to which market."""

    rules: dict[str, Any]
    side: int
    urgency: int
    leaves: bool
    since: int

    def __post_init__(self) -> None:
        self.rules = {**RULES, **self.rules}
        self.style = S.NOTHING
        self.style_since = self.since
        self.said = 0
        self.near = 0
        self.cap: int | None = None
        self.said_at = self.since
        self.followed = 0

    def step(self, view: dict[str, Any], qty: int, now: int) -> tuple[int, int, S]:
        own = "bid" if self.side > 0 else "ask"
        if self.said and self.near and view.get(own, 0) == self.said:
            view = {**view, own: self.near}  # that is this order itself
        market = market_of(view, self.side, self.rules)
        age = now - self.since
        if self.leaves:
            wanted, style, _ = leave(market, qty, self.urgency, age)
            if style == self.style and self.must_press(market, now):
                style = S(self.style + 1)
        else:
            wanted, style, _ = entry(market, qty, self.urgency, age)
            if self.patience_is_over(now):
                return GIVE_UP, wanted, style
        if not (market.near or market.far or market.last):
            return KEEP, self.said, self.style
        style = max(style, self.style)
        wanted = self.capped(price(market, style), market)
        if style != self.style:
            changed = wanted != self.said
            self.style, self.style_since, self.followed = style, now, 0
            if changed:
                return self.say(wanted, market.near, now)
            return KEEP, self.said, style
        if self.serves(market, wanted):
            return KEEP, self.said, style
        if not self.leaves and self.followed >= self.rules["reprices_max"]:
            return KEEP, self.said, style
        if now < self.said_at + self.rules["interval_ns"]:
            return KEEP, self.said, style
        self.followed += 1
        return self.say(wanted, market.near, now)

    def say(self, wanted: int, near: int, now: int) -> tuple[int, int, S]:
        self.said, self.said_at, self.near = wanted, now, near
        return CHANGE, wanted, self.style

    def capped(self, wanted: int, market: Any) -> int:
        if self.leaves:
            return wanted
        if self.cap is None:
            self.cap = price(market, S.CROSS)
        return min(wanted, self.cap) if self.side > 0 else max(wanted, self.cap)

    def serves(self, market: Any, wanted: int) -> bool:
        """A price that waits is right or wrong; one that takes serves until it is passed."""
        if wanted == self.said:
            return True
        passed = (market.taken - self.said) * self.side > 0
        return self.style in (S.CROSS, S.WIDE) and not passed

    def must_press(self, market: Any, now: int) -> bool:
        return (
            S.JOIN <= self.style < S.BAND
            and self.followed >= self.rules["reprices_max"]
            and now >= self.said_at + self.rules["interval_ns"]
            and not self.serves(market, price(market, self.style))
        )

    def patience_is_over(self, now: int) -> bool:
        if self.style >= S.CROSS:
            return now - self.style_since >= self.rules["patience_ns"]
        times = 2 if self.rules["entry_cross"] else 1
        return now - self.since >= times * self.rules["patience_ns"]
