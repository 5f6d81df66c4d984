"""Locks of the guards in a live day: told once, kept beyond it, and repeated by a restart."""

import datetime as dt
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.guard_rules import NEXT_SESSION, UNTIL_UNLOCK
from dhanfast._core.guardlocks import GuardKind
from dhanfast._core.guards import Guards
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE
from dhanfast._core.wire.records import TickFlag
from dhanfast.engine.control import COMMANDS
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.live import LiveRun
from dhanfast.engine.live_view import LiveView
from dhanfast.engine.locks import (
    Carried,
    LockFile,
    carried_in,
    carried_over,
    end_of,
    lines_of,
    opening,
    until_text,
)
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.bars import BarSet, Source, write_parquet
from tests.engine.live_stage import (
    DAY,
    MINUTE,
    SECOND,
    Stage,
    at,
    commands_of,
    journal_of,
    records_of,
    scripted,
)

VIX = 9  # the feed's number
IN_AND_OUT = {2: "buy", 4: "exit", 6: "buy", 7: "buy", 8: "buy", 11: "buy", 13: "exit", 15: "buy"}


def notes_of(path: Path, key: str) -> list[dict[str, Any]]:
    notes = (json.loads(words) for kind, words in records_of(path) if kind == Kind.NOTE)
    return [note for note in notes if key in note]


def names(stage: Stage) -> list[str]:
    keeper = stage.engine.keeper
    assert keeper is not None
    return [lock.name for lock in keeper.lines()]


def vix_tick(points: float, now_ns: int, flags: int = 0) -> np.ndarray[Any, Any]:
    tick = np.zeros(1, TICK_DTYPE)
    tick["instrument"], tick["price"], tick["flags"] = VIX, round(points * 100), flags
    tick["exch_ns"] = tick["recv_ns"] = now_ns
    return tick


# ---- told once, in the log, the journal and the status -------------------------------------------


def test_a_lock_and_its_veto_are_told_once_a_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dhanfast.guards")
    stage = Stage(tmp_path, IN_AND_OUT, guards=Guards(trades_max=1))

    async def act() -> None:
        await stage.wait(9 * 60)
        assert names(stage) == ["max_trades"] and stage.position == 0
        assert stage.run.kernel.orders_refused == 3, "three entries, three vetoes"
        assert "locked: max_trades" in stage.engine.heartbeat_text()
        view = LiveView(stage.engine, run="main", mode="paper", strategy="s", instrument="i",
                        timeframe="1m")  # fmt: skip
        (lock,) = view.status()["locks"]
        assert lock["name"] == "max_trades" and lock["until"] == "next session"
        assert view.status()["vetoes"] == {"GUARD_TRADES": 3}
        assert view.locks() == [lock] and "limit is 1" in lock["text"]
        said = await stage.engine.command("unlock", lock="all")
        assert said == {"text": "unlocked: max_trades", "locks": []}
        await stage.wait(7 * 60)  # another trade, another lock, another veto

    stage.play(act)
    told = [(note["guard"], note["name"]) for note in notes_of(stage.path, "guard")]
    assert told == [
        ("lock", "max_trades"), ("veto", "guard_trades"), ("unlock", "max_trades"),
        ("lock", "max_trades"), ("veto", "guard_trades"),
    ]  # fmt: skip
    logged = [record.message for record in caplog.records if record.name == "dhanfast.guards"]
    assert len(logged) == 5 and "the limit is 1" in logged[0]
    assert commands_of(stage.path).count("UNLOCK") == 1
    result = stage.run.so_far()
    assert result is not None and sum("guards:" in text for _, text in result.log) == 3


def test_an_alert_is_told_before_the_lock(tmp_path: Path) -> None:
    fall = [0]
    stage = Stage(tmp_path, {2: "buy"}, price=lambda now_ns: 5_000_000 - fall[0],
                  guards=Guards(drawdown_paise=100_000, alert_e4=8_000))  # fmt: skip

    async def act() -> None:
        await stage.until(lambda: stage.position, 200)
        keeper = stage.engine.keeper
        assert keeper is not None and keeper.alerts == []
        fall[0] = 2_600  # 30 units: 780 rupees and the charges, of 1,000
        await stage.wait(10)
        assert len(keeper.alerts) == 1 and "drawdown" in keeper.alerts[0] and names(stage) == []
        fall[0] = 3_300
        await stage.wait(10)
        assert names(stage) == ["drawdown"] and stage.position, "exits are the trader's own"
        assert keeper.alerts == [], "the lock says it now"

    stage.play(act)
    assert [note["guard"] for note in notes_of(stage.path, "guard")][:2] == ["alert", "lock"]


