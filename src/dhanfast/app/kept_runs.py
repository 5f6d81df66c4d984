"""Where runs are kept, and how they are found again by name."""

import datetime as dt
import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast.app.config_folders import user_folders
from dhanfast.errors import BadData, UsageError

if TYPE_CHECKING:
    from dhanfast.reports.result import RunResult

INDIA: Final = dt.timezone(dt.timedelta(hours=5, minutes=30))


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run directory.

    Attributes:
        name: of the folder. kept: when it was written (IST). summary: its result.json; None when
        it cannot be read, and `fault` says why.
    """

    name: str
    place: Path
    kept: dt.datetime
    summary: dict[str, Any] | None
    fault: str


def results_folder(user_dir: str | None) -> Path:
    """Where `backtest --keep` puts runs: `results` in the user's folder."""
    return user_folders(user_dir, os.environ).root / "results"


def run_place(name: str, user_dir: str | None = None) -> Path:
    """The directory of a run: a path, or the name of a kept one (its beginning is enough).

    Raises:
        UsageError: there is none, or several begin so.
    """
    if (Path(name) / "result.json").is_file():
        return Path(name)
    folder = results_folder(user_dir)
    names = sorted(path.parent.name for path in folder.glob("*/result.json"))
    found = [one for one in names if one == name] or [one for one in names if one.startswith(name)]
    if len(found) == 1 and name:
        return folder / found[0]
    if len(found) > 1 and name:
        raise UsageError(f"{name!r} is the beginning of {len(found)} runs: {', '.join(found[:5])}")
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(
        f"{name!r} is no run directory, and no run of that name is kept in {folder}{hint}; see "
        "`dhanfast backtest list`"
    )


def kept_runs(folder: Path) -> list[KeptRun]:
    """The runs in a folder, the newest first; those that cannot be read say why."""
    from dhanfast.reports.rundir import read_summary

    found = []
    for path in folder.glob("*/result.json"):
        summary: dict[str, Any] | None = None
        fault = ""
        try:
            summary = read_summary(path.parent)
        except BadData as error:
            fault = str(error)
        at = dt.datetime.fromtimestamp(path.stat().st_mtime, INDIA)
        found.append(KeptRun(path.parent.name, path.parent, at, summary, fault))
    return sorted(found, key=lambda run: (run.kept, run.name), reverse=True)


def kept_name(result: "RunResult", strategy: str) -> str:
    """The name a run is kept under: strategy, symbol, dates (YYMMDD), beginning of its digest.

    The same run has the same name, so that keeping it twice is noticed.
    """
    words = re.sub(r"[^A-Za-z0-9]+", "-", Path(strategy.partition(":")[0]).stem).strip("-")
    days = result.days["date"]
    dates = f"{days[0] % 1_000_000}-{days[-1] % 1_000_000}" if len(days) else "no-days"
    return f"{words or 'run'}-{result.symbol}-{dates}-{result.digest[:8]}"


def keep(result: "RunResult", strategy: str, user_dir: str | None = None) -> tuple[Path, bool]:
    """Write a run to the results folder; (its place, whether it was new).

    Raises:
        OSError: it cannot be written.
    """
    from dhanfast.reports.rundir import write_run

    place = results_folder(user_dir) / kept_name(result, strategy)
    if (place / "result.json").is_file():
        return place, False
    return write_run(result, place), True
