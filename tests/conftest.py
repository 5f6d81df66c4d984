"""What every test may lean on: hypothesis profiles, recorded data, and no network but loopback."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parent.parent

# HYPOTHESIS_PROFILE names one of these. Deadlines are off: this suite is timed by bench/, and a
# shared machine would make them fail at random.
settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci", max_examples=100, deadline=None, derandomize=True, print_blob=True, database=None
)
settings.register_profile(
    "nightly",
    max_examples=2_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))


class NetworkRefused(BaseException):
    """A test reached for the network. Not an Exception: no retry loop may swallow it."""


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):  # AF_UNIX path, netlink, ...: never leaves the machine
        return True
    host = str(address[0])
    return host in {"localhost", "::1", "", "0.0.0.0", "::"} or host.startswith("127.")


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: sees every socket of this process, however it was opened."""
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        text = host.decode() if isinstance(host, bytes) else host
        address = (text or "localhost",)
    else:
        return
    if address is not None and not _is_local(address):
        raise NetworkRefused(f"{event} {address!r}: tests may use loopback only")


sys.addaudithook(_refuse_network)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of recorded market data: DHANFAST_DATA, default ../shared/data."""
    folder = Path(os.environ.get("DHANFAST_DATA") or ROOT / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip("no recorded data: set DHANFAST_DATA to its folder (default ../shared/data)")
    return folder
