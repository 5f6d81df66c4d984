"""`dhanfast trade --legs` with a stock in the place of an index, at the exchange on loopback.

Real processes: a day on paper, one with real orders, killed in the middle, and what is refused.
"""

import datetime as dt
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.market import GeneratedMarket
from dhanfast.exchange.settings import ExchangeSettings
from tests.app.live_process import DAY, exchange
from tests.app.test_chain_live import calling
from tests.app.test_trade_legs import (
    CONDOR,
    each_leg_once,
    faults,
    held,
    live,
    orders,
    ours,
    resting,
    same_books,
    seen,
    trader_of,
    whole,
)
from tests.exchange.serving import serving

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

EXPIRY = "2026-11-23"
MARKET = ("--seed", "5", "--start", "09:17", "--speed", "20x", "--strikes", "15", "--ticks",
          "500000")  # fmt: skip
HEDGE = """
[hedge]
instrument = "option"
strike = "atm"
band = "150 units"
pause = "5m"
"""
LOTS = {"BAJAJ-AUTO": 75, "M&M": 200}


def structure(name: str, more: str = "") -> str:
    return CONDOR.replace('underlying = "BANKNIFTY"', f'underlying = "{name}"\n{more}')


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A generated day of the stock that the test names, with 15 uneven strikes."""
    with exchange(*MARKET, "--symbol", request.param) as said:
        yield said
        faults(said)
        assert held(said) == {}, "a test has left a position at the exchange"


@pytest.mark.slow
@pytest.mark.parametrize("told", ["M&M"], indirect=True)
def test_a_paper_day_of_a_stock_goes_on_after_a_kill(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = structure("M&M") + HEDGE
    sets = {"risk__margin__short": "refuse", "risk__guards__max_trades": "3"}
    trader, path = trader_of(tmp_path, told, text=text, **sets)
    with trader.running("--legs", path) as first:
        before = first.until(whole)
        assert before["instrument"] == "M&M" and before["held"] % LOTS["M&M"] == 0
        first.kill()
    with trader.running("--legs", path, "--json") as second:
        after = second.until(lambda status: status["state"] == "trading")
        for name in ("capital", "instrument"):
            assert after[name] == before[name], name
        assert after["contracts"] >= 4
        monkeypatch.setenv("DHANFAST_HOME", str(trader.folder))
        run(["flatten"])  # a contract that is seldom quoted may need longer than it waits
        second.until(lambda status: not status["held"] and not status["orders_working"])
        assert second.interrupt() == 0, second.said
        said = second.said
    found = json.loads(said[said.index("\n{") + 1 : said.rindex("\n}") + 2])
    summary = found["summary"]
    assert summary["grade"] == "paper" and found["status"]["held"] == 0
    assert all(name.startswith(f"M&M {EXPIRY} ") for name in summary["contracts"].values())
    notes = " ".join(summary["notes"])
    assert "200 units a lot, 8,000 at once" in notes and "settled by delivery in 1 trading" in notes
    assert "Margin was asked before" in notes


@pytest.mark.slow
@pytest.mark.parametrize("told", ["BAJAJ-AUTO"], indirect=True)
def test_killed_while_a_stocks_sold_leg_is_in_doubt(told: dict[str, Any], tmp_path: Path) -> None:
    """The exchange takes a sold leg's order and does not say so; the engine dies. The next life
    asks for it by its number, sends nothing twice, compares by security id, and leaves flat."""
    trader, path = trader_of(tmp_path, told, text=structure("BAJAJ-AUTO", "lot = 75"),
                             risk__margin__short="refuse")  # fmt: skip
    old = {one["orderId"] for one in orders(told)}
    faults(told, {"kind": "timeout-after", "path": "/v2/orders", "method": "POST", "after": 2,
                  "count": 1, "delay_s": 60})  # fmt: skip
    with trader.running(*live(told, path)) as first:
        seen(lambda: len(ours(told, old)) >= 3)
        first.kill()
    assert len(held(told)) >= 2, "the hedges are in"
    with trader.running(*live(told, path)) as second:
        same_books(second, told)
        entries = ours(told, old)
        each_leg_once(entries)
        assert {one["filledQty"] for one in entries if one["filledQty"]} == {LOTS["BAJAJ-AUTO"]}
        assert second.interrupt() == 0
        said = second.said
        assert "Grade live" in said and "Margin was asked before 1 entries" in " ".join(
            said.split()
        )
    assert held(told) == {} and resting(told) == []


@pytest.mark.slow
@pytest.mark.parametrize("told", ["M&M"], indirect=True)
def test_what_the_list_does_not_bear_out_is_refused(told: dict[str, Any], tmp_path: Path) -> None:
    for text, words in (
        (structure("M&M", "lot = 100"), "the file says 100 units, and contracts of M&M"),
        (structure("RELIANCE"), "no options of a stock of that name"),
        (structure("M&M").replace('"buy"\nright = "CE"', '"buy"\nright = "CE"\nexpiry = "next"'),
         "only options that expire on 2026-11-23 are listed"),
    ):  # fmt: skip
        trader, path = trader_of(tmp_path, told, text=text)
        code, _, err = trader.ended("--legs", path)
        assert code != 0 and words in err, err
        assert not list((trader.folder / "journal").glob("*.dfj"))


# ---- what the exchange says of a stock -----------------------------------------------------------


def core_of(name: str) -> Any:
    market = GeneratedMarket(name, dt.date.fromisoformat(DAY), seed=5, strikes=15, levels=5,
                             ticks=5_000)  # fmt: skip
    return ExchangeCore(market, ExchangeSettings.seeded(1, limits=False), random.Random(1))


def test_the_chain_of_a_stock_is_asked_for_by_its_shares_id() -> None:
    core = core_of("M&M")
    core.advance(core.market.day.windows[0][0] + 600 * 10**9)
    headers = {"access-token": core.tokens.mint("SELF", core.real_ns).value,
               "client-id": core.settings.client_id}  # fmt: skip

    def ask(path: str, body: dict[str, Any]) -> Any:
        return core.request("POST", f"/v2{path}", {}, headers, json.dumps(body).encode(),
                            core.now_ns).json()  # fmt: skip

    of = {"UnderlyingScrip": 2031, "UnderlyingSeg": "NSE_EQ"}
    assert ask("/optionchain/expirylist", of)["data"] == [EXPIRY]
    found = ask("/optionchain", of | {"Expiry": EXPIRY})["data"]
    share = core.contracts.find("NSE_EQ", 2031)
    assert found["last_price"] == core.last(share) / 100
    strikes = sorted(float(one) for one in found["oc"])
    assert len(strikes) == 15 and {b - a for a, b in itertools.pairwise(strikes)} == {
        25.0, 50.0,
    }  # fmt: skip
    quote = ask("/marketfeed/quote", {"NSE_EQ": [2031]})["data"]["NSE_EQ"]["2031"]
    assert quote["volume"] > 0 and quote["last_price"] == found["last_price"]


def test_a_user_sees_the_chain_of_a_stock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        serving(core_of("M&M"), speed=0.001, minutes=30) as served,
        calling(served, tmp_path, capsys) as call,
    ):
        code, out, err = call("chain", "-u", "M&M", "--strikes", "5", "--json")
    assert code == 0, err
    found = json.loads(out)
    share = served.core.contracts.find("NSE_EQ", 2031)
    assert found["underlying"] == "M&M" and found["expiry"] == EXPIRY
    assert found["spot"] == served.core.last(share) / 100


def test_a_stocks_share_ends_before_its_options_do() -> None:
    """Since August 2026 stocks with derivatives leave continuous trading at 15:15."""
    market = GeneratedMarket("RELIANCE", dt.date.fromisoformat(DAY), seed=5, strikes=3, levels=0,
                             ticks=4_000)  # fmt: skip
    last = {0: 0, 1: 0}
    for records in market:
        for number in last:
            mine = records.ticks[records.ticks["instrument"] == number]
            if len(mine):
                last[number] = int(mine["exch_ns"][-1])
    of_day = {number: (at_ns // 10**9 + 19_800) % 86_400 // 60 for number, at_ns in last.items()}
    assert of_day[0] < 15 * 60 + 15 <= of_day[1]
