"""Whatever a client sends, the exchange answers or ignores it, and goes on."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.exchange.answers import Refusal
from dhanfast.exchange.fields import Body, day_of, moment_of, paise_of
from tests.exchange.serving import Account, make_account

FIXTURES = Path(__file__).parents[1] / "fixtures" / "dhan"
SENT = [one["sent"][0] for one in
        json.loads((FIXTURES / "client_requests" / "rest.json").read_text())]  # fmt: skip
HOST = "https://api.dhan.co"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
    | st.sampled_from(["9" * 5000, "1e999", "-0", "NaN", "2025-02-30", "ATM+99", "\ud7ff"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip


@cache
def one_account() -> Account:
    return make_account(limits=False)


def changed(body: Any, draw: Any) -> Any:
    """A recorded body with one field of it, at any depth, replaced or left out."""
    if isinstance(body, dict) and body:
        key = draw(st.sampled_from(sorted(body)))
        how = draw(st.sampled_from(["value", "deeper", "absent", "extra"]))
        if how == "absent":
            return {name: value for name, value in body.items() if name != key}
        if how == "extra":
            return body | {draw(st.text(max_size=5)): draw(values)}
        if how == "deeper" and isinstance(body[key], dict | list):
            return body | {key: changed(body[key], draw)}
        return body | {key: draw(values)}
    if isinstance(body, list) and body:
        return [changed(body[0], draw), *body[1:]]
    return draw(values)


@settings(max_examples=300)
@given(data=st.data())
def test_requests(data: st.DataObject) -> None:
    account = one_account()
    sent = data.draw(st.sampled_from([one for one in SENT if one["url"].startswith(HOST)]))
    path, _, query = sent["url"].removeprefix(HOST).partition("?")
    parts = [part.split("=") for part in query.split("&") if part]
    body = sent["body"]
    if body is not None:
        body = changed({**body, "dhanClientId": "1000000001"}, data.draw)
        raw = json.dumps(body).encode()
    else:
        raw = data.draw(st.sampled_from([b"", b"{", b"[]", b"\xff", b"null", b"1"]))
    core = account.core
    if sent["url"].endswith("RenewToken"):
        return
    reply = core.request(sent["method"], path, dict(parts), account.headers, raw, core.now_ns)
    assert 200 <= reply.status < 500
    if reply.status >= 400:
        found = reply.json()
        assert "errorCode" in found or found["status"] == "failed"
    account.run(0.5)


@settings(max_examples=200)
@given(message=st.one_of(values.map(json.dumps), st.text(max_size=40), st.binary(max_size=90),
                         st.dictionaries(st.sampled_from(["RequestCode", "InstrumentList",
                                                          "ExchangeSegment", "SecurityId",
                                                          "LoginReq", "UserType"]),
                                         values).map(json.dumps)))  # fmt: skip
def test_feed_messages(message: str | bytes) -> None:
    account = one_account()
    core = account.core
    for path, query in (("/", {"version": "2"}), ("/twentydepth", {}), ("/orderupdate", {})):
        wanted = {**query, "token": account.token, "clientId": "1000000001", "authType": "2"}
        link = core.connect(path, wanted)
        assert link is not None
        core.receive(link, message)
        core.take_frames(link)
        core.disconnect(link)
    assert core.feeds.links == []


@pytest.mark.parametrize("value", ["", "x", "2025-13-01", 20251117, None, [], "2025-11-17 25:00"])
def test_moments(value: Any) -> None:
    with pytest.raises(Refusal):
        moment_of(value)
    if value != "2025-11-17 25:00":
        with pytest.raises(Refusal):
            day_of(value)


@given(paise=st.integers(0, 10**10))
def test_rupees_come_back_as_the_same_paise(paise: int) -> None:
    assert paise_of(paise / 100) == paise
    assert paise_of(f"{paise // 100}.{paise % 100:02}") == paise


@pytest.mark.parametrize("value", [1.001, 0.005, -1, True, None, "x", "nan", 1e12, [], {}])
def test_what_is_no_amount(value: Any) -> None:
    assert paise_of(value) is None


def test_a_body_that_is_no_object() -> None:
    for raw in (None, [], 1, "x"):
        with pytest.raises(Refusal):
            Body(raw, ())
