"""Recorded bars of option contracts: a Parquet file, one row a contract and bar, as columns.

Our bars' columns (`ts` ns UTC of the start, `open high low close` rupees, `volume` units) and the
contract's: `underlying`, `expiry` (date32), `strike` (rupees), `right` (CE, PE). `spot`, the index
in rupees, where the file has it. Rows may come in any order.
"""

import hashlib
import os
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData, UsageError
from dhanfast.market.optiontime import ends_on
from dhanfast.storage.parquet_rows import GENERATED_KEY

PRICES: Final = ("open", "high", "low", "close")
NEEDED: Final = ("ts", *PRICES, "volume", "underlying", "expiry", "strike", "right")
LARGEST: Final = 1e9  # rupees

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class OptionBars:
    """Bars of one underlying's options, sorted by time.

    Units:
        `prices`, `strike`, `spot` paise (spot 0 = unknown); `volume` units; `expiry` days from 1970

    Shape:
        int64[n] each, `prices` int64[4, n] (open, high, low, close); `right` +1 calls, -1 puts.
    """

    name: str
    sha256: str
    generated: bool
    interval_ns: int
    ts: Ints
    prices: Ints
    volume: Ints
    expiry: Ints
    strike: Ints
    right: Ints
    spot: Ints
    has_spot: bool


def is_option_bars(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a table of option bars; False for what is no Parquet file."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_schema

    try:
        return set(NEEDED) <= set(read_schema(path).names)
    except (ArrowException, OSError):
        return False


def read_option_bars(path: str | os.PathLike[str], underlying: str) -> OptionBars:
    """Read the bars of one underlying's options.

    Rows whose expiry is not known are left out; an expiry that became a holiday is the trading day
    before.

    Raises:
        BadData: not Parquet, a column missing, prices that are no bar, stamps without an interval.
        UsageError: the file has no such underlying.
    """
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    name = os.path.basename(path)
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise BadData(f"{path}: no such file") from None
    except (ArrowException, OSError) as error:
        raise BadData(f"{name}: not a Parquet file we can read: {error}") from error
    missing = [one for one in NEEDED if one not in table.schema.names]
    if missing:
        raise BadData(
            f"{name}: no column {', '.join(missing)}; option bars have {', '.join(NEEDED)}"
        )
    names = np.array(table["underlying"].to_pylist(), dtype=object)
    mine = names == underlying
    if not mine.any():
        held = ", ".join(sorted({str(one) for one in names})[:6])
        raise UsageError(f"{name}: no options of {underlying!r}; it has {held}")
    days = table["expiry"].to_numpy(zero_copy_only=False).astype("datetime64[D]")
    mine &= ~np.isnat(days)
    for day in np.unique(days[mine]):  # holidays that were declared after the rows were recorded
        days[days == day] = ends_on(day.astype(date))
    order = np.flatnonzero(mine)
    ts = table["ts"].to_numpy(zero_copy_only=False)
    order = order[np.argsort(ts[order], kind="stable")]
    return _made(name, path, table, order, days)


def _made(
    name: str,
    path: str | os.PathLike[str],
    table: Any,
    order: NDArray[np.intp],
    days: NDArray[Any],
) -> OptionBars:
    """The chosen rows as integers, checked."""

    def column(one: str) -> NDArray[Any]:
        values: NDArray[Any] = table[one].to_numpy(zero_copy_only=False)[order]
        return values

    prices = np.stack([_paise(name, one, column(one)) for one in PRICES])
    low, high = prices[2], prices[1]
    wrong = (low > prices[0]) | (low > prices[3]) | (high < prices[0]) | (high < prices[3])
    if wrong.any():
        row = int(order[int(wrong.argmax())]) + 1
        raise BadData(f"{name}: row {row}: open or close lies outside low to high")
    ts = column("ts").astype(np.int64)
    steps = np.diff(np.unique(ts))
    if len(steps) == 0:
        raise BadData(f"{name}: bars of one moment: their length is not known")
    rights = column("right")
    known = (rights == "CE") | (rights == "PE")
    if not known.all():
        row = int(order[int((~known).argmax())]) + 1
        raise BadData(f"{name}: row {row}: right is {rights[int((~known).argmax())]!r}: CE or PE")
    has_spot = "spot" in table.schema.names
    spot = _paise(name, "spot", column("spot")) if has_spot else np.zeros(len(ts), np.int64)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return OptionBars(
        name=name,
        sha256=digest,
        generated=(table.schema.metadata or {}).get(GENERATED_KEY) == b"true",
        interval_ns=int(steps.min()),
        ts=ts,
        prices=prices,
        volume=np.nan_to_num(column("volume").astype(np.float64)).astype(np.int64),
        expiry=days[order].astype(np.int64),
        strike=_paise(name, "strike", column("strike")),
        right=np.where(rights == "CE", 1, -1).astype(np.int64),
        spot=spot,
        has_spot=has_spot,
    )


def _paise(name: str, column: str, values: NDArray[Any]) -> Ints:
    """Rupees as paise; what is not a number is 0."""
    rupees = np.nan_to_num(values.astype(np.float64))
    wrong = (rupees < 0) | (rupees > LARGEST)
    if wrong.any():
        raise BadData(f"{name}: {column} has {rupees[int(wrong.argmax())]:g}: 0 or more is a price")
    found: Ints = np.rint(100.0 * rupees).astype(np.int64)
    return found