# ---- commands ------------------------------------------------------------------------------------


def test_a_restart_repeats_locks_and_unlocks(tmp_path: Path) -> None:
    first = Stage(tmp_path, IN_AND_OUT, guards=Guards(trades_max=1))

    async def act() -> None:
        await first.wait(5 * 60)
        assert names(first) == ["max_trades"]
        await first.engine.command("lock", lock="operator", until="session")
        await first.engine.command("lock", lock="cooldown-period", until="30m")
        await first.engine.command("unlock", lock="max_trades")
        assert names(first) == ["operator", "cooldown_period"]

    first.play(act)
    was = first.run.guards.carry()  # type: ignore[union-attr]
    first.journal.close()
    again = Stage(tmp_path, IN_AND_OUT, start="09:36", guards=Guards(trades_max=1))
    assert again.run.guards.carry() == was  # type: ignore[union-attr]
    assert names(again) == ["operator", "cooldown_period"]
    again.loop.close()
    said = [note["name"] for note in notes_of(again.path, "guard")]
    assert said.count("operator") == 1, "a restart does not tell again"


@pytest.mark.parametrize(
    "name, arguments, words",
    [
        ("unlock", {"lock": "dayloss"}, "did you mean day_loss?"),
        ("unlock", {"lock": "day_loss"}, "day_loss is not locked; locked: nothing"),
        ("unlock", {}, "no lock is called ''"),
        ("lock", {"until": "09:00"}, "that has passed"),
        ("lock", {"until": "soon"}, "write a time of today"),
        ("lock", {"until": "-5m"}, "write a time of today"),
    ],
)
def test_commands_that_cannot_be_done(
    tmp_path: Path, name: str, arguments: dict[str, str], words: str
) -> None:
    stage = Stage(tmp_path, {}, guards=Guards(trades_max=1))

    async def act() -> None:
        await stage.wait(5)
        with pytest.raises(UsageError) as error:
            await stage.engine.command(name, **arguments)
        assert words in str(error.value)

    stage.play(act)
    assert not {"LOCK", "UNLOCK"} & set(commands_of(stage.path))
    assert set(arguments) <= set(COMMANDS[name])


def test_without_guards_nothing_can_be_locked(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {})

    async def act() -> None:
        with pytest.raises(DhanfastError, match="there are no guards"):
            await stage.engine.command("lock")

    stage.play(act)


def test_when_a_lock_ends() -> None:
    now = at("10:00")
    assert end_of("", DAY, now) == UNTIL_UNLOCK and until_text(UNTIL_UNLOCK) == "unlocked"
    assert end_of("session", DAY, now) == NEXT_SESSION
    assert until_text(NEXT_SESSION) == "next session"
    assert end_of("90m", DAY, now) == now + 90 * MINUTE
    assert until_text(end_of("10:30", DAY, now)) == "2026-11-20 10:30:00"


@pytest.mark.parametrize("text", ["99999d", "106000d", "2500000h"])
def test_a_lock_that_would_end_beyond_the_last_nanosecond(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="beyond every clock"):
        end_of(text, DAY, at("10:00"))
    stage = Stage(tmp_path, {}, guards=Guards(trades_max=1))

    async def act() -> None:
        with pytest.raises(UsageError, match="beyond every clock"):
            await stage.engine.command("lock", until=text)
        await stage.engine.command("lock", until="80000d")  # 219 years are none too many
        assert names(stage) == ["operator"]

    stage.play(act)


# ---- India VIX -----------------------------------------------------------------------------------


def test_ticks_of_vix_are_inputs_that_a_restart_repeats(tmp_path: Path) -> None:
    rules: dict[str, int] = {"vix_high": 2_000, "vix_high_leave": 1_800}
    first = Stage(tmp_path, {2: "buy", 4: "buy", 6: "buy"}, guards=Guards(**rules), vix=VIX)
    guards = first.run.guards
    assert guards is not None
    seen: list[int] = []

    async def act() -> None:
        loop, clock = first.run.loop, first.clock
        for points, flags in ((99.0, int(TickFlag.SEED)), (15.25, 0), (21.0, 0)):
            loop.take_ticks(vix_tick(points, clock.now_ns(), flags), clock.now_ns())
            seen.append(guards.vix_now[0])
        assert loop.blind, "VIX is not what is traded"
        await first.wait(150)
        assert first.position == 0 and first.run.kernel.orders_refused == 1
        loop.take_ticks(vix_tick(17.5, clock.now_ns()), clock.now_ns())
        await first.wait(120)
        assert first.position > 0

    first.play(act)
    assert seen == [0, 1_525, 2_100], "a seed may be of yesterday"
    ticks = [np.frombuffer(words[:72], TICK_DTYPE)[0] for kind, words in records_of(first.path)
             if kind == Kind.TICK]  # fmt: skip
    assert [int(tick["price"]) for tick in ticks if tick["instrument"] == 1] == [
        1_525,
        2_100,
        1_750,
    ]
    was, vetoed = guards.carry(), guards.vetoed
    first.journal.close()
    again = Stage(tmp_path, {2: "buy", 4: "buy", 6: "buy"}, start="09:36",
                  guards=Guards(**rules), vix=VIX)  # fmt: skip
    again.loop.close()
    assert again.run.guards.carry() == was  # type: ignore[union-attr]
    assert again.run.guards.vetoed == vetoed and vetoed  # type: ignore[union-attr]


