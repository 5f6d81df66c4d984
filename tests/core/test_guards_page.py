"""The worked examples of docs/reference/guards.md: the page's own numbers, fed to the guards."""

import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.guards import Guards
from dhanfast._core.risk import Gate

from .test_guards import DAY, MINUTE, MONDAY, ask

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "guards.md").read_text("utf-8")


def table(mark: str) -> list[list[str]]:
    """The rows of the table under a comment, without its head."""
    block = PAGE.split(f"<!-- {mark} -->\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    assert set("".join(rows[1])) <= set("-:")
    return rows[2:]


def paise(text: str) -> int:
    return int(Decimal(text.replace(",", "")) * 100)


def test_the_drawdown_of_the_page() -> None:
    opening = paise(re.search(r"<!-- drawdown: (\d+) -->", PAGE)[1])  # type: ignore[index]
    guards = Guards(drawdown_e4=500, alert_e4=8_000)
    gate = Gate(guards=guards)
    guards.start_day(20220103, opening, MONDAY)
    rows, seen = table(f"drawdown: {opening // 100}"), [opening]
    assert len(rows) == 6
    for at, (equity, peak, fall, share, entries) in enumerate(rows, 1):
        now, alerts = MONDAY + at * MINUTE, guards.alerts_made
        seen.append(paise(equity))
        # The page's own sums, from the equities alone.
        assert paise(peak) == max(seen) and paise(fall) == max(seen) - seen[-1]
        assert share == f"{Decimal(100) * (max(seen) - seen[-1]) / max(seen):.2f}%"
        guards.mark(now, paise(equity))
        verdict = ask(gate, now=now)
        told = "pass" if verdict == "NONE" else "wait"
        assert verdict in ("NONE", "GUARD_DRAWDOWN")
        assert entries == told + (", alert" if guards.alerts_made > alerts else "")
    said = PAGE.split("<!-- drawdown veto -->\n")[1].splitlines()[0].strip()
    assert guards.explain("GUARD_DRAWDOWN") == said


BANDS = {"vix_high": 2_000, "vix_high_leave": 1_800, "rank_high_e4": 8_000,
         "rank_high_leave_e4": 6_000, "rank_days": 5, "rank_days_min": 5}  # fmt: skip


@pytest.mark.parametrize("handed_in", [False, True], ids=["one by one", "handed in"])
def test_the_vix_filter_of_the_page(handed_in: bool) -> None:
    rows = table("vix")
    closes = [paise(row[0]) for row in rows]
    ends = [MONDAY + at * DAY + 375 * MINUTE for at in range(len(rows))]
    given = (np.array(ends, np.int64), np.array(closes, np.int64)) if handed_in else None
    guards = Guards(vix=given, **BANDS)
    gate = Gate(guards=guards)
    for at, (close, below, percentile, bands, entry) in enumerate(rows):
        if not handed_in:
            guards.vix(ends[at], paise(close))
        morning = MONDAY + (at + 1) * DAY
        guards.start_day(20220104 + at, 10**8, morning)
        verdict = ask(gate, now=morning)
        known = closes[max(0, at - 4) : at + 1]
        if entry == "wait: too few days":
            assert len(known) < 5 and verdict == "GUARD_VIX" and guards.vix_now[1] == -1
            continue
        assert int(below) == sum(each < closes[at] for each in known)
        assert percentile == f"{guards.vix_now[1] / 100:g}%" == f"{int(below) * 20}%"
        held = [name for name, bit in (("level", 1), ("percentile", 4)) if guards.vix_now[2] & bit]
        assert bands == ", ".join(held)
        assert entry == ("wait" if verdict == "GUARD_VIX" else "pass")
        assert guards.vix_now[0] == paise(close)
