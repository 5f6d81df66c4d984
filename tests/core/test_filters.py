"""Filters: what they take back, against a plain model that looks at the bars by other means."""

import datetime as dt
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.filters import VETO_DTYPE, WINDOW_DTYPE, Filters
from dhanfast._core.strategy import Action
from dhanfast._core.watch import Watch
from dhanfast.engine.engine import Engine
from dhanfast.engine.filter_build import filters_of
from dhanfast.engine.filter_settings import Event, FilterSettings, Span
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.storage.bars import BarSet
from tests.core.scripted import Scripted, unheard, wishes

MINUTE = 60_000_000_000
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
# Of BANKNIFTY in February 2022, by the exchange's calendar of that month.
WEEKLY = {dt.date(2022, 2, 3), dt.date(2022, 2, 10), dt.date(2022, 2, 17)}
MONTHLY = {dt.date(2022, 2, 24)}


def market() -> BarSet:
    bars = generated_bars(
        "BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 25), seed=4, kind="FUT"
    )
    rows = bars.bars.copy()
    rows["oi"] = 1_000_000 + np.cumsum(np.random.default_rng(3).integers(-500, 520, len(rows)))
    return replace(bars, bars=rows)


BARS = market()


class Model:
    """The filters by the words of their page, on columns that other code has made."""

    def __init__(self, told: FilterSettings, bars: Any) -> None:
        self.told = told
        self.close = bars["close"] / 100.0
        self.volume, self.oi = bars["volume"].astype(float), bars["oi"].astype(float)
        self.adx = talib.ADX(
            bars["high"] / 100.0, bars["low"] / 100.0, self.close, told.momentum_bars
        )

    def objects(self, at: int, now: dt.datetime, side: int) -> str:
        """Name of the first filter that objects; empty when none does."""
        for name in self.told.names:
            if not self._passes(name, at, now, side):
                return name
        return ""

    def _passes(self, name: str, at: int, now: dt.datetime, side: int) -> bool:
        told, clock = self.told, now.time()
        minutes = (now.hour * 60 + now.minute) * MINUTE
        if name == "open":
            return not 0 <= minutes - (9 * 60 + 15) * MINUTE < told.open_ns
        if name == "lunch":
            return not told.lunch_from <= clock < told.lunch_until
        if name == "close":
            return minutes < (15 * 60 + 30) * MINUTE - told.close_ns
        if name == "expiry":
            days = {"weekly": WEEKLY, "monthly": MONTHLY, "any": WEEKLY | MONTHLY}[told.expiry]
            return now.date() not in days or clock < (told.expiry_from or dt.time())
        if name == "event":
            return not any(
                event.day == now.date()
                and (event.start is None or event.start <= clock < (event.until or dt.time()))
                for event in told.events
            )
        if name in {span.name for span in told.windows}:
            return not any(
                span.start <= clock < span.until for span in told.windows if span.name == name
            )
        return self._confirms(name, at, side)

    def _confirms(self, name: str, at: int, side: int) -> bool:
        told = self.told
        if name == "volume":
            before = self.volume[max(0, at - told.volume_bars) : at]
            return len(before) == told.volume_bars and bool(
                self.volume[at] >= told.volume * before.mean() > 0
            )
        if name == "oi":
            if at < told.oi_bars:
                return False
            rise = self.oi[at] - self.oi[at - told.oi_bars]
            moved = self.close[at] - self.close[at - told.oi_bars]
            return bool(moved * side > 0 and (told.oi_cover or rise > 0))
        roc = (
            self.close[at] - self.close[at - told.momentum_bars] if at >= told.momentum_bars else 0
        )
        by_roc = roc * side > 0
        by_adx = bool(self.adx[at] >= told.adx)  # NaN in warm-up: no
        return {"roc": by_roc, "adx": by_adx, "both": by_roc and by_adx}[told.momentum]


