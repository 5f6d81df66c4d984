"""`dhanfast auth`: log in to the broker, renew, see who is logged in. Never prints a token.

Exit codes: 0 done, 1 refused, 2 usage, 4 not authenticated.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import click

from dhanfast.app.broker_session import broker_hosts
from dhanfast.app.config import Config
from dhanfast.app.config_options import config_options
from dhanfast.app.edge import edge, print_json
from dhanfast.app.secret_input import OWNER_FILE, hidden, json_option, secret_store, token_owner
from dhanfast.clock import SystemClock
from dhanfast.errors import NotAuthenticated, UsageError

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.auth import AppKey, AuthCalls
    from dhanfast.brokers.dhan.stored_tokens import Found, StoredTokens
    from dhanfast.security.store import SecretStore
    from dhanfast.security.tokens import Token

Result = TypeVar("Result")
METHODS: Final = ("consent", "totp", "token")
TOTP_DIGITS: Final = 6
CONSENT_S: Final = 300.0
LATE_MIN: Final = 60  # a token that ends sooner is shown as ending
exchange_option = click.option(
    "--exchange", metavar="URL",
    help="Log in to an exchange on this machine (http://127.0.0.1:PORT), not to the broker.",
)  # fmt: skip


@dataclass
class Desk:
    """What the commands work with."""

    config: Config
    store: "SecretStore"
    calls: "AuthCalls"
    tokens: "StoredTokens"


@click.group()
def auth() -> None:
    """Log in to the broker, renew, and see who is logged in.

    The token is kept encrypted (see `dhanfast secrets`) and never shown. A new token ends the old
    one on every machine.

    Example: dhanfast auth login --method token
    """


@auth.command("login")
@click.option("--method", type=click.Choice(METHODS), help="Default: what the stored keys allow.")
@click.option("--client-id", metavar="ID", help="Of the account; default: the stored one.")
@click.option("--app-id", metavar="ID", help="consent: of the API key; its secret is typed.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, metavar="N",
              help="consent: of the callback page, as registered [default: any].")  # fmt: skip
@click.option("--paste", is_flag=True, help="consent: paste the address the browser ended at.")
@click.option("--no-browser", is_flag=True, help="consent: show the address, open no browser.")
@click.option("--timeout", type=click.FloatRange(1, 3_600), default=CONSENT_S, show_default=True,
              metavar="SECONDS", help="consent: for the login in the browser.")  # fmt: skip
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="token: read it from a file, such as version 1's .dhan_token.json.")  # fmt: skip
@click.option("--delete-file", is_flag=True, help="token: delete the file once it is kept.")
@click.option("--keep", is_flag=True, help="Keep PIN and TOTP secret, or the API key, as well.")
@click.option("--no-check", is_flag=True, help="token: do not ask the broker whether it is alive.")
@exchange_option
@json_option
@edge
@config_options
def login_command(
    method: str | None, exchange: str | None, as_json: bool, config: Config, **given: Any
) -> None:
    """Log in: in the browser, with PIN and TOTP, or with a token from the broker's site.

    \b
    Examples:
      dhanfast auth login --method token
      dhanfast auth login --method totp --client-id 1000000001 --keep
      dhanfast auth login --method consent --app-id APP --port 5380
    """
    ways = {"consent": _by_consent, "totp": _by_totp, "token": _by_token}

    async def act(desk: Desk) -> "Token":
        chosen = method or _default_method(desk.store, given)
        with token_owner(config.folders.secrets, "dhanfast auth login"):
            token = await ways[chosen](desk, given)
            return desk.tokens.keep(token)

    token = _with_desk(config, exchange, act, "")
    if given["delete_file"] and given["path"] is not None:
        given["path"].unlink()
        click.echo(f"deleted {given['path']}", err=True)
    _show(token, "store", as_json)


@auth.command("totp")
@exchange_option
@json_option
@edge
@config_options
def totp_command(exchange: str | None, as_json: bool, config: Config) -> None:
    """Make a new token with the stored PIN and TOTP secret; for machines without a person."""
    token = _with_desk(config, exchange, lambda desk: desk.tokens.mint(), "dhanfast auth totp")
    _show(token, "store", as_json)


@auth.command("renew")
@exchange_option
@json_option
@edge
@config_options
def renew_command(exchange: str | None, as_json: bool, config: Config) -> None:
    """Renew the token now: one from the broker's site as it is, others with PIN and TOTP."""
    token = _with_desk(config, exchange, lambda desk: desk.tokens.renew(), "dhanfast auth renew")
    _show(token, "store", as_json)


