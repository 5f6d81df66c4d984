"""What starting costs: a bare interpreter, `import dhanfast`, and the records with numpy."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code", ["pass", "import dhanfast", "import numpy", "import dhanfast._core.types"]
)
def test_import(benchmark, code: str) -> None:
    """Whole process, so the first row is to be subtracted from the others."""
    benchmark.group = "start a process"
    command = [sys.executable, "-c", code]
    benchmark.pedantic(subprocess.run, args=(command,), kwargs={"check": True}, rounds=10)
