"""Where a command gets the access token from that the configuration names."""

import contextlib
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dhanfast.app.config import Config
from dhanfast.clock import Clock
from dhanfast.errors import ConfigError, NotAuthenticated
from dhanfast.security.tokens import FixedToken, Token, TokenSource

if TYPE_CHECKING:
    from dhanfast.brokers.dhan.hosts import Hosts

PASSPHRASE_FILE = "DHANFAST_PASSPHRASE_FILE"


async def token_source(
    config: Config, hosts: "Hosts", clock: Clock, stack: contextlib.AsyncExitStack
) -> TokenSource:
    """Who gives the token, and renews it when it can.

    Args:
        stack: what the source needs is closed with it.
    Raises:
        NotAuthenticated: there is no token. ConfigError: a place that no token is read from.
    """
    named = config.broker.token
    if named.place == "env":
        value = config.environ.get(named.name, "")
        if not value:
            raise NotAuthenticated(
                f"no access token: the variable {named.name}, which broker.token names, is not set"
            )
        return FixedToken(Token.of_jwt(value, config.client_id()))
    if named.place != "store" or named.name != "dhan":
        raise ConfigError(
            f"broker.token = {named}: a token is read from store:dhan (`dhanfast auth login`) "
            "or from env:NAME"
        )
    from dhanfast.brokers.dhan.auth import AuthCalls
    from dhanfast.brokers.dhan.stored_tokens import V1_FILE, StoredTokens
    from dhanfast.brokers.dhan.web import AioWeb
    from dhanfast.security.owner import TokenOwner
    from dhanfast.security.store import open_store

    web = AioWeb()
    stack.push_async_callback(web.close)
    folder = config.folders.secrets
    ask = getpass.getpass if sys.stdin.isatty() else None
    source = StoredTokens(
        AuthCalls(hosts, web),
        clock,
        store=open_store(folder, config.environ.get(PASSPHRASE_FILE), ask),
        environ=config.environ,
        token_file=Path(V1_FILE),
        owner=TokenOwner(folder / "owner.lock", f"the engine {config.engine.run}", clock),
    )
    found = source.found()
    if found is None:
        raise NotAuthenticated("no access token is stored: log in with `dhanfast auth login`")
    wanted = config.client_id()
    if wanted and found.token.client_id != wanted:
        raise NotAuthenticated(
            f"the stored token is of client id {found.token.client_id}, the configuration names "
            f"{wanted}: log in as that client, or change broker.client_id"
        )
    return source
