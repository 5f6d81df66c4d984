"""One HTTP exchange with Dhan: a request in, an answer or one of two failures out.

`NotSent` is proof that no byte of the request left; `NoReply` says that it may have been read and
acted on. Which one it is decides whether an order may be sent again, so it is decided here, where
the connection is, and nowhere else. Neither tells the address: its query may hold a secret.

A simulated network takes the place of `AioWeb` by the `Web` protocol.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from dhanfast.errors import DhanfastError, UsageError

ANSWER_MAX: Final = 64 << 20  # bytes; a day's instrument file is about half of it
CONNECTIONS_MAX: Final = 16
KEEP_S: Final = 30.0


class WebRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it leaves.

    Units:
        seconds; `read_s` is for the whole answer after the connection is there.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    connect_s: float = 3.0
    read_s: float = 10.0
    once: bool = False  # it changes something: never sent twice, whatever the library would do
    proxy: str = ""

    def __repr__(self) -> str:
        """Method and path alone: headers and query hold secrets."""
        return f"WebRequest({self.method} {self.url.partition('?')[0]})"


class WebReply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it came."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}

    def header(self, name: str) -> str:
        """A header whatever its case; empty when it is not there."""
        wanted = name.lower()
        return next((v for k, v in self.headers.items() if k.lower() == wanted), "")


class NotSent(DhanfastError):
    """There was no connection: no byte of the request has left."""


class NoReply(DhanfastError):
    """The request may have arrived; no whole answer came."""


class Web(Protocol):
    """Who sends requests."""

    async def ask(self, request: WebRequest) -> WebReply:
        """Send one request and read its answer; redirects are not followed.

        Raises:
            NotSent: no byte has left.
            NoReply: bytes may have left, and no whole answer came in time.
        """
        ...

    async def close(self) -> None:
        """End all connections."""
        ...


class AioWeb:
    """Requests over aiohttp: one pool of kept connections for reads.

    aiohttp sends PUT and DELETE again by itself when a connection breaks before the answer. A
    request that changes something must not go twice: what broke is turned into an error that
    aiohttp does not try again, by a middleware, which is its own interface for such things. Such a
    request also gets a new connection: one that the broker is just closing would leave in doubt
    what was never read.

    Args:
        session: an aiohttp.ClientSession for reads that somebody else closes; None makes one.

    Raises:
        UsageError: aiohttp is not installed.
    """

    def __init__(self, session: Any = None) -> None:
        self._aiohttp = aiohttp_module()
        self._reads: Any = session
        self._is_ours = session is None
        self._writes: Any = None
        self._closed = False

    async def ask(self, request: WebRequest) -> WebReply:
        """Send one request and read its answer.

        Raises:
            NotSent: no byte has left.
            NoReply: bytes may have left, and no whole answer came in time.
        """
        aiohttp = self._aiohttp
        if self._closed:
            raise NotSent("the connection to the broker was closed by this program")
        timeout = aiohttp.ClientTimeout(
            total=request.connect_s + request.read_s,
            connect=request.connect_s,
            sock_connect=request.connect_s,
            sock_read=request.read_s,
        )
        more = {"proxy": request.proxy} if request.proxy else {}
        try:
            async with self._session(request.once).request(
                request.method,
                _exact(request.url),
                headers=dict(request.headers),
                data=request.body,
                timeout=timeout,
                allow_redirects=False,
                **more,
            ) as answer:
                body = await answer.content.read(ANSWER_MAX + 1)
                while len(body) <= ANSWER_MAX and (chunk := await answer.content.readany()):
                    body += chunk
                if len(body) > ANSWER_MAX:
                    raise NoReply(f"the answer is larger than {ANSWER_MAX:,} bytes")
                return WebReply(status=answer.status, body=body, headers=dict(answer.headers))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection to the broker ({_why(error)})") from None
        except aiohttp.ClientHttpProxyError as error:
            raise NotSent(f"the proxy refuses ({error.status})") from None
        except aiohttp.InvalidURL:
            raise UsageError("the address of a request is malformed; look at the hosts") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoReply(f"no answer from the broker ({_why(error)})") from None

    async def close(self) -> None:
        """End all connections that are ours."""
        self._closed = True
        reads = self._reads if self._is_ours else None
        self._reads = None
        for session in (reads, self._writes):
            if session is not None:
                await session.close()
        self._writes = None

    def _session(self, once: bool) -> Any:
        """The session of a kind, made on first use because it needs the running loop."""
        if once:
            if self._writes is None:
                self._writes = self._made((_once(self._aiohttp),), force_close=True)
            return self._writes
        if self._reads is None:
            self._reads = self._made((), keepalive_timeout=KEEP_S)
        return self._reads

    def _made(self, middlewares: tuple[Any, ...], **options: Any) -> Any:
        """A session that keeps no cookies and reads no proxy from the environment."""
        aiohttp = self._aiohttp
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, **options),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            middlewares=middlewares,
        )


def _once(aiohttp: Any) -> Any:
    """A middleware under which nothing is sent a second time."""

    async def once(request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise  # nothing was sent; not tried again either
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise aiohttp.ClientPayloadError(_why(error)) from None

    return once


def aiohttp_module() -> Any:
    """The library, imported when it is needed.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("aiohttp")
    except ImportError:
        raise UsageError("talking to the broker needs aiohttp: pip install 'dhanfast[live]'") from (
            None
        )


def _exact(url: str) -> Any:
    """An address that is encoded already: it must leave as it stands."""
    return importlib.import_module("yarl").URL(url, encoded=True)


def _why(error: BaseException) -> str:
    """What went wrong, without an address in it."""
    if isinstance(error, TimeoutError):
        return "timed out"
    inner = getattr(error, "os_error", None) or error
    text = getattr(inner, "strerror", None)
    return text if isinstance(text, str) and "://" not in text else "the connection broke"
