"""Tokens, limits, addresses: what is refused, with which error, and when it passes again."""

import base64
import json
from typing import Any

import pytest

from dhanfast.exchange.auth import totp
from tests.exchange.serving import SECOND, Account, make_account

MINUTE = 60 * SECOND


@pytest.fixture
def account() -> Account:
    return make_account()


def raw(
    account: Account,
    method: str,
    path: str,
    real_ns: int,
    headers: dict[str, str] | None = None,
    **query: str,
) -> Any:
    core = account.core
    reply = core.request(method, path, query, headers or account.headers, b"", core.now_ns,
                         real_ns=real_ns)  # fmt: skip
    return reply.status, reply


def test_the_published_totp_vectors() -> None:
    """RFC 6238, appendix B, SHA-1, the last six of their eight digits."""
    secret = base64.b32encode(b"12345678901234567890").decode()
    published = {59: "287082", 1111111109: "081804", 1234567890: "005924", 20000000000: "353130"}
    assert {at: totp(secret, at * SECOND) for at in published} == published


def test_a_token_is_a_signed_jwt_with_the_brokers_claims(account: Account) -> None:
    head, claims, _ = account.token.split(".")
    found = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert json.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == "HS256"
    assert found["dhanClientId"] == "1000000001" and found["tokenConsumerType"] == "SELF"
    assert found["exp"] == account.core.real_ns // SECOND + 86_400


def test_an_expired_token(account: Account) -> None:
    core = account.core
    late = core.real_ns + 86_400 * SECOND
    status, reply = raw(account, "GET", "/v2/orders", late)
    assert status == 401 and reply.json()["errorCode"] == "DH-901"
    status, reply = raw(account, "POST", "/v2/marketfeed/ltp", late)
    assert status == 401 and list(reply.json()["data"]) == ["807"]


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é"])
def test_a_foreign_token(account: Account, token: str) -> None:
    account.token = token
    status, error = account.ask("GET", "/orders")
    assert status == 401 and error["errorCode"] == "DH-901"
    status, error = account.ask("POST", "/optionchain", {})
    assert status == 401 and set(error["data"]) <= {"808", "809"}


def test_one_token_lives_at_a_time(account: Account) -> None:
    new = account.core.tokens.mint("SELF", account.core.real_ns).value
    assert account.ask("GET", "/orders")[0] == 401
    account.token = new
    assert account.ask("GET", "/orders")[0] == 200


def test_pin_and_totp_once_in_two_minutes(account: Account) -> None:
    core = account.core
    now = core.real_ns

    def mint(real_ns: int, pin: str = "123456", code: str | None = None) -> int:
        code = totp(core.settings.totp_secret, real_ns) if code is None else code
        return raw(account, "POST", "/app/generateAccessToken", real_ns, {},
                   dhanClientId="1000000001", pin=pin, totp=code)[0]  # fmt: skip

    assert mint(now, pin="000000") == 401
    assert mint(now, code="") == 401
    assert mint(now) == 200
    assert mint(now + MINUTE) == 429
    assert mint(now + 2 * MINUTE) == 200


def test_the_browsers_flow(account: Account) -> None:
    core = account.core
    settings, now = core.settings, core.real_ns
    app = {"app_id": settings.app_id, "app_secret": settings.app_secret}
    assert raw(account, "POST", "/app/generate-consent", now, {**app, "app_secret": "x"},
               client_id="1000000001")[0] == 401  # fmt: skip
    status, reply = raw(account, "POST", "/app/generate-consent", now, app,
                        client_id="1000000001")  # fmt: skip
    assert (status, reply.json()["status"]) == (200, "success")
    consent = reply.json()["consentAppId"]
    page = "/login/consentApp-login"
    assert raw(account, "GET", page, now, {}, consentAppId=consent,
               redirect="http://example.org/")[0] == 400  # fmt: skip
    status, reply = raw(account, "GET", page, now, {}, consentAppId=consent,
                        redirect="http://127.0.0.1:9/back")  # fmt: skip
    assert status == 302
    token_id = reply.headers["location"].removeprefix("http://127.0.0.1:9/back?tokenId=")
    status, reply = raw(account, "GET", "/app/consumeApp-consent", now, app, tokenId=token_id)
    assert status == 200
    account.token = reply.json()["accessToken"]
    assert account.ask("GET", "/profile")[0] == 200
    assert raw(account, "POST", "/app/consumeApp-consent", now, app, tokenId=token_id)[0] == 401


