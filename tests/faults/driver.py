"""`scripts/simulate-faults`: many seeds, what struck, and which promises broke."""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from dhanfast._core.execution.route import RouteWhy

from .deciders import with_deciders
from .orders import COMMANDS, with_orders
from .plan import Plan
from .world import Outcome, run_seed

BLOCK = 25
LATER = ("CROSS_PATIENCE", "CROSS_LAST", "LADDER_JOIN", "UNROUTED", "NO_MARKET")  # no first child's
ROUTES = tuple(why.name for why in RouteWhy if why.name not in LATER)
KINDS = (  # what the table shows: title, and the counts it takes
    ("orders and requests", ("order at the broker", "trade", "PLACE request", "MODIFY request",
                             "CANCEL request", "QUERY request")),
    ("guards, algorithms, stops", ("entry kept out by a guard", "entry without a size",
                                   "order worked", "child order", "exit that was hurried",
                                   "order above the freeze quantity", "stop moved")),
    ("how worked orders left", ROUTES),
    ("an operator", COMMANDS),
    ("who decides", ("strategy swap", "swap refused", "strategy stop rollback, raised",
                     "strategy stop rollback, hung", "strategy stop rollback, memory",
                     "strategy stop flatten, raised", "strategy stop flatten, hung",
                     "strategy stop flatten, memory", "strategy stop keep, raised",
                     "strategy stop keep, hung", "strategy stop keep, memory",
                     "entry taken back by a filter", "opposite stances of a blend")),
    ("deaths", ("death", "requests that had not left", "requests without an answer")),
    ("network", ("slow message", "lost message", "no connection", "cut", "mute", "gap")),
    ("broker", ("http-429", "http-5xx", "http-5xx-after", "timeout", "timeout-after", "reset",
                "reset-after", "slow", "partial", "limit met")),
    ("order updates", ("update-drop", "update-delay", "update-duplicate", "update-reorder")),
    ("clock and token", ("clock-step", "token-expiry", "no-login", "token renewed")),
)  # fmt: skip


def _memory_folder() -> str | None:
    """A folder in memory, where there is one: journals are written there."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() else None


PARTS = {"": None, "orders": with_orders, "deciders": with_deciders}  # what --with adds


def run_block(first: int, count: int, part: str) -> list[Outcome]:
    """Some seeds in a row, in this process."""
    change = PARTS[part]
    with tempfile.TemporaryDirectory(prefix="dhanfast-faults-", dir=_memory_folder()) as folder:
        return [run_seed(seed, Path(folder), change) for seed in range(first, first + count)]


def show(
    counts: Counter[str], seeds: int, broken: list[Outcome], seconds: float, part: str
) -> None:
    """The table."""
    more = f" --with {part}" if part else ""
    for title, names in KINDS:
        print(f"{title}")
        for name in names:
            print(f"  {name:<28}{counts[name]:>10,}")
    print(f"seeds {seeds:,} in {seconds:.1f} s, violations in {len(broken)}")
    for outcome in broken:
        print(
            f"\nseed {outcome.seed}: scripts/simulate-faults --first {outcome.seed} --seeds 1{more}"
        )
        for words in outcome.violations:
            print(f"  {words}")


def main() -> int:
    """Run the seeds that were asked for; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="simulate-faults")
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--with", dest="part", choices=["orders", "deciders"], default="")
    asked = parser.parse_args()
    if asked.seeds < 1 or asked.first < 0 or asked.jobs < 0:
        parser.error("--seeds must be from 1, --first and --jobs from 0")
    if asked.plan:
        for seed in range(asked.first, asked.first + asked.seeds):
            change = PARTS[asked.part]
            print(Plan.of(seed) if change is None else change(Plan.of(seed)))
        return 0
    jobs = asked.jobs or multiprocessing.cpu_count()
    began = last = time.monotonic()
    counts: Counter[str] = Counter()
    broken: list[Outcome] = []
    end = asked.first + asked.seeds
    blocks = [(at, min(BLOCK, end - at), asked.part)
              for at in range(asked.first, end, BLOCK)]  # fmt: skip
    context = multiprocessing.get_context("spawn")
    done = 0
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for outcomes in pool.map(run_block, *zip(*blocks, strict=True)):
            for outcome in outcomes:
                done += 1
                counts.update(outcome.counts)
                if outcome.violations:
                    broken.append(outcome)
                    print(f"seed {outcome.seed}: {outcome.violations}", file=sys.stderr)
            if time.monotonic() - last > 2:
                last = time.monotonic()
                print(f"{done:,} of {asked.seeds:,} seeds, violations in {len(broken)}",
                      file=sys.stderr)  # fmt: skip
    show(counts, asked.seeds, broken, time.monotonic() - began, asked.part)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
