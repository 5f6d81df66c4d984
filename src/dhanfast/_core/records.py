"""One packed record out of what a caller has at hand: a mapping, a numpy record or an array."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import UsageError


def record_of(value: Any, dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Return `value` as an array of one record of `dtype`, always a copy.

    Args:
        value: a mapping of field names (the fields left out are 0; a nested mapping for a nested
            record), a record or a one-record array of exactly this dtype.
        dtype: the layout of the record.
        what: how an error names it, e.g. "order".

    Shape:
        dtype[1], C-contiguous.

    Raises:
        UsageError: an unknown field, a value that does not fit its field, another dtype, or not
            exactly one record.
    """
    record = np.zeros(1, dtype=dtype)
    if isinstance(value, Mapping):
        for name, given in value.items():
            _set_field(record, str(name), given, what)
        return record
    array = np.asarray(value)
    if array.dtype != dtype:
        raise UsageError(
            f"{what}: expected a mapping or a record of {dtype.names}, got {array.dtype}"
        )
    if array.size != 1:
        raise UsageError(f"{what}: expected one record, got {array.size}; pass them one by one")
    record[0] = array.reshape(1)[0]
    return record


def _set_field(record: NDArray[Any], name: str, given: Any, what: str) -> None:
    known = record.dtype.names or ()
    if name not in known:
        raise UsageError(f"{what}.{name}: no such field; known: {', '.join(known)}")
    inner = record.dtype[name]
    if isinstance(given, Mapping):
        record[name] = record_of(given, inner, f"{what}.{name}")
        return
    try:
        record[name] = given
    except (OverflowError, TypeError, ValueError) as cause:
        raise UsageError(f"{what}.{name}: {given!r} does not fit {inner}") from cause
    if inner.kind in "iu" and isinstance(given, float) and int(given) != given:
        raise UsageError(f"{what}.{name}: {given!r} is not a whole number; units are paise and ns")
