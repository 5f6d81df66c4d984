"""A broker's client made from the configuration: addresses, token source, proxy."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dhanfast.app.config import Config
from dhanfast.app.secret_input import secret_store
from dhanfast.clock import Clock
from dhanfast.errors import NotAuthenticated, UsageError

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.caller import CallSettings
    from dhanfast.brokers.dhan.hosts import Hosts
    from dhanfast.brokers.dhan.rest import DhanRest
    from dhanfast.brokers.dhan.stored_tokens import StoredTokens
    from dhanfast.brokers.dhan.web import Web
    from dhanfast.security.owner import TokenOwner
    from dhanfast.security.tokens import TokenSource

KEYRING_SERVICE: Final = "dhanfast"


def broker_hosts(config: Config) -> "Hosts":
    """Where the broker is.

    Raises:
        ConfigError: an address that would lose a token.
    """
    from dhanfast.brokers.dhan.hosts import Hosts

    return Hosts(**config.hosts())


def token_source(
    config: Config, clock: Clock, web: "Web", *, owner: "TokenOwner | None" = None
) -> "TokenSource":
    """Whose token is used, from where `broker.token` says.

    Args:
        web: who sends what a renewal needs.
        owner: the right to renew; None: a token is only read.

    Raises:
        NotAuthenticated: the place that is named holds none.
        ConfigError, UsageError: the place cannot be used.
    """
    from dhanfast.security.tokens import FixedToken, Token

    place, name = config.broker.token.place, config.broker.token.name
    if place == "store":
        return _stored(config, clock, web, owner)
    if place == "env":
        value = config.environ.get(name, "")
        where = f"the environment or {config.folders.dotenv}"
    else:
        value, where = _from_keyring(name), f"the keyring's entries of {KEYRING_SERVICE!r}"
    if not value.strip():
        raise NotAuthenticated(
            f"broker.token is {place}:{name} (from {config.source('broker.token')}), and {name} "
            f'is not in {where}; set it, or `dhanfast auth login` and token = "store:dhan"'
        )
    return FixedToken(Token.of_jwt(value, config.client_id()))


def open_rest(
    config: Config, clock: Clock, *, owner: "TokenOwner | None" = None,
    settings: "CallSettings | None" = None,
) -> "DhanRest":  # fmt: skip
    """The client of the broker's REST API; enter it.

    Args:
        settings: how patient its calls are.

    Raises:
        NotAuthenticated, ConfigError, UsageError: as `token_source`.
    """
    from dhanfast.brokers.dhan.rest import DhanRest
    from dhanfast.brokers.dhan.web import AioWeb

    web = AioWeb()  # closed with the client
    tokens = token_source(config, clock, web, owner=owner)
    return DhanRest(
        broker_hosts(config),
        tokens,
        clock,
        session=web,
        order_proxy=config.order_proxy(),
        settings=settings,
    )


def _stored(config: Config, clock: Clock, web: "Web", owner: "TokenOwner | None") -> "StoredTokens":
    """The encrypted store of the user, then version 1's file and variables."""
    from dhanfast.brokers.dhan.auth import AuthCalls
    from dhanfast.brokers.dhan.stored_tokens import V1_FILE, StoredTokens

    if config.broker.token.name != "dhan":
        raise UsageError(
            f"broker.token is {config.broker.token}: the store has one login, store:dhan"
        )
    return StoredTokens(
        AuthCalls(broker_hosts(config), web),
        clock,
        store=secret_store(config.folders.secrets, config.environ),
        environ=config.environ,
        token_file=_v1_file(config, V1_FILE),
        owner=owner,
    )


def _v1_file(config: Config, name: str) -> Path:
    """Version 1's token file: in the user's folder, else where it was, beside the program."""
    own = config.folders.root / name
    return own if own.exists() else Path(os.getcwd()) / name


def _from_keyring(name: str) -> str:
    """A secret of the system's keyring; empty when there is none."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise UsageError("keyring: needs: pip install 'dhanfast[live]'") from None
    try:
        return keyring.get_password(KEYRING_SERVICE, name) or ""
    except KeyringError as error:
        raise UsageError(
            f"keyring:{name}: the keyring cannot be used ({type(error).__name__}); use store:dhan"
        ) from None
