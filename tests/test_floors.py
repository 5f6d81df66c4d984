"""The house has floors; nobody imports upstairs. Reads source text, so it needs no build."""

import re
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "dhanfast"
FLOORS = [["__init__", "errors", "clock", "telemetry", "security"], ["_core"], ["market"],
          ["storage"], ["options", "ml", "reports"], ["strategies"], ["brokers", "risk", "execution"],
          ["engine"], ["api", "alerts", "exchange"], ["app"]]  # lowest first
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
IMPORT = re.compile(r"^\s*(?:from|c?import)\s+dhanfast\.(\w+)", re.MULTILINE)
FILES = [path for path in SRC.rglob("*") if path.suffix in {".py", ".pyx", ".pxd"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_no_import_goes_upstairs(path: Path) -> None:
    home = path.relative_to(SRC).parts[0].removesuffix(".py")
    for name in IMPORT.findall(path.read_text()):
        assert FLOOR_OF[name] <= FLOOR_OF[home], f"{home} must not import {name}"
