"""Recorded snapshots of option chains: a whole file as columns, and one chain of it at a time.

    recorded = read_chains("index_option_chain.parquet")
    chain = recorded.at("NIFTY", at_ns)

One row a strike: `ts` (ns UTC, when the snapshot was taken), `underlying`, `expiry`, `strike`,
`ce_ltp ce_oi ce_volume pe_ltp pe_oi pe_volume`, `spot`. Rows of one snapshot stand together, its
strikes ascending, snapshots in the order of time. A price of 0 is no quote, and a null is unknown:
both become NaN. A file that breaks a rule is refused with the row and the value. Of a file that is
being recorded, or whose recorder was killed, the tail beside it is read too (`chain_tail`).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import exchange_date
from dhanfast.market.optiontime import ends_on
from dhanfast.storage.arrow_values import values_of
from dhanfast.storage.chain_tail import Behind, read_tail, tail_path
from dhanfast.storage.parquet_rows import GENERATED_KEY
from dhanfast.storage.stamps import DAY_NS, FIRST_NS, IST_OFFSET_NS, LAST_NS, ist_text

Floats = NDArray[np.float64]
PRICES: Final = ("ce_ltp", "pe_ltp")
COUNTS: Final = ("ce_oi", "pe_oi", "ce_volume", "pe_volume")
COLUMNS: Final = ("ts", "underlying", "expiry", "strike", *PRICES, *COUNTS, "spot")
LARGE: Final = 1e12  # a price or a count above is a mistake
NAMED: Final = 6  # days or names that a message lists


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The chain of one underlying and expiry at one moment.

    Units:
        prices and strikes rupees; open interest and volume units of the underlying, volume since
        the day's open; `at_ns` ns UTC.

    Shape:
        float64[n] each, one row a strike, strikes ascending; NaN where there is no quote, or where
        open interest or volume was not recorded. Views of the file's columns: do not write.
    """

    at_ns: int
    underlying: str
    expiry: date
    spot: float  # NaN where the file has none
    strike: Floats
    call: Floats
    put: Floats
    call_oi: Floats
    put_oi: Floats
    call_volume: Floats
    put_volume: Floats

    def __len__(self) -> int:
        """Count of strikes."""
        return len(self.strike)

    @property
    def date(self) -> date:
        """Exchange date of the moment."""
        return exchange_date(self.at_ns)

    @property
    def time_text(self) -> str:
        """The moment in IST."""
        return ist_text(self.at_ns)

    @property
    def quoted(self) -> int:
        """Options with a price."""
        return int(np.count_nonzero(self.call > 0.0) + np.count_nonzero(self.put > 0.0))


def snapshot(
    at_ns: int,
    underlying: str,
    expiry: date,
    strike: ArrayLike,
    call: ArrayLike,
    put: ArrayLike,
    *,
    spot: float = 0.0,
    call_oi: ArrayLike | None = None,
    put_oi: ArrayLike | None = None,
    call_volume: ArrayLike | None = None,
    put_volume: ArrayLike | None = None,
) -> Snapshot:
    """A chain from arrays of your own.

    Args:
        at_ns, underlying, expiry, spot: as of `Snapshot`; a spot of 0 is none.
        strike: ascending. call, put: premiums; 0 or NaN is no quote.
        call_oi, put_oi, call_volume, put_volume: None is not known.

    Raises:
        UsageError: lengths that differ; strikes that do not ascend from above 0; a negative value.
    """
    given = {"strike": strike, "call": call, "put": put, "call_oi": call_oi, "put_oi": put_oi,
             "call_volume": call_volume, "put_volume": put_volume}  # fmt: skip
    n = np.size(np.asarray(strike))
    made = {}
    for name, values in given.items():
        column = np.full(n, np.nan) if values is None else np.array(values, dtype=np.float64)
        if column.shape != (n,):
            raise UsageError(f"{name} has shape {column.shape}: give {n} numbers, one a strike")
        wrong = np.flatnonzero((column < 0.0) | (column > LARGE))
        if len(wrong):
            raise UsageError(f"{name}[{wrong[0]}] is {column[wrong[0]]}: give 0 to {LARGE:g}")
        made[name] = column
    if not (np.diff(made["strike"]) > 0.0).all() or not (made["strike"] > 0.0).all():
        raise UsageError("strike does not ascend from above 0: sort the chain, one row a strike")
    for name in ("call", "put"):
        made[name][made[name] == 0.0] = np.nan
    return Snapshot(at_ns, underlying, expiry, spot if spot > 0.0 else float("nan"), **made)


