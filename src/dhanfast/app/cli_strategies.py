"""`dhanfast strategies`: what can be given to -s, with which parameters, and what it came to."""

import json
import os
import textwrap
from pathlib import Path
from typing import Any

import click

from dhanfast.app.config_folders import user_folders
from dhanfast.strategies.described import Described, describe
from dhanfast.strategies.params import Param, Range, search_range
from dhanfast.strategies.shelf import shelf

WIDTH, INDENT_MAX = 80, 42


class StrategiesGroup(click.Group):
    """`strategies NAME` is `strategies show NAME`; a strategy of a verb's name needs `show`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A word that is no verb is a strategy."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=StrategiesGroup,
    invoke_without_command=True,
    epilog="Example: dhanfast strategies momentum",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def strategies(ctx: click.Context, as_json: bool) -> None:
    """List the strategies that have a name; NAME shows one with its parameters.

    First those of the strategies folder of the user's folder, then those that installed packages
    offer, then the built-in ones; of two with the same name the first is meant.
    """
    if ctx.invoked_subcommand is None:
        list_all(as_json)
    elif as_json:
        raise click.UsageError(f"--json goes behind {ctx.invoked_subcommand}", ctx)


@strategies.command("list", epilog="Example: dhanfast strategies list --json")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(as_json: bool) -> None:
    """List the strategies that have a name."""
    list_all(as_json)


@strategies.command(epilog="Example: dhanfast strategies show iron-condor")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(name: str, as_json: bool) -> None:
    """Show what a strategy believes, and its parameters with what a search tries of each."""
    one = describe(name, _folder())
    if as_json:
        click.echo(json.dumps([_described(one)], indent=2))
        return
    click.echo(_head(one))
    for title, text in (("hypothesis", one.hypothesis), ("regime", one.regime)):
        if text:
            click.echo(_wrapped(f"  {title:<12}", text))
    for line in one.members:
        click.echo(_wrapped("  member      ", line))
    for key, item in one.params.items():
        columns = f"  {key:<15} {item.default!s:<9} {allowed_text(item):<11}"
        searched = searched_text(search_range(item))
        tried = f" [search {searched}]" if searched else ""
        click.echo(_wrapped(columns + " ", item.doc + tried))


@strategies.command(
    "backtest",
    epilog="Example: dhanfast strategies backtest --data 2021.parquet --data 2022.parquet "
    "--volatility daily.parquet",
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--data", "places", multiple=True, metavar="FILE|SYMBOL",
              help="Bars of an index; many times for files that follow each other.")  # fmt: skip
@click.option("--volatility", metavar="FILE",
              help="Daily bars of INDIAVIX, NIFTY and the underlying: for modelled premiums, and "
              "for strategies that look at India VIX.")  # fmt: skip
@click.option("--from", "start", metavar="DATE", help="First exchange date, YYYY-MM-DD.")
@click.option("--to", "end", metavar="DATE", help="Last exchange date, inclusive.")
@click.option("--capital", default="1,00,00,000", metavar="RUPEES", show_default=True,
              help="What each run starts with.")  # fmt: skip
@click.option("--slippage", default="1tick", show_default=True, help="As for backtest.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def backtest_command(names: tuple[str, ...], **given: Any) -> None:
    """Run strategies over the same bars and print one table: all ten of the library, or NAMES.

    Each has its default parameters and one lot. Net is after charges and slippage, the fall the
    largest of equity from a peak, and the time that of the run without the reading of files.
    """
    from dhanfast.app.console import ProgressLine
    from dhanfast.app.run_options import exchange_day, rupees_paise
    from dhanfast.app.strategy_table import TEN, joined_bars, rows_of, table_text
    from dhanfast.engine.settings import Settings, Slippage

    settings = Settings(
        capital=rupees_paise(given["capital"]), slippage=Slippage.parse(given["slippage"])
    )
    start, end = exchange_day(given["start"], "from"), exchange_day(given["end"], "to")
    bars = joined_bars(given["places"], start, end)
    asked, rows = names or TEN, []
    progress = ProgressLine(patient=True)
    for row in rows_of(asked, bars, given["volatility"], settings, _folder()):
        rows.append(row)
        progress.show(f"{len(rows)} of {len(asked)}: {row.name}")
    progress.clear()
    if given["as_json"]:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=2))
    else:
        click.echo(table_text(rows, bars, settings))


def list_all(as_json: bool) -> None:
    """Print every strategy of the shelf; one that cannot be read says why and ends nothing."""
    folder = _folder()
    from dhanfast.errors import DhanfastError

    rows: list[dict[str, Any]] = []
    for name in shelf(folder):
        try:
            one = describe(name, folder)
        except DhanfastError as error:
            rows.append({"name": name, "error": str(error)})
            if not as_json:
                click.echo(_wrapped(f"{name:<16}  {'broken':<8}", str(error)))
            continue
        rows.append(_described(one))
        if not as_json:
            click.echo(_head(one))
    if as_json:
        click.echo(json.dumps(rows, indent=2))


def _folder() -> Path:
    return user_folders(None, os.environ).strategies


def _head(one: Described) -> str:
    """Name, door and first line; where it is from when it is not built in."""
    place = "" if one.origin in ("built-in", "file") else f"[{one.origin}] "
    hidden = f" (hides the {' and '.join(one.hides)} one)" if one.hides else ""
    head = f"{one.name:<16}  {one.door:<8}"
    return _wrapped(head, f"{place}{one.about}{hidden}")


def _wrapped(head: str, text: str) -> str:
    """Columns and a text that wraps beside them, on a terminal of 80 columns."""
    if not text:
        return head.rstrip()
    deep = " " * min(len(head), INDENT_MAX)
    fits = len(head) <= INDENT_MAX
    first = head if fits else deep
    shown = textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=deep)
    return shown if fits else f"{head.rstrip()}\n{shown}"


def _described(one: Described) -> dict[str, Any]:
    return {
        "name": one.name,
        "door": one.door,
        "doc": one.about,
        "origin": one.origin,
        "hides": list(one.hides),
        "hypothesis": one.hypothesis,
        "regime": one.regime,
        "params": {key: _param(item) for key, item in one.params.items()},
        **({"members": list(one.members)} if one.members else {}),
    }


def _param(item: Param) -> dict[str, Any]:
    found = search_range(item)
    return {
        "default": item.default,
        "range": allowed_text(item),
        "search": None if found is None else searched_text(found),
        "doc": item.doc,
    }


def allowed_text(item: Param) -> str:
    """What a parameter may be: 2..200, or its choices."""
    if item.choices:
        return "|".join(item.choices)
    low = "" if item.low is None else f"{item.low:g}"
    high = "" if item.high is None else f"{item.high:g}"
    return f"{low}..{high}"


def searched_text(found: Range | None) -> str:
    """What a search tries: 5..30 by 1."""
    if found is None:
        return ""
    if found.choices:
        return ", ".join(str(value).lower() if value is True or value is False else str(value)
                         for value in found.choices)  # fmt: skip
    by = "" if found.step is None else f" by {found.step:g}"
    return f"{found.low:g}..{found.high:g}{by}"
