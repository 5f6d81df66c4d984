"""The archive's codec alone: a block of 65,536 ticks to bytes and back, one core.

The ticks are a model, stated here and nowhere fitted: receive times with exponential gaps in whole
microseconds over a day's 22,500 seconds, exchange times in whole seconds as Dhan sends them, a
price change in 30 % of the updates, a trade in a quarter, each side's quantity new in half.
"""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.depth import DepthSides
from dhanfast._core.archive.schema import TICKS
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE

ROWS = 65_536
A_DAY = 5_000_000


def held(values: np.ndarray, when: np.ndarray) -> np.ndarray:
    """Each value until the next row where `when` is true."""
    return values[np.maximum.accumulate(np.where(when, np.arange(len(values)), 0))]


def model(instruments: int) -> np.ndarray[Any, Any]:
    """65,536 ticks of so many instruments, the busiest most."""
    random = np.random.default_rng(1)
    rows = np.zeros(ROWS, TICK_DTYPE)
    weights = 1.0 / np.arange(1, instruments + 1)
    rows["instrument"] = random.choice(instruments, ROWS, p=weights / weights.sum())
    gaps = random.exponential(22_500e6 / A_DAY, ROWS).astype(np.int64)
    rows["recv_ns"] = 1_763_361_477_000_000_000 + 1_000 * np.cumsum(gaps)
    rows["exch_ns"] = rows["recv_ns"] // 1_000_000_000 * 1_000_000_000
    for key in np.unique(rows["instrument"]):
        at = np.flatnonzero(rows["instrument"] == key)
        count = len(at)
        moves = np.where(random.random(count) < 0.3, random.integers(-2, 3, count), 0)
        level = 5 * np.maximum(100, 20_000 + 1_000 * int(key) + np.cumsum(moves))
        spread = 5 * random.choice([1, 2, 3], count, p=[0.6, 0.3, 0.1])
        quoted, traded = random.random(count) < 0.4, random.random(count) < 0.25
        lots = 75 * random.geometric(0.3, count)
        rows["bid"][at] = held(level - 5, quoted)
        rows["ask"][at] = held(level - 5 + spread, quoted)
        rows["price"][at], rows["qty"][at] = held(level, traded), held(lots, traded)
        rows["volume"][at] = np.cumsum(np.where(traded, lots, 0))
        for side in ("bid_qty", "ask_qty"):
            rows[side][at] = held(75 * random.geometric(0.1, count), random.random(count) < 0.5)
        changes = np.where(random.random(count) < 0.01, random.integers(-5, 6, count), 0)
        rows["oi"][at] = 75 * (1_000_000 + np.cumsum(changes))
    return rows


@pytest.mark.parametrize("instruments", [1, 50])
def test_encode(benchmark, instruments: int) -> None:
    """ns a tick = median / 65,536; bytes a tick in extra_info."""
    rows, codec = model(instruments), Codec(TICKS)
    body = benchmark(codec.encode, rows, 0)
    benchmark.extra_info["bytes_a_tick"] = round(len(body) / ROWS, 3)
    assert codec.decode(body).rows.tobytes() == rows.tobytes()


@pytest.mark.parametrize("level", [1, 3, 6, 12, 19])
def test_encode_at_a_zstd_level(benchmark, level: int) -> None:
    """What the levels of zstd give; bytes a tick in extra_info."""
    rows, codec = model(20), Codec(TICKS, level)
    body = benchmark.pedantic(codec.encode, (rows, 0), rounds=3)
    benchmark.extra_info["bytes_a_tick"] = round(len(body) / ROWS, 3)


@pytest.mark.parametrize("instruments", [1, 50])
def test_decode(benchmark, instruments: int) -> None:
    """To Tick structs in one buffer; ns a tick = median / 65,536."""
    codec = Codec(TICKS)
    body = codec.encode(model(instruments), 0)
    out = np.empty(4096, TICK_DTYPE).view(np.uint8)

    def read() -> int:
        cursor, rows = codec.cursor(body), 0
        while cursor.left:
            rows += cursor.read_into(out)
        return rows

    assert benchmark(read) == ROWS


def test_decompress_only(benchmark) -> None:
    """What of the above is zstd and the checks of the directory."""
    codec = Codec(TICKS)
    body = codec.encode(model(1), 0)
    assert benchmark(codec.cursor, body).left == ROWS


def test_depth_rebuild(benchmark) -> None:
    """20-level sides out of rows of changes; ns a row = median / rows."""
    random, sides = np.random.default_rng(3), DepthSides(1, 20)
    parts = []
    middle = 2_000_000
    for _ in range(3_000):
        middle += int(random.integers(-1, 2)) * 5
        for side in (1, -1):
            levels = np.zeros(20, [("price", "<i8"), ("qty", "<u4"), ("orders", "<u4")])
            levels["price"] = middle - side * 5 * np.arange(1, 21)
            levels["qty"] = 75 * (1 + levels["price"] // 5 * 7 % 40 + (random.random(20) < 0.1))
            parts.append(sides.changes(0, side, levels))
    rows = np.concatenate(parts)
    assert rows.dtype == DEPTH_DTYPE
    benchmark.extra_info["rows"] = len(rows)
    raw = rows.view(np.uint8)
    assert benchmark(lambda: DepthSides(1, 20).apply_rows(raw)) == 6_000
