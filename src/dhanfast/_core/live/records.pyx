"""Layouts of live records as seen from Python, checked against the C structs at import."""

import numpy as np

INTENT_DTYPE = np.dtype([
    ("id", "<u8"), ("order", "<u8"), ("at_ns", "<i8"), ("price", "<i8"), ("trigger", "<i8"),
    ("qty", "<i8"), ("broker_id", "S24"), ("instrument", "<u4"), ("group", "<u4"), ("kind", "u1"),
    ("side", "i1"), ("order_kind", "u1"), ("validity", "u1"), ("flags", "u1"), ("reason", "u1"),
    ("tries", "u1"), ("spare", "u1", 17),
])
ANSWER_DTYPE = np.dtype([
    ("intent", "<u8"), ("at_ns", "<i8"), ("broker_id", "S24"), ("code", "<i4"), ("error", "<i4"),
    ("outcome", "u1"), ("seen", "u1"), ("retry_after_s", "u1"), ("spare", "u1", 13),
])
UPDATE_DTYPE = np.dtype([
    ("order", "<u8"), ("at_ns", "<i8"), ("broker_ns", "<i8"), ("price", "<i8"), ("trigger", "<i8"),
    ("value", "<i8"), ("qty", "<i8"), ("filled", "<i8"), ("broker_id", "S24"),
    ("instrument", "<u4"), ("seen", "u1"), ("origin", "u1"), ("order_kind", "u1"), ("side", "i1"),
])

for _name, _dtype, _size in (
    ("Intent", INTENT_DTYPE, sizeof(Intent)),
    ("Answer", ANSWER_DTYPE, sizeof(Answer)),
    ("Update", UPDATE_DTYPE, sizeof(Update)),
):
    if _dtype.itemsize != _size:
        raise ImportError(f"{_name}: the C struct has {_size} bytes, the dtype {_dtype.itemsize}")
