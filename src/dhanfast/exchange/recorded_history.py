"""Days before the exchange's own from files: minute bars of a folder, by the name of an instrument.

The same questions are answered as by `history.History`, which generates what it says.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE
from dhanfast.errors import BadData, DhanfastError, OutOfCalendar, UsageError
from dhanfast.market.calendar import each_date, midnight_ns
from dhanfast.market.instruments import Instrument, parse_nse_symbol
from dhanfast.market.tickday import TickInstrument
from dhanfast.storage.bars import ReadOptions, build, load_table

MINUTE_NS: Final = 60_000_000_000
ENDINGS: Final = (".parquet", ".csv")


class RecordedHistory:
    """Minute bars of a folder's files; files of other intervals are passed over.

    Args:
        root: its Parquet and CSV files are read, at once, those of folders below are not.
        symbol: of the index whose options are looked for.

    Attributes:
        generated: whether one of the files says so of itself.

    Raises:
        UsageError: no folder, or no file of minute bars in it. BadData: a file cannot be used.
    """

    def __init__(self, root: Path, symbol: str) -> None:
        if not root.is_dir():
            raise UsageError(f"--history {root}: no such folder")
        self.symbol = symbol
        self.generated = False
        self._bars: dict[str, NDArray[Any]] = {}
        for path in sorted(one for one in root.iterdir() if one.suffix in ENDINGS):
            self._take(path)
        if not self._bars:
            raise UsageError(f"--history {root}: no file of minute bars in it (Parquet or CSV)")
        self._options = {name: parsed for name in self._bars
                         if (parsed := _option_of(name, symbol))}  # fmt: skip

    def _take(self, path: Path) -> None:
        table = load_table(path, ReadOptions(tz="Asia/Kolkata") if path.suffix == ".csv"
                           else ReadOptions())  # fmt: skip
        for name in table.names or (path.stem.split("_")[0],):
            try:
                got = build(table, name, ReadOptions()).bar_set
            except BadData:
                if len(table.names) > 1:
                    continue  # one bar of a strike does not tell how long it is
                raise
            if got.interval_ns != MINUTE_NS:
                continue
            held = self._bars.get(name)
            bars = got.bars if held is None else np.concatenate((held, got.bars))
            _, first = np.unique(bars["start_ns"], return_index=True)
            self._bars[name] = bars[first]
            self.generated |= got.generated

    def day(self, on: date) -> "RecordedDay | None":
        """Bars of a day; None when no file has any."""
        low, high = midnight_ns(on), midnight_ns(on) + 86_400 * 1_000_000_000
        mine = {}
        for name, bars in self._bars.items():
            begin, end = np.searchsorted(bars["start_ns"], [low, high])
            if end > begin:
                mine[name] = bars[begin:end]
        return RecordedDay(on, mine, self.symbol, self._options) if mine else None

    def days(self, first: date, last: date) -> "list[RecordedDay]":
        """Days with bars from `first` to `last`, both included."""
        found = (self.day(on) for on in each_date(first, last))
        return [day for day in found if day is not None]


class RecordedDay:
    """One day of the files.

    Args:
        bars: of the day, by symbol. symbol: of the index. options: what each option is.

    Attributes:
        date: of the day. instruments: what has bars, by symbol.
    """

    def __init__(
        self, on: date, bars: Mapping[str, NDArray[Any]], symbol: str,
        options: Mapping[str, Instrument],
    ) -> None:  # fmt: skip
        self.date = on
        self._bars = bars
        live = {name: one for name, one in options.items()
                if name in bars and one.expiry is not None and one.expiry >= on}  # fmt: skip
        nearest = min((one.expiry for one in live.values() if one.expiry), default=None)
        self.instruments = {symbol: TickInstrument(0, symbol, "IDX", 1, 0, None, 0)}
        for at, (name, one) in enumerate(sorted(live.items()), 1):
            if one.expiry == nearest:
                self.instruments[name] = TickInstrument(at, name, one.kind, 5, 1, one.expiry,
                                                        one.strike)  # fmt: skip

    def bars(self, symbol: str) -> NDArray[Any]:
        """Minutes of an instrument; none when it has none.

        Shape:
            BAR_DTYPE[n].
        """
        return self._bars.get(symbol, np.empty(0, BAR_DTYPE))

    def options(self, right: str) -> list[TickInstrument]:
        """Calls (CE) or puts (PE) of the nearest expiry by strike."""
        found = [one for one in self.instruments.values() if one.kind == right]
        return sorted(found, key=lambda one: one.strike)


def _option_of(name: str, symbol: str) -> Instrument | None:
    """What an option's name says, when it is one of the index."""
    if not name.startswith(symbol):
        return None
    try:
        found = parse_nse_symbol(name)
    except (DhanfastError, OutOfCalendar):
        return None
    return found if found.is_option and found.underlying == symbol else None
