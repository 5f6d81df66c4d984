"""Lots, ticks, freeze quantities and symbols against the published facts."""

import os
from datetime import date
from math import gcd
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.errors import BadData, OutOfCalendar, UsageError
from dhanfast.market import instruments
from dhanfast.market.expiries import expiry_table
from dhanfast.market.instruments import Instrument, contract, freeze, lot, order_units_max, tick

REPOSITORY = Path(__file__).parents[2]
DATA = Path(os.environ.get("DHANFAST_DATA", REPOSITORY.parent / "shared" / "data"))

LOTS = [  # underlying, cycle, expiry, trade date, units: both sides of each change
    ("BANKNIFTY", "M", "2020-06-25", "2020-06-01", 20),
    ("BANKNIFTY", "M", "2020-07-30", "2020-05-04", 25),
    ("BANKNIFTY", "W", "2020-07-23", "2020-07-20", 20),
    ("BANKNIFTY", "W", "2020-08-06", "2020-08-03", 25),
    ("BANKNIFTY", "M", "2023-06-28", "2023-06-01", 25),
    ("BANKNIFTY", "M", "2023-07-27", "2023-05-02", 15),
    ("BANKNIFTY", "W", "2023-07-20", "2023-07-18", 25),
    ("BANKNIFTY", "W", "2023-08-03", "2023-08-01", 15),
    ("BANKNIFTY", "W", "2024-11-13", "2024-11-13", 15),
    ("BANKNIFTY", "M", "2025-01-30", "2025-01-02", 15),
    ("BANKNIFTY", "M", "2025-02-27", "2025-01-02", 30),
    ("BANKNIFTY", "M", "2025-06-26", "2025-06-02", 30),
    ("BANKNIFTY", "M", "2025-07-31", "2025-06-02", 35),
    ("BANKNIFTY", "M", "2025-12-30", "2025-12-01", 35),
    ("BANKNIFTY", "M", "2026-01-27", "2025-11-14", 30),
    ("BANKNIFTY", "Q", "2023-12-28", "2023-07-03", 15),
    ("BANKNIFTY", "Q", "2025-03-27", "2024-12-24", 15),
    ("BANKNIFTY", "Q", "2025-03-27", "2024-12-26", 30),
    ("BANKNIFTY", "Q", "2025-09-30", "2025-04-24", 30),
    ("BANKNIFTY", "Q", "2025-09-30", "2025-04-25", 35),
    ("BANKNIFTY", "Q", "2026-03-30", "2025-12-30", 35),
    ("BANKNIFTY", "Q", "2026-03-30", "2025-12-31", 30),
    ("NIFTY", "M", "2021-06-24", "2021-06-01", 75),
    ("NIFTY", "M", "2021-07-29", "2021-07-01", 50),
    ("NIFTY", "W", "2021-07-22", "2021-07-20", 75),
    ("NIFTY", "W", "2021-08-05", "2021-08-02", 50),
    ("NIFTY", "M", "2024-04-25", "2024-04-01", 50),
    ("NIFTY", "W", "2024-04-18", "2024-04-15", 50),
    ("NIFTY", "W", "2024-05-02", "2024-04-29", 25),
    ("NIFTY", "M", "2024-05-30", "2024-05-02", 25),
    ("NIFTY", "W", "2024-12-19", "2024-12-16", 25),
    ("NIFTY", "W", "2025-01-02", "2024-12-30", 75),
    ("NIFTY", "M", "2025-01-30", "2025-01-02", 25),
    ("NIFTY", "M", "2025-02-27", "2025-02-03", 75),
    ("NIFTY", "M", "2025-12-30", "2025-12-01", 75),
    ("NIFTY", "W", "2025-12-23", "2025-12-22", 75),
    ("NIFTY", "W", "2026-01-06", "2026-01-05", 65),
    ("NIFTY", "M", "2026-01-27", "2026-01-05", 65),
    ("NIFTY", "Q", "2021-09-30", "2021-06-25", 75),
    ("NIFTY", "Q", "2021-09-30", "2021-06-28", 50),
    ("NIFTY", "Q", "2025-06-26", "2024-12-26", 25),
    ("NIFTY", "Q", "2025-06-26", "2024-12-27", 75),
    ("NIFTY", "Q", "2026-06-30", "2025-12-31", 65),
    ("FINNIFTY", "M", "2024-06-25", "2024-06-03", 40),
    ("FINNIFTY", "W", "2024-07-23", "2024-07-22", 40),
    ("FINNIFTY", "M", "2024-07-30", "2024-07-29", 25),
    ("FINNIFTY", "W", "2024-08-06", "2024-08-05", 25),
    ("FINNIFTY", "M", "2025-02-27", "2025-02-03", 65),
    ("FINNIFTY", "M", "2026-01-27", "2026-01-05", 60),
    ("MIDCPNIFTY", "M", "2024-06-24", "2024-06-03", 75),
    ("MIDCPNIFTY", "M", "2024-07-29", "2024-07-01", 50),
    ("MIDCPNIFTY", "W", "2024-08-05", "2024-08-01", 50),
    ("MIDCPNIFTY", "M", "2025-06-26", "2025-06-02", 120),
    ("MIDCPNIFTY", "M", "2025-07-31", "2025-07-01", 140),
    ("MIDCPNIFTY", "M", "2026-01-27", "2026-01-05", 120),
    ("NIFTYNXT50", "M", "2025-01-30", "2025-01-02", 10),
    ("NIFTYNXT50", "M", "2025-02-27", "2025-02-03", 25),
    ("SENSEX", "M", "2023-04-27", "2023-04-03", 15),
    ("SENSEX", "W", "2025-01-03", "2025-01-01", 10),
    ("SENSEX", "W", "2025-01-07", "2025-01-06", 20),
    ("SENSEX", "M", "2025-01-28", "2025-01-02", 10),
    ("SENSEX", "M", "2025-02-25", "2025-02-03", 20),
    ("BANKEX", "M", "2025-01-28", "2025-01-02", 15),
    ("BANKEX", "M", "2025-02-25", "2025-02-03", 30),
]


