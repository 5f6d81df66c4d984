"""Cheats that reach the record beside Python's file functions, with too few entries to go blind."""

from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path

import numpy as np
import pytest

from dhanfast.engine.checks import Lookahead, check_lookahead, check_strategy
from dhanfast.engine.checks.stage import WARNING
from dhanfast.storage.bars import BarSet
from tests.engine.checks.cheats import HEAD

Write = Callable[[str], str]

# READ gives the text of RECORD; the strategy buys on the mornings of days that end far up.
CHEAT = (
    HEAD
    + """
READ

class Mine(Strategy):
    def on_start(self, m):
        self.high = {}
        for line in read().split():
            at, close = line.split(",")
            day = int(at) // 86_400_000_000_000
            self.high[day] = max(self.high.get(day, 0.0), float(close))

    def on_bar(self, ctx, bar):
        up = self.high.get(bar.start_ns // 86_400_000_000_000, 0.0)
        if ctx.session_start and up > bar.close + 50:
            ctx.buy(stop=100, target=300)
"""
)

THREAD = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

def read():
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(Path.read_text, Path(RECORD)).result()
"""

PROGRAM = """
import os

def read():
    source, sink = os.pipe()
    child = os.posix_spawn("/bin/cat", ["cat", RECORD], {},
                           file_actions=[(os.POSIX_SPAWN_DUP2, sink, 1)])
    os.close(sink)
    with os.fdopen(source) as lines:
        text = lines.read()
    os.waitpid(child, 0)
    return text
"""

MEMORY = """
from multiprocessing import shared_memory

def read():
    held = shared_memory.SharedMemory(name=NAME)
    text = bytes(held.buf).rstrip(b"\\0").decode()
    held.close()
    return text
"""

CODE = """
import runpy

def read():
    return runpy.run_path(TABLE)["TEXT"]
"""


def outside(got: Lookahead) -> str:
    return " ".join(one.text for one in got.findings if one.code == "outside")


@pytest.mark.parametrize(("read", "said"), [
    (THREAD, "a thread that was begun in the run opens"), (PROGRAM, "starts /bin/cat"),
])  # fmt: skip
def test_what_others_read_for_a_strategy_is_its_own(
    read: str, said: str, write: Write, short: BarSet
) -> None:
    got = check_lookahead(write(CHEAT.replace("READ", read, 1)), short, cuts=2)
    assert said in outside(got) and not got.passed
    assert got.signals and not got.differences  # no cut reaches it


def test_memory_of_another_process_is_outside(write: Write, short: BarSet, record: Path) -> None:
    text = record.read_bytes()
    held = shared_memory.SharedMemory(create=True, size=len(text))
    try:
        assert held.buf is not None
        held.buf[: len(text)] = text
        source = CHEAT.replace("READ", MEMORY.replace("NAME", repr(held.name)), 1)
        assert "maps memory" in outside(check_lookahead(write(source), short, cuts=2))
    finally:
        held.close()
        held.unlink()


def test_data_named_as_code_is_data(
    write: Write, short: BarSet, record: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.py"
    table.write_text(f"TEXT = {record.read_text()!r}")
    source = CHEAT.replace("READ", CODE.replace("TABLE", repr(str(table))), 1)
    assert "opens " + str(table) in outside(check_lookahead(write(source), short, cuts=2))


def test_modules_that_are_imported_and_warned_of_are_code(
    write: Write, short: BarSet, tmp_path: Path
) -> None:
    (tmp_path / "mean_of.py").write_text(
        "def mean(values):\n    return sum(values) / len(values)\n"
    )
    source = (
        HEAD
        + f"""
import sys, warnings
sys.path.insert(0, {str(tmp_path)!r})
from mean_of import mean

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        warnings.warn("a line of this file is read and shown")
        if ctx.session_start and mean([bar.open, bar.close]) > bar.low:
            ctx.buy(stop=100)
"""
    )
    with pytest.warns(UserWarning, match="is read and shown"):
        got = check_lookahead(write(source), short, cuts=2)
    assert got.passed and not got.findings, got.findings


def test_tables_are_warned_of_wherever_the_module_lies(
    write: Write, short: BarSet, tmp_path: Path
) -> None:
    levels = np.unique(short.bars["high"][::30] // 100).tolist()
    assert len(levels) > 100
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "levels_of_days.py").write_text(f"LEVELS = {levels!r}\nclock = __import__('time')\n")
    trade = """
class Mine(Strategy):
    def on_bar(self, ctx, bar):
        if ctx.session_start and LEVELS[-1] > bar.close:
            ctx.buy(stop=100)
"""
    own = check_lookahead(write(f"{HEAD}LEVELS = sorted({levels!r})\n{trade}"), short, cuts=2)
    apart = f"import sys\nsys.path.insert(0, {str(folder)!r})\nfrom levels_of_days import LEVELS\n"
    path = write(HEAD + apart + trade)
    other = check_lookahead(path, short, cuts=2)
    strict = check_strategy(path, short)
    for got in (own, other):
        assert [(one.code, one.level) for one in got.findings] == [("table", WARNING)]
        assert f"{len(levels):,} numbers" in got.findings[0].text
    assert other.findings[0].where == "levels_of_days.py:1" and own.findings[0].where == "mine.py:2"
    assert [one.code for one in strict.findings] == ["table"]


def test_few_numbers_and_docstrings_are_no_table(write: Write, short: BarSet) -> None:
    source = (
        HEAD
        + f'''
WEIGHTS = {list(range(100))!r}

class Mine(Strategy):
    """{"A long story. " * 200}"""
    def on_bar(self, ctx, bar):
        if ctx.session_start and sum(WEIGHTS) > 0:
            ctx.buy(stop=100)
'''
    )
    assert not check_lookahead(write(source), short, cuts=2).findings
