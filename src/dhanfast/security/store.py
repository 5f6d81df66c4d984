"""Secrets on disk: one file, every record encrypted on its own, replaced whole or not at all.

    {"format": "dhanfast-secrets", "version": 1,
     "key": {"kind": "passphrase", "n": 32768, "r": 8, "p": 1, "salt": base64}
          | {"kind": "keyring", "account": text},
     "check": base64, "records": {name: base64, ...}}

A record is nonce (12 bytes) and AES-256-GCM of its value; its name is bound in as associated data,
so that records cannot be exchanged. `check` is such a record of a known text: it tells a wrong key
from a damaged record. The key is random and kept by the system's keyring, or made from a passphrase
by scrypt. The file is 0600 in a folder of 0700; others are refused, not repaired in silence.
"""

import base64
import binascii
import fcntl
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from dhanfast.errors import DhanfastError, UsageError
from dhanfast.security.keys import KEY_BYTES, Key, KeyFacts, KeyringKey, PassphraseKey, WrongKey

FORMAT: Final = "dhanfast-secrets"
VERSION: Final = 1
FILE_NAME: Final = "store.json"
NONCE_BYTES: Final = 12
VALUE_MAX: Final = 1 << 16
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CHECK_NAME: Final = "/check"  # no record can have this name
CHECK_TEXT: Final = b"dhanfast"

Ask = Callable[[str], str]  # shows a prompt, returns what was typed without showing it


class StoreFile(msgspec.Struct, forbid_unknown_fields=True):
    """The file as it stands."""

    format: str
    version: int
    key: KeyFacts
    check: str
    records: dict[str, str]


class Damaged(DhanfastError):
    """The store, or a record of it, was changed or cut; nothing of it is used."""