@pytest.mark.parametrize(("underlying", "cycle", "expiry", "on", "units"), LOTS)
def test_lots(underlying: str, cycle: str, expiry: str, on: str, units: int) -> None:
    assert lot(underlying, date.fromisoformat(expiry), cycle, date.fromisoformat(on)) == units


@pytest.mark.parametrize("underlying", ["BANKNIFTY", "NIFTY", "FINNIFTY", "SENSEX"])
def test_every_contract_has_a_lot_through_its_last_day(underlying: str) -> None:
    for expiry in expiry_table(underlying, "ALL", date(2019, 1, 1), date(2026, 12, 31)):
        assert lot(underlying, expiry.date, expiry.cycle, expiry.date) > 0


def test_lots_after_the_last_review_seen_are_less_certain() -> None:
    expiry = date(2026, 12, 29)
    assert instruments.lot_confidence("BANKNIFTY", expiry, "M", date(2026, 7, 31)) == "A"
    assert instruments.lot_confidence("BANKNIFTY", expiry, "M", date(2026, 8, 3)) == "B"


@pytest.mark.parametrize(
    ("underlying", "cycle", "expiry", "on"),
    [
        ("BANKNIFTY", "M", "2018-10-25", "2018-10-01"),
        ("BANKNIFTY", "W", "2024-11-20", "2024-11-18"),  # weeklies had ended
        ("BANKNIFTY", "M", "2027-01-26", "2026-12-01"),
        ("BANKNIFTY", "Q", "2022-03-31", "2022-01-03"),
        ("FINNIFTY", "Q", "2025-03-27", "2025-01-02"),
    ],
)
def test_a_lot_outside_the_table_is_refused(
    underlying: str, cycle: str, expiry: str, on: str
) -> None:
    with pytest.raises(OutOfCalendar, match=rf"lot of {underlying} {cycle} {expiry} .*lots\.csv"):
        lot(underlying, date.fromisoformat(expiry), cycle, date.fromisoformat(on))