@pytest.mark.parametrize(
    ("path", "most", "window_s"),
    [("/v2/orders/1", 10, 1.0), ("/v2/fundlimit", 20, 1.0), ("/v2/marketfeed/ltp", 1, 1.0),
     ("/v2/charts/intraday", 5, 1.0)],
)  # fmt: skip
def test_limits_a_second(account: Account, path: str, most: int, window_s: float) -> None:
    method = {"/v2/orders/1": "DELETE", "/v2/fundlimit": "GET"}.get(path, "POST")
    start = account.core.real_ns
    states = [raw(account, method, path, start + at)[0] for at in range(most + 2)]
    assert 429 not in states[:most] and states[most:] == [429, 429]
    status, reply = raw(account, method, path, start + round(window_s * SECOND))
    assert status != 429
    assert reply.headers.get("retry-after") is None


def test_limit_a_minute_for_orders_and_its_body(account: Account) -> None:
    start = account.core.real_ns
    states = [raw(account, "DELETE", "/v2/orders/1", start + at * SECOND // 10)[0]
              for at in range(251)]  # fmt: skip
    assert 429 not in states[:250] and states[250] == 429
    error = raw(account, "DELETE", "/v2/orders/1", start + 26 * SECOND)[1]
    assert error.json()["errorCode"] == "DH-904" and int(error.headers["retry-after"]) > 30
    assert raw(account, "DELETE", "/v2/orders/1", start + MINUTE + 1)[0] != 429


def test_the_option_chain_once_in_three_seconds(account: Account) -> None:
    core, expiry = account.core, account.core.contracts.expiries("NIFTY")[0]
    body = {"UnderlyingScrip": 13, "UnderlyingSeg": "IDX_I", "Expiry": str(expiry)}
    assert account.ask("POST", "/optionchain", body)[0] == 200
    status, error = account.ask("POST", "/optionchain", body)
    assert status == 429 and list(error["data"]) == ["805"]
    del body["Expiry"]
    assert account.ask("POST", "/optionchain/expirylist", body)[0] == 200
    core.advance(core.now_ns, core.real_ns + 3 * SECOND)
    assert account.ask("POST", "/optionchain", body | {"Expiry": str(expiry)})[0] == 200


def test_the_third_shape_of_an_error_by_a_setting() -> None:
    account = make_account(limit_shape="portal")
    states = [raw(account, "POST", "/v2/marketfeed/ltp", account.core.real_ns)[1]
              for _ in range(2)]  # fmt: skip
    assert states[1].status == 429 and states[1].json()["errorCode"] == "RL001"


def test_orders_from_another_address_are_refused() -> None:
    account = make_account(static_ip="203.0.113.7")
    core = account.core

    def peer(method: str, path: str, address: str) -> tuple[int, object]:
        reply = core.request(method, path, {}, account.headers, b"", core.now_ns,
                             real_ns=core.real_ns + SECOND, peer=address)  # fmt: skip
        return reply.status, reply.json()

    status, error = peer("DELETE", "/v2/orders/1", "127.0.0.1")
    assert status == 403 and error["errorCode"] == "DH-911"  # type: ignore[index]
    assert peer("DELETE", "/v2/orders/1", "203.0.113.7")[0] == 404
    assert peer("GET", "/v2/orders", "127.0.0.1")[0] == 200


def test_a_settings_repr_has_no_secret(account: Account) -> None:
    settings = account.core.settings
    shown = repr(settings) + repr(account.core.tokens.live)
    for secret in (settings.pin, settings.totp_secret, settings.app_secret, account.token):
        assert secret not in shown
