"""What a seed means: which market, which wishes, what breaks and when the engine dies."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.exchange.faults import Fault

CALM, MIXED, ROUGH = "calm", "mixed", "rough"
REQUESTS = ("http-429", "http-5xx", "http-5xx-after", "timeout", "timeout-after", "reset",
            "reset-after", "slow")  # fmt: skip
UPDATES = ("update-drop", "update-delay", "update-duplicate", "update-reorder")


@dataclass(frozen=True)
class Event:
    """Something that happens once. at_s: from the beginning; for_s: how long, where it lasts."""

    at_s: float
    kind: str  # token-expiry, no-login, clock-step, mute, cut, gap
    for_s: float = 0.0
    step_s: float = 0.0


@dataclass(frozen=True)
class Plan:
    """Everything that chance decides, drawn from the seed before the run begins.

    Attributes:
        day_seed, first: of the generated day, and the tick at which the window begins.
        busy_s: faults strike for so long; then all is well and the engine is told to stop.
        lots, act_part, stop, target: of the wishes; strategy: "wisher" or "momentum".
        latency_ns: of the exchange. slow_part: of messages that take long.
        lose_part: requests or answers lost on the way; refuse_part: that never left.
        faults: the exchange's own menu. events: single ones.
        logins: more such events, of tokens alone.
        guards, execution: all off; `with_orders` draws them.
        kills: journal records at which the engine dies, each counted from its start.
    """

    seed: int
    mood: str
    day_seed: int
    first: float
    busy_s: float
    strategy: str
    lots: int
    act_part: float
    stop: float
    target: float
    opposite: str
    latency_ns: int
    slow_part: float
    lose_part: float
    refuse_part: float
    reconcile_s: float
    modifies_max: int
    faults: tuple[Fault, ...]
    events: tuple[Event, ...]
    kills: tuple[int, ...]
    down_s: tuple[float, ...] = field(default=(1.0,))
    logins: tuple[Event, ...] = ()
    guards: GuardSettings = field(default_factory=GuardSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)

    @classmethod
    def of(cls, seed: int) -> "Plan":
        """The plan of a seed."""
        rng = random.Random(f"plan {seed}")
        mood = rng.choices([CALM, MIXED, ROUGH], [1, 5, 4])[0]
        scale = {CALM: 0.0, MIXED: 0.03, ROUGH: 0.15}[mood]
        busy_s = rng.uniform(15, 40)
        momentum = rng.random() < 0.05
        kills = [] if rng.random() < 0.35 else [_kill(rng) for _ in range(rng.choice([1, 1, 1, 2]))]
        return cls(
            seed=seed,
            mood=mood,
            day_seed=rng.randrange(3),
            first=rng.random(),
            busy_s=busy_s * (4 if momentum else 1),
            strategy="momentum" if momentum else "wisher",
            lots=rng.randint(1, 3),
            act_part=rng.choice([0.1, 0.2, 0.4]),
            stop=rng.choice([0.0, 5.0, 20.0, 60.0]),
            target=rng.choice([0.0, 5.0, 20.0, 60.0]),
            opposite=rng.choice(["keep", "close", "reverse"]),
            latency_ns=rng.choice([0, 0, 5_000_000, 300_000_000]),
            slow_part=scale * rng.random() * 2,
            lose_part=scale * rng.random(),
            refuse_part=scale * rng.random(),
            reconcile_s=rng.choice([3.0, 8.0, 30.0]),
            modifies_max=rng.choice([1, 3, 22]),
            faults=_menu(rng, scale),
            events=_events(rng, scale, busy_s),
            kills=tuple(kills),
            down_s=tuple(rng.uniform(0.1, 6.0) for _ in kills),
            logins=_logins(seed, scale, busy_s),
        )


def _kill(rng: random.Random) -> int:
    """Early records are the engine's birth; most of the life is later."""
    return rng.randint(1, 12) if rng.random() < 0.15 else rng.randint(8, 170)


