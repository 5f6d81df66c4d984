"""`dhanfast init`: the user's folder and a first configuration."""

import io
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Final

import click

from dhanfast.app.cli_config import toml_text
from dhanfast.app.config_folders import MODES, Folders, user_folders
from dhanfast.app.edge import edge
from dhanfast.errors import UsageError

PRESETS: Final = ("scalper", "momentum")
HEAD: Final = """\
# Settings of dhanfast. What is not written here has its default; all keys, with their defaults:
#   dhanfast config show        docs/reference/config.md
# Secrets are never written here: `dhanfast auth login` keeps the token encrypted.
"""


@click.command("init")
@click.argument("directory", required=False, metavar="[DIR]")
@click.option("--broker", type=click.Choice(["dhan"]), default="dhan", show_default=True,
              help="The broker.")  # fmt: skip
@click.option("--preset", type=click.Choice(PRESETS), help="The strategy and limits to begin with: "
              "scalper is version 1's rule, momentum the one of its documents "
              "[default: scalper].")  # fmt: skip
@click.option("--client-id", metavar="ID", help="Client id of the account; it is no secret.")
@click.option("--no-input", is_flag=True, help="Ask nothing; what is not given has its default.")
@click.option("--yes", is_flag=True, help="Overwrite a config.toml that is there.")
@edge
def init(
    directory: str | None, broker: str, preset: str | None, client_id: str | None,
    no_input: bool, yes: bool,
) -> None:  # fmt: skip
    """Make the user's folder with a configuration to start from. Nothing is overwritten.

    Without DIR it is the usual place: $DHANFAST_HOME, else $XDG_DATA_HOME/dhanfast.

    \b
    Example:
      dhanfast init
      dhanfast init ~/trading --preset momentum --no-input
    """
    from dhanfast.app.config import load_config

    folders = user_folders(directory, os.environ)
    if folders.config.exists() and not yes:
        raise UsageError(
            f"{folders.config}: is there already and stays as it is; --yes overwrites it, "
            "`dhanfast config show` shows it"
        )
    values: dict[str, Any] = {
        "broker": broker,
        "preset": preset or _asked("Preset", "scalper", no_input, PRESETS),
        "client_id": client_id or _asked("Client id at Dhan (empty: later)", "", no_input),
    }
    text = config_text(**values)
    load_config(["-"], folders.root, [], {}, stdin=io.StringIO(text))  # before it is written
    made = folders.make()
    _write(folders.config, text)
    _tell(folders, made, directory)


def config_text(broker: str, preset: str, client_id: str) -> str:
    """The file that `init` writes."""
    identity = (
        f"client_id = {toml_text(client_id)}"
        if client_id
        else '# client_id = "1000000001"         # or "env:DHAN_CLIENT_ID"'
    )
    lines = [
        HEAD,
        "version = 2",
        f'preset = "{preset}"                  # strategy and limits to begin with',
        "",
        "[broker]",
        f'name = "{broker}"',
        identity,
        'token = "store:dhan"                # where `dhanfast auth login` keeps it',
        "",
        "[engine]",
        'run = "main"                        # names its journal and its control socket',
        'journal_sync = "50ms"               # or "each": on disk before every order',
        "",
        "[risk]",
        'day_loss = "5000"                   # rupees, or a share of the capital: "2%"',
        "orders_per_second = 9",
        'entry_from = "09:20"                # all times are IST',
        'entry_until = "15:00"',
        'flat_by = "15:15"',
        "",
        "[simulation]                        # paper trading",
        'capital = "10,00,000"',
        'slippage = "1tick"',
        "",
        "# The preset's strategy is used until there is one here:",
        "# [[strategy]]",
        '# name = "mine"',
        '# use = "strategies/mine.py"        # or a built-in: `dhanfast strategies`',
        '# underlying = "BANKNIFTY"',
        '# timeframe = "1m"',
        "# lots = 1",
        "# params = { }",
    ]
    return "\n".join(lines) + "\n"


def _asked(words: str, default: str, silent: bool, choices: tuple[str, ...] = ()) -> str:
    """What a person types, or the default."""
    if silent:
        return default
    kind: Any = click.Choice(choices) if choices else str
    try:
        answer: str = click.prompt(words, default=default, show_default=bool(default), type=kind)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo()  # the question stands there without an answer
        raise UsageError(
            "nobody is there to answer: give --preset and --client-id, or --no-input for defaults"
        ) from None
    return answer.strip()


def _write(path: Path, text: str) -> None:
    """Put the file there, whole."""
    from dhanfast.storage.durable import replace_file

    replace_file(path, text.encode())


def _tell(folders: Folders, made: list[Path], directory: str | None) -> None:
    """What was made, and what comes next."""
    click.echo(f"wrote {folders.config}")
    for folder in made:
        click.echo(f"made  {folder}/  ({MODES[folder.name]:o})")
    more = f" --user-dir {shlex.quote(directory)}" if directory else ""
    click.echo("next:")
    click.echo(f"  dhanfast config show{more}     what is set")
    click.echo(f"  dhanfast doctor{more}          what is missing")
    click.echo(f"  dhanfast trade{more}           paper trading")
    if directory:
        click.echo(f"or once for all: export DHANFAST_HOME={folders.root}", err=True)
