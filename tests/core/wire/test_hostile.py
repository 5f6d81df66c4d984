"""Bytes from an enemy: nothing beyond the message is read, everything is accounted for."""

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.core.wire.frames import Guarded
from tests.core.wire.hostile import Hostile

HOSTILE = Hostile(seed=1)
ROOT = Path(__file__).parents[3]


@given(st.binary(max_size=400))
def test_any_bytes(message: bytes) -> None:
    HOSTILE.check(message)


def test_two_thousand_mangled_messages() -> None:
    assert sum(HOSTILE.check(HOSTILE.message()) for _ in range(2_000)) == 18_000
    counters = HOSTILE.feed.counters
    for name in ("cut", "short", "lost", "trailing", "unknown_code", "length_field", "bad_price",
                 "off_tick", "raw_side", "unknown_instrument"):  # fmt: skip
        assert counters[name] > 0, f"the messages never showed {name}"


def test_the_guard_guards() -> None:
    """A read one byte beyond a message ends the process: else the tests above prove little."""
    code = (
        "from tests.core.wire.frames import Guarded; import ctypes\n"
        "guarded = Guarded(); view = guarded.put(b'x' * 10)\n"
        "start = ctypes.addressof(ctypes.c_char.from_buffer(view))\n"
        "assert ctypes.string_at(start, 10) == b'x' * 10\n"
        "print(ctypes.string_at(start, 11))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ASAN_OPTIONS": "detect_leaks=0"}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment,
                           capture_output=True, timeout=60)  # fmt: skip
    assert ended.returncode != 0 and not ended.stdout
    assert b"AssertionError" not in ended.stderr


def test_the_guard_holds_the_message() -> None:
    guarded = Guarded()
    assert bytes(guarded.put(b"abc")) == b"abc" and bytes(guarded.put(b"")) == b""
