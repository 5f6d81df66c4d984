"""Days of option chains in one memory-mapped file, so that all processes of a search share them.

A day costs its tables once: they are made (recorded or modelled) when the search begins, and every
trial reads them where they lie. Layout of the file, int64 words:

    start, end, spot and tables of each day ...   what the index places   index, pickled   its bytes

The index says where each part of each day begins; its last word is its length in bytes.
"""

import hashlib
import pickle
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainday import ChainDay
from dhanfast.engine.chain_source import ChainSource, Day, Held
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.research.shared import Gathered
from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.market.optionsessions import option_segment

WORD: Final = 8
SHARED: Final = ("start_ns", "end_ns", "spot", "strike")
Ints = NDArray[np.int64]


class Shelf(Gathered):
    """The days of a source, in a file.

    Args:
        source: whose days do not depend on what is held over night.
    Attributes:
        dates: of the days, YYYYMMDD.
    Raises:
        BadData: the source has no day, or cannot give one. DhanfastError: the disk refuses.
    """

    def __init__(self, source: ChainSource) -> None:
        self.dates: list[int] = []
        super().__init__(self._words(source), "chains")

    def _words(self, source: ChainSource) -> Iterator[Ints]:
        at = 0
        index: list[dict[str, Any]] = []
        for day in source.days(lambda: []):
            parts = day.chain.parts()
            tables = list(parts.pop("prices"))
            places: dict[str, int] = {}
            for name in SHARED:
                words = parts.pop(name)
                places[name], at = at, at + words.size
                yield words
            known: dict[int, int] = {}
            prices = []
            for table in tables:  # snapshots have one price: one table four times
                if id(table) not in known:
                    known[id(table)], at = at, at + table.size
                    yield np.ascontiguousarray(table).reshape(-1)
                prices.append(known[id(table)])
            self.dates.append(int(f"{day.on:%Y%m%d}"))
            index.append({
                "on": day.on, "expiries": day.expiries, "slots": day.slots, "rows": len(day.end_ns),
                "columns": tables[0].shape[1], "places": places, "prices": prices, "facts": parts,
            })  # fmt: skip
        if not index:
            raise BadData(f"{source.underlying}: the data has no trading day")
        told = {
            "days": index, "keys": source.contracts.keys, "lot": source.contracts.lot,
            "grade": source.grade,
            "underlying": source.underlying, "interval": source.interval, "told": source.told(),
            "data": source.data(), "digest": hashlib.sha256(b"".join(source.digest())).hexdigest(),
        }  # fmt: skip
        raw = pickle.dumps(told, protocol=5)
        room = -(-len(raw) // WORD) * WORD
        yield np.frombuffer(raw.ljust(room, b"\0"), np.int64)
        yield np.array([len(raw)], np.int64)


class ShelvedChains:
    """A source of some of the days of a shelf.

    Args:
        words: of the file.
    Attributes:
        first, last: the days that are given, [first, last).
    """

    def __init__(self, words: Ints) -> None:
        self._words = words
        length = int(words[-1])
        room = -(-length // WORD)
        told = pickle.loads(words[-1 - room : -1].tobytes()[:length])
        self._index: list[dict[str, Any]] = told["days"]
        self.grade: str = told["grade"]
        self.underlying: str = told["underlying"]
        self.interval: str = told["interval"]
        self.contracts = Contracts(self.underlying, told["lot"])
        for key in told["keys"]:
            self.contracts.number(*key)
        self._told: tuple[str, ...] = told["told"]
        self._data: dict[str, Any] = told["data"]
        self._digest = str(told["digest"]).encode()
        self._made: dict[int, Day] = {}
        self.first, self.last = 0, len(self._index)
        self.future = False  # the days have none: a hedged structure is not searched

    @property
    def expiries(self) -> set[str]:
        """Names of the expiries that any day has."""
        return {name for day in self._index for name in day["slots"]}

    def days(self, held: Held) -> Iterator[Day]:
        """The days from `first` to before `last`, each made once."""
        for place in range(self.first, self.last):
            if place not in self._made:
                self._made[place] = self._day(self._index[place])
            yield self._made[place]

    def _day(self, entry: dict[str, Any]) -> Day:
        rows, columns, places = entry["rows"], entry["columns"], entry["places"]

        def part(at: int, size: int) -> Ints:
            found: Ints = self._words[at : at + size]
            return found

        tables = {at: part(at, rows * columns).reshape(rows, columns) for at in entry["prices"]}
        spot, end_ns = part(places["spot"], rows), part(places["end_ns"], rows)
        chain = ChainDay(
            start_ns=part(places["start_ns"], rows),
            end_ns=end_ns,
            spot=spot,
            strike=part(places["strike"], columns),
            prices=[tables[at] for at in entry["prices"]],
            **entry["facts"],
        )
        on: date = entry["on"]
        hours = Calendar.load().day(on, option_segment(self.underlying, self.contracts.lot)[0])
        if hours is None:
            raise UsageError(f"{on} is not a trading day in this machine's calendar")
        return Day(on, hours, chain, entry["expiries"], entry["slots"], end_ns, spot)

    def told(self) -> tuple[str, ...]:
        """What a reader must know of the prices of all the days; the first line names the grade."""
        return self._told

    def fills_told(self, orders: NDArray[Any], passages: NDArray[Any]) -> tuple[str, ...]:
        """Nothing: that is told of the one run that a backtest makes."""
        return ()

    def data(self) -> dict[str, Any]:
        """What was read."""
        return self._data

    def digest(self) -> list[bytes]:
        """What the prices follow from, and which of the days."""
        return [self._digest, f"{self.first}..{self.last}".encode()]
