"""Option structures over recorded ticks: a day by hand, and what must not change it."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.archive.schema import TICKS
from dhanfast.app.legs_file import plan_of
from dhanfast.clock import ManualClock, SystemClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.kelly_history import HistoryKeeper, told
from dhanfast.engine.legs_replay import StructureReplay, recorded_structure, replay_structure
from dhanfast.engine.margin_settings import MarginSettings
from dhanfast.engine.settings import Settings
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.tickday import tick_day
from dhanfast.storage.archive.writer import ArchiveWriter

DAY = dt.date(2025, 11, 17)
EXPIRY = "2025-11-25"
SECOND = 1_000_000_000
LOT = 35
STRIKES = (52_000, 52_500, 53_000, 53_500)
LEGS = [
    {"side": "sell", "right": "CE", "strike": "53000", "stop": "50%"},
    {"side": "sell", "right": "PE", "strike": "52500", "stop": "50%"},
    {"side": "buy", "right": "CE", "strike": "53500"},
    {"side": "buy", "right": "PE", "strike": "52000"},
]
PLAN: dict[str, Any] = {"underlying": "BANKNIFTY", "entry": "09:20", "exit": "09:30", "leg": LEGS}


def at(text: str) -> int:
    moment = dt.datetime.fromisoformat(f"{DAY}T{text}+05:30")
    return int(moment.timestamp()) * SECOND


def number(strike: int, right: str) -> int:
    return 1 + STRIKES.index(strike) * 2 + (right == "PE")


def ticks_at(text: str, prices: dict[int, tuple[int, int]], index: int = 0) -> list[Any]:
    """Quotes (bid, ask) in paise by number at a time, and the index's level."""
    rows = np.zeros(len(prices) + bool(index), TICKS.dtype)
    rows["recv_ns"] = rows["exch_ns"] = at(text)
    for row, (one, (bid, ask)) in zip(rows, prices.items(), strict=False):
        row["instrument"], row["bid"], row["ask"] = one, bid, ask
        row["bid_qty"] = row["ask_qty"] = 3_500
    if index:
        rows[-1]["instrument"], rows[-1]["price"] = 0, index
    return [rows]


def everything(price: int = 10_000) -> dict[int, tuple[int, int]]:
    return {one: (price, price + 10) for one in range(1, 9)}


def written(path: Path, parts: list[Any], *, index: bool = True, few: bool = False) -> Path:
    with ArchiveWriter(path, [TICKS], clock=ManualClock(), day=20251117) as writer:
        listed: list[dict[str, Any]] = [{"index": 0, "symbol": "BANKNIFTY", "kind": "IDX"}]
        for strike in STRIKES[: 2 if few else 4]:
            for right in ("CE", "PE"):
                listed.append({
                    "index": number(strike, right), "symbol": f"BANKNIFTY25NOV{strike}{right}",
                    "kind": "OPT", "expiry": EXPIRY, "strike": 100 * strike, "right": right,
                })  # fmt: skip
        writer.add_instruments(listed if index else listed[1:])
        rows = np.concatenate(parts)
        keep = rows["instrument"] <= 2 * (2 if few else 4)
        writer.append("ticks", rows[keep if index else keep & (rows["instrument"] > 0)])
        writer.seal()
    return path


def day_by_hand() -> list[Any]:
    """In at 09:20:00, a sold call stopped at 09:25:00, out at 09:30:00."""
    jump = {number(53_000, "CE"): (15_000, 15_010)}
    trade = ticks_at("09:25:00", jump)
    trade[0]["price"], trade[0]["qty"] = 15_010, LOT
    return [
        *ticks_at("09:19:55", everything(), 5_275_000),
        *ticks_at("09:20:02", everything()),
        *ticks_at("09:20:04", everything()),
        *trade,
        *ticks_at("09:29:59", everything(9_000)),
        *ticks_at("09:30:02", everything(9_000)),
        *ticks_at("09:30:04", everything(9_000)),
        *ticks_at("09:31:00", everything(9_000), 5_275_500),
    ]


