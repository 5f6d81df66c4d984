"""`dhanfast trade`: the live engine, on paper or for real."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from dhanfast.app.config import Config
from dhanfast.app.config_options import config_options
from dhanfast.app.edge import edge, print_json
from dhanfast.app.logs import start_logging, stop_logging
from dhanfast.clock import SystemClock
from dhanfast.engine.busy_poll import BusyPoll
from dhanfast.errors import BadData, DhanfastError, StrategyError, UsageError

if TYPE_CHECKING:
    from dhanfast.app.live_build import Live
    from dhanfast.app.live_report import Narrator
    from dhanfast.reports.result import RunResult

COUNTDOWN_S: Final = 5
ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_LOG: Final = logging.getLogger("dhanfast.trade")


@click.command(epilog="Example: dhanfast trade --set broker.exchange=http://127.0.0.1:8080")
@click.option("--paper", "mode", flag_value="paper", default="paper", help="Simulated orders "
              "on the live feed; this process holds no way to order [default].")  # fmt: skip
@click.option("--live", "mode", flag_value="live", help="Real orders, after a countdown.")
@click.option("--confirm-live", metavar="CLIENT_ID", help="For --live without a terminal: the "
              "client id whose money it is.")  # fmt: skip
@click.option("--legs", metavar="FILE", type=click.Path(dir_okay=False), help="Trade the option "
              "structure of a legs file instead of the configured strategy.")  # fmt: skip
@click.option("--until", metavar="HH:MM", help="Stop at this time of the market, IST.")
@click.option("--export", metavar="DIR", help="Write the day's report to this new folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the day's result as JSON.")
@edge
@config_options
def trade(
    config: Config, mode: str, confirm_live: str | None, legs: str | None, until: str | None,
    export: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Run the configured strategy, or a structure of options, on the live market until the day's
    end or Ctrl-C.

    On paper (the default) orders meet a simulated exchange on the real feed. A killed engine is
    started again with the same command: the journal of the day brings everything back, and with
    --live the broker is asked what became of every open order. Ctrl-C closes what is open, then
    prints the day; a second Ctrl-C leaves it open. --live begins only when `dhanfast doctor --live`
    has nothing red.
    """
    from dhanfast.app.live_build import require_live_extra

    require_live_extra()
    config = _with_legs(config, legs)
    if mode == "live":
        from dhanfast.app.readiness import require_ready

        require_ready(config, SystemClock())
        _confirm(config, confirm_live)
        _count_down(config)
    code = run_trade(config, mode, until=until, export=export, as_json=as_json)
    if code:
        raise click.exceptions.Exit(code)


def _with_legs(config: Config, legs: str | None) -> Config:
    """What of a legs file cannot be traded is said before anything else is looked at."""
    from dhanfast.strategies.plugins import LEGS, is_legs

    if legs is None and config.strategy.use != LEGS and not is_legs(config.strategy_place()):
        return config
    from dhanfast.app.live_legs import legs_place, plan_of, with_legs

    found = config
    if legs is not None:
        found = with_legs(config, legs_place(config, legs))
    elif config.strategy.use != LEGS:  # a name that stands for a legs file
        found = with_legs(config, config.strategy_place(), config.strategy.params)
    plan = plan_of(found)
    own = msgspec.structs.replace(found.strategy, underlying=plan.underlying)
    return replace(found, tree=msgspec.structs.replace(found.tree, strategy=(own,)))


def run_trade(
    config: Config, mode: str, *, until: str | None = None, export: str | None = None,
    as_json: bool = False,
) -> int:  # fmt: skip
    """Run the engine and show its day.

    Args:
        config: the settings. mode: paper or live.
        until, export, as_json: see `trade`.
    Returns:
        The exit code.
    Raises:
        DhanfastError: what kept it from starting.
    """
    import uvloop

    handlers = start_logging(config, sys.stderr)
    try:
        return uvloop.run(_serve(config, mode, until, export, as_json))
    finally:
        stop_logging(handlers)


def _confirm(config: Config, given: str | None) -> None:
    """Whose money it is, said by a person."""
    client = config.client_id()
    if not client:
        raise UsageError("--live needs broker.client_id in the configuration")
    if given is None and sys.stdin.isatty():
        given = click.prompt("Real orders will be sent. Type the client id to go on", err=True)
    if given != client:
        raise UsageError(
            f"--live sends real orders: confirm with --confirm-live and the client id of the "
            f"configuration ({client})"
        )


