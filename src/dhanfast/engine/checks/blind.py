"""The blind test: what a strategy decides when its bars say nothing about the recorded market.

It is shown a random walk: the recorded bars' returns in random order, under the recorded stamps.
Its entries are then compared with what the recorded market did next. Whoever decides by the bars he
is shown cannot do better than chance; whoever has the recorded market from elsewhere (a file, a
table in memory, a trained model) does.

    T(k) = sum over entries of direction x the recorded return that followed, k trading days later

Were the two independent, every T(k) would be as likely as T(0), whatever the time of day, the
clustering of entries or of returns: shifting by whole days leaves all of that as it is. So

    z = (T(0) - mean of T(k)) / standard deviation of T(k),  k = 1 .. days - 1

and the strategy knows the record when |z| > 6 and T(0) is farther from the mean than all T(k). A
second statistic leaves the direction out on both sides: who enters before large moves knows too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.strategy import Action

if TYPE_CHECKING:
    from dhanfast.engine.checks.stage import Stage

WALKS: Final = 3
DAYS_MIN: Final = 20
DAYS_ENTERED_MIN: Final = 15  # of fewer, one wild day of the record could decide
CLIP: Final = 5.0  # returns count up to so many median sizes, for the same reason
ENTRIES_MIN: Final = 30
Z_MIN: Final = 6.0
HORIZONS: Final = (1, 5, 15, 60, 0)  # bars; 0 = to the end of the day

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tie:
    """How entries on random bars go with the recorded market over one horizon.

    Attributes:
        what: the horizon in words. z: see the module. beats_all: T(0) is beyond every T(k).
    """

    what: str
    z: float
    beats_all: bool


@dataclass(frozen=True, slots=True)
class Blind:
    """The blind test of one strategy.

    Attributes:
        walks: random walks it was shown. entries: it asked for on them. days: of the data.
    """

    walks: int
    entries: int
    days: int
    ties: tuple[Tie, ...]

    @property
    def strongest(self) -> Tie:
        """The tie with the largest |z|, of those that beat every shift if there are any."""
        return max(self.ties, key=lambda tie: (tie.beats_all, abs(tie.z)))

    @property
    def knows(self) -> bool:
        """True when its decisions know the recorded market."""
        return self.strongest.beats_all and abs(self.strongest.z) > Z_MIN

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        ties = [{"what": tie.what, "z": round(tie.z, 3), "beats_all": tie.beats_all}
                for tie in self.ties]  # fmt: skip
        return {
            "knows": self.knows, "walks": self.walks, "entries": self.entries, "days": self.days,
            "ties": ties,
        }  # fmt: skip


def blind_test(stage: "Stage", decisions: NDArray[Any], seed: int = 0) -> tuple[Blind | None, str]:
    """Show the strategy random walks and compare its entries with the recorded market.

    Args:
        stage: the strategy and its bars. decisions: of a whole run: the bars inside sessions.
        seed: of the walks.
    Returns:
        (the test, ""), or (None, why it could not run).
    """
    days = int(decisions["session_start"].sum())
    if days < DAYS_MIN:
        return None, f"it needs {DAYS_MIN} trading days, the data has {days}"
    starts = decisions["start_ns"]
    day = np.cumsum(decisions["session_start"]) - 1
    slot = ((starts - starts[0]) // stage.interval_ns) % max(1, 86_400 * 10**9 // stage.interval_ns)
    slots = np.unique(slot)
    column = np.searchsorted(slots, slot)
    shape = (days, len(slots))
    signed, asked = np.zeros(shape), np.zeros(shape)
    rng = np.random.default_rng(seed)
    entries = 0
    for _ in range(WALKS):
        run = stage.run(random_walk(stage.bars, rng), flat=True)
        if run.error is not None:
            return None, f"the strategy raised on random bars: {run.error}"
        action = run.decisions["action"]
        enters = (action == Action.GO_LONG) | (action == Action.GO_SHORT)
        entries += int(enters.sum())
        signed[day, column] += np.where(enters, action, 0)
        asked[day, column] += enters
    if entries < ENTRIES_MIN:
        return None, f"on random bars it made {entries} entries, {ENTRIES_MIN} are needed"
    entered = int(asked.any(axis=1).sum())
    if entered < DAYS_ENTERED_MIN:
        return None, f"on random bars it entered on {entered} days, {DAYS_ENTERED_MIN} are needed"
    at = np.searchsorted(stage.bars["start_ns"], starts)
    close = np.full(shape, np.nan)
    close[day, column] = np.log(stage.bars["close"][at])
    ties = ties_of(signed, asked, close, sizes=not stage.sees_vix)
    return Blind(WALKS, entries, days, tuple(ties)), ""


def random_walk(bars: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Bars with the same stamps whose returns are those of `bars` in random order.

    Units:
        paise, at least 1; each bar's open, high, low and close move together.
    """
    close = bars["close"].astype(np.float64)
    before = np.concatenate(([bars["open"][0]], close[:-1]))
    order = rng.permutation(len(bars))
    path = np.exp(np.log(close / before)[order].cumsum()) * before[0]
    opens = np.concatenate(([before[0]], path[:-1]))
    out = bars.copy()
    for name in ("open", "high", "low"):
        moved = opens * (bars[name] / before)[order]
        out[name] = np.maximum(1, np.rint(moved)).astype(np.int64)
    out["close"] = np.maximum(1, np.rint(path)).astype(np.int64)
    out["high"] = np.maximum.reduce([out[name] for name in ("open", "high", "close")])
    out["low"] = np.minimum.reduce([out[name] for name in ("open", "low", "close")])
    for name in ("volume", "oi"):
        out[name] = bars[name][order]
    return out