def test_a_journal_with_vix_is_not_gone_on_with_without_guards(tmp_path: Path) -> None:
    first = Stage(tmp_path, {}, guards=Guards(vix_high=2_000, vix_high_leave=1_800), vix=VIX)

    async def act() -> None:
        first.run.loop.take_ticks(vix_tick(15, first.clock.now_ns()), first.clock.now_ns())

    first.play(act)
    first.journal.close()
    with pytest.raises(BadData, match="instrument 1, which this run does not have"):
        Stage(tmp_path, {}, start="09:36")


def test_vix_is_not_what_is_traded(tmp_path: Path) -> None:
    made = journal_of(tmp_path / "day.dfj")
    with pytest.raises(ValueError, match="vix must not be the instrument"):
        LiveRun(scripted({}), symbol="BANKNIFTY", journal=made, instrument=7,
                first_ns=at("09:30"), guards=Guards(trades_max=1), vix=7)  # fmt: skip
    made.close()


# ---- beyond a day --------------------------------------------------------------------------------


def state_of(**rules: int) -> dict[str, Any]:
    """What guards with an operator's lock carry over."""
    guards = Guards(**(rules or {"trades_max": 1}))
    guards.start_day(20261119, 100, at("09:15") - 86_400 * SECOND)
    guards.lock("operator", now_ns=at("10:00") - 86_400 * SECOND)
    return json.loads(json.dumps(guards.carry()))  # type: ignore[no-any-return]


def day_before(days: int = 1) -> dt.date:
    return DAY - dt.timedelta(days=days)


def journal(folder: Path, day: dt.date, *records: tuple[int, bytes], run: str = "main") -> Path:
    path = folder / f"{day:%Y%m%d}-{run}-paper.dfj"
    header = JournalHeader(epoch=7, date=int(f"{day:%Y%m%d}"), run=run, config_digest=bytes(32),
                           created_ns=1, text="")  # fmt: skip
    made = Journal(str(path), header, sync_ns=0)
    for kind, payload in records:
        made.append_record(kind, payload, 1, vital=True)
    made.close()
    return path


def noted(state: dict[str, Any], at_ns: int) -> tuple[int, bytes]:
    return Kind.NOTE, json.dumps({"carry": state, "at_ns": at_ns}).encode()


def test_a_day_leaves_its_locks_in_a_file(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {2: "buy"}, guards=Guards(trades_max=1))

    async def act() -> None:
        await stage.engine.command("lock", lock="operator")
        await stage.wait(1)

    stage.play(act)
    left = stage.lock_file.read()
    assert left is not None and left.day == DAY and left.whole
    assert stage.run.guards is not None
    assert left.state == json.loads(json.dumps(stage.run.guards.carry()))
    following = Guards(trades_max=1, carried=left.state)
    following.start_day(20261123, 100, at("09:15") + 3 * 86_400 * SECOND)
    assert [lock.name for lock in following.locks()] == ["operator"]


def test_a_damaged_file_is_not_believed(tmp_path: Path) -> None:
    file = LockFile(tmp_path, "main", "paper")
    assert file.read() is None
    file.write(DAY, 5, state_of())
    text = file.path.read_text()
    for broken in (text.replace('"streak": 0', '"streak": 1'), text[:-20], "{}", "[]"):
        file.path.write_text(broken)
        with pytest.raises(BadData, match="nobody knows what was locked"):
            file.read()


