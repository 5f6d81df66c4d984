"""Tokens do not print themselves; what is logged is cleaned; codes are those of the standard."""

import asyncio
import base64
import copy
import json
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.clock import ManualClock
from dhanfast.errors import NotAuthenticated, UsageError
from dhanfast.security.redact import MASK, Redactor, logger, redacted
from dhanfast.security.tokens import FixedToken, Token, claims_of
from dhanfast.security.totp import checked_secret, code_at, fresh_code

from ..brokers.dhan.stage import CLIENT, jwt

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890" in base32
RFC_CODES = {  # RFC 6238, appendix B, SHA-1, the last six of eight digits
    59: "287082", 1_111_111_109: "081804", 1_111_111_111: "050471", 1_234_567_890: "005924",
    2_000_000_000: "279037", 20_000_000_000: "353130",
}  # fmt: skip


def test_a_token_gives_nothing_away() -> None:
    value = jwt(exp_s=1_784_776_500.0, kind="APP")
    token = Token.of_jwt(value)
    texts = [repr(token), str(token), f"{token}", f"{token!r:>10}", repr([token]), repr({1: token})]
    assert not [text for text in texts if value in text or value[:20] in text]
    assert token.reveal() == value and token.client_id == CLIENT and token.kind == "APP"
    assert token.expires_ns == 1_784_776_500 * 10**9
    for write in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError) as caught:
            write(token)  # type: ignore[operator]
        assert value not in str(caught.value)
    assert not hasattr(token, "__dict__")


def test_tokens_are_equal_by_account_and_value() -> None:
    one, same, other = (Token("1", "abcdefgh"), Token("1", "abcdefgh", 5), Token("2", "abcdefgh"))
    assert one == same and hash(one) == hash(same) and one != other and one != "abcdefgh"


def test_when_a_token_is_live() -> None:
    token = Token("1", "abcdefgh", 100 * 10**9)
    assert token.is_live(99 * 10**9) and not token.is_live(100 * 10**9)
    assert not token.is_live(71 * 10**9, 30) and token.is_live(69 * 10**9, 30)
    assert Token("1", "abcdefgh").is_live(2**62)


@pytest.mark.parametrize(
    ("value", "client", "says"),
    [("", "1", "cannot be one"), ("a b", "1", "blank"), ("a\x01b", "1", "cannot be one"),
     ("x" * 9_000, "1", "9000 characters"), ("éé", "1", "cannot be one"),
     ("plain-token", "", "give the client id"), (jwt("55"), "66", "belongs to client id 55")],
)  # fmt: skip
def test_what_is_no_token_is_refused(value: str, client: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Token.of_jwt(value, client)
    assert len(value) < 4 or value not in str(caught.value)


@given(st.text(max_size=60))
def test_claims_of_anything_are_a_dictionary(text: str) -> None:
    assert isinstance(claims_of(text), dict) and isinstance(claims_of(f"a.{text}.c"), dict)


def test_a_fixed_token_is_not_renewed() -> None:
    source = FixedToken(Token("1", "abcdefgh"))
    assert asyncio.run(source.token()).reveal() == "abcdefgh"
    with pytest.raises(NotAuthenticated) as caught:
        asyncio.run(source.refused(Token("1", "abcdefgh")))
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("at_s", RFC_CODES)
def test_codes_are_those_of_the_standard(at_s: int) -> None:
    assert code_at(RFC_SECRET, at_s * 10**9) == RFC_CODES[at_s]


@given(st.binary(min_size=14, max_size=40), st.integers(0, 2**33))
def test_codes_are_those_of_pyotp(key: bytes, at_s: int) -> None:
    pyotp = pytest.importorskip("pyotp", reason="the oracle; needs the extra [live]")
    secret = base64.b32encode(key).decode().rstrip("=")
    assert code_at(secret, at_s * 10**9 + 999_999_999) == pyotp.TOTP(secret).at(at_s)


def test_a_code_that_is_about_to_end_is_waited_out() -> None:
    for start_s, waits in ((58.0, True), (31.0, False), (56.9, False)):
        clock = ManualClock(int(start_s * 1e9))
        code = asyncio.run(fresh_code(RFC_SECRET, clock))
        assert (clock.now_ns() > start_s * 1e9) is waits
        assert code == code_at(RFC_SECRET, clock.now_ns())
        assert clock.now_ns() % (30 * 10**9) <= 27 * 10**9


@pytest.mark.parametrize("secret", ["123456", "ABC!", "AAAA", ""])
def test_what_is_no_totp_secret_is_refused(secret: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_secret(secret)
    assert not secret or secret not in str(caught.value)
    assert checked_secret("gezd gnbv-GY3TQOJQ") == "GEZDGNBVGY3TQOJQ"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("wss://h?version=2&token=abc.def&clientId=1", "wss://h?version=2&token=***&clientId=1"),
        ("?dhanClientId=1&pin=123456&totp=654321", "?dhanClientId=1&pin=***&totp=***"),
        ('{"access-token": "abc", "a": 1}', '{"access-token": "***", "a": 1}'),
        ("{'app_secret': 'abc'}", "{'app_secret': '***'}"),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ('{"Token":"x.y","MsgCode":42}', '{"Token":"***","MsgCode":42}'),
        ("tokenId=abc next", "tokenId=*** next"),
        ("a token of 3 lots, spin=5, pinned: yes", "a token of 3 lots, spin=5, pinned: yes"),
        ("token=None", "token=None"),
        ("nothing here", "nothing here"),
    ],
)
def test_patterns_mask_values_and_nothing_else(text: str, wanted: str) -> None:
    assert redacted(text) == wanted
    assert redacted(wanted) == wanted


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_token_in_any_text_is_masked(before: str, after: str) -> None:
    value = jwt(n=7)
    assert value not in redacted(f"{before} {value} {after}")
    assert "c2lnbmF0dXJl7" not in redacted(f"{before} {value} {after}")


def test_known_values_are_masked_and_the_oldest_forgotten() -> None:
    own = Redactor()
    own.know("123456")  # too short: a quantity could look like it
    own.know("hunter2hunter2")
    assert own.clean("123456 hunter2hunter2") == f"123456 {MASK}"
    for number in range(300):
        own.know(f"secret-{number:04}")
    assert own.clean("hunter2hunter2 secret-0299") == f"hunter2hunter2 {MASK}"


def test_a_logger_of_ours_cleans_message_arguments_and_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    value, pin = jwt(n=99), "1234" + "56"
    log = logger("dhanfast.tests.redact")
    assert logger("dhanfast.tests.redact").filters == log.filters  # one filter, however often asked
    with caplog.at_level(logging.DEBUG):
        log.info("opening wss://x?token=%s", value)
        try:
            raise ValueError(f"bad {value}")
        except ValueError:
            log.exception("it failed for pin=%s", pin, stack_info=True)
    assert value not in caplog.text and pin not in caplog.text
    assert "ValueError: bad ***" in caplog.text and "opening wss://x?token=***" in caplog.text
    assert all(value not in repr(vars(record)) for record in caplog.records)
