"""A run as plain text tables that fit a terminal: what `dhanfast backtest` prints.

Order: warnings, by exit reason, by side, months, summary, charges, slippage and orders, what
made the run. Every figure comes from `metrics`; nothing is computed here.
"""

import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from dhanfast.reports import figures, groups, hedges, metrics, slippage
from dhanfast.reports.figures import iso_date, ist, percent, ratio, rupees, span
from dhanfast.reports.result import RunResult
from dhanfast.reports.signals import means
from dhanfast.reports.summary import warnings

WIDTH_MIN = 60
NAME_MIN = 10  # columns a table keeps for the names of its rows
PLAIN = str.maketrans({"₹": "Rs", "─": "-", "…": "~", "·": "-"})  # for streams that are not Unicode
CHARGE_NAMES = {
    "brokerage": "Brokerage",
    "exchange": "Exchange transaction charge",
    "sebi": "SEBI turnover fee",
    "ipft": "Investor protection fund",
    "stamp": "Stamp duty",
    "stt": "Securities transaction tax",
    "gst": "GST",
}


def _titled(title: str, width: int) -> str:
    return f"{title} ".ljust(width, "─")


def table_lines(
    title: str, head: Sequence[str], rows: Iterable[Sequence[str]], width: int
) -> list[str]:
    """Lay out a table: the first column to the left, the others to the right, full width.

    Columns that do not fit beside a first column of NAME_MIN are left out, the last ones first.
    """
    cells = [list(head), *[list(row) for row in rows]]
    sizes = [max(len(row[column]) for row in cells) for column in range(len(head))]
    while sum(sizes[1:]) + 2 * (len(sizes) - 1) + NAME_MIN > width:
        sizes.pop()
    sizes[0] = width - sum(sizes[1:]) - 2 * (len(sizes) - 1)
    lines = [_titled(title, width)]
    for row in cells:
        name = row[0] if len(row[0]) <= sizes[0] else row[0][: sizes[0] - 1] + "…"
        texts = [name.ljust(sizes[0])]
        texts += [text.rjust(size) for text, size in zip(row[1:], sizes[1:], strict=False)]
        lines.append("  ".join(texts).rstrip())
    return [*lines, ""]


def _pairs(title: str, pairs: Iterable[tuple[str, str]], width: int) -> list[str]:
    """Lay out names and values, the values to the right; a long value goes on its own lines."""
    lines = [_titled(title, width)]
    for name, value in pairs:
        room = width - len(name) - 2
        if len(value) <= room:
            lines.append(f"{name}  {value.rjust(room)}")
            continue
        lines.append(name)
        lines += textwrap.wrap(value, width - 2, initial_indent="  ", subsequent_indent="  ")
    return [*lines, ""]


def banner(result: RunResult, width: int) -> list[str]:
    """What must be known before any figure; nothing when there is nothing to know."""
    lines: list[str] = []
    for text in warnings(result):
        lines += textwrap.wrap(text, width, initial_indent="! ", subsequent_indent="  ")
    return [*lines, ""] if lines else []


def group_lines(title: str, rows: list[groups.Group], width: int) -> list[str]:
    """Lay out groups of trades; nothing when there are none."""
    if not rows:
        return []
    cells = [
        (
            row.name,
            str(row.count),
            percent(row.win_rate),
            rupees(row.net),
            rupees(row.expectancy),
            span(row.held_mean_ns),
        )
        for row in rows
    ]
    return table_lines(title, ("", "Trades", "Won", "Net ₹", "Mean ₹", "Held"), cells, width)


def month_lines(result: RunResult, width: int) -> list[str]:
    """Lay out the months of a run."""
    rows = [
        (
            f"{figures.MONTHS[row.month - 1]} {row.year}",
            str(row.trades),
            rupees(row.gross),
            rupees(row.charges),
            rupees(row.pnl),
            percent(row.fraction),
        )
        for row in groups.by_month(result)
    ]
    if not rows:
        return []
    head = ("", "Trades", "Gross ₹", "Charges ₹", "Net ₹", "Net %")
    return table_lines("BY MONTH", head, rows, width)


