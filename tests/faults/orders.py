"""The same seeds with everything that works orders: guards, algorithms, sizes, stops, an operator.

with_orders     all of it
worked          guards and algorithms alone, as seeds were drawn before there was more
unrouted        all but the router's rules, prices and the freeze quantity: as before those
"""

import random
from dataclasses import replace
from typing import Any

from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.route_settings import USUAL_SLABS, RouteSettings
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory
from dhanfast.engine.stop_settings import Distance, StopSettings

from .plan import CALM, Event, Plan

SECOND = 1_000_000_000
RUPEE = 100
VIX = 1_500  # where it begins, 1/100 points
COMMANDS = ("PAUSE_ORDERS", "RESUME_ORDERS", "CANCEL_ORDERS", "FLATTEN", "LOCK", "UNLOCK")
HELD = ("PAUSE_ORDERS", "LOCK")  # what lasts, and is ended by its counterpart
MINUTES = 1_440


def worked(plan: Plan) -> Plan:
    """The same run with guards armed and orders worked by an algorithm."""
    rng = random.Random(f"orders {plan.seed}")
    return replace(plan, guards=_guards(rng), execution=_execution(rng, plan.lots))


def with_orders(plan: Plan) -> Plan:
    """As `unrouted`, with the rules of the router, and orders above the freeze quantity."""
    return routed(unrouted(plan))


def unrouted(plan: Plan) -> Plan:
    """As `worked`, with every guard, every algorithm, sizes, stops that move and an operator."""
    plan = worked(plan)
    rng = random.Random(f"more orders {plan.seed}")
    guards = GuardSettings() if rng.random() < 0.3 else _more_guards(rng, plan.guards)
    execution = plan.execution
    if rng.random() < 0.15:  # volume of a generated day is even enough
        execution = replace(execution, algo="vwap", profile=(100,) * MINUTES)
    stops, sizing = _stops(rng), _sizing(rng)
    if rng.random() < 0.25:
        stops = StopSettings()
    if rng.random() < 0.5:
        sizing = SizingSettings()
    strategy = plan.strategy
    if strategy == "wisher" and rng.random() < 0.4:
        strategy = "eager"  # in until a stop lets it out
    busy_s = plan.busy_s * rng.choice([1, 1, 1, 2])
    return replace(
        plan,
        strategy=strategy,
        stop=plan.stop or (20.0 if sizing.method == "risk" else 0.0),
        busy_s=busy_s,
        act_part=rng.choice([0.1, 0.4, 0.6]),
        guards=guards,
        execution=execution,
        stops=stops,
        sizing=sizing,
        commands=_commands(rng, plan),
        slabs=rng.random() < 0.5,
        lively=rng.random() < 0.6,
    )


def routed(plan: Plan) -> Plan:
    """Type and price of children, their bounds, the largest order that the exchange takes, quotes
    that are missing, and bars short enough that volatility is known."""
    rng = random.Random(f"routes {plan.seed}")
    execution = plan.execution
    lots = execution.child_lots or plan.lots
    execution = replace(
        execution,
        route=RouteSettings() if rng.random() < 0.2 else _route(rng),
        limit_e4=rng.choice([0, 0, 1, 5, 50]),
        least_lots=rng.choice([1, 1, min(2, lots)]),
        floor_e4=rng.choice([0, 0, 5_000, 10_000]),
    )
    above = 0.6 if execution.works and execution.entries else 0.1
    plan = replace(
        plan,
        execution=execution,
        freeze=rng.choice([2, 3, 4, 5]) if rng.random() < above else 0,
        thin=rng.random() < 0.3,
        bar_s=rng.choice([1, 5]),
    )
    if rng.random() < 0.5:
        return plan
    # Nothing keeps entries out, so that much is worked.
    return replace(plan, guards=GuardSettings(), sizing=SizingSettings(), act_part=0.6)


