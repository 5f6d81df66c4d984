"""`dhanfast data`: bring market data in, list it, check it.

Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 refused data, 2 usage, 6 defects.
"""

import dataclasses
import functools
import json
import os
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from dhanfast.clock import SystemClock
from dhanfast.errors import CheckFailed, DhanfastError

WIDTH: Final = 80
SHOWN_MAX: Final = 8  # findings of one kind written out; --json has them all
PATIENCE_NS: Final = 2_000_000_000  # work longer than this shows progress

Command = TypeVar("Command", bound=Callable[..., Any])


def _edge(command: Command) -> Command:
    """Turn our exceptions into a message on stderr and their exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except DhanfastError as error:
            click.echo(f"error: {error}", err=True)
            raise click.exceptions.Exit(error.exit_code) from error

    return run  # type: ignore[return-value]


def _file_options(command: Command) -> Command:
    """The options that say how a file writes its bars."""
    for option in (
        click.option("--stamp", type=click.Choice(["start", "end"]), default="start",
                     show_default=True, help="Which end of a bar its stamp names."),
        click.option("--tz", type=click.Choice(["Asia/Kolkata", "UTC"]),
                     help="Zone of stamps that carry none."),
        click.option("--columns", metavar="OURS=THEIRS,...",
                     help="Names of the columns: ts=date,open=o,... (ts=date+time joins two)."),
        click.option("--symbol", help="Name of the instrument, or which one of several."),
    ):  # fmt: skip
        command = option(command)
    return command


def _catalog_option(command: Command) -> Command:
    """Which catalog."""
    where = "$DHANFAST_HOME/catalog, else $XDG_DATA_HOME/dhanfast/catalog"
    return click.option(
        "--catalog", type=click.Path(file_okay=False, path_type=Path),
        help=f"Catalog folder (default: {where}).",
    )(command)  # fmt: skip


def _root(catalog: Path | None) -> Path:
    """The catalog folder: given, or the user's own."""
    from dhanfast.storage.catalog import default_root

    return catalog if catalog is not None else default_root(os.environ)


class Progress:
    """Says on stderr where long work stands; silent while it is short."""

    def __init__(self, total: int, doing: str) -> None:
        """Start the wait.

        Args:
            total: how many things there are to do; `doing`: a verb for the message.
        """
        self._total, self._doing = total, doing
        self._clock = SystemClock()
        self._start_ns = self._clock.now_ns()

    def __call__(self, done: int, name: str) -> None:
        """Say that `name` is next, when the work has lasted long enough to wonder."""
        if self._clock.now_ns() - self._start_ns > PATIENCE_NS:
            click.echo(f"{self._doing} {done + 1} of {self._total}: {name}", err=True)


@click.group()
def data() -> None:
    """Bring market data in, list what there is, and check it."""


