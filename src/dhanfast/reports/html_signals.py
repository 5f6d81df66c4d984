"""Sections of the report page on what entries were decided on and what took them back."""

import html

from dhanfast.reports import metrics
from dhanfast.reports.html_cells import MINUS, cell, share, table
from dhanfast.reports.result import RunResult
from dhanfast.reports.signals import means


def signals_part(result: RunResult) -> str:
    """Members of a blend, factors of entries, vetoes of filters; nothing of what a run lacks."""
    return _members(result) + _factors(result) + _vetoes(result)


def _members(result: RunResult) -> str:
    if not result.members:
        return ""
    lines = [
        f'<tr><th scope="row">{html.escape(one["name"])}</th><td>{share(one["weight"])}</td>'
        f"<td>{one['trades']:,}</td>{cell(one['net_paise'])}{cell(one['part_paise'])}"
        f"<td>{one['days_off']:,}</td><td>{one['blocked']:,}</td></tr>"
        for one in result.members
    ]
    head = ("", "Weight", "Trades", "Net", "Its part", "Off", "Blocked")
    return _section("Members", "Each alone, on paper, at the whole size of an entry", head, lines)


def _factors(result: RunResult) -> str:
    if result.factors is None:
        return ""
    net = metrics.trade_net(result.trades) / metrics.UPAISE
    lines = [
        f'<tr><th scope="row">{html.escape(row.name)}</th><td>{share(row.weight)}</td>'
        f"<td>{row.agreed:,}</td><td>{row.against:,}</td>"
        f"<td>{f'{row.contribution:+.3f}'.replace('-', MINUS)}</td>{cell(row.net)}</tr>"
        for row in means(result.factors, net)
    ]
    head = ("", "Weight", "For", "Against", "Mean part", "Net when for")
    return _section("Factors of the entries", "Values are in factors.parquet", head, lines)


def _vetoes(result: RunResult) -> str:
    if result.vetoes is None:
        return ""
    lines = [
        f'<tr><th scope="row">{html.escape(name)}</th>'
        f"<td>{result.vetoes.counts.get(name, 0):,}</td></tr>"
        for name in result.vetoes.names
    ]
    return _section("Entries taken back", "By filter; when is in vetoes.parquet",
                    ("", "Entries"), lines)  # fmt: skip


def _section(title: str, hint: str, head: tuple[str, ...], lines: list[str]) -> str:
    return (
        f'<section><h2>{title}</h2><p class="sub">{hint}</p>{table(title, head, lines)}</section>'
    )
