"""What a seed means: which market, which wishes, what breaks and when the engine dies."""

import random
from dataclasses import dataclass, field
from typing import Any

from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.exchange.faults import Fault

CALM, MIXED, ROUGH = "calm", "mixed", "rough"
REQUESTS = ("http-429", "http-5xx", "http-5xx-after", "timeout", "timeout-after", "reset",
            "reset-after", "slow")  # fmt: skip
UPDATES = ("update-drop", "update-delay", "update-duplicate", "update-reorder")


@dataclass(frozen=True)
class Event:
    """Something that happens once. at_s: from the beginning; for_s: how long, where it lasts."""

    at_s: float
    kind: str  # token-expiry, no-login, clock-step, mute, cut, gap, or a Command's name
    for_s: float = 0.0
    step_s: float = 0.0


@dataclass(frozen=True)
class Swap:
    """Another strategy is to decide. at_s: from the beginning; make_s: how long making it takes."""

    at_s: float
    use: str  # a class of `deciders_file`, or a name of the library
    params: dict[str, Any]
    make_s: float = 0.0
    fresh: bool = False


@dataclass(frozen=True)
class Decided:
    """Who decides: a class of `deciders_file` or a blend of them, its filters, and what ends it.

    Attributes:
        eats: when the process has grown, seconds from the beginning.
    """

    use: str
    params: dict[str, Any]
    blend: str = ""
    swaps: tuple[Swap, ...] = ()
    on_error: str = "flatten"
    eats: tuple[float, ...] = ()
    filters: FilterSettings = field(default_factory=FilterSettings)


@dataclass(frozen=True)
class Plan:
    """Everything that chance decides, drawn from the seed before the run begins.

    Attributes:
        day_seed, first: of the generated day, and the tick at which the window begins.
        busy_s: faults strike for so long; then all is well and the engine is told to stop.
        lots, act_part, stop, target: of the wishes; strategy: "wisher", "eager" or "momentum".
        latency_ns: of the exchange. slow_part: of messages that take long.
        lose_part: requests or answers lost on the way; refuse_part: that never left.
        faults: the exchange's own menu. events: single ones.
        logins: more such events, of tokens alone.
        guards, execution, sizing, stops: all off, and no commands; `orders.with_orders` draws them.
        commands: what an operator says. slabs: prices are protected by premium slabs, as live.
        lively: more happens in the market. thin: now and then nobody quotes on a side, or on both.
        bar_s: length of a signal bar. freeze: largest order, in half lots; 0 = as the exchange's
        table has it, which no order of these sizes reaches.
        kills: journal records at which the engine dies, each counted from its start.
        decided: who decides in the place of `strategy`; `deciders.with_deciders` draws it.
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
    sizing: SizingSettings = field(default_factory=SizingSettings)
    stops: StopSettings = field(default_factory=StopSettings)
    commands: tuple[Event, ...] = ()
    slabs: bool = False
    lively: bool = False
    thin: bool = False
    bar_s: int = 5
    freeze: int = 0
    decided: Decided | None = None

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