def test_impossible_lots_are_refused() -> None:
    with pytest.raises(UsageError, match="is after the expiry"):
        lot("NIFTY", date(2024, 5, 30), "M", date(2024, 5, 31))
    with pytest.raises(UsageError, match="cycle 'D'"):
        lot("NIFTY", date(2024, 5, 30), "D", date(2024, 5, 30))
    with pytest.raises(UsageError, match="did you mean 'NIFTY'"):
        lot("nifty", date(2024, 5, 30), "M", date(2024, 5, 30))


@pytest.mark.data
def test_lots_divide_what_was_traded_on_a_recorded_day() -> None:
    """The exchange's file of 2025-11-14: each contract's volume is whole lots.

    Long-dated contracts are asked for as Q; in the file, their lot is the unconverted one.
    """
    parquet = pytest.importorskip("pyarrow.parquet")
    path = DATA / "options" / "nse_fo_bhavcopy_2025-11-14.parquet"
    if not path.exists():
        pytest.skip(f"recorded data not found at {path}; set DHANFAST_DATA")
    on, far = date(2025, 11, 14), date(2026, 2, 28)
    columns = ["underlying", "kind", "expiry", "volume"]
    units: dict[tuple[str, date], int] = {}
    for row in parquet.read_table(path, columns=columns).to_pylist():
        if row["kind"] in ("OPTIDX", "FUTIDX"):
            key = row["underlying"], row["expiry"]
            units[key] = gcd(units.get(key, 0), row["volume"])
    checked = 0
    for (underlying, expiry), common in units.items():
        cycles = ("W", "M") if expiry <= far else ("Q",)
        lots = set()
        for cycle in cycles:
            try:
                lots.add(lot(underlying, expiry, cycle, on))
            except OutOfCalendar:
                continue
        assert lots and all(common % size == 0 for size in lots), (underlying, expiry, common)
        checked += common > 0
    assert checked >= 20


TICKS = [  # kind, date, underlying, level in rupees, paise
    ("OPT_IDX", "2019-01-01", "", None, 5),
    ("OPT_IDX", "2026-06-01", "BANKNIFTY", None, 5),
    ("FUT_IDX", "2025-04-11", "BANKNIFTY", None, 5),
    ("FUT_IDX", "2025-04-15", "BANKNIFTY", None, 20),
    ("FUT_IDX", "2025-04-15", "NIFTY", None, 10),
    ("FUT_IDX", "2025-04-15", "FINNIFTY", None, 10),
    ("FUT_IDX", "2025-04-15", "MIDCPNIFTY", 12_000, 5),
    ("FUT_IDX", "2025-04-15", "MIDCPNIFTY", 15_000, 5),
    ("FUT_IDX", "2025-04-15", "MIDCPNIFTY", 15_000.01, 10),
    ("FUT_IDX", "2025-04-15", "NIFTY", 30_000, 10),
    ("FUT_IDX", "2025-04-15", "NIFTY", 30_000.01, 20),
    ("OPT_STK", "2025-10-31", "", None, 5),
    ("OPT_STK", "2025-11-03", "", 249.99, 1),
    ("OPT_STK", "2025-11-03", "", 250, 5),
    ("FUT_STK", "2024-05-31", "", None, 5),
    ("FUT_STK", "2024-12-02", "", 100, 1),
    ("FUT_STK", "2024-12-02", "", 3000, 5),
    ("FUT_STK", "2025-05-02", "", 1000, 5),
    ("FUT_STK", "2025-05-02", "", 1000.05, 10),
    ("FUT_STK", "2025-05-02", "", 5000, 10),
    ("FUT_STK", "2025-05-02", "", 7500, 50),
    ("FUT_STK", "2025-05-02", "", 12_000, 100),
    ("EQ", "2025-05-02", "", 25_000, 500),
]


