"""`dhanfast new strategy`: a file, or a package, that runs as it is and is there to be changed."""

import importlib
import inspect
import keyword
import os
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from dhanfast.app.config_folders import user_folders
from dhanfast.errors import UsageError
from dhanfast.strategies.params import unknown
from dhanfast.strategies.shelf import CLASSES, STRUCTURES

NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
DOORS: Final = {"rules": "{name}.py", "python": "{name}.py", "legs": "{name}.toml"}


@click.group(epilog="Example: dhanfast new strategy gap-fade --legs")
def new() -> None:
    """Start something of your own from a template."""


@new.command(epilog="Example: dhanfast new strategy gap-fade --rules")
@click.argument("name")
@click.option("--rules", is_flag=True, help="Conditions on series, run natively [default].")
@click.option("--python", is_flag=True, help="A class with callbacks.")
@click.option("--cython", is_flag=True,
              help="A package to compile; its name is offered as an entry point.")  # fmt: skip
@click.option("--legs", is_flag=True, help="An option structure, without code.")
@click.option("--template", metavar="BUILT-IN",
              help="Start from a copy of a built-in strategy instead.")  # fmt: skip
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path),
              help="Where to [default: the strategies folder of the user's folder, where it is "
              "found by its name].")  # fmt: skip
def strategy(name: str, template: str | None, folder: Path | None, **doors: bool) -> None:
    """Write a strategy called NAME that runs as it is.

    Nothing that is there is written over.
    """
    _check_name(name)
    asked = [one for one, given in doors.items() if given]
    if template is not None and asked:
        raise UsageError("--template decides the door itself: leave out --rules and the others")
    if len(asked) > 1:
        raise UsageError(f"--{' and --'.join(asked)}: a strategy has one door; give one of them")
    door = asked[0] if asked else "rules"
    if door == "cython" and (keyword.iskeyword(name) or find_spec(name.replace("-", "_"))):
        raise UsageError(f"name {name!r}: a package cannot be called so, or there is one already; "
                         "choose another name")  # fmt: skip
    place = folder or user_folders(None, os.environ).strategies
    written = _copy(name, template) if template is not None else _fresh(name, door)
    for path in written:
        if (place / path).exists():
            raise UsageError(f"{place / path} is there already; choose another name")
    if door == "cython" and (place / name).exists():
        raise UsageError(f"{place / name} is there already; choose another name")
    for path, text in written.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "x", encoding="utf-8") as file:
            file.write(text)
        click.echo(target)
    click.echo("\n".join(_next(name, door, place, folder, written)), err=True)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"name {name!r}: write small letters and digits, parted by - or _, as gap-fade"
        )
    if name in CLASSES or name in STRUCTURES:
        raise UsageError(f"{name} is built in, and yours would hide it; choose another name")


def _fresh(name: str, door: str) -> dict[str, str]:
    """{path below the folder: text} of a door's template."""
    words = {"name": name, "kind": kind_of(name), "module": name.replace("-", "_")}
    if door != "cython":
        path = DOORS[door].format(name=name)
        return {path: _text(f"{door}{Path(path).suffix}.txt", words)}
    below = f"{name}/{words['module']}"
    return {
        f"{name}/pyproject.toml": _text("cython_pyproject.txt", words),
        f"{name}/setup.py": _text("cython_setup.txt", words),
        f"{below}/__init__.py": "",
        f"{below}/strategy.pyx": _text("cython_strategy.txt", words),
    }


def _text(file: str, words: Mapping[str, str]) -> str:
    raw = files("dhanfast.app").joinpath("templates").joinpath(file).read_text("utf-8")
    return raw.format_map(dict(words))


def _copy(name: str, template: str) -> dict[str, str]:
    """{path: text} of a built-in strategy under another name."""
    if template in STRUCTURES:
        text = STRUCTURES[template].read_text("utf-8")
        return {f"{name}.toml": text.replace(f'name = "{template}"', f'name = "{name}"', 1)}
    known = [key for key in (*CLASSES, *STRUCTURES) if key != "momentum-cython"]
    if template not in known:
        raise UsageError(unknown("template", template, known))
    module, kind = CLASSES[template]
    text = inspect.getsource(importlib.import_module(module))
    return {f"{name}.py": re.sub(rf"\b{kind}\b", kind_of(name), text)}


def kind_of(name: str) -> str:
    """The class's name: GapFade of gap-fade."""
    return "".join(part.capitalize() for part in re.split("[-_]", name))


def _next(
    name: str, door: str, place: Path, folder: Path | None, written: Mapping[str, str]
) -> list[str]:
    """What to do now."""
    first = next(iter(written))
    asked = name if folder is None or door == "cython" else str(place / first)
    lines = ["next:"]
    if door == "cython":
        lines.append(f"  pip install --no-build-isolation {place / name}")
    lines.append(f"  dhanfast strategies show {asked}")
    legs = first == f"{name}.toml"
    data = "INDEX.parquet --volatility DAILY.parquet" if legs else "FILE.parquet"
    return [*lines, f"  dhanfast backtest -s {asked} --data {data}"]
