"""How connections to Dhan's feeds end, and what to do about each end.

the feed said       50/806, 808, 810, 804   stop: trying again cannot help
                    50/807, 809             a new token, then again
                    50/805                  others of this account are connected: much later
the handshake said  429                     silence of the whole account, a minute and more
                    401, 403                a new token, then again
                    402, 451                stop: the data plan has ended
nothing was heard   1006                    maybe a dead token: have it checked, then again
anything else                               again, later each time
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from dhanfast.errors import DhanfastError, NotAuthenticated

REASONS: Final = {
    800: "internal server error",
    804: "too many instruments requested",
    805: "too many requests or connections",
    806: "data APIs not subscribed",
    807: "access token expired",
    808: "authentication failed",
    809: "access token invalid",
    810: "client id invalid",
    811: "invalid expiry date",
    812: "invalid date format",
    813: "invalid security id",
    814: "invalid request",
}
ABNORMAL: Final = 1006  # WebSocket: gone without a close frame


class Cause(Enum):
    """Who ended a connection, or kept it from beginning."""

    NOTICE = "the feed said"  # code: reason of packet 50
    HANDSHAKE = "handshake refused"  # code: HTTP status
    CLOSED = "closed"  # code: of the WebSocket close
    UNREACHABLE = "not reachable"  # code: 0
    MUTE = "mute"  # by our watchdog; code: 0
    PROTOCOL = "broke the WebSocket protocol"  # code: 0
    ASKED = "asked to close"  # by us; code: 0


class Then(Enum):
    """What to do after an end."""

    AGAIN = "again"
    LATER = "much later"
    SILENCE = "silence of the account"
    RENEW = "new token"
    CHECK = "check the token"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one connection, or of one try.

    Attributes:
        code: see Cause. heard: whether a binary message had come. text: of whoever said it,
            without secrets.
    """

    cause: Cause
    code: int = 0
    heard: bool = False
    text: str = ""

    def __str__(self) -> str:
        """One line for logs and status."""
        words = f"{self.cause.value} {self.code}" if self.code else self.cause.value
        known = REASONS.get(self.code) if self.cause is Cause.NOTICE else None
        told = known or self.text
        return f"{words} ({told})" if told else words

    @property
    def then(self) -> Then:
        """What to do."""
        if self.cause is Cause.NOTICE:
            return {
                804: Then.STOP,
                805: Then.LATER,
                806: Then.STOP,
                807: Then.RENEW,
                808: Then.STOP,
                809: Then.RENEW,
                810: Then.STOP,
            }.get(self.code, Then.AGAIN)
        if self.cause is Cause.HANDSHAKE:
            return {
                401: Then.RENEW,
                402: Then.STOP,
                403: Then.RENEW,
                429: Then.SILENCE,
                451: Then.STOP,
            }.get(self.code, Then.AGAIN)
        if self.cause is Cause.CLOSED and self.code == ABNORMAL and not self.heard:
            return Then.CHECK
        return Then.AGAIN

    def error(self, feed: str, token_kind: str = "") -> DhanfastError:
        """Why the feed stops, for the user.

        Args:
            feed: its name. token_kind: SELF, APP or empty.
        """
        said = f"{feed}: {self}"
        if self.cause is Cause.NOTICE and self.code in (808, 810):
            return NotAuthenticated(
                f"{said}. The broker takes neither this client id nor this token; check the "
                "client id and log in again with `dhanfast auth login`"
            )
        if self.code == 804:
            return DhanfastError(f"{said}. Subscribe to fewer instruments")
        kind = f" (token made {'on the website' if token_kind == 'SELF' else 'by API'})"
        return DhanfastError(
            f"{said}{kind if token_kind else ''}. The account has no data plan, or the broker "
            "does not see it; look at the profile with `dhanfast doctor`. It is not tried again"
        )
