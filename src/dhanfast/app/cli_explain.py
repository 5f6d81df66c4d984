"""`dhanfast explain`: why a strategy's rules said what they said on one bar."""

import datetime as dt
import json
import os

import click

from dhanfast.errors import UsageError


@click.command(
    epilog='Example: dhanfast explain -s momentum --data bars.parquet --at "2022-03-01 10:15"'
)
@click.option("-s", "--strategy", required=True, metavar="NAME", help="As for backtest.")
@click.option(
    "--data", "source", required=True, metavar="FILE|SYMBOL", help="A file or a catalog symbol."
)
@click.option(
    "--at", "moment", required=True, metavar='"DATE HH:MM"', help="Start of the bar, IST."
)
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="A strategy parameter.")
@click.option(
    "--chain",
    metavar="FILE|FOLDER",
    help="Recorded chain snapshots, for a strategy that looks at the option chain.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def explain(
    strategy: str, source: str, moment: str, sets: tuple[str, ...], chain: str | None, as_json: bool
) -> None:
    """Show the value of every node of a strategy's rules on one bar."""
    from dhanfast.app.config_folders import user_folders
    from dhanfast.app.run_options import key_and_value
    from dhanfast.engine.chain_settings import ChainSettings
    from dhanfast.engine.explain import explained
    from dhanfast.strategies.shelf import place_of

    try:
        at = dt.datetime.fromisoformat(moment)
    except ValueError:
        raise UsageError(f"--at {moment!r} is not a time; write 'YYYY-MM-DD HH:MM'") from None
    params: dict[str, object] = dict(key_and_value(text) for text in sets)
    strategy = place_of(strategy, user_folders(None, os.environ).strategies)
    told = explained(strategy, source, at, params, ChainSettings(data=chain or ""))
    values = told.values
    if as_json:
        shown = {label: None if value != value else value for label, value in values.items()}
        table = [
            {"factor": name, "value": None if value != value else value, "weight": weight,
             "part": None if part != part else part}
            for name, value, weight, part in told.factors
        ]  # fmt: skip
        click.echo(json.dumps({**shown, **({"factors": table} if table else {})}, indent=2))
        return
    if told.factors:
        click.echo(f"{'factor':<24}{'value':>10}{'weight':>10}{'part':>10}")
        for name, value, weight, part in told.factors:
            click.echo(f"{name[:23]:<24}{value:>+10.4f}{weight:>10.4f}{part:>+10.4f}")
        total = sum(part for _, _, _, part in told.factors)
        click.echo(f"{'score':<44}{total:>+10.4f}\n")
    width = min(60, max(len(label) for label in values))
    for label, value in values.items():
        text = "unknown (warm-up)" if value != value else f"{value:,.4f}".rstrip("0").rstrip(".")
        click.echo(f"{label[:width]:<{width}}  {text}")