@auth.command("status")
@click.option("--offline", is_flag=True, help="Do not ask the broker.")
@exchange_option
@json_option
@edge
@config_options
def status_command(offline: bool, exchange: str | None, as_json: bool, config: Config) -> None:
    """Show whose token there is, where it is kept, when it ends, and what the broker says of it."""
    said = _with_desk(config, exchange, lambda desk: _status(desk, offline), "")
    if as_json:
        print_json(said)
    else:
        for name, value in said.items():
            if value not in (None, "", []):
                shown = ", ".join(value) if isinstance(value, list) else value
                click.echo(f"{name.replace('_', ' '):<14} {shown}")
    if not said["authenticated"]:
        raise NotAuthenticated(str(said["reason"]))


@auth.command("logout")
@click.option("--all", "everything", is_flag=True, help="Forget PIN, TOTP secret and keys as well.")
@edge
@config_options
def logout_command(everything: bool, config: Config) -> None:
    """Forget the token. The broker takes it until it ends; it can be ended on the broker's site."""
    from dhanfast.brokers.dhan.stored_tokens import KNOWN, TOKEN, TRIED, V1_FILE

    folder = config.folders.secrets
    with token_owner(folder, "dhanfast auth logout"):
        gone = secret_store(folder).remove(*((*KNOWN, TRIED) if everything else (TOKEN,)))
    click.echo("forgotten: " + ", ".join(gone) if gone else "no token was kept")
    if Path(V1_FILE).exists():
        click.echo(f"{V1_FILE} still holds a token in the clear; delete it", err=True)
    if config.environ.get("DHAN_ACCESS_TOKEN"):
        click.echo("DHAN_ACCESS_TOKEN still holds a token", err=True)


def hosts_of(config: Config, exchange: str | None) -> Any:
    """The broker's addresses by the configuration, or those of an exchange on this machine.

    Raises:
        UsageError: an address that is not of this machine.
    """
    from dhanfast.brokers.dhan.hosts import LOOPBACK, Hosts

    if exchange is None:
        return broker_hosts(config)
    parts = urlsplit(exchange)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or parts.hostname not in LOOPBACK or not port:
        raise UsageError(f"--exchange: {exchange!r} must be of the form http://127.0.0.1:PORT")
    return Hosts.loopback(port)


def _with_desk(
    config: Config, exchange: str | None, act: "Callable[[Desk], Awaitable[Result]]", purpose: str
) -> "Result":
    """Run something with the user's store and a connection."""
    from dhanfast.brokers.dhan.auth import AuthCalls
    from dhanfast.brokers.dhan.stored_tokens import V1_FILE, StoredTokens
    from dhanfast.brokers.dhan.web import AioWeb

    hosts, folder = hosts_of(config, exchange), config.folders.secrets

    async def run() -> Result:
        web = AioWeb()
        owner = token_owner(folder, purpose) if purpose else None
        try:
            calls, store = AuthCalls(hosts, web), secret_store(folder)
            tokens = StoredTokens(
                calls, SystemClock(), store=store, environ=config.environ,
                token_file=Path(V1_FILE), owner=owner,
            )  # fmt: skip
            return await act(Desk(config, store, calls, tokens))
        finally:
            await web.close()
            if owner is not None:
                owner.release()

    return asyncio.run(run())


def _default_method(store: "SecretStore", given: dict[str, Any]) -> str:
    """What the options and the stored keys allow."""
    from dhanfast.brokers.dhan.stored_tokens import APP_ID, APP_SECRET, PIN, TOTP_SECRET

    names = set(store.names())
    if given["path"] is not None:
        return "token"
    if given["app_id"] or {APP_ID, APP_SECRET} <= names:
        return "consent"
    return "totp" if {PIN, TOTP_SECRET} <= names else "token"


