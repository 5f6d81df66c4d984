"""Options that every run over market data takes, and what they mean.

`backtest` and `replay` share them, so that the same words give the same run. Settings are made by
`Config.settings`, as for `trade`: of a file that is named and of nothing else the user has lying
about, so that a run depends on its words alone. What an option says wins.
"""

import dataclasses
import datetime as dt
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec
from click.core import ParameterSource

from dhanfast.app.config import Config, load_config
from dhanfast.engine.settings import Settings, Slippage, clock_time, duration_ns
from dhanfast.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from dhanfast.reports.result import RunResult
    from dhanfast.storage.slippage import SlippageStore

# A run without a file: what is not said has the default of [risk] and the others, but no loss ends
# a day of a backtest.
BENEATH: Final = {"risk": {"day_loss": "0"}}
MINUTE_NS: Final = 60 * 10**9
UNNAMED: Final = "run"  # the [[strategy]] of a run whose file has none

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "-c",
        "--config",
        "config_files",
        multiple=True,
        metavar="FILE",
        help="Take [risk], [execution], [simulation] and [[strategy]] of this configuration, as "
        "`trade` does; options win. May be given many times, later ones win.",
    ),
    click.option(
        "--capital",
        default="1000000",
        metavar="RUPEES",
        show_default=True,
        help="What the account starts with; 10,00,000 is understood.",
    ),
    click.option("--lots", default=1, metavar="N", show_default=True, help="Size of an entry."),
    click.option(
        "--slippage",
        default="1tick",
        show_default=True,
        help="On market fills and stops: 1tick, 2pts, 3bps, 0.02%; measured: the median of the "
        "last 20 days' fills, measured:N of the last N days'.",
    ),
    click.option(
        "--latency",
        default="0ms",
        show_default=True,
        help="From decision to the exchange: 250ms, 1s.",
    ),
    click.option(
        "--seed",
        default=0,
        show_default=True,
        help="Of what a search draws; kept with the result. A run itself has nothing random.",
    ),
    click.option(
        "--entry-from",
        default="09:20",
        show_default=True,
        metavar="HH:MM",
        help="No entry before this time, IST.",
    ),
    click.option(
        "--last-entry",
        default="15:00",
        show_default=True,
        metavar="HH:MM",
        help="No entry at or after this time, IST.",
    ),
    click.option(
        "--square-off",
        default="15:15",
        show_default=True,
        metavar="HH:MM|none",
        help="Close positions at this time; none carries them over night.",
    ),
    click.option(
        "--on-opposite",
        default="keep",
        show_default=True,
        metavar="keep|close|reverse",
        help="What an entry signal against the open position does.",
    ),
    click.option(
        "--limit-through",
        is_flag=True,
        help="Targets fill only when the price trades through them, not at touch.",
    ),
    click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="A strategy parameter, or a setting as section.key (risk.day_loss=2%); may be given "
        "many times.",
    ),
    click.option(
        "--export", metavar="DIR", help="Write the run directory (report.html and tables)."
    ),
    click.option(
        "--keep",
        is_flag=True,
        help="Keep the run directory in the user's results folder, for `backtest list`.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


def run_options(command: Command) -> Command:
    """Give a command the options of a run."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def strategy_option(command: Command) -> Command:
    """-s, where a configuration may name the strategy instead."""
    return click.option(
        "-s",
        "--strategy",
        metavar="NAME",
        help="A built-in strategy, path.py, path.py:Class, a blend's path.toml, or "
        "package.module:Class [default: that of --config].",
    )(command)


def symbols_option(command: Command) -> Command:
    """Give a command the option that chooses an instrument of a tick archive."""
    return click.option(
        "--symbols",
        metavar="SYMBOL",
        help="The instrument of a tick archive [default: its only one, or only future].",
    )(command)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command asks to be run.

    Attributes:
        strategy: as `find_strategy` takes it. params: its parameters, as they were written.
    """

    strategy: str
    params: dict[str, object]
    settings: Settings


def run_asked(given: Mapping[str, Any]) -> Asked:
    """What the options, and the files they name, say.

    Raises:
        ConfigError, UsageError: something is not understood; the message names it.
    """
    texts = [key_and_value(text) for text in given["sets"]]
    params: dict[str, object] = {key: value for key, value in texts if "." not in key}
    config = _config(given, [f"{key}={value}" for key, value in texts if "." in key])
    said = _said(given)
    mine = config.strategy
    strategy = given["strategy"]
    if mine.name == UNNAMED and strategy is None:
        raise UsageError("no strategy: name one with -s, or a file with a [[strategy]] with -c")
    if strategy in (None, mine.name, mine.use):
        strategy, params = config.strategy_place(), {**mine.params, **params}
    else:  # not the file's: nothing of its [[strategy]] is of this one
        mine = type(mine)(name=UNNAMED, use=strategy)
        tree = msgspec.structs.replace(config.tree, strategy=(mine,))
        config = dataclasses.replace(config, tree=tree)
        strategy = config.strategy_place()
    settings = config.settings(said.pop("capital", None))
    if mine.name == UNNAMED and not any(key == "strategy.timeframe" for key, _ in texts):
        said.setdefault("timeframe_ns", 0)
    return Asked(strategy, params, dataclasses.replace(settings, **said))


def chain_asked(asked: Asked, given: Mapping[str, Any]) -> Asked:
    """A run with the option chain that --chain and --volatility name.

    Raises:
        UsageError: both are given, or the strategy looks at no option chain.
    """
    chain, volatility = given["chain"], given["volatility"]
    if chain is None and volatility is None:
        return asked
    if chain is not None and volatility is not None:
        raise UsageError("--chain, --volatility: recorded and modelled chains never mix; give one")
    from dhanfast.engine.chain_input import figures_asked
    from dhanfast.strategies.plugins import find_strategy

    runner = find_strategy(asked.strategy, asked.params).runner(
        lambda at_ns, text: None, asked.settings.timeframe_ns or MINUTE_NS
    )
    if not figures_asked(runner):
        name = "chain" if chain is not None else "volatility"
        raise UsageError(
            f"--{name}: {asked.strategy} looks at no option chain (m.chain); leave it out"
        )
    settings = dataclasses.replace(
        asked.settings.chain, data=chain or "", volatility=volatility or ""
    )
    return dataclasses.replace(asked, settings=dataclasses.replace(asked.settings, chain=settings))


def run_settings(given: Mapping[str, Any]) -> Settings:
    """Settings of a run that has no strategy: of the files that are named, and the options.

    Raises:
        ConfigError, UsageError: something is not understood; the message names it.
    """
    config = _config({**given, "strategy": None}, [])
    said = _said(given)
    settings = config.settings(said.pop("capital", None))
    said.setdefault("timeframe_ns", 0)
    return dataclasses.replace(settings, **said)


def _config(given: Mapping[str, Any], sets: list[str]) -> Config:
    """The configuration of a run: of the files that are named, else of none."""
    files = given["config_files"]
    named: dict[str, Any] = {
        "strategy": [{"name": UNNAMED, "use": given["strategy"] or UNNAMED}],
        **({} if files else BENEATH),
    }
    return load_config(files, None, sets, os.environ, beneath=named, named_only=not files)


def _said(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `Settings` that options say; what has its default is left to the configuration."""
    context = click.get_current_context()
    fields: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
        ("capital", "capital", rupees_paise),
        ("lots", "lots", int),
        ("timeframe", "timeframe_ns", _timeframe),
        ("slippage", "slippage", Slippage.parse),
        ("latency", "latency_ns", lambda text: duration_ns(text, "latency")),
        ("seed", "seed", int),
        ("entry_from", "entry_from", lambda text: _time(text, "entry-from")),
        ("last_entry", "entry_until", lambda text: _time(text, "last-entry")),
        ("square_off", "square_off", lambda text: clock_time(text, "square-off")),
        ("on_opposite", "on_opposite", str),
        ("limit_through", "limit_through", bool),
    )
    return {
        field: convert(given[name])
        for name, field, convert in fields
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def slippage_store() -> "SlippageStore":
    """The user's measured fills."""
    from dhanfast.app.config_folders import user_folders
    from dhanfast.storage.slippage import SlippageStore

    return SlippageStore(user_folders(None, os.environ).slippage)


def export_place(directory: str | None) -> Path | None:
    """The run directory, refused before the run when something is already there."""
    if directory is None:
        return None
    place = Path(directory)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError(
            f"export: {place} exists and is not an empty directory; name another one or remove it"
        )
    above = next(folder for folder in place.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"export: {place} cannot be made: {above} is not a folder to write in")
    return place


def show_result(
    result: "RunResult",
    export: Path | None,
    *,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
    keep: bool = False,
) -> None:
    """Print a result, and write its run directory where one is wanted.

    Args:
        result: of the run.
        export: the run directory, checked by `export_place`; None for none.
        as_json: print `summary(result)` and the keys of `more`.
        more: what the command knows besides, JSON-able.
        keep: also write it to the user's results folder.
    """
    if export is not None:
        from dhanfast.reports.rundir import write_run

        written = write_run(result, export)
        click.echo(f"report: {written / 'report.html'}", err=True)
    if keep:
        from dhanfast.app.kept_runs import keep as kept

        place, new = kept(result, result.strategy)
        words = "kept as" if new else "kept before as"
        click.echo(f"{words} {place.name} in {place.parent}", err=True)
    if as_json:
        from dhanfast.reports.summary import summary

        click.echo(json.dumps(summary(result) | dict(more or {}), indent=2))
    else:
        from dhanfast.reports.terminal import summary_text

        click.echo(summary_text(result))


def key_and_value(text: str) -> tuple[str, str]:
    """`KEY=VALUE` of a --set."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text!r}: write KEY=VALUE, for example --set ema=12")
    return key.strip(), value.strip()


def rupees_paise(text: str) -> int:
    """`1000000` or `10,00,000.50` as paise.

    Raises:
        ConfigError: not an amount.
    """
    try:
        return round(float(text.replace(",", "").replace("_", "")) * 100)
    except (ValueError, OverflowError):
        raise ConfigError(f"capital must be an amount in rupees, was {text!r}") from None


def _timeframe(text: str) -> int:
    """Nanoseconds."""
    length_ns = duration_ns(text, "timeframe")
    if length_ns == 0:
        raise ConfigError(f"timeframe must be longer than nothing, was {text!r}")
    return length_ns


def _time(text: str, name: str) -> dt.time:
    found = clock_time(text, name)
    if found is None:
        raise ConfigError(f"{name} must be a time of day HH:MM, was {text!r}")
    return found


def exchange_day(text: str | None, name: str) -> dt.date | None:
    """YYYY-MM-DD as a date; None when not given.

    Raises:
        UsageError: not a date.
    """
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not a date; write YYYY-MM-DD") from None


def moment(text: str | None, name: str) -> dt.date | dt.datetime | dt.time | None:
    """`2026-01-02`, `09:15`, `09:15:30` or `2026-01-02 09:15`; None when not given.

    Raises:
        UsageError: none of these.
    """
    if text is None:
        return None
    found: dt.date | dt.datetime | dt.time
    for kind in (dt.date, dt.time, dt.datetime):
        try:
            found = kind.fromisoformat(text.strip())
        except ValueError:
            continue
        if isinstance(found, dt.time) and (":" not in text or found.tzinfo is not None):
            break
        return found
    raise UsageError(
        f"--{name} {text!r} is not a moment; write a date (YYYY-MM-DD), a time (HH:MM), or both"
    )


def one_symbol(text: str | None) -> str | None:
    """The one instrument of --symbols.

    Raises:
        UsageError: there are several.
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if len(names) != 1:
        raise UsageError(
            f"--symbols {text!r}: a run trades one instrument, so name one; "
            "run it again for another"
        )
    return names[0]
