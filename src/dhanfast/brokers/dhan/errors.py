"""Dhan's three shapes of errors, read into one.

    {"errorType": ..., "errorCode": "DH-9xx", "errorMessage": ...}            trading calls
    {"data": {"8xx": text}, "status": "failed"}                               data calls
    {"status": "failure", "errorType": ..., "errorCode": "RL001", ...}        seen in one guide

The word in errorType varies on the wire and is never matched. What is none of these (a proxy's
page, an empty body) keeps its status and first bytes.
"""

import enum
import re
from typing import Any, Final

import msgspec

from dhanfast.errors import DhanfastError
from dhanfast.security.redact import redacted

SHOWN_BYTES: Final = 120  # of an answer that is no JSON
TEXT_MAX: Final = 400


class ErrorKind(enum.StrEnum):
    """What an error means for the caller."""

    AUTH = "auth"  # token or client id dead: renew once
    ACCESS = "access"  # not subscribed, not permitted: a new login does not help
    ACCOUNT = "account"  # segment not active, or a problem of the account
    RATE = "rate"  # too fast: back off
    INPUT = "input"  # a field is missing or bad: never retry
    ORDER = "order"  # the order cannot be processed: never retry
    NO_DATA = "no_data"
    SERVER = "server"  # theirs: reads are tried again
    NETWORK = "network"  # ours, or between us: reads are tried again
    ADDRESS = "address"  # the caller's IP is not the registered one
    OTHER = "other"


_TRADING: Final = {
    901: ErrorKind.AUTH, 902: ErrorKind.ACCESS, 903: ErrorKind.ACCOUNT, 904: ErrorKind.RATE,
    905: ErrorKind.INPUT, 906: ErrorKind.ORDER, 907: ErrorKind.NO_DATA, 908: ErrorKind.SERVER,
    909: ErrorKind.NETWORK, 910: ErrorKind.OTHER, 911: ErrorKind.ADDRESS,
}  # fmt: skip
_DATA: Final = {
    800: ErrorKind.SERVER, 804: ErrorKind.INPUT, 805: ErrorKind.RATE, 806: ErrorKind.ACCESS,
    807: ErrorKind.AUTH, 808: ErrorKind.AUTH, 809: ErrorKind.AUTH, 810: ErrorKind.AUTH,
    811: ErrorKind.INPUT, 812: ErrorKind.INPUT, 813: ErrorKind.INPUT, 814: ErrorKind.INPUT,
}  # fmt: skip
NO_RENEWAL: Final = (808, 810)  # authentication failed, client id invalid: stop, do not hammer
_BY_STATUS: Final = {
    400: ErrorKind.INPUT, 401: ErrorKind.AUTH, 403: ErrorKind.ACCESS, 404: ErrorKind.INPUT,
    429: ErrorKind.RATE, 451: ErrorKind.ACCESS,
}  # fmt: skip
_RETRIED: Final = frozenset({ErrorKind.RATE, ErrorKind.SERVER, ErrorKind.NETWORK})
# Kinds that say: looked at and turned down. The others may hide an order that was taken.
_PROVING: Final = frozenset(
    {
        ErrorKind.AUTH, ErrorKind.ACCESS, ErrorKind.ACCOUNT, ErrorKind.RATE, ErrorKind.INPUT,
        ErrorKind.ORDER, ErrorKind.NO_DATA, ErrorKind.ADDRESS,
    }
)  # fmt: skip
_DIGITS: Final = re.compile(r"(\d{3})$")
_INVALID_TOKEN: Final = re.compile(
    r"invalid[ _-]*(access[ _-]*)?token|token[ _-]*(is )?(invalid|expired)", re.IGNORECASE
)
_INVALID_IP: Final = re.compile(r"invalid[ _-]*ip\b", re.IGNORECASE)


