"""Files of chain snapshots: read as they are, refused by row and value where they break a rule."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhanfast.errors import BadData, UsageError
from dhanfast.storage.chains import Snapshot, read_chains, snapshot
from tests.options.made import DAY, EXPIRY, NEXT, at, chain, table, write

FEW = [25_000.0, 25_100.0, 25_200.0]


def three(tmp_path: Path) -> Path:
    """Two moments of NIFTY, two expiries at the second; one of BANKNIFTY."""
    rows = table(
        chain(at("09:30"), strikes=FEW),
        chain(at("09:35"), strikes=FEW, underlying="BANKNIFTY", expiry=NEXT),
        chain(at("09:35"), strikes=FEW, seed=2),
        chain(at("09:36"), strikes=FEW, seed=3, expiry=NEXT),
    )
    return write(tmp_path / "chains.parquet", rows)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = read_chains(three(tmp_path))
    assert len(found) == 4 and found.rows == 12
    assert found.underlyings == ("BANKNIFTY", "NIFTY") and found.expiries == (EXPIRY, NEXT)
    wanted = [chain(at("09:30"), strikes=FEW),
              chain(at("09:35"), strikes=FEW, underlying="BANKNIFTY", expiry=NEXT),
              chain(at("09:35"), strikes=FEW, seed=2),
              chain(at("09:36"), strikes=FEW, seed=3, expiry=NEXT)]  # fmt: skip
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        for name in Snapshot.__slots__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
            np.testing.assert_array_equal(getattr(found[place], name), getattr(other, name))
    assert found[-1].at_ns == wanted[-1].at_ns and len(found[0]) == 3
    with pytest.raises(IndexError, match="none at 4"):
        found[4]


def test_zero_is_no_quote_and_null_is_not_known(tmp_path: Path) -> None:
    rows = table(chain(strikes=FEW))
    rows["ce_ltp"][0] = 0.0
    rows["pe_ltp"][1] = None
    rows["ce_volume"] = [None] * 3
    rows["spot"] = [0.0] * 3
    one = read_chains(write(tmp_path / "a.parquet", rows))[0]
    assert np.isnan(one.call[0]) and np.isnan(one.put[1]) and one.quoted == 4
    assert np.isnan(one.call_volume).all() and not np.isnan(one.put_volume).any()
    assert np.isnan(one.spot)


def test_the_chain_of_a_moment(tmp_path: Path) -> None:
    """The last that was known, never a later one; the nearest expiry unless one is named."""
    found = read_chains(three(tmp_path))
    assert found.at("NIFTY", at("09:34")).at_ns == at("09:30")
    assert found.at("NIFTY", at("09:35")).at_ns == at("09:35")
    assert (last := found.at("NIFTY")).expiry == EXPIRY and last.at_ns == at("09:35")
    assert found.at("NIFTY", None, NEXT).at_ns == at("09:36")
    assert found.at("NIFTY", at("15:00"), NEXT).expiry == NEXT


@pytest.mark.parametrize(
    ("name", "when", "expiry", "message"),
    [
        ("SENSEX", None, None, "no underlying 'SENSEX'; it has BANKNIFTY, NIFTY"),
        ("NIFTY", at("09:29"), None, "first chain of NIFTY on 2026-01-22 is of 2026-01-22 09:30"),
        ("NIFTY", at("09:30", date(2026, 1, 23)), None, "on 2026-01-23; it has 2026-01-22"),
        ("BANKNIFTY", None, EXPIRY, "of BANKNIFTY that expires 2026-01-27; it has 2026-02-24"),
    ],
)
def test_a_chain_that_is_not_there(
    tmp_path: Path, name: str, when: int | None, expiry: date | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_chains(three(tmp_path)).at(name, when, expiry)


def put(column: str, row: int, value: Any) -> Callable[[dict[str, list[Any]]], None]:
    def change(rows: dict[str, list[Any]]) -> None:
        rows[column][row] = value

    return change


def swap(one: int, other: int) -> Callable[[dict[str, list[Any]]], None]:
    def change(rows: dict[str, list[Any]]) -> None:
        for values in rows.values():
            values[one], values[other] = values[other], values[one]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("ce_ltp", 2, -0.05), "row 3: ce_ltp is -0.05; it must be 0 or more"),
        (put("pe_ltp", 1, float("inf")), "row 2: pe_ltp is inf"),
        (put("pe_oi", 4, -65), "row 5: pe_oi is -65"),
        (put("strike", 0, 0.0), "row 1: strike is 0; it must be above 0"),
        (put("strike", 1, None), "row 2: strike is nan"),
        (put("strike", 2, 25_050.0), "row 3: strike 25050 does not ascend"),
        (put("strike", 2, 25_100.0), "row 3: strike 25100 does not ascend"),
        (put("ts", 3, 1_769_000_000), "row 4: ts is 1769000000; it must be ns"),
        (put("ts", 5, at("09:29")), "row 6: ts goes back to 2026-01-22 09:29"),
        (put("underlying", 1, ""), "underlying has a name that is empty"),
        (put("underlying", 4, None), "row 5: underlying is null"),
        (put("expiry", 0, None), "row 1: expiry is null"),
        (put("underlying", 1, "X"), "row 3: a second part of the snapshot of 2026-01-22 09:30"),
        (swap(0, 2), "row 2: strike 25100 does not ascend"),
    ],
)
def test_rows_that_break_a_rule(
    tmp_path: Path, change: Callable[[dict[str, list[Any]]], None], message: str
) -> None:
    rows = table(chain(at("09:30"), strikes=FEW), chain(at("09:35"), strikes=FEW))
    change(rows)
    with pytest.raises(BadData, match=message):
        read_chains(write(tmp_path / "a.parquet", rows))


def test_files_that_are_not_chains(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="no such file"):
        read_chains(tmp_path / "none.parquet")
    (tmp_path / "a.parquet").write_bytes(b"strike,price\n1,2\n")
    with pytest.raises(BadData, match="not a Parquet file"):
        read_chains(tmp_path / "a.parquet")
    rows = table(chain(strikes=FEW))
    del rows["pe_oi"], rows["spot"]
    with pytest.raises(BadData, match="no column pe_oi, spot; a chain has ts"):
        read_chains(write(tmp_path / "b.parquet", rows))
    whole = pa.table(table(chain(strikes=FEW)))
    pq.write_table(whole.slice(0, 0), tmp_path / "c.parquet")
    with pytest.raises(BadData, match="no rows"):
        read_chains(tmp_path / "c.parquet")
    pq.write_table(whole.set_column(4, "ce_ltp", [["1", "2", "3"]]), tmp_path / "d.parquet")
    with pytest.raises(BadData, match="ce_ltp is string; it must be numbers"):
        read_chains(tmp_path / "d.parquet")
    pq.write_table(whole.set_column(2, "expiry", [["2026-01-27"] * 3]), tmp_path / "e.parquet")
    with pytest.raises(BadData, match="expiry is string; it must be date32"):
        read_chains(tmp_path / "e.parquet")


def test_row_groups_with_dictionaries_of_their_own(tmp_path: Path) -> None:
    one, other = (pa.table(table(chain(at(when), strikes=FEW, underlying=name)))
                  for when, name in (("09:30", "ZEE"), ("09:35", "ABB")))  # fmt: skip
    with pq.ParquetWriter(tmp_path / "a.parquet", one.schema) as file:
        file.write_table(one)
        file.write_table(other)
    found = read_chains(tmp_path / "a.parquet")
    assert [chain.underlying for chain in found] == ["ZEE", "ABB"]


def test_arrays_of_your_own() -> None:
    made = snapshot(at("10:00"), "NIFTY", EXPIRY, FEW, [0.0, 2.0, 1.0], [1.0, 2.0, 3.0])
    assert np.isnan(made.call[0]) and np.isnan(made.spot) and np.isnan(made.call_oi).all()
    assert made.date == DAY and made.time_text == "2026-01-22 10:00"
    for strikes, call, message in (
        ([1.0, 1.0], [1.0, 1.0], "does not ascend"),
        ([0.0, 1.0], [1.0, 1.0], "does not ascend"),
        ([1.0, 2.0], [1.0], "shape"),
        ([1.0, 2.0], [1.0, -1.0], r"call\[1\] is -1"),
    ):
        with pytest.raises(UsageError, match=message):
            snapshot(at("10:00"), "NIFTY", EXPIRY, strikes, call, [1.0, 1.0])


@pytest.mark.data
def test_recorded_chains(data_dir: Path) -> None:
    """Every row of the recorded files is in one snapshot, and none is out of place."""
    for name, snapshots, rows in (
        ("index_option_chain_2026-01-22_2026-02-01", 924, 105_634),
        ("all_stock_option_chain_2026-01-29", 14_598, 553_842),
        ("bank_stock_option_chain_2025-12-24_2026-01-29", 18_391, 702_970),
    ):
        found = read_chains(data_dir / "options" / f"{name}.parquet")
        raw = pq.read_table(data_dir / "options" / f"{name}.parquet")
        assert (len(found), found.rows) == (snapshots, rows)
        assert sum(len(one) for one in found) == rows
        zeros = sum(pa.compute.sum(pa.compute.equal(raw[side], 0.0)).as_py()
                    for side in ("ce_ltp", "pe_ltp"))  # fmt: skip
        assert sum(one.quoted for one in found) == 2 * rows - zeros


def test_an_expiry_that_became_a_holiday_is_the_trading_day_before(tmp_path: Path) -> None:
    """The 26th of January was never a trading day: whoever named it meant the 23rd."""
    holiday, before = date(2026, 1, 26), date(2026, 1, 23)
    rows = options_on(holiday)
    found = read_chains(write(tmp_path / "a.parquet", table(*rows)))
    assert found.expiries == (before,) and found[0].expiry == before
    both = read_chains(write(tmp_path / "b.parquet", table(*options_on(before), *rows)))
    assert both.expiries == (before, holiday)  # two chains stay two


def options_on(expiry: date) -> list[Snapshot]:
    held = chain(at("09:30"), strikes=FEW)
    return [snapshot(held.at_ns, "NIFTY", expiry, held.strike, held.call, held.put)]
