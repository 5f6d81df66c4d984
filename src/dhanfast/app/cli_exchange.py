"""`dhanfast exchange`: a broker and an exchange on this machine, for trials, tests and paper."""

import asyncio
import datetime as dt
import json
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dhanfast.app.run_options import exchange_day
from dhanfast.app.tick_files import speed_of
from dhanfast.clock import PacedClock, SystemClock
from dhanfast.engine.settings import clock_time, duration_ns
from dhanfast.errors import ConfigError, OutOfCalendar, UsageError

if TYPE_CHECKING:
    from dhanfast.exchange.market import GeneratedMarket, RecordedMarket
    from dhanfast.exchange.recorded_history import RecordedHistory
    from dhanfast.exchange.server import ExchangeServer

GENERATE_ONLY: Final = ("symbol", "day", "strikes", "ticks", "depth")
DAYS_BACK: Final = 90
SECRETS: Final = ("key",)


@click.command(epilog="Example: dhanfast exchange --generate --symbol BANKNIFTY --speed 10x")
@click.option("--generate", is_flag=True, help="The market is a seeded, generated day.")
@click.option(
    "--data",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The market is a recorded tick archive.",
)
@click.option("--symbol", metavar="NAME", help="Of the generated market [default: BANKNIFTY].")
@click.option("--date", "day", metavar="DATE", help="Its day [default: the last trading day].")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True,
              help="Of the market, the secrets and the faults.")  # fmt: skip
@click.option("--strikes", type=int, metavar="N", help="Strikes of the chain [default: 21].")
@click.option("--ticks", type=int, metavar="N", help="Ticks of the day [default: a broker feed's].")
@click.option("--depth", type=click.Choice(["5", "20", "200"]), help="Of books [default: 20].")
@click.option("--speed", default="1x", show_default=True, metavar="1x|10x|max",
              help="Of the market's time.")  # fmt: skip
@click.option("--start", metavar="TIME", help="Begin at this time of the market, HH:MM.")
@click.option("--duration", metavar="10m", help="End after so much real time.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True,
              help="0 lets the system choose.")  # fmt: skip
