"""Parquet files as a `RowTable`: only the needed columns, on the calling thread."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData
from dhanfast.storage.arrow_values import values_of
from dhanfast.storage.csv_rows import whole_numbers
from dhanfast.storage.rows import PRICES, Defect, RowTable, resolve_columns
from dhanfast.storage.stamps import Stamps, from_integers, from_texts, placed_clock

GENERATED_KEY: Final = b"dhanfast.generated"  # schema metadata of files our generator wrote


def _place(rows: Sequence[int]) -> list[int]:
    """Row numbers as people count them, from 1."""
    return [row + 1 for row in rows]


def read_parquet_rows(
    name: str, data: bytes, sha256: str, columns: Mapping[str, str], tz: str | None
) -> RowTable:
    """Read a Parquet file.

    Args:
        name: of the file, for messages.
        data: its bytes; `sha256`: their hash.
        columns: our column -> the file's, see `rows.resolve_columns`.
        tz: zone of stamps that carry none; integers are UTC unless it says otherwise.

    Raises:
        BadData: not Parquet, empty, columns missing or of an unusable type.
        UsageError: stamps without a zone and no `tz`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
        if file.metadata.num_rows == 0:
            raise BadData(f"{name}: the file has no rows; export it again")
        found = resolve_columns(schema.names, columns, name)
        header = {ours: schema.names[index] for ours, index in found.items()}
        one = _single_name(file, header.get("instrument"))
        needed = [theirs for ours, theirs in header.items() if ours != "instrument" or one is None]
        table = file.read(columns=needed, use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, BadData):
            raise
        raise BadData(f"{name}: not a Parquet file we can read: {error}") from error
    parts = {ours: _whole_column(table.column(theirs))
             for ours, theirs in header.items() if theirs in needed}  # fmt: skip
    defects: list[Defect] = []
    stamps = _stamps(parts, tz, name)
    if stamps.bad.any():
        defects.append(Defect("bad-stamp", "ts", np.flatnonzero(stamps.bad), "is not a time"))
    prices = np.empty((4, len(stamps.ns)))
    for index, column in enumerate(PRICES):
        prices[index] = _doubles(parts[column], header[column], name)
    counts = {ours: _counts(parts[ours], ours, name, defects)
              for ours in ("volume", "oi") if ours in parts}  # fmt: skip
    codes, names = (None, (one,)) if one is not None else _names(parts.get("instrument"), name)
    meta = schema.metadata or {}
    return RowTable(
        name=name, sha256=sha256, unit="row", ts=stamps.ns, prices=prices,
        volume=counts.get("volume"), oi=counts.get("oi"), codes=codes, names=names,
        generated=meta.get(GENERATED_KEY, b"").lower() == b"true",
        stamp_column=header["ts"], facts=(stamps.fact,), defects=tuple(defects), place=_place,
        cell=lambda row, column: str(parts[column][row]), header=header,
    )  # fmt: skip


def _whole_column(column: Any) -> Any:
    """One array of a column that may come in chunks."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _single_name(file: Any, column: str | None) -> str | None:
    """The file's only instrument when its statistics prove it, so the column need not be read."""
    if column is None:
        return None
    index = file.schema_arrow.names.index(column)
    found: set[str] = set()
    for group in range(file.metadata.num_row_groups):
        chunk = file.metadata.row_group(group).column(index)
        stats = chunk.statistics
        if chunk.path_in_schema != column or stats is None or not stats.has_min_max:
            return None
        if stats.null_count is None or stats.null_count or not isinstance(stats.min, str):
            return None
        found |= {stats.min, stats.max}
    # A long name may be cut in the statistics; two names cut alike would look like one.
    return found.pop() if len(found) == 1 and len(min(found)) < 32 else None


