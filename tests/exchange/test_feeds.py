"""Feed connections: who stays, what a subscription may ask, and how each one ends."""

import json
import struct
from typing import Any

import pytest

from dhanfast.exchange.feeds import FeedLink, kind_of
from tests.exchange.serving import SECOND, Account, make_account

LIVE = {"version": "2", "clientId": "1000000001", "authType": "2"}


@pytest.fixture
def account() -> Account:
    return make_account(limits=False)


def connect(account: Account, kind: str = "live", **given: str) -> FeedLink:
    query = {**LIVE, "token": account.token, **given}
    return account.core.feeds.open(kind, query, account.core.real_ns)


def send(account: Account, link: FeedLink, message: Any) -> None:
    text = message if isinstance(message, str | bytes) else json.dumps(message)
    account.core.feeds.receive(link, text, account.core.real_ns)


def request(code: int, contracts: list[Any]) -> dict[str, Any]:
    listed = [{"ExchangeSegment": one.segment, "SecurityId": str(one.security_id)}
              for one in contracts]  # fmt: skip
    return {"RequestCode": code, "InstrumentCount": len(listed), "InstrumentList": listed}


def last_reason(link: FeedLink) -> int | None:
    messages = link.lane.messages() if link.lane is not None else []
    if not messages or messages[-1][0] != 50:
        return None
    return int(struct.unpack("<BHBIH", messages[-1])[4])


def test_addresses_of_the_one_port() -> None:
    assert kind_of("/", {"version": "2", "token": "x"}) == "live"
    assert kind_of("", {"token": "x"}) == "depth200" == kind_of("/twohundreddepth", {})
    assert kind_of("/twentydepth", {}) == "depth20"
    assert kind_of("/", {}) == "updates" == kind_of("/orderupdate", {})
    assert kind_of("/v2/orders", {}) is None


@pytest.mark.parametrize(
    "given", [{"token": "x"}, {"token": ""}, {"clientId": "2"}, {"authType": "1"}]
)
def test_a_dead_token_is_closed_bare(account: Account, given: dict[str, str]) -> None:
    link = connect(account, **given)
    assert link.closed and link.bare and link.lane is not None and link.lane.take() == b""
    assert account.core.feeds.links == []


def test_the_sixth_connection_ends_the_oldest_with_805(account: Account) -> None:
    links = [connect(account) for _ in range(6)]
    assert [link.closed for link in links] == [True] + [False] * 5
    assert last_reason(links[0]) == 805
    assert not connect(account, "depth20").closed  # counted apart
    assert not links[1].closed


def test_a_token_that_ends_takes_its_feeds_with_it(account: Account) -> None:
    link, updates = connect(account), connect(account, "updates")
    login = {"LoginReq": {"MsgCode": 42, "ClientId": "1000000001", "Token": account.token},
             "UserType": "SELF"}  # fmt: skip
    send(account, updates, login)
    assert updates.logged_in
    account.core.advance(account.core.now_ns, account.core.real_ns + 86_400 * SECOND)
    assert link.closed and last_reason(link) == 807
    assert updates.closed and updates.bare


def test_modes_are_subscribed_and_ended_one_by_one(account: Account) -> None:
    future = account.contract("FUT")
    link = connect(account)
    assert link.lane is not None
    send(account, link, request(15, [future]))
    send(account, link, request(21, [future]))
    link.lane.messages()
    account.run(30)
    assert {message[0] for message in link.lane.messages()} == {2, 8}
    send(account, link, request(22, [future]))
    account.run(30)
    assert {message[0] for message in link.lane.messages()} == {2}
    send(account, link, request(16, [future]))
    account.run(30)
    assert link.lane.messages() == [] and link.subscribed == set()