def _money_pairs(got: metrics.Metrics) -> list[tuple[str, str]]:
    pairs = [
        ("Capital", rupees(got.capital)),
        ("Final equity", rupees(got.final_equity)),
        ("Gross profit", rupees(got.gross)),
        ("Charges", rupees(got.charges_total)),
        ("Net profit", f"{rupees(got.net)} ({percent(got.total_return)})"),
    ]
    if got.open_pnl:
        pairs.append(("Left open at the end", rupees(got.open_pnl)))
    fall = got.drawdown
    pairs += [
        ("CAGR", percent(got.cagr)),
        (f"Sharpe (risk-free {percent(got.risk_free)}, on capital)", ratio(got.sharpe)),
        ("Sortino", ratio(got.sortino)),
        ("Calmar", ratio(got.calmar)),
        ("Volatility, yearly", percent(got.volatility)),
        ("Max drawdown", f"{percent(fall.fraction if fall else 0.0)}"),
        ("Largest fall", rupees(got.drawdown_amount)),
    ]
    if fall:
        back = "not recovered" if fall.recovered_ns is None else ist(fall.recovered_ns)
        pairs += [
            ("  from, to", f"{ist(fall.peak_ns)}, {ist(fall.trough_ns)}"),
            ("  recovered, lasted", f"{back}, {span(fall.duration_ns)}"),
        ]
    return pairs


def _trade_pairs(got: metrics.Metrics) -> list[tuple[str, str]]:
    trades, days = got.trades, got.days
    per_day = trades.count / days.count if days.count else None
    return [
        ("Trades, per day", f"{trades.count:,}, {ratio(per_day)}"),
        ("Long, short", f"{trades.longs:,}, {trades.shorts:,}"),
        ("Won, drawn, lost", f"{trades.wins:,}, {trades.draws:,}, {trades.losses:,}"),
        ("Win rate", percent(trades.win_rate)),
        ("Profit factor", ratio(trades.profit_factor)),
        ("Expectancy of a trade", rupees(trades.expectancy)),
        ("Mean win, mean loss", f"{rupees(trades.win_mean)}, {rupees(trades.loss_mean)}"),
        ("Payoff (mean win / mean loss)", ratio(trades.payoff)),
        ("Best, worst trade", f"{rupees(trades.best)}, {rupees(trades.worst)}"),
        ("Best day", f"{rupees(days.best)} ({iso_date(days.best_date)})"),
        ("Worst day", f"{rupees(days.worst)} ({iso_date(days.worst_date)})"),
        ("Days won, drawn, lost", f"{days.wins}, {days.draws}, {days.losses}"),
        ("Longest streak of wins, losses", f"{trades.win_streak}, {trades.loss_streak}"),
        ("Held: mean, median", f"{span(trades.held_mean_ns)}, {span(trades.held_median_ns)}"),
        ("Held: winners, losers", f"{span(trades.held_win_mean_ns)}, "
                                  f"{span(trades.held_loss_mean_ns)}"),
        ("Exposure (bars with a position)", percent(got.exposure)),
        ("Turnover", f"{rupees(got.turnover)} ({ratio(got.turnover_ratio, 1)} x capital)"),
    ]  # fmt: skip


def _charges(got: metrics.Metrics, width: int) -> list[str]:
    total = got.charges_total
    rows = [
        (CHARGE_NAMES[name], rupees(paise), percent(paise / total if total else None))
        for name, paise in got.charges.items()
    ]
    rows.append(("Total", rupees(total), percent(got.charges_of_gross) + " of gross"))
    return table_lines("CHARGES (day by day, rounded as billed)", ("", "₹", "Share"), rows, width)


def _margin(result: RunResult, width: int) -> list[str]:
    """What positions of options have blocked, estimated; nothing without an estimate."""
    told = result.margin
    if not told:
        return []
    error = f"{told['error_low_pct']:+d} % to {told['error_high_pct']:+d} %"
    pairs = [
        ("Most, at an entry", f"{rupees(100 * told['peak'])} ({told['peak_date']})"),
        ("Mean of the entries", rupees(100 * told["mean"])),
        ("The true one is expected", f"{error} of it"),
    ]
    return _pairs("MARGIN (estimated)", pairs, width)


