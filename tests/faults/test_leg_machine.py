"""The order of several legs at the exchange: `scripts/order-machine --legs` runs more."""

from .leg_machine import ExchangeHedgedMachine, ExchangeLegMachine
from .machine import run


def test_no_promise_breaks() -> None:
    tally = run(12, 40, 7, ExchangeLegMachine)
    assert tally["runs"] >= 12 and tally["trades"] > 0


def test_no_promise_breaks_with_a_hedge() -> None:
    tally = run(20, 50, 7, ExchangeHedgedMachine)
    assert tally["runs"] >= 20
    assert tally["hedge orders"] > 0