def _stamps(parts: Mapping[str, Any], tz: str | None, name: str) -> Stamps:
    """Read the stamp column by its type, or date and time joined."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    column = parts["ts"]
    try:
        if "time" in parts:
            day = pc.cast(column, pa.string()).fill_null("")
            day = pc.replace_substring_regex(day, r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3")
            clock = pc.cast(parts["time"], pa.string()).fill_null("")
            texts = pc.binary_join_element_wise(day, clock, " ")
            return from_texts(texts, tz, lambda row: f"row {row + 1}")
        if types.is_integer(column.type):
            return _nulls_bad(from_integers(_int64(column), tz), column)
        if types.is_timestamp(column.type) or types.is_date(column.type):
            zone = getattr(column.type, "tz", None)
            ns = pc.cast(pc.cast(column, pa.timestamp("ns", tz=zone)), pa.int64())
            placed = placed_clock(_int64(ns), 0 if zone else None, tz)
            return _nulls_bad(placed, column)
        if types.is_string(column.type) or types.is_large_string(column.type):
            texts = column.fill_null("").cast(pa.string())
            return from_texts(texts, tz, lambda row: f"row {row + 1}")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadData(f"{name}: the stamps cannot be read: {error}") from error
    except ValueError as error:
        raise type(error)(f"{name}: {error}") from None
    raise BadData(
        f"{name}: the stamp column has the type {column.type}; "
        "store integers since 1970, timestamps or ISO text"
    )


def _int64(column: Any) -> NDArray[np.int64]:
    """Integers of a column; nulls become 0."""
    import pyarrow as pa

    filled = column.fill_null(0) if column.null_count else column
    return values_of(filled.cast(pa.int64()), np.int64)


def _is_null(column: Any) -> NDArray[np.bool_]:
    """Which rows are null."""
    import pyarrow as pa

    return values_of(column.is_null().cast(pa.int8()), np.int8).view(np.bool_)


def _nulls_bad(stamps: Stamps, column: Any) -> Stamps:
    """Mark null stamps as bad."""
    if not column.null_count:
        return stamps
    bad = stamps.bad | _is_null(column)
    return Stamps(np.where(bad, 0, stamps.ns).astype(np.int64), bad, stamps.fact)


def _doubles(column: Any, theirs: str, name: str) -> NDArray[np.float64]:
    """Prices of a column; nulls become NaN, which the checks refuse."""
    import pyarrow as pa
    import pyarrow.types as types

    numeric = types.is_floating(column.type) or types.is_integer(column.type)
    if not (numeric or types.is_decimal(column.type)):
        raise BadData(
            f"{name}: column {theirs} has the type {column.type}; store prices as numbers in rupees"
        )
    try:
        cast = column.cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise BadData(f"{name}: column {theirs}: {error}; store prices as float64") from error
    return values_of(cast.fill_null(np.nan) if cast.null_count else cast, np.float64)


def _counts(column: Any, ours: str, name: str, defects: list[Defect]) -> NDArray[np.int64]:
    """Volume or open interest; nulls and fractions are defects."""
    import pyarrow.types as types

    if types.is_integer(column.type) and not column.null_count:
        try:
            return _int64(column)
        except ValueError as error:
            raise BadData(f"{name}: column {ours}: {error}; store it as int64") from error
    values = _doubles(column, ours, name)
    return whole_numbers(values, np.isnan(values), ours, defects)


def _names(column: Any, name: str) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Which instrument each row belongs to."""
    import pyarrow as pa
    import pyarrow.types as types

    if column is None:
        return None, ()
    if types.is_dictionary(column.type):
        column = column.cast(pa.string())
    if not (types.is_string(column.type) or types.is_large_string(column.type)):
        raise BadData(f"{name}: the instrument column has the type {column.type}; store names")
    if column.null_count:
        row = int(np.flatnonzero(_is_null(column))[0]) + 1
        raise BadData(f"{name}: row {row}: instrument is empty; name it, or map instrument=none")
    coded = column.dictionary_encode()
    names = tuple(coded.dictionary.to_pylist())
    codes = values_of(coded.indices.cast(pa.int32()), np.int32)
    return (None if len(names) == 1 else codes), names