def replayed(path: Path, plan: dict[str, Any] | None = None, cut: int = 0, **more: Any) -> Any:
    made = plan_of(plan or PLAN)
    ticks = recorded_structure(made, [path], **more)
    run = StructureReplay(made, ticks, Settings())
    for batch in ticks.open(0):
        step = cut or len(batch)
        for first in range(0, len(batch), step):
            run.feed(batch[first : first + step])
    return run.finish()


def test_a_day_by_hand_to_the_paisa(tmp_path: Path) -> None:
    """Bought at the ask, sold at the bid, a tick of 5 paise worse; the stop of 149.95 pays 150.15:
    the ask of the tick that touches it, and a tick."""
    result = replayed(written(tmp_path / "day.dfa", day_by_hand()))
    assert result.grade == "replay" and result.notes[0].startswith("Grade replay")
    trades = {
        (result.contracts[int(row["instrument"])][-8:], int(row["side"])): (
            int(row["entry_value"]) // LOT,
            int(row["exit_value"]) // LOT,
        )
        for row in result.trades
    }
    assert trades == {
        ("53500 CE", 1): (10_015, 8_995),
        ("52000 PE", 1): (10_015, 8_995),
        ("53000 CE", -1): (9_995, 15_015),
        ("52500 PE", -1): (9_995, 9_015),
    }
    assert int(result.trades["gross"].sum()) == LOT * (-1_020 - 1_020 - 5_020 + 980)
    assert result.counters["uncovered_units_max"] == 0


def test_batches_and_pace_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "generated.dfa"
    day = tick_day("BANKNIFTY", DAY, seed=5, ticks=30_000, strikes=11)
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    plan = PLAN | {"exit": "15:00", "order": {"deadline": "5m"}, "leg": [
        {"side": "sell", "right": "CE", "strike": "otm1", "stop": "40%"},
        {"side": "sell", "right": "PE", "strike": "otm1", "stop": "40%"},
        {"side": "buy", "right": "CE", "strike": "otm4"},
        {"side": "buy", "right": "PE", "strike": "otm4"},
    ]}  # fmt: skip
    whole = replayed(path, plan)
    assert len(whole.trades) == 4 and not any("PARTIAL" in note for note in whole.notes)
    assert any("GENERATED" in note.upper() for note in whole.notes)
    assert replayed(path, plan, cut=7).digest == whole.digest
    made = plan_of(plan)
    run = replay_structure(
        made, recorded_structure(made, [path]), Settings(), clock=SystemClock(), speed=50_000.0
    )
    assert run.run().digest == whole.digest and run.status().ticks > 25_000


def test_ticks_that_end_before_the_exit_leave_it_open_and_say_so(tmp_path: Path) -> None:
    path = written(tmp_path / "day.dfa", day_by_hand())
    result = replayed(path, end=dt.time(9, 24))
    told = "PARTIAL: the ticks that were used end at 09:20:04 IST, before the exit: "
    assert result.notes[0].startswith(told)
    assert f"{4 * LOT} units in 4 contracts open, not closed" in result.notes[0]
    assert len(result.trades) == 0


def test_what_cannot_be_replayed_is_refused_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "day.dfa", day_by_hand())
    with pytest.raises(UsageError, match="one archive of one day, and there are 2"):
        recorded_structure(plan_of(PLAN), [path, path])
    with pytest.raises(UsageError, match="no ticks of the index NIFTY"):
        recorded_structure(plan_of(PLAN | {"underlying": "NIFTY"}), [path])
    blind = written(tmp_path / "blind.dfa", day_by_hand(), index=False)
    with pytest.raises(UsageError, match="no ticks of the index BANKNIFTY"):
        recorded_structure(plan_of(PLAN), [blind])
    with pytest.raises(UsageError, match="no price of BANKNIFTY in the stretch"):
        recorded_structure(plan_of(PLAN), [path], start=dt.time(9, 21), end=dt.time(9, 30))
    few = written(tmp_path / "few.dfa", day_by_hand(), few=True)
    with pytest.raises(BadData, match="strike 53000 of 2025-11-25 is not in"):
        recorded_structure(plan_of(PLAN), [few])
    monthly = PLAN | {"leg": [{"side": "buy", "right": "CE", "strike": "atm", "expiry": "next"}]}
    with pytest.raises(BadData, match="no options of BANKNIFTY that expire on"):
        recorded_structure(plan_of(monthly), [path])
    held = plan_of(PLAN | {"hold": "expiry"})
    with pytest.raises(ConfigError, match="over night"):
        replay_structure(
            held, recorded_structure(held, [path]), Settings(), clock=SystemClock()
        )  # fmt: skip


