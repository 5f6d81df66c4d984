"""One owner of a token, among processes that come, go and are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dhanfast.clock import ManualClock
from dhanfast.errors import DhanfastError
from dhanfast.security.owner import Owned, TokenOwner, holder, started_ticks

OTHER = """
import sys
from pathlib import Path
from dhanfast.clock import SystemClock
from dhanfast.security.owner import TokenOwner
owner = TokenOwner(Path(sys.argv[1]), "dhanfast trade", SystemClock())
owner.acquire()
print("held", flush=True)
sys.stdin.readline()
"""


def owner_of(path: Path, purpose: str = "a test") -> TokenOwner:
    return TokenOwner(path, purpose, ManualClock(5))


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "s" / "owner.lock"
    with owner_of(path, "the first") as first:
        first.acquire()  # again is fine
        with pytest.raises(Owned, match=rf"owned by the first \(pid {os.getpid()}\)"):
            owner_of(path).acquire()
        found = holder(path)
        assert found is not None and (found.pid, found.since_ns) == (os.getpid(), 5)
        assert found.started == started_ticks(os.getpid()) > 0
    assert holder(path) is None and not first.held
    with owner_of(path) as second:
        assert second.held
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_ownership_ends_with_its_process(tmp_path: Path, ending: signal.Signals) -> None:
    path = tmp_path / "owner.lock"
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(Owned, match=rf"dhanfast trade \(pid {other.pid}\)"):
            owner_of(path).acquire()
        found = holder(path)
        assert found is not None and found.started == started_ticks(other.pid)
        other.send_signal(ending)
        other.wait()
        assert holder(path) is None
        with owner_of(path):
            pass
    finally:
        other.kill()
        other.communicate()


def test_asking_who_owns_never_stands_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    with owner_of(path):
        pass
    handles = [os.open(path, os.O_RDONLY) for _ in range(3)]  # as askers have them
    assert holder(path) is None
    with owner_of(path) as owner:
        assert owner.held
    for handle in handles:
        os.close(handle)


def test_what_stands_in_the_file_may_be_anything(tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    with owner_of(path):
        path.write_text("{}")
        assert holder(path) is not None
        with pytest.raises(Owned, match="another process"):
            owner_of(path).acquire()


def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DhanfastError, match="cannot be made"):
        owner_of(tmp_path / "file" / "owner.lock").acquire()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(DhanfastError, match="cannot be made"):
        owner_of(tmp_path / "link").acquire()
    assert holder(tmp_path / "absent") is None and started_ticks(2**30) == 0