def _named_client(desk: Desk, given: dict[str, Any]) -> str:
    """The client id: given, stored, of the environment, or typed; kept for the next time."""
    from dhanfast.brokers.dhan.auth import checked_client_id
    from dhanfast.brokers.dhan.stored_tokens import CLIENT_ID, PLACEHOLDERS

    kept = desk.store.get(CLIENT_ID) or ""
    named = given["client_id"] or kept or desk.config.client_id()
    if named in PLACEHOLDERS:
        named = hidden("Client id: ")
    named = checked_client_id(named)
    if named != kept:
        desk.store.put(CLIENT_ID, named)
    return named


async def _by_token(desk: Desk, given: dict[str, Any]) -> "Token":
    """A token that the user brings."""
    from dhanfast.brokers.dhan.stored_tokens import v1_token
    from dhanfast.security.tokens import Token

    client_id = given["client_id"] or ""
    path: Path | None = given["path"]
    if path is None:
        token = Token.of_jwt(hidden("Access token: "), client_id)
    elif path.read_bytes().lstrip().startswith(b"{"):
        found = v1_token(path)
        if found is None:
            raise UsageError(f"{path}: holds no token")
        token = found
    else:
        token = Token.of_jwt(path.read_text(), client_id)
    if not token.is_live(SystemClock().now_ns()):
        raise NotAuthenticated(f"the token has ended at {_ist(token.expires_ns)}; make a new one")
    if not given["no_check"]:
        await _require_same(desk, token)
    return token


async def _by_totp(desk: Desk, given: dict[str, Any]) -> "Token":
    """A token for PIN and TOTP, stored or typed."""
    from dhanfast.brokers.dhan.auth import checked_pin
    from dhanfast.brokers.dhan.stored_tokens import PIN, TOTP_SECRET, TRIED
    from dhanfast.security.totp import checked_secret, fresh_code

    client_id = _named_client(desk, given)
    pin = desk.store.get(PIN) or checked_pin(hidden("PIN: "))
    secret = desk.store.get(TOTP_SECRET)
    code = ""
    if secret is None:
        typed = hidden("TOTP code of 6 digits, or the TOTP secret: ")
        if len(typed) == TOTP_DIGITS and typed.isdigit():
            code = typed
        else:
            secret = checked_secret(typed)
    clock = SystemClock()
    token = await desk.calls.mint(client_id, pin, code or await fresh_code(secret or "", clock))
    desk.store.put(TRIED, str(clock.now_ns()))
    if given["keep"]:
        desk.store.put(PIN, pin)
        if secret is not None:
            desk.store.put(TOTP_SECRET, secret)
    return token


async def _by_consent(desk: Desk, given: dict[str, Any]) -> "Token":
    """A token for a login in the browser."""
    from dhanfast.brokers.dhan.auth import AppKey
    from dhanfast.brokers.dhan.consent_page import consent_page
    from dhanfast.brokers.dhan.stored_tokens import APP_ID, APP_SECRET

    client_id = _named_client(desk, given)
    app_id = given["app_id"] or desk.store.get(APP_ID)
    if not app_id:
        raise UsageError("--app-id: the API key's id is needed, from the broker's site")
    app_secret = desk.store.get(APP_SECRET) or hidden("App secret: ")
    key = AppKey(app_id, app_secret)
    login_page = desk.calls.login_page(await desk.calls.consent(client_id, key))
    if given["paste"]:
        click.echo(f"Log in at:\n  {login_page}\nThen paste the address it ended at.", err=True)
        token_id = pasted_token_id(hidden("Address, or its tokenId: "))
    else:
        async with consent_page(login_page, port=given["port"]) as page:
            click.echo(
                f"Log in at:\n  {page.start_url}\nThe API key's redirect address must be:\n"
                f"  {page.callback_url}",
                err=True,
            )
            if not given["no_browser"]:
                await _open_browser(page.start_url)
            token_id = await page.token_id(SystemClock(), given["timeout"])
    token = await desk.calls.consume(token_id, key)
    if token.client_id != client_id:
        raise UsageError(f"the login was of client id {token.client_id}, not of {client_id}")
    if given["keep"]:
        _keep_key(desk.store, key)
    return token


