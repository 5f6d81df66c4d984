"""The journal: what was appended is there, whatever happened since."""

import os
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhanfast._core.live.journal import PAYLOAD_MAX, Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.errors import BadData, JournalFailed, UsageError
from tests.core.live import plain_journal

HEADER = JournalHeader(0x12AB34CD, 20261123, "test", bytes(range(32)), 1_763_955_900_000_000_000,
                       "rules")  # fmt: skip
SMALL = {"segment_bytes": 65_536, "reserve_bytes": 4_096, "sync_ns": 0}


def begun(folder: Path, name: str = "a.dfj", **changes: int) -> Journal:
    return Journal(str(folder / name), HEADER, **(SMALL | changes))


def filled(folder: Path, count: int = 5, size: int = 72) -> Path:
    """A journal of `count` records that was closed in order."""
    journal = begun(folder)
    for number in range(count):
        journal.append_record(Kind.TICK, bytes([number + 1]) * size, 1_000 + number)
    journal.close()
    return folder / "a.dfj"


def read(path: Path) -> list[tuple[int, int, int, bytes]]:
    with JournalReader(str(path)) as reader:
        return list(reader)


payloads = st.binary(max_size=300) | st.integers(0, 70_000).map(lambda size: b"\x5a" * size)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=st.lists(st.lists(st.tuples(st.integers(0, 65_535), payloads, st.integers(
    -(2**63), 2**63 - 1), st.booleans()), max_size=12), min_size=1, max_size=4))  # fmt: skip
def test_what_was_appended_is_read_by_us_and_by_the_book(tmp_path: Path, lives) -> None:
    path = tmp_path / "a.dfj"
    path.unlink(missing_ok=True)
    wanted = []
    for life, records in enumerate(lives):
        journal = Journal(str(path), None if life else HEADER, **SMALL)
        for kind, payload, at_ns, vital in records:
            seq = journal.append_record(kind, payload, at_ns, vital=vital)
            wanted.append((kind, at_ns, seq, payload))
            assert seq == journal.seq == len(wanted)
        if life % 2:
            journal.close()
        del journal  # a writer that is dropped loses nothing either
    assert read(path) == wanted == plain_journal.records(path)


def test_header_comes_back(tmp_path: Path) -> None:
    text = "x" * 10_000  # records begin on a later page
    header = JournalHeader(7, 20260101, "näme", b"\1" * 32, -5, text)
    Journal(str(tmp_path / "h"), header, **SMALL).close()
    with JournalReader(str(tmp_path / "h")) as reader:
        assert reader.header == header
        assert reader.header.first == 12_288 == reader.end
        assert reader.header.tag == "df00000007"
    assert (tmp_path / "h").stat().st_size == 12_288
    assert (tmp_path / "h").stat().st_mode & 0o777 == 0o600


def test_bytes_are_those_of_the_book(tmp_path: Path) -> None:
    path = filled(tmp_path, 3, 13)
    wanted = b"".join(
        plain_journal.record(n + 1, HEADER.epoch, 3, bytes([n + 1]) * 13, 1_000 + n)
        for n in range(3)
    )
    assert path.read_bytes()[4_096:] == wanted


def last_record(path: Path) -> tuple[bytes, int]:
    """The file up to its end, and where the last record begins."""
    data = path.read_bytes()
    return data, len(data) - (-(-(32 + 72) // 8) * 8)


def test_a_tail_torn_at_any_byte_is_cut_and_told(tmp_path: Path) -> None:
    path = filled(tmp_path)
    whole = read(path)
    data, start = last_record(path)
    marks = struct.pack("<QQ", start, 4)  # the last record was not on the disk yet
    data = data[:144] + marks + data[160:]
    for cut in range(start, len(data)):
        for torn in (
            data[:cut],  # the file ends there
            data[:cut].ljust(len(data) + 5_000, b"\0"),  # the rest never came to the disk
            data[:start] + bytes(8) + data[start + 8 : cut] + bytes(9_000),  # commit word missing
        ):
            path.write_bytes(torn)
            journal = Journal(str(path), **SMALL)
            assert journal.recovery is not None and journal.seq == journal.recovery.records
            left = torn[start:].rstrip(b"\0")
            assert journal.seq == 4, (cut, len(torn))
            assert journal.recovery.cut_bytes == len(left)
            assert bool(journal.recovery.why) == bool(left)
            assert journal.append_record(Kind.NOTE, b"on", 9) == 5
            journal.close()
            assert read(path) == [*whole[:4], (Kind.NOTE, 9, 5, b"on")]


def test_a_record_whose_padding_is_missing_is_whole(tmp_path: Path) -> None:
    path = filled(tmp_path, 2, 9)  # 41 bytes, 7 of padding
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    assert len(read(path)) == 2


def test_any_flipped_bit_ends_reading_before_its_record(tmp_path: Path) -> None:
    path = filled(tmp_path, 4, 40)
    whole = read(path)
    data = path.read_bytes()
    for at in range(4_096, len(data)):
        bad = bytearray(data)
        bad[at] ^= 1 << (at % 8)
        path.write_bytes(bad)
        with JournalReader(str(path)) as reader:
            got = list(reader)
            number = (at - 4_096) // 72
            assert got == whole[:number] and reader.why
            assert reader.tail()[1] == 3 - number  # whole ones behind it, out of reach


def test_damage_before_what_was_synced_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path)  # closing synced all of it
    data = bytearray(path.read_bytes())
    data[4_096 + 2 * 104 + 50] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadData, match=r"record 3 at byte 4304 cannot be read.*reconcile"):
        Journal(str(path), **SMALL)
    path.write_bytes(data[: 4_096 + 104])
    with pytest.raises(BadData, match=r"record 2.*the bytes are gone.*up to 5 were on the disk"):
        Journal(str(path), **SMALL)


