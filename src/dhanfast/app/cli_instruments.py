"""`dhanfast instruments`: fetch the broker's list of contracts, search it, compare two days.

Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 refused, 2 usage, 6 alarms (--check).
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.edge import PATIENCE_NS, Command, edge, print_json
from dhanfast.clock import SystemClock
from dhanfast.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from dhanfast.market.master import Master
    from dhanfast.market.master_diff import Difference
    from dhanfast.storage.masters import MasterStore, Source, Updated

SHOWN_MAX: Final = 8  # changes of one kind written out; --json has them all
DAY: Final = click.DateTime(["%Y-%m-%d"])
SEGMENT_HELP: Final = "Only this segment: NSE_FNO, BSE_FNO, NSE_EQ, IDX_I, MCX_COMM, ..."


def _folder_option(command: Command) -> Command:
    """Where the copies are."""
    where = "$DHANFAST_HOME/instruments, else $XDG_DATA_HOME/dhanfast/instruments"
    return click.option(
        "--folder", type=click.Path(file_okay=False, path_type=Path),
        help=f"Folder of the copies (default: {where}).",
    )(command)  # fmt: skip


def _store(folder: Path | None) -> "MasterStore":
    """The folder given, or the user's own."""
    from dhanfast.storage.masters import MasterStore, default_masters

    return MasterStore(folder if folder is not None else default_masters(os.environ))


def _configured(form: str) -> str:
    """Where `dhanfast trade` takes the list from: the configured address, else the broker's own.

    Args:
        form: detailed or compact.
    """
    from dhanfast.app.config import load_config
    from dhanfast.brokers.dhan_instruments import ADDRESSES

    own = ADDRESSES[form]
    place = load_config((), None, (), os.environ).hosts().get("instruments")
    return f"{place}/{own.rpartition('/')[2]}" if place else own


@click.group()
def instruments() -> None:
    """Fetch the broker's instrument list, search it, and compare days.

    Example: dhanfast instruments update
    """


