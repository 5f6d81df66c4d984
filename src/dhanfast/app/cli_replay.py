"""`dhanfast replay`: recorded ticks through the engine, at their own pace or faster."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.console import RIGHT, Console, ProgressLine, count_text, duration_text
from dhanfast.app.legs_run import legs_place
from dhanfast.app.run_options import (
    export_place,
    moment,
    one_symbol,
    run_asked,
    run_options,
    run_settings,
    show_result,
    slippage_store,
    strategy_option,
    symbols_option,
)
from dhanfast.app.tick_files import archives_of, speed_of
from dhanfast.clock import SystemClock
from dhanfast.errors import BadData, UsageError

if TYPE_CHECKING:
    from dhanfast.engine.legs_replay import RecordedStructure
    from dhanfast.engine.recorded import Recorded
    from dhanfast.engine.replay import Replay

MINUTE_NS: Final = 60_000_000_000


@click.command(
    epilog="Example: dhanfast replay 2026-01-02 -s momentum --speed 10x --from 09:15 --to 11:00"
)
@click.argument("source", metavar="FILE|DAY")
@strategy_option
@click.option(
    "--speed",
    default="max",
    show_default=True,
    metavar="1x|10x|max",
    help="1x is the pace of the recording; max does not wait.",
)
@click.option("--from", "start", metavar="TIME", help="First moment: HH:MM, a date, or both.")
@click.option("--to", "end", metavar="TIME", help="Last: a date inclusive, a time not.")
@click.option("--timeframe", metavar="1m", help="Bars the strategy sees [default: 1m].")
@symbols_option
@click.option(
    "--legs",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Run this option structure over a day's ticks of its index and options.",
)
@click.option(
    "--catalog",
    type=click.Path(file_okay=False, path_type=Path),
    help="Catalog folder for DAY (default: $DHANFAST_HOME/catalog, else "
    "$XDG_DATA_HOME/dhanfast/catalog).",
)
@run_options
def replay(**given: Any) -> None:
    """Replay a tick archive through the engine and print the result.

    FILE is an archive; DAY a date of the catalog. Ticks reach the strategy in the order and,
    below max, at the times at which they were received. At every speed the result is that of
    `dhanfast backtest` on the same ticks. On a terminal: space pauses and goes on, the right arrow
    goes a minute ahead, q stops with the result so far, as Ctrl-C does.
    """
    speed = speed_of(given["speed"])
    place = legs_place(given["strategy"])
    if given["legs"] is not None and place is not None:
        raise UsageError(f"--legs: -s {given['strategy']} is a legs file itself; give one")
    if given["legs"] is not None or place is not None:
        _replay_legs(given, speed, place)
        return
    asked = run_asked(given)
    start, end = moment(given["start"], "from"), moment(given["end"], "to")
    export = export_place(given["export"])
    from dhanfast.engine.recorded import recorded
    from dhanfast.engine.tick_replay import replay_ticks

    ticks = recorded(
        archives_of(given["source"], given["catalog"]),
        symbol=one_symbol(given["symbols"]),
        start=start,
        end=end,
    )
    line = ProgressLine()
    run = replay_ticks(
        asked.strategy,
        ticks,
        params=asked.params,
        settings=asked.settings,
        clock=SystemClock(),
        speed=speed,
        tell=line.say,
        slippages=slippage_store(),
    )
    line.say(opening(ticks, run))
    result = watched(run, ticks, line)
    show_result(
        result, export, as_json=given["as_json"], more={"replay": report(run, given["speed"])},
        keep=given["keep"],
    )  # fmt: skip
    if not given["as_json"] and run.lateness.count:
        line.say(lateness_text(run))


def _replay_legs(given: Mapping[str, Any], speed: float, place: str | None) -> None:
    """A structure over the ticks of a day; `place`: the file that -s names."""
    from dhanfast.app.legs_file import read_plan
    from dhanfast.app.legs_run import legs_values, refuse_with_legs
    from dhanfast.engine.legs_replay import recorded_structure, replay_structure

    refuse_with_legs(named=place is not None)
    start, end = moment(given["start"], "from"), moment(given["end"], "to")
    settings, export = run_settings(given), export_place(given["export"])
    plan = read_plan(place or given["legs"], legs_values(given["sets"]))
    files = archives_of(given["source"], given["catalog"])
    ticks = recorded_structure(plan, files, start=start, end=end)
    line = ProgressLine()
    run = replay_structure(
        plan, ticks, settings, clock=SystemClock(), speed=speed, tell=line.say
    )  # fmt: skip
    line.say(opening(ticks, run))
    result = watched(run, ticks, line, closed=False)
    show_result(
        result, export, as_json=given["as_json"], more={"replay": report(run, given["speed"])},
        keep=given["keep"],
    )  # fmt: skip


def opening(ticks: "Recorded | RecordedStructure", run: "Replay[Any]") -> str:
    """What is replayed, in a line."""
    from dhanfast.engine.replay import ist

    kind = "generated" if ticks.generated else "recorded"
    span = f"{ist(ticks.first_ns)} to {ist(ticks.last_ns)[11:]}"
    if ist(ticks.first_ns)[:10] != ist(ticks.last_ns)[:10]:
        span = f"{ist(ticks.first_ns)} to {ist(ticks.last_ns)}"
    return f"{ticks.instrument.symbol}, {kind} {span} IST, {speed_text(run.status().speed)}"


def watched(
    run: "Replay[Any]", ticks: "Recorded | RecordedStructure", line: ProgressLine, *,
    closed: bool = True,
) -> Any:  # fmt: skip
    """Run to the end under the console's eyes; a result cut short says so.

    Args:
        closed: whether the run closes what is open at its end.
    """
    from dhanfast.engine.replay import ist
    from dhanfast.engine.tick_replay import marked_partial

    began_ns = SystemClock().monotonic_ns()

    def look() -> None:
        if line.due:
            gone_s = (SystemClock().monotonic_ns() - began_ns) / 1e9
            line.show(progress_text(run, ticks.first_ns, ticks.last_ns, gone_s))

    def pause() -> None:
        if run.status().state == "paused":
            run.resume()
        else:
            run.pause()

    ahead_ns = 0

    def ahead() -> None:
        nonlocal ahead_ns
        ahead_ns = max(ahead_ns, run.status().position_ns, ticks.first_ns) + MINUTE_NS
        run.seek(ahead_ns)

    keys: Mapping[str, Callable[[], None]] = {" ": pause, RIGHT: ahead, "q": run.stop}
    try:
        with Console(run.stop, look, keys):
            result = run.run()
    except BadData as error:
        if run.stopped and not run.status().ticks:
            raise UsageError("stopped before the first tick: there is no result") from error
        raise
    line.clear()
    status = run.status()
    if not run.stopped:
        return result
    where = f"after {status.ticks:,} ticks"
    if status.position_ns:
        where += f", at {ist(status.position_ns)} IST"
    line.say(f"stopped {where}")
    return marked_partial(result, where, closed=closed)


def progress_text(run: "Replay[Any]", first_ns: int, last_ns: int, gone_s: float) -> str:
    """Where a replay stands, at most 79 columns."""
    from dhanfast.engine.replay import ist

    status = run.status()
    if not status.ticks:
        return "replay: reading"
    span = max(1, last_ns - first_ns)
    part = min(1.0, max(0.0, (status.position_ns - first_ns) / span))
    rate = status.ticks / gone_s if gone_s > 0 else 0.0
    if math.isinf(status.speed):
        left_s = gone_s * (1 - part) / part if part > 0 else 0.0
    else:
        left_s = (last_ns - status.position_ns) / 1e9 / status.speed
    words = [
        f"replay {ist(status.position_ns)[11:]}",
        f"{part:4.0%}",
        f"{count_text(status.ticks)} ticks",
        f"{count_text(rate)}/s",
        "paused" if status.state == "paused" else speed_text(status.speed),
    ]
    if status.behind_ns > 1_000_000_000:
        words.append(f"{status.behind_ns / 1e9:.0f} s behind")
    return "  ".join([*words, f"{duration_text(left_s)} left"])


def speed_text(speed: float) -> str:
    """10x, max."""
    return "max" if math.isinf(speed) else f"{speed:g}x"


def report(run: "Replay[Any]", speed: str) -> dict[str, Any]:
    """The replay itself, for --json."""
    status, late = run.status(), run.lateness
    return {
        "speed": speed,
        "ticks": status.ticks,
        "stopped": run.stopped,
        "restarts": status.restarts,
        "lateness_ns": None
        if late.count == 0
        else {
            "events": late.count,
            "p50": late.percentile(50.0),
            "p99": late.percentile(99.0),
            "p99.9": late.percentile(99.9),
            "max": late.max_ns,
        },
    }


def lateness_text(run: "Replay[Any]") -> str:
    """How late events reached the engine, in a line."""
    late = run.lateness
    figures = [(late.percentile(share) or 0) / 1000 for share in (50.0, 99.0, 99.9)]
    return (
        f"pacing: half of {late.count:,} events within {figures[0]:,.0f} us of their time, "
        f"99 % {figures[1]:,.0f} us, 99.9 % {figures[2]:,.0f} us"
    )
