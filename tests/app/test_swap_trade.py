"""`dhanfast strategy swap` in real engines: swapped, killed, misused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run
from tests.app.live_process import Running, Trader, exchange

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

LATER = '''
from dhanfast.strategies import Strategy, param


class Later(Strategy):
    """Enters never; knows what it was told."""

    mark = param(1)

    def on_start(self, m):
        self.average = m.ema(9)

    def on_bar(self, ctx, bar):
        ctx.log(f"bar {self.mark}")
'''
BAD = '''
import time

from dhanfast.strategies import Strategy


class Bad(Strategy):
    """Buys, and once it holds something it does what it should not."""

    def on_start(self, m):
        pass

    def on_bar(self, ctx, bar):
        if ctx.position == 0:
            ctx.buy(stop=900, target=2000)

    def on_tick(self, ctx, tick):
        if ctx.position:
            DOES
'''


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    """A generated day at 40 market seconds a second, from shortly before its open."""
    with exchange("--seed", "5", "--start", "09:12", "--speed", "40x") as said:
        yield said


class Operator:
    """Commands of this process to the engine of a folder."""

    def __init__(
        self, trader: Trader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("DHANFAST_HOME", str(trader.folder))
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, Any]:
        """Exit code, and JSON or what was said."""
        self._capsys.readouterr()
        code = run([*words, "--json"])
        printed = self._capsys.readouterr()
        return code, json.loads(printed.out) if code == 0 else printed.err


def test_swap_kill_and_start_again(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    trader = Trader(tmp_path / "home", told)
    do = Operator(trader, monkeypatch, capsys)
    later = trader.folder / "later.py"
    later.write_text(LATER)
    with trader.running() as first:
        before = first.until(lambda status: status["held"])
        _, (position,) = do("positions")
        code, said = do("strategy", "swap", "later.py", "--set", "mark=7", "--old", "mine")
        assert code == 0 and said["before"] == "mine" and said["strategy"] == "later"
        assert f"+{before['held']} units kept" in said["text"] and said["bars"] >= 2
        code, why = do("strategy", "swap", "momentum", "--old", "mine")
        assert code == 2 and "later decides now, and not mine" in why
        code, why = do("strategy", "swap", "later.py", "--set", "mark=a")
        assert code == 2 and "nothing was changed: parameter mark must be int" in why
        code, why = do("strategy", "swap", "absent.py")
        assert code == 2 and "strategy file absent.py does not exist" in why
        code, why = do("strategy", "swap", "iron-condor")
        assert code == 2 and "is a legs file" in why
        status = first.status()
        assert (status["strategy"], status["swaps"], status["rollbacks"]) == ("later", 1, 0)
        assert status["held"] == before["held"] and status["strategy_since_ns"] > 0
        _, (kept,) = do("positions")
        assert all(kept[name] == position[name] for name in ("qty", "average", "stop", "target"))
        assert run(["status"]) == 0 and "strategy since" in capsys.readouterr().out
        first.kill()

    text = later.read_text()
    later.write_text(text + "# changed\n")
    code, _, why = trader.ended()
    assert code == 3 and "later.py was swapped in today and has changed since" in why
    later.write_text(text)
    # The first one's file may say what it likes by now: the journal has what it said.
    with trader.running() as second:
        after = second.until(lambda status: status["state"] == "trading")
        for name in ("held", "average", "orders_sent", "strategy", "swaps", "strategy_since_ns"):
            assert after[name] == status[name], name
        code, said = do("strategy", "swap", "mine.py:Holder")
        assert code == 0 and second.status()["strategy"] == "Holder"
        assert second.interrupt() == 0
        assert "more than one strategy decided: 2 swaps" in second.said


def test_a_file_that_was_mended_and_swapped_survives_a_kill(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The day began with another text of the same file: it is repeated with that text."""
    trader = Trader(tmp_path / "home", told, strategy__use="bad.py", strategy__on_error="keep")
    do = Operator(trader, monkeypatch, capsys)
    bad = trader.folder / "bad.py"
    bad.write_text(BAD.replace("DOES", 'raise KeyError("a bug of the strategy")'))
    with trader.running() as first:
        stopped = first.until(lambda status: status["strategy_stopped"])
        assert "KeyError: 'a bug of the strategy'" in stopped["strategy_stopped"]
        assert stopped["state"] == "exits only" and stopped["held"], "keep"
        bad.write_text(BAD.replace("DOES", "self.seen = tick.price"))
        code, said = do("strategy", "swap", "bad.py")
        assert code == 0, said
        first.until(lambda status: status["state"] == "trading" and status["bars"] > said["bars"])
        before = first.status()
        assert before["strategy_stopped"] == "" and before["held"] == stopped["held"]
        first.kill()
    with trader.running() as second:
        after = second.until(lambda status: status["state"] == "trading")
        for name in ("held", "average", "orders_sent", "strategy", "swaps", "strategy_since_ns"):
            assert after[name] == before[name], name
        assert second.interrupt() == 0


@pytest.mark.slow
@pytest.mark.parametrize("does", ["while True: pass", "time.sleep(3600)"])
def test_a_callback_that_hangs_is_ended_and_the_engine_goes_on(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], does: str,
) -> None:  # fmt: skip
    trader = Trader(tmp_path / "home", told, strategy__use="bad.py",
                    strategy__callback_limit="300ms")  # fmt: skip
    do = Operator(trader, monkeypatch, capsys)
    (trader.folder / "bad.py").write_text(BAD.replace("DOES", does))
    (trader.folder / "later.py").write_text(LATER)
    with trader.running() as engine:
        engine.until(lambda status: status["strategy_stopped"] and not status["held"])
        status = engine.status()
        assert "ran too long: CallbackOverdue: it ran longer than 300 ms" in status[
            "strategy_stopped"]  # fmt: skip
        assert status["state"] == "exits only" and status["trades"] == 1, "flattened"
        goes_on(engine)
        assert do("strategy", "swap", "later.py")[0] == 0
        assert engine.until(lambda status: status["state"] == "trading")["strategy"] == "later"
        engine.kill()
    with trader.running() as again:  # which does not hang on what has hung
        status = again.until(lambda status: status["state"] == "trading")
        assert status["strategy"] == "later" and status["trades"] == 1
        assert again.interrupt() == 0


@pytest.mark.slow
def test_a_strategy_that_eats_memory_is_stopped_alone(told: dict[str, Any], tmp_path: Path) -> None:
    trader = Trader(tmp_path / "home", told, strategy__use="bad.py",
                    strategy__memory_limit="64MB")  # fmt: skip
    does = 'self.eaten = [*getattr(self, "eaten", []), bytearray(4 << 20)]'
    (trader.folder / "bad.py").write_text(BAD.replace("DOES", does))
    with trader.running() as engine:
        status = engine.until(lambda status: status["strategy_stopped"] and not status["held"])
        assert "took too much memory: the process grew by" in status["strategy_stopped"]
        goes_on(engine)
        assert engine.interrupt() == 0


def goes_on(engine: Running) -> None:
    """It hears ticks, and closes bars."""
    bars = engine.status()["bars"]
    engine.until(lambda status: status["bars"] > bars and status["feed"] == "connected")
