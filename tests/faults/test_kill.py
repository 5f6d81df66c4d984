"""A real kill -9 of the trading process in mid-trade, often, against a running exchange."""

import json
import os
import random
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.records import INTENT_DTYPE, IntentKind

ROOT = Path(__file__).parents[2]
STRATEGY = Path(__file__).with_name("restless.py")
PATIENCE = 4_500  # looks of 20 ms; a busy machine takes long to start a process


class Exchange:
    """An exchange in its own process, and what it says of the account."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "dhanfast", "exchange", "--generate", "--json"]
        command += ["--seed", "7", "--date", "2026-11-20", "--start", "09:30", "--speed", "10x"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline())

    def get(self, path: str) -> Any:
        headers = {"access-token": self.told["token"], "client-id": self.told["client_id"]}
        url = f"http://127.0.0.1:{self.told['port']}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return json.loads(answer.read())

    @property
    def orders(self) -> int:
        return int(self.get("/exchange/status")["orders"])

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    one = Exchange()
    try:
        yield one
    finally:
        one.end()


def trader(home: Path, exchange: Exchange) -> "subprocess.Popen[str]":
    """The trading process, as `dhanfast trade --live` runs it."""
    told = exchange.told
    sets = {
        "broker.exchange": f"http://127.0.0.1:{told['port']}",
        "broker.client_id": "env:DHAN_CLIENT_ID",
        "broker.token": "env:DHAN_ACCESS_TOKEN",
        "clock.source": "exchange",
        "strategy.name": "restless",
        "strategy.use": str(STRATEGY),
        "risk.day_loss": "0",
    }
    environ = {"DHAN_CLIENT_ID": told["client_id"], "DHAN_ACCESS_TOKEN": told["token"]}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.trader", str(home),
         *(f"{name}={value}" for name, value in sets.items())],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | environ,
    )  # fmt: skip


def until_orders(process: "subprocess.Popen[str]", exchange: Exchange, count: int) -> None:
    """Wait until the exchange has so many orders; the process must live meanwhile."""
    for _ in range(PATIENCE):
        if exchange.orders >= count:
            return
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the trader ended: {process.communicate()[1][-2_000:]}")
    raise AssertionError(f"{exchange.orders} orders, {count} were waited for")


def journal_is_whole(path: Path) -> None:
    """Every request is there once and has one answer, or was still on its way at the end."""
    asked: dict[int, int] = {}
    answers: dict[int, int] = {}
    last = 0
    with JournalReader(str(path)) as reader:
        for kind, _, seq, payload in reader:
            last = seq
            if kind == Kind.INTENT:
                made = np.frombuffer(payload, INTENT_DTYPE)[0]
                assert int(made["id"]) not in asked
                asked[int(made["id"])] = int(made["kind"])
            elif kind == Kind.ANSWER:
                number = int.from_bytes(payload[:8], "little")
                answers[number] = answers.get(number, 0) + 1
    assert last > 100 and max(answers.values()) == 1
    unanswered = [IntentKind(asked[number]) for number in set(asked) - set(answers)]
    assert all(kind == IntentKind.QUERY for kind in unanswered), unanswered


def kill_again_and_again(kills: int, home: Path, exchange: Exchange, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(kills):
        process = trader(home, exchange)
        until_orders(process, exchange, exchange.orders + rng.randint(1, 5))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = trader(home, exchange)
    until_orders(process, exchange, exchange.orders + 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err[-2_000:]
    compare(json.loads(out)["status"], exchange)
    journal_is_whole(next((home / "journal").glob("*.dfj")))


def compare(status: dict[str, Any], exchange: Exchange) -> None:
    """Nothing doubled, nothing lost: both books say the same."""
    orders, trades = exchange.get("/v2/orders"), exchange.get("/v2/trades")
    names = [order["correlationId"] for order in orders]
    assert len(names) == len(set(names)) and len({name.split("-")[0] for name in names}) == 1
    over = {"TRADED", "CANCELLED", "REJECTED"}
    assert {order["orderStatus"] for order in orders} <= over
    held = 0
    for trade in trades:
        before = held
        held += trade["tradedQuantity"] * (1 if trade["transactionType"] == "BUY" else -1)
        assert before * held >= 0, "a fill turned the position round"
        assert abs(held) <= 60
    (position,) = exchange.get("/v2/positions")
    assert position["netQty"] == held == status["held"] == 0
    assert round(position["realizedProfit"] * 100) == status["realised"]
    assert status["orders_working"] == status["orders_unknown"] == 0


def test_a_killed_trader_loses_and_doubles_nothing(tmp_path: Path, exchange: Exchange) -> None:
    kill_again_and_again(3, tmp_path, exchange, seed=1)


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path, exchange: Exchange) -> None:
    kill_again_and_again(50, tmp_path, exchange, seed=2)
