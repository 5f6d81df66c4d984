"""`dhanfast backtest`: a strategy over bars or ticks, with the rules of each date."""

from typing import Any

import click

from dhanfast.app.cli_results import analyse, compare, list_runs, show
from dhanfast.app.legs_run import backtest_file, legs_place, refuse_without_legs
from dhanfast.app.run_options import (
    chain_asked,
    exchange_day,
    export_place,
    moment,
    one_symbol,
    run_asked,
    run_options,
    show_result,
    slippage_store,
    symbols_option,
)
from dhanfast.app.tick_days_run import (
    backtest_tick_days,
    generate_options,
    refuse_without_generate,
    tick_days_of,
)
from dhanfast.app.tick_files import is_archive
from dhanfast.errors import UsageError


@click.group(
    invoke_without_command=True,
    epilog="Example: dhanfast backtest -s momentum --data bars.parquet --from 2022-01-01 --json",
)
@click.option(
    "-s",
    "--strategy",
    metavar="NAME",
    help="A name of `dhanfast strategies`, path.py, path.py:Class, package.module:Class, or the "
    "path.toml of legs or a blend [default: that of --config].",
)
@click.option(
    "--data",
    "source",
    metavar="FILE|SYMBOL",
    help="Required. Bars that give the signals: a Parquet or CSV file, or a catalog symbol; or a "
    "tick archive (.dfa), or a folder of them.",
)
@click.option("--from", "start", metavar="DATE", help="First exchange date, YYYY-MM-DD.")
@click.option("--to", "end", metavar="DATE", help="Last exchange date, inclusive.")
@click.option(
    "--timeframe",
    metavar="1m",
    help="Bars the strategy sees; default: the data's, of ticks 1m.",
)
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
    "--legs",
    metavar="FILE",
    help="Trade the options structure of this legs file. --data is then recorded chain snapshots "
    "or option bars, or bars of the index with --volatility.",
)
@click.option(
    "--chain",
    metavar="FILE|FOLDER",
    help="Recorded chain snapshots, for a strategy that looks at the option chain (m.chain).",
)
@click.option(
    "--volatility",
    metavar="FILE",
    help="Model the premiums of --legs, or the chain of a strategy: daily bars of INDIAVIX, NIFTY "
    "and the underlying. The result says that they are modelled.",
)
@click.option(
    "--strikes",
    default=40,
    show_default=True,
    metavar="N",
    help="Of modelled premiums: strikes a day and expiry.",
)
@click.option(
    "--final-price",
    "final_prices",
    multiple=True,
    metavar="DATE=VALUE",
    help="Of --legs held to their expiry: the index's closing value, where the data lacks it.",
)
@generate_options
@click.option(
    "-j",
    "--jobs",
    type=int,
    metavar="N",
    help="Processes that decode or generate the days of a folder or of --generate while the engine "
    "runs; 1 for none [default: one a core, of 30 million ticks and more]. The result is the same.",
)
@symbols_option
@run_options
@click.pass_context
def backtest(context: click.Context, /, **given: Any) -> None:
    """Run a strategy over bars and print its result.

    Signals come from the bars of --data; trades are in the future of that index, with the lot, the
    charges, the margin and the hours of each date. A decision on a bar's close can fill at the next
    bar at the earliest. Inside a bar the stop is assumed to come before the target.

    With a tick archive orders meet the ticks themselves, of one instrument (--symbols): the result
    is that of `dhanfast replay` at any speed. With a folder of archives, or --generate, it goes on
    from day to day as one run (docs/how-to/backtest-ticks.md).

    With --legs an options structure is traded (docs/reference/legs-file.md), by the grade of its
    prices: recorded, or modelled. The two never mix, and every output says which it is.

    With --keep the run is kept in the user's folder; `list`, `show`, `compare` and `analyse` look
    at kept runs.
    """
    if context.invoked_subcommand is not None:
        if any(given[name] is not None for name in ("strategy", "source", "legs", "generate")):
            raise UsageError(f"{context.invoked_subcommand} looks at runs that are over: leave "
                             "--strategy, --data, --generate and --legs out")  # fmt: skip
        return
    refuse_without_generate(given)
    if given["source"] is None and given["generate"] is None:
        (option,) = (one for one in context.command.params if one.name == "source")
        raise click.MissingParameter(ctx=context, param=option)
    if not _on_others(given):
        _on_bars(given)


def _on_others(given: dict[str, Any]) -> bool:
    """Run what is not on bars: legs, days of ticks, an archive; False: it is on bars."""
    place = legs_place(given["strategy"])
    if given["legs"] is not None or place is not None:
        if given["legs"] is not None and place is not None:
            raise UsageError(f"--legs: -s {given['strategy']} is a legs file itself; give one")
        for name in ("generate", "jobs"):
            if given[name] is not None:
                raise UsageError(f"--{name}: does not go with --legs; leave it out")
        backtest_file(given, place)
        return True
    refuse_without_legs(given)
    days = tick_days_of(given, given["symbols"])
    if days is not None:
        backtest_tick_days(given, days)
        return True
    if given["jobs"] is not None:
        raise UsageError("--jobs: is of a folder of tick archives or of --generate; leave it out")
    if is_archive(given["source"]):
        _on_ticks(given)
        return True
    if given["symbols"] is not None:
        raise UsageError("--symbols chooses from a tick archive; a file of bars has one")
    return False


def _on_bars(given: dict[str, Any]) -> None:
    asked = run_asked(given)
    from dhanfast.engine import runs

    asked = chain_asked(asked, given)

    export = export_place(given["export"])
    result = runs.backtest(
        asked.strategy,
        given["source"],
        params=asked.params,
        start=exchange_day(given["start"], "from"),
        end=exchange_day(given["end"], "to"),
        settings=asked.settings,
        detail=given["detail"],
        trade_data=given["trade_data"],
        slippages=slippage_store(),
    )
    show_result(result, export, as_json=given["as_json"], keep=given["keep"])


def _on_ticks(given: dict[str, Any]) -> None:
    for name in ("detail", "trade_data"):
        if given[name] is not None:
            raise UsageError(
                f"--{name.replace('_', '-')}: orders meet the ticks of the archive themselves; "
                "leave it out"
            )
    asked = chain_asked(run_asked(given), given)
    start, end = moment(given["start"], "from"), moment(given["end"], "to")
    export = export_place(given["export"])
    from dhanfast.clock import SystemClock
    from dhanfast.engine.recorded import recorded
    from dhanfast.engine.tick_replay import replay_ticks

    ticks = recorded([given["source"]], symbol=one_symbol(given["symbols"]), start=start, end=end)
    run = replay_ticks(
        asked.strategy, ticks, params=asked.params, settings=asked.settings, clock=SystemClock(),
        slippages=slippage_store(),
    )  # fmt: skip
    show_result(run.run(), export, as_json=given["as_json"], keep=given["keep"])


for _verb in (list_runs, show, compare, analyse):
    backtest.add_command(_verb)
