"""Structures of a stock's options: lots that are said, delivery that is kept away from."""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhanfast.app.legs_file import plan_of
from dhanfast.engine.bar_source import RecordedBars
from dhanfast.engine.chain_source import RecordedChains
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.market.optionsessions import option_expiries, option_notes, option_sessions
from dhanfast.storage.chains import read_chains
from dhanfast.storage.option_bars import read_option_bars

LOT = 550
EXPIRY = dt.date(2026, 1, 27)
NEXT = dt.date(2026, 2, 24)
DAY = dt.date(2026, 1, 22)
PLAIN = Settings(slippage=Slippage())
LEGS = [
    {"side": "sell", "right": "CE", "strike": "atm"},
    {"side": "sell", "right": "PE", "strike": "atm", "stop": "50%"},
]


def plan(**more: Any) -> Any:
    return plan_of({"underlying": "HDFCBANK", "lot": LOT, "entry": "09:30", "exit": "15:00",
                    "leg": LEGS} | more)  # fmt: skip


def ns(on: dt.date, text: str) -> int:
    return int(dt.datetime.fromisoformat(f"{on}T{text}+05:30").timestamp()) * 10**9


def chains(folder: Path, rows: list[tuple[dt.date, str, float, float]], oi: int = 40 * LOT,
           expiries: tuple[dt.date, ...] = (EXPIRY, NEXT)) -> Path:  # fmt: skip
    """Snapshots: (date, time, premium of every call, of every put), strikes 900 to 1100."""
    strikes = np.arange(900.0, 1101.0, 20.0)
    parts: dict[str, list[Any]] = {name: [] for name in (
        "ts", "underlying", "expiry", "strike", "ce_ltp", "ce_oi", "ce_volume", "pe_ltp", "pe_oi",
        "pe_volume", "spot",
    )}  # fmt: skip
    for step, (on, text, call, put) in enumerate(rows):
        for expiry in expiries:
            for strike in strikes.tolist():
                values = (ns(on, text), "HDFCBANK", expiry, strike, call, oi, 100 * step, put, oi,
                          100 * step, 1000.0)  # fmt: skip
                for name, value in zip(parts, values, strict=True):
                    parts[name].append(value)
    table = pa.table(parts).set_column(2, "expiry", pa.array(parts["expiry"], pa.date32()))
    pq.write_table(table, folder / "chain.parquet")
    return folder / "chain.parquet"


DAY_ROWS = [(DAY, "09:20:00", 20.0, 18.0), (DAY, "09:31:00", 20.0, 18.0),
            (DAY, "09:36:00", 21.0, 17.0), (DAY, "12:00:00", 15.0, 16.0),
            (DAY, "14:59:00", 14.0, 12.0), (DAY, "15:01:00", 14.0, 12.0),
            (DAY, "15:06:00", 13.0, 11.0)]  # fmt: skip


def source(path: Path, lot: int = LOT) -> RecordedChains:
    return RecordedChains(read_chains(path), "HDFCBANK", lot=lot)