def test_a_subscriber_gets_a_packet_for_each_record(account: Account) -> None:
    option = account.contract("CE")
    link = connect(account)
    send(account, link, request(17, [option]))
    assert link.lane is not None
    link.lane.messages()
    core = account.core
    start, end = core.now_ns, core.now_ns + 120 * SECOND
    account.run(120)
    quotes = [message for message in link.lane.messages() if message[0] == 4]
    records = 0
    for batch in core.market:
        when = batch.ticks["recv_ns"]
        mine = (batch.ticks["instrument"] == option.index) & (when > start) & (when <= end)
        records += int(mine.sum())
        if int(when[-1]) > end:
            break
    assert len(quotes) == records > 20


def test_what_a_client_sends_wrong_is_ignored(account: Account) -> None:
    future, link = account.contract("FUT"), connect(account)
    ignored = account.core.feeds.counts
    for bad in ("x", "[]", "{}", request(99, [future]), request(15, [future] * 101),
                {"RequestCode": 15, "InstrumentList": "x"},
                {"RequestCode": 15, "InstrumentList": [{"ExchangeSegment": "NSE_FNO"}]},
                {"RequestCode": 15, "InstrumentList": [{"ExchangeSegment": "NSE_FNO",
                                                        "SecurityId": "abc"}]}):  # fmt: skip
        before = ignored["ignored"]
        send(account, link, bad)
        assert ignored["ignored"] > before, bad
    send(account, link, b"\x0c" + bytes(82))  # what the official client sends on leaving
    assert not link.closed and link.subscribed == set()
    send(account, link, {"RequestCode": 12})
    assert link.closed and not link.bare


def test_too_many_instruments_on_a_connection() -> None:
    account = make_account(instruments_max=2)
    link = connect(account)
    send(account, link, request(15, list(account.core.contracts)[:3]))
    assert link.closed and last_reason(link) == 804


def test_depth_200_takes_one_instrument_and_flat_messages(account: Account) -> None:
    link = connect(account, "depth200")
    first, second = account.contract("FUT"), account.contract("CE")
    flat = {"RequestCode": 23, "ExchangeSegment": "NSE_FNO", "SecurityId": str(first.security_id)}
    send(account, link, flat)
    assert link.subscribed == {first.index}
    send(account, link, request(24, [first]))
    send(account, link, request(23, [second]))
    assert link.subscribed == {second.index}
    send(account, link, request(25, [second]))
    send(account, link, request(23, [account.core.contracts[0]]))  # an index has no book
    assert link.subscribed == set()
    send(account, link, request(23, [first, second]))
    assert link.closed


def test_tokens_made_by_api_can_be_kept_from_depth_200() -> None:
    account = make_account(depth200_app=False)
    account.token = account.core.tokens.mint("APP", account.core.real_ns).value
    assert connect(account, "depth200").bare
    assert not connect(account, "depth20").closed


@pytest.mark.parametrize(
    "login",
    [
        {"LoginReq": {"MsgCode": 42, "ClientId": "1000000001", "Token": "x"}, "UserType": "SELF"},
        {"LoginReq": {"MsgCode": 42, "ClientId": "2", "Token": ""}, "UserType": "SELF"},
        {"LoginReq": {"MsgCode": 42, "ClientId": "1"}, "UserType": "PARTNER", "Secret": "s"},
    ],
)
def test_a_bad_login_is_reset(account: Account, login: dict[str, Any]) -> None:
    link = connect(account, "updates")
    send(account, link, login)
    assert link.closed and link.bare


@pytest.mark.parametrize(
    ("casing", "there", "absent"),
    [
        ("pascal", "OrderNo", "refLtp"),
        ("camel", "orderNo", "OrderNo"),
        ("both", "refLtp", "orderNo"),
    ],
)
def test_keys_of_order_updates(casing: str, there: str, absent: str) -> None:
    account = make_account(casing=casing)
    option = account.contract("CE")
    account.ask("POST", "/orders", account.order(option, "BUY", price=0.05))
    for update in account.core.take_updates():
        assert update["Type"] == "order_alert"
        assert there in update["Data"] and absent not in update["Data"]
