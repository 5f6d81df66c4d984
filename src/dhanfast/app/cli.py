"""The command line: parse, build, call. Each command is imported only when it is used.

Exit codes: 0 ok, 1 failure, 2 usage, 3 configuration invalid, 4 not authenticated, 5 refused by
risk, 6 a check found problems. Results go to standard output, messages to standard error.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from dhanfast import __version__
from dhanfast.errors import DhanfastError

# verb -> (module, attribute, one line for --help)
COMMANDS = {
    "auth": ("dhanfast.app.cli_auth", "auth", "Log in to the broker, renew, see who is logged in."),
    "backtest": (
        "dhanfast.app.cli_backtest",
        "backtest",
        "Run a strategy over recorded or generated bars.",
    ),
    "bench": ("dhanfast.app.cli_bench", "bench", "Measure the engine on this machine."),
    "chain": (
        "dhanfast.app.cli_chain",
        "chain",
        "Show a recorded option chain with volatilities and greeks.",
    ),
    "check": (
        "dhanfast.app.cli_check",
        "check",
        "Check a strategy: look-ahead, warm-up, fitness to run.",
    ),
    "compare": (
        "dhanfast.app.cli_compare",
        "compare",
        "Explain the difference of two runs, trade by trade.",
    ),
    "config": (
        "dhanfast.app.cli_config",
        "config_group",
        "Show, check and describe the configuration.",
    ),
    "data": ("dhanfast.app.cli_data", "data", "Import, list and verify market data."),
    "decode": (
        "dhanfast.app.cli_decode",
        "decode",
        "Show the packets of a broker's raw frames.",
    ),
    "demo": (
        "dhanfast.app.cli_demo",
        "demo",
        "Trade a generated day on paper, live, against a local exchange.",
    ),
    "exchange": (
        "dhanfast.app.cli_exchange",
        "exchange",
        "Serve a broker and an exchange on this machine that speak Dhan's protocols.",
    ),
    "doctor": (
        "dhanfast.app.cli_doctor",
        "doctor",
        "Check whether everything is ready to trade.",
    ),
    "explain": (
        "dhanfast.app.cli_explain",
        "explain",
        "Show every node of a strategy's rules on one bar.",
    ),
    "flatten": (
        "dhanfast.app.cli_control",
        "flatten",
        "Have the running engine close its position.",
    ),
    "generate": (
        "dhanfast.app.cli_generate",
        "generate",
        "Write a seeded, generated market to a file.",
    ),
    "greeks": (
        "dhanfast.app.cli_greeks",
        "greeks",
        "Show implied volatility and greeks of one option.",
    ),
    "hyperopt": (
        "dhanfast.app.cli_optimize",
        "hyperopt",
        "Search a strategy's parameters: another word for optimize.",
    ),
    "init": (
        "dhanfast.app.cli_init",
        "init",
        "Make the user's folder with a configuration to start from.",
    ),
    "instruments": (
        "dhanfast.app.cli_instruments",
        "instruments",
        "Fetch the broker's instrument list, search it, compare days.",
    ),
    "iv": (
        "dhanfast.app.cli_chain",
        "iv",
        "Show the smile of a chain, and where volatility stands in its past.",
    ),
    "journal": (
        "dhanfast.app.cli_journal",
        "journal",
        "Show and verify the journal of a run.",
    ),
    "lock": (
        "dhanfast.app.cli_locks",
        "lock",
        "Have the guards let no entry through for a while.",
    ),
    "locks": (
        "dhanfast.app.cli_locks",
        "locks",
        "List what keeps entries out.",
    ),
    "new": (
        "dhanfast.app.cli_new",
        "new",
        "Start a strategy of your own.",
    ),
    "oi": (
        "dhanfast.app.cli_chain",
        "oi",
        "Show open interest of a chain, its changes and levels.",
    ),
    "optimize": (
        "dhanfast.app.cli_optimize",
        "optimize",
        "Search a strategy's parameters, and see what the best of many is worth.",
    ),
    "orders": (
        "dhanfast.app.cli_control",
        "orders",
        "List the running engine's orders, or pause, resume or cancel what is worked.",
    ),
    "panic": (
        "dhanfast.app.cli_control",
        "panic",
        "Close everything now, with or without an engine.",
    ),
    "pause": (
        "dhanfast.app.cli_control",
        "pause",
        "Have the running engine make no entries until resume.",
    ),
    "payoff": (
        "dhanfast.app.cli_payoff",
        "payoff",
        "Show what an options spread earns, costs and blocks.",
    ),
    "positions": (
        "dhanfast.app.cli_control",
        "positions",
        "List what the running engine holds.",
    ),
    "record": (
        "dhanfast.app.cli_record",
        "record",
        "Record ticks from a ring, or from the generator, into an archive.",
    ),
    "replay": (
        "dhanfast.app.cli_replay",
        "replay",
        "Replay recorded ticks through the engine, paced or at full speed.",
    ),
    "secrets": (
        "dhanfast.app.cli_secrets",
        "secrets",
        "Keep PIN, TOTP secret and keys encrypted; move them.",
    ),
    "trade": (
        "dhanfast.app.cli_trade",
        "trade",
        "Run the live engine, on paper or for real.",
    ),
    "report": (
        "dhanfast.app.cli_report",
        "report",
        "Report on runs and days: what orders cost.",
    ),
    "resume": (
        "dhanfast.app.cli_control",
        "resume",
        "End a pause of the running engine.",
    ),
    "status": (
        "dhanfast.app.cli_control",
        "status",
        "Show how the running engine is.",
    ),
    "stop-entries": (
        "dhanfast.app.cli_control",
        "stop_entries",
        "Have the running engine make no entries: another word for pause.",
    ),
    "unlock": (
        "dhanfast.app.cli_locks",
        "unlock",
        "End a lock of the guards.",
    ),
    "strategies": (
        "dhanfast.app.cli_strategies",
        "strategies",
        "List strategies, show one, run many over the same bars.",
    ),
    "strategy": (
        "dhanfast.app.cli_strategy",
        "strategy",
        "Exchange the strategy of a running engine.",
    ),
    "walk-forward": (
        "dhanfast.app.cli_walk_forward",
        "walk_forward",
        "Choose parameters on some days and trade them on others.",
    ),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for, so that start-up stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but a mistyped verb is answered with the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"no command is called {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in sorted(COMMANDS)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dhanfast")
def cli() -> None:
    """dhanfast: one engine for Indian index options: backtest, replay, paper and live."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code; the console script."""
    _stand_in()
    sys.exit(run(argv))


def _stand_in() -> None:
    """Have the three standard streams open, as nothing, where the caller closed them.

    Otherwise the next file that is opened, a journal perhaps, takes the number of one of them, and
    gets what is written to it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r")  # noqa: SIM115  it stays open
            setattr(sys, name, stream)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        result: Any = cli.main(
            args=None if argv is None else list(argv), prog_name="dhanfast", standalone_mode=False
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("stopped", err=True)
        return 130
    except DhanfastError as error:
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        click.echo(
            f"error: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""),
            err=True,
        )
        return 1
    return result if isinstance(result, int) else 0
