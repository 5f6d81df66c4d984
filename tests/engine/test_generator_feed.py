"""A generated day through a ring into a file: all of it, once, in order, whatever is killed."""

import datetime as dt
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.broadcast import FOLDER
from dhanfast.clock import SystemClock
from dhanfast.engine.generator_feed import STARTS_MAX, GeneratorFeed
from dhanfast.engine.recording import ProgressReader, about_path
from dhanfast.errors import DhanfastError
from dhanfast.market.tickday import TickDay, tick_day
from dhanfast.storage.archive.reader import ArchiveReader

DAY = dt.date(2025, 11, 17)


def planned(ticks: int, **more: Any) -> TickDay:
    return tick_day("BANKNIFTY", DAY, seed=3, ticks=ticks, strikes=2, batch=5_000, **more)


def feed(day: TickDay, root: Path, **more: Any) -> GeneratorFeed:
    return GeneratorFeed(
        day, root, clock=SystemClock(), ring=f"test-{os.getpid()}", slots=1 << 15, **more
    )


def left_over() -> list[str]:
    return [path.name for path in Path(FOLDER).glob(f"dhanfast-test-{os.getpid()}*")]


def read(path: Path, stream: str) -> Any:
    with ArchiveReader(path) as reader:
        assert reader.sealed and reader.head["generated"] and reader.head["day"] == 20251117
        assert not [note for note in reader.notes if note["kind"] == "gap"]
        return reader.to_numpy(stream)


def test_every_row_is_recorded_once_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """Three rings' worth at full speed: the generator waits, the recorder loses nothing."""
    day = planned(100_000, depth_levels=5)
    ticks, depth = feed(day, tmp_path / "archive").run()
    path, book = tmp_path / "archive/2025-11-17.dfa", tmp_path / "archive/depth/2025-11-17.dfa"
    assert (ticks["paths"], depth["paths"]) == ([str(path)], [str(book)])
    for outcome in (ticks, depth):
        assert outcome["sealed"] and outcome["lost"] == 0 and outcome["error"] is None
    batches = list(day)
    np.testing.assert_array_equal(read(path, "ticks"), np.concatenate([b.ticks for b in batches]))
    np.testing.assert_array_equal(read(book, "depth"), np.concatenate([b.depth for b in batches]))
    with ArchiveReader(path) as reader:
        assert reader.instruments.by_symbol["BANKNIFTY25NOVFUT"].lot == 35
        assert {entry.kind for entry in reader.instruments.values()} == {"IDX", "FUT", "OPT"}
        assert {entry.right for entry in reader.instruments.values()} == {None, "CE", "PE"}
        assert day.label in reader.head["source"]
    assert left_over() == []


def test_a_recorder_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """kill -9 at three places, while its ring is written: the next one goes on with the file."""
    day = planned(150_000)
    made = feed(day, tmp_path)
    lane, kills = made.lanes[0], [20_000, 60_000, 110_000]
    progress = ProgressReader(lane.ring)
    publish = made.feed

    def feed_and_kill(ticks: Any) -> None:
        publish(ticks)
        if kills and lane.writer.published > kills[0] and int(progress.read()["taken"]) > 0:
            kills.pop(0)
            os.kill(lane.process.pid, signal.SIGKILL)
            lane.process.wait()

    made.feed = feed_and_kill  # type: ignore[method-assign]
    outcome = made.run()[0]
    assert not kills and lane.starts == 4
    assert outcome["sealed"] and outcome["lost"] == 0
    expected = np.concatenate([batch.ticks for batch in day])
    np.testing.assert_array_equal(read(tmp_path / "2025-11-17.dfa", "ticks"), expected)
    assert left_over() == []


def test_a_recorder_that_cannot_work_is_named_and_ends_it(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(DhanfastError, match="file: cannot be made"):
        feed(planned(100_000), blocked).run()
    assert left_over() == []


def test_a_recorder_that_dies_again_and_again_ends_it(tmp_path: Path) -> None:
    made = feed(planned(100_000), tmp_path)
    lane = made.lanes[0]
    look_after = lane.look_after

    def kill_then_look() -> None:
        lane.process.kill()
        lane.process.wait()
        look_after()

    lane.look_after = kill_then_look  # type: ignore[method-assign]
    with pytest.raises(DhanfastError, match="recorder of ring"):
        made.run()
    assert lane.starts == STARTS_MAX and left_over() == []


def test_stopping_ends_with_a_whole_file_of_what_was_published(tmp_path: Path) -> None:
    day = planned(100_000)
    made = feed(day, tmp_path)
    publish = made.feed

    def feed_and_stop(ticks: Any) -> None:
        publish(ticks)
        if made.lanes[0].writer.published >= 20_000:
            made.replay.stop()

    made.feed = feed_and_stop  # type: ignore[method-assign]
    outcome = made.run()[0]
    rows = read(tmp_path / "2025-11-17.dfa", "ticks")
    assert outcome["records"] == len(rows) == 20_000
    np.testing.assert_array_equal(rows, np.concatenate([batch.ticks for batch in day])[:20_000])


def test_a_duration_is_of_the_markets_time(tmp_path: Path) -> None:
    day = planned(50_000)
    outcome = feed(day, tmp_path, duration_ns=30 * 60 * 10**9).run()[0]
    whole = np.concatenate([batch.ticks for batch in day])
    expected = whole[whole["recv_ns"] < whole["recv_ns"][0] + 30 * 60 * 10**9]
    assert outcome["records"] == len(expected) < 50_000
    np.testing.assert_array_equal(read(tmp_path / "2025-11-17.dfa", "ticks"), expected)


def test_a_ring_in_use_is_refused(tmp_path: Path) -> None:
    first = feed(planned(10), tmp_path)
    try:
        with pytest.raises(DhanfastError, match="live writer"):
            feed(planned(10), tmp_path / "other")
    finally:
        first.run()
    assert not about_path(f"test-{os.getpid()}").exists()
