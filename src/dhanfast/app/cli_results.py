"""`dhanfast backtest list|show|compare|analyse`: runs that were kept."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.edge import WIDTH, edge, print_json
from dhanfast.app.kept_runs import KeptRun, kept_runs, results_folder, run_place
from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.reports.groups import Group
    from dhanfast.reports.result import RunResult

NAME: Final = 41
USUAL: Final = ("exit", "side", "hour", "weekday", "expiry")
DIMENSIONS: Final = ("entry", "exit", "side", "hour", "weekday", "month", "expiry", "vix")
RUNS_MAX: Final = 4  # that stand beside each other on 80 columns

user_dir_option = click.option(
    "--user-dir",
    metavar="DIR",
    help="The user's folder [default: $DHANFAST_HOME, else $XDG_DATA_HOME/dhanfast, else "
    "~/.local/share/dhanfast].",
)
risk_free_option = click.option(
    "--risk-free", default=0.0, show_default=True, metavar="RATE",
    help="Yearly risk-free rate of Sharpe and Sortino: 0.065 is 6.5 %.",
)  # fmt: skip


@click.command("list", epilog="Example: dhanfast backtest list --limit 50")
@click.option("--dir", "folder", metavar="DIR", help="Another folder of run directories.")
@click.option("--limit", default=20, show_default=True, metavar="N", help="The newest N; 0 = all.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@user_dir_option
@edge
def list_runs(folder: str | None, limit: int, as_json: bool, user_dir: str | None) -> None:
    """List kept runs, the newest first: those of --keep, or run directories in --dir."""
    if limit < 0:
        raise UsageError(f"--limit must not be negative, was {limit}")
    place = results_folder(user_dir) if folder is None else Path(folder)
    if folder is not None and not place.is_dir():
        raise UsageError(f"--dir {folder}: there is no such folder")
    found = kept_runs(place)
    shown = found[:limit] if limit else found
    if as_json:
        print_json([_listed(run) for run in shown])
        return
    if not shown:
        how = "--keep" if folder is None else f"--export {folder}/NAME"
        click.echo(f"no runs in {place}; `dhanfast backtest {how}` puts them there")
        return
    from dhanfast.reports.figures import rupees

    click.echo(f"{'RUN':<{NAME}}  {'TRADES':>6}  {'NET ₹':>13}  {'SHARPE':>6}  {'KEPT':>6}")
    for run in shown:
        if run.summary is None:
            click.echo(f"{_cut(run.name)}  cannot be read: {run.fault}"[:WIDTH])
            continue
        out = run.summary
        sharpe = "n/a" if out.get("sharpe") is None else f"{out['sharpe']:.2f}"
        click.echo(
            f"{_cut(run.name)}  {out['trades']:>6,}  {rupees(out['net_pnl_paise']):>13}  "
            f"{sharpe:>6}  {run.kept:%d %b}"
        )
    if len(found) > len(shown):
        click.echo(f"... and {len(found) - len(shown):,} older ones")


def _cut(name: str) -> str:
    return f"{name if len(name) <= NAME else name[: NAME - 1] + '…':<{NAME}}"


def _listed(run: KeptRun) -> dict[str, Any]:
    out: dict[str, Any] = {"name": run.name, "place": str(run.place),
                           "kept": run.kept.isoformat(), "fault": run.fault}  # fmt: skip
    names = ("strategy", "symbol", "traded", "timeframe", "from", "to", "trades", "net_pnl",
             "net_pnl_paise", "sharpe", "max_drawdown_pct", "digest")  # fmt: skip
    return out | {name: (run.summary or {}).get(name) for name in names}


@click.command(epilog="Example: dhanfast backtest show momentum-BANKNIFTY")
@click.argument("name", metavar="RUN")
@risk_free_option
@click.option("--html", "page", metavar="FILE", help="Also write its page to a new file.")
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON.")
@user_dir_option
@edge
def show(
    name: str, risk_free: float, page: str | None, as_json: bool, user_dir: str | None
) -> None:
    """Show a run again, as it was printed when it was made.

    RUN is a run directory, or the name of a kept run; the beginning of the name is enough.
    """
    from dhanfast.reports.html import report_page
    from dhanfast.reports.summary import summary
    from dhanfast.reports.terminal import print_summary

    place = None if page is None else Path(page)
    if place is not None and place.exists():
        raise UsageError(f"--html: {place} exists; name a new file")
    result = _read(name, user_dir)
    if place is not None:
        place.write_text(report_page(result, risk_free=risk_free), "utf-8")
    if as_json:
        print_json(summary(result, risk_free=risk_free))
    else:
        print_summary(result, risk_free=risk_free)


def _read(name: str, user_dir: str | None) -> "RunResult":
    from dhanfast.reports.rundir import read_run

    return read_run(run_place(name, user_dir))


@click.command(epilog="Example: dhanfast backtest compare runs/first runs/second")
@click.argument("names", nargs=-1, required=True, metavar="RUN RUN...")
@risk_free_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@user_dir_option
@edge
def compare(names: tuple[str, ...], risk_free: float, as_json: bool, user_dir: str | None) -> None:
    """Show the figures of two to four runs beside each other.

    Why two of them differ, trade by trade, is told by `dhanfast compare`.
    """
    from dhanfast.reports.rundir import read_run
    from dhanfast.reports.side_by_side import figures_of, side_by_side
    from dhanfast.reports.terminal import print_text

    if not 2 <= len(names) <= RUNS_MAX:
        raise UsageError(f"compare takes 2 to {RUNS_MAX} runs, was given {len(names)}")
    places = [run_place(name, user_dir) for name in names]
    runs = [read_run(place) for place in places]
    if as_json:
        rows = figures_of(runs, risk_free)
        print_json([{"figure": row.name, "runs": list(row.values)} for row in rows])
        return
    labels = [place.name or str(place) for place in places]
    print_text(side_by_side(runs, labels, risk_free=risk_free))


@click.command(epilog="Example: dhanfast backtest analyse momentum-BANKNIFTY --by hour,vix "
               "--vix INDIAVIX.parquet")  # fmt: skip
@click.argument("name", metavar="RUN")
@click.option("--by", "dimensions", metavar="NAMES",
              help=f"Take it apart by: {', '.join(DIMENSIONS)} "
              f"[default: {','.join(USUAL)}].")  # fmt: skip
@click.option("--vix", metavar="FILE|SYMBOL",
              help="Bars of India VIX; its level before each entry gives the band.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@user_dir_option
@edge
def analyse(
    name: str, dimensions: str | None, vix: str | None, as_json: bool, user_dir: str | None
) -> None:
    """Take a run's trades apart, with its deepest falls and how far trades went.

    Every table covers all trades once. India VIX is the last close that was known at the entry: of
    daily bars that of the day before.
    """
    from dhanfast.reports.analysis import analysis_dict, analysis_text
    from dhanfast.reports.terminal import print_text

    chosen = _dimensions(dimensions, vix)
    result = _read(name, user_dir)
    tables = {one: _table(one, vix)(result) for one in chosen if one != "month"}
    if as_json:
        print_json(analysis_dict(result, tables, months="month" in chosen))
    else:
        print_text(analysis_text(result, tables, months="month" in chosen))


def _dimensions(text: str | None, vix: str | None) -> list[str]:
    names = list(USUAL) + (["vix"] if vix else []) if text is None else [
        name.strip() for name in text.split(",") if name.strip()
    ]  # fmt: skip
    for name in names:
        if name not in DIMENSIONS:
            from dhanfast.strategies.params import unknown

            raise UsageError(unknown("dimension", name, list(DIMENSIONS)))
    if "vix" in names and vix is None:
        raise UsageError("--by vix needs the index: give --vix FILE, bars of INDIAVIX")
    if not names:
        raise UsageError(f"--by names nothing; choose of {', '.join(DIMENSIONS)}")
    return names


def _table(name: str, vix: str | None) -> "Callable[[RunResult], list[Group]]":
    from dhanfast.reports import groups

    if name != "vix":
        tables: dict[str, Callable[[RunResult], list[Group]]] = {
            "entry": groups.by_entry_reason, "exit": groups.by_exit_reason,
            "side": groups.by_side, "hour": groups.by_hour, "weekday": groups.by_weekday,
            "expiry": groups.by_expiry,
        }  # fmt: skip
        return tables[name]
    from dhanfast.storage.bars import read_bars

    bars = read_bars(vix or "", symbol="INDIAVIX")
    known_ns = bars.bars["start_ns"] + bars.interval_ns
    levels = bars.bars["close"] / 100.0
    return lambda result: groups.by_vix(result, known_ns, levels)
