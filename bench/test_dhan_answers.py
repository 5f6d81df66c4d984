"""Reading the broker's words: an order update to a record, an order book, an option chain."""

import json
from pathlib import Path
from typing import Any

import msgspec

from dhanfast.brokers.dhan.answers import orders_seen, update_of
from dhanfast.brokers.dhan.answers_data import chain_of
from dhanfast.brokers.dhan.requests import PlaceOrder

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures" / "dhan"


def _body(name: str) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def test_order_update(benchmark: Any) -> None:
    """From the frame's text to the engine's record."""
    frame = json.dumps(json.loads(_body("order_update/messages"))[2]["message"])

    def read() -> Any:
        said = msgspec.json.decode(frame)
        return update_of(said["Data"], tag="df", at_ns=1, instruments={})

    assert benchmark(read)["filled"] == 4


def test_order_book(benchmark: Any) -> None:
    """Of 12 orders, from the body."""
    body = _body("rest/orders")
    assert len(benchmark(lambda: orders_seen(msgspec.json.decode(body)))) == 12


def test_option_chain(benchmark: Any) -> None:
    """Of the fixture's strikes, from the body."""
    body = _body("rest/option_chain")
    assert benchmark(lambda: chain_of(msgspec.json.decode(body))).rows


def test_order_body(benchmark: Any) -> None:
    """A checked order and its JSON; the courier's template is another bench."""

    def make() -> bytes:
        order = PlaceOrder(side="BUY", segment="NSE_FNO", security_id="49081", qty=75,
                           price=10_050, correlation="df01234567-1")  # fmt: skip
        return msgspec.json.encode(order.body("1000000001"))

    assert b'"price":100.5' in benchmark(make)
