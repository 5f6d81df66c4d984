"""What the broker holds until the market gets there: super, forever, conditional orders; exits."""

import pytest

from tests.exchange.serving import Account, make_account


@pytest.fixture
def account() -> Account:
    return make_account(limits=False)


def share(account: Account) -> tuple[object, int]:
    found = account.core.contracts.by_symbol["HDFCBANK"]
    return found, account.core.last(found)


def until(account: Account, done, minutes: int = 300) -> None:  # type: ignore[no-untyped-def]
    """Let the market go on, ten seconds at a time."""
    for _ in range(minutes * 6):
        if done():
            return
        account.run(10)
    raise AssertionError("the market never got there")


def super_body(account: Account, **given: float) -> dict[str, object]:
    contract, last = share(account)
    return {"transactionType": "BUY", "exchangeSegment": "NSE_EQ", "productType": "INTRADAY",
            "orderType": "LIMIT", "securityId": str(contract.security_id), "quantity": 10,
            "price": (last + 100) / 100, "targetPrice": (last + 300) / 100,
            "stopLossPrice": (last - 300) / 100, "trailingJump": 0.0} | given  # fmt: skip


def listed(account: Account, path: str = "/super/orders") -> list[dict]:  # type: ignore[type-arg]
    return account.ask("GET", path)[1]


def test_a_super_order_leaves_by_target_or_stop_never_both(account: Account) -> None:
    assert account.ask("POST", "/super/orders", super_body(account))[0] == 200
    until(account, lambda: listed(account)[0]["orderStatus"] == "CLOSED")
    found = listed(account)[0]
    states = sorted(leg["orderStatus"] for leg in found["legDetails"])
    assert states == ["CANCELLED", "TRIGGERED"]
    assert account.ask("GET", "/positions")[1][0]["netQty"] == 0
    updates = [u["Data"] for u in account.core.take_updates()]
    assert {u["LegNo"] for u in updates} == {1, 2, 3}
    legs = [u for u in updates if u["LegNo"] > 1]
    assert {u["AlgoOrdNo"] for u in legs} == {found["orderId"]}
    assert {u["Remarks"] for u in legs} == {"Super Order"}


def test_a_trailing_stop_only_moves_with_the_market(account: Account) -> None:
    _, last = share(account)
    account.ask(
        "POST",
        "/super/orders",
        super_body(account, trailingJump=0.25, targetPrice=(last + 20000) / 100),
    )
    stops: list[float] = []

    def closed() -> bool:
        found = listed(account)[0]
        stop = next(leg for leg in found["legDetails"] if leg["legName"] == "STOP_LOSS_LEG")
        stops.append(stop["price"])
        return bool(found["orderStatus"] == "CLOSED")

    until(account, closed)
    assert stops == sorted(stops) and len(set(stops)) > 2
    moved = round((stops[-1] - stops[0]) * 100)
    assert moved % 25 == 0


def test_cancelling_the_entry_ends_all_legs(account: Account) -> None:
    _, last = share(account)
    body = super_body(account, price=(last - 200) / 100)
    order_id = account.ask("POST", "/super/orders", body)[1]["orderId"]
    status, answer = account.ask("DELETE", f"/super/orders/{order_id}/ENTRY_LEG")
    assert (status, answer["orderStatus"]) == (202, "CANCELLED")
    assert account.ask("DELETE", f"/super/orders/{order_id}/ENTRY_LEG")[0] == 400
    found = listed(account)[0]
    assert [leg["orderStatus"] for leg in found["legDetails"]] == ["CANCELLED", "CANCELLED"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"targetPrice": 1.0}, "targetPrice"),
        ({"stopLossPrice": 99999.0}, "stopLossPrice"),
        ({"targetPrice": 0, "stopLossPrice": 0}, "required"),
        ({"targetPrice": 99999.01}, "tick"),
        ({"orderType": "STOP_LOSS"}, "orderType"),
        ({"productType": "CO"}, "productType"),
        ({"stopPrice": 1.0}, "stopPrice"),
        ({"quantity": 0}, "quantity"),
    ],
)
def test_super_refusals(account: Account, given: dict[str, float], word: str) -> None:
    status, error = account.ask("POST", "/super/orders", super_body(account, **given))
    assert status == 400 and word in error["errorMessage"]
    assert listed(account) == [] and account.ask("GET", "/orders")[1] == []


def forever_body(account: Account, **given: object) -> dict[str, object]:
    contract, last = share(account)
    return {"orderFlag": "SINGLE", "transactionType": "BUY", "exchangeSegment": "NSE_EQ",
            "productType": "CNC", "orderType": "LIMIT", "validity": "DAY",
            "securityId": str(contract.security_id), "quantity": 4, "disclosedQuantity": 0,
            "price": (last + 400) / 100, "triggerPrice": (last + 50) / 100, "price1": 0.0,
            "triggerPrice1": 0.0, "quantity1": 0} | given  # fmt: skip


def test_a_forever_order_waits_for_its_price(account: Account) -> None:
    contract, last = share(account)
    assert account.ask("POST", "/forever/orders", forever_body(account))[0] == 200
    assert account.ask("GET", "/orders")[1] == []
    until(account, lambda: account.ask("GET", "/orders")[1] != [])
    assert int(account.core.shown[contract.index]["high"]) >= last + 50
    until(account, lambda: listed(account, "/forever/orders")[0]["orderStatus"] == "TRADED")


