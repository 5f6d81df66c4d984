"""`dhanfast demo`: the live engine on paper against an exchange on this machine."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from dhanfast.app.edge import edge
from dhanfast.errors import DhanfastError

DAY: Final = "2026-11-20"  # inside every dated table that is shipped
SYMBOL: Final = "BANKNIFTY"
START: Final = "08:40"  # the engine takes some seconds to build, the market some minutes
ANSWER_S: Final = 60.0  # generating a day takes some seconds
STOP_S: Final = 10.0


@click.command(epilog="Example: dhanfast demo --until 11:00 --export my-first-day")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True,
              help="Which generated market.")  # fmt: skip
@click.option("-s", "--strategy", default="momentum", metavar="NAME", show_default=True,
              help="As for backtest.")  # fmt: skip
@click.option("--speed", default="300x", metavar="60x", show_default=True,
              help="Market seconds a second.")  # fmt: skip
@click.option("--legs", metavar="FILE", type=click.Path(dir_okay=False), help="Trade the option "
              "structure of a legs file instead of a strategy.")  # fmt: skip
@click.option("--until", metavar="HH:MM", help="Stop at this time of the market, IST.")
@click.option("--export", metavar="DIR", help="Keep the run directory here; default: a new folder "
              "of the system's temporary directory.")  # fmt: skip
@edge
def demo(
    seed: int, strategy: str, speed: str, legs: str | None, until: str | None, export: str | None
) -> None:  # fmt: skip
    """Trade a generated Bank Nifty day on paper, live, and write its report; with --legs, options.

    An exchange is started on this machine that speaks the broker's protocols; the live engine
    connects to it, trades on paper until the market closes, and shows the day. Nothing leaves the
    machine and nothing is written outside the run directory.
    """
    from dhanfast.app.cli_trade import run_trade
    from dhanfast.app.config import load_config
    from dhanfast.app.config_fields import NAME
    from dhanfast.app.live_build import require_live_extra
    from dhanfast.app.run_options import export_place
    from dhanfast.strategies.plugins import find_strategy

    require_live_extra()
    find_strategy(strategy, {})
    symbol = SYMBOL if legs is None else _underlying(legs)
    place = export_place(export)
    if place is None:
        place = Path(tempfile.mkdtemp(prefix="dhanfast-demo-")) / "run"
    click.echo(f"starting the exchange: a generated day, seed {seed}, at {speed} ...", err=True)
    with (
        tempfile.TemporaryDirectory(prefix="dhanfast-demo-home-") as home,
        _exchange(seed, speed, symbol) as told,
    ):
        sets = {
            "broker.exchange": f"http://127.0.0.1:{told['port']}",
            "broker.token": "env:DHAN_ACCESS_TOKEN",
            "clock.source": "exchange",
            "strategy.name": strategy if re.fullmatch(NAME, strategy) else "demo",
            "strategy.use": strategy,
            "risk.day_loss": "0",
            "log.level": "warning",
        }
        environ = {"DHAN_CLIENT_ID": told["client_id"], "DHAN_ACCESS_TOKEN": told["token"]}
        config = load_config([], home, [f"{key}={value}" for key, value in sets.items()], environ)
        if legs is not None:
            from dhanfast.app.live_legs import legs_place, with_legs

            config = with_legs(config, legs_place(config, legs))
        code = run_trade(config, "paper", until=until, export=str(place))
    if code:
        raise click.exceptions.Exit(code)


def _underlying(legs: str) -> str:
    """The index whose options a legs file trades."""
    from dhanfast.app.legs_file import read_plan
    from dhanfast.strategies.shelf import lookup

    found = lookup(legs)
    return read_plan(found.place if found is not None and found.legs else legs).underlying


@contextlib.contextmanager
def _exchange(seed: int, speed: str, symbol: str) -> Iterator[dict[str, Any]]:
    """An exchange in its own process; what it said when it began to listen."""
    command = [sys.executable, "-m", "dhanfast", "exchange", "--generate", "--seed", str(seed)]
    command += ["--symbol", symbol, "--date", DAY, "--start", START, "--speed", speed, "--json"]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # Ctrl-C is for the engine, which then ends the exchange
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            said = process.communicate(timeout=ANSWER_S)[1].strip()
            raise DhanfastError(f"the exchange did not start: {said or process.returncode}")
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
