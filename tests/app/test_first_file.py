"""With what text of a strategy's file a day's journal is gone on with, after swaps."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.journal import Kind
from dhanfast.app.config import load_config
from dhanfast.app.live_build import first_file
from dhanfast.engine.swap_words import stop_words, swap_words
from dhanfast.errors import ConfigError

OLD, NEW = b"first = 1\n", b"second = 2\n"


def sha(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def start(text: bytes = OLD) -> tuple[int, bytes]:
    told = {"capital": 1, "strategy": {"sha256": sha(text), "source": text.decode()}}
    return int(Kind.START), json.dumps(told).encode()


def swap(place: Path | str, text: bytes) -> tuple[int, bytes]:
    words = swap_words(name="x", place=str(place), params={}, sha256=sha(text), bars=0, source=text)
    return int(Kind.STRATEGY), bytes(16) + words


def stop() -> tuple[int, bytes]:
    return int(Kind.STRATEGY), bytes(16) + stop_words(why="raised", text="x", way="rollback")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_bytes(OLD)
    return path


def found(folder: Path, *records: tuple[int, bytes]) -> str:
    config: Any = load_config([], folder, ["strategy.use=mine.py", "strategy.name=x"], {},
                              named_only=True)  # fmt: skip
    return first_file(config, records)


def test_a_file_that_is_what_it_was(tmp_path: Path, mine: Path) -> None:
    assert found(tmp_path, start()) == sha(OLD)
    assert found(tmp_path) == "", "the day begins: as the file is"


def test_a_file_that_was_changed_and_swapped_in(tmp_path: Path, mine: Path) -> None:
    mine.write_bytes(NEW)
    assert found(tmp_path, start(), swap(mine, NEW)) == sha(OLD)
    assert found(tmp_path, start(), swap(mine, NEW), stop()) == sha(OLD), "or put back"


def test_a_file_that_was_changed_and_not_swapped_in_is_told_as_before(
    tmp_path: Path, mine: Path
) -> None:
    """The header's digest is then another, and the start is refused."""
    mine.write_bytes(NEW)
    assert found(tmp_path, start()) == ""
    assert found(tmp_path, start(), stop()) == ""


def test_the_file_of_a_swap_must_say_what_has_decided(tmp_path: Path, mine: Path) -> None:
    other = tmp_path / "other.py"
    other.write_bytes(NEW)
    assert found(tmp_path, start(), swap(other, NEW)) == sha(OLD)
    assert found(tmp_path, start(), swap(f"{other}:Class", NEW)) == sha(OLD)
    other.write_bytes(b"third")
    with pytest.raises(ConfigError, match=r"other\.py was swapped in today and has changed since"):
        found(tmp_path, start(), swap(other, NEW))
    assert found(tmp_path, start(), swap(other, NEW), swap(other, b"third")) == sha(OLD)
    other.unlink()
    with pytest.raises(ConfigError, match="or is gone"):
        found(tmp_path, start(), swap(other, NEW))


def test_a_strategy_with_a_name_has_no_file(tmp_path: Path) -> None:
    config: Any = load_config([], tmp_path, ["strategy.use=momentum", "strategy.name=x"], {},
                              named_only=True)  # fmt: skip
    assert first_file(config, [(int(Kind.START), b"{}"), swap("vwap", b"")]) == ""
