"""Look at a running engine and tell it what to do; `panic` works without one too.

Exit codes: 0 done, 1 no engine answers or it refused, 4 not authenticated, 6 panic left something.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dhanfast.app.config import Config
from dhanfast.app.config_options import config_options
from dhanfast.app.edge import edge, print_json, wrapped
from dhanfast.engine.control import ControlClient, Found, NotRunning, engines, find_engine
from dhanfast.errors import CheckFailed, DhanfastError, UsageError

if TYPE_CHECKING:
    from dhanfast.engine.panic import PanicResult

PATIENCE_S = 30.0  # for a command: it is answered when it is done
LOOK_S = 5.0
Command = TypeVar("Command", bound=Callable[..., Any])


def engine_options(command: Command) -> Command:
    """Give a command --run and --json, and the configuration that says where the engine is."""
    named = click.option(
        "--run", metavar="NAME", help="Name of the engine, when several are running."
    )
    plain = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
    return edge(named(plain(config_options(command))))


def client_of(config: Config, run: str | None, timeout_s: float = LOOK_S) -> ControlClient:
    """The running engine's control socket.

    Raises:
        NotRunning: there is no such engine.
    """
    return ControlClient(find_engine(config.folders.run, run).path, timeout_s=timeout_s)


@click.command("status")
@engine_options
def status(config: Config, run: str | None, as_json: bool) -> None:
    """Show how the running engine is: result, position, feed, orders, latency.

    \b
    Example:
      dhanfast status
    """
    from dhanfast.app.control_text import status_text
    from dhanfast.engine.status import EngineStatus

    said = client_of(config, run).status()
    if as_json:
        print_json(said)
        return
    click.echo(status_text(record_of(said, EngineStatus)))


@click.command("orders")
@click.argument("what", required=False, type=click.Choice(["pause", "resume", "cancel"]))
@engine_options
def orders(config: Config, run: str | None, as_json: bool, what: str | None) -> None:
    """List the running engine's orders of today, or tell those that an algorithm works.

    \b
    pause   algorithms send nothing more; what rests of entries is taken back
    resume  they go on; what became due meanwhile is sent
    cancel  worked entries end with what has filled, worked exits leave at once

    Stops and targets go on whatever is said. Without an algorithm (execution.algo = "none") the
    three are refused: `pause` holds entries back, `flatten` closes the position.

    \b
    Example:
      dhanfast orders --json
      dhanfast orders pause
    """
    if what is not None:
        _tell(config, run, as_json, f"{what}-orders")
        return
    from dhanfast.app.control_text import orders_text
    from dhanfast.engine.status import OrderLine

    said = client_of(config, run).orders()
    if as_json:
        print_json(said)
        return
    click.echo(orders_text([record_of(one, OrderLine) for one in said]))


@click.command("positions")
@engine_options
def positions(config: Config, run: str | None, as_json: bool) -> None:
    """List what the running engine holds, with stop and target.

    \b
    Example:
      dhanfast positions
    """
    from dhanfast.app.control_text import positions_text
    from dhanfast.engine.status import PositionLine

    said = client_of(config, run).positions()
    if as_json:
        print_json(said)
        return
    click.echo(positions_text([record_of(one, PositionLine) for one in said]))


@click.command("pause")
@engine_options
def pause(config: Config, run: str | None, as_json: bool) -> None:
    """Have the engine make no entries until `resume`; stops, targets and exits go on.

    \b
    Example:
      dhanfast pause
    """
    _tell(config, run, as_json, "pause")


@click.command("resume")
@engine_options
def resume(config: Config, run: str | None, as_json: bool) -> None:
    """End a pause.

    \b
    Example:
      dhanfast resume
    """
    _tell(config, run, as_json, "resume")


@click.command("stop-entries")
@engine_options
def stop_entries(config: Config, run: str | None, as_json: bool) -> None:
    """Have the engine make no entries until `resume`; the same as `pause`.

    \b
    Example:
      dhanfast stop-entries
    """
    _tell(config, run, as_json, "stop-entries")


@click.command("flatten")
@engine_options
def flatten(config: Config, run: str | None, as_json: bool) -> None:
    """Have the engine cancel its orders and close its position, and pause.

    \b
    Example:
      dhanfast flatten
    """
    _tell(config, run, as_json, "flatten")


@click.command("panic")
@click.option("--broker-kill", is_flag=True, help="Throw the broker's kill switch as well: no "
              "trading on the account for the rest of the day.")  # fmt: skip
@click.option("--direct", is_flag=True, help="Pass the engine over and talk to the broker itself; "
              "end the engine first.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask.")
@engine_options
def panic(
    config: Config, run: str | None, as_json: bool, broker_kill: bool, direct: bool, yes: bool
) -> None:
    """Close everything now. With engines running, each closes what is its own and ends its day;
    --run names one of several.

    Without one, the broker is told directly: every open order of the ACCOUNT is cancelled and
    every position closed, also those of other programs; then both books are read again, and what
    is left is listed (exit code 6).

    \b
    Example:
      dhanfast panic
      dhanfast panic --broker-kill --yes
    """
    if not direct:
        try:
            found = _panicking(config, run)
        except NotRunning as error:
            click.echo(f"{error}\nthe broker is told directly", err=True)
        else:
            _tell_panic(found, broker_kill, as_json)
            return
    if not yes:
        _confirm()
    result = asyncio.run(_panic(config, broker_kill, quiet=as_json))
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(result) | {"clean": result.clean})
    else:
        click.echo(_panic_text(result))
    if not result.clean:
        raise CheckFailed("something is left: close it by hand, or run this again")


def _panicking(config: Config, run: str | None) -> list[Found]:
    """The engines that are to close: the one of a name, or every one that runs.

    Raises:
        NotRunning: there is none.
    """
    running = [one for one in engines(config.folders.run) if one.pid]
    if run is None and len(running) > 1:
        return running
    return [find_engine(config.folders.run, run)]


def _tell_panic(found: Sequence[Found], broker_kill: bool, as_json: bool) -> None:
    """Have each engine close; one that fails keeps no other from being told.

    Raises:
        DhanfastError: the first that did not, or where something is left.
    """
    failed: list[DhanfastError] = []
    for one in found:
        if len(found) > 1 and not as_json:
            click.echo(f"{one.run}:")
        try:
            client = ControlClient(one.path, timeout_s=PATIENCE_S)
            # The broker's switch wants the whole account flat: the last one throws it.
            kill = broker_kill and one is found[-1]
            show_done(client.command("panic", broker_kill=kill), "panic", as_json)
        except NotRunning as error:
            failed.append(
                NotRunning(
                    f"{error}; if it does not come back, end it (kill -9 {one.pid}), and then: "
                    "dhanfast panic --direct"
                )
            )
        except DhanfastError as error:
            failed.append(error)
    for other in failed[1:]:
        click.echo(f"error: {other}", err=True)
    if failed:
        raise failed[0]


def _confirm() -> None:
    """Have a person say yes."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("panic closes everything of the account: add --yes where nobody can ask")
    click.confirm(
        "Cancel every order and close every position of the account?", abort=True, err=True
    )


