"""Instrument files for tests: made rows in both of the broker's forms, and a plain reader of them.

The reader is the oracle: the csv module, Decimal and dictionaries, a row at a time.
"""

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

COMPACT_HEADER = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,"
    "SEM_TRADING_SYMBOL,SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,"
    "SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,"
    "SM_SYMBOL_NAME"
)
DETAILED_HEADER = (
    "EXCH_ID,SEGMENT,SECURITY_ID,ISIN,INSTRUMENT,UNDERLYING_SECURITY_ID,UNDERLYING_SYMBOL,"
    "SYMBOL_NAME,DISPLAY_NAME,INSTRUMENT_TYPE,SERIES,LOT_SIZE,SM_EXPIRY_DATE,STRIKE_PRICE,"
    "OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,BRACKET_FLAG,COVER_FLAG,ASM_GSM_FLAG,ASM_GSM_CATEGORY,"
    "BUY_SELL_INDICATOR,BUY_CO_MIN_MARGIN_PER,BUY_CO_SL_RANGE_MAX_PERC,BUY_CO_SL_RANGE_MIN_PERC,"
    "BUY_BO_MIN_MARGIN_PER,BUY_BO_PROFIT_RANGE_MAX_PERC,BUY_BO_PROFIT_RANGE_MIN_PERC,MTF_LEVERAGE,"
    "SM_UPPER_LIMIT,SM_LOWER_LIMIT,SM_FREEZE_QTY,"
)
COMPACT, DETAILED = COMPACT_HEADER.split(","), DETAILED_HEADER.split(",")
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
MARKETS = {  # exchange, letter -> the name in the API and its number
    ("NSE", "I"): ("IDX_I", 0), ("BSE", "I"): ("IDX_I", 0), ("NSE", "E"): ("NSE_EQ", 1),
    ("BSE", "E"): ("BSE_EQ", 4), ("NSE", "D"): ("NSE_FNO", 2), ("BSE", "D"): ("BSE_FNO", 8),
    ("NSE", "C"): ("NSE_CURRENCY", 3), ("BSE", "C"): ("BSE_CURRENCY", 7),
    ("MCX", "M"): ("MCX_COMM", 5),
}  # fmt: skip
Row = dict[str, str]


def option(**changes: str) -> Row:
    """A detailed row of one option of NIFTY, with changes; names as the header's."""
    row = dict.fromkeys(DETAILED, "0") | {
        "EXCH_ID": "NSE", "SEGMENT": "D", "SECURITY_ID": "49081", "ISIN": "NA",
        "INSTRUMENT": "OPTIDX", "UNDERLYING_SECURITY_ID": "13", "UNDERLYING_SYMBOL": "NIFTY",
        "SYMBOL_NAME": "NIFTY-Jul2026-25000-CE", "DISPLAY_NAME": "NIFTY 28 JUL 25000 CALL",
        "INSTRUMENT_TYPE": "OP", "SERIES": "NA", "LOT_SIZE": "65.0", "SM_EXPIRY_DATE": "2026-07-28",
        "STRIKE_PRICE": "25000.00000", "OPTION_TYPE": "CE", "TICK_SIZE": "5.0000",
        "EXPIRY_FLAG": "W", "BRACKET_FLAG": "N", "SM_UPPER_LIMIT": "1500.0",
        "SM_LOWER_LIMIT": "0.05", "SM_FREEZE_QTY": "1800", "": "",
    }  # fmt: skip
    return row | changes


def share(**changes: str) -> Row:
    """A detailed row of one share, with changes."""
    plain = {
        "SEGMENT": "E", "SECURITY_ID": "1333", "ISIN": "INE000A01001", "INSTRUMENT": "EQUITY",
        "UNDERLYING_SECURITY_ID": "", "UNDERLYING_SYMBOL": "SYMA", "SYMBOL_NAME": "SYM A LTD",
        "DISPLAY_NAME": "Sym A", "INSTRUMENT_TYPE": "ES", "SERIES": "EQ", "LOT_SIZE": "1.0",
        "SM_EXPIRY_DATE": "", "STRIKE_PRICE": "-0.01000", "OPTION_TYPE": "", "EXPIRY_FLAG": "NA",
        "SM_FREEZE_QTY": "0",
    }  # fmt: skip
    return option(**plain) | changes


def as_csv(rows: list[Row], header: list[str] | None = None) -> bytes:
    """Rows under a header, as the csv module writes them."""
    header = header or DETAILED
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([row.get(name, "") for name in header])
    return out.getvalue().encode()