def _menu(rng: random.Random, scale: float) -> tuple[Fault, ...]:
    menu = []
    for kind in REQUESTS:
        if scale and rng.random() < 0.5:
            menu.append(Fault(kind, probability=scale * rng.random(),
                              delay_s=rng.uniform(0.2, 2.5)))  # fmt: skip
    if scale and rng.random() < 0.4:
        menu.append(Fault("partial", probability=scale, method="POST", path="/v2/orders",
                          then=rng.choice(["reject", "cancel"])))  # fmt: skip
    for kind in UPDATES:
        if scale and rng.random() < 0.6:
            menu.append(Fault(kind, probability=2 * scale * rng.random(),
                              delay_s=rng.uniform(0.05, 8.0)))  # fmt: skip
    return tuple(menu)


def _events(rng: random.Random, scale: float, busy_s: float) -> tuple[Event, ...]:
    if not scale:
        return ()
    chances = {"token-expiry": 0.3, "clock-step": 0.3, "mute": 0.4, "cut": 0.4, "gap": 0.3}
    return tuple(
        Event(rng.uniform(1, busy_s), kind, for_s=rng.uniform(0.5, 10.0),
              step_s=rng.choice([-30.0, -2.0, -0.2, 0.2, 2.0, 30.0]))
        for kind, part in chances.items()
        if rng.random() < part
    )  # fmt: skip


def _logins(seed: int, scale: float, busy_s: float) -> tuple[Event, ...]:
    """Now and then tokens die one after the other, or nobody can log in for a while."""
    rng = random.Random(f"logins {seed}")
    if not scale or rng.random() >= 0.15:
        return ()
    at_s = rng.uniform(1, busy_s)
    if rng.random() < 0.5:
        return (Event(at_s, "no-login", for_s=rng.uniform(1.0, 15.0)),)
    return tuple(
        Event(at_s + gap_s, "token-expiry")
        for gap_s in (0.0, *(rng.uniform(0.2, 3.0) for _ in range(rng.randint(1, 3))))
    )


# ---- guards and algorithms -----------------------------------------------------------------------

SECOND = 1_000_000_000
RUPEE = 100


def with_orders(plan: Plan) -> Plan:
    """The same run with guards armed and orders worked by an algorithm."""
    rng = random.Random(f"orders {plan.seed}")
    return replace(plan, guards=_guards(rng), execution=_execution(rng, plan.lots))


def _guards(rng: random.Random) -> GuardSettings:
    """Limits near what some minutes bring, and pauses that end within them."""

    def pause() -> int:
        return rng.choice([2, 5, 15, 60]) * SECOND

    rules: list[dict[str, int]] = [
        {"drawdown_paise": rng.randint(500, 20_000) * RUPEE, "drawdown_flat": rng.randint(0, 1)},
        {"drawdown_e4": rng.randint(1, 20)},
        {"day_loss": rng.randint(500, 20_000) * RUPEE, "day_loss_flat": rng.randint(0, 1)},
        {"profit_arm": rng.randint(300, 3_000) * RUPEE, "profit_floor": 200 * RUPEE,
         "profit_step": 100 * RUPEE, "profit_flat": rng.randint(0, 1)},
        {"trades_max": rng.randint(2, 8)},
        {"losses_max": rng.randint(1, 3), "losses_pause": pause()},
        {"cooldown_pause": pause()},
        {"stops_limit": rng.randint(1, 2), "stops_lookback": 60 * SECOND, "stops_pause": pause(),
         "stops_per_side": rng.randint(0, 1)},
        {"low_limit": rng.randint(1, 3), "low_lookback": 60 * SECOND, "low_pause": pause(),
         "low_required": rng.choice([0, -1_000 * RUPEE])},
        {"underlying_lots": rng.randint(1, 3)},
        {"stale_ns": rng.randint(2, 8) * SECOND},
    ]  # fmt: skip
    drawn: dict[str, Any] = {}
    for rule in rules:
        if rng.random() < 0.25:
            drawn |= rule
    return GuardSettings(**drawn)


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
