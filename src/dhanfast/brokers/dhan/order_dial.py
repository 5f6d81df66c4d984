"""Connections for order calls: straight or through a proxy, plain or encrypted.

Addresses are looked up once and again after a failure. An encrypted connection offers the session
of the last one, which halves its handshake.
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from dhanfast.errors import ConfigError, DhanfastError
from dhanfast.security.redact import REDACTOR

PROXY_HEAD_MAX: Final = 8_192  # bytes of a proxy's answer
KEEPALIVE: Final = (  # a silent peer is found out after 10 + 3 x 5 s
    ("TCP_KEEPIDLE", 10),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
)


class DialFailed(DhanfastError):
    """No connection could be had; nothing was sent to the broker."""


class ResumingContext(ssl.SSLContext):
    """Offers the session that was kept last; asyncio itself hands none over."""

    session: ssl.SSLSession | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As the parent, with the session."""
        if kwargs.get("session") is None and not kwargs.get("server_side"):
            kwargs["session"] = self.session
        return super().wrap_bio(*args, **kwargs)

    def keep(self, transport: asyncio.BaseTransport) -> bool:
        """Remember a connection's session, once the server has given one.

        Returns:
            whether that connection itself was a resumed one.
        """
        found = transport.get_extra_info("ssl_object")
        if found is None:
            return False
        if found.session is not None:
            self.session = found.session
        return bool(found.session_reused)


def client_context() -> ResumingContext:
    """An encrypted client's settings: the system's roots, names checked, TLS 1.2 or newer."""
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    return context


class Dialer:
    """Makes connections to one address.

    Args:
        url: http://host[:port]/path or https://...; only scheme, host and port count.
        proxy: http://[user:password@]host:port that tunnels by CONNECT; empty for none.
        context: for https; None makes one.

    Raises:
        ConfigError: an address or a proxy that cannot be. The proxy's is not repeated, it may
            hold a password.
    """

    def __init__(self, url: str, *, proxy: str = "", context: ResumingContext | None = None):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"rest address {url!r} must be of the form https://host/path")
        self.host = parts.hostname
        self.is_encrypted = parts.scheme == "https"
        self.port = parts.port or (443 if self.is_encrypted else 80)
        self.name = parts.netloc.rpartition("@")[2]  # of the Host header
        self.context = context or (client_context() if self.is_encrypted else None)
        self._proxy, self._proxy_head = _proxy_of(proxy, f"{self.host}:{self.port}")
        self._addresses: list[tuple[Any, ...]] = []

    async def resolve(self) -> None:
        """Look the address up, so that no connection has to wait for it.

        Raises:
            DialFailed: it has no address.
        """
        host, port = self._proxy or (self.host, self.port)
        try:
            self._addresses = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise DialFailed(f"{host} cannot be found: {error}") from None
        if not self._addresses:
            raise DialFailed(f"{host} has no address")

    async def dial(self, protocol: Callable[[], Any]) -> tuple[Any, Any]:
        """Connect, and hand the connection to a protocol.

        Returns:
            transport, protocol.
        Raises:
            DialFailed: refused, not found, or the proxy did not open a way.
        """
        if not self._addresses:
            await self.resolve()
        loop = asyncio.get_running_loop()
        plug = await self._plugged()
        try:
            if self._proxy:
                await self._tunnel(plug)
            return await loop.create_connection(
                protocol, sock=plug, ssl=self.context if self.is_encrypted else None,
                server_hostname=self.host if self.is_encrypted else None,
            )  # fmt: skip
        except OSError as error:
            plug.close()
            self._addresses = []
            raise DialFailed(f"{self.host}:{self.port}: {_why(error)}") from None
        except BaseException:
            plug.close()
            raise

    async def _plugged(self) -> socket.socket:
        """A connected socket: the first address that answers."""
        loop = asyncio.get_running_loop()
        why = "no address"
        for family, kind, proto, _, address in self._addresses:
            plug = socket.socket(family, kind, proto)
            try:
                plug.setblocking(False)
                plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, value in KEEPALIVE:
                    plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
                await loop.sock_connect(plug, address)
                return plug
            except OSError as error:
                plug.close()
                why = _why(error)
            except BaseException:
                plug.close()
                raise
        self._addresses = []
        raise DialFailed(f"{self.host}:{self.port}: {why}")

    async def _tunnel(self, plug: socket.socket) -> None:
        """Ask the proxy for a way through."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(plug, self._proxy_head)
        said = b""
        while b"\r\n\r\n" not in said:
            part = await loop.sock_recv(plug, PROXY_HEAD_MAX)
            said += part
            if not part or len(said) > PROXY_HEAD_MAX:
                raise DialFailed("the proxy for orders gives no answer that can be read")
        head, _, rest = said.partition(b"\r\n\r\n")
        words = head.split(b"\r\n")[0].split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or words[1] != b"200" or rest:
            status = words[1][:3].decode("ascii", "replace") if len(words) > 1 else "nothing"
            raise DialFailed(
                f"the proxy for orders opens no way to {self.host}: it answers {status}; look at "
                "its address, user and password"
            )


def _proxy_of(url: str, target: str) -> tuple[tuple[str, int] | None, bytes]:
    """Where a proxy is, and what to tell it."""
    if not url:
        return None, b""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port or parts.scheme != "http":
        raise ConfigError("order_proxy must be of the form http://[user:password@]host:port")
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if parts.username:
        password = unquote(parts.password or "")
        REDACTOR.know(password)
        secret = base64.b64encode(f"{unquote(parts.username)}:{password}".encode()).decode()
        REDACTOR.know(secret)
        head += f"Proxy-Authorization: Basic {secret}\r\n"
    return (host, port), f"{head}\r\n".encode()


def _why(error: OSError) -> str:
    """What went wrong, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection: {error.reason}"
    return error.strerror or type(error).__name__
