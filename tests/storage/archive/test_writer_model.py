"""The writer against a list, through crashes at any byte behind what it has acknowledged.

The model knows three lists: rows accepted, flushed, synced. A crash leaves every flushed row (kill
-9) or every synced one (power cut: the file is cut anywhere behind the synced bytes).
"""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dhanfast.clock import ManualClock
from dhanfast.storage.archive.repair import inspect, repair
from dhanfast.storage.archive.sealing import seal_file

from .ticks import START_NS, bars, facts, listed, read, ticks, writer

Row = tuple[str, int, tuple[object, ...]]  # stream, number, values


class WriterMachine(RuleBasedStateMachine):
    """One file over many lives of its writer."""

    @initialize(block_rows=st.sampled_from([1, 3, 8, 64]))
    def begin(self, block_rows: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "2025-11-24.dfa"
        self.clock = ManualClock(START_NS)
        self.block_rows = block_rows
        self.accepted: list[Row] = []
        self.made = self.synced_bytes = self.flushed = self.synced = 0
        self.open()

    def open(self) -> None:
        self.out = writer(self.path, self.clock, block_rows=self.block_rows)
        self.synced_bytes = self.out.file_bytes

    @rule(count=st.integers(0, 20), stream=st.sampled_from(["ticks", "ticks", "bars"]))
    def append(self, count: int, stream: str) -> None:
        rows = (ticks if stream == "ticks" else bars)(self.made, count)
        first = self.out.next_seq
        assert self.out.append(stream, rows) == count
        self.made += count
        self.accepted += [(stream, first + n, row) for n, row in enumerate(listed(rows))]
        assert self.out.rows_written == len(self.accepted)

    @rule()
    def flush(self) -> None:
        self.out.flush()
        assert self.out.rows_flushed == len(self.accepted)

    @rule()
    def sync(self) -> None:
        self.out.sync()
        assert self.out.rows_synced == len(self.accepted)

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.2]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.out.poll(self.clock.now_ns())

    @rule(number=st.integers(0, 9))
    def note(self, number: int) -> None:
        self.out.note({"kind": "marker", "number": number})

    def in_file(self, path: Path) -> list[Row]:
        rows = [(name, seq, row) for name in ("ticks", "bars") for seq, row, _ in read(path, name)]
        return sorted(rows, key=lambda each: each[1])

    def survived(self, least: int) -> None:
        """The file holds the rows that count as safe, and no row that never was."""
        left = self.in_file(self.path)
        assert len(left) >= least
        for name in ("ticks", "bars"):
            kept = [row for row in left if row[0] == name]
            assert kept == [row for row in self.accepted if row[0] == name][: len(kept)]
        self.accepted = left

    @rule(cut=st.floats(0, 1), power=st.booleans())
    def crash(self, cut: float, power: bool) -> None:
        """Kill -9: all that was written stays. Power cut: anything behind the synced bytes goes."""
        flushed, synced, whole = self.out.rows_flushed, self.out.rows_synced, self.out.file_bytes
        data = self.path.read_bytes()
        synced_bytes = self.out._file.synced_end
        assert len(data) == whole
        self.out._file.close()  # the process is gone: nothing more is written
        if power:
            self.path.write_bytes(data[: synced_bytes + round(cut * (whole - synced_bytes))])
        if cut < 0.5:
            assert repair(self.path).damage == []
        self.open()
        self.survived(synced if power else flushed)

    @precondition(lambda self: self.made)
    @rule()
    def reopen(self) -> None:
        self.out.close()
        self.open()
        assert self.in_file(self.path) == self.accepted

    @rule()
    def seal_a_copy(self) -> None:
        self.out.flush()
        copy = self.folder / "copy.dfa"
        copy.unlink(missing_ok=True)
        shutil.copyfile(self.path, copy)
        assert seal_file(copy).rows == len(self.accepted)
        assert facts(copy).sealed and inspect(copy).sealed
        assert self.in_file(copy) == self.accepted

    @invariant()
    def the_counts_tell_the_truth(self) -> None:
        if not hasattr(self, "out"):
            return
        assert self.out.rows_synced <= self.out.rows_flushed <= self.out.rows_written
        found = inspect(self.path)
        assert found.damage == [] and found.torn_bytes == 0
        assert found.rows == self.out.rows_flushed

    def teardown(self) -> None:
        if hasattr(self, "out"):
            self.out.seal()
            assert self.in_file(self.path) == self.accepted
            shutil.rmtree(self.folder)


TestWriter = WriterMachine.TestCase
TestWriter.settings = settings(max_examples=25, stateful_step_count=20)
