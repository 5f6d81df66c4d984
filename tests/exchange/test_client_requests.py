"""Every request that the official client makes, sent as it sends it, is served.

Numbers of orders in the recorded requests are replaced by those of orders placed just before; what
the answer must look like is the fixture of that call, whose keys must all be there.
"""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.serving import SECOND, Served, make_core, serving

FIXTURES = Path(__file__).parents[1] / "fixtures" / "dhan"
CALLS = {
    one["call"]: one["sent"][0]
    for one in json.loads((FIXTURES / "client_requests" / "rest.json").read_text())
}
# Answer of a call -> the fixture of such an answer.
LIKE = {
    "place_order LIMIT": "place_order", "get_order_list": "orders", "get_positions": "positions",
    "get_order_by_id": "order_single_object", "place_slice_order": "place_slice",
    "get_order_by_correlationID": "order_single_object", "get_trade_book all": "trades",
    "get_super_order_list": "super_orders", "get_forever": "forever_orders",
    "get_conditional_order": "conditional_order", "get_holdings": "holdings",
    "exit_all_positions": "exit_all", "get_fund_limits": "fundlimit",
    "margin_calculator": "margin", "margin_calculator_multi": "margin_multi",
    "get_trade_history": "trade_history", "ledger_report": "ledger", "kill_switch": "kill_switch",
    "status_kill_switch": "kill_switch_status", "get_pnl_exit": "pnl_exit",
    "ticker_data": "marketfeed_ltp", "option_chain": "option_chain", "expiry_list": "expiry_list",
    "intraday_minute_data": "charts_intraday", "historical_daily_data": "charts_daily",
    "login: renew_token": "access_token",
    "login: user_profile": "profile", "login: get_ip": "ip",
}  # fmt: skip
ABSENT = {"place_global_order", "modify_global_order", "get_global_market_status"}
# Keys of a fixture that a live answer may lack: they are of accounts that hold other things.
OPTIONAL = {
    "indicatorName",
    "userNote",
    "mtf_tq_qty",
    "mtf_qty",
    "lastTradedPrice",
    "open_interest",
}


class Session:
    """Sends recorded requests, with our token and the dates of our market."""

    def __init__(self, served: Served) -> None:
        self.served, self.token = served, served.token
        self.ids: dict[str, str] = {}
        self.answers: dict[str, Any] = {}

    def send(self, name: str, *, swap: dict[str, str] | None = None, **body: Any) -> Any:
        """Status and body of a recorded call, `swap` replacing texts and `body` fields."""
        sent = CALLS[name]
        url = sent["url"].replace("https://api.dhan.co", self.served.http)
        url = url.replace("https://auth.dhan.co", self.served.http)
        raw = None if sent["body"] is None else json.dumps(sent["body"] | body)
        for old, new in (swap or {}).items():
            url = url.replace(old, new)
            raw = None if raw is None else raw.replace(old, new)
        headers = {name: self.token if value == "TEST.TOKEN.VALUE" else value
                   for name, value in sent["headers"].items()}  # fmt: skip
        request = urllib.request.Request(url, data=None if raw is None else raw.encode(),
                                         headers=headers, method=sent["method"])  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                content = answer.read()
                status = answer.status
        except urllib.error.HTTPError as error:
            content, status = error.read(), error.code
        found = json.loads(content) if content else None
        self.answers[name] = found
        return status, found

    def ok(self, name: str, **given: Any) -> Any:
        status, found = self.send(name, **given)
        assert 200 <= status < 300, (name, status, found)
        if name in LIKE:
            like = json.loads((FIXTURES / "rest" / f"{LIKE[name]}.json").read_text())
            check_shape(found, like, name)
        return found

    def pass_time(self, seconds: float) -> None:
        """Let the market go on, all at once."""

        def work() -> None:
            market = self.served.server._market
            market.start(market.now_ns() + round(seconds * SECOND))
            self.served.server._look()

        self.served.call(work)


def check_shape(found: Any, like: Any, where: str) -> None:
    """The keys of `like`, and values of the same kind, all the way down."""
    if isinstance(like, dict):
        assert isinstance(found, dict), (where, found)
        keys = set(like)
        if keys and all(key.replace(".", "").isdecimal() for key in keys):  # ids, strikes
            assert found, where
            for value in found.values():
                check_shape(value, next(iter(like.values())), where)
            return
        if keys <= {"NSE_EQ", "NSE_FNO", "IDX_I"}:
            keys &= set(found)
            assert keys, (where, found)
        for key in keys - OPTIONAL:
            assert key in found, (where, key)
            check_shape(found[key], like[key], f"{where}.{key}")
    elif isinstance(like, list):
        assert isinstance(found, list), (where, found)
        for one in found:
            if like:
                check_shape(one, like[0], f"{where}[]")
    elif like is None or found is None:
        assert not isinstance(found, dict | list) or like is None, (where, found)
    elif isinstance(like, bool) or isinstance(found, bool):
        assert isinstance(found, bool) and isinstance(like, bool), (where, found)
    elif isinstance(like, int | float):
        assert isinstance(found, int | float), (where, found, like)
    else:
        assert isinstance(found, str), (where, found, like)


