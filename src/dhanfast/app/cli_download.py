"""`dhanfast data download` and `dhanfast data completeness`: the broker's history, and its gaps.

Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 the broker or the disk refused, 2
usage, 4 no login, 6 days are incomplete (completeness, and download with --check).
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.config_options import config_options
from dhanfast.app.edge import Command, edge, print_json, wrapped
from dhanfast.errors import CheckFailed, UsageError

if TYPE_CHECKING:
    from dhanfast.app.config import Config
    from dhanfast.market.master import Master
    from dhanfast.storage.completeness import DayReport, SeriesReport
    from dhanfast.storage.downloads import Line

DAY: Final = click.DateTime(["%Y-%m-%d"])
SHOWN_MAX: Final = 8  # days of one series written out; --all and --json have them all
SIGNS: Final = {"short": "SHORT", "absent": "ABSENT", "closed": "CLOSED", "unknown": "unknown",
                "whole": "whole", "unasked": "unasked"}  # fmt: skip


def _common(command: Command) -> Command:
    """The options of every download."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.option("--check", is_flag=True, help="Exit with 6 when days are incomplete."),
        click.option("--dry-run", is_flag=True, help="Say what would be asked for, ask nothing."),
        click.option("--refill", is_flag=True,
                     help="Ask again for days with missing minutes; the fuller answer is kept."),
        click.option("--out", required=True, metavar="DIR",
                     type=click.Path(file_okay=False, path_type=Path),
                     help="Folder of the downloads; made when missing, added to when not."),
        click.option("--interval", default="1m", show_default=True, metavar="1m",
                     help="1m, 5m, 15m, 25m, 60m or 1d."),
        click.option("--to", "last", type=DAY, metavar="DATE",
                     help="Last day, included [default: the last one that has ended]."),
        click.option("--from", "first", type=DAY, required=True, metavar="DATE",
                     help="First day, IST."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group("download")
def download() -> None:
    """Download the broker's history of bars into a folder, and go on where it ended.

    Each answer is kept before the next is asked for: after a kill, a lost line or a full disk the
    same command asks only for what is missing. The files at the top of the folder are whole, and
    `dhanfast backtest --data DIR/BANKNIFTY_1m.parquet` reads them.
    """


@download.command("index")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_common
@edge
@config_options
def index_command(names: Sequence[str], config: "Config", **given: Any) -> None:
    """Bars of indexes: NIFTY, BANKNIFTY, SENSEX, "INDIA VIX".

    \b
    Example:
      dhanfast data download index BANKNIFTY NIFTY --from 2024-01-01 --out bars
    """
    from dhanfast.brokers.dhan.history_lines import index_line

    def lines(master: "Master") -> "list[Line]":
        return [index_line(master, name, given["interval"]) for name in names]

    _download(config, lines, None, given)


@download.command("equity")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_common
@edge
@config_options
def equity_command(names: Sequence[str], config: "Config", **given: Any) -> None:
    """Bars of shares of NSE by their symbols.

    \b
    Example:
      dhanfast data download equity HDFCBANK --from 2024-01-01 --interval 1d --out bars
    """
    from dhanfast.brokers.dhan.history_lines import equity_line

    def lines(master: "Master") -> "list[Line]":
        return [equity_line(master, name, given["interval"]) for name in names]

    _download(config, lines, None, given)


@download.command("future")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--expiry", type=DAY, metavar="DATE",
              help="[default: the nearest that the instrument list has]")  # fmt: skip
@_common
@edge
@config_options
def future_command(
    names: Sequence[str], expiry: datetime | None, config: "Config", **given: Any
) -> None:
    """Bars and open interest of listed futures.

    \b
    Example:
      dhanfast data download future BANKNIFTY --from 2026-11-01 --out bars
    """
    from dhanfast.brokers.dhan.history_lines import future_line

    def lines(master: "Master") -> "list[Line]":
        return [future_line(master, name, _expiry(master, name, expiry, "FUT"), given["interval"])
                for name in names]  # fmt: skip

    _download(config, lines, expiry, given)


@download.command("option")
@click.argument("name", metavar="NAME")
@click.option("--strike", "strikes", multiple=True, required=True, metavar="RUPEES",
              help="Repeatable.")  # fmt: skip
@click.option("--right", type=click.Choice(["CE", "PE", "both"]), default="both", show_default=True,
              help="Calls, puts or both.")  # fmt: skip
@click.option("--expiry", type=DAY, metavar="DATE",
              help="[default: the nearest that the instrument list has]")  # fmt: skip
@_common
@edge
@config_options
def option_command(
    name: str, strikes: Sequence[str], right: str, expiry: datetime | None, config: "Config",
    **given: Any,
) -> None:  # fmt: skip
    """Bars and open interest of listed options; `expired` has those that are listed no more.

    \b
    Example:
      dhanfast data download option BANKNIFTY --strike 52000 --strike 52500 \\
          --expiry 2026-11-24 --from 2026-11-01 --out bars
    """
    from dhanfast.brokers.dhan.history_lines import option_line

    paise = [_paise(text) for text in strikes]

    def lines(master: "Master") -> "list[Line]":
        ends = _expiry(master, name, expiry, None)
        return [option_line(master, name, ends, strike, one, given["interval"])
                for strike in paise for one in _rights(right)]  # fmt: skip

    _download(config, lines, expiry, given)


