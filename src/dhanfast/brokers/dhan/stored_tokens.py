"""The user's token: found where it is kept, renewed before it ends, by one process alone.

Looked for in the secret store, then in v1's token file, then in the environment. Renewal makes a
new token and so ends the old one everywhere; it is done by the process that owns the token, and the
new token is in the store before anybody uses it. What renews:

    SELF token (made on the website), still alive   RenewToken
    PIN and TOTP secret are stored                  a new token, at most one in two minutes
    neither                                         the user, with `dhanfast auth login`

A PIN or TOTP that was refused is not tried again.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from dhanfast.brokers.dhan.auth import SELF_MADE, AuthCalls, checked_client_id
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind
from dhanfast.clock import Clock
from dhanfast.errors import BadData, ConfigError, DhanfastError, NotAuthenticated, UsageError
from dhanfast.security.owner import Owned, TokenOwner
from dhanfast.security.redact import logger
from dhanfast.security.store import SecretStore
from dhanfast.security.tokens import Token
from dhanfast.security.totp import fresh_code

LOG: Final = logger("dhanfast.brokers.dhan.tokens")
NS_PER_S: Final = 1_000_000_000
TOKEN: Final = "dhan.token"
CLIENT_ID: Final = "dhan.client-id"
PIN: Final = "dhan.pin"
TOTP_SECRET: Final = "dhan.totp-secret"
APP_ID: Final = "dhan.app-id"
APP_SECRET: Final = "dhan.app-secret"
TRIED: Final = "dhan.mint-tried"  # UTC ns of the last try, by whichever process
KNOWN: Final = (TOKEN, CLIENT_ID, PIN, TOTP_SECRET, APP_ID, APP_SECRET)
V1_FILE: Final = ".dhan_token.json"
PLACEHOLDERS: Final = ("", "YOUR_CLIENT_ID", "YOUR_ACCESS_TOKEN")
LOGIN: Final = "log in with `dhanfast auth login`"


@dataclass(frozen=True, slots=True)
class RenewSettings:
    """When a token is renewed.

    Units:
        seconds. before_s: before its end. gap_s: between two tokens made with PIN and TOTP.
        contested_s: a token of ours that is refused younger than this was ended by another maker.

    Raises:
        ConfigError: a figure out of range.
    """

    before_s: float = 1_800.0
    gap_s: float = 120.0
    contested_s: float = 600.0

    def __post_init__(self) -> None:
        """Refuse figures that would hammer the broker or never renew."""
        if not (30 <= self.before_s <= 43_200 and 60 <= self.gap_s <= 3_600):
            raise ConfigError(
                f"renew before_s must be from 30 to 43200 (was {self.before_s}), gap_s from 60 to "
                f"3600 (was {self.gap_s})"
            )


@dataclass(frozen=True, slots=True)
class Found:
    """A token and where it was: store, file or environment."""

    token: Token
    source: str
    place: str


class Kept(msgspec.Struct):
    """The token's record in the store."""

    client_id: str
    value: str
    expires_ns: int | None = None
    kind: str = ""


