"""What a strategy opens beside the bars it is shown: files, memory, sockets, programs.

Python tells of these through audit hooks (PEP 578), whoever opens them, as long as it is done by
Python or by a C module that asks Python. Readers written in C++ or Rust (pyarrow, polars) do not
ask; those are found in the source (`source.py`), and by what their knowledge does (`blind.py`).

What a thread opens that was begun while a strategy was made or run is the strategy's, though no
line of its file stands on that thread's stack: a pool is given the reader and the name of the file.
"""

import os
import sys
import sysconfig
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

import dhanfast

FILES: Final = frozenset({"open", "sqlite3.connect", "os.listdir", "os.scandir", "shutil.copyfile"})
WORDS: Final = {
    "open": "opens",
    "sqlite3.connect": "opens",
    "os.listdir": "lists",
    "os.scandir": "lists",
    "shutil.copyfile": "copies",
    "socket.connect": "connects to",
    "subprocess.Popen": "starts",
    "os.system": "starts",
    "os.posix_spawn": "starts",
    "os.exec": "starts",
    "os.fork": "forks",
    "os.forkpty": "forks",
    "pty.spawn": "starts",
    "mmap.__new__": "maps",
    "ctypes.dlopen": "loads",
    "urllib.Request": "asks for",
}
_CODE: Final = (".py", ".pyc", ".pyi", ".so", ".pth")
_READERS: Final = ("linecache.py", "tokenize.py")  # of the source of a warning or a traceback
_SYSTEM: Final = ("/proc/", "/dev/", "/sys/", "/usr/share/zoneinfo")
_FRAMES_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Opened:
    """Something that was opened.

    Attributes:
        event: the audit event. what: path, address or command.
        frames: files and lines of the callers, the innermost first.
        begun: on a thread that was begun while it was listened. code: a file named as code.
    """

    event: str
    what: str
    frames: tuple[tuple[str, int], ...]
    begun: bool = False
    code: bool = False

    def line_in(self, path: str) -> int:
        """The line of a file that caused it; 0 when none did."""
        return next((line for name, line in self.frames if name == path), 0)


class Outside:
    """Collects what is opened while it is entered; may be entered again and again.

    Attributes:
        seen: what was opened, each once for each place in the code.
    """

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str, tuple[tuple[str, int], ...]], Opened] = {}
        self._running: frozenset[int] = frozenset()  # threads that were there before the strategy

    def __enter__(self) -> "Outside":
        _hook_once()
        if not self._running:
            self._running = frozenset(sys._current_frames())
        _listening.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _listening.remove(self)

    def by(self, path: str | None) -> list[Opened]:
        """What a file of code has opened; None: anything at all but code."""
        return [
            one for one in self.seen.values()
            if (not one.code if path is None else one.begun or one.line_in(path))
        ]  # fmt: skip

    def hear(self, event: str, args: tuple[object, ...]) -> None:
        """Take one audit event."""
        what = _named(event, args)
        frame = sys._getframe(2)
        asker = frame.f_code.co_filename
        if what is None or len(self.seen) > 1000 or "importlib" in asker:
            return  # an import looks for code
        code = event in FILES and what.endswith(_CODE)
        if code and asker.endswith(_READERS):
            return
        begun = threading.get_ident() not in self._running
        one = Opened(event, what, _callers(frame), begun, code)
        self.seen.setdefault((event, what, one.frames[:4]), one)


_listening: list[Outside] = []
_hooked: list[bool] = []


def _hook_once() -> None:
    """Install the hook, which stays for the life of the process and sleeps while nobody listens."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_heard)


def _heard(event: str, args: tuple[object, ...]) -> None:
    if _listening and event in WORDS:
        listeners = list(_listening)
        _listening.clear()  # what listening opens is not listened to
        try:
            for one in listeners:
                one.hear(event, args)
        finally:
            _listening.extend(listeners)


def _callers(frame: FrameType | None) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    while frame is not None and len(found) < _FRAMES_MAX:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


def _named(event: str, args: tuple[object, ...]) -> str | None:
    """What was opened, as text; None for what is no business of a check: code and the system."""
    first: object = args[0] if args else ""
    if event == "socket.connect" and len(args) > 1:
        first = args[1]
    if event == "mmap.__new__":
        return "memory of a file or of another process" if first != -1 else None
    if event in ("os.fork", "os.forkpty"):
        return "the process"
    if event not in FILES:
        return str(first)
    if isinstance(first, bytes):
        first = os.fsdecode(first)
    if not isinstance(first, str | os.PathLike):
        return None  # a descriptor that is open already
    path = os.path.abspath(os.fspath(first))
    if path.startswith(_SYSTEM) and not path.startswith("/dev/shm/"):
        return None
    if any(path.startswith(folder) for folder in code_folders()):
        return None
    return path


def code_folders() -> tuple[str, ...]:
    """Where installed code and its own data are."""
    names = ("stdlib", "platstdlib", "purelib", "platlib", "data")
    paths = {sysconfig.get_path(name) for name in names}
    paths |= {str(Path(dhanfast.__file__).parent), sys.prefix, sys.base_prefix}
    return tuple(sorted(f"{path}{os.sep}" for path in paths if path and path != "/usr"))
