"""The comparison of two runs as text of 80 columns, and as CSV."""

import csv
import textwrap
from typing import Final, TextIO

from dhanfast.reports import figures
from dhanfast.reports.compare import PARTS, Comparison, Pair
from dhanfast.reports.figures import rupees
from dhanfast.reports.summary import warnings

WIDTH: Final = 80
TRADES_SHOWN: Final = 12
REASONS_SHOWN: Final = 10
SETTINGS_SHOWN: Final = 12
MEANINGS: Final = {
    "data": "the market stood elsewhere at the same decision",
    "signal": "the strategy decided otherwise",
    "latency": "the market moved until the order arrived",
    "fill": "what the market then took",
    "charge": "charges",
    "size": "other quantities",
    "missing": "trades that only one of the two made",
    "rounding": "bills of whole days, and what was left open",
}


def comparison_text(got: Comparison, *, trades_max: int = TRADES_SHOWN) -> str:
    """Lay out a comparison.

    Args:
        trades_max: trades to show, those that differ most.
    """
    lines = _head(got)
    lines += ["", _ruled("WHY (rupees, B less A)")]
    for name in PARTS:
        lines.append(f"  {name:<10}{MEANINGS[name]:<48}{_sum(got.totals[name]):>20}")
    lines += [f"  {'together':<58}{_sum(got.difference):>20}", ""]
    lines += (
        _members(got) + _vetoes(got) + _reasons(got) + _trades(got, trades_max) + _settings(got)
    )
    for note in got.notes:
        lines += textwrap.wrap(note, WIDTH, initial_indent="! ", subsequent_indent="  ")
    return "\n".join(lines).rstrip()


def _ruled(title: str) -> str:
    return f"{title} ".ljust(WIDTH, "─")


def _sum(paise: int) -> str:
    return rupees(paise, sign=True)


def _head(got: Comparison) -> list[str]:
    lines = []
    for run, name in ((got.a, "A"), (got.b, "B")):
        for told in warnings(run)[:1] if run is got.a else ():
            lines += textwrap.wrap(told, WIDTH, initial_indent="! ", subsequent_indent="  ")
        first, last = (int(run.days["date"][at]) if len(run.days) else None for at in (0, -1))
        dates = f"{figures.iso_date(first)} to {figures.iso_date(last)}"
        title = f"{name}  {run.strategy} on {run.traded}, {run.timeframe}, {dates}"
        lines += textwrap.wrap(title, WIDTH, subsequent_indent="   ")
    only_a = sum(one.b is None for one in got.pairs)
    only_b = sum(one.a is None for one in got.pairs)
    data = {True: "the same", False: "not the same", None: "not known to be the same"}
    lines += [
        "",
        f"{'':<24}{'A':>18}{'B':>18}{'B less A':>20}",
        f"{'Net profit':<24}{rupees(got.net_a):>18}{rupees(got.net_b):>18}"
        f"{_sum(got.difference):>20}",
        f"{'Trades':<24}{len(got.a.trades):>18,}{len(got.b.trades):>18,}"
        f"{len(got.b.trades) - len(got.a.trades):>+20,}",
        "",
        f"{got.matched:,} trades of both, {only_a:,} of A alone, {only_b:,} of B alone; the data "
        f"is {data[got.same_data]}",
    ]
    return [line for text in lines for line in (textwrap.wrap(text, WIDTH) if len(text) > WIDTH
                                                else [text])]  # fmt: skip


def _members(got: Comparison) -> list[str]:
    """What each member of a blend made in its book, times its weight, in both runs."""
    parts = [{one["name"]: one["part_paise"] for one in run.members} for run in (got.a, got.b)]
    names = list(dict.fromkeys([*parts[0], *parts[1]]))
    if not names:
        return []
    lines = [_ruled("PARTS OF MEMBERS (rupees, each in its own book)")]
    for name in names:
        shown = [rupees(part[name]) if name in part else "none" for part in parts]
        apart = _sum(parts[1].get(name, 0) - parts[0].get(name, 0))
        lines.append(f"  {name[:22]:<22}{shown[0]:>18}{shown[1]:>18}{apart:>20}")
    return [*lines, ""]


