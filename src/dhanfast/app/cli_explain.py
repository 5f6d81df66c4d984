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
    from dhanfast.engine.explain import explain_bar
    from dhanfast.strategies.shelf import place_of

    try:
        at = dt.datetime.fromisoformat(moment)
    except ValueError:
        raise UsageError(f"--at {moment!r} is not a time; write 'YYYY-MM-DD HH:MM'") from None
    params: dict[str, object] = dict(key_and_value(text) for text in sets)
    strategy = place_of(strategy, user_folders(None, os.environ).strategies)
    values = explain_bar(strategy, source, at, params, ChainSettings(data=chain or ""))
    if as_json:
        shown = {label: None if value != value else value for label, value in values.items()}
        click.echo(json.dumps(shown, indent=2))
        return
    width = min(60, max(len(label) for label in values))
    for label, value in values.items():
        text = "unknown (warm-up)" if value != value else f"{value:,.4f}".rstrip("0").rstrip(".")
        click.echo(f"{label[:width]:<{width}}  {text}")
