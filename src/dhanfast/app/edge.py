"""What commands share: errors to exit codes, JSON and wrapped text to the terminal."""

import functools
import json
import textwrap
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from dhanfast.errors import DhanfastError

WIDTH: Final = 80
PATIENCE_NS: Final = 2_000_000_000  # work longer than this shows progress

Command = TypeVar("Command", bound=Callable[..., Any])


def edge(command: Command) -> Command:
    """Turn our exceptions into a message on stderr and their exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except DhanfastError as error:
            click.echo(f"error: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error

    return run  # type: ignore[return-value]


def wrapped(text: str, first: str = "", rest: str = "  ") -> str:
    """Text in lines of at most 80 columns; `first` and `rest` begin them."""
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


def print_json(value: Any) -> None:
    """Print plain data as JSON on stdout."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))
