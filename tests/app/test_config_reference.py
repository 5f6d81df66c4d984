"""docs/reference/config.md says what the settings say."""

import subprocess
import sys
from pathlib import Path

from dhanfast.app.config import each_field
from dhanfast.app.config_schema import description

ROOT = Path(__file__).resolve().parents[2]
SCRIPT, PAGE = ROOT / "scripts" / "config-reference", ROOT / "docs" / "reference" / "config.md"


def test_page_is_current() -> None:
    answer = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_page_has_every_setting() -> None:
    """Read from the page, without the script that wrote it."""
    text = PAGE.read_text()
    for key, field in each_field():
        section, _, name = key.rpartition(".")
        heads = {"": "## Top of the file", "strategy": "## [[strategy]]"}
        body = text.split(heads.get(section, f"## [{section}]") + "\n")[1].split("\n## ")[0]
        row = next(line for line in body.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.endswith(f"| {description(field)} |")
