"""The broker's instrument files, compact and detailed, of what this exchange lists."""

from typing import TYPE_CHECKING, Final

from dhanfast.exchange.answers import Refusal, Reply, page
from dhanfast.exchange.contracts import SEGMENTS, Contract
from dhanfast.exchange.routes import Call, Route

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

CSV: Final = "text/csv"
COMPACT: Final = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,"
    "SEM_TRADING_SYMBOL,SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,"
    "SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,"
    "SM_SYMBOL_NAME"
)
DETAILED: Final = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,"
    "SYMBOL_NAME,DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,"
    "OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,BRACKET_FLAG,COVER_FLAG,ASM_GSM_FLAG,ASM_GSM_CATEGORY,"
    "BUY_SELL_INDICATOR,BUY_CO_MIN_MARGIN_PER,BUY_CO_SL_RANGE_MAX_PERC,BUY_CO_SL_RANGE_MIN_PERC,"
    "BUY_BO_MIN_MARGIN_PER,BUY_BO_PROFIT_RANGE_MAX_PERC,BUY_BO_PROFIT_RANGE_MIN_PERC,"
    "MTF_LEVERAGE,SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY,"
)


class Files:
    """The instrument CSVs.

    Args:
        core: whose instruments.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What is served: two files for everybody, one for who has a token."""
        return [
            Route("GET", "/api-data/api-scrip-master.csv", self.compact, limit="", token=False),
            Route("GET", "/api-data/api-scrip-master-detailed.csv", self.detailed, limit="",
                  token=False),
            Route("GET", "/v2/instrument/{}", self.segment, limit="data"),
        ]  # fmt: skip

    def compact(self, call: Call) -> Reply:
        """`/api-data/api-scrip-master.csv`."""
        rows = [_compact(one) for one in self._core.contracts]
        return page("\n".join([COMPACT, *rows]) + "\n", CSV)

    def detailed(self, call: Call) -> Reply:
        """`/api-data/api-scrip-master-detailed.csv`; lines end with a comma."""
        return page(self._detailed(list(self._core.contracts)), CSV)

    def segment(self, call: Call) -> Reply:
        """`GET /instrument/{exchangeSegment}`."""
        if call.args[0] not in SEGMENTS:
            raise Refusal(400, 905, "exchangeSegment is invalid")
        return page(self._detailed([one for one in self._core.contracts
                                    if one.segment == call.args[0]]), CSV)  # fmt: skip

    def _detailed(self, contracts: list[Contract]) -> str:
        rows = [self._row(one) for one in contracts]
        return "\n".join([DETAILED, *rows]) + "\n"

    def _row(self, one: Contract) -> str:
        underlying = self._core.contracts.underlying(one.underlying)
        session = self._core.sessions[one.index][0]
        return ",".join((
            one.exchange, one.letter, str(one.security_id), one.isin or "NA", one.instrument,
            str(underlying.security_id) if underlying is not None else "",
            one.underlying, one.symbol if one.expiry is None else one.trading_symbol, one.display,
            _type(one), "EQ" if one.kind == "EQ" else "NA", f"{max(one.lot, 1)}.0", _expiry(one),
            _strike(one), one.kind if one.is_option else "XX", _tick(one), _flag(one) or "N",
            "N", "N", "N", "NA", "A", "0", "0", "0", "0", "0", "0", "0",
            f"{session['band_high'] / 100:.2f}", f"{session['band_low'] / 100:.2f}",
            str(one.freeze), "",
        ))  # fmt: skip


def _compact(one: Contract) -> str:
    return ",".join((
        one.exchange, one.letter, str(one.security_id), one.instrument, "0", one.trading_symbol,
        f"{max(one.lot, 1)}.0", one.display, _expiry(one), _strike(one),
        one.kind if one.is_option else "XX", _tick(one), _flag(one), _type(one),
        "EQ" if one.kind == "EQ" else "X", one.name.upper() if one.expiry is None else "",
    ))  # fmt: skip


def _expiry(one: Contract) -> str:
    return f"{one.expiry} 14:30:00" if one.expiry else "0001-01-01"


def _strike(one: Contract) -> str:
    if one.is_option:
        return f"{one.strike / 100:.5f}"
    return "-0.01000" if one.expiry else ""


def _tick(one: Contract) -> str:
    """Paise, but rupees for an index."""
    return f"{one.tick / 100:.4f}" if one.kind == "IDX" else f"{one.tick:.4f}"


def _flag(one: Contract) -> str:
    if one.expiry is None:
        return ""
    return "M" if one.monthly else "W"


def _type(one: Contract) -> str:
    return {"IDX": "INDEX", "EQ": "ES", "FUT": "FUT"}.get(one.kind, "OP")