class BrokerError(DhanfastError):
    """The broker refused, failed, or could not be reached.

    Args:
        code: as the broker writes it (DH-905, 805, RL001); empty when there was none.
        http: status of the answer, 0 when there was none.
        kind: what it means.
        text: for people; cleaned of secrets.
        number: 901.., or 8xx; 0 when there was none.
        retry_after_s: what a 429 asked for, 0 when it did not say.
        has_shape: whether the body was one of the broker's own error bodies.
    """

    def __init__(
        self, code: str, http: int, kind: ErrorKind, text: str, *, number: int = 0,
        retry_after_s: int = 0, has_shape: bool = False,
    ) -> None:  # fmt: skip
        self.code = code
        self.http = http
        self.kind = kind
        self.text = redacted(text)[:TEXT_MAX]
        self.number = number
        self.retry_after_s = retry_after_s
        self.has_shape = has_shape
        head = " ".join(part for part in (code, f"(HTTP {http})" if http else "") if part)
        super().__init__(f"{head}: {self.text}{_REMEDY.get(kind, '')}".removeprefix(": "))
        if kind is ErrorKind.AUTH:
            self.exit_code = 4

    @property
    def is_retried(self) -> bool:
        """Whether a read that met it is tried again."""
        return self.kind in _RETRIED or self.http >= 500

    @property
    def renews(self) -> bool:
        """Whether another token may help: not when the broker says that the account is wrong."""
        return self.kind is ErrorKind.AUTH and self.number not in NO_RENEWAL

    @property
    def proves_refusal(self) -> bool:
        """Whether the broker has surely not done what was asked."""
        return self.has_shape and self.http < 500 and self.kind in _PROVING


_REMEDY: Final = {
    ErrorKind.AUTH: "; log in again: `dhanfast auth login`",
    ErrorKind.ACCESS: "; look at the plan and permissions of the account on the broker's site",
    ErrorKind.ADDRESS: "; register this machine's address with the broker, orders need it",
}


def error_of(http: int, body: bytes, retry_after: str = "") -> BrokerError:
    """The error of an answer.

    Args:
        http: status.
        body: as it came.
        retry_after: the header of that name; seconds, other forms are ignored.
    """
    wait_s = min(int(retry_after), 3_600) if retry_after.strip().isdigit() else 0
    try:
        said = msgspec.json.decode(body) if body.strip() else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        said = None
    if isinstance(said, dict):
        if found := _trading(http, said, wait_s):
            return found
        if found := _data(http, said, wait_s):
            return found
    kind = _kind_of(http)
    shown = body[:SHOWN_BYTES].decode("utf-8", "replace").strip()
    what = "an empty answer" if not shown else f"not an error body of Dhan: {shown!r}"
    return BrokerError("", http, kind, what, retry_after_s=wait_s)


def is_error_body(said: Any) -> bool:
    """Whether JSON of a 2xx answer is an error all the same."""
    if not isinstance(said, dict):
        return False
    if said.get("errorCode"):
        return True
    status = str(said.get("status") or "").lower()
    return status in ("failed", "failure", "error") and not said.get("orderId")


def _kind_of(http: int) -> ErrorKind:
    """What a status alone means."""
    if http >= 500:
        return ErrorKind.SERVER
    return _BY_STATUS.get(http, ErrorKind.OTHER)


def _trading(http: int, said: dict[str, Any], wait_s: int) -> BrokerError | None:
    """Shapes one and three."""
    code, text = str(said.get("errorCode") or ""), str(said.get("errorMessage") or "")
    if not code and "errorMessage" not in said:
        return None
    digits = _DIGITS.search(code) if code.upper().startswith("DH") else None
    number = int(digits[1]) if digits else 0
    by_number = _TRADING.get(number)
    kind = by_number or _kind_of(http)
    if http >= 500 or (by_number is None and http in (429, 401)):
        kind = _kind_of(http)  # the status first: codes of the third shape are not documented
    if http == 401 and number == 0:
        number = 901
    if number == 906 and _INVALID_TOKEN.search(text):
        kind, number = ErrorKind.AUTH, 901  # /profile answers a dead token so
    if number in (905, 0) and _INVALID_IP.search(text):
        kind, number = ErrorKind.ADDRESS, 911
    return BrokerError(
        code, http, kind, text or "the broker gives no reason", number=number,
        retry_after_s=wait_s, has_shape=True,
    )  # fmt: skip


def _data(http: int, said: dict[str, Any], wait_s: int) -> BrokerError | None:
    """Shape two."""
    data = said.get("data")
    status = str(said.get("status") or "").lower()
    if status not in ("failed", "failure", "error"):
        return None
    if isinstance(data, dict) and data:
        code, text = next(iter(data.items()))
        number = int(code) if str(code).isdigit() and len(str(code)) == 3 else 0
        kind = _DATA.get(number) or _kind_of(http)
        return BrokerError(
            str(code), http, kind, str(text), number=number, retry_after_s=wait_s, has_shape=True
        )
    text = said.get("message") or said.get("remarks") or data or "the broker gives no reason"
    return BrokerError("", http, _kind_of(http), str(text), retry_after_s=wait_s, has_shape=True)