def options(count: int, first: int = 1, **changes: str) -> list[Row]:
    """Rows of many strikes of NIFTY, with ids from `first` on."""
    return [
        option(
            SECURITY_ID=str(first + n), STRIKE_PRICE=f"{20000 + 50 * n}.00000",
            SYMBOL_NAME=f"NIFTY-Jul2026-{20000 + 50 * n}-CE",
            DISPLAY_NAME=f"NIFTY 28 JUL {20000 + 50 * n} CALL", **changes,
        )
        for n in range(count)
    ]  # fmt: skip


# ---- the plain reader --------------------------------------------------------------------------


def read_plainly(data: bytes) -> dict[tuple[str, int], dict[str, Any]]:
    """What good rows say, by (segment, id): written for reading, no vectors, no floats."""
    out = {}
    for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        compact = "SEM_EXM_EXCH_ID" in row
        cell = {name: (text or "").strip() for name, text in row.items() if name}
        if compact:
            cell = {theirs: cell[ours] for theirs, ours in COMPACT_NAMES.items()}
        segment, _ = MARKETS[cell["EXCH_ID"], cell["SEGMENT"]]
        out[segment, int(cell["SECURITY_ID"])] = _facts(cell, compact)
    return out


COMPACT_NAMES = {
    "EXCH_ID": "SEM_EXM_EXCH_ID", "SEGMENT": "SEM_SEGMENT", "SECURITY_ID": "SEM_SMST_SECURITY_ID",
    "INSTRUMENT": "SEM_INSTRUMENT_NAME", "SYMBOL": "SEM_TRADING_SYMBOL",
    "LOT_SIZE": "SEM_LOT_UNITS",
    "DISPLAY_NAME": "SEM_CUSTOM_SYMBOL", "SM_EXPIRY_DATE": "SEM_EXPIRY_DATE",
    "STRIKE_PRICE": "SEM_STRIKE_PRICE", "OPTION_TYPE": "SEM_OPTION_TYPE",
    "TICK_SIZE": "SEM_TICK_SIZE", "EXPIRY_FLAG": "SEM_EXPIRY_FLAG", "SERIES": "SEM_SERIES",
}  # fmt: skip


def _facts(cell: Row, compact: bool) -> dict[str, Any]:
    """What one row says."""
    instrument, right = cell["INSTRUMENT"], cell["OPTION_TYPE"]
    is_index = instrument == "INDEX"
    kind = "IDX" if is_index else "FUT" if instrument.startswith("FUT") else "EQ"
    kind = right if instrument.startswith("OPT") else kind
    micros = Decimal(cell["TICK_SIZE"]) * (1_000_000 if is_index else 10_000)
    day = cell["SM_EXPIRY_DATE"][:10]
    facts: dict[str, Any] = {
        "exchange": cell["EXCH_ID"], "instrument": instrument, "kind": kind,
        "name": cell["DISPLAY_NAME"], "lot": int(Decimal(cell["LOT_SIZE"])),
        "tick_micros": int(micros), "tick": int(micros / 10_000) if micros % 10_000 == 0 else 0,
        "expiry": None if day in ("", "0001-01-01") else date.fromisoformat(day),
        "strike": int(Decimal(cell["STRIKE_PRICE"]) * 100) if kind in ("CE", "PE") else 0,
        "expiry_flag": cell["EXPIRY_FLAG"] if cell["EXPIRY_FLAG"] in ("M", "W") else "",
        "series": "" if cell["SERIES"] == "NA" else cell["SERIES"],
    }  # fmt: skip
    derivative = kind in ("FUT", "CE", "PE")
    if compact:
        facts["symbol"] = cell["SYMBOL"]
        parts = cell["SYMBOL"].split("-")
        facts["underlying"] = "-".join(parts[: -2 if kind == "FUT" else -3])
        if not derivative:
            facts["underlying"] = cell["SYMBOL"]
        return facts | dict.fromkeys(("freeze", "upper", "lower", "underlying_id"))
    facts["underlying"] = cell["UNDERLYING_SYMBOL"]
    facts["symbol"] = _symbol(facts, cell) if derivative else cell["UNDERLYING_SYMBOL"]
    facts["isin"] = "" if cell["ISIN"] == "NA" else cell["ISIN"]
    facts["underlying_id"] = int(cell["UNDERLYING_SECURITY_ID"] or 0) or None
    facts["freeze"] = int(Decimal(cell["SM_FREEZE_QTY"] or 0)) or None
    for name, column in (("upper", "SM_UPPER_LIMIT"), ("lower", "SM_LOWER_LIMIT")):
        facts[name] = int(Decimal(cell[column] or 0) * 1_000_000) or None
    return facts


