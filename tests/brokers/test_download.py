"""A file over HTTP from a server on this machine: whole, or an error that says what to do."""

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dhanfast.brokers.dhan_instruments import ADDRESSES, from_address, from_file, is_address
from dhanfast.brokers.download import (
    Limits,
    Validators,
    download,
    public_url,
    require_allowed,
    with_timeout,
)
from dhanfast.clock import ManualClock, SystemClock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.masters import MasterStore, UpdateOptions

from ..listing import as_csv, option

BODY = as_csv([option()])
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """What it is asked, and how it answers a path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, Answer] = {}
        self.url = ""

    def say(self, path: str, status: int, body: bytes = b"", **headers: str) -> str:
        """Answer a path; returns its address."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in ({"Content_Length": str(len(body))} | headers).items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return self.url + path


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port of this machine."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers)))
            server.answers[self.path](self)

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for one test."""
    with serving() as made:
        yield made


NOTHING = Validators()


def fetch(url: str, known: Validators = NOTHING, **limits: Any) -> Any:
    """Download with the system's clock."""
    return download(url, Limits(**limits), known, SystemClock())


def test_a_file_comes_as_it_is(server: Server) -> None:
    url = server.say("/a.csv?key=secret", 200, BODY, ETag='"v1"', Last_Modified="Mon")
    told: list[int] = []
    got = download(url, Limits(), Validators(), SystemClock(), told.append)
    assert (got.data, got.validators) == (BODY, Validators('"v1"', "Mon"))
    assert got.url == server.url + "/a.csv"  # a query may hold what is secret
    assert told and told == sorted(told)
    path, headers = server.asked[0]
    assert path == "/a.csv?key=secret" and headers["User-Agent"].startswith("dhanfast/")
    assert not {"Authorization", "access-token", "client-id", "Cookie"} & set(headers)


@pytest.mark.parametrize("pack", [gzip.compress, None])
def test_compression_is_undone(server: Server, pack: Any) -> None:
    body = pack(BODY) if pack else BODY
    url = server.say("/a.csv", 200, body, **({"Content_Encoding": "gzip"} if pack else {}))
    assert fetch(url).data == BODY
    assert server.asked[0][1]["Accept-Encoding"] == "gzip"


