"""Rows of a run as Arrow tables, and back: exact paise columns first, readable rupees beside.

Money is kept twice: `*_paise` (int64) and `*_upaise` (micro-paise, int64) are the truth and are
what `read` returns; columns in rupees (float64) and names are for people and notebooks.
pyarrow is imported on first use: it takes longer to load than a backtest to run.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.hedger import HEDGE_DTYPE
from dhanfast._core.types import OrderKind, ReportKind
from dhanfast.errors import BadData
from dhanfast.reports import figures, hedges, metrics
from dhanfast.reports.result import (
    DAY_DTYPE,
    EQUITY_DTYPE,
    ORDER_ROW_DTYPE,
    PASSAGE_DTYPE,
    TRADE_DTYPE,
)

ROWS_PER_GROUP = 65_536
MONEY = {
    "trades": ("entry_value", "exit_value", "gross", "mae", "mfe", "stop", "target"),
    "orders": ("price", "trigger", "value"),
    "passages": ("decision", "signal", "bid", "ask", "sent_price", "end_mark"),
    "equity": ("equity",),
    "days": ("gross", *metrics.COMPONENTS, "charges", "equity"),
    "hedges": ("price", "cost"),
}
MICRO = {"trades": metrics.COMPONENTS}
DTYPES = {
    "trades": TRADE_DTYPE,
    "orders": ORDER_ROW_DTYPE,
    "passages": PASSAGE_DTYPE,
    "equity": EQUITY_DTYPE,
    "days": DAY_DTYPE,
    "hedges": HEDGE_DTYPE,
}
SIDES = {1: "buy", -1: "sell", 0: "none"}
KINDS = {int(kind): kind.name.lower() for kind in OrderKind}
STATUSES = {int(kind): kind.name.lower() for kind in ReportKind}

Column = tuple[str, Any]


def _named(codes: NDArray[Any], name_of: Callable[[int], str]) -> list[str]:
    names = {code: name_of(code) for code in np.unique(codes).tolist()}
    return [names[code] for code in codes.tolist()]


def _readable(kind: str, rows: NDArray[Any]) -> list[Column]:
    """The columns for people: rupees, prices, names."""
    if kind == "trades":
        qty = np.maximum(rows["qty"], 1) * 100.0
        charges = metrics.trade_charges(rows)
        return [
            ("direction", _named(rows["side"], lambda side: "long" if side > 0 else "short")),
            ("entry_price", rows["entry_value"] / qty),
            ("exit_price", rows["exit_value"] / qty),
            ("gross_rupees", rows["gross"] / 100.0),
            ("charges_rupees", charges / (100.0 * metrics.UPAISE)),
            ("net_rupees", metrics.trade_net(rows) / (100.0 * metrics.UPAISE)),
            ("entered_by", _named(rows["entry_reason"], figures.reason_name)),
            ("ended_by", _named(rows["exit_reason"], figures.reason_name)),
        ]
    if kind == "orders":
        return [
            ("direction", _named(rows["side"], lambda side: SIDES.get(side, f"side_{side}"))),
            ("order_type", _named(rows["kind"], lambda code: KINDS.get(code, f"kind_{code}"))),
            ("sent_by", _named(rows["reason"], figures.reason_name)),
            ("ended", _named(rows["status"], lambda code: STATUSES.get(code, f"status_{code}"))),
            ("refusal", _named(rows["refused"], figures.refusal_name)),
            ("price_rupees", rows["price"] / 100.0),
            ("value_rupees", rows["value"] / 100.0),
        ]
    if kind == "passages":
        return [("decision_rupees", rows["decision"] / 100.0)]
    if kind == "hedges":
        return [
            ("reason", _named(rows["why"], hedges.why_name)),
            ("outcome", _named(rows["done"], hedges.done_name)),
            ("price_rupees", rows["price"] / 100.0),
            ("cost_rupees", rows["cost"] / 100.0),
        ]
    if kind == "equity":
        return [("equity_rupees", rows["equity"] / 100.0)]
    return [(f"{name}_rupees", rows[name] / 100.0) for name in MONEY["days"]]


def stored_name(kind: str, field: str) -> str:
    """Name of the exact column that holds a field, with its unit: "gross" -> "gross_paise"."""
    if field.endswith("_ns"):
        return "time" if field == "time_ns" else field.removesuffix("_ns") + "_time"
    if field in MICRO.get(kind, ()):
        return f"{field}_upaise"
    return f"{field}_paise" if field in MONEY[kind] else field


def arrow_table(kind: str, rows: NDArray[Any]) -> Any:
    """Make the Arrow table of one kind of rows.

    Args:
        kind: "trades", "orders", "passages", "equity", "days" or "hedges".
        rows: array of the dtype of that kind.

    Units:
        times as UTC timestamps in ns; `_paise`, `_upaise` (1e-6 paisa) exact; `_rupees` float64.
    """
    import pyarrow as pa

    stamp = pa.timestamp("ns", tz="UTC")
    columns: dict[str, Any] = {}
    for field in DTYPES[kind].names or ():
        if field == "spare":
            continue
        values = pa.array(np.ascontiguousarray(rows[field]))
        if field.endswith("_ns"):
            values = values.cast(stamp)
        columns[stored_name(kind, field)] = values
    for name, values in _readable(kind, rows):
        columns[name] = pa.array(values, pa.string()) if isinstance(values, list) else values
    return pa.table(columns)


def write(kind: str, rows: NDArray[Any], path: Path) -> None:
    """Write one kind of rows to a Parquet file.

    Raises:
        OSError: the file cannot be written.
    """
    import pyarrow.parquet as pq

    pq.write_table(
        arrow_table(kind, rows),
        path,
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=False,
        compression="lz4",
        write_statistics=False,
        store_schema=True,
    )


def read(kind: str, path: Path) -> NDArray[Any]:
    """Read one kind of rows back, to the bit.

    Shape:
        the dtype of that kind, one row a line of the file.

    Raises:
        BadData: the file is damaged or lacks a column.
        OSError: the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)
    except pa.ArrowInvalid as cause:
        raise BadData(f"{path}: not a whole Parquet file ({cause}); run the backtest again") from (
            cause
        )
    rows = np.zeros(table.num_rows, DTYPES[kind])
    for field in DTYPES[kind].names or ():
        if field == "spare":
            continue
        name = stored_name(kind, field)
        if name not in table.column_names:
            raise BadData(f"{path}: column {name} is missing; the run was not written by dhanfast")
        column = table.column(name).combine_chunks()
        if field.endswith("_ns"):
            column = column.cast(pa.int64())
        rows[field] = column.to_numpy(zero_copy_only=False)
    return rows