@pytest.mark.parametrize(("kind", "on", "underlying", "level", "paise"), TICKS)
def test_ticks(kind: str, on: str, underlying: str, level: float | None, paise: int) -> None:
    level_paise = None if level is None else round(level * 100)
    found = tick(kind, date.fromisoformat(on), underlying=underlying, level=level_paise)
    assert found == paise


def test_a_tick_that_is_not_known_is_refused() -> None:
    with pytest.raises(OutOfCalendar, match="pass level="):
        tick("FUT_IDX", date(2025, 5, 2), underlying="MIDCPNIFTY")
    with pytest.raises(OutOfCalendar, match="pass level="):
        tick("OPT_STK", date(2025, 12, 1))
    with pytest.raises(OutOfCalendar, match="between June and July 2024"):
        tick("EQ", date(2024, 7, 1), level=10_000)
    with pytest.raises(OutOfCalendar, match=r"2018-12-31; .*ticks\.csv covers 2019-01-01"):
        tick("OPT_IDX", date(2018, 12, 31))
    with pytest.raises(UsageError, match="level must be a positive whole number of paise"):
        tick("EQ", date(2025, 5, 2), level=0)
    with pytest.raises(UsageError, match="kind 'CE'"):
        tick("CE", date(2025, 5, 2))


POINTS = [  # published: date, BANKNIFTY, NIFTY, FINNIFTY, MIDCPNIFTY
    ("2021-08-02", 1200, 2800, 2800, None),
    ("2024-08-01", 900, 1800, 1800, 2800),
    ("2025-07-01", 600, 1800, 1800, 2800),
    ("2025-09-01", 900, 1800, 1800, 2800),
    ("2025-11-03", 600, 1800, 1800, 2800),
    ("2026-02-01", 600, 1800, 1800, 2800),
]


@pytest.mark.parametrize("point", POINTS)
def test_published_freeze_quantities(point: tuple[str, int, int, int, int | None]) -> None:
    on = date.fromisoformat(point[0])
    names = ("BANKNIFTY", "NIFTY", "FINNIFTY", "MIDCPNIFTY")
    for underlying, units in zip(names, point[1:], strict=True):
        if units is not None:
            assert freeze(underlying, on) == units


def test_between_two_points_the_smaller_holds() -> None:
    assert freeze("BANKNIFTY", date(2021, 8, 31)) == 1200  # the point's own month
    assert freeze("BANKNIFTY", date(2021, 9, 1)) == 900
    assert freeze("BANKNIFTY", date(2025, 8, 1)) == 600
    assert freeze("BANKNIFTY", date(2026, 12, 1)) == 600


@pytest.mark.parametrize(
    ("rupees", "units"),
    [
        (5750, 8500), (5750.01, 5500), (8625, 5500), (8625.01, 4200), (11_500, 4200),
        (17_250, 2800), (17_250.05, 1800), (27_500, 1800), (40_000, 1200), (40_000.05, 900),
        (55_000, 900), (55_000.05, 600), (90_000, 600),
    ],
)  # fmt: skip
def test_freeze_slabs(rupees: float, units: int) -> None:
    assert freeze("BANKNIFTY", date(2025, 8, 1), level=round(rupees * 100)) == units


def test_a_freeze_quantity_outside_the_table_is_refused() -> None:
    with pytest.raises(OutOfCalendar, match=r"2021-07-30; .*freeze_slabs\.csv covers 2021-08-02"):
        freeze("BANKNIFTY", date(2021, 7, 30))
    with pytest.raises(OutOfCalendar, match="published points begin 2024-08-01"):
        freeze("MIDCPNIFTY", date(2023, 1, 2))
    with pytest.raises(OutOfCalendar, match="begin nowhere"):
        freeze("SENSEX", date(2025, 1, 2))
    with pytest.raises(UsageError, match="level"):
        freeze("NIFTY", date(2025, 1, 2), level=-5)
    with pytest.raises(UsageError, match="underlying 'ACME'"):
        freeze("ACME", date(2025, 1, 2))


def test_largest_order() -> None:
    assert order_units_max(1800, 65) == 1755
    assert order_units_max(600, 30) == 600
    with pytest.raises(UsageError, match="at least one lot"):
        order_units_max(20, 30)


