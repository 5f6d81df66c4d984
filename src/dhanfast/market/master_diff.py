"""What changed between two copies of the master, and which of it must wake somebody.

A changed lot, tick, freeze quantity or expiry makes orders wrong; a contract that vanished before
its expiry cannot be left; an id that now means another contract sends an order to the wrong one.
Those are alarms. New listings, expiries that have come and renamed shares are notices.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.market.master import (
    ID_MAX,
    KINDS,
    NONE,
    SEGMENT_NAMES,
    Master,
    expiry_date,
    expiry_number,
)

ALARMS: Final = ("reused", "expiry", "lot", "tick", "freeze", "vanished")
NOTICES: Final = ("renamed", "isin", "new", "expired")
MOVED_DAYS_MAX: Final = 10  # a holiday or a new expiry weekday moves an expiry by days, not weeks
FUTURE: Final = KINDS.index("FUT")
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is different.

    Units:
        old and new: lot and freeze in units, tick in rupees, expiry a date, otherwise the contract.
    """

    kind: str  # one of ALARMS or NOTICES
    segment: str
    security_id: int
    symbol: str
    old: str | int | None
    new: str | int | None

    @property
    def level(self) -> str:
        """`alarm` or `notice`."""
        return "alarm" if self.kind in ALARMS else "notice"


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes from one master to a later one, alarms first.

    Units:
        not_compared: columns that one of the two does not have.
    """

    changes: tuple[Change, ...]
    not_compared: tuple[str, ...]

    @property
    def alarms(self) -> tuple[Change, ...]:
        """Changes that make orders wrong or positions unreachable."""
        return tuple(change for change in self.changes if change.level == "alarm")

    @property
    def counts(self) -> dict[str, int]:
        """How many changes of each kind, kinds without any left out."""
        found = Counter(change.kind for change in self.changes)
        return {kind: found[kind] for kind in (*ALARMS, *NOTICES) if found[kind]}


def compare(old: Master, new: Master, day: date) -> Difference:
    """Find what changed.

    Args:
        old, new: two masters.
        day: of the newer one; contracts that expired before it were due to go.

    Returns:
        the changes, by kind as in ALARMS and NOTICES, then by segment and id.
    """
    compared = _Comparison(old, new, day)
    found = [
        *compared.reused_or_moved(),
        *compared.values(),
        *compared.gone(),
        *compared.names(),
        *compared.listed(),
    ]
    rank = {kind: place for place, kind in enumerate((*ALARMS, *NOTICES))}
    found.sort(key=lambda change: rank[change.kind])  # stable: by (segment, id) within a kind
    return Difference(tuple(found), compared.not_compared)


class _Comparison:
    """Two masters laid side by side: row `left` of the old one is row `right` of the new one."""

    def __init__(self, old: Master, new: Master, day: date) -> None:
        self.old, self.new, self.day = old, new, day
        matched = new.rows(old.keys)
        self.left: Rows = np.flatnonzero(matched >= 0)
        self.right: Rows = matched[self.left]
        self.lost: Rows = np.flatnonzero(matched < 0)
        self.same_form = old.form == new.form
        missing = []
        for column in ("freeze", "isin"):
            if "compact" in (old.form, new.form):
                missing.append(column)
        if not self.same_form:
            missing += ["symbol", "underlying"]
        self.not_compared = tuple(missing)
        self.reused, self.moved = self._identity()

    def pair(self, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """A column of numbers of both."""
        before, after = self.old.numbers(name)[self.left], self.new.numbers(name)[self.right]
        return before.astype(np.int64), after.astype(np.int64)

    def _same_words(self, name: str) -> Mask:
        """Where a column of words says the same, or one side says nothing."""
        before, after = self.old.words(name), self.new.words(name)
        code = {word: index for index, word in enumerate(after.table)}
        mapped = np.array([code.get(word, -1) for word in before.table], np.int64)
        blank_old = np.array([not word for word in before.table], bool)
        blank_new = np.array([not word for word in after.table], bool)
        first, second = before.codes[self.left], after.codes[self.right]
        same: Mask = (mapped[first] == second) | blank_old[first] | blank_new[second]
        return same

    def _same_texts(self, name: str, blank_matches: bool) -> Mask:
        """Where a column of text says the same; two blanks only if `blank_matches`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        before = self.old.texts(name).arrow().take(pa.array(self.left))
        after = self.new.texts(name).arrow().take(pa.array(self.right))
        same: Mask = np.array(pc.equal(before, after), bool)
        return same if blank_matches else same & np.array(pc.not_equal(before, ""), bool)

    def _identity(self) -> tuple[Mask, Mask]:
        """Which ids mean another contract now, and which contracts expire on another day."""
        kinds, kinds_now = self.pair("kind")
        strikes, strikes_now = self.pair("strike")
        expiries, expiries_now = self.pair("expiry")
        derivative = (kinds >= FUTURE) & (kinds_now >= FUTURE)
        other: Mask = (kinds != kinds_now) | (strikes != strikes_now)
        if self.same_form:
            same = self._same_words("underlying")
            cash = self._same_texts("symbol", True) | self._same_texts("isin", False)
            other |= np.where(derivative, ~same, ~cash)
        expiry = derivative & ~other & (expiries != expiries_now)
        far = np.zeros(len(self.left), bool)
        for index in np.flatnonzero(expiry).tolist():
            before, after = expiry_date(int(expiries[index])), expiry_date(int(expiries_now[index]))
            assert before is not None and after is not None  # derivatives have one
            days = abs((after - before).days)
            far[index] = days > MOVED_DAYS_MAX or before < self.day
        return other | far, expiry & ~far

    def _change(self, kind: str, index: int, old: Any, new: Any) -> Change:
        """A change of the pair at an index."""
        key = int(self.new.keys[self.right[index]])
        symbol = self.new.texts("symbol").at(int(self.right[index]))
        return Change(kind, SEGMENT_NAMES[key >> 32], key & ID_MAX, symbol, old, new)

    def reused_or_moved(self) -> Iterator[Change]:
        """Ids of other contracts, expiries moved."""
        for index in np.flatnonzero(self.reused).tolist():
            before = _described(self.old, int(self.left[index]))
            after = _described(self.new, int(self.right[index]))
            yield self._change("reused", index, before, after)
        expiries = self.pair("expiry")
        for index in np.flatnonzero(self.moved).tolist():
            dates = [str(expiry_date(int(side[index]))) for side in expiries]
            yield self._change("expiry", index, *dates)

    def values(self) -> Iterator[Change]:
        """Lots, ticks and freeze quantities that are not what they were."""
        for name in ("lot", "tick", "freeze"):
            if name in self.not_compared:
                continue
            before, after = self.pair(name)
            for index in np.flatnonzero((before != after) & ~self.reused).tolist():
                sides = (int(before[index]), int(after[index]))
                shown = [_value(name, side) for side in sides]
                yield self._change(name, index, *shown)

    def gone(self) -> Iterator[Change]:
        """Contracts that are no longer listed."""
        today = expiry_number(self.day)
        for row in self.lost.tolist():
            expiry = int(self.old.numbers("expiry")[row])
            kind = "expired" if 0 < expiry < today else "vanished"
            yield _single(self.old, row, kind, _described(self.old, row), None)

    def names(self) -> Iterator[Change]:
        """Shares that are called otherwise, or have another ISIN."""
        if not self.same_form:
            return
        cash = (self.pair("kind")[0] < FUTURE) & ~self.reused
        for kind, column in (("renamed", "symbol"), ("isin", "isin")):
            if column in self.not_compared:
                continue
            before, after = self.old.texts(column), self.new.texts(column)
            for index in np.flatnonzero(cash & ~self._same_texts(column, True)).tolist():
                first = before.at(int(self.left[index])) or None
                second = after.at(int(self.right[index])) or None
                yield self._change(kind, index, first, second)

    def listed(self) -> Iterator[Change]:
        """Contracts that were not there."""
        for row in np.flatnonzero(self.old.rows(self.new.keys) < 0).tolist():
            yield _single(self.new, row, "new", None, _described(self.new, row))


def _single(master: Master, row: int, kind: str, old: str | None, new: str | None) -> Change:
    """A change of a contract that only one of the two has."""
    key = int(master.keys[row])
    symbol = master.texts("symbol").at(row)
    return Change(kind, SEGMENT_NAMES[key >> 32], key & ID_MAX, symbol, old, new)


def _described(master: Master, row: int) -> str:
    """A contract in words that tell it from any other."""
    kind = KINDS[int(master.numbers("kind")[row])]
    expiry = expiry_date(int(master.numbers("expiry")[row]))
    if expiry is None:
        isin = master.texts("isin").at(row)
        return " ".join(part for part in (master.texts("symbol").at(row), isin) if part)
    strike = int(master.numbers("strike")[row])
    parts = [master.words("underlying").at(row), str(expiry)]
    if strike:
        rupees, paise = divmod(strike, 100)
        parts.append(f"{rupees}.{paise:02}" if paise else str(rupees))
    return " ".join((*parts, kind))


def _value(name: str, value: int) -> str | int | None:
    """A number as `Change` shows it."""
    if value == NONE:
        return None
    if name != "tick":
        return value
    rupees, micros = divmod(value, 1_000_000)
    return f"{rupees}.{micros:06}".rstrip("0").rstrip(".")