def with_risk(path: Path, settings: Settings) -> Any:
    """The day by hand, with what a structure has to pass."""
    made = plan_of(PLAN)
    ticks = recorded_structure(made, [path])
    run = StructureReplay(made, ticks, settings)
    for batch in ticks.open(0):
        run.feed(batch)
    return run.finish()


def test_margin_and_guards_in_a_replay(tmp_path: Path) -> None:
    path = written(tmp_path / "day.dfa", day_by_hand())
    plain = replayed(path)
    enough = with_risk(path, Settings(margin=MarginSettings(short="refuse")))
    for name in ("trades", "orders", "equity"):
        assert getattr(enough, name).tobytes() == getattr(plain, name).tobytes()
    assert any("Margin was asked before 1 entries" in note for note in enough.notes)
    poor = with_risk(path, Settings(capital=5_000_000, margin=MarginSettings(short="fewer")))
    assert len(poor.orders) == 0 and poor.counters["structures_refused"] == 1
    lines = [text for _, text in poor.log]
    assert "structure: not entered: the funds fall short of its margin" in lines
    assert any("and 50,000.00 may be used: none is sent" in text for text in lines)
    guards = GuardSettings(trades_max=1, before_flat=11 * 60 * SECOND)
    kept = with_risk(path, Settings(guards=guards))
    assert len(kept.orders) == 0 and kept.counters["risk_guard_flat_by"] > 0
    assert any("Guards kept entries out, rows counted: flat_by" in note for note in kept.notes)
    once = with_risk(path, Settings(guards=GuardSettings(trades_max=1)))
    assert once.trades.tobytes() == plain.trades.tobytes()
    assert any(text.startswith("guards: 1 position opened") for _, text in once.log)


def test_a_structure_does_not_run_without_the_guards_that_are_set(tmp_path: Path) -> None:
    path = written(tmp_path / "day.dfa", day_by_hand())
    vix = GuardSettings(vix_high=2_000, vix_high_leave=1_900)
    with pytest.raises(ConfigError, match=r"risk\.guards\.vix\.data"):
        with_risk(path, Settings(guards=vix))


def test_what_kelly_knows_is_told_of_when_a_structure_has_closed(tmp_path: Path) -> None:
    """Sized by a history, closed by its exit: one trade more, and who keeps it is told to look."""
    path = written(tmp_path / "day.dfa", day_by_hand())
    known = TradeHistory(trades=60, win_rate=0.6, win=200_000.0, loss=100_000.0)
    sizing = SizingSettings(method="kelly", history=known)
    made = plan_of(PLAN)
    ticks = recorded_structure(made, [path])
    run = StructureReplay(made, ticks, Settings(capital=10**9, sizing=sizing))
    served = run._run
    noted: list[dict[str, Any]] = []
    keeper = HistoryKeeper(
        served.size_explained, told(known, known, ("legs", "BANKNIFTY")),
        lambda **words: noted.append(words),
    )  # fmt: skip
    marks = set()
    for batch in ticks.open(0):
        for at in range(len(batch)):
            run.feed(batch[at : at + 1])
            keeper.look(served.trades_mark)
            marks.add(served.trades_mark)
    result = run.finish()
    lots = {int(row["qty"]) // LOT for row in result.trades}
    assert len(lots) == 1 and lots.pop() > 1, "every leg has the same multiple"
    assert [one["history"]["known"]["trades"] for one in noted] == [61]
    assert 10**9 in marks and 0 in marks
    lost = -int(result.trades["gross"].sum())
    assert lost > 0 and noted[0]["history"]["known"]["loss"] > 100_000.0
