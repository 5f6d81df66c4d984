"""Orders from request to fill: what the book, the trades, the funds and the updates say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange.serving import Account, make_account

BUY, SELL = "BUY", "SELL"


@pytest.fixture
def account() -> Account:
    return make_account(limits=False)


def place(account: Account, contract: object, side: str, kind: str = "LIMIT", **given: object):
    return account.ask("POST", "/orders", account.order(contract, side, kind, **given))


def one(account: Account, order_id: str):
    status, found = account.ask("GET", f"/orders/{order_id}")
    assert status == 200
    return found


def test_a_limit_far_from_the_market_rests_and_is_cancelled(account: Account) -> None:
    option = account.contract("CE")
    price = account.mid(option) // 2 // 5 * 5
    status, placed = place(account, option, BUY, price=price / 100, correlationId="far-1")
    assert (status, placed["orderStatus"]) == (200, "PENDING")
    account.run(30)
    found = account.ask("GET", "/orders/external/far-1")[1]
    assert (found["orderStatus"], found["filledQty"]) == ("PENDING", 0)
    assert found["remainingQuantity"] == option.lot
    status, answer = account.ask("DELETE", f"/orders/{placed['orderId']}")
    assert (status, answer["orderStatus"]) == (200, "CANCELLED")
    assert one(account, placed["orderId"])["orderStatus"] == "CANCELLED"
    states = [update["Data"]["Status"] for update in account.core.take_updates()]
    assert states == ["TRANSIT", "PENDING", "CANCELLED"]


def test_a_market_order_shows_as_a_protected_limit_and_fills_at_the_quote(
    account: Account,
) -> None:
    future = account.contract("FUT")
    last = account.core.last(future)
    placed = place(account, future, BUY, "MARKET")[1]
    shown = one(account, placed["orderId"])
    assert shown["orderType"] == "LIMIT"
    # 1 % above the last trade, on the tick, rounded inwards: the last step of the protection.
    assert shown["price"] == (last + last // 100) // future.tick * future.tick / 100
    account.run(10)
    traded = one(account, placed["orderId"])
    assert traded["orderStatus"] == "TRADED"
    assert abs(traded["averageTradedPrice"] * 100 - last) < last * 0.002
    trades = account.ask("GET", f"/trades/{placed['orderId']}")[1]
    assert sum(trade["tradedQuantity"] for trade in trades) == future.lot


def test_a_large_order_walks_the_book_in_parts(account: Account) -> None:
    option = account.contract("CE")
    book = account.core.tape.side(option.index, -1, 20)
    shown = int(book["qty"].sum())
    qty = min(option.freeze, shown * 2) // option.lot * option.lot
    price = int(book["price"][-1]) / 100
    placed = place(account, option, BUY, quantity=qty, price=price)[1]
    account.run(3)
    found = one(account, placed["orderId"])
    trades = account.ask("GET", f"/trades/{placed['orderId']}")[1]
    assert len({trade["tradedPrice"] for trade in trades}) > 1
    total = sum(trade["tradedQuantity"] for trade in trades)
    value = sum(trade["tradedQuantity"] * trade["tradedPrice"] for trade in trades)
    assert found["filledQty"] == total
    assert found["averageTradedPrice"] == pytest.approx(value / total, abs=1e-4)
    cumulative = [u["Data"]["TradedQty"] for u in account.core.take_updates()]
    assert cumulative == sorted(cumulative)
    assert all(u <= qty for u in cumulative)


def test_modify_changes_price_and_whole_quantity(account: Account) -> None:
    option = account.contract("PE")
    price = account.mid(option) // 2 // 5 * 5
    order_id = place(account, option, BUY, price=price / 100)[1]["orderId"]
    body = {"orderId": order_id, "orderType": "LIMIT", "legName": "ENTRY_LEG",
            "quantity": 2 * option.lot, "price": (price + 500) / 100, "disclosedQuantity": 0,
            "triggerPrice": 0, "validity": "DAY", "dhanClientId": "1000000001"}  # fmt: skip
    assert account.ask("PUT", f"/orders/{order_id}", body)[0] == 200
    found = one(account, order_id)
    assert (found["price"], found["quantity"]) == ((price + 500) / 100, 2 * option.lot)
    for _ in range(24):
        assert account.ask("PUT", f"/orders/{order_id}", body)[0] == 200
    status, error = account.ask("PUT", f"/orders/{order_id}", body)
    assert status == 400 and "25 times" in error["errorMessage"]


def test_modify_to_another_kind_keeps_the_number(account: Account) -> None:
    option = account.contract("CE")
    last = account.core.last(option)
    price = last // 2 // 5 * 5
    order_id = place(account, option, BUY, price=price / 100)[1]["orderId"]
    body = {"orderId": order_id, "orderType": "STOP_LOSS", "legName": "NA", "validity": "DAY",
            "quantity": option.lot, "price": (last + 6000) // 5 * 5 / 100,
            "triggerPrice": (last + 5000) // 5 * 5 / 100}  # fmt: skip
    assert account.ask("PUT", f"/orders/{order_id}", body)[0] == 200
    found = one(account, order_id)
    assert (found["orderType"], found["orderStatus"]) == ("STOP_LOSS", "PENDING")
    account.run(5)
    assert one(account, order_id)["orderStatus"] == "PENDING"
    assert account.ask("PUT", f"/orders/{order_id}", {"orderType": "MARKET", "validity": "DAY"})[
        0] == 200  # fmt: skip
    account.run(20)
    assert one(account, order_id)["orderStatus"] == "TRADED"
    assert len(account.ask("GET", "/orders")[1]) == 1


def test_ioc_ends_at_the_next_record(account: Account) -> None:
    option = account.contract("CE")
    price = account.mid(option) // 2 // 5 * 5
    order_id = place(account, option, BUY, price=price / 100, validity="IOC")[1]["orderId"]
    account.run(20)
    assert one(account, order_id)["orderStatus"] == "CANCELLED"


def test_a_stop_triggers_and_fills(account: Account) -> None:
    future = account.contract("FUT")
    last = account.core.last(future)
    trigger = (last + 5 * future.tick) // future.tick * future.tick
    order_id = place(account, future, BUY, "STOP_LOSS", price=(trigger + 200 * future.tick) / 100,
                     triggerPrice=trigger / 100)[1]["orderId"]  # fmt: skip
    for _ in range(120):
        account.run(30)
        if one(account, order_id)["orderStatus"] == "TRADED":
            break
    found = one(account, order_id)
    assert found["orderStatus"] == "TRADED"
    assert found["averageTradedPrice"] >= trigger / 100 - 5
    reasons = [u["Data"]["ReasonDescription"] for u in account.core.take_updates()]
    assert reasons[:3] == ["", "CONFIRMED", "TRIGGERED"]


def test_day_orders_expire_at_the_close(account: Account) -> None:
    option = account.contract("CE")
    order_id = place(account, option, BUY, price=0.05)[1]["orderId"]
    account.core.advance(account.core.market.day.windows[-1][1])
    assert account.core.desk.blotter.working == []
    assert one(account, order_id)["orderStatus"] == "EXPIRED"
    status, error = place(account, option, BUY, price=0.05)
    assert status == 400 and "closed" in error["errorMessage"]


def test_an_after_market_order_waits_for_the_open() -> None:
    account = make_account(limits=False, minutes=-30)
    future = account.contract("FUT")
    price = account.core.last(future) // future.tick * future.tick / 100
    status, placed = place(account, future, BUY, price=price, afterMarketOrder=True,
                           amoTime="OPEN_30")  # fmt: skip
    assert (status, placed["orderStatus"]) == (200, "PENDING")
    account.run(59 * 60)
    assert one(account, placed["orderId"])["exchangeTime"] is None
    account.run(2 * 60)
    assert one(account, placed["orderId"])["exchangeOrderId"] is not None


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        ({"quantity": 10}, "DH-906", "multiple of lot size"),
        ({"price": 100.03}, "DH-906", "tick size 0.05"),
        ({"quantity": 75 * 25}, "DH-906", "freeze quantity"),
        ({"orderType": "STOP_LOSS_MARKET", "triggerPrice": 900.0}, "DH-906", "not allowed"),
        ({"orderType": "STOP_LOSS", "triggerPrice": 0.5}, "DH-906", "wrong side"),
        ({"orderType": "STOP_LOSS"}, "DH-905", "triggerPrice"),
        ({"quantity": 0}, "DH-905", "quantity"),
        ({"quantity": 75.5}, "DH-905", "quantity"),
        ({"price": -1}, "DH-905", "price"),
        ({"price": 0}, "DH-905", "price"),
        ({"price": "x"}, "DH-905", "price"),
        ({"validity": "GTC"}, "DH-905", "validity"),
        ({"transactionType": "buy"}, "DH-905", "transactionType"),
        ({"securityId": "999999"}, "DH-905", "SecurityId"),
        ({"exchangeSegment": "IDX_I", "securityId": "13"}, "DH-905", "SecurityId"),
        ({"correlationId": ""}, "DH-905", "correlationId"),
        ({"correlationId": None}, "DH-905", "correlationId"),
        ({"correlationId": "x" * 31}, "DH-905", "correlationId"),
        ({"correlationId": "a.b"}, "DH-905", "correlationId"),
        ({"disclosedQuantity": 10}, "DH-905", "disclosedQuantity"),
        ({"afterMarketOrder": True}, "DH-905", "amoTime"),
        ({"Quantity": 75}, "DH-905", "Quantity"),
        ({"dhanClientId": "2"}, "DH-905", "dhanClientId"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_refusals(account: Account, given: dict[str, object], code: str, word: str) -> None:
    option = account.contract("CE")
    status, error = place(account, option, BUY, **({"price": 100.0} | given))
    assert status == 400 and error["errorCode"] == code, error
    assert word in error["errorMessage"]
    assert account.ask("GET", "/orders")[1] == []
    assert account.core.take_updates() == []


def test_refusals_of_the_exchange_are_written_into_the_book(account: Account) -> None:
    future = account.contract("FUT")
    price = account.core.last(future) * 12 // 10 // future.tick * future.tick / 100
    status, placed = place(account, future, BUY, price=price)
    assert (status, placed["orderStatus"]) == (200, "REJECTED")
    found = one(account, placed["orderId"])
    assert found["omsErrorCode"] and "operating range" in found["omsErrorDescription"]
    assert [u["Data"]["Status"] for u in account.core.take_updates()] == ["TRANSIT", "REJECTED"]


def test_a_converted_stop_market_has_a_limit() -> None:
    account = make_account(limits=False, stop_market="convert")
    option = account.contract("CE")
    trigger = (account.core.last(option) + 5000) // 5 * 5
    placed = place(account, option, BUY, "STOP_LOSS_MARKET", triggerPrice=trigger / 100)[1]
    found = one(account, placed["orderId"])
    assert found["orderType"] == "STOP_LOSS" and found["price"] > trigger / 100


def test_without_funds_an_order_is_rejected_but_an_exit_passes() -> None:
    account = make_account(limits=False, funds=100_000_00)
    option = account.contract("CE")
    cost = account.core.last(option) * option.lot
    fits = 100_000_00 // (cost * 12 // 10)
    placed = place(account, option, BUY, "MARKET", quantity=fits * option.lot)[1]
    account.run(60)
    assert one(account, placed["orderId"])["orderStatus"] == "TRADED"
    many = place(account, option, BUY, "MARKET", quantity=(fits + 1) * option.lot)[1]
    assert one(account, many["orderId"])["orderStatus"] == "REJECTED"
    assert "Fund Limit Insufficient" in one(account, many["orderId"])["omsErrorDescription"]
    leave = place(account, option, SELL, "MARKET", quantity=fits * option.lot)[1]
    account.run(60)
    assert one(account, leave["orderId"])["orderStatus"] == "TRADED"
    funds = account.ask("GET", "/fundlimit")[1]
    assert funds["utilizedAmount"] == 0
    positions = account.ask("GET", "/positions")[1]
    assert funds["availabelBalance"] == pytest.approx(
        100_000 + positions[0]["realizedProfit"], abs=0.01
    )


def test_slices_are_whole_lots_within_the_freeze_quantity(account: Account) -> None:
    option = account.contract("CE")
    qty = 2 * option.freeze + option.lot
    status, found = account.ask("POST", "/orders/slicing",
                                account.order(option, BUY, quantity=qty, price=0.05))  # fmt: skip
    assert status == 200
    sizes = [one(account, order["orderId"])["quantity"] for order in found]
    assert sizes == [option.freeze, option.freeze, option.lot]


def test_convert_moves_a_position(account: Account) -> None:
    option = account.contract("CE")
    place(account, option, BUY, "MARKET", quantity=2 * option.lot)
    account.run(30)
    body = {"fromProductType": "INTRADAY", "exchangeSegment": "NSE_FNO", "positionType": "LONG",
            "securityId": str(option.security_id), "convertQty": option.lot,
            "toProductType": "MARGIN"}  # fmt: skip
    assert account.ask("POST", "/positions/convert", body) == (202, None)
    held = {one["productType"]: one["netQty"] for one in account.ask("GET", "/positions")[1]}
    assert held == {"INTRADAY": option.lot, "MARGIN": option.lot}
    status, error = account.ask("POST", "/positions/convert", body | {"convertQty": 10**6})
    assert status == 400 and error["errorCode"] == "DH-906"


def test_exit_all_ends_orders_and_positions(account: Account) -> None:
    option, future = account.contract("CE"), account.contract("FUT")
    place(account, option, BUY, "MARKET", quantity=2 * option.lot)
    place(account, future, SELL, "MARKET")
    place(account, future, BUY, price=account.core.last(future) * 95 // 100 // 10 * 10 / 100)
    account.run(30)
    assert account.ask("DELETE", "/positions")[1]["status"] == "SUCCESS"
    account.run(30)
    assert {one["netQty"] for one in account.ask("GET", "/positions")[1]} == {0}
    states = {one["orderStatus"] for one in account.ask("GET", "/orders")[1]}
    assert states <= {"TRADED", "CANCELLED"}


def test_with_a_latency_an_order_is_in_transit_until_it_arrives() -> None:
    account = make_account(limits=False, latency_ns=500_000_000)
    future = account.contract("FUT")
    price = account.core.last(future) * 95 // 100 // 10 * 10 / 100
    placed = place(account, future, BUY, price=price)[1]
    assert placed["orderStatus"] == "TRANSIT"
    account.run(5)
    assert one(account, placed["orderId"])["orderStatus"] == "PENDING"


def test_nothing_is_sent_twice_while_a_change_of_kind_is_on_its_way() -> None:
    """The old order may fill before its end arrives: what filled is not bought again."""
    filled = 0
    for at in range(12):
        account = make_account(limits=False, latency_ns=700_000_000, minutes=2 + at)
        option = account.contract("CE")
        price = account.mid(option) / 100
        order_id = place(account, option, BUY, price=price, quantity=4 * option.lot)[1]["orderId"]
        account.run(1)
        body = {"orderId": order_id, "orderType": "LIMIT", "validity": "IOC",
                "quantity": 4 * option.lot, "price": price + 5}  # fmt: skip
        status, _ = account.ask("PUT", f"/orders/{order_id}", body)
        account.run(20)
        found = one(account, order_id)
        assert found["filledQty"] <= 4 * option.lot
        assert found["orderStatus"] in ("TRADED", "CANCELLED") or status != 200
        held = account.ask("GET", "/positions")[1]
        assert sum(position["netQty"] for position in held) == found["filledQty"]
        trades = account.ask("GET", "/trades")[1]
        assert sum(trade["tradedQuantity"] for trade in trades) == found["filledQty"]
        filled += found["filledQty"] > 0
    assert filled > 3


def test_a_cancel_wins_over_a_change_on_its_way() -> None:
    account = make_account(limits=False, latency_ns=700_000_000)
    option = account.contract("CE")
    order_id = place(account, option, BUY, price=0.05)[1]["orderId"]
    account.run(5)
    body = {"orderType": "LIMIT", "validity": "IOC", "quantity": option.lot, "price": 0.1}
    assert account.ask("PUT", f"/orders/{order_id}", body)[0] == 200
    assert account.ask("DELETE", f"/orders/{order_id}")[0] == 200
    account.run(20)
    assert one(account, order_id)["orderStatus"] == "CANCELLED"
    assert account.core._match.live == 0


def test_the_same_calls_give_the_same_bytes() -> None:
    def run() -> bytes:
        account = make_account(limits=False)
        option = account.contract("CE")
        found = b""
        for lots in range(1, 6):
            place(account, option, BUY, "MARKET", quantity=lots * option.lot)
            account.run(7)
            for path in ("/v2/orders", "/v2/positions", "/v2/fundlimit"):
                core = account.core
                found += core.request("GET", path, {}, account.headers, b"", core.now_ns).body
            found += repr(core.take_updates()).encode()
        return found

    assert run() == run()


actions = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "cancel", "modify", "wait"]),
        st.integers(-8, 8),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15)
@given(actions=actions)
def test_books_agree_with_a_plain_ledger(actions: list[tuple[str, int, int]]) -> None:
    """Positions, funds and cumulative quantities follow from the trades alone."""
    account = make_account(limits=False)
    option = account.contract("CE")
    orders: list[str] = []
    for action, ticks, lots in actions:
        price = (account.mid(option) + ticks * 20 * option.tick) / 100
        if action in ("buy", "sell"):
            status, placed = place(account, option, action.upper(), quantity=lots * option.lot,
                                   price=price)  # fmt: skip
            assert status == 200
            orders.append(placed["orderId"])
        elif orders and action == "cancel":
            account.ask("DELETE", f"/orders/{orders[ticks % len(orders)]}")
        elif orders and action == "modify":
            order_id = orders[ticks % len(orders)]
            account.ask("PUT", f"/orders/{order_id}", {
                "orderId": order_id, "orderType": "LIMIT", "validity": "DAY",
                "quantity": lots * option.lot, "price": price})  # fmt: skip
        account.run(2)
    trades = account.ask("GET", "/trades")[1]
    net = cash = 0
    filled: dict[str, int] = {}
    for trade in trades:
        sign = 1 if trade["transactionType"] == "BUY" else -1
        net += sign * trade["tradedQuantity"]
        cash -= sign * round(trade["tradedPrice"] * 100) * trade["tradedQuantity"]
        filled[trade["orderId"]] = filled.get(trade["orderId"], 0) + trade["tradedQuantity"]
    for order in account.ask("GET", "/orders")[1]:
        assert order["filledQty"] == filled.get(order["orderId"], 0) <= order["quantity"]
        assert order["remainingQuantity"] == order["quantity"] - order["filledQty"]
        if order["orderStatus"] == "TRADED":
            assert order["remainingQuantity"] == 0
    positions = account.ask("GET", "/positions")[1]
    assert sum(one["netQty"] for one in positions) == net
    worth = cash + net * account.core.last(option)
    gained = sum(one["realizedProfit"] + one["unrealizedProfit"] for one in positions)
    assert gained == pytest.approx(worth / 100, abs=0.02)
    last: dict[str, int] = {}
    for update in account.core.take_updates():
        number = update["Data"]["OrderNo"]
        assert update["Data"]["TradedQty"] >= last.get(number, 0)
        last[number] = update["Data"]["TradedQty"]
    assert {number: qty for number, qty in last.items() if qty} == filled
