"""`on_chain` of a compiled strategy outside this repository, against the same in Python."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

import dhanfast
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings
from dhanfast.errors import ConfigError
from dhanfast.strategies import Market, Strategy
from tests.engine.test_chain_input import bars, snapshots
from tests.options.made import table, write

SOURCE = """# cython: language_level=3, boundscheck=False, cdivision=True
from dhanfast._core.chainfeed cimport ChainFigure, ChainRow
from dhanfast._core.strategy cimport Action, NativeStrategy, Signal, View


cdef class Crowd(NativeStrategy):
    \"\"\"Long while puts are many.\"\"\"

    def __cinit__(self):
        self.wants_chain = True

    cdef void on_chain(self, const ChainRow *chain, const View *view,
                       Signal *signal) noexcept nogil:
        cdef double pcr = chain.figures[<int>ChainFigure.PCR]
        if view.position == 0 and pcr > 1.0:
            signal.action, signal.stop = Action.GO_LONG, 30.0
        elif view.position > 0 and pcr < 0.95:
            signal.action = Action.GO_FLAT
"""


class Plain(Strategy):
    """The oracle."""

    def on_start(self, m: Market) -> None:
        self.pcr = m.chain.pcr

    def on_chain(self, ctx: Any, chain: Any) -> None:
        if ctx.position == 0 and chain.pcr > 1.0:
            ctx.buy(stop=30.0)
        elif ctx.position > 0 and chain.pcr < 0.95:
            ctx.exit()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A compiled module of its own, made with Cython, the C compiler and the shipped headers."""
    (tmp_path / "crowded.pyx").write_text(SOURCE)
    c_file = tmp_path / "crowded.c"
    target = tmp_path / f"crowded{sysconfig.get_config_var('EXT_SUFFIX')}"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{dhanfast.get_include()}"]
    for words in (
        [sys.executable, "-m", "cython", "-3", tmp_path / "crowded.pyx", "-o", c_file],
        [*compiler, "-shared", "-fPIC", "-O1", *includes, c_file, "-o", target],
    ):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]
    monkeypatch.syspath_prepend(str(tmp_path))
    return "crowded:Crowd"


def test_a_compiled_strategy_is_shown_every_set(module: str, tmp_path: Path) -> None:
    file = write(tmp_path / "chains.parquet", table(*snapshots()))
    told = Settings(chain=ChainSettings(data=str(file)))
    native, plain = (backtest(one, bars(), settings=told) for one in (module, Plain))
    assert len(plain.trades) > 3 and native.counters["chain_sets"] == 50
    assert native.trades.tobytes() == plain.trades.tobytes()
    assert native.orders.tobytes() == plain.orders.tobytes()
    with pytest.raises(ConfigError, match="looks at the option chain"):
        backtest(module, bars())
