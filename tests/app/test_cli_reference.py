"""docs/reference/cli.md says what the command line says."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dhanfast.app.cli import cli

ROOT = Path(__file__).resolve().parents[2]
SCRIPT, PAGE = ROOT / "scripts" / "cli-reference", ROOT / "docs" / "reference" / "cli.md"


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every verb that does something, with its full name."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


VERBS = dict(leaves(cli))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


def test_page_is_current() -> None:
    answer = run("--check")
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_page_names_every_verb_and_option(verb: str) -> None:
    """Read from the page, without the script that wrote it."""
    section = PAGE.read_text().split(f"\n## dhanfast {verb}\n")[1].split("\n## ")[0]
    for option in VERBS[verb].params:
        if isinstance(option, click.Option):
            for spelling in option.opts:
                assert f"`{spelling}" in section, f"{verb} {spelling}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_explains_itself(verb: str) -> None:
    assert VERBS[verb].help
    silent = [
        option.opts
        for option in VERBS[verb].params
        if isinstance(option, click.Option) and not option.help
    ]
    assert not silent
