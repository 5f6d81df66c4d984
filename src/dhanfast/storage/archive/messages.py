"""Messages of an order book as two streams: changes of levels, and trades with quotes.

A source like hftbacktest's has one row a level, with `event` (depth, snapshot, trade, bbo), `side`
(B, S), price and quantity. Rows of one message follow each other. Into `depth` go

    depth       a row for each level; LAST on the last of its message
    snapshot    the same with SNAPSHOT, after one CLEAR a side that the source does not have

and into `ticks`, with the best bid and ask carried from the quotes before,

    trade       price and qty; `what` says which side took
    bbo         bid and ask of one message, two rows of the source, as one row

Rows are numbered in the order of the source across both streams; that is how they come back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dhanfast._core.archive.schema import DEPTH, Stream
from dhanfast._core.types import DepthFlag, DepthOp
from dhanfast.storage.archive.forms import Form, codes_of, filled, scaled_of
from dhanfast.storage.archive.layouts import Layout
from dhanfast.storage.archive.planning import (
    U4_MAX,
    Build,
    Part,
    Plan,
    Survey,
    clock_meaning,
    instrument_form,
    kept,
    read_facts,
    source_meaning,
    time_form,
    words_of,
)
from dhanfast.storage.archive.scans import NumberScan, TextScan, numpy_of
from dhanfast.storage.archive.sources import TickSource
from dhanfast.storage.arrow_values import values_of

EVENTS: Final = {"depth": 0, "snapshot": 1, "trade": 2, "bbo": 3}
SIDES: Final = {"B": 1, "S": -1}
WHAT: Final = ("trade, the buyer took", "trade, the seller took", "quote")
CARRIED: Final = ("bid", "ask", "bid_qty", "ask_qty")
HELD_ROWS_MAX: Final = 1 << 20  # rows of one message: more is no message


@dataclass
class _Columns:
    """Where the columns of a message stand."""

    event: int
    side: int
    price: int
    qty: int
    shared: tuple[int, ...]  # equal in all rows of a message


def _columns(source: TickSource, layout: Layout) -> _Columns:
    lower = [name.strip().lower() for name in source.names]
    at = {name: lower.index(name) for name in ("event", "side", "price", "qty")}
    own = {at["side"], at["price"], at["qty"]}
    shared = tuple(number for number in range(len(lower)) if number not in own)
    return _Columns(at["event"], at["side"], at["price"], at["qty"], shared)


def whole_messages(
    batches: Iterator[list[Any]], columns: Sequence[int]
) -> Iterator[tuple[int, list[Any], NDArray[np.bool_]]]:
    """Batches that end where a message ends.

    Args:
        batches: of the source, in order.
        columns: that are equal in all rows of a message.

    Returns:
        (row number of the first, columns, whether each row begins a message).
    """
    held: list[Any] | None = None
    first = 0
    for batch in batches:
        if held is not None:
            joined = zip(held, batch, strict=True)
            batch = [pa.concat_arrays([old, new]) for old, new in joined]
        begins = _begins(batch, columns)
        cut = int(np.flatnonzero(begins)[-1])
        if cut == 0 and len(begins) < HELD_ROWS_MAX:
            held = batch
            continue
        cut = cut or len(begins)
        yield first, [column.slice(0, cut) for column in batch], begins[:cut]
        first += cut
        held = [column.slice(cut) for column in batch] if cut < len(begins) else None
    if held is not None:
        yield first, held, _begins(held, columns)


def _begins(batch: list[Any], columns: Sequence[int]) -> NDArray[np.bool_]:
    """Whether a row differs from the one before in a column of the message."""
    begins = np.zeros(len(batch[0]), bool)
    begins[0] = True
    for at in columns:
        column = batch[at]
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            values = values_of(filled(column).dictionary_encode().indices, np.int32)
        else:
            values = numpy_of(filled(column))
        begins[1:] |= values[1:] != values[:-1]
    return begins


def plan_messages(source: TickSource, survey: Survey, layout: Layout) -> Plan | None:
    """How messages become depth and ticks; None when they are not all as we know them.

    Raises:
        BadData: the file cannot be read to its end.
    """
    if source.dialect is not None:
        return None
    columns = _columns(source, layout)
    qty_digits = _scales(source, survey, columns)
    if qty_digits is None or not all(
        _known(batch, begins, columns)
        for _, batch, begins in whole_messages(source.batches(), columns.shared)
    ):
        return None
    depth, ticks = Build(source, survey, layout, base=DEPTH), Build(source, survey, layout)
    depth_forms(depth, columns, qty_digits)
    ticks_forms(ticks, columns, qty_digits)
    if depth.texts or ticks.texts:
        return None
    streams = [_stream(build, survey.rows, first=build is ticks) for build in (ticks, depth)]
    facts = [*read_facts(ticks), "depth and snapshot rows are in `depth`, trades and quotes in "
             "`ticks`"]  # fmt: skip
    maker = _Encoder(ticks, depth, streams[0], streams[1], columns, qty_digits)
    return Plan(streams, survey.identities, facts, 10**qty_digits, maker.encode)


def _stream(build: Build, rows: int, *, first: bool) -> Stream:
    stream = build.base.with_extra(build.extra)
    told: dict[str, Any] = {"columns": build.forms, "texts": []}
    told |= {"skip": ["op", int(DepthOp.CLEAR)]} if not first else {"pairs": "what"}
    if first:
        told |= source_meaning(build.source, rows)
    meaning = dict(stream.meaning) | clock_meaning(build) | words_of(build)
    meaning["source"] = told
    if first:
        meaning["what"] = {"enum": list(WHAT)}
    return replace(stream, meaning=meaning, scaling=dict(stream.scaling) | build.scaling)


def _scales(source: TickSource, survey: Survey, columns: _Columns) -> int | None:
    """Decimals of the quantities, when prices are whole paise and all of it fits."""
    price, qty = survey.scans[columns.price], survey.scans[columns.qty]
    if not isinstance(price, NumberScan) or not isinstance(qty, NumberScan):
        return None
    if price.nulls or qty.nulls or price.digits is None or qty.digits is None or price.digits > 2:
        return None
    for at in (columns.price, columns.qty):
        if not pa.types.is_floating(source.schema[at].type):
            return None
    if qty.low < 0 or qty.high * 10**qty.digits > U4_MAX or abs(price.high) > 1e12:
        return None
    for at in (columns.event, columns.side):
        scan = survey.scans[at]
        if not isinstance(scan, TextScan) or scan.nulls:
            return None
    return qty.digits


def _known(batch: list[Any], begins: NDArray[np.bool_], columns: _Columns) -> bool:
    """Whether all events and sides are known, and quotes come as bid and ask in one message."""
    events = set(pc.unique(batch[columns.event]).to_pylist())
    sides = set(pc.unique(batch[columns.side]).to_pylist())
    if not events <= set(EVENTS) or not sides <= set(SIDES):
        return False
    event, side = codes_of(batch[columns.event], EVENTS), codes_of(batch[columns.side], SIDES)
    quotes = np.flatnonzero(event == EVENTS["bbo"])
    return bool(
        len(quotes) % 2 == 0
        and (quotes[1::2] == quotes[::2] + 1).all()
        and (side[quotes] == np.tile([1, -1], len(quotes) // 2)).all()
        and begins[quotes[::2]].all()
        and not begins[quotes[1::2]].any()
    )


def depth_forms(build: Build, columns: _Columns, qty_digits: int) -> None:
    """The forms of the columns in a stream of depth."""
    seq = next((at for at, name in enumerate(build.source.names) if name == "seq"), None)
    if seq is not None and not _counts(build, seq):
        seq = None
    special: dict[int, Form] = {
        columns.event: {"how": "enum", "field": "flags", "mask": int(DepthFlag.SNAPSHOT),
                        "codes": [0, int(DepthFlag.SNAPSHOT)], "values": ["depth", "snapshot"]},
        columns.side: {"how": "enum", "field": "side", "codes": [1, -1], "values": ["B", "S"]},
        columns.price: {"how": "scaled", "field": "price", "digits": 2},
        columns.qty: {"how": "scaled", "field": "qty", "digits": qty_digits},
    }  # fmt: skip
    if seq is not None:
        at = seq
        special[at] = {"how": "int", "field": "seq"}
        build.fills.append(lambda b, rows, first: rows.__setitem__("seq", numpy_of(b[at])))
    _forms(build, special)


def _counts(build: Build, at: int) -> bool:
    scan, kind = build.survey.scans[at], build.source.schema[at].type
    return (
        isinstance(scan, NumberScan) and bool(pa.types.is_integer(kind))
        and not scan.nulls and scan.low >= 0
    )  # fmt: skip


def ticks_forms(build: Build, columns: _Columns, qty_digits: int) -> None:
    """The forms of the columns in a stream of trades and quotes."""
    what = build.name("what", "u1")
    price = {"how": "choose", "by": what, "fields": ["price", "price", "bid", "ask"], "digits": 2}
    qty = {"how": "choose", "by": what, "fields": ["qty", "qty", "bid_qty", "ask_qty"],
           "digits": qty_digits}  # fmt: skip
    special: dict[int, Form] = {
        columns.event: {"how": "enum", "field": what, "values": ["trade", "trade", "bbo", "bbo"],
                        "codes": [0, 1, 2, 3]},
        columns.side: {"how": "enum", "field": what, "values": ["B", "S", "B", "S"],
                       "codes": [0, 1, 2, 3]},
        columns.price: price,
        columns.qty: qty,
    }  # fmt: skip
    _forms(build, special)


def _forms(build: Build, special: dict[int, Form]) -> None:
    roles = {at: role for role, at in build.layout.roles.items()}
    for at, one in enumerate(build.source.schema):
        role = roles.get(at, "")
        form = special.get(at)
        if form is None and role in ("recv", "exch"):
            form = time_form(build, at, role)
        elif form is None and role == "instrument":
            form = instrument_form(build, at)
        form = form or kept(build, at)
        build.forms.append({"name": one.name, "type": str(one.type)} | form)


class _Encoder:
    """Turns messages into rows of the two streams; carries the best prices between batches."""

    def __init__(
        self, ticks: Build, depth: Build, ticks_stream: Stream, depth_stream: Stream,
        columns: _Columns, qty_digits: int,
    ) -> None:  # fmt: skip
        self._ticks, self._depth, self._columns = ticks, depth, columns
        self._streams = (ticks_stream, depth_stream)
        self._qty_digits = qty_digits

    def encode(self, batches: Iterator[tuple[int, list[Any]]]) -> Iterator[Part]:
        """Batches of the source as parts of the two streams."""
        carry: dict[int, dict[str, int]] = {}
        number = 0
        plain = (batch for _, batch in batches)
        for first, batch, begins in whole_messages(plain, self._columns.shared):
            event = codes_of(batch[self._columns.event], EVENTS)
            side = codes_of(batch[self._columns.side], SIDES)
            # how many rows each row of the source becomes
            emits = np.ones(len(event), np.int64)
            emits[(event == EVENTS["bbo"]) & (side < 0)] = 0
            opens = begins & (event == EVENTS["snapshot"])
            emits[opens] += 2
            numbers = (number + np.cumsum(emits) - emits).astype(np.uint64)
            number += int(emits.sum())
            level = np.flatnonzero(event <= EVENTS["snapshot"])
            if len(level):
                yield self._levels(batch, first, level, event, side, begins, opens, numbers)
            rest = np.flatnonzero((event > EVENTS["snapshot"]) & (emits > 0))
            if len(rest):
                yield self._quotes(batch, first, rest, event, side, numbers, carry)

    def _rows(
        self, build: Build, stream: Stream, batch: list[Any], first: int, at: NDArray[np.int64]
    ) -> tuple[NDArray[Any], list[Any]]:
        mine = [column.take(pa.array(at)) for column in batch]
        rows = np.zeros(len(at), stream.dtype)
        rows["instrument"] = build.survey.identities.numbers(mine)
        for fill in build.fills:
            fill(mine, rows, first)
        return rows, mine

    def _levels(
        self, batch: list[Any], first: int, at: NDArray[np.int64], event: NDArray[np.int64],
        side: NDArray[np.int64], begins: NDArray[np.bool_], opens: NDArray[np.bool_],
        numbers: NDArray[np.uint64],
    ) -> Part:  # fmt: skip
        stream = self._streams[1]
        rows, mine = self._rows(self._depth, stream, batch, first, at)
        rows["price"] = scaled_of(mine[self._columns.price], 2)
        rows["qty"] = scaled_of(mine[self._columns.qty], self._qty_digits)
        rows["side"] = side[at]
        last = np.append(begins[1:], True)
        rows["flags"] = last[at] * int(DepthFlag.LAST) + (
            event[at] == EVENTS["snapshot"]) * int(DepthFlag.SNAPSHOT)  # fmt: skip
        seq = numbers[at]
        starts = np.flatnonzero(opens[at])
        if len(starts):
            # Both sides are emptied before a snapshot fills them.
            clears = np.repeat(rows[starts], 2)
            clears["price"] = clears["qty"] = 0
            clears["side"] = np.tile([1, -1], len(starts))
            clears["op"] = int(DepthOp.CLEAR)
            clears["flags"] = int(DepthFlag.SNAPSHOT)
            own = np.repeat(seq[starts], 2) + np.tile(np.array([0, 1], np.uint64), len(starts))
            seq = seq.copy()
            seq[starts] += np.uint64(2)
            places = np.repeat(starts, 2)
            rows = np.insert(rows, places, clears)
            seq = np.insert(seq, places, own)
        return Part(stream.name, rows, seq)

    def _quotes(
        self, batch: list[Any], first: int, at: NDArray[np.int64], event: NDArray[np.int64],
        side: NDArray[np.int64], numbers: NDArray[np.uint64], carry: dict[int, dict[str, int]],
    ) -> Part:  # fmt: skip
        stream = self._streams[0]
        rows, mine = self._rows(self._ticks, stream, batch, first, at)
        price = scaled_of(mine[self._columns.price], 2)
        qty = scaled_of(mine[self._columns.qty], self._qty_digits)
        quote = event[at] == EVENTS["bbo"]
        rows["what"] = np.where(quote, 2, np.where(side[at] > 0, 0, 1))
        rows["price"], rows["qty"] = np.where(quote, 0, price), np.where(quote, 0, qty)
        asks = pa.array(at[quote] + 1)
        rows["bid"][quote], rows["bid_qty"][quote] = price[quote], qty[quote]
        rows["ask"][quote] = scaled_of(batch[self._columns.price].take(asks), 2)
        rows["ask_qty"][quote] = scaled_of(batch[self._columns.qty].take(asks), self._qty_digits)
        for key in np.unique(rows["instrument"]).tolist():
            _carry(rows, rows["instrument"] == key, quote, carry.setdefault(key, {}))
        return Part(stream.name, rows, numbers[at])


def _carry(
    rows: NDArray[Any], mine: NDArray[np.bool_], quote: NDArray[np.bool_], known: dict[str, int]
) -> None:
    """Give trades the best bid and ask of the last quote."""
    places = np.flatnonzero(mine)
    source = np.maximum.accumulate(np.where(quote[places], np.arange(len(places)), -1))
    for name in CARRIED:
        values = rows[name][places]
        rows[name][places] = np.where(source >= 0, values[source], known.get(name, 0))
        if source[-1] >= 0:
            known[name] = int(values[source[-1]])
