"""Dhan's login calls: consent in the browser, PIN and TOTP, renewal, a look at the profile.

Secrets travel where the broker wants them, in headers or the query of an encrypted request, and
nowhere else: no error, log or repr tells an address with its query.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from dhanfast.brokers.dhan.answers_account import Profile, profile_of
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind, error_of, is_error_body
from dhanfast.brokers.dhan.fields import Fields
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.web import NoReply, NotSent, Web, WebReply, WebRequest
from dhanfast.errors import BadData, UsageError
from dhanfast.security.redact import REDACTOR
from dhanfast.security.tokens import Token

PIN_DIGITS: Final = (4, 6)
SELF_MADE: Final = "SELF"  # a token made on the website: the only kind that renews


@dataclass(frozen=True, slots=True)
class AppKey:
    """An API key of the user; it lives 12 months."""

    app_id: str
    app_secret: str

    def __post_init__(self) -> None:
        """Refuse what no header takes, and have the secret masked from here on."""
        for name, value in (("app id", self.app_id), ("app secret", self.app_secret)):
            if not value or not value.isascii() or not value.isprintable() or " " in value:
                raise UsageError(f"{name} must be the text from the broker's site, without blanks")
        REDACTOR.know(self.app_secret)

    def __repr__(self) -> str:
        """The id alone."""
        return f"AppKey({self.app_id!r}, '***')"


@dataclass(frozen=True, slots=True)
class PartnerKey:
    """The key of a partner, who logs in many users."""

    partner_id: str
    partner_secret: str

    def __post_init__(self) -> None:
        """Have the secret masked from here on."""
        if not self.partner_id or not self.partner_secret:
            raise UsageError("partner id and secret must both be given")
        REDACTOR.know(self.partner_secret)

    def __repr__(self) -> str:
        """The id alone."""
        return f"PartnerKey({self.partner_id!r}, '***')"

    @property
    def headers(self) -> dict[str, str]:
        """Those of the partner's calls."""
        return {"partner_id": self.partner_id, "partner_secret": self.partner_secret}


class AuthCalls:
    """The calls of the login. Each is made once: a wrong PIN is never tried again.

    Args:
        hosts: where to.
        web: who sends.
    """

    def __init__(self, hosts: Hosts, web: Web) -> None:
        self._hosts = hosts
        self._web = web

    async def consent(self, client_id: str, key: AppKey) -> str:
        """Step 1 of the browser's way: an id for the login page; at most 25 a day.

        Raises:
            BrokerError: refused, or no answer.
        """
        query = {"client_id": checked_client_id(client_id)}
        said = await self._asked("POST", self._auth("/app/generate-consent", query), _headers(key))
        found = Fields(said, "consent").text("consentAppId")
        if not found:
            raise BadData("consent: consentAppId is missing in what the broker sent")
        return found

    def login_page(self, consent_id: str) -> str:
        """Step 2: what the browser opens; it comes back with a tokenId."""
        return self._auth("/login/consentApp-login", {"consentAppId": consent_id})

    async def consume(self, token_id: str, key: AppKey) -> Token:
        """Step 3: the token for a tokenId. By GET; by POST where GET is not taken.

        Raises:
            BrokerError: refused, or no answer.
        """
        return await self._consumed("/app/consumeApp-consent", token_id, _headers(key))

    async def partner_consent(self, partner: PartnerKey) -> str:
        """Step 1 of a partner's way: an id for the login page of any of its users.

        Raises:
            BrokerError: refused, or no answer.
        """
        said = await self._asked("POST", self._auth("/partner/generate-consent"), partner.headers)
        found = Fields(said, "consent").text("consentId")
        if not found:
            raise BadData("consent: consentId is missing in what the broker sent")
        return found

    def partner_login_page(self, consent_id: str) -> str:
        """Step 2 of a partner's way: what the user's browser opens."""
        return self._auth("/consent-login", {"consentId": consent_id})

    async def partner_consume(self, token_id: str, partner: PartnerKey) -> Token:
        """Step 3 of a partner's way: the token for a tokenId, as `consume`.

        Raises:
            BrokerError: refused, or no answer.
        """
        return await self._consumed("/partner/consume-consent", token_id, partner.headers)

    async def mint(self, client_id: str, pin: str, totp: str) -> Token:
        """A token for PIN and TOTP. It ends every other token of the account.

        Raises:
            BrokerError: refused (never try the same again), or no answer.
        """
        query = {
            "dhanClientId": checked_client_id(client_id),
            "pin": checked_pin(pin),
            "totp": totp,
        }
        return token_of(
            await self._asked("POST", self._auth("/app/generateAccessToken", query), {})
        )

    async def renew(self, token: Token) -> Token:
        """A new token for a live one; only for tokens made on the website. Ends the old one.

        Raises:
            BrokerError: refused, or no answer: then the old one may be dead already.
        """
        said = await self._asked("GET", f"{self._hosts.rest}/RenewToken", _bare(token))
        return token_of(said, token.client_id)

    async def profile(self, token: Token) -> Profile:
        """The account behind a token.

        Raises:
            BrokerError: the token is dead, or no answer.
        """
        return profile_of(await self._asked("GET", f"{self._hosts.rest}/profile", _bare(token)))

    async def _consumed(self, path: str, token_id: str, headers: dict[str, str]) -> Token:
        """The token for a tokenId: the documents disagree on the method."""
        if not token_id.isascii() or not token_id.isprintable() or not token_id.strip():
            raise UsageError("tokenId must be the text of that name in the address after the login")
        url = self._auth(path, {"tokenId": token_id.strip()})
        try:
            said = await self._asked("GET", url, headers)
        except BrokerError as error:
            if error.http not in (404, 405):
                raise
            said = await self._asked("POST", url, headers)
        return token_of(said)

    def _auth(self, path: str, query: dict[str, str] | None = None) -> str:
        """An address of the login host."""
        return f"{self._hosts.auth}{path}" + (f"?{urlencode(query)}" if query else "")

    async def _asked(self, method: str, url: str, headers: dict[str, str]) -> Any:
        """One call, once.

        Raises:
            BrokerError: refused; no connection; no answer.
        """
        request = WebRequest(method=method, url=url, headers=headers, once=True)
        try:
            reply = await self._web.ask(request)
        except NotSent as error:
            raise BrokerError("", 0, ErrorKind.NETWORK, str(error)) from None
        except NoReply as error:
            raise BrokerError("", 0, ErrorKind.SERVER, str(error)) from None
        return _said(reply)


