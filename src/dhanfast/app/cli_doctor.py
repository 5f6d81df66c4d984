"""`dhanfast doctor`: is everything ready to trade? Exit code 6 when something is red."""

import asyncio
import contextlib
import os
import sys

import click

from dhanfast.app.config import Config, load_config
from dhanfast.app.config_folders import user_folders
from dhanfast.app.config_options import with_config_options
from dhanfast.app.edge import WIDTH, edge, print_json, wrapped
from dhanfast.engine.doctor import Finding, Level, worst
from dhanfast.errors import CheckFailed, ConfigError

SIGNS = {Level.GREEN: "ok", Level.YELLOW: "look", Level.RED: "RED"}
COLOURS = {Level.GREEN: "green", Level.YELLOW: "yellow", Level.RED: "red"}


@click.command("doctor")
@click.option("--live", is_flag=True, help="Check as well what only real orders need: the "
              "registered address, and funds.")  # fmt: skip
@click.option("--fix", is_flag=True, help="Repair what is safe: folders, their modes, the "
              "instrument list.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@edge
@with_config_options
def doctor(
    live: bool, fix: bool, as_json: bool, config_files: tuple[str, ...], user_dir: str | None,
    sets: tuple[str, ...],
) -> None:  # fmt: skip
    """Check whether everything is ready to trade, and say what to do where it is not.

    green is as it should be, yellow works and wants a look, red must not trade: exit code 6.

    \b
    Example:
      dhanfast doctor
      dhanfast doctor --live --fix
    """
    from dhanfast.app.readiness import examine, repaired
    from dhanfast.clock import SystemClock

    root = user_folders(user_dir, os.environ).root
    clock = SystemClock()

    def look() -> tuple[Config | None, list[Finding]]:
        config, problem = None, ""
        try:
            config = load_config(config_files, user_dir, sets, os.environ)
        except ConfigError as error:
            problem = str(error)
        found = asyncio.run(examine(config, clock, live=live, problem=problem, root=root))
        return config, found

    config, findings = look()
    if fix:
        with contextlib.redirect_stdout(sys.stderr):
            done = repaired(config, root, findings)
        for words in done:
            click.echo(f"fixed: {words}", err=True)
        if done:
            config, findings = look()
    level = worst(findings)
    if as_json:
        import msgspec

        print_json({"level": level, "live": live, "findings": msgspec.to_builtins(findings)})
    else:
        show(findings)
    if level is Level.RED:
        count = sum(one.level is Level.RED for one in findings)
        raise CheckFailed(f"{count} red: do not trade before they are gone")


def show(findings: list[Finding], *, err: bool = False) -> None:
    """One line a finding, its remedy beneath.

    Args:
        err: on stderr.
    """
    for one in findings:
        sign = click.style(f"{SIGNS[one.level]:>5}", fg=COLOURS[one.level])
        lines = wrapped(f"{one.name:<14}{one.said}", "x" * 7, " " * 21).removeprefix("x" * 7)
        click.echo(f"{sign}  {lines}", err=err)
        if one.remedy:
            click.echo(wrapped(f"-> {one.remedy}", " " * 21, " " * 24), err=err)
    counts = {level: sum(one.level is level for one in findings) for level in Level}
    told = ", ".join(f"{count} {level}" for level, count in counts.items() if count)
    click.echo(f"{told:>{WIDTH}}", err=err)
