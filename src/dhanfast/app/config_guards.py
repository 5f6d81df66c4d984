"""[risk.guards]: rules that keep entries out for a while, and what the engine makes of them."""

import datetime as dt
from typing import Annotated as A

from msgspec import Meta

from dhanfast.app.config_section import Section
from dhanfast.app.config_values import (
    Amount,
    Duration,
    Pause,
    Percent,
    Rupees,
    Signed,
    Span,
    TimeOrNone,
)
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.errors import ConfigError

_ON = Meta(description="Whether this guard is on.")
_FLAT = Meta(description="Also close what is open when it locks.")
_PAUSE = Meta(description="How long entries then wait; session = until the next session.")
_WINDOW = Meta(description="How far back it looks, at most the last 512 trades.")


class Drawdown(Section, frozen=True):
    """Entries wait when equity, realised and open, has fallen so far from the day's peak."""

    on: A[bool, _ON] = False
    limit: A[
        Amount, Meta(description="The fall: percent of the day's equity peak, or rupees.")
    ] = Amount("5%")  # fmt: skip
    flatten: A[bool, _FLAT] = False


class DayLoss(Section, frozen=True):
    """Entries wait when equity, realised and open, is so far below the day's opening equity."""

    on: A[bool, _ON] = False
    limit: A[Amount, Meta(description="The loss: percent of the capital, or rupees.")] = Amount(
        "3%"
    )
    flatten: A[bool, _FLAT] = False


class ProfitLock(Section, frozen=True):
    """Once the day's profit has reached `arm`, entries wait when it falls back to the floor."""

    on: A[bool, _ON] = False
    arm: A[Rupees, Meta(description="Profit of the day that arms it.")] = Rupees("8000")
    floor: A[Rupees, Meta(description="Profit that is then kept.")] = Rupees("5000")
    step: A[
        Rupees, Meta(description="The floor rises by it for each it gains above arm; 0 = fixed.")
    ] = Rupees("1000")
    flatten: A[bool, _FLAT] = True


class ConsecutiveLosses(Section, frozen=True):
    """Entries wait after so many losing trades in a row, over days; then it counts anew."""

    on: A[bool, _ON] = False
    limit: A[int, Meta(description="Losing trades in a row.", ge=1, le=1000)] = 3
    stop_duration: A[Pause, _PAUSE] = Pause("30m")


class CooldownPeriod(Section, frozen=True):
    """Entries wait after any exit."""

    on: A[bool, _ON] = False
    stop_duration: A[Pause, _PAUSE] = Pause("5m")


class StoplossGuard(Section, frozen=True):
    """Entries wait after so many stops at a loss within a window."""

    on: A[bool, _ON] = False
    lookback_period: A[Span, _WINDOW] = Span("1h")
    trade_limit: A[int, Meta(description="Stops in the window.", ge=1, le=512)] = 4
    stop_duration: A[Pause, _PAUSE] = Pause("1h")
    only_per_side: A[
        bool, Meta(description="Long and short positions each have their own count and lock.")
    ] = False


class LowProfit(Section, frozen=True):
    """Entries wait when the trades of a window brought too little."""

    on: A[bool, _ON] = False
    lookback_period: A[Span, _WINDOW] = Span("6h")
    trade_limit: A[int, Meta(description="Trades in the window at least.", ge=1, le=512)] = 2
    stop_duration: A[Pause, _PAUSE] = Pause("1h")
    required_profit: A[
        Signed, Meta(description="Rupees after charges; a smaller sum locks; may be negative.")
    ] = Signed("0")


class MaxDrawdown(Section, frozen=True):
    """Entries wait when the summed results of a window's trades have fallen too far."""

    on: A[bool, _ON] = False
    lookback_period: A[Span, _WINDOW] = Span("48h")
    trade_limit: A[int, Meta(description="Trades in the window at least.", ge=1, le=512)] = 20
    stop_duration: A[Pause, _PAUSE] = Pause("session")
    max_allowed_drawdown: A[
        Amount, Meta(description="The fall: percent of the capital, or rupees.")
    ] = Amount("5%")


class Exposure(Section, frozen=True):
    """Largest exposure, positions and working entries together; 0 switches a limit off."""

    underlying: A[
        Rupees, Meta(description="Contract value held in all instruments of one underlying.")
    ] = Rupees("0")
    underlying_lots: A[int, Meta(description="The same in lots.", ge=0, le=10**9)] = 0
    expiry: A[Rupees, Meta(description="Contract value held in one expiry of it.")] = Rupees("0")
    expiry_lots: A[int, Meta(description="The same in lots.", ge=0, le=10**9)] = 0
    correlated: A[
        Rupees,
        Meta(description="Contract values weighted with the correlation to what is entered."),
    ] = Rupees("0")


