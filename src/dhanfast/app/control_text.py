"""A running engine on 80 columns: its status, its orders, its positions."""

from collections.abc import Sequence
from typing import Final

from dhanfast.app.console import count_text, duration_text
from dhanfast.app.edge import WIDTH, wrapped
from dhanfast.engine.status import EngineStatus, OrderLine, PositionLine
from dhanfast.reports.figures import rupees
from dhanfast.storage.stamps import ist_text

NS_PER_S: Final = 1_000_000_000
MARKS: Final = {"filled": "+", "refused": "x", "unknown": "?", "working": "~", "waiting": "."}


def status_text(said: EngineStatus) -> str:
    """One screen: what runs, what it has made, what it is connected to."""
    head = " · ".join(part for part in (said.run, said.mode.upper(), said.state) if part)
    swapped = (f"strategy since {_hour(said.strategy_since_ns)} IST, {said.swaps} swaps"
               if said.strategy_since_ns else "")  # fmt: skip
    traded = " · ".join(part for part in (said.instrument, said.strategy, said.timeframe) if part)
    up = duration_text((said.now_ns - said.started_ns) / NS_PER_S) if said.started_ns else ""
    since = f"since {_hour(said.started_ns)} IST ({up})" if up else ""
    market = f"market {_hour(said.market_ns or said.now_ns)} IST" if said.now_ns else ""
    lines = [_sides(head, traded), *([_sides(since, market)] if since or market else []),
             *([_sides(swapped, "")] if swapped else []), ""]  # fmt: skip
    lines += _columns(_money(said), _holding(said))
    lines.append("")
    lines += [f"  {name:<10}{text}" for name, text in _links(said) if text]
    if said.vetoes:
        told = (f"{name.removeprefix('GUARD_').removeprefix('FILTER_').lower()} {count:,}"
                for name, count in said.vetoes.items())  # fmt: skip
        lines.append(wrapped(f"vetoes    {', '.join(told)}", "  ", " " * 12))
    if said.locks or said.alerts:
        lines.append("")
        lines += [
            wrapped(f"LOCKED until {lock.until}: {lock.text}", "  # ", "    ")
            for lock in said.locks
        ]
        lines += [wrapped(f"near a limit: {alert}", "  ~ ", "    ") for alert in said.alerts]
    if said.notes:
        lines.append("")
        lines += [wrapped(note, "  ! ", "    ") for note in said.notes]
    return "\n".join(line.rstrip() for line in lines)


def orders_text(orders: Sequence[OrderLine]) -> str:
    """Orders as a table, oldest first."""
    if not orders:
        return "no orders today"
    head = ("", "TIME", "ID", "SIDE", "ROLE", "FILLED", "PRICE", "STATE", "SYMBOL")
    rows = [
        (
            MARKS.get(one.state, " "),
            _hour(one.at_ns),
            str(one.id),
            one.side,
            one.role,
            f"{one.filled}/{one.qty}",
            _price(one.average or one.price or one.trigger),
            one.state,
            one.symbol,
        )
        for one in orders
    ]
    lines = _table(head, rows, right={2, 5, 6})
    for one in orders:
        if one.reason and one.state in ("refused", "unknown"):
            lines.append(wrapped(f"{one.id}: {one.reason}", "  ", "    "))
    return "\n".join(lines)


def positions_text(positions: Sequence[PositionLine]) -> str:
    """Positions as a table, with what they come to."""
    if not positions:
        return "no positions today"
    head = ("QTY", "AVERAGE", "LAST", "REALISED", "OPEN", "SYMBOL")
    rows = [
        (
            f"{one.qty:+,}" if one.qty else "0",
            _price(one.average),
            _price(one.last),
            rupees(one.realised, sign=True),
            rupees(one.unrealised, sign=True),
            one.symbol,
        )
        for one in positions
    ]
    lines = _table(head, rows, right={0, 1, 2, 3, 4})
    guarded = [one for one in positions if one.qty]
    for one in guarded:
        lines.append(
            f"  {one.symbol}: stop {_price(one.stop)}, target {_price(one.target)}"[:WIDTH]
        )
    if len(positions) > 1:
        sums = (sum(one.realised for one in positions), sum(one.unrealised for one in positions))
        total = f"realised {rupees(sums[0], sign=True)}, open {rupees(sums[1], sign=True)}"
        lines.append(f"{total:>{WIDTH}}")
    return "\n".join(lines)