def _count_down(config: Config) -> None:
    """Five seconds to think again."""

    async def count() -> None:
        words = f"LIVE trading of client {config.client_id()} begins"
        for left in range(COUNTDOWN_S, 0, -1):
            click.echo(f"{words} in {left} s; Ctrl-C stops", err=True)
            await SystemClock().sleep(1)

    try:
        asyncio.run(count())
    except KeyboardInterrupt:
        raise click.Abort from None


async def _serve(
    config: Config, mode: str, until: str | None, export: str | None, as_json: bool
) -> int:
    """Build, run, and show the day; the exit code."""
    from dhanfast.app.live_build import live_engine
    from dhanfast.app.live_report import (
        Narrator,
        day_text,
        ends_at,
        export_day,
        store_slippage,
    )
    from dhanfast.engine.control import ControlServer
    from dhanfast.reports.terminal import print_text

    config.folders.make()
    failed: Exception | None = None
    async with live_engine(config, mode) as live:
        if until is not None:
            live.engine.plan = ends_at(live, until)
        narrator = Narrator(
            live, lambda text: click.echo(text, err=True), live.names, live.engine.run.texts_so_far
        )
        with ControlServer(config.folders.run, config.engine.run, live.view) as control:
            narrator.begin()
            with _interrupts(live, narrator), _quiet_machine(config):
                try:
                    beside = {"control": control.serve(), "narration": narrator.run()}
                    if live.ring is not None:
                        beside["feed ring"] = live.ring.beat(live.engine.clock)
                    if live.account is not None:
                        beside["account"] = live.account.watch(live.engine, live.engine.clock)
                    await _beside(live, beside)
                except Exception as error:  # told after the day's figures
                    failed = error
        narrator.end()
        status = live.view.status()
        result, failed = _finished(live, failed)
        if result is not None and live.names is None:  # options are not measured apart yet
            store_slippage(config, live, result)
        if as_json:
            print_json(_day_json(live, result, status, failed))
        else:
            print_text(day_text(live, result))
        if export is not None and result is not None:
            click.echo(f"report: {export_day(result, export)}", err=True)
    if failed is None:
        return 0
    if not isinstance(failed, DhanfastError):
        raise failed
    click.echo(f"error: {failed}", err=True)
    return failed.exit_code


@contextlib.contextmanager
def _interrupts(live: "Live", narrator: "Narrator") -> Iterator[None]:
    """Ctrl-C ends the day in order; a second one leaves what is open as it is."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        again = live.engine.stopping
        narrator.stopping(again)
        live.engine.stop(at_once=again)

    for number in ENDING:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)


async def _beside(live: "Live", others: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """The engine, and what runs beside it, whose trouble is not the engine's."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("%s ended: %s", task.get_name(), error, exc_info=error)

    tasks = [asyncio.create_task(work, name=name) for name, work in others.items()]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        await live.engine.serve()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def _quiet_machine(config: Config) -> Iterator[None]:
    """The thread on its core and awake, no garbage collection while the market is open."""
    if config.engine.pin_core >= 0:
        os.sched_setaffinity(0, {config.engine.pin_core})
    awake = BusyPoll(asyncio.get_running_loop()) if config.engine.busy_poll else None
    if awake is not None:
        awake.start()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if awake is not None:
            awake.stop()
        gc.enable()
        gc.unfreeze()


def _finished(
    live: "Live", failed: Exception | None
) -> tuple["RunResult | None", Exception | None]:
    """The day's result, None without a bar, and what went wrong first."""
    try:
        return live.engine.run.finish(), failed
    except BadData:  # no bar: the engine did not live that long
        return None, failed
    except StrategyError as error:  # of its `on_stop`: the figures stand all the same
        return live.engine.run.so_far(), failed or error


def _day_json(
    live: "Live", result: "RunResult | None", status: dict[str, Any], failed: Exception | None
) -> dict[str, Any]:
    """The day as plain data."""
    from dhanfast.reports.summary import summary

    found: dict[str, Any] = {
        "mode": live.mode,
        "instrument": live.contract.symbol,
        "day": live.market.day.isoformat(),
        "status": status,
        "error": "" if failed is None else str(failed),
    }
    if result is not None:
        found |= {"digest": result.digest, "counters": result.counters}
        found["summary"] = json.loads(json.dumps(summary(result), default=str))
    return found
