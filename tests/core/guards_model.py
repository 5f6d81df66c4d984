"""The guards once more, in plain Python with lists and exact fractions: slow, for reading.

Nothing is remembered that can be computed again: windows are searched, ranks are counted, the day's
peak is the largest of the equities told. Only what depends on the order of events is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

NEXT_SESSION = 2**63 - 2
IST = 19_800 * 10**9
DAY = 86_400 * 10**9
REASONS = {
    "operator": "GUARD_LOCKED",
    "drawdown": "GUARD_DRAWDOWN",
    "day_loss": "GUARD_DAY_LOSS",
    "profit_lock": "GUARD_PROFIT_LOCK",
    "max_trades": "GUARD_TRADES",
    "consecutive_losses": "GUARD_LOSSES",
    "cooldown_period": "GUARD_COOLDOWN",
    "stoploss_guard": "GUARD_STOPS",
    "stoploss_long": "GUARD_STOPS",
    "stoploss_short": "GUARD_STOPS",
    "low_profit": "GUARD_LOW_PROFIT",
    "max_drawdown": "GUARD_MAX_DRAWDOWN",
}
ORDER = list(REASONS)


@dataclass
class Lock:
    """One lock and when it ends."""

    since: int
    until: int
    value: int
    limit: int


@dataclass
class Model:
    """The rules of `Guards`, by the same names."""

    rules: Mapping[str, int]
    locks: dict[str, Lock] = field(default_factory=dict)
    day: int = 0
    open: int = 0
    since_peak: list[int] = field(default_factory=list)  # equities since the peak was set anew
    base: int = 0
    gains: list[int] = field(default_factory=list)  # profits since the day began or the unlock
    trades_today: int = 0
    streak: int = 0
    alerted: set[str] = field(default_factory=set)
    alerts: int = 0
    closed: list[tuple[int, int, int, bool]] = field(default_factory=list)
    forgotten: dict[str, int] = field(default_factory=dict)
    equity: int = 0
    wish_flat: bool = False
    values: list[tuple[int, int]] = field(default_factory=list)  # of VIX, in the order known
    today: int = 0  # IST day as far as VIX knows
    bands: set[str] = field(default_factory=set)

    def rule(self, name: str) -> int:
        return self.rules.get(name, 0)

    def lock(self, name: str, now: int, until: int, value: int, limit: int) -> None:
        before = self.locks.get(name)
        if before is not None and before.until > now:
            self.locks[name] = Lock(before.since, max(before.until, until), value, limit)
        else:
            self.locks[name] = Lock(now, until, value, limit)

    def pause(self, now: int, rule: str) -> int:
        return NEXT_SESSION if self.rule(rule) < 0 else now + self.rule(rule)

    # ---- the day ------------------------------------------------------------------------------

    def start_day(self, date: int, equity: int, now: int) -> None:
        if date == self.day:
            return
        self.day, self.open, self.base, self.equity = date, equity, equity, equity
        self.since_peak, self.gains = [equity], [0]
        self.trades_today, self.alerted, self.wish_flat = 0, set(), False
        for name in list(self.locks):
            if self.locks[name].until == NEXT_SESSION or self.locks[name].until <= now:
                del self.locks[name]
        self.day_of_vix((now + IST) // DAY)

    def mark(self, now: int, equity: int) -> None:
        self.equity = equity
        if self.day == 0:
            return
        if (self.rule("drawdown_e4") or self.rule("drawdown_paise")) and (
            "drawdown" not in self.locks
        ):
            self.since_peak.append(equity)
            peak = max(self.since_peak)
            limit = self.rule("drawdown_paise")
            if self.rule("drawdown_e4"):
                limit = -((-peak * self.rule("drawdown_e4")) // 10_000) if peak > 0 else 0
            self.fell("drawdown", now, peak - equity, limit, "drawdown_flat")
        if self.rule("day_loss") and "day_loss" not in self.locks:
            self.fell("day_loss", now, self.base - equity, self.rule("day_loss"), "day_loss_flat")
        if self.rule("profit_arm") and "profit_lock" not in self.locks:
            self.gains.append(equity - self.open)
            best = max(self.gains)
            if best >= self.rule("profit_arm"):
                step = self.rule("profit_step")
                steps = (best - self.rule("profit_arm")) // step if step else 0
                floor = self.rule("profit_floor") + steps * step
                if equity - self.open <= floor:
                    self.lock("profit_lock", now, NEXT_SESSION, equity - self.open, floor)
                    self.wish_flat |= bool(self.rule("profit_flat"))

    def fell(self, name: str, now: int, fall: int, limit: int, flat: str) -> None:
        if fall >= limit:
            self.lock(name, now, NEXT_SESSION, fall, limit)
            self.wish_flat |= bool(self.rule(flat))
            return
        near = Fraction(limit * self.rule("alert_e4"), 10_000)
        if near and name not in self.alerted and fall >= near:
            self.alerted.add(name)
            self.alerts += 1

    # ---- trades -------------------------------------------------------------------------------

    def enter(self, now: int) -> None:
        self.trades_today += 1
        if self.rule("trades_max") and self.trades_today >= self.rule("trades_max"):
            self.lock("max_trades", now, NEXT_SESSION, self.trades_today, self.rule("trades_max"))

    def window(self, name: str, now: int, rule: str) -> list[tuple[int, int, int, bool]]:
        after = max(now - self.rule(rule), self.forgotten.get(name, 0))
        return [one for one in self.closed[-512:] if one[0] > after]

    def close_trade(self, now: int, net: int, side: int, stopped: bool) -> None:
        self.closed.append((now, net, side, stopped and net < 0))
        self.streak = self.streak + 1 if net < 0 else 0
        if self.rule("losses_max") and self.streak >= self.rule("losses_max"):
            self.lock("consecutive_losses", now, self.pause(now, "losses_pause"), self.streak,
                      self.rule("losses_max"))  # fmt: skip
            self.streak = 0
        if self.rule("cooldown_pause"):
            self.lock("cooldown_period", now, self.pause(now, "cooldown_pause"), net, 0)
        if self.rule("stops_limit") and stopped and net < 0:
            name, sides = "stoploss_guard", (1, -1)
            if self.rule("stops_per_side"):
                name, sides = ("stoploss_long" if side > 0 else "stoploss_short"), (side,)
            found = [one for one in self.window(name, now, "stops_lookback")
                     if one[3] and one[2] in sides]  # fmt: skip
            if len(found) >= self.rule("stops_limit"):
                self.lock(name, now, self.pause(now, "stops_pause"), len(found),
                          self.rule("stops_limit"))  # fmt: skip
        if self.rule("low_limit"):
            rows = self.window("low_profit", now, "low_lookback")
            total = sum(one[1] for one in rows)
            if len(rows) >= self.rule("low_limit") and total < self.rule("low_required"):
                self.lock("low_profit", now, self.pause(now, "low_pause"), total,
                          self.rule("low_required"))  # fmt: skip
        if self.rule("fall_allowed"):
            rows = self.window("max_drawdown", now, "fall_lookback")
            curve = [sum(one[1] for one in rows[:count]) for count in range(len(rows) + 1)]
            fall = max(max(curve[: at + 1]) - curve[at] for at in range(len(curve)))
            if len(rows) >= self.rule("fall_limit") and fall >= self.rule("fall_allowed"):
                self.lock("max_drawdown", now, self.pause(now, "fall_pause"), fall,
                          self.rule("fall_allowed"))  # fmt: skip

    # ---- India VIX ----------------------------------------------------------------------------

    def day_of_vix(self, day: int) -> None:
        """A new IST day: yesterday's close enters the ranks, and the bands look again."""
        if self.values and day > max(self.today, (self.values[-1][0] + IST) // DAY):
            self.today = day
            self.look()
        self.today = max(self.today, day)

    def vix(self, now: int, value: int) -> None:
        if not 300 <= value <= 15_000:
            return
        self.day_of_vix((now + IST) // DAY)
        self.values.append((now, value))
        self.look()

    def rank(self) -> Fraction | None:
        """The share of the last days' closes, in 1e-4, that lie below the last value."""
        last = {(when + IST) // DAY: value for when, value in self.values}
        closes = [value for day, value in sorted(last.items()) if day < self.today]
        closes = closes[-self.rule("rank_days") :] if self.rule("rank_days") else []
        if not closes or len(closes) < self.rule("rank_days_min"):
            return None
        below = sum(close < self.values[-1][1] for close in closes)
        return Fraction(10_000 * below, len(closes))

    def look(self) -> None:
        value, rank = self.values[-1][1], self.rank()
        measured: list[tuple[str, Fraction | None]] = [
            ("vix_high", Fraction(value)), ("rank_high_e4", rank),
            ("vix_low", Fraction(value)), ("rank_low_e4", rank),
        ]  # fmt: skip
        for name, found in measured:
            edge = self.rule(name)
            stem = name.removesuffix("_e4")
            leave = self.rule(f"{stem}_leave" + ("_e4" if name.endswith("_e4") else ""))
            if not edge or found is None:
                continue
            found = Fraction(int(found))  # whole 1e-4, rounded down
            high = "high" in name
            if found >= edge if high else found <= edge:
                self.bands.add(name)
            elif found < leave if high else found > leave:
                self.bands.discard(name)

    def vix_refuses(self, now: int) -> bool:
        ranked = self.rule("rank_high_e4") or self.rule("rank_low_e4")
        if not (ranked or self.rule("vix_high") or self.rule("vix_low")):
            return False
        if not self.values:
            return True
        if self.rule("vix_age") and now - self.values[-1][0] > self.rule("vix_age"):
            return True
        return bool(self.bands) or bool(ranked and self.rank() is None)

    # ---- entries and commands -----------------------------------------------------------------

    def verdict(self, side: int, now: int) -> str:
        for name in ORDER:
            if name not in self.locks:
                continue
            if self.locks[name].until <= now:
                self.end(name)
                continue
            if (name, side) not in (("stoploss_long", -1), ("stoploss_short", 1)):
                return REASONS[name]
        return "GUARD_VIX" if self.vix_refuses(now) else "NONE"

    def end(self, name: str) -> None:
        """A lock is over: what it measured is measured again from the equity of now."""
        del self.locks[name]
        self.alerted.discard(name)
        if name == "drawdown":
            self.since_peak = [self.equity]
        elif name == "day_loss":
            self.base = self.equity
        elif name == "profit_lock":
            self.gains = [self.equity - self.open]

    def unlock(self, name: str, now: int) -> bool:
        if name not in self.locks or self.locks[name].until <= now:
            return False
        self.forgotten[name] = now
        if name == "max_trades":
            self.trades_today = 0
        elif name == "consecutive_losses":
            self.streak = 0
        self.end(name)
        return True

    def standing(self, now: int) -> list[tuple[str, int, int, int, int]]:
        """The locks that hold at a time, as `Guards.locks` gives them."""
        return [(name, one.since, one.until, one.value, one.limit)
                for name in ORDER
                if (one := self.locks.get(name)) is not None and one.until > now]  # fmt: skip
