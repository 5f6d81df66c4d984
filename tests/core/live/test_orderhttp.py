"""Order requests against the official client's, answers against two other readers of HTTP."""

import http.client
import io
import json
from pathlib import Path
from typing import Any

import httptools
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.live.answerhttp import ANSWER_BYTES_MAX, AnswerReader, Reading
from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.records import INTENT_DTYPE, IntentKind
from dhanfast._core.types import OrderKind, Side, Validity
from dhanfast.brokers.dhan.requests import ModifyOrder, PlaceOrder
from dhanfast.errors import UsageError

CLIENT = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "dhan" / "client_requests" / "rest.json").read_text()
)
TABLE = [("NSE_EQ", "1333", "INTRADAY"), ("NSE_FNO", "49081", "MARGIN")]
KINDS = {OrderKind.LIMIT: "LIMIT", OrderKind.SL: "STOP_LOSS"}


def book(**changes: Any) -> RequestBook:
    made = RequestBook("api.dhan.co", "/v2", "1000000001", "df00c0ffee", TABLE, **changes)
    made.set_token("TEST.TOKEN.VALUE")
    return made


def intent(kind: int = IntentKind.PLACE, **fields: Any) -> np.void:
    record = np.zeros(1, INTENT_DTYPE)[0]
    given = {"id": 1, "order": 17, "price": 170_150, "qty": 4, "side": Side.BUY, "kind": kind}
    for name, value in (given | fields).items():
        record[name] = value
    return record


def parted(raw: bytes) -> tuple[str, str, dict[str, str], Any]:
    """Method, path, headers in lower case, body: as a server reads them."""

    class Seen:
        def __init__(self) -> None:
            self.url, self.headers, self.body, self.whole = b"", {}, b"", 0

        def on_url(self, url: bytes) -> None:
            self.url += url

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers[name.decode().lower()] = value.decode()

        def on_body(self, body: bytes) -> None:
            self.body += body

        def on_message_complete(self) -> None:
            self.whole += 1

    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(raw)
    assert seen.whole == 1
    body = json.loads(seen.body) if seen.body else None
    return parser.get_method().decode(), seen.url.decode(), seen.headers, body


def sent_by_client(call: str) -> dict[str, Any]:
    (entry,) = [one for one in CLIENT if one["call"] == call]
    return entry["sent"][0]


def assert_headers(ours: dict[str, str], clients: dict[str, str]) -> None:
    """Those of the official client, and those that HTTP itself needs."""
    wanted = {name.lower(): value for name, value in clients.items()}
    assert {name: ours[name] for name in wanted} == wanted
    assert set(ours) - set(wanted) <= {"host", "content-length"}
    assert ours["host"] == "api.dhan.co"


def test_a_limit_order_is_the_official_clients() -> None:
    client = sent_by_client("place_order LIMIT")
    method, path, headers, body = parted(book().request(intent()))
    assert (method, "https://api.dhan.co" + path) == (client["method"], client["url"])
    assert_headers(headers, client["headers"])
    assert body == client["body"] | {"correlationId": "df00c0ffee-17"}  # the tag is ours


def test_a_stop_order_is_the_official_clients() -> None:
    client = sent_by_client("place_order STOP_LOSS")
    _, _, _, body = parted(book().request(intent(
        side=Side.SELL, order_kind=OrderKind.SL, validity=Validity.IOC, instrument=1, qty=75,
        price=9_950, trigger=10_000)))  # fmt: skip
    # Deliberate: the client leaves the correlation id out when no tag is given; we never do.
    assert body == client["body"] | {"correlationId": "df00c0ffee-17"}


def test_a_modify_and_a_cancel_are_the_official_clients() -> None:
    client = sent_by_client("modify_order")
    raw = book().request(intent(IntentKind.MODIFY, broker_id=b"112111182045", qty=5, price=170_200))
    method, path, headers, body = parted(raw)
    assert (method, "https://api.dhan.co" + path) == (client["method"], client["url"])
    assert_headers(headers, client["headers"])
    assert body == client["body"]
    client = sent_by_client("cancel_order")
    method, path, headers, body = parted(
        book().request(intent(IntentKind.CANCEL, broker_id=b"112111182045"))
    )
    assert (method, "https://api.dhan.co" + path) == (client["method"], client["url"])
    assert_headers(headers, client["headers"])
    assert body is None and "content-length" not in headers


def test_reads_are_the_official_clients() -> None:
    for call, asked, path in (
        ("get_order_by_id", {"broker_id": b"112111182045"}, "/v2/orders/112111182045"),
        ("get_order_by_correlationID", {}, "/v2/orders/external/df00c0ffee-17"),
    ):
        client = sent_by_client(call)
        method, got, headers, body = parted(book().request(intent(IntentKind.QUERY, **asked)))
        assert (method, got, body) == (client["method"], path, None)
        assert_headers(headers, client["headers"])


paise = st.integers(1, 10**12)


@given(st.sampled_from(Side), st.sampled_from(list(KINDS)), st.sampled_from(Validity), paise,
       paise, st.integers(1, 10**9), st.integers(1, 10**19 - 1), st.integers(0, 1))  # fmt: skip
