"""Cells, words and tables of the report page."""

import html
from collections.abc import Iterable, Sequence

from dhanfast.reports import figures, groups
from dhanfast.reports.figures import percent, ratio, span

MINUS = "\u2212"


def money(paise: float | None, *, sign: bool = False) -> str:
    """Print rupees for the page: a real minus before the rupee sign."""
    text = figures.rupees(paise, sign=sign)
    if text == figures.NO_FIGURE:
        return text
    if text[0] in "+-":
        return (MINUS if text[0] == "-" else "+") + "₹" + text[1:]
    return "₹" + text


def share(fraction: float | None, *, sign: bool = False) -> str:
    """Print a percentage for the page, with a real minus."""
    return percent(fraction, sign=sign).replace("-", MINUS)


def plain(value: float | None) -> str:
    """A ratio, with a real minus."""
    return ratio(value).replace("-", MINUS)


def tone(value: float | None) -> str:
    """The class of a figure: good, bad or neither."""
    return "" if not value else "good" if value > 0 else "bad"


def cell(value: float | None, text: str | None = None) -> str:
    """A cell in the colour of its value; money unless `text` says otherwise."""
    body = money(value) if text is None else text
    return f'<td class="{tone(value)}">{body}</td>'


def table(caption: str, head: Sequence[str], rows: Iterable[str], foot: str = "") -> str:
    """Lay out a table that scrolls within itself; a head that begins with "|" stands left."""
    cells = "".join(
        f'<th scope="col" class="text">{text[1:]}</th>'
        if text.startswith("|")
        else f'<th scope="col">{text}</th>'
        for text in head
    )
    tail = f"<tfoot>{foot}</tfoot>" if foot else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table>'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody>{tail}</table></div>"
    )


def group_table(title: str, hint: str, rows: list[groups.Group]) -> str:
    """A section with a table of groups of trades."""
    if not rows:
        return f"<section><h2>{title}</h2><p>No trades.</p></section>"
    lines = [
        f'<tr><th scope="row">{html.escape(row.name.replace("_", " "))}</th><td>{row.count:,}</td>'
        f"<td>{share(row.win_rate)}</td>{cell(row.net)}<td>{money(row.expectancy)}</td>"
        f"<td>{span(row.held_mean_ns)}</td></tr>"
        for row in rows
    ]
    laid = table(title, ("", "Trades", "Won", "Net", "Mean", "Held"), lines)
    return f'<section><h2>{title}</h2><p class="sub">{hint}</p>{laid}</section>'
