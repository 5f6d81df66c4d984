"""The core stands alone: no extra is needed, and importing the package loads nothing heavy."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import metadata, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {"live", "api", "store", "cluster", "search", "ml", "report"}

# Import names of what the extras bring, where they differ from the distribution's.
BLOCKED = ["picows", "uvloop", "aiohttp", "cryptography", "keyring",
           "fastapi", "uvicorn", "asyncpg", "redis", "duckdb", "distributed", "dask", "optuna",
           "lightgbm", "onnxruntime", "matplotlib", "typst", "pandas"]  # fmt: skip

IMPORT_ALL = """
import importlib, json, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} belongs to an extra: import it where it is used")

sys.meta_path.insert(0, Blocker())
EXCEPT = {"dhanfast.__main__", "dhanfast._core.live.listener", "dhanfast.app.latency_peer"}
import dhanfast
names = ["dhanfast"]
for found in pkgutil.walk_packages(dhanfast.__path__, "dhanfast."):
    if found.name not in EXCEPT:
        importlib.import_module(found.name)
        names.append(found.name)
print(json.dumps(names))
"""


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter that runs `code`."""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_every_module_imports_without_any_extra() -> None:
    names = json.loads(run_python(f"BLOCKED = {BLOCKED!r}\n{IMPORT_ALL}").splitlines()[-1])
    assert {"dhanfast", "dhanfast._core.types", "dhanfast.errors"} <= set(names)


def test_the_blocker_blocks() -> None:
    code = f"BLOCKED = {['json.decoder', 'dhanfast']!r}\n{IMPORT_ALL}"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert answer.returncode != 0 and "belongs to an extra" in answer.stderr


def test_everything_blocked_belongs_to_an_extra_and_all_of_them_are_blocked() -> None:
    wanted = {
        re.split("[>=[]", requirement)[0]
        for extra in EXTRAS
        for requirement in PROJECT["optional-dependencies"][extra]
    }
    assert wanted == set(BLOCKED) - {"dask", "pandas"}, "keep BLOCKED equal to the extras"


@pytest.mark.parametrize("heavy", ["numpy", "pyarrow", "click", "msgspec", "asyncio", "pandas"])
def test_importing_the_package_is_light(heavy: str) -> None:
    code = (
        f"import sys; before = set(sys.modules); import dhanfast; print({heavy!r} in sys.modules)"
    )
    # An editable installation checks its build in the import hook; that is not the package.
    code = "import sys, os; os.environ['SKBUILD_EDITABLE_SKIP'] = ''\n" + code
    assert run_python(code).split()[-1] == "False"


def test_metadata_lists_every_extra() -> None:
    assert set(metadata("dhanfast").get_all("Provides-Extra") or []) == EXTRAS | {"all"}


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_extra_brings_its_packages_and_all_brings_the_extra(extra: str) -> None:
    listed = requires("dhanfast") or []
    mine = [line for line in listed if f'extra == "{extra}"' in line.replace("'", '"')]
    assert len(mine) == len(PROJECT["optional-dependencies"][extra]) > 0
    assert extra in PROJECT["optional-dependencies"]["all"][0]


def test_the_core_requires_only_what_it_says() -> None:
    core = {line.split(">")[0] for line in requires("dhanfast") or [] if "extra" not in line}
    assert core == {line.split(">")[0] for line in PROJECT["dependencies"]}
    assert not core & set(BLOCKED)
