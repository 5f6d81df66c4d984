"""What we send against what the official client 2.3.0 sends for the same call.

Method, address, headers and body are equal, down to the order of the keys. Deliberate differences
are listed with their reason; the calls for US stocks (section 24 of the spec) are not ours.
"""

import asyncio
import json
from typing import Any

import pytest

from dhanfast.brokers.dhan.auth import AppKey, AuthCalls
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.requests import (
    ModifyForever,
    ModifyOrder,
    ModifySuper,
    PlaceForever,
    PlaceOrder,
    PlaceSuper,
)
from dhanfast.brokers.dhan.requests_account import (
    ConvertPosition,
    EdisForm,
    MarginQuery,
    MarginsQuery,
    PnlExit,
    StaticIp,
)
from dhanfast.brokers.dhan.requests_alerts import Condition, ConditionalOrder
from dhanfast.brokers.dhan.requests_data import ChainQuery, DailyQuery, ExpiredQuery, IntradayQuery
from dhanfast.brokers.dhan.web import WebReply, WebRequest
from dhanfast.security.tokens import Token

from .stage import CLIENT, VALUE, Call, ScriptedWeb, fixture, json_reply, rest_over

CASES = {case["call"]: case["sent"][0] for case in fixture("client_requests/rest")}
NOT_OURS = {"place_global_order", "modify_global_order", "get_global_market_status"}
# call -> (part, ours, why)
DIFFERENT: dict[str, tuple[str, Any, str]] = {
    "get_trade_book all": ("url", "https://api.dhan.co/v2/trades", "spec section 26, number 36"),
}
CONDITION = ConditionalOrder(
    condition=Condition(
        comparison="PRICE_WITH_VALUE", segment="NSE_EQ", security_id="1333",
        operator="GREATER_THAN", value=1800, frame="DAY", expires="2027-01-31",
    ),
    orders=(
        PlaceOrder(side="BUY", segment="NSE_EQ", product="CNC", security_id="1333", qty=4,
                   price=179_500),
    ),
)  # fmt: skip
SHARE: dict[str, Any] = {"side": "BUY", "segment": "NSE_EQ", "security_id": "1333", "qty": 4}
CALLS: dict[str, Call] = {
    "place_order LIMIT": lambda r: r.place(PlaceOrder(**SHARE, price=170_150, correlation="a-1")),
    "place_order MARKET": lambda r: r.place(
        PlaceOrder(**{**SHARE, "side": "SELL"}, order_type="MARKET", product="CNC")
    ),
    "place_order STOP_LOSS": lambda r: r.place(
        PlaceOrder(side="SELL", segment="NSE_FNO", security_id="49081", qty=75, price=9_950,
                   order_type="STOP_LOSS", product="MARGIN", trigger=10_000, validity="IOC")
    ),
    "place_order AMO": lambda r: r.place(
        PlaceOrder(**SHARE, product="CNC", price=170_000, amo="OPEN_30")
    ),
    "place_slice_order": lambda r: r.place_sliced(
        PlaceOrder(side="BUY", segment="NSE_FNO", security_id="49081", qty=5_400, price=1_205)
    ),
    "modify_order": lambda r: r.modify(ModifyOrder(order_id="112111182045", qty=5, price=170_200)),
    "cancel_order": lambda r: r.cancel("112111182045"),
    "get_order_list": lambda r: r.orders(),
    "get_order_by_id": lambda r: r.order("112111182045"),
    "get_order_by_correlationID": lambda r: r.order_by_correlation("a-1"),
    "place_super_order": lambda r: r.place_super(
        PlaceSuper(**SHARE, price=170_000, target=175_000, stop=168_000, trail=200,
                   correlation="s-1")
    ),
    "modify_super_order ENTRY_LEG": lambda r: r.modify_super(
        ModifySuper(order_id="5925", leg="ENTRY_LEG", qty=5, price=170_100, target=175_100,
                    stop=168_100, trail=200)
    ),
    "modify_super_order TARGET_LEG": lambda r: r.modify_super(
        ModifySuper(order_id="5925", leg="TARGET_LEG", target=176_000)
    ),
    "modify_super_order STOP_LOSS_LEG": lambda r: r.modify_super(
        ModifySuper(order_id="5925", leg="STOP_LOSS_LEG", stop=169_000)
    ),
    "cancel_super_order": lambda r: r.cancel_super("5925", "TARGET_LEG"),
    "get_super_order_list": lambda r: r.super_orders(),
    "place_forever SINGLE": lambda r: r.place_forever(
        PlaceForever(**SHARE, price=165_000, trigger=165_100)
    ),
    "place_forever OCO": lambda r: r.place_forever(
        PlaceForever(**{**SHARE, "side": "SELL"}, price=180_000, trigger=179_900, flag="OCO",
                     price1=160_000, trigger1=160_100, qty1=4, correlation="f-1")
    ),
    "modify_forever": lambda r: r.modify_forever(
        ModifyForever(order_id="5132", leg="TARGET_LEG", qty=5, price=165_500, trigger=165_600)
    ),
    "cancel_forever": lambda r: r.cancel_forever("5132"),
    "get_forever": lambda r: r.forever_orders(),
    "place_conditional_order": lambda r: r.place_conditional(CONDITION),
    "modify_conditional_order": lambda r: r.modify_conditional("771", CONDITION),
    "get_conditional_orders": lambda r: r.conditional_orders(),
    "get_conditional_order": lambda r: r.conditional_order("771"),
    "cancel_conditional_order": lambda r: r.cancel_conditional("771"),
    "get_holdings": lambda r: r.holdings(),
    "get_positions": lambda r: r.positions(),
    "exit_all_positions": lambda r: r.exit_all(),
    "convert_position": lambda r: r.convert(
        ConvertPosition(from_product="INTRADAY", to_product="CNC", segment="NSE_EQ",
                        position="LONG", security_id="1333", qty=4)
    ),
    "get_fund_limits": lambda r: r.funds(),
    "margin_calculator": lambda r: r.margin(MarginQuery(**SHARE, price=170_000)),
    "margin_calculator_multi": lambda r: r.margins(
        MarginsQuery(orders=(MarginQuery(side="BUY", segment="NSE_FNO", security_id="49081",
                                         qty=75, product="MARGIN", price=10_000),),
                     with_positions=True)
    ),
    "get_trade_book all": lambda r: r.trades(),
    "get_trade_book one": lambda r: r.trades_of("112111182045"),
    "get_trade_history": lambda r: r.trade_page("2026-06-01", "2026-06-30", 1),
    "ledger_report": lambda r: r.ledger("2026-06-01", "2026-06-30"),
    "kill_switch": lambda r: r.kill_switch(True),
    "status_kill_switch": lambda r: r.kill_switch_is_on(),
    "set_pnl_exit": lambda r: r.set_pnl_exit(
        PnlExit(profit=500_000, loss=200_000, kill_switch=True)
    ),
    "get_pnl_exit": lambda r: r.pnl_exit(),
    "stop_pnl_exit": lambda r: r.stop_pnl_exit(),
    "ticker_data": lambda r: r.ltp({"NSE_EQ": [1333, 11536], "NSE_FNO": [49081]}),
    "ohlc_data": lambda r: r.ohlc({"IDX_I": [13]}),
    "quote_data": lambda r: r.quote({"MCX_COMM": [114]}),
    "option_chain": lambda r: r.chain(ChainQuery(underlying=13, expiry="2026-07-30")),
    "expiry_list": lambda r: r.expiries(ChainQuery(underlying=13)),
    "intraday_minute_data": lambda r: r.intraday(
        IntradayQuery(segment="NSE_EQ", security_id="1333", instrument="EQUITY", interval=5,
                      begin="2026-06-01 09:15:00", end="2026-06-02 15:30:00", oi=True)
    ),
    # the last day is included here: the broker's toDate is excluded
    "historical_daily_data": lambda r: r.daily(
        DailyQuery(segment="NSE_EQ", security_id="1333", instrument="EQUITY", first="2026-01-01",
                   last="2026-05-31")
    ),
    "expired_options_data": lambda r: r.expired_options(
        ExpiredQuery(underlying=13, side="PUT", strike="ATM+2", first="2026-05-01",
                     last="2026-05-28", interval=5, columns=("open", "close", "iv", "oi", "spot"))
    ),
    "generate_tpin": lambda r: r.tpin(),
    "open_browser_for_tpin": lambda r: r.edis_form(EdisForm(isin="INE000A01001", qty=3)),
    "edis_inquiry": lambda r: r.edis_state(),
    "login: user_profile": lambda r: r.profile(),
    "login: set_ip": lambda r: r.set_ip(StaticIp(ip="203.0.113.7")),
    "login: modify_ip": lambda r: r.modify_ip(StaticIp(ip="203.0.113.8", flag="SECONDARY")),
    "login: get_ip": lambda r: r.ip(),
}  # fmt: skip
ANSWERS = {  # a body that the call can read; the others take an empty list
    "/fundlimit": "fundlimit", "/margincalculator": "margin", "/margincalculator/multi":
    "margin_multi", "/marketfeed/ltp": "marketfeed_ltp", "/marketfeed/ohlc": "marketfeed_ohlc",
    "/marketfeed/quote": "marketfeed_quote", "/optionchain": "option_chain",
    "/optionchain/expirylist": "expiry_list", "/profile": "profile", "/ip/getIP": "ip",
    "/pnlExit": "pnl_exit", "/charts/historical": "charts_empty",
    "/charts/intraday": "charts_empty", "/charts/rollingoption": "charts_rollingoption",
    "/killswitch": "kill_switch_status", "/edis/form": "pnl_exit",
}  # fmt: skip


