"""One budget for all engines of an account, against a list of times; its file, and what ails it."""

import contextlib
import os
import struct
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dhanfast._core.archive.crc import crc32c
from dhanfast._core.live import budget_file
from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast.errors import BadData, ConfigError, DhanfastError

MS, SECOND, DAY = 10**6, 10**9, 86_400 * 10**9
NOON = 1_763_620_200 * SECOND  # 20 November 2025, 12:00 in India
SPANS = {"per_second": SECOND, "per_minute": 60 * SECOND, "per_hour": 3_600 * SECOND}
NEVER = 2**63 - 1
ACCOUNT = bytes(range(32))
HEAD, FIRST, PAGE, STAMPS = 128, 1 << 23, 4096, 8192


class Plain:
    """What all clients together have sent, by counting a list."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self.times = [0]
        self.today = self.closed = 0

    def _room(self, name: str, urgent: bool) -> int:
        limit = self.limits[name]
        return limit if urgent or limit == 1 else limit - max(1, limit * 20 // 100)

    def wait_of(self, now: int, urgent: bool) -> int:
        at, until = max(now, self.times[-1] + 1), 0
        if not urgent:
            if self.today >= self._room("per_day", False):
                return NEVER
            until = self.closed if self.closed > at else 0
        for name, span in SPANS.items():
            room = self._room(name, urgent)
            inside = [time for time in self.times if time > at - span]
            if len(inside) >= room:
                until = max(until, inside[len(inside) - room] + span)
        return max(1, until - now) if until else 0

    def take(self, now: int) -> None:
        self.times.append(max(now, self.times[-1] + 1))
        self.today += 1


class Clients(RuleBasedStateMachine):
    """Engines that come, order, are killed anywhere, and come back; days pass."""

    limits: ClassVar = {"per_second": 4, "per_minute": 9, "per_hour": 20, "per_day": 30}

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name) / "requests.budget"
        self.now = NOON
        self.plain = Plain(self.limits)
        self.own = dict.fromkeys("abc", 0)
        self.clients = {name: self.made(name) for name in self.own}

    def teardown(self) -> None:
        self.clients.clear()
        self._folder.cleanup()

    def made(self, name: str) -> SharedBudget:
        return SharedBudget(self.path, ACCOUNT, name=name, manual_ns=self.now, **self.limits)

    def count(self, name: str) -> None:
        self.plain.take(self.now)
        self.own[name] += 1

    @rule(step=st.sampled_from([1, 200 * MS, SECOND, 7 * SECOND, 60 * SECOND, 900 * SECOND]))
    def wait(self, step: int) -> None:
        days = (self.now + step + 19_800 * SECOND) // DAY - (self.now + 19_800 * SECOND) // DAY
        self.now += step
        if days:
            self.plain.today = 0
            self.own = dict.fromkeys(self.own, 0)
        for client in self.clients.values():
            client.set_time(self.now)

    @rule()
    def sleep_until_tomorrow(self) -> None:
        self.wait(DAY)

    @rule(name=st.sampled_from("abc"), urgent=st.booleans())
    def reserve(self, name: str, urgent: bool) -> None:
        want = self.plain.wait_of(self.now, urgent)
        client = self.clients[name]
        assert client.wait_of(self.now, urgent=urgent) == want
        assert client.reserve(self.now, urgent=urgent) == want
        if want == 0:
            self.count(name)

    @rule(name=st.sampled_from("abc"), count=st.integers(1, 3))
    def spend(self, name: str, count: int) -> None:
        self.clients[name].spend(self.now, count)
        for _ in range(count):
            self.count(name)

    @rule(name=st.sampled_from("abc"), wait=st.sampled_from([SECOND, 5 * SECOND]))
    def too_fast(self, name: str, wait: int) -> None:
        self.clients[name].close_for(wait)
        self.plain.closed = max(self.plain.closed, self.now + wait)

    @rule(name=st.sampled_from("abc"))
    def killed_and_back(self, name: str) -> None:
        del self.clients[name]
        self.clients[name] = self.made(name)

    @precondition(lambda self: self.plain.today)
    @rule(name=st.sampled_from("abc"))
    def killed_between_the_stamp_and_the_head(self, name: str) -> None:
        """Whoever comes next finds the stamp counted, and moves the head for the dead one."""
        del self.clients[name]
        with open(self.path, "r+b") as file:
            file.seek(HEAD)
            (head,) = struct.unpack("<Q", file.read(8))
            file.seek(PAGE + 8 * (head % STAMPS))
            file.write(struct.pack("<q", max(self.now, self.plain.times[-1] + 1)))
        self.plain.take(self.now)
        self.clients[name] = self.made(name)
        assert self.clients[name].wait_of(self.now) == self.plain.wait_of(self.now, False)

    @invariant()
    def no_client_is_counted_for_another(self) -> None:
        for name, client in self.clients.items():
            assert client.own(self.now) == self.own[name]
            assert client.trouble() == ""


Clients.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
TestClients = Clients.TestCase


def shared(path: Path, name: str = "main", **more: Any) -> SharedBudget:
    return SharedBudget(path, ACCOUNT, name=name, manual_ns=NOON, **more)


def test_entries_of_one_engine_leave_another_its_exits(tmp_path: Path) -> None:
    one, two = shared(tmp_path / "b", "one"), shared(tmp_path / "b", "two")
    sent = 0
    while one.reserve(NOON) == 0:
        sent += 1
    assert sent == 8, "of nine a second, one is kept"
    assert 0 < two.reserve(NOON) <= SECOND and two.reserve(NOON, urgent=True) == 0
    assert one.used(NOON) == {"second": 9, "minute": 9, "hour": 9, "day": 9}
    assert one.limits() == {"second": 9, "minute": 240, "hour": 960, "day": 6_900}
    assert two.by_engine(NOON) == {"one": 8, "two": 1}


def test_a_clock_that_was_ahead_counts_for_today_and_a_new_day_begins_by_itself(
    tmp_path: Path,
) -> None:
    ahead = SharedBudget(tmp_path / "b", ACCOUNT, name="x", manual_ns=NOON)
    ahead.reserve(NOON + 40 * DAY)
    del ahead
    again = shared(tmp_path / "b", "x")
    assert again.used(NOON)["day"] == 1
    again.set_time(NOON + DAY)
    assert again.reserve(NOON + DAY) == 0 and again.used(NOON + DAY)["day"] == 1


def test_a_start_of_the_machine_keeps_the_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock begins at nothing; what was sent ten minutes ago is that old."""
    path = tmp_path / "b"
    for machine, mono, utc in (
        ("one", 900 * SECOND, NOON),
        ("two", 5 * SECOND, NOON + 600 * SECOND),
    ):
        (tmp_path / "boot").write_text(machine)
        monkeypatch.setattr(budget_file, "BOOT", tmp_path / "boot")
        handle, _, offset = budget_file.open_budget(
            str(path), ACCOUNT, "main", utc_ns=utc, mono_ns=mono
        )
        os.close(handle)
        assert mono + offset == utc
        if machine == "one":
            with open(path, "r+b") as file:
                file.seek(PAGE + 8 * (FIRST % STAMPS))
                file.write(struct.pack("<q", utc))
                file.seek(HEAD)
                file.write(struct.pack("<Q", FIRST + 1))
    later = SharedBudget(path, ACCOUNT, manual_ns=NOON + 600 * SECOND)
    assert later.used(NOON) == {"second": 0, "minute": 0, "hour": 1, "day": 1}


