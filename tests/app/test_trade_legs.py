"""`dhanfast trade --legs`: a structure of options on paper and at the exchange on loopback.

Real processes, which are killed in the middle, refused, and traded around.
"""

import datetime as dt
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run
from dhanfast.storage.journal import examine
from tests.app.live_process import DAY, LIMIT_S, Trader, exchange

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

# Entered as soon as the engine is ready, left by the test.
CONDOR = """
name = "condor"
underlying = "BANKNIFTY"
entry = "09:16"
late = "5h"
exit = "15:20"

[order]
deadline = "{deadline}"
repairs = {repairs}

[[leg]]
side = "sell"
right = "CE"
strike = "otm2"

[[leg]]
side = "sell"
right = "PE"
strike = "otm2"

[[leg]]
side = "buy"
right = "CE"
strike = "otm5"

[[leg]]
side = "buy"
right = "PE"
strike = "otm5"
"""
SECOND = 10**9
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
MARKET = ("--seed", "5", "--start", "09:17", "--speed", "20x", "--strikes", "15", "--ticks",
          "500000")  # fmt: skip


@pytest.fixture
def told() -> Iterator[dict[str, Any]]:
    """A generated day with a chain of 15 strikes, at 20 market seconds a second: an exchange of the
    test's own, so that neither its time nor what others have traded matters."""
    with exchange(*MARKET) as said:
        yield said


@pytest.fixture(autouse=True)
def no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves the exchange as it found it: nothing goes wrong, nothing is held."""
    told = request.getfixturevalue("told") if "told" in request.fixturenames else None
    yield
    if told is not None:
        faults(told)
        assert held(told) == {}, "a test has left a position at the exchange"


def asked(told: dict[str, Any], path: str, body: Any = None) -> Any:
    """What the exchange answers."""
    headers = {"access-token": told["token"], "client-id": told["client_id"],
               "Content-Type": "application/json"}  # fmt: skip
    request = urllib.request.Request(
        f"http://127.0.0.1:{told['port']}{path}", headers=headers,
        data=None if body is None else json.dumps(body).encode(),
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def faults(told: dict[str, Any], *menu: dict[str, Any]) -> None:
    """Another menu of what goes wrong."""
    asked(told, "/exchange/faults", list(menu))


def orders(told: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(told, "/v2/orders")
    return found


def held(told: dict[str, Any]) -> dict[str, int]:
    """Units by security id, as the exchange's own books have them."""
    return {one["securityId"]: int(one["netQty"]) for one in asked(told, "/v2/positions")
            if int(one["netQty"])}  # fmt: skip


def resting(told: dict[str, Any]) -> list[str]:
    return [one["orderId"] for one in orders(told) if one["orderStatus"] in ("PENDING", "TRANSIT")]


def seen(what: Callable[[], Any], most_s: float = LIMIT_S) -> Any:
    """Wait until something is so, and what it is."""
    ends = time.monotonic() + most_s
    while not (found := what()):
        assert time.monotonic() < ends, f"not seen in {most_s} s"
        time.sleep(0.3)  # the account's limit of questions is the engine's as well
    return found


def trader_of(folder: Path, told: dict[str, Any], deadline: str = "9m", repairs: int = 2,
              text: str = CONDOR, **sets: str) -> tuple[Trader, str]:  # fmt: skip
    """Someone with a legs file."""
    trader = Trader(folder / "home", told, broker__client_id=told["client_id"],
                    engine__reconcile_every="1s", **sets)  # fmt: skip
    trader.sets = {key: value for key, value in trader.sets.items()
                   if not key.startswith("strategy.")}  # fmt: skip
    path = trader.folder / "condor.toml"
    path.write_text(text.format(deadline=deadline, repairs=repairs))
    return trader, str(path)


def asking(trader: Trader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
           *words: str) -> Any:  # fmt: skip
    """A control command in this process, as JSON."""
    monkeypatch.setenv("DHANFAST_HOME", str(trader.folder))
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def each_leg_once(entries: list[dict[str, Any]]) -> None:
    """Of four legs each was filled by one order, and no number was used twice."""
    marks = [one["correlationId"] for one in entries]
    assert len(set(marks)) == len(marks), "no number twice"
    filled = Counter(one["securityId"] for one in entries if one["filledQty"])
    assert set(filled.values()) == {1} and len(filled) == 4, "each leg once"


def whole(status: dict[str, Any]) -> bool:
    return bool(status["contracts"] == 4 and not status["orders_working"])


# ---- on paper ------------------------------------------------------------------------------------