def answer(request: WebRequest) -> WebReply:
    """A body that fits the call."""
    path = request.url.split("/v2")[-1].partition("?")[0]
    return json_reply(fixture(f"rest/{ANSWERS[path]}") if path in ANSWERS else [])


def same(sent: WebRequest, theirs: dict[str, Any], call: str) -> None:
    """Equal to the official client's, but for what is listed."""
    body = json.loads(sent.body) if sent.body else None
    ours = {"method": sent.method, "url": sent.url, "body": body, "headers": dict(sent.headers)}
    wanted = dict(theirs)
    if call in DIFFERENT:
        name, value, _ = DIFFERENT[call]
        assert wanted[name] != value, "no longer different: take it off the list"
        wanted[name] = value
    if wanted["headers"].get("Accept") == "*/*":  # what the library adds when told nothing
        wanted["headers"] = {k: v for k, v in wanted["headers"].items() if k != "Accept"}
    assert ours == wanted
    if body is not None:
        assert list(body) == list(wanted["body"]), "the keys stand in another order"


@pytest.mark.parametrize("call", CALLS)
def test_a_call_sends_what_the_official_client_sends(call: str) -> None:
    web = ScriptedWeb(answer)
    rest, _ = rest_over(web)
    asyncio.run(_run(rest, CALLS[call]))
    assert len(web.asked) == 1
    same(web.asked[0], CASES[call], call)


async def _run(rest: Any, call: Call) -> None:
    await call(rest)


LOGINS = {
    "login: consent (OAuth step 1)": lambda c: c.consent(CLIENT, AppKey("APPID", "APPSECRET")),
    "login: consume_token_id": lambda c: c.consume("TOKENID", AppKey("APPID", "APPSECRET")),
    "login: generate_token": lambda c: c.mint(CLIENT, "111111", "000000"),
    "login: renew_token": lambda c: c.renew(Token(CLIENT, VALUE)),
}


@pytest.mark.parametrize("call", LOGINS)
def test_a_login_sends_what_the_official_client_sends(call: str) -> None:
    said = {**fixture("rest/access_token"), "consentAppId": "C"}
    web = ScriptedWeb(lambda _: json_reply(said))
    asyncio.run(_run(AuthCalls(Hosts(), web), LOGINS[call]))
    same(web.asked[0], CASES[call], call)


def test_every_call_of_the_client_is_covered() -> None:
    assert set(CALLS) | set(LOGINS) | NOT_OURS == set(CASES)
