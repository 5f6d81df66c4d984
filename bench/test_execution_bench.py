"""The worker: cost of a tick beside the exchange's own, idle and while a parent is worked."""

from typing import Any

import pytest

from bench.test_match_bench import SESSION, TICKS, random_ticks
from dhanfast._core.execution.schedule import Algo
from dhanfast._core.execution.worker import Worker
from dhanfast._core.match import Match
from dhanfast._core.risk import Gate

WORKED = {"id": 1, "side": 1, "qty": 1_500, "kind": 1, "flags": 16}


@pytest.mark.parametrize("algo", ["idle", "TWAP", "POV", "ICEBERG"])
def test_ticks(benchmark: Any, algo: str) -> None:
    """Time a tick = median / ticks_per_round; the parent is made anew for each round."""
    ticks = random_ticks()
    ticks["volume"] = 15 * (1 + ticks["qty"].cumsum())

    def made() -> tuple[tuple[Any], dict[str, Any]]:
        gate = Gate()
        rules = {} if algo == "idle" else {"algo": Algo[algo]}
        worker = Worker(
            Match(gate, protection_e4=1_000), gate, horizon_ns=8 * 10**13, interval_ns=10**9,
            urgency=0, remainder=0, reprice_ns=10**9, **rules,
        )  # fmt: skip
        worker.start_session(SESSION)
        worker.on_ticks(ticks[:1])
        if algo != "idle":
            worker.submit_order(gate.check(WORKED, mark=int(ticks["price"][0])), 1_000_000)
        worker.take_reports()
        # Far from what could fill: all ticks are seen by a parent that is still at work.
        return (worker,), {}

    def run(worker: Worker) -> None:
        worker.on_ticks(ticks)

    benchmark.extra_info["ticks_per_round"] = TICKS
    benchmark.pedantic(run, setup=made, rounds=7)
