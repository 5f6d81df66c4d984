"""What entries were decided on and what took them back: rows of a run beside its trades.

pyarrow is imported on first use: it takes longer to load than a backtest to run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.factors import factor_dtype
from dhanfast._core.filters import VETO_DTYPE
from dhanfast.errors import BadData


@dataclass(frozen=True)
class VetoRows:
    """Entries that filters took back.

    Attributes:
        names: of the filters, in the order in which they were asked.
        rows: VETO_DTYPE[n]: vetoes of one filter and side without a break are one row.
        counts: {name: entries taken back}, of all, whether or not there was room for a row.
    """

    names: tuple[str, ...]
    rows: NDArray[Any]
    counts: dict[str, int]


@dataclass(frozen=True)
class FactorRows:
    """What the entry of each position was decided on.

    Attributes:
        names, weights: of the factors; weights as parts of their sum.
        rows: factor_dtype(len(names))[n], row i of trade i; one more when a position is open.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    rows: NDArray[Any]


@dataclass(frozen=True)
class FactorMean:
    """One factor over all trades.

    Attributes:
        weight: part of all weights. agreed: trades whose side it was on; against: whose it was not.
        contribution: mean of value times weight, towards the side that was entered.
        net: of the trades it was on the side of, paise, after charges.
    """

    name: str
    weight: float
    agreed: int
    against: int
    contribution: float
    net: int


def means(factors: FactorRows, net: NDArray[np.float64]) -> list[FactorMean]:
    """Each factor's part in the entries of closed trades.

    Args:
        net: of each closed trade, paise after charges.
    """
    rows = factors.rows[: len(net)]
    found = []
    for at, (name, weight) in enumerate(zip(factors.names, factors.weights, strict=True)):
        towards = rows["values"][:, at] * rows["side"]
        known = towards[np.isfinite(towards)]
        agreed = towards > 0
        found.append(
            FactorMean(
                name=name,
                weight=weight,
                agreed=int(agreed.sum()),
                against=int((towards < 0).sum()),
                contribution=weight * float(known.mean()) if len(known) else 0.0,
                net=round(float(net[: len(rows)][agreed].sum())),
            )
        )
    return found


def entry_text(names: tuple[str, ...], weights: tuple[float, ...], row: NDArray[Any]) -> str:
    """What one entry was decided on, in a line: the sum, and each factor times its weight.

    Args:
        row: one of `FactorRows.rows`.
    """
    side = "long" if row["side"] > 0 else "short"
    parts = [
        f"{name} {value:+.3f} x {weight:.3f} = {value * weight:+.3f}"
        for name, weight, value in zip(names, weights, row["values"].tolist(), strict=True)
    ]
    return f"{side} at {float(row['total']):+.3f}: {', '.join(parts)}"


def write_rows(rows: NDArray[Any], path: Path) -> None:
    """Write rows to a Parquet file, a column a field; `values` becomes value_0, value_1, ...

    Raises:
        OSError: the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {}
    for field in rows.dtype.names or ():
        if rows.dtype[field].shape:
            columns |= {f"value_{at}": np.ascontiguousarray(rows[field][:, at])
                        for at in range(rows.dtype[field].shape[0])}  # fmt: skip
        else:
            columns[field] = np.ascontiguousarray(rows[field])
    pq.write_table(pa.table(columns), path, compression="lz4", use_dictionary=False)


def read_rows(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rows of a file of `write_rows`, to the bit.

    Raises:
        BadData: the file is damaged, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read(use_threads=False)
    except pa.ArrowInvalid as cause:
        raise BadData(f"{path}: not a whole Parquet file ({cause}); run again") from cause
    rows = np.zeros(table.num_rows, dtype)
    try:
        for field in dtype.names or ():
            if dtype[field].shape:
                for at in range(dtype[field].shape[0]):
                    rows[field][:, at] = table.column(f"value_{at}").to_numpy()
            else:
                rows[field] = table.column(field).to_numpy()
    except KeyError as cause:
        raise BadData(f"{path}: a column is missing ({cause}); run again") from cause
    return rows


def read_vetoes(path: Path, told: dict[str, Any]) -> VetoRows:
    """Vetoes of a run directory.

    Args:
        told: `names` and `counts` of result.json.
    Raises:
        BadData: see `read_rows`.
    """
    return VetoRows(tuple(told["names"]), read_rows(path, VETO_DTYPE), dict(told["counts"]))


def read_factors(path: Path, told: dict[str, Any]) -> FactorRows:
    """Factors of a run directory.

    Args:
        told: `names` and `weights` of result.json.
    Raises:
        BadData: see `read_rows`.
    """
    names = tuple(told["names"])
    return FactorRows(names, tuple(told["weights"]), read_rows(path, factor_dtype(len(names))))
