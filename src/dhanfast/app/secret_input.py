"""Where the user's secrets are, and how one is typed without being shown."""

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dhanfast.errors import UsageError

if TYPE_CHECKING:
    from dhanfast.security.owner import TokenOwner
    from dhanfast.security.store import SecretStore

PASSPHRASE_FILE = "DHANFAST_PASSPHRASE_FILE"
OWNER_FILE = "owner.lock"


def secrets_folder() -> Path:
    """The user's folder of secrets, beside the catalog."""
    from dhanfast.storage.catalog import default_root

    return default_root(os.environ).with_name("secrets")


def secret_store(
    folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> "SecretStore":
    """The user's store; asks for its passphrase only where somebody can answer.

    Args:
        folder: of secrets; None = the user's own.
        environ: variables, one of which may name a file with the passphrase; None = the process's.
    """
    from dhanfast.security.store import open_store

    ask = hidden if sys.stdin is not None and sys.stdin.isatty() else None
    named = (os.environ if environ is None else environ).get(PASSPHRASE_FILE)
    return open_store(folder or secrets_folder(), named, ask)


def token_owner(folder: Path, purpose: str) -> "TokenOwner":
    """The right to make tokens of the secrets in a folder."""
    from dhanfast.clock import SystemClock
    from dhanfast.security.owner import TokenOwner

    return TokenOwner(folder / OWNER_FILE, purpose, SystemClock())


def hidden(prompt: str) -> str:
    """A secret: typed without being shown, or a line of standard input when that is no terminal.

    Raises:
        UsageError: nothing came.
    """
    try:
        if sys.stdin.isatty():
            text = getpass.getpass(prompt, sys.stderr)
        else:
            text = sys.stdin.readline().rstrip("\r\n")
    except EOFError:
        text = ""
    if not text.strip():
        raise UsageError(f"nothing was typed for {prompt.strip(' :')!r}; nothing was done")
    return text.strip()


def new_passphrase(path: Path | None) -> str:
    """A passphrase for a store or a copy: from a file, or typed twice.

    Raises:
        UsageError: the two differ.
    """
    from dhanfast.security.store import read_passphrase

    if path is not None:
        return read_passphrase(path)
    first = hidden("New passphrase: ")
    if hidden("Again: ") != first:
        raise UsageError("the two passphrases differ; nothing was done, try again")
    return first


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        command
    )
