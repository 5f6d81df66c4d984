"""The encrypted store: what goes in comes out, and nothing else is ever taken for it."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhanfast.errors import DhanfastError, UsageError
from dhanfast.security import keys
from dhanfast.security.keys import KeyringKey, PassphraseKey, WrongKey
from dhanfast.security.store import Damaged, SecretStore, open_store, read_passphrase

pytest.importorskip("cryptography", reason="needs the extra [live]")

PHRASE = "correct horse battery"


def store_at(folder: Path, phrase: str = PHRASE) -> SecretStore:
    return SecretStore(folder, lambda _: PassphraseKey(phrase))


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return store_at(tmp_path / "secrets")


def said(store: SecretStore) -> dict[str, Any]:
    """The file as JSON."""
    found: dict[str, Any] = json.loads(store.path.read_text())
    return found


def write(store: SecretStore, changed: dict[str, Any]) -> None:
    """Put a changed file in its place."""
    store.path.write_text(json.dumps(changed))


def test_what_goes_in_comes_out_and_does_not_stand_in_the_file(store: SecretStore) -> None:
    assert store.get("dhan.pin") is None and store.names() == [] and not store.exists
    store.put("dhan.pin", "123456")
    store.put("dhan.totp-secret", "GEZDGNBVGY3TQOJQ")
    again = store_at(store.path.parent)
    assert again.get("dhan.pin") == "123456" and again.names() == ["dhan.pin", "dhan.totp-secret"]
    raw = store.path.read_bytes()
    assert b"123456" not in raw and b"GEZD" not in raw and PHRASE.encode() not in raw
    assert PHRASE not in repr(again) + repr(PassphraseKey(PHRASE))
    assert store.remove("dhan.pin", "dhan.other") == ["dhan.pin"]
    assert again.get("dhan.pin") is None


def test_file_and_folder_are_for_the_user_alone(store: SecretStore) -> None:
    old = os.umask(0)
    try:
        store.put("a", "b")
    finally:
        os.umask(old)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    store.path.chmod(0o640)
    with pytest.raises(DhanfastError, match="chmod 600"):
        store.get("a")
    store.path.chmod(0o600)
    store.path.parent.chmod(0o755)
    with pytest.raises(DhanfastError, match="chmod 700"):
        store.names()


def test_a_link_is_no_store(store: SecretStore, tmp_path: Path) -> None:
    store.put("a", "b")
    moved = tmp_path / "elsewhere.json"
    store.path.rename(moved)
    store.path.symlink_to(moved)
    with pytest.raises(DhanfastError, match="no link"):
        store.get("a")


def test_another_passphrase_is_refused_in_words(store: SecretStore) -> None:
    store.put("a", "b")
    with pytest.raises(WrongKey, match="the passphrase is not the one") as caught:
        store_at(store.path.parent, "wrong horse battery").get("a")
    assert "wrong horse" not in str(caught.value)
    with pytest.raises(WrongKey):
        store_at(store.path.parent, "wrong horse battery").put("a", "c")
    assert store.get("a") == "b"


def test_records_that_were_exchanged_are_refused(store: SecretStore) -> None:
    store.put("a", "first")
    store.put("b", "second")
    file = said(store)
    file["records"]["a"], file["records"]["b"] = file["records"]["b"], file["records"]["a"]
    write(store, file)
    for name in "ab":
        with pytest.raises(Damaged, match=f"secret {name}: was changed"):
            store.get(name)


def test_every_flipped_bit_of_a_record_is_seen(store: SecretStore) -> None:
    import base64

    store.put("a", "xyz")
    file = said(store)
    raw = bytearray(base64.b64decode(file["records"]["a"]))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << (place % 8)
        write(store, {**file, "records": {"a": base64.b64encode(bytes(changed)).decode()}})
        with pytest.raises(Damaged):
            store.get("a")
    for cut in (0, 5, 11, 27):
        write(store, {**file, "records": {"a": base64.b64encode(bytes(raw[:cut])).decode()}})
        with pytest.raises(Damaged):
            store.get("a")


@pytest.mark.parametrize(
    "change",
    [
        lambda f: {**f, "key": {**f["key"], "salt": "AAAA"}},
        lambda f: {**f, "key": {**f["key"], "salt": "?"}},
        lambda f: {**f, "key": {**f["key"], "n": 2}},
        lambda f: {**f, "key": {**f["key"], "n": 2**40}},
        lambda f: {**f, "key": {**f["key"], "n": 40_000}},
        lambda f: {**f, "key": {**f["key"], "r": 1}},
        lambda f: {**f, "key": {"kind": "keyring", "account": "x"}},
        lambda f: {**f, "check": ""},
        lambda f: {**f, "check": f["records"]["a"]},
        lambda f: {**f, "version": 2},
        lambda f: {**f, "more": 1},
        lambda f: {k: v for k, v in f.items() if k != "key"},
        lambda f: [f],
    ],
)
def test_a_changed_head_opens_nothing(store: SecretStore, change: Callable[[Any], Any]) -> None:
    store.put("a", "b")
    write(store, change(said(store)))
    fresh = store_at(store.path.parent)
    with pytest.raises((WrongKey, Damaged)):
        fresh.get("a")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused(store: SecretStore, data: bytes) -> None:
    if not store.exists:
        store.put("a", "b")
    store.path.write_bytes(data)
    with pytest.raises(Damaged):
        store.names()


def test_rotation_is_all_or_nothing(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("a", "1")
    store.put("b", "2")
    before = store.path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DhanfastError, match="the old secrets stand"):
        store.rotate(PassphraseKey("another passphrase"))
    assert store.path.read_bytes() == before
    assert [p.name for p in store.path.parent.iterdir() if p.name.startswith(".new-")] == []
    monkeypatch.undo()
    fresh = store_at(store.path.parent)
    assert fresh.get("a") == "1"
    assert fresh.rotate(PassphraseKey("another passphrase")) == 2
    assert store_at(store.path.parent, "another passphrase").get("b") == "2"
    with pytest.raises(WrongKey):
        store_at(store.path.parent).get("b")


def test_a_copy_moves_secrets_to_another_store(store: SecretStore, tmp_path: Path) -> None:
    store.put("a", "1")
    copy = tmp_path / "copy.dfs"
    assert store.export_to(copy, PassphraseKey("passphrase of the copy")) == 1
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600 and b'"1"' not in copy.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        store.export_to(copy, PassphraseKey("passphrase of the copy"))
    other = store_at(tmp_path / "other", "passphrase of the other")
    other.put("b", "2")
    with pytest.raises(WrongKey):
        other.import_from(copy, lambda _: PassphraseKey("not this passphrase"))
    assert other.import_from(copy, lambda _: PassphraseKey("passphrase of the copy")) == ["a"]
    assert (other.get("a"), other.get("b")) == ("1", "2")


@pytest.mark.parametrize("name", ["", "A", "../x", "a" * 65, "-a", "a b", "/check"])
def test_names_that_cannot_be_kept_are_refused(store: SecretStore, name: str) -> None:
    with pytest.raises(UsageError, match="secret name"):
        store.put(name, "x")
    with pytest.raises(UsageError):
        store.get(name)
    with pytest.raises(UsageError, match="1 to"):
        store.put("a", "")


def test_a_machine_without_keyring_and_passphrase_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_keyring", lambda: None)
    with pytest.raises(DhanfastError, match="DHANFAST_PASSPHRASE_FILE"):
        open_store(tmp_path / "s", None).put("a", "b")
    assert not (tmp_path / "s" / "store.json").exists()


def test_the_passphrase_comes_from_a_file_that_is_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "phrase"
    path.write_text(f"{PHRASE}\n")
    path.chmod(0o644)
    with pytest.raises(DhanfastError, match="chmod 600"):
        read_passphrase(path)
    path.chmod(0o600)
    store = open_store(tmp_path / "s", str(path))
    store.put("a", "b")
    assert store_at(tmp_path / "s").get("a") == "b"
    with pytest.raises(DhanfastError, match="cannot be read"):
        read_passphrase(tmp_path / "absent")
    with pytest.raises(UsageError, match="at least 8 characters, this one has 5"):
        PassphraseKey("short")


def test_a_new_passphrase_is_typed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_keyring", lambda: None)
    typed = iter([PHRASE, "something else"])
    with pytest.raises(UsageError, match="differ"):
        open_store(tmp_path / "s", None, lambda _: next(typed)).put("a", "b")
    typed = iter([PHRASE, PHRASE])
    open_store(tmp_path / "s", None, lambda _: next(typed)).put("a", "b")
    typed = iter([PHRASE])  # once is enough for one that is there, and it is asked once
    store = open_store(tmp_path / "s", None, lambda _: next(typed))
    assert store.get("a") == "b" and store.get("a") == "b"


class Ring:
    """A keyring that keeps everything in memory, or fails in one way."""

    class errors:
        class KeyringError(Exception):
            pass

    def __init__(self, priority: float = 5, *, forgets: bool = False, locked: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.priority = priority
        self.forgets, self.locked = forgets, locked

    def get_keyring(self) -> "Ring":
        return self

    def set_password(self, service: str, account: str, text: str) -> None:
        if self.locked:
            raise self.errors.KeyringError("locked")
        if not self.forgets:
            self.kept[service, account] = text

    def get_password(self, service: str, account: str) -> str | None:
        if self.locked:
            raise self.errors.KeyringError("locked")
        return self.kept.get((service, account))


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ring]:
    own = Ring()
    monkeypatch.setattr(keys, "_keyring", lambda: own)
    yield own


def test_a_keyring_keeps_the_key(ring: Ring, tmp_path: Path) -> None:
    store = open_store(tmp_path / "s", None)
    store.put("a", "b")
    assert len(ring.kept) == 1 and said(store)["key"]["kind"] == "keyring"
    assert open_store(tmp_path / "s", None).get("a") == "b"
    raw = store.path.read_text()
    assert all(key not in raw for key in ring.kept.values())
    ring.kept.clear()
    with pytest.raises(WrongKey, match="the keyring has no key"):
        open_store(tmp_path / "s", None).get("a")


def test_keyrings_that_do_not_keep_are_not_used(ring: Ring, tmp_path: Path) -> None:
    ring.priority = 0.5  # a plain file
    assert not KeyringKey.usable()
    with pytest.raises(DhanfastError, match="no keyring"):
        open_store(tmp_path / "s", None).put("a", "b")
    ring.priority, ring.forgets = 5, True
    with pytest.raises(DhanfastError):
        open_store(tmp_path / "s", None).put("a", "b")
    ring.forgets, ring.locked = False, True
    with pytest.raises(DhanfastError, match="unlock"):
        open_store(tmp_path / "s", None).put("a", "b")


class StoreAgainstADictionary(RuleBasedStateMachine):
    """Any sequence of changes by two handles on one file is that of a dictionary."""

    names = st.sampled_from(["a", "b", "dhan.pin"])

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        key = _CheapKey()
        home = Path(self.folder.name) / "s"
        self.handles = [SecretStore(home, lambda _: key), SecretStore(home, lambda _: key)]
        self.plain: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(at=st.integers(0, 1), name=names, value=st.text(min_size=1, max_size=20))
    def put(self, at: int, name: str, value: str) -> None:
        self.handles[at].put(name, value)
        self.plain[name] = value

    @rule(at=st.integers(0, 1), name=names)
    def remove(self, at: int, name: str) -> None:
        gone = self.handles[at].remove(name)
        assert gone == ([name] if self.plain.pop(name, None) is not None else [])

    @rule(at=st.integers(0, 1))
    def rotate(self, at: int) -> None:
        if self.handles[at].exists:
            assert self.handles[at].rotate(_CheapKey()) == len(self.plain)

    @invariant()
    def same(self) -> None:
        for handle in getattr(self, "handles", []):
            assert handle.names() == sorted(self.plain)
            assert all(handle.get(name) == value for name, value in self.plain.items())


class _CheapKey:
    """A key without scrypt's tenth of a second."""

    what = "the key"

    def made(self) -> tuple[keys.KeyFacts, bytes]:
        salt = os.urandom(4).hex()
        return keys.KeyFacts("cheap", salt=salt), salt.encode() * 4

    def opened(self, facts: keys.KeyFacts) -> bytes:
        return facts.salt.encode() * 4


TestStoreAgainstADictionary = StoreAgainstADictionary.TestCase
TestStoreAgainstADictionary.settings = settings(max_examples=15, stateful_step_count=20,
                                                deadline=None)  # fmt: skip