def test_every_place_is_what_the_checked_request_says(
    side: Side, kind: OrderKind, validity: Validity, price: int, trigger: int, qty: int,
    order: int, place: int,
) -> None:  # fmt: skip
    if kind == OrderKind.LIMIT:
        trigger = 0
    elif side == Side.BUY:
        price, trigger = max(price, trigger), min(price, trigger)
    else:
        price, trigger = min(price, trigger), max(price, trigger)
    raw = book().request(
        intent(
            side=side,
            order_kind=kind,
            validity=validity,
            price=price,
            trigger=trigger,
            qty=qty,
            order=order,
            instrument=place,
        )
    )
    segment, security_id, product = TABLE[place]
    wanted = PlaceOrder(
        side=side.name, segment=segment, security_id=security_id, qty=qty, product=product,
        order_type=KINDS[kind], validity=validity.name, price=price, trigger=trigger,
        correlation=f"df00c0ffee-{order}",
    ).body("1000000001")  # fmt: skip
    assert parted(raw)[3] == wanted
    text = raw.rpartition(b'"price":')[2].partition(b",")[0].decode()
    assert text == f"{price // 100}.{price % 100:02}"  # the paisa, and never a float's digits


@given(st.sampled_from(list(KINDS)), st.sampled_from(Validity), paise, paise,
       st.integers(1, 10**9), st.from_regex(r"[A-Za-z0-9_-]{1,24}", fullmatch=True))  # fmt: skip
def test_every_modify_is_what_the_checked_request_says(
    kind: OrderKind, validity: Validity, price: int, trigger: int, qty: int, order_id: str
) -> None:
    trigger = 0 if kind == OrderKind.LIMIT else trigger
    raw = book(leg="NA").request(intent(
        IntentKind.MODIFY, order_kind=kind, validity=validity, price=price, trigger=trigger,
        qty=qty, broker_id=order_id.encode()))  # fmt: skip
    wanted = ModifyOrder(order_id=order_id, qty=qty, order_type=KINDS[kind], leg="NA",
                         validity=validity.name, price=price, trigger=trigger)  # fmt: skip
    method, path, _, body = parted(raw)
    assert (method, path, body) == ("PUT", f"/v2/orders/{order_id}", wanted.body("1000000001"))


@pytest.mark.parametrize(
    "fields",
    [
        {"order_kind": OrderKind.MARKET}, {"order_kind": OrderKind.SLM}, {"order_kind": 9},
        {"price": 0}, {"price": -5}, {"price": 10**12 + 1}, {"qty": 0}, {"qty": -1},
        {"qty": 10**9 + 1}, {"side": 0}, {"side": 2}, {"validity": 2}, {"instrument": 2},
        {"order": 0}, {"order": 10**19}, {"trigger": 5}, {"order_kind": OrderKind.SL}, {"kind": 0},
        {"kind": 5}, {"kind": IntentKind.CANCEL}, {"kind": IntentKind.MODIFY},
        {"kind": IntentKind.CANCEL, "broker_id": b"1/../2"},
        {"kind": IntentKind.QUERY, "broker_id": b"1\r\nX: y"},
        {"kind": IntentKind.MODIFY, "broker_id": b'1"'},
    ],
)  # fmt: skip
def test_what_must_not_leave_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="intent 1: no request can be made of it"):
        book().request(intent(**fields))


def test_bad_parts_of_templates_are_named() -> None:
    good = ("api.dhan.co", "/v2", "1", "df1", TABLE)
    for place, value, text in [
        (0, "a b", "host: 'a b'"), (1, "v2", "base: 'v2'"), (1, "/" + "x" * 300, "base"),
        (2, 'a"', "client_id"), (3, "df-1", "tag: 'df-1'"), (3, "", "tag"),
        (4, [("NSE FNO", "1", "CNC")], "segment"), (4, [("NSE_FNO", "", "CNC")], "security_id"),
        (4, [("NSE_FNO", "1", '"')], "product"),
    ]:  # fmt: skip
        with pytest.raises(UsageError, match=text):
            RequestBook(*good[:place], value, *good[place + 1 :])
    made = RequestBook(*good)
    with pytest.raises(UsageError):
        made.request(intent())  # no token yet
    for token in ("", "a b", "abc\r\nX: y", "x" * 8_193):
        with pytest.raises(UsageError, match="token") as caught:
            made.set_token(token)
        assert "abc" not in str(caught.value) and "xxx" not in str(caught.value)


def test_a_new_token_is_in_every_later_request() -> None:
    made = book()
    made.set_token("NEW.ONE")
    for kind in IntentKind:
        raw = made.request(intent(kind, broker_id=b"1" if kind != IntentKind.PLACE else b""))
        assert raw.count(b"access-token: NEW.ONE\r\n") == 1 and b"TEST.TOKEN" not in raw
    assert parted(made.ping("/profile"))[:2] == ("GET", "/v2/profile")
    assert "NEW.ONE" not in repr(made)


# --- answers -------------------------------------------------------------------------------------


