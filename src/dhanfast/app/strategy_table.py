"""Many strategies over the same bars: what each came to, and how long that took."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dhanfast.clock import SystemClock
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from dhanfast.strategies.shelf import Named, named

if TYPE_CHECKING:
    from dhanfast.reports.result import RunResult
    from dhanfast.storage.bars import BarSet

TEN: Final = (
    "momentum",
    "v1",
    "mean-reversion",
    "breakout",
    "vwap",
    "opening-range",
    "supertrend",
    "vix-regime",
    "expiry-straddle",
    "iron-condor",
)
AT_INDEX: Final = "index"  # the future's prices are modelled as the index level
RECORDED: Final = "recorded"
NEEDS_FILE: Final = "needs --volatility: premiums are modelled from India VIX"
NEEDS_VIX: Final = "needs --volatility: it looks at India VIX"
WIDTH: Final = 80
_HEAD: Final = ("strategy", "prices", "trades", "gross", "net", "largest fall", "took")


@dataclass(frozen=True, slots=True)
class Row:
    """One strategy's line.

    Attributes:
        name: of the strategy, with what was set for it. prices: index (a modelled future), recorded
            (bars of the future) or modelled (premiums).
        trades, gross, net, fall: closed trades; rupees; largest fall of equity from a peak.
        refused: orders the gate refused, as for want of margin. took_ms: with everything but the
            reading of files.
        digest: of the result. missing: why there is no result; "" when there is one.
    """

    name: str
    prices: str = ""
    trades: int = 0
    gross: int = 0
    net: int = 0
    fall: int = 0
    refused: int = 0
    took_ms: float = 0.0
    digest: str = ""
    missing: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return dataclasses.asdict(self)


def rows_of(
    names: Sequence[str],
    bars: "BarSet",
    volatility: str | None,
    settings: Settings,
    folder: Path | None = None,
) -> Iterator[Row]:
    """Run each over the bars, one after the other.

    Args:
        names: as -s takes them. bars: of an index, or of its future.
        volatility: daily bars of INDIAVIX, NIFTY and the underlying; None: what needs them is not
            run, and its row says so.
        settings: of every run. folder: the user's own strategies.
    Raises:
        UsageError, ConfigError, StrategyError, BadData: of the first that cannot be run.
    """
    clock = SystemClock()
    for row in [named(name, folder) for name in names]:
        label, run = _prepared(row, bars, volatility, settings)
        if isinstance(run, str):
            yield Row(label, missing=run)
            continue
        begun_ns = clock.monotonic_ns()
        result = run()
        yield _row(label, result, (clock.monotonic_ns() - begun_ns) / 1e6)


def _row(label: str, result: "RunResult", took_ms: float) -> Row:
    from dhanfast.engine.runs import MODELLED
    from dhanfast.reports.metrics import measure

    got = measure(result)
    plain = AT_INDEX if MODELLED in result.notes else RECORDED
    return Row(
        label,
        result.grade or plain,
        len(result.trades),
        round(got.gross / 100),
        round(got.net / 100),
        round(got.drawdown_amount / 100),
        int(result.counters.get("orders_refused", 0)),
        round(took_ms, 1),
        result.digest,
    )


def _prepared(
    row: Named, bars: "BarSet", volatility: str | None, settings: Settings
) -> tuple[str, "Callable[[], RunResult] | str"]:
    """What a row is called, and its run; a text says why there is none."""
    if row.legs:
        if volatility is None:
            return row.name, NEEDS_FILE
        return row.name, _legs(row, bars, volatility, settings)
    from dhanfast.engine.runs import backtest
    from dhanfast.strategies.plugins import find_strategy, graphs_of

    params: dict[str, object] = {}
    label = row.name
    if row.place == "vwap" and not bars.bars["volume"].any():
        params, label = {"weight": "time"}, "vwap weight=time"
    found = find_strategy(row.place, params)
    graphs = graphs_of(found.runner(lambda at_ns, text: None, bars.interval_ns))
    if any("vix" in graph.needs for graph in graphs):
        if volatility is None:
            return label, NEEDS_VIX
        guards = dataclasses.replace(settings.guards, vix_told=1, vix_data=volatility)
        settings = dataclasses.replace(settings, guards=guards)
    return label, lambda: backtest(row.place, bars, params=params, settings=settings)


def _legs(
    row: Named, bars: "BarSet", volatility: str, settings: Settings
) -> "Callable[[], RunResult]":
    from dhanfast.app.legs_file import read_plan
    from dhanfast.engine.chain_source import ModelledChains
    from dhanfast.engine.leg_signals import signals_of
    from dhanfast.engine.legs import backtest_legs
    from dhanfast.engine.premium_model import read_volatilities
    from dhanfast.strategies.structures import read_structure

    asked = "underlying" in read_structure(row.place).params
    plan = read_plan(row.place, {"underlying": bars.symbol} if asked else {})
    told = read_volatilities(volatility, bars.symbol)

    def run() -> "RunResult":
        source = ModelledChains(bars, told, plan.expiries)
        signals = signals_of(plan, source) if plan.signals else None
        return backtest_legs(plan, source, settings, signals=signals)

    return run


def joined_bars(places: Sequence[str], start: Any = None, end: Any = None) -> "BarSet":
    """The bars of one or several files, of one instrument, one after the other.

    Raises:
        UsageError: none is named. BadData: they do not follow each other.
    """
    from dhanfast.storage.bars import join_bars, read_bars

    if not places:
        raise UsageError("--data: name a file of bars, or several of the same instrument")
    if len(places) == 1:
        return read_bars(places[0], start=start, end=end)
    from dhanfast.engine.runs import bars_of

    return bars_of(join_bars([read_bars(place) for place in places]), start, end)


def table_text(rows: Sequence[Row], bars: "BarSet", settings: Settings) -> str:
    """The rows as a table of 80 columns, with what its words mean."""
    from dhanfast.reports.figures import rupees

    def line(cells: Sequence[str]) -> str:
        name, prices, trades, gross, net, fall, took = cells
        text = f"{name:<17} {prices:<8} {trades:>6} {gross:>12} {net:>12} {fall:>12}"
        return f"{text} {took:>7}".rstrip()

    def money(amount: int) -> str:
        return rupees(100 * amount, decimals=0)

    lines = [
        f"{bars.symbol} {bars.timeframe}, {bars.first:%Y-%m-%d} to {bars.last:%Y-%m-%d}, capital "
        f"₹ {rupees(settings.capital, decimals=0)}",
        "",
        line(_HEAD),
        "─" * WIDTH,
    ]
    for row in rows:
        if row.missing:
            lines.append(f"{row.name:<17} {row.missing}")
            continue
        took = f"{row.took_ms:,.0f} ms" if row.took_ms < 10_000 else f"{row.took_ms / 1000:,.1f} s"
        amounts = (money(amount) for amount in (row.gross, row.net, row.fall))
        lines.append(line((row.name, row.prices, f"{row.trades:,}", *amounts, took)))
    lines += ["", *_words({row.prices for row in rows})]
    refused = [f"{row.name} {row.refused}" for row in rows if row.refused]
    if refused:
        lines += ["orders the gate refused, as for want of margin: " + ", ".join(refused)]
    return "\n".join(lines)


def _words(grades: set[str]) -> list[str]:
    """What a reader must know, of what the table has."""
    told = ["Rupees, one lot; net is after charges and slippage."]
    if AT_INDEX in grades:
        told.append("index: the future is modelled as the index level; none was recorded.")
    if "modelled" in grades:
        told.append("modelled: premiums by a formula over the index; no option was ever traded.")
    return [*told, "What these figures can and cannot mean: docs/strategies/README.md"]