def run(told: FilterSettings, script: list[Any]) -> tuple[Watch, Watch, Filters]:
    """Wishes before and after the filters, of one who never holds anything."""
    settings = Settings(capital=10**10, filters=told)
    sessions = sessions_of(BARS, settings, MINUTE)
    inner = Watch(Scripted(script).runner(unheard, MINUTE), len(BARS.bars))
    filters = filters_of(told, inner, sessions, MINUTE, 1024)
    assert filters is not None
    outer = Watch(filters, len(BARS.bars), flat=True)
    engine = Engine(outer, sessions, Settings(capital=10**10), interval_ns=MINUTE)
    engine.feed(BARS.bars)
    engine.finish()
    return inner, outer, filters


MODELS = st.builds(
    FilterSettings,
    times=st.sampled_from([(), ("open",), ("lunch", "close"), ("open", "lunch", "close")]),
    open_ns=st.sampled_from([5 * MINUTE, 30 * MINUTE]),
    windows=st.sampled_from([(), (Span("tea", dt.time(10, 30), dt.time(11, 5)),)]),
    expiry=st.sampled_from(["none", "weekly", "monthly", "any"]),
    events=st.sampled_from(
        [
            (),
            (
                Event(dt.date(2022, 2, 1), "budget"),
                Event(dt.date(2022, 2, 10), "policy", dt.time(9, 45), dt.time(10, 45)),
            ),
        ]
    ),
    volume=st.sampled_from([0.0, 0.8, 1.3]),
    volume_bars=st.sampled_from([1, 20]),
    momentum=st.sampled_from(["none", "roc", "adx", "both"]),
    momentum_bars=st.sampled_from([5, 14]),
    oi_bars=st.sampled_from([0, 1, 15]),
    oi_cover=st.booleans(),
)


