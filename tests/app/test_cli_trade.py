"""`dhanfast trade`: real processes against an exchange on loopback, killed and told what to do."""

import datetime as dt
import http.server
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dhanfast.app.cli import run
from dhanfast.app.config import load_config
from dhanfast.app.live_market import Market, sessions_of_day
from dhanfast.clock import SystemClock
from dhanfast.errors import BadData
from dhanfast.market.master import Contract
from dhanfast.reports import slippage
from dhanfast.storage.journal import examine
from dhanfast.storage.slippage import SlippageStore
from tests.app.live_process import DAY, STRATEGIES, Trader, exchange

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

SECOND = 10**9


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    """A generated day at 40 market seconds a second, from shortly before its open."""
    with exchange("--seed", "5", "--start", "09:12", "--speed", "40x") as said:
        yield said


def journal_of(folder: Path, mode: str = "paper") -> Path:
    return folder / "journal" / f"{DAY.replace('-', '')}-main-{mode}.dfj"


def stored(folder: Path) -> dict[str, Any]:
    """What the one session of the day in the user's store cost."""
    store = SlippageStore(folder / "slippage.sqlite")
    (one,) = store.sessions(date=int(DAY.replace("-", "")))
    assert (one.mode, one.run, one.generated) == ("paper", "main", 1)
    costs = slippage.costs_of(
        *store.rows(one.source), strategy=one.strategy, symbol=one.symbol, traded=one.traded
    )
    return slippage.as_dict(slippage.measure(costs))


