"""A build for finding errors must be the build it claims to be, or its green runs mean nothing."""

import os
from pathlib import Path

import pytest

import dhanfast._core.status

# scripts/test and scripts/sanitize say in DHANFAST_BUILD which build they have installed.
BUILD = os.environ.get("DHANFAST_BUILD", "release")
MODULES = list(Path(dhanfast._core.status.__file__).parent.rglob("*.so"))


@pytest.mark.skipif(BUILD != "sanitize", reason="scripts/sanitize runs this one")
def test_every_module_is_instrumented_and_the_runtime_is_loaded() -> None:
    plain = [path.name for path in MODULES if b"__asan_report_" not in path.read_bytes()]
    assert MODULES and not plain
    assert "libasan" in Path("/proc/self/maps").read_text()


@pytest.mark.skipif(BUILD != "checked", reason="scripts/test runs this one in the checked build")
def test_assertions_are_compiled_in() -> None:
    assert any(b": DF_ASSERT" in path.read_bytes() for path in MODULES)


@pytest.mark.skipif(BUILD != "release", reason="asserts that the release build has no checks")
def test_the_release_build_pays_for_no_check() -> None:
    marked = [
        p for p in MODULES if b": DF_ASSERT" in p.read_bytes() or b"__asan_" in p.read_bytes()
    ]
    assert MODULES and not marked
