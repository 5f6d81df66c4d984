"""Checks of archives against a slow model in plain Python, and files that are not whole."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.archive.schema import DEPTH, TICKS
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE, DepthFlag, DepthOp
from dhanfast.clock import ManualClock
from dhanfast.errors import BadData
from dhanfast.storage.archive.repair import repair
from dhanfast.storage.archive.verify import VerifiedArchive, verify_archive
from dhanfast.storage.archive.writer import ArchiveWriter

OPEN = 1_767_325_500_000_000_000  # 2026-01-02 09:15 IST
S = 1_000_000_000
LISTED = (
    {"index": 0, "symbol": "A", "kind": "FUT", "tick": 5, "lot": 10},
    {"index": 1, "symbol": "B", "kind": "EQ", "tick": 0, "lot": 10},
)


def write(
    path: Path, ticks: NDArray[Any], depth: NDArray[Any] | None = None, *, block_rows: int = 3,
    seal: bool = True, notes: Sequence[dict[str, Any]] = (),
) -> Path:  # fmt: skip
    """An archive of rows, in small blocks so that pairs of rows cross them."""
    path.unlink(missing_ok=True)
    writer = ArchiveWriter(path, [TICKS, DEPTH], clock=ManualClock(OPEN), block_rows=block_rows)
    writer.add_instruments(LISTED)
    writer.append("ticks", ticks)
    if depth is not None:
        writer.append("depth", depth)
    for note in notes:
        writer.note(note)
    if seal:
        writer.seal()
    else:
        writer.close()
    return path


def kinds(found: VerifiedArchive, stream: str = "ticks") -> dict[str, int]:
    """How many rows of each kind of trouble."""
    return {one.kind: one.count for one in found.findings if one.stream == stream}


def tick(**fields: int) -> tuple[int, ...]:
    """A good tick with some fields changed."""
    usual = {"exch_ns": OPEN, "recv_ns": OPEN + 1, "price": 100, "bid": 95, "ask": 105,
             "volume": 10, "qty": 10, "bid_qty": 10, "ask_qty": 10}  # fmt: skip
    return tuple((usual | fields).get(name, 0) for name in TICK_DTYPE.names)


def slow_model(ticks: NDArray[Any]) -> dict[str, int]:
    """The rules of ticks, one row after another."""
    found: Counter[str] = Counter()
    last: dict[int, Any] = {}
    clock = None
    for row in ticks:
        found["receive-clock-back"] += clock is not None and row["recv_ns"] < clock
        clock = row["recv_ns"]
        known = bool(row["exch_ns"])
        found["negative-latency"] += known and row["recv_ns"] < row["exch_ns"]
        price, bid, ask = (int(row[name]) for name in ("price", "bid", "ask"))
        found["crossed"] += bid > 0 and ask > 0 and bid > ask
        found["locked"] += bid > 0 and bid == ask
        found["negative-price"] += min(price, bid, ask) < 0
        found["trade-without-price"] += price == 0 and row["qty"] > 0
        found["empty-row"] += (price, bid, ask, int(row["qty"])) == (0, 0, 0, 0)
        if row["instrument"] > 1:
            found["unknown-instrument"] += 1
        elif row["instrument"] == 0:
            found["off-tick"] += sum(value % 5 != 0 for value in (price, bid, ask))
            found["odd-lot"] += sum(int(row[q]) % 10 != 0 for q in ("qty", "bid_qty", "ask_qty"))
        before = last.get(int(row["instrument"]))
        if before is not None:
            both = before["exch_ns"] and row["exch_ns"]
            found["exchange-clock-back"] += bool(both) and row["exch_ns"] < before["exch_ns"]
            found["volume-back"] += row["volume"] < before["volume"]
            found["duplicate"] += row.tobytes() == before.tobytes()
        last[int(row["instrument"])] = row.copy()
    return {kind: int(count) for kind, count in found.items() if count}


ROWS = st.lists(
    st.builds(
        tick,
        exch_ns=st.sampled_from([0, OPEN, OPEN + 3, OPEN + 8]),
        recv_ns=st.integers(OPEN + 1, OPEN + 5),
        price=st.sampled_from([100, 100, 0, 103, -5]),
        bid=st.sampled_from([95, 95, 105, 0, 110]),
        ask=st.sampled_from([105, 105, 0]),
        volume=st.sampled_from([10, 20]),
        qty=st.sampled_from([10, 0, 7]),
        instrument=st.sampled_from([0, 0, 1, 2]),
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_ticks_are_judged_as_the_slow_model_does(
    tmp_path: Path, rows: list[tuple[int, ...]]
) -> None:
    ticks = np.array(rows, TICK_DTYPE)
    found = verify_archive(write(tmp_path / "t.dfa", ticks))
    assert found.sealed and kinds(found) == slow_model(ticks)


def at(*seconds: float, key: int = 0) -> NDArray[Any]:
    """Good ticks at seconds from the open."""
    rows = [tick(recv_ns=OPEN + int(s * S) + 1, exch_ns=OPEN + int(s * S), instrument=key)
            for s in seconds]  # fmt: skip
    made = np.array(rows, TICK_DTYPE)
    made["volume"] = np.arange(len(made)) * 10
    return made


def test_good_ticks_are_clean(tmp_path: Path) -> None:
    found = verify_archive(write(tmp_path / "t.dfa", at(*range(100))))
    assert (found.findings, found.defects, found.days) == ([], 0, 1)
    assert found.first.startswith("2026-01-02 09:15")


def test_hours_of_the_exchange(tmp_path: Path) -> None:
    close = 6.25 * 3600
    ticks = at(-7200, -600, 0, close + 60, close + 7200, 26 * 3600)  # 26 h on: a Saturday
    assert kinds(verify_archive(write(tmp_path / "t.dfa", ticks))) == {
        "pre-open": 1, "closing": 1, "outside-hours": 2, "not-a-trading-day": 1,
        "silence": 1,  # too few rows to say that the feed was silent
    }  # fmt: skip
    free = kinds(verify_archive(tmp_path / "t.dfa", segment="none"))
    assert "outside-hours" not in free and "not-a-trading-day" not in free


def test_silences_inside_sessions(tmp_path: Path) -> None:
    busy = at(*np.arange(0, 600, 0.5), key=1)
    quiet = at(0, 100, 200, 230, key=0)
    ticks = np.concatenate([busy, quiet])
    ticks = ticks[np.argsort(ticks["recv_ns"], kind="stable")]
    found = verify_archive(write(tmp_path / "t.dfa", ticks, block_rows=50))
    assert kinds(found) == {"silence": 2} and found.defects == 0
    gone = ticks[(ticks["recv_ns"] < OPEN + 250 * S) | (ticks["recv_ns"] > OPEN + 400 * S)]
    found = verify_archive(write(tmp_path / "t.dfa", gone, block_rows=50))
    assert kinds(found) == {"silence": 3, "feed-silent": 1} and found.defects == 1
    detail = next(one.detail for one in found.findings if one.kind == "feed-silent")
    assert "150 s without any row" in detail or "151 s without any row" in detail


def test_gaps_that_the_recorder_noted_are_defects(tmp_path: Path) -> None:
    note = {"kind": "gap", "stream": "ticks", "from_ns": OPEN, "to_ns": OPEN + S, "lost": 17,
            "reason": "the reader was too slow"}  # fmt: skip
    found = verify_archive(write(tmp_path / "t.dfa", at(0, 1), notes=[note]))
    assert kinds(found) == {"lost": 17} and found.defects == 1
    assert found.findings[0].detail == "the reader was too slow"


def level(side: int, price: int, qty: int, *, op: int = 0, flags: int = 0) -> tuple[int, ...]:
    """A row of depth."""
    fields = {"exch_ns": OPEN, "recv_ns": OPEN + 1, "seq": 1, "side": side, "price": price,
              "qty": qty, "op": op, "flags": flags}  # fmt: skip
    return tuple(fields.get(name, 0) for name in DEPTH_DTYPE.names)


def test_a_book_is_judged_at_the_end_of_messages(tmp_path: Path) -> None:
    last, snap = int(DepthFlag.LAST), int(DepthFlag.SNAPSHOT)
    clear = int(DepthOp.CLEAR)
    rows = [
        level(1, 300, 1, flags=last),  # before the first snapshot: nothing is known
        level(1, 0, 0, op=clear, flags=snap), level(-1, 0, 0, op=clear, flags=snap),
        level(1, 100, 5, flags=snap), level(-1, 110, 5, flags=snap | last),
        level(1, 120, 1), level(-1, 110, 0), level(-1, 125, 1, flags=last),  # crossed in between
        level(1, 125, 2, flags=last),  # locked
        level(1, 130, 2, flags=last),  # crossed
        level(0, 130, 2, flags=last), level(1, -5, 2, flags=last),  # no book holds these
    ]  # fmt: skip
    depth = np.array(rows, DEPTH_DTYPE)
    found = verify_archive(write(tmp_path / "t.dfa", at(0, 1), depth))
    assert kinds(found, "depth") == {"locked": 1, "crossed": 1, "bad-level": 2}
    crossed = next(one for one in found.findings if one.kind == "crossed")
    assert "bid 1.30, ask 1.25" in crossed.detail


@pytest.mark.data
def test_known_defects_of_the_recorded_file(data_dir: Path, tmp_path: Path) -> None:
    from dhanfast.storage.archive.importing import TickOptions, import_ticks

    source = data_dir / "ticks" / "nse_stock_futures_ticks_2025-11-17_1207_1224.parquet"
    import_ticks(source, tmp_path / "t.dfa", TickOptions(tick=5), ManualClock(OPEN))
    # The page of the data says: 896 whole rows repeat.
    assert kinds(verify_archive(tmp_path / "t.dfa"))["duplicate"] == 896


# Files that are not whole


def whole(found: VerifiedArchive) -> dict[str, int]:
    """Findings about the file."""
    return kinds(found, "")


def test_an_unsealed_file_is_a_note(tmp_path: Path) -> None:
    found = verify_archive(write(tmp_path / "t.dfa", at(0, 1), seal=False))
    assert (found.sealed, whole(found), found.defects) == (False, {"unsealed": 1}, 0)


def test_a_torn_tail_is_a_defect_and_repair_cuts_it(tmp_path: Path) -> None:
    path = write(tmp_path / "t.dfa", at(*range(9)), seal=False)
    size = path.stat().st_size
    with open(path, "ab") as file:
        file.write(b"DFCK\x03half a block")
    found = verify_archive(path)
    assert whole(found) == {"torn-tail": 1, "unsealed": 1} and found.rows["ticks"] == 9
    assert len(repair(path).cut) == 1 and path.stat().st_size == size
    assert verify_archive(path).defects == 0


def test_every_flipped_byte_of_a_sealed_file_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "t.dfa", at(*range(20)))
    good = path.read_bytes()
    path.chmod(0o644)
    for offset in range(0, len(good), 97):
        bad = bytearray(good)
        bad[offset] ^= 0x10
        path.write_bytes(bad)
        try:
            assert verify_archive(path).defects, offset
        except BadData as error:
            assert path.name in str(error)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.dfa"
    path.write_bytes(b"PAR1 something else")
    with pytest.raises(BadData, match="not a dhanfast archive"):
        verify_archive(path)
