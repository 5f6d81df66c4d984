"""Each algorithm at the exchange on loopback, through faults and deaths; broken ones are found."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from dhanfast._core.broker import Hold
from dhanfast._core.live.records import IntentKind
from dhanfast._core.types import OrderFlag, OrderKind

from .algo_machine import MACHINES, AlgoDesk, AlgoMachine, Life
from .machine import run
from .wires import parsed


def case_of(algo: str) -> Any:
    made: Any = MACHINES[algo].TestCase
    made.settings = settings(max_examples=12, stateful_step_count=40, deadline=None)
    return made


TestSlice = case_of("slice")
TestTwap = case_of("twap")
TestVwap = case_of("vwap")
TestPov = case_of("pov")
TestIceberg = case_of("iceberg")


@pytest.mark.slow
@pytest.mark.parametrize("algo", sorted(MACHINES))
def test_many_more_runs(algo: str) -> None:
    tally = run(200, 50, first=1, machine=MACHINES[algo])
    # How often a rule is drawn is up to the library, and differs from machine to machine.
    assert tally["runs"] >= 200 and tally["children"] > 20 and tally["deaths"] > 0


class Twice(AlgoMachine):
    """A network that carries new orders twice."""

    def serve(self, which: int) -> None:
        intent = self.requests[which % len(self.requests)]
        if intent["kind"] == IntentKind.PLACE:
            method, path, headers, body = parsed(self.book.request(intent))
            self.exchange.request(method, path, {}, headers, body, self.desk.now)
        super().serve(which)


class ForgetfulDesk(AlgoDesk):
    """A life that does not remember what an operator said."""

    def reborn(self) -> None:
        self.remote.story = [one for one in self.remote.story if one[0] != "hold_orders"]
        super().reborn()


class BoldDesk(AlgoDesk):
    """Entries are twice as large as was asked for."""

    def order(self, side: int, qty: int, kind: OrderKind, **more: int) -> int:
        entry = not more.get("flags", 0) & OrderFlag.EXIT
        return super().order(side, qty * 2 if entry else qty, kind, **more)


class Forgetful(AlgoMachine):
    @rule(what=st.sampled_from([Hold.PAUSE, Hold.RESUME, Hold.CANCEL]))
    def hold(self, what: int) -> None:
        """And dies: it is a matter of chance else whether a death follows a word that mattered."""
        super().hold(what)
        self.die(0)

    def desk_at(self, now_ns: int, **limits: int) -> Any:
        return ForgetfulDesk(now_ns, self.exchange.sessions[0][0], self.rules, **limits)


class Bold(AlgoMachine):
    def desk_at(self, now_ns: int, **limits: int) -> Any:
        return BoldDesk(now_ns, self.exchange.sessions[0][0], self.rules, **limits)


@pytest.mark.parametrize("broken", [Twice, Forgetful, Bold])
def test_what_is_broken_is_found_out(broken: type[AlgoMachine]) -> None:
    with pytest.raises(AssertionError):
        run(240, 40, first=1, machine=broken, shrink=False)  # ends with the first that is found


def test_a_life_repeats_another_to_the_byte() -> None:
    machine = MACHINES["twap"]()
    machine.begin(
        day=0, first=0.1, side=1, lots=3, stop=100, goal=100, modifies=3, per_minute=240,
        latency_ms=0, well=4, urgency=0, remainder=1, random_e4=3_000, reprice_s=1, interval_s=1,
        child_lots=1,
    )  # fmt: skip
    for _ in range(10):
        machine.deliver()
        machine.pass_ticks(2)
    before: Life = machine.desk.remote
    machine.desk.reborn()
    after: Life = machine.desk.remote
    assert after is not before and len(before.story) > 100
    assert after.worker.parents_now() == before.worker.parents_now()
    assert after.orders_there() == before.orders_there() != []
    machine.teardown()