def hedge_lines(result: RunResult, width: int, *, shown: int = hedges.SHOWN) -> list[str]:
    """What a structure's hedge decided, and the first decisions; nothing without one.

    Args:
        result: the run. width: columns. shown: decisions.
    """
    told = hedges.hedge_summary(result)
    if not told:
        return []
    pairs = [
        ("Decisions, dealt", f"{told['decisions']:,}, {told['dealt']:,}"),
        ("Units dealt, charges expected", f"{told['units']:,}, {told['charges']:,.2f}"),
    ]
    if told["delta_before_mean"] is not None:
        pairs.append(
            (
                "Delta off its target: before, after, band (means)",
                f"{told['delta_before_mean']:.1f}, {told['delta_after_mean']:.1f}, "
                f"{told['band_mean']:.1f}",
            )
        )
    pairs += [(f"  {name}", f"{count:,}") for name, count in told["by_reason"].items()]
    title = "HEDGE (dry run: nothing was sent)" if told["dry_run"] else "HEDGE"
    lines = _pairs(title, pairs, width)
    cells = hedges.hedge_cells(result, shown)
    if not cells:
        return lines
    head = ("", "Why", "", "Units", "Price", "Delta", "After", "Band", "Charges")
    count = len(cells) if told["decisions"] > len(cells) else "all"
    return lines + table_lines(f"HEDGE DECISIONS ({count} of {told['decisions']:,})", head, cells,
                               width)  # fmt: skip


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_setting(item)}" for key, item in value.items())
    return str(value)


def _execution(result: RunResult, width: int) -> list[str]:
    orders = result.orders
    pairs = [
        (name.capitalize(), _setting(result.config[name]))
        for name in ("slippage", "latency", "fill")
        if name in result.config
    ]
    filled = int((orders["filled"] > 0).sum())
    refused = int((orders["refused"] != 0).sum())
    pairs.append(("Orders, filled, refused", f"{len(orders):,}, {filled:,}, {refused:,}"))
    for code in sorted(set(orders["refused"].tolist()) - {0}):
        count = int((orders["refused"] == code).sum())
        pairs.append((f"  refused: {figures.refusal_name(code)}", f"{count:,}"))
    return _pairs("ORDERS AND SLIPPAGE", pairs, width)


def slip_table(title: str, slips: Sequence[slippage.Slip], width: int) -> list[str]:
    """Lay out what orders cost; positive = cost, points a unit of what filled."""
    cells = [
        (
            slip.name.replace("_", " "),
            f"{slip.orders:,}",
            rupees(slip.total),
            *("n/a" if value is None else f"{value:.2f}" for value in (
                slip.weighted, slip.median, slip.p95, slip.bps)),
            rupees(slip.delay),
            rupees(slip.execution),
        )
        for slip in slips
    ]  # fmt: skip
    head = ("", "Orders", "Cost ₹", "Points", "Median", "p95", "Bps", "Delay ₹", "Exec ₹")
    return table_lines(title, head, cells, width)


def slippage_lines(costs: slippage.Costs, width: int, names: Sequence[str] = ()) -> list[str]:
    """What orders cost against their decisions, in all and taken apart.

    Args:
        costs: of one run or several. width: columns. names: dimensions.
    """
    whole = slippage.measure(costs)
    lines = slip_table("SLIPPAGE (against the decision's price; + is a cost)", [whole], width)
    for name in names:
        lines += slip_table(f"SLIPPAGE BY {name.upper()}", slippage.by(costs, name), width)
    pairs = []
    if whole.orders:
        pairs.append(("Market at arrival known", f"{whole.arrived:,} of {whole.orders:,} orders"))
    if whole.unfilled:
        words = f"{whole.unfilled:,}, {rupees(whole.opportunity)}"
        pairs.append(("Entries not wholly filled, opportunity", words))
    return [*lines[:-1], *_pairs("", pairs, width)[1:]] if pairs else lines


def _slippage(result: RunResult, width: int) -> list[str]:
    costs = slippage.run_costs(result)
    if costs is None or len(costs.rows) == 0:
        return []
    return slippage_lines(costs, width, ("type", "reason"))