def test_a_wall_clock_that_was_set_back_before_a_start_does_not_free_the_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b"
    budget = shared(path)
    for _ in range(8):
        assert budget.reserve(NOON) == 0
    del budget
    (tmp_path / "boot").write_text("another")
    monkeypatch.setattr(budget_file, "BOOT", tmp_path / "boot")
    handle, _, offset = budget_file.open_budget(
        str(path), ACCOUNT, "main", utc_ns=NOON - 7_200 * SECOND, mono_ns=SECOND
    )
    os.close(handle)
    assert SECOND + offset > NOON, "the times count as if they were of now"


# ---- the file ------------------------------------------------------------------------------------


def put(path: Path, at: int, raw: bytes, *, seal: bool = False) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(raw)
        if seal:
            file.seek(0)
            fixed = file.read(budget_file.FIXED.size)
            file.write(struct.pack("<I", crc32c(fixed)))


AILMENTS: list[tuple[str, int, bytes, bool]] = [
    ("is none", 0, b"NOTHING!", False),
    ("another version", 8, struct.pack("<I", 2), True),
    ("another account", 16, bytes(32), True),
    ("first bytes are damaged", 16, bytes(32), False),
    ("counts are damaged", HEAD, struct.pack("<Q", 5), False),
    ("counts are damaged", HEAD, struct.pack("<Q", 2**60), False),
    ("counts are damaged", HEAD + 8, struct.pack("<Q", 2**40 - 1), False),
    ("times are damaged", PAGE + 8 * 77, struct.pack("<q", NOON * 3), False),
    ("times are damaged", PAGE + 8 * 77, struct.pack("<q", -1), False),
]


