"""A run taken apart, as text and as plain data: what `dhanfast backtest analyse` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from dhanfast.reports import extremes, figures
from dhanfast.reports.figures import ist, percent, rupees, span
from dhanfast.reports.groups import Group
from dhanfast.reports.result import RunResult
from dhanfast.reports.summary import group_dicts, summary
from dhanfast.reports.terminal import banner, group_lines, month_lines, table_lines

TITLES = {
    "entry": "BY ENTRY REASON",
    "exit": "BY EXIT REASON",
    "side": "BY SIDE",
    "hour": "BY HOUR OF ENTRY (IST)",
    "weekday": "BY WEEKDAY OF ENTRY",
    "expiry": "BY DAYS TO EXPIRY",
    "vix": "BY INDIA VIX AT ENTRY",
}


def analysis_text(
    result: RunResult, tables: Mapping[str, Sequence[Group]], *, months: bool = False,
    width: int = 80,
) -> str:  # fmt: skip
    """Lay out the tables, the deepest falls and the excursions.

    Args:
        tables: {one of TITLES: its groups}. months: also the months. width: columns.
    """
    dates = [figures.iso_date(int(result.days["date"][at])) for at in (0, -1) if len(result.days)]
    title = f"{result.strategy} on {result.symbol}, {result.timeframe}, {' to '.join(dates)}"
    lines = [*banner(result, width), title[:width], ""]
    for name, rows in tables.items():
        lines += group_lines(f"{TITLES[name]} (net of charges)", list(rows), width)
    if months:
        lines += month_lines(result, width)
    return "\n".join([*lines, *_falls(result, width), *_excursions(result, width)]).rstrip()


def _falls(result: RunResult, width: int) -> list[str]:
    rows = [
        (
            percent(fall.fraction), rupees(-fall.amount), ist(fall.peak_ns)[:10],
            ist(fall.trough_ns)[:10],
            "not yet" if fall.recovered_ns is None else ist(fall.recovered_ns)[:10],
            span(fall.duration_ns),
        )
        for fall in extremes.falls(result)
    ]  # fmt: skip
    if not rows:
        return []
    head = ("", "Rupees", "From", "Lowest", "Recovered", "Lasted")
    return table_lines("DEEPEST FALLS OF EQUITY", head, rows, width)


def _excursions(result: RunResult, width: int) -> list[str]:
    rows = [
        (
            row.name, f"{row.count:,}", rupees(row.mae_mean), rupees(row.mae_worst),
            rupees(row.mfe_mean), rupees(row.mfe_best), percent(row.captured),
        )
        for row in extremes.excursions(result)
        if row.count
    ]  # fmt: skip
    if not rows:
        return []
    head = ("", "Trades", "MAE ₹", "Worst ₹", "MFE ₹", "Best ₹", "Kept")
    return table_lines("HOW FAR TRADES WENT (means; before charges)", head, rows, width)


def analysis_dict(
    result: RunResult, tables: Mapping[str, Sequence[Group]], *, months: bool = False
) -> dict[str, Any]:
    """JSON-able; money as in `summary`."""
    whole = summary(result)
    out: dict[str, Any] = {name: whole[name] for name in
                           ("strategy", "symbol", "timeframe", "from", "to", "trades",
                            "warnings")}  # fmt: skip
    out |= {f"by_{name}": group_dicts(list(rows)) for name, rows in tables.items()}
    if months:
        out["by_month"] = whole["by_month"]
    return out | {name: whole[name] for name in ("drawdowns", "excursions")}
