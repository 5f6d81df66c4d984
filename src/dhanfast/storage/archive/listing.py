"""The instruments of an archive: the number that stands in the rows, the name, and the facts."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from dhanfast.errors import BadData, UsageError

NUMBER_MAX: Final = 0xFFFF_FFFF
COUNT_MAX: Final = 1 << 53  # of paise, units and parts: exact in every reader's JSON


@dataclass(frozen=True)
class Listed:
    """One instrument as an archive describes it.

    Attributes:
        index: the number that stands in the rows.
        symbol: its name, unique in a file.
        kind: IDX, FUT, OPT, EQ or another.
        tick: smallest step of a price, paise; 0 when unknown.
        lot: units; 0 when unknown.
        expiry: YYYY-MM-DD, None when it has none.
        strike: paise, None for what is no option.
        right: CE, PE or None.
        segment, security_id: the broker's, None when unknown.
        price_scale: parts of a rupee (or other currency) in a price.
        qty_scale: parts of a unit in a quantity.
    """

    index: int
    symbol: str
    kind: str = ""
    tick: int = 0
    lot: int = 0
    expiry: str | None = None
    strike: int | None = None
    right: str | None = None
    segment: str | None = None
    security_id: str | None = None
    price_scale: int = 100
    qty_scale: int = 1

    @classmethod
    def from_json(cls, described: Any) -> "Listed":
        """Read one entry of an INSTRUMENTS chunk; keys it does not know are left out.

        Raises:
            BadData: a field is missing or of another type.
        """
        if not isinstance(described, dict):
            raise BadData(f"an instrument is {described!r:.60}; it must be an object")
        known = {field.name: described[field.name] for field in fields(cls)
                 if field.name in described}  # fmt: skip
        for name in ("index", "symbol"):
            if name not in known:
                raise BadData(f"an instrument has no {name!r}: {described!r:.120}")
        for name, value in known.items():
            if isinstance(value, int) and name == "security_id":
                known[name] = str(value)  # brokers write it either way
            elif not _fits(name, value):
                raise BadData(f"instrument {known['index']!r:.40}: {name} is {value!r:.60}")
        if known.get("price_scale", 1) < 1 or known.get("qty_scale", 1) < 1:
            raise BadData(f"instrument {known['index']}: a scale is below 1")
        return cls(**known)

    def to_json(self) -> dict[str, Any]:
        """The entry as an INSTRUMENTS chunk has it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_WORDS: Final = {"symbol": False, "kind": False, "expiry": True, "right": True, "segment": True,
                 "security_id": True}  # fmt: skip


def _fits(name: str, value: Any) -> bool:
    if name in _WORDS:
        if value is None:
            return _WORDS[name]
        return isinstance(value, str) and (name != "symbol" or 0 < len(value) <= 256)
    if name == "strike" and value is None:
        return True
    most = NUMBER_MAX if name == "index" else COUNT_MAX
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


class Listing(Mapping[int, Listed]):
    """Instruments by number: a mapping; `by_symbol` has them by name.

    Args:
        entries: as an archive has them in order: a later one replaces an earlier one of its number.

    Raises:
        BadData: two numbers have one symbol.
    """

    def __init__(self, entries: Sequence[Listed] = ()) -> None:
        self._by_index = {entry.index: entry for entry in entries}
        self.by_symbol: dict[str, Listed] = {}
        for entry in self._by_index.values():
            other = self.by_symbol.setdefault(entry.symbol, entry)
            if other is not entry:
                raise BadData(
                    f"instruments {other.index} and {entry.index} have one symbol, {entry.symbol!r}"
                )

    def __getitem__(self, index: int) -> Listed:
        """The instrument of a number."""
        return self._by_index[index]

    def __iter__(self) -> Iterator[int]:
        """Numbers, in the order in which they were first described."""
        return iter(self._by_index)

    def __len__(self) -> int:
        """How many instruments are described."""
        return len(self._by_index)

    def number_of(self, symbol: str) -> int:
        """The number of a symbol.

        Raises:
            UsageError: it is not in the file; the message names the nearest.
        """
        entry = self.by_symbol.get(symbol)
        if entry is None:
            near = difflib.get_close_matches(symbol, self.by_symbol, n=3)
            said = f"; near: {', '.join(near)}" if near else f"; it has {len(self)} instruments"
            raise UsageError(f"symbol {symbol!r} is not in the archive{said}")
        return entry.index


# Facts that make a contract: two files that disagree about one of them mean different things.
_FACTS: Final = ("kind", "tick", "lot", "expiry", "strike", "right", "price_scale", "qty_scale")


def join_listings(listings: Sequence[tuple[str, Listing]]) -> tuple[Listing, list[dict[int, int]]]:
    """One listing of several files, and each file's numbers in it.

    Instruments are the same when their symbols are. What one file does not know (0, null, an empty
    kind) another one fills in. A broker's segment and security id are not facts of the contract:
    the last file that names them is believed.

    Args:
        listings: (name of the file, its instruments), in the order of the files.

    Returns:
        the common listing, numbered from 0 as symbols are first met; for each file {its number:
        the common number}.

    Raises:
        BadData: two files disagree about a fact; the message names both.
    """
    joined: dict[str, Listed] = {}
    origin: dict[tuple[str, str], str] = {}
    numbers: list[dict[int, int]] = []
    for file, listing in listings:
        mine: dict[int, int] = {}
        for index, entry in listing.items():
            known = joined.get(entry.symbol)
            number = len(joined) if known is None else known.index
            joined[entry.symbol] = _joined(known, entry, number, file, origin)
            mine[index] = number
        numbers.append(mine)
    return Listing(list(joined.values())), numbers


def _joined(
    known: Listed | None,
    entry: Listed,
    number: int,
    file: str,
    origin: dict[tuple[str, str], str],
) -> Listed:
    facts = entry.to_json() | {"index": number}
    for name in _FACTS:
        value = facts[name]
        if known is not None and value in (0, "", None):
            facts[name] = getattr(known, name)
            continue
        before = None if known is None else getattr(known, name)
        if before not in (0, "", None) and before != value:
            raise BadData(
                f"{entry.symbol}: {name} is {before!r} in {origin[entry.symbol, name]} and "
                f"{value!r} in {file}; merge files that agree, or correct one with its "
                "instrument table"
            )
        if value not in (0, "", None):
            origin.setdefault((entry.symbol, name), file)
    for name in ("segment", "security_id"):
        if facts[name] is None and known is not None:
            facts[name] = getattr(known, name)
    return Listed(**facts)
