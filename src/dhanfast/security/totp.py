"""Codes of an authenticator (RFC 6238: SHA-1, 6 digits, 30 s), over pyotp."""

import base64
import binascii
from typing import Any, Final

from dhanfast.clock import Clock
from dhanfast.errors import UsageError

STEP_S: Final = 30
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
    return secret


def code_at(secret: str, at_ns: int) -> str:
    """The code of an instant.

    Args:
        secret: base32.
        at_ns: UTC ns.

    Raises:
        UsageError: a bad secret; pyotp is not installed.
    """
    return str(_pyotp().TOTP(checked_secret(secret)).at(at_ns // 1_000_000_000))


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


def _pyotp() -> Any:
    """The library, imported when it is needed."""
    try:
        import pyotp
    except ImportError:
        raise UsageError("TOTP needs pyotp: pip install 'dhanfast[live]'") from None
    return pyotp