@settings(max_examples=20, deadline=None)
@given(told=MODELS, seed=st.integers(0, 2**32))
def test_what_is_taken_back_is_what_the_model_says(told: FilterSettings, seed: int) -> None:
    if not told.names:
        return
    inner, outer, filters = run(told, wishes(seed, len(BARS.bars), often=0.5))
    model, counts = Model(told, BARS.bars), Counter[str]()
    kept = dropped = 0
    for at, (asked, left) in enumerate(zip(inner.decisions, outer.decisions, strict=True)):
        assert asked["start_ns"] == left["start_ns"] == BARS.bars["start_ns"][at]
        if asked["action"] not in (Action.GO_LONG, Action.GO_SHORT):
            assert left["action"] == asked["action"]  # an exit always passes
            continue
        now = dt.datetime.fromtimestamp((int(asked["start_ns"]) + MINUTE) // 10**9, IST)
        name = ""
        if dt.time(9, 20) <= now.time() < dt.time(15, 0):  # else the engine drops it itself
            name = model.objects(at, now, int(asked["action"]))
        if name:
            counts[name] += 1
            dropped += 1
            assert (left["action"], left["stop"], left["target"]) == (Action.HOLD, 0.0, 0.0)
        else:
            kept += 1
            assert left["action"] == asked["action"] and left["stop"] == asked["stop"]
    assert filters.vetoed == dict(counts)
    assert kept + dropped > 1000


def test_rows_tell_every_veto_once_and_join_what_has_no_break() -> None:
    told = FilterSettings(
        windows=(Span("tea", dt.time(10, 30), dt.time(10, 40)),), momentum="roc", momentum_bars=5
    )
    script = [(1, 0.0, 0.0)] * len(BARS.bars)
    _, _, filters = run(told, script)
    rows = filters.take()
    assert rows.dtype == VETO_DTYPE and filters.lost == 0
    assert {
        name: int(rows["count"][rows["filter"] == at].sum())
        for at, name in enumerate(filters.names)
    } == filters.vetoed
    tea = rows[rows["filter"] == 0]
    assert len(tea) == len(np.unique(BARS.bars["start_ns"] // (86_400 * 10**9)))  # one a day
    assert (tea["count"] == 10).all()  # bars that end at 10:30 .. 10:39
    assert (tea["until_ns"] - tea["from_ns"] == 9 * MINUTE).all() and np.isnan(tea["value"]).all()
    slow = rows[rows["filter"] == 1]
    known = slow[np.isfinite(slow["value"])]
    assert (known["value"] <= 0).all() and (known["limit"] == 0).all() and (slow["side"] == 1).all()
    assert len(filters.take()) == 0


def test_without_room_for_a_row_the_veto_still_counts() -> None:
    inner = Scripted([]).runner(unheard, MINUTE)
    assert Filters(inner, ["a"], room=1024).lost == 0
    told = FilterSettings(momentum="roc", momentum_bars=5)
    script = [((-1) ** at, 0.0, 0.0) for at in range(len(BARS.bars))]  # no two on one row
    _, _, filters = run(told, script)
    rows = filters.take()
    assert len(rows) == 1024 and filters.lost > 0
    assert len(rows) + filters.lost == sum(filters.vetoed.values())


def test_windows_may_overlap_and_the_first_filter_named_has_the_veto() -> None:
    day = int(BARS.bars["start_ns"][0]) // (86_400 * 10**9) * (86_400 * 10**9)
    windows = np.array(
        [
            (day, day + 86_400 * 10**9, 1),
            (day, day + 10**9, 0),
            (day + 5 * 3600 * 10**9, day + 6 * 3600 * 10**9, 0),
        ],
        WINDOW_DTYPE,
    )
    inner = Scripted([(1, 0.0, 0.0)] * 400).runner(unheard, MINUTE)
    filters = Filters(inner, ["early", "day"], windows=windows)
    engine = Engine(
        Watch(filters, 10_000, flat=True),
        sessions_of(BARS, Settings(), MINUTE),
        Settings(),
        interval_ns=MINUTE,
    )
    engine.feed(BARS.bars[:370])
    # 5 to 6 h UTC is 10:30 to 11:30 IST; entries are open from 09:20 to 15:00.
    assert filters.vetoed == {"early": 60, "day": 340 - 60}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("names must be 1..32", {"names": []}),
        ("each once", {"names": ["a", "a"]}),
        ("spread must be a place", {"spread": 3}),
        ("room must be at least 1024", {"room": 5}),
        ("must end after it begins", {"windows": np.array([(5, 5, 0)], WINDOW_DTYPE)}),
        ("must be of a filter in 0..0", {"windows": np.array([(5, 6, 1)], WINDOW_DTYPE)}),
        ("WINDOW_DTYPE", {"windows": np.zeros(3)}),
    ],
)
def test_what_cannot_be_is_refused(words: str, given: dict[str, Any]) -> None:
    inner = Scripted([]).runner(unheard, MINUTE)
    with pytest.raises(ValueError, match=words):
        Filters(inner, given.pop("names", ["a"]), **given)


def test_another_strategy_inside_is_asked_as_the_first_was() -> None:
    """Exchanged between two bars, the filters go on with what they know: what is taken back is what
    they would have taken back from one strategy that wished all of it."""
    told = FilterSettings(momentum="roc", momentum_bars=30, times=("lunch",))
    wished = [(1, 0.0, 0.0)] * len(BARS.bars)

    def vetoed(cut: int) -> tuple[dict[str, int], list[tuple[int, int]]]:
        sessions = sessions_of(BARS, Settings(), MINUTE)
        first = Scripted(wished).runner(unheard, MINUTE)
        filters = filters_of(told, first, sessions, MINUTE)
        assert filters is not None
        watch = Watch(filters, len(BARS.bars), flat=True)
        engine = Engine(watch, sessions, Settings(capital=10**10), interval_ns=MINUTE)
        engine.feed(BARS.bars[:cut])
        filters.failed, filters.error = 1, ValueError("of the one before")
        second = Scripted(wished).runner(unheard, MINUTE)
        filters.put(second)
        assert filters.inner is second and not filters.failed and filters.error is None
        engine.feed(BARS.bars[cut:])
        return filters.vetoed, [(int(row["from_ns"]), int(row["count"])) for row in filters.take()]

    never, at_noon = vetoed(1), vetoed(1_000)
    assert never == at_noon and never[0]["momentum"] > 100
