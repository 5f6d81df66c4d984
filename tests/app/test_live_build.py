"""What the day of `dhanfast trade` is started with, and what decides it."""

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.risk import Gate
from dhanfast.app import live_one
from dhanfast.app.config import load_config
from dhanfast.app.live_build import Past, _journal, _started, deciding_digest, settings_of_day
from dhanfast.engine.live import GRACE_NS
from dhanfast.engine.settings import Settings
from dhanfast.errors import ConfigError, UsageError
from tests.core.live.desk import LOT, OPEN, PLACE, SECOND, SESSION, Desk


def config(rupees: int = 10_00_000) -> Any:
    return SimpleNamespace(
        simulation=SimpleNamespace(capital=SimpleNamespace(paise=rupees * 100)),
        settings=lambda capital: Settings(),
    )


def market(speed: float) -> Any:
    return SimpleNamespace(speed=speed)


def test_a_day_begins_with_the_accounts_money_or_the_papers() -> None:
    assert _started([], None, config(7), market(1.0), "paper")["capital"] == 700
    assert _started([], 123, config(7), market(1.0), "paper")["capital"] == 123


@pytest.mark.parametrize("speed", [1.0, 40.0])
def test_a_restart_closes_bars_as_the_day_began_whatever_the_speed_now(speed: float) -> None:
    """A bar's grace decides what a journal repeats: it is the journal's, not the exchange's."""
    start = _started([], 5, config(), market(speed), "paper")
    assert start["grace_ns"] == round(GRACE_NS * speed)
    old = [(int(Kind.TICK), b""), (int(Kind.START), json.dumps(start).encode())]
    assert _started(old, 9, config(), market(7.0), "paper") == start


def test_a_journal_that_does_not_tell_the_grace_was_written_with_the_usual_one() -> None:
    old = [(int(Kind.START), b'{"capital": 5}')]
    assert _started(old, 9, config(), market(40.0), "paper") == {
        "capital": 5, "grace_ns": GRACE_NS, "carried": None, "history": None,
    }  # fmt: skip


# ---- what a journal held when a life began -------------------------------------------------------


def test_the_past_is_read_anew_and_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "day.dfj"
    assert list(Past(path)) == []
    header = JournalHeader(epoch=7, date=20261120, run="main", config_digest=bytes(32),
                           created_ns=1, text="")  # fmt: skip
    journal = Journal(str(path), header, sync_ns=0)
    assert list(Past(path)) == [], "begun, and nothing written"
    for number in range(3):
        journal.append_record(Kind.NOTE, b"%d" % number, 1)
    past = Past(path)
    journal.append_record(Kind.RESUME, b"{}", 2)
    wanted = [(int(Kind.NOTE), b"%d" % number) for number in range(3)]
    assert list(past) == wanted == list(past)
    assert len(list(Past(path))) == 4
    journal.close()


def test_a_strategy_that_cannot_be_made_leaves_no_journal(tmp_path: Path) -> None:
    """With one, the day would be refused to the same command without the typing error."""
    day: Any = SimpleNamespace(day=dt.date(2025, 11, 17), wall_ns=1)
    path = tmp_path / "20251117-main-paper.dfj"

    def begin(*sets: str) -> Journal:
        made = load_config([], tmp_path, ["strategy.use=momentum", *sets], {}, named_only=True)
        return _journal(made, "paper", day, CONTRACT, path, Past(path))

    for wrong in ("strategy.params.emu=12", "strategy.use=nosuch"):
        with pytest.raises(UsageError, match=r"emu|nosuch"):
            begin(wrong)
        assert not path.exists()
    begin().close()
    with pytest.raises(ConfigError, match="written today with another strategy"):
        begin("strategy.params.ema=12")
    begin().close()


# ---- what decides --------------------------------------------------------------------------------

CONTRACT = ["NSE_FNO", 49_081, 30, 20]


def digest(tmp_path: Path, *sets: str, contract: list[Any] = CONTRACT) -> bytes:
    made = load_config([], tmp_path, ["strategy.use=momentum", *sets], {}, named_only=True)
    return deciding_digest(made, "paper", contract)


@pytest.mark.parametrize(
    "words",
    [
        "risk.day_loss=1", "risk.guards.max_trades=3", "risk.guards.vix.on=true",
        "risk.guards.day_loss.on=true", "simulation.latency=5ms", "strategy.lots=2",
        "strategy.params.ema=12", "broker.product=MARGIN", "execution.route.stop_room=2%",
    ],
)  # fmt: skip
def test_a_journal_is_gone_on_with_by_the_same_rules_only(tmp_path: Path, words: str) -> None:
    assert digest(tmp_path, words) != digest(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        "risk.broker_loss_exit=5000", "risk.broker_profit_exit=3%", "risk.broker_exit_kill=true",
        "risk.without_broker_exit=trade", "feed.ring=live", "engine.heartbeat=5s",
        "log.level=debug", "strategy.on_error=stop", "strategy.callback_limit=250ms",
        "strategy.memory_limit=512MB",
    ],
)  # fmt: skip
def test_what_decides_nothing_may_be_another_after_a_restart(tmp_path: Path, words: str) -> None:
    assert digest(tmp_path, words) == digest(tmp_path)


def test_a_contract_decides(tmp_path: Path) -> None:
    for place in range(4):
        other = list(CONTRACT)
        other[place] = "BSE_FNO" if place == 0 else 7
        assert digest(tmp_path, contract=other) != digest(tmp_path)


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_algorithms_work_orders(mode: str, tmp_path: Path) -> None:
    words = ["execution.algo=twap", "strategy.name=mine", "strategy.use=momentum"]
    chosen = load_config([], tmp_path, words, {})
    settings = settings_of_day(chosen, {"capital": 10**9, "history": None}, mode)
    assert settings.execution.works and settings.execution.algo == "twap"


class MadeDesk(Desk):
    """An order desk as `dhanfast trade --live` makes it."""

    def __init__(self, remote_of: Any) -> None:
        self.gate = Gate(instruments=1)
        self.remote = remote_of(self.gate)
        self.now, self.position, self.next_order = OPEN + SECOND, LOT, 0
        self.session = SESSION
        self.remote.tell(self.now, self.now)
        self.remote.start_session(self.session)
        self.quote(10_000, 10_010)


@pytest.mark.parametrize(
    ("room", "price"), [("0", 9_605), ("2.5%", 9_650), ("0.5%", 9_850), ("50%", 4_950)]
)
def test_the_room_of_a_stop_reaches_the_order_desk(
    room: str, price: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the premium, 3 % below a hundred rupees, or as it is set; the limit that leaves has it."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(live_one, "LiveRun", lambda *words, **more: made.update(more))
    words = [f"execution.route.stop_room={room}", "strategy.use=momentum"]
    chosen = load_config([], tmp_path, words, {})
    settings = settings_of_day(chosen, {"capital": 10**9, "history": None}, "live")
    day: Any = SimpleNamespace(market_ns=0, generated=False, notes=())
    journal: Any = None
    live_one.run_of(chosen, settings, day, journal, object(), {"grace_ns": 1}, vix=None)
    desk = MadeDesk(made["remote_of"])
    desk.stop(9_900)
    placed = desk.one(PLACE)
    assert (placed["trigger"], placed["price"]) == (9_900, price)
