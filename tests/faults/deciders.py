"""The same seeds with everything that decides: swaps, strategies that fail, filters and blends.

with_deciders     a strategy of a file in the place of the seed's own, and what becomes of it
"""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhanfast.engine.filter_settings import FilterSettings, Span
from dhanfast.engine.seat import Misuse
from dhanfast.errors import DhanfastError

from .orders import with_orders
from .plan import Decided, Plan, Swap

if TYPE_CHECKING:
    from dhanfast.engine.live import LiveRun

    from .world import World

FILE = "deciders_file.py"
MEMORY_MAX = 1 << 20
GROWS = 8 << 20  # bytes of a strategy that eats memory
BASE = 64 << 20  # of a process that has just begun
BLEND = """
about = "Drawn by a seed."
[blend]
mode = "{mode}"
{how}
"""
MEMBER = """
[[member]]
use = "{file}:{use}"
name = "{name}"
params = {params}
{more}
"""


def with_deciders(plan: Plan) -> Plan:
    """The same run with another strategy, which may fail, be exchanged, or be kept from entering;
    in half of the seeds with all that works orders."""
    rng = random.Random(f"deciders {plan.seed}")
    if rng.random() < 0.5:
        plan = with_orders(plan)
    kind = rng.choices(["alone", "filtered", "blended", "both"], [5, 3, 1, 1])[0]
    filters = _filters(rng) if kind in ("filtered", "both") else FilterSettings()
    first, params = _first(rng, plan)
    return replace(
        plan,
        bar_s=rng.choice([1, 1, 2, 5]),
        decided=Decided(
            use=first,
            params=params,
            blend=_blend(rng, plan) if kind in ("blended", "both") else "",
            swaps=_swaps(rng, plan),
            on_error=rng.choice(["flatten", "flatten", "keep"]),
            eats=tuple(rng.uniform(2, plan.busy_s) for _ in range(rng.choice([0] * 6 + [1, 2]))),
            filters=filters,
        ),
    )


def _first(rng: random.Random, plan: Plan) -> tuple[str, dict[str, Any]]:
    use = rng.choices(["Quick", "Handing", "Slow", "Mute", "Ruled"], [4, 4, 1, 1, 1])[0]
    params = _params(rng, plan, use, 0.4)
    if params.get("where") == "start":  # no engine begins with that
        params |= {"where": "bar", "fails": 9}
    return use, params


def _params(rng: random.Random, plan: Plan, use: str, failing: float) -> dict[str, Any]:
    """Of one strategy; of some so that it fails at a call that comes."""
    near = {"stop": rng.choice([0.0, plan.stop, 20.0]), "target": plan.target}
    if use == "Ruled":
        return near
    found: dict[str, Any] = {
        "seed": rng.randrange(1 << 30),
        "part": rng.choice([0.2, 0.5, 0.6]),
    } | near
    if rng.random() < failing:
        found["where"] = rng.choice(["tick", "tick", "bar", "fill"])
        most = {"tick": 80, "bar": 12, "fill": 4}[found["where"]]
        found |= {"fails": rng.randint(1, most), "how": rng.choice(["raise", "hang", "exit"])}
    elif rng.random() < 0.05:
        found |= {"where": "start", "fails": 1}
    return found


def _swaps(rng: random.Random, plan: Plan) -> tuple[Swap, ...]:
    """What an operator exchanges, also for what cannot take over."""
    found = []
    for _ in range(rng.choice([0, 1, 2, 3, 6])):
        use = rng.choices(["Quick", "Handing", "Slow", "Ruled", "Mute", "Deaf", "Nobody",
                           "momentum"], [4, 6, 2, 2, 1, 1, 1, 1])[0]  # fmt: skip
        known = use not in ("Nobody", "momentum")
        found.append(Swap(
            at_s=rng.uniform(1, plan.busy_s),
            use=use,
            params=_params(rng, plan, use, 0.4) if known else {},
            make_s=rng.choice([0.0, 0.01, 0.5, 3.0]),
            fresh=rng.random() < 0.3,
        ))  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.at_s))


def _filters(rng: random.Random) -> FilterSettings:
    """Some that object now and then: windows of half an hour, bars, quotes."""
    spans = tuple(
        Span.parse(f"w{at} {9 + at // 2:02}:{30 * (at % 2):02}-{9 + at // 2:02}:"
                   f"{30 * (at % 2) + 29:02}")
        for at in sorted(rng.sample(range(13), rng.choice([0, 1, 4])))
    )  # fmt: skip
    return FilterSettings(
        windows=spans,
        momentum=rng.choice(["none", "none", "roc", "adx", "both"]),
        momentum_bars=2,
        adx=rng.choice([5.0, 20.0]),
        volume=rng.choice([0.0, 0.0, 0.5, 1.0]),
        volume_bars=rng.choice([1, 3]),
        spread_ticks=rng.choice([0.0, 2.0, 20.0]),
    )


