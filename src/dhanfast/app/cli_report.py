"""`dhanfast report`: figures of runs and days that are over."""

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.config_folders import user_folders
from dhanfast.app.edge import WIDTH, edge, print_json
from dhanfast.errors import BadData, UsageError

if TYPE_CHECKING:
    from dhanfast.reports.slippage import Costs

DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
USUAL: Final = ("type", "reason", "hour")


@click.group(epilog="Example: dhanfast report slippage runs/first --by hour,reason")
def report() -> None:
    """Report on runs and days that are over."""


@report.command(
    epilog="Example: dhanfast report slippage 2026-01-05 --by hour,reason --json",
)
@click.argument("source", metavar="RUN_DIR|DAY")
@click.option(
    "--by",
    "dimensions",
    metavar="NAMES",
    help="Take it apart by: strategy, symbol, date, hour, strike, type, reason, route, side "
    "[default: type,reason,hour].",
)
@click.option("--csv", "csv_file", metavar="FILE", help="Also write a line an order to a new file.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--user-dir",
    metavar="DIR",
    help="The user's folder [default: $DHANFAST_HOME, else $XDG_DATA_HOME/dhanfast, else "
    "~/.local/share/dhanfast].",
)
@edge
def slippage(
    source: str, dimensions: str | None, csv_file: str | None, as_json: bool, user_dir: str | None
) -> None:
    """What orders cost against the prices they were decided on; positive is a cost.

    RUN_DIR is a folder that --export wrote, of a backtest, a replay or a day of trading. DAY is a
    date, YYYY-MM-DD: all that `dhanfast trade` ran on it, on paper and live. Delay is what the
    market moved until the order was in it, execution what it took then; what entries did not fill
    is counted apart.
    """
    from dhanfast.reports import slippage as figures

    names = figures.dimensions(dimensions) if dimensions is not None else USUAL
    costs, told = _of_day(source, user_dir) if _is_day(source) else _of_run(source)
    if len(costs.rows) == 0:
        raise BadData(f"{source}: no order left: nothing cost anything")
    made = figures.summary_of(costs, names)  # refuses strikes of futures before anything is written
    if csv_file is not None:
        _write_csv(costs, Path(csv_file))
    if as_json:
        print_json({"source": source, **told, **made})
        return
    from dhanfast.reports.terminal import print_text, slippage_lines

    print_text(_title(source, told))
    print_text("\n".join(slippage_lines(costs, WIDTH, names)).rstrip())


@report.command(epilog="Example: dhanfast report hedge runs/straddle --json")
@click.argument("run_dir", metavar="RUN_DIR")
@click.option("--json", "as_json", is_flag=True, help="Print figures and decisions as JSON.")
@edge
def hedge(run_dir: str, as_json: bool) -> None:
    """Every decision of a structure's hedge: why, how much, at what price, and the delta then.

    RUN_DIR is a folder that --export wrote. Delta is how far all legs and the hedge together were
    off their target, in units of the underlying, before the decision and once it has filled.
    """
    from dhanfast.reports.hedges import hedge_dicts, hedge_summary
    from dhanfast.reports.rundir import read_run
    from dhanfast.reports.terminal import hedge_lines, print_text

    result = read_run(run_dir)
    if result.hedges is None:
        raise BadData(f"{run_dir}: the run had no hedge: write [hedge] into its legs file")
    if as_json:
        print_json({"source": run_dir, **hedge_summary(result), "rows": hedge_dicts(result)})
        return
    print_text("\n".join(hedge_lines(result, WIDTH, shown=len(result.hedges))).rstrip())


def _is_day(source: str) -> bool:
    """Whether a date was meant; a folder of such a name is a folder when it is there."""
    return DAY.fullmatch(source) is not None and not Path(source).is_dir()


def _of_run(source: str) -> "tuple[Costs, dict[str, Any]]":
    """The orders of a run directory."""
    from dhanfast.reports.rundir import read_run
    from dhanfast.reports.slippage import run_costs
    from dhanfast.reports.summary import is_generated

    result = read_run(source)
    costs = run_costs(result)
    if costs is None:
        raise BadData(
            f"{source}: written before decisions were kept with orders; run it again to know what "
            "they cost"
        )
    told = {"strategies": list(costs.strategies), "symbols": list(costs.symbols),
            "generated": is_generated(result)}  # fmt: skip
    return costs, told


def _of_day(source: str, user_dir: str | None) -> "tuple[Costs, dict[str, Any]]":
    """The orders of every session of a date."""
    import os

    from dhanfast.reports.slippage import costs_of, joined
    from dhanfast.storage.slippage import SlippageStore

    try:
        day = dt.date.fromisoformat(source)
    except ValueError:
        raise UsageError(f"{source!r} is not a date; write YYYY-MM-DD") from None
    store = SlippageStore(user_folders(user_dir, os.environ).slippage)
    found = store.sessions(date=int(f"{day:%Y%m%d}"))
    if not found:
        raise BadData(
            f"{store.path}: nothing is stored of {source}; a day is stored when `dhanfast trade` "
            "ends"
        )
    costs = [
        costs_of(
            *store.rows(one.source), strategy=one.strategy, symbol=one.symbol, traded=one.traded
        )
        for one in found
    ]
    whole = joined(costs)
    told = {
        "sessions": [{"run": one.run, "mode": one.mode, "strategy": one.strategy,
                      "traded": one.traded, "generated": bool(one.generated)} for one in found],
        "strategies": list(whole.strategies),
        "symbols": list(whole.symbols),
        "generated": any(one.generated for one in found),
    }  # fmt: skip
    return whole, told


def _title(source: str, told: dict[str, Any]) -> str:
    """What is reported, in a line or two."""
    words = f"{', '.join(told['strategies'])} on {', '.join(told['symbols'])}, {source}"
    if "sessions" in told:
        runs = dict.fromkeys(f"{one['run']} ({one['mode']})" for one in told["sessions"])
        words += ": " + ", ".join(runs)
    if told["generated"]:
        words += "\n! GENERATED DATA: the prices come from a market generator, not from an exchange"
    return f"{words}\n"


def _write_csv(costs: "Costs", path: Path) -> None:
    if path.exists():
        raise UsageError(f"--csv {path}: exists; name another file")
    import pyarrow.csv

    from dhanfast.reports.slippage_rows import cost_table

    pyarrow.csv.write_csv(cost_table(costs), path)
