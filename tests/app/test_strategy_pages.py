"""The pages of docs/strategies say what the strategies are, and what the data gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dhanfast.app.strategy_table import TEN

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "strategies-pages"
PARTS = ("## Rules", "## Parameters", "## Backtest, 2021 and 2022", "**Hypothesis:**",
         "**Expected regime:**", "what-the-figures-can-and-cannot-mean")  # fmt: skip


def check(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPT, "--check", *words], capture_output=True, text=True,
        env={**os.environ, **more},
    )  # fmt: skip


def test_words_and_parameters_are_current() -> None:
    said = check("--words")
    assert said.returncode == 0, f"run scripts/strategies-pages\n{said.stdout}{said.stderr}"


@pytest.mark.parametrize("name", TEN)
def test_every_strategy_has_a_page_with_every_part(name: str) -> None:
    text = (ROOT / "docs" / "strategies" / f"{name}.md").read_text("utf-8")
    assert all(part in text for part in PARTS)
    assert "| both, in one run |" in text and f"dhanfast strategies backtest {name}" in text


@pytest.mark.data
def test_tables_are_what_the_recorded_data_gives(data_dir: Path) -> None:
    said = check(DHANFAST_DATA=str(data_dir))
    assert said.returncode == 0, f"run scripts/strategies-pages\n{said.stdout}{said.stderr}"


def test_without_data_nothing_is_written(tmp_path: Path) -> None:
    said = check(DHANFAST_DATA=str(tmp_path / "absent"))
    assert said.returncode == 2 and "set DHANFAST_DATA" in said.stderr
