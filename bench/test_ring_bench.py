"""Ring: cost of a push and a drain, one thread (so that only the ring is measured)."""

import numpy as np

from dhanfast._core.ring import Ring
from dhanfast._core.types import EVENT_DTYPE

BATCH = 2048


def test_push_and_drain(benchmark) -> None:
    """A batch in, the batch out, through the native loops; ns per event = median / BATCH."""
    ring = Ring(4096)
    events = np.zeros(BATCH, dtype=EVENT_DTYPE)
    benchmark.extra_info["events_per_round"] = BATCH

    def there_and_back() -> int:
        ring.put_many(events)
        return len(ring.take(BATCH))

    assert benchmark(there_and_back) == BATCH
