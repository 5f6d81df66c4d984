"""Sizes, names and words that the house allows. Reads source text, so it needs no build."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "dhanfast"
LINES_MAX, FUNCTION_MAX, WIDTH_MAX = 600, 60, 100
BANNED_NAMES = {"utils", "helpers", "common", "manager"}
# Spelled in two halves so that this file does not trip over itself.
BANNED_WORDS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|NotImplemented" r"Error)\b")
# Folders of the machines that build; a user's own /home or /tmp in an example is refused as well.
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|home|tmp|Users|opt|farm)/[\w.-]+")
CODE = {".py", ".pyx", ".pxd", ".pyi", ".h"}


def _tracked() -> list[Path]:
    """Files of the repository: what git knows or would add, or all of them outside git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        names = answer.stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        folders = ("src", "tests", "bench", "scripts", "docs")
        names = [str(p.relative_to(ROOT)) for f in folders for p in (ROOT / f).rglob("*")]
    return sorted(ROOT / name for name in names if name and (ROOT / name).is_file())


TRACKED = _tracked()
CODE_FILES = [path for path in TRACKED if path.suffix in CODE]
SRC_FILES = [path for path in CODE_FILES if path.is_relative_to(SRC)]


def named(paths: list[Path]) -> pytest.MarkDecorator:
    """One test a file, under the file's name."""
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def python_functions(text: str) -> Iterator[tuple[str, int]]:
    """Name and length in lines of every function, decorators not counted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.name, node.end_lineno - node.lineno + 1


CYTHON_FUNCTION = re.compile(
    r"^(?P<indent> *)(?:async )?(?:def|cpdef|cdef)\b"
    r"(?!\s+(?:class|struct|packed|enum|extern|union))[^=#]*?\b(?P<name>\w+)\s*\("
)


def cython_functions(text: str) -> Iterator[tuple[str, int]]:
    """Name and length of every function with a body: down to the next line not deeper indented."""
    lines = text.split("\n")
    for start, line in enumerate(lines):
        found = CYTHON_FUNCTION.match(line)
        if not found:
            continue
        indent = len(found["indent"])
        depth, head = 0, start  # the signature may run over several lines
        while head < len(lines):
            code = lines[head].split("#")[0]
            depth += code.count("(") - code.count(")")
            if depth <= 0:
                break
            head += 1
        if head == len(lines) or not lines[head].split("#")[0].rstrip().endswith(":"):
            continue  # a declaration, or a cdef variable
        end = last = head + 1
        while end < len(lines):
            body = lines[end]
            if body.strip() and len(body) - len(body.lstrip()) <= indent:
                break
            last = end if body.strip() else last
            end += 1
        yield found["name"], last - start + 1


@named(CODE_FILES)
def test_file_fits_in_a_head(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= LINES_MAX, f"{len(lines)} lines: find the seam"
    wide = [n for n, line in enumerate(lines, 1) if len(line) > WIDTH_MAX]
    assert not wide, f"lines wider than {WIDTH_MAX}: {wide}"


@named([path for path in CODE_FILES if path.suffix in {".py", ".pyx", ".pxd"}])
def test_functions_fit_in_a_head(path: Path) -> None:
    reader = python_functions if path.suffix == ".py" else cython_functions
    long = [f"{name}: {size}" for name, size in reader(path.read_text()) if size > FUNCTION_MAX]
    assert not long, f"functions longer than {FUNCTION_MAX} lines: {long}"


@named(SRC_FILES)
def test_no_banned_words(path: Path) -> None:
    found = BANNED_WORDS.findall(path.read_text())
    assert not found, f"{found}: finish it, or open an issue"


@named([path for path in TRACKED if path.suffix in CODE | {".toml", ".md", ".txt", ".yml", ".sh"}])
def test_no_path_of_a_machine(path: Path) -> None:
    if path == Path(__file__):
        return  # holds examples of what is refused
    assert not MACHINE_PATH.findall(path.read_text()), "say it relative to the repository"


@pytest.mark.parametrize("path", CODE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_what_is_inside(path: Path) -> None:
    parts = {part.split(".")[0] for part in path.relative_to(ROOT).parts}
    assert not parts & BANNED_NAMES


CYTHON_FILES = [path for path in SRC_FILES if path.suffix == ".pyx"]


@named(CYTHON_FILES)
def test_compiled_module_has_a_stub(path: Path) -> None:
    assert path.with_suffix(".pyi").exists(), f"{path.name} needs a .pyi beside it"


@named(CYTHON_FILES)
def test_compiled_module_is_built(path: Path) -> None:
    listed = (SRC / "CMakeLists.txt").read_text().split()
    name = path.relative_to(SRC).with_suffix("").as_posix()
    assert name in listed, f"add {name} to src/dhanfast/CMakeLists.txt"


CIMPORT = re.compile(
    r"^\s*from\s+dhanfast\.([\w.]+)\s+cimport|^\s*cimport\s+dhanfast\.([\w.]+)", re.M
)


@named([path for path in SRC_FILES if path.suffix in {".pyx", ".pxd"}])
def test_what_is_cimported_has_a_declaration(path: Path) -> None:
    for first, second in CIMPORT.findall(path.read_text()):
        place = SRC.joinpath(*(first or second).split("."))
        assert place.with_suffix(".pxd").exists() or (place / "__init__.pxd").exists(), place


@named(sorted({path.parent for path in SRC_FILES if path.suffix == ".pxd"}))
def test_folder_of_declarations_is_a_package_for_both_languages(path: Path) -> None:
    assert (path / "__init__.pxd").exists() and (path / "__init__.py").exists()


@named([path for path in SRC_FILES if path.suffix == ".py"])
def test_all_names_what_exists(path: Path) -> None:
    """`__all__`, where there is one, is a literal and has no name twice."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            assert len(names) == len(set(names))


@named([path for path in SRC_FILES if path.suffix == ".py" and path.name != "clock.py"])
def test_nothing_but_the_clock_reads_the_wall_clock(path: Path) -> None:
    banned = {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now",
              "datetime.utcnow", "datetime.today", "date.today", "datetime.date.today"}  # fmt: skip
    calls = [ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text()))
             if isinstance(n, ast.Call)]  # fmt: skip
    assert not banned & set(calls), "take a Clock in the constructor"


def test_the_measures_measure() -> None:
    """The readers above see what they must see: a checker that finds nothing proves nothing."""
    body = "\n".join(f"    x = {n}" for n in range(5))
    assert list(python_functions(f"def f():\n{body}\n\ny = 1\n")) == [("f", 6)]
    cython = (
        f"cdef class A:\n    cdef int f(self,\n               int x) noexcept nogil:\n"
        f"{body.replace('    x', '        x')}\n\n    cdef int g(self) noexcept\n\n"
        f"cpdef double h(double x) except? -1.0:\n{body}\n# after\ncdef int y = int(3)\n"
    )
    assert list(cython_functions(cython)) == [("f", 7), ("h", 6)]
    assert BANNED_WORDS.search("# TODO: later") and not BANNED_WORDS.search("HACKED")
    assert MACHINE_PATH.search('open("/home/x/y")') and not MACHINE_PATH.search("src/work/x")