@click.option(
    "--faults",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What goes wrong, a TOML file.",
)
@click.option(
    "--history",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Charts of earlier days come from the files of minute bars in DIR.",
)
@click.option("--funds", type=click.IntRange(0), metavar="RUPEES", help="[default: 10,000,000]")
@click.option("--no-limits", is_flag=True, help="Without rate limits.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A setting; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON once it listens.")
def exchange(**given: Any) -> None:
    """Serve a broker and an exchange on this machine that speak Dhan's protocols.

    Orders, books, quotes, charts, login, the live feed, 20- and 200-level depth and order updates,
    on one port; orders are matched against the market. It prints where it listens, the account
    and a token, and ends on Ctrl-C. Money, prices and people in it are not real.
    """
    settings, speed = _settings(given), speed_of(given["speed"])
    market = _market(given)
    from dhanfast.exchange.core import ExchangeCore
    from dhanfast.exchange.faults import faults_of
    from dhanfast.exchange.server import ExchangeServer, require_aiohttp

    require_aiohttp()
    faults = []
    if given["faults"] is not None:
        faults = faults_of(given["faults"].read_text("utf-8", "replace"), str(given["faults"]))
    core = ExchangeCore(market, settings, random.Random(given["seed"]), faults, _history(given))
    start_ns = _start_ns(given["start"], market)
    span_ns = 0 if given["duration"] is None else duration_ns(given["duration"], "duration")
    clock = SystemClock()

    def started(server: "ExchangeServer") -> None:
        live = core.tokens.mint("SELF", clock.now_ns())
        facts = _facts(server, given, live.value)
        click.echo(json.dumps(facts) if given["as_json"] else _text(facts))

    async def serve() -> None:
        server = ExchangeServer(
            core,
            clock,
            PacedClock(clock, speed),
            start_ns=start_ns,
            host=given["host"],
            port=given["port"],
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        if span_ns:
            loop.call_later(span_ns / 1e9, server.stop)
        await server.run(started)

    with _runner() as runner:
        runner.run(serve())


def _runner() -> asyncio.Runner:
    """On the faster event loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _market(given: dict[str, Any]) -> "GeneratedMarket | RecordedMarket":
    from dhanfast.exchange.market import GeneratedMarket, RecordedMarket

    if given["generate"] == (given["data"] is not None):
        raise UsageError("say which market: --generate, or --data FILE")
    if given["data"] is not None:
        for name in GENERATE_ONLY:
            if given[name] is not None:
                raise UsageError(f"--{name.replace('day', 'date')} goes with --generate")
        return RecordedMarket(given["data"])
    wanted = exchange_day(given["day"], "date")
    days = [wanted] if wanted is not None else _last_days()
    for day in days:
        try:
            return GeneratedMarket(
                given["symbol"] or "BANKNIFTY",
                day,
                seed=given["seed"],
                strikes=21 if given["strikes"] is None else given["strikes"],
                levels=int(given["depth"] or 20),
                ticks=given["ticks"],
            )
        except OutOfCalendar:
            if day == days[-1]:
                raise
    raise AssertionError("there is a last day")


def _history(given: dict[str, Any]) -> "RecordedHistory | None":
    from dhanfast.exchange.recorded_history import RecordedHistory

    if given["history"] is None:
        return None
    return RecordedHistory(given["history"], given["symbol"] or "BANKNIFTY")


def _last_days() -> list[dt.date]:
    """Ordinary trading days up to today, the newest first: the tables may end before today."""
    from dhanfast.market.calendar import Calendar, exchange_date

    calendar = Calendar.load()
    day = min(exchange_date(SystemClock().now_ns()), calendar.last) + dt.timedelta(days=1)
    found = []
    for _ in range(DAYS_BACK):
        day = calendar.previous_trading_day(day, ordinary=True)
        found.append(day)
    return found


def _settings(given: dict[str, Any]) -> Any:
    from dataclasses import fields

    from dhanfast.exchange.settings import ExchangeSettings

    kinds = {one.name: type(one.default) for one in fields(ExchangeSettings)}
    chosen: dict[str, Any] = {}
    for text in given["sets"]:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text}: write NAME=VALUE")
        kind = kinds.get(name)
        if kind not in (str, int, float, bool) or name in SECRETS:
            known = ", ".join(sorted(one for one, kind in kinds.items()
                                     if kind in (str, int, float, bool)))  # fmt: skip
            raise ConfigError(f"exchange.{name}: cannot be set here; known: {known}")
        chosen[name] = _value(name, kind, value)
    if given["funds"] is not None:
        chosen["funds"] = given["funds"] * 100
    if given["no_limits"]:
        chosen["limits"] = False
    return ExchangeSettings.seeded(given["seed"], **chosen)


def _value(name: str, kind: type, text: str) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise ConfigError(f"exchange.{name} is {text!r}; write true or false")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"exchange.{name} is {text!r}; it must be a number") from None


def _start_ns(text: str | None, market: Any) -> int:
    from dhanfast.market.calendar import midnight_ns

    time = clock_time(text, "start")
    if time is None:
        return int(market.day.windows[0][0])
    return (
        midnight_ns(market.day.date) + ((time.hour * 60 + time.minute) * 60 + time.second) * 10**9
    )


def _facts(server: "ExchangeServer", given: dict[str, Any], token: str) -> dict[str, Any]:
    core = server.core
    settings = core.settings
    return {
        "host": given["host"],
        "port": server.port,
        "client_id": settings.client_id,
        "token": token,
        "pin": settings.pin,
        "totp_secret": settings.totp_secret,
        "app_id": settings.app_id,
        "app_secret": settings.app_secret,
        "market": core.market.label,
        "generated": core.market.generated,
        "date": str(core.market.day.date),
        "seed": given["seed"],
        "speed": given["speed"],
        "instruments": len(core.contracts),
    }


def _text(facts: dict[str, Any]) -> str:
    place = f"{facts['host']}:{facts['port']}"
    return "\n".join([
        f"exchange on http://{place}, {facts['instruments']} instruments, {facts['speed']}",
        f"market: {facts['market']}",
        f"account {facts['client_id']}, PIN {facts['pin']}, TOTP secret {facts['totp_secret']}",
        f"app id {facts['app_id']}, app secret {facts['app_secret']}",
        f"token {facts['token']}",
    ])  # fmt: skip
