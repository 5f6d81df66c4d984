"""Version 1's main.py and auth.py: each flag becomes the command it is now."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


def shim(name: str) -> Any:
    """The file as a module, without running it."""
    spec = importlib.util.spec_from_file_location(f"shim_{name}", ROOT / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("main", "", "trade --paper"),
        ("main", "--live", "trade --live"),
        ("main", "--test-connection", "doctor"),
        ("main", "--set risk.band=3%", "trade --paper --set risk.band=3%"),
        ("auth", "", "auth login --method consent"),
        ("auth", "--totp", "auth login --method totp"),
        ("auth", "-t", "auth login --method totp"),
        ("auth", "--renew", "auth renew"),
        ("auth", "-r", "auth renew"),
        ("auth", "--status", "auth status"),
        ("auth", "-s", "auth status"),
        ("auth", "--logout", "auth logout"),
        ("auth", "-l", "auth logout"),
    ],
)
def test_flags_of_version_1(name: str, flags: str, words: str) -> None:
    assert shim(name).translated(flags.split()) == words.split()


def test_two_ways_to_log_in_are_refused() -> None:
    with pytest.raises(SystemExit):
        shim("auth").translated(["--totp", "--renew"])


def test_it_says_the_command_and_runs_it(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "--test-connection", "--user-dir", str(tmp_path),
         "--set", "broker.token=env:NOBODY"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert f"this is now: dhanfast doctor --user-dir {tmp_path}" in answer.stderr
    assert answer.returncode == 6 and "instruments" in answer.stdout
