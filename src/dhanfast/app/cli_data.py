"""`dhanfast data`: bring market data in, list it, check it; bars here, ticks in cli_data_ticks.

Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 refused data, 2 usage, 6 defects.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from dhanfast.app import cli_data_ticks as ticks
from dhanfast.app import cli_download
from dhanfast.app.edge import PATIENCE_NS, Command, edge, print_json, wrapped
from dhanfast.clock import SystemClock
from dhanfast.errors import CheckFailed, UsageError

SHOWN_MAX: Final = 8  # findings of one kind written out; --json has them all


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


def _tick_options(command: Command) -> Command:
    """The options that only files of ticks have."""
    for option in (
        click.option("--level", type=click.IntRange(-7, 22), default=9, show_default=True,
                     help="Ticks: zstd level of the archive."),
        click.option("--no-check", "check", is_flag=True, default=True, flag_value=False,
                     help="Ticks: do not read the archive back and compare it."),
        click.option("--generated", is_flag=True, help="Ticks: a generator's, not recorded."),
        click.option("--lot", type=click.IntRange(1, 1 << 31), help="Ticks: lot, units."),
        click.option("--tick", metavar="RUPEES", help="Ticks: step of the prices, such as 0.05."),
        click.option("--clock", type=click.Choice(["recv", "exch"]),
                     help="Ticks: whose clock the file's only time is (found when not said)."),
        click.option("--to", "target", type=click.Path(dir_okay=False, path_type=Path),
                     help="Ticks: write this archive, not into the catalog."),
        click.option("--as", "kind", type=click.Choice(["bars", "ticks"]),
                     help="What the files hold (found when not said)."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group()
def data() -> None:
    """Bring market data in and out, download it, list what there is, and check it."""


for _command in ticks.COMMANDS:
    data.add_command(_command)
data.add_command(cli_download.download)
data.add_command(cli_download.completeness)


@data.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@_file_options
@_catalog_option
@_tick_options
@click.option(
    "--on-bad",
    type=click.Choice(["refuse", "skip"]),
    default="refuse",
    show_default=True,
    help="What to do with rows that break a rule.",
)
@click.option("--replace", is_flag=True, help="Let days of the files replace days held.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@edge  # fmt: skip
def import_command(
    files: Sequence[Path], symbol: str | None, columns: str | None, tz: str | None, stamp: str,
    catalog: Path | None, on_bad: str, replace: bool, as_json: bool, kind: str | None,
    target: Path | None, **rest: Any,
) -> None:  # fmt: skip
    """Import CSV or Parquet FILES into the catalog: bars or ticks, by what a file holds.

    Bars: all of the files, or none. Parquet with the columns ts (int64 UTC ns), instrument, open,
    high, low, close, volume, oi needs no options. Ticks: each file becomes an archive that keeps
    every cell; docs/how-to/import-ticks.md tells more.

    \b
    Examples:
      dhanfast data import BANKNIFTY_1m_2022.parquet
      dhanfast data import bars.csv --symbol NIFTY --tz Asia/Kolkata \\
          --columns ts=date+time,open=o,high=h,low=l,close=c --stamp end
      dhanfast data import ticks.parquet --tick 0.05 --lot 35
    """
    from dhanfast.storage.rows import parse_columns

    root = _root(catalog)
    given = {"symbol": symbol, "columns": columns, "tz": tz, "stamp": stamp, "on_bad": on_bad,
             "replace": replace, "target": target, **rest}  # fmt: skip
    mapping = parse_columns(columns) if columns else None
    held = [path for path in files if ticks.holds_ticks(path, mapping, kind)]
    if not held:
        _import_bars(files, root, given, as_json)
    elif len(held) == len(files):
        done = ticks.import_tick_files(files, root, given, as_json)
        if as_json:
            print_json({"catalog": str(root), "ticks": [dataclasses.asdict(i) for i in done]})
    else:
        bars = next(path for path in files if path not in held)
        raise UsageError(f"{held[0]} holds ticks and {bars} bars; import them one after the other")


def _import_bars(files: Sequence[Path], root: Path, given: dict[str, Any], as_json: bool) -> None:
    """Import files of bars."""
    from dhanfast.storage.bars import ReadOptions
    from dhanfast.storage.catalog import Catalog
    from dhanfast.storage.importing import ImportOptions, describe_import, import_files
    from dhanfast.storage.rows import parse_columns

    for name in ("clock", "tick", "lot", "target", "generated"):
        if given[name]:
            option = "to" if name == "target" else name
            raise UsageError(f"--{option} is for ticks; {files[0]} holds bars (--as ticks if not)")
    mapping = parse_columns(given["columns"]) if given["columns"] else None
    read = ReadOptions(mapping, given["tz"], given["stamp"])
    options = ImportOptions(read, given["symbol"], given["on_bad"], given["replace"])
    progress = Progress(len(files), "importing")
    done = import_files(Catalog(root), files, options, SystemClock(), progress)
    for item in done:
        for line in item.skipped_rows:
            click.echo(f"left out: {item.file}: {line}", err=True)
        if item.skipped > len(item.skipped_rows):
            click.echo(f"left out: {item.skipped:,} rows in all", err=True)
    if as_json:
        rows = [dataclasses.asdict(item) | {"unchanged": item.unchanged} for item in done]
        print_json({"catalog": str(root), "imported": rows})
        return
    for item in done:
        click.echo(wrapped(describe_import(item), "", "  "))
        click.echo(wrapped(f"read: {'; '.join(item.facts)}", "  ", "    "), err=True)
        for note in item.notes:
            click.echo(wrapped(f"note: {note}", "  ", "    "), err=True)


@data.command("list")
@_catalog_option
@click.option("--json", "as_json", is_flag=True, help="Print the catalog as JSON.")
@edge
def list_command(catalog: Path | None, as_json: bool) -> None:
    """List the bars and the tick archives that the catalog holds.

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
        rows = [_series_json(s, spans[s.key]) for s in held]
        print_json({"catalog": str(root), "series": rows, "ticks": ticks.tick_json(root)})
        return
    archives = ticks.tick_lines(root)
    if not held and not archives:
        click.echo(f"{root} is empty; fill it: dhanfast data import FILE", err=True)
        return

    def line(series: Series) -> str:
        symbol, _, step = series.key.rpartition("/")
        symbol = symbol if len(symbol) <= 22 else symbol[:19] + "..."
        first, last = (text[:10] for text in spans[series.key])
        origin = "GENERATED" if series.generated else "recorded"
        return f"{symbol:22} {step:>5} {series.rows:>13,}  {first}  {last}  {origin:9}"

    if held:
        click.echo(f"{'SYMBOL':22} {'STEP':>5} {'BARS':>13}  {'FIRST':10}  {'LAST':10}  ORIGIN")
    for series in held:
        click.echo(line(series).rstrip())
    for text in archives:
        click.echo(text)


