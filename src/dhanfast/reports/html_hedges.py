"""Section of the report page on what a structure's hedge decided."""

import html
from typing import Final

from dhanfast.reports import hedges
from dhanfast.reports.html_cells import MINUS, table
from dhanfast.reports.result import RunResult

SHOWN: Final = 200  # decisions on the page; a run directory has all of them
HEAD: Final = (
    "Time (IST)", "|Why", "|Outcome", "Units", "Price ₹", "Delta", "After", "Band", "Charges ₹",
)  # fmt: skip


def hedge_part(result: RunResult) -> str:
    """Figures of the hedge and its decisions; nothing of a run without one."""
    told = hedges.hedge_summary(result)
    if not told:
        return ""
    pairs = [
        ("Decisions, dealt", f"{told['decisions']:,}, {told['dealt']:,}"),
        ("Units dealt, charges expected", f"{told['units']:,}, ₹{told['charges']:,.2f}"),
    ]
    if told["delta_before_mean"] is not None:
        pairs.append(
            (
                "Delta off its target: before, after, band (means)",
                f"{told['delta_before_mean']:.1f}, {told['delta_after_mean']:.1f}, "
                f"{told['band_mean']:.1f}",
            )
        )
    pairs += [(name.capitalize(), f"{count:,}") for name, count in told["by_reason"].items()]
    listed = "".join(f"<dt>{html.escape(name)}</dt><dd>{text}</dd>" for name, text in pairs)
    dry = " A dry run: nothing was sent." if told["dry_run"] else ""
    return (
        '<section id="hedge"><h2>Hedge</h2><p class="sub">How far all legs and the hedge together '
        f"were off their target, in units of the underlying, and what was done about it.{dry}</p>"
        f'<dl class="pairs" style="margin-top:14px">{listed}</dl>'
        f"{_decisions(result, told['decisions'])}</section>"
    )


def _decisions(result: RunResult, count: int) -> str:
    cells = hedges.hedge_cells(result, SHOWN)
    if not cells:
        return ""
    which = f"All {count:,} decisions"
    if count > SHOWN:
        which = f"The first {SHOWN:,} of {count:,} decisions; all are in hedges.parquet"
    laid = table("Decisions of the hedge", HEAD, [_row(row) for row in cells])
    return f'<p class="sub" style="margin-top:14px">{which}</p>{laid}'


def _row(row: tuple[str, ...]) -> str:
    at, why, done, *figures = row
    numbers = "".join(f"<td>{text.replace('-', MINUS)}</td>" for text in figures)
    return (
        f'<tr><th scope="row">{at}</th><td class="text">{html.escape(why)}</td>'
        f'<td class="text">{html.escape(done or "sent")}</td>{numbers}</tr>'
    )
