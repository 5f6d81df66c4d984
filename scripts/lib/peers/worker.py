"""One side of a comparison: prepares subjects of one module and times them when asked.

    worker.py MODULE FOLDER

MODULE defines SUBJECTS, {name: prepare}; prepare(folder) returns (call, items). One request a line
on standard input, {"prepare": name}, {"time": name} or {"versions": [names]}; one answer a line on
the standard output that the parent gave; what libraries print goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROUND_NS = 30_000_000  # a round repeats short calls for about so long


class Prepared:
    """A call ready to be timed."""

    def __init__(self, call: Callable[[], Any], items: int) -> None:
        self.call, self.items = call, items
        started = time.perf_counter_ns()
        self.check = call()
        self.first_ns = time.perf_counter_ns() - started
        started = time.perf_counter_ns()
        call()
        warm_ns = max(1, time.perf_counter_ns() - started)
        self.repeats = max(1, min(1000, ROUND_NS // warm_ns))

    def time(self) -> float:
        """Nanoseconds an item over one round."""
        call = self.call
        gc.collect()
        gc.disable()
        started = time.perf_counter_ns()
        for _ in range(self.repeats):
            call()
        spent = time.perf_counter_ns() - started
        gc.enable()
        return spent / self.repeats / self.items


def versions(names: list[str]) -> dict[str, str]:
    """Installed versions of distributions; those that are missing are left out."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def answer(
    request: dict[str, Any], subjects: dict[str, Any], folder: Path, prepared: dict[str, Prepared]
) -> dict[str, Any]:
    """Do what one request asks."""
    if "prepare" in request:
        name = request["prepare"]
        prepared[name] = Prepared(*subjects[name](folder))
        made = prepared[name]
        return {"items": made.items, "first_ns": made.first_ns, "check": made.check}
    if "time" in request:
        return {"ns": prepared[request["time"]].time()}
    return {"versions": versions(request["versions"])}


def main() -> None:
    """Serve requests until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    sys.path.insert(0, str(Path(__file__).parent))
    folder = Path(sys.argv[2])
    prepared: dict[str, Prepared] = {}
    try:
        subjects = importlib.import_module(sys.argv[1]).SUBJECTS
        problem = ""
    except Exception as error:  # said to the parent, which names it in the table
        subjects, problem = {}, f"{type(error).__name__}: {error}"
    for line in sys.stdin:
        try:
            if problem and "versions" not in json.loads(line):
                raise RuntimeError(problem)
            reply = answer(json.loads(line), subjects, folder, prepared)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply, default=str) + "\n")


if __name__ == "__main__":
    main()