class StoredTokens:
    """A token source over what the user has stored.

    Args:
        calls: of the login.
        clock: when tokens end, and how long to wait.
        store: of secrets; None = the user has none.
        environ: DHAN_CLIENT_ID, DHAN_ACCESS_TOKEN.
        token_file: of version 1; None = not looked at.
        owner: the right to renew; taken with the first token, so that nobody makes another one
            meanwhile. When somebody else has it, and with None, this process only reads.
        settings: when to renew.
    """

    def __init__(
        self, calls: AuthCalls, clock: Clock, *, store: SecretStore | None = None,
        environ: Mapping[str, str] | None = None, token_file: Path | None = None,
        owner: TokenOwner | None = None, settings: RenewSettings | None = None,
    ) -> None:  # fmt: skip
        self._calls = calls
        self._clock = clock
        self._store = store
        self._environ = environ or {}
        self._token_file = token_file
        self._owner = owner
        self._settings = settings or RenewSettings()
        self._lock = asyncio.Lock()
        self._current: Token | None = None
        self._made_ns: dict[Token, int] = {}  # by this object
        self._next_try_ns = 0
        self._asked_to_own = False
        self._barred = ""  # why PIN and TOTP are not tried again

    def found(self) -> Found | None:
        """The token as it is kept, and where; nothing is renewed.

        Raises:
            DhanfastError: the store cannot be read.
        """
        kept = _of_store(self._store)
        if kept is not None:
            return Found(kept, "store", str(self._store.path) if self._store else "")
        if self._token_file is not None and self._token_file.exists():
            token = v1_token(self._token_file)
            if token is not None:
                return Found(token, "file", str(self._token_file))
        client, value = (self._environ.get(f"DHAN_{name}", "") for name in
                         ("CLIENT_ID", "ACCESS_TOKEN"))  # fmt: skip
        if value.strip() in PLACEHOLDERS:
            return None
        named = "" if client in PLACEHOLDERS else client.strip()
        return Found(Token.of_jwt(value, named), "environment", "DHAN_ACCESS_TOKEN")

    async def token(self) -> Token:
        """A token that has not expired, renewed when it is about to.

        Raises:
            NotAuthenticated: there is none and none can be had without the user.
        """
        async with self._lock:
            self._own()
            now_ns = self._clock.now_ns()
            current = self._current
            if current is None or not current.is_live(now_ns, self._settings.before_s):
                current = self._loaded() or current  # another process may have renewed it
            if current is None:
                raise NotAuthenticated(f"there is no token; {LOGIN}")
            self._current = current
            if current.is_live(now_ns, self._settings.before_s):
                return current
            return await self._prolonged(current, now_ns)

    async def refused(self, token: Token) -> Token:
        """The token to use instead of one that the broker has refused.

        Raises:
            NotAuthenticated: one renewal was tried, or there is no way to renew.
        """
        async with self._lock:
            if self._current is not None and self._current != token:
                return self._current  # renewed while this call was on its way
            kept = self._loaded()
            if kept is not None and kept != token:
                self._current = kept
                return kept
            made_ns = self._made_ns.get(token)
            now_ns = self._clock.now_ns()
            if made_ns is not None and now_ns - made_ns < self._settings.contested_s * NS_PER_S:
                raise NotAuthenticated(
                    f"the broker refuses the token of {token.client_id} that was made "
                    f"{(now_ns - made_ns) / 1e9:,.0f} s ago: another machine may make tokens for "
                    "this account, of which only the newest lives. Stop the other one"
                )
            try:
                return await self._renewed(token, is_dead=True)
            except (BrokerError, Owned, UsageError) as error:
                raise NotAuthenticated(
                    f"the broker refuses the token of {token.client_id}, and it was not renewed: "
                    f"{error}; {LOGIN}"
                ) from None

    async def renew(self) -> Token:
        """Renew now, whatever is left.

        Raises:
            NotAuthenticated: there is no token, or no way to renew it.
            BrokerError: refused, or no answer.
            Owned: another process owns the token.
        """
        async with self._lock:
            current = self._loaded() or self._current
            if current is None:
                raise NotAuthenticated(f"there is no token; {LOGIN}")
            return await self._renewed(current, is_dead=not current.is_live(self._clock.now_ns()))

    async def mint(self) -> Token:
        """Make a token with the stored PIN and TOTP secret, now.

        Raises:
            NotAuthenticated: PIN or TOTP secret are not stored, or were refused.
            BrokerError: refused, or no answer.
            Owned: another process owns the token.
        """
        async with self._lock:
            return self._keep(await self._minted(self._client_id()))

    def keep(self, token: Token) -> Token:
        """Put a token that the user brought into the store and use it.

        Raises:
            UsageError: there is no store.
        """
        if self._store is None:
            raise UsageError("there is no secret store to keep the token in")
        return self._keep(token)

    def _own(self) -> None:
        """Become the owner, once; a renewal asks again and says who stands in the way."""
        if self._owner is None or self._asked_to_own:
            return
        self._asked_to_own = True
        try:
            self._owner.acquire()
        except Owned as error:
            LOG.warning("this process will not renew the token: %s", error)

    def _loaded(self) -> Token | None:
        """The token as it is kept now."""
        found = self.found()
        return found.token if found else None

    async def _prolonged(self, current: Token, now_ns: int) -> Token:
        """A token about to end: renewed; the old one as long as it lives and renewal fails."""
        why = "it was tried a moment ago"
        if now_ns >= self._next_try_ns:
            try:
                return await self._renewed(current, is_dead=not current.is_live(now_ns))
            except (BrokerError, Owned, NotAuthenticated, UsageError) as error:
                self._next_try_ns = self._clock.now_ns() + round(self._settings.gap_s * NS_PER_S)
                why = str(error)
                LOG.warning("token of %s not renewed: %s", current.client_id, why)
        kept = self._loaded()
        if kept is not None and kept.is_live(self._clock.now_ns(), self._settings.before_s):
            self._current = kept
            return kept
        if current.is_live(self._clock.now_ns()):
            return current
        raise NotAuthenticated(
            f"the token of {current.client_id} has ended and was not renewed: {why}; {LOGIN}"
        )

    async def _renewed(self, old: Token, *, is_dead: bool) -> Token:
        """A new token, kept before it is given out."""
        if self._store is None:
            raise NotAuthenticated(
                "a new token would end this one and could not be kept: there is no secret store; "
                f"{LOGIN}"
            )
        if self._owner is None:
            raise NotAuthenticated("this program does not renew tokens; the engine, or you, do")
        self._owner.acquire()
        lost = ""
        if old.kind == SELF_MADE and not is_dead:
            try:
                return self._keep(await self._calls.renew(old))
            except BrokerError as error:
                LOG.warning("RenewToken did not work: %s", error)
                lost = f" ({error})"
        if not self._can_mint():
            how = f"store PIN and TOTP secret (`dhanfast secrets set {PIN}`), or {LOGIN}"
            raise NotAuthenticated(f"the token of {old.client_id} cannot be renewed{lost}; {how}")
        return self._keep(await self._minted(old.client_id))

    async def _minted(self, client_id: str) -> Token:
        """A token made with PIN and TOTP."""
        if self._barred:
            raise NotAuthenticated(self._barred)
        pin, secret = self._secret(PIN), self._secret(TOTP_SECRET)
        if not pin or not secret or self._store is None:
            raise NotAuthenticated(
                f"PIN and TOTP secret are not stored; run: dhanfast secrets set {PIN}, and "
                f"dhanfast secrets set {TOTP_SECRET}"
            )
        if self._owner is not None:
            self._owner.acquire()
        tried = self._secret(TRIED)
        since_s = (self._clock.now_ns() - int(tried or 0)) / 1e9
        if tried and 0 <= since_s < self._settings.gap_s:
            await self._clock.sleep(self._settings.gap_s - since_s)
        self._store.put(TRIED, str(self._clock.now_ns()))
        try:
            return await self._calls.mint(client_id, pin, await fresh_code(secret, self._clock))
        except BrokerError as error:
            if error.kind not in (ErrorKind.NETWORK, ErrorKind.SERVER, ErrorKind.RATE):
                self._barred = (
                    f"the broker refused PIN and TOTP ({error.text}); they are not tried again. "
                    "Look at them and at the clock of this machine, store them anew, and restart"
                )
            raise

    def _keep(self, token: Token) -> Token:
        """Into the store first: the old one is dead from here on."""
        if self._store is not None:
            kept = Kept(token.client_id, token.reveal(), token.expires_ns, token.kind)
            self._store.put(TOKEN, msgspec.json.encode(kept).decode())
        self._current = token
        self._made_ns = {token: self._clock.now_ns()}
        self._next_try_ns = 0
        LOG.info("new token of %s", token.client_id)
        return token

    def _can_mint(self) -> bool:
        """Whether PIN and TOTP secret are there."""
        if self._store is None or self._barred:
            return False
        return {PIN, TOTP_SECRET} <= set(self._store.names())

    def _secret(self, name: str) -> str:
        """A secret of the store, empty when it is not there."""
        return (self._store.get(name) or "") if self._store is not None else ""

    def _client_id(self) -> str:
        """Whose token to make."""
        named = self._secret(CLIENT_ID) or self._environ.get("DHAN_CLIENT_ID", "")
        if named in PLACEHOLDERS:
            found = self.found()
            named = found.token.client_id if found else ""
        if not named:
            raise NotAuthenticated(
                f"the client id is not known; run: dhanfast secrets set {CLIENT_ID}"
            )
        return checked_client_id(named)


