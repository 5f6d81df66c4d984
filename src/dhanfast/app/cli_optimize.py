"""`dhanfast optimize`: the parameters that did best, and what it is worth to know them."""

import copy
import json
from pathlib import Path
from typing import Any

import click

from dhanfast.app.research_options import (
    engines_of,
    prepared_of,
    progress,
    research_options,
    run_again,
    study_of,
)
from dhanfast.app.run_options import export_place, run_options
from dhanfast.errors import UsageError


@click.command(
    epilog="Example: dhanfast optimize -s momentum --data bars.parquet --param ema=5..50:5 "
    "--param stop_atr=1..3:0.5 --study momentum.study"
)
@research_options
@click.option(
    "--method",
    default="grid",
    show_default=True,
    metavar="grid|random|bayes",
    help="Every point, points drawn evenly, or points that learn from those before (Optuna).",
)
@click.option(
    "--trials",
    "--epochs",
    "trials",
    type=int,
    metavar="N",
    help="How many points random and bayes try [default: 100].",
)
@click.option("--top", default=10, show_default=True, metavar="N", help="Trials to print.")
@click.option("--list", "listed", is_flag=True, help="Print the trials that --study has.")
@click.option("--show", type=int, metavar="N", help="Print one trial of --study.")
@run_options
def optimize(**given: Any) -> None:
    """Search the parameters that maximise an objective.

    Every trial is a backtest by the same engine and the same settings. The best of many trials is
    also the luckiest: below the table stand its Sharpe ratio deflated by the number of trials, and
    the probability that choosing it chose noise. See docs/how-to/optimize.md.

    With --study each trial is kept as it is done; --resume goes on after a stop, a crash or a kill.
    --export writes the run directory of the best trial.
    """
    if given["listed"] or given["show"] is not None:
        _look(given)
        return
    if not 1 <= given["top"] <= 1000:
        raise UsageError(f"--top must be in 1..1000, was {given['top']}")
    export = export_place(given["export"])
    made, seed = prepared_of(given)
    from dhanfast.engine.research.search import optimize as search

    with progress() as told:
        sweep = search(
            made,
            ranges=given["ranges"],
            method=given["method"],
            trials=given["trials"],
            seed=seed,
            engines=engines_of(given),
            study=study_of(given),
            resume=given["resume"],
            told=told,
        )
    from dhanfast.app.research_text import sweep_dict, sweep_text

    if given["as_json"]:
        click.echo(json.dumps(sweep_dict(sweep, given["top"]), indent=2))
    else:
        click.echo(sweep_text(sweep, given["top"]))
    if export is not None and sweep.best is not None:
        _export_best(given, {**made.job.params, **sweep.best.params}, export)


hyperopt = copy.copy(optimize)  # the word that users of other engines look for
hyperopt.name = "hyperopt"
hyperopt.help = "Search the parameters that maximise an objective: another word for `optimize`."
hyperopt.epilog = (
    "Example: dhanfast hyperopt -s momentum --data bars.parquet --method random --epochs 200"
)


def _export_best(given: dict[str, Any], params: dict[str, Any], place: Path) -> None:
    """The run directory of the best trial, by a backtest of its own."""
    from dhanfast.reports.rundir import write_run

    result = run_again(given, params)
    click.echo(f"report: {write_run(result, place) / 'report.html'}", err=True)


def _look(given: dict[str, Any]) -> None:
    """Print what a study has, without running anything."""
    if given["study"] is None:
        raise UsageError("--list and --show look into a search's file: name it by --study")
    from dhanfast.app.research_text import row_dict, rows_text, trial_text
    from dhanfast.engine.research.search import best_of
    from dhanfast.engine.research.study import read_study

    head, rows, _ = read_study(Path(given["study"]))
    if given["show"] is not None:
        if given["show"] not in rows:
            raise UsageError(f"--show {given['show']}: the study has no such trial")
        row = rows[given["show"]]
        click.echo(json.dumps(row_dict(row), indent=2) if given["as_json"] else trial_text(row))
        return
    ordered = sorted(rows.values(), key=lambda row: row.number)
    if given["as_json"]:
        best = best_of(ordered)
        told = {"head": head, "trials": [row_dict(row) for row in ordered],
                "best": None if best is None else best.number}  # fmt: skip
        click.echo(json.dumps(told, indent=2))
        return
    objective = head.get("objective", "score")
    graded = f", grade {head['grade']}" if head.get("grade") else ""
    click.echo(rows_text(ordered, objective, f"Trials of {given['study']} by {objective}{graded}"))
