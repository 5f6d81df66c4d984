"""What users install: the sdist, the wheel built from it, and what a foreign Cython module gets."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

FOREIGN_PYX = """
from libc.stdint cimport int64_t
from dhanfast._core.status cimport Status, check
from dhanfast._core.types cimport Bar, Side, Tick

def tick_size():
    return sizeof(Tick)

def paise_moved(const Bar[::1] bars):
    cdef int64_t moved = 0
    cdef Py_ssize_t i
    with nogil:
        for i in range(bars.shape[0]):
            moved += bars[i].close - bars[i].open
    return moved

def buy():
    return <int>Side.BUY

def refuse(int code):
    check(<Status>code)
"""

FOREIGN_SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup
import dhanfast
setup(name="foreign", ext_modules=cythonize(
    [Extension("foreign", ["foreign.pyx"], include_dirs=[dhanfast.get_include()])],
    compiler_directives={"language_level": 3}))
"""

FOREIGN_RUN = """
import dhanfast, foreign, numpy as np
from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE
from dhanfast.errors import RingFull
assert foreign.tick_size() == TICK_DTYPE.itemsize
bars = np.zeros(3, BAR_DTYPE)
bars["open"], bars["close"] = [100, 200, 300], [150, 190, 330]
assert foreign.paise_moved(bars) == 70
assert foreign.buy() == 1
try:
    foreign.refuse(1)
except RingFull:
    print("refused by", dhanfast.__file__)
"""


def run(*command: str | Path, cwd: Path, environ: dict[str, str] | None = None) -> str:
    """Output of a command that must succeed, in a plain environment."""
    answer = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False,
        env=os.environ | (environ or {}),
    )  # fmt: skip
    assert answer.returncode == 0, f"{command}\n{answer.stdout[-3000:]}\n{answer.stderr[-6000:]}"
    return answer.stdout


def make_venv(folder: Path) -> Path:
    """An empty environment of this Python; returns its interpreter."""
    if shutil.which("uv"):
        run("uv", "venv", "-q", "--python", sys.executable, folder, cwd=ROOT)
    else:
        run(sys.executable, "-m", "venv", folder, cwd=ROOT)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path) -> None:
    """Install into an environment, with uv when there is one."""
    if shutil.which("uv"):
        run("uv", "pip", "install", "-q", "--python", python, *what, cwd=ROOT)
    else:
        run(python, "-m", "pip", "install", "-q", *what, cwd=ROOT)


@pytest.fixture(scope="session")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="session")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked sdist, as a packager would: this repository is out of reach."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    command = ("-m", "build", "--no-isolation", "--wheel", "-o", folder / "out")
    # Less optimised, for the time of these tests: what the compiler makes is tested elsewhere.
    quick = {"SKBUILD_CMAKE_ARGS": "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG"}
    run(sys.executable, *command, cwd=source, environ=quick)
    (built,) = (folder / "out").glob("*.whl")
    return built