def test_a_power_cut_costs_nothing_that_was_synced(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    for number in range(40):
        journal.append_record(Kind.INTENT, bytes(104), number)
        if number == 24:
            journal.sync()
    assert journal.synced_seq == 25 and journal.synced_bytes < journal.bytes
    data = Path(journal.path).read_bytes()
    kept = journal.synced_bytes
    for fate in (b"", bytes(8_192), os.urandom(8_192), data[kept : kept + 8_192][::-1]):
        path = tmp_path / "after.dfj"
        path.write_bytes(data[:kept] + fate)
        again = Journal(str(path), **SMALL)
        assert again.seq == 25
        assert again.append_record(Kind.RESUME, b"", 99) == 26
        again.close()
        assert len(read(path)) == 26
    lost = bytearray(data)  # one page in the middle never came, later ones did
    lost[kept : kept + 136] = bytes(136)
    path.write_bytes(lost)
    again = Journal(str(path), **SMALL)
    assert (again.seq, again.recovery.cut_records) == (25, 14)


def dirty_kb(path: str) -> int:
    """Dirty memory of this process's mapping of a file, as the kernel counts it."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            inside = line.endswith(path)
        elif inside and line.startswith(("Shared_Dirty", "Private_Dirty")):
            total += int(line.split()[1])
    return total


def test_sync_really_writes(tmp_path: Path) -> None:
    """The kernel's own count: pages of records are dirty before a sync and clean after it."""
    journal = begun(tmp_path)
    journal.sync()
    for number in range(600):
        journal.append_record(Kind.TICK, bytes(72), number)
    before = dirty_kb(journal.path)
    journal.sync()
    after = dirty_kb(journal.path)
    if before and after == before:
        pytest.skip("a memory file system: nothing is ever written to a disk")
    assert before >= 60 and before - after >= 600 * 104 // 1024 - 8
    assert journal.synced_seq == 600 and journal.synced_bytes == journal.bytes


def test_the_thread_syncs_by_itself_and_makes_room(tmp_path: Path) -> None:
    journal = begun(tmp_path, sync_ns=4_000_000)
    waiting = threading.Event()
    for number in range(3_000):  # five segments
        journal.append_record(Kind.TICK, bytes(72), number)
    for _ in range(20_000):
        if journal.synced_seq == 3_000 and journal.room >= 20_000:
            break
        waiting.wait(0.001)
    assert journal.synced_seq == 3_000 and journal.syncs >= 1
    assert journal.room >= 20_000  # half a segment ahead
    journal.close()
    assert [seq for _, _, seq, _ in read(tmp_path / "a.dfj")] == list(range(1, 3_001))


def test_the_reserve_is_for_vital_records(tmp_path: Path) -> None:
    journal = begun(tmp_path, bytes_max=196_608)  # two segments and a bit: then no more growth
    with pytest.raises(JournalFailed, match=r"no room left.*no entry may be sent"):
        while True:
            journal.append_record(Kind.TICK, bytes(72), 1)
            if journal.room < 30_000 and not journal.trouble:
                _try(journal)
    ordinary = journal.seq
    assert journal.room < 104 and "cannot grow" in journal.trouble
    with pytest.raises(JournalFailed):
        while True:
            journal.append_record(Kind.INTENT, bytes(104), 2, vital=True)
    assert journal.seq - ordinary >= 4_096 // 136
    last = journal.seq
    journal.close()
    got = read(tmp_path / "a.dfj")
    assert len(got) == last and got[-1][0] == Kind.INTENT


def _try(journal: Journal) -> None:
    try:
        journal.prepare()
    except JournalFailed:
        assert journal.trouble


FULL_DISK = """
import resource, sys
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast.errors import JournalFailed
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
journal = Journal(sys.argv[1], JournalHeader(1, 20260101, "full", bytes(32), 0, ""),
                  segment_bytes=65_536, reserve_bytes=8_192, sync_ns=2_000_000)
try:
    while True:
        journal.append_record(Kind.TICK, bytes(72), 1)
except JournalFailed as error:
    if "no room" not in str(error): raise
while not journal.trouble:
    try:
        journal.append_record(Kind.TICK, bytes(72), 1)
    except JournalFailed: pass
exits = 0
try:
    while True:
        journal.append_record(Kind.INTENT, bytes(104), 2, vital=True)
        exits += 1
except JournalFailed:
    pass
journal.close()
print(exits, journal.seq, flush=True)
"""


def test_a_disk_that_ends_is_met_at_growth_and_not_by_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "full.dfj"
    answer = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)],
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    exits, last = map(int, answer.stdout.split())
    assert exits >= 8_192 // 136 - 1
    assert len(read(path)) == last
    assert path.stat().st_size <= 300_000


