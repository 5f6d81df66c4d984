"""`dhanfast check`: is a strategy honest: look-ahead, warm-up, fit to run."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from dhanfast.app.edge import edge, print_json
from dhanfast.app.run_options import exchange_day, run_asked, slippage_store, strategy_option
from dhanfast.app.tick_files import is_archive
from dhanfast.engine.settings import duration_ns
from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.app.console import ProgressLine

FOUND: Final = 6
Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    strategy_option,
    click.option(
        "--data",
        "source",
        required=True,
        metavar="FILE|SYMBOL",
        help="Bars that give the signals: a Parquet or CSV file, or a catalog symbol.",
    ),
    click.option("--from", "start", metavar="DATE", help="First exchange date, YYYY-MM-DD."),
    click.option("--to", "end", metavar="DATE", help="Last exchange date, inclusive."),
    click.option("--timeframe", metavar="1m", help="Bars the strategy sees; default: the data's."),
    click.option(
        "-c",
        "--config",
        "config_files",
        multiple=True,
        metavar="FILE",
        help="Take the settings of this configuration, as `backtest` does.",
    ),
    click.option("--on-opposite", metavar="keep|close|reverse", help="As for backtest."),
    click.option("--square-off", metavar="HH:MM|none", help="As for backtest."),
    click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="A strategy parameter, or a setting as section.key; may be given many times.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON."),
)


def check_options(command: Command) -> Command:
    """Give a command the options of a check."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


allow_option = click.option(
    "--allow",
    multiple=True,
    metavar="FILE",
    help="A file the strategy may read: you answer for what it holds. May be given many times.",
)


@click.group(epilog="Example: dhanfast check lookahead -s momentum --data bars.parquet")
def check() -> None:
    """Check a strategy's honesty: look-ahead, warm-up, fitness to run.

    Each check runs the strategy through the engine, as a backtest does. It ends with 0 when
    nothing was found and with 6 when something was.
    """


def _asked(given: dict[str, Any]) -> dict[str, Any]:
    """What every check is given.

    Raises:
        UsageError: the data are ticks.
    """
    if is_archive(given["source"]):
        raise UsageError(
            f"--data {given['source']}: a check runs on bars, and this is a tick archive; give "
            "bars of the same instrument"
        )
    asked = run_asked(given)
    return {
        "strategy": asked.strategy,
        "data": given["source"],
        "params": asked.params,
        "start": exchange_day(given["start"], "from"),
        "end": exchange_day(given["end"], "to"),
        "settings": asked.settings,
    }


def _progress(line: "ProgressLine", word: str) -> Callable[[int, int], None]:
    def tell(done: int, of: int) -> None:
        if line.due:
            line.show(f"{word} {done:,} of {of:,}")

    return tell


@check.command(epilog="Example: dhanfast check lookahead -s mine.py --data bars.parquet --cuts 200")
@check_options
@click.option("--cuts", default=60, show_default=True, metavar="N",
              help="Signals at which the data is cut; a quarter as many quiet bars are "
              "added.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the quiet bars and random walks.")
@allow_option
@edge
def lookahead(**given: Any) -> int:
    """Look for knowledge of the future in a strategy's decisions.

    The strategy runs on all the data, and on data that ends at each of many signals: an entry, an
    exit or an indicator that differs is named with its bar. It also runs on random bars, where
    decisions that still go with the recorded market give away that it is known from elsewhere, and
    what the strategy opens is listed.
    """
    from dhanfast.app.check_text import lookahead_text
    from dhanfast.app.console import ProgressLine
    from dhanfast.engine.checks import check_lookahead

    line = ProgressLine()
    got = check_lookahead(
        **_asked(given), cuts=given["cuts"], seed=given["seed"], allow=given["allow"],
        slippages=slippage_store(), progress=_progress(line, "cut"),
    )  # fmt: skip
    line.clear()
    if given["as_json"]:
        print_json(got.as_dict())
    else:
        click.echo(lookahead_text(got))
    return 0 if got.passed else FOUND


@check.command(
    epilog="Example: dhanfast check warmup -s momentum --data bars.parquet --history 200"
)
@check_options
@click.option("--probes", default=6, show_default=True, metavar="N", help="Bars to look at.")
@click.option("--most", default=5000, show_default=True, metavar="BARS",
              help="The longest history; it is the reference.")  # fmt: skip
@click.option("--tolerance", default="1%", show_default=True,
              help="What counts as the same: per cent of a value's mean one-bar "
              "movement.")  # fmt: skip
@click.option("--history", type=int, metavar="BARS",
              help="Bars the strategy will be given; needing more is a problem.")  # fmt: skip
@edge
def warmup(**given: Any) -> int:
    """Find how much history indicators and decisions need until they are stable.

    The strategy is run with histories of growing length that end at the same bar. What it knows
    and wants there is compared with the longest one.
    """
    from dhanfast.app.check_text import warmup_text
    from dhanfast.app.console import ProgressLine
    from dhanfast.engine.checks import check_warmup

    line = ProgressLine()
    got = check_warmup(
        **_asked(given), probes=given["probes"], most=given["most"],
        tolerance=_per_cent(given["tolerance"]), history=given["history"],
        progress=_progress(line, "history"),
    )  # fmt: skip
    line.clear()
    if given["as_json"]:
        print_json(got.as_dict())
    else:
        click.echo(warmup_text(got))
    return 0 if got.passed else FOUND


@check.command(epilog="Example: dhanfast check strategy -s mine.py --data bars.parquet")
@check_options
@click.option("--slow", default="1ms", show_default=True, metavar="TIME",
              help="99 % of the bars must take less in on_bar.")  # fmt: skip
@click.option("--here-only", is_flag=True, help="Make no run in a new process.")
@allow_option
@edge
def strategy(**given: Any) -> int:
    """Check that a strategy is fit to run: the same twice, no error, quick, nothing smuggled in.

    Its source is read for chance, clocks, files and state kept in modules; it runs twice here and
    once in a new process with another hash seed and other clocks, and on bars that do not move.
    """
    from dhanfast.app.check_text import strategy_text
    from dhanfast.app.console import ProgressLine
    from dhanfast.engine.checks import check_strategy

    line = ProgressLine(patient=True)
    got = check_strategy(
        **_asked(given),
        slow_ns=duration_ns(given["slow"], "slow"),
        allow=given["allow"],
        elsewhere=not given["here_only"],
        progress=line.show,
    )
    line.clear()
    if given["as_json"]:
        print_json(got.as_dict())
    else:
        click.echo(strategy_text(got))
    return 0 if got.passed else FOUND


def _per_cent(text: str) -> float:
    """`1%` or `0.01`.

    Raises:
        UsageError: neither.
    """
    cleaned = text.strip()
    try:
        return float(cleaned[:-1]) / 100 if cleaned.endswith("%") else float(cleaned)
    except ValueError:
        raise UsageError(f"--tolerance {text!r} is not a share; write 1% or 0.01") from None
