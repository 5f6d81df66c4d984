"""Tokens of the exchange: how one is got, which one lives, and what a dead one is told."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input
from dhanfast.exchange.fields import ist
from dhanfast.exchange.settings import ExchangeSettings

SECOND: Final = 1_000_000_000
TOTP_STEP_S: Final = 30
TOTP_DIGITS: Final = 6
DAY_S: Final = 86_400
CONSENT_LIFE_S: Final = 600
DEAD: Final = "Client ID or user generated access token is invalid or expired."


@dataclass(frozen=True, slots=True)
class Live:
    """The one token that is honoured.

    Units:
        expires_ns in UTC ns of real time.
    """

    value: str
    kind: str  # SELF: made on the website, APP: made by API
    expires_ns: int

    def __repr__(self) -> str:
        """Without the token."""
        return f"Live(kind={self.kind!r}, expires_ns={self.expires_ns})"


def _bytes(text: str) -> bytes:
    """A text of a client as bytes: a header may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def totp(secret: str, at_ns: int) -> str:
    """The code of a moment.

    Args:
        secret: base 32. at_ns: UTC ns.

    Source:
        RFC 6238 with SHA-1, 30 s and 6 digits; RFC 4226 section 5.3.
    """
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    counter = (at_ns // SECOND // TOTP_STEP_S).to_bytes(8, "big")
    digest = hmac.new(key, counter, hashlib.sha1).digest()
    at = digest[-1] & 0xF
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**TOTP_DIGITS:0{TOTP_DIGITS}}"


