"""The table of instruments: a hash against a dict, and prices against fractions."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dhanfast._core.wire.table import WireInstrument, WireTable
from dhanfast.errors import BadData
from tests.core.wire.slow_wire import F32_ERROR, F64_ERROR, snap

keys = st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1))


@given(st.lists(keys, unique=True, max_size=200), st.lists(keys, max_size=50))
def test_find_agrees_with_a_dict(
    known: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    table = WireTable([WireInstrument(*key, i) for i, key in enumerate(known)])
    oracle = {key: i for i, key in enumerate(known)}
    assert len(table) == len(known)
    for key in known + asked:
        assert table.find(*key) == oracle.get(key)


def test_neighbours_of_a_real_chain_are_found() -> None:
    """Ids in a row, as exchanges give them, in two segments: 40,000 of them, none mixed up."""
    rows = [(segment, security, (segment == 8) * 20_000 + i, 5)
            for segment in (2, 8) for i, security in enumerate(range(35_000, 55_000))]  # fmt: skip
    table = WireTable(rows)
    assert all(table.find(row[0], row[1]) == row[2] for row in rows)
    assert table.find(1, 35_000) is None


@given(st.floats(width=32), st.sampled_from([1, 5, 10, 25, 75, 100]))
@example(24613.87, 5)
@example(0.125, 5)
@example(float("nan"), 5)
@example(-0.0, 1)
def test_snap_agrees_with_fractions(price: float, tick: int) -> None:
    table = WireTable([WireInstrument(2, 1, 0, tick)])
    expected = snap(price, tick, F32_ERROR)
    if expected is None:
        with pytest.raises(BadData, match="is not a price"):
            table.snap(0, price)
    else:
        assert table.snap(0, price)[0] == expected


@given(st.integers(0, 2_000_000), st.sampled_from([1, 5, 10, 25]))
def test_a_price_on_the_tick_comes_back_from_its_float32(ticks: int, tick: int) -> None:
    """Up to a lakh of rupees, where a float32 is off by 0.4 paise at most."""
    paise = ticks * tick % 10_000_000 // tick * tick
    table = WireTable([WireInstrument(2, 1, 0, tick)])
    assert table.snap(0, float(np.float32(paise / 100))) == (paise, True)
    assert table.snap(0, paise / 100, single=False) == (paise, True)


@given(st.integers(1, 9_999_999).filter(lambda paise: paise % 5 != 0))
def test_a_price_off_the_tick_keeps_its_paise(paise: int) -> None:
    """An index, or a wrong tick in the table: rounding it would be a lie of up to half a tick."""
    table = WireTable([WireInstrument(2, 1, 0, 5)])
    assert table.snap(0, float(np.float32(paise / 100))) == (paise, False)


def test_currencies_have_a_scale_of_their_own() -> None:
    """USDINR moves by 0.0025 rupees: price_scale 10,000, tick 25."""
    table = WireTable([WireInstrument(3, 1001, 4, 25, 10_000)])
    assert table.snap(4, float(np.float32(83.4275))) == (834_275, True)
    assert table.snap(4, 83.4275, single=False) == (834_275, True)
    assert snap(83.43, 25, F64_ERROR) == 8343  # and with two decimals that would be lost


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ((256, 1, 0), "segment of security 256:1 is 256; a whole number from 0 to 255"),
        ((1, -5, 0), "security_id of security 1:-5 is -5"),
        ((1, 1, 2**24), "instrument of security 1:1 is 16777216"),
        ((1, 1, 0, 0), "tick of security 1:1 is 0; a whole number from 1"),
        ((1, 1, 0, 0.05), "tick of security 1:1 is 0.05; a whole number"),
        ((1, 1, True), "instrument of security 1:1 is True"),
        ((1, 1, 0, 5, 0), "price_scale of security 1:1 is 0"),
    ],
)
def test_fields_out_of_range_are_named(row: tuple[int, ...], text: str) -> None:
    with pytest.raises(BadData, match=text):
        WireTable([row])


def test_what_is_there_twice_is_refused() -> None:
    with pytest.raises(BadData, match=r"security \(1, 7\) is in the table twice"):
        WireTable([(1, 7, 0), (1, 7, 1)])
    with pytest.raises(BadData, match="instrument 0 is in the table twice"):
        WireTable([(1, 7, 0), (1, 8, 0)])
    with pytest.raises(BadData, match="instrument 3 is not in the table"):
        WireTable([(1, 7, 0)]).snap(3, 1.0)
