"""One day of trading as plain text: what `dhanfast trade` prints when it ends."""

import textwrap

from dhanfast.reports import figures, metrics, slippage
from dhanfast.reports.figures import ist, percent, reason_name, rupees
from dhanfast.reports.result import RunResult
from dhanfast.reports.summary import is_generated, warnings
from dhanfast.reports.terminal import CHARGE_NAMES, slippage_lines

WIDTH = 80
TRADES_SHOWN = 25


def day_text(result: RunResult, *, title: str = "", trades_max: int = TRADES_SHOWN) -> str:
    """Lay out a day: the result, its trades, its charges, and what to know of it.

    Args:
        result: of one day.
        title: what ran; by default, from the result.
        trades_max: more trades than these are counted, not shown; the latest are shown.
    """
    got = metrics.measure(result)
    title = title or f"{result.strategy} on {result.traded}, {result.timeframe}"
    lines = [_ruled(f"{figures.iso_date(got.last_date)} · {title}")]
    told = list(warnings(result))
    if is_generated(result):
        lines += [f"! {told.pop(0)}"]
    lines += ["", *_figures(result, got), "", *_trades(result, trades_max), *_charges(got)]
    lines += _slippage(result)
    for note in told:
        lines += textwrap.wrap(note, WIDTH, initial_indent="! ", subsequent_indent="  ")
    return "\n".join(line.rstrip() for line in lines)


def _ruled(title: str) -> str:
    return f"{title[: WIDTH - 2]} ".ljust(WIDTH, "─")


def _figures(result: RunResult, got: metrics.Metrics) -> list[str]:
    """Two columns: money, and what made it."""
    trades, orders = got.trades, result.orders
    filled, refused = int((orders["filled"] > 0).sum()), int((orders["refused"] != 0).sum())
    left = [
        ("result", rupees(got.final_equity - got.capital, sign=True)),
        ("  gross", rupees(got.gross, sign=True)),
        ("  charges", rupees(-got.charges_total)),
        ("  still open", rupees(got.open_pnl, sign=True)),
        ("equity", rupees(got.final_equity)),
        ("of capital", percent(got.total_return, sign=True)),
    ]
    right = [
        ("trades", f"{trades.count:,}"),
        ("won, lost", f"{trades.wins:,}, {trades.losses:,}"),
        ("best", rupees(trades.best, sign=True)),
        ("worst", rupees(trades.worst, sign=True)),
        ("largest fall", rupees(-got.drawdown_amount)),
        ("orders", f"{len(orders):,}: {filled:,} filled, {refused:,} refused"),
    ]
    if not got.open_pnl:
        del left[3]
        left.append(("bars seen", f"{result.counters.get('bars', 0):,}"))
    return [
        f"  {one[0]:<13}{one[1]:>19}      {two[0]:<13}{two[1]:>27}"
        for one, two in zip(left, right, strict=True)
    ]


def _trades(result: RunResult, trades_max: int) -> list[str]:
    """A line a trade."""
    trades = result.trades
    if len(trades) == 0:
        return ["no trades", ""]
    if result.contracts:
        return _trades_of_contracts(result, trades_max)
    nets = metrics.trade_net(trades)
    head = f"{'IN':<10}{'OUT':<10}{'SIDE':<6}{'QTY':>6}{'ENTRY':>14}{'EXIT':>13}"
    lines = [f"{head}  {'WHY':<8}{'NET ₹':>11}"]
    hidden = max(0, len(trades) - trades_max)
    if hidden:
        lines.append(f"... {hidden:,} earlier ones ...")
    for row, net in zip(trades[hidden:], nets[hidden:], strict=True):
        qty = int(row["qty"])
        entry, leave = (f"{int(row[name]) / qty / 100:,.2f}" for name in
                        ("entry_value", "exit_value"))  # fmt: skip
        side = "long" if row["side"] > 0 else "short"
        why = reason_name(int(row["exit_reason"])).replace("_", " ")
        lines.append(
            f"{_clock(int(row['entry_ns'])):<10}{_clock(int(row['exit_ns'])):<10}{side:<6}"
            f"{qty:>6,}{entry:>14}{leave:>13}  {WHY.get(why, why)[:8]:<8}"
            f"{rupees(round(float(net) / 1e6), sign=True):>11}"
        )
    return [*lines, ""]


def _trades_of_contracts(result: RunResult, trades_max: int) -> list[str]:
    """A line a trade, with what was traded; sold ones have a quantity below zero."""
    trades, names = result.trades, _short_names(result.contracts)
    nets = metrics.trade_net(trades)
    head = f"{'IN':<9}{'OUT':<9}{'QTY':>7}{'ENTRY':>10}{'EXIT':>10}"
    lines = [f"{head}  {'CONTRACT':<14} {'WHY':<6}{'NET ₹':>12}"]
    hidden = max(0, len(trades) - trades_max)
    if hidden:
        lines.append(f"... {hidden:,} earlier ones ...")
    for row, net in zip(trades[hidden:], nets[hidden:], strict=True):
        qty = int(row["qty"])
        entry, leave = (f"{int(row[name]) / qty / 100:,.2f}" for name in
                        ("entry_value", "exit_value"))  # fmt: skip
        why = reason_name(int(row["exit_reason"])).replace("_", " ")
        lines.append(
            f"{_clock(int(row['entry_ns'])):<9}{_clock(int(row['exit_ns'])):<9}"
            f"{int(row['side']) * qty:>+7,}{entry:>10}{leave:>10}  "
            f"{names.get(int(row['instrument']), ''):<14} {WHY.get(why, why)[:6]:<6}"
            f"{rupees(round(float(net) / 1e6), sign=True):>12}"
        )
    return [*lines, ""]


def _short_names(contracts: dict[int, str]) -> dict[int, str]:
    """56500 CE, or 23/11 56500 CE where there are several expiries."""
    words = {number: name.split() for number, name in contracts.items()}
    one = len({found[-3] for found in words.values() if len(found) > 2}) == 1
    short = {}
    for number, found in words.items():
        dated = "" if one or len(found) < 3 else f"{found[-3][8:10]}/{found[-3][5:7]} "
        short[number] = (dated + " ".join(found[-2:]))[:14]
    return short


WHY = {
    "stop loss": "stop",
    "take profit": "target",
    "exit signal": "exit",
    "time exit": "time",
    "time stop": "held",
    "expiry exit": "expiry",
    "risk exit": "risk",
    "end of data": "end",
}


def _charges(got: metrics.Metrics) -> list[str]:
    """The bill, on a line or two."""
    parts = [
        f"{CHARGE_NAMES[name].lower() if name != 'gst' else 'GST'} {rupees(paise)}"
        for name, paise in got.charges.items()
        if paise
    ]
    if not parts:
        return []
    words = f"charges {rupees(got.charges_total)}: {', '.join(parts)}"
    return [*textwrap.wrap(words, WIDTH, subsequent_indent="  "), ""]


def _slippage(result: RunResult) -> list[str]:
    """What orders cost against the prices they were decided on."""
    costs = slippage.run_costs(result)
    if costs is None or len(costs.measured) == 0:
        return []
    return slippage_lines(costs, WIDTH, ("reason",))


def _clock(at_ns: int) -> str:
    return ist(at_ns, seconds=True)[11:]
