"""What needs the extra [live] says so, and is not imported before it is used."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from dhanfast.brokers.dhan.updates import dial_aiohttp
from dhanfast.brokers.dhan.web import AioWeb
from dhanfast.errors import UsageError
from dhanfast.security import keys
from dhanfast.security.keys import KeyFacts, KeyringKey, PassphraseKey

LIBRARIES = ("aiohttp", "cryptography", "keyring", "pyotp", "picows", "uvloop", "httptools")
LOOK = """
import sys
import dhanfast.app.cli, dhanfast.app.cli_auth, dhanfast.app.cli_secrets, dhanfast.app.secret_input
import dhanfast.brokers.dhan.rest, dhanfast.brokers.dhan.updates
import dhanfast.brokers.dhan.stored_tokens, dhanfast.brokers.dhan.consent_page
import dhanfast.security.store, dhanfast.security.totp, dhanfast.security.owner
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_importing_the_client_imports_no_optional_library() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert not set(LIBRARIES) & set(done.stdout.split())


@pytest.mark.parametrize(
    ("library", "use"),
    [
        ("aiohttp", AioWeb),
        ("aiohttp", lambda: asyncio.run(_dial())),
        ("cryptography.hazmat.primitives.kdf.scrypt", lambda: PassphraseKey("x" * 8).made()),
        ("keyring", lambda: KeyringKey("a").opened(KeyFacts("keyring"))),
    ],
)
def test_a_missing_library_is_named_with_its_remedy(
    library: str, use: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=r"pip install 'dhanfast\[live\]'"):
        use()


def test_without_the_keyring_library_there_is_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert not KeyringKey.usable() and keys._keyring() is None


async def _dial() -> None:
    await dial_aiohttp("ws://127.0.0.1:1")
