"""Requests that a careless or a curious client sends: refused with a reason, never half done."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dhanfast.errors import ConfigError
from dhanfast.exchange.faults import fault_of, faults_of
from dhanfast.exchange.fields import number_of
from tests.exchange.serving import SECOND, Account, make_account

LONG = "9" * 5_000
CHART = {"securityId": "13", "exchangeSegment": "IDX_I", "instrument": "INDEX", "interval": "1",
         "oi": False}  # fmt: skip
EXPIRED = {"exchangeSegment": "NSE_FNO", "interval": "1", "securityId": 13, "instrument": "OPTIDX",
           "expiryFlag": "WEEK", "expiryCode": 1, "strike": "ATM", "drvOptionType": "CALL",
           "requiredData": ["open"]}  # fmt: skip


@pytest.fixture
def account() -> Account:
    return make_account(limits=False)


def placed(account: Account, contract: Any, price: int, **given: Any) -> str:
    """The id of a buy order that rests."""
    body = account.order(contract, "BUY", price=price / 100, **given)
    status, found = account.ask("POST", "/orders", body)
    assert status == 200
    account.run(1)
    return str(found["orderId"])


def change(order_id: str, kind: str, lot: int, **given: Any) -> dict[str, Any]:
    """The body of the official client's modify_order."""
    return {"orderId": order_id, "orderType": kind, "legName": "", "quantity": lot, "price": 0.0,
            "disclosedQuantity": 0, "triggerPrice": 0.0, "validity": "DAY"} | given  # fmt: skip


# ---- numbers and dates out of every range ----


def test_a_number_of_five_thousand_digits_is_refused(account: Account) -> None:
    future = account.contract("FUT")
    price = account.mid(future) / 100
    for name in ("quantity", "disclosedQuantity"):
        status, found = account.ask(
            "POST", "/orders", account.order(future, "BUY", price=price, **{name: LONG})
        )
        assert (status, found["errorMessage"]) == (400, f"{name} is invalid")
    assert account.ask("GET", f"/trades/2025-11-17/2025-11-17/{LONG}")[0] == 400
    assert account.ask("GET", "/trades/2025-11-17/2025-11-17/0") == (200, [])


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("75", 75), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("", None), ("-1", None),
     ("1.0", None), ("\u0663", None)],
)  # fmt: skip
def test_digits(text: str, number: int | None) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31", "2201-01-01", "9999-12-31"])
def test_a_date_beyond_every_calendar_is_refused(account: Account, day: str) -> None:
    dates = {"fromDate": day, "toDate": day}
    for path, body in (("/charts/intraday", CHART), ("/charts/historical", CHART),
                       ("/charts/rollingoption", EXPIRED)):  # fmt: skip
        status, found = account.ask("POST", path, body | dates)
        assert (status, found["errorCode"]) == (400, "DH-905")
    status, found = account.ask("GET", "/ledger", **{"from-date": day, "to-date": day})
    assert (status, found["errorCode"]) == (400, "DH-905")
    chain = {"UnderlyingScrip": 13, "UnderlyingSeg": "IDX_I", "Expiry": day}
    status, found = account.ask("POST", "/optionchain", chain)
    assert (status, list(found["data"])) == (400, ["812"])


def test_a_token_that_is_no_utf8_is_a_wrong_token(account: Account) -> None:
    core = account.core
    for path, code in (("/v2/orders", 901), ("/v2/marketfeed/ltp", 809)):
        method = "GET" if code == 901 else "POST"
        headers = account.headers | {"access-token": "\udcff\udcfe"}
        reply = core.request(method, path, {}, headers, b"{}", core.now_ns)
        assert reply.status == 401
        assert str(code) in json.dumps(reply.json())
    query = {"dhanClientId": "1000000001", "pin": "\udcff", "totp": "1"}
    reply = core.request("POST", "/app/generateAccessToken", query, {}, b"", core.now_ns)
    assert reply.status == 401


# ---- changes that leave an order without what its kind needs ----


def test_a_limit_becomes_a_stop_with_a_trigger_only(account: Account) -> None:
    future = account.contract("FUT")
    far = account.mid(future) - 400 * future.tick
    order_id = placed(account, future, far)
    for kind in ("STOP_LOSS", "STOP_LOSS_MARKET"):
        status, found = account.ask(
            "PUT", f"/orders/{order_id}", change(order_id, kind, future.lot, price=far / 100)
        )
        assert (status, found["errorMessage"]) == (400, "triggerPrice is required")
    account.run(2)
    order = account.ask("GET", f"/orders/{order_id}")[1]
    assert (order["orderType"], order["orderStatus"], order["price"]) == (
        "LIMIT", "PENDING", far / 100,
    )  # fmt: skip