@instruments.command("update")
@click.option(
    "--from",
    "origin",
    metavar="FILE|URL",
    help="Default: the configured address (broker.exchange, "
    "broker.hosts.instruments), else the broker's own.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["detailed", "compact"]),
    help="Which of the broker's files (default: detailed; of a FILE: what it says).",
)
@click.option("--day", type=DAY, metavar="DATE", help="Day of the copy, for an old FILE (IST).")
@click.option(
    "--rows-min",
    type=int,
    metavar="N",
    help="Refuse a file of fewer contracts (default: 50000 from https, else 1).",
)
@click.option(
    "--refused-max",
    type=float,
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="Refuse a file of which more rows than this are unusable.",
)
@click.option(
    "--accept-short",
    is_flag=True,
    help="Take a file that has lost many contracts since the last copy.",
)
@click.option(
    "--keep",
    type=int,
    default=730,
    show_default=True,
    metavar="DAYS",
    help="Delete copies that are older than this before the newest.",
)
@click.option(
    "--timeout",
    type=float,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="For the whole download.",
)
@click.option("--allow-http", is_flag=True, help="Allow http to other machines than this one.")
@click.option("--fresh", is_flag=True, help="Fetch even what the server says has not changed.")
@click.option("--check", is_flag=True, help="Exit with 6 when there are alarms.")
@_folder_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@edge  # fmt: skip
def update_command(
    origin: str | None, form: str | None, day: datetime | None, rows_min: int | None,
    refused_max: float, accept_short: bool, keep: int, timeout: float, allow_http: bool,
    fresh: bool, check: bool, folder: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Take today's instrument list and say what changed since the last copy.

    Nothing of a file that is refused (a web page, half a file, a lost segment) is kept, and the
    last good copy stays. Alarms are changes of lot, tick, freeze quantity or expiry, contracts
    that vanished before their expiry, and ids that mean another contract now.

    \b
    Examples:
      dhanfast instruments update
      dhanfast instruments update --from master.csv --day 2026-07-21
    """
    from dhanfast.brokers.dhan_instruments import DEFAULT_FORM, ROWS_MIN, is_address
    from dhanfast.storage.masters import UpdateOptions

    if origin is None:
        form = form or DEFAULT_FORM
        origin = _configured(form)
    remote = is_address(origin)
    if rows_min is None:
        rows_min = ROWS_MIN if origin.startswith("https:") else 1
    options = UpdateOptions(form, day.date() if day else None, rows_min, refused_max / 100,
                            accept_short, keep)  # fmt: skip
    source = _source(origin, remote, timeout, allow_http, fresh)
    done = _store(folder).update(source, options, SystemClock())
    if as_json:
        print_json(_updated_json(done))
    else:
        _show_updated(done)
    if check and done.difference is not None and done.difference.alarms:
        raise CheckFailed(f"{len(done.difference.alarms):,} alarms since {done.since}; see above")


def _source(origin: str, remote: bool, timeout: float, allow_http: bool, fresh: bool) -> "Source":
    """Where the file comes from."""
    from dhanfast.brokers.dhan_instruments import from_address, from_file
    from dhanfast.brokers.download import Limits, public_url, with_timeout

    limits = with_timeout(Limits(plain_http=allow_http), timeout)
    if not remote:
        return from_file(Path(origin), limits)
    return from_address(
        origin, limits, SystemClock(), fresh=fresh, told=_telling(public_url(origin))
    )


def _telling(name: str) -> Callable[[int], None]:
    """Says on stderr, every two seconds, how much has come."""
    clock = SystemClock()
    next_ns = clock.now_ns() + PATIENCE_NS

    def tell(size: int) -> None:
        nonlocal next_ns
        if clock.now_ns() >= next_ns:
            next_ns = clock.now_ns() + PATIENCE_NS
            click.echo(f"fetching {name}: {size / 1e6:,.1f} MB", err=True)

    return tell


def _updated_json(done: "Updated") -> dict[str, Any]:
    """What an update did, as plain data."""
    import msgspec

    plain = {
        "copy": msgspec.to_builtins(done.copy), "unchanged": done.unchanged, "since": done.since,
        "removed": list(done.removed),
    }  # fmt: skip
    return plain | (_difference_json(done.difference) if done.difference is not None else {})


def _show_updated(done: "Updated") -> None:
    """What an update did, for a person."""
    copy = done.copy
    size = f"{copy.rows:,} contracts from {copy.source} ({copy.form})"
    if done.unchanged:
        click.echo(f"{copy.day}: {size}; the same file as on {done.since}")
    else:
        click.echo(f"{copy.day}: {size}")
    if copy.refused:
        click.echo(f"  refused: {copy.refused:,} rows", err=True)
        for text in copy.refused_rows[:SHOWN_MAX]:
            click.echo(f"    {text}", err=True)
    if copy.repeated:
        click.echo(f"  repeated word for word: {copy.repeated:,} rows", err=True)
    for market, count in copy.left_out.items():
        click.echo(f"  left out: {count:,} rows of {market}: no segment of the API", err=True)
    for note in copy.notes:
        click.echo(f"  note: {note}", err=True)
    if done.removed:
        click.echo(f"  deleted: copies of {', '.join(done.removed)}", err=True)
    if done.difference is not None:
        _show_difference(done.difference, f"since {done.since}")


# ---- find --------------------------------------------------------------------------------------


@instruments.command("find")
@click.argument("text", nargs=-1, metavar="[TEXT]...")
@click.option("--segment", help=SEGMENT_HELP)
@click.option("--expiry", type=DAY, metavar="DATE", help="Only this expiry.")
@click.option("--strike", metavar="RUPEES", help="Only this strike.")
@click.option("--right", type=click.Choice(["CE", "PE"]), help="Only calls or puts.")
@click.option("--as-of", type=DAY, metavar="DATE", help="In the copy known on this day.")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to show."
)
@_folder_option
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
@edge  # fmt: skip
def find_command(
    text: Sequence[str], segment: str | None, expiry: datetime | None, strike: str | None,
    right: str | None, as_of: datetime | None, limit: int, folder: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Find contracts whose symbol, name or ISIN holds every word of TEXT, or whose id it is.

    \b
    Examples:
      dhanfast instruments find NIFTY 25000 --expiry 2026-07-28 --right CE
      dhanfast instruments find 1333 --segment NSE_EQ --json
    """
    store = _store(folder)
    copy = store.as_of(as_of.date()) if as_of else store.newest()
    master = store.load(copy)
    if not text and not any((segment, expiry, strike, right)):
        raise UsageError("say what to find: words of a name, an id, or one of the options")
    rows = master.find(
        " ".join(text), segment=segment, expiry=expiry.date() if expiry else None,
        strike=None if strike is None else _paise(strike), right=right,
    )  # fmt: skip
    shown = rows[:limit].tolist()
    if as_json:
        found = [_contract_json(master, row) for row in shown]
        print_json({"day": copy.day, "found": len(rows), "contracts": found})
        return
    if not len(rows):
        click.echo(f"nothing fits in the copy of {copy.day}", err=True)
        return
    _show_contracts(master, shown)
    if len(rows) > limit:
        click.echo(f"and {len(rows) - limit:,} more; --limit shows them", err=True)


def _paise(rupees: str) -> int:
    """A strike as a user writes it: 25000, 25,000, 252.50."""
    try:
        paise = Decimal(rupees.replace(",", "")) * 100
        if paise != int(paise) or paise <= 0:
            raise ValueError
    except (InvalidOperation, ValueError, OverflowError):
        raise UsageError(f"--strike must be rupees such as 25000 or 252.5, got {rupees}") from None
    return int(paise)


def _contract_json(master: "Master", row: int) -> dict[str, Any]:
    """A contract as plain data; decimals as text, so that none is changed on the way."""
    plain = dataclasses.asdict(master.contract(row))
    plain["expiry"] = str(plain["expiry"]) if plain["expiry"] else None
    extras = {
        name: str(value) if isinstance(value, Decimal) else value
        for name, value in master.extras(row).items()
    }
    units = {"strike": "strike_paise", "tick": "tick_paise", "upper": "upper_micros",
             "lower": "lower_micros"}  # fmt: skip
    return {units.get(name, name): value for name, value in plain.items()} | {"extras": extras}


def _show_contracts(master: "Master", rows: Sequence[int]) -> None:
    """Contracts as a table."""
    table = [("SEGMENT", "ID", "SYMBOL", "EXPIRY", "LOT", "TICK", "FREEZE", "NAME")]
    for row in rows:
        one = master.contract(row)
        tick = f"{Decimal(one.tick_micros) / 1_000_000:f}".rstrip("0").rstrip(".")
        table.append((
            one.segment, str(one.security_id), one.symbol, str(one.expiry or "-"), str(one.lot),
            tick, "-" if one.freeze is None else str(one.freeze), one.name,
        ))  # fmt: skip
    widths = [max(len(line[column]) for line in table) for column in range(7)]
    for line in table:
        click.echo("  ".join(cell.ljust(width) for cell, width
                             in zip(line, [*widths, 0], strict=True)).rstrip())  # fmt: skip


# ---- diff and list -----------------------------------------------------------------------------


@instruments.command("diff")
@click.argument("old", required=False, metavar="[A]")
@click.argument("new", required=False, metavar="[B]")
@click.option("--check", is_flag=True, help="Exit with 6 when there are alarms.")
@_folder_option
@click.option("--json", "as_json", is_flag=True, help="Print every change as JSON.")
@edge
def diff_command(
    old: str | None, new: str | None, check: bool, folder: Path | None, as_json: bool
) -> None:
    """Say what changed from A to B: days (YYYY-MM-DD) whose copies are kept, or files.

    Without B the newest copy is meant, without A the one before it. A file is a CSV of the broker
    or a copy; it counts as of today.

    \b
    Examples:
      dhanfast instruments diff
      dhanfast instruments diff 2026-07-21 2026-07-22 --json
    """
    from dhanfast.market.master_diff import compare

    store = _store(folder)
    if old is None:
        copies = store.copies()
        if len(copies) < 2:
            raise UsageError(
                f"{store.root} holds {len(copies)} copies and two are needed; name two files, or "
                "update on another day"
            )
        old, new = copies[-2].day, copies[-1].day
    first, first_day, _ = _named(store, old)
    second, second_day, day = _named(store, new or store.newest().day)
    difference = compare(first, second, day)
    if as_json:
        print_json({"from": first_day, "to": second_day} | _difference_json(difference))
    else:
        _show_difference(difference, f"{first_day} to {second_day}")
    if check and difference.alarms:
        raise CheckFailed(f"{len(difference.alarms):,} alarms; see above")


def _named(store: "MasterStore", name: str) -> tuple["Master", str, date]:
    """A master by day or file, what to call it, and the day it is of."""
    from dhanfast.market.master_csv import parse_master
    from dhanfast.storage.master_file import MAGIC, PACKED, read_master
    from dhanfast.storage.stamps import ist_text

    path = Path(name)
    if path.is_file():
        today = date.fromisoformat(ist_text(SystemClock().now_ns())[:10])
        with open(path, "rb") as file:
            head = file.read(len(MAGIC))
        if head == MAGIC or path.name.endswith(PACKED):
            return read_master(path), path.name, today
        return parse_master(path.read_bytes(), name=path.name).master, path.name, today
    try:
        day = date.fromisoformat(name)
    except ValueError:
        raise UsageError(f"{name!r} is neither a day (YYYY-MM-DD) nor a file") from None
    copy = store.as_of(day)
    return store.load(copy), copy.day, date.fromisoformat(copy.day)


def _difference_json(difference: "Difference") -> dict[str, Any]:
    """Changes as plain data."""
    return {
        "alarms": len(difference.alarms),
        "counts": difference.counts,
        "not_compared": list(difference.not_compared),
        "changes": [{"level": one.level, **dataclasses.asdict(one)} for one in difference.changes],
    }


def _show_difference(difference: "Difference", between: str) -> None:
    """Changes for a person: the first of each kind, alarms first."""
    if not difference.changes:
        click.echo(f"no changes {between}")
    else:
        click.echo(f"{between}: {len(difference.alarms):,} alarms, "
                   f"{len(difference.changes) - len(difference.alarms):,} notices")  # fmt: skip
    for kind, count in difference.counts.items():
        alike = [one for one in difference.changes if one.kind == kind]
        click.echo(f"  {'ALARM ' if alike[0].level == 'alarm' else 'notice'} {kind}: {count:,}")
        for one in alike[:SHOWN_MAX]:
            sides = f"{_shown(one.old)} -> {_shown(one.new)}"
            click.echo(f"    {one.segment} {one.security_id} {one.symbol}: {sides}")
        if count > SHOWN_MAX:
            click.echo(f"    and {count - SHOWN_MAX:,} more; --json shows all")
    if difference.not_compared:
        click.echo(f"  not compared: {', '.join(difference.not_compared)}", err=True)


def _shown(value: str | int | None) -> str:
    """One side of a change."""
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else value


@instruments.command("list")
@_folder_option
@click.option("--json", "as_json", is_flag=True, help="Print the copies as JSON.")
@edge
def list_command(folder: Path | None, as_json: bool) -> None:
    """List the days whose copies are kept.

    \b
    Example:
      dhanfast instruments list
    """
    import msgspec

    store = _store(folder)
    copies = store.copies()
    if as_json:
        print_json({"folder": str(store.root), "copies": msgspec.to_builtins(copies)})
        return
    if not copies:
        click.echo(f"{store.root} is empty; fill it: dhanfast instruments update", err=True)
        return
    click.echo(f"{'DAY':10}  {'CONTRACTS':>9}  {'REFUSED':>7}  FORMAT    SOURCE")
    for copy in copies:
        click.echo(f"{copy.day:10}  {copy.rows:>9,}  {copy.refused:>7,}  {copy.form:8}  "
                   f"{copy.source}")  # fmt: skip
