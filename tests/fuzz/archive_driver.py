"""Trials for as long as one likes, in a process whose end is noticed: see scripts/fuzz-archive.

The parent watches; a child says the number of the mutant it is at before it begins. When it dies (a
signal, a sanitizer's report) or does not come back in time, the mutant is kept and a new child goes
on behind it.
"""

import argparse
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .archive_mutants import mutant
from .archive_trial import trial

SLOW_S = 60.0  # of one trial: an endless loop
REPORT_S = 10.0
MEMORY_BYTES = 6 << 30  # address space of a child; a sanitizer needs terabytes of it, unused


def child(first: int, folder: Path) -> None:
    """Trials from a number on, a line each; ends when its parent closes the pipe."""
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    path, seed = folder / "mutant.dfa", first
    while True:
        print(f"at {seed}", flush=True)
        data, how = mutant(seed)
        try:
            print(trial(data, path, seed), flush=True)
        except Exception as fault:  # told, kept, and the next one
            text = f"fault {type(fault).__name__}: {fault} ({how})"
            print(text.replace("\n", " ")[:500], flush=True)
        seed += 1


class Run:
    """One long run: counts, and the mutants that were too much for the reader."""

    def __init__(self, seed: int, keep: Path) -> None:
        self.seed, self.keep = seed, keep
        self.answers: dict[str, int] = {}
        self.crashes: list[str] = []

    def until(self, deadline: float) -> None:
        """Children one after another until the time is up."""
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            while time.monotonic() < deadline:
                command = [sys.executable, "-m", __spec__.name, "--child", str(self.seed), folder]
                with (
                    tempfile.TemporaryFile() as log,
                    subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,
                ):
                    self._watch(process, log, deadline)

    def _watch(self, process: "subprocess.Popen[bytes]", log: IO[bytes], deadline: float) -> None:
        next_report = time.monotonic() + REPORT_S
        for line in _lines(process, SLOW_S):
            word = line.strip()
            if word.startswith("at "):
                self.seed = int(word[3:])
            elif word.startswith("fault "):
                self._crash(word)
            else:
                self.answers[word] = self.answers.get(word, 0) + 1
            if time.monotonic() > next_report:
                print(self.told(), file=sys.stderr, flush=True)
                next_report += REPORT_S
            if time.monotonic() > deadline and not word.startswith("at "):
                process.kill()
                return
        process.kill()
        code = process.wait()
        log.seek(0)
        said = log.read()[-4000:].decode(errors="replace")
        self._crash(f"the process ended with {code} or hung for {SLOW_S:.0f} s\n{said}")
        self.seed += 1

    def _crash(self, why: str) -> None:
        self.keep.mkdir(parents=True, exist_ok=True)
        kept = self.keep / f"mutant-{self.seed}.dfa"
        kept.write_bytes(mutant(self.seed)[0])
        self.crashes.append(f"mutant {self.seed}, kept as {kept}: {why}")
        print(self.crashes[-1], file=sys.stderr, flush=True)

    def told(self) -> str:
        """Counts in one line."""
        answers = ", ".join(f"{count} {name}" for name, count in sorted(self.answers.items()))
        done = sum(self.answers.values()) + len(self.crashes)
        return f"{done} executions: {answers}; crashes {len(self.crashes)}"


def _lines(process: "subprocess.Popen[bytes]", slow_s: float) -> Iterator[str]:
    """Lines of a child until it ends or says nothing for too long."""
    assert process.stdout is not None
    watch = selectors.DefaultSelector()
    watch.register(process.stdout, selectors.EVENT_READ)
    raw = b""
    while watch.select(slow_s):
        read = os.read(process.stdout.fileno(), 65_536)
        if not read:
            return
        *lines, raw = (raw + read).split(b"\n")
        yield from (line.decode() for line in lines)


def main() -> None:
    """Run for so many seconds; exit code 1 when anything crashed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(int(options.child[0]), Path(options.child[1]))
        return
    run, begun = Run(options.seed * 1_000_000_000, options.keep), time.monotonic()
    run.until(begun + options.seconds)
    print(f"{run.told()}; {time.monotonic() - begun:.0f} s; seeds from {options.seed}e9 on")
    sys.exit(1 if run.crashes else 0)


if __name__ == "__main__":
    main()