class Vix(Section, frozen=True):
    """Entries wait while India VIX is in a band; 0 switches a band off."""

    on: A[bool, _ON] = False
    told: A[
        bool, Meta(description="Strategies see India VIX (`m.vix`), whether or not a band is on.")
    ] = False
    high: A[float, Meta(description="At or above it entries wait.", ge=0, le=150)] = 20.0
    high_leave: A[float, Meta(description="Until it is below this.", ge=0, le=150)] = 18.0
    low: A[float, Meta(description="At or below it entries wait.", ge=0, le=150)] = 0.0
    low_leave: A[float, Meta(description="Until it is above this.", ge=0, le=150)] = 0.0
    percentile_high: A[
        Percent, Meta(description="Entries wait when at least this share of the closes is below.")
    ] = Percent("0")
    percentile_high_leave: A[
        Percent, Meta(description="Until less than this share is.")
    ] = Percent("0")  # fmt: skip
    percentile_low: A[
        Percent, Meta(description="Entries wait when at most this share of the closes is below.")
    ] = Percent("0")
    percentile_low_leave: A[
        Percent, Meta(description="Until more than this share is.")
    ] = Percent("0")  # fmt: skip
    days: A[int, Meta(description="Daily closes that count.", ge=2, le=1000)] = 252
    days_min: A[
        int, Meta(description="With fewer, entries wait for a percentile.", ge=1, le=1000)
    ] = 60
    max_age: A[
        Duration, Meta(description="An older value is unknown, and entries wait; 0s = any age.")
    ] = Duration("0s")
    data: A[
        str,
        Meta(
            description="File or catalog symbol of India VIX: of a backtest, and the history of a "
            "live run.",
            examples=["INDIAVIX"],
        ),
    ] = ""


class GuardTables(Section, frozen=True):
    """Rules that keep entries out for a while. Exits pass all of them."""

    alert: A[
        Percent, Meta(description="Share of drawdown and day_loss that gives an alert; 0 = none.")
    ] = Percent("80%")
    max_trades: A[
        int, Meta(description="Positions opened a day; 0 = any number.", ge=0, le=1_000_000)
    ] = 0
    stale_after: A[
        Duration, Meta(description="No entry on market data that is older; 0s = any age.")
    ] = Duration("0s")
    expiry_day: A[bool, Meta(description="Whether entries are allowed on an expiry day.")] = True
    expiry_day_until: A[
        TimeOrNone, Meta(description="No entry at or after this time of an expiry day.")
    ] = TimeOrNone("none")  # fmt: skip
    before_flat_by: A[
        Duration, Meta(description="No entry so long before risk.flat_by; 0s = any time.")
    ] = Duration("0s")
    drawdown: A[Drawdown, Meta(description="Fall from the day's peak.")] = Drawdown()
    day_loss: A[DayLoss, Meta(description="Loss of the day.")] = DayLoss()
    profit_lock: A[ProfitLock, Meta(description="Profit of the day, kept.")] = ProfitLock()
    consecutive_losses: A[ConsecutiveLosses, Meta(description="Losses in a row.")] = (
        ConsecutiveLosses()
    )
    cooldown_period: A[CooldownPeriod, Meta(description="After any exit.")] = CooldownPeriod()
    stoploss_guard: A[StoplossGuard, Meta(description="Stops within a window.")] = StoplossGuard()
    low_profit: A[LowProfit, Meta(description="Results of a window.")] = LowProfit()
    max_drawdown: A[MaxDrawdown, Meta(description="Fall of a window's results.")] = MaxDrawdown()
    exposure: A[Exposure, Meta(description="Largest exposure.")] = Exposure()
    vix: A[Vix, Meta(description="Bands of India VIX.")] = Vix()


def guard_settings(tables: GuardTables, capital: int) -> GuardSettings:
    """What the engine takes.

    Args:
        capital: of the account, paise: percentages but that of `drawdown` are of it.

    Raises:
        ConfigError: values that contradict each other; the message names the keys.
    """
    _check(tables)
    found: dict[str, int | str] = {
        "alert_e4": tables.alert.e4,
        "trades_max": tables.max_trades,
        "stale_ns": tables.stale_after.ns,
        "expiry_day_off": int(not tables.expiry_day),
        "expiry_day_until": _of_day_ns(tables.expiry_day_until.time),
        "before_flat": tables.before_flat_by.ns,
        "underlying_paise": tables.exposure.underlying.paise,
        "underlying_lots": tables.exposure.underlying_lots,
        "expiry_paise": tables.exposure.expiry.paise,
        "expiry_lots": tables.exposure.expiry_lots,
        "correlated_paise": tables.exposure.correlated.paise,
    }
    for part in (_of_the_day(tables, capital), _of_trades(tables, capital), _of_vix(tables.vix)):
        found |= part
    return GuardSettings(**found)  # type: ignore[arg-type]


def _of_the_day(tables: GuardTables, capital: int) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    fall, loss, profit = tables.drawdown, tables.day_loss, tables.profit_lock
    if fall.on:
        if fall.limit.rupees:
            found["drawdown_paise"] = fall.limit.paise_of(capital)
        else:
            found["drawdown_e4"] = fall.limit.paise_of(10_000)
        found["drawdown_flat"] = int(fall.flatten)
    if loss.on:
        found |= {"day_loss": loss.limit.paise_of(capital), "day_loss_flat": int(loss.flatten)}
    if profit.on:
        found |= {
            "profit_arm": profit.arm.paise,
            "profit_floor": profit.floor.paise,
            "profit_step": profit.step.paise,
            "profit_flat": int(profit.flatten),
        }
    return found


