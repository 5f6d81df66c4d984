"""`dhanfast strategy swap`: another strategy in a running engine.

Exit codes: 0 done, 1 no engine answers or it refused, 2 no such strategy or parameter.
"""

import json
import os
from pathlib import Path

import click

from dhanfast.app.cli_control import client_of, show_done
from dhanfast.app.config import Config, load_config
from dhanfast.app.config_options import with_config_options
from dhanfast.app.edge import edge
from dhanfast.errors import UsageError

PATIENCE_S = 45.0  # making it ready is given 20 s


@click.group("strategy", epilog="Example: dhanfast strategy swap momentum --set ema=21")
def strategy() -> None:
    """Exchange the strategy of a running engine."""


@strategy.command("swap")
@click.argument("new")
@click.option("--old", default="", metavar="NAME", help="Refuse unless this one decides now.")
@click.option("--fresh", is_flag=True, help="Hand nothing over: warm up on the bars of the day, "
              "also where both have save and load.")  # fmt: skip
@click.option("--run", metavar="NAME", help="Name of the engine, when several are running.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@edge
@with_config_options
def swap(
    new: str, old: str, fresh: bool, run: str | None, as_json: bool,
    config_files: tuple[str, ...], user_dir: str | None, sets: tuple[str, ...],
) -> None:  # fmt: skip
    """Have NEW decide in the running engine, from the next event on.

    NEW is what -s takes: a name, path.py[:Class] or package.module:Class. It is loaded, checked and
    shown the bars of the day beside the engine's thread, then takes over between two events. The
    position, its stop and target, locks and guards stay. When anything goes wrong before that,
    nothing changes; a newcomer that fails on its first bar gives back to the one before.

    --set NAME=VALUE is one of its parameters; SECTION.KEY=VALUE a setting, that says where the
    engine is.

    \b
    Example:
      dhanfast strategy swap momentum --set ema=21
      dhanfast strategy swap mended.py --old mine
    """
    params, settings = params_of(sets)
    config = load_config(config_files, user_dir, settings, os.environ)
    said = client_of(config, run, PATIENCE_S).command(
        "swap", strategy=whole_path(new, config), params=json.dumps(params), expect=old, fresh=fresh
    )
    show_done(said, "swap", as_json)


def params_of(sets: tuple[str, ...]) -> tuple[dict[str, str], tuple[str, ...]]:
    """(parameters, settings): --set without a dot in its key is a parameter.

    Raises:
        UsageError: a text without =, or a parameter twice.
    """
    params: dict[str, str] = {}
    settings = []
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {text!r}: write NAME=VALUE")
        if "." in key:
            settings.append(text)
        elif key.strip() in params:
            raise UsageError(f"--set {key.strip()} is given twice")
        else:
            params[key.strip()] = value.strip()
    return params, tuple(settings)


def whole_path(new: str, config: Config) -> str:
    """The engine's folder is not the command's: a file is named from the root.

    Raises:
        UsageError: there is no such file.
    """
    path, colon, name = new.partition(":")
    if not path.endswith(".py"):
        return new
    for found in (Path(path), config.folders.root / path):
        if found.is_file():
            return f"{found.resolve()}{colon}{name}"
    raise UsageError(f"strategy file {path} does not exist")