@pytest.fixture(scope="module")
def session() -> Any:
    with serving(make_core(limits=False, mint_interval_s=0), speed=0.001, minutes=2) as served:
        yield Session(served)


def test_orders(session: Session) -> None:
    placed = session.ok("place_order LIMIT", price=1690.0)
    assert placed["orderStatus"] == "PENDING"
    swap = {"112111182045": placed["orderId"]}
    assert session.ok("modify_order", swap=swap, price=1692.0)["orderId"] == placed["orderId"]
    assert session.ok("get_order_by_id", swap=swap)["quantity"] == 5
    assert session.ok("get_order_by_correlationID")["price"] == 1692.0
    session.ok("place_order MARKET")
    session.ok("place_order STOP_LOSS")
    sliced = session.ok("place_slice_order")
    assert len(sliced) == 3
    session.pass_time(5)
    book = session.ok("get_order_list")
    assert [one["orderStatus"] for one in book] == [
        "PENDING", "TRADED", "PENDING", "PENDING", "PENDING", "PENDING"
    ]  # fmt: skip
    assert len(session.ok("get_trade_book all")) == 1
    assert session.ok("get_trade_book one", swap={"112111182045": book[1]["orderId"]})
    assert session.ok("cancel_order", swap=swap)["orderStatus"] == "CANCELLED"
    assert session.send("cancel_order", swap=swap)[0] == 400


def test_after_market_order_is_for_other_hours(session: Session) -> None:
    status, found = session.send("place_order AMO")
    assert status == 400 and found["errorCode"] == "DH-906"


def test_super_orders(session: Session) -> None:
    session.served.call(lambda: session.served.core.advance(0))
    last = session.served.core.last(session.served.core.contracts.by_symbol["HDFCBANK"]) / 100
    prices = {"price": round(last + 2), "targetPrice": round(last + 50),
              "stopLossPrice": round(last - 30)}  # fmt: skip
    placed = session.ok("place_super_order", **prices)
    swap = {"5925": placed["orderId"]}
    session.ok("modify_super_order ENTRY_LEG", swap=swap, **prices)
    assert session.send("modify_super_order TARGET_LEG", swap=swap)[0] == 400  # not traded yet
    session.pass_time(10)
    session.ok("modify_super_order TARGET_LEG", swap=swap)
    session.ok("modify_super_order STOP_LOSS_LEG", swap=swap, stopLossPrice=round(last - 20))
    listed = session.ok("get_super_order_list")
    assert listed[0]["orderStatus"] == "TRADED"
    assert [leg["legName"] for leg in listed[0]["legDetails"]] == ["STOP_LOSS_LEG", "TARGET_LEG"]
    assert [leg["orderStatus"] for leg in listed[0]["legDetails"]] == ["PENDING", "PENDING"]
    assert listed[0]["legDetails"][0]["price"] == round(last - 20)
    assert session.ok("cancel_super_order", swap=swap)["orderStatus"] == "CANCELLED"
    legs = session.ok("get_super_order_list")[0]["legDetails"]
    assert [leg["orderStatus"] for leg in legs] == ["PENDING", "CANCELLED"]


def test_forever_orders(session: Session) -> None:
    single = session.ok("place_forever SINGLE")
    session.ok("place_forever OCO")
    swap = {"5132": single["orderId"]}
    session.ok("modify_forever", swap=swap)
    listed = session.ok("get_forever")
    assert [one["orderType"] for one in listed] == ["SINGLE", "OCO", "OCO"]
    assert {one["orderStatus"] for one in listed} == {"CONFIRM"}
    assert listed[0]["triggerPrice"] == 1656.0
    session.ok("cancel_forever", swap=swap)
    assert session.ok("get_forever")[0]["orderStatus"] == "CANCELLED"


def test_conditional_orders(session: Session) -> None:
    placed = session.ok("place_conditional_order")
    assert placed == {"alertId": "771", "alertStatus": "ACTIVE"}
    session.ok("modify_conditional_order")
    assert len(session.ok("get_conditional_orders")) == 1
    assert session.ok("get_conditional_order")["createdTime"].endswith("Z")
    assert session.ok("cancel_conditional_order")["alertStatus"] == "CANCELLED"


def test_portfolio_and_margins(session: Session) -> None:
    assert session.ok("get_holdings")[0]["securityId"] == "1333"
    assert session.ok("get_positions")
    session.ok("get_fund_limits")
    status, found = session.send("convert_position")
    if status != 202:  # only what is held can be converted: the client asks for 4 of 1333
        held = next(
            one
            for one in session.answers["get_positions"]
            if one["securityId"] == "1333" and one["productType"] == "INTRADAY"
        )
        assert held["netQty"] < 4 and found["errorCode"] == "DH-906"
    assert found is None or status == 400
    assert float(session.ok("margin_calculator")["totalMargin"]) == 1700 * 4 * 0.2
    assert session.ok("margin_calculator_multi")["fo_margin"] != "0.00"
    assert session.ok("exit_all_positions")["status"] == "SUCCESS"
    session.pass_time(20)
    assert {one["netQty"] for one in session.ok("get_positions")} == {0}


