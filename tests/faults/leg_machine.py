"""The order of several legs at the exchange on loopback, with faults, step by step.

What must hold is in `tests.core.live.leg_machine`; here the exchange fills, refuses, hangs and
forgets, and tokens die. `scripts/order-machine --legs` runs it often and says how often.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from dhanfast._core.legs import LegUnit
from dhanfast.exchange.faults import Fault
from tests.core.live.leg_machine import HedgedLegs, LegMachine, picks
from tests.core.live.leg_world import leg
from tests.core.live.plain_broker import Held

from .leg_exchange import ExchangeLegs, chain_of

MENU = ("http-429", "http-5xx", "http-5xx-after", "timeout", "timeout-after", "reset",
        "reset-after", "update-drop", "update-delay", "update-duplicate",
        "update-reorder")  # fmt: skip


class ExchangeLegMachine(LegMachine):
    """At the exchange: the market of a generated day fills what it reaches."""

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        strikes = [one.strike for one in chain_of(0)[0] if one.kind == "CE"]
        low, under, money, over, high = strikes
        stop = {"stop": 3.0, "stop_unit": int(LegUnit.PERCENT)}
        return {
            "condor": [leg(-1, 1, over), leg(-1, -1, under), leg(1, 1, high), leg(1, -1, low)],
            "condor with stops": [leg(-1, 1, over, **stop), leg(-1, -1, under, **stop),
                                  leg(1, 1, high), leg(1, -1, low)],
            "straddle": [leg(-1, 1, money, **stop), leg(-1, -1, money, **stop)],
            "spread": [leg(-1, 1, money, lots=2), leg(1, 1, high, lots=2)],
            "ratio": [leg(-1, -1, under, lots=2), leg(1, -1, low)],
            "strangle bought": [leg(1, 1, over), leg(1, -1, under)],
        }  # fmt: skip

    def world_of(self, plan: dict[str, int], per_second: int) -> ExchangeLegs:
        return ExchangeLegs(self.folder / "legs.dfj", self.rules, plan=plan,
                            per_second=per_second, seed=0, first=0.4, passes=self.passes,
                            latency_ms=20)  # fmt: skip

    @property
    def exchange(self) -> Any:
        assert isinstance(self.world, ExchangeLegs)
        return self.world.exchange

    @precondition(lambda self: self.world.wires.requests)
    @rule(which=picks, fate=st.sampled_from(["ok", "ok", "ok", "lost answer"]))
    def serve(self, which: int, fate: str) -> None:
        """A request arrives at the exchange."""
        self.world.serve(which % len(self.world.wires.requests), fate)
        self.tally[f"request: {fate}"] += 1

    @rule(kind=st.sampled_from(MENU), delay_ms=st.sampled_from([50, 700, 4_000]))
    def break_next(self, kind: str, delay_ms: int) -> None:
        """The exchange does something wrong, once."""
        self.exchange.faults.replace([Fault(kind, count=1, delay_s=delay_ms / 1_000)])

    @rule(then=st.sampled_from(["reject", "cancel"]))
    def end_next_in_parts(self, then: str) -> None:
        """The next order fills in part, and the rest is ended."""
        fault = Fault("partial", count=1, method="POST", path="/v2/orders", then=then)
        self.exchange.faults.replace([fault])

    @rule(chance=st.integers(0, 3))
    def log_out(self, chance: int) -> None:
        """Now and then the token dies, and everything is refused at the door."""
        if not chance:
            self.exchange.tokens.expire(self.exchange.real_ns)
            self.tally["tokens died"] += 1

    @rule(chance=st.integers(0, 5))
    def heal(self, chance: int = 0) -> None:
        if not chance:
            assert isinstance(self.world, ExchangeLegs)
            self.exchange.faults.replace([])
            self.world.log_in()
        super().heal(chance)

    def wants(self, order: Held) -> int:
        """The exchange fills by itself what its market reaches."""
        return 0

    def leave_all(self) -> None:
        super().leave_all()
        self.tally["trades"] += len(self.exchange.books.trades)
        self.tally.update(self.exchange.mishaps.counts)


class ExchangeHedgedMachine(HedgedLegs, ExchangeLegMachine):
    """The same with a future that hedges: a whole number of lots of its own."""

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        strikes = [one.strike for one in chain_of(0)[0] if one.kind == "CE"]
        low, under, money, over, high = strikes
        return super().shapes() | {
            "spread": [leg(-1, 1, money, lots=3)],
            "ratio": [leg(-1, -1, money, lots=3), leg(1, -1, low)],
            "strangle bought": [leg(1, 1, money, lots=3), leg(1, -1, under)],
            "straddle": [leg(-1, 1, low, lots=3), leg(-1, -1, low, lots=3)],
            "condor": [leg(-1, 1, over, lots=3), leg(1, 1, high)],
        }

    def world_of(self, plan: dict[str, int], per_second: int) -> ExchangeLegs:
        return ExchangeLegs(self.folder / "legs.dfj", self.rules, plan=plan, hedge=self.HEDGE,
                            per_second=per_second, seed=0, first=0.4,
                            latency_ms=20)  # fmt: skip

    @rule()
    def a_second_goes_well(self) -> None:
        self.go_well()
        self.world.deliver()
        self.world.pass_time(1_100_000_000)
