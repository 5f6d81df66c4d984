"""`dhanfast demo`: a backtest and its report on a seeded, generated year."""

import datetime as dt
import tempfile
from pathlib import Path

import click

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 12, 31)


@click.command(epilog="Example: dhanfast demo --export my-first-run")
@click.option("--seed", default=7, show_default=True, help="Which generated market.")
@click.option(
    "-s",
    "--strategy",
    default="momentum",
    metavar="NAME",
    show_default=True,
    help="As for backtest.",
)
@click.option(
    "--export",
    metavar="DIR",
    help="Keep the run directory here; default: a new folder of the system's temporary directory.",
)
def demo(seed: int, strategy: str, export: str | None) -> None:
    """Backtest a strategy on a generated Bank Nifty year and write its report.

    Quarter hours of the index give the signals, minutes of its generated future the fills. Nothing
    is read from the network and nothing is written outside the run directory.
    """
    from dhanfast.app.run_options import export_place
    from dhanfast.engine.generated import MINUTE_NS, generated_bars
    from dhanfast.engine.runs import backtest
    from dhanfast.engine.settings import Settings
    from dhanfast.reports.rundir import write_run
    from dhanfast.reports.terminal import summary_text
    from dhanfast.strategies.plugins import find_strategy

    find_strategy(strategy, {})
    place = export_place(export)
    if place is None:
        place = Path(tempfile.mkdtemp(prefix="dhanfast-demo-"))
    click.echo(f"generating BANKNIFTY {FIRST} to {LAST}, seed {seed} ...", err=True)
    index = generated_bars("BANKNIFTY", FIRST, LAST, seed=seed)
    future = generated_bars("BANKNIFTY", FIRST, LAST, seed=seed, kind="FUT")
    settings = Settings(timeframe_ns=15 * MINUTE_NS)
    result = backtest(strategy, index, trade_data=future, settings=settings)
    written = write_run(result, place)
    click.echo(summary_text(result))
    click.echo(f"report: {written / 'report.html'}", err=True)