def token_of(said: Any, client_id: str = "") -> Token:
    """The token in an answer; its end is the token's own claim, or the answer's.

    Raises:
        BadData: there is none in it.
    """
    fields = Fields(said, "token")
    value = fields.text("accessToken", "token")
    if not value:
        raise BadData("token: accessToken is missing in what the broker sent")
    owner = fields.text("dhanClientId") or client_id
    token = Token.of_jwt(value, owner)
    if token.expires_ns is None:
        ends_ns = fields.ist_ns("expiryTime", "tokenValidity")
        token = Token(token.client_id, value, ends_ns or None, token.kind)
    return token


def checked_client_id(text: str) -> str:
    """A client id: digits.

    Raises:
        UsageError: anything else, such as the UCC or an e-mail address.
    """
    if not (text.isascii() and text.isdigit() and 4 <= len(text) <= 16):
        raise UsageError(
            f"client id {text!r} must be the digits shown in the broker's profile, such as "
            "1000000001"
        )
    return text


def checked_pin(text: str) -> str:
    """A PIN: digits. The message does not repeat it.

    Raises:
        UsageError: anything else.
    """
    if not (text.isascii() and text.isdigit() and PIN_DIGITS[0] <= len(text) <= PIN_DIGITS[1]):
        raise UsageError(f"PIN must be {PIN_DIGITS[0]} to {PIN_DIGITS[1]} digits")
    return text


def _headers(key: AppKey) -> dict[str, str]:
    """Those of the browser's way."""
    return {"app_id": key.app_id, "app_secret": key.app_secret}


def _bare(token: Token) -> dict[str, str]:
    """Those of /profile and /RenewToken."""
    return {"access-token": token.reveal(), "dhanClientId": token.client_id}


def _said(reply: WebReply) -> Any:
    """The JSON of an answer.

    Raises:
        BrokerError: an error, in any shape.
    """
    if not 200 <= reply.status < 300:
        raise error_of(reply.status, reply.body, reply.header("Retry-After"))
    try:
        said = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise error_of(reply.status, reply.body) from None
    if is_error_body(said):
        raise error_of(reply.status, reply.body)
    return said
