"""`dhanfast walk-forward`: choose on some days, trade on others, see what choosing was worth."""

import json
from typing import Any, Final

import click
from click.core import ParameterSource

from dhanfast.app.research_options import (
    engines_of,
    prepared_of,
    progress,
    research_options,
    study_of,
)
from dhanfast.app.run_options import export_place, run_options
from dhanfast.errors import UsageError

# Which splits an option belongs to; with another one it would say nothing.
OF_SPLITS: Final = {
    "train": ("rolling", "anchored"),
    "test": ("rolling", "anchored"),
    "windows": ("rolling", "anchored"),
    "folds": ("purged", "combinatorial"),
    "tested": ("combinatorial",),
}


@click.command(
    epilog="Example: dhanfast walk-forward -s momentum --data bars.parquet --train 126d --test 21d "
    "--purge 1d --trials 200"
)
@research_options
@click.option(
    "--method",
    default="random",
    show_default=True,
    metavar="grid|random|bayes",
    help="How each window searches, as for optimize.",
)
@click.option(
    "--trials",
    "--epochs",
    "trials",
    type=int,
    metavar="N",
    help="Points that random and bayes try in each window [default: 100].",
)
@click.option(
    "--split",
    default="rolling",
    show_default=True,
    metavar="KIND",
    help="rolling, anchored (train on all since the start), purged (each fold tested once, trained "
    "on the others), or combinatorial (every choice of --tested folds).",
)
@click.option("--anchored", is_flag=True, help="Short for --split anchored.")
@click.option("--train", default="252d", show_default=True, metavar="DAYS",
              help="Trading days of training.")  # fmt: skip
@click.option("--test", default="21d", show_default=True, metavar="DAYS",
              help="Trading days of each test.")  # fmt: skip
@click.option("--windows", default=0, metavar="N", help="How many [default: as many as fit].")
@click.option("--folds", default=6, show_default=True, metavar="N",
              help="Of purged and combinatorial.")  # fmt: skip
@click.option("--tested", default=2, show_default=True, metavar="N",
              help="Folds tested at once, of combinatorial.")  # fmt: skip
@click.option("--purge", default="0d", show_default=True, metavar="DAYS",
              help="Trading days left out between training and test.")  # fmt: skip
@click.option("--embargo", default="0d", show_default=True, metavar="DAYS",
              help="Trading days left out of training after a test.")  # fmt: skip
@click.option("--warmup", default="5d", show_default=True, metavar="DAYS",
              help="Trading days that are shown before each stretch, without entries.")  # fmt: skip
@click.option("--runs", default=2000, show_default=True, metavar="N",
              help="Of the Monte-Carlo of the trades.")  # fmt: skip
@run_options
def walk_forward(**given: Any) -> None:
    """Choose parameters on some days and trade them on others.

    Each window searches its training days, and the best trial trades the test days it has not
    seen. The tests together are the out-of-sample run: its figures, how much of the training's
    profit was left (efficiency), how steady the parameters were, its Sharpe ratio deflated by the
    number of trials, and the probability of overfitting. docs/reference/walk-forward.md says what
    these figures can and cannot mean.

    --export writes the run directory of the out-of-sample run.
    """
    export = export_place(given["export"])
    from dhanfast.engine.research.walk import walk_forward as walk

    plan = _plan(given)
    made, seed = prepared_of(given)
    with progress() as told:
        found = walk(
            made,
            plan,
            ranges=given["ranges"],
            method=given["method"],
            trials=given["trials"],
            seed=seed,
            engines=engines_of(given),
            study=study_of(given),
            resume=given["resume"],
            runs=given["runs"],
            told=told,
        )
    from dhanfast.app.research_text import walk_dict, walk_text

    if given["as_json"]:
        click.echo(json.dumps(walk_dict(found), indent=2))
    else:
        click.echo(walk_text(found))
    if export is not None:
        from dhanfast.reports.rundir import write_run

        click.echo(f"report: {write_run(found.stitched, export) / 'report.html'}", err=True)


def _plan(given: dict[str, Any]) -> Any:
    from dhanfast.engine.research.windows import Plan, sessions_count

    days = ("train", "test", "purge", "embargo", "warmup")
    kind = _split(given)
    return Plan(
        kind=kind,
        windows=given["windows"],
        folds=given["folds"],
        tested=given["tested"],
        **{name: sessions_count(given[name], name) for name in days},
    )


def _split(given: dict[str, Any]) -> str:
    """The kind of split, with which every option that was given has a meaning.

    Raises:
        UsageError: one of them belongs to another split.
    """
    from dhanfast.engine.research.windows import KINDS

    source = click.get_current_context().get_parameter_source
    typed = {name for name in (*OF_SPLITS, "split") if source(name) is ParameterSource.COMMANDLINE}
    if given["anchored"] and "split" in typed and given["split"] != "anchored":
        raise UsageError(f"--anchored is --split anchored, and --split {given['split']} is given "
                         "too: leave one out")  # fmt: skip
    kind = "anchored" if given["anchored"] else str(given["split"])
    for name, kinds in OF_SPLITS.items():
        if name in typed and kind not in kinds and kind in KINDS:
            raise UsageError(f"--{name} belongs to --split {' or '.join(kinds)}, and this is "
                             f"{kind}: leave it out")  # fmt: skip
    return kind
