"""Broadcast: what publishing costs the engine thread, and reading a follower."""

import numpy as np

from dhanfast._core.broadcast import BroadcastReader, BroadcastWriter
from dhanfast._core.types import EVENT_DTYPE

COUNT = 4096


def test_publish(benchmark, tmp_path) -> None:
    """ns an event = median / 4096; nobody reads."""
    writer = BroadcastWriter(
        "bench", record_bytes=80, slots=8192, tag="event", folder=str(tmp_path)
    )
    events = np.zeros(COUNT, dtype=EVENT_DTYPE)
    benchmark(writer.put_many, events)
    assert writer.published >= COUNT


def test_publish_and_read(benchmark, tmp_path) -> None:
    """There and back in one process, every event checked for a torn copy."""
    writer = BroadcastWriter(
        "bench", record_bytes=80, slots=8192, tag="event", folder=str(tmp_path)
    )
    reader = BroadcastReader("bench", dtype=EVENT_DTYPE, tag="event", folder=str(tmp_path))
    events = np.zeros(COUNT, dtype=EVENT_DTYPE)

    def there_and_back() -> int:
        writer.put_many(events)
        return len(reader.read(COUNT)[0])

    assert benchmark(there_and_back) == COUNT
    assert reader.lost == 0
