"""What can be traded at the exchange: instruments under the broker's names and numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from dhanfast.errors import BadData, OutOfCalendar, UsageError
from dhanfast.market import expiries, instruments
from dhanfast.market.instruments import MONTHS, Instrument
from dhanfast.market.tables import read

# Segment of the API -> number in binary packets, exchange and letter in files and updates.
SEGMENTS: Final = {
    "IDX_I": (0, "NSE", "I"), "NSE_EQ": (1, "NSE", "E"), "NSE_FNO": (2, "NSE", "D"),
    "NSE_CURRENCY": (3, "NSE", "C"), "BSE_EQ": (4, "BSE", "E"), "MCX_COMM": (5, "MCX", "M"),
    "BSE_CURRENCY": (7, "BSE", "C"), "BSE_FNO": (8, "BSE", "D"),
}  # fmt: skip
# Security ids of indexes; those of contracts are numbered from FIRST_ID on, the future first.
INDEX_IDS: Final = {
    "NIFTY": 13, "BANKNIFTY": 25, "FINNIFTY": 27, "NIFTYNXT50": 38, "SENSEX": 51, "BANKEX": 69,
    "MIDCPNIFTY": 442, "INDIA VIX": 21,
}  # fmt: skip
FIRST_ID: Final = 49_080
OPTIONS: Final = ("CE", "PE")
WORDS: Final = {"CE": "CALL", "PE": "PUT"}


@dataclass(frozen=True, slots=True)
class Contract:
    """One instrument at the exchange.

    Units:
        strike, tick, band in paise; lot and freeze in units, freeze 0 = no limit, lot 0 = an index.
    """

    index: int
    segment: str  # of the API, a key of SEGMENTS
    security_id: int
    symbol: str  # as the exchange writes it
    kind: str  # IDX, EQ, FUT, CE or PE
    underlying: str
    lot: int
    tick: int
    expiry: date | None = None
    strike: int = 0
    freeze: int = 0
    monthly: bool = True
    isin: str = ""
    name: str = ""
    band_low: int = 0
    band_high: int = 0

    @property
    def number(self) -> int:
        """Segment in binary packets."""
        return SEGMENTS[self.segment][0]

    @property
    def exchange(self) -> str:
        """NSE, BSE or MCX."""
        if self.segment == "IDX_I":
            return exchange_of(self.underlying)
        return SEGMENTS[self.segment][1]

    @property
    def letter(self) -> str:
        """Segment letter of files and order updates."""
        return SEGMENTS[self.segment][2]

    @property
    def instrument(self) -> str:
        """The broker's word: INDEX, EQUITY, FUTIDX, OPTIDX, FUTSTK or OPTSTK."""
        whole = {"IDX": "INDEX", "EQ": "EQUITY"}.get(self.kind)
        of = "IDX" if is_index(self.underlying) else "STK"
        return whole or f"{'FUT' if self.kind == 'FUT' else 'OPT'}{of}"

    @property
    def is_option(self) -> bool:
        """Whether it is a call or a put."""
        return self.kind in OPTIONS

    @property
    def tradable(self) -> bool:
        """Whether orders can be sent: not an index."""
        return self.lot > 0

    @property
    def trading_symbol(self) -> str:
        """As the broker writes it: NIFTY-Jul2026-25000-CE."""
        if self.expiry is None:
            return self.symbol
        month = f"{MONTHS[self.expiry.month - 1].title()}{self.expiry.year}"
        if self.kind == "FUT":
            return f"{self.underlying}-{month}-FUT"
        return f"{self.underlying}-{month}-{rupees_text(self.strike)}-{self.kind}"

    @property
    def display(self) -> str:
        """As the broker shows it: NIFTY 28 JUL 25000 CALL."""
        if self.expiry is None:
            return self.name or self.symbol
        month = MONTHS[self.expiry.month - 1]
        if self.kind == "FUT":
            return f"{self.underlying} {month} FUT"
        strike = rupees_text(self.strike)
        return f"{self.underlying} {self.expiry.day} {month} {strike} {WORDS[self.kind]}"


