"""The report as one HTML page: opens offline, asks nobody for anything, reads on a phone.

Every figure is in the page as text; charts and the trade list are drawn from JSON in the page by
static/report.js with uPlot (MIT, vendored beside it). A content security policy in the page
forbids every outside load, so the promise does not rest on us alone.
"""

import functools
import html
import importlib.resources
import json
import math
from typing import Any

import numpy as np

from dhanfast.reports import figures, groups, metrics, series, slippage
from dhanfast.reports.figures import iso_date, ist, percent, ratio, span
from dhanfast.reports.html_cells import MINUS, group_table, money, plain, share, table, tone
from dhanfast.reports.html_hedges import hedge_part
from dhanfast.reports.html_parts import excursion_part, expiry_part, falls_part, heat_part
from dhanfast.reports.html_signals import signals_part
from dhanfast.reports.result import RunResult
from dhanfast.reports.summary import warnings
from dhanfast.reports.terminal import CHARGE_NAMES

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
HISTOGRAM_BINS = 36
TIMES, DASH, EARLIER, LATER = "\u00d7", "\u2013", "\u2039", "\u203a"
TRADE_HEADS = (
    ("number", "#"), ("side", "Side"), ("enter", "Entered (IST)"), ("leave", "Left (IST)"),
    ("held", "Held"), ("contract", "Expiry"), ("qty", "Units"), ("entry", "Entry ₹"),
    ("exit", "Exit ₹"), ("gross", "Gross ₹"), ("charges", "Charges ₹"), ("net", "Net ₹"),
    ("why", "Ended by"),
)  # fmt: skip


@functools.cache
def _asset(name: str) -> str:
    place = importlib.resources.files("dhanfast.reports").joinpath("static", name)
    return place.read_text("utf-8").strip()


def _header(result: RunResult, got: metrics.Metrics) -> str:
    told = warnings(result)
    banner = ""
    if told:
        lines = "".join(f"<p>{html.escape(text)}</p>" for text in told)
        banner = f'<div class="banner" role="note">{lines}</div>'
    net = got.final_equity - got.capital
    grade = f", premiums {html.escape(result.grade)}" if result.grade else ""
    return (
        f'<header class="top"><div><h1>{html.escape(result.strategy)} on '
        f'{html.escape(result.symbol)}</h1><p class="sub">Trading {html.escape(result.traded)}, '
        f"{html.escape(result.timeframe)} bars, {iso_date(got.first_date)} to "
        f"{iso_date(got.last_date)}, {got.days.count} trading days{grade}</p></div>"
        f'<div class="hero"><span class="sub">Net profit after charges</span>'
        f'<b class="{tone(net)}" id="net">{money(got.net)}</b>'
        f'<span class="sub">{share(got.total_return, sign=True)} on {money(got.capital)}</span>'
        f"</div></header><main>{banner}"
    )


def _cards(got: metrics.Metrics) -> str:
    trades, days, fall = got.trades, got.days, got.drawdown
    per_day = trades.count / days.count if days.count else None
    deepest = f"{ist(fall.peak_ns)[:10]} to {ist(fall.trough_ns)[:10]}" if fall else "never fell"
    part = share(got.charges_of_gross)
    gross_hint = f"charges take {part}" if got.gross > 0 else "before charges"
    tiles = [
        ("Gross profit", money(got.gross), gross_hint),
        ("Charges", money(got.charges_total), "as billed, day by day"),
        ("Sharpe", plain(got.sharpe), f"risk-free {percent(got.risk_free)}, on capital"),
        ("Sortino", plain(got.sortino), f"volatility {percent(got.volatility)} a year"),
        ("Max drawdown", share(fall.fraction if fall else 0.0), deepest),
        ("CAGR", share(got.cagr), f"Calmar {plain(got.calmar)}"),
        ("Trades", f"{trades.count:,}", f"{ratio(per_day)} a day"),
        ("Win rate", share(trades.win_rate), f"{trades.wins:,} won, {trades.losses:,} lost"),
        ("Profit factor", plain(trades.profit_factor), f"payoff {plain(trades.payoff)}"),
        ("Expectancy", money(trades.expectancy), "mean net of a trade"),
        ("Exposure", share(got.exposure), f"held {span(trades.held_mean_ns)} on average"),
        ("Turnover", f"{ratio(got.turnover_ratio, 1)}{TIMES}", "the capital, bought and sold"),
    ]
    return (
        '<dl class="cards">'
        + "".join(
            f"<div><dt>{name}</dt><dd>{value}<small>{hint}</small></dd></div>"
            for name, value, hint in tiles
        )
        + "</dl>"
    )