def test_the_newer_of_journal_and_file_counts(tmp_path: Path) -> None:
    file, old, new = LockFile(tmp_path, "main", "paper"), state_of(), state_of(losses_max=3)
    assert carried_over(tmp_path, "main", "paper", DAY) is None
    file.write(day_before(), 100, old)
    found = carried_over(tmp_path, "main", "paper", DAY)
    assert found is not None and found.state == old and found.source == str(file.path)
    path = journal(tmp_path, day_before(), noted(new, 101))
    found = carried_over(tmp_path, "main", "paper", DAY)
    assert found is not None and found.state == new and found.source == path.name
    file.write(day_before(), 102, old)
    found = carried_over(tmp_path, "main", "paper", DAY)
    assert found is not None and found.state == old
    journal(tmp_path, DAY, noted(new, 999))
    journal(tmp_path, day_before(), noted(new, 999), run="other")
    found = carried_over(tmp_path, "main", "paper", DAY)
    assert found is not None and found.state == old, "of earlier days, of this engine"


def test_a_journal_says_what_its_day_began_with_until_something_changed() -> None:
    state, later = state_of(), state_of(losses_max=3)
    start = (int(Kind.START), json.dumps({"capital": 5, "carried": state}).encode())
    tick, other = (int(Kind.TICK), b"x"), (int(Kind.NOTE), b'{"holds": []}')
    assert carried_in([(int(Kind.START), b'{"capital": 5}'), tick], DAY, "j") is None
    found = carried_in([start, other], DAY, "j")
    assert found is not None and found.state == state and found.whole
    found = carried_in([start, tick], DAY, "j")
    assert found is not None and found.state == state and not found.whole
    found = carried_in([start, tick, noted(later, 9), other], DAY, "j")
    assert found is not None and (found.state, found.at_ns, found.whole) == (later, 9, True)
    found = carried_in([start, noted(later, 9), tick], DAY, "j")
    assert found is not None and found.state == later and not found.whole


def test_locks_of_a_day_that_is_over(tmp_path: Path) -> None:
    guards = Guards(trades_max=1)
    guards.start_day(20261120, 100, at("09:15"))
    guards.lock("operator", now_ns=at("10:00"), until_ns=at("11:00"))
    guards.enter(at("10:01"))
    left = Carried(DAY, 5, guards.carry(), "x", whole=True)
    assert [line.name for line in lines_of(left, at("10:30"))] == ["operator", "max_trades"]
    assert [line.name for line in lines_of(left, at("15:00"))] == ["max_trades"]
    assert lines_of(left, at("09:15") + 86_400 * SECOND) == []


def test_a_day_begins_with_the_history_of_vix(tmp_path: Path) -> None:
    """Closes of the file before the day, and what was carried; the newer value counts."""
    days = [day_before(each) for each in range(8, 0, -1)] + [DAY]
    bars = np.zeros(len(days), BAR_DTYPE)
    for place, day in enumerate(days):
        bars[place]["start_ns"] = at("09:15", day)
        for name in ("open", "high", "low", "close"):
            bars[place][name] = 1_000 + 100 * place
    path = tmp_path / "vix.parquet"
    source = Source("t", "0" * 64, 9)
    write_parquet(path, BarSet("INDIAVIX", bars, 86_400 * SECOND, True, (source,)))
    settings = GuardSettings(rank_high_e4=9_000, rank_high_leave_e4=8_000, rank_days=5,
                             rank_days_min=3, vix_data=str(path))  # fmt: skip
    begun = opening(settings, None, DAY)
    assert begun is not None and begun["closes"] == [1_300, 1_400, 1_500, 1_600, 1_700]
    fed = Guards(rank_high_e4=9_000, rank_high_leave_e4=8_000, rank_days=5, rank_days_min=3)
    fed.start_day(20261119, 0, at("09:15", day_before()))
    fed.vix(at("15:29", day_before()), 2_222)
    carried = Carried(day_before(), 5, fed.carry(), "x", whole=True)
    newer = opening(settings, carried, DAY)
    assert newer is not None and newer["vix"][0] in (1_700, 2_222)
    assert opening(GuardSettings(trades_max=1), carried, DAY) == carried.state
    assert opening(GuardSettings(trades_max=1), None, DAY) is None


def test_every_lock_has_a_name_to_unlock() -> None:
    assert {kind.name.lower() for kind in GuardKind} >= {"operator", "day_loss", "drawdown"}


def test_a_disk_that_refuses_the_file_is_told_of_and_tried_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, guards=Guards(trades_max=1))
    place = stage.lock_file.path

    async def act() -> None:
        place.mkdir()  # a folder where the file should be
        await stage.engine.command("lock")
        await stage.wait(2)
        assert any("locks are in the journal alone" in note for note in stage.engine.notes)
        assert notes_of(stage.path, "carry")
        place.rmdir()
        await stage.wait(2)
        left = stage.lock_file.read()
        assert left is not None and left.state["locked"] == 1
        assert stage.engine.notes == []

    stage.play(act)