def test_a_body_in_chunks_is_put_together(server: Server) -> None:
    def chunks(handler: BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for place in range(0, len(BODY), 100):
            part = BODY[place : place + 100]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        handler.wfile.write(b"0\r\n\r\n")

    server.answers["/c"] = chunks
    assert fetch(server.url + "/c").data == BODY


def test_what_has_not_changed_is_not_sent_again(server: Server) -> None:
    url = server.say("/a.csv", 304)
    got = fetch(url, Validators('"v1"', "Mon"))
    assert got.data is None and got.validators == Validators('"v1"', "Mon")
    headers = server.asked[0][1]
    assert (headers["If-None-Match"], headers["If-Modified-Since"]) == ('"v1"', "Mon")
    with pytest.raises(DhanfastError, match="the server answers 304"):
        fetch(url)  # not asked whether it has changed


def test_redirects_are_followed(server: Server) -> None:
    server.say("/end.csv", 200, BODY)
    server.say("/middle", 302, Location="/end.csv")
    url = server.say("/start", 301, Location=server.url + "/middle")
    got = fetch(url)
    assert got.data == BODY and got.url == server.url + "/end.csv"


@pytest.mark.parametrize(
    ("target", "error", "says"),
    [
        ("/loop", DhanfastError, "more than 5 redirects"),
        ("http://example.com/x.csv", UsageError, "plain http can be changed on its way"),
        ("ftp://127.0.0.1/x", UsageError, "is no address of the form https"),
        ("https://user:word@example.com/", UsageError, "holds a user name"),
    ],
)
def test_redirects_to_nowhere_good_are_refused(
    server: Server, target: str, error: type[Exception], says: str
) -> None:
    url = server.say("/loop", 302, Location=target)
    with pytest.raises(error, match=says) as caught:
        fetch(url)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("status", [404, 429, 500, 206])
def test_an_answer_that_is_no_file_is_refused(server: Server, status: int) -> None:
    with pytest.raises(DhanfastError, match=f"a.csv: the server answers {status}") as caught:
        fetch(server.say("/a.csv?token=secret", status, b"<html>"))
    assert "secret" not in str(caught.value) and "Nothing was changed" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        (BODY[:-1], {"Content_Length": str(len(BODY))}, "cut short"),
        (gzip.compress(BODY)[:-9], {"Content_Encoding": "gzip"}, "cut short"),
        (gzip.compress(BODY) + gzip.compress(BODY), {"Content_Encoding": "gzip"}, "cut short"),
        (b"no gzip", {"Content_Encoding": "gzip"}, "its compression is damaged"),
        (BODY, {"Content_Encoding": "br"}, "compressed as br, which was not asked for"),
        (bytes(5_001), {}, "larger than 5,000 bytes"),
        (zlib.compress(bytes(10**7), wbits=31), {"Content_Encoding": "gzip"},
         "larger than 5,000 bytes"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_whole_is_refused(
    server: Server, body: bytes, headers: dict[str, str], says: str
) -> None:
    url = server.say("/a.csv", 200, body, **headers)
    with pytest.raises(BadData, match=says):
        fetch(url, bytes_max=5_000)


def test_a_chunked_body_that_breaks_off_is_refused(server: Server) -> None:
    def breaks(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nEXCH_\r\n")

    server.answers["/c"] = breaks
    with pytest.raises(DhanfastError, match="cannot be fetched"):
        fetch(server.url + "/c")


def test_a_server_that_says_nothing_is_given_up(server: Server) -> None:
    leave = threading.Event()
    server.answers["/mute"] = lambda handler: leave.wait(10) and None
    try:
        with pytest.raises(DhanfastError, match="cannot be fetched \\(timed out\\)"):
            fetch(server.url + "/mute", read_s=0.05)
    finally:
        leave.set()


def test_a_server_that_takes_for_ever_is_given_up(server: Server) -> None:
    """Bytes keep coming, so no single read times out; the clock moves a minute with each."""
    clock = ManualClock()
    url = server.say("/a.csv", 200, bytes(1 << 20))
    with pytest.raises(DhanfastError, match="not there after 300 s") as caught:
        download(url, Limits(), Validators(), clock, lambda size: clock.advance(60))
    assert "--timeout" in str(caught.value)


def test_a_server_that_is_not_there(server: Server) -> None:
    with serving() as gone:
        url = gone.url
    with pytest.raises(DhanfastError, match=r"cannot be fetched .*refused"):
        fetch(url + "/a.csv")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://images.dhan.co/x.csv", "use https, or allow it with --allow-http"),
        ("http://127.0.0.1.example.com/", "use https"),
        ("ftp://host/x", "is no address of the form"),
        ("https:///x.csv", "is no address of the form"),
        ("https://host:99999/", "is no address"),
        ("https://me:word@host/x.csv", "holds a user name"),
        ("https://host/a b.csv", "holds blanks"),
        ("https://host/a\r\nHost: x", "holds blanks"),
        ("https://höst/", "holds blanks or letters outside ASCII"),
    ],
)
def test_addresses_that_must_not_be_asked(url: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        require_allowed(url, Limits())
    with pytest.raises(UsageError, match=says):
        from_address(url, Limits(), SystemClock())


def test_addresses_that_may_be_asked() -> None:
    for url in ("http://localhost:8080/x", "http://[::1]/x", *ADDRESSES.values()):
        require_allowed(url, Limits())
    require_allowed("http://host/x", Limits(plain_http=True))
    assert public_url("https://h:1/p?q=1#f") == "https://h:1/p"
    assert is_address("http://x") and not is_address("file.csv")
    with pytest.raises(UsageError, match="timeout must be above 0 s, got 0"):
        with_timeout(Limits(), 0)
    assert with_timeout(Limits(), 5) == Limits(connect_s=5, read_s=5, total_s=5)


def test_an_update_by_address_asks_once_and_then_whether_it_changed(
    server: Server, tmp_path: Path
) -> None:
    store, clock = MasterStore(tmp_path / "i"), SystemClock()
    url = server.say("/a.csv", 200, BODY, ETag='"v1"')
    source = from_address(url, Limits(), clock)
    first = store.update(source, UpdateOptions(), clock)
    assert (first.copy.etag, first.copy.source) == ('"v1"', url)
    server.say("/a.csv", 304)
    assert store.update(source, UpdateOptions(), clock).unchanged
    assert server.asked[1][1]["If-None-Match"] == '"v1"'
    server.say("/a.csv", 200, BODY)
    store.update(from_address(url, Limits(), clock, fresh=True), UpdateOptions(), clock)
    assert "If-None-Match" not in server.asked[2][1]


def test_an_address_with_a_query_is_not_kept(server: Server, tmp_path: Path) -> None:
    store, clock = MasterStore(tmp_path / "i"), SystemClock()
    url = server.say("/a.csv?token=secret", 200, BODY, ETag='"v1"')
    store.update(from_address(url, Limits(), clock), UpdateOptions(), clock)
    store.update(from_address(url, Limits(), clock), UpdateOptions(), clock)
    assert "secret" not in (store.root / "manifest.json").read_text()
    assert "If-None-Match" not in server.asked[1][1]


def test_a_file_as_a_source(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(BODY)
    store = MasterStore(tmp_path / "i")
    done = store.update(from_file(path, Limits()), UpdateOptions(day=date(2026, 7, 1)),
                        SystemClock())  # fmt: skip
    assert (done.copy.source, done.copy.day) == ("x.csv", "2026-07-01")
    with pytest.raises(BadData, match="larger than 10 bytes"):
        store.update(from_file(path, Limits(bytes_max=10)), UpdateOptions(), SystemClock())
