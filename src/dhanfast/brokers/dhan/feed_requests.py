"""What is said to Dhan's feeds: addresses with a token, and requests as JSON text.

An address holds the token, because the broker wants it there. It is handed to the function that
connects and to nobody else: never logged, never part of an error.
"""

import json
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

from dhanfast.errors import UsageError

SEGMENTS: Final = {
    "IDX_I": 0,
    "NSE_EQ": 1,
    "NSE_FNO": 2,
    "NSE_CURRENCY": 3,
    "BSE_EQ": 4,
    "MCX_COMM": 5,
    "BSE_CURRENCY": 7,
    "BSE_FNO": 8,
}
SEGMENT_NAMES: Final = {number: name for name, number in SEGMENTS.items()}
SECURITY_MAX: Final = 0xFFFFFFFF
PER_MESSAGE: Final = 100  # instruments that one request may name
DISCONNECT: Final = '{"RequestCode":12}'
DEPTH_LEAVE: Final = 24  # the broker's portal says 25: a setting


class Mode(IntEnum):
    """What is wanted of an instrument; the number is the request code that subscribes."""

    TICKER = 15
    QUOTE = 17
    FULL = 21
    DEPTH = 23  # of the depth feeds only

    @property
    def leave(self) -> int:
        """The request code that unsubscribes."""
        return self.value + 1


class Security(NamedTuple):
    """A security as the feed knows it: its id means nothing without its segment."""

    segment: int
    security_id: int

    @classmethod
    def of(cls, segment: str, security_id: str | int) -> "Security":
        """From the names that REST and the contract list use.

        Raises:
            UsageError: no such segment; not an id.
        """
        if segment not in SEGMENTS:
            raise UsageError(f"segment must be one of {', '.join(SEGMENTS)}, was {segment!r}")
        return cls(SEGMENTS[segment], int(security_id)).checked()

    def checked(self) -> "Security":
        """The same, if it can be asked for.

        Raises:
            UsageError: a number that is no segment or no id.
        """
        if self.segment not in SEGMENT_NAMES:
            raise UsageError(
                f"segment {self.segment!r} is none; one of "
                + ", ".join(f"{number} ({name})" for name, number in SEGMENTS.items())
            )
        if not 0 <= self.security_id <= SECURITY_MAX:
            raise UsageError(f"security id must be from 0 to {SECURITY_MAX}, was {self[1]!r}")
        return self

    def __str__(self) -> str:
        """As a person reads it: NSE_FNO:49081."""
        return f"{SEGMENT_NAMES.get(self.segment, self.segment)}:{self.security_id}"


class Credentials(Protocol):
    """What a feed needs of a token: `security.tokens.Token` is such."""

    client_id: str
    kind: str  # SELF or APP, empty when unknown

    def reveal(self) -> str:
        """The token itself."""
        ...


def requests(code: int, securities: Sequence[Security], flat: bool = False) -> list[str]:
    """Subscribe or unsubscribe requests, in order.

    Args:
        code: request code.
        securities: as many as there are; at most 100 go into one message.
        flat: the form of the 200-level feed, one security a message.
    """
    if flat:
        return [_text({"RequestCode": code, **_named(each)}) for each in securities]
    return [
        _text(
            {
                "RequestCode": code,
                "InstrumentCount": len(part),
                "InstrumentList": [_named(each) for each in part],
            }
        )
        for part in _parts(securities)
    ]


def address(base: str, token: Credentials, *, live: bool, path: str | None = None) -> str:
    """Where to connect, token and all: for the connecting function only.

    Args:
        base: the host's setting, `wss://host/path`.
        live: the live feed, which wants a version; the depth feeds have none.
        path: instead of the base's own.
    """
    parts = urlsplit(base)
    query = {"token": token.reveal(), "clientId": token.client_id, "authType": "2"}
    if live:
        query = {"version": "2", **query}
    return urlunsplit(
        (parts.scheme, parts.netloc, (path or parts.path) or "/", urlencode(query), "")
    )


def _named(security: Security) -> dict[str, str]:
    return {
        "ExchangeSegment": SEGMENT_NAMES[security.segment],
        "SecurityId": str(security.security_id),
    }


def _parts(securities: Sequence[Security]) -> Iterable[Sequence[Security]]:
    for at in range(0, len(securities), PER_MESSAGE):
        yield securities[at : at + PER_MESSAGE]


def _text(request: object) -> str:
    return json.dumps(request, separators=(",", ":"))