def test_a_day_by_hand(tmp_path: Path) -> None:
    """Decided on 09:31, sold on 09:36 at 21 and 17; decided on 15:01, bought on 15:06 at 13, 11."""
    result = backtest_legs(plan(), source(chains(tmp_path, DAY_ROWS)), PLAIN)
    assert sorted(
        (int(row["qty"]), int(row["entry_value"]) // LOT, int(row["exit_value"]) // LOT)
        for row in result.trades
    ) == [(LOT, 1_700, 1_100), (LOT, 2_100, 1_300)]
    assert int(result.trades["gross"].sum()) == LOT * (600 + 800)
    assert any("HDFCBANK is 550 units on every day" in note for note in result.notes)
    # STT of 0.1 % on what is sold, brokerage of 20 an order, as of any option in January 2026.
    assert int(result.days["charges"].sum()) > 4 * 2_000 + (21 + 17) * 100 * LOT // 1_000


def test_margin_is_that_of_a_stock(tmp_path: Path) -> None:
    result = backtest_legs(plan(), source(chains(tmp_path, DAY_ROWS)), PLAIN)
    margin = result.margin
    # At least 14.2 % of scan and 3.5 % of exposure for each of the two, one of whose scans counts.
    assert margin["peak"] > (0.142 + 2 * 0.035) * 1000 * LOT * 0.9
    assert margin["error_high_pct"] >= 25


def test_the_contract_that_ends_today_is_not_entered(tmp_path: Path) -> None:
    rows = [(EXPIRY, text, call, put) for _, text, call, put in DAY_ROWS]
    result = backtest_legs(plan(), source(chains(tmp_path, rows)), PLAIN)
    assert len(result.trades) == 2
    assert all(str(NEXT) in name for name in result.contracts.values() if "1000" in name)


def test_without_the_next_month_nothing_is_entered_on_the_last_day(tmp_path: Path) -> None:
    rows = [(EXPIRY, text, call, put) for _, text, call, put in DAY_ROWS]
    result = backtest_legs(plan(), source(chains(tmp_path, rows, expiries=(EXPIRY,))), PLAIN)
    assert len(result.trades) == 0 and any("lacks its expiry" in note for note in result.notes)


def test_another_lot_is_found_out(tmp_path: Path) -> None:
    path = chains(tmp_path, DAY_ROWS, oi=3 * LOT)
    with pytest.raises(BadData, match=r"comes in steps of 1650, and the lot was said to be 500"):
        backtest_legs(plan(lot=500), source(path, 500), PLAIN)
    with pytest.raises(ConfigError, match="lot: the legs have 550 units, the data was read for 0"):
        backtest_legs(plan(), dataclasses.replace(source(path), lot=0), PLAIN)


@pytest.mark.parametrize(
    ("more", "words"),
    [({"hold": "expiry"}, "settled by delivery"),
     ({"hold": "expiry", "exit": "settlement"}, "settled by delivery"),
     ({"signals": "momentum"}, "a strategy runs on an index"),
     ({"lot": 0}, "lot: 0 units"), ({"lot": -5}, "lot"), ({"lot": "many"}, "lot"),
     ({"lot": 2_000_000}, "lot must be in")],
)  # fmt: skip
def test_refusals_of_a_file(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan(**more)


def test_what_is_no_index_needs_a_lot_and_an_index_has_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"underlying 'HDFCBANK' is not known.*lot = 500"):
        option_expiries("HDFCBANK", DAY)
    with pytest.raises(UsageError, match="lot: NIFTY is an index"):
        option_expiries("NIFTY", DAY, 75)


# ---- the tables ----------------------------------------------------------------------------------


def test_expiries_and_sessions_of_a_stock() -> None:
    """January 2026 ends on Tuesday the 27th; HDFCBANK stands above 250, its tick is 5 paise."""
    assert option_expiries("HDFCBANK", DAY, LOT) == {
        "nearest": EXPIRY, "next": NEXT, "monthly": EXPIRY,
    }  # fmt: skip
    assert option_expiries("HDFCBANK", EXPIRY, LOT)["nearest"] == NEXT
    hours = Calendar.load().day(DAY, "NSE_FNO")
    assert hours is not None
    for level, tick in ((100_000, 5), (0, 5), (20_000, 1)):
        (row,) = option_sessions("HDFCBANK", hours, [EXPIRY], lot=LOT, level=level)
        assert (row["lot"], row["tick"], row["freeze"]) == (LOT, tick, 0)
    notes = option_notes("HDFCBANK", [DAY, EXPIRY, dt.date(2026, 1, 19)], LOT)
    assert "HDFCBANK is 550 units" in notes[0]
    # The 22nd is two trading days before the 27th, whose own day enters the next month's; the 19th
    # has five.
    assert "on 1 of 3 days the nearest contract of HDFCBANK was at most 4 trading" in notes[1]


# ---- recorded days -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "lot"), [("HDFCBANK", 550), ("AUBANK", 1000), ("SBIN", 750)])
def test_recorded_chains_of_bank_stocks(data_dir: Path, name: str, lot: int) -> None:
    path = data_dir / "options" / "bank_stock_option_chain_2025-12-24_2026-01-29.parquet"
    read = RecordedChains(read_chains(path), name, lot=lot)
    result = backtest_legs(plan(underlying=name, lot=lot), read, PLAIN)
    assert len(result.trades) >= 20
    assert set((result.trades["qty"] % lot).tolist()) == {0}
    expiries = {dt.date.fromisoformat(text.split()[1]) for text in result.contracts.values()}
    assert {EXPIRY, NEXT} <= expiries
    for row in result.trades:
        on = dt.datetime.fromtimestamp(int(row["entry_ns"]) // 10**9).date()
        assert result.contracts[int(row["instrument"])].split()[1] > str(on)


def test_bars_of_a_stocks_options(tmp_path: Path) -> None:
    """Minute bars with volume; strikes around put-call parity, since they have no level."""
    rows = []
    for minute in range(9 * 60 + 20, 15 * 60 + 5):
        at = ns(DAY, f"{minute // 60:02}:{minute % 60:02}:00")
        for strike in (980.0, 1000.0, 1020.0):
            for right, price in (("CE", 1010.0 - strike + 20.0), ("PE", 20.0)):
                rows.append({"ts": at, "open": price, "high": price, "low": price, "close": price,
                             "volume": LOT, "underlying": "HDFCBANK", "expiry": EXPIRY,
                             "strike": strike, "right": right})  # fmt: skip
    table = pa.Table.from_pylist(rows)
    at = table.schema.get_field_index("expiry")
    table = table.set_column(at, "expiry", table.column("expiry").cast(pa.date32()))
    pq.write_table(table, tmp_path / "bars.parquet")
    bars = RecordedBars(
        read_option_bars(tmp_path / "bars.parquet", "HDFCBANK"), "HDFCBANK", lot=LOT
    )  # fmt: skip
    result = backtest_legs(plan(), bars, PLAIN)
    assert result.grade == "recorded" and len(result.trades) == 2
    assert int(result.trades["gross"].sum()) == 0