def veto_lines(result: RunResult, width: int) -> list[str]:
    """Lay out what filters took back; nothing without filters."""
    told = result.vetoes
    if told is None:
        return []
    pairs = [(name, f"{told.counts.get(name, 0):,}") for name in told.names]
    return _pairs("ENTRIES TAKEN BACK, BY FILTER", pairs, width)


def factor_lines(result: RunResult, width: int) -> list[str]:
    """Lay out what entries were decided on; nothing of a strategy without factors."""
    if result.factors is None:
        return []
    rows = [
        (
            row.name,
            percent(row.weight),
            f"{row.agreed:,}",
            f"{row.against:,}",
            f"{row.contribution:+.3f}",
            rupees(row.net),
        )
        for row in means(result.factors, metrics.trade_net(result.trades) / metrics.UPAISE)
    ]
    head = ("", "Weight", "For", "Against", "Mean part", "Net when for ₹")
    return table_lines("FACTORS OF THE ENTRIES", head, rows, width)


def member_lines(result: RunResult, width: int) -> list[str]:
    """Lay out a blend's members, each in a book of its own; nothing of another strategy."""
    rows = [
        (
            one["name"],
            percent(one["weight"]),
            f"{one['trades']:,}",
            percent(one["wins"] / one["trades"] if one["trades"] else None),
            rupees(one["net_paise"]),
            rupees(one["part_paise"]),
            f"{one['days_off']:,}",
            f"{one['blocked']:,}",
        )
        for one in result.members
    ]
    if not rows:
        return []
    head = ("", "Weight", "Trades", "Won", "Net ₹", "Its part ₹", "Off", "Blocked")
    return table_lines("MEMBERS (each alone, on paper at whole size)", head, rows, width)


def _run(result: RunResult, width: int) -> list[str]:
    bars = result.counters.get("bars", 0)
    pairs = [(name.replace("_", " "), f"{count:,}") for name, count in result.counters.items()]
    each = f", {result.kernel_ns / bars:.1f} ns a bar" if bars else ""
    pairs.append(("kernel", f"{result.kernel_ns / 1e6:.3f} ms{each}"))
    pairs.append(("digest", result.digest))
    return _pairs("RUN", pairs, width)


def summary_text(result: RunResult, width: int = 80, *, risk_free: float = 0.0) -> str:
    """Lay out a run as text.

    Args:
        result: the run.
        width: columns, 60 at least; no line is longer.
        risk_free: yearly risk-free rate of Sharpe and Sortino.

    Raises:
        ValueError: width below 60; the capital is not positive.
    """
    if width < WIDTH_MIN:
        raise ValueError(f"width is {width} columns; the tables need {WIDTH_MIN} at least")
    got = metrics.measure(result, risk_free=risk_free)
    title = f"{result.strategy} on {result.symbol}, trading {result.traded}, {result.timeframe}"
    dates = f"{iso_date(got.first_date)} to {iso_date(got.last_date)}, {got.days.count} days"
    lines = banner(result, width)
    lines += [*textwrap.wrap(title, width), dates]
    if result.grade:
        lines.append(f"GRADE OF PREMIUMS: {result.grade}")
    lines.append("")
    lines += group_lines("BY EXIT REASON (net of charges)", groups.by_exit_reason(result), width)
    lines += group_lines("BY SIDE", groups.by_side(result), width)
    lines += month_lines(result, width)
    lines += _pairs("SUMMARY (rupees)", _money_pairs(got), width)
    lines += _pairs("TRADES (net of charges)", _trade_pairs(got), width)
    lines += member_lines(result, width) + factor_lines(result, width)
    lines += veto_lines(result, width) + _margin(result, width) + hedge_lines(result, width)
    lines += _charges(got, width) + _execution(result, width) + _slippage(result, width)
    lines += _run(result, width)
    return "\n".join(lines)


def print_summary(
    result: RunResult, width: int = 80, *, risk_free: float = 0.0, file: TextIO | None = None
) -> None:
    """Print `summary_text` to a stream, standard output unless given.

    Raises:
        ValueError: width below 60; the capital is not positive.
    """
    print_text(summary_text(result, width, risk_free=risk_free), file)


def print_text(text: str, file: TextIO | None = None) -> None:
    """Print text to a stream, standard output unless given, in signs that it can show."""
    stream = file or sys.stdout
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
    print(text, file=stream)
