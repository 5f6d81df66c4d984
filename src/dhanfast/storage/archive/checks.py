"""What may be wrong with ticks and depth: rules of a row, of two rows of one instrument, of a book.

Each check looks at a block at once, with numpy; only the last row of each instrument is carried
from block to block. A slow model of the same rules in plain Python is in the tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.book import DELTA_DTYPE, Book
from dhanfast._core.types import DepthFlag, DepthOp
from dhanfast.storage.stamps import ist_text

EXAMPLES: Final = 3  # instruments written out in a finding
BOOK_LEVELS: Final = 1024
PRICE_MAX: Final = 10_000_000_000  # paise; what the book holds
SILENCE_NS: Final = 60_000_000_000

MEANING: Final[Mapping[str, str]] = {
    "damage": "bytes that are not what was written; `--repair` saves what is whole",
    "torn-tail": "the file ends inside a block: its writer was killed; `--repair` cuts it off",
    "unsealed": "not sealed: still being written, or its writer died before sealing",
    "lost": "rows that the recorder had to drop, as it noted itself",
    "receive-clock-back": "a row was received before the row in front of it",
    "exchange-clock-back": "an instrument's exchange time runs backwards",
    "negative-latency": "rows received before the exchange's own time: a clock is wrong",
    "no-time": "rows without a receive time",
    "crossed": "the best bid is above the best ask",
    "locked": "the best bid equals the best ask",
    "negative-price": "a price is below zero",
    "trade-without-price": "a quantity was traded at price zero",
    "empty-row": "neither a trade nor a quote",
    "volume-back": "the day's traded volume falls",
    "off-tick": "prices that are no multiple of the instrument's tick",
    "odd-lot": "quantities that are no multiple of the instrument's lot",
    "duplicate": "a row repeats the instrument's row before in every field",
    "unknown-instrument": "rows of a number that the file does not describe",
    "bad-level": "a depth row that no book can hold: side, price or quantity out of range",
    "feed-silent": "no row of any instrument inside a session, far longer than usual",
    "silence": "an instrument without a row inside a session",
    "outside-hours": "rows far outside the session: wrong time zone, or a stale feed?",
    "not-a-trading-day": "rows on a day when the exchange was closed",
    "pre-open": "rows before the open",
    "closing": "rows at or after the close",
    "calendar": "days the calendar does not know",
}
NOTES: Final = frozenset(
    ("unsealed", "exchange-clock-back", "locked", "silence", "pre-open", "closing", "calendar")
)


@dataclass
class Tally:
    """One kind of trouble: how often, between which times, of which instruments; its first case."""

    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    by_key: dict[int, int] = field(default_factory=dict)
    example: str = ""


class Findings:
    """Counts what checks find.

    Args:
        names: of instruments, by number.

    Attributes:
        tallies: kind -> Tally.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self.tallies: dict[str, Tally] = {}

    def add(
        self, kind: str, times: NDArray[np.int64], keys: NDArray[Any] | None, example: str
    ) -> None:
        """Count rows.

        Args:
            kind: a key of MEANING.
            times: of the rows; nothing happens when there are none.
            keys: their instruments.
            example: what the first of them says.
        """
        if not len(times):
            return
        tally = self.tallies.setdefault(kind, Tally())
        first = int(times[0])
        if not tally.count:
            who = "" if keys is None else f"{self.name(int(keys[0]))} "
            tally.first_ns = tally.last_ns = first
            tally.example = f"first {who}{ist_text(first)}: {example}"
        tally.count += len(times)
        tally.first_ns = min(tally.first_ns, int(times.min()))
        tally.last_ns = max(tally.last_ns, int(times.max()))
        if keys is not None:
            for key, count in zip(*np.unique(keys, return_counts=True), strict=True):
                tally.by_key[int(key)] = tally.by_key.get(int(key), 0) + int(count)

    def name(self, key: int) -> str:
        """An instrument's symbol."""
        return self._names.get(key, f"instrument {key}")

    def detail(self, kind: str) -> str:
        """A kind's instruments and first case, in words."""
        tally = self.tallies[kind]
        most = sorted(tally.by_key.items(), key=lambda one: (-one[1], one[0]))
        shown = ", ".join(f"{self.name(key)} {count:,}" for key, count in most[:EXAMPLES])
        more = f" and {len(most) - EXAMPLES} more instruments" if len(most) > EXAMPLES else ""
        where = f"{shown}{more}; " if len(most) > 1 else ""
        return where + tally.example


