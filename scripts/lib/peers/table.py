"""Lines of the table: a figure, what it is compared with, the bar, and whether it is reached."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from rows import Row


@dataclass(frozen=True)
class Line:
    """One line; figures in the unit it names."""

    group: str
    what: str
    unit: str
    ours: float | None
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None  # theirs / ours: above 1 we are faster
    bar: str = ""
    met: bool | None = None

    def as_dict(self) -> dict[str, object]:
        """JSON-able."""
        return asdict(self)


def judge(row: Row, figures: dict[str, list[float]]) -> list[Line]:
    """A row's lines: one for its own bar, one for every peer that was measured."""
    unit = f"ns/{row.unit}"
    if row.ours not in figures:
        return [Line(row.group, row.what, unit, None, bar="not measured", met=None)]
    ours, lines = min(figures[row.ours]), []
    if row.most_ns is not None:
        lines.append(
            Line(
                row.group,
                row.what,
                unit,
                ours,
                bar=f"<= {row.most_ns:g} ns",
                met=ours <= row.most_ns,
            )
        )
    bars = dict(row.faster)
    for peer in row.peers:
        if peer not in figures:
            continue
        theirs = min(figures[peer])
        ratio, least = theirs / ours, bars.get(peer)
        text = (
            ""
            if least is None
            else (f">= {least:g}x" if least >= 1 else f"<= {1 / least:g}x its time")
        )
        lines.append(
            Line(
                row.group,
                row.what,
                unit,
                ours,
                peer,
                theirs,
                ratio,
                text,
                None if least is None else ratio >= least,
            )
        )
    if row.minus and all(name in figures for name in row.minus):
        total = sum(min(figures[name]) for name in row.minus)
        lines.append(
            Line(
                row.group,
                row.what,
                unit,
                ours,
                "sum of " + " + ".join(row.minus),
                total,
                total / ours,
                f"<= {row.minus_most:.2f}x the sum",
                ours <= row.minus_most * total,
            )
        )
    return lines or [Line(row.group, row.what, unit, ours)]


def number(value: float | None) -> str:
    """Three digits that matter, thousands apart."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def printed(lines: list[Line]) -> str:
    """The table as text."""
    table = [("group", "what", "ours", "unit", "peer", "theirs", "ratio", "bar", "")]
    for line in lines:
        verdict = {True: "met", False: "MISSED", None: ""}[line.met]
        ratio = f"{line.ratio:,.2f}x" if line.ratio is not None else ""
        table.append(
            (
                line.group,
                line.what,
                number(line.ours),
                line.unit,
                line.peer,
                number(line.theirs) if line.theirs is not None else "",
                ratio,
                line.bar,
                verdict,
            )
        )
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    right = {2, 5, 6}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
