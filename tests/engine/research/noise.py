"""A market without anything to find: a random walk, minute by minute."""

import datetime as dt
from dataclasses import replace

import numpy as np

from dhanfast.engine.generated import generated_bars
from dhanfast.storage.bars import BarSet

START = 3_800_000  # paise


def random_walk(seed: int, first: str, last: str) -> BarSet:
    """Bars of every minute of the exchange's sessions whose steps are drawn independently."""
    days = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    base = generated_bars("BANKNIFTY", *days, seed=1, kind="IDX")
    random = np.random.default_rng(seed)
    rows = base.bars.copy()
    steps = random.normal(0, 0.0005, len(rows))
    closes = np.rint(START * np.exp(np.cumsum(steps))).astype(np.int64)
    opens = np.concatenate([[START], closes[:-1]])
    rows["open"], rows["close"] = opens, closes
    rows["high"] = np.maximum(opens, closes) + random.integers(0, 500, len(rows))
    rows["low"] = np.minimum(opens, closes) - random.integers(0, 500, len(rows))
    return replace(base, bars=rows)
