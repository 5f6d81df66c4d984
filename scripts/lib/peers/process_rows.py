"""Whole processes: `dhanfast backtest` on a year of minutes, `import dhanfast`, growing runs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from table import Line

HERE = Path(__file__).parent


def wall(command: list[str]) -> float:
    """Seconds a process takes; its failure is ours."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environ)
    return time.perf_counter() - started


def year_of_minutes(python: str, folder: Path, given: Path | None) -> Path:
    """The recorded file that was named, else a generated year."""
    if given is not None:
        return given
    made = folder / "BANKNIFTY_1m.parquet"
    if not made.exists():
        command = [
            str(Path(python).parent / "dhanfast"),
            "generate",
            "BANKNIFTY",
            "--from",
            "2022-01-01",
            "--to",
            "2022-12-31",
            "-o",
            str(made),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return made


def process_rows(
    python: str, folder: Path, data: Path | None, rounds: int, best_peer_s: float | None
) -> list[Line]:
    """Best wall times, the three commands in turn."""
    source = year_of_minutes(python, folder, data)
    commands = {
        "backtest": [
            str(Path(python).parent / "dhanfast"),
            "backtest",
            "-s",
            "momentum",
            "--data",
            str(source),
            "--json",
        ],
        "import": [python, "-c", "import dhanfast"],
        "bare": [python, "-c", "pass"],
    }
    best = {name: wall(command) for name, command in commands.items()}
    for _ in range(rounds):
        for name, command in commands.items():
            best[name] = min(best[name], wall(command))
    name = "generated" if data is None else data.name
    lines = [
        Line(
            "process",
            f"dhanfast backtest, a year ({name})",
            "ms",
            1e3 * best["backtest"],
            bar="<= 450 ms",
            met=best["backtest"] <= 0.45,
        ),
        Line(
            "process",
            "import dhanfast, whole process",
            "ms",
            1e3 * best["import"],
            "bare interpreter",
            1e3 * best["bare"],
            best["bare"] / best["import"],
            "<= 80 ms",
            best["import"] <= 0.080,
        ),
    ]
    if best_peer_s is not None:
        lines.append(
            Line(
                "process",
                "first result against the best peer's",
                "ms",
                1e3 * best["backtest"],
                "first call of the best peer that ran a year or more",
                1e3 * best_peer_s,
                best_peer_s / best["backtest"],
                ">= 10x",
                best_peer_s >= 10 * best["backtest"],
            )
        )
    return lines


def growth_rows(python: str, millions: tuple[int, ...]) -> list[Line]:
    """Time a bar and peak memory of 1, 10, 100 million bars, each in a fresh process.

    Linear: a bar takes at most half again as long as in the smallest. Flat: its memory, less the
    table of its sessions, is at most a tenth above the smallest's.
    """
    lines: list[Line] = []
    found: list[dict[str, float]] = []
    for size in millions:
        command = [python, str(HERE / "growth.py"), str(size)]
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(answer))
        least, now = found[0], found[-1]
        linear = now["ns"] <= 1.5 * least["ns"]
        lines.append(
            Line(
                "growth",
                f"{size} million bars streamed",
                "ns/bar",
                now["ns"],
                f"{millions[0]} million",
                least["ns"],
                least["ns"] / now["ns"],
                "linear",
                linear,
            )
        )
        memory = [one["peak_mb"] - one["sessions_mb"] for one in (least, now)]
        lines.append(
            Line(
                "growth",
                f"{size} million bars, peak memory",
                "MB",
                memory[1],
                f"{millions[0]} million",
                memory[0],
                memory[0] / memory[1],
                "flat",
                memory[1] <= 1.1 * memory[0],
            )
        )
    return lines
