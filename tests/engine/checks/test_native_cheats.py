"""Compiled strategies that read bars they have not been shown: caught by the cut."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import dhanfast
from dhanfast.engine.checks import check_lookahead, check_strategy, check_warmup
from dhanfast.storage.bars import BarSet

SOURCE = '''
"""Cheats through the Cython door, and one that is honest."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from dhanfast._core.strategy cimport Action, NativeStrategy, Signal, View
from dhanfast._core.types cimport Bar


cdef class ReadsOn(NativeStrategy):
    """Looks at the bar behind the one it is given: they lie side by side."""

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        if view.position == 0 and bar[1].close > bar.close + 500:
            signal.action, signal.stop, signal.target = Action.GO_LONG, 50.0, 20.0


cdef class MeanOfBlock(NativeStrategy):
    """Compares with the mean of all bars it was prepared for, also those to come."""

    cdef public double mean

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        cdef size_t i
        self.mean = 0.0
        for i in range(n):
            self.mean += 0.01 * bars[index[i]].close / n

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        if view.position == 0 and 0.01 * bar.close < self.mean - 20:
            signal.action, signal.stop, signal.target = Action.GO_LONG, 50.0, 20.0


cdef class Honest(NativeStrategy):
    """Compares with the bar before."""

    cdef public double before

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        if view.position == 0 and self.before > 0 and 0.01 * bar.close < self.before - 10:
            signal.action, signal.stop, signal.target = Action.GO_LONG, 50.0, 20.0
        self.before = 0.01 * bar.close
'''


def call(*command: str | Path) -> None:
    answer = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-4000:]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiled module."""
    folder = tmp_path_factory.mktemp("native")
    source = folder / "nativecheats.pyx"
    source.write_text(SOURCE)
    c_file = folder / "nativecheats.c"
    call(sys.executable, "-m", "cython", "-3", source, "-o", c_file)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    target = folder / f"nativecheats{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{dhanfast.get_include()}"]
    call(*compiler, "-shared", "-fPIC", "-O1", *includes, c_file, "-o", target)
    return folder


@pytest.fixture(autouse=True)
def importable(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(compiled))


@pytest.mark.parametrize("name", ["ReadsOn", "MeanOfBlock"])
def test_a_native_cheat_is_caught_at_its_bar(name: str, bars: BarSet) -> None:
    got = check_lookahead(f"nativecheats:{name}", bars, cuts=20)
    assert not got.passed
    entries = [one for one in got.differences if one.what == "entry"]
    assert entries and all(one.bar_ns <= one.cut_ns for one in entries)


def test_what_a_native_one_shows_of_itself_is_compared(bars: BarSet) -> None:
    got = check_lookahead("nativecheats:MeanOfBlock", bars, cuts=20)
    assert "self.mean" in {one.name for one in got.differences}


def test_an_honest_native_one_passes_every_check(bars: BarSet) -> None:
    assert check_lookahead("nativecheats:Honest", bars, cuts=20).findings == ()
    steady = check_strategy("nativecheats:Honest", bars)
    assert steady.findings == () and steady.elsewhere and steady.source == ()
    needs = {need.name: need.bars for need in check_warmup("nativecheats:Honest", bars).needs}
    assert needs == {"decision (while flat)": 2, "its stop": 2, "its target": 2, "self.before": 1}