def test_a_stop_market_becomes_a_limit_with_a_price_only() -> None:
    account = make_account(limits=False, stop_market="convert")
    future = account.contract("FUT")
    above = account.mid(future) + 300 * future.tick
    body = account.order(future, "BUY", "STOP_LOSS_MARKET", triggerPrice=above / 100)
    order_id = account.ask("POST", "/orders", body)[1]["orderId"]
    account.run(1)
    changed = change(order_id, "STOP_LOSS", future.lot, triggerPrice=(above + future.tick) / 100)
    assert account.ask("PUT", f"/orders/{order_id}", changed)[0] == 200
    account.run(1)
    order = account.ask("GET", f"/orders/{order_id}")[1]
    assert order["triggerPrice"] == (above + future.tick) / 100
    assert order["price"] >= order["triggerPrice"]  # the limit that protected it before


def test_a_change_of_what_is_disclosed(account: Account) -> None:
    future = account.contract("FUT")
    far, lot = account.mid(future) - 400 * future.tick, future.lot
    order_id = placed(account, future, far, quantity=4 * lot, disclosedQuantity=2 * lot)
    account.core.take_updates()

    def asked(shown: int, lots: int = 4) -> tuple[int, int]:
        body = change(order_id, "LIMIT", lots * lot, price=far / 100, disclosedQuantity=shown)
        status = account.ask("PUT", f"/orders/{order_id}", body)[0]
        account.run(1)
        return status, account.ask("GET", f"/orders/{order_id}")[1]["disclosedQuantity"]

    assert asked(3 * lot) == (200, 3 * lot)
    assert account.core.take_updates()[-1]["Data"]["DiscQuantity"] == 3 * lot
    assert asked(lot) == (400, 3 * lot)  # 25 % are too few
    assert asked(5 * lot) == (400, 3 * lot)
    assert asked(2 * lot, lots=0) == (200, 2 * lot)  # the quantity stays
    assert asked(0) == (200, 0)


# ---- several orders in one request ----


def test_of_several_orders_none_is_sent_when_one_cannot_be_read(account: Account) -> None:
    future = account.contract("FUT")
    price = (account.mid(future) - 400 * future.tick) / 100
    good = account.order(future, "BUY", price=price) | {"sequence": "1"}
    del good["dhanClientId"]
    bad = good | {"sequence": "2", "quantity": 0}
    status, found = account.ask("POST", "/alerts/multi/orders", {"orders": [good, bad]})
    assert (status, found["errorMessage"]) == (400, "quantity is invalid")
    assert account.ask("GET", "/orders") == (200, [])
    status, found = account.ask("POST", "/alerts/multi/orders", {"orders": [good]})
    assert (status, [one["sequence"] for one in found["orders"]]) == (200, ["1"])


def test_slices_that_were_taken_are_told_when_the_next_is_refused() -> None:
    account = make_account(limits=False, in_book=frozenset())
    future = account.contract("FUT")
    whole = future.freeze // future.lot * future.lot
    price = (account.mid(future) - 40 * future.tick) / 100
    body = account.order(future, "BUY", price=price, quantity=whole * 4)
    each = account.core.books.need(future, "INTRADAY", 1, whole, round(price * 100))
    account.core.books.funds = each * 5 // 2  # enough for two of the four
    status, found = account.ask("POST", "/orders/slicing", body)
    booked = account.ask("GET", "/orders")[1]
    assert status == 200
    assert [one["orderId"] for one in found] == [one["orderId"] for one in booked]
    assert len(found) == 2
    status, found = account.ask("POST", "/orders/slicing", body)
    assert (status, found["errorCode"]) == (400, "DH-906")
    assert len(account.ask("GET", "/orders")[1]) == 2


def test_a_position_is_converted_in_lots(account: Account) -> None:
    future = account.contract("FUT")
    account.ask("POST", "/orders", account.order(future, "BUY", "MARKET"))
    account.run(5)
    body = {"fromProductType": "INTRADAY", "exchangeSegment": future.segment,
            "positionType": "LONG", "securityId": str(future.security_id),
            "convertQty": future.lot - 1, "toProductType": "MARGIN"}  # fmt: skip
    status, found = account.ask("POST", "/positions/convert", body)
    assert (status, found["errorCode"]) == (400, "DH-906")
    assert str(future.lot) in found["errorMessage"]
    assert account.ask("POST", "/positions/convert", body | {"convertQty": future.lot})[0] == 202


