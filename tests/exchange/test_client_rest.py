"""The unmodified official client, its hosts turned to loopback, uses the exchange as a broker."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener

import pytest

from dhanfast.exchange.auth import totp
from tests.exchange.serving import Served, make_core, serving

dhanhq = pytest.importorskip("dhanhq")


@pytest.fixture(scope="module")
def served() -> Any:
    with serving(make_core(limits=False, mint_interval_s=0), speed=50) as one:
        yield one


@pytest.fixture
def client(served: Served) -> Any:
    context = dhanhq.DhanContext("1000000001", served.core.tokens.live.value)
    context.dhan_http.base_url = served.http + "/v2"
    yield dhanhq.dhanhq(context)
    context.dhan_http.session.close()


def good(answer: dict[str, Any]) -> Any:
    assert answer["status"] == "success", answer
    return answer["data"]


def test_place_modify_cancel_and_the_books(served: Served, client: Any) -> None:
    future = served.core.contracts[1]
    number = str(future.security_id)
    placed = good(client.place_order(number, "NSE_FNO", "BUY", future.lot, "LIMIT", "INTRADAY",
                                     22000, tag="c-1"))  # fmt: skip
    order_id = placed["orderId"]
    good(client.modify_order(order_id, "LIMIT", "ENTRY_LEG", 2 * future.lot, 22100, 0, 0, "DAY"))
    found = good(client.get_order_by_id(order_id))
    assert (found["price"], found["quantity"]) == (22100, 2 * future.lot)
    assert good(client.get_order_by_correlationID("c-1"))["orderId"] == order_id
    assert good(client.cancel_order(order_id))["orderStatus"] == "CANCELLED"
    good(client.place_order(number, "NSE_FNO", "SELL", future.lot, "MARKET", "MARGIN", 0))
    while not (trades := good(client.get_trade_book())):
        pass
    assert trades[0]["tradedQuantity"] == future.lot
    held = good(client.get_positions())
    assert held[0]["netQty"] == -future.lot and held[0]["positionType"] == "SHORT"
    assert len(good(client.get_order_list())) == 2
    assert good(client.get_fund_limits())["utilizedAmount"] > 0


def test_a_refusal_reaches_the_caller(served: Served, client: Any) -> None:
    future = served.core.contracts[1]
    answer = client.place_order(str(future.security_id), "NSE_FNO", "BUY", 1, "LIMIT", "INTRADAY",
                                22000)  # fmt: skip
    assert answer["status"] == "failure"
    assert answer["remarks"]["error_code"] == "DH-906"
    assert "lot size" in answer["remarks"]["error_message"]


def test_super_and_forever(served: Served, client: Any) -> None:
    number = "1333"
    placed = good(client.place_super_order(number, "NSE_EQ", "BUY", 4, "LIMIT", "INTRADAY", 1600,
                                           targetPrice=1650, stopLossPrice=1580,
                                           trailingJump=1))  # fmt: skip
    order_id = placed["orderId"]
    good(client.modify_super_order(order_id, "LIMIT", "ENTRY_LEG", 5, 1601, 1651, 1581, 1))
    assert good(client.get_super_order_list())[0]["quantity"] == 5
    assert good(client.cancel_super_order(order_id, "ENTRY_LEG"))["orderStatus"] == "CANCELLED"
    placed = good(client.place_forever(number, "NSE_EQ", "BUY", "CNC", "LIMIT", 4, 1600, 1601))
    order_id = placed["orderId"]
    good(client.modify_forever(order_id, "SINGLE", "LIMIT", "TARGET_LEG", 5, 1602, 1603, 0, "DAY"))
    assert good(client.get_forever())[0]["triggerPrice"] == 1603
    good(client.cancel_forever(order_id))


def test_quotes_chain_and_charts(served: Served, client: Any) -> None:
    quotes = good(client.ticker_data({"IDX_I": [13]}))["data"]
    assert quotes["IDX_I"]["13"]["last_price"] > 20_000
    expiry = good(client.expiry_list(13, "IDX_I"))["data"][0]
    chain = good(client.option_chain(13, "IDX_I", expiry))["data"]
    assert abs(chain["last_price"] - quotes["IDX_I"]["13"]["last_price"]) < 500
    assert len(chain["oc"]) == 11
    days = good(client.historical_daily_data("13", "IDX_I", "INDEX", "2025-11-03", "2025-11-17"))
    assert len(days["close"]) == 9  # 2025-11-05 was a holiday
    minutes = good(client.intraday_minute_data("13", "IDX_I", "INDEX", "2025-11-14 09:15:00",
                                               "2025-11-14 15:30:00", interval=15))  # fmt: skip
    assert len(minutes["close"]) == 25 and minutes["close"][-1] == days["close"][-1]
    assert minutes["high"] and max(minutes["high"]) == days["high"][-1]


class NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def test_login(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    from dhanhq.auth import DhanLogin

    settings = served.core.settings
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(DhanLogin, "AUTH_BASE_URL", served.http)
    monkeypatch.setattr(DhanLogin, "API_BASE_URL", served.http + "/v2")
    login = DhanLogin("1000000001")
    consent = login.generate_login_session(settings.app_id, settings.app_secret)
    assert opened and consent in opened[0]
    try:
        build_opener(NoRedirect).open(opened[0])
        raise AssertionError("the login page redirects")
    except OSError as error:
        place = error.headers["location"]  # type: ignore[attr-defined]
        error.close()  # type: ignore[attr-defined]
    token_id = parse_qs(urlsplit(place).query)["tokenId"][0]
    made = login.consume_token_id(token_id, settings.app_id, settings.app_secret)
    assert login.user_profile(made["accessToken"])["dataPlan"] == "Active"
    code = totp(settings.totp_secret, served.server._clock.now_ns())
    token = login.generate_token(settings.pin, code)["accessToken"]
    assert login.user_profile(token)["dhanClientId"] == "1000000001"
    with pytest.raises(Exception, match="invalid or expired"):
        login.user_profile(made["accessToken"])
