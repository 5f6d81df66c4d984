"""The options by which every command finds its configuration."""

import functools
import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from dhanfast.app.config import Config, load_config

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "-c",
        "--config",
        "config_files",
        multiple=True,
        metavar="FILE",
        help="Configuration file; may be given many times, later ones win; - is standard input "
        "[default: config.toml of the user's folder].",
    ),
    click.option(
        "--user-dir",
        metavar="DIR",
        help="The user's folder [default: $DHANFAST_HOME, else $XDG_DATA_HOME/dhanfast, else "
        "~/.local/share/dhanfast].",
    ),
    click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="SECTION.KEY=VALUE",
        help="One setting, over everything else; may be given many times.",
    ),
)


def config_options(command: Command) -> Command:
    """Give a command -c, --user-dir and --set; it is called with `config`, a `Config`.

    The file is read before the command begins: put `edge` above this decorator, so that a
    refusal becomes a message and exit code 3.
    """

    @functools.wraps(command)
    def run(
        *args: Any, config_files: tuple[str, ...], user_dir: str | None, sets: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:  # fmt: skip
        config: Config = load_config(config_files, user_dir, sets, os.environ)
        return command(*args, config=config, **kwargs)

    return with_config_options(run)  # type: ignore[return-value]


def with_config_options(command: Command) -> Command:
    """Give a command -c, --user-dir and --set as they are typed, to read them itself."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