@pytest.mark.parametrize(("words", "at", "raw", "seal"), AILMENTS)
def test_a_file_without_sense_is_refused_with_a_remedy(
    words: str, at: int, raw: bytes, seal: bool, tmp_path: Path
) -> None:
    path = tmp_path / "requests.budget"
    shared(path).reserve(NOON)
    put(path, at, raw, seal=seal)
    with pytest.raises(BadData, match=words) as told:
        shared(path)
    assert str(path) in str(told.value) and "remove the file" in str(told.value)
    path.unlink()
    assert shared(path).reserve(NOON) == 0, "the remedy works"


@pytest.mark.parametrize("size", [0, 7, 4096, 4096 + 8 * STAMPS - 1, 4096 + 8 * STAMPS + 1])
def test_a_file_of_another_length_is_refused(size: int, tmp_path: Path) -> None:
    path = tmp_path / "requests.budget"
    shared(path)
    os.truncate(path, size)
    with pytest.raises(BadData, match="remove the file"):
        shared(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DhanfastError, match=r"absent.*owner and mode"):
        shared(tmp_path / "absent" / "requests.budget")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DhanfastError, match=r"folder.*owner and mode"):
        shared(tmp_path / "folder")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DhanfastError, match="link"):
        shared(tmp_path / "link")
    assert not list(tmp_path.glob("*.new"))


def test_what_is_wrong_with_the_arguments_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"budget\.per_second"):
        shared(tmp_path / "b", per_second=0)
    with pytest.raises(BadData, match="32 bytes"):
        SharedBudget(tmp_path / "b", b"short")


def test_a_day_has_so_many_seats_and_tomorrow_they_are_free(tmp_path: Path) -> None:
    path = tmp_path / "b"
    for number in range(budget_file.SEATS):
        shared(path, f"engine{number}").reserve(NOON, urgent=True)
    with pytest.raises(DhanfastError, match=r"32 engines.*engine.run"):
        shared(path, "one-more")
    assert shared(path, "engine7").own(NOON) in (0, 1), "a name of today has its seat"
    tomorrow = SharedBudget(path, ACCOUNT, name="one-more", manual_ns=NOON + DAY)
    assert tomorrow.own(NOON + DAY) == 0


def test_a_file_that_goes_or_breaks_while_it_is_used_blocks_no_exit(tmp_path: Path) -> None:
    path = tmp_path / "b"
    budget = shared(path)
    assert budget.reserve(NOON) == 0
    path.rename(tmp_path / "c")
    assert "was removed" in budget.trouble()
    shared(path)
    assert "was replaced" in budget.trouble()
    (tmp_path / "c").rename(path)
    assert budget.trouble() == ""
    put(path, HEAD, struct.pack("<Q", 5))
    assert budget.reserve(NOON, urgent=True) == 0 and budget.reserve(NOON) == SECOND
    assert "damaged" in budget.trouble() and budget.broken == 2


def test_times_of_the_far_future_block_no_exit(tmp_path: Path) -> None:
    path = tmp_path / "b"
    budget = shared(path)
    assert budget.reserve(NOON) == 0
    put(path, PAGE + 8 * (FIRST % STAMPS), struct.pack("<q", NOON + 10 * DAY))
    assert budget.reserve(NOON, urgent=True) == 0 and budget.reserve(NOON) == SECOND
    assert budget.broken == 2


def test_a_file_that_is_cut_short_while_it_is_used_blocks_no_exit(tmp_path: Path) -> None:
    """The pages are gone; touching them would be a SIGBUS."""
    path = tmp_path / "b"
    budget, other = shared(path), shared(path, "other")
    assert budget.reserve(NOON) == 0
    os.truncate(path, 0)
    for one in (budget, other):
        assert one.reserve(NOON, urgent=True) == 0 and one.reserve(NOON) == SECOND
        assert "damaged" in one.trouble()
        with contextlib.suppress(DhanfastError):
            one.spend(NOON)


def test_the_layout_of_the_file_is_that_of_the_program(tmp_path: Path) -> None:
    assert budget_file.FILE_BYTES == 69_632 and budget_file.FIXED.size == 104
    shared(tmp_path / "b")
    assert (tmp_path / "b").stat().st_size == budget_file.FILE_BYTES
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600