def ties_of(signed: Floats, asked: Floats, close: Floats, *, sizes: bool = True) -> list[Tie]:
    """Every horizon's tie between entries and what followed in the record.

    Args:
        signed, asked: entries by day and time of day, with and without their direction.
        close: log of the recorded closes, NaN where there was no bar.
        sizes: also without direction. Not for who is told India VIX: the true one is part of what
            he is shown, and it foretells how large moves are.
    Shape:
        all float64[days, times of day].
    """
    found = []
    for horizon in HORIZONS:
        follows = clipped(followed(close, horizon))
        words = "to the end of the day" if horizon == 0 else (
            "on the next bar" if horizon == 1 else f"over the next {horizon} bars")  # fmt: skip
        found.append(tie(signed, follows, words))
        if sizes:
            found.append(tie(asked, np.abs(follows), f"{words}, up or down"))
    return found


def followed(close: Floats, horizon: int) -> Floats:
    """The return from each bar's close to that of `horizon` bars later on the same day; 0 = none.

    Args:
        close: log prices by day and time of day. horizon: bars; 0 = to the day's last close.
    """
    out = np.zeros_like(close)
    if horizon:
        out[:, :-horizon] = close[:, horizon:] - close[:, :-horizon]
    else:
        last = np.array([row[~np.isnan(row)][-1] if (~np.isnan(row)).any() else np.nan
                         for row in close])  # fmt: skip
        out = last[:, None] - close
    return np.nan_to_num(out, nan=0.0)


def clipped(follows: Floats) -> Floats:
    """Returns, none larger than CLIP times the median size of those that are not 0."""
    sizes = np.abs(follows[follows != 0])
    if len(sizes) == 0:
        return follows
    most = CLIP * float(np.median(sizes))
    held: Floats = np.clip(follows, -most, most)
    return held


def tie(entries: Floats, follows: Floats, what: str) -> Tie:
    """T(0) against its own shifts by whole days; z = 0 where all shifts are the same."""
    days = len(entries)
    rows = np.flatnonzero(entries.any(axis=1))  # most of a quiet strategy's days say nothing
    table = np.array(
        [float((entries[rows] * follows[(rows + shift) % days]).sum()) for shift in range(days)]
    )
    rest, spread = table[1:], float(table[1:].std(ddof=1))
    away = abs(table[0] - rest.mean())
    if spread <= 1e-12 * max(1.0, float(np.abs(table).max())):
        return Tie(what, 0.0, False)
    beats = bool(away > np.abs(rest - rest.mean()).max())
    return Tie(what, float((table[0] - rest.mean()) / spread), beats)