# ---- symbols -----------------------------------------------------------------------------------

PUBLISHED = [  # symbol, underlying, kind, expiry, strike in rupees, cycle
    ("BANKNIFTY24AUG50000CE", "BANKNIFTY", "CE", "2024-08-28", 50_000, "M"),
    ("BANKNIFTY2392038000CE", "BANKNIFTY", "CE", "2023-09-20", 38_000, "W"),
    ("BANKNIFTY24AUGFUT", "BANKNIFTY", "FUT", "2024-08-28", 0, "M"),
    ("BANKNIFTY23NOV44000PE", "BANKNIFTY", "PE", "2023-11-30", 44_000, "M"),
    ("NIFTY24O1025000PE", "NIFTY", "PE", "2024-10-10", 25_000, "W"),
    ("NIFTY25N0425700CE", "NIFTY", "CE", "2025-11-04", 25_700, "W"),
    ("NIFTY25D0926000CE", "NIFTY", "CE", "2025-12-09", 26_000, "W"),
    ("NIFTYNXT5024AUG70000CE", "NIFTYNXT50", "CE", "2024-08-30", 70_000, "M"),
]


@pytest.mark.parametrize(("symbol", "name", "kind", "expiry", "strike", "cycle"), PUBLISHED)
def test_nse_symbols_both_ways(
    symbol: str, name: str, kind: str, expiry: str, strike: int, cycle: str
) -> None:
    wanted = Instrument(name, kind, date.fromisoformat(expiry), strike * 100, cycle)
    assert instruments.parse_nse_symbol(symbol) == wanted
    assert wanted.symbol == symbol
    assert wanted.is_option == (kind != "FUT")


def test_dhan_symbols() -> None:
    option = contract("BANKNIFTY", "CE", date(2024, 11, 27), 5_200_000)
    future = contract("BANKNIFTY", "FUT", date(2024, 11, 27))
    assert instruments.dhan_symbol(option) == "BANKNIFTY-Nov2024-52000-CE"
    assert instruments.dhan_display(option) == "BANKNIFTY 27 NOV 52000 CALL"
    assert instruments.dhan_symbol(future) == "BANKNIFTY-Nov2024-FUT"
    assert instruments.dhan_display(future) == "BANKNIFTY NOV FUT"
    assert instruments.parse_dhan_symbol("BANKNIFTY-Nov2024-FUT") == future
    later = "BANKNIFTY 29 JAN 52000 PUT"
    with pytest.raises(UsageError, match="expires on 2026-01-29"):
        instruments.parse_dhan_display(later, date(2025, 12, 1))
    put = instruments.parse_dhan_display("BANKNIFTY 27 JAN 52000 PUT", date(2025, 12, 1))
    assert (put.expiry, put.kind) == (date(2026, 1, 27), "PE")
    assert instruments.parse_dhan_display("BANKNIFTY JAN FUT", date(2025, 12, 1)).expiry == date(
        2026, 1, 27
    )


INDEXES = ("BANKNIFTY", "NIFTY", "FINNIFTY", "SENSEX")
CONTRACTS = [
    (name, expiry)
    for name in INDEXES
    for expiry in expiry_table(name, "ALL", date(2019, 1, 1), date(2026, 12, 31))
]


@given(
    st.sampled_from(CONTRACTS),
    st.sampled_from(["CE", "PE", "FUT"]),
    st.integers(1, 100_000) | st.integers(1, 2000).map(lambda n: n / 20),
)
@settings(max_examples=200, deadline=None)
def test_symbols_survive_the_round_trip(chosen: tuple, kind: str, rupees: float) -> None:
    name, expiry = chosen
    if kind == "FUT":
        if expiry.cycle == "W":
            with pytest.raises(UsageError, match="futures are monthly"):
                contract(name, kind, expiry.date)
            return
        instrument = contract(name, kind, expiry.date)
    else:
        instrument = contract(name, kind, expiry.date, round(rupees * 100))
    assert instruments.parse_nse_symbol(instruments.nse_symbol(instrument)) == instrument
    text = instruments.dhan_symbol(instrument)
    assert instruments.parse_dhan_symbol(text, expiry.date) == instrument
    shown = instruments.dhan_display(instrument)
    assert instruments.parse_dhan_display(shown, expiry.date) == instrument


