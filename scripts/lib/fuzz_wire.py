"""Rounds of hostile messages, each in a process of its own; see scripts/fuzz-wire."""

import argparse
import os
import subprocess
import sys
import time

ROUND = 4_000  # messages a process


def work(seed: int, count: int) -> None:
    """One round: prints messages and decoder runs."""
    from tests.core.wire.hostile import Hostile

    hostile = Hostile(seed)
    runs = 0
    for number in range(count):
        message = hostile.message()
        try:
            runs += hostile.check(message)
        except AssertionError:
            print(f"seed {seed}, message {number}: {message.hex()}", file=sys.stderr)
            raise
    print(count, runs)


def main() -> int:
    """Rounds until the time is over; exit code 1 when one of them ended badly."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=30.0)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--round", type=int, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.round is not None:
        work(given.round, ROUND)
        return 0
    began, messages, runs, crashes, seed = time.monotonic(), 0, 0, 0, given.seed
    while time.monotonic() - began < given.seconds:
        call = [sys.executable, os.path.abspath(__file__), "--round", str(seed)]
        ended = subprocess.run(call, capture_output=True, text=True)
        if ended.returncode:
            crashes += 1
            print(f"seed {seed}: exit code {ended.returncode}\n{ended.stderr[-4_000:]}")
        else:
            done = ended.stdout.split()
            messages, runs = messages + int(done[0]), runs + int(done[1])
        seed += 1
    spent = time.monotonic() - began
    print(f"{messages} messages, {runs} executions of a decoder in {spent:.0f} s")
    print(f"seeds {given.seed} to {seed - 1}: {crashes} crashes")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
