"""Looking things up in the instrument master: by id, by strike, by symbol, by text."""

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.errors import BadData, UsageError
from dhanfast.market.master import SEGMENTS, Master, Numbers, key_of, segment_number
from dhanfast.market.master_csv import parse_master

from ..listing import Row, as_csv, option, share

JULY = date(2026, 7, 28)


def master_of(*rows: Row) -> Master:
    """The master of some detailed rows."""
    return parse_master(as_csv(list(rows)), name="rows.csv").master


@pytest.fixture(scope="module")
def master() -> Master:
    """Options of two underlyings and two expiries, a future of each, shares, an index."""
    rows = [share(), share(SECURITY_ID="2885", UNDERLYING_SYMBOL="RELIANCE", ISIN="INE002A01018"),
            share(SEGMENT="I", INSTRUMENT="INDEX", SECURITY_ID="13", UNDERLYING_SYMBOL="NIFTY",
                  TICK_SIZE="0.05", DISPLAY_NAME="Nifty 50", ISIN="NA")]  # fmt: skip
    number = 100
    for exchange, name in (("NSE", "NIFTY"), ("BSE", "SENSEX")):
        for day in ("2026-07-28", "2026-08-04"):
            for strike in (24_900, 25_000, 25_100):
                for right in ("PE", "CE"):
                    number += 1
                    rows.append(option(
                        EXCH_ID=exchange, SECURITY_ID=str(number), UNDERLYING_SYMBOL=name,
                        SYMBOL_NAME="", SM_EXPIRY_DATE=day, OPTION_TYPE=right,
                        STRIKE_PRICE=f"{strike}.0", DISPLAY_NAME=f"{name} {day} {strike} {right}",
                    ))  # fmt: skip
        number += 1
        rows.append(option(EXCH_ID=exchange, SECURITY_ID=str(number), UNDERLYING_SYMBOL=name,
                           INSTRUMENT="FUTIDX", OPTION_TYPE="XX", STRIKE_PRICE="-0.01",
                           SYMBOL_NAME="", DISPLAY_NAME=f"{name} JUL FUT"))  # fmt: skip
    return master_of(*rows)


def test_an_option_by_underlying_expiry_strike_and_right(master: Master) -> None:
    found = master.one("NIFTY", expiry=JULY, strike=2_500_000, right="CE")
    assert (found.segment, found.symbol) == ("NSE_FNO", "NIFTY-Jul2026-25000-CE")
    assert found.is_option and not master.one("NIFTY", kind="IDX").is_option
    assert master.one("NIFTY", kind="FUT").symbol == "NIFTY-Jul2026-FUT"
    assert master.one("SENSEX", kind="FUT", segment="BSE_FNO").expiry == JULY


def test_pick_agrees_with_a_loop_over_all(master: Master) -> None:
    everything = [master.contract(row) for row in range(len(master))]
    for name in ("NIFTY", "SENSEX", "SYMA", "NOTHING"):
        for expiry in (None, JULY, date(2026, 8, 4)):
            for right in (None, "CE"):
                wanted = [
                    one for one in everything
                    if one.underlying == name
                    and expiry in (None, one.expiry) and right in (None, one.kind)
                ]  # fmt: skip
                wanted.sort(key=lambda one: (SEGMENTS[one.segment], one.expiry or date.min,
                                             ["IDX", "EQ", "FUT", "CE", "PE"].index(one.kind),
                                             one.strike))  # fmt: skip
                rows = master.pick(name, expiry=expiry, right=right)
                assert [master.contract(int(row)) for row in rows] == wanted


def test_expiries_and_strikes(master: Master) -> None:
    assert master.expiries("NIFTY") == (JULY, date(2026, 8, 4))
    assert master.expiries("NIFTY", kind="FUT") == (JULY,)
    assert master.expiries("SYMA") == ()
    assert master.strikes("SENSEX", JULY).tolist() == [2_490_000, 2_500_000, 2_510_000]
    assert set(master.underlyings) == {"NIFTY", "SENSEX", "SYMA", "RELIANCE"}


