"""Make or refresh one environment of this repository, and print its path on stdout.

    environment.py run|dev|release|peers|archive-peers|checked|coverage|sanitize

Each flavour has its own virtual environment and its own build folder, so that none can disturb
another. A stamp in the environment says what it holds: when nothing changed, this returns at once.
Needs only Python 3.11+ and a C compiler: cmake and ninja come from PyPI when the machine has none.
uv is used when present, else venv and pip.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "log"
CMAKE_OLDEST = (3, 25)
PROGRESS_S = 15.0  # a line at least this often while compiling


@dataclass(frozen=True)
class Flavour:
    """One way to build and install the package."""

    venv: str
    groups: tuple[str, ...]  # dependency groups of pyproject.toml
    editable: bool = False
    rebuilds: bool = False  # an editable one that compiles what changed when it is imported
    build_dir: str | None = None  # None: the one pyproject.toml names
    options: tuple[str, ...] = ()  # configuration settings of the build backend


FLAVOURS = {
    "run": Flavour(".venv", ("build",)),
    "dev": Flavour(".venv-dev", ("build", "test", "lint"), editable=True, rebuilds=True),
    "release": Flavour(".venv-release", ("build", "test")),
    "peers": Flavour(".venv-peers", ("build",)),  # as users have it, beside the peers
    "archive-peers": Flavour(".venv-archive-peers", ("build",)),
    "checked": Flavour(
        ".venv-checked",
        ("build", "test"),
        build_dir="build/checked",
        options=("cmake.define.DHANFAST_CHECKED=ON",),
    ),
    "sanitize": Flavour(
        ".venv-sanitize",
        ("build", "test"),
        build_dir="build/sanitize",
        options=("cmake.define.DHANFAST_SANITIZE=ON", "install.strip=false"),
    ),
    "coverage": Flavour(
        ".venv-coverage",
        ("build", "test"),
        editable=True,
        build_dir="build/coverage",
        options=("cmake.define.DHANFAST_COVERAGE=ON", "editable.rebuild=false"),
    ),
}


def say(text: str) -> None:
    """Progress, on stderr: stdout carries the answer."""
    print(f"== {text}", file=sys.stderr, flush=True)


def die(text: str) -> None:
    """Stop with a message that says what to do."""
    sys.exit(f"error: {text}")


def tool_version(name: str) -> tuple[int, ...]:
    """Version of a command on PATH; () when it is missing or does not run."""
    if shutil.which(name) is None:
        return ()
    answer = subprocess.run([name, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in found.groups()) if answer.returncode == 0 and found else ()


def requirements(flavour: Flavour, project: dict[str, Any]) -> list[str]:
    """Everything the flavour needs besides dhanfast itself, from pyproject.toml."""
    wanted = list(project["build-system"]["requires"]) + list(project["project"]["dependencies"])
    wanted += project["project"]["optional-dependencies"]["live"]
    for group in flavour.groups:
        wanted += project["dependency-groups"][group]
    if tool_version("cmake") < CMAKE_OLDEST:
        wanted.append("cmake>=" + ".".join(map(str, CMAKE_OLDEST)))
    if not tool_version("ninja"):
        wanted.append("ninja>=1.11")
    return list(dict.fromkeys(wanted))


def digest(paths: list[Path]) -> str:
    """One hash of names and contents."""
    state = hashlib.sha256()
    for path in sorted(paths):
        state.update(f"{path.relative_to(ROOT)}\0".encode())
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()


def sources(flavour: Flavour) -> str:
    """What an installation was made from.

    One that rebuilds itself on import must be installed again only when the list of modules or the
    metadata change. For the others every source file counts.
    """
    listed = [ROOT / "pyproject.toml", *ROOT.glob("CMakeLists.txt")]
    if flavour.rebuilds:
        listed += (ROOT / "src").rglob("CMakeLists.txt")
    else:
        keep = {".py", ".pyx", ".pxd", ".pyi", ".h", ".txt", ".toml", ".csv", ".json"}
        listed += [p for p in (ROOT / "src").rglob("*") if p.suffix in keep and p.is_file()]
    return digest(listed)


def run(
    command: list[str],
    log: Path,
    what: str,
    *,
    watch: Path | None = None,
    environ: dict[str, str] | None = None,
) -> None:
    """Run quietly into a log; show the log only when the command fails."""
    started = time.monotonic()
    environ = os.environ | {"VIRTUAL_ENV": ""} | (environ or {})
    environ.pop("PYTHONPATH", None)
    with log.open("a") as sink:
        sink.write(f"$ {' '.join(command)}\n")
        sink.flush()
        child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environ
        )
        while True:
            try:
                code = child.wait(PROGRESS_S)
                break
            except subprocess.TimeoutExpired:
                say(f"  {what}: {time.monotonic() - started:.0f} s{modules_done(watch, started)}")
    if code != 0:
        tail = log.read_text(errors="replace").splitlines()[-80:]
        print("\n".join(tail), file=sys.stderr)
        die(f"{what} failed (exit {code}); the whole log is {log.relative_to(ROOT)}")


def modules_done(build: Path | None, started: float) -> str:
    """How many extension modules the build has written so far, for the progress line."""
    if build is None:
        return ""
    since = time.time() - (time.monotonic() - started)
    done = sum(1 for p in build.rglob("*.so") if p.stat().st_mtime >= since)
    listed = (ROOT / "src" / "dhanfast" / "CMakeLists.txt").read_text()
    total = len(re.findall(r"^  [a-z_]+(?:/[a-z0-9_]+)+$", listed, re.MULTILINE)) + 1
    return f", {done} of at most {total} modules compiled"


class Environment:
    """A virtual environment and the stamp of what is in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.flavour = FLAVOURS[name]
        self.home = ROOT / self.flavour.venv
        self.python = self.home / "bin" / "python"
        self.log = LOGS / f"{name}.log"
        self.stamp_file = self.home / "dhanfast-stamp.json"
        self.uv = shutil.which("uv")

    def stamp(self) -> dict[str, Any]:
        """What the environment holds; {} when it is new or was left half made."""
        try:
            found: dict[str, Any] = json.loads(self.stamp_file.read_text())
        except (OSError, ValueError):
            return {}
        return found if found.get("root") == str(ROOT) and self.python.exists() else {}

    def write(self, **changes: Any) -> None:
        """Record a finished step, atomically."""
        text = json.dumps(self.stamp() | {"root": str(ROOT)} | changes, indent=1)
        draft = self.stamp_file.with_suffix(".tmp")
        draft.write_text(text)
        draft.replace(self.stamp_file)

    def pip(self, *arguments: str) -> list[str]:
        """The install command of uv or of pip."""
        if self.uv:
            # Byte code now, as pip does: Cython starts once a module, and starts twice as fast.
            python = ["--python", str(self.python), "--compile-bytecode"]
            return [self.uv, "pip", "install", *python, *arguments]
        return [str(self.python), "-m", "pip", "install", "--no-input", *arguments]

    def create(self) -> None:
        """Make the virtual environment when it is missing, moved or unusable."""
        if self.stamp():
            return
        check_machine()
        release = ".".join(map(str, sys.version_info[:3]))
        say(f"making {self.flavour.venv} (Python {release}, {'uv' if self.uv else 'venv and pip'})")
        if self.home.exists():
            shutil.rmtree(self.home)
        if self.uv:
            command = [self.uv, "venv", "--python", sys.executable, str(self.home)]
        else:
            command = [sys.executable, "-m", "venv", str(self.home)]
        run(command, self.log, f"making {self.flavour.venv}")
        self.write(requirements=[])

    def fill(self, wanted: list[str]) -> None:
        """Install what is required and not yet recorded."""
        if set(wanted) <= set(self.stamp().get("requirements", [])):
            return
        say(f"installing {len(wanted)} requirements into {self.flavour.venv}")
        run(self.pip(*wanted), self.log, "installing requirements")
        self.write(requirements=sorted(set(wanted) | set(self.stamp()["requirements"])))

    def build(self) -> None:
        """Compile and install dhanfast, unless the stamp shows the same sources."""
        made_from = sources(self.flavour)
        if self.stamp().get("sources") == made_from:
            if self.flavour.rebuilds:
                self.refresh()
            return
        say(f"building dhanfast ({self.name}) into {self.flavour.venv}")
        started = time.monotonic()
        arguments = ["--no-build-isolation", "--no-deps"]
        arguments += ["--reinstall-package", "dhanfast"] if self.uv else ["--force-reinstall"]
        options = list(self.flavour.options)
        if self.flavour.build_dir:
            options.append(f"build-dir={self.flavour.build_dir}")
        for option in options:
            arguments += ["-C", option]
        arguments += ["-e", "."] if self.flavour.editable else ["."]
        watch = ROOT / (self.flavour.build_dir or "build")
        # The tools of the environment itself must win: cmake and ninja may be there only.
        os.environ["PATH"] = f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        run(self.pip(*arguments), self.log, "compiling", watch=watch)
        self.write(sources=made_from)
        say(f"built in {time.monotonic() - started:.0f} s")

    def refresh(self) -> None:
        """Let the editable install compile what changed now, where a failure is shown well."""
        os.environ["PATH"] = f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        command = [str(self.python), "-c", "import dhanfast._core.status"]
        # Set for the import only: during an installation it would be built in as the default.
        loud = {"SKBUILD_EDITABLE_VERBOSE": "1"}
        run(command, self.log, "compiling what changed", watch=ROOT / "build", environ=loud)


def check_machine() -> None:
    """Name what is missing before a compiler error would."""
    compiler = os.environ.get("CC", "").split()[:1] or ["cc", "gcc", "clang"]
    if not any(shutil.which(name) for name in compiler):
        die(f"no C compiler ({', '.join(compiler)}): install one (Debian: apt-get install gcc)")
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.exists():
        die(f"{header} is missing: install Python's headers (Debian: apt-get install python3-dev)")


def main() -> None:
    """Bring the flavour up to date under a lock, then print its folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flavour", choices=sorted(FLAVOURS))
    name = parser.parse_args().flavour
    LOGS.mkdir(parents=True, exist_ok=True)
    environment = Environment(name)
    with (LOGS / f"{environment.flavour.venv.lstrip('.')}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment.log.write_text("")
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        environment.create()
        environment.fill(requirements(environment.flavour, project))
        environment.build()
    print(environment.home)


if __name__ == "__main__":
    main()
