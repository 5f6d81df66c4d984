"""Settings of the guards: what keeps entries out for a while. All of them are off by default."""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Final

from dhanfast._core.guard_rules import RULES, checked_rules
from dhanfast.errors import ConfigError


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Rules of `dhanfast._core.guards.Guards` by name; 0 switches one off. Exits pass all of them.

    docs/reference/guards.md has each of them with its numbers.

    Attributes:
        drawdown_e4, drawdown_paise: fall from the day's equity peak, as a share or in money (the
            share counts first). drawdown_flat: also close what is open.
        day_loss: paise below the day's opening equity. day_loss_flat: as above.
        alert_e4: share of either limit at which there is an alert.
        profit_arm, profit_floor, profit_step: the day's profit: armed at, kept, raised by; paise.
        profit_flat: also close what is open.
        trades_max: positions opened a day.
        losses_max, losses_pause: losing trades in a row, and how long entries then wait.
        cooldown_pause: after any exit.
        stops_limit, stops_lookback, stops_pause, stops_per_side: stops within a window.
        low_limit, low_lookback, low_pause, low_required: least result of a window's trades.
        fall_allowed, fall_limit, fall_lookback, fall_pause: fall of a window's summed results.
        underlying_paise, underlying_lots, expiry_paise, expiry_lots: largest exposure.
        correlated_paise: largest exposure weighted with correlations.
        vix_high, vix_high_leave, vix_low, vix_low_leave: bands of India VIX, 1/100 points.
        rank_high_e4, rank_high_leave_e4, rank_low_e4, rank_low_leave_e4: bands of its rank.
        rank_days, rank_days_min: closes that the rank is among, and how many there must be.
        vix_age: oldest value that counts. stale_ns: oldest last tick at a decision.
        expiry_day_off: no entries on an expiry day. expiry_day_until: none from this time of it.
        before_flat: none so long before the square-off.
        vix_told: strategies see India VIX, whether or not a rule looks at it.
        vix_data: file or catalog symbol that a backtest reads India VIX from, and a live run its
            history; empty = none.

    Units:
        Money in paise, times in ns (a pause of -1: until the next session), shares in 1e-4.
    """

    drawdown_e4: int = 0
    drawdown_paise: int = 0
    drawdown_flat: int = 0
    day_loss: int = 0
    day_loss_flat: int = 0
    alert_e4: int = 8_000
    profit_arm: int = 0
    profit_floor: int = 0
    profit_step: int = 0
    profit_flat: int = 0
    trades_max: int = 0
    losses_max: int = 0
    losses_pause: int = 0
    cooldown_pause: int = 0
    stops_limit: int = 0
    stops_lookback: int = 0
    stops_pause: int = 0
    stops_per_side: int = 0
    low_limit: int = 0
    low_lookback: int = 0
    low_pause: int = 0
    low_required: int = 0
    fall_allowed: int = 0
    fall_limit: int = 0
    fall_lookback: int = 0
    fall_pause: int = 0
    underlying_paise: int = 0
    underlying_lots: int = 0
    expiry_paise: int = 0
    expiry_lots: int = 0
    correlated_paise: int = 0
    vix_high: int = 0
    vix_high_leave: int = 0
    vix_low: int = 0
    vix_low_leave: int = 0
    rank_high_e4: int = 0
    rank_high_leave_e4: int = 0
    rank_low_e4: int = 0
    rank_low_leave_e4: int = 0
    rank_days: int = 0
    rank_days_min: int = 0
    vix_age: int = 0
    stale_ns: int = 0
    expiry_day_off: int = 0
    expiry_day_until: int = 0
    before_flat: int = 0
    vix_told: int = 0
    vix_data: str = ""

    @property
    def any_on(self) -> bool:
        """Whether a rule is on, or strategies see VIX; `alert_e4` alone is no rule."""
        return _any_on(self)

    @property
    def needs_vix(self) -> bool:
        """Whether a rule, or the strategy, looks at India VIX."""
        ranked = self.rank_high_e4 or self.rank_low_e4
        return bool(self.vix_high or self.vix_low or ranked or self.vix_told)

    def rules(self) -> dict[str, int]:
        """What `Guards` takes."""
        return {name: getattr(self, name) for name in RULES}

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, what differs from the default, in a fixed order."""
        return {one.name: value for one in fields(self)
                if (value := getattr(self, one.name)) != one.default}  # fmt: skip


@lru_cache(64)  # a search asks for every trial, of the same settings
def _any_on(settings: GuardSettings) -> bool:
    ruled = any(value for name, value in settings.rules().items() if name != "alert_e4")
    return ruled or bool(settings.vix_told)


# (what switches a rule on, what it then needs)
_NEEDED: Final = (
    ("losses_max", "losses_pause"),
    ("stops_limit", "stops_lookback"),
    ("stops_limit", "stops_pause"),
    ("low_limit", "low_lookback"),
    ("low_limit", "low_pause"),
    ("fall_allowed", "fall_lookback"),
    ("fall_allowed", "fall_pause"),
)


def checked_guards(settings: GuardSettings) -> GuardSettings:
    """`settings`, or a refusal that names the field, the value and the range.

    Raises:
        ConfigError: a number out of its range, or a rule without what it needs.
    """
    checked_rules(settings.rules())
    for rule, needed in _NEEDED:
        if getattr(settings, rule) and not getattr(settings, needed):
            raise ConfigError(
                f"guards: {needed} must not be 0 while {rule} is {getattr(settings, rule)}; give "
                f"it a length, or switch the rule off with {rule} = 0"
            )
    return settings
