"""The folder a run leaves behind: everything needed to read, check and compare it later.

    result.json      every figure (see `summary`), and size and SHA-256 of each other file
    trades.parquet   closed trades        orders.parquet   orders as they ended
    equity.parquet   equity of each bar   days.parquet     bills and equity of each day
    passages.parquet how each order went  slippage.csv     what each order cost
    config.json      every setting of the run
    report.html      one page that opens offline
    vetoes.parquet   entries that filters took back     factors.parquet  what entries were decided
                     (with filters)                     on (of a score or a blend)

A folder appears whole or not at all: it is written under a temporary name beside its place and
renamed. A killed process leaves at most a folder named `.NAME.part-N`, never a half run under
NAME. (A power failure within seconds may lose the files: they are not forced to the disk, and
`read_run` finds out by their sums.)
"""

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from dhanfast.errors import BadData, UsageError
from dhanfast.reports import columns
from dhanfast.reports.html import report_page
from dhanfast.reports.result import RunResult
from dhanfast.reports.signals import read_factors, read_vetoes, write_rows
from dhanfast.reports.slippage_rows import write_costs
from dhanfast.reports.summary import summary

ROWS = ("trades", "orders", "equity", "days")
WAYS = ("passages.parquet", "slippage.csv")  # absent when the run had no passages
HEDGES = "hedges.parquet"  # absent when it had no hedge
VETOES, FACTORS = "vetoes.parquet", "factors.parquet"  # absent without filters, without factors
FILES = (*(f"{kind}.parquet" for kind in ROWS), *WAYS, "config.json", "report.html")


def _staging(target: Path) -> Path:
    """Make the temporary folder beside the target; one left by a killed process is stepped over."""
    for number in range(1000):
        place = target.parent / f".{target.name}.part-{number}"
        try:
            place.mkdir()
        except FileExistsError:
            continue
        return place
    raise UsageError(
        f"{target.parent}: 1000 unfinished runs named .{target.name}.part-N; remove them"
    )


def _free(target: Path) -> None:
    """Refuse a place that holds anything."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"{target} exists and is not empty; a run is never overwritten: name another"
        )


def _fill(result: RunResult, place: Path, risk_free: float) -> None:
    for kind in ROWS:
        columns.write(kind, getattr(result, kind), place / f"{kind}.parquet")
    if result.passages is not None:
        columns.write("passages", result.passages, place / "passages.parquet")
        write_costs(result, place / "slippage.csv")
    if result.hedges is not None:
        columns.write("hedges", result.hedges, place / HEDGES)
    for name, told in ((VETOES, result.vetoes), (FACTORS, result.factors)):
        if told is not None:
            write_rows(told.rows, place / name)
    (place / "config.json").write_text(json.dumps(result.config, indent=2) + "\n", "utf-8")
    (place / "report.html").write_text(report_page(result, risk_free=risk_free), "utf-8")
    out = summary(result, risk_free=risk_free)
    out["log"] = [list(line) for line in result.log]
    out["files"] = {}
    for name in (name for name in (*FILES, HEDGES, VETOES, FACTORS) if (place / name).exists()):
        data = (place / name).read_bytes()
        out["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    text = json.dumps(out, indent=1, allow_nan=False)
    (place / "result.json").write_text(text + "\n", "utf-8")


def write_run(result: RunResult, directory: str | Path, *, risk_free: float = 0.0) -> Path:
    """Write a run directory, whole or not at all.

    Args:
        result: the run.
        directory: where; it must not exist, or be an empty folder. Its parents are made.
        risk_free: yearly risk-free rate of Sharpe and Sortino.

    Returns:
        the directory.

    Raises:
        UsageError: the directory exists and is not empty.
        OSError: it cannot be written (disk full, no permission); nothing is left behind.
        ValueError: the capital is not positive.
    """
    target = Path(os.path.abspath(directory))
    _free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    place = _staging(target)
    try:
        _fill(result, place, risk_free)
        place.rename(target)
    except BaseException as cause:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(cause, OSError) and cause.errno in (errno.ENOTEMPTY, errno.EEXIST):
            _free(target)  # somebody was faster: say so in the same words
        raise
    return target


def read_summary(directory: str | Path) -> dict[str, Any]:
    """Read the figures of a run: its result.json.

    Raises:
        BadData: there is no run in the directory, or result.json is damaged.
    """
    path = Path(directory) / "result.json"
    try:
        out = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as cause:
        raise BadData(f"{path}: not there; {directory} is not a run directory") from cause
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise BadData(f"{path}: damaged ({cause}); run the backtest again") from cause
    if not isinstance(out, dict) or "files" not in out or "digest" not in out:
        raise BadData(f"{path}: not a result of dhanfast; digest and files are missing")
    return out


def read_run(directory: str | Path) -> RunResult:
    """Read a run back; every file is checked against the sums taken when it was written.

    The bars of the chart are not stored: `bars` is None. Everything else is as it was.

    Raises:
        BadData: a file is missing or has changed since the run; the message names it.
    """
    out = read_summary(directory)
    folder = Path(directory)
    for name, told in out["files"].items():
        try:
            data = (folder / name).read_bytes()
        except FileNotFoundError as cause:
            raise BadData(f"{folder / name}: not there, though the run wrote it") from cause
        if len(data) != told["bytes"] or hashlib.sha256(data).hexdigest() != told["sha256"]:
            raise BadData(
                f"{folder / name}: changed since the run wrote it; run the backtest again"
            )
    rows: dict[str, Any] = {kind: columns.read(kind, folder / f"{kind}.parquet") for kind in ROWS}
    if "passages.parquet" in out["files"]:
        rows["passages"] = columns.read("passages", folder / "passages.parquet")
    if HEDGES in out["files"]:
        rows["hedges"] = columns.read("hedges", folder / HEDGES)
    if VETOES in out["files"]:
        rows["vetoes"] = read_vetoes(folder / VETOES, out["vetoes"])
    if FACTORS in out["files"]:
        rows["factors"] = read_factors(folder / FACTORS, out["factors"])
    texts: dict[str, Any] = {
        name: out[name] for name in ("strategy", "symbol", "traded", "timeframe", "digest")
    }
    return RunResult(
        **texts,
        **rows,
        capital=out["capital_paise"],
        bars=None,
        counters=out["counters"],
        config=out["config"],
        data=out["data"],
        notes=tuple(out["notes"]),
        kernel_ns=out["kernel_ns"],
        versions=out["versions"],
        log=tuple((int(at_ns), str(text)) for at_ns, text in out.get("log", [])),
        grade=out.get("grade", ""),
        contracts={int(number): name for number, name in out.get("contracts", {}).items()},
        margin=out.get("margin", {}),
        members=tuple(out.get("members", ())),
    )
