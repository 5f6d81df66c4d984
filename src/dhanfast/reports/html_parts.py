"""Parts of the report page about risk and habit: falls, excursions, hours by weekday, expiry."""

import math

import numpy as np
from numpy.typing import NDArray

from dhanfast.reports import extremes, figures, groups, metrics
from dhanfast.reports.figures import ist, span
from dhanfast.reports.html_cells import MINUS, cell, group_table, money, share, table
from dhanfast.reports.result import RunResult

POINTS_MAX = 3_000
WIDE, HIGH = 560, 240  # of the drawing, in its own units
EDGE = 99.0  # percentile of the trades that the drawing's ends hold; the rest stand on the edge
DASH = "\u2013"


def falls_part(result: RunResult) -> str:
    """The deepest falls of equity."""
    found = extremes.falls(result)
    if not found:
        return ""
    lines = []
    for fall in found:
        back = "not yet" if fall.recovered_ns is None else ist(fall.recovered_ns)
        lines.append(
            f'<tr><th scope="row">{share(fall.fraction)}</th>{cell(-fall.amount)}'
            f"<td>{ist(fall.peak_ns)}</td><td>{ist(fall.trough_ns)}</td><td>{back}</td>"
            f"<td>{span(fall.duration_ns)}</td></tr>"
        )
    head = ("", "Rupees", "From", "Lowest", "Recovered", "Lasted")
    laid = table("Deepest falls of equity", head, lines)
    return (
        '<section id="falls"><h2>Deepest falls</h2><p class="sub">From a peak of equity until it '
        f"is back, marked to market</p>{laid}</section>"
    )


def excursion_part(result: RunResult) -> str:
    """How far trades went against and for their holder, drawn and in figures."""
    if len(result.trades) == 0:
        return ""
    lines = [
        f'<tr><th scope="row">{row.name}</th><td>{row.count:,}</td><td>{_whole(row.mae_mean)}</td>'
        f"<td>{_whole(row.mae_worst)}</td><td>{_whole(row.mfe_mean)}</td>"
        f"<td>{_whole(row.mfe_best)}</td><td>{share(row.captured)}</td></tr>"
        for row in extremes.excursions(result)
    ]
    head = ("", "Trades", "MAE ₹", "Worst ₹", "MFE ₹", "Best ₹", "Kept")
    laid = table("Excursions", head, lines)
    return (
        '<section id="excursions"><h2>How far trades went</h2><p class="sub">MAE and MFE: mean of '
        "the worst and best open result on the way, before charges; kept: gross of the trades by "
        f"their MFE</p>{_scatter(result)}{laid}</section>"
    )


def _whole(paise: float | None) -> str:
    """Rupees without paise."""
    return figures.rupees(paise, decimals=0).replace("-", MINUS)


def _scatter(result: RunResult) -> str:
    """A dot a trade: right is further against its holder, up is more net profit."""
    count = len(result.trades)
    rows = np.arange(count)
    if count > POINTS_MAX:
        rows = np.unique(np.linspace(0, count - 1, POINTS_MAX).astype(np.int64))
    against = -result.trades["mae"][rows].astype(np.float64)
    net = metrics.trade_net(result.trades)[rows] / metrics.UPAISE
    right = max(1.0, float(np.percentile(against, EDGE)))
    low, high = (float(np.percentile(net, edge)) for edge in (100 - EDGE, EDGE))
    low, high = min(low, 0.0), max(high, 0.0)
    tall = max(1.0, high - low)
    x = 6 + (WIDE - 12) * np.clip(against / right, 0, 1)
    y = HIGH - 6 - (HIGH - 12) * np.clip((net - low) / tall, 0, 1)
    zero = HIGH - 6 - (HIGH - 12) * (0 - low) / tall
    dots = "".join(
        f'<path class="{name}" d="{_dots(x[mask], y[mask])}"/>'
        for name, mask in (("lost", net < 0), ("won", net >= 0))
        if mask.any()
    )
    shown = "" if count <= POINTS_MAX else f", {len(rows):,} of {count:,} shown"
    words = f"Net result of each trade by its worst open loss{shown}"
    return (
        f'<svg class="dots" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{words}">'
        f'<line x1="0" x2="{WIDE}" y1="{zero:.1f}" y2="{zero:.1f}"/>{dots}</svg>'
        f'<div class="hist-axis"><span>no open loss</span><span>{words.lower()}</span>'
        f"<span>{MINUS}{money(round(right / 100) * 100).removesuffix('.00')}</span></div>"
    )


def _dots(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Points as a path of strokes without length: round line ends make them dots."""
    places = sorted({(round(a), round(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)})
    return "".join(f"M{a} {b}h0" for a, b in places)


def heat_part(result: RunResult) -> str:
    """Net result by hour and weekday of entry."""
    trades = result.trades
    if len(trades) == 0:
        return ""
    hours = figures.ist_hours(trades["entry_ns"])
    days = (figures.ist_days(trades["entry_ns"]) + 3) % 7
    net = metrics.trade_net(trades) / metrics.UPAISE
    columns = sorted({*range(5), *np.unique(days).tolist()})
    table_of = {
        (hour, day): (int(mask.sum()), float(net[mask].sum()))
        for hour in np.unique(hours).tolist()
        for day in columns
        if (mask := (hours == hour) & (days == day)).any()
    }
    most = max(abs(total) for _, total in table_of.values())
    lines = []
    for hour in np.unique(hours).tolist():
        cells = "".join(_heat_cell(table_of.get((hour, day)), most) for day in columns)
        lines.append(f'<tr><th scope="row">{hour:02d}:00</th>{cells}</tr>')
    laid = table(
        "Net by hour and weekday", ("", *(figures.WEEKDAYS[day][:3] for day in columns)), lines
    )
    return (
        '<section class="months" id="heat"><h2>Hours and weekdays</h2><p class="sub">Net result of '
        f"the trades that were entered then, Indian time, and their number</p>{laid}</section>"
    )


def _heat_cell(found: tuple[int, float] | None, most: float) -> str:
    if found is None:
        return f'<td class="empty">{DASH}</td>'
    count, total = found
    deep = 0.06 + 0.32 * math.sqrt(abs(total) / most) if most and total else 0.0
    wash = "good" if total > 0 else "bad"
    paint = f' style="background:rgba(var(--{wash}-wash),{deep:.2f})"' if deep else ""
    text = figures.rupees(total, decimals=0).replace("-", MINUS)
    return f"<td{paint}>{text}<small>{count:,}</small></td>"


def expiry_part(result: RunResult) -> str:
    """Trades by days to expiry; nothing for what never expires."""
    rows = groups.by_expiry(result)
    if [row.name for row in rows] in ([], ["no expiry"]):
        return ""
    return group_table("Days to expiry", "Calendar days from entry to expiry", rows)