@pytest.fixture(scope="session")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an empty environment that has only the wheel and its dependencies."""
    interpreter = make_venv(tmp_path_factory.mktemp("venv") / "empty")
    install(interpreter, wheel)
    return interpreter


def test_sdist_has_the_source_and_no_build_or_data(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        inside = [name.partition("/")[2] for name in archive.getnames()]
    for needed in ("pyproject.toml", "CMakeLists.txt", "LICENSE", "src/dhanfast/_core/types.pyx",
                   "src/dhanfast/_core/native/df_native.h", "tests/test_floors.py"):  # fmt: skip
        assert needed in inside
    made = re.compile(r"\.(so|o|parquet|npy|pyc)$|^src/.*\.c$|^build/|^\.venv")
    assert not [name for name in inside if made.search(name)]


def test_wheel_has_declarations_stubs_licence_and_type_marker(names: list[str]) -> None:
    sources = [path for path in (ROOT / "src").rglob("*") if path.suffix in {".pxd", ".pyi", ".py"}]
    wanted = {path.relative_to(ROOT / "src").as_posix() for path in sources}
    assert wanted <= set(names), wanted - set(names)
    assert "dhanfast/py.typed" in names
    assert any(re.fullmatch(r"dhanfast-[^/]+\.dist-info/licenses/LICENSE", name) for name in names)


def test_wheel_has_every_compiled_module(names: list[str]) -> None:
    for path in (ROOT / "src").rglob("*.pyx"):
        stem = path.relative_to(ROOT / "src").with_suffix("").as_posix()
        assert any(re.fullmatch(rf"{stem}\.[^/]+\.so", name) for name in names), stem


def test_wheel_has_no_source_that_users_do_not_need(names: list[str]) -> None:
    unwanted = [n for n in names if n.endswith((".pyx", ".c", ".dep", "CMakeLists.txt", ".md"))]
    unwanted += [n for n in names if n.endswith((".parquet", ".npy"))]
    assert not unwanted


def test_wheel_has_the_headers_that_declarations_name(names: list[str]) -> None:
    native = ROOT / "src" / "dhanfast" / "_core" / "native"
    declared = set()
    for path in (ROOT / "src").rglob("*.pxd"):
        declared |= set(re.findall(r'cdef extern from "(\w+\.h)"', path.read_text()))
    for header in declared:
        if (native / header).exists():
            assert f"dhanfast/_core/native/{header}" in names


def test_wheel_imports_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    code = (
        "import pkgutil, importlib, dhanfast\n"
        "for m in pkgutil.walk_packages(dhanfast.__path__, 'dhanfast.'):\n"
        "    if m.name not in ('dhanfast.__main__', 'dhanfast._core.live.listener',\n"
        "                      'dhanfast.app.latency_peer'):  # these need picows\n"
        "        importlib.import_module(m.name)\n"
        "print(dhanfast.__version__, dhanfast.__file__)"
    )
    version, place = run(python, "-c", code, cwd=tmp_path).split()
    assert version == "0.1.0"
    assert Path(place).is_relative_to(python.parents[1])


def test_a_foreign_cython_module_builds_against_the_wheel(python: Path, tmp_path: Path) -> None:
    install(python, "cython~=3.3.1", "setuptools")
    (tmp_path / "foreign.pyx").write_text(FOREIGN_PYX)
    (tmp_path / "setup.py").write_text(FOREIGN_SETUP)
    run(python, "setup.py", "-q", "build_ext", "--inplace", cwd=tmp_path)
    assert "refused by" in run(python, "-c", FOREIGN_RUN, cwd=tmp_path)


def test_the_package_of_the_how_to_builds_and_trades(python: Path, tmp_path: Path) -> None:
    """The files of docs/how-to/write-a-strategy-cython.md, by the commands that stand there."""
    page = (ROOT / "docs" / "how-to" / "write-a-strategy-cython.md").read_text()
    package = tmp_path / "mycross"
    (package / "mycross").mkdir(parents=True)
    (package / "mycross" / "__init__.py").touch()
    for language, name in (("cython", "mycross/cross.pyx"), ("python", "setup.py")):
        (source,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.M | re.S)
        (package / name).write_text(source)
    install(python, "cython~=3.3.1", "setuptools")
    install(python, "--no-build-isolation", package)
    dhanfast = python.parent / "dhanfast"
    options = ("--from", "2024-01-01", "--to", "2024-01-31", "-o", "month.parquet")
    run(dhanfast, "generate", "BANKNIFTY", *options, cwd=tmp_path)
    strategy = ("-s", "mycross.cross:Cross", "--data", "month.parquet", "--set", "fast=12")
    answer = json.loads(run(dhanfast, "backtest", *strategy, "--json", cwd=tmp_path))
    assert answer["trades"] >= 20
    assert answer["config"]["door"] == "cython"
    assert answer["config"]["params"]["fast"] == 12
