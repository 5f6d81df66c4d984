"""The house has floors; nobody imports upstairs. Reads source text, so it needs no build."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src" / "dhanfast"
FLOORS = [
    ["__init__", "errors", "clock", "telemetry", "security"],
    ["_core"],
    ["market"],
    ["storage"],
    ["options", "ml", "reports"],
    ["strategies"],
    ["brokers", "risk", "execution"],
    ["engine"],
    ["api", "alerts", "exchange"],
    ["app", "__main__"],
]  # lowest first
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
GROUND_NAMES = {"__version__", "get_include"}  # what the package root itself defines
FILES = sorted(path for path in SRC.rglob("*") if path.suffix in {".py", ".pyx", ".pxd"})

# One statement of Cython: from X [c]import a, b | [c]import a.b as c, d. Brackets are joined first.
FROM = re.compile(r"^\s*from\s+(\.*[\w.]*)\s+c?import\s+(.+)$", re.MULTILINE)
PLAIN = re.compile(r"^\s*c?import\s+(.+)$", re.MULTILINE)
DYNAMIC = re.compile(r"""import_module\(\s*["']([\w.]+)["']""")


def _absolute(module: str, level: int, package: tuple[str, ...]) -> str:
    """Resolve a relative import of a file in `package` (dhanfast, ...)."""
    if level == 0:
        return module
    base = package[: len(package) - level + 1]
    return ".".join((*base, module) if module else base)


def _from(module: str, names: list[str]) -> Iterator[str]:
    """`from dhanfast import clock` names the module dhanfast.clock."""
    if module == "dhanfast":
        yield from (f"dhanfast.{name}" for name in names if name not in GROUND_NAMES)
    else:
        yield module


def python_imports(text: str, package: tuple[str, ...]) -> Iterator[str]:
    """Every import of a Python file, those inside functions and `import_module` included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node.module or "", node.level, package)
            yield from _from(module, [alias.name for alias in node.names])
    yield from DYNAMIC.findall(text)


def cython_imports(text: str, package: tuple[str, ...]) -> Iterator[str]:
    """Every import and cimport of a Cython file, wherever it stands."""
    text = re.sub(r"#.*", "", text)
    text = re.sub(r"\(([^()]*)\)", lambda found: " ".join(found[1].split()), text)
    text = text.replace("\\\n", " ")
    for module, names in FROM.findall(text):
        bare = module.lstrip(".")
        dotted = _absolute(bare, len(module) - len(bare), package)
        yield from _from(dotted, [name.split()[0] for name in names.split(",") if name.strip()])
    for names in PLAIN.findall(text):
        yield from (name.split()[0] for name in names.split(",") if name.strip())
    yield from DYNAMIC.findall(text)


def imports_of(text: str, suffix: str, package: tuple[str, ...]) -> set[str]:
    """Our own modules named by a source text, as the first part below dhanfast."""
    reader = python_imports if suffix == ".py" else cython_imports
    found = set()
    for name in reader(text, package):
        parts = name.split(".")
        if parts[0] == "dhanfast" and len(parts) > 1:
            found.add(parts[1])
    return found


def package_of(path: Path) -> tuple[str, ...]:
    """The package a file lives in, dhanfast first."""
    return ("dhanfast", *path.relative_to(SRC).parts[:-1])


def home_of(path: Path) -> str:
    """The first part of a path below src/dhanfast, without its suffix."""
    return path.relative_to(SRC).parts[0].split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_no_import_goes_upstairs(path: Path) -> None:
    home = home_of(path)
    assert home in FLOOR_OF, f"{home} has no floor: add it to FLOORS"
    if home == "__init__" and path.suffix == ".py":
        return  # the façade is judged by the next test
    for name in imports_of(path.read_text(), path.suffix, package_of(path)):
        assert name in FLOOR_OF, f"{home} imports dhanfast.{name}, which has no floor"
        assert FLOOR_OF[name] <= FLOOR_OF[home], f"{home} must not import dhanfast.{name}"


def eager_imports(text: str) -> set[str]:
    """Modules that importing a Python file imports at once: not in functions, not for typing."""

    def visit(body: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from visit(node.orelse)
                continue
            yield node
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from visit(getattr(node, field, []))

    found = set()
    for node in visit(ast.parse(text).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def test_the_facade_loads_nothing_of_ours_at_import() -> None:
    """`dhanfast/__init__.py` may hand out names of any floor, but only on first use."""
    names = eager_imports((SRC / "__init__.py").read_text())
    ours = {name for name in names if name.startswith((".", "dhanfast"))}
    assert ours == set()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a/b.py", "from dhanfast import engine, __version__\n", {"engine"}),
        ("a/b.py", "import dhanfast.app.cli as cli\n", {"app"}),
        ("a/b.py", "def f():\n    from dhanfast.app import cli\n", {"app"}),
        ("a/b.py", "from ..engine import runs\n", {"engine"}),
        ("a/b/c.py", "from ... import api\n", {"api"}),
        ("a/b.py", "import importlib\nimportlib.import_module('dhanfast.api.x')\n", {"api"}),
        ("a/b.py", "text = 'from dhanfast.app import cli'\n", set()),
        ("a/b.pyx", "from dhanfast.engine cimport (\n    a,\n    b,\n)\n", {"engine"}),
        ("a/b.pyx", "cimport dhanfast.risk.gate as g, libc.math\n", {"risk"}),
        ("a/b.pyx", "def f():\n    from dhanfast import (api,\n    __version__)\n", {"api"}),
        ("a/b/c.pxd", "from ...risk cimport limits\n", {"risk"}),
        ("_core/b.pxd", "from .types cimport Tick\n", {"_core"}),
        ("a/b.pyx", "# from dhanfast.app import cli\nx = 1\n", set()),
    ],
)
def test_every_way_to_import_is_seen(name: str, text: str, expected: set[str]) -> None:
    path = SRC / name
    assert imports_of(text, path.suffix, package_of(path)) == expected


def test_lazy_and_typing_imports_are_not_eager() -> None:
    text = (
        "import os\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dhanfast.api\n"
        "def f():\n    import dhanfast.app\n"
        "try:\n    import dhanfast.errors\nexcept OSError:\n    pass\n"
    )
    assert eager_imports(text) == {"os", "typing", "dhanfast.errors"}
