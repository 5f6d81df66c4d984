"""The instruments of a source: symbols, and what its columns say of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dhanfast.errors import BadData
from dhanfast.storage.archive.forms import filled
from dhanfast.storage.arrow_values import values_of

NAMED_MAX: Final = 1 << 20
KINDS: Final[Mapping[str, str]] = {
    "INDEX": "IDX", "IDX": "IDX", "FUT": "FUT", "FUTIDX": "FUT", "FUTSTK": "FUT", "OPT": "OPT",
    "OPTIDX": "OPT", "OPTSTK": "OPT", "CE": "OPT", "PE": "OPT", "EQ": "EQ", "EQUITY": "EQ",
}  # fmt: skip
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")

Identity = tuple[str | None, ...]  # symbol, then expiry, strike, right, kind as texts


class Identities:
    """Numbers instruments in the order in which they first appear.

    Args:
        roles: instrument, expiry, strike, right, kind -> index of the column.
        symbol: the instrument of a file that does not say.
        numbered: the instrument column holds numbers that are kept as they are.
        described: what the file itself says of those numbers.

    Attributes:
        seen: identities in the order of their numbers.
    """

    def __init__(
        self, roles: Mapping[str, int], symbol: str | None, *, numbered: bool,
        described: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        self._described = described or {}
        names = ("instrument", "expiry", "strike", "right", "kind")
        self._columns = [(name, roles[name]) for name in names if name in roles]
        self._symbol = symbol
        self._numbered = numbered
        self.seen: dict[Identity, int] = {}

    def numbers(self, batch: Sequence[Any]) -> NDArray[np.uint32]:
        """The instrument of each row of a batch; new ones are taken in.

        Raises:
            BadData: more than a million instruments.
        """
        count = len(batch[0])
        if not self._columns:
            self.seen.setdefault((self._symbol,), 0)
            return np.zeros(count, np.uint32)
        if self._numbered:
            return self._own_numbers(batch)
        codes = np.zeros(count, np.int64)
        words: list[list[str | None]] = []
        for _, at in self._columns:
            texts = batch[at]
            texts = texts if pa.types.is_string(texts.type) else pc.cast(texts, pa.string())
            coded = filled(texts).dictionary_encode()
            mine = coded.dictionary.to_pylist()
            words.append(mine)
            codes = codes * len(mine) + values_of(coded.indices, np.int32)
        known, which = np.unique(codes, return_inverse=True)
        # New ones are numbered as they appear, not as they sort.
        first = np.full(len(known), count)
        np.minimum.at(first, which, np.arange(count))
        found = np.zeros(len(known), np.uint32)
        for at in np.argsort(first, kind="stable").tolist():
            found[at] = self._number(self._identity(int(known[at]), words))
        numbers: NDArray[np.uint32] = found[which]
        return numbers

    def _own_numbers(self, batch: Sequence[Any]) -> NDArray[np.uint32]:
        values = np.asarray(batch[self._columns[0][1]])
        for number in np.unique(values).tolist():
            self.seen.setdefault((str(number),), number)
        return values.astype(np.uint32)

    def _identity(self, code: int, words: list[list[str | None]]) -> Identity:
        parts: list[str | None] = []
        for mine in reversed(words):
            code, at = divmod(code, len(mine))
            parts.append(mine[at] or None)
        found = dict(zip((name for name, _ in self._columns), reversed(parts), strict=True))
        symbol = found.get("instrument") or self._symbol
        facts = tuple(found.get(name) for name in ("expiry", "strike", "right", "kind"))
        return (symbol, *facts)

    def _number(self, identity: Identity) -> int:
        number = self.seen.setdefault(identity, len(self.seen))
        if number >= NAMED_MAX:
            raise BadData(f"more than {NAMED_MAX:,} instruments; is {identity[0]!r} a symbol?")
        return number

    @property
    def symbols(self) -> list[str | None]:
        """What the instrument column says, by number."""
        return [identity[0] for identity in self.seen]

    def listed(self, *, tick: int, lot: int, qty_scale: int) -> list[dict[str, Any]]:
        """The instruments as the archive's INSTRUMENTS chunk has them.

        Args:
            tick, lot: of all of them, 0 when unknown.
            qty_scale: parts of a unit in a quantity.
        """
        often = {one for one in self.symbols if self.symbols.count(one) > 1} if len(
            self.seen) < 5000 else set(self.symbols)  # fmt: skip
        taken: set[str] = set()
        found = []
        for identity, number in self.seen.items():
            if self._numbered and number in self._described:
                mine = {"index": number, "qty_scale": qty_scale, **self._described[number]}
                mine |= {name: given for name, given in (("tick", tick), ("lot", lot)) if given}
                taken.add(mine["symbol"])
                found.append(mine)
                continue
            symbol = identity[0] or "UNNAMED"
            if identity[0] in often and len(set(self.symbols)) < len(self.seen):
                symbol = " ".join([symbol, *(part for part in identity[1:4] if part)])
            while symbol in taken:
                symbol += "'"
            taken.add(symbol)
            entry: dict[str, Any] = {"index": number, "symbol": symbol[:256], "tick": tick,
                                     "lot": lot, "qty_scale": qty_scale}  # fmt: skip
            found.append(entry | _facts(identity))
        return found


def _facts(identity: Identity) -> dict[str, Any]:
    """What is known of a contract, as far as it can be read."""
    if len(identity) == 1:
        return {}
    expiry, strike, right, kind = identity[1:]
    found: dict[str, Any] = {}
    word = KINDS.get((kind or "").upper())
    if word:
        found["kind"] = word
    if expiry and _DAY.match(expiry):
        found["expiry"] = expiry[:10]
    if word == "OPT" or right:
        try:
            paise = round(float(strike or 0) * 100)
        except ValueError:
            paise = 0
        if 0 < paise < 1 << 53:
            found["strike"] = paise
    sides = {"CE": "CE", "PE": "PE", "CALL": "CE", "PUT": "PE", "C": "CE", "P": "PE"}
    side = sides.get((right or kind or "").upper())
    if side:
        found["right"] = side
    return found