def _vetoes(got: Comparison) -> list[str]:
    """Entries that each filter took back, in both runs."""
    told = [run.vetoes for run in (got.a, got.b)]
    names = list(dict.fromkeys(name for one in told if one is not None for name in one.names))
    if not names:
        return []
    lines = [_ruled("ENTRIES TAKEN BACK, BY FILTER")]
    for name in names:
        counts = [0 if one is None else one.counts.get(name, 0) for one in told]
        lines.append(f"  {name:<22}{counts[0]:>18,}{counts[1]:>18,}{counts[1] - counts[0]:>+20,}")
    return [*lines, ""]


def _reasons(got: Comparison) -> list[str]:
    if not got.reasons:
        return []
    lines = [_ruled("TRADES OF ONE RUN ALONE")]
    listed = list(got.reasons.items())
    for why, (count, paise) in listed[:REASONS_SHOWN]:
        lines.append(f"  {why[:46]:<46}{count:>10,}{_sum(paise):>22}")
    if len(listed) > REASONS_SHOWN:
        lines.append(f"  ... and {len(listed) - REASONS_SHOWN:,} more reasons, in --json")
    return [*lines, ""]


def _trades(got: Comparison, trades_max: int) -> list[str]:
    differ = [one for one in got.pairs if one.total]
    chosen = sorted(differ, key=lambda one: (-abs(one.total), one.at_ns))[:trades_max]
    if not chosen:
        return []
    lines = [_ruled(f"THE {len(chosen):,} TRADES THAT DIFFER MOST (of {len(differ):,} that do)")]
    lines.append(f"{'decided':<18}{'side':<7}{'A':>7}{'B':>8}{'B less A':>16}  mostly")
    for one in sorted(chosen, key=lambda one: one.at_ns):
        lines.append(
            f"{figures.ist(one.at_ns):<18}{'long' if one.side > 0 else 'short':<7}"
            f"{_number(one.a):>7}{_number(one.b):>8}{_sum(round(one.total)):>16}  {one.cause}"
        )
        if one.why:
            lines += textwrap.wrap(one.why, WIDTH, initial_indent=" " * 18,
                                   subsequent_indent=" " * 18)  # fmt: skip
    return [*lines, ""]


def _number(row: int | None) -> str:
    return "-" if row is None else f"{row + 1:,}"


def _settings(got: Comparison) -> list[str]:
    if not got.settings:
        return [_ruled("SETTINGS"), "the same in both", ""]
    lines = [_ruled("SETTINGS THAT DIFFER")]
    for name, one, two in got.settings[:SETTINGS_SHOWN]:
        lines += textwrap.wrap(f"{name}: {one} in A, {two} in B", WIDTH, initial_indent="  ",
                               subsequent_indent="    ")  # fmt: skip
    if len(got.settings) > SETTINGS_SHOWN:
        lines.append(f"  ... and {len(got.settings) - SETTINGS_SHOWN:,} more, in --json")
    return [*lines, ""]


HEAD: Final = ("decided", "side", "a", "b", "difference", *PARTS[:-1], "cause", "why")


def write_csv(got: Comparison, stream: TextIO) -> None:
    """A line a trade; money in rupees with four decimals, trades numbered from 1."""
    out = csv.writer(stream, lineterminator="\n")
    out.writerow(HEAD)
    for one in got.pairs:
        out.writerow(_line(one))


def _line(one: Pair) -> list[str]:
    return [
        figures.ist(one.at_ns, seconds=True), "long" if one.side > 0 else "short",
        "" if one.a is None else str(one.a + 1), "" if one.b is None else str(one.b + 1),
        f"{float(one.total) / 100:.4f}",
        *(f"{float(one.parts.get(name, 0)) / 100:.4f}" for name in PARTS[:-1]),
        one.cause, one.why,
    ]  # fmt: skip
