"""Answers of the exchange: bodies, the three shapes of an error, and what a fault does to one."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

import msgspec

JSON: Final = {"content-type": "application/json"}
EMPTY: Final = b""

# Error types as the broker spells them, by code.
TYPES: Final = {
    901: "Invalid_Authentication", 902: "Invalid_Access", 903: "User_Account", 904: "Rate_Limit",
    905: "Input_Exception", 906: "Order_Error", 907: "Data_Error", 908: "Internal_Server_Error",
    909: "Network_Error", 910: "Others", 911: "Invalid_IP",
}  # fmt: skip
DATA_TEXTS: Final = {
    800: "Internal Server Error",
    804: "Requested number of instruments exceeds limit",
    805: "Too many requests. Further requests may result in the user being blocked.",
    806: "Data APIs not Subscribed",
    807: "Access token is expired",
    808: "Authentication Failed - Client ID or Access Token invalid",
    809: "Access token is invalid",
    810: "Client ID is invalid",
    811: "Invalid Expiry Date",
    812: "Invalid Date Format",
    813: "Invalid SecurityId",
    814: "Invalid Request",
}
PORTAL: Final = {
    400: ("VALIDATION_ERROR", "VE001"), 401: ("AUTHENTICATION_ERROR", "AU001"),
    403: ("AUTHORIZATION_ERROR", "AZ001"), 429: ("RATE_LIMIT_ERROR", "RL001"),
    500: ("INTERNAL_ERROR", "IE001"),
}  # fmt: skip


class Fate(Enum):
    """What becomes of an answer on its way."""

    SEND = "send"
    RESET = "reset"  # the connection is reset: nobody learns what was done
    CUT = "cut"  # the connection is reset when half of the body has gone
    HANG = "hang"  # nothing is ever sent
    # The whole exchange dies (SIGKILL) is not a fate of one answer.


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        status, headers, body: of HTTP. fate: what becomes of it. delay_ns: real time before it
        leaves.
    """

    status: int
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    body: bytes = EMPTY
    fate: Fate = Fate.SEND
    delay_ns: int = 0

    def json(self) -> Any:
        """The body, decoded; None when it is empty."""
        return msgspec.json.decode(self.body) if self.body else None

    def later(self, delay_ns: int) -> "Reply":
        """The same answer, after some more real time."""
        return replace(self, delay_ns=self.delay_ns + delay_ns)


def answer(value: Any, status: int = 200) -> Reply:
    """An answer with a body of JSON."""
    return Reply(status, body=msgspec.json.encode(value))


def nothing(status: int = 202) -> Reply:
    """An answer without a body."""
    return Reply(status, headers={})


def page(text: str, kind: str, status: int = 200) -> Reply:
    """An answer of text: CSV, HTML."""
    return Reply(status, headers={"content-type": kind}, body=text.encode())


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        status: of HTTP. code: 9xx of the trading errors, 8xx of the data errors.
        text: for a person. retry_after_s: of a 429.
    """

    def __init__(self, status: int, code: int, text: str = "", *, retry_after_s: int = 0) -> None:
        self.status, self.code, self.retry_after_s = status, code, retry_after_s
        self.text = text or DATA_TEXTS.get(code, "")
        super().__init__(f"{status} {code}: {self.text}")

    def reply(self, *, portal: bool = False) -> Reply:
        """The error as the broker writes it.

        Args:
            portal: in the shape of the portal's guide instead.
        """
        headers = dict(JSON)
        if self.retry_after_s:
            headers["retry-after"] = str(self.retry_after_s)
        body: dict[str, Any]
        if portal and self.status in PORTAL:
            kind, code = PORTAL[self.status]
            body = {"status": "failure", "errorType": kind, "errorCode": code,
                    "errorMessage": self.text}  # fmt: skip
        elif self.code < 900:
            body = {"data": {str(self.code): self.text}, "status": "failed"}
        else:
            body = {"errorType": TYPES[self.code], "errorCode": f"DH-{self.code}",
                    "errorMessage": self.text}  # fmt: skip
        return Reply(self.status, headers, msgspec.json.encode(body))


def bad_input(text: str) -> Refusal:
    """DH-905: a field is missing, unknown or of the wrong kind."""
    return Refusal(400, 905, text)


def bad_order(text: str) -> Refusal:
    """DH-906: the order cannot be processed."""
    return Refusal(400, 906, text)


def no_data(text: str = "No data present") -> Refusal:
    """DH-907: nothing there."""
    return Refusal(400, 907, text)
