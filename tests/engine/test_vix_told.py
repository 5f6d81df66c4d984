"""A strategy that looks at India VIX in a live run: it sees the feed's ticks, and a restart's."""

import math
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.journal import Kind
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.live import LiveRun
from dhanfast.engine.settings import Settings
from dhanfast.errors import ConfigError
from dhanfast.strategies import Market, Strategy
from tests.engine.live_stage import FUTURE, PRICE, SECOND, at, journal_of, records_of, tick_at

VIX = FUTURE + 1
TOLD = Settings(guards=GuardSettings(vix_told=1))


class Watcher(Strategy):
    """Writes down India VIX on every bar."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_start(self, m: Market) -> None:
        self.vix = m.vix

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.seen.append(self.vix.value)


def run_of(folder: Path, watcher: Watcher, settings: Settings = TOLD) -> LiveRun:
    return LiveRun(
        watcher, symbol="BANKNIFTY", journal=journal_of(folder / "day.dfj"), instrument=FUTURE,
        first_ns=at("09:30"), settings=settings, vix=VIX,
    )  # fmt: skip


def test_the_feeds_vix_is_seen_and_a_restart_sees_it_again(tmp_path: Path) -> None:
    watcher = Watcher()
    run = run_of(tmp_path, watcher)
    now, volume = at("09:30"), 0
    for minute, vix in enumerate((None, 1_512, None, 20_000, 1_690)):
        for second in range(6):
            now += 10 * SECOND
            volume += 30
            run.loop.take_ticks(tick_at(now, PRICE, volume), now)
            if second == 3 and vix is not None:
                tick = tick_at(now, vix, 0)
                tick["instrument"] = VIX
                run.loop.take_ticks(tick, now)
        assert len(watcher.seen) <= minute + 1
    assert math.isnan(watcher.seen[0])
    # A value of 200 points is a fault of the feed: the one before it stays.
    assert watcher.seen[1:] == [15.12, 15.12, 15.12, 16.9]
    run.journal.close()

    old = records_of(tmp_path / "day.dfj")
    again = Watcher()
    second_run = run_of(tmp_path, again)
    second_run.journal.append_record(Kind.RESUME, b"{}", now, vital=True)
    second_run.recover(old, now)
    assert repr(again.seen) == repr(watcher.seen)


def test_without_the_switch_the_live_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"risk\.guards\.vix\.told = true"):
        run_of(tmp_path, Watcher(), Settings())
