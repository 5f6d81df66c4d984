"""Arrow columns as numpy arrays, without pandas."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def values_of(column: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """A pyarrow array of fixed width without nulls as numpy: read-only, not copied.

    Not `to_numpy`: where pandas is installed pyarrow imports it for that, which takes a second.

    Args:
        column: a pyarrow array, in one piece or in chunks, whose values have the width of `dtype`.
        dtype: of the answer.

    Raises:
        ValueError: the column has nulls; their places would hold anything.
    """
    if hasattr(column, "chunks"):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if column.null_count:
        raise ValueError(f"column has {column.null_count} nulls; fill them before reading")
    data = column.buffers()[1]
    if len(column) == 0 or data is None:
        return np.zeros(len(column), dtype)
    return np.frombuffer(data, dtype, len(column), column.offset * np.dtype(dtype).itemsize)
