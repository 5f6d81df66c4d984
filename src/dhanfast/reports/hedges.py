"""What a structure's hedge decided: every decision with its reason, and what they came to."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.hedge import HedgeWhy
from dhanfast._core.hedger import HedgeDone
from dhanfast.reports import figures
from dhanfast.reports.result import RunResult

SHOWN: Final = 20  # decisions in a terminal; a run directory has all of them
DONE: Final = {
    HedgeDone.HELD_BACK: "held back",
    HedgeDone.SENT: "sent",
    HedgeDone.WOULD: "would be sent",
}
WHY: Final = {
    HedgeWhy.INSIDE: "nothing",
    HedgeWhy.BAND: "band",
    HedgeWhy.COST_BAND: "cost band",
    HedgeWhy.INTERVAL: "interval",
    HedgeWhy.EMPTY: "left",
    HedgeWhy.WAITS: "too soon",
    HedgeWhy.DAY_LIMIT: "day's limit",
    HedgeWhy.AT_MOST: "at most",
    HedgeWhy.HOURS: "hours",
    HedgeWhy.SHUT: "entries held",
    HedgeWhy.BLIND: "no price",
}


def why_name(code: int) -> str:
    """A decision's reason, in a word or two."""
    return WHY[HedgeWhy(code)]


def done_name(code: int) -> str:
    """What became of a decision."""
    return DONE[HedgeDone(code)]


def hedge_summary(result: RunResult) -> dict[str, Any]:
    """A hedge's figures, JSON-able; empty of a run without one.

    Units:
        charges in rupees, as the decisions expected them; delta in units of the underlying.
    """
    rows = result.hedges
    if rows is None:
        return {}
    dealt = rows[rows["done"] != int(HedgeDone.HELD_BACK)]
    counted = dealt[~np.isnan(dealt["before"])]
    return {
        "decisions": len(rows),
        "dealt": len(dealt),
        "dry_run": bool((rows["done"] == int(HedgeDone.WOULD)).any()),
        "units": int(np.abs(dealt["units"]).sum()),
        "charges": round(int(dealt["cost"].sum()) / 100, 2),
        "delta_before_mean": _mean(np.abs(counted["before"])),
        "delta_after_mean": _mean(np.abs(counted["after"])),
        "band_mean": _mean(counted["band"]),
        "by_reason": {
            f"{why_name(why)}, {done_name(done)}": int(
                ((rows["why"] == why) & (rows["done"] == done)).sum()
            )
            for why, done in sorted(
                set(zip(rows["why"].tolist(), rows["done"].tolist(), strict=True))
            )
        },
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def hedge_dicts(result: RunResult) -> list[dict[str, Any]]:
    """Every decision, JSON-able; null is not known.

    Units:
        rupees; delta, band and units of the underlying; gamma units a rupee.
    """
    if result.hedges is None:
        return []
    return [
        {
            "time": figures.ist(int(row["time_ns"])),
            "reason": why_name(int(row["why"])),
            "outcome": done_name(int(row["done"])),
            "contract": result.contracts.get(int(row["listed"]), ""),
            "held": int(row["held"]),
            "units": int(row["units"]),
            "price": int(row["price"]) / 100 if row["price"] else None,
            "charges": int(row["cost"]) / 100,
            **{
                name: None if np.isnan(row[name]) else round(float(row[name]), 6)
                for name in ("before", "after", "band", "gamma")
            },
        }
        for row in result.hedges
    ]


def hedge_cells(result: RunResult, shown: int = SHOWN) -> list[tuple[str, ...]]:
    """The first decisions: when, why, what became of it, units, price, delta before and after,
    band, charges."""
    if result.hedges is None:
        return []
    return [
        (
            figures.ist(int(row["time_ns"]))[5:],
            why_name(int(row["why"])),
            done_name(int(row["done"])) if row["done"] != HedgeDone.SENT else "",
            f"{int(row['units']):+,}" if row["units"] else "",
            f"{row['price'] / 100:.2f}" if row["price"] else "",
            _delta(row["before"]),
            _delta(row["after"]) if row["units"] else "",
            f"{row['band']:.1f}" if row["band"] else "",
            f"{row['cost'] / 100:.2f}" if row["cost"] else "",
        )
        for row in result.hedges[:shown]
    ]


def _delta(value: float) -> str:
    return "" if np.isnan(value) else f"{value:+.1f}"
