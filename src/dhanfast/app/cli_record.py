"""`dhanfast record`: ticks from a ring, or from the generator by way of one, into daily files."""

import datetime as dt
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.console import Console, ProgressLine, count_text, duration_text
from dhanfast.app.run_options import exchange_day
from dhanfast.app.tick_files import SUFFIX, catalog_root, speed_of
from dhanfast.clock import SystemClock
from dhanfast.engine.settings import duration_ns
from dhanfast.errors import DhanfastError, UsageError

if TYPE_CHECKING:
    from dhanfast.engine.generator_feed import GeneratorFeed
    from dhanfast.engine.recording import RingRecorder

TICKS: Final = "ticks"  # the folder of a catalog that holds archives
GENERATOR_ONLY: Final = ("day", "seed", "ticks", "strikes", "depth")


@click.command(
    epilog="Example: dhanfast record --generate BANKNIFTY --date 2025-11-17 --duration 10m"
)
@click.option("--generate", "symbol", metavar="SYMBOL", help="Record a generated market.")
@click.option("--ring", metavar="NAME", help="Record this ring; with --generate, its name.")
@click.option("--date", "day", metavar="DATE", help="The generated day, YYYY-MM-DD.")
@click.option("--seed", type=int, metavar="S", help="Which generated market [default: 1].")
@click.option("--ticks", type=int, metavar="N", help="Ticks of the day [default: a broker feed's].")
@click.option("--strikes", type=int, metavar="N", help="Strikes of the chain [default: 21].")
@click.option("--depth", type=click.Choice(["5", "20", "200"]), help="Record books of such levels.")
@click.option("--speed", metavar="1x|10x|max", help="Pace of the generated day [default: max].")
@click.option(
    "--duration",
    metavar="10m",
    help="How long: with --generate of the market's time, else of the clock's.",
)
@click.option(
    "--out",
    metavar="ROOT|FILE.dfa",
    help="Catalog folder, or one file (default: $DHANFAST_HOME/catalog, else "
    "$XDG_DATA_HOME/dhanfast/catalog).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def record(**given: Any) -> int:
    """Record ticks into an archive: one file a day, sealed when the day is over.

    With --ring any publisher's ring is recorded, until Ctrl-C or until its writer closes it. A
    recorder that was stopped or killed goes on with its file. With --generate a seeded market is
    published to a ring and recorded by another process; the generator waits for it, so that nothing
    is lost. The files are ROOT/ticks/YYYY-MM-DD.dfa; books (--depth) go to ROOT/ticks/depth.
    """
    out = catalog_root(None if given["out"] is None else Path(given["out"]))
    span_ns = 0 if given["duration"] is None else duration_ns(given["duration"], "duration")
    began_ns = SystemClock().monotonic_ns()
    if given["symbol"] is not None:
        outcomes = _generate(given, out, span_ns)
    elif given["ring"] is None:
        raise UsageError("say what to record: --ring NAME, or --generate SYMBOL --date DATE")
    else:
        for name in (*GENERATOR_ONLY, "speed"):
            if given[name] is not None:
                raise UsageError(f"--{name.replace('day', 'date')} goes with --generate SYMBOL")
        if out.suffix == SUFFIX:
            raise UsageError(f"--out {out}: a ring is recorded into a folder, a file a day")
        outcomes = [_record_ring(given["ring"], out / TICKS, span_ns)]
    gone_s = (SystemClock().monotonic_ns() - began_ns) / 1e9
    figures = [figures_of(outcome, gone_s) for outcome in outcomes]
    if given["as_json"]:
        click.echo(json.dumps(figures, indent=1))
    else:
        for one in figures:
            click.echo(figures_text(one))
    return 1 if any(one["lost"] for one in figures) else 0


# ---- a ring --------------------------------------------------------------------------------------


def _record_ring(ring: str, root: Path, span_ns: int) -> dict[str, Any]:
    from dhanfast.engine.recording import record as record_ring

    line, clock = ProgressLine(), SystemClock()
    began_ns = clock.monotonic_ns()
    asked: list[int] = []

    def stop() -> bool:
        return bool(asked) or bool(span_ns and clock.monotonic_ns() - began_ns >= span_ns)

    def look(recorder: "RingRecorder") -> None:
        if line.due:
            line.show(recorder_text(recorder, (clock.monotonic_ns() - began_ns) / 1e9))

    with Console(lambda: asked.append(1), lambda: None):
        done = record_ring(ring, root, stop=stop, clock=clock, look=look)
    line.clear()
    return {
        "paths": [str(path) for path in done.paths],
        "sealed": done.sealed,
        "records": done.records,
        "lost": done.lost,
        "skipped": done.skipped,
        "late": done.late,
        "error": done.error,
    }


def recorder_text(recorder: "RingRecorder", gone_s: float) -> str:
    """How a recorder is doing, in a line of at most 79 columns."""
    rate = recorder.records / gone_s if gone_s > 0 else 0.0
    words = [
        f"record {recorder.state}",
        f"{count_text(recorder.records)} rows",
        f"{count_text(rate)}/s",
        f"lost {recorder.lost:,}",
        duration_text(gone_s),
    ]
    if recorder.behind > 100_000:
        words.insert(3, f"{count_text(recorder.behind)} behind")
    return "  ".join(words)


# ---- the generator -------------------------------------------------------------------------------


def _generate(given: dict[str, Any], out: Path, span_ns: int) -> list[dict[str, Any]]:
    from dhanfast.engine.generator_feed import GeneratorFeed
    from dhanfast.market.tickday import tick_day

    day = exchange_day(given["day"], "date")
    if day is None:
        raise UsageError("--date: which day shall be generated? Write YYYY-MM-DD")
    plan = tick_day(
        given["symbol"],
        day,
        seed=1 if given["seed"] is None else given["seed"],
        ticks=given["ticks"],
        strikes=21 if given["strikes"] is None else given["strikes"],
        depth_levels=int(given["depth"] or 0),
    )
    root = _root_of(out, day, plan.depth_levels)
    line = ProgressLine()
    feed = GeneratorFeed(
        plan,
        root,
        clock=SystemClock(),
        speed=math.inf if given["speed"] is None else speed_of(given["speed"]),
        duration_ns=span_ns,
        ring=given["ring"],
    )
    line.say(f"{plan.label}, ring {feed.lanes[0].ring}, into {out}")
    began_ns = SystemClock().monotonic_ns()

    def look() -> None:
        if line.due:
            gone_s = (SystemClock().monotonic_ns() - began_ns) / 1e9
            line.show(feed_text(feed, plan.ticks, gone_s))

    with Console(feed.replay.stop, look):
        outcomes = feed.run()
    line.clear()
    if feed.replay.stopped:
        line.say(f"stopped; what was published until then is recorded, whole, in {out}")
    if out.suffix == SUFFIX:
        _settle(root, out, outcomes[0])
    return outcomes


def feed_text(feed: "GeneratorFeed", ticks: int, gone_s: float) -> str:
    """How far a generator and its recorder are, in a line of at most 79 columns."""
    lane = feed.lanes[0]
    published, told = lane.writer.published, lane.progress.last
    rate = published / gone_s if gone_s > 0 else 0.0
    left = (ticks - published) / rate if rate > 0 else 0.0
    words = [
        f"record {published / max(1, ticks):4.0%}",
        f"{count_text(int(told['rows']))} rows",
        f"{count_text(rate)}/s",
        f"lost {int(told['lost']):,}",
    ]
    if feed.replay.status().state == "finished":
        return "  ".join([*words, "finishing and sealing the file", duration_text(gone_s)])
    paced = not math.isinf(feed.replay.status().speed)
    words.append(duration_text(gone_s) if paced else f"{duration_text(left)} left")
    return "  ".join(words)


def _root_of(out: Path, day: dt.date, depth_levels: int) -> Path:
    """The folder to record into; beside the file when one file is wanted."""
    if out.suffix != SUFFIX:
        from dhanfast.storage.archive.folder import ArchiveFolder

        held = ArchiveFolder(out / TICKS).parts(day) if (out / TICKS).is_dir() else []
        if held:
            raise UsageError(
                f"--out {out}: {held[0].name} is there; a generated day is recorded once: name "
                "another folder, or remove it"
            )
        return out / TICKS
    if out.exists():
        raise UsageError(f"--out {out} exists; name another file or remove it")
    if depth_levels:
        raise UsageError(f"--out {out}: ticks and books are two files; name a folder")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: its folder does not exist")
    return out.with_name(f"{out.name}.recording")


def _settle(root: Path, out: Path, outcome: dict[str, Any]) -> None:
    """Give the one recorded file the name that was asked for."""
    files = sorted(root.glob(f"*{SUFFIX}"))
    if len(files) != 1 or not outcome["sealed"]:
        raise DhanfastError(
            f"{out}: not made, because the recording is in {len(files)} files; see {root}"
        )
    os.link(files[0], out)  # refuses a name that was taken meanwhile
    files[0].unlink()
    root.rmdir()
    outcome["paths"] = [str(out)]


# ---- figures -------------------------------------------------------------------------------------


def figures_of(outcome: dict[str, Any], gone_s: float) -> dict[str, Any]:
    """What a recording came to: rows, bytes a row, rate, lost."""
    rows = outcome["records"] - outcome["skipped"]
    held, size = _in_files([Path(path) for path in outcome["paths"]])
    return outcome | {
        "rows": rows,
        "rows_in_files": held,
        "bytes": size,
        "bytes_a_row": round(size / held, 3) if held else None,
        "seconds": round(gone_s, 3),
        "rows_a_second": round(rows / gone_s) if gone_s > 0 else None,
    }


def _in_files(paths: Sequence[Path]) -> tuple[int, int]:
    """Rows and bytes of whole files."""
    from dhanfast.storage.archive.reader import ArchiveReader

    rows = size = 0
    for path in paths:
        with ArchiveReader(path) as reader:
            rows += sum(reader.rows(stream) for stream in reader.streams)
            size += reader.whole_bytes
    return rows, size


def figures_text(one: dict[str, Any]) -> str:
    """The same for people, in lines of at most 80 columns where paths allow it."""
    lines = [f"{path}" for path in one["paths"]] or ["nothing came: no file was written"]
    state = "sealed" if one["sealed"] else "not sealed: the next recorder goes on with it"
    if one["paths"]:
        lines.append(f"  {state}")
    each = "" if one["bytes_a_row"] is None else f", {one['bytes_a_row']:.2f} bytes a row"
    lines.append(f"  {one['rows_in_files']:,} rows in {one['bytes']:,} bytes{each}")
    lines.append(
        f"  recorded {one['rows']:,} rows in {one['seconds']:,.1f} s, "
        f"{count_text(one['rows_a_second'] or 0)}/s, lost {one['lost']:,}"
    )
    if one["late"]:
        lines.append(f"  {one['late']:,} rows came after their day's file was closed")
    if one["error"]:
        lines.append(f"  last error: {one['error']}")
    return "\n".join(lines)
