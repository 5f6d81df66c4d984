"""`dhanfast generate`: a seeded market, written to a file that every other command reads."""

import datetime as dt
from pathlib import Path

import click

from dhanfast.errors import UsageError


@click.command(
    epilog="Example: dhanfast generate BANKNIFTY --from 2024-01-01 --to 2024-12-31 -o year.parquet"
)
@click.argument("symbol")
@click.option("--from", "start", required=True, metavar="DATE", help="First date, YYYY-MM-DD.")
@click.option("--to", "end", required=True, metavar="DATE", help="Last date, inclusive.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--kind",
    default="IDX",
    show_default=True,
    type=click.Choice(["IDX", "FUT"]),
    help="The index itself or its front-month future.",
)
@click.option(
    "-o", "--output", required=True, metavar="FILE.parquet", help="Where to; must not exist."
)
def generate(symbol: str, start: str, end: str, seed: int, kind: str, output: str) -> None:
    """Generate one-minute bars of SYMBOL; the file says that it is generated."""
    from dhanfast.engine.generated import generated_bars
    from dhanfast.storage.bars import write_parquet

    path = Path(output)
    if path.exists():
        raise UsageError(f"output: {path} exists; name another file or remove it")
    bars = generated_bars(symbol, _day(start, "from"), _day(end, "to"), seed=seed, kind=kind)
    write_parquet(path, bars)
    click.echo(f"{path}: {len(bars.bars)} generated bars of {symbol} {kind}, seed {seed}", err=True)


def _day(text: str, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not a date; write YYYY-MM-DD") from None
