"""Access tokens: values that do not print themselves, and where they come from."""

import base64
import binascii
import json
from typing import Any, Final, Protocol

from dhanfast.errors import NotAuthenticated, UsageError
from dhanfast.security.redact import REDACTOR

NS_PER_S: Final = 1_000_000_000
TOKEN_MAX: Final = 8_192  # characters


class Token:
    """An access token of one account. Printing, formatting and pickling it gives no secret away.

    Args:
        client_id: of the account.
        value: what the broker takes; only `reveal` gives it back.
        expires_ns: UTC ns; None when the token does not say.
        kind: SELF (made on the broker's website), APP (made by API), or empty when unknown.

    Raises:
        UsageError: a value that cannot be a token: empty, blanks or control signs in it.
    """

    __slots__ = ("_value", "client_id", "expires_ns", "kind")

    def __init__(
        self, client_id: str, value: str, expires_ns: int | None = None, kind: str = ""
    ) -> None:
        value = value.strip()
        if not value or len(value) > TOKEN_MAX or not value.isascii() or not value.isprintable():
            raise UsageError(
                f"token of {len(value)} characters cannot be one (empty, too long, or with signs "
                "that no header takes); copy it again, whole and without quotes"
            )
        if " " in value:
            raise UsageError("token has a blank inside; copy it again, whole and without quotes")
        self.client_id = client_id
        self._value = value
        self.expires_ns = expires_ns
        self.kind = kind
        REDACTOR.know(value)

    @classmethod
    def of_jwt(cls, value: str, client_id: str = "") -> "Token":
        """A token with what its claims tell; they are read, not verified.

        Args:
            client_id: of the account; when empty, the token's own claim.

        Raises:
            UsageError: no client id anywhere, or another one than the token's; not a token.
        """
        claims = claims_of(value)
        owner = str(claims.get("dhanClientId") or "")
        if client_id and owner and client_id != owner:
            raise UsageError(
                f"token belongs to client id {owner}, not to {client_id}; use the token of that "
                "account, or its client id"
            )
        if not (client_id or owner):
            raise UsageError("token does not say whose it is; give the client id as well")
        exp = claims.get("exp")
        good = isinstance(exp, int | float) and 0 < exp < 1e11
        expires_ns = int(exp * NS_PER_S) if good and exp is not None else None
        return cls(
            client_id or owner, value, expires_ns, str(claims.get("tokenConsumerType") or "")
        )

    def reveal(self) -> str:
        """The secret itself: for a header or a handshake, never for a text."""
        return self._value

    def is_live(self, now_ns: int, margin_s: float = 0.0) -> bool:
        """Whether it ends later than `margin_s` from now; one that says no end is live."""
        return self.expires_ns is None or self.expires_ns - round(margin_s * NS_PER_S) > now_ns

    def __eq__(self, other: object) -> bool:
        """Same account and same value."""
        if not isinstance(other, Token):
            return NotImplemented
        return (self.client_id, self._value) == (other.client_id, other._value)

    def __hash__(self) -> int:
        """Of account and value."""
        return hash((self.client_id, self._value))

    def __repr__(self) -> str:
        """Account, kind and end; never the value."""
        return f"Token({self.client_id!r}, '***', expires_ns={self.expires_ns}, {self.kind!r})"

    def __reduce__(self) -> Any:
        """Refuse to be written away by pickle or copied to another process."""
        raise TypeError("a Token is not pickled; give the process its own token source")


class TokenSource(Protocol):
    """Who knows the token in force."""

    async def token(self) -> Token:
        """A token that has not expired, renewed when it is about to.

        Raises:
            NotAuthenticated: there is none and none can be had without the user.
        """
        ...

    async def refused(self, token: Token) -> Token:
        """The token to use instead of one that the broker has refused (401, DH-901, 807, 809).

        Raises:
            NotAuthenticated: one renewal was tried, or there is no way to renew.
        """
        ...


class FixedToken:
    """A token source that cannot renew: a token from the environment, or of a loopback exchange."""

    def __init__(self, token: Token) -> None:
        self._token = token

    async def token(self) -> Token:
        """The token, whatever its end."""
        return self._token

    async def refused(self, token: Token) -> Token:
        """There is no other.

        Raises:
            NotAuthenticated: always.
        """
        raise NotAuthenticated(
            f"the broker refuses the token of client id {token.client_id}, and it cannot be "
            "renewed here; log in again with `dhanfast auth login`"
        )


def claims_of(value: str) -> dict[str, Any]:
    """What a JWT says of itself, unverified; empty when the text is no JWT."""
    parts = value.strip().split(".")
    if len(parts) != 3:
        return {}
    body = parts[1].encode("ascii", "ignore")
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}