@given(keys=st.lists(st.tuples(st.sampled_from(sorted(SEGMENTS)), st.integers(0, 140)), max_size=9))
def test_many_keys_at_once_are_each_key_alone(keys: list[tuple[str, int]], master: Master) -> None:
    got = master.rows([key_of(*key) for key in keys])
    assert got.tolist() == [master.row(*key) for key in keys]
    for row, (segment, number) in zip(got.tolist(), keys, strict=True):
        if row >= 0:
            one = master.contract(row)
            assert (one.segment, one.security_id) == (segment, number)


def test_segments_may_be_named_by_their_number(master: Master) -> None:
    assert master.get(2, 101) == master.get("NSE_FNO", 101)
    assert [segment_number(name) for name in SEGMENTS] == list(SEGMENTS.values())


def test_symbols_shared_by_weeklies_give_all_of_them(master: Master) -> None:
    assert [one.security_id for one in master.by_symbol("RELIANCE")] == [2885]
    assert master.by_symbol("NIFTY-Jul2026-25000-CE", segment="NSE_EQ") == []
    twice = master_of(option(), option(SECURITY_ID="2", SM_EXPIRY_DATE="2026-07-21"))
    assert len(twice.by_symbol("NIFTY-Jul2026-25000-CE")) == 2


@pytest.mark.parametrize(
    ("text", "options_", "first", "count"),
    [
        ("reliance", {}, "RELIANCE", 1),
        ("ine002a", {}, "RELIANCE", 1),
        ("nifty", {}, "NIFTY", 14),
        ("2885", {}, "RELIANCE", 1),
        ("25000 ce nifty", {}, "NIFTY-Jul2026-25000-CE", 2),
        ("nifty", {"segment": "IDX_I"}, "NIFTY", 1),
        ("", {"strike": 2_500_000, "right": "PE", "expiry": JULY}, "NIFTY-Jul2026-25000-PE", 2),
        ("nothing like it", {}, "", 0),
    ],
)
def test_find(master: Master, text: str, options_: dict[str, Any], first: str, count: int) -> None:
    rows = master.find(text, **options_)
    assert len(rows) == count == len(set(rows.tolist()))
    assert not count or master.contract(int(rows[0])).symbol == first


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.get("NSE_FNO", 1), "NSE_FNO 1 is not in the master of 29 contracts"),
        (lambda m: m.get("NSE_FO", 1), "segment 'NSE_FO' is not known; choose from IDX_I"),
        (lambda m: m.get(6, 1), "segment 6 is not known"),
        (lambda m: m.row("IDX_I", -1), "security id must be 0..4294967295, got -1"),
        (lambda m: m.contract(29), "row must be 0..28, got 29"),
        (lambda m: m.extras(-1), "row must be 0..28, got -1"),
        (lambda m: m.one("NIFTY", right="CALL"), "right must be CE or PE, got 'CALL'"),
        (lambda m: m.find("x", right="C"), "right must be CE or PE, got 'C'"),
        (lambda m: m.one("NIFTY", kind="OPT"), "kind must be one of IDX, EQ, FUT, CE, PE"),
        (lambda m: m.one("NIFTY", expiry=JULY), "NIFTY 2026-07-28 names 7 contracts"),
        (lambda m: m.one("NIFTY", strike=1), "expiries of NIFTY: 2026-07-28, 2026-08-04"),
        (lambda m: m.one("SYMA", strike=1), "expiries of SYMA: no derivatives"),
    ],
)
def test_what_is_not_there_is_refused(master: Master, call: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(master)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [
        ("lot", None, "no column 'lot' of numbers"),
        ("symbol", Numbers(np.zeros(29, np.int64)), "no column 'symbol' of texts"),
        ("lot", Numbers(np.zeros(28, np.int64)), "column 'lot' has 28 rows, not 29"),
        ("key", Numbers(np.zeros(29, np.int64)), "must rise by"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    master: Master, name: str, column: Any, says: str
) -> None:
    columns = {key: value for key, value in master.columns.items() if key != name}
    if column is not None:
        columns[name] = column
    with pytest.raises(BadData, match=says):
        Master(columns, "detailed")
