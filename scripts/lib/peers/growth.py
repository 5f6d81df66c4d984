"""Bars streamed through the engine in chunks: time and peak memory, a size a process.

    growth.py MILLIONS FOLDER

The ten generated years of bars.npy come round again, later each time, with their sessions; the log
is drained and dropped, equity is kept once a session, as a program that streams would do it. Prints
one JSON object. The time is the engine's; shifting the stamps of a chunk is the generator's.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from dhanfast._core.kernel import Kernel
from dhanfast.engine.engine import Engine
from dhanfast.engine.settings import Settings
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
SPAN_NS = 10 * 364 * 86_400 * 1_000_000_000
CHUNK = 65_536


def feed(kernel: Kernel, rows: np.ndarray) -> int:
    """Run one chunk, dropping what was written; nanoseconds spent in the engine."""
    started = time.perf_counter_ns()
    while not kernel.run(rows.view(np.uint8)):
        kernel.log.drain()
    kernel.log.drain()
    return time.perf_counter_ns() - started


def main() -> None:
    """Stream so many bars and say what it took."""
    count, folder = int(float(sys.argv[1]) * 1_000_000), Path(sys.argv[2])
    bars = np.load(folder / "bars.npy", mmap_mode="r")
    table = np.load(folder / "sessions.npy")
    rounds = -(-count // len(bars))
    sessions = np.tile(table, rounds)
    for name in table.dtype.names:
        if name.endswith("_ns"):
            later = np.repeat(np.arange(rounds) * SPAN_NS, len(table))
            sessions[name] += np.where(sessions[name] > 0, later, 0)
    # So that a repeated date is another date to the books.
    sessions["date"] += np.repeat(np.arange(rounds) * 100_000, len(table)).astype(np.int32)
    runner = find_strategy("momentum", {}).runner(lambda at_ns, text: None, MINUTE)
    engine = Engine(
        runner, sessions, Settings(capital=10**15), interval_ns=MINUTE, equity_each_bar=False
    )
    done = spent = 0
    while done < count:
        turn, at = divmod(done, len(bars))
        rows = np.array(bars[at : at + min(CHUNK, count - done)])
        rows["start_ns"] += turn * SPAN_NS
        spent += feed(engine.kernel, rows)
        done += len(rows)
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
