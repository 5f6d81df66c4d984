"""What the documents say is there: links resolve, commands in the README exist."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A page without its code: brackets in code are not links."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchor(heading: str) -> str:
    """The fragment that a heading answers to, as GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", ""))
    return kept.replace(" ", "-")


def anchors(text: str) -> set[str]:
    """All fragments of a page."""
    return {anchor(line.lstrip("#")) for line in text.splitlines() if re.match(r"#{1,6} ", line)}


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    broken = []
    for match in LINK.finditer(prose(page.read_text())):
        target = match[1] or match[2]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        pointed = fragment and place.suffix == ".md" and place.exists()
        if not place.exists() or (pointed and fragment not in anchors(place.read_text())):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A b\n[ok](#a-b) [no](#c) [gone](x.md) `[code](y.md)` [web](https://e.org)\n")
    assert broken_links(page) == ["#c", "x.md"]


def test_every_page_is_in_the_index() -> None:
    """docs/README.md leads to every page of docs/."""
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / (match[1] or match[2]).split("#")[0]).resolve()
        for match in LINK.finditer(prose(index.read_text()))
    }
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - {index.resolve()}
    reached = {page for page in pages if page in linked or page.parent in linked}
    assert pages == reached, "add these pages, or their folder, to docs/README.md"


def commands(text: str) -> list[str]:
    """Lines of shell blocks that call dhanfast, continuation lines joined."""
    found = []
    for language, block in FENCE.findall(text):
        if language in {"", "sh", "bash", "console"}:
            for line in block.replace("\\\n", " ").splitlines():
                line = line.removeprefix("$ ").strip()
                if line.startswith("dhanfast "):
                    found.append(line)
    return found


def option_names(command: object) -> set[str]:
    """All spellings of a click command's options."""
    names = {"--help"}
    for parameter in getattr(command, "params", []):
        names |= {*getattr(parameter, "opts", []), *getattr(parameter, "secondary_opts", [])}
    return names


def test_commands_of_the_readme_exist() -> None:
    """Verbs and options parse against the command line; nothing is run."""
    main = import_module("dhanfast.app.cli").cli

    assert isinstance(main, click.Command)
    for line in commands((ROOT / "README.md").read_text()):
        command, words = main, shlex.split(line, comments=True)[1:]
        context = click.Context(main, info_name="dhanfast")
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            following = command.get_command(context, words[0])
            assert following is not None, f"{line}: no command {words[0]}"
            command, words = following, words[1:]
            context = click.Context(command, info_name=command.name, parent=context)
        unknown = {w.split("=")[0] for w in words if w.startswith("-")} - option_names(command)
        assert not unknown, f"{line}: {unknown}"
