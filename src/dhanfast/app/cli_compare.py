"""`dhanfast compare`: why two runs differ, trade by trade."""

from pathlib import Path

import click

from dhanfast.app.edge import edge, print_json
from dhanfast.engine.settings import duration_ns
from dhanfast.errors import UsageError


@click.command(epilog="Example: dhanfast compare runs/backtest runs/paper-2026-01-05 --common")
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.option("--common", is_flag=True, help="Count only the days that both runs have.")
@click.option(
    "--window",
    metavar="TIME",
    help="How far apart the decisions of one trade may be: 2m [default: two bars of A].",
)
@click.option("--trades", "shown", default=12, show_default=True, metavar="N",
              help="Trades to show, those that differ most.")  # fmt: skip
@click.option("--csv", "csv_file", metavar="FILE", help="Also write a line a trade to a new file.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--user-dir",
    metavar="DIR",
    help="The user's folder, for runs that are named [default: $DHANFAST_HOME, else "
    "$XDG_DATA_HOME/dhanfast, else ~/.local/share/dhanfast].",
)
@edge
def compare(
    first: str, second: str, common: bool, window: str | None, shown: int, csv_file: str | None,
    as_json: bool, user_dir: str | None,
) -> None:  # fmt: skip
    """Explain the difference of two runs: backtest, replay, paper or live.

    RUN_A and RUN_B are run directories (what --export wrote), or names of kept runs. The difference
    of their net results is attributed trade by trade to data, signal, latency, fill, charge, size
    and trades that only one has made. The parts add up to the difference, to the paisa.
    """
    from dhanfast.app.kept_runs import run_place
    from dhanfast.reports.compare import compare_runs, comparison_dict
    from dhanfast.reports.compare_text import comparison_text, write_csv
    from dhanfast.reports.rundir import read_run
    from dhanfast.reports.terminal import print_text

    if shown < 0:
        raise UsageError(f"--trades must not be negative, was {shown}")
    place = None if csv_file is None else Path(csv_file)
    if place is not None and place.exists():
        raise UsageError(f"--csv: {place} exists; name a new file")
    a, b = (read_run(run_place(name, user_dir)) for name in (first, second))
    window_ns = None if window is None else duration_ns(window, "window")
    got = compare_runs(a, b, common=common, window_ns=window_ns)
    if place is not None:
        with place.open("x", encoding="utf-8", newline="") as stream:
            write_csv(got, stream)
    if as_json:
        print_json(comparison_dict(got))
    else:
        print_text(comparison_text(got, trades_max=shown))