class SecretStore:
    """Named secrets of the user.

    Args:
        folder: made when missing, for the user alone.
        key_for: gives the key of an existing store (told its facts), or of a new one (told None).

    Raises:
        DhanfastError: from every method: the folder or the file is open to others, cannot be read
            or written; no key can be had.
        Damaged: the file is no store, or a record was changed.
        WrongKey: the key is not the store's.
    """

    def __init__(self, folder: Path, key_for: "Callable[[KeyFacts | None], Key]") -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._key_for = key_for
        self._key: tuple[KeyFacts, bytes] | None = None  # as last used

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def exists(self) -> bool:
        """Whether there is a store yet."""
        return self._path.exists()

    def __repr__(self) -> str:
        """The file, nothing of what is in it."""
        return f"SecretStore({str(self._path)!r})"

    def names(self) -> list[str]:
        """Names of the records; needs no key."""
        return sorted(self._read().records) if self.exists else []

    def get(self, name: str) -> str | None:
        """A secret, None when there is none of that name."""
        checked_name(name)
        if not self.exists:
            return None
        file = self._read()
        if name not in file.records:
            return None
        return _opened(self._unlocked(file), name, file.records[name]).decode()

    def put(self, name: str, value: str) -> None:
        """Keep a secret; one of that name is replaced.

        Raises:
            UsageError: a name or a value that cannot be kept.
        """
        checked_name(name)
        if not value or len(value.encode()) > VALUE_MAX:
            raise UsageError(f"secret {name} must have 1 to {VALUE_MAX:,} bytes; it was not kept")
        with self._changing() as file:
            file.records[name] = _sealed(self._unlocked(file), name, value.encode())

    def remove(self, *names: str) -> list[str]:
        """Forget secrets; tells which there were. The store must be there."""
        if not self.exists:
            return []
        with self._changing() as file:
            gone = [name for name in names if file.records.pop(name, None) is not None]
        return gone

    def rotate(self, key: Key) -> int:
        """Encrypt everything anew under another key, all or nothing; tells how many records."""
        with self._changing() as file:
            old = self._unlocked(file)
            plain = {name: _opened(old, name, sealed) for name, sealed in file.records.items()}
            self._lay(file, key, plain)
        return len(plain)

    def export_to(self, path: Path, key: Key) -> int:
        """Write a copy under another key: for a backup or another machine."""
        if path.exists():
            raise UsageError(f"{path}: is there already; choose another name")
        file = self._read()
        old = self._unlocked(file)
        plain = {name: _opened(old, name, sealed) for name, sealed in file.records.items()}
        copy = _empty()
        self._fill(copy, key, plain)
        _replace(path, msgspec.json.encode(copy))
        return len(plain)

    def import_from(self, path: Path, key_for: "Callable[[KeyFacts | None], Key]") -> list[str]:
        """Take over the records of a copy; those of the same names are replaced."""
        copy = _decoded(path)
        opened = _key_of(copy, key_for(copy.key), path)
        plain = {name: _opened(opened, name, sealed) for name, sealed in copy.records.items()}
        for name in plain:
            checked_name(name)
        with self._changing() as file:
            mine = self._unlocked(file)
            for name, value in plain.items():
                file.records[name] = _sealed(mine, name, value)
        return sorted(plain)

    def _read(self) -> StoreFile:
        """The file, as long as it is ours alone."""
        for path, mode, kind in ((self._folder, 0o700, "folder"), (self._path, 0o600, "file")):
            about = path.lstat()
            if stat.S_ISLNK(about.st_mode) or about.st_uid != os.geteuid():
                raise DhanfastError(
                    f"{path}: the {kind} of secrets must be yours and no link; look who put it "
                    "there, and set the secrets again if in doubt"
                )
            if about.st_mode & 0o777 & ~mode:
                raise DhanfastError(
                    f"{path}: mode {about.st_mode & 0o777:04o} lets others in, so it is not used; "
                    f"run: chmod {mode:o} {path}"
                )
        return _decoded(self._path)

    @contextmanager
    def _changing(self) -> Iterator[StoreFile]:
        """The file under a lock; written back when the block ends well."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(self._folder / ".lock", flags, 0o600)
        except OSError as error:
            raise DhanfastError(f"{self._folder}: cannot be used ({error.strerror})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if self.exists:
                file = self._read()
            else:
                file = _empty()
                self._lay(file, self._key_for(None), {})
            yield file
            _replace(self._path, msgspec.json.encode(file))
        finally:
            os.close(handle)

    def _lay(self, file: StoreFile, key: Key, plain: dict[str, bytes]) -> None:
        """Fill a file under a key, and go on with that key."""
        raw = self._fill(file, key, plain)
        self._key = (file.key, raw)

    @staticmethod
    def _fill(file: StoreFile, key: Key, plain: dict[str, bytes]) -> bytes:
        """Fill a file under a key; the raw key."""
        facts, raw = key.made()
        file.key, file.check = facts, _sealed(raw, CHECK_NAME, CHECK_TEXT)
        file.records = {name: _sealed(raw, name, value) for name, value in plain.items()}
        return raw

    def _unlocked(self, file: StoreFile) -> bytes:
        """The raw key of a file; asked for once, and again after it has changed."""
        if self._key is None or self._key[0] != file.key:
            raw = _key_of(file, self._key_for(file.key), self._path)
            self._key = (file.key, raw)
        return self._key[1]


def open_store(folder: Path, passphrase_file: str | None, ask: Ask | None = None) -> SecretStore:
    """The user's store, with the key from where it is: keyring, passphrase file, or the keyboard.

    A new store takes the passphrase file when there is one, else the keyring when it is a real
    one, else a passphrase typed twice.

    Args:
        folder: of secrets.
        passphrase_file: value of DHANFAST_PASSPHRASE_FILE.
        ask: reads a passphrase from a person; None on a machine without one.
    """

    def key_for(facts: KeyFacts | None) -> Key:
        if facts is not None and facts.kind == "keyring":
            return KeyringKey(facts.account)
        if passphrase_file:
            return PassphraseKey(read_passphrase(Path(passphrase_file)))
        if facts is None and KeyringKey.usable():
            return KeyringKey(f"store-{secrets.token_hex(4)}")
        if ask is not None:
            return PassphraseKey(_asked(ask, facts is None))
        raise DhanfastError(
            "the secret store has no key: this machine has no keyring, and no passphrase was "
            "given. Put a passphrase of your choice into a file of mode 0600 and name it in "
            "DHANFAST_PASSPHRASE_FILE; or run the command where it can ask you"
        )

    return SecretStore(folder, key_for)


def _asked(ask: Ask, new: bool) -> str:
    """A passphrase from a person; a new one is typed twice."""
    first = ask("New passphrase of the secret store: " if new else "Passphrase: ")
    if new and ask("Again: ") != first:
        raise UsageError("the two passphrases differ; nothing was kept, try again")
    return first


def read_passphrase(path: Path) -> str:
    """The passphrase in a file, without the line's end.

    Raises:
        DhanfastError: no such file, or others may read or change it.
    """
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise DhanfastError(f"DHANFAST_PASSPHRASE_FILE {path}: cannot be read ({why})") from error
    if mode & 0o077:
        raise DhanfastError(
            f"DHANFAST_PASSPHRASE_FILE {path}: mode {mode:04o} lets others in; "
            f"run: chmod 600 {path}"
        )
    return text


def checked_name(name: str) -> str:
    """A name that a record may have.

    Raises:
        UsageError: other signs than a-z 0-9 . _ -, or too long.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"secret name {name!r} must be 1 to 64 of a-z 0-9 . _ - and begin with a letter or "
            "digit, such as dhan.pin"
        )
    return name