class Previous:
    """The row of the same instrument before each row, across blocks."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._last = np.zeros(0, dtype)
        self._known = np.zeros(0, bool)

    def of(self, rows: NDArray[Any], keys: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The row before each row, and whether there is one; remembers the last of each.

        Shape:
            both are [n], in the order of the rows.
        """
        known, dense = np.unique(keys, return_inverse=True)
        self._grow(int(known[-1]) + 1, rows.dtype)
        order = np.argsort(dense, kind="stable")
        sorted_keys = dense[order]
        before = np.empty(len(rows), np.int64)
        before[order[1:]] = order[:-1]
        firsts = order[np.flatnonzero(np.diff(sorted_keys, prepend=-1))]
        before[firsts] = 0
        found = rows[before]
        there = np.ones(len(rows), bool)
        found[firsts] = self._last[keys[firsts]]
        there[firsts] = self._known[keys[firsts]]
        lasts = order[np.flatnonzero(np.diff(sorted_keys, append=len(known)))]
        self._last[keys[lasts]] = rows[lasts]
        self._known[keys[lasts]] = True
        return found, there

    def _grow(self, size: int, dtype: np.dtype[Any]) -> None:
        if size > len(self._last):
            room = max(size, 2 * len(self._last))
            last, known = np.zeros(room, dtype), np.zeros(room, bool)
            last[: len(self._last)], known[: len(self._known)] = self._last, self._known
            self._last, self._known = last, known


def check_clocks(found: Findings, rows: NDArray[Any], last_ns: int | None) -> int:
    """Receive times of a stream in order; rows not received before they were sent.

    Args:
        found: counts. rows: with recv_ns, exch_ns, instrument.
        last_ns: receive time of the row before the first, None when there is none.

    Returns:
        receive time of the last row.
    """
    recv, exch, keys = rows["recv_ns"], rows["exch_ns"], rows["instrument"]
    steps = np.diff(recv, prepend=recv[0] if last_ns is None else last_ns)
    back = steps < 0
    if back.any():
        worst = -int(steps.min()) / 1e9
        found.add("receive-clock-back", recv[back], keys[back], f"at most {worst:.6f} s in a step")
    early = (exch != 0) & (recv != 0) & (recv < exch)
    if early.any():
        ahead = (exch - recv)[early] / 1e9
        text = f"{ahead.min():.6f} to {ahead.max():.6f} s too early"
        found.add("negative-latency", recv[early], keys[early], text)
    absent = recv == 0
    if absent.any():
        found.add("no-time", exch[absent], keys[absent], "recv_ns is 0")
    return int(recv[-1])


class TickChecks:
    """The rules of ticks.

    Args:
        found: counts. dtype: of the rows. tick, lot: by instrument number; 0 for unknown.
        day_of: exchange day number of times.
    """

    def __init__(
        self, found: Findings, dtype: np.dtype[Any], tick: NDArray[np.int64], lot: NDArray[np.int64]
    ) -> None:
        self._found, self._tick, self._lot = found, tick, lot
        self._previous = Previous(dtype)
        self._last_ns: int | None = None

    def look(self, rows: NDArray[Any], days: NDArray[np.int64]) -> None:
        """Check a block.

        Args:
            rows: ticks in the order of the file.
            days: a number of the exchange day of each row.
        """
        self._last_ns = check_clocks(self._found, rows, self._last_ns)
        self._look_at_rows(rows)
        self._look_at_steps(rows)
        self._look_at_pairs(rows, days)

    def _say(self, kind: str, rows: NDArray[Any], where: NDArray[np.bool_], *fields: str) -> None:
        at = np.flatnonzero(where)
        if len(at):
            text = ", ".join(f"{name} {_said(name, rows[name][at[0]])}" for name in fields)
            self._found.add(kind, rows["recv_ns"][at], rows["instrument"][at], text)

    def _look_at_rows(self, rows: NDArray[Any]) -> None:
        price, bid, ask = rows["price"], rows["bid"], rows["ask"]
        both = (bid > 0) & (ask > 0)
        self._say("crossed", rows, both & (bid > ask), "bid", "ask")
        self._say("locked", rows, both & (bid == ask), "bid", "ask")
        negative = (price < 0) | (bid < 0) | (ask < 0)
        self._say("negative-price", rows, negative, "price", "bid", "ask")
        self._say("trade-without-price", rows, (price == 0) & (rows["qty"] > 0), "price", "qty")
        empty = (price == 0) & (bid == 0) & (ask == 0) & (rows["qty"] == 0)
        self._say("empty-row", rows, empty, "price", "bid", "ask")

    def _look_at_steps(self, rows: NDArray[Any]) -> None:
        keys = rows["instrument"].astype(np.int64)
        unknown = keys >= len(self._tick)
        if unknown.any():
            self._say("unknown-instrument", rows, unknown, "instrument")
            keys = np.where(unknown, 0, keys)
        for limit, kind, fields in (
            (self._tick, "off-tick", ("price", "bid", "ask")),
            (self._lot, "odd-lot", ("qty", "bid_qty", "ask_qty")),
        ):
            if not limit.any():
                continue
            step = np.where(unknown, 0, limit[keys])
            parts = np.maximum(step, 1)
            for name in fields:
                off = (step > 0) & (rows[name].astype(np.int64) % parts != 0)
                self._say(kind, rows, off, name)

    def _look_at_pairs(self, rows: NDArray[Any], days: NDArray[np.int64]) -> None:
        keys = rows["instrument"]
        before, there = self._previous.of(rows, keys)
        same_day = there & (_day(before) == days)
        exch, sent = rows["exch_ns"], before["exch_ns"]
        back = there & (exch != 0) & (sent != 0) & (exch < sent)
        self._say("exchange-clock-back", rows, back, "exch_ns")
        falls = same_day & (rows["volume"] < before["volume"])
        self._say("volume-back", rows, falls, "volume")
        again = there & _equal_rows(rows, before)
        self._say("duplicate", rows, again, "price", "bid", "ask")