def test_statements(session: Session) -> None:
    swap = {"2026-06-30/1": "2026-06-30/0", "2026-06-01": "2025-11-01",
            "2026-06-30": "2025-11-30"}  # fmt: skip
    history = session.ok("get_trade_history", swap=swap)
    assert history and history[0]["instrument"] == "EQUITY"
    assert session.ok("get_trade_history") == []
    assert session.ok("ledger_report", swap=swap)[0]["debit"] == "0.00"
    assert session.ok("ledger_report") == []


def test_control(session: Session) -> None:
    session.ok("set_pnl_exit")
    assert session.ok("get_pnl_exit")["profit"] == "5000.00"
    assert session.ok("stop_pnl_exit")["pnlExitStatus"] == "DISABLED"
    session.ok("kill_switch")
    assert session.ok("status_kill_switch")["killSwitchStatus"] == "ACTIVATE"
    status, found = session.send("place_order LIMIT")
    assert status == 400 and "Kill Switch" in found["errorMessage"]
    session.ok("kill_switch", swap={"ACTIVATE": "DEACTIVATE"})


def test_market(session: Session) -> None:
    quotes = session.ok("ticker_data")["data"]
    assert set(quotes["NSE_EQ"]) == {"1333", "11536"} and set(quotes["NSE_FNO"]) == {"49081"}
    assert session.ok("ohlc_data")["data"]["IDX_I"]["13"]["ohlc"]["close"] > 0
    assert session.ok("quote_data")["data"] == {}  # nothing of MCX is listed here
    found = session.ok("expiry_list")["data"]
    expiry = found[0]
    chain = session.ok("option_chain", Expiry=expiry)["data"]["oc"]
    assert len(chain) == 11 and set(next(iter(chain.values()))) == {"ce", "pe"}
    day = {"2026-06-01": "2025-11-17", "2026-06-02": "2025-11-17"}
    instrument = {"securityId": "13", "exchangeSegment": "IDX_I", "instrument": "INDEX"}
    columns = session.ok("intraday_minute_data", swap=day, **instrument, interval=1)
    assert len({len(column) for column in columns.values()}) == 1
    assert columns["timestamp"][0] == 1763351100  # 09:15 IST
    days = session.ok("historical_daily_data", fromDate="2025-11-10", toDate="2025-11-15",
                      **instrument)  # fmt: skip
    assert len(days["close"]) == 5
    rolling = session.ok("expired_options_data", fromDate="2025-11-12", toDate="2025-11-14")
    assert rolling["data"]["ce"] is None
    columns = rolling["data"]["pe"]
    assert len(columns["timestamp"]) == len(columns["iv"]) <= 150  # two days of five minutes
    assert len(columns["iv"]) > 140  # without those in which the strike did not trade
    assert columns["volume"] == [] and min(columns["oi"]) > 0


def test_edis(session: Session) -> None:
    status, found = session.send("generate_tpin")
    assert (status, found) == (202, None)
    assert "INE000A01001" in session.ok("open_browser_for_tpin")["edisFormHtml"]
    assert len(session.ok("edis_inquiry")) == 3


def test_addresses(session: Session) -> None:
    session.ok("login: set_ip")
    assert session.send("login: set_ip")[0] == 400
    session.ok("login: modify_ip")
    found = session.ok("login: get_ip")
    assert (found["primaryIP"], found["secondaryIP"]) == ("203.0.113.7", "203.0.113.8")


def test_login(session: Session) -> None:
    from dhanfast.exchange.auth import totp

    settings = session.served.core.settings
    assert session.ok("login: user_profile")["dhanClientId"] == "1000000001"
    session.token = session.ok("login: renew_token")["accessToken"]
    assert session.ok("login: user_profile")
    assert session.send("login: generate_token")[0] == 401
    code = totp(settings.totp_secret, session.served.server._clock.now_ns())
    swap = {"pin=111111": f"pin={settings.pin}", "totp=000000": f"totp={code}"}
    old = session.token
    session.token = session.ok("login: generate_token", swap=swap)["accessToken"]
    assert session.ok("login: user_profile")
    session.token, new = old, session.token
    assert session.send("login: user_profile")[0] == 401  # one token lives at a time
    session.token = new
    assert session.send("login: renew_token")[0] == 400  # made by API: not to be renewed


def test_what_is_not_served_says_so(session: Session) -> None:
    for name in sorted(ABSENT):
        status, found = session.send(name)
        assert status == 404 and found["errorCode"] == "DH-905", name


def test_every_recorded_call_was_sent(session: Session) -> None:
    flow = {"login: consent (OAuth step 1)", "login: consume_token_id"}  # test_login.py
    assert set(CALLS) - set(session.answers) == flow