def _money(said: EngineStatus) -> list[tuple[str, str]]:
    used = max(0, -said.result)
    loss = f"{rupees(used, decimals=0)} of {rupees(said.day_loss_max, decimals=0)}"
    return [
        ("result today", rupees(said.result, sign=True)),
        ("  realised", rupees(said.realised, sign=True)),
        ("  open", rupees(said.unrealised, sign=True)),
        ("  charges", rupees(-said.charges)),
        ("day loss", loss if said.day_loss_max else "no limit"),
    ]


def _holding(said: EngineStatus) -> list[tuple[str, str]]:
    held = f"{said.held:+,} @ {_price(said.average)}" if said.held else "flat"
    if said.contracts:
        held = f"{said.held:,} in {said.contracts} contract{'s' if said.contracts > 1 else ''}"
    return [
        ("position", held),
        ("last", _price(said.last)),
        ("capital", rupees(said.capital, decimals=0)),
        ("trades", f"{said.trades:,}"),
        ("bars", f"{said.bars:,}"),
    ]


def _links(said: EngineStatus) -> list[tuple[str, str]]:
    """What the engine is connected to."""
    age = f", last packet {_age(said.feed_age_ms)} ago" if said.feed_age_ms >= 0 else ""
    gaps = f", {said.gaps:,} gaps" if said.gaps else ", no gap"
    feed = f"{said.feed}{age}; {count_text(said.packets)} packets{gaps}" if said.feed else ""
    broker = said.broker
    if said.token_minutes >= 0:
        broker += f"; token ends in {duration_text(said.token_minutes * 60)[:-3]} h"
    if said.reconciled_ago_s >= 0:
        broker += f"; compared {said.reconciled_ago_s:,} s ago"
    counts = (
        f"{said.orders_sent:,} sent: {said.orders_filled:,} filled, {said.orders_working:,} "
        f"working, {said.orders_refused:,} refused"
    )
    if said.orders_unknown:
        counts += f", {said.orders_unknown:,} UNKNOWN"
    latency = ", ".join(f"{name} {value:,.1f} us" for name, value in said.latency_us.items())
    name = said.journal.rpartition("/")[2]
    journal = f"{name}, {count_text(said.journal_bytes)}B" if name else ""
    return [("feed", feed), ("broker", broker), ("belt", said.belt), ("orders", counts),
            ("requests", _requests(said)),
            ("latency", f"tick to order {latency}" if latency else ""),
            ("journal", journal)]  # fmt: skip


def _requests(said: EngineStatus) -> str:
    """second 0/9, minute 3/240, hour 12/960, day 34/6,900; and whose they are, if of several."""
    told = ", ".join(f"{name} {used:,}/{most:,}" for name, (used, most) in said.requests.items())
    if len(said.requests_of) > 1:
        whose = ", ".join(f"{name} {count:,}" for name, count in said.requests_of.items())
        told += f"\n{'':12}of the day: {whose}"
    return told


def _sides(left: str, right: str) -> str:
    """Two texts at the two ends of a line, on two lines when they do not fit."""
    room = WIDTH - len(left) - len(right)
    return f"{left}{' ' * room}{right}" if room > 0 else f"{left}\n  {right}"


def _columns(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> list[str]:
    """Two lists of pairs beside each other."""
    return [
        f"  {one[0]:<14}{one[1]:>20}      {two[0]:<10}{two[1]:>26}"
        for one, two in zip(left, right, strict=True)
    ]


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: set[int]
) -> list[str]:  # fmt: skip
    """A table; the last column, a name, is cut where it does not fit in 80 columns."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    gap = "  " if sum(widths) + 2 * (len(head) - 1) <= WIDTH else " "
    lines = []
    for row in (head, *rows):
        cells = [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(gap.join(cells).rstrip()[:WIDTH])
    return lines


def _hour(time_ns: int) -> str:
    """09:15:04 in IST."""
    if not time_ns:
        return "-"
    text = ist_text(time_ns)[11:19]
    return text if len(text) == 8 else f"{text}:00"  # a whole minute is written without


def _price(paise: int) -> str:
    return rupees(paise) if paise else "-"


def _age(milliseconds: int) -> str:
    if milliseconds < 10_000:
        return f"{milliseconds:,} ms"
    return duration_text(milliseconds / 1000)
