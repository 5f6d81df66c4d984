"""Status, orders, positions and commands against a served engine; panic against a broker."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dhanfast.app.cli import run
from dhanfast.app.control_text import orders_text, positions_text, status_text
from dhanfast.engine.status import EngineStatus, LockLine, OrderLine, PositionLine
from dhanfast.errors import DhanfastError

from ..engine.test_control import serving
from .broker_stand import Account, broker

S = 1_000_000_000
NOW = 1_795_402_471 * S
STATUS = EngineStatus(
    run="main", mode="live", state="trading", pid=1, started_ns=NOW - 7000 * S, now_ns=NOW,
    market_ns=NOW, strategy="scalper", instrument="BANKNIFTY-Nov2026-FUT", timeframe="1m",
    capital=100_000_000, held=60, average=4_812_055, last=4_813_120, realised=-150_000,
    unrealised=32_000, charges=57_450, day_loss_max=500_000, trades=4, bars=133, orders_sent=8,
    orders_working=2, orders_filled=5, orders_refused=1, orders_unknown=1, feed="connected",
    feed_age_ms=12, packets=1_234_567, gaps=2, broker="connected", token_minutes=605,
    reconciled_ago_s=12, journal="/a/long/way/" * 9 + "20261123-main-paper.dfj",
    journal_bytes=12_300_000, latency_us={"p50": 8.1, "p99": 22.04},
    notes=("one order is unknown at the broker " * 4,),
    belt="P&L exit set: loss 10,000,000, profit 25,000,000",
    locks=(
        LockLine(name="consecutive_losses", since_ns=NOW - 60 * S, until_ns=NOW + 60 * S,
                 until="2026-11-23 15:01:00", value=3, limit=3, text="3 losing trades " * 9),
        LockLine(name="operator", since_ns=NOW, until_ns=2**63 - 1, until="unlocked"),
    ),
    vetoes={"GUARD_TRADES": 1_204, "GUARD_VIX": 3, "GUARD_CONSECUTIVE_LOSSES": 12,
            "GUARD_STALE_DATA": 7, "GUARD_EXPOSURE": 2},
    alerts=("drawdown 4.1 % of the day's peak is near the limit of 5 % " * 3,),
)  # fmt: skip
ORDERS = [
    OrderLine(id=1, at_ns=NOW, symbol="BANKNIFTY-Nov2026-FUT", side="BUY", role="entry", qty=1200,
              filled=1200, average=4_812_055, state="filled"),
    OrderLine(id=12, at_ns=NOW, symbol="A" * 60, side="SELL", role="stop", qty=60,
              trigger=4_816_055, state="refused", reason="too late " * 20),
]  # fmt: skip
POSITIONS = [
    PositionLine(symbol="BANKNIFTY-Nov2026-FUT", qty=-60, average=4_812_055, last=4_813_120,
                 stop=4_810_000, target=4_816_055, realised=15_000_000, unrealised=-3_200_000),
    PositionLine(symbol="B" * 70, realised=100),
]  # fmt: skip


class Engine:
    """Answers with the records above."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.left: list[str] = []

    def status(self) -> dict[str, Any]:
        return {**msgspec.to_builtins(STATUS), "newer": "passed over"}

    def orders(self) -> list[dict[str, Any]]:
        return msgspec.to_builtins(ORDERS)  # type: ignore[no-any-return]

    def positions(self) -> list[dict[str, Any]]:
        return msgspec.to_builtins(POSITIONS)  # type: ignore[no-any-return]

    def locks(self) -> list[dict[str, Any]]:
        return msgspec.to_builtins(list(STATUS.locks))  # type: ignore[no-any-return]

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        if name == "resume":
            raise DhanfastError("the day is over")
        self.told.append((name, arguments))
        return {"text": f"did {name}", "left": self.left}


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, made by init, and no variables of the real one."""
    for name in ("DHAN_ACCESS_TOKEN", "DHAN_CLIENT_ID", "DHANFAST_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert run(["init", "--no-input"]) == 0
    return tmp_path / "home"


@pytest.fixture
def say(home: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(list(words))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    """An engine called main, served."""
    made = Engine()
    with serving(home / "run", made, asyncio.new_event_loop):  # type: ignore[arg-type]
        yield made


def test_status_orders_positions_show_what_the_engine_says(say: Say, engine: Engine) -> None:
    assert say("status") == (0, status_text(STATUS) + "\n", "")
    assert say("orders", "--run", "main") == (0, orders_text(ORDERS) + "\n", "")
    assert say("positions") == (0, positions_text(POSITIONS) + "\n", "")
    said = json.loads(say("status", "--json")[1])
    assert said == json.loads(json.dumps(engine.status()))
    assert json.loads(say("orders", "--json")[1]) == engine.orders()
    assert json.loads(say("positions", "--json")[1]) == engine.positions()


@pytest.mark.parametrize(
    "text",
    [status_text(STATUS), status_text(EngineStatus()), orders_text(ORDERS), orders_text([]),
     positions_text(POSITIONS), positions_text([])],
)  # fmt: skip
def test_screens_fit_in_80_columns(text: str) -> None:
    assert text and max(map(len, text.splitlines())) <= 80


def test_figures_are_whole() -> None:
    """Nothing that is a number is cut away, and sums are right."""
    shown = status_text(STATUS)
    for figure in ("-1,754.50", "-1,500.00", "+320.00", "-574.50", "1,755 of 5,000",
                   "+60 @ 48,120.55", "48,131.20", "10,00,000", "1 UNKNOWN", "10:05 h", "2 gaps",
                   "p99 22.0 us", "trades 1,204", "vix 3", "loss 10,000,000, profit 25,000,000",
                   "LOCKED until 2026-11-23 15:01:00", "LOCKED until unlocked", "near a limit",
                   "1:56:40", " 20261123-main-paper.dfj, 12.3MB"):  # fmt: skip
        assert figure in shown
    shown = positions_text(POSITIONS)
    for figure in ("-60", "48,120.55", "+1,50,000.00", "-32,000.00", "+1,50,001.00", "48,100.00"):
        assert figure in shown
    assert "1200/1200" in orders_text(ORDERS) and "too late" in orders_text(ORDERS)


def test_commands_reach_the_engine(say: Say, engine: Engine) -> None:
    for name in ("pause", "stop-entries", "flatten"):
        assert say(name) == (0, f"did {name}\n", "")
    assert json.loads(say("pause", "--json")[1]) == {"text": "did pause", "left": []}
    assert say("panic")[:2] == (0, "did panic\n")
    assert say("panic", "--broker-kill")[0] == 0
    assert engine.told[-2:] == [("panic", {"broker_kill": False}), ("panic", {"broker_kill": True})]
    code, _, err = say("resume")
    assert code == 1 and "the day is over" in err
    engine.left = ["60 BANKNIFTY"]
    assert say("panic")[0] == 6


def test_what_is_worked_is_told_by_its_own_words(say: Say, engine: Engine) -> None:
    """The list stays what it is; the three words go to the engine as commands of their own."""
    for word in ("pause", "resume", "cancel"):
        assert say("orders", word) == (0, f"did {word}-orders\n", "")
        assert engine.told[-1] == (f"{word}-orders", {})
    told = len(engine.told)
    assert json.loads(say("orders", "pause", "--json")[1]) == {"text": "did pause-orders",
                                                               "left": []}  # fmt: skip
    assert say("orders") == (0, orders_text(ORDERS) + "\n", "") and len(engine.told) == told + 1
    code, _, err = say("orders", "stop")
    assert code == 2 and "'pause', 'resume', 'cancel'" in err and len(engine.told) == told + 1


def test_without_an_engine_there_is_a_clear_answer(say: Say, home: Path) -> None:
    for name in ("status", "orders", "positions", "pause", "resume", "stop-entries", "flatten"):
        code, out, err = say(name)
        assert code == 1 and out == "" and f"no engine is running in {home}" in err
    assert say("orders", "pause")[0] == 1
    assert say("status", "--run", "../x")[0] == 2


# ---- panic without an engine -------------------------------------------------------------------


@pytest.fixture
def account(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account at a broker on loopback, and its token in the environment."""
    made = Account()
    with broker(made) as port:
        monkeypatch.setenv("DHANFAST__BROKER__EXCHANGE", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("DHAN_ACCESS_TOKEN", made.token)
        yield made


def test_panic_closes_everything_at_the_broker_and_proves_it(say: Say, account: Account) -> None:
    code, out, err = say("panic", "--yes", "--broker-kill")
    assert code == 0, err
    assert account.orders == {"11": "CANCELLED", "12": "TRADED", "13": "CANCELLED"}
    assert not any(account.held.values()) and account.killed
    assert "cancelled: 2 orders; closed: 2 positions" in out and "kill switch: on" in out
    assert "verified: no open order and no position" in out
    assert account.token not in out + err


def test_panic_names_what_is_left(
    say: Say, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dhanfast.engine.panic.Panic.__init__.__kwdefaults__",
                        {"told": lambda _: None, "looks": 2, "pause_s": 0.0})  # fmt: skip
    account.exit_works = False
    code, out, err = say("panic", "--yes", "--broker-kill", "--json")
    said = json.loads(out)
    assert code == 6 and "something is left" in err and not said["clean"]
    left = {one["security_id"]: one["qty"] for one in said["positions_left"]}
    assert left == {"52175": 60, "35001": -30} and said["kill_switch"].startswith("off")
    assert not account.killed
    code, out, err = say("panic", "--yes")
    assert code == 6 and "LEFT position: +60 SYM-52175" in out


def test_panic_asks_before_it_closes_what_is_not_its_own(say: Say, account: Account) -> None:
    code, _, err = say("panic")
    assert code == 2 and "--yes" in err
    assert account.said == []


def test_panic_without_a_token_is_exit_4(
    say: Say, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DHAN_ACCESS_TOKEN")
    code, _, err = say("panic", "--yes")
    assert code == 4
    assert "dhanfast auth login" in err
    assert "token" in err and account.said == []


def test_panic_passes_a_running_engine_over_only_when_told(
    say: Say, account: Account, engine: Engine
) -> None:
    assert say("panic", "--yes")[:2] == (0, "did panic\n") and account.said == []
    assert say("panic", "--yes", "--direct")[0] == 0 and "DELETE /v2/positions" in account.said
