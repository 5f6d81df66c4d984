"""`dhanfast journal`: what a run journaled, record by record, and whether it is whole."""

import dataclasses
import sys
from typing import Any, Final

import click

from dhanfast.app.edge import edge, print_json
from dhanfast.errors import CheckFailed, UsageError

LINE_ROWS: Final = 3  # rows of a record shown in its line; --json has them all


@click.group()
def journal() -> None:
    """Look into the journal of a run: every input it used, every decision it took."""


@journal.command(epilog="Example: dhanfast journal show run.dfj --kind INTENT --kind ANSWER --json")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only records of this kind.")
@click.option("--from", "first", default=1, metavar="SEQ", help="Begin at this record.")
@click.option("--limit", default=0, metavar="N", help="Stop after so many records; 0 for none.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a record.")
@edge
def show(file: str, kinds: tuple[str, ...], first: int, limit: int, as_json: bool) -> None:
    """Show the records of FILE, one line each. A journal that is being written may be shown."""
    import msgspec

    from dhanfast.storage.journal import shown

    encode = msgspec.json.Encoder().encode
    wanted = {_kind(name) for name in kinds} or None
    out = sys.stdout.buffer
    for number, record in enumerate(shown(file, wanted, first), 1):
        out.write(encode(record) + b"\n" if as_json else _line(record).encode() + b"\n")
        if number == limit:
            break
    out.flush()


@journal.command(epilog="Example: dhanfast journal verify run.dfj")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="The finding as one JSON object.")
@edge
def verify(file: str, as_json: bool) -> None:
    """Read FILE from end to end: every checksum, every sequence number.

    A record torn by a kill at the very end is normal and is said. Exit code 6 when records are
    missing that were known to be on the disk.
    """
    from dhanfast.storage.journal import decision_digest, examine

    found = examine(file)
    digest = decision_digest(file)
    if as_json:
        print_json(dataclasses.asdict(found) | {"whole": found.whole, "decisions": digest})
    else:
        kinds = ", ".join(f"{count} {name}" for name, count in found.kinds.items()) or "none"
        click.echo(f"{file}: run {found.run}, {found.date}, orders {found.tag}-*")
        click.echo(f"{found.records} records in {found.end} bytes: {kinds}")
        click.echo(f"decisions {digest}")
        click.echo("closed in order" if found.closed else "not closed: being written, or killed")
        if found.tail_bytes:
            click.echo(
                f"{found.tail_bytes} bytes behind the last record are not one ({found.why}); "
                f"{found.tail_records} whole records lie among them"
            )
    if found.damage:
        raise CheckFailed(f"{file}: damaged: {found.damage}")


def _kind(name: str) -> int:
    from dhanfast._core.live.journal import Kind

    try:
        return Kind[name.upper()]
    except KeyError:
        raise UsageError(
            f"--kind {name}: no record is of that kind; one of " + ", ".join(k.name for k in Kind)
        ) from None


def _line(record: dict[str, Any]) -> str:
    fields = dict(record)
    words = [f"{fields.pop('seq')}", f"{fields.pop('time_ns')}", fields.pop("record")]
    rows = fields.pop("rows", None)
    words += [f"{name}={value}" for name, value in fields.items()]
    if rows is not None:
        words.append(f"{len(rows)} rows")
        words += [str(row) for row in rows[:LINE_ROWS]]
    return " ".join(words)
