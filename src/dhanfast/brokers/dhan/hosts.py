"""Where Dhan is reached; every address can be changed, and none may carry a token in the clear."""

from dataclasses import dataclass, fields
from typing import Final
from urllib.parse import urlsplit

from dhanfast.errors import ConfigError

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_SCHEMES: Final = {"https": True, "wss": True, "http": False, "ws": False}  # encrypted?


@dataclass(frozen=True, slots=True)
class Hosts:
    """Addresses without a slash at the end (but where the broker wants one).

    Raises:
        ConfigError: an address that is none, holds a user name or a query, or sends in the clear
            to another machine.

    Source:
        spec of DhanHQ v2, section 1; the 200-level path is a setting because the broker's own
        sources disagree.
    """

    rest: str = "https://api.dhan.co/v2"
    auth: str = "https://auth.dhan.co"
    feed: str = "wss://api-feed.dhan.co"
    depth20: str = "wss://depth-api-feed.dhan.co/twentydepth"
    depth200: str = "wss://full-depth-api.dhan.co/"
    order_updates: str = "wss://api-order-update.dhan.co"
    instruments: str = "https://images.dhan.co/api-data"

    def __post_init__(self) -> None:
        """Refuse what would lose a token."""
        for field in fields(self):
            _require(field.name, getattr(self, field.name))

    @classmethod
    def loopback(cls, port: int) -> "Hosts":
        """The exchange on this machine: everything on one port.

        Raises:
            ConfigError: no port.
        """
        if not 1 <= port <= 65_535:
            raise ConfigError(f"port must be from 1 to 65535, was {port}")
        web, socket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
        return cls(
            rest=f"{web}/v2",
            auth=web,
            feed=socket,
            depth20=f"{socket}/twentydepth",
            depth200=f"{socket}/twohundreddepth",
            order_updates=f"{socket}/orderupdate",
            instruments=f"{web}/api-data",
        )

    @property
    def is_loopback(self) -> bool:
        """Whether orders go to this machine and nowhere else."""
        return urlsplit(self.rest).hostname in LOOPBACK


def _require(name: str, url: str) -> None:
    """Refuse a bad address."""
    web = name in ("rest", "auth", "instruments")
    wanted = ("https", "http") if web else ("wss", "ws")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"hosts.{name}: {url!r} is no address: {error}") from None
    if parts.scheme not in wanted or not host:
        raise ConfigError(f"hosts.{name}: {url!r} must be of the form {wanted[0]}://host/path")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"hosts.{name}: takes no user name, query or fragment")
    if not _SCHEMES[parts.scheme] and host not in LOOPBACK:
        raise ConfigError(
            f"hosts.{name}: {parts.scheme}://{host} would send the token in the clear; use "
            f"{wanted[0]}://, plain {parts.scheme} is for this machine only"
        )
