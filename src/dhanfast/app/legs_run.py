"""`dhanfast backtest --legs`: which data, of which grade, and what options do not apply."""

import datetime as dt
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from dhanfast.app.run_options import (
    exchange_day,
    export_place,
    key_and_value,
    run_settings,
    show_result,
)
from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.engine.chain_source import ChainSource
    from dhanfast.engine.leg_settings import StructurePlan

# What a legs file says itself, or what belongs to a strategy on one instrument.
REFUSED: Final = {
    "strategy": "signals in the legs file",
    "lots": "lots of each leg",
    "timeframe": "the rows of the data",
    "detail": "the rows of the data",
    "trade_data": "the rows of the data",
    "symbols": "underlying in the legs file",
    "chain": "--data, whose prices the legs trade at",
    "entry_from": "entry in the legs file",
    "last_entry": "late in the legs file",
    "square_off": "exit in the legs file",
    "on_opposite": "signals in the legs file",
}
ONLY_LEGS: Final = ("strikes", "final_prices")


def refuse_without_legs(given: Mapping[str, Any]) -> None:
    """Options of a legs run where there is none.

    Raises:
        UsageError: one was given.
    """
    for name in ONLY_LEGS:
        if _said(name):
            word = "strikes" if name == "strikes" else name.rstrip("s").replace("_", "-")
            raise UsageError(f"--{word}: is of a run of --legs")


def refuse_with_legs(*, named: bool = False) -> None:
    """Options of a strategy on one instrument, beside a legs file.

    Args:
        named: the file is that of --strategy.

    Raises:
        UsageError: one was given.
    """
    for name, instead in REFUSED.items():
        if _said(name) and not (name == "strategy" and named):
            raise UsageError(f"--{name.replace('_', '-')}: does not go with --legs; use {instead}")


def legs_place(strategy: str | None) -> str | None:
    """The legs file that a strategy's name stands for; None when it stands for none.

    Raises:
        UsageError: two of the user's own strategies have the same name.
    """
    if strategy is None:
        return None
    from dhanfast.app.config_folders import user_folders
    from dhanfast.strategies.shelf import lookup

    found = lookup(strategy, user_folders(None, os.environ).strategies)
    return found.place if found is not None and found.legs else None


def backtest_file(given: Mapping[str, Any], place: str | None = None) -> None:
    """Run a legs file and print its result.

    Args:
        place: the file, when a strategy's name stands for it; None: that of --legs.

    Raises:
        UsageError, ConfigError, BadData: see the option or file that the message names.
    """
    refuse_with_legs(named=place is not None)
    from dhanfast.app.legs_file import read_plan
    from dhanfast.engine.leg_signals import signals_of
    from dhanfast.engine.legs import backtest_legs

    settings = run_settings(given)
    export = export_place(given["export"])
    plan = read_plan(place or given["legs"], legs_values(given["sets"]))
    source = source_of(given, plan)
    signals = signals_of(plan, source) if plan.signals else None
    result = backtest_legs(plan, source, settings, signals=signals)
    show_result(result, export, as_json=given["as_json"], keep=given["keep"])


def legs_values(sets: Sequence[str]) -> dict[str, object]:
    """Values of the file's parameters.

    Raises:
        UsageError: not KEY=VALUE, or a setting.
    """
    found: dict[str, object] = {}
    for key, value in map(key_and_value, sets):
        if "." in key:
            raise UsageError(
                f"--set {key}: with legs it sets the file's parameters; settings of [risk], "
                "[filters] and [simulation] come with -c"
            )
        found[key] = value
    return found


def _said(name: str) -> bool:
    if name not in click.get_current_context().params:
        return False
    found = click.get_current_context().get_parameter_source(name)
    return found is ParameterSource.COMMANDLINE


def source_of(given: Mapping[str, Any], plan: "StructurePlan") -> "ChainSource":
    """The run's prices: recorded ones, or modelled ones when that was said in so many words.

    Raises:
        UsageError, BadData: an option or a file that does not fit; the message names it.
    """
    from dhanfast.engine.bar_source import RecordedBars
    from dhanfast.engine.chain_source import ModelledChains, RecordedChains, is_chain_file
    from dhanfast.engine.premium_model import read_volatilities
    from dhanfast.storage.bars import read_bars
    from dhanfast.storage.chains import chain_bytes, read_chains
    from dhanfast.storage.option_bars import is_option_bars, read_option_bars

    data, start, end = (
        given["source"],
        exchange_day(given["start"], "from"),
        exchange_day(given["end"], "to"),
    )
    if is_chain_file(data) or is_option_bars(data):
        for name in ("volatility", "strikes"):
            if _said(name):
                raise UsageError(
                    f"--{name}: {data} has recorded premiums, and they never mix with "
                    "modelled ones; leave it out, or give bars of the index"
                )
        finals = _finals(given["final_prices"])
        if is_option_bars(data):
            bars = read_option_bars(data, plan.underlying)
            return RecordedBars(bars, plan.underlying, start, end, finals, lot=plan.lot)
        return RecordedChains(
            read_chains(data),
            plan.underlying,
            start,
            end,
            finals,
            hashlib.sha256(chain_bytes(data)).hexdigest(),
            lot=plan.lot,
        )
    if plan.lot:
        raise UsageError(
            f"--data {data} has no option prices, and premiums are modelled for indexes only: give "
            f"recorded chain snapshots or bars of options of {plan.underlying}"
        )
    if given["volatility"] is None:
        raise UsageError(
            f"--data {data} has no option prices. With bars of the index premiums are modelled: "
            "say so with --volatility FILE (daily bars of INDIAVIX, NIFTY and the underlying), or "
            "give recorded chain snapshots"
        )
    if given["final_prices"]:
        raise UsageError("--final-price: modelled runs take the index's own print after the close")
    index = read_bars(data, start=start, end=end)
    return ModelledChains(
        index,
        read_volatilities(given["volatility"], index.symbol),
        plan.expiries,
        given["strikes"],
    )


def _finals(texts: Sequence[str]) -> dict[dt.date, int]:
    """DATE=VALUE as paise by date."""
    found = {}
    for text in texts:
        day, _, value = text.partition("=")
        try:
            paise = round(100 * float(value.replace(",", "")))
            found[dt.date.fromisoformat(day.strip())] = paise
        except (ValueError, OverflowError):
            raise UsageError(
                f"--final-price {text!r}: write DATE=VALUE, for example 2026-01-27=59812.35"
            ) from None
        if paise <= 0:
            raise UsageError(f"--final-price {text!r}: the index closes above 0")
    return found
