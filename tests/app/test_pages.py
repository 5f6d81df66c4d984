"""The tutorial and the how-to pages do what they say: every command is run, in order.

A block that begins with `# NAME.py` or `# NAME.toml` is a file. A `text` block after commands is
what they print: each of its lines must be among theirs.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dhanfast.app.cli import run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [
    page
    for page in sorted([*(DOCS / "tutorials").glob("*.md"), *(DOCS / "how-to").glob("*.md")])
    if page.stem != "write-a-strategy-cython"  # compiled by tests/strategies and tests/packaging
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
ELSEWHERE = ("scripts/", ". .venv", "head ")  # what the page shows and this test need not do
OLD_CSV = "date,o,h,l,c\n31-01-2024,1,2,1,2\n"


def lines_of(block: str) -> list[str]:
    """Commands of a shell block, continuation lines joined."""
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


class Reader:
    """Someone who does what a page says, in a folder of his own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch, self.verbs = folder, monkeypatch, 0

    def command(self, line: str, capture: pytest.CaptureFixture[str]) -> str:
        """Do one line and return what it printed."""
        words = shlex.split(line, comments=True)
        if line.startswith("export "):
            name, _, value = words[1].partition("=")
            self.monkeypatch.setenv(name, value.replace("$PWD", str(self.folder)))
            return ""
        if words[0] == "python":
            answer = subprocess.run(
                [sys.executable, *words[1:]], cwd=self.folder, capture_output=True, text=True
            )
            assert answer.returncode == 0, f"{line}\n{answer.stderr}"
            return answer.stdout
        if any(line.startswith(start) for start in ELSEWHERE):
            return ""
        assert words[0] == "dhanfast", f"do not know how to do: {line}"
        code = run(words[1:])
        printed = capture.readouterr()
        assert code == 0, f"{line}\n{printed.err}"
        self.verbs += 1
        return printed.out + printed.err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_the_page_works(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    (tmp_path / "old.csv").write_text(OLD_CSV)
    reader, printed = Reader(tmp_path, monkeypatch), ""
    for language, block in BLOCK.findall(page.read_text()):
        name = re.match(r"# (\w+\.(?:py|toml))\n", block)
        if language in ("python", "toml") and name:
            (tmp_path / name[1]).write_text(block)
        elif language == "sh":
            printed = "".join(reader.command(line, capsys) for line in lines_of(block))
            if any(line.startswith("head ") for line in lines_of(block)):
                printed += (tmp_path / "banknifty.csv").read_text()
        elif language == "text":
            missing = set(block.splitlines()) - set(printed.splitlines())
            assert not missing, f"the commands before print something else than {missing}"
    assert reader.verbs >= 2


def test_pages_are_found() -> None:
    assert len(PAGES) >= 5