@download.command("expired")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--cycle", type=click.Choice(["week", "month"]), default="week", show_default=True,
              help="Which expiries are counted: all, or the monthly ones.")  # fmt: skip
@click.option("--code", type=int, default=1, show_default=True,
              help="1 the next expiry, 2 the one after it, 3.")  # fmt: skip
@click.option("--money", default="-3:3", show_default=True, metavar="FROM:TO",
              help="Strikes, in steps from the one nearest to the underlying.")  # fmt: skip
@click.option("--right", type=click.Choice(["CE", "PE", "both"]), default="both", show_default=True,
              help="Calls, puts or both.")  # fmt: skip
@_common
@edge
@config_options
def expired_command(
    names: Sequence[str], cycle: str, code: int, money: str, right: str, config: "Config",
    **given: Any,
) -> None:  # fmt: skip
    """Bars of options that have expired, by their distance from the money.

    The broker keeps them so: "two strikes above the money, next weekly expiry". Each bar tells its
    strike, and becomes one of the contract that it was; a strike has bars only while it was within
    --money.

    \b
    Example:
      dhanfast data download expired BANKNIFTY --cycle week --money -5:5 \\
          --from 2024-01-01 --to 2024-06-30 --out options
    """
    from dhanfast.brokers.dhan.history_lines import expired_lines

    steps = _steps(money)

    def lines(master: "Master") -> "list[Line]":
        return [line for name in names
                for line in expired_lines(master, name, cycle.upper(), code, steps,
                                          _rights(right), given["interval"])]  # fmt: skip

    _download(config, lines, None, given)


# ---- what was typed ----


def _rights(right: str) -> tuple[str, ...]:
    return ("CE", "PE") if right == "both" else (right,)


def _paise(text: str) -> int:
    """A strike in rupees as paise.

    Raises:
        UsageError: no positive number of rupees with at most two places.
    """
    from decimal import Decimal, InvalidOperation

    try:
        paise = Decimal(text) * 100
    except InvalidOperation:
        raise UsageError(f"--strike: {text!r} must be rupees, such as 52000") from None
    if not paise.is_finite() or paise != paise.to_integral_value() or not 0 < paise < 10**12:
        raise UsageError(f"--strike: {text!r} must be rupees above 0, with at most two places")
    return int(paise)


def _steps(text: str) -> list[int]:
    """Steps from the money: -3:3, or one.

    Raises:
        UsageError: neither.
    """
    low, colon, high = text.partition(":")
    try:
        first, last = int(low), int(high if colon else low)
    except ValueError:
        raise UsageError(f"--money: {text!r} must be FROM:TO in steps, such as -3:3") from None
    if first > last:
        raise UsageError(f"--money: {text!r} ends before it begins; write {last}:{first}")
    if last - first > 100:
        raise UsageError(f"--money: {text!r} names more steps than the broker has; -10:10 is all")
    return list(range(first, last + 1))


def _expiry(master: "Master", name: str, given: datetime | None, kind: str | None) -> date:
    """The expiry given, or the nearest in the list.

    Raises:
        UsageError: the list has none.
    """
    if given is not None:
        return given.date()
    listed = [day for segment in ("NSE_FNO", "BSE_FNO")
              for day in master.expiries(name, segment=segment, kind=kind)]  # fmt: skip
    if not listed:
        raise UsageError(
            f"{name!r}: the instrument list has no contract of it; look: dhanfast instruments find"
        )
    return min(listed)


# ---- the work ----


def _download(config: "Config", lines: Any, expiry: datetime | None, given: dict[str, Any]) -> None:
    """Download what `lines` names, make the files, and tell."""
    from dhanfast.app.downloading import Wish, downloaded

    first = given["first"].date()
    last = None if given["last"] is None else given["last"].date()
    wish = Wish(lines, first, last, given["out"], expiry.date() if expiry else None,
                given["refill"], given["dry_run"])  # fmt: skip
    done = downloaded(config, wish, lambda text: click.echo(wrapped(text), err=True))
    if given["as_json"]:
        print_json(done.plain())
    else:
        _tell(done)
    bad = sum(one.bad for one in done.reports)
    if given["check"] and bad:
        raise CheckFailed(f"{bad:,} days are incomplete; `dhanfast data completeness` lists them")


