"""The tick stream in plain Python, written for reading: every lane alone, then sorted.

It shares with the native code the quantile tables and the premium of an option (held to scipy's or
libm's by test_premium.py), nothing else. No tree, no batches: each lane's records are drawn one
after the other, and the merge is `sorted`.
"""

import math
from typing import Any

import numpy as np

from dhanfast._core.lanes import QUANTILES
from dhanfast._core.premium import generated_premium
from tests.core.test_walk import Words, stream

SECOND = 10**9


def quantile(name: str, bits: int) -> int:
    knots = QUANTILES[name]
    step, place = bits >> 26, bits & 0x3FFFFFF
    return knots[step] + ((knots[step + 1] - knots[step]) * place >> 26)


class Lane:
    """One instrument by itself: instants, then records."""

    def __init__(self, given: dict[str, Any], index: int) -> None:
        self.given, self.row = given, given["lanes"][index]
        self.weights, self.odds = given["weights"][index], given["odds"][index]
        self.words = stream(given["seed"], given["ordinal"], 64 + 2 * index)
        self.bid = self.ask = self.last = self.volume = self.qty = 0
        self.bid_lots = self.ask_lots = self.slot = 0
        self.oi = int(self.row["oi"])
        self.records = list(self.run(index))

    def rate(self, second: int) -> float:
        if self.row["kind"] == 0:
            return float(self.weights[second // 60]) / 60.0
        return float(self.weights[second // 60]) * float(self.given["heat"][second])

    def starts(self, second: int) -> int:
        return int(self.given["minutes"][second // 60]) + second % 60 * SECOND

    def fair(self, at: int) -> float:
        given, row = self.given, self.row
        tick = float(row["tick"])
        if row["kind"] < 2:
            return float(given["index" if row["kind"] == 0 else "future"][at]) / tick
        seconds = len(given["heat"])
        now = self.starts(at) if at < seconds else self.starts(at - 1) + SECOND
        left = given["expiry_ns"] - now
        root = math.sqrt(left / (365.0 * 86_400.0 * 1e9)) if left > 0 else 0.0
        forward = float(given["future"][at]) * given["forward_ratio"]
        deviation = float(row["volatility"]) * root
        value = generated_premium(forward, float(row["strike"]), deviation)
        if row["kind"] == 3:
            value = value - (forward - float(row["strike"]))
        return max(value * given["discount"] / tick, 0.0)

    def run(self, index: int) -> Any:
        """(instant, lane, second, record) in order."""
        count, done, second, base = int(self.row["count"]), 0, 0, 0.0
        gaps = "broadcast" if self.row["kind"] == 0 else "gap"
        while done < count:
            size = min(count - done, 64)
            wanted = size + (count - done <= 64)
            word, ends = 0, []
            for i in range(wanted):
                word = word >> 32 if i % 2 else self.words.next()
                ends.append((ends[-1] if ends else 0) + quantile(gaps, word & 0xFFFFFFFF))
            scale = wanted / ends[-1]
            for end in ends[:size]:
                instant = float(done) + scale * end
                while instant >= base + self.rate(second) and second + 1 < len(self.given["heat"]):
                    base = base + self.rate(second)
                    second += 1
                rate = self.rate(second)
                place = SECOND - 1
                if rate > 0 and instant < base + rate:
                    place = min(int((instant - base) / rate * SECOND), SECOND - 1)
                at = self.starts(second) + place
                yield at, index, second, self.record(at, second)
            done += size

    def shown(self, bits: int) -> int:
        return max((quantile("shown", bits) * int(self.row["size"]) + 2048) >> 12, 1)

    def quote(self, second: int, fair: float) -> int:
        word = self.words.next()
        first = self.bid == 0
        if first or word & 63 < 8:
            drawn = quantile("width", word >> 32) / 4096.0
            self.width = (float(self.row["spread"]) / 16.0) * drawn
        width = max(self.width * float(self.given["wide"][second // 60]) / 16.0, 1.0)
        near = 0.3 * width if width > 2.5 else 0.75
        far = 0.4 * width if width > 2.0 else 0.75
        if word >> 56 & 1:
            near, far = far, near
        bid = max(math.floor(fair - 0.5 * width + 0.5), 1)
        ask = bid + int(width + 0.5)
        bid_moves = first or abs(bid - self.bid) > near
        ask_moves = first or abs(ask - self.ask) > far
        if (bid if bid_moves else self.bid) >= (ask if ask_moves else self.ask):
            bid_moves = ask_moves = True
        self.bid = bid if bid_moves else self.bid
        self.ask = ask if ask_moves else self.ask
        bid_moves = bid_moves or word >> 6 & 63 < 14
        ask_moves = ask_moves or word >> 12 & 63 < 14
        if bid_moves or ask_moves:
            sizes = self.words.next()
            if bid_moves:
                self.bid_lots = self.shown(sizes & 0xFFFFFFFF)
            if ask_moves:
                self.ask_lots = self.shown(sizes >> 32)
        return word

    def trade(self, word: int, bid: int, ask: int) -> None:
        choice, drawn = word >> 34 & 63, self.words.next()
        if choice >= 54 or bid == 0:
            self.last = self.ask if choice & 1 else self.bid
        elif choice < 42:
            self.last = bid if choice < 23 else ask
        else:
            self.last = bid + 1 + ((ask - bid - 1) * (word >> 40 & 0xFFFF) >> 16)
            if self.last >= ask:
                self.last = bid
        lots = (quantile("traded", drawn & 0xFFFFFFFF) * int(self.row["trade"]) + 2048) >> 12
        lots *= 4 if drawn >> 32 & 0xFF == 0 else 1
        self.qty = max(lots, 1) * int(self.row["lot"])
        self.volume += self.qty

    def record(self, at: int, second: int) -> tuple[int, ...]:
        """price, bid, ask, volume, qty, bid_qty, ask_qty, oi."""
        low, high = self.fair(second), self.fair(second + 1)
        fair = low + (high - low) * ((at - self.starts(second)) / SECOND)
        tick, lot = int(self.row["tick"]), int(self.row["lot"])
        if self.row["kind"] == 0:
            return max(int(fair + 0.5), 1) * tick, 0, 0, 0, 0, 0, 0, 0
        bid, ask = self.bid, self.ask
        word = self.quote(second, fair)
        slot = (at - self.starts(0)) // (180 * SECOND)
        if slot != self.slot:
            drawn = self.words.next()
            step = quantile("traded", drawn & 0xFFFFFFFF) * int(self.row["trade"]) >> 10
            oi = self.oi + (step if drawn >> 63 else -step)
            self.slot, self.oi = slot, oi if oi > 0 and oi * lot < 2**32 else self.oi
        is_trade = bid == 0 or word >> 18 & 0xFFFF < self.odds[second // 60]
        if is_trade:
            self.trade(word, bid, ask)
        shown = is_trade or self.given.get("repeat_last", False)
        return (self.last * tick * shown, self.bid * tick, self.ask * tick, self.volume,
                self.qty * shown, self.bid_lots * lot, self.ask_lots * lot,
                self.oi * lot)  # fmt: skip


def model_ticks(given: dict[str, Any]) -> list[tuple[int, ...]]:
    """Every record of the day: instrument, exch_ns, recv_ns, then those of `Lane.record`."""
    lanes = [Lane(given, index) for index in range(len(given["lanes"]))]
    events = sorted((record for lane in lanes for record in lane.records), key=lambda e: e[:2])
    words: Words = stream(given["seed"], given["ordinal"], 5)
    stamped, received, rows = [0] * len(lanes), 0, []
    for at, index, second, values in events:
        word = words.next()
        stamp = max(at - (word & 0x1FFFFF), lanes[index].starts(second)) // 10**6 * 10**6
        stamped[index] = max(stamp, stamped[index])
        delay = quantile("latency", word >> 32) * 1000
        if word >> 21 & 0x7FF == 0:
            delay *= 4
        arrival = at + delay + (word & 0x3FF)
        received = arrival if arrival > received else received + 150 + (word & 0xFF)
        rows.append((index, stamped[index], received, *values))
    return rows


def as_rows(ticks: Any) -> list[tuple[int, ...]]:
    """Native records as the model writes them."""
    names = ("instrument", "exch_ns", "recv_ns", "price", "bid", "ask", "volume", "qty", "bid_qty",
             "ask_qty", "oi")  # fmt: skip
    return list(zip(*(ticks[name].tolist() for name in names), strict=True))


def small_day(seed: int, minutes: int, counts: list[int], **more: Any) -> dict[str, Any]:
    """Arguments of a `TickFlow` of a few lanes: an index, a future, a call, a put, and so on."""
    from dhanfast._core.lanes import LANE_DTYPE
    from dhanfast._core.walk import second_shares

    drawn = np.random.default_rng(seed)
    steps = 60 * minutes
    index = 5e6 + np.concatenate([[0.0], drawn.normal(0, 300, steps).cumsum()])
    lanes = np.zeros(len(counts), LANE_DTYPE)
    for i, count in enumerate(counts):
        strike = float(drawn.integers(490, 511)) * 1e4
        lanes[i] = (strike, 0.15, drawn.choice([5, 20]), 35 if i else 0, count, 50_000,
                    min(i, 2 + i % 2), drawn.integers(16, 300), drawn.integers(1, 150),
                    drawn.integers(1, 80), drawn.integers(8, 60), 0)  # fmt: skip
    weights = drawn.uniform(0.1, 3.0, (len(counts), minutes))
    weights *= ((np.array(counts) + 1) / weights.sum(axis=1))[:, None]
    start = 1_763_351_100 * SECOND
    starts = start + 60 * SECOND * np.arange(minutes, dtype=np.int64)
    starts[minutes // 2 :] += 3600 * SECOND  # a break in the day
    return {
        "seed": seed, "ordinal": 739_572, "lanes": lanes, "weights": weights,
        "odds": drawn.integers(0, 20_000, (len(counts), minutes), np.uint16),
        "wide": drawn.integers(16, 40, minutes, np.uint16), "minutes": starts, "index": index,
        "future": index * 1.002, "heat": second_shares(seed, 1, index), "forward_ratio": 0.999,
        "discount": 0.998, "expiry_ns": start + 86_400 * SECOND, **more,
    }  # fmt: skip
