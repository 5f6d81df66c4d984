"""`dhanfast data` for ticks: what each verb does with archives, and the verbs of their own."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import click

from dhanfast.app.console import ProgressLine
from dhanfast.app.edge import WIDTH, Command, edge, print_json, wrapped
from dhanfast.clock import SystemClock
from dhanfast.errors import DhanfastError, UsageError

BARS_ONLY: Final = {"stamp": "start", "on_bad": "refuse", "replace": False}
DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?")


def is_archive(path: Path) -> bool:
    """Whether a file is one of our archives, by its first bytes."""
    try:
        with open(path, "rb") as file:
            return file.read(8) == b"DFARCH1\n"
    except OSError:
        return False


def holds_ticks(path: Path, columns: Mapping[str, str] | None, kind: str | None) -> bool:
    """Whether a file to be imported holds ticks rather than bars.

    Args:
        path: CSV or Parquet.
        columns: what the user said of its columns. kind: what he said it is.

    Raises:
        UsageError: it is an archive.
    """
    from dhanfast.storage.archive.layouts import BARS, looks_like_bars, looks_like_ticks
    from dhanfast.storage.archive.sources import open_source

    if is_archive(path):
        raise UsageError(
            f"{path} is an archive already; copy it into CATALOG/ticks/YEAR, or see `data convert`"
        )
    if kind is not None:
        return kind == "ticks"
    roles = set(columns or ())
    if roles & BARS:
        return False
    if roles & {"price", "bid", "ask", "qty", "recv", "exch", "recv_ns", "exch_ns"}:
        return True
    try:
        names = open_source(path).names
    except DhanfastError:
        return False  # the reader of bars says what is wrong with it
    return looks_like_ticks(names) and not looks_like_bars(names)


def import_tick_files(
    files: Sequence[Path], root: Path, given: Mapping[str, Any], as_json: bool
) -> list[Any]:
    """Import files of ticks and say what became of them; with JSON the caller prints."""
    from dhanfast.storage.archive.catalog import import_into
    from dhanfast.storage.archive.importing import TickOptions, import_ticks
    from dhanfast.storage.rows import parse_columns

    for name, usual in BARS_ONLY.items():
        if given[name] != usual:
            raise UsageError(f"--{name.replace('_', '-')} is for bars; {files[0].name} holds ticks")
    target = given["target"]
    if target is not None and len(files) > 1:
        raise UsageError("--to names one archive; import the files one by one, or into the catalog")
    options = TickOptions(
        columns=parse_columns(given["columns"]) if given["columns"] else {}, tz=given["tz"],
        clock=given["clock"], symbol=given["symbol"], tick=_paise(given["tick"]),
        lot=given["lot"] or 0, generated=given["generated"], level=given["level"],
        check=given["check"],
    )  # fmt: skip
    done = []
    for path in files:
        progress = ProgressLine(patient=True)
        if target is not None:
            item = import_ticks(path, target, options, SystemClock(), progress.count)
        else:
            item = import_into(root, path, options, SystemClock(), progress.count)
        progress.clear()
        done.append(item)
        if not as_json:
            _say_imported(item, options.check)
    return done


def _paise(rupees: str | None) -> int:
    if rupees is None:
        return 0
    match = re.fullmatch(r"(\d{1,7})(?:\.(\d{1,2}))?", rupees)
    if match is None:
        raise UsageError(f"--tick: {rupees!r} is not rupees and paise, such as 0.05")
    return int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))


def _say_imported(item: Any, checked: bool) -> None:
    label = " GENERATED" if item.generated else ""
    if item.unchanged:
        click.echo(f"{item.file}: held already, nothing changes\n  {item.archive}")
        return
    streams = ", ".join(f"{count:,} {name}" for name, count in item.rows_by_stream.items())
    proof = "; every cell read back and compared" if checked else "; not compared (--no-check)"
    click.echo(wrapped(
        f"{item.file}:{label} {item.rows:,} rows of {item.instruments:,} instruments -> {streams}, "
        f"{item.bytes:,} bytes ({item.bytes / max(item.rows, 1):.2f} a row){proof}"
    ))  # fmt: skip
    click.echo(f"  {item.archive}")
    for fact in item.facts:
        click.echo(wrapped(f"read: {fact}", "  ", "    "), err=True)
    for note in item.notes:
        click.echo(wrapped(f"note: {note}", "  ", "    "), err=True)


def tick_lines(root: Path) -> list[str]:
    """The tick archives of a catalog as lines of `data list`."""
    from dhanfast.storage.archive.catalog import held_archives

    lines = []
    for held in held_archives(root):
        name = held.path.name
        name = name if len(name) <= 34 else name[:31] + "..."
        if held.error:
            lines.append(f"{name:34} {'CANNOT BE READ':>13}")
            continue
        state = "writing" if held.writing else "" if held.sealed else "unsealed"
        origin = "GENERATED" if held.generated else "recorded"
        gaps = f" {held.gaps} gaps" if held.gaps else ""
        first = str(held.first_day or "-")
        lines.append(
            f"{name:34} {sum(held.rows.values()):>13,}  {first:10}  {origin} {state}{gaps}"
        )
    if lines:
        lines.insert(0, f"{'TICKS':34} {'ROWS':>13}  {'FIRST':10}  ORIGIN")
    return [line.rstrip() for line in lines]


def tick_json(root: Path) -> list[dict[str, Any]]:
    """The tick archives of a catalog as plain data."""
    from dhanfast.storage.archive.catalog import held_archives

    return [
        dataclasses.asdict(held)
        | {"path": str(held.path), "first_day": str(held.first_day or ""),
           "last_day": str(held.last_day or "")}
        for held in held_archives(root)
    ]  # fmt: skip


def verify_archives(paths: Sequence[Path], segment: str, repair: bool) -> list[Any]:
    """Check archives, and repair those that are not whole when asked to.

    Raises:
        UsageError: an unknown segment.
        BadData: a file is no archive at all.
    """
    from dhanfast.storage.archive.repair import inspect
    from dhanfast.storage.archive.repair import repair as save
    from dhanfast.storage.archive.verify import verify_archive

    found = []
    for path in paths:
        cut: list[str] = []
        if repair:
            before = inspect(path)
            if not before.sealed:
                cut = [str(one) for one in save(path).cut]
        progress = ProgressLine(patient=True)
        item = verify_archive(path, segment=segment, progress=progress.count)
        progress.clear()
        item.cut = cut
        found.append(item)
    return found


def verified_json(item: Any) -> dict[str, Any]:
    """What was found in an archive or a series of bars, as plain data."""
    plain = dataclasses.asdict(item)
    plain["defects"] = item.defects
    plain["findings"] = [
        {"level": one.level, "meaning": one.meaning, **dataclasses.asdict(one)}
        for one in item.findings
    ]
    return plain


def verified_text(item: Any) -> str:
    """What was found in an archive, for a terminal of 80 columns."""
    label = " GENERATED" if item.generated else ""
    state = f"sealed, SHA-256 {item.digest[:16]}..." if item.sealed else "not sealed"
    lines = [f"{item.source}:{label} {state}"]
    rows = ", ".join(f"{count:,} {name}" for name, count in item.rows.items()) or "no rows"
    span = f", {item.first} to {item.last}" if item.first else ""
    lines.append(wrapped(f"{rows} on {item.days:,} days{span}", "  ", "  "))
    for path in item.cut:
        lines.append(wrapped(f"repaired: what was not whole is in {path}", "  ", "    "))
    for one in item.findings:
        head = "DEFECT" if one.level == "defect" else "note  "
        where = f"{one.stream}: " if one.stream else ""
        lines.append(wrapped(f"{head} {one.kind}: {one.meaning}", "  ", "         "))
        span = f"{one.first} to {one.last}: " if one.first and one.first != one.last else ""
        lines.append(wrapped(f"{where}{one.count:,}; {span}{one.detail}", " " * 9, " " * 11))
    notes = len(item.findings) - item.defects
    verdict = f"{item.defects} defects" if item.defects else "clean"
    lines.append(f"  {verdict}, {notes} notes")
    return "\n".join(lines)


def instant(text: str | None, option: str, *, end: bool = False) -> int | None:
    """An IST date or time given on the command line, as UTC nanoseconds.

    Args:
        text: YYYY-MM-DD, or with a time behind it.
        option: for the message. end: a date alone means the end of it.

    Raises:
        UsageError: neither.
    """
    if text is None:
        return None
    import pyarrow as pa

    from dhanfast.storage.stamps import DAY_NS, ist_date, midnight_ns

    match = _TIME.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{option}: {text!r} is no IST time; write 2026-01-02 or 2026-01-02T09:15:00"
        )
    day = ist_date(match[1], option)
    assert day is not None
    if match[2] is None:
        return midnight_ns(day) + (DAY_NS if end else 0)
    clock = match[2] if len(match[2]) > 5 else match[2] + ":00"
    try:
        moment = pa.scalar(f"1970-01-01 {clock}").cast(pa.timestamp("ns")).value
    except pa.ArrowInvalid as error:
        raise UsageError(f"{option}: {match[2]!r} is not a time of day") from error
    return midnight_ns(day) + int(moment)


def _symbols(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def find_archives(names: Sequence[str], root: Path) -> list[Path]:
    """Files and days as archives.

    Args:
        names: paths, or IST dates whose archives the catalog has.

    Raises:
        UsageError: neither.
    """
    from dhanfast.storage.archive.catalog import archive_files, archives_of_day

    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            found += archive_files(path)
        elif DAY.fullmatch(name):
            found += archives_of_day(root, _day(name))
        else:
            raise UsageError(f"{name}: no such file; give a file, a folder or a day (2026-01-02)")
    return found


def _day(text: str) -> date:
    from dhanfast.storage.stamps import ist_date

    day = ist_date(text, "DAY")
    assert day is not None
    return day


def _choice_options(command: Command) -> Command:
    """The options that choose rows."""
    for option in (
        click.option("--to", "end", metavar="TIME", help="IST date (whole) or time, exclusive."),
        click.option("--from", "start", metavar="TIME", help="IST date or time."),
        click.option("--symbols", metavar="A,B", help="Only these instruments."),
        click.option("--catalog", type=click.Path(file_okay=False, path_type=Path),
                     help="Catalog folder, for days."),
    ):  # fmt: skip
        command = option(command)
    return command


def _root(catalog: Path | None) -> Path:
    from dhanfast.storage.catalog import default_root

    return catalog if catalog is not None else default_root(os.environ)


@click.command("export")
@click.argument("archive", metavar="FILE|DAY")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@_choice_options
@click.option("--stream", help="Which stream; the file's first when not said.")
@click.option("--as-source", is_flag=True, help="Give back the imported file, cell for cell.")
@click.option("--raw", is_flag=True, help="Fields as the archive holds them: paise, numbers.")
@click.option(
    "--level",
    type=click.IntRange(1, 22),
    default=9,
    show_default=True,
    help="zstd level of Parquet.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@edge  # fmt: skip
def export_command(
    archive: str, target: Path, catalog: Path | None, symbols: str | None, start: str | None,
    end: str | None, stream: str | None, as_source: bool, raw: bool, level: int, as_json: bool,
) -> None:  # fmt: skip
    """Write an archive as CSV or Parquet: TARGET's suffix says which.

    Prices are rupees, quantities units, instruments symbols. DuckDB, Polars and pandas read the
    result; `data import` takes it back.

    \b
    Examples:
      dhanfast data export 2026-01-02 ticks.parquet --symbols NIFTY
      dhanfast data export day.dfa back.csv --as-source
    """
    from dhanfast.storage.archive.exporting import ExportOptions, export_archive
    from dhanfast.storage.archive.reader import ArchiveReader

    paths = find_archives([archive], _root(catalog))
    if len(paths) != 1:
        names = ", ".join(str(path) for path in paths)
        raise UsageError(f"{archive} is {len(paths)} archives: {names}; name one, or convert them")
    options = ExportOptions(stream, _symbols(symbols), instant(start, "--from"),
                            instant(end, "--to", end=True), as_source, raw, level)  # fmt: skip
    progress = ProgressLine(patient=True)
    with ArchiveReader(paths[0]) as reader:
        done = export_archive(reader, target, options, progress.count)
        generated = bool(reader.head.get("generated"))
    progress.clear()
    if as_json:
        print_json(dataclasses.asdict(done) | {"generated": generated})
        return
    label = " GENERATED" if generated else ""
    click.echo(f"{done.file}:{label} {done.rows:,} rows of {done.stream}, {done.bytes:,} bytes")


@click.command("convert")
@click.argument("archives", nargs=-1, required=True, metavar="FILE|DAY...")
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
@_choice_options
@click.option("--stream", "streams", multiple=True, help="Only this stream; may be repeated.")
@click.option(
    "--block-rows",
    type=click.IntRange(1, 1 << 20),
    default=65_536,
    show_default=True,
    help="Rows of a block.",
)
@click.option(
    "--level", type=click.IntRange(-7, 22), default=9, show_default=True, help="zstd level."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@edge  # fmt: skip
def convert_command(
    archives: Sequence[str], target: Path, catalog: Path | None, symbols: str | None,
    start: str | None, end: str | None, streams: Sequence[str], block_rows: int, level: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Make one sealed archive, TARGET, of one or several.

    Files that follow each other are joined; files that overlap are merged by receive time.

    \b
    Examples:
      dhanfast data convert 2026-01-01 2026-01-02 two-days.dfa
      dhanfast data convert day.dfa nifty.dfa --symbols NIFTY --from 2026-01-02T09:15 --level 19
    """
    from dhanfast.storage.archive.converting import ConvertOptions, convert

    paths = find_archives(archives, _root(catalog))
    options = ConvertOptions(
        symbols=_symbols(symbols), start_ns=instant(start, "--from"),
        end_ns=instant(end, "--to", end=True), streams=tuple(streams) or None,
        block_rows=block_rows, level=level,
    )  # fmt: skip
    progress = ProgressLine(patient=True)
    done = convert(paths, target, options, SystemClock(), progress.count)
    progress.clear()
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    rows = ", ".join(f"{count:,} {name}" for name, count in done.rows.items())
    click.echo(wrapped(f"{done.file}: {done.how}, {rows}; {done.bytes_before:,} -> {done.bytes:,} "
                       f"bytes, SHA-256 {done.digest[:16]}..."))  # fmt: skip