def _tell(done: Any) -> None:
    """The result of a download on a terminal."""
    if done.dry_run:
        click.echo(f"{done.asks:,} requests would be sent, in about {done.seconds:,.0f} s or more")
        return
    for made in done.files:
        several = f" of {made.instruments:,} contracts" if made.instruments > 1 else ""
        label = ", GENERATED" if done.generated else ""
        click.echo(wrapped(f"{made.path}: {made.rows:,} bars{several}, {made.first} to "
                           f"{made.last}{label}", "", "  "))  # fmt: skip
    held, expected = (sum(getattr(one, name) for one in done.reports)
                      for name in ("held", "expected"))  # fmt: skip
    bad = sum(one.bad for one in done.reports)
    days = sum(len(one.days) - one.count("unasked") for one in done.reports)
    click.echo(wrapped(
        f"{done.asked:,} requests, {done.rows:,} bars came; {held:,} of {expected:,} expected are "
        f"there, {bad:,} of {days:,} days are incomplete"
        + (f": dhanfast data completeness {done.root}" if bad else ""), "", "  "
    ))  # fmt: skip
    for note in done.notes[:SHOWN_MAX]:
        click.echo(wrapped(f"note: {note}", "  ", "    "), err=True)
    if len(done.notes) > SHOWN_MAX:
        click.echo(f"  and {len(done.notes) - SHOWN_MAX:,} more notes; --json has all", err=True)


# ---- completeness ----


@click.command("completeness")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--symbol", default="", metavar="TEXT", help="Only series that begin so.")
@click.option("--from", "first", type=DAY, metavar="DATE", help="First day, IST.")
@click.option("--to", "last", type=DAY, metavar="DATE", help="Last day, included.")
@click.option("--all", "every", is_flag=True, help="Show every incomplete day.")
@click.option("--json", "as_json", is_flag=True, help="Print every day of every series as JSON.")
@edge
def completeness(
    folder: Path, symbol: str, first: datetime | None, last: datetime | None, every: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Compare downloaded bars with the exchange's hours: each contract on each day.

    Expected are the minutes of the sessions in force on the date; half days and evening sessions
    count by their own hours. Exit code 6 when a day is incomplete; an evening session or drill that
    the broker left out is told, and does not count.

    \b
    Example:
      dhanfast data completeness bars --from 2024-01-01
    """
    from dhanfast.storage.completeness import examine
    from dhanfast.storage.downloads import DownloadFolder

    low, high = first.date() if first else None, last.date() if last else None
    if low and high and high < low:
        raise UsageError(f"--to {high} lies before --from {low}")
    held = DownloadFolder(folder)
    reports = examine(held, first=low, last=high, symbol=symbol)
    if not reports:
        raise UsageError(f"{folder} holds no series{symbol and f' that begins with {symbol}'}")
    generated = held.origin().generated
    if as_json:
        from dhanfast.app.downloading import report_plain

        print_json({"folder": str(folder), "generated": generated,
                    "series": [report_plain(one, days=True) for one in reports]})  # fmt: skip
    else:
        _show(reports, every, generated)
    bad = sum(one.bad for one in reports)
    if bad:
        raise CheckFailed(f"{bad:,} days are incomplete; ask again with --refill, or know of them")


def _show(reports: "Sequence[SeriesReport]", every: bool, generated: bool) -> None:
    """The reports as a table of 80 columns, incomplete days beneath their series."""
    head = f"{'SERIES':<34} {'DAYS':>6} {'WHOLE':>6} {'BAD':>5} {'EXPECTED':>11} {'MISSING':>11}"
    click.echo(head)
    for one in reports:
        days = len(one.days) - one.count("unasked")
        name = one.key if len(one.key) <= 34 else one.key[:31] + "..."
        click.echo(f"{name:<34} {days:>6,} {one.count('whole'):>6,} {one.bad:>5,} "
                   f"{one.expected:>11,} {one.expected - one.held:>11,}")  # fmt: skip
        told = [day for day in one.days if day.status not in ("whole", "unasked")]
        shown = told if every else told[:SHOWN_MAX]
        for day in shown:
            click.echo(_day_text(day))
        if len(told) > len(shown):
            click.echo(f"  and {len(told) - len(shown):,} more days; --all shows them")
        if unasked := one.count("unasked"):
            click.echo(f"  {unasked:,} trading days between {one.first} and {one.last} were never "
                       "asked for")  # fmt: skip
        if zero := sum(day.no_interest for day in one.days):
            click.echo(f"  {zero:,} days say an open interest of 0 all day")
    if generated:
        click.echo("GENERATED, not recorded")


def _day_text(day: "DayReport") -> str:
    """One day that is not whole."""
    special = "" if day.kind in ("", "normal") else f" ({day.kind})"
    if day.status == "short":
        what = f"{day.missing} of {day.expected} missing: {day.gaps}"
    elif day.status == "absent":
        what = f"no bar of {day.expected}" + (f", {day.outside} outside" if day.outside else "")
    elif day.status == "closed":
        what = f"{day.outside} bars, and the exchange was closed"
    else:
        what = f"{day.outside} bars; its hours are in no table"
    text = f"{day.day} {SIGNS[day.status]}{special} {what}"
    return wrapped(text, "  ", "             ")