class Tokens:
    """Makes tokens and tells live ones from dead ones. One lives at a time.

    Args:
        settings: whose account it is.
    """

    def __init__(self, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._live: Live | None = None
        self._made = 0
        self._minted_ns: int | None = None
        self._drawings = 0  # ids drawn: none comes twice
        self._consents: dict[str, int] = {}  # id -> made at
        self._token_ids: dict[str, str] = {}  # token id -> consent
        self._consent_day = -1
        self._consent_count = 0

    @property
    def live(self) -> Live | None:
        """The token that is honoured, if any."""
        return self._live

    def mint(self, kind: str, real_ns: int, life_s: int | None = None) -> Live:
        """A new token; the one before is dead from now on."""
        self._made += 1
        life = self._settings.token_life_s if life_s is None else life_s
        expires_s = real_ns // SECOND + life
        claims = {
            "iss": "dhan",
            "partnerId": "",
            "exp": expires_s,
            "iat": real_ns // SECOND,
            "tokenConsumerType": kind,
            "webhookUrl": "",
            "dhanClientId": self._settings.client_id,
            "jti": self._made,
        }
        head = _text(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
        signed = f"{head}.{_text(json.dumps(claims).encode())}"
        seal = hmac.new(self._settings.key, signed.encode(), hashlib.sha256).digest()
        self._live = Live(f"{signed}.{_text(seal)}", kind, expires_s * SECOND)
        return self._live

    def expire(self, real_ns: int) -> None:
        """Let the live token end now."""
        if self._live is not None:
            self._live = Live(self._live.value, self._live.kind, real_ns)

    def state(self, token: str, client_id: str | None, real_ns: int) -> int:
        """0 when a token is good, else the data error it deserves: 807, 808, 809 or 810."""
        if client_id is not None and client_id != self._settings.client_id:
            return 810
        if not token:
            return 808
        if self._live is None or not hmac.compare_digest(_bytes(token), _bytes(self._live.value)):
            return 807 if self._is_ours(token) else 809
        return 807 if real_ns >= self._live.expires_ns else 0

    def _is_ours(self, token: str) -> bool:
        """Whether we made it, once."""
        signed, _, seal = token.rpartition(".")
        right = hmac.new(self._settings.key, _bytes(signed), hashlib.sha256).digest()
        return hmac.compare_digest(_bytes(seal), _bytes(_text(right)))

    def require(self, headers: dict[str, str], real_ns: int, *, data: bool) -> None:
        """Refuse a request without a live token.

        Args:
            data: answer in the shape of the data APIs.

        Raises:
            Refusal: 401 with DH-901, or 807 to 810.
        """
        client_id = headers.get("client-id") or headers.get("dhanclientid")
        if data and client_id is None:
            raise Refusal(401, 810)
        state = self.state(headers.get("access-token", ""), client_id, real_ns)
        if state:
            raise Refusal(401, state if data else 901, "" if data else DEAD)

    # ---- flows ----

    def by_totp(self, query: dict[str, str], real_ns: int) -> Reply:
        """`POST /app/generateAccessToken`: PIN and TOTP for a token.

        Raises:
            Refusal: wrong ones, or too soon after the last.
        """
        settings = self._settings
        if query.get("dhanClientId") != settings.client_id:
            raise Refusal(401, 901, "Invalid client id")
        codes = {totp(settings.totp_secret, real_ns + step * TOTP_STEP_S * SECOND)
                 for step in (-1, 0, 1)}  # fmt: skip
        right_pin = hmac.compare_digest(_bytes(query.get("pin", "")), _bytes(settings.pin))
        if not right_pin or query.get("totp") not in codes:
            raise Refusal(401, 901, "Invalid PIN or TOTP")
        wait_ns = settings.mint_interval_s * SECOND
        if self._minted_ns is not None and real_ns < self._minted_ns + wait_ns:
            raise Refusal(429, 904, "Token can be generated once every 2 minutes")
        self._minted_ns = real_ns
        return self._token_reply(self.mint("APP", real_ns))

    def renew(self, headers: dict[str, str], real_ns: int) -> Reply:
        """`GET /RenewToken`: another token for a live, website-made one.

        Raises:
            Refusal: a dead token, or one made by API.
        """
        self.require(headers, real_ns, data=False)
        assert self._live is not None
        if self._live.kind != "SELF":
            raise bad_input("Renewal of token not allowed")
        return self._token_reply(self.mint("SELF", real_ns))

    def consent(self, query: dict[str, str], headers: dict[str, str], real_ns: int) -> Reply:
        """`POST /app/generate-consent`: the first step of the browser's flow.

        Raises:
            Refusal: a wrong key or client, or too many today.
        """
        self._require_app(headers)
        if query.get("client_id") != self._settings.client_id:
            raise Refusal(401, 901, "Invalid client id")
        today = ist(real_ns).toordinal()
        if today != self._consent_day:
            self._consent_day, self._consent_count = today, 0
        if self._consent_count >= self._settings.consents_max:
            raise Refusal(429, 904, "Consent limit of the day exceeded")
        self._consent_count += 1
        consent = self._drawn("consent")
        self._consents[consent] = real_ns
        return answer({"consentAppId": consent, "consentAppStatus": "GENERATED",
                       "status": "success"})  # fmt: skip

    def login(self, query: dict[str, str], real_ns: int) -> Reply:
        """`GET /login/consentApp-login`: what the browser would show; here consent is given.

        Raises:
            Refusal: an unknown or old consent, or a redirect that leaves the machine.
        """
        consent = query.get("consentAppId", "")
        made_ns = self._consents.get(consent)
        if made_ns is None or real_ns > made_ns + CONSENT_LIFE_S * SECOND:
            raise bad_input("Invalid consent")
        place = query.get("redirect", self._settings.redirect_url)
        if urlsplit(place).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise bad_input("redirect must be an address of this machine")
        token_id = self._drawn("token id")
        self._token_ids[token_id] = consent
        joint = "&" if urlsplit(place).query else "?"
        return Reply(302, {"location": f"{place}{joint}{urlencode({'tokenId': token_id})}"})

    def consume(self, query: dict[str, str], headers: dict[str, str], real_ns: int) -> Reply:
        """`GET|POST /app/consumeApp-consent`: the token for a token id, once.

        Raises:
            Refusal: a wrong key, or an unknown or used token id.
        """
        self._require_app(headers)
        consent = self._token_ids.pop(query.get("tokenId", ""), None)
        if consent is None or self._consents.pop(consent, None) is None:
            raise Refusal(401, 901, "Invalid token id")  # or of a consent that was used
        return self._token_reply(self.mint("APP", real_ns))

    def _require_app(self, headers: dict[str, str]) -> None:
        given = _bytes(f"{headers.get('app_id', '')}\0{headers.get('app_secret', '')}")
        right = _bytes(f"{self._settings.app_id}\0{self._settings.app_secret}")
        if not hmac.compare_digest(given, right):
            raise Refusal(401, 901, "Invalid app id or app secret")

    def _drawn(self, what: str) -> str:
        self._drawings += 1
        words = f"{what} {self._drawings}"
        seal = hmac.new(self._settings.key, words.encode(), hashlib.sha256)
        text = seal.hexdigest()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"

    def _token_reply(self, live: Live) -> Reply:
        settings = self._settings
        expiry: Any = ist(live.expires_ns).isoformat(timespec="milliseconds")
        return answer({
            "dhanClientId": settings.client_id, "dhanClientName": settings.name,
            "dhanClientUcc": settings.ucc, "givenPowerOfAttorney": False,
            "accessToken": live.value, "expiryTime": expiry,
        })  # fmt: skip
