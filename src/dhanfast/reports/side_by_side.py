"""The figures of several runs beside each other."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dhanfast.reports import metrics
from dhanfast.reports.figures import iso_date, percent, ratio, rupees, span
from dhanfast.reports.metrics import Metrics
from dhanfast.reports.result import RunResult
from dhanfast.reports.summary import warnings

LABEL = 22


@dataclass(frozen=True)
class Row:
    """One figure of every run.

    Attributes:
        values: as numbers or text, None where it is not defined. texts: as they are printed.
    """

    name: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]


def _money(paise: float | None) -> str:
    return rupees(paise)


def _count(value: float | None) -> str:
    return f"{value:,}"


FIGURES: tuple[tuple[str, Callable[[Metrics], Any], Callable[[Any], str]], ...] = (
    ("first day", lambda got: got.first_date, iso_date),
    ("last day", lambda got: got.last_date, iso_date),
    ("days", lambda got: got.days.count, _count),
    ("capital ₹", lambda got: got.capital, _money),
    ("net ₹", lambda got: got.net, _money),
    ("gross ₹", lambda got: got.gross, _money),
    ("charges ₹", lambda got: got.charges_total, _money),
    ("return", lambda got: got.total_return, percent),
    ("CAGR", lambda got: got.cagr, percent),
    ("Sharpe", lambda got: got.sharpe, ratio),
    ("Sortino", lambda got: got.sortino, ratio),
    ("Calmar", lambda got: got.calmar, ratio),
    ("volatility", lambda got: got.volatility, percent),
    ("max drawdown", lambda got: got.drawdown.fraction if got.drawdown else 0.0, percent),
    ("largest fall ₹", lambda got: got.drawdown_amount, _money),
    ("trades", lambda got: got.trades.count, _count),
    ("win rate", lambda got: got.trades.win_rate, percent),
    ("profit factor", lambda got: got.trades.profit_factor, ratio),
    ("expectancy ₹", lambda got: got.trades.expectancy, _money),
    ("payoff", lambda got: got.trades.payoff, ratio),
    ("mean MAE ₹", lambda got: got.trades.mae_mean, _money),
    ("mean MFE ₹", lambda got: got.trades.mfe_mean, _money),
    ("held, mean", lambda got: got.trades.held_mean_ns, span),
    ("exposure", lambda got: got.exposure, percent),
    ("turnover, capitals", lambda got: got.turnover_ratio, lambda value: ratio(value, 1)),
)


def figures_of(runs: Sequence[RunResult], risk_free: float = 0.0) -> list[Row]:
    """Every figure of every run, in one order.

    Units:
        as `metrics.Metrics`: money in paise, fractions.

    Raises:
        ValueError: a capital is not positive, or risk_free is not finite.
    """
    measured = [metrics.measure(run, risk_free=risk_free) for run in runs]
    rows = [
        Row("strategy", *(2 * (tuple(run.strategy for run in runs),))),
        Row("traded", *(2 * (tuple(run.traded for run in runs),))),
        Row("timeframe", *(2 * (tuple(run.timeframe for run in runs),))),
    ]
    for name, value_of, text_of in FIGURES:
        values = tuple(value_of(got) for got in measured)
        rows.append(Row(name, values, tuple(text_of(value) for value in values)))
    return rows


def side_by_side(
    runs: Sequence[RunResult], labels: Sequence[str], width: int = 80, *, risk_free: float = 0.0
) -> str:
    """Lay the figures of runs out in columns.

    Args:
        labels: what to call them. width: columns.
    """
    room = (width - LABEL) // len(runs)
    lines = []
    for letter, run, label in zip("ABCDEFGH", runs, labels, strict=False):
        lines += textwrap.wrap(f"{letter}  {label}", width, subsequent_indent="   ")
        for told in warnings(run)[:1]:
            lines += textwrap.wrap(told, width, initial_indent="   ! ", subsequent_indent="     ")
    heads = "ABCDEFGH"[: len(runs)]
    lines += ["", f"{'':<{LABEL}}" + "".join(f"{letter:>{room}}" for letter in heads)]
    for row in figures_of(runs, risk_free):
        cells = "".join(f"{text[: room - 1]:>{room}}" for text in row.texts)
        lines.append(f"{row.name:<{LABEL}}{cells}")
    return "\n".join(lines)