async def _panic(config: Config, kill: bool, *, quiet: bool) -> "PanicResult":
    """Talk to the broker itself."""
    from dhanfast.app.broker_session import open_rest
    from dhanfast.app.live_account import count_with_engines
    from dhanfast.clock import SystemClock
    from dhanfast.engine.panic import Panic

    clock = SystemClock()

    def told(words: str) -> None:
        if not quiet:
            click.echo(f"  {words}", err=True)

    async with open_rest(config, clock) as rest:
        problem = count_with_engines(config, rest, clock)
        if problem:
            told(problem)
        return await Panic(rest, clock, told=told).run(kill=kill)


def _panic_text(result: "PanicResult") -> str:
    """What was done and what is left."""
    lines = [f"cancelled: {result.cancelled} orders; closed: {result.closed} positions"]
    if result.kill_switch:
        lines.append(f"kill switch: {result.kill_switch}")
    if result.orders_left is None or result.positions_left is None:
        lines.append("NOT VERIFIED: the broker's books cannot be read")
    for order in result.orders_left or ():
        lines.append(f"  LEFT order {order.order_id}: {order.left:,} of {order.symbol}")
    for one in result.positions_left or ():
        lines.append(f"  LEFT position: {one.qty:+,} {one.symbol} ({one.product})")
    lines += [wrapped(words, "  ! ", "    ") for words in result.problems]
    if result.clean:
        lines.append("verified: no open order and no position at the broker")
    return "\n".join(lines)


def _tell(config: Config, run: str | None, as_json: bool, name: str) -> None:
    """Send one command and show what came of it."""
    show_done(client_of(config, run, PATIENCE_S).command(name), name, as_json)


def show_done(said: dict[str, Any], name: str, as_json: bool) -> None:
    """What a command has done.

    Raises:
        CheckFailed: something is left.
    """
    if as_json:
        print_json(said)
    else:
        click.echo(said.get("text") or f"{name}: done")
    if said.get("left"):
        raise CheckFailed(f"{name}: something is left, see `dhanfast positions`")


def record_of(plain: Any, kind: type[Any]) -> Any:
    """A record of the engine's answer."""
    from dhanfast.engine.status import read_record

    try:
        return read_record(plain, kind)
    except ValueError as error:
        raise DhanfastError(f"the engine's answer is not understood: {error}; --json shows it") \
            from None  # fmt: skip