def test_a_paper_day_goes_on_after_a_kill(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Entered hedges first, killed, repeated from the journal, steered, closed: one journal."""
    trader, path = trader_of(tmp_path, told)
    with trader.running("--legs", path) as first:
        before = first.until(whole)
        assert before["mode"] == "paper" and before["instrument"] == "BANKNIFTY"
        first.kill()
    with trader.running("--legs", path) as second:
        after = second.until(lambda status: status["state"] == "trading")
        for name in ("held", "contracts", "orders_sent", "orders_filled", "capital"):
            assert after[name] == before[name], name
        assert f"{before['held']} units in 4 contracts" in " ".join(second.said.split())

        lines = asking(trader, monkeypatch, capsys, "positions")
        sides = Counter(line["qty"] > 0 for line in lines)
        assert sides == {True: 2, False: 2} and len({line["symbol"] for line in lines}) == 4
        assert all(line["symbol"].startswith("BANKNIFTY 2026-11-") for line in lines)
        told_orders = asking(trader, monkeypatch, capsys, "orders")
        assert {one["symbol"] for one in told_orders} == {line["symbol"] for line in lines}
        assert run(["status"]) == 0
        assert f"{before['held']} in 4 contracts" in capsys.readouterr().out

        assert "no leg is sent" in asking(trader, monkeypatch, capsys, "orders", "pause")["text"]
        notes = second.status()["notes"]
        assert any("dhanfast orders resume" in note for note in notes)
        asking(trader, monkeypatch, capsys, "orders", "resume")
        done = asking(trader, monkeypatch, capsys, "flatten")
        assert done["left"] == 0 and second.status()["contracts"] == 0
        assert second.interrupt() == 0
        said = second.said
    assert f"{DAY} · paper · condor · BANKNIFTY" in said and "Grade paper" in said
    assert "GENERATED DATA" in said and "Margin is estimated at every entry" in said
    records = examine(trader.folder / "journal" / f"{DAY.replace('-', '')}-main-paper.dfj")
    assert records.whole and records.closed
    assert records.kinds["START"] == 1 and records.kinds["RESUME"] == 1


def test_bought_legs_come_first_and_leave_last(told: dict[str, Any], tmp_path: Path) -> None:
    trader, path = trader_of(tmp_path, told)
    with trader.running("--legs", path, "--json") as engine:
        engine.until(whole)
        assert engine.interrupt() == 0
        text = engine.said
    found = json.loads(text[text.index("\n{") + 1 : text.rindex("\n}") + 2])
    lines = [line for line in text.splitlines() if " BANKNIFTY 2026-" in line and " at " in line]
    assert [line.split()[1] for line in lines] == ["BUY"] * 2 + ["SELL"] * 2 + ["BUY"] * 2 + [
        "SELL"
    ] * 2
    counters = found["counters"]
    assert found["summary"]["trades"] == 4 and counters["uncovered_units_max"] == 0
    assert found["status"]["held"] == 0 and counters["orders_unwound"] == 0
    assert found["summary"]["grade"] == "paper" and len(found["summary"]["contracts"]) == 4
    assert found["summary"]["margin"]["entries"] >= 1


# ---- at the exchange -----------------------------------------------------------------------------


def live(told: dict[str, Any], path: str) -> tuple[str, ...]:
    return ("--live", "--confirm-live", told["client_id"], "--legs", path)


def same_books(engine: Any, told: dict[str, Any]) -> dict[str, Any]:
    """The engine's books and the exchange's are one, now and twice."""
    status: dict[str, Any] = engine.until(
        lambda status: whole(status) and status["state"] == "trading"
    )
    units = held(told)
    assert sum(map(abs, units.values())) == status["held"] and len(units) == 4
    assert sum(units.values()) == 0, "as much bought as sold"
    return status


def ours(told: dict[str, Any], before: set[str]) -> list[dict[str, Any]]:
    """Orders that came since, by time."""
    new = [one for one in orders(told) if one["orderId"] not in before]
    return sorted(new, key=lambda one: one["orderId"])


@pytest.mark.slow
def test_real_orders_bought_first_and_flat_at_the_end(told: dict[str, Any], tmp_path: Path) -> None:
    trader, path = trader_of(tmp_path, told)
    old = {one["orderId"] for one in orders(told)}
    with trader.running(*live(told, path)) as engine:
        same_books(engine, told)
        assert engine.interrupt() == 0
        said = engine.said
    assert held(told) == {} and resting(told) == []
    sides = [one["transactionType"] for one in ours(told, old) if one["filledQty"]]
    assert sides[:4] == ["BUY", "BUY", "SELL", "SELL"] and "Grade live" in said
    assert sides[4:] == ["BUY", "BUY", "SELL", "SELL"], "sold ones are bought back first"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["timeout-after", "reset-after"])
def test_killed_while_a_sold_legs_fate_is_not_known(
    told: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    """The exchange takes a sold leg's order and does not say so; the engine dies. The next life
    asks for it by its number, sends nothing twice, and goes on to the whole."""
    trader, path = trader_of(tmp_path, told)
    old = {one["orderId"] for one in orders(told)}
    faults(told, {"kind": kind, "path": "/v2/orders", "method": "POST", "after": 2, "count": 1,
                  "delay_s": 60})  # fmt: skip
    with trader.running(*live(told, path)) as first:
        seen(lambda: len(ours(told, old)) >= 3)
        first.kill()
    assert len(held(told)) >= 2, "the hedges are in"
    with trader.running(*live(told, path)) as second:
        same_books(second, told)
        each_leg_once(ours(told, old))
        assert second.interrupt() == 0
    assert held(told) == {} and resting(told) == []


@pytest.mark.slow
def test_killed_between_hedges_and_sales_goes_on_where_it_stood(
    told: dict[str, Any], tmp_path: Path
) -> None:
    """Bought legs are in, every sold one is refused for a while; killed there."""
    trader, path = trader_of(tmp_path, told, repairs=10)
    faults(told, {"kind": "http-429", "path": "/v2/orders", "method": "POST", "after": 2})
    with trader.running(*live(told, path)) as first:
        seen(lambda: len(held(told)) == 2)
        first.kill()
    assert all(units > 0 for units in held(told).values()), "nothing is sold alone"
    faults(told)
    with trader.running(*live(told, path)) as second:
        same_books(second, told)
        assert second.interrupt() == 0
    assert held(told) == {} and resting(told) == []


@pytest.mark.slow
def test_a_leg_that_is_refused_once_is_asked_again(told: dict[str, Any], tmp_path: Path) -> None:
    trader, path = trader_of(tmp_path, told)
    faults(told, {"kind": "http-429", "path": "/v2/orders", "method": "POST", "after": 2,
                  "count": 1})  # fmt: skip
    with trader.running(*live(told, path)) as engine:
        same_books(engine, told)
        assert engine.interrupt() == 0
    assert held(told) == {} and resting(told) == []


@pytest.mark.slow
def test_stops_of_sold_legs_rest_at_the_exchange_while_nobody_is_there(
    told: dict[str, Any], tmp_path: Path
) -> None:
    text = CONDOR.replace('strike = "otm2"', 'strike = "otm2"\nstop = "90%"')
    trader, path = trader_of(tmp_path, told, text=text)

    def guarded(status: dict[str, Any]) -> bool:
        return bool(status["contracts"] == 4 and status["orders_working"] == 2)

    with trader.running(*live(told, path)) as first:
        first.until(guarded)
        stops = resting(told)
        first.kill()
    assert len(stops) == 2 and resting(told) == stops
    kinds = {one["orderType"] for one in orders(told) if one["orderId"] in stops}
    assert kinds == {"STOP_LOSS"}
    with trader.running(*live(told, path)) as second:
        second.until(lambda status: guarded(status) and status["state"] == "trading")
        assert resting(told) == stops, "the same two, nothing doubled"
        assert second.interrupt() == 0
    assert held(told) == {} and resting(told) == []


@pytest.mark.slow
def test_a_refused_exit_is_asked_again_and_the_hedges_wait_for_it(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    trader, path = trader_of(tmp_path, told)
    with trader.running(*live(told, path)) as engine:
        same_books(engine, told)
        old = {one["orderId"] for one in orders(told)}
        faults(told, {"kind": "http-429", "path": "/v2/orders", "method": "POST", "count": 3})
        assert asking(trader, monkeypatch, capsys, "flatten")["left"] == 0
        assert held(told) == {} and resting(told) == []
        fills = [one["transactionType"] for one in ours(told, old) if one["filledQty"]]
        assert fills == ["BUY", "BUY", "SELL", "SELL"]
        assert engine.interrupt() == 0


@pytest.mark.slow
def test_a_restart_after_the_exit_time_leaves_at_once(told: dict[str, Any], tmp_path: Path) -> None:
    """Killed while it holds, and nobody there when it was to leave."""
    leaves_ns = asked(told, "/exchange/clock")["market_ns"] + 6 * 60 * SECOND
    leaves = dt.datetime.fromtimestamp(leaves_ns // SECOND, IST)
    trader, path = trader_of(
        tmp_path, told, text=CONDOR.replace("15:20", f"{leaves:%H:%M}").replace("5h", "5m")
        .replace("09:16", f"{leaves - dt.timedelta(minutes=6):%H:%M}"),
        deadline="2m",
    )  # fmt: skip
    with trader.running(*live(told, path)) as first:
        first.until(whole)
        first.kill()
    assert len(held(told)) == 4
    seen(lambda: asked(told, "/exchange/clock")["market_ns"] > leaves_ns)
    with trader.running(*live(told, path)) as second:
        second.until(lambda status: status["trades"] == 4 and status["held"] == 0)
        assert held(told) == {} and resting(told) == []
        assert second.interrupt() == 0
        assert "square-off" in second.said


@pytest.mark.slow
def test_what_cannot_be_sold_is_taken_back(tmp_path: Path) -> None:
    """Money for the hedges and not for the margin: refused, repaired in vain, unwound; flat."""
    with exchange(*MARKET, "--funds", "30000") as told:
        trader, path = trader_of(tmp_path, told, risk__margin_check="false")
        with trader.running(*live(told, path)) as engine:
            engine.until(lambda status: status["orders_filled"] >= 2)
            engine.until(lambda status: status["trades"] >= 2 and status["held"] == 0)
            assert held(told) == {} and resting(told) == []
            assert engine.interrupt() == 0
            assert "taken back: an order was refused" in engine.said
        fills = [one["transactionType"] for one in orders(told) if one["filledQty"]]
        assert Counter(fills) == {"BUY": 2, "SELL": 2}, "hedges in and out, nothing else"


def stranger(told: dict[str, Any], side: str, security: str, units: int) -> None:
    """Somebody trades in the same account, without this journal's mark."""
    asked(told, "/v2/orders", {
        "dhanClientId": told["client_id"], "transactionType": side, "exchangeSegment": "NSE_FNO",
        "productType": "INTRADAY", "orderType": "MARKET", "validity": "DAY",
        "securityId": security, "quantity": units, "price": 0,
    })  # fmt: skip
    was = held(told).get(security, 0)
    seen(lambda: held(told).get(security, 0) != was or was != 0)


@pytest.mark.slow
def test_a_position_nobody_here_knows_keeps_the_structure_out(
    told: dict[str, Any], tmp_path: Path
) -> None:
    trader, path = trader_of(tmp_path, told)
    security = an_option(told)
    stranger(told, "BUY", security, 30)
    with trader.running(*live(told, path)) as engine:
        status = engine.until(
            lambda status: any("the broker holds +30" in note for note in status["notes"])
        )
        assert status["state"] == "exits only" and status["orders_sent"] == 0
        assert "this engine +0" in " ".join(status["notes"])
        stranger(told, "SELL", security, 30)
        seen(lambda: security not in held(told))
        same_books(engine, told)
        assert engine.interrupt() == 0
    assert held(told) == {} and resting(told) == []


@pytest.mark.slow
def test_a_hedge_that_somebody_sells_ends_the_structure(
    told: dict[str, Any], tmp_path: Path
) -> None:
    trader, path = trader_of(tmp_path, told)
    with trader.running(*live(told, path)) as engine:
        same_books(engine, told)
        hedge = next(one for one, units in held(told).items() if units > 0)
        asked(told, "/v2/orders", {
            "dhanClientId": told["client_id"], "transactionType": "SELL",
            "exchangeSegment": "NSE_FNO", "productType": "INTRADAY", "orderType": "MARKET",
            "validity": "DAY", "securityId": hedge, "quantity": held(told)[hedge], "price": 0,
        })  # fmt: skip
        engine.until(lambda status: status["contracts"] == 0 and status["trades"] == 4)
        assert held(told) == {} and resting(told) == []
        assert engine.interrupt() == 0
        assert "covered what is sold, and is gone" in engine.said


def an_option(told: dict[str, Any]) -> str:
    """A security id of the chain, near the money."""
    address = f"http://127.0.0.1:{told['port']}/api-data/api-scrip-master-detailed.csv"
    with urllib.request.urlopen(address) as answer:
        lines = answer.read().decode().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=False)) for line in lines[1:]]
    calls = [row for row in rows if row.get("OPTION_TYPE") == "CE"]
    return calls[len(calls) // 2]["SECURITY_ID"]
