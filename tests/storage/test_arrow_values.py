"""Arrow columns as numpy: equal to pyarrow's own list, and pandas is left alone."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhanfast.storage.arrow_values import values_of

NUMBERS = [7, -3, 2**53 + 1, 0, 9_000_000_000]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(NUMBERS, pa.int64()),
        pa.array([1, 2, *NUMBERS, 3], pa.int64()).slice(2, len(NUMBERS)),
        pa.chunked_array([NUMBERS[:2], NUMBERS[2:]], pa.int64()),
        pa.chunked_array([pa.array([5, *NUMBERS], pa.int64()).slice(1)]),
    ],
    ids=["whole", "slice", "chunks", "slice in a chunk"],
)
def test_values_are_those_of_the_column(column: pa.Array) -> None:
    values = values_of(column, np.int64)
    assert values.dtype == np.int64 and values.tolist() == column.to_pylist() == NUMBERS


def test_an_empty_column_is_an_empty_array() -> None:
    assert values_of(pa.array([], pa.float64()), np.float64).shape == (0,)


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="1 nulls"):
        values_of(pa.array([1.0, None]), np.float64)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_reading_bars_leaves_pandas_alone(tmp_path: Path, kind: str) -> None:
    """A pandas that ends the process when it is imported stands in for the one users have."""
    (tmp_path / "pandas").mkdir()
    (tmp_path / "pandas" / "__init__.py").write_text("import os\nos._exit(7)\n")
    stamps = np.arange(3) * 60_000_000_000 + 1_641_181_500_000_000_000
    columns = {"ts": stamps, "open": [3.0, 3.5, 3.0], "high": [4.0] * 3, "low": [2.0] * 3,
               "close": [3.0] * 3, "volume": [1, 2, 3], "instrument": ["NIFTY"] * 3}  # fmt: skip
    path = tmp_path / f"NIFTY_1m.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(columns), path)
    else:
        rows = zip(*(list(column) for column in columns.values()), strict=True)
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    code = "from dhanfast.storage.bars import read_bars\n"
    code += f"assert len(read_bars({str(path)!r}).bars) == 3"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                         env=os.environ | {"PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert ran.returncode == 0, ran.stderr
