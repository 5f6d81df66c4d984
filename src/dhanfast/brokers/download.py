"""A public file over HTTP, whole or not at all: standard library, no credentials, limits on all.

Only https, and plain http to this machine (a loopback exchange), unless the caller allows more.
Redirects are followed within the same rule, so that https never turns into http on the way.
"""

import http.client
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from dhanfast import __version__
from dhanfast.clock import Clock
from dhanfast.errors import BadData, DhanfastError, UsageError

REDIRECTS_MAX: Final = 5
CHUNK: Final = 1 << 16
Told = Callable[[int], None]
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a download may cost.

    Units:
        seconds for one read and for the whole; bytes after decompression.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 300.0
    bytes_max: int = 512 << 20
    plain_http: bool = False  # to any host, not only to this machine


@dataclass(frozen=True, slots=True)
class Validators:
    """What the server said of a file, to ask whether it has changed."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """A file as it came. `data` is None when the server says that it has not changed."""

    url: str  # after redirects, without query
    data: bytes | None
    validators: Validators


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a download may go on, and who is told how far it is."""

    limits: Limits
    deadline_ns: int
    clock: Clock
    told: Told

    def check(self, name: str, size: int) -> None:
        """Tell how far it is.

        Raises:
            DhanfastError: the time is over.
        """
        self.told(size)
        if self.clock.now_ns() > self.deadline_ns:
            raise DhanfastError(
                f"{name}: not there after {self.limits.total_s:g} s ({size:,} bytes came); try "
                "again, or allow longer with --timeout. Nothing was changed"
            )


def public_url(url: str) -> str:
    """An address without what may be secret: query, fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def require_allowed(url: str, limits: Limits) -> SplitResult:
    """Refuse an address that must not be asked.

    Raises:
        UsageError: not https (or http to this machine), without host, with a user name in it.
    """
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError as error:
        raise UsageError(f"{url!r} is no address: {error}") from None
    host = parts.hostname or ""
    if not host or parts.scheme not in ("http", "https") or not port_is_good:
        raise UsageError(f"{public_url(url)!r} is no address of the form https://host/file.csv")
    if "@" in parts.netloc:
        raise UsageError("the address holds a user name; take it out, the file is public")
    if any(ord(sign) <= 32 or ord(sign) >= 127 for sign in url):
        raise UsageError("the address holds blanks or letters outside ASCII; write them as %XX")
    if parts.scheme == "http" and host not in LOOPBACK and not limits.plain_http:
        raise UsageError(
            f"{public_url(url)}: plain http can be changed on its way; use https, or allow it with "
            "--allow-http"
        )
    return parts


def download(
    url: str, limits: Limits, known: Validators, clock: Clock, told: Told = lambda _: None
) -> Download:
    """Fetch a file.

    Args:
        known: of the copy at hand; the server may answer that it is still the same.
        clock: tells when the whole has lasted too long.
        told: called with the bytes that have come, now and then.

    Raises:
        UsageError: an address that must not be asked, see `require_allowed`.
        DhanfastError: the server cannot be reached, refuses, redirects in circles, or is too slow.
        BadData: too large, cut short, or compressed in a way that cannot be undone.
    """
    deadline_ns = clock.now_ns() + round(limits.total_s * 1e9)
    for _ in range(REDIRECTS_MAX + 1):
        parts = require_allowed(url, limits)
        connection = _connect(parts, limits)
        try:
            with _ask(connection, parts, known, limits) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    url = _redirected(url, answer, limits)
                    continue
                wait = Wait(limits, deadline_ns, clock, told)
                return _taken(answer, url, known, wait)
        except (OSError, http.client.HTTPException) as error:
            raise DhanfastError(
                f"{public_url(url)}: cannot be fetched ({_cause(error)}); look at the network and "
                "try again. Nothing was changed"
            ) from error
        finally:
            connection.close()
    raise DhanfastError(f"{public_url(url)}: more than {REDIRECTS_MAX} redirects; nothing changed")


def _connect(parts: SplitResult, limits: Limits) -> http.client.HTTPConnection:
    """A connection that is not open yet."""
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=limits.connect_s)
    context = ssl.create_default_context()
    return http.client.HTTPSConnection(host, parts.port, timeout=limits.connect_s, context=context)


def _ask(
    connection: http.client.HTTPConnection, parts: SplitResult, known: Validators, limits: Limits
) -> http.client.HTTPResponse:
    """Send the request and read the head of the answer."""
    headers = {
        "Accept": "text/csv, */*;q=0.5",
        "Accept-Encoding": "gzip",
        "User-Agent": f"dhanfast/{__version__}",
    }
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    connection.connect()
    connection.sock.settimeout(limits.read_s)
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    connection.request("GET", path, headers=headers)
    return connection.getresponse()


def _redirected(url: str, answer: http.client.HTTPResponse, limits: Limits) -> str:
    """Where an answer points; never from https to http, never from outside to this machine."""
    target = urljoin(url, answer.getheader("Location") or "")
    old, new = urlsplit(url), require_allowed(target, limits)
    inward = new.hostname in LOOPBACK and old.hostname not in LOOPBACK
    if (old.scheme == "https" and new.scheme == "http") or inward:
        raise DhanfastError(
            f"{public_url(url)}: redirects to {public_url(target)}, which is not safe; "
            "nothing was changed"
        )
    return target


def _taken(answer: http.client.HTTPResponse, url: str, known: Validators, wait: Wait) -> Download:
    """The body of the last answer."""
    name = public_url(url)
    said = Validators(answer.getheader("ETag") or "", answer.getheader("Last-Modified") or "")
    if answer.status == 304 and known != Validators():
        return Download(name, None, known)
    if answer.status != 200:
        raise DhanfastError(
            f"{name}: the server answers {answer.status} {answer.reason}; try again later, or give "
            "another address with --from. Nothing was changed"
        )
    encoding = (answer.getheader("Content-Encoding") or "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise BadData(f"{name}: compressed as {encoding}, which was not asked for; try again")
    unzip = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    data, came = bytearray(), 0
    promised = None if answer.chunked else answer.length
    while chunk := answer.read1(CHUNK):
        came += len(chunk)
        wait.check(name, came)
        data += _inflated(unzip, chunk, wait.limits.bytes_max - len(data), name)
        if len(data) > wait.limits.bytes_max:
            raise BadData(
                f"{name}: larger than {wait.limits.bytes_max:,} bytes, so no instrument file; "
                "nothing was changed"
            )
    whole = unzip is None or (unzip.eof and not unzip.unused_data)
    if promised not in (None, came) or not whole:
        raise BadData(f"{name}: the download was cut short; try again. Nothing was changed")
    return Download(name, bytes(data), said)


def _inflated(unzip: "zlib._Decompress | None", chunk: bytes, room: int, name: str) -> bytes:
    """A piece of the body, at most one byte more than there is room for."""
    if unzip is None:
        return chunk
    try:
        return unzip.decompress(chunk, room + 1)
    except zlib.error as error:
        raise BadData(f"{name}: its compression is damaged ({error}); try again") from error


def _cause(error: Exception) -> str:
    """What went wrong, in words."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "timed out" if isinstance(error, TimeoutError) else str(text)


def with_timeout(limits: Limits, total_s: float) -> Limits:
    """The same limits with another time for the whole.

    Raises:
        UsageError: not above zero.
    """
    if not total_s > 0:
        raise UsageError(f"timeout must be above 0 s, got {total_s:g}")
    read_s, connect_s = min(limits.read_s, total_s), min(limits.connect_s, total_s)
    return replace(limits, total_s=total_s, read_s=read_s, connect_s=connect_s)
