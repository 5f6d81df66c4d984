"""Forms: how the cells of a source's column stand in the rows of a stream, and back.

A form is plain data, kept in the `meaning` of the stream, so that the file itself says how its
source is rebuilt:

    how      field          a cell is
    int      whole number   (field + offset) / unit
    scaled   whole number   field / 10**digits, a double or a decimal text
    raw      any            the field's own bits
    enum     number         values[number], or by `codes` when numbers are not 0, 1, 2 ...
    choose   `by`           the field that stands at its number in `fields`, / 10**digits
    time     UTC ns         a text in the style of `time`
    text     length         so many of the row's bytes
    none                    null

`null` names a field that is 1 where the cell is null (in a CSV: empty). `type` is csv or the Arrow
type in the source's schema.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dhanfast.errors import BadData
from dhanfast.storage.archive.scans import numpy_of
from dhanfast.storage.archive.texts import (
    TimeStyle,
    decimal_texts,
    float_texts,
    parse_decimal,
)
from dhanfast.storage.arrow_values import values_of

Form = dict[str, Any]
TEXT_BYTES: Final = "text_bytes"
INT_MAX: Final = (1 << 63) - 1


def filled(column: Any) -> Any:
    """A column without nulls: zeros, or empty texts, in their place."""
    if not column.null_count:
        return column
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.fill_null(column, "")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return pc.fill_null(column, b"")
    if pa.types.is_boolean(kind):
        return pc.fill_null(column, False)
    width = pa.int64() if kind.bit_width == 64 else pa.int32()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return pc.fill_null(column, pa.scalar(0, kind))
    return pc.fill_null(column.view(width), pa.scalar(0, width)).view(kind)


def null_mask(column: Any, *, csv: bool) -> NDArray[np.bool_]:
    """Which cells are null; in a CSV the empty ones."""
    mask = pc.equal(column, "") if csv else pc.is_null(column)
    return np.asarray(pc.cast(mask, pa.uint8())).astype(bool)


def scaled_of(column: Any, digits: int) -> NDArray[np.int64]:
    """Cells times 10**digits as whole numbers, zero for what is null or no number.

    Exact when the scan said that `digits` are enough, else the nearest; what does not fit 64 bits
    is cut to the ends.
    """
    if pa.types.is_string(column.type):
        coded = filled(column).dictionary_encode()
        words = coded.dictionary.to_pylist()
        numbers = np.array([_scaled_word(word, digits) for word in words], np.int64)
        found: NDArray[np.int64] = numbers[values_of(coded.indices, np.int32)]
        return found
    values = numpy_of(filled(column))
    if values.dtype.kind != "f":
        limit = INT_MAX // 10**digits
        if values.dtype.kind == "u":
            small = np.minimum(values.astype(np.uint64), np.uint64(limit)).astype(np.int64)
        else:
            small = np.clip(values.astype(np.int64), -limit, limit)
        return np.asarray(small * 10**digits, np.int64)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.rint(values.astype(np.float64) * 10.0**digits)
    near = np.clip(np.nan_to_num(near, nan=0.0), -(2.0**62), 2.0**62)
    return np.asarray(near.astype(np.int64))


def _scaled_word(word: str, digits: int) -> int:
    number = parse_decimal(word)
    if number is not None and number.digits <= digits:
        return max(min(number.at(digits), INT_MAX), -INT_MAX)
    try:
        near = float(word) * 10.0**digits
        return max(min(round(near), INT_MAX), -INT_MAX)
    except (ValueError, OverflowError):
        return 0


def codes_of(column: Any, numbers: Mapping[str, int]) -> NDArray[np.int64]:
    """The number of each cell's text; 0 for nulls."""
    coded = filled(column).dictionary_encode()
    known = np.array([numbers.get(word, 0) for word in coded.dictionary.to_pylist()], np.int64)
    found: NDArray[np.int64] = known[values_of(coded.indices, np.int32)]
    return found


def cells(form: Form, kind: Any, rows: NDArray[Any], texts: "Texts | None") -> Any:
    """The cells of a column as an Arrow array of the source's type.

    Args:
        form: how they stand in the rows.
        kind: Arrow type; None for the text of a CSV.
        rows: of the stream.
        texts: the rows' bytes, for the forms that need them.

    Raises:
        BadData: the form is unknown, or a number has no text.
    """
    how, count = form["how"], len(rows)
    if how == "none":
        return pa.nulls(count, kind)
    nulls = rows[form["null"]] != 0 if form.get("null") else None
    if how == "text":
        if texts is None:
            raise BadData(f"column {form['name']!r} is kept as text, and the rows have no bytes")
        made = texts.column(form["field"])
        made = made if kind is None else _as_text(made, kind)
    elif how == "enum":
        made = _enum(form, rows, kind)
    elif how in ("int", "scaled", "choose", "time"):
        made = _number(form, rows, kind)
    elif how == "raw":
        values = np.ascontiguousarray(rows[form["field"]])
        made = float_texts(values) if kind is None else _typed(values, kind)
    else:
        raise BadData(f"column {form['name']!r} has the unknown form {how!r}; update dhanfast")
    if nulls is None or not nulls.any():
        return made
    mask = pa.array(nulls)
    return pc.if_else(mask, pa.scalar("" if kind is None else None, made.type), made)