def _keep_key(store: "SecretStore", key: "AppKey") -> None:
    """Into the store."""
    from dhanfast.brokers.dhan.stored_tokens import APP_ID, APP_SECRET

    store.put(APP_ID, key.app_id)
    store.put(APP_SECRET, key.app_secret)


async def _open_browser(url: str) -> None:
    """The user's browser, where there is one; the address was shown as well."""
    import webbrowser

    await asyncio.to_thread(webbrowser.open, url)


def pasted_token_id(text: str) -> str:
    """The tokenId in an address, or the text itself.

    Raises:
        UsageError: an address without one.
    """
    if "://" not in text:
        return text
    found = parse_qs(urlsplit(text).query).get("tokenId")
    if not found:
        raise UsageError("the address has no tokenId; paste the one the browser ended at")
    return found[-1]


async def _require_same(desk: Desk, token: "Token") -> None:
    """Ask the broker whether the token is alive and whose it is."""
    from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind

    try:
        profile = await desk.calls.profile(token)
    except BrokerError as error:
        if error.kind is ErrorKind.AUTH:
            raise NotAuthenticated(f"the broker refuses the token: {error.text}") from None
        raise
    if profile.client_id != token.client_id:
        raise UsageError(f"the token is of client id {profile.client_id}, not of {token.client_id}")


async def _status(desk: Desk, offline: bool) -> dict[str, Any]:
    """What there is to say of the token."""
    from dhanfast.brokers.dhan.errors import BrokerError
    from dhanfast.security.owner import holder

    found = desk.tokens.found()
    owner = holder(desk.config.folders.secrets / OWNER_FILE)
    said: dict[str, Any] = {"authenticated": False, "reason": "there is no token"}
    if found is None:
        said["reason"] += "; log in with `dhanfast auth login`"
        return said
    token, now_ns = found.token, SystemClock().now_ns()
    said |= {
        "client_id": token.client_id,
        "source": found.source,
        "kept_in": found.place,
        "kind": token.kind or None,
        "ends": _ist(token.expires_ns),
        "minutes_left": _minutes(token, now_ns),
        "owner": str(owner) if owner else None,
        "hint": _hint(found),
    }
    if not token.is_live(now_ns):
        return said | {"reason": "the token has ended; `dhanfast auth login` makes a new one"}
    if offline:
        return said | {"authenticated": True, "reason": "not asked"}
    try:
        profile = await desk.calls.profile(token)
    except BrokerError as error:
        return said | {"reason": f"the broker: {error}"}
    return said | {
        "authenticated": True,
        "reason": "the broker takes it",
        "segments": list(profile.segments),
        "data_plan": profile.data_plan,
        "data_until": _ist(profile.data_ends_ns or None),
    }


def _hint(found: "Found") -> str | None:
    """What to do about a token that lies in the clear."""
    if found.source == "file":
        return (
            f"{found.place} is not encrypted; keep it safely with: dhanfast auth login --method "
            f"token --file {found.place} --delete-file"
        )
    return None


def _minutes(token: "Token", now_ns: int) -> int | None:
    """Minutes until a token ends."""
    return None if token.expires_ns is None else (token.expires_ns - now_ns) // 60_000_000_000


def _ist(time_ns: int | None) -> str | None:
    """A time as the user's clock shows it."""
    if time_ns is None:
        return None
    zone = dt.timezone(dt.timedelta(seconds=19_800))
    return dt.datetime.fromtimestamp(time_ns / 1e9, zone).strftime("%Y-%m-%d %H:%M IST")


def _show(token: "Token", source: str, as_json: bool) -> None:
    """That it worked, without the token."""
    left = _minutes(token, SystemClock().now_ns())
    if as_json:
        print_json(
            {
                "client_id": token.client_id,
                "kind": token.kind or None,
                "ends": _ist(token.expires_ns),
                "minutes_left": left,
                "source": source,
            }
        )
        return
    ends = f", until {_ist(token.expires_ns)}" if token.expires_ns else ""
    click.echo(f"logged in as {token.client_id}{ends}")
    if left is not None and left < LATE_MIN:
        click.echo(f"it ends in {left} minutes", err=True)