def _day(rows: NDArray[Any]) -> NDArray[np.int64]:
    from dhanfast.storage.stamps import DAY_NS, IST_OFFSET_NS

    days: NDArray[np.int64] = (rows["recv_ns"] + IST_OFFSET_NS) // DAY_NS
    return days


def _equal_rows(rows: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether rows are the same bytes; field by field, cheapest first."""
    same = rows["recv_ns"] == others["recv_ns"]
    at = np.flatnonzero(same)
    if len(at):
        size = rows.dtype.itemsize
        left = np.ascontiguousarray(rows[at]).view(np.uint8).reshape(len(at), size)
        right = np.ascontiguousarray(others[at]).view(np.uint8).reshape(len(at), size)
        same[at] = (left == right).all(axis=1)
    return np.asarray(same, bool)


def _said(name: str, value: Any) -> str:
    if name in ("price", "bid", "ask"):
        return f"{int(value) / 100:.2f}"
    return ist_text(int(value)) if name.endswith("_ns") else f"{int(value):,}"


class DepthChecks:
    """The rules of depth: clocks, levels, and the book that the rows make.

    A book is judged at the end of a message, and not before its first snapshot: until then levels
    are missing.
    """

    def __init__(self, found: Findings) -> None:
        self._found = found
        self._books: dict[int, Book] = {}
        self._last_ns: int | None = None
        self._previous: Previous | None = None

    def look(self, rows: NDArray[Any]) -> None:
        """Check a block of depth rows in the order of the file."""
        self._last_ns = check_clocks(self._found, rows, self._last_ns)
        self._previous = self._previous or Previous(rows.dtype)
        before, there = self._previous.of(rows, rows["instrument"])
        back = there & (rows["exch_ns"] != 0) & (rows["exch_ns"] < before["exch_ns"])
        if back.any():
            first = ist_text(int(rows["exch_ns"][back][0]))
            self._add("exchange-clock-back", rows, back, f"exch_ns {first}")
        setting = rows["op"] == DepthOp.SET
        wrong = setting & ((rows["price"] <= 0) | (np.abs(rows["side"]) != 1))
        wrong |= (rows["price"] > PRICE_MAX) | (rows["op"] > DepthOp.RAW)
        if wrong.any():
            one = rows[wrong][0]
            self._add("bad-level", rows, wrong, f"side {one['side']}, price {one['price']} paise")
        for key in np.unique(rows["instrument"]).tolist():
            mine = (rows["instrument"] == key) & ~wrong & (rows["op"] != DepthOp.RAW)
            self._rebuild(key, rows[mine])

    def _add(self, kind: str, rows: NDArray[Any], where: NDArray[np.bool_], text: str) -> None:
        self._found.add(kind, rows["recv_ns"][where], rows["instrument"][where], text)

    def _rebuild(self, key: int, rows: NDArray[Any]) -> None:
        """Apply one instrument's rows."""
        snapshot = (rows["flags"] & int(DepthFlag.SNAPSHOT)) != 0
        if key not in self._books:
            begun = np.flatnonzero(snapshot)
            if not len(begun):
                return
            self._books[key] = Book(BOOK_LEVELS)
            rows, snapshot = rows[begun[0] :], snapshot[begun[0] :]
        book = self._books[key]
        changes = np.zeros(len(rows), DELTA_DTYPE)
        for ours, theirs in (("price", "price"), ("qty", "qty"), ("orders", "orders")):
            changes[ours] = rows[theirs]
        changes["side"] = rows["side"]
        clears = np.flatnonzero(rows["op"] == DepthOp.CLEAR)
        start = 0
        for end in [*clears.tolist(), len(rows)]:
            if end > start:
                best = book.deltas(changes[start:end])
                self._judge(rows[start:end], best)
            if end < len(rows):
                book.clear()
            start = end + 1

    def _judge(self, rows: NDArray[Any], best: NDArray[np.int64]) -> None:
        """Judge the book at the ends of messages."""
        whole = (rows["flags"] & int(DepthFlag.LAST)) != 0
        bid, ask = best[:, 0], best[:, 1]
        there = whole & (bid > 0) & (ask > 0)
        for kind, which in (("crossed", there & (bid > ask)), ("locked", there & (bid == ask))):
            if which.any():
                at = int(np.flatnonzero(which)[0])
                text = f"bid {bid[at] / 100:.2f}, ask {ask[at] / 100:.2f}"
                self._add(kind, rows, which, text)
