"""What the checks found, as text of 80 columns."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from dhanfast.app.edge import WIDTH

if TYPE_CHECKING:
    from dhanfast.engine.checks import Finding, Lookahead, Steady, Warmup

NEEDS_SHOWN: Final = 20
SHOWN: Final = (10, 50, 200, 1000)  # histories whose distance is shown
NAME: Final = 32


def lookahead_text(got: "Lookahead") -> str:
    """The look-ahead check."""
    lines = [f"LOOK-AHEAD  {got.title}", ""]
    lines.append(
        f"{got.bars:,} bars, {got.signals:,} signals; the data was cut at {got.cuts:,} bars and "
        f"{len(got.differences):,} differences were found"
    )
    if got.blind is None:
        lines.append(f"blind test: not run, {got.blind_why}")
    else:
        worst = got.blind.strongest
        lines.append(
            f"blind test: {got.blind.entries:,} entries on {got.blind.walks} random walks; "
            f"strongest tie to the record z = {worst.z:+.1f} ({worst.what})"
        )
    lines = [line for text in lines for line in (textwrap.wrap(text, WIDTH) or [""])]
    return "\n".join(
        [
            *lines,
            "",
            *finding_lines(got.findings),
            _verdict(
                got.passed,
                "no decision knew what came after it",
                _unchecked(got) or "decisions know what came after them",
            ),
        ]
    )


def warmup_text(got: "Warmup") -> str:
    """The warm-up check."""
    lines = [*textwrap.wrap(f"WARM-UP  {got.title}", WIDTH), ""]
    shown = [n for n in SHOWN if n < got.longest]
    rungs = {n: _rung(got, n) for n in shown}
    at = "".join(f"{'at ' + format(n, ','):>9}" for n in shown)
    head = f"{'':<{NAME}}{'stable from':>12}{at}"
    lines.append(head)
    for need in got.needs[:NEEDS_SHOWN]:
        stable = "never" if need.bars is None else f"{need.bars:,}"
        cells = "".join(f"{_away(need.worst.get(rungs[n])):>9}" for n in shown)
        lines.append(f"{_short(need.name):<{NAME}}{stable:>12}{cells}"[:WIDTH].rstrip())
    hidden = len(got.needs) - NEEDS_SHOWN
    if hidden > 0:
        lines.append(f"... and {hidden:,} that need no more; all are in --json")
    words = (
        f"Distance from the value with {got.longest:,} bars of history, the worst of "
        f"{len(got.probes)} probes, in mean one-bar movements of the value; stable is "
        f"{got.tolerance:g} or less."
    )
    lines += ["", *textwrap.wrap(words, WIDTH), "", *finding_lines(got.findings)]
    bars = "more than there is" if got.bars is None else f"{got.bars:,}"
    return "\n".join([*lines, _verdict(got.passed, f"give it {bars} bars before it may trade",
                                       f"bars of history it needs: {bars}")])  # fmt: skip


def strategy_text(got: "Steady") -> str:
    """The strategy check."""
    lines = [*textwrap.wrap(f"STRATEGY  {got.title}", WIDTH), ""]
    texts = [f"{got.bars:,} bars, {got.signals:,} signals, through the {got.door} door"]
    if got.speed is not None:
        texts.append(
            f"on_bar: half of the bars within {got.speed.median / 1000:,.2f} us, 99 % within "
            f"{got.speed.p99 / 1000:,.2f} us, all within {got.speed.most / 1000:,.2f} us"
        )
    if got.source:
        texts.append(f"source read: {', '.join(got.source)}")
    else:
        texts.append("source read: none, the strategy is compiled")
    again = "in a new process" if got.elsewhere else f"not in a new process: {got.elsewhere_why}"
    texts.append(f"run twice here, {'and' if got.elsewhere else 'but'} {again}")
    for text in texts:
        lines += textwrap.wrap(text, WIDTH)
    return "\n".join([*lines, "", *finding_lines(got.findings), _verdict(
        got.passed, "the same decisions every time, and nothing that speaks against it",
        "not fit to run as it is")])  # fmt: skip


def finding_lines(findings: Sequence["Finding"]) -> list[str]:
    """A paragraph for each finding; nothing when there are none."""
    lines = []
    for one in findings:
        mark = "!" if one.level == "problem" else "-"
        where = f"{one.where}: " if one.where else ""
        lines += textwrap.wrap(
            f"{mark} {one.code}  {where}{one.text}", WIDTH, subsequent_indent="    ",
            break_on_hyphens=False,
        )  # fmt: skip
    return [*lines, ""] if lines else []


def _verdict(passed: bool, good: str, bad: str) -> str:
    return f"passed: {good}" if passed else f"PROBLEMS: {bad}"


def _rung(got: "Warmup", bars: int) -> int:
    """The tried history that is nearest to a number of bars."""
    tried = sorted({n for need in got.needs for n in need.worst}) or [bars]
    return min(tried, key=lambda n: (abs(n - bars), n))


def _away(distance: float | None) -> str:
    if distance is None:
        return ""
    if distance == float("inf"):
        return "-"
    return f"{distance:.2g}" if distance < 1000 else "large"


def _short(name: str) -> str:
    return name if len(name) < NAME else f"{name[: NAME - 2]}…"


def _unchecked(got: "Lookahead") -> str:
    """Why nothing is known of its decisions; "" when something was found of them."""
    if {one.code for one in got.findings} <= {"no-signals", "raised"}:
        return "there was no decision that could be checked"
    return ""