def _route(rng: random.Random) -> RouteSettings:
    """Rules of the router; every row of its table decides in some seeds."""

    def rung_ns() -> int:
        return rng.choice([0, 500_000_000, 2 * SECOND, 10 * SECOND])

    slabs = USUAL_SLABS
    if rng.random() < 0.3:
        shares = [rng.randint(1, 500) for _ in range(4)]
        slabs = tuple(zip((10_00, 40_000_00, 50_000_00, 0), shares, strict=True))
    return RouteSettings(
        slabs=slabs,
        future_e4=rng.choice([0, 0, 1, 10, 100]),
        wide_e4=rng.choice([10_000, 20_000, 50_000]),
        stop_room_e4=rng.choice([0, 0, 1, 10, 100]),
        tight_ticks=rng.choice([0, 2, 8]),
        tight_e6=rng.choice([0, 10, 100]),
        loose_e6=rng.choice([0, 20, 60, 20_000]),
        share_e4=rng.choice([1, 5_000, 10_000, 100_000]),
        swing=rng.choice([0.0, 0.5, 4.0]),
        interval_ns=rng.choice([50_000_000, SECOND, 3 * SECOND]),
        reprices_max=rng.choice([0, 1, 3, 20]),
        patience_ns=rng.choice([200_000_000, SECOND, 5 * SECOND]),
        join_ns=rung_ns(),
        mid_ns=rung_ns(),
        cross_ns=rung_ns(),
        wide_ns=rung_ns(),
        ioc=rng.random() < 0.3,
        entry_cross=rng.random() < 0.7,
    )


def _pause(rng: random.Random) -> int:
    return rng.choice([2, 5, 15, 60]) * SECOND


def _guards(rng: random.Random) -> GuardSettings:
    """Limits near what some minutes bring, and pauses that end within them."""
    rules: list[dict[str, int]] = [
        {"drawdown_paise": rng.randint(500, 20_000) * RUPEE, "drawdown_flat": rng.randint(0, 1)},
        {"drawdown_e4": rng.randint(1, 20)},
        {"day_loss": rng.randint(500, 20_000) * RUPEE, "day_loss_flat": rng.randint(0, 1)},
        {"profit_arm": rng.randint(300, 3_000) * RUPEE, "profit_floor": 200 * RUPEE,
         "profit_step": 100 * RUPEE, "profit_flat": rng.randint(0, 1)},
        {"trades_max": rng.randint(2, 8)},
        {"losses_max": rng.randint(1, 3), "losses_pause": _pause(rng)},
        {"cooldown_pause": _pause(rng)},
        {"stops_limit": rng.randint(1, 2), "stops_lookback": 60 * SECOND,
         "stops_pause": _pause(rng), "stops_per_side": rng.randint(0, 1)},
        {"low_limit": rng.randint(1, 3), "low_lookback": 60 * SECOND, "low_pause": _pause(rng),
         "low_required": rng.choice([0, -1_000 * RUPEE])},
        {"underlying_lots": rng.randint(1, 3)},
        {"stale_ns": rng.randint(2, 8) * SECOND},
    ]  # fmt: skip
    return GuardSettings(**_some(rng, rules, 0.25))


def _some(rng: random.Random, rules: list[dict[str, int]], part: float) -> dict[str, int]:
    drawn: dict[str, int] = {}
    for rule in rules:
        if rng.random() < part:
            drawn |= rule
    return drawn


def _more_guards(rng: random.Random, guards: GuardSettings) -> GuardSettings:
    """What `_guards` leaves out; VIX walks about its beginning."""
    rules: list[dict[str, int]] = [
        {"fall_allowed": rng.randint(300, 5_000) * RUPEE, "fall_limit": rng.randint(1, 3),
         "fall_lookback": 60 * SECOND, "fall_pause": _pause(rng)},
        {"underlying_paise": rng.randint(2, 8) * 10**8},
        {"expiry_lots": rng.randint(1, 3)},
        {"expiry_paise": rng.randint(2, 8) * 10**8},
        {"correlated_paise": rng.randint(2, 8) * 10**8},
        {"vix_high": VIX + 20, "vix_high_leave": VIX, "vix_age": rng.choice([3, 60]) * SECOND},
        {"vix_low": VIX - 20, "vix_low_leave": VIX},
        {"rank_high_e4": 8_000, "rank_high_leave_e4": 6_000, "rank_days": 5, "rank_days_min": 3},
        {"expiry_day_off": 1},
        {"before_flat": rng.choice([60, 3_600]) * SECOND},
    ]  # fmt: skip
    return replace(guards, **_some(rng, rules, 0.07))  # type: ignore[arg-type]


