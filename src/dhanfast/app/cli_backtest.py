"""`dhanfast backtest`: a strategy over bars, with the charges, lots and hours of each date."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import click

from dhanfast.engine.settings import RiskSettings, Settings, Slippage, clock_time, duration_ns
from dhanfast.errors import ConfigError, UsageError
from dhanfast.strategies.params import unknown

RISK_KEYS = {name: f"risk.{name}" for name in RiskSettings.__slots__}


@click.command(
    epilog="Example: dhanfast backtest -s momentum --data bars.parquet --from 2022-01-01 --json"
)
@click.option(
    "-s",
    "--strategy",
    required=True,
    metavar="NAME",
    help="A built-in strategy, path.py, path.py:Class, or package.module:Class.",
)
@click.option(
    "--data",
    "source",
    required=True,
    metavar="FILE|SYMBOL",
    help="Bars that give the signals: a Parquet or CSV file, or a catalog symbol.",
)
@click.option("--from", "start", metavar="DATE", help="First exchange date, YYYY-MM-DD.")
@click.option("--to", "end", metavar="DATE", help="Last exchange date, inclusive.")
@click.option("--timeframe", metavar="1m", help="Bars the strategy sees; default: the data's.")
@click.option(
    "--detail",
    metavar="FILE|SYMBOL",
    help="Finer bars on which fills, stops and targets are resolved.",
)
@click.option(
    "--trade-data",
    metavar="FILE|SYMBOL",
    help="Recorded bars of the traded future; fills then use its prices.",
)
@click.option(
    "--capital",
    default="1000000",
    metavar="RUPEES",
    show_default=True,
    help="What the account starts with; 10,00,000 is understood.",
)
@click.option("--lots", default=1, metavar="N", show_default=True, help="Size of an entry.")
@click.option(
    "--slippage",
    default="1tick",
    show_default=True,
    help="On market fills and stops: 1tick, 2pts, 3bps, 0.02%.",
)
@click.option(
    "--latency", default="0ms", show_default=True, help="From decision to the exchange: 250ms, 1s."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Kept with the result; nothing in it is random yet.",
)
@click.option(
    "--entry-from",
    default="09:20",
    show_default=True,
    metavar="HH:MM",
    help="No entry before this time, IST.",
)
@click.option(
    "--last-entry",
    default="15:00",
    show_default=True,
    metavar="HH:MM",
    help="No entry at or after this time, IST.",
)
@click.option(
    "--square-off",
    default="15:15",
    show_default=True,
    metavar="HH:MM|none",
    help="Close positions at this time; none carries them over night.",
)
@click.option(
    "--on-opposite",
    default="keep",
    show_default=True,
    metavar="keep|close|reverse",
    help="What an entry signal against the open position does.",
)
@click.option(
    "--limit-through",
    is_flag=True,
    help="Targets fill only when the price trades through them, not at touch.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="A strategy parameter, or risk.LIMIT; may be given many times.",
)
@click.option("--export", metavar="DIR", help="Write the run directory (report.html and tables).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def backtest(**given: Any) -> None:
    """Run a strategy over bars and print its result.

    Signals come from the bars of --data; trades are in the future of that index, with the lot, the
    charges, the margin and the hours of each date. A decision on a bar's close can fill at the next
    bar at the earliest. Inside a bar the stop is assumed to come before the target.
    """
    params, risk = _split(given["sets"])
    settings = Settings(
        capital=_rupees(given["capital"]),
        lots=given["lots"],
        timeframe_ns=_timeframe(given["timeframe"]),
        slippage=Slippage.parse(given["slippage"]),
        latency_ns=duration_ns(given["latency"], "latency"),
        seed=given["seed"],
        entry_from=_time(given["entry_from"], "entry-from"),
        entry_until=_time(given["last_entry"], "last-entry"),
        square_off=clock_time(given["square_off"], "square-off"),
        on_opposite=given["on_opposite"],
        limit_through=given["limit_through"],
        risk=RiskSettings(**risk),
    )
    from dhanfast.engine import runs

    export = export_place(given["export"])
    result = runs.backtest(
        given["strategy"],
        given["source"],
        params=params,
        start=_day(given["start"], "from"),
        end=_day(given["end"], "to"),
        settings=settings,
        detail=given["detail"],
        trade_data=given["trade_data"],
    )
    if export is not None:
        from dhanfast.reports.rundir import write_run

        written = write_run(result, export)
        click.echo(f"report: {written / 'report.html'}", err=True)
    if given["as_json"]:
        from dhanfast.reports.summary import summary

        click.echo(json.dumps(summary(result), indent=2))
    else:
        from dhanfast.reports.terminal import summary_text

        click.echo(summary_text(result))


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


def _split(sets: tuple[str, ...]) -> tuple[dict[str, object], dict[str, Any]]:
    """--set texts as (strategy parameters, risk limits)."""
    params: dict[str, object] = {}
    risk: dict[str, Any] = {}
    for text in sets:
        key, value = key_and_value(text)
        if not key.startswith("risk."):
            params[key] = value
            continue
        name = key.removeprefix("risk.")
        if name not in RISK_KEYS:
            raise ConfigError(unknown("risk limit", name, RISK_KEYS))
        risk[name] = _limit(name, value)
    return params, risk


def key_and_value(text: str) -> tuple[str, str]:
    """`KEY=VALUE` of a --set."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text!r}: write KEY=VALUE, for example --set ema=12")
    return key.strip(), value.strip()


def _limit(name: str, text: str) -> int | bool:
    if name == "margin_check":
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"risk.margin_check must be true or false, was {text!r}")
        return text.lower() == "true"
    try:
        number = int(text)
    except ValueError:
        raise ConfigError(f"risk.{name} must be a whole number, was {text!r}") from None
    if number < 0:
        raise ConfigError(f"risk.{name} must be 0 (off) or more, was {number}")
    return number


def _rupees(text: str) -> int:
    """`1000000` or `10,00,000.50` as paise."""
    try:
        return round(float(text.replace(",", "").replace("_", "")) * 100)
    except (ValueError, OverflowError):
        raise ConfigError(f"capital must be an amount in rupees, was {text!r}") from None


def _timeframe(text: str | None) -> int:
    """Nanoseconds; 0 when not given: the data's own."""
    if text is None:
        return 0
    length_ns = duration_ns(text, "timeframe")
    if length_ns == 0:
        raise ConfigError(f"timeframe must be longer than nothing, was {text!r}")
    return length_ns


def _time(text: str, name: str) -> dt.time:
    found = clock_time(text, name)
    if found is None:
        raise ConfigError(f"{name} must be a time of day HH:MM, was {text!r}")
    return found


def _day(text: str | None, name: str) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--{name} {text!r} is not a date; write YYYY-MM-DD") from None
