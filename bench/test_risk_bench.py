"""The risk gate: one order through all limits and the seal, in a native loop (bar: 100 ns)."""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.risk import Gate
from dhanfast._core.types import ORDER_DTYPE

ORDERS = 100_000
SESSION = {"lot": 15, "tick": 5, "freeze": 900, "margin_rate_e9": 120_000_000}


@pytest.mark.parametrize("kind", ["entries", "exits"])
def test_gate_check_many(benchmark: Any, kind: str) -> None:
    """Time an order = median / orders_per_round. Every limit is on, and every order passes."""
    gate = Gate(qty_max=900, notional_max=10**12, position_max=10**6, loss_day_max=10**9,
                band_e4=500, orders_per_s_max=10, margin_check=True, instruments=4)  # fmt: skip
    orders = np.zeros(ORDERS, dtype=ORDER_DTYPE)
    orders["id"] = np.arange(1, ORDERS + 1)
    orders["qty"], orders["price"], orders["side"] = 15, 5_000_000, 1
    orders["side"] = 1 if kind == "entries" else -1
    orders["flags"] = 0 if kind == "entries" else 1
    view = {"mark": 5_000_000, "margin_free": 10**12, "session": SESSION,
            "position": 0 if kind == "entries" else 15}  # fmt: skip
    benchmark.extra_info["orders_per_round"] = ORDERS
    orders["created_ns"] = 0

    def later() -> tuple[tuple[Any], dict[str, Any]]:
        # Each round a second later than the last, orders a second apart: the rate limit passes.
        orders["created_ns"] = int(orders["created_ns"][-1]) + 10**9 * np.arange(1, ORDERS + 1)
        return (orders,), view

    verdicts = benchmark.pedantic(gate.check_many, setup=later, rounds=30, warmup_rounds=2)
    assert (verdicts == 0).all()
