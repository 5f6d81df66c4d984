"""A routing decision: type, price, validity and reason of one order; entries and exits."""

from typing import Any

import pytest

from dhanfast._core.execution.route import Router, Urgency

DECISIONS = 1_000_000
MARKET = {"bid": 100_00, "ask": 100_40, "bid_qty": 500, "ask_qty": 500, "last": 100_20,
          "volatility": 0.2, "tick": 5, "band_low": 50_00, "band_high": 200_00}  # fmt: skip


@pytest.mark.parametrize("urgency", list(Urgency), ids=lambda urgency: urgency.name.lower())
@pytest.mark.parametrize("leaves", [False, True], ids=["entry", "exit"])
def test_route(benchmark: Any, leaves: bool, urgency: Urgency) -> None:
    benchmark.extra_info["samples_per_round"] = DECISIONS
    assert benchmark(Router().many, MARKET, 1, 75, urgency, DECISIONS, leaves) > 0
