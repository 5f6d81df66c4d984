"""Locks of the guards: `dhanfast locks`, `lock` and `unlock`.

A running engine is asked over its control socket. Without one, `locks` shows what its journal and
its file of locks say; `unlock` needs the engine, whose journal repeats it after a restart.

Exit codes: 0 done, 1 no engine answers or it refused, 2 no such lock.
"""

import datetime as dt
import sys
from typing import Any

import click

from dhanfast.app.cli_control import client_of, engine_options, record_of, show_done
from dhanfast.app.config import Config
from dhanfast.app.edge import print_json, wrapped
from dhanfast.engine.control import NotRunning
from dhanfast.engine.status import LockLine
from dhanfast.errors import UsageError

HEAD = ("LOCK", "SINCE", "UNTIL")


@click.command("locks")
@engine_options
def locks(config: Config, run: str | None, as_json: bool) -> None:
    """List what keeps entries out: locks of the guards, since when, until when, and why.

    Without a running engine: what its last day left, from its journal or its file of locks.

    \b
    Example:
      dhanfast locks
      dhanfast locks --json
    """
    try:
        found = client_of(config, run).locks()
        source = ""
    except NotRunning as error:
        found, source = kept_locks(config, run)
        if not as_json:
            click.echo(f"{error}", err=True)
    if as_json:
        print_json(found)
        return
    if source:
        click.echo(source)
    click.echo(locks_text([record_of(one, LockLine) for one in found]))


@click.command("unlock")
@click.argument("name", metavar="NAME|all")
@click.option("--yes", is_flag=True, help="Do not ask.")
@engine_options
def unlock(config: Config, run: str | None, as_json: bool, name: str, yes: bool) -> None:
    """End a lock of the guards, or all; what it measured is measured again from now.

    \b
    Example:
      dhanfast unlock day_loss
      dhanfast unlock all --yes
    """
    client = client_of(config, run)
    held = client.locks()
    if not yes:
        _confirm(name, [record_of(one, LockLine) for one in held])
    show_done(client.command("unlock", lock=name), "unlock", as_json)


@click.command("lock")
@click.option("--until", default="", metavar="HH:MM|30m|session",
              help="When it ends [default: when it is unlocked].")  # fmt: skip
@engine_options
def lock(config: Config, run: str | None, as_json: bool, until: str) -> None:
    """Have the guards let no entry through until a time, the next session, or `unlock operator`.

    Unlike `pause` it outlasts the day, and ends by itself when it has an end.

    \b
    Example:
      dhanfast lock --until session
    """
    said = client_of(config, run).command("lock", lock="operator", until=until)
    show_done(said, "lock", as_json)


def _confirm(name: str, held: list[LockLine]) -> None:
    """Have a person say yes, with what is about to end before the eyes."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("unlock lets entries go on: add --yes where nobody can ask")
    wanted = name.lower().replace("-", "_")
    ends = [one for one in held if wanted in ("all", one.name)]
    click.echo(locks_text(ends), err=True)
    click.confirm(f"Unlock {name}?", abort=True, err=True)


def kept_locks(config: Config, run: str | None) -> tuple[list[dict[str, Any]], str]:
    """What the last day of an engine left, and where that was read.

    Raises:
        BadData: the file of locks is damaged.
    """
    import msgspec

    from dhanfast.clock import SystemClock
    from dhanfast.engine.locks import carried_over, lines_of

    # An exchange on loopback may have any day: its locks are shown as they were left.
    now_ns = 0 if config.clock.source == "exchange" else SystemClock().now_ns()
    name = run or config.engine.run
    newest = None
    for mode in ("live", "paper"):
        found = carried_over(config.folders.journal, name, mode, dt.date.max)
        if found is not None and (newest is None or found.at_ns > newest.at_ns):
            newest = found
    if newest is None:
        return [], f"nothing is kept of engine {name}"
    lines = lines_of(newest, now_ns)
    surely = "" if newest.whole else "; that day did not end in order: a start settles it"
    return (
        [msgspec.to_builtins(one) for one in lines],
        f"engine {name}, as {newest.day} left it ({newest.source}{surely})",
    )


def locks_text(found: list[LockLine]) -> str:
    """Locks as lines of at most 80 columns."""
    if not found:
        return "nothing is locked"
    from dhanfast.storage.stamps import ist_text

    lines = [f"{HEAD[0]:<20}{HEAD[1]:<22}{HEAD[2]}"]
    for one in found:
        since = ist_text(one.since_ns)[:19].replace("T", " ") if one.since_ns else "-"
        lines.append(f"{one.name:<20}{since:<22}{one.until}")
        if one.text:
            lines.append(wrapped(one.text, "    ", "    "))
    return "\n".join(lines)