def rupees_text(paise: int) -> str:
    """Whole rupees without a point, others with two places."""
    return str(paise // 100) if paise % 100 == 0 else f"{paise // 100}.{paise % 100:02}"


class Contracts(Sequence[Contract]):
    """All instruments of an exchange, by index, by (segment, security id) and by symbol.

    Raises:
        BadData: two have one number or one symbol.
    """

    def __init__(self, entries: Sequence[Contract]) -> None:
        self._entries = tuple(entries)
        self._by_id = {(one.segment, one.security_id): one for one in self._entries}
        self.by_symbol = {one.symbol: one for one in self._entries}
        if not len(self._by_id) == len(self.by_symbol) == len(self._entries):
            raise BadData("two instruments of the exchange have one security id or one symbol")

    def __len__(self) -> int:
        """How many there are."""
        return len(self._entries)

    def __getitem__(self, index: Any) -> Any:
        """The instrument of an index."""
        return self._entries[index]

    def __iter__(self) -> Iterator[Contract]:
        """In order of index."""
        return iter(self._entries)

    def find(self, segment: str, security_id: str | int) -> Contract | None:
        """By the broker's numbers; None when there is none."""
        try:
            return self._by_id.get((segment, int(security_id)))
        except ValueError:
            return None

    def underlying(self, underlying: str) -> Contract | None:
        """The index or stock that contracts are written on."""
        for one in self._entries:
            if one.symbol == underlying and one.kind in ("IDX", "EQ"):
                return one
        return None

    def options(self, underlying: str, expiry: date) -> list[Contract]:
        """Calls and puts of one expiry."""
        return [
            one
            for one in self._entries
            if one.is_option and one.underlying == underlying and one.expiry == expiry
        ]

    def expiries(self, underlying: str) -> list[date]:
        """Dates on which listed options of an underlying expire."""
        return sorted({one.expiry for one in self._entries
                       if one.is_option and one.underlying == underlying
                       and one.expiry is not None})  # fmt: skip


def is_index(underlying: str) -> bool:
    """Whether the table of underlyings has it: what it has not is a stock."""
    return any(row["underlying"] == underlying for row in read("underlyings"))


def exchange_of(underlying: str) -> str:
    """NSE or BSE, by the table of underlyings; NSE for others."""
    for row in read("underlyings"):
        if row["underlying"] == underlying:
            return row["exchange"]
    return "NSE"


def segment_of(kind: str, underlying: str) -> str:
    """The API's segment of an instrument."""
    if kind == "IDX":
        return "IDX_I"
    return f"{exchange_of(underlying)}_{'EQ' if kind == 'EQ' else 'FNO'}"


def freeze_of(underlying: str, day: date) -> int:
    """Freeze quantity of an index's contracts; 0 where no table knows it."""
    try:
        return instruments.freeze(underlying, day)
    except (OutOfCalendar, UsageError):
        return 0


def monthly(underlying: str, expiry: date) -> bool:
    """Whether a contract belongs to a month's cycle; True where no table knows it."""
    try:
        return expiries.cycle_of(underlying, expiry) == "M"
    except (OutOfCalendar, UsageError):
        return True


def lot_and_tick(named: Instrument, day: date) -> tuple[int, int]:
    """Lot and tick of a contract by the tables; 0 where they do not know, as of any stock's."""
    assert named.expiry is not None
    try:
        lot = instruments.lot(named.underlying, named.expiry, named.cycle, day)
    except (OutOfCalendar, UsageError):
        lot = 0
    kind = "OPT_IDX" if named.is_option else "FUT_IDX"
    try:
        return lot, instruments.tick(kind, day, underlying=named.underlying)
    except (OutOfCalendar, UsageError):
        return lot, 0