def _execution(rng: random.Random, lots: int) -> ExecutionSettings:
    algo = rng.choice(["none", "slice", "twap", "pov", "iceberg"])
    horizon_s = rng.choice([2, 6, 15, 30])
    return ExecutionSettings(
        algo=algo,
        entries=rng.random() < 0.8,
        exits=rng.random() < 0.6,
        horizon_ns=horizon_s * SECOND,
        interval_ns=min(horizon_s, rng.choice([1, 2, 5])) * SECOND,
        reprice_ns=rng.choice([0, 500_000_000, 2 * SECOND]),
        random_e4=rng.choice([0, 1_000, 3_000]),
        child_lots=rng.choice([0, 1]),
        cap_e4=rng.choice([0, 0, 2_000]),
        rate_e4=rng.choice([500, 2_000, 5_000]),
        display_lots=rng.randint(1, lots),
        remainder=rng.choice(["reprice", "cancel", "keep"]),
        style=rng.choice(["passive", "normal", "urgent"]),
        seed=rng.randrange(1 << 16),
    )


def _distance(rng: random.Random, least: float, most: float) -> Distance:
    """About so many points, said one way or the other; the future is near 50,000."""
    points = rng.uniform(least, most)
    unit = rng.choice(["points", "points", "percent", "percent", "atr"])
    amount = {"points": points, "percent": points / 500, "atr": points / 10}[unit]
    return Distance(round(amount, 4), unit)


def _stops(rng: random.Random) -> StopSettings:
    """Near enough that some minutes reach them."""

    def some(part: float, least: float, most: float) -> Distance | None:
        return _distance(rng, least, most) if rng.random() < part else None

    trail = some(0.6, 1, 20)
    cost_at = some(0.5, 0.5, 10)
    cost_plus = some(0.4, 0.1, 1) if cost_at else None
    timed: dict[str, Any] = rng.choice([
        {}, {"time_max_ns": rng.randint(2, 20) * SECOND},
        {"bars_max": rng.randint(1, 4)},
        {"time_max_ns": rng.randint(2, 20) * SECOND, "only_losing": True},
    ])  # fmt: skip
    return StopSettings(
        stop=some(0.6, 5, 60),
        target=some(0.4, 5, 60),
        override=rng.random() < 0.3,
        trail=trail,
        trail_from=some(0.3, 0.5, 5) if trail else None,
        cost_at=cost_at,
        cost_plus=cost_plus,
        cost_charges=bool(cost_at) and rng.random() < 0.5,
        rest=rng.random() < 0.6,
        step_ticks=rng.choice([1, 1, 20]),
        every_ns=rng.choice([0, 0, SECOND]),
        changes_max=rng.choice([1, 3, 15]),
        atr_period=rng.randint(2, 4),
        **timed,
    )


def _sizing(rng: random.Random) -> SizingSettings:
    """Sizes about the limit of the run, within and beyond."""
    fit = rng.random() < 0.7
    method = rng.choice(["lots", "risk", "kelly", "volatility"])
    if method == "risk":
        return SizingSettings(method=method, risk=rng.randint(200, 8_000) * RUPEE, fit=fit)
    if method == "kelly":
        history = TradeHistory(trades=rng.choice([0, 40, 60]), win_rate=0.55,
                               win=rng.uniform(500.0, 2_000.0), loss=1_000.0)  # fmt: skip
        if history.trades == 0:
            history = TradeHistory()
        return SizingSettings(method=method, fit=fit, kelly_cap_e6=rng.choice([1, 5]),
                              kelly_trades_min=rng.choice([1, 5, 30]), history=history,
                              kelly_fall_back=rng.random() < 0.5)  # fmt: skip
    if method == "volatility":
        return SizingSettings(method=method, fit=fit, target_e6=rng.randint(1, 8),
                              measure=rng.choice(["atr", "returns"]),
                              period=rng.randint(2, 4))  # fmt: skip
    return SizingSettings(method="lots", fit=True)


def _commands(rng: random.Random, plan: Plan) -> tuple[Event, ...]:
    """What an operator says now and then; what he holds he lets go."""
    if plan.mood == CALM or rng.random() < 0.5:
        return ()
    said = [Event(rng.uniform(1, plan.busy_s), rng.choice(COMMANDS))
            for _ in range(rng.randint(1, 4))]  # fmt: skip
    ended = [Event(one.at_s + rng.uniform(1, 8), COMMANDS[COMMANDS.index(one.kind) + 1])
             for one in said if one.kind in HELD and rng.random() < 0.8]  # fmt: skip
    return tuple(sorted([*said, *ended], key=lambda one: one.at_s))