def test_both_legs_of_a_forever_order_stay_on_their_sides(account: Account) -> None:
    future = account.contract("FUT")
    mid, lot = account.mid(future), future.lot
    away = 300 * future.tick
    body = {"orderFlag": "OCO", "transactionType": "SELL", "exchangeSegment": future.segment,
            "productType": "MARGIN", "orderType": "LIMIT", "validity": "DAY",
            "securityId": str(future.security_id), "quantity": lot, "disclosedQuantity": 0,
            "price": (mid + away) / 100, "triggerPrice": (mid + away) / 100,
            "price1": (mid - away) / 100, "triggerPrice1": (mid - away) / 100,
            "quantity1": lot}  # fmt: skip
    order_id = account.ask("POST", "/forever/orders", body)[1]["orderId"]
    wrong = (mid + 2 * away) / 100
    changed = change(order_id, "LIMIT", lot, orderFlag="OCO", legName="STOP_LOSS_LEG", price=wrong,
                     triggerPrice=wrong)  # fmt: skip
    status, found = account.ask("PUT", f"/forever/orders/{order_id}", changed)
    assert (status, found["errorCode"]) == (400, "DH-905")
    right = (mid - 2 * away) / 100
    changed |= {"price": right, "triggerPrice": right}
    assert account.ask("PUT", f"/forever/orders/{order_id}", changed)[0] == 200
    prices = [one["triggerPrice"] for one in account.ask("GET", "/forever/orders")[1]]
    assert prices == [(mid + away) / 100, right]


# ---- consents ----


def keys(account: Account) -> dict[str, str]:
    settings = account.core.settings
    return {"app_id": settings.app_id, "app_secret": settings.app_secret}


def consent(account: Account) -> str:
    core = account.core
    query = {"client_id": "1000000001"}
    reply = core.request("POST", "/app/generate-consent", query, keys(account), b"", core.now_ns,
                         real_ns=core.real_ns + SECOND)  # fmt: skip
    return str(reply.json()["consentAppId"])


def login(account: Account, given: str) -> str:
    core = account.core
    reply = core.request("GET", "/login/consentApp-login", {"consentAppId": given}, {}, b"",
                         core.now_ns)  # fmt: skip
    return parse_qs(urlsplit(reply.headers["location"]).query)["tokenId"][0]


def consume(account: Account, token_id: str) -> int:
    core = account.core
    query = {"tokenId": token_id}
    return core.request("POST", "/app/consumeApp-consent", query, keys(account), b"",
                        core.now_ns).status  # fmt: skip


def test_ids_of_consents_never_come_twice(account: Account) -> None:
    first = consent(account)
    one = login(account, first)
    assert consume(account, one) == 200
    other, third = consent(account), consent(account)
    two, three = login(account, other), login(account, third)
    assert len({first, other, third}) == len({one, two, three}) == 3
    assert consume(account, one) == 401  # it was used
    assert (consume(account, three), consume(account, two)) == (200, 200)


def test_a_consent_that_was_logged_in_twice_gives_one_token(account: Account) -> None:
    given = consent(account)
    one, two = login(account, given), login(account, given)
    assert (consume(account, one), consume(account, two)) == (200, 401)


# ---- the fault menu ----


@pytest.mark.parametrize("name", ["count", "after", "status", "code"])
def test_a_fault_has_whole_numbers(name: str) -> None:
    value = {"status": 502.5, "code": 805.5}.get(name, 1.5)
    with pytest.raises(ConfigError, match=rf"fault\.{name} .*whole number"):
        fault_of({"kind": "disconnect", name: value})


def test_a_time_without_quotes_is_refused_with_how_to_write_it() -> None:
    for text in ("10:15:00", "930"):
        with pytest.raises(ConfigError, match=r'fault\.at must be a text.*at = "10:15:00"'):
            faults_of(f'[[fault]]\nkind = "mute"\nat = {text}\n', "menu.toml")
    with pytest.raises(ConfigError, match=r"fault\.path must be a text"):
        fault_of({"kind": "reset", "path": 7})
