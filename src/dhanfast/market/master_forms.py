"""The two forms of Dhan's instrument file: which header name is which column of ours."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dhanfast.errors import BadData, UsageError
from dhanfast.market.master import SEGMENTS

# Exchange and segment letter of the file -> segment of the API.
SEGMENT_OF: Final = {
    ("NSE", "I"): SEGMENTS["IDX_I"],
    ("BSE", "I"): SEGMENTS["IDX_I"],
    ("NSE", "E"): SEGMENTS["NSE_EQ"],
    ("BSE", "E"): SEGMENTS["BSE_EQ"],
    ("NSE", "D"): SEGMENTS["NSE_FNO"],
    ("BSE", "D"): SEGMENTS["BSE_FNO"],
    ("NSE", "C"): SEGMENTS["NSE_CURRENCY"],
    ("BSE", "C"): SEGMENTS["BSE_CURRENCY"],
    ("MCX", "M"): SEGMENTS["MCX_COMM"],
}
LEFT: Final = ("NA", "N/A", "NAN", "NULL", "NONE")  # words that stand for nothing
TICK_MICROS: Final = (2_500, 10_000_000)  # a tick outside 0.0025 to 10 rupees is a wrong unit
# NIFTY-Jul2026-25000-CE, GOLD-05Aug2026-FUT: group `underlying` of both.
SYMBOL: Final = r"^(?P<underlying>.+)-(?:\d{2})?[A-Za-z]{3}\d{4}-(?:FUT|\d+(?:\.\d+)?-(?:CE|PE))$"
PERCENT: Final = re.compile(r"(BUY|SELL)_(CO|BO)_\w+_PERC?|MTF_LEVERAGE")
PERCENT_PLACES: Final = 4
FLAGS: Final = ("BRACKET_FLAG", "COVER_FLAG", "ASM_GSM_FLAG", "ASM_GSM_CATEGORY",
                "BUY_SELL_INDICATOR")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Form:
    """One form: our column -> the header's name; `optional` may be absent."""

    name: str
    columns: dict[str, str]
    optional: tuple[str, ...]


FORMS: Final = {
    "compact": Form(
        "compact",
        {
            "exchange": "SEM_EXM_EXCH_ID", "letter": "SEM_SEGMENT", "id": "SEM_SMST_SECURITY_ID",
            "instrument": "SEM_INSTRUMENT_NAME", "expiry_code": "SEM_EXPIRY_CODE",
            "symbol": "SEM_TRADING_SYMBOL", "lot": "SEM_LOT_UNITS", "name": "SEM_CUSTOM_SYMBOL",
            "expiry": "SEM_EXPIRY_DATE", "strike": "SEM_STRIKE_PRICE", "right": "SEM_OPTION_TYPE",
            "tick": "SEM_TICK_SIZE", "expiry_flag": "SEM_EXPIRY_FLAG",
            "type": "SEM_EXCH_INSTRUMENT_TYPE", "series": "SEM_SERIES",
            "symbol_name": "SM_SYMBOL_NAME",
        },
        ("expiry_code", "name", "expiry_flag", "type", "series", "symbol_name"),
    ),
    "detailed": Form(
        "detailed",
        {
            "exchange": "EXCH_ID", "letter": "SEGMENT", "id": "SECURITY_ID", "isin": "ISIN",
            "instrument": "INSTRUMENT", "underlying_id": "UNDERLYING_SECURITY_ID",
            "underlying": "UNDERLYING_SYMBOL", "symbol_name": "SYMBOL_NAME",
            "name": "DISPLAY_NAME", "type": "INSTRUMENT_TYPE", "series": "SERIES",
            "lot": "LOT_SIZE", "expiry": "SM_EXPIRY_DATE", "strike": "STRIKE_PRICE",
            "right": "OPTION_TYPE", "tick": "TICK_SIZE", "expiry_flag": "EXPIRY_FLAG",
            "upper": "SM_UPPER_LIMIT", "lower": "SM_LOWER_LIMIT", "freeze": "SM_FREEZE_QTY",
        },
        ("isin", "underlying_id", "name", "type", "series", "expiry_flag", "upper", "lower",
         "freeze"),
    ),
}  # fmt: skip


def form_of(header: Sequence[str], name: str, wanted: str | None) -> Form:
    """Which form a header is of.

    Args:
        header: upper case; `name`: of the file; `wanted`: what the user says it is.

    Raises:
        UsageError: `wanted` is no form.
        BadData: neither form, the other form, or a column is missing.
    """
    if wanted is not None and wanted not in FORMS:
        raise UsageError(f"format must be {' or '.join(FORMS)}, got {wanted!r}")
    found = next((one for one in FORMS.values() if one.columns["id"] in header), None)
    if found is None:
        raise BadData(
            f"{name}: the header has neither {FORMS['compact'].columns['id']} nor "
            f"{FORMS['detailed'].columns['id']}, so this is no instrument file of Dhan; it begins "
            f"{', '.join(header[:3])!r}. Nothing was changed"
        )
    if wanted not in (None, found.name):
        raise BadData(f"{name}: this is the {found.name} file; say --format {found.name}")
    for ours, column in found.columns.items():
        if column not in header and ours not in found.optional:
            near = difflib.get_close_matches(column, header, n=1)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise BadData(
                f"{name}: the {found.name} file has no column {column}{hint}. If the broker has "
                "renamed it, this version cannot read the file; nothing was changed"
            )
    return found
