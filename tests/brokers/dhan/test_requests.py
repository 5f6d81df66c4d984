"""What is refused before it is sent: the field, its value and the remedy are named."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.brokers.dhan import requests as orders
from dhanfast.brokers.dhan import requests_account as account
from dhanfast.brokers.dhan import requests_alerts as alerts
from dhanfast.brokers.dhan import requests_data as data
from dhanfast.errors import UsageError

GOOD: dict[type, dict[str, Any]] = {
    orders.PlaceOrder: {"side": "BUY", "segment": "NSE_FNO", "security_id": "49081", "qty": 75,
                        "price": 10_050},
    orders.ModifyOrder: {"order_id": "112", "qty": 75, "price": 10_050},
    orders.PlaceSuper: {"side": "BUY", "segment": "NSE_EQ", "security_id": "1", "qty": 1,
                        "price": 100, "target": 110, "stop": 90},
    orders.ModifySuper: {"order_id": "1", "leg": "TARGET_LEG", "target": 110},
    orders.PlaceForever: {"side": "SELL", "segment": "NSE_EQ", "security_id": "1", "qty": 1,
                          "price": 100, "trigger": 101},
    orders.ModifyForever: {"order_id": "1", "leg": "TARGET_LEG", "qty": 1, "price": 1,
                           "trigger": 1},
    account.ConvertPosition: {"from_product": "INTRADAY", "to_product": "CNC", "qty": 1,
                              "segment": "NSE_EQ", "position": "LONG", "security_id": "1"},
    account.MarginQuery: {"side": "BUY", "segment": "NSE_EQ", "security_id": "1", "qty": 1,
                          "price": 100},
    account.PnlExit: {"profit": 1, "loss": 1},
    account.StaticIp: {"ip": "203.0.113.7"},
    account.EdisForm: {"isin": "INE002A01018", "qty": 1},
    alerts.Condition: {"comparison": "PRICE_WITH_VALUE", "segment": "NSE_EQ", "security_id": "1",
                       "operator": "EQUAL", "expires": "2027-01-31", "value": 5.0},
    data.ChainQuery: {"underlying": 13, "expiry": "2026-07-30"},
    data.DailyQuery: {"segment": "IDX_I", "security_id": "13", "instrument": "INDEX",
                      "first": "2026-01-01", "last": "2026-01-02"},
    data.IntradayQuery: {"segment": "IDX_I", "security_id": "13", "instrument": "INDEX",
                         "begin": "2026-01-01", "end": "2026-01-02 15:30:00"},
    data.ExpiredQuery: {"underlying": 13, "side": "CALL", "first": "2026-01-01",
                        "last": "2026-01-02"},
}  # fmt: skip
BAD: list[tuple[type, dict[str, Any], str]] = [
    (orders.PlaceOrder, {"side": "buy"}, "transactionType: 'buy' is none of BUY, SELL"),
    (orders.PlaceOrder, {"segment": "IDX_I"}, "exchangeSegment: 'IDX_I'"),
    (orders.PlaceOrder, {"security_id": 49081}, "securityId: 49081 must be digits as text"),
    (orders.PlaceOrder, {"security_id": "49081 "}, "securityId"),
    (orders.PlaceOrder, {"qty": 0}, "quantity: 0 must be from 1"),
    (orders.PlaceOrder, {"qty": 75.0}, "quantity: 75.0 must be a whole number"),
    (orders.PlaceOrder, {"qty": True}, "quantity: True must be a whole number"),
    (orders.PlaceOrder, {"price": 100.5}, "must be whole paise, not rupees"),
    (orders.PlaceOrder, {"price": 0}, "price: 0 is no price"),
    (orders.PlaceOrder, {"price": -5}, "price: -5 must be from 0"),
    (orders.PlaceOrder, {"order_type": "SL"}, "orderType: 'SL' is none of LIMIT"),
    (orders.PlaceOrder, {"order_type": "MARKET"}, "price: 10050 paise has no meaning for MARKET"),
    (orders.PlaceOrder, {"order_type": "STOP_LOSS"}, "triggerPrice: 0 is no price"),
    (orders.PlaceOrder, {"order_type": "STOP_LOSS", "trigger": 10_100}, "at or above its trigger"),
    (orders.PlaceOrder, {"order_type": "STOP_LOSS", "trigger": 10_000, "side": "SELL"},
     "at or below its trigger"),
    (orders.PlaceOrder, {"trigger": 5}, "triggerPrice: 5 paise has no meaning for LIMIT"),
    (orders.PlaceOrder, {"product": "NRML"}, "productType: 'NRML'"),
    (orders.PlaceOrder, {"validity": "GTC"}, "validity: 'GTC'"),
    (orders.PlaceOrder, {"disclosed": 20}, "disclosedQuantity: 20 of 75 must be more than 30 %"),
    (orders.PlaceOrder, {"disclosed": 76}, "disclosedQuantity: 76 must be from 0 to 75"),
    (orders.PlaceOrder, {"correlation": "x" * 31}, "correlationId"),
    (orders.PlaceOrder, {"correlation": "a^b"}, "correlationId: 'a\\^b'"),
    (orders.PlaceOrder, {"amo": "NOW"}, "amoTime: 'NOW' is none of PRE_OPEN"),
    (orders.ModifyOrder, {"order_id": "../x"}, "orderId: '../x'"),
    (orders.ModifyOrder, {"order_id": ""}, "orderId"),
    (orders.ModifyOrder, {"leg": "FIRST"}, "legName: 'FIRST'"),
    (orders.PlaceSuper, {"target": 100}, "targetPrice: 100 paise of a BUY must be above"),
    (orders.PlaceSuper, {"stop": 100}, "stopLossPrice: 100 paise of a BUY must be below"),
    (orders.PlaceSuper, {"side": "SELL"}, "targetPrice: 110 paise of a SELL must be below"),
    (orders.PlaceSuper, {"target": 0, "stop": 0}, "at least one must be above 0"),
    (orders.PlaceSuper, {"order_type": "STOP_LOSS"}, "orderType"),
    (orders.ModifySuper, {"target": 0}, "targetPrice: 0"),
    (orders.ModifySuper, {"stop": 5}, "not of TARGET_LEG"),
    (orders.ModifySuper, {"qty": 5}, "only of ENTRY_LEG"),
    (orders.ModifySuper, {"leg": "STOP_LOSS_LEG"}, "stopLossPrice: 0"),
    (orders.ModifySuper, {"leg": "STOP_LOSS_LEG", "stop": 5}, "targetPrice: not of"),
    (orders.ModifySuper, {"leg": "ENTRY_LEG"}, "quantity: 0"),
    (orders.PlaceForever, {"trigger": 0}, "triggerPrice: 0"),
    (orders.PlaceForever, {"qty1": 1}, "only with orderFlag OCO"),
    (orders.PlaceForever, {"flag": "OCO"}, "price1: 0"),
    (orders.PlaceForever, {"flag": "TWO"}, "orderFlag: 'TWO'"),
    (orders.ModifyForever, {"leg": "STOP_LOSS_LEG"}, "legName"),
    (account.ConvertPosition, {"to_product": "INTRADAY"}, "has already"),
    (account.ConvertPosition, {"position": "CLOSED"}, "positionType"),
    (account.PnlExit, {"loss": 0}, "lossValue: 0"),
    (account.PnlExit, {"products": ()}, "productType"),
    (account.PnlExit, {"products": ("CNC",)}, "productType: 'CNC'"),
    (account.StaticIp, {"ip": "300.1.1.1"}, "ip: '300.1.1.1' is no IPv4 or IPv6 address"),
    (account.StaticIp, {"ip": "127.0.0.1"}, "no address others can see"),
    (account.StaticIp, {"flag": "THIRD"}, "ipFlag"),
    (account.EdisForm, {"isin": "RELIANCE"}, "isin: 'RELIANCE'"),
    (alerts.Condition, {"value": None}, "comparingValue: PRICE_WITH_VALUE needs value"),
    (alerts.Condition, {"value": float("nan")}, "comparingValue"),
    (alerts.Condition, {"comparison": "TECHNICAL_WITH_VALUE"}, "indicatorName: ''"),
    (alerts.Condition, {"indicator": "RSI_14"}, "has no meaning for PRICE_WITH_VALUE"),
    (alerts.Condition, {"segment": "NSE_FNO"}, "exchangeSegment"),
    (alerts.Condition, {"expires": "31-01-2027"}, "expDate: '31-01-2027' must be a date"),
    (data.ChainQuery, {"underlying": "13"}, "UnderlyingScrip: '13' must be a whole number"),
    (data.ChainQuery, {"expiry": "30JUL"}, "Expiry"),
    (data.DailyQuery, {"last": "2025-12-31"}, "must not be before fromDate"),
    (data.DailyQuery, {"instrument": "OPTION"}, "instrument: 'OPTION'"),
    (data.DailyQuery, {"first": "2026-02-30"}, "fromDate: '2026-02-30'"),
    (data.IntradayQuery, {"end": "2026-01-01"}, "must be after fromDate"),
    (data.IntradayQuery, {"interval": 3}, "interval: 3 is none of"),
    (data.IntradayQuery, {"begin": "09:15"}, "fromDate: '09:15' must be a time"),
    (data.ExpiredQuery, {"strike": "ATM+11"}, "strike: 'ATM\\+11'"),
    (data.ExpiredQuery, {"expiry_code": 0}, "expiryCode: 0 must be from 1 to 3"),
    (data.ExpiredQuery, {"instrument": "INDEX"}, "instrument: 'INDEX'"),
    (data.ExpiredQuery, {"columns": ("open", "open")}, "each once"),
    (data.ExpiredQuery, {"columns": ("price",)}, "requiredData: 'price'"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "changed", "says"), BAD)
def test_a_bad_field_is_refused_by_name(kind: type, changed: dict[str, Any], says: str) -> None:
    kind(**GOOD[kind])  # so that it is the change that is refused
    with pytest.raises(UsageError, match=says):
        kind(**{**GOOD[kind], **changed})


def test_counts_of_orders_and_ids_are_bounded() -> None:
    condition = alerts.Condition(**GOOD[alerts.Condition])
    plain = orders.PlaceOrder(**GOOD[orders.PlaceOrder])
    named = [orders.PlaceOrder(**GOOD[orders.PlaceOrder], correlation=f"a-{n}") for n in range(16)]
    for count in ((), tuple([plain] * 16), (named[0],)):
        with pytest.raises(UsageError):
            alerts.ConditionalOrder(condition=condition, orders=count)
    for bad in ((), (plain,), (named[0], named[0]), tuple(named)):
        with pytest.raises(UsageError):
            alerts.MultiOrder(orders=bad)
    body = alerts.MultiOrder(orders=tuple(named[:2])).body("1")
    assert [leg["sequence"] for leg in body["orders"]] == ["1", "2"]
    assert "boProfitValue" not in body["orders"][0] and body["orders"][0]["price"] == 100.5
    for ids in ({}, {"NSE_EQ": range(1_001)}, {"NSE_EQ": [1, 1]}, {"X": [1]}, {"NSE_EQ": [-1]}):
        with pytest.raises(UsageError):
            data.quote_body(ids, "1")  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        account.MarginsQuery(orders=())
    classic = account.MarginsQuery(
        orders=(account.MarginQuery(**GOOD[account.MarginQuery]),), classic=True
    )
    assert {"includeOrders", "scripts"} <= classic.body("1").keys()


@given(paise=st.integers(1, 10**12))
def test_a_price_leaves_with_at_most_two_decimals(paise: int) -> None:
    import json
    from decimal import Decimal

    order = orders.PlaceOrder(**{**GOOD[orders.PlaceOrder], "price": paise})
    text = json.dumps(order.body("1")["price"])
    assert Decimal(text) * 100 == paise


@given(tag=st.from_regex(r"df[0-9a-f]{8}", fullmatch=True), order=st.integers(1, 10**18))
def test_a_correlation_id_leads_back_to_its_order(tag: str, order: int) -> None:
    text = orders.correlation(tag, order)
    assert len(text) <= 30 and orders.order_of(text, tag) == order
    assert orders.order_of(text, "df00") == 0 and orders.order_of(text + "0x", tag) == 0


@given(st.text(max_size=34))
def test_other_texts_are_not_ours(text: str) -> None:
    number = orders.order_of(text, "df1")
    assert number == 0 or text == f"df1-{number}"


@pytest.mark.parametrize(
    "text", ["df1-007", "df1-0", "df1-", "df1", "-5", f"df1-{2**64}", "df1-٣", "df1-1-2", ""]
)
def test_numbers_that_we_never_wrote_are_not_ours(text: str) -> None:
    assert orders.order_of(text, "df1") == 0


@pytest.mark.parametrize(("tag", "order"), [("", 1), ("a-b", 1), ("df", 0), ("df", 2**64),
                                            ("x" * 30, 1), ("d^", 1)])  # fmt: skip
def test_names_the_broker_would_refuse_are_not_made(tag: str, order: int) -> None:
    with pytest.raises(UsageError):
        orders.correlation(tag, order)
