"""The store of volatilities: a row a session, the latest of it, whatever kills the process."""

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.volatility import DayVolatility, VolatilityStore

FIRST, SECOND = date(2026, 1, 21), date(2026, 1, 22)
EXPIRY = date(2026, 1, 27)


def days(*found: tuple[date, float, int]) -> list[DayVolatility]:
    return [DayVolatility(day, value, at_ns, EXPIRY) for day, value, at_ns in found]


def test_what_is_stored_is_read_in_order(tmp_path: Path) -> None:
    store = VolatilityStore(tmp_path / "v.sqlite")
    assert store.days("NIFTY") == []
    assert store.put("NIFTY", days((SECOND, 0.12, 20), (FIRST, 0.11, 10))) == 2
    assert store.put("BANKNIFTY", days((FIRST, 0.15, 10))) == 1
    assert store.put("NIFTY", days((FIRST, 0.3, 10)), "other") == 1
    assert store.days("NIFTY") == days((FIRST, 0.11, 10), (SECOND, 0.12, 20))
    assert store.days("NIFTY", before=SECOND) == days((FIRST, 0.11, 10))
    assert store.days("NIFTY", measure="other") == days((FIRST, 0.3, 10))


def test_of_a_session_the_latest_stays(tmp_path: Path) -> None:
    store = VolatilityStore(tmp_path / "v.sqlite")
    store.put("NIFTY", days((FIRST, 0.11, 10)))
    assert store.put("NIFTY", days((FIRST, 0.12, 10))) == 0
    assert store.put("NIFTY", days((FIRST, 0.13, 9))) == 0
    assert store.put("NIFTY", days((FIRST, 0.14, 11))) == 1
    assert store.days("NIFTY") == days((FIRST, 0.14, 11))


@pytest.mark.parametrize("value", [0.0, -0.1, 10.0, float("nan"), float("inf")])
def test_nothing_is_stored_of_a_list_with_nonsense(tmp_path: Path, value: float) -> None:
    store = VolatilityStore(tmp_path / "v.sqlite")
    with pytest.raises(UsageError, match="of NIFTY on 2026-01-22"):
        store.put("NIFTY", days((FIRST, 0.11, 10), (SECOND, value, 20)))
    assert store.days("NIFTY") == []


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"not a database, " * 100)
    with pytest.raises(BadData, match="damaged"):
        VolatilityStore(tmp_path / "a").days("NIFTY")
    with sqlite3.connect(tmp_path / "b") as file:
        file.execute("PRAGMA user_version = 2")
    with pytest.raises(BadData, match="later dhanfast"):
        VolatilityStore(tmp_path / "b").days("NIFTY")
    (tmp_path / "c").touch()
    assert VolatilityStore(tmp_path / "c").days("NIFTY") == []
    with pytest.raises(DhanfastError, match="cannot be used"):
        VolatilityStore(tmp_path / "none" / "d").put("NIFTY", days((FIRST, 0.1, 1)))