def _equity(result: RunResult, got: metrics.Metrics) -> str:
    if len(result.equity) == 0:
        return "<section><h2>Equity</h2><p>The run has no equity rows.</p></section>"
    fall = got.drawdown
    words = "Equity never fell below an earlier peak."
    if fall:
        back = "not recovered" if fall.recovered_ns is None else f"back {ist(fall.recovered_ns)}"
        words = (
            f"Deepest fall {share(fall.fraction)} ({money(fall.amount)}), {ist(fall.peak_ns)} to "
            f"{ist(fall.trough_ns)} IST, {back}; it lasted {span(fall.duration_ns)}."
        )
    ends = f"Equity from {money(got.capital)} to {money(got.final_equity)}"
    return (
        '<section><div class="head"><h2>Equity and drawdown</h2>'
        '<span class="readout" id="equity-readout">Drag to zoom, double-click for all</span></div>'
        f'<div class="chart" id="equity" role="img" aria-label="{ends}"></div>'
        f'<div class="chart" id="drawdown" role="img" aria-label="{words}"></div>'
        f'<p class="note">{words} Dashed line: capital. Marked to market after charges.</p>'
        "</section>"
    )


def _price(result: RunResult) -> str:
    if result.bars is None or len(result.bars) == 0:
        return ""
    size = series.merged_bars(result.bars, series.BARS_MAX)[1]
    merged = f" One step of the chart is {size} bars." if size > 1 else ""
    shown = min(len(result.trades), series.TRADES_MAX)
    some = f" Only the first {shown:,} trades are marked." if shown < len(result.trades) else ""
    spans = ((1, "1 day"), (5, "1 week"), (21, "1 month"), (63, "3 months"), (0, "All"))
    buttons = "".join(
        f'<button type="button" data-days="{days}" aria-pressed="{str(not days).lower()}">{name}'
        "</button>"
        for days, name in spans
    )
    return (
        f'<section><div class="head"><h2>Trades on {html.escape(result.traded)}</h2>'
        '<span class="readout" id="price-readout">Drag to zoom, double-click for all</span></div>'
        '<div class="head"><div class="tools" id="price-tools">'
        f'<button type="button" data-turn="-1" aria-label="Earlier">{EARLIER}</button>'
        f'<button type="button" data-turn="1" aria-label="Later">{LATER}</button>{buttons}</div>'
        '<div class="key"><span>▲ long entry</span><span>▼ short entry</span>'
        "<span>○ exit</span>"
        '<span class="good">net win</span><span class="bad">net loss</span></div></div>'
        '<div class="chart" id="price" role="img" aria-label="Price with the entry and exit of '
        f'each trade"></div><p class="note">Nights and holidays take no room.{merged}{some}</p>'
        "</section>"
    )


def _month_cell(month: groups.Month | None, most: float) -> str:
    if month is None:
        return f'<td class="empty">{DASH}</td>'
    deep = 0.08 + 0.30 * min(1.0, abs(month.pnl) / most) if month.pnl and most else 0.0
    wash = "good" if month.pnl > 0 else "bad"
    paint = f' style="background:rgba(var(--{wash}-wash),{deep:.2f})"' if deep else ""
    text = figures.rupees(month.pnl, decimals=0).replace("-", MINUS)
    return f"<td{paint}>{text}<small>{share(month.fraction)}</small></td>"


