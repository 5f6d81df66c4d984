"""Options that `optimize` and `walk-forward` share, and what they mean."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from dhanfast.app.console import ProgressLine, duration_text
from dhanfast.app.legs_run import legs_place, refuse_without_legs
from dhanfast.app.run_options import (
    exchange_day,
    key_and_value,
    one_symbol,
    run_asked,
    slippage_store,
    strategy_option,
    symbols_option,
)
from dhanfast.app.tick_days_run import generate_options, refuse_without_generate, tick_days_of
from dhanfast.clock import SystemClock
from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.engine.research.prepare import Prepared
    from dhanfast.engine.research.search import Engines
    from dhanfast.engine.tick_days import TickDays
    from dhanfast.reports.result import RunResult

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    strategy_option,
    click.option(
        "--data",
        "source",
        metavar="FILE|SYMBOL",
        help="Bars that give the signals: a Parquet or CSV file, or a catalog symbol; ticks: an "
        "archive (.dfa), or a folder of them; of --legs: as for backtest.",
    ),
    click.option("--from", "start", metavar="DATE", help="First exchange date, YYYY-MM-DD."),
    click.option("--to", "end", metavar="DATE", help="Last exchange date, inclusive."),
    click.option("--timeframe", metavar="1m", help="Bars the strategy sees; default: the data's."),
    click.option(
        "--detail",
        metavar="FILE|SYMBOL",
        help="Finer bars on which fills, stops and targets are resolved.",
    ),
    click.option(
        "--trade-data",
        metavar="FILE|SYMBOL",
        help="Recorded bars of the traded future; fills then use its prices.",
    ),
    click.option(
        "--param",
        "--space",
        "ranges",
        multiple=True,
        metavar="NAME=RANGE",
        help="What to search: ema=5..50:5, stop_atr=1..3 (any number between), mode=a,b,c; may be "
        "given many times. Without it the strategy's own search space.",
    ),
    click.option(
        "--objective",
        "--loss",
        default="sharpe",
        show_default=True,
        metavar="NAME",
        help="What to maximise: net, sharpe, sortino, calmar, profit-factor, expectancy, or a "
        "function of yours, package.module:function or path.py:function.",
    ),
    click.option(
        "-j",
        "--jobs",
        type=int,
        metavar="N",
        help="Processes of this machine [default: one a core]. The result is the same.",
    ),
    click.option(
        "--engine",
        default="local",
        show_default=True,
        metavar="local|dask",
        help="Who runs the trials: this machine, or the workers of --scheduler.",
    ),
    click.option(
        "--scheduler", metavar="ADDRESS", help="Of a dask scheduler, for example tcp://host:8786."
    ),
    click.option(
        "--study",
        metavar="FILE",
        help="Keep each trial in this file, so that a search that was stopped goes on.",
    ),
    click.option("--resume", is_flag=True, help="Go on with the --study that is there."),
)

LEGS: Final = (
    click.option(
        "--legs",
        metavar="FILE",
        help="Search the parameters of this legs file, over chain snapshots, option bars, or bars "
        "of the index with --volatility.",
    ),
    click.option(
        "--volatility",
        metavar="FILE",
        help="Model the premiums of --legs: daily bars of INDIAVIX, NIFTY and the underlying.",
    ),
    click.option(
        "--strikes",
        default=40,
        show_default=True,
        metavar="N",
        help="Of modelled premiums: strikes a day and expiry.",
    ),
    click.option(
        "--final-price",
        "final_prices",
        multiple=True,
        metavar="DATE=VALUE",
        help="Of --legs held to their expiry: the index's closing value, where the data lacks it.",
    ),
)


def research_options(command: Command) -> Command:
    """Give a command the options of a search."""
    for option in reversed((*_OPTIONS, generate_options, symbols_option, *LEGS)):
        command = option(command)
    return command


def prepared_of(given: Mapping[str, Any]) -> "tuple[Prepared, int]":
    """What the options say is searched, and its seed.

    Raises:
        UsageError, ConfigError, BadData: something is not understood or does not fit.
    """
    if given["source"] is None and given["generate"] is None:
        raise UsageError("--data is missing: name a file of bars or a catalog symbol")
    if given["resume"] and given["study"] is None:
        raise UsageError("--resume: name the file to go on with by --study")
    refuse_without_generate(given)
    place = legs_place(given["strategy"])
    if given["legs"] is not None or place is not None:
        from dhanfast.app.research_legs import prepared_legs_of

        return prepared_legs_of(given, place)
    refuse_without_legs(given)
    asked = run_asked(given)
    named: dict[str, Any] = {
        "params": _fixed(given, asked.params),
        "settings": asked.settings,
        "slippages": slippage_store(),
        "objective": given["objective"],
    }
    days = ticks_of(given)
    if days is not None:
        from dhanfast.engine.research.tick_job import prepared_ticks

        return prepared_ticks(asked.strategy, days, **named), asked.settings.seed
    if given["symbols"] is not None:
        raise UsageError("--symbols chooses from tick archives; a file of bars has one")
    from dhanfast.engine.research.prepare import prepared

    made = prepared(
        asked.strategy,
        given["source"],
        start=exchange_day(given["start"], "from"),
        end=exchange_day(given["end"], "to"),
        detail=given["detail"],
        trade_data=given["trade_data"],
        **named,
    )
    return made, asked.settings.seed


def _fixed(given: Mapping[str, Any], params: Mapping[str, object]) -> dict[str, object]:
    """A value of the file gives way to a range of the command; one of --set does not."""
    said = {key_and_value(text)[0] for text in given["sets"]}
    searched = {text.partition("=")[0].strip() for text in given["ranges"]} - said
    return {name: value for name, value in params.items() if name not in searched}


def ticks_of(given: Mapping[str, Any]) -> "TickDays | None":
    """The days of ticks that are searched on; None when the data are bars.

    Raises:
        UsageError: an option that ticks do not go with.
    """
    from dhanfast.app.tick_files import is_archive
    from dhanfast.engine.tick_days import archived_days

    if given["generate"] is None and is_archive(given["source"]):
        days: TickDays | None = archived_days(
            given["source"],
            symbol=one_symbol(given["symbols"]),
            start=exchange_day(given["start"], "from"),
            end=exchange_day(given["end"], "to"),
        )
    else:
        days = tick_days_of(given, given["symbols"])
    for name in ("detail", "trade_data") if days is not None else ():
        if given[name] is not None:
            raise UsageError(
                f"--{name.replace('_', '-')}: orders meet the ticks themselves; leave it out"
            )
    return days


def run_again(given: Mapping[str, Any], params: Mapping[str, object]) -> "RunResult":
    """A backtest of its own with the parameters that a search has found.

    Args:
        params: all of them, searched or not.
    Raises:
        as the backtest.
    """
    place = legs_place(given["strategy"])
    if given["legs"] is not None or place is not None:
        from dhanfast.app.research_legs import backtest_legs_of

        return backtest_legs_of(given, place, params)
    asked = run_asked(given)
    named: dict[str, Any] = {
        "params": params,
        "settings": asked.settings,
        "slippages": slippage_store(),
    }
    days = ticks_of(given)
    if days is not None:
        from dhanfast.engine.tick_ahead import backtest_days

        return backtest_days(asked.strategy, days, jobs=given["jobs"], **named)
    from dhanfast.engine.runs import backtest

    return backtest(
        asked.strategy,
        given["source"],
        start=exchange_day(given["start"], "from"),
        end=exchange_day(given["end"], "to"),
        detail=given["detail"],
        trade_data=given["trade_data"],
        **named,
    )


def engines_of(given: Mapping[str, Any]) -> "Engines":
    """Who runs the trials.

    Raises:
        UsageError: an unknown engine, or a scheduler without it.
    """
    from dhanfast.engine.research.search import Engines

    if given["engine"] not in ("local", "dask"):
        raise UsageError(f"--engine must be local or dask, was {given['engine']!r}")
    if given["engine"] == "local":
        if given["scheduler"] is not None:
            raise UsageError("--scheduler belongs to --engine dask")
        return Engines(jobs=given["jobs"])
    if given["scheduler"] is None:
        raise UsageError("--engine dask needs --scheduler ADDRESS, for example tcp://host:8786")
    if given["jobs"] is not None:
        raise UsageError("--jobs: a cluster has as many workers as it has; leave it out")
    return Engines(scheduler=given["scheduler"])


def study_of(given: Mapping[str, Any]) -> Path | None:
    """The file that keeps the trials."""
    return None if given["study"] is None else Path(given["study"])


@contextlib.contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """A line that says how many trials are done, how fast, and how long the rest takes."""
    line = ProgressLine()
    clock = SystemClock()
    started_ns = clock.monotonic_ns()

    def told(done: int, total: int) -> None:
        if not line.due:
            return
        rate = max(done, 1) / max((clock.monotonic_ns() - started_ns) / 1e9, 1e-3)
        text = f"{done:,} of {total:,} trials, {rate:,.0f}/s"
        if total > done:
            text += f", {duration_text((total - done) / rate)} left"
        line.show(text)

    try:
        yield told
    finally:
        line.clear()