def _blend(rng: random.Random, plan: Plan) -> str:
    """The text of a blend's file; its members decide on bars."""
    mode = rng.choice(["weights", "vote", "net"])
    how = {"weights": f"threshold = {rng.choice([0.3, 0.6])}", "vote": "votes = 1", "net": ""}[mode]
    text = BLEND.format(mode=mode, how=how)
    for at in range(rng.randint(2, 3)):
        params = _params(rng, plan, "Slow", 0.3)
        if params.get("where") in ("tick", "start"):
            params |= {"where": "bar", "fails": 4 + params["fails"] % 8}
        told = ", ".join(f"{name} = {json.dumps(value)}" for name, value in params.items())
        more = 'veto = "against"' if at == 2 else f"weight = {rng.choice([0.5, 1.0, 2.0])}"
        text += MEMBER.format(file=FILE, use="Slow", name=f"m{at}", params=f"{{{told}}}", more=more)
    return text


# ---- in a world ----------------------------------------------------------------------------------


def place_of(world: "World") -> dict[str, Any]:
    """What `LiveRun` is given of the strategy; the files are written."""
    decided, folder = world.plan.decided, world.path.parent
    assert decided is not None
    file = folder / FILE
    if not file.exists():
        shutil.copy(Path(__file__).with_name(FILE), file)
    given: dict[str, Any] = {"misuse": Misuse(decided.on_error, MEMORY_MAX), "folder": folder}
    if decided.blend:
        blend = folder / f"blend-{world.plan.seed}.toml"
        blend.write_text(decided.blend)
        return given | {"strategy": str(blend)}
    return given | {"strategy": f"{file}:{decided.use}", "params": decided.params}


def named(world: "World", use: str) -> str:
    """A name of a swap, as an operator gives it."""
    return use if use == "momentum" else f"{world.path.parent / FILE}:{use}"


class SeatWatch:
    """Looks at every change of who decides.

    Args:
        world: told of what is broken. run: of one life, before its first input.
    """

    def __init__(self, world: "World", run: "LiveRun") -> None:
        self.world, self.run, self.seat = world, run, run.seat
        self._use, self._install = run.loop.on_strategy, run.seat.install
        run.loop.on_strategy = self.use
        run.seat.install = self.install  # type: ignore[method-assign]

    def figures(self) -> tuple[int, ...]:
        """What a change of who decides leaves as it is."""
        kernel = self.run.kernel
        return (kernel.position, kernel.orders_sent, kernel.stop_price, kernel.target_price,
                kernel.broker.live)  # fmt: skip

    def use(self, words: bytes) -> None:
        """A STRATEGY input."""
        told = json.loads(words)
        before, back = self.figures(), self.seat._before
        self._use(words)
        after = self.figures()
        kept = told["op"] == "swap" or told["way"] == "rollback"
        if (before if kept else before[:1]) != (after if kept else after[:1]):
            self.world.violate(f"{told['op']} changed {before} into {after}")
        if not kept and not (self.seat.stopped and self.run.loop.gate_state):
            self.world.violate("a strategy was stopped, and entries pass")
        if told["op"] == "stop" and told["way"] == "rollback" and self.seat.now is not back:
            self.world.violate(f"{self.seat.now.name} decides, and not the one before")
        way = "" if kept and told["op"] == "swap" else f" {told['way']}, {told['why']}"
        self.world.outcome.counts[f"strategy {told['op']}{way}"] += 1

    def install(self, ready: Any, wall_ns: int) -> int:
        """A newcomer takes the seat, or nothing changes."""
        seat, journal = self.seat, self.run.journal
        before = (self.figures(), seat.now, seat.stopped, seat.swaps, journal.seq)
        try:
            return self._install(ready, wall_ns)
        except DhanfastError:
            after = (self.figures(), seat.now, seat.stopped, seat.swaps, journal.seq)
            if before != after:
                self.world.violate(f"refused, and {before} became {after}")
            raise


def seat_figures(run: "LiveRun") -> tuple[Any, ...]:
    """What a repeated journal must bring back of who decides."""
    seat = run.seat
    return (seat.now.name, seat.now.found.settings(), seat.now.since_ns, seat.now.bars,
            seat.stopped, seat.swaps, seat.rollbacks, seat.stops, seat.changes,
            getattr(seat.now.found.made, "counts", None), run.vetoed)  # fmt: skip