def read(raw: bytes, cuts: list[int] | None = None) -> tuple[Reading, AnswerReader]:
    """Feed an answer cut at some places."""
    reader, found, last = AnswerReader(), Reading.MORE, 0
    for cut in [*sorted({min(c, len(raw)) for c in cuts or []}), len(raw)]:
        if found == Reading.MORE:
            found = reader.take(raw[last:cut])
        last = cut
    return found, reader


def by_the_library(raw: bytes) -> tuple[int, bytes]:
    """The standard library's reading."""

    class Plug:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(raw)

    answer = http.client.HTTPResponse(Plug())  # type: ignore[arg-type]
    answer.begin()
    while answer.status == 100:
        answer.begin()
    return answer.status, answer.read()


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@given(
    st.sampled_from([200, 201, 202, 400, 401, 429, 500, 502]), st.binary(max_size=3_000),
    st.integers(0, 400), st.sampled_from(["OK", "", "Too Many"]),
    st.lists(st.sampled_from(["X-A: b", "Server:x", "Date:  Mon", "Set-Cookie: a=b; c"])),
    st.lists(st.integers(0, 3_500), max_size=6), st.booleans(),
)  # fmt: skip
def test_answers_are_read_as_the_library_does(
    status: int, body: bytes, size: int, reason: str, extra: list[str], cuts: list[int],
    interim: bool,
) -> None:  # fmt: skip
    framing = "transfer-encoding: chunked" if size else f"Content-Length: {len(body)}"
    head = "\r\n".join([f"HTTP/1.1 {status} {reason}", *extra, framing]) + "\r\n\r\n"
    raw = head.encode() + (chunked(body, size) if size else body)
    if interim:
        raw = b"HTTP/1.1 100 Continue\r\n\r\n" + raw
    found, reader = read(raw, cuts)
    assert found == Reading.WHOLE and reader.keeps and reader.spare == 0
    assert (reader.status, reader.body) == by_the_library(raw) == (status, body)


def test_what_headers_say_is_understood() -> None:
    found, reader = read(
        b"HTTP/1.1 429 Slow\r\nRETRY-AFTER: 7\r\nKeep-Alive: timeout=5, max=9\r\n"
        b"Connection: Close\r\nContent-Length: 2\r\n\r\n{}surplus"
    )
    assert found == Reading.WHOLE
    assert (reader.status, reader.retry_after_s, reader.keep_s) == (429, 7, 5)
    assert not reader.keeps and reader.body == b"{}" and reader.spare == 7
    assert not read(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")[1].keeps
    for value, wanted in ((b"9999", 255), (b"soon", 0), (b"-1", 0), (b"99999999999", 0)):
        _, reader = read(b"HTTP/1.1 429 x\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % value)
        assert reader.retry_after_s == wanted


def test_an_answer_up_to_the_end_of_the_connection() -> None:
    found, reader = read(b"HTTP/1.1 200 OK\r\n\r\nall of it", [19, 22])
    assert found == Reading.MORE
    assert reader.finish() == Reading.WHOLE and reader.body == b"all of it" and not reader.keeps
    found, reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
    assert found == Reading.MORE and reader.finish() == Reading.BAD
    found, reader = read(b"HTTP/1.1 204 No\r\n\r\n")
    assert found == Reading.WHOLE and reader.body == b""


def test_a_reader_is_used_again() -> None:
    reader = AnswerReader()
    for number in range(5):
        body = b"x" * number * 50
        raw = b"HTTP/1.1 40%d OK\r\nContent-Length: %d\r\n\r\n%s" % (number, len(body), body)
        assert reader.take(raw) == Reading.WHOLE
        assert (reader.status, reader.body) == (400 + number, body)
        reader.clear()


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2 200 OK\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 101 Switch\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnothing\r\n\r\n", b"HTTP/1.1 200 OK\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabX\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 80,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 20_000, b"x" * (ANSWER_BYTES_MAX + 1),
    ],
)  # fmt: skip
def test_what_confuses_is_refused(raw: bytes) -> None:
    assert read(raw)[0] == Reading.BAD


@given(st.integers(0, 500), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)),
       max_size=4), st.lists(st.integers(0, 400), max_size=5), st.booleans())  # fmt: skip
def test_hostile_bytes_do_no_harm(
    cut: int, edits: list[tuple[int, int]], cuts: list[int], plain: bool
) -> None:
    body = b'{"orderId":"1","orderStatus":"PENDING"}' * 3
    tail = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    chunks = b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, 17)
    raw = bytearray(b"HTTP/1.1 200 OK\r\nServer: x\r\nRetry-After: 3\r\n")
    raw += tail if plain else chunks
    for at, value in edits:
        raw[at % len(raw)] = value
    found, reader = read(bytes(raw[: len(raw) - cut % len(raw)]), cuts)
    again, other = read(bytes(raw[: len(raw) - cut % len(raw)]))
    assert found == again  # wherever it is cut
    if found == Reading.WHOLE:
        assert (reader.status, reader.body) == (other.status, other.body)
        assert 100 <= reader.status <= 999 and len(reader.body) <= len(raw)