@dataclass(frozen=True)
class ChainFile:
    """Every snapshot of a file, in order of time; index or iterate it for `Snapshot`s.

    Shape:
        `columns` float64[rows]; `starts` int64[snapshots + 1]: the rows of snapshot i are
        starts[i] to starts[i + 1]; `at_ns` int64[snapshots], `spot` float64[snapshots].
    """

    name: str
    columns: dict[str, Floats]
    starts: NDArray[np.int64]
    at_ns: NDArray[np.int64]
    spot: Floats
    underlyings: tuple[str, ...]  # each name once, sorted
    expiries: tuple[date, ...]  # each date once, ascending
    underlying_code: NDArray[np.int64]  # of each snapshot, into `underlyings`
    expiry_code: NDArray[np.int64]
    generated: bool = False  # of a generated market, as the file says itself

    def __len__(self) -> int:
        """Count of snapshots."""
        return len(self.at_ns)

    @property
    def rows(self) -> int:
        """Count of rows: strikes of all snapshots."""
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> Snapshot:
        """Snapshot by its place; negative counts from the end.

        Raises:
            IndexError: no such place.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} snapshots, none at {index}")
        place = index % len(self)
        return next(self._made(place, place + 1))

    def __iter__(self) -> Iterator[Snapshot]:
        """Every snapshot, oldest first."""
        yield from self._made(0, len(self))

    def _made(self, first: int, end: int) -> Iterator[Snapshot]:
        """Those from a place up to another."""
        at = self.columns
        strike, call, put = at["strike"], at["ce_ltp"], at["pe_ltp"]
        call_oi, put_oi = at["ce_oi"], at["pe_oi"]
        call_volume, put_volume = at["ce_volume"], at["pe_volume"]
        part = slice(first, end)
        starts = self.starts[first : end + 1].tolist()
        codes = zip(self.underlying_code[part].tolist(), self.expiry_code[part].tolist(),
                    strict=True)  # fmt: skip
        heads = zip(self.at_ns[part].tolist(), codes, self.spot[part].tolist(), starts, starts[1:],
                    strict=False)  # fmt: skip
        for at_ns, (name, expiry), spot, low, high in heads:
            yield Snapshot(
                at_ns, self.underlyings[name], self.expiries[expiry], spot, strike[low:high],
                call[low:high], put[low:high], call_oi[low:high], put_oi[low:high],
                call_volume[low:high], put_volume[low:high],
            )  # fmt: skip

    def places(self, underlying: str, expiry: date | None = None) -> NDArray[np.int64]:
        """Where the snapshots of an underlying are, in order of time.

        Args:
            expiry: only of that date; all unless given.

        Raises:
            UsageError: the file has none.
        """
        if underlying not in self.underlyings:
            raise UsageError(f"{self.name}: no underlying {underlying!r}; it has "
                             f"{_listed(self.underlyings)}")  # fmt: skip
        found = self.underlying_code == self.underlyings.index(underlying)
        if expiry is not None:
            held = [self.expiries[code] for code in np.unique(self.expiry_code[found])]
            if expiry not in held:
                raise UsageError(f"{self.name}: no chain of {underlying} that expires {expiry}; "
                                 f"it has {_listed(map(str, held))}")  # fmt: skip
            found &= self.expiry_code == self.expiries.index(expiry)
        held_at: NDArray[np.int64] = np.flatnonzero(found)
        return held_at

    def at(self, underlying: str, at_ns: int | None = None, expiry: date | None = None) -> Snapshot:
        """The last chain that was known at a moment: taken on that day, not after it.

        Args:
            underlying: NIFTY, RELIANCE, ...
            at_ns: ns UTC; the last snapshot of the file unless given.
            expiry: the nearest of that day, unless given.

        Raises:
            UsageError: no such underlying, expiry, day or moment; the message lists what there is.
        """
        places = self.places(underlying, expiry)
        if at_ns is None:
            at_ns = int(self.at_ns[places[-1]])
        day = exchange_date(at_ns)
        places = self.on_day(places, day, underlying)
        known = places[self.at_ns[places] <= at_ns]
        if len(known) == 0:
            raise UsageError(
                f"{self.name}: the first chain of {underlying} on {day} is of "
                f"{ist_text(int(self.at_ns[places[0]]))}; give that or a later moment"
            )
        nearest = known[self.expiry_code[known] == self.expiry_code[known].min()]
        return self[int(nearest[-1])]

    def on_day(
        self, places: NDArray[np.int64], day: date, underlying: str = "the underlying"
    ) -> NDArray[np.int64]:
        """Those of some places that were taken on an exchange date.

        Raises:
            UsageError: none; the message lists the days there are.
        """
        days = self.days(places)
        kept: NDArray[np.int64] = places[days == np.datetime64(day)]
        if len(kept) == 0:
            held = np.unique(days).astype(object).tolist()
            raise UsageError(f"{self.name}: no chain of {underlying} on {day}; "
                             f"it has {_listed(map(str, held))}")  # fmt: skip
        return kept

    def days(self, places: NDArray[np.int64]) -> NDArray[np.datetime64]:
        """Exchange date of each place, as numpy dates."""
        days = (self.at_ns[places] + IST_OFFSET_NS) // DAY_NS
        return days.astype("datetime64[D]")


def read_chains(path: str | os.PathLike[str]) -> ChainFile:
    """Read a Parquet file of chain snapshots.

    Raises:
        BadData: no such file, not Parquet, no rows; a column missing or of another type; a row that
            breaks a rule of this module, named by its number from 1, its column and its value.
    """
    name = os.path.basename(path)
    try:
        table = _table(os.fspath(path), name)
    except Behind:  # the recorder has just folded its tail in; a tail of another file is one still
        table = _table(os.fspath(path), name)
    flag = (table.schema.metadata or {}).get(GENERATED_KEY, b"")
    ts = values_of(_column(table, "ts", "int64", name), np.int64)
    names, owner = _coded(_column(table, "underlying", "dictionary", name), name)
    days = values_of(_column(table, "expiry", "date32[day]", name), np.int32)
    columns = {one: _numbers(table, one, name) for one in COLUMNS[3:]}
    new = np.ones(len(ts), np.bool_)
    new[1:] = (ts[1:] != ts[:-1]) | (owner[1:] != owner[:-1]) | (days[1:] != days[:-1])
    heads = np.flatnonzero(new)
    held = _as_they_ended(days[heads].astype("datetime64[D]"))
    expiry_days, expiry = np.unique(held, return_inverse=True)
    _check_order(name, ts, owner[heads], expiry, heads, columns["strike"], new)
    for one in (*PRICES, "spot"):
        columns[one] = np.where(columns[one] == 0.0, np.nan, columns[one])
    spot = columns.pop("spot")
    starts = np.append(heads, len(ts))
    return ChainFile(
        name=name, columns=columns, starts=starts, at_ns=ts[heads], spot=spot[heads],
        underlyings=names, expiries=tuple(expiry_days.astype(object).tolist()),
        underlying_code=owner[heads], expiry_code=expiry, generated=flag == b"true",
    )  # fmt: skip


def _as_they_ended(days: NDArray[Any]) -> NDArray[Any]:
    """Expiries, those that became a holiday as the trading day before, unless that is there too."""
    held = np.unique(days)
    for day in held:
        ended = np.datetime64(ends_on(day.astype(date)))
        if ended not in held:
            days = np.where(days == day, ended, days)
    return days


def _listed(names: Any) -> str:
    """A few names of many."""
    every = list(names)
    more = f", ... ({len(every)} in all)" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def _table(path: str, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, read_dictionary=["underlying"])
        missing = [one for one in COLUMNS if one not in file.schema_arrow.names]
        if missing:
            raise BadData(f"{name}: no column {', '.join(missing)}; a chain has "
                          f"{', '.join(COLUMNS)}")  # fmt: skip
        if file.metadata.num_rows == 0:
            raise BadData(f"{name}: the file has no rows; export it again")
        table = file.read(columns=list(COLUMNS))
        tail = read_tail(path, table.num_rows)
        return table if tail is None else _joined(table, tail)
    except FileNotFoundError:
        raise BadData(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{name}: not a Parquet file we can read: {error}") from error


def _joined(table: Any, tail: Any) -> Any:
    """A table and its tail; names are a dictionary in both."""
    import pyarrow as pa

    names = tail.column("underlying").dictionary_encode()
    at = tail.schema.get_field_index("underlying")
    tail = tail.set_column(at, "underlying", names).select(table.schema.names)
    return pa.concat_tables([table, tail.cast(table.schema)])


def chain_bytes(path: str | os.PathLike[str]) -> bytes:
    """All that `read_chains` reads of a file, for a checksum."""
    parts = []
    for one in (os.fspath(path), tail_path(path)):
        if os.path.exists(one):
            with open(one, "rb") as file:
                parts.append(file.read())
    return b"".join(parts)


def _column(table: Any, column: str, kind: str, name: str) -> Any:
    """A whole column of one type, without nulls."""
    import pyarrow as pa

    found = table.column(column)
    if not str(found.type).startswith(kind):
        raise BadData(f"{name}: column {column} is {found.type}; it must be {kind}")
    if found.null_count:
        row = found.is_null().to_pylist().index(True) + 1
        raise BadData(f"{name}: row {row}: {column} is null; every row needs one")
    if kind == "dictionary":
        found = found.unify_dictionaries()
    return found.chunk(0) if found.num_chunks == 1 else pa.concat_arrays(found.chunks)


def _coded(column: Any, name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names, sorted, and the place of each row's among them."""
    texts = column.dictionary.to_pylist()
    if not all(isinstance(text, str) and text for text in texts):
        raise BadData(f"{name}: column underlying has a name that is empty or not a text")
    order = sorted(range(len(texts)), key=texts.__getitem__)
    place = np.empty(len(texts), np.int64)
    place[order] = np.arange(len(texts))
    return tuple(texts[one] for one in order), place[values_of(column.indices, np.int32)]