def _symbol(facts: dict[str, Any], cell: Row) -> str:
    """Underlying, month and year (MCX: the day too), strike and right."""
    expiry = facts["expiry"]
    month = f"{MONTHS[expiry.month - 1]}{expiry.year}"
    if cell["EXCH_ID"] == "MCX":
        month = f"{expiry.day:02}{month}"
    if facts["kind"] == "FUT":
        return f"{facts['underlying']}-{month}-FUT"
    strike = f"{Decimal(facts['strike']) / 100:f}"
    strike = strike.rstrip("0").rstrip(".") if "." in strike else strike
    return f"{facts['underlying']}-{month}-{strike}-{facts['kind']}"


# ---- generated files ---------------------------------------------------------------------------

NAMES = st.sampled_from(["NIFTY", "BANKNIFTY", "M&M", "BAJAJ-AUTO", "GOLD", "USDINR", "3MINDIA"])
TICKS = st.sampled_from(["5.0000", "10.0000", "100.0000", "0.2500", "1.0000", "25.0", "5", "1000"])


@st.composite
def detailed_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of a good detailed file, of every market, ids unique in their segment."""
    count = draw(st.integers(1, 25))
    taken: set[tuple[str, int]] = set()
    rows = []
    for _ in range(count):
        market = draw(st.sampled_from(sorted(MARKETS)))
        number = draw(st.integers(1, 40) | st.integers(1, 2**32 - 1))
        if (MARKETS[market][0], number) in taken:
            continue
        taken.add((MARKETS[market][0], number))
        rows.append(draw(_row(market, number)))
    return rows


@st.composite
def _row(draw: st.DrawFn, market: tuple[str, str], number: int) -> Row:
    exchange, letter = market
    name = draw(NAMES)
    common = {
        "EXCH_ID": exchange, "SEGMENT": letter, "SECURITY_ID": str(number),
        "UNDERLYING_SYMBOL": name, "SYMBOL_NAME": "", "TICK_SIZE": draw(TICKS),
        "LOT_SIZE": draw(st.sampled_from(["1.0", "65", "1250.00", "30.0"])),
        "DISPLAY_NAME": draw(st.sampled_from(["", "A, B & Co", 'The "X"', "नमस्ते", " padded "])),
        "SM_FREEZE_QTY": draw(st.sampled_from(["", "0", "1800", "1800.0"])),
        "SM_UPPER_LIMIT": draw(st.sampled_from(["", "0", "86.4525", "1870.5", "28100"])),
        "EXPIRY_FLAG": draw(st.sampled_from(["M", "W", "NA", "N", ""])),
        "UNDERLYING_SECURITY_ID": draw(st.sampled_from(["", "13", "600"])),
    }  # fmt: skip
    if letter == "I":
        return share(**common | {"INSTRUMENT": "INDEX", "TICK_SIZE": "0.0500", "ISIN": "NA",
                                 "OPTION_TYPE": "XX", "SM_EXPIRY_DATE": "0001-01-01"})  # fmt: skip
    if letter == "E":
        return share(**common)
    day = draw(st.dates(date(2026, 7, 1), date(2031, 12, 31)))
    clock = draw(st.sampled_from(["", " 14:30:00", " 23:30:00"]))
    common["SM_EXPIRY_DATE"] = f"{day}{clock}"
    kind = {"D": "IDX", "C": "CUR", "M": "COM"}[letter]
    if draw(st.booleans()):
        return option(**common | {"INSTRUMENT": f"FUT{kind}", "OPTION_TYPE": "XX",
                                  "STRIKE_PRICE": "-0.01000"})  # fmt: skip
    paise = draw(st.integers(1, 9_999_999_99))
    right = draw(st.sampled_from(["CE", "PE"]))
    strike = f"{paise // 100}.{paise % 100:02}000"
    return option(**common | {"INSTRUMENT": f"OPT{kind}", "OPTION_TYPE": right,
                              "STRIKE_PRICE": strike})  # fmt: skip


def to_compact(row: Row) -> Row:
    """The compact row of a detailed one."""
    out = {ours: row[theirs] for theirs, ours in COMPACT_NAMES.items() if theirs in row}
    facts = _facts({name: text.strip() for name, text in row.items()}, False)
    return out | {"SEM_TRADING_SYMBOL": facts["symbol"], "SEM_EXPIRY_CODE": "0",
                  "SEM_EXCH_INSTRUMENT_TYPE": row["INSTRUMENT_TYPE"],
                  "SM_SYMBOL_NAME": ""}  # fmt: skip