@click.command("info")
@click.argument("archives", nargs=-1, required=True, metavar="FILE|DAY...")
@click.option(
    "--catalog", type=click.Path(file_okay=False, path_type=Path), help="Catalog folder, for days."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@edge  # fmt: skip
def info_command(archives: Sequence[str], catalog: Path | None, as_json: bool) -> None:
    """Show what archives hold: streams, times, instruments, gaps, origin, digest.

    \b
    Example:
      dhanfast data info 2026-01-02
    """
    from dhanfast.storage.archive.info import describe, page

    facts = [describe(path) for path in find_archives(archives, _root(catalog))]
    if as_json:
        print_json(facts)
        return
    for one in facts:
        for line in page(one):
            click.echo(wrapped(line, "", "      ") if len(line) > WIDTH else line)


@click.command("prune")
@click.option(
    "--keep-days",
    type=click.IntRange(1, 36_500),
    metavar="N",
    help="Keep the last N days, today being one.",
)
@click.option("--before", metavar="DATE", help="Take away days before this IST date.")
@click.option("--symbols", metavar="A,B", help="Only these instruments; the others stay.")
@click.option("--dry-run", is_flag=True, help="Say what would go, change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--catalog", type=click.Path(file_okay=False, path_type=Path), help="Catalog folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@edge  # fmt: skip
def prune_command(
    keep_days: int | None, before: str | None, symbols: str | None, dry_run: bool, yes: bool,
    catalog: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Take old tick archives out of the catalog; a file that is being written always stays.

    An archive goes when its last day is old enough. With --symbols only their rows go.

    \b
    Examples:
      dhanfast data prune --keep-days 90 --dry-run
      dhanfast data prune --before 2026-01-01 --symbols INDIAVIX --yes
    """
    from dhanfast.market.calendar import exchange_date
    from dhanfast.storage.archive.catalog import prune
    from dhanfast.storage.stamps import ist_date

    if (keep_days is None) == (before is None):
        raise UsageError("prune needs one of --keep-days N and --before DATE")
    limit = ist_date(before, "--before")
    if keep_days is not None:
        limit = exchange_date(SystemClock().now_ns()) - timedelta(days=keep_days - 1)
    assert limit is not None
    root, names = _root(catalog), _symbols(symbols) or ()
    planned = prune(root, limit, symbols=names, dry_run=True)
    going = [one for one in planned if one.action != "kept"]
    if going and not dry_run and not yes:
        _say_pruned(planned, "would be ")
        if not click.confirm("Go on?", err=True):
            raise click.Abort
    done = planned
    if going and not dry_run:
        done = prune(root, limit, symbols=names, clock=SystemClock())
    if as_json:
        rows = [dataclasses.asdict(one) | {"path": str(one.path)} for one in done]
        print_json({"catalog": str(root), "before": str(limit), "dry_run": dry_run,
                    "freed": sum(one.freed for one in done), "archives": rows})  # fmt: skip
        return
    _say_pruned(done, "would be " if dry_run else "")


def _say_pruned(done: Sequence[Any], would: str) -> None:
    for one in done:
        span = f"{one.first_day}" + (f" to {one.last_day}" if one.last_day != one.first_day else "")
        if one.action == "kept":
            click.echo(wrapped(f"{one.path.name}: kept: {one.why}"), err=True)
            continue
        click.echo(wrapped(f"{one.path.name}: {would}{one.action}: {span}, {one.rows:,} rows, "
                           f"{one.freed:,} bytes"))  # fmt: skip
    freed = sum(one.freed for one in done)
    gone = sum(one.action != "kept" for one in done)
    click.echo(f"{gone} archives, {freed:,} bytes {would}freed" if gone else "nothing to take away")


COMMANDS: Final = (export_command, convert_command, info_command, prune_command)
