"""Codes of an authenticator (RFC 6238: SHA-1, 6 digits, 30 s).

Of the standard library: pyotp refuses secrets of less than 14 bytes, and authenticators with 10
are in use. pyotp is the tests' oracle.
"""

import base64
import binascii
import hmac
from typing import Final

from dhanfast.clock import Clock
from dhanfast.errors import UsageError
from dhanfast.security.redact import REDACTOR

STEP_S: Final = 30
DIGITS: Final = 6
MARGIN_S: Final = 3.0  # a code that ends sooner may be over when it arrives
SECRET_MIN: Final = 10  # bytes; RFC 4226 asks for 16, older authenticators had 10


def checked_secret(text: str) -> str:
    """An authenticator secret as base32 without blanks.

    Raises:
        UsageError: not base32, or too short. The message does not repeat it.
    """
    secret = "".join(text.split()).replace("-", "").upper().rstrip("=")
    try:
        raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    except (ValueError, binascii.Error):
        raise UsageError(
            "TOTP secret must be base32 (letters A-Z and digits 2-7), as shown when TOTP is set up "
            "on the broker's site; copy the secret, not the 6-digit code"
        ) from None
    if len(raw) < SECRET_MIN:
        raise UsageError(
            f"TOTP secret holds {len(raw)} bytes, at least {SECRET_MIN} are needed; copy the "
            "secret, not the 6-digit code"
        )
    REDACTOR.know(secret)
    return secret


def code_at(secret: str, at_ns: int) -> str:
    """The code of an instant.

    Args:
        secret: base32.
        at_ns: UTC ns.

    Raises:
        UsageError: a bad secret.

    Source:
        RFC 4226 section 5.3 (truncation), RFC 6238 section 4 (the counter is the time step).
    """
    text = checked_secret(secret)
    key = base64.b32decode(text + "=" * (-len(text) % 8))
    counter = at_ns // (STEP_S * 1_000_000_000)
    digest = hmac.digest(key, counter.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


async def fresh_code(secret: str, clock: Clock) -> str:
    """A code that stays good for at least 3 s; waits for the next one when it must.

    Raises:
        UsageError: as `code_at`.
    """
    checked_secret(secret)
    left_s = STEP_S - clock.now_ns() / 1e9 % STEP_S
    if left_s < MARGIN_S:
        await clock.sleep(left_s + 0.05)
    return code_at(secret, clock.now_ns())