def v1_token(path: Path) -> Token | None:
    """The token in a file of version 1: client_id and access_token, or the broker's whole answer.

    Raises:
        DhanfastError: the file cannot be read, or is no such file.
    """
    try:
        said: Any = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise DhanfastError(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadData(f"{path}: is no token file of version 1; delete it, and {LOGIN}") from None
    if not isinstance(said, dict):
        raise BadData(f"{path}: is no token file of version 1; delete it, and {LOGIN}")
    value = said.get("access_token") or said.get("accessToken")
    if isinstance(value, dict):  # version 1 sometimes kept the broker's whole answer
        inner = value.get("data") if isinstance(value.get("data"), dict) else value
        value = inner.get("accessToken") if isinstance(inner, dict) else None
    client = str(said.get("client_id") or "")
    if not isinstance(value, str) or value.strip() in PLACEHOLDERS:
        return None
    return Token.of_jwt(value, "" if client in PLACEHOLDERS else client)


def _of_store(store: SecretStore | None) -> Token | None:
    """The token in the store."""
    if store is None or TOKEN not in store.names():
        return None
    text = store.get(TOKEN)
    if text is None:
        return None
    try:
        kept = msgspec.json.decode(text, type=Kept)
    except msgspec.MsgspecError:
        raise BadData(f"{store.path}: the record {TOKEN} is no token; {LOGIN}") from None
    return Token(kept.client_id, kept.value, kept.expires_ns, kept.kind)
