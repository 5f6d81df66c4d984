"""`dhanfast strategies`: what can be given to -s, and with which parameters."""

import json
import textwrap
from typing import Any

import click

from dhanfast.strategies.params import Param
from dhanfast.strategies.plugins import BUILT_IN, find_strategy, strategy_params

WIDTH, INDENT_MAX = 80, 30


@click.command(epilog="Example: dhanfast strategies momentum")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def strategies(name: str | None, as_json: bool) -> None:
    """List the built-in strategies, or one strategy's parameters."""
    shown = list(BUILT_IN) if name is None else [name]
    rows = [_described(item) for item in shown]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        head = f"{row['name']:<16}  {row['door']:<8}"
        indent = " " * (len(head) if len(head) <= INDENT_MAX else 2)
        click.echo(textwrap.fill(head + row["doc"], WIDTH, subsequent_indent=indent))
        if name:
            for key, item in row["params"].items():
                head = f"  {key:<16}{item['default']!s:<10}{item['range']:<12}"
                click.echo(_line(head, item["doc"]))


def _line(head: str, text: str) -> str:
    """Columns and a text that wraps beside them, on a terminal of 80 columns."""
    shown = textwrap.fill(text, 80, initial_indent=head, subsequent_indent=" " * len(head))
    return shown or head.rstrip()


def _described(name: str) -> dict[str, Any]:
    found = find_strategy(name, {})
    # The docstring of a compiled class begins with its signature.
    lines = (found.kind.__doc__ or "").strip().splitlines()
    doc = [line for line in lines if line and not line.startswith(f"{found.kind.__name__}(")]
    return {
        "name": name,
        "door": found.door,
        "doc": doc[0] if doc else "",
        "params": {key: _param(item) for key, item in strategy_params(name).items()},
    }


def _param(item: Param) -> dict[str, Any]:
    low = "" if item.low is None else f"{item.low:g}"
    high = "" if item.high is None else f"{item.high:g}"
    allowed = "|".join(item.choices) if item.choices else f"{low}..{high}"
    return {"default": item.default, "range": allowed, "doc": item.doc}