def _empty() -> StoreFile:
    """A file without key and records."""
    return StoreFile(FORMAT, VERSION, KeyFacts("none"), "", {})


def _decoded(path: Path) -> StoreFile:
    """A file as it stands."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=StoreFile)
    except OSError as error:
        raise DhanfastError(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Damaged(
            f"{path}: is no secret store, or was cut or changed; restore a copy, or delete it and "
            "log in again"
        ) from None
    if (file.format, file.version) != (FORMAT, VERSION):
        raise Damaged(f"{path}: version {file.version} of {file.format!r} is not known here")
    return file


def _key_of(file: StoreFile, key: Key, path: Path) -> bytes:
    """The raw key, after the check record has proved it."""
    raw = key.opened(file.key)
    try:
        good = _opened(raw, CHECK_NAME, file.check) == CHECK_TEXT
    except Damaged:
        good = False
    if not good:
        raise WrongKey(
            f"{path}: {key.what} is not the one this store was made with (or the file's head was "
            "changed); nothing was read. Try again, or delete the file and log in again"
        )
    return raw


def _sealed(key: bytes, name: str, value: bytes) -> str:
    """A value encrypted, its name bound in."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed: bytes = _cipher(key).encrypt(nonce, value, _bound(name))
    return base64.b64encode(nonce + sealed).decode()


def _opened(key: bytes, name: str, sealed: str) -> bytes:
    """What was sealed.

    Raises:
        Damaged: it was changed, or belongs under another name.
    """
    from cryptography.exceptions import InvalidTag

    try:
        raw = base64.b64decode(sealed, validate=True)
        value: bytes = _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound(name))
    except (InvalidTag, ValueError, binascii.Error):
        raise Damaged(
            f"secret {name}: was changed since it was kept; it is not used. Set it again, or "
            "restore a copy"
        ) from None
    return value


def _bound(name: str) -> bytes:
    """What a record is bound to."""
    return f"{FORMAT}/{VERSION}/{name}".encode()


def _cipher(key: bytes) -> Any:
    """AES-256-GCM."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise UsageError("secrets need cryptography: pip install 'dhanfast[live]'") from None
    if len(key) != KEY_BYTES:
        raise WrongKey(f"a key has {KEY_BYTES} bytes, this one {len(key)}")
    return AESGCM(key)


def _replace(path: Path, data: bytes) -> None:
    """Put bytes under a name, whole or not at all, readable by the user alone."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)  # 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise DhanfastError(
            f"{path}: cannot be written ({error.strerror}); the old secrets stand"
        ) from error