def _series_json(series: Any, span: tuple[str, str]) -> dict[str, Any]:
    """One series as plain data."""
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(series)
    return {"key": series.key, "rows": series.rows, "first": span[0], "last": span[1]} | plain


@data.command("verify")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@_file_options
@_catalog_option
@click.option(
    "--segment",
    help="Whose hours hold: NSE_INDEX for bars, NSE_FNO for ticks when not "
    "said; none for ticks of no exchange of ours.",
)
@click.option("--repair", is_flag=True, help="Ticks: cut off what is not whole; see cut files.")
@click.option("--json", "as_json", is_flag=True, help="Print every finding as JSON.")
@edge
def verify_command(
    sources: Sequence[str], symbol: str | None, columns: str | None, tz: str | None, stamp: str,
    catalog: Path | None, segment: str | None, repair: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check SOURCES (files, catalog folders, symbols or days of the catalog) for defects.

    Compares rows with the rules of a bar or a tick and days with the exchange's calendar; of an
    archive also every checksum and the digest. Without SOURCE the whole catalog is checked. The
    exit code is 6 when there are defects; notes (prints before the open and after the close,
    evening sessions, outages of the exchange) do not count.

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
    archives, names = _archives_among(names, root)
    if repair and not archives:
        raise UsageError("--repair is for tick archives; there is none among the sources")
    tick_items = ticks.verify_archives(archives, segment or "NSE_FNO", repair)
    progress = Progress(len(names), "verifying")
    found = []
    for index, name in enumerate(names):
        progress(index, name)
        found += verify_source(name, options=options, symbol=symbol, segment=segment or "NSE_INDEX")
    if as_json:
        print_json([ticks.verified_json(item) for item in found]
                    + [ticks.verified_json(item) for item in tick_items])  # fmt: skip
    else:
        for item in found:
            click.echo(_verified_text(item))
        for archive in tick_items:
            click.echo(ticks.verified_text(archive))
    everything = [*found, *tick_items]
    bad = [item for item in everything if item.defects]
    if bad:
        total = sum(item.defects for item in bad)
        what = "sources" if tick_items else "series"
        raise CheckFailed(f"{total} defects in {len(bad)} of {len(everything)} {what}; see above")


def _archives_among(names: Sequence[str], root: Path) -> tuple[list[Path], list[str]]:
    """Tick archives among sources, and the sources of bars that are left."""
    from dhanfast.storage.archive.catalog import TICKS, archive_files
    from dhanfast.storage.catalog import MANIFEST

    archives: list[Path] = []
    bars: list[str] = []
    for name in names:
        path = Path(name)
        if ticks.is_archive(path):
            archives.append(path)
        elif ticks.DAY.fullmatch(path.name) and not path.exists():
            archives += ticks.find_archives([path.name], root)
        elif path.is_dir():
            mine = archive_files(path) if (path / TICKS).is_dir() or not _has_bars(path) else []
            archives += mine
            if (path / MANIFEST).is_file() or not mine:
                bars.append(name)
        else:
            bars.append(name)
    return archives, bars


def _has_bars(path: Path) -> bool:
    """Whether a folder is a catalog of bars, or lies in one."""
    from dhanfast.storage.catalog import MANIFEST

    return any((root / MANIFEST).is_file() for root in (path, path.parent, path.parent.parent))


def _verified_text(item: Any) -> str:
    """What was found in one series, for a terminal of 80 columns."""
    label = " GENERATED" if item.generated else ""
    lines = [f"{item.source}: {item.symbol} {item.timeframe}{label}"]
    lines.append(f"  {item.rows:,} bars on {item.days:,} days, {item.first} to {item.last}")
    kinds = dict.fromkeys(finding.kind for finding in item.findings)
    for kind in kinds:
        alike = [finding for finding in item.findings if finding.kind == kind]
        head = "DEFECT" if alike[0].level == "defect" else "note  "
        lines.append(wrapped(f"{head} {kind}: {alike[0].meaning}", "  ", "         "))
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
        lines.append(wrapped(text, " " * 9, " " * 11))
    if len(groups) > SHOWN_MAX:
        more = sum(len(same) for same in groups[SHOWN_MAX:])
        lines.append(f"{' ' * 9}and {more:,} more; --json shows all")
    return lines