def _months(result: RunResult) -> str:
    rows = groups.by_month(result)
    if not rows:
        return ""
    most = max(abs(row.pnl) for row in rows)
    start, lines = result.capital, []
    for year in sorted({row.year for row in rows}):
        mine = {row.month: row for row in rows if row.year == year}
        total = sum(row.pnl for row in mine.values())
        cells = "".join(_month_cell(mine.get(month), most) for month in range(1, 13))
        whole = figures.rupees(total, decimals=0).replace("-", MINUS)
        part = share(total / start if start > 0 else None)
        lines.append(
            f'<tr><th scope="row">{year}</th>{cells}'
            f'<td class="{tone(total)}"><b>{whole}</b><small>{part}</small></td></tr>'
        )
        start += total
    laid = table("Net profit by month", ("Year", *figures.MONTHS, "Year"), lines)
    return (
        '<section class="months"><h2>Months</h2><p class="sub">Net profit in rupees, and in per '
        f"cent of the equity the month began with</p>{laid}</section>"
    )


def _round_step(width: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten that is at least `width`."""
    power = 10.0 ** math.floor(math.log10(width))
    return next(power * unit for unit in (1, 2, 2.5, 5, 10) if power * unit >= width * 0.999999)


def histogram(result: RunResult) -> tuple[list[int], list[float]]:
    """Count the trades by net profit, in bins of a round width with an edge at zero.

    The outer bins hold everything beyond the 0.5 and 99.5 percentiles, so that one trade does not
    flatten the picture; no trade is left out.

    Units:
        edges in rupees, one more than counts.
    """
    net = metrics.trade_net(result.trades) / (100.0 * metrics.UPAISE)
    low, high = np.percentile(net, (0.5, 99.5))
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    step = _round_step(max((high - low) / HISTOGRAM_BINS, 1.0))
    edges = np.arange(math.floor(low / step), math.ceil(high / step) + 1) * step
    if len(edges) < 2:
        edges = np.array([0.0, step])
    at = np.clip(np.floor(net / step) - edges[0] / step, 0, len(edges) - 2).astype(np.int64)
    return np.bincount(at, minlength=len(edges) - 1).tolist(), edges.tolist()


def _distribution(result: RunResult, got: metrics.Metrics) -> str:
    if len(result.trades) == 0:
        return "<section><h2>Profit of each trade</h2><p>No trades.</p></section>"
    counts, edges = histogram(result)
    most = max(counts)
    bars = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        kind = ' class="loss"' if right <= 0 else ""
        tip = f"{money(100 * left)} to {money(100 * right)}: {count} trades"
        bars.append(f'<i{kind} style="height:{100 * count / most:.1f}%" title="{tip}"></i>')
    trades = got.trades
    mean = (trades.expectancy or 0.0) / 100
    where = 100 * (mean - edges[0]) / (edges[-1] - edges[0])
    mark = f'<u style="left:{where:.1f}%" title="mean {money(trades.expectancy)}"></u>'
    ends = [money(round(100 * edge)).removesuffix(".00") for edge in (edges[0], edges[-1])]
    words = f"{trades.count} trades, mean {money(trades.expectancy)}"
    pairs = [
        ("Best trade", money(trades.best)), ("Worst trade", money(trades.worst)),
        ("Mean win", money(trades.win_mean)), ("Mean loss", money(trades.loss_mean)),
        ("Longest streak of wins, losses", f"{trades.win_streak}, {trades.loss_streak}"),
        ("Held, median (longest)", f"{span(trades.held_median_ns)} ({span(trades.held_max_ns)})"),
    ]  # fmt: skip
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs)
    return (
        '<section><h2>Profit of each trade</h2><p class="sub">Net of charges; dashed line: mean; '
        f'the outer bars hold the tails</p><div class="hist" role="img" aria-label="{words}">'
        f'{"".join(bars)}{mark}</div><div class="hist-axis"><span>{ends[0]}</span>'
        f'<span>{ends[1]}</span></div><dl class="pairs" style="margin-top:14px">{listed}</dl>'
        "</section>"
    )


def _charges(got: metrics.Metrics) -> str:
    total = got.charges_total
    lines = []
    for name, paise in got.charges.items():
        part = paise / total if total else None
        width = 60 * part if part else 0.0
        lines.append(
            f'<tr><th scope="row">{CHARGE_NAMES[name]}</th><td>{money(paise)}</td>'
            f'<td class="text">{share(part)}<span class="bar" style="width:{width:.0f}px"></span>'
            "</td></tr>"
        )
    words = f"{share(got.charges_of_gross)} of gross" if got.gross > 0 else "gross was no profit"
    foot = (
        f'<tr><th scope="row">Total</th><td id="charges">{money(total)}</td>'
        f'<td class="text">{words}</td></tr>'
    )
    laid = table("Charges", ("", "Rupees", "|Share"), lines, foot)
    return (
        '<section><h2>Charges</h2><p class="sub">Day by day, rounded as brokers bill</p>'
        f"{laid}</section>"
    )


def _slippage(result: RunResult) -> str:
    costs = slippage.run_costs(result)
    if costs is None or len(costs.measured) == 0:
        return ""
    whole, lines = slippage.measure(costs), []
    for name, slips in slippage.tables(costs).items():
        words = f"<b>By {name}</b>"
        lines.append(f'<tr><th scope="rowgroup" colspan="9" class="text">{words}</th></tr>')
        lines += [_slip_row(slip) for slip in slips]
    head = (
        "", "Orders", "Cost", "Points a unit", "Median", "95 %", "Basis points", "Delay",
        "Execution",
    )  # fmt: skip
    laid = table("Slippage", head, lines, _slip_row(whole))
    missed = ""
    if whole.unfilled:
        missed = (
            f" {whole.unfilled:,} entries did not fill wholly; at the mark when they ended that "
            f"cost {money(whole.opportunity)} more, which is not in the table."
        )
    return (
        '<section id="slippage"><h2>Slippage</h2><p class="sub">What orders cost against the '
        "price they were decided on; positive is a cost. Delay: until the order was in the market; "
        "execution: what the market then took. The market at arrival is known of "
        f"{whole.arrived:,} of {whole.orders:,} orders; of the others all is execution.{missed}"
        f"</p>{laid}</section>"
    )


def _slip_row(slip: slippage.Slip) -> str:
    points = "".join(
        f"<td>{plain(value)}</td>" for value in (slip.weighted, slip.median, slip.p95, slip.bps)
    )
    return (
        f'<tr><th scope="row">{html.escape(slip.name.replace("_", " "))}</th>'
        f"<td>{slip.orders:,}</td>{_cost(slip.total)}{points}{_cost(slip.delay)}"
        f"{_cost(slip.execution)}</tr>"
    )


def _cost(paise: float) -> str:
    """A cell of money where more is worse."""
    return f'<td class="{tone(-paise)}">{money(paise)}</td>'


def _days(got: metrics.Metrics) -> str:
    days, trades = got.days, got.trades
    pairs = [
        ("Best day", f"{money(days.best)} ({iso_date(days.best_date)})"),
        ("Worst day", f"{money(days.worst)} ({iso_date(days.worst_date)})"),
        ("Days won, drawn, lost", f"{days.wins}, {days.draws}, {days.losses}"),
        ("Longest streak of days won, lost", f"{days.win_streak}, {days.loss_streak}"),
        ("Long trades", f"{trades.longs:,}, net {money(trades.long_net)}"),
        ("Short trades", f"{trades.shorts:,}, net {money(trades.short_net)}"),
        ("Worst open loss of a trade, mean", money(trades.mae_mean)),
        ("Best open profit of a trade, mean", money(trades.mfe_mean)),
        ("Largest fall of equity", money(got.drawdown_amount)),
        ("Bought and sold", money(got.turnover)),
    ]
    if got.open_pnl:
        pairs.append(("Left open at the end", money(got.open_pnl)))
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs)
    return f'<section><h2>Days and trades</h2><dl class="pairs">{listed}</dl></section>'


def _trade_list(result: RunResult) -> str:
    if len(result.trades) == 0:
        return ""
    heads = "".join(
        f'<th scope="col" data-key="{key}"{" class=text" if key in ("side", "why") else ""}>'
        f'<button type="button">{name}</button></th>'
        for key, name in TRADE_HEADS
    )
    shown = min(len(result.trades), series.TRADES_MAX)
    which = "all" if shown == len(result.trades) else f"the first {shown:,} of"
    return (
        f'<section><h2>Trades</h2><p class="sub">{which.capitalize()} {len(result.trades):,}; '
        "click a column to sort, a number to see the trade on the price. All are in "
        'trades.parquet.</p><div class="scroll" role="region" tabindex="0" '
        'aria-label="List of trades"><table id="trades"><thead><tr>'
        f'{heads}</tr></thead><tbody></tbody></table></div><button type="button" class="more" '
        'id="more-trades" hidden></button><noscript>The list and the charts need JavaScript; the '
        "same trades are in trades.parquet.</noscript></section>"
    )


def _origin(result: RunResult) -> str:
    def block(name: str, value: object) -> str:
        text = html.escape(json.dumps(value, indent=2, ensure_ascii=False))
        return f"<details><summary>{name}</summary><pre>{text}</pre></details>"

    bars = result.counters.get("bars", 0)
    each = f", {result.kernel_ns / bars:.1f} ns a bar" if bars else ""
    return (
        "<section><h2>How it was made</h2>"
        f'<p class="sub">{bars:,} bars, {result.kernel_ns / 1e6:.2f} ms in the kernel{each}. '
        "The digest covers inputs and decisions: the same run gives the same digest anywhere."
        f'</p><p class="digest" id="digest">{html.escape(result.digest)}</p>'
        f"{block('Configuration', result.config)}{block('Data', result.data)}"
        f"{block('Counters', result.counters)}{block('Versions', result.versions)}</section>"
    )


def _page_data(result: RunResult) -> str:
    data: dict[str, Any] = {
        "equity": series.equity_series(result),
        "price": series.price_series(result),
        "trades": series.trade_rows(result),
    }
    codes = sorted(set(result.trades["exit_reason"].tolist()))
    data["reasons"] = {code: figures.reason_name(code) for code in codes}
    # "<" cannot end the script element, and no line separator can end a line of it
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def report_page(result: RunResult, *, risk_free: float = 0.0) -> str:
    """Make the report of a run as one HTML page.

    Args:
        result: the run.
        risk_free: yearly risk-free rate of Sharpe and Sortino.

    Raises:
        ValueError: the capital is not positive, or risk_free is not finite.
    """
    got = metrics.measure(result, risk_free=risk_free)
    title = html.escape(f"{result.strategy} on {result.symbol}")
    body = (
        _header(result, got) + _cards(got) + _equity(result, got) + falls_part(result)
        + _months(result) + _price(result)
        + f'<div class="split"><div>{_distribution(result, got)}{_days(got)}</div><div>'
        + group_table("Exit reasons", "Net of charges", groups.by_exit_reason(result))
        + _charges(got) + '</div></div><div class="split">'
        + group_table("Hour of entry", "Indian time", groups.by_hour(result))
        + group_table("Weekday of entry", "Indian time", groups.by_weekday(result))
        + '</div><div class="split"><div>' + excursion_part(result) + "</div><div>"
        + heat_part(result) + expiry_part(result) + "</div></div>"
        + signals_part(result) + hedge_part(result) + _slippage(result) + _trade_list(result)
        + _origin(result)
    )  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_asset('uplot.min.css')}\n{_asset('report.css')}</style>"
        f"</head><body>{body}</main><footer>dhanfast report. Times are Indian (IST). Charts by "
        "uPlot, MIT licence, © Leon Sorokin.</footer>"
        f'<script type="application/json" id="data">{_page_data(result)}</script>'
        f"<script>{_asset('uplot.min.js')}</script><script>{_asset('report.js')}</script>"
        "</body></html>\n"
    )
