"""What each order cost, a line an order: the CSV of a run directory.

pyarrow is imported on first use: it takes longer to load than a backtest to run.
"""

from pathlib import Path
from typing import Any

import numpy as np

from dhanfast.reports import figures, slippage
from dhanfast.reports.result import RunResult


def cost_table(costs: slippage.Costs) -> Any:
    """The Arrow table of what each order cost.

    Units:
        points: rupees a unit; bps: 1e-4 of the decision's value; both empty where nothing filled.
    """
    import pyarrow as pa

    rows = costs.rows
    known = rows["measured"]
    worth = np.where(known, rows["decision"] * rows["filled"], 1)
    stamps = pa.array(rows["decided_ns"]).cast(pa.timestamp("ns", tz="UTC"))

    def named(field: str, names: Any) -> list[str]:
        return [names(code) for code in rows[field].tolist()]

    def figure(values: Any) -> Any:
        return pa.array(values, mask=~known)

    return pa.table({
        "id": rows["id"],
        "strategy": named("strategy", lambda at: costs.strategies[at]),
        "symbol": named("symbol", lambda at: costs.symbols[at]),
        "decided": stamps,
        "direction": named("side", lambda side: "buy" if side > 0 else "sell"),
        "type": named("kind", lambda code: slippage.KIND_NAMES.get(code, f"kind_{code}")),
        "reason": named("reason", figures.reason_name),
        "route": named("route", lambda code: slippage.ROUTE_NAMES.get(code, f"route_{code}")),
        "qty": rows["qty"],
        "filled": rows["filled"],
        "decision_rupees": rows["decision"] / 100.0,
        "arrival_known": rows["arrived"],
        "points": figure(slippage.points_of(rows)),
        "bps": figure(1e4 * rows["total2"] / 2 / worth),
        "total_rupees": figure(rows["total2"] / 200),
        "delay_rupees": figure(rows["delay2"] / 200),
        "execution_rupees": figure(rows["execution2"] / 200),
        "opportunity_rupees": rows["opportunity"] / 100,
    })  # fmt: skip


def write_costs(result: RunResult, path: Path) -> None:
    """Write the CSV of a run that has passages.

    Raises:
        OSError: the file cannot be written.
    """
    import pyarrow.csv

    costs = slippage.run_costs(result)
    if costs is not None:
        pyarrow.csv.write_csv(cost_table(costs), path)