def test_no_room_for_the_first_segment_is_said(tmp_path: Path) -> None:
    script = FULL_DISK.replace("(300_000, 300_000)", "(30_000, 30_000)")
    answer = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x")],
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert "JournalFailed" in answer.stderr and "free disk space" in answer.stderr


def test_a_second_writer_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    with pytest.raises(UsageError, match=f"process {os.getpid()} writes this journal"):
        Journal(journal.path)
    journal.close()
    Journal(journal.path).close()


def test_a_new_journal_never_takes_an_old_ones_name(tmp_path: Path) -> None:
    path = filled(tmp_path)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="there is a journal of this name already"):
        begun(tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork beside a thread: the point of it
def test_a_forked_child_has_no_journal_and_no_lock(tmp_path: Path) -> None:
    journal = begun(tmp_path, sync_ns=2_000_000)
    journal.append_record(Kind.NOTE, b"before", 1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            journal.append_record(Kind.NOTE, b"child", 2)
        except UsageError:
            os.write(writing, b"refused")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 20) == b"refused"
    os.close(reading)
    os.close(writing)
    journal.append_record(Kind.NOTE, b"after", 3)
    with pytest.raises(UsageError):
        Journal(journal.path)
    journal.close()
    assert [payload for *_, payload in read(tmp_path / "a.dfj")] == [b"before", b"after"]


def test_a_reader_follows_a_writer(tmp_path: Path) -> None:
    journal = begun(tmp_path)
    with JournalReader(journal.path) as reader:
        seen = 0
        for number in range(2_000):
            journal.append_record(Kind.TICK, bytes(number % 200), number)
            if number % 7 == 0:
                seen += sum(1 for _ in reader)
                assert seen == number + 1 == reader.seq and reader.why == ""
        journal.close()  # cuts the file under the reader
        assert seen + reader.skim() == 2_000
        assert reader.tail() == (0, 0)


def test_arguments_out_of_range_are_refused(tmp_path: Path) -> None:
    for change, text in [
        ({"sync_ns": 5}, "sync_ns must be 0 or from 2 ms"),
        ({"segment_bytes": 4_096}, "segment_bytes must be a multiple of 4,096 from 65,536"),
        ({"segment_bytes": 65_537}, "segment_bytes"),
        ({"reserve_bytes": 40_000}, "half a segment, was 40000"),
        ({"bytes_max": 65_536}, "bytes_max must be"),
    ]:
        with pytest.raises(UsageError, match=text):
            Journal(str(tmp_path / text[:7]), HEADER, **(SMALL | change))
    journal = begun(tmp_path)
    with pytest.raises(UsageError, match="kind must be from 0 to 65,535, was 65536"):
        journal.append_record(65_536, b"", 0)
    with pytest.raises(UsageError, match="payload must be at most"):
        journal.append_record(1, bytes(PAYLOAD_MAX + 1), 0)
    journal.close()
    with pytest.raises(UsageError, match="this journal is closed"):
        journal.append_record(1, b"", 0)
    with pytest.raises(UsageError, match="this journal is closed"):
        journal.sync()
    for field, value, text in [
        ("epoch", 0, "epoch must be from 1"), ("date", 5, "date must be YYYYMMDD"),
        ("run", "", "run must be 1..64 bytes"), ("config_digest", b"", "sha256"),
        ("created_ns", 2**63, "64 bits"), ("text", "x" * (5 << 20), "text must be at most"),
    ]:  # fmt: skip
        fields = {name: getattr(HEADER, name) for name in HEADER.__slots__} | {field: value}
        with pytest.raises(UsageError, match=text):
            JournalHeader(**fields)


def test_what_is_not_a_journal_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path)
    data = path.read_bytes()
    for at, text in [
        (0, "not a journal"),
        (8, "layout"),
        (12, "layout 0"),
        (16, "damaged"),
        (33, "damaged"),
        (39, "damaged"),
        (60, "damaged"),
        (194, "damaged"),
    ]:
        bad = bytearray(data)
        bad[at] ^= 1
        path.write_bytes(bad)
        for opened in (JournalReader, Journal):
            with pytest.raises(BadData, match=text):
                opened(str(path))
    for short in (b"", data[:100], data[:4_095]):
        path.write_bytes(short)
        with pytest.raises(BadData, match="not a journal"):
            JournalReader(str(path))