@data.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_file_options
@_catalog_option
@click.option(
    "--on-bad",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="What to do with rows that break a rule.",
)
@click.option("--replace", is_flag=True, help="Let days of the files replace days held.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_edge  # fmt: skip
def import_command(
    files: Sequence[Path], symbol: str | None, columns: str | None, tz: str | None, stamp: str,
    catalog: Path | None, on_bad: str, replace: bool, as_json: bool,
) -> None:  # fmt: skip
    """Import CSV or Parquet FILES into the catalog: all of them, or none.

    Parquet with the columns ts (int64 UTC ns), instrument, open, high, low, close, volume, oi
    needs no options.

    \b
    Examples:
      dhanfast data import BANKNIFTY_1m_2022.parquet
      dhanfast data import bars.csv --symbol NIFTY --tz Asia/Kolkata \\
          --columns ts=date+time,open=o,high=h,low=l,close=c --stamp end
    """
    from dhanfast.storage.bars import ReadOptions
    from dhanfast.storage.catalog import Catalog
    from dhanfast.storage.importing import ImportOptions, describe_import, import_files
    from dhanfast.storage.rows import parse_columns

    mapping = parse_columns(columns) if columns else None
    options = ImportOptions(ReadOptions(mapping, tz, stamp), symbol, on_bad, replace)
    root = _root(catalog)
    progress = Progress(len(files), "importing")
    done = import_files(Catalog(root), files, options, SystemClock(), progress)
    for item in done:
        for line in item.skipped_rows:
            click.echo(f"left out: {item.file}: {line}", err=True)
        if item.skipped > len(item.skipped_rows):
            click.echo(f"left out: {item.skipped:,} rows in all", err=True)
    if as_json:
        rows = [dataclasses.asdict(item) | {"unchanged": item.unchanged} for item in done]
        _print_json({"catalog": str(root), "imported": rows})
        return
    for item in done:
        click.echo(_wrapped(describe_import(item), "", "  "))
        click.echo(_wrapped(f"read: {'; '.join(item.facts)}", "  ", "    "), err=True)
        for note in item.notes:
            click.echo(_wrapped(f"note: {note}", "  ", "    "), err=True)


@data.command("list")
@_catalog_option
@click.option("--json", "as_json", is_flag=True, help="Print the catalog as JSON.")
@_edge
def list_command(catalog: Path | None, as_json: bool) -> None:
    """List the bars the catalog holds.

    \b
    Example:
      dhanfast data list
    """
    from dhanfast.storage.catalog import Catalog, Series
    from dhanfast.storage.stamps import ist_text

    root = _root(catalog)
    held = list(Catalog(root).manifest().series.values())
    spans = {
        series.key: (ist_text(series.files[0].first_ns), ist_text(series.files[-1].last_ns))
        for series in held
    }
    if as_json:
        _print_json({"catalog": str(root), "series": [_series_json(s, spans[s.key]) for s in held]})
        return
    if not held:
        click.echo(f"{root} is empty; fill it: dhanfast data import FILE", err=True)
        return

    def line(series: Series) -> str:
        symbol, _, step = series.key.rpartition("/")
        symbol = symbol if len(symbol) <= 22 else symbol[:19] + "..."
        first, last = (text[:10] for text in spans[series.key])
        origin = "GENERATED" if series.generated else "recorded"
        return f"{symbol:22} {step:>5} {series.rows:>13,}  {first}  {last}  {origin:9}"

    click.echo(f"{'SYMBOL':22} {'STEP':>5} {'BARS':>13}  {'FIRST':10}  {'LAST':10}  ORIGIN")
    for series in held:
        click.echo(line(series).rstrip())


def _series_json(series: Any, span: tuple[str, str]) -> dict[str, Any]:
    """One series as plain data."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(series)
    return {"key": series.key, "rows": series.rows, "first": span[0], "last": span[1]} | plain


@data.command("verify")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@_file_options
@_catalog_option
@click.option("--segment", default="NSE_INDEX", show_default=True, help="Whose hours hold.")
@click.option("--json", "as_json", is_flag=True, help="Print every finding as JSON.")
@_edge
def verify_command(
    sources: Sequence[str], symbol: str | None, columns: str | None, tz: str | None, stamp: str,
    catalog: Path | None, segment: str, as_json: bool,
) -> None:  # fmt: skip
    """Check SOURCES (files, catalog folders, or symbols of the catalog) for defects.

    Compares rows with the rules of a bar and days with the exchange's calendar. Without SOURCE
    the whole catalog is checked. The exit code is 6 when there are defects; notes (prints before
    the open and after the close, evening sessions, outages of the exchange) do not count.

    \b
    Example:
      dhanfast data verify BANKNIFTY_1m_2022.parquet
    """
    from dhanfast.storage.bars import ReadOptions
    from dhanfast.storage.rows import parse_columns
    from dhanfast.storage.verify import verify_source

    options = ReadOptions(parse_columns(columns) if columns else None, tz, stamp)
    root = _root(catalog)
    if not sources and not root.is_dir():
        click.echo(f"{root} is empty; fill it: dhanfast data import FILE", err=True)
        return
    names = list(sources) or [str(root)]
    if catalog is not None and sources:
        names = [name if Path(name).exists() else str(root / name) for name in names]
    progress = Progress(len(names), "verifying")
    found = []
    for index, name in enumerate(names):
        progress(index, name)
        found += verify_source(name, options=options, symbol=symbol, segment=segment)
    if as_json:
        _print_json([_verified_json(item) for item in found])
    else:
        for item in found:
            click.echo(_verified_text(item))
    bad = [item for item in found if item.defects]
    if bad:
        total = sum(item.defects for item in bad)
        raise CheckFailed(f"{total} defects in {len(bad)} of {len(found)} series; see above")


def _verified_json(item: Any) -> dict[str, Any]:
    """What was found in one series, as plain data."""
    plain = dataclasses.asdict(item)
    plain["defects"] = item.defects
    plain["findings"] = [
        {"level": one.level, "meaning": one.meaning, **dataclasses.asdict(one)}
        for one in item.findings
    ]
    return plain


def _verified_text(item: Any) -> str:
    """What was found in one series, for a terminal of 80 columns."""
    label = " GENERATED" if item.generated else ""
    lines = [f"{item.source}: {item.symbol} {item.timeframe}{label}"]
    lines.append(f"  {item.rows:,} bars on {item.days:,} days, {item.first} to {item.last}")
    kinds = dict.fromkeys(finding.kind for finding in item.findings)
    for kind in kinds:
        alike = [finding for finding in item.findings if finding.kind == kind]
        head = "DEFECT" if alike[0].level == "defect" else "note  "
        lines.append(_wrapped(f"{head} {kind}: {alike[0].meaning}", "  ", "         "))
        lines += _grouped(alike)
    notes = len(item.findings) - item.defects
    verdict = f"{item.defects} defects" if item.defects else "clean"
    lines.append(f"  {verdict}, {notes} notes")
    return "\n".join(lines)


def _grouped(findings: Sequence[Any]) -> list[str]:
    """Findings of one kind: those that say the same as one line, the first few lines."""
    groups: list[list[Any]] = []
    for finding in findings:
        same = [one for one in findings if one.detail == finding.detail]
        if len(same) < 3 or finding.kind == "missing-day":
            groups.append([finding])
        elif same[0] is finding:
            groups.append(same)
    lines = []
    for same in groups[:SHOWN_MAX]:
        first, last = same[0].first, same[-1].last
        span = first if first == last else f"{first} to {last}"
        count = sum(one.count for one in same)
        times = f"{len(same)} times, " if len(same) > 1 else ""
        text = f"{span}: {times}{count:,}; {same[0].detail}"
        lines.append(_wrapped(text, " " * 9, " " * 11))
    if len(groups) > SHOWN_MAX:
        more = sum(len(same) for same in groups[SHOWN_MAX:])
        lines.append(f"{' ' * 9}and {more:,} more; --json shows all")
    return lines


def _wrapped(text: str, first: str, rest: str) -> str:
    """Text in lines of at most 80 columns."""
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest)


def _print_json(value: Any) -> None:
    """Print plain data as JSON on stdout."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))