def _numbers(table: Any, column: str, name: str) -> Floats:
    """A column as doubles, NaN where null; nothing negative, infinite or absurd."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = table.column(column)
    kind = found.type
    known = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    if not (known or pa.types.is_null(kind)):
        raise BadData(f"{name}: column {column} is {found.type}; it must be numbers")
    whole = found.cast(pa.float64(), safe=False)
    if whole.null_count:
        whole = pc.fill_null(whole, float("nan"))
    values: Floats = values_of(whole, np.float64)
    strict = column == "strike"
    least, most = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    if least < 0.0 or most > LARGE or (strict and not (least > 0.0 and not np.isnan(values).any())):
        wrong = (values < 0.0) | (values > LARGE) | (strict & ~(values > 0.0))
        row = int(wrong.argmax())
        raise BadData(f"{name}: row {row + 1}: {column} is {values[row]:g}; it must be "
                      f"{'above 0' if strict else '0 or more'}, at most "
                      f"{LARGE:g}")  # fmt: skip
    return values


def _check_order(
    name: str,
    ts: NDArray[np.int64],
    owner: NDArray[np.int64],
    expiry: NDArray[np.int64],
    heads: NDArray[np.int64],
    strike: Floats,
    new: NDArray[np.bool_],
) -> None:
    """Time ascends, no snapshot comes in two parts, strikes ascend within each."""
    for row in (0, int(np.argmax(ts)), int(np.argmin(ts))):
        if not FIRST_NS <= ts[row] < LAST_NS:
            raise BadData(f"{name}: row {row + 1}: ts is {ts[row]}; it must be ns since 1970 UTC")
    back = np.flatnonzero(np.diff(ts) < 0)
    if len(back):
        raise BadData(f"{name}: row {back[0] + 2}: ts goes back to {ist_text(int(ts[back[0] + 1]))}"
                      "; sort by ts, underlying, expiry, strike")  # fmt: skip
    falls = np.flatnonzero((np.diff(strike) <= 0.0) & ~new[1:])
    if len(falls):
        raise BadData(f"{name}: row {falls[0] + 2}: strike {strike[falls[0] + 1]:g} does not ascend"
                      "; sort by ts, underlying, expiry, strike, one row a strike")  # fmt: skip
    order = np.lexsort((expiry, owner, ts[heads]))
    keys = [one[order] for one in (ts[heads], owner, expiry)]
    same = np.logical_and.reduce([one[1:] == one[:-1] for one in keys])
    if same.any():
        row = int(max(heads[order][:-1][same][0], heads[order][1:][same][0]))
        raise BadData(f"{name}: row {row + 1}: a second part of the snapshot of "
                      f"{ist_text(int(ts[row]))}; sort by ts, underlying, expiry, strike"
                      )  # fmt: skip