def test_one_leg_of_two_cancels_the_other(account: Account) -> None:
    _, last = share(account)
    body = forever_body(account, orderFlag="OCO", transactionType="SELL",
                        price=(last - 500) / 100, triggerPrice=(last + 100) / 100,
                        price1=(last - 600) / 100, triggerPrice1=(last - 100) / 100,
                        quantity1=4)  # fmt: skip
    assert account.ask("POST", "/forever/orders", body)[0] == 200
    until(account, lambda: account.ask("GET", "/orders")[1] != [])
    until(account, lambda: account.ask("GET", "/positions")[1] != [])
    states = [one["orderStatus"] for one in listed(account, "/forever/all")]
    assert sorted(states) == ["CANCELLED", "TRADED"]
    assert len(account.ask("GET", "/orders")[1]) == 1


def test_forever_refusals(account: Account) -> None:
    _, last = share(account)
    same = {"orderFlag": "OCO", "price1": 1.0, "triggerPrice1": (last + 90) / 100, "quantity1": 4}
    for given in ({"triggerPrice": 0}, {"price": 1.01}, {"productType": "INTRADAY"}, same):
        assert account.ask("POST", "/forever/orders", forever_body(account, **given))[0] == 400
    assert account.ask("DELETE", "/forever/orders/1")[0] == 404


def alert_body(account: Account, compare: str, paise: int, **given: object) -> dict[str, object]:
    contract, last = share(account)
    return {
        "condition": {"comparisonType": "PRICE_WITH_VALUE", "exchangeSegment": "NSE_EQ",
                      "securityId": str(contract.security_id), "operator": compare,
                      "comparingValue": (last + paise) / 100, "timeFrame": "DAY",
                      "expDate": "2027-01-31", "frequency": "ONCE"} | given,
        "orders": [{"transactionType": "BUY", "exchangeSegment": "NSE_EQ", "productType": "CNC",
                    "orderType": "LIMIT", "securityId": str(contract.security_id),
                    "quantity": 4, "validity": "DAY", "price": f"{(last + 900) / 100:.2f}"}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("compare", "paise"),
    [("GREATER_THAN", 50), ("LESS_THAN_EQUAL", -50), ("CROSSING_UP", 50), ("CROSSING_DOWN", -50)],
)
def test_an_alert_sends_its_orders_once(account: Account, compare: str, paise: int) -> None:
    contract, last = share(account)
    placed = account.ask("POST", "/alerts/orders", alert_body(account, compare, paise))[1]
    assert placed["alertStatus"] == "ACTIVE"
    until(account, lambda: account.ask("GET", "/orders")[1] != [])
    face = account.core.shown[contract.index]
    assert int(face["high"]) >= last + 50 if paise > 0 else int(face["low"]) <= last - 50
    account.run(3600)
    assert len(account.ask("GET", "/orders")[1]) == 1
    found = account.ask("GET", f"/alerts/orders/{placed['alertId']}")[1]
    assert found["alertStatus"] == "TRIGGERED" and found["triggeredTime"]


def test_alert_refusals(account: Account) -> None:
    for given in ({"comparisonType": "TECHNICAL_WITH_VALUE"}, {"operator": "ABOVE"},
                  {"exchangeSegment": "NSE_FNO"}, {"securityId": "1"}, {"colour": 1}):  # fmt: skip
        body = alert_body(account, "GREATER_THAN", 50, **given)
        assert account.ask("POST", "/alerts/orders", body)[0] == 400, given


def test_several_orders_in_one_request(account: Account) -> None:
    option = account.contract("CE")
    legs = [account.order(option, "BUY", price=0.05, sequence=str(at)) for at in range(3)]
    legs[1]["price"] = 0.07
    for leg in legs:
        del leg["dhanClientId"]
    found = account.ask("POST", "/alerts/multi/orders", {"orders": legs})[1]["orders"]
    assert [one["orderStatus"] for one in found] == ["PENDING", "REJECTED", "PENDING"]
    assert [one["sequence"] for one in found] == ["0", "1", "2"]


def test_profit_and_loss_exit_leaves_everything(account: Account) -> None:
    future = account.contract("FUT")
    account.ask("POST", "/orders", account.order(future, "BUY", "MARKET"))
    account.run(10)
    body = {"profitValue": 6000.0, "lossValue": 6000.0, "productType": ["INTRADAY"],
            "enableKillSwitch": True}  # fmt: skip
    assert account.ask("POST", "/pnlExit", body)[1]["pnlExitStatus"] == "ACTIVE"
    held = lambda: account.ask("GET", "/positions")[1][0]  # noqa: E731
    until(account, lambda: held()["netQty"] == 0)
    assert abs(held()["realizedProfit"]) > 3000  # the last trade may be a little away
    assert account.ask("GET", "/killswitch")[1]["killSwitchStatus"] == "ACTIVATE"
    assert account.ask("POST", "/orders", account.order(future, "BUY", "MARKET"))[0] == 400


def test_kill_switch_wants_a_flat_account(account: Account) -> None:
    option = account.contract("CE")
    account.ask("POST", "/orders", account.order(option, "BUY", price=0.05))
    assert account.ask("POST", "/killswitch", killSwitchStatus="ACTIVATE")[0] == 400
    account.ask("DELETE", "/positions")
    assert account.ask("POST", "/killswitch", killSwitchStatus="ACTIVATE")[0] == 200
    assert account.ask("POST", "/killswitch", killSwitchStatus="OFF")[0] == 400
