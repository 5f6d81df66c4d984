"""`dhanfast trade --legs` after a strategy that hangs: it is stopped alone, the legs are closed."""

import json
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.config import load_config
from dhanfast.app.live_build import deciding_digest, strategy_file
from dhanfast.app.live_legs import plan_of, with_legs
from dhanfast.app.live_one import begun_source, started_file
from tests.app.live_process import Trader, exchange
from tests.app.test_swap_trade import Operator

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

LEGS = """
name = "follower"
underlying = "BANKNIFTY"
entry = "09:16"
late = "10m"
exit = "15:20"
signals = "{signals}"
timeframe = "1m"

[[leg]]
side = "buy"
right = "CE"
strike = "atm"
when = "long"
"""
LEADS = '''
from dhanfast.strategies import Strategy


class Hangs(Strategy):
    """Buys, and does not return from its second bar in the position."""

    def on_bar(self, ctx, bar):
        if ctx.bars_held >= 2:
            while True:
                pass
        ctx.buy()


class Mends(Strategy):
    """Buys and waits."""

    def on_bar(self, ctx, bar):
        ctx.buy()
'''


def files(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "lead.py").write_text(LEADS)
    path = folder / "follower.toml"
    path.write_text(LEGS.format(signals=f"{folder / 'lead.py'}:Hangs"))
    return path


def test_the_file_that_is_followed_is_in_the_journal_and_decides(tmp_path: Path) -> None:
    made = with_legs(load_config([], tmp_path, [], {}, named_only=True), str(files(tmp_path)))
    assert strategy_file(made) == tmp_path / "lead.py"
    start = json.loads(json.dumps(started_file(made)))
    assert begun_source(start) == LEADS.encode() and begun_source({}) == b""
    words = ["IDX_I", 25, plan_of(made).source]
    before = deciding_digest(made, "paper", words)
    (tmp_path / "lead.py").write_text(LEADS + "# changed\n")
    assert deciding_digest(made, "paper", words) != before
    sha256 = start["strategy"]["sha256"]
    assert deciding_digest(made, "paper", words, sha256) == before


def test_what_is_done_about_misuse_outlives_the_file(tmp_path: Path) -> None:
    sets = ["strategy.name=x", "strategy.use=momentum", "strategy.on_error=keep",
            "strategy.callback_limit=300ms", "strategy.memory_limit=64MB"]  # fmt: skip
    made = load_config([], tmp_path, sets, {}, named_only=True)
    found = with_legs(made, str(files(tmp_path)))
    for key in ("on_error", "callback_limit", "memory_limit"):
        assert getattr(found.strategy, key) == getattr(made.strategy, key)
        assert found.source(f"strategy.{key}") == made.source(f"strategy.{key}")
    assert found.strategy.use == "legs"


@pytest.mark.slow
def test_it_hangs_is_stopped_killed_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    market = ("--seed", "5", "--start", "09:17", "--speed", "20x", "--strikes", "15", "--ticks",
              "500000")  # fmt: skip
    with exchange(*market) as told:
        trader = Trader(tmp_path / "home", told, broker__client_id=told["client_id"],
                        strategy__callback_limit="300ms")  # fmt: skip
        path = str(files(trader.folder))
        do = Operator(trader, monkeypatch, capsys)
        with trader.running("--legs", path) as first:
            first.until(lambda status: status["contracts"] == 1)
            before = first.until(lambda status: status["strategy_stopped"])
            assert "Hangs ran too long" in before["strategy_stopped"]
            after = first.until(lambda status: not status["contracts"])
            assert after["state"] == "exits only" and not after["held"]
            assert any("mend it, then: dhanfast strategy swap" in note for note in after["notes"])
            first.kill()
        with trader.running("--legs", path) as second:
            again: Any = second.until(lambda status: status["strategy_stopped"])
            assert again["orders_sent"] == after["orders_sent"] and not again["contracts"]
            code, said = do("strategy", "swap", f"{trader.folder / 'lead.py'}:Mends")
            assert code == 0 and said["strategy"] == "Mends"
            mended = second.until(lambda status: status["contracts"] == 1)
            assert mended["strategy"] == "follower after Mends" and mended["swaps"] == 1
            assert second.interrupt() == 0
            assert "Mends decides in the place of Hangs" in second.said
