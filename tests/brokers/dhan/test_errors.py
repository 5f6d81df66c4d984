"""Three shapes of errors and what is none of them: kind, number, proof of refusal."""

import json

import pytest

from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind, error_of, is_error_body

from .stage import VALUE, fixture, jwt

WANTED = [  # of rest/errors.json, in its order
    ("DH-901", ErrorKind.AUTH, 901), ("DH-904", ErrorKind.RATE, 904),
    ("DH-905", ErrorKind.INPUT, 905), ("DH-906", ErrorKind.AUTH, 901),
    ("DH-907", ErrorKind.NO_DATA, 907), ("805", ErrorKind.RATE, 805),
    ("806", ErrorKind.ACCESS, 806), ("811", ErrorKind.INPUT, 811), ("RL001", ErrorKind.RATE, 0),
]  # fmt: skip


@pytest.mark.parametrize("at", range(len(WANTED)))
def test_the_golden_errors(at: int) -> None:
    case = fixture("rest/errors")[at]
    error = error_of(case["http_status"], json.dumps(case["body"]).encode())
    assert (error.code, error.kind, error.number) == WANTED[at]
    assert error.http == case["http_status"] and error.has_shape and error.proves_refusal


@pytest.mark.parametrize("case", fixture("client_requests/response_envelope"),
                         ids=lambda case: case["what"])  # fmt: skip
def test_every_answer_that_the_official_client_was_given(case: dict[str, object]) -> None:
    status, body = int(str(case["http_status"])), str(case["body"]).encode()
    if status < 300:
        assert not body or not is_error_body(json.loads(body))
        return
    error = error_of(status, body)
    assert error.http == status and error.text
    client = case["client"]
    assert isinstance(client, dict)
    remarks = client["remarks"]
    if isinstance(remarks, dict) and remarks["error_code"]:  # it reads shape one; so do we
        assert (error.code, error.text) == (remarks["error_code"], remarks["error_message"])
    if not body.startswith(b"{"):  # a page or a list: it loses the status, we keep it
        assert not error.proves_refusal and error.is_retried and body.decode()[:5] in error.text


@pytest.mark.parametrize(
    ("http", "body", "kind", "proof", "retried"),
    [
        (400, '{"errorCode":"DH-905","errorMessage":"Invalid IP"}', "address", True, False),
        (400, '{"errorCode":"DH-911","errorMessage":"x"}', "address", True, False),
        (400, '{"errorCode":"DH-908","errorMessage":"x"}', "server", False, True),
        (400, '{"errorCode":"DH-909","errorMessage":"x"}', "network", False, True),
        (400, '{"errorCode":"DH-910","errorMessage":"x"}', "other", False, False),
        (500, '{"errorCode":"DH-905","errorMessage":"x"}', "server", False, True),
        (400, '{"errorCode":"DH-906","errorMessage":"RMS: margin"}', "order", True, False),
        (451, '{"errorCode":"DH-902","errorMessage":"x"}', "access", True, False),
        (401, '{"status":"failed","data":{"810":"Client ID is invalid"}}', "auth", True, False),
        (401, "{}", "auth", False, False),
        (403, "<html>blocked</html>", "access", False, False),
        (504, "", "server", False, True),
        (302, "", "other", False, False),
        (400, '{"errorType":"X","errorCode":null,"errorMessage":"bad"}', "input", True, False),
        (429, "Too Many Requests", "rate", False, True),
        (200, '{"status":"error","message":"not all"}', "other", False, False),
    ],
)
def test_kind_proof_and_retry(http: int, body: str, kind: str, proof: bool, retried: bool) -> None:
    error = error_of(http, body.encode())
    assert (error.kind, error.proves_refusal, error.is_retried) == (kind, proof, retried)


def test_what_renews() -> None:
    def auth(number: int) -> BrokerError:
        return error_of(401, json.dumps({"status": "failed", "data": {number: "x"}}).encode())

    assert [auth(number).renews for number in (807, 809, 808, 810)] == [True, True, False, False]
    assert auth(807).exit_code == 4 and error_of(500, b"").exit_code == 1


def test_retry_after_is_taken_when_it_is_seconds() -> None:
    assert error_of(429, b"", "7").retry_after_s == 7
    assert error_of(429, b"", "Wed, 21 Oct 2026 07:28:00 GMT").retry_after_s == 0
    assert error_of(429, b"", "99999999").retry_after_s == 3_600


def test_what_the_broker_quotes_is_cleaned() -> None:
    token = jwt()
    body = json.dumps(
        {"errorCode": "DH-905", "errorMessage": f"bad access-token: {token} pin=123456"}
    )
    error = error_of(400, body.encode())
    page = error_of(502, f"<html>{token}</html>".encode())
    for text in (str(error), repr(error), error.text, str(page), repr(page.args)):
        assert token not in text and "123456" not in text and token[:20] not in text
    assert VALUE not in str(error)


def test_bytes_that_are_no_text() -> None:
    error = error_of(502, b"\xff\xfe\x00bad")
    assert error.http == 502 and "bad" in error.text


@pytest.mark.parametrize(
    ("said", "wanted"),
    [([], False), ({"orderId": "1", "status": "failed"}, False), ({"status": "success"}, False),
     ({"errorCode": "DH-905"}, True), ({"status": "failure"}, True), ({"status": "ERROR"}, True)],
)  # fmt: skip
def test_an_error_in_a_good_status_is_seen(said: object, wanted: bool) -> None:
    assert is_error_body(said) is wanted