def test_an_index_is_its_own_symbol() -> None:
    index = Instrument("NIFTY", "IDX")
    assert instruments.parse_nse_symbol("NIFTY") == index
    assert instruments.parse_dhan_symbol("NIFTY") == index
    assert instruments.parse_dhan_display("NIFTY", date(2024, 1, 1)) == index
    for write in (instruments.nse_symbol, instruments.dhan_symbol, instruments.dhan_display):
        assert write(index) == "NIFTY"
    assert not index.is_option


def test_stocks_are_known_when_named() -> None:
    stocks = ["M&M", "BAJAJ-AUTO", "SBIN"]
    found = instruments.parse_nse_symbol("SBIN24AUG812.5CE", stocks)
    assert found == Instrument("SBIN", "CE", date(2024, 8, 29), 81_250, "M")
    assert found.symbol == "SBIN24AUG812.5CE"
    assert instruments.parse_nse_symbol("M&M24AUGFUT", stocks).underlying == "M&M"
    assert instruments.parse_dhan_symbol("BAJAJ-AUTO-Aug2024-9000-PE", None, stocks).kind == "PE"
    shown = instruments.parse_dhan_display("SBIN 29 AUG 800 CALL", date(2024, 8, 1), stocks)
    assert shown.expiry == date(2024, 8, 29)
    with pytest.raises(BadData, match="is not a NSE symbol of a known name"):
        instruments.parse_nse_symbol("SBIN24AUGFUT")


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("BANKNIFTY23N3044000PE", "2023-11-30 carries the monthly contract"),
        ("BANKNIFTY2392138000CE", "no contract of BANKNIFTY expires on 2023-09-21"),
        ("BANKNIFTY2393138000CE", "a date that does not exist"),
        ("BANKNIFTY24AUG50000XX", "is not a NSE symbol"),
        ("banknifty24AUGFUT", "is not a NSE symbol"),
        ("", "is not a NSE symbol"),
    ],
)
def test_bad_nse_symbols_are_refused(symbol: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        instruments.parse_nse_symbol(symbol)


@pytest.mark.parametrize(
    ("symbol", "expiry", "message"),
    [
        ("BANKNIFTY-Nov2024-52000-CE", date(2024, 12, 24), "not of the month of its expiry"),
        ("BANKNIFTY-Nov2024-52000-CE", date(2024, 11, 28), "expires on 2024-11-28"),
        ("BANKNIFTY-Nov2024-FUT", date(2024, 11, 13), "futures are monthly"),
        ("BANKNIFTY-Nav2024-FUT", None, "is not a Dhan symbol"),
        ("BANKNIFTY-2024-FUT", None, "is not a Dhan symbol"),
    ],
)
def test_bad_dhan_symbols_are_refused(symbol: str, expiry: date | None, message: str) -> None:
    with pytest.raises(BadData, match=message):
        instruments.parse_dhan_symbol(symbol, expiry)
    with pytest.raises(BadData, match="is not a Dhan display name"):
        instruments.parse_dhan_display(symbol, date(2024, 11, 1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("NIFTY", "XX"), "kind 'XX'"),
        (("NIFTY", "IDX", date(2024, 5, 30)), "must be absent"),
        (("NIFTY", "FUT"), "must be a date"),
        (("NIFTY", "CE", date(2024, 5, 30), 0, "M"), "must be positive paise"),
        (("NIFTY", "FUT", date(2024, 5, 30), 100, "M"), "must be 0"),
        (("NIFTY", "FUT", date(2024, 5, 30), 0, ""), "cycle of NIFTY FUT"),
    ],
)
def test_instruments_that_cannot_exist_are_refused(fields: tuple, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Instrument(*fields)
