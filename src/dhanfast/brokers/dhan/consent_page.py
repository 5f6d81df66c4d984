"""The page on this machine that the browser's login comes back to.

    browser -> /start?state=R   sets a cookie with R, sends on to the broker's login page
    broker  -> /callback?tokenId=T   taken when the cookie (or the query) holds R, else refused

The broker sends nothing of ours back, so the random state travels in a cookie of this page: another
site cannot slip us a tokenId of another account. It listens on 127.0.0.1 alone, answers to that
name alone, takes one tokenId, and ends.
"""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from dhanfast.clock import Clock
from dhanfast.errors import NotAuthenticated, UsageError

HEAD_MAX: Final = 16_384
SLOW_S: Final = 5.0  # for one browser to send its request
COOKIE: Final = "dhanfast_state"
HOST: Final = "127.0.0.1"
_PAGE: Final = (
    "<!doctype html><meta charset=utf-8><title>dhanfast</title>"
    "<body style='font:16px sans-serif;max-width:32em;margin:4em auto'><h1>{head}</h1><p>{text}</p>"
)


class ConsentPage:
    """Waits for one tokenId; made by `consent_page`."""

    def __init__(self, login_page: str, path: str) -> None:
        self._login_page = login_page
        self._path = path
        self._state = secrets.token_urlsafe(24)
        self._token_id: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._port = 0

    @property
    def start_url(self) -> str:
        """What the user's browser opens first."""
        return f"http://{HOST}:{self._port}/start?state={self._state}"

    @property
    def callback_url(self) -> str:
        """The redirect address that must be registered with the API key."""
        return f"http://{HOST}:{self._port}{self._path}"

    def opened(self, port: int) -> None:
        """It listens there."""
        self._port = port

    async def token_id(self, clock: Clock, timeout_s: float) -> str:
        """The tokenId, once the browser has brought it.

        Raises:
            NotAuthenticated: it did not come in time.
        """
        waiting = asyncio.ensure_future(clock.sleep(timeout_s))
        either: set[asyncio.Future[Any]] = {self._token_id, waiting}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        if not self._token_id.done():
            raise NotAuthenticated(
                f"the login was not finished within {timeout_s:,.0f} s; start again. The API key's "
                f"redirect address must be {self.callback_url}"
            )
        return self._token_id.result()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a browser."""
        try:
            async with asyncio.timeout(SLOW_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                writer.write(self.answer(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a browser that went away, or no browser
        finally:
            writer.close()

    def answer(self, head: str) -> bytes:
        """The answer to a request's head; keeps a tokenId that may be kept."""
        first, *lines = head.split("\r\n")
        words = first.split(" ")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if len(words) != 3 or words[0] != "GET":
            return _answer("405 Method Not Allowed", "Not here", "This page is only looked at.")
        if headers.get("host") not in (f"{HOST}:{self._port}", f"localhost:{self._port}"):
            return _answer("403 Forbidden", "Not here", "This page has another address.")
        parts = urlsplit(words[1])
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/start" and self._is_state(query.get("state", "")):
            return self._sent_on()
        if parts.path == self._path:
            return self._called_back(query, headers.get("cookie", ""))
        return _answer("404 Not Found", "Not here", "Open the address that the program has shown.")

    def _called_back(self, query: dict[str, str], cookies: str) -> bytes:
        """The broker has sent the browser back."""
        brought = query.get("state", "")
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            brought = value if name == COOKIE else brought
        if not self._is_state(brought):
            return _answer(
                "403 Forbidden", "Refused",
                "This login was not started here. Open the address that the program has shown.",
            )  # fmt: skip
        token_id = query.get("tokenId", "")
        if not token_id:
            return _answer(
                "400 Bad Request", "No login", "The broker sent no tokenId. Start again."
            )
        if not self._token_id.done():
            self._token_id.set_result(token_id)
        return _answer("200 OK", "Logged in", "You can close this page and go back to dhanfast.")

    def _sent_on(self) -> bytes:
        """To the broker's login page."""
        cookie = f"{COOKIE}={self._state}; Path=/; HttpOnly; SameSite=Lax; Max-Age=900"
        return (
            f"HTTP/1.1 302 Found\r\nLocation: {self._login_page}\r\nSet-Cookie: {cookie}\r\n"
            "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n"
        ).encode("latin-1")

    def _is_state(self, text: str) -> bool:
        """Whether it is ours, told in a time that gives nothing away."""
        return hmac.compare_digest(text.encode(), self._state.encode())


@asynccontextmanager
async def consent_page(
    login_page: str, *, port: int = 0, path: str = "/callback"
) -> AsyncIterator[ConsentPage]:
    """Listen on this machine while the block runs.

    Args:
        login_page: the broker's, for this consent.
        port: as registered with the API key; 0 = any.

    Raises:
        UsageError: the port cannot be had.
    """
    page = ConsentPage(login_page, path)
    try:
        server = await asyncio.start_server(page.serve, HOST, port, limit=HEAD_MAX)
    except OSError as error:
        raise UsageError(
            f"port {port} of this machine cannot be used ({error.strerror}); free it, or register "
            "another one as redirect address of the API key and name it here"
        ) from None
    async with server:
        page.opened(server.sockets[0].getsockname()[1])
        yield page


def _answer(status: str, head: str, text: str) -> bytes:
    """A small page."""
    body = _PAGE.format(head=head, text=text).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
        f"Referrer-Policy: no-referrer\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode("latin-1") + body
