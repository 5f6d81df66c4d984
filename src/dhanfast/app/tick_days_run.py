"""Ticks of many days for a command: a folder of archives, or --generate; and a backtest of them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from dhanfast.app.console import ProgressLine, count_text, duration_text
from dhanfast.app.run_options import (
    exchange_day,
    export_place,
    one_symbol,
    run_asked,
    show_result,
    slippage_store,
)
from dhanfast.clock import SystemClock
from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.engine.tick_days import TickDays

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--generate",
        metavar="SYMBOL",
        help="In the place of --data: ticks of a generated market, of each trading day from --from "
        "to --to; its seed is --seed.",
    ),
    click.option(
        "--ticks", type=int, metavar="N", help="Of --generate: ticks a day [default: a feed's]."
    ),
    click.option(
        "--kind",
        type=click.Choice(["FUT", "IDX"]),
        help="Of --generate: the front-month future [default], or the index.",
    ),
)


def generate_options(command: Command) -> Command:
    """Give a command the options of a generated market."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def refuse_without_generate(given: Mapping[str, Any]) -> None:
    """Options of a generated market where there is none.

    Raises:
        UsageError: one was given; or neither --data nor --generate, or both.
    """
    if given["generate"] is None:
        for name in ("ticks", "kind"):
            if given[name] is not None:
                raise UsageError(f"--{name}: is of a run of --generate")
    elif given["source"] is not None:
        raise UsageError("--generate: makes the ticks itself; leave --data out")


def tick_days_of(given: Mapping[str, Any], symbols: str | None) -> "TickDays | None":
    """The days of ticks that the options name; None when they name none.

    Args:
        symbols: the instrument of archives, as --symbols says it.

    Raises:
        UsageError, BadData, OutOfCalendar: see `engine.tick_days`.
    """
    from dhanfast.engine.tick_days import archived_days, generated_days, is_archive_folder

    start, end = exchange_day(given["start"], "from"), exchange_day(given["end"], "to")
    if given["generate"] is None:
        if not is_archive_folder(given["source"]):
            return None
        return archived_days(given["source"], symbol=one_symbol(symbols), start=start, end=end)
    if start is None or end is None:
        raise UsageError("--generate: give the first and the last day, --from DATE and --to DATE")
    if symbols is not None:
        raise UsageError("--symbols: --generate names the market itself; --kind chooses of it")
    return generated_days(
        given["generate"],
        start,
        end,
        seed=given["seed"],
        kind=given["kind"] or "FUT",
        ticks=given["ticks"],
    )


def backtest_tick_days(given: Mapping[str, Any], days: "TickDays") -> None:
    """Run a strategy over days of ticks and print its result.

    Raises:
        UsageError, ConfigError, BadData: see the option that the message names.
    """
    for name in ("detail", "trade_data"):
        if given[name] is not None:
            raise UsageError(
                f"--{name.replace('_', '-')}: orders meet the ticks themselves; leave it out"
            )
    asked = run_asked(given)
    export = export_place(given["export"])
    from dhanfast.engine.tick_ahead import MEMORY, backtest_days, processes_of

    line, clock = ProgressLine(), SystemClock()
    count = processes_of(days, given["jobs"])
    if count:
        most = f"{count * MEMORY / 2**20:,.0f} MiB"
        line.say(f"{len(days.parts)} days of ticks, made by {count} processes in at most {most}")
    began_ns = clock.monotonic_ns()

    def told(ticks: int, at_ns: int) -> None:
        if line.due:
            line.show(_progress(days, ticks, at_ns, (clock.monotonic_ns() - began_ns) / 1e9))

    try:
        result = backtest_days(
            asked.strategy,
            days,
            params=asked.params,
            settings=asked.settings,
            jobs=given["jobs"],
            slippages=slippage_store(),
            told=told,
        )
    finally:
        line.clear()
    show_result(result, export, as_json=given["as_json"], keep=given["keep"])


def _progress(days: "TickDays", ticks: int, at_ns: int, gone_s: float) -> str:
    """Where the run stands, at most 79 columns."""
    from dhanfast.market.calendar import exchange_date

    on = exchange_date(at_ns)
    rate = ticks / max(gone_s, 1e-3)
    done = sum(part.on < on for part in days.parts)
    text = f"{on}  day {done + 1} of {len(days.parts)}  {count_text(ticks)} ticks"
    text += f"  {count_text(rate)}/s"
    if done:
        text += f"  {duration_text(gone_s / done * (len(days.parts) - done))} left"
    return text
