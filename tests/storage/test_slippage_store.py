"""The store of measured slippage: whole sessions, once each, whatever kills the process."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.runlog import ORDER_ROW_DTYPE, PASSAGE_DTYPE
from dhanfast.errors import BadData, DhanfastError
from dhanfast.storage import sqlite_file
from dhanfast.storage.slippage import Session, SlippageStore

FIRST = Session("20260105-main-paper-a", 20260105, "main", "paper", "NIFTY", "NIFTY FUT", "mine", 0)


def rows(count: int, seed: int = 1) -> tuple[Any, Any, Any]:
    """Orders and passages with a number of its own in every field."""
    random = np.random.default_rng(seed)
    made = []
    for dtype in (ORDER_ROW_DTYPE, PASSAGE_DTYPE):
        table = np.zeros(count, dtype)
        for name in dtype.names or ():
            if name != "spare":
                most = min(np.iinfo(table[name].dtype).max, 2**62)
                table[name] = random.integers(0, most, count, endpoint=False)
        made.append(table)
    orders, passages = made
    orders["id"] = passages["id"] = np.arange(1, count + 1)
    orders["kind"] %= 4
    return orders, passages, np.where(orders["side"] > 0, 0.25, np.nan)


@pytest.fixture
def store(tmp_path: Path) -> SlippageStore:
    return SlippageStore(tmp_path / "slippage.sqlite")


def counted(store: SlippageStore) -> dict[str, int]:
    """How many orders there are of each session."""
    return {one.source: len(store.rows(one.source)[0]) for one in store.sessions()}


def test_a_store_that_nobody_wrote_to_is_empty_and_makes_no_file(store: SlippageStore) -> None:
    assert store.sessions() == [] and not store.path.exists()


def test_a_file_that_a_kill_left_without_tables_is_empty(store: SlippageStore) -> None:
    store.path.touch()
    assert store.sessions() == [] and len(store.rows(FIRST.source)[0]) == 0
    store.put(FIRST, *rows(3))
    assert counted(store) == {FIRST.source: 3}


def test_rows_come_back_to_the_bit(store: SlippageStore) -> None:
    orders, passages, points = rows(50)
    store.put(FIRST, orders, passages, points)
    assert store.sessions() == [FIRST]
    back = store.rows(FIRST.source)
    assert back[0].tobytes() == orders.tobytes() and back[1].tobytes() == passages.tobytes()


def test_a_day_stored_twice_counts_once_and_the_later_one_counts(store: SlippageStore) -> None:
    store.put(FIRST, *rows(50))
    store.put(FIRST, *rows(50))
    assert counted(store) == {FIRST.source: 50}
    store.put(replace(FIRST, strategy="other"), *rows(7, seed=2))
    assert counted(store) == {FIRST.source: 7}
    assert store.rows(FIRST.source)[0].tobytes() == rows(7, seed=2)[0].tobytes()
    assert [one.strategy for one in store.sessions()] == ["other"]


def test_sessions_are_found_by_date_symbol_and_kind_of_market(store: SlippageStore) -> None:
    later = replace(FIRST, source="b", date=20260106)
    other = replace(FIRST, source="c", symbol="BANKNIFTY", generated=1)
    for session in (later, other, FIRST):
        store.put(session, *rows(2))
    assert store.sessions() == [FIRST, other, later]
    assert store.sessions(date=20260105) == [FIRST, other]
    assert store.sessions(symbol="NIFTY") == [FIRST, later]
    assert store.sessions(generated=True) == [other]
    assert store.sessions(symbol="NIFTY", generated=False, date=20260106) == [later]
    assert store.sessions(date=20260107) == []


def test_anybody_can_read_the_file(store: SlippageStore) -> None:
    orders, passages, _ = rows(3)
    orders["kind"], orders["side"] = [1, 0, 3], [1, -1, 1]
    store.put(FIRST, orders, passages, np.array([0.25, np.nan, -1.5]))
    with sqlite3.connect(store.path) as file:
        got = file.execute(
            "SELECT date, symbol, type, side, points FROM orders JOIN sessions USING (source) "
            "ORDER BY id"
        ).fetchall()
    assert got == [(20260105, "NIFTY", "market", 1, 0.25), (20260105, "NIFTY", "limit", -1, None),
                   (20260105, "NIFTY", "slm", 1, -1.5)]  # fmt: skip


# ---- trouble -------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.storage.test_slippage_store import FIRST, rows
from dhanfast.storage import slippage

inserted = slippage._insert
def dies(file, table, names, values):
    if table != "orders":
        return inserted(file, table, names, values)
    def half():
        for at, row in enumerate(values):
            if at == int(sys.argv[3]):
                os.kill(os.getpid(), signal.SIGKILL)
            yield row
    inserted(file, table, names, half())
slippage._insert = dies
slippage.SlippageStore(Path(sys.argv[2])).put(FIRST, *rows(5_000, seed=3))
"""


def kill_while_storing(store: SlippageStore, at: int) -> None:
    """A process that dies by SIGKILL before its row `at`."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(root), str(store.path), str(at)],
        capture_output=True, text=True, check=False, env={**os.environ},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("at", [0, 4_999])
def test_killed_while_it_stores_the_first_day_leaves_nothing(store: SlippageStore, at: int) -> None:
    kill_while_storing(store, at)
    assert store.sessions() == []
    store.put(FIRST, *rows(5_000, seed=3))
    assert counted(store) == {FIRST.source: 5_000}


def test_killed_while_it_stores_a_day_again_leaves_what_there_was(store: SlippageStore) -> None:
    other = replace(FIRST, source="other", date=20260102)
    store.put(other, *rows(40, seed=9))
    store.put(FIRST, *rows(5_000, seed=2))
    kill_while_storing(store, 4_000)
    assert counted(store) == {"other": 40, FIRST.source: 5_000}
    assert store.rows(FIRST.source)[0].tobytes() == rows(5_000, seed=2)[0].tobytes()
    store.put(FIRST, *rows(5_000, seed=3))
    assert counted(store) == {"other": 40, FIRST.source: 5_000}
    assert store.rows(FIRST.source)[0].tobytes() == rows(5_000, seed=3)[0].tobytes()


def test_who_comes_second_waits_and_then_says_who_holds_it(
    store: SlippageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(FIRST, *rows(3))
    monkeypatch.setattr(sqlite_file, "WAIT_S", 0.05)
    with sqlite3.connect(store.path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(DhanfastError, match=r"cannot be used \(database is locked\)"):
            store.put(replace(FIRST, source="b"), *rows(3))
        holder.execute("ROLLBACK")
    assert counted(store) == {FIRST.source: 3}
    store.put(replace(FIRST, source="b"), *rows(3))
    assert counted(store) == {FIRST.source: 3, "b": 3}


def test_a_damaged_file_is_named_with_the_remedy(store: SlippageStore) -> None:
    store.path.write_bytes(b"this is no database, and long enough to be asked about" * 50)
    with pytest.raises(BadData, match=r"slippage\.sqlite: damaged .*move it away"):
        store.sessions()
    with pytest.raises(BadData, match="damaged"):
        store.put(FIRST, *rows(1))


def test_a_file_of_a_later_version_is_left_alone(store: SlippageStore) -> None:
    with sqlite3.connect(store.path) as file:
        file.execute("PRAGMA user_version = 2")
    with pytest.raises(BadData, match=r"written by a later dhanfast \(version 2, this one knows 1"):
        store.put(FIRST, *rows(1))


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DhanfastError, match="cannot be used"):
        SlippageStore(tmp_path / "none" / "slippage.sqlite").put(FIRST, *rows(1))
