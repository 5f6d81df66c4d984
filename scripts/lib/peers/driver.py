"""Run the comparison and print one table.

    driver.py --ours PYTHON --peers PYTHON --apart PYTHON --folder FOLDER [options]

Every side lives in a process of its own and prepares its input before anything is timed. Then
the sides of a row take turns, round after round (A B C A B C ...), so that a machine that drifts
drifts for all of them. A figure is the best of the rounds; a ratio is taken between figures of the
same run only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from process_rows import growth_rows, process_rows
from rows import APART, GROUPS, PEERS, ROWS, SLOW, Row, module_of
from table import Line, judge, printed

HERE = Path(__file__).parent
YEAR = 90_000  # minutes


class Worker:
    """A process that prepares and times the subjects of one module."""

    def __init__(self, python: str, module: str, folder: Path) -> None:
        command = [python, str(HERE / "worker.py"), module, str(folder)]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        """One request, one answer; {"error": ...} also when the process died."""
        assert self._child.stdin and self._child.stdout
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"error": f"its process ended with code {self._child.poll()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """Let it end."""
        if self._child.stdin:
            with contextlib.suppress(BrokenPipeError):  # it ended before
                self._child.stdin.close()
        self._child.wait()


class Bench:
    """One run: its workers, what was measured, and what could not be.

    Attributes:
        figures: {subject: [nanoseconds an item, a round each]}; first: {subject: seconds of the
        first call}; checks: what that call answered; skipped: {subject or peer: reason}.
    """

    def __init__(self, pythons: dict[str, str], folder: Path, rounds: int) -> None:
        self.pythons, self.folder, self.rounds = pythons, folder, rounds
        self.figures: dict[str, list[float]] = {}
        self.first: dict[str, float] = {}
        self.items: dict[str, int] = {}
        self.checks: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self._workers: dict[str, Worker] = {}
        self._ready: set[str] = set()

    def worker(self, subject: str) -> Worker:
        """The process of a subject's module, started when first needed."""
        module = module_of(subject)
        if module not in self._workers:
            side = {"ours": "ours", "nautilus_peer": "apart"}.get(module, "peers")
            self._workers[module] = Worker(self.pythons[side], module, self.folder)
        return self._workers[module]

    def run_row(self, row: Row) -> None:
        """Prepare all sides of a row, then time them in turn."""
        ready = []
        for subject in (row.ours, *row.peers, *row.minus):
            if subject in self.skipped:
                continue
            made = {} if subject in self._ready else self.worker(subject).ask(prepare=subject)
            if "error" in made:
                self.skipped[subject] = made["error"]
                continue
            if made:
                self._ready.add(subject)
                self.first.setdefault(subject, made["first_ns"] / 1e9)
                self.items[subject], self.checks[subject] = made["items"], str(made["check"])[:60]
            ready.append(subject)
        for turn in range(self.rounds):
            for subject in ready:
                slow = subject.partition(".")[0] in SLOW and row.group == "strategy"
                if slow and turn >= max(2, self.rounds // 3):
                    continue
                answer = self.worker(subject).ask(time=subject)
                if "error" in answer:
                    self.skipped[subject] = answer["error"]
                else:
                    self.figures.setdefault(subject, []).append(answer["ns"])

    def first_of_a_year(self) -> float | None:
        """Seconds to the first result of the quickest peer that ran a year or more; None: none did.

        Their imports and start are not in it, and what numba has cached from earlier runs helps.
        """
        years = [s for peer, s in self.first.items() if peer in SLOW and self.items[peer] >= YEAR]
        return min(years, default=None)

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._ready.clear()


def installed(pythons: dict[str, str], folder: Path) -> dict[str, str]:
    """{peer: version} of what is there."""
    found: dict[str, str] = {}
    for side, names in (("peers", PEERS), ("apart", APART), ("ours", {"dhanfast": "dhanfast"})):
        worker = Worker(pythons[side], "rows", folder)
        answer = worker.ask(versions=list(names.values()))
        worker.close()
        found |= {
            peer: answer["versions"][name]
            for peer, name in names.items()
            if name in answer.get("versions", {})
        }
    return found


def report(
    lines: list[Line], bench: Bench, versions: dict[str, str], started: float, target: Path | None
) -> None:
    """Print the table and, when asked, write the figures."""
    print(printed(lines))
    print("\nVersions: " + ", ".join(f"{n} {v}" for n, v in sorted(versions.items())))
    for name, reason in sorted(bench.skipped.items()):
        print(f"Skipped {name}: {reason}")
    for peer in ("vectorbt", "backtesting", "backtrader", "nautilus"):
        if peer in bench.first:
            print(
                f"First result of {peer}, compiling and warming up included: "
                f"{bench.first[peer]:.1f} s ({bench.items[peer]:,} bars, "
                f"{bench.checks[peer]} trades or orders)"
            )
    print(
        f"Took {time.monotonic() - started:.0f} s on {platform.machine()}, Python "
        f"{platform.python_version()}. Only ratios of one run mean something."
    )
    if target is not None:
        target.write_text(
            json.dumps(
                {
                    "versions": versions,
                    "skipped": bench.skipped,
                    "first_s": bench.first,
                    "items": bench.items,
                    "checks": bench.checks,
                    "rounds_ns": bench.figures,
                    "lines": [line.as_dict() for line in lines],
                },
                indent=1,
            )
            + "\n"
        )


def parsed() -> argparse.Namespace:
    """The options; `scripts/bench-peers --help` explains them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("ours", "peers", "apart", "folder"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--only", action="append", choices=GROUPS, default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--skipped", default="{}")
    return parser.parse_args()


def main() -> int:
    """Measure and print; 1 when nothing of ours could be measured."""
    given, started = parsed(), time.monotonic()
    folder = Path(given.folder)
    pythons = {"ours": given.ours, "peers": given.peers, "apart": given.apart}
    bench = Bench(pythons, folder, 4 if given.quick else 9)
    bench.skipped |= json.loads(given.skipped)
    wanted = set(given.only or GROUPS)
    lines: list[Line] = []
    for group in dict.fromkeys(row.group for row in ROWS):
        if group not in wanted:
            continue
        print(f"== {group}", file=sys.stderr, flush=True)
        for row in (row for row in ROWS if row.group == group):
            bench.run_row(row)
            lines += judge(row, bench.figures)
        bench.close()
    if "process" in wanted:
        print("== process", file=sys.stderr, flush=True)
        lines += process_rows(
            given.ours,
            folder,
            given.data,
            5 if given.quick else 15,
            bench.first_of_a_year(),
        )
    if "growth" in wanted:
        print("== growth", file=sys.stderr, flush=True)
        lines += growth_rows(given.ours, (1, 10) if given.quick else (1, 10, 100))
    report(lines, bench, installed(pythons, folder), started, given.json)
    return 0 if lines else 1


if __name__ == "__main__":
    sys.exit(main())
