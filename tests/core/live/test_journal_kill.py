"""kill -9 of a writer at many instants. DHANFAST_KILLS=1000 for the full course."""

import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

from dhanfast._core.live.journal import Journal
from tests.core.live import plain_journal

WRITER = """
import os, sys
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.journal_header import JournalHeader
path = sys.argv[1]
header = None if os.path.exists(path) else JournalHeader(9, 20260101, "kill", bytes(32), 0, "")
journal = Journal(path, header, segment_bytes=65_536, reserve_bytes=4_096, sync_ns=2_000_000)
while True:
    number = journal.seq + 1
    if journal.room < 2_000:
        journal.prepare()
    journal.append_record(3, number.to_bytes(8, "little") * (1 + number * 7919 % 97), number)
    os.write(1, number.to_bytes(8, "little"))
"""


def payload_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * (1 + number * 7919 % 97)


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(int(os.environ.get("DHANFAST_KILLS_SEED", "1")))
    path = tmp_path / "k.dfj"
    told = 0
    for _ in range(int(os.environ.get("DHANFAST_KILLS", "12"))):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            for _ in range(rng.randrange(1, 800)):  # the moment of death
                (told,) = struct.unpack("<Q", child.stdout.read(8))
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
            if rest:
                (told,) = struct.unpack("<Q", rest[-8:])
            assert child.wait() == -signal.SIGKILL
        found = plain_journal.records(path)
        assert told <= len(found) <= told + 1
        assert found == [(3, n, n, payload_of(n)) for n in range(1, len(found) + 1)]
        with_us = Journal(str(path), segment_bytes=65_536, reserve_bytes=4_096)
        assert with_us.seq == len(found)  # and the next life goes on from there
        del with_us