def _of_trades(tables: GuardTables, capital: int) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    streak, stops, low = tables.consecutive_losses, tables.stoploss_guard, tables.low_profit
    fall = tables.max_drawdown
    if streak.on:
        found |= {"losses_max": streak.limit, "losses_pause": streak.stop_duration.ns}
    if tables.cooldown_period.on:
        found["cooldown_pause"] = tables.cooldown_period.stop_duration.ns
    if stops.on:
        found |= {
            "stops_limit": stops.trade_limit,
            "stops_lookback": stops.lookback_period.ns,
            "stops_pause": stops.stop_duration.ns,
            "stops_per_side": int(stops.only_per_side),
        }
    if low.on:
        found |= {
            "low_limit": low.trade_limit,
            "low_lookback": low.lookback_period.ns,
            "low_pause": low.stop_duration.ns,
            "low_required": low.required_profit.paise,
        }
    if fall.on:
        found |= {
            "fall_allowed": fall.max_allowed_drawdown.paise_of(capital),
            "fall_limit": fall.trade_limit,
            "fall_lookback": fall.lookback_period.ns,
            "fall_pause": fall.stop_duration.ns,
        }
    return found


def _of_vix(vix: Vix) -> dict[str, int | str]:
    if not vix.on:
        if not vix.told:
            return {}
        return {"vix_told": 1, "vix_age": vix.max_age.ns, "vix_data": vix.data}
    ranked = vix.percentile_high.e4 or vix.percentile_low.e4
    return {
        "vix_high": round(vix.high * 100),
        "vix_high_leave": round(vix.high_leave * 100) if vix.high else 0,
        "vix_low": round(vix.low * 100),
        "vix_low_leave": round(vix.low_leave * 100),
        "rank_high_e4": vix.percentile_high.e4,
        "rank_high_leave_e4": vix.percentile_high_leave.e4,
        "rank_low_e4": vix.percentile_low.e4,
        "rank_low_leave_e4": vix.percentile_low_leave.e4,
        "rank_days": vix.days if ranked else 0,
        "rank_days_min": vix.days_min if ranked else 0,
        "vix_age": vix.max_age.ns,
        "vix_told": int(vix.told),
        "vix_data": vix.data,
    }


def _check(tables: GuardTables) -> None:
    """Refuse what no single value shows."""

    def need(ok: bool, key: str, value: object, rule: str) -> None:
        if not ok:
            raise ConfigError(f"risk.guards.{key}: must be {rule}, was {value}")

    profit, vix, until = tables.profit_lock, tables.vix, tables.expiry_day_until
    need(until.time is None or _of_day_ns(until.time) > 0, "expiry_day_until", until,
         "after 00:00; expiry_day = false refuses the whole day")  # fmt: skip
    for key, limit in (
        ("drawdown.limit", tables.drawdown.limit if tables.drawdown.on else None),
        ("day_loss.limit", tables.day_loss.limit if tables.day_loss.on else None),
        (
            "max_drawdown.max_allowed_drawdown",
            tables.max_drawdown.max_allowed_drawdown if tables.max_drawdown.on else None,
        ),
    ):
        need(limit is None or limit.paise_of(10_000) > 0, key, limit, "above 0 while it is on")
    if profit.on:
        need(profit.arm.paise > 0, "profit_lock.arm", profit.arm, "above 0 while it is on")
        need(profit.floor.paise < profit.arm.paise, "profit_lock.floor", profit.floor,
             f"below profit_lock.arm, {profit.arm}")  # fmt: skip
    if not vix.on:
        return
    bands = (
        ("high", vix.high, vix.high_leave, 1),
        ("low", vix.low, vix.low_leave, -1),
        ("percentile_high", vix.percentile_high.e4, vix.percentile_high_leave.e4, 1),
        ("percentile_low", vix.percentile_low.e4, vix.percentile_low_leave.e4, -1),
    )
    need(any(band[1] for band in bands), "vix.on", "true", "false while no band is set")
    for name, edge, leave, sign in bands:
        if edge:
            rule = f"{'above 0 and at most' if sign > 0 else 'at least'} vix.{name}"
            fits = 0 < leave <= edge if sign > 0 else leave >= edge
            need(fits, f"vix.{name}_leave", getattr(vix, f"{name}_leave"),
                 f"{rule}, {getattr(vix, name)}")  # fmt: skip
    need(vix.days_min <= vix.days, "vix.days_min", vix.days_min, f"at most vix.days, {vix.days}")


def _of_day_ns(time: dt.time | None) -> int:
    if time is None:
        return 0
    return ((time.hour * 60 + time.minute) * 60 + time.second) * 10**9
