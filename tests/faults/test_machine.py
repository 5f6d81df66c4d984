"""The order machine at the exchange on loopback; and broken ones, which must be found out."""

from typing import Any

import pytest
from hypothesis import settings

from dhanfast._core.live.records import IntentKind

from .machine import OrderMachine, run
from .wires import parsed

TestOrderMachine = OrderMachine.TestCase
TestOrderMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.slow
def test_many_more_runs() -> None:
    tally = run(400, 50, first=1)
    assert tally["runs"] >= 400 and tally["trades"] > 100


class Twice(OrderMachine):
    """A network that carries new orders twice."""

    def serve(self, which: int) -> None:
        intent = self.requests[which % len(self.requests)]
        if intent["kind"] == IntentKind.PLACE:
            method, path, headers, body = parsed(self.book.request(intent))
            self.exchange.request(method, path, {}, headers, body, self.desk.now)
        super().serve(which)


class Deaf(OrderMachine):
    """A desk that takes every update for one of others: it must read what it was not told."""

    def show(self, update: Any) -> None:
        update = update.copy()
        update["order"], update["broker_id"] = 0, b"X"
        super().show(update)


@pytest.mark.parametrize("broken", [Twice, Deaf])
def test_what_is_broken_is_found_out(broken: type[OrderMachine]) -> None:
    with pytest.raises(AssertionError):
        run(60, 40, first=1, machine=broken, shrink=False)
