"""Strategies that cheat on purpose, each in its own way, and honest ones that look like them.

Each is the source of a file; RECORD stands for the path of a file that holds the whole market.
"""

HEAD = "from dhanfast.strategies import Strategy, RuleStrategy, Rules, param\n"

# name -> (source, codes of which one at least must be found)
CHEATS: dict[str, tuple[str, set[str]]] = {}

CHEATS["the next close from a file, read when it is imported"] = (
    HEAD + """
with open(RECORD) as lines:
    ROWS = [line.split(",") for line in lines]
CLOSE = [float(row[1]) for row in ROWS]
AT = {int(row[0]): number for number, row in enumerate(ROWS)}

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        at = AT[bar.start_ns]
        if ctx.position == 0 and at + 1 < len(CLOSE):
            if CLOSE[at + 1] > CLOSE[at]:
                ctx.buy(stop=50, target=50)
            else:
                ctx.sell(stop=50, target=50)
""", {"outside", "knows-record"})  # fmt: skip

CHEATS["the same through a reader that asks nobody (shift by -1)"] = (
    HEAD + """
import numpy as np
import pyarrow.csv as pc
TABLE = pc.read_csv(RECORD, read_options=pc.ReadOptions(column_names=["at", "close"]))
CLOSE = TABLE["close"].to_numpy()
NEXT = np.roll(CLOSE, -1)
AT = {int(at): number for number, at in enumerate(TABLE["at"].to_numpy())}

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        at = AT[bar.start_ns]
        if NEXT[at] > CLOSE[at]:
            ctx.buy(stop=50)
        else:
            ctx.sell(stop=50)
""", {"knows-record"})  # fmt: skip

CHEATS["the mean of the whole series, read in on_start"] = (
    HEAD + """
class Mine(Strategy):
    def on_start(self, m):
        with open(RECORD) as lines:
            closes = [float(line.split(",")[1]) for line in lines]
        self.mean = sum(closes) / len(closes)

    def on_bar(self, ctx, bar):
        if ctx.position == 0 and bar.close < self.mean - 100:
            ctx.buy(stop=100, target=100)
""", {"outside"})  # fmt: skip

CHEATS["the mean of the whole series as a constant of rules"] = (
    HEAD + """
import numpy as np

class Mine(RuleStrategy):
    def rules(self, m):
        mean = float(np.loadtxt(RECORD, delimiter=",")[:, 1].mean())
        return Rules(long=m.close < mean, exit_long=m.close > mean, stop=100.0)
""", {"outside", "reads-file"})  # fmt: skip

CHEATS["the future's VIX of the day from a file"] = (
    HEAD + """
from pathlib import Path

class Mine(Strategy):
    def on_start(self, m):
        self.vix = {}
        for line in Path(RECORD).read_text().split():
            at, close = line.split(",")
            self.vix[int(at) // 86_400_000_000_000] = float(close) / 3000  # its close, not open

    def on_bar(self, ctx, bar):
        if ctx.session_start and self.vix[bar.start_ns // 86_400_000_000_000] > 15:
            ctx.sell(stop=200)
""", {"outside", "reads-file"})  # fmt: skip

CHEATS["an array found by walking up the engine's frames"] = (
    HEAD + """
import sys
import numpy as np

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        frame, rows = sys._getframe(0), None
        while frame is not None and rows is None:
            for item in frame.f_locals.values():
                if isinstance(item, np.ndarray) and "close" in (item.dtype.names or ()):
                    rows = item
            frame = frame.f_back
        at = int(np.searchsorted(rows["start_ns"], bar.start_ns)) + 1
        later = rows["close"][at] if at < len(rows) else rows["close"][-1]
        if ctx.position == 0 and later / 100 > bar.close + 5:
            ctx.buy(stop=50, target=20)
        elif later / 100 < bar.close - 5:
            ctx.exit()
""", {"lookahead-entry", "lookahead-exit"})  # fmt: skip

CHEATS["the engine's bars found through the garbage collector"] = (
    HEAD + """
import gc

class Mine(Strategy):
    def on_start(self, m):
        sets = [item for item in gc.get_objects() if type(item).__name__ == "BarSet"]
        bars = max(sets, key=lambda item: len(item.bars)).bars
        self.close = dict(zip(bars["start_ns"].tolist(), (bars["close"] / 100).tolist()))

    def on_bar(self, ctx, bar):
        later = self.close.get(bar.start_ns + 60_000_000_000)
        if later is not None and ctx.position == 0:
            if later > self.close[bar.start_ns]:
                ctx.buy(stop=50)
            else:
                ctx.sell(stop=50)
""", {"engine-insides"})  # fmt: skip

CHEATS["what an earlier run has seen, kept on the class"] = (
    HEAD + """
class Mine(Strategy):
    def on_bar(self, ctx, bar):
        import builtins
        seen = builtins.__dict__.setdefault("_dhanfast_cheat", {})
        later = seen.get(bar.start_ns + 60_000_000_000)
        seen[bar.start_ns] = bar.close
        if ctx.position == 0 and later is not None and later > bar.close:
            ctx.buy(stop=50, target=20)
        elif ctx.position == 0 and later is None and bar.close % 7 < 1:
            ctx.buy(stop=50, target=20)
""", {"unrepeatable"})  # fmt: skip

CHEATS["quotes fetched over the network"] = (
    HEAD + """
import urllib.request

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        if ctx.position == 0 and ctx.session_start:
            ctx.buy(stop=50, target=50)
""", {"network"})  # fmt: skip

CHEATS["a vectorised frame with a negative shift"] = (
    HEAD + """
def signals(frame):
    ahead = frame["close"].shift(-1)
    level = frame["close"].rolling(21, center=True).mean().bfill()
    return (ahead > frame["close"]) & (level > frame["close"])

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        if ctx.position == 0 and ctx.session_start:
            ctx.buy(stop=50, target=50)
""", {"future-index"})  # fmt: skip

HONEST: dict[str, str] = {}

HONEST["rules"] = (
    HEAD
    + """
class Mine(RuleStrategy):
    def rules(self, m):
        return Rules(long=m.close.crosses_above(m.sma(20)), short=m.close.crosses_below(m.sma(20)),
                     stop=m.atr(14), target=2.0 * m.atr(14))
"""
)

HONEST["a deque of closes and a counter"] = (
    HEAD
    + """
from collections import deque

class Mine(Strategy):
    def on_start(self, m):
        self.closes, self.bars = deque(maxlen=30), 0

    def on_bar(self, ctx, bar):
        self.bars += 1
        self.closes.append(bar.close)
        mean = sum(self.closes) / len(self.closes)
        if ctx.position == 0 and bar.close < mean - 20:
            ctx.buy(stop=50, target=50)
        elif ctx.position > 0 and bar.close > mean:
            ctx.exit()
"""
)

HONEST["the same minute of every day"] = (
    HEAD
    + """
class Mine(Strategy):
    def on_bar(self, ctx, bar):
        if ctx.position == 0 and ctx.now.hour == 9 and ctx.now.minute == 31:
            ctx.buy(stop=100, target=100)
        elif ctx.position > 0 and ctx.now.hour == 11:
            ctx.exit()
"""
)

HONEST["chance with a seed of its own"] = (
    HEAD
    + """
import random

class Mine(Strategy):
    seed = param(7, low=0, high=1000)

    def on_start(self, m):
        self.dice = random.Random(self.seed)

    def on_bar(self, ctx, bar):
        if self.dice.random() < 0.02:
            ctx.buy(stop=50, target=50)
"""
)