def commanded(trader: Trader, monkeypatch: pytest.MonkeyPatch,
              capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:  # fmt: skip
    """A control command in this process: exit code, and its JSON."""
    monkeypatch.setenv("DHANFAST_HOME", str(trader.folder))
    code = run([*words, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if code == 0 else printed.err


# ---- a day ---------------------------------------------------------------------------------------


def test_a_killed_engine_goes_on_where_it_was(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Entry, kill, start again, steer, Ctrl-C: one journal, one position, one day."""
    trader = Trader(tmp_path / "home", told)
    with trader.running() as first:
        before = first.until(lambda status: status["held"])
        assert before["mode"] == "paper" and before["broker"] == "simulated"
        first.until(lambda status: status["feed"] == "connected" and status["feed_age_ms"] >= 0)
        first.kill()
    records = examine(journal_of(trader.folder))
    assert records.whole and not records.closed

    with trader.running() as second:
        after = second.until(lambda status: status["state"] == "trading")
        for name in ("held", "average", "orders_sent", "trades", "capital"):
            assert after[name] == before[name], name
        assert after["bars"] >= before["bars"] and after["orders_filled"] == 1
        assert f"position +{before['held']}" in second.said

        code, status = commanded(trader, monkeypatch, capsys, "status")
        assert code == 0 and status["held"] == before["held"] and status["run"] == "main"
        code, orders = commanded(trader, monkeypatch, capsys, "orders")
        assert code == 0 and [one["state"] for one in orders] == ["filled"]
        code, (position,) = commanded(trader, monkeypatch, capsys, "positions")
        assert code == 0 and position["qty"] == before["held"]
        assert position["stop"] < position["average"] < position["target"]

        assert commanded(trader, monkeypatch, capsys, "pause")[0] == 0
        assert second.status()["state"] == "paused"
        code, done = commanded(trader, monkeypatch, capsys, "resume")
        assert code == 0 and "operator" not in done["text"], "only the operator's hold is lifted"
        second.until(lambda status: status["state"] == "trading")
        code, done = commanded(trader, monkeypatch, capsys, "flatten")
        assert (code, done["left"]) == (0, 0) and second.status()["held"] == 0
        assert second.status()["state"] == "paused" and second.status()["trades"] == 1
        assert commanded(trader, monkeypatch, capsys, "resume")[0] == 0
        second.until(lambda status: status["held"])
        assert second.interrupt() == 0
        said = second.said
    assert "went on with today's journal" in said and "closing what is open" in said
    assert f"{DAY} · paper · mine" in said and "GENERATED DATA" in said and "no trades" not in said
    assert max(map(len, said.splitlines())) <= 80 + len(str(tmp_path))
    whole = examine(journal_of(trader.folder))
    assert whole.whole and whole.closed and whole.records > records.records
    assert whole.kinds["START"] == 1 and whole.kinds["RESUME"] == 1
    assert "SLIPPAGE BY REASON" in said
    costs = stored(trader.folder)
    assert costs["orders"] == 4 and costs["arrival_known"] == 4, "the whole day, both lives"


def test_a_day_as_json_with_its_report(told: dict[str, Any], tmp_path: Path) -> None:
    trader = Trader(tmp_path / "home", told, strategy__use="mine.py:Turner")
    with trader.running("--json", "--export", str(tmp_path / "out")) as engine:
        engine.until(lambda status: status["trades"] >= 2)
        assert engine.interrupt(signal.SIGTERM) == 0
        text = engine.said
    found = json.loads(text[text.index("\n{") + 1 : text.rindex("\n}") + 2])
    assert found["mode"] == "paper" and found["day"] == DAY and found["error"] == ""
    assert found["summary"]["trades"] == found["status"]["trades"] >= 2
    assert found["status"]["held"] == 0 and found["summary"]["generated"] is True
    assert found["status"]["orders_filled"] == 2 * found["status"]["trades"]
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    costs = found["summary"]["slippage"]["all"]
    assert costs["orders"] == found["status"]["orders_filled"] == costs["arrival_known"]
    assert stored(trader.folder) == costs
    assert run(["report", "slippage", str(tmp_path / "out"), "--by", "reason"]) == 0
    assert found["summary"]["kernel_ns"] > 0


@pytest.mark.slow
def test_a_strategy_with_a_bug_ends_flat_with_exit_code_1(
    told: dict[str, Any], tmp_path: Path
) -> None:
    trader = Trader(tmp_path / "home", told, strategy__use="mine.py:Broken",
                    strategy__on_error="stop")  # fmt: skip
    code, out, err = trader.ended()
    assert code == 1 and "KeyError" in err.splitlines()[-1] and "a bug of the strategy" in err
    assert "Traceback" not in err and f"{DAY} · paper" in out and "still open" not in out


@pytest.mark.slow
def test_panic_ends_the_day_also_after_a_restart(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    trader = Trader(tmp_path / "home", told)
    with trader.running() as first:
        first.until(lambda status: status["held"])
        code, done = commanded(trader, monkeypatch, capsys, "panic", "--yes", "--broker-kill")
        assert code == 0 and done["left"] == 0 and "simulated" in done["text"]
        assert first.status()["state"] == "closed"
        first.kill()
    with trader.running() as second:
        second.until(lambda status: status["state"] == "closed" and status["feed_age_ms"] >= 0)
        code, done = commanded(trader, monkeypatch, capsys, "resume")
        assert code == 0 and "still held: " in done["text"], "the feed may hold as well"
        assert "panic: the day is over" in done["text"] and second.status()["held"] == 0
        assert second.interrupt() == 0


def books(told: dict[str, Any], path: str) -> Any:
    """What the exchange's own books say, by REST."""
    headers = {"access-token": told["token"], "client-id": told["client_id"]}
    address = f"http://127.0.0.1:{told['port']}/v2/{path}"
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return json.load(answer)


def held(told: dict[str, Any]) -> int:
    return sum(int(one["netQty"]) for one in books(told, "positions"))


@pytest.mark.slow
def test_real_orders_survive_a_kill(told: dict[str, Any], tmp_path: Path) -> None:
    """Orders at the exchange on loopback: entry, kill -9, start again, Ctrl-C."""
    client = told["client_id"]
    trader = Trader(tmp_path / "home", told, broker__client_id=client)
    live = ("--live", "--confirm-live", client)
    with trader.running(*live) as first:
        before = first.until(lambda status: status["held"] and status["orders_working"])
        assert before["mode"] == "live"
        first.until(lambda status: status["broker"] == "connected")
        assert held(told) == before["held"]
        first.kill()
    entries = [one for one in books(told, "orders") if one["transactionType"] == "BUY"]
    assert len(entries) == 1 and held(told) == before["held"]

    with trader.running(*live) as second:
        after = second.until(lambda status: status["state"] == "trading")
        assert after["held"] == before["held"] and after["reconciled_ago_s"] >= 0
        orders = books(told, "orders")
        assert [one["orderId"] for one in orders if one["transactionType"] == "BUY"] == [
            one["orderId"] for one in entries
        ], "nothing was sent twice"
        resting = [one for one in orders if one["orderStatus"] == "PENDING"]
        assert [one["orderType"] for one in resting] == ["STOP_LOSS"], "one order closes it"
        assert second.interrupt() == 0
        assert "LIVE: orders are real" in second.said
    assert held(told) == 0
    assert [one for one in books(told, "orders") if one["orderStatus"] == "PENDING"] == []


@pytest.mark.slow
def test_a_worked_entry_goes_on_after_a_kill(told: dict[str, Any], tmp_path: Path) -> None:
    """TWAP at the exchange on loopback: killed -9 between two children, the rest of the parent is
    sent by the life after it, and nothing twice."""
    client, lots = told["client_id"], 4
    trader = Trader(
        tmp_path / "home", told, broker__client_id=client, strategy__lots=str(lots),
        execution__algo="twap", execution__horizon="20m", execution__interval="5m",
        execution__style="urgent",
    )  # fmt: skip
    live = ("--live", "--confirm-live", client)

    def bought() -> list[dict[str, Any]]:
        return [one for one in books(told, "orders")
                if one["transactionType"] == "BUY" and one["orderId"] not in old]  # fmt: skip

    old = {one["orderId"] for one in books(told, "orders")}
    with trader.running(*live) as first:
        before = first.until(lambda status: status["held"])
        first.kill()
    lot = before["held"]
    assert {one["quantity"] for one in bought()} == {lot} and held(told) < lots * lot

    with trader.running(*live) as second:
        second.until(lambda status: status["held"] == lots * lot)
        entries = bought()
        assert sum(one["filledQty"] for one in entries) == lots * lot == held(told)
        assert len({one["correlationId"] for one in entries}) == len(entries) >= 2
        assert {one["orderStatus"] for one in entries} == {"TRADED"}
        resting = [one for one in books(told, "orders") if one["orderStatus"] == "PENDING"]
        assert [(one["orderType"], one["quantity"]) for one in resting] == [
            ("STOP_LOSS", lots * lot)
        ], "one order closes all of it"
        assert second.status()["orders_filled"] == 1, "for the kernel it was one order"
        assert second.interrupt() == 0
    assert held(told) == 0 and len(bought()) == len(entries)
    assert [one for one in books(told, "orders") if one["orderStatus"] == "PENDING"] == []


# ---- refusals ------------------------------------------------------------------------------------


def test_two_engines_of_one_name(told: dict[str, Any], tmp_path: Path) -> None:
    trader = Trader(tmp_path / "home", told)
    with trader.running() as first:
        first.until(lambda status: status["state"] == "trading")
        code, _, err = trader.ended()
        assert code in (1, 2) and str(first.process.pid) in err
        assert first.status()["state"] == "trading", "the first one is not disturbed"
        assert first.interrupt() == 0
    again = trader.ended(strategy__lots="2")
    assert again[0] == 3 and "was written today with another strategy" in again[2]
    again = trader.ended(strategy__use="mine.py:Turner")
    assert again[0] == 3 and "engine.run" in again[2]
    (trader.folder / "mine.py").write_text(STRATEGIES.replace("900", "800"))
    again = trader.ended()
    assert again[0] == 3, "the file is another one"
    again = trader.ended(risk__flat_by="none", engine__run="other")
    assert again[0] == 3 and "nothing is carried; set a time" in again[2]


def test_a_token_that_the_broker_does_not_take(told: dict[str, Any], tmp_path: Path) -> None:
    trader = Trader(tmp_path / "home", told)
    head, body, seal = told["token"].split(".")
    trader.environ["DHAN_ACCESS_TOKEN"] = trader.token = f"{head}.{body}.{seal[::-1]}"
    code, _, err = trader.ended()
    assert code == 4 and "Traceback" not in err
    assert err.splitlines()[-1].startswith("error: ")
    del trader.environ["DHAN_ACCESS_TOKEN"]
    code, _, err = trader.ended()
    assert code == 4 and "DHAN_ACCESS_TOKEN" in err


def test_until_must_be_ahead(told: dict[str, Any], tmp_path: Path) -> None:
    trader = Trader(tmp_path / "home", told)
    code, _, err = trader.ended("--until", "09:01")
    assert code == 2 and "already" in err


class Clockwork(http.server.BaseHTTPRequestHandler):
    """Says what time an exchange has, and nothing else."""

    answers: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        body = json.dumps(self.answers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Not on the test's terminal."""


@pytest.mark.parametrize(
    ("time", "speed", "code", "words"),
    [
        ("2026-11-20T15:41:01+05:30", 1.0, 1, "the market of 2026-11-20 has closed"),
        ("2026-11-21T10:00:00+05:30", 1.0, 1, "2026-11-21 is no trading day"),
        ("2026-11-20T10:00:00+05:30", 0.0, 3, "runs at full speed"),
    ],
)
def test_a_market_that_cannot_be_traded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    time: str, speed: float, code: int, words: str,
) -> None:  # fmt: skip
    market_ns = int(dt.datetime.fromisoformat(time).timestamp()) * SECOND
    handler = type("Handler", (Clockwork,), {
        "answers": {"market_ns": market_ns, "speed": speed, "generated": True},
    })  # fmt: skip
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            found, said = refused(tmp_path, monkeypatch, capsys, server.server_port)
            assert found == code and words in said
        finally:
            server.shutdown()
            thread.join()


def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
            port: int, *words: str, without: str = "", **sets: str) -> tuple[int, str]:  # fmt: skip
    """A `trade` in this process that is refused: exit code, and what it said."""
    trader = Trader(folder / "home", {"port": port, "client_id": "1", "token": "a.b.c"}, **sets)
    for name in ("DHANFAST_HOME", "DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN"):
        monkeypatch.setenv(name, trader.environ[name])
    monkeypatch.delenv(without, raising=False)
    code = run([*trader.words(*words)[3:]])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.err


def test_no_exchange_says_how_to_start_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = refused(tmp_path, monkeypatch, capsys, 1)
    assert code == 1 and "no exchange at http://127.0.0.1:1" in said
    assert "dhanfast exchange --generate" in said


@pytest.mark.parametrize("given", [(), ("--confirm-live", "2"), ("--confirm-live", "")])
def test_real_orders_need_the_client_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    given: tuple[str, ...],
) -> None:  # fmt: skip
    code, said = refused(tmp_path, monkeypatch, capsys, 1, "--live", *given, broker__client_id="1")
    assert code == 2 and "confirm with --confirm-live" in said


def test_real_orders_need_a_client_id_in_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--live", "--confirm-live", "1")
    code, said = refused(tmp_path, monkeypatch, capsys, 1, *words, without="DHAN_CLIENT_ID")
    assert code == 2 and "--live needs broker.client_id" in said


def test_real_orders_need_a_doctor_without_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--live", "--confirm-live", "1")
    code, said = refused(tmp_path, monkeypatch, capsys, 1, *words, without="DHAN_ACCESS_TOKEN",
                         broker__client_id="1", broker__exchange="",
                         clock__source="system")  # fmt: skip
    assert code == 6 and "not ready for real orders" in said and "token: " in said
    assert "begins in" not in said
    assert not os.path.exists(tmp_path / "home" / "journal")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("lot", 35, "lot is 35 in the broker's list and 30"),
     ("tick", 5, "tick in paise is 5 in the broker's list and 20"),
     ("expiry", dt.date(2026, 11, 24), "expiry is 20261124 in the broker's list and 20261123")],
)  # fmt: skip
def test_a_contract_that_the_tables_know_otherwise(
    tmp_path: Path, field: str, value: Any, words: str
) -> None:
    config = load_config([], tmp_path, ["strategy.name=a", "strategy.use=momentum"], {})
    market = Market(SystemClock(), 1, 1, 1.0, dt.date(2026, 11, 20), 2, True, ())
    fields = {"expiry": dt.date(2026, 11, 23), "lot": 30, "tick": 20}
    listed = contract(**fields)
    sessions_of_day(config, config.settings(), market, listed)
    with pytest.raises(BadData, match=f"BANKNIFTY-Nov2026-FUT: {words}.*nothing is traded"):
        sessions_of_day(config, config.settings(), market, contract(**fields | {field: value}))


def contract(**given: Any) -> Contract:
    """The front-month future as a broker's list has it."""
    told = {"segment": "NSE_FNO", "security_id": 1, "exchange": "NSE", "instrument": "FUTIDX",
            "kind": "FUT", "symbol": "BANKNIFTY-Nov2026-FUT", "name": "", "underlying": "BANKNIFTY",
            "underlying_id": 25, "expiry_flag": "M", "strike": 0, "tick_micros": 0, "freeze": None,
            "upper": None, "lower": None, "series": "", "isin": ""}  # fmt: skip
    return Contract(**told | given)
