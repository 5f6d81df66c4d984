"""Which ticks a run gets: instrument, stretch, gaps, and rows as the engine wants them."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.archive.schema import DEPTH, TICKS
from dhanfast._core.types import TICK_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.engine.recorded import GAPS_SHOWN, as_ticks, gaps_of, kind_of, recorded
from dhanfast.engine.tick_replay import replay_ticks, traded
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.listing import Listed
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import ArchiveWriter

SECOND = 10**9
OPEN_NS = 1_763_351_100 * SECOND  # 2025-11-17 09:15 IST
FUTURE = "BANKNIFTY25NOVFUT"


def rows_at(seconds: list[float], instrument: int = 0, stream: Any = TICKS) -> Any:
    rows = np.zeros(len(seconds), stream.dtype)
    rows["recv_ns"] = OPEN_NS + (np.array(seconds) * SECOND).astype(np.int64)
    rows["exch_ns"] = rows["recv_ns"] - 5_000_000
    rows["instrument"], rows["price"] = instrument, 5_000_000 + np.arange(len(seconds))
    return rows


def written(
    path: Path, rows: Any, instruments: list[tuple[str, str]], *, stream: Any = TICKS,
    notes: tuple[Any, ...] = (), seal: bool = True,
) -> Path:  # fmt: skip
    with ArchiveWriter(path, [stream], clock=ManualClock(), day=20251117) as writer:
        writer.add_instruments(
            [{"index": at, "symbol": name, "kind": kind}
             for at, (name, kind) in enumerate(instruments)]
        )  # fmt: skip
        writer.append(stream.name, rows)
        for note in notes:
            writer.note(note)
        if seal:
            writer.seal()
    return path


def fed(ticks: Any) -> Any:
    batches = [batch.copy() for batch in ticks.open(0)]
    return np.concatenate([np.empty(0, TICK_DTYPE), *batches])


MANY = [("BANKNIFTY", "IDX"), (FUTURE, "FUT"), ("BANKNIFTY25NOV52500CE", "OPT")]


def test_the_instrument_is_the_only_one_or_the_only_future_or_the_only_index(
    tmp_path: Path,
) -> None:
    all_three = np.concatenate([rows_at([n], n) for n in range(3)])
    one = written(tmp_path / "one.dfa", rows_at([1]), [("NIFTY", "IDX")])
    assert recorded([one]).instrument.symbol == "NIFTY"
    many = written(tmp_path / "many.dfa", all_three, MANY)
    assert recorded([many]).instrument.symbol == FUTURE
    assert recorded([many], symbol="BANKNIFTY").instrument.symbol == "BANKNIFTY"
    unsaid = [(name, "") for name, _ in MANY]  # an import need not know kinds: the names say them
    assert (
        recorded([written(tmp_path / "names.dfa", all_three, unsaid)]).instrument.symbol == FUTURE
    )
    no_future = written(tmp_path / "rest.dfa", all_three[[0, 2]], MANY)
    assert recorded([no_future]).instrument.symbol == "BANKNIFTY"
    options = written(
        tmp_path / "options.dfa", all_three[:2], [("BANKNIFTY25NOV52500CE", "OPT"), ("X", "EQ")]
    )
    with pytest.raises(UsageError, match="2 instruments have ticks: BANKNIFTY25NOV52500CE, X"):
        recorded([options])
    with pytest.raises(UsageError, match=r"no ticks of 'BANKNIFTI' in many\.dfa; near: BANKNIFTY"):
        recorded([many], symbol="BANKNIFTI")


def test_a_stretch_takes_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    path = written(tmp_path / "day.dfa", rows_at([0, 59.5, 60, 119, 120, 300]), [("NIFTY", "IDX")])
    for start, end, expected in (
        (None, None, 6),
        (dt.time(9, 16), None, 4),
        (None, dt.time(9, 16), 2),
        (dt.time(9, 16), dt.datetime(2025, 11, 17, 9, 17), 2),
        (dt.datetime(2025, 11, 17, 3, 46, tzinfo=dt.UTC), dt.time(9, 17), 2),
        (dt.date(2025, 11, 17), dt.date(2025, 11, 17), 6),
    ):
        ticks = recorded([path], start=start, end=end)
        assert len(fed(ticks)) == expected, (start, end)
        assert ticks.first_ns >= OPEN_NS and ticks.last_ns <= OPEN_NS + 300 * SECOND
    for start, end, words in (
        (dt.time(10), dt.time(9), "to 09:00:00 lies before from 10:00:00"),
        (dt.date(2025, 11, 18), None, "no tick of NIFTY from 2025-11-18 to the end"),
    ):
        with pytest.raises(UsageError, match=words):
            recorded([path], start=start, end=end)
    later = rows_at([0, 86_400])
    two_days = written(tmp_path / "two.dfa", later, [("NIFTY", "IDX")])
    with pytest.raises(UsageError, match="of several days, 2025-11-17 to 2025-11-18"):
        recorded([two_days], start=dt.time(9, 30))
    assert len(fed(recorded([two_days], start=dt.date(2025, 11, 18)))) == 1


def test_rows_are_one_instruments_in_any_numbering_and_layout(tmp_path: Path) -> None:
    """As number 2 of three, with columns of an import behind: the same ticks as alone."""
    alone = rows_at([1, 2, 3])
    plain = written(tmp_path / "plain.dfa", alone, [(FUTURE, "FUT")])
    wide = TICKS.with_extra([("line", "u4"), ("odd", "u1")])
    rows = np.zeros(6, wide.dtype)
    both = np.concatenate([alone, rows_at([4, 5, 6])])
    for name in TICK_DTYPE.names or ():
        rows[name] = both[name]
    rows["instrument"], rows["line"], rows["odd"] = [1, 1, 1, 0, 0, 0], range(6), 7
    mixed = written(tmp_path / "mixed.dfa", rows, MANY, stream=wide)
    np.testing.assert_array_equal(fed(recorded([plain])), alone)
    np.testing.assert_array_equal(fed(recorded([mixed], symbol=FUTURE)), alone)
    pair = recorded([plain, plain], symbol=FUTURE)
    np.testing.assert_array_equal(fed(pair), np.repeat(alone, 2))
    with pytest.raises(BadData, match="must begin with"):
        as_ticks(np.zeros(2, DEPTH.dtype))


def test_gaps_are_those_of_the_stretch(tmp_path: Path) -> None:
    def gap(begin: int, end: int, **more: Any) -> dict[str, Any]:
        return {"kind": "gap", "stream": "ticks", "from_ns": OPEN_NS + begin * SECOND,
                "to_ns": OPEN_NS + end * SECOND, **more}  # fmt: skip

    notes = (
        gap(10, 20, lost=7, reason="slow"), gap(400, 500, lost=1),
        gap(0, 5, stream="depth", lost=9), {"kind": "marker", "text": "hello"},
        gap(250, 310, lost=None, reason="away"), {"kind": "gap", "stream": None, "lost": 2},
    )  # fmt: skip
    path = written(tmp_path / "day.dfa", rows_at([0, 300]), [("NIFTY", "IDX")], notes=notes)
    assert recorded([path]).gaps == (
        "day.dfa: 7 rows are missing between 2025-11-17 09:15:10 and 2025-11-17 09:15:20 IST "
        "(slow)",
        "day.dfa: rows are missing between 2025-11-17 09:19:10 and 2025-11-17 09:20:10 IST (away)",
        "day.dfa: 2 rows are missing between 2025-11-17 09:15:00 and 2025-11-17 09:20:00 IST "
        "(no reason given)",
    )
    many = tuple(gap(n, n + 1, lost=1) for n in range(GAPS_SHOWN + 5))
    path = written(tmp_path / "bad.dfa", rows_at([0]), [("NIFTY", "IDX")], notes=many, seal=False)
    with ArchiveReader(path) as reader:
        texts = gaps_of(reader, OPEN_NS, OPEN_NS + 300 * SECOND)
    assert texts[-2] == "bad.dfa: and 5 more gaps" and "bad.dfa is not sealed" in texts[-1]
    assert len(texts) == GAPS_SHOWN + 2


def test_files_without_ticks_are_refused(tmp_path: Path) -> None:
    depth = written(
        tmp_path / "depth.dfa", rows_at([1], stream=DEPTH), [("NIFTY", "IDX")], stream=DEPTH
    )
    with pytest.raises(BadData, match=r"depth\.dfa: holds no ticks; it has depth"):
        recorded([depth])
    empty = written(tmp_path / "empty.dfa", rows_at([]), [("NIFTY", "IDX")])
    with pytest.raises(BadData, match=r"empty\.dfa: holds no tick yet"):
        recorded([empty])
    with pytest.raises(UsageError, match="a list of archives"):
        recorded("day.dfa")
    with pytest.raises(UsageError, match="at least one"):
        recorded([])


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BANKNIFTY", ("BANKNIFTY", "IDX")),
        (FUTURE, ("BANKNIFTY", "FUT")),
        ("BANKNIFTY-Nov2025-FUT", ("BANKNIFTY", "FUT")),
    ],
)
def test_what_a_run_trades(symbol: str, expected: tuple[str, str]) -> None:
    assert traded(Listed(0, symbol)) == expected and kind_of(Listed(0, symbol)) == expected[1]


@pytest.mark.parametrize("symbol", ["BANKNIFTY25NOV52500CE", "HDFCBANK25NOVFUT", "BTCUSDT"])
def test_what_a_run_cannot_trade_is_refused(symbol: str) -> None:
    with pytest.raises(UsageError, match=f"{symbol} cannot be traded by a run.*--symbols"):
        traded(Listed(0, symbol))


def test_a_later_months_future_is_told(tmp_path: Path) -> None:
    seconds = [float(second) for second in range(0, 7_200, 2)]
    path = written(tmp_path / "dec.dfa", rows_at(seconds), [("BANKNIFTY25DECFUT", "FUT")])
    result = replay_ticks("momentum", recorded([path]), clock=ManualClock()).run()
    (note,) = [note for note in result.notes if "BANKNIFTY25DECFUT" in note]
    assert "is not the front-month future on 2025-11-17" in note and "2025-11-25" in note
    assert result.data["ticks"]["instrument"] == "BANKNIFTY25DECFUT"
