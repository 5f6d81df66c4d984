"""Keys of the secret store: from a passphrase, or kept by the system's keyring."""

import base64
import binascii
import secrets
from typing import Any, Final, Protocol

import msgspec

from dhanfast.errors import DhanfastError, UsageError

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
SCRYPT_N: Final = 1 << 15  # with r=8: 32 MiB and about 0.1 s a try
SCRYPT_N_MAX: Final = 1 << 20
PASSPHRASE_MIN: Final = 8
SERVICE: Final = "dhanfast"  # name in the keyring


class KeyFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a store says of its key; nothing of it is secret."""

    kind: str  # passphrase or keyring
    n: int = 0
    r: int = 0
    p: int = 0
    salt: str = ""
    account: str = ""


class WrongKey(DhanfastError):
    """The key is not the store's: a wrong passphrase, or another user's keyring."""


class Key(Protocol):
    """Where the 32 bytes of a store's key come from."""

    what: str  # for messages

    def made(self) -> tuple[KeyFacts, bytes]:
        """A key for a store that is written anew, and what the store must say of it."""
        ...

    def opened(self, facts: KeyFacts) -> bytes:
        """The key of a store that says this of it."""
        ...


class PassphraseKey:
    """A key made by scrypt from what a person knows.

    Raises:
        UsageError: shorter than 8 characters.
    """

    what = "the passphrase"

    def __init__(self, passphrase: str) -> None:
        if len(passphrase) < PASSPHRASE_MIN:
            raise UsageError(
                f"a passphrase must have at least {PASSPHRASE_MIN} characters, this one has "
                f"{len(passphrase)}; four words are good"
            )
        self._passphrase = passphrase

    def __repr__(self) -> str:
        """Nothing of it."""
        return "PassphraseKey('***')"

    def made(self) -> tuple[KeyFacts, bytes]:
        """A key with a new salt."""
        salt = base64.b64encode(secrets.token_bytes(SALT_BYTES)).decode()
        facts = KeyFacts("passphrase", SCRYPT_N, 8, 1, salt)
        return facts, self.opened(facts)

    def opened(self, facts: KeyFacts) -> bytes:
        """The key of a store.

        Raises:
            WrongKey: the store's key is of another kind, or its figures are out of range.
        """
        if facts.kind != "passphrase":
            raise WrongKey(f"the store's key is kept by the {facts.kind}, not by a passphrase")
        power = facts.n.bit_length() - 1
        if not (SCRYPT_N <= facts.n <= SCRYPT_N_MAX and facts.n == 1 << power):
            raise WrongKey(
                f"the store's scrypt n of {facts.n} is not one of {SCRYPT_N}..{SCRYPT_N_MAX}; "
                "the file was changed"
            )
        if (facts.r, facts.p) != (8, 1):
            raise WrongKey(f"the store's scrypt r={facts.r} p={facts.p} is not r=8 p=1")
        try:
            salt = base64.b64decode(facts.salt, validate=True)
        except (ValueError, binascii.Error):
            raise WrongKey("the store's salt cannot be read; the file was changed") from None
        try:
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
        except ImportError:
            raise UsageError("secrets need cryptography: pip install 'dhanfast[live]'") from None
        maker = Scrypt(salt=salt, length=KEY_BYTES, n=facts.n, r=facts.r, p=facts.p)
        key: bytes = maker.derive(self._passphrase.encode())
        return key


class KeyringKey:
    """A random key that the system's keyring keeps.

    Args:
        account: its name in the keyring.
    """

    what = "the key in the system's keyring"

    def __init__(self, account: str) -> None:
        self._account = account

    @staticmethod
    def usable() -> bool:
        """Whether the system has a keyring that keeps secrets well: not one of plain files."""
        keyring = _keyring()
        return keyring is not None and float(keyring.get_keyring().priority) >= 1

    def made(self) -> tuple[KeyFacts, bytes]:
        """A new random key, written to the keyring and read back.

        Raises:
            DhanfastError: the keyring refuses or does not keep it.
        """
        raw = secrets.token_bytes(KEY_BYTES)
        text, facts = base64.b64encode(raw).decode(), KeyFacts("keyring", account=self._account)
        keyring = self._required()
        try:
            keyring.set_password(SERVICE, self._account, text)
        except keyring.errors.KeyringError as error:
            raise DhanfastError(
                f"the keyring refuses to keep the key ({type(error).__name__}); unlock it, or "
                "name a passphrase file in DHANFAST_PASSPHRASE_FILE"
            ) from None
        if self.opened(facts) != raw:
            raise DhanfastError("the keyring does not give back what it was given; do not use it")
        return facts, raw

    def opened(self, facts: KeyFacts) -> bytes:
        """The key, from the keyring.

        Raises:
            WrongKey: the keyring has no such key.
            DhanfastError: there is no keyring, or it is locked.
        """
        keyring = self._required()
        try:
            text = keyring.get_password(SERVICE, facts.account)
        except keyring.errors.KeyringError as error:
            raise DhanfastError(
                f"the keyring cannot be read ({type(error).__name__}); unlock it and try again"
            ) from None
        try:
            return base64.b64decode(text or "", validate=True) if text else _absent(facts)
        except (ValueError, binascii.Error):
            raise WrongKey("the keyring's entry for dhanfast is not a key") from None

    @staticmethod
    def _required() -> Any:
        """The keyring library."""
        keyring = _keyring()
        if keyring is None:
            raise UsageError("the store's key is in a keyring: pip install 'dhanfast[live]'")
        return keyring


def _absent(facts: KeyFacts) -> bytes:
    """There is no such entry."""
    raise WrongKey(
        f"the keyring has no key {SERVICE}/{facts.account}: another user's, or another machine's "
        "store. Delete the store and log in again, or import an exported copy"
    )


def _keyring() -> Any:
    """The library with its errors; None when it is not installed."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    return keyring