def _number(form: Form, rows: NDArray[Any], kind: Any) -> Any:
    digits = form.get("digits", 0)
    if form["how"] == "choose":
        which = rows[form["by"]]
        values = np.zeros(len(rows), np.int64)
        for number, name in enumerate(form["fields"]):
            np.copyto(values, rows[name].astype(np.int64), where=which == number)
    else:
        values = rows[form["field"]].astype(np.int64)
    if form["how"] == "time":
        return TimeStyle(**form["time"]).texts(values)
    if form["how"] == "int":
        values = (values + form.get("offset", 0)) // form.get("unit", 1)
    if kind is None:
        return decimal_texts(values, digits, form["style"])
    if pa.types.is_floating(kind):
        return _typed(values / 10.0**digits, kind)
    return _typed(values, kind)


def _typed(values: NDArray[Any], kind: Any) -> Any:
    """Numbers as a column of a type of numbers, dates or times."""
    if pa.types.is_boolean(kind):
        return pc.cast(pa.array(values.astype(np.uint8)), kind)
    width = kind.bit_width // 8
    if pa.types.is_floating(kind):
        code = f"f{width}"
    else:
        code = f"{'u' if pa.types.is_unsigned_integer(kind) else 'i'}{width}"
    buffer = pa.py_buffer(np.ascontiguousarray(values.astype(code)))
    return pa.Array.from_buffers(kind, len(values), [None, buffer])


def _enum(form: Form, rows: NDArray[Any], kind: Any) -> Any:
    numbers = rows[form["field"]].astype(np.int64)
    if "mask" in form:
        numbers &= form["mask"]
    words = form["values"]
    codes = np.array(form.get("codes", range(len(words))), np.int64)
    order = np.argsort(codes)
    at = np.minimum(np.searchsorted(codes[order], numbers), len(codes) - 1)
    if (codes[order][at] != numbers).any():
        raise BadData(f"column {form['name']!r}: a row has a number that stands for no text")
    spelled = pa.array(words, pa.string())
    made = spelled.take(pa.array(order[at]))
    return made if kind is None or made.type == kind else made.cast(kind)


def _as_text(made: Any, kind: Any) -> Any:
    if pa.types.is_decimal(kind):
        return pc.cast(pc.if_else(pc.equal(made, ""), None, made), kind)
    return made.cast(kind) if made.type != kind else made


class Texts:
    """The bytes of rows, cut into the cells of the columns that are kept as text.

    Args:
        fields: names of the lengths, in the order in which the cells follow each other.
        rows: of the stream.
        blob: the bytes of all the rows.

    Raises:
        BadData: the lengths do not add up to the bytes.
    """

    def __init__(self, fields: Sequence[str], rows: NDArray[Any], blob: bytes) -> None:
        self._fields = list(fields)
        sizes = np.stack([rows[name].astype(np.int64) for name in fields], axis=1).ravel()
        ends = np.concatenate([[0], np.cumsum(sizes)])
        if int(ends[-1]) != len(blob):
            raise BadData(f"the rows' texts have {ends[-1]} bytes, {len(blob)} are there")
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(blob)]
        self._pieces = pa.Array.from_buffers(pa.large_binary(), len(sizes), buffers)

    def column(self, field: str) -> Any:
        """The cells of a column, as text."""
        first, step = self._fields.index(field), len(self._fields)
        mine = self._pieces.take(pa.array(np.arange(first, len(self._pieces), step)))
        return mine.cast(pa.binary()).cast(pa.string()) if _is_utf8(mine) else mine


def _is_utf8(pieces: Any) -> bool:
    try:
        pieces.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def put_texts(columns: Mapping[str, Any], rows: NDArray[Any]) -> bytes:
    """Put the lengths of text cells into rows and return their bytes, row by row.

    Args:
        columns: field -> column, in the order of the form.
        rows: changed in place.
    """
    parts = [filled(column).cast(pa.large_binary()) for column in columns.values()]
    for field, part in zip(columns, parts, strict=True):
        rows[field] = np.asarray(pc.binary_length(part))
    rows[TEXT_BYTES] = sum(rows[field].astype(np.int64) for field in columns)
    joined = (
        parts[0]
        if len(parts) == 1
        else pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
    )
    ends = np.frombuffer(joined.buffers()[1], np.int64)[joined.offset :][: len(joined) + 1]
    data = joined.buffers()[2]
    return b"" if data is None else bytes(memoryview(data)[int(ends[0]) : int(ends[-1])])
