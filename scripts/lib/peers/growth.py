"""Bars streamed through the engine day by day: time and peak memory, a size a process.

    growth.py MILLIONS

One-second bars of a generated index, made while they are used, from 2019 on; past the end of the
tables the same years come round again, later, with their sessions. (A hundred million minutes of
one instrument would be a thousand years, more than 64 bits of nanoseconds count.) The log is
drained and dropped, equity is kept once a session, as a program that streams would do it. Prints
one JSON object. The time is the engine's, not the generator's.
"""

from __future__ import annotations

import json
import resource
import sys
from datetime import date, time
from time import perf_counter_ns

import numpy as np

from dhanfast._core.kernel import Kernel
from dhanfast.engine.engine import Engine
from dhanfast.engine.settings import Settings
from dhanfast.market.generate import generate_bars
from dhanfast.market.sessions import session_table
from dhanfast.strategies.plugins import find_strategy

SECOND = 1_000_000_000
FIRST, LAST = date(2019, 2, 1), date(2026, 10, 30)
SPAN_NS = 2_922 * 86_400 * SECOND  # eight years: later than the last of a round
ROUNDS = 4


def feed(kernel: Kernel, rows: np.ndarray) -> int:
    """Run one chunk, dropping what was written; nanoseconds spent in the engine."""
    started = perf_counter_ns()
    while not kernel.run(rows.view(np.uint8)):
        kernel.log.drain()
    kernel.log.drain()
    return perf_counter_ns() - started


def main() -> None:
    """Stream so many bars and say what it took."""
    count = int(float(sys.argv[1]) * 1_000_000)
    table = session_table(
        "BANKNIFTY", "FUT", FIRST, LAST,
        entry_from=time(9, 20), entry_until=time(15, 0), square_off=time(15, 15),
    )  # fmt: skip
    sessions = np.tile(table, ROUNDS)
    later = np.repeat(np.arange(ROUNDS), len(table))
    for name in table.dtype.names:
        if name.endswith("_ns"):
            sessions[name] += np.where(sessions[name] > 0, later * SPAN_NS, 0)
    # So that a repeated date is another date to the books.
    sessions["date"] += (later * 100_000).astype(np.int32)
    runner = find_strategy("momentum", {}).runner(lambda at_ns, text: None, SECOND)
    engine = Engine(
        runner, sessions, Settings(capital=10**15), interval_ns=SECOND, equity_each_bar=False
    )
    done = spent = 0
    for turn in range(ROUNDS):
        for day in generate_bars("BANKNIFTY", FIRST, LAST, seed=1, interval="1s"):
            rows = day[: count - done]
            rows["start_ns"] += turn * SPAN_NS
            spent += feed(engine.kernel, rows)
            done += len(rows)
            if done == count:
                break
        if done == count:
            break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "bars": done,
                "ns": spent / done,
                "peak_mb": peak,
                "sessions_mb": sessions.nbytes / 2**20,
                "orders": engine.kernel.orders_sent,
            }
        )
    )


if __name__ == "__main__":
    main()
