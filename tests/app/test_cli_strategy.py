"""`dhanfast strategy swap`: what its words mean before an engine is asked."""

from pathlib import Path

import pytest

from dhanfast.app.cli import run
from dhanfast.app.cli_strategy import params_of, whole_path
from dhanfast.app.config import load_config
from dhanfast.app.config_values import Bytes
from dhanfast.errors import ConfigError, UsageError


def test_a_key_with_a_dot_is_a_setting() -> None:
    words = ("ema=9", "engine.run=other", " rsi = 14 ")
    assert params_of(words) == ({"ema": "9", "rsi": "14"}, ("engine.run=other",))


@pytest.mark.parametrize("words", [("ema",), ("=3",), ("a=1", "a=2")])
def test_parameters_that_are_none_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        params_of(words)


def test_a_file_is_found_here_then_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
        (folder / "both.py").touch()
    (home / "mine.py").touch()
    monkeypatch.chdir(here)
    config = load_config([], home, [], {})
    assert whole_path("both.py:Two", config) == f"{here / 'both.py'}:Two"
    assert whole_path("mine.py", config) == str(home / "mine.py")
    assert whole_path("momentum", config) == "momentum"
    with pytest.raises(UsageError, match=r"strategy file absent\.py does not exist"):
        whole_path("absent.py", config)


def test_without_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    assert run(["init", "--no-input"]) == 0
    assert run(["strategy", "swap", "momentum"]) == 1
    assert "no engine is running" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "size"), [("512MB", 512 << 20), ("2 GB", 2 << 30), ("0MB", 0)])
def test_memory(text: str, size: int) -> None:
    assert Bytes(text).bytes == size and str(Bytes(text)) == text


@pytest.mark.parametrize("text", ["512", "1.5GB", "-1MB", "1KB", "9999999MB", ""])
def test_memory_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="is no amount of memory; write 512MB or 2GB"):
        Bytes(text)


@pytest.mark.parametrize("text", ["500us", "61s"])
def test_a_limit_out_of_range_is_refused_when_the_file_is_read(tmp_path: Path, text: str) -> None:
    words = ["strategy.use=momentum", "strategy.name=x", f"strategy.callback_limit={text}"]
    with pytest.raises(ConfigError, match=r"strategy\.callback_limit: must be in 1ms\.\.60s"):
        load_config([], tmp_path, words, {}, named_only=True)
