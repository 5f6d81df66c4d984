"""The control socket: how another process asks a running engine, and tells it what to do.

A Unix socket RUN.sock (0600) in the folder `run` (0700) of the user. Both sides check that the
other one is the same user (SO_PEERCRED). One JSON object a line:

    -> {"v": 1, "id": 7, "ask": "status" | "orders" | "positions" | "locks"}
    -> {"v": 1, "id": 8, "ask": "command", "name": "pause", "arguments": {}}
    <- {"v": 1, "id": 7, "ok": true, "result": ...}
    <- {"v": 1, "id": 8, "ok": false, "error": "text", "code": 1}

A command is answered when the engine has journaled and done it. A line may have LINE_MAX bytes;
what is no request is answered with an error and the connection closed. `RUN.lock` is held while
the engine runs: it, not the socket, says whether a name is taken, so a crashed engine's socket is
known to be stale without asking anybody.
"""

import asyncio
import contextlib
import logging
import os
import re
import socket
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import msgspec

from dhanfast.errors import DhanfastError, UsageError
from dhanfast.storage.durable import exclusive

VERSION: Final = 1
LINE_MAX: Final = 64 * 1024  # of a request
REPLY_MAX: Final = 16 * 1024 * 1024
CLIENTS_MAX: Final = 16
IDLE_S: Final = 60.0  # a client that asks nothing, or does not read, is dropped
PRIVATE: Final = 0o700
RUN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
# What an engine can be told, and the arguments it takes with it.
COMMANDS: Final[Mapping[str, Mapping[str, type]]] = {
    "pause": {},
    "resume": {},
    "stop-entries": {},
    "flatten": {},
    "pause-orders": {},
    "resume-orders": {},
    "cancel-orders": {},
    "panic": {"broker_kill": bool},
    "unlock": {"lock": str},
    "lock": {"lock": str, "until": str},
    "swap": {"strategy": str, "params": str, "expect": str, "fresh": bool},
}
BESIDE: Final = ("swap",)  # takes its time: the others do not wait for it
ASKS: Final = ("status", "orders", "positions", "locks", "command")
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid
Kind = TypeVar("Kind")
_LOG: Final = logging.getLogger("dhanfast.control")


class Controlled(Protocol):
    """What an engine lets others see and do; called on the engine's own loop."""

    def status(self) -> dict[str, Any]:
        """`EngineStatus` as plain data."""
        ...

    def orders(self) -> list[dict[str, Any]]:
        """Each order of today, oldest first: `OrderLine` as plain data."""
        ...

    def positions(self) -> list[dict[str, Any]]:
        """`PositionLine` as plain data."""
        ...

    def locks(self) -> list[dict[str, Any]]:
        """Each lock of the guards that holds: `LockLine` as plain data."""
        ...

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Do one of COMMANDS; return when it is journaled and done.

        Returns:
            {"text": what was done}, and what else there is to tell.
        Raises:
            DhanfastError: it cannot be done now; the message says why.
        """
        ...


class NotRunning(DhanfastError):
    """No engine answers under that name."""


class EngineRefused(DhanfastError):
    """The engine answered that it will not; `exit_code` is the one it gave."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = code


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """One line to the engine."""

    v: int
    id: int
    ask: str
    name: str = ""
    arguments: dict[str, str | int | float | bool | None] = {}


class Reply(msgspec.Struct, omit_defaults=True):
    """One line from the engine."""

    v: int
    id: int
    ok: bool
    result: Any = None
    error: str = ""
    code: int = 0


class ControlServer:
    """The engine's side. Enter it to take the run's name, then `await serve()` beside the engine.

    Args:
        folder: of the sockets; it must be private.
        run: name of the run.
        engine: who answers.
        clients_max: more connections at a time are turned away.
        idle_s: a connection without a request, or that does not read, is dropped after it.

    Raises:
        UsageError: a name that is none.
        DhanfastError: on entering: the name is taken by a running engine, or the folder is open
            to others.
    """

    def __init__(
        self,
        folder: Path,
        run: str,
        engine: Controlled,
        *,
        clients_max: int = CLIENTS_MAX,
        idle_s: float = IDLE_S,
    ) -> None:
        self._folder, self._run, self._engine = folder, checked_run(run), engine
        self._clients_max, self._idle_s = clients_max, idle_s
        self._held = contextlib.ExitStack()
        self._socket: socket.socket | None = None
        self._clients = 0
        self._one = asyncio.Lock()

    @property
    def path(self) -> Path:
        """The socket."""
        return self._folder / f"{self._run}.sock"

    def __enter__(self) -> Self:
        """Take the name and open the socket."""
        with contextlib.ExitStack() as undo:
            place = undo.enter_context(_opened(self._folder))
            lock = self._folder / f"{self._run}.lock"
            try:
                undo.enter_context(exclusive(lock, f"running engine {self._run!r}"))
            except DhanfastError as error:
                raise DhanfastError(f"{error}, or give this one another engine.run") from None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path.name, dir_fd=place)  # stale: the lock is ours
            listening = undo.enter_context(socket.socket(socket.AF_UNIX))
            listening.setblocking(False)
            # By the folder's descriptor: the name of a socket holds 107 bytes, a path may not fit.
            listening.bind(f"/proc/self/fd/{place}/{self.path.name}")
            undo.callback(self._unlink)
            os.chmod(self.path.name, 0o600, dir_fd=place)  # nobody can connect before listen
            listening.listen(self._clients_max)
            self._socket = listening
            self._held = undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the socket and give the name back."""
        self._socket = None
        self._held.close()

    def _unlink(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    async def serve(self) -> None:
        """Answer until cancelled. What a client does wrong ends its connection and nothing else.

        Raises:
            UsageError: the server is not entered.
        """
        if self._socket is None:
            raise UsageError("enter the control server before it serves")
        loop, door = asyncio.get_running_loop(), self._socket
        waiting: set[socket.socket] = set()  # taken, and their task has not begun
        later: list[asyncio.TimerHandle] = []
        async with asyncio.TaskGroup() as group:

            def listen() -> None:
                later.clear()
                loop.add_reader(door, take)

            def take() -> None:
                try:
                    link, _ = door.accept()
                except BlockingIOError:
                    return
                except OSError:  # no descriptors left: one may be free in a moment
                    loop.remove_reader(door)
                    later.append(loop.call_later(1.0, listen))
                    return
                link.setblocking(False)
                waiting.add(link)
                group.create_task(self._meet(link, waiting))

            listen()
            try:
                await asyncio.Event().wait()
            finally:
                loop.remove_reader(door)
                for timer in later:
                    timer.cancel()
                while waiting:
                    waiting.pop().close()

    async def _meet(self, link: socket.socket, waiting: set[socket.socket]) -> None:
        """One connection, from its first byte to its last."""
        waiting.remove(link)
        self._clients += 1
        with link, contextlib.ExitStack() as stack:
            stack.callback(self._gone)
            if _peer(link.fileno())[1] not in (os.getuid(), 0):
                _LOG.warning("control: another user was turned away")
                return
            reader, writer = await asyncio.open_unix_connection(sock=link, limit=LINE_MAX)
            stack.callback(writer.transport.abort)
            # A client that is gone or does not read ends its own connection; the engine goes on.
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                if self._clients > self._clients_max:
                    full = Reply(VERSION, 0, False, error="too many connections", code=1)
                    await self._send(writer, full)
                else:
                    await self._talk(reader, writer)
                async with asyncio.timeout(self._idle_s):
                    writer.close()
                    await writer.wait_closed()

    def _gone(self) -> None:
        self._clients -= 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(self._idle_s):
                    line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                words = f"a line has more than {LINE_MAX:,} bytes"
                await self._send(writer, Reply(VERSION, 0, False, error=words, code=2))
                return
            try:
                request = _decoded(line)
            except UsageError as error:
                await self._send(writer, Reply(VERSION, 0, False, error=str(error), code=2))
                return
            await self._send(writer, await self._answer(request))

    async def _send(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        writer.write(msgspec.json.encode(reply, enc_hook=str) + b"\n")
        async with asyncio.timeout(self._idle_s):
            await writer.drain()

    async def _answer(self, request: Request) -> Reply:
        """What the engine says to one request."""
        result: Any
        try:
            if request.ask == "status":
                result = self._engine.status()
            elif request.ask == "orders":
                result = self._engine.orders()
            elif request.ask == "positions":
                result = self._engine.positions()
            elif request.ask == "locks":
                result = self._engine.locks()
            else:
                _LOG.info("control: command %s", request.name)
                if request.name in BESIDE:
                    result = await self._engine.command(request.name, **request.arguments)
                else:
                    async with self._one:  # commands one after the other
                        result = await self._engine.command(request.name, **request.arguments)
        except DhanfastError as error:
            return Reply(VERSION, request.id, False, error=str(error), code=error.exit_code)
        except Exception as error:  # a bug: `flatten` and `panic` must still be heard after it
            _LOG.exception("control: %s failed", request.name or request.ask)
            words = f"{request.name or request.ask} failed inside the engine ({error}); see its log"
            return Reply(VERSION, request.id, False, error=words, code=1)
        return Reply(VERSION, request.id, True, result=result)


def _decoded(line: bytes) -> Request:
    """A line as a request that the engine can be asked.

    Raises:
        UsageError: it is none; nothing of it is repeated but names.
    """
    try:
        request = msgspec.json.decode(line, type=Request)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise UsageError("not a request: one JSON object with v, id and ask") from None
    if request.v != VERSION:
        raise UsageError(f"version {request.v} is not spoken here, {VERSION} is")
    if request.ask not in ASKS:
        raise UsageError(f"ask must be one of {', '.join(ASKS)}")
    if request.ask != "command":
        if request.name or request.arguments:
            raise UsageError(f"{request.ask} takes no name and no arguments")
        return request
    if request.name not in COMMANDS:
        raise UsageError(f"name must be one of {', '.join(COMMANDS)}")
    takes = COMMANDS[request.name]
    for name, value in request.arguments.items():
        if name not in takes:
            listed = ", ".join(takes) or "none"
            raise UsageError(f"{request.name} does not take that argument (known: {listed})")
        if type(value) is not takes[name]:
            raise UsageError(f"{request.name}: {name} must be of type {takes[name].__name__}")
    if request.name == "swap" and not request.arguments.get("strategy"):
        raise UsageError("swap: strategy is missing: say which one shall decide")
    return request


# ---- the other side ----------------------------------------------------------------------------


class ControlClient:
    """Asks one running engine; each call is a connection of its own.

    Args:
        path: of the socket.
        timeout_s: for each answer.

    Raises:
        NotRunning: from every method: nobody answers.
        EngineRefused: from every method: the engine says no, or does not speak our version.
    """

    def __init__(self, path: Path, *, timeout_s: float = 30.0) -> None:
        self._path, self._timeout_s = path, timeout_s

    def status(self) -> dict[str, Any]:
        """`EngineStatus` as plain data."""
        return _as(dict, self._ask("status"))

    def orders(self) -> list[dict[str, Any]]:
        """`OrderLine`s as plain data."""
        return _as(list, self._ask("orders"))

    def positions(self) -> list[dict[str, Any]]:
        """`PositionLine`s as plain data."""
        return _as(list, self._ask("positions"))

    def locks(self) -> list[dict[str, Any]]:
        """`LockLine`s as plain data."""
        return _as(list, self._ask("locks"))

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Have the engine do something; returns when it is done."""
        return _as(dict, self._ask("command", name, arguments))

    def _ask(self, ask: str, name: str = "", arguments: dict[str, Any] | None = None) -> Any:
        request = Request(VERSION, 1, ask, name, arguments or {})
        with _connected(self._path, self._timeout_s) as link:
            try:
                with contextlib.suppress(BrokenPipeError):  # turned away: the answer is there
                    link.sendall(msgspec.json.encode(request) + b"\n")
                line = _line(link)
            except TimeoutError:
                doing = f"; it may still do {name}: look with `dhanfast status`" if name else ""
                raise NotRunning(
                    f"engine {self._path.stem} did not answer within {self._timeout_s:g} s{doing}"
                ) from None
            except OSError as error:
                raise NotRunning(
                    f"engine {self._path.stem} ended while it was asked ({error.strerror})"
                ) from error
        try:
            reply = msgspec.json.decode(line, type=Reply)
        except msgspec.MsgspecError:
            raise EngineRefused(f"engine {self._path.stem} gave an answer that is none") from None
        if reply.v != VERSION:
            raise EngineRefused(
                f"engine {self._path.stem} speaks version {reply.v} of the control protocol, this "
                f"program {VERSION}: use the program that started it"
            )
        if not reply.ok:
            raise EngineRefused(reply.error, reply.code or 1)
        return reply.result


@dataclass(frozen=True, slots=True)
class Found:
    """A control socket in the folder.

    Attributes:
        run: its name. path: the socket. pid: of the engine, 0 when it is not running: the socket
            was left by a crash.
    """

    run: str
    path: Path
    pid: int


def engines(folder: Path) -> list[Found]:
    """Every socket of a folder, running or stale, by name."""
    found = []
    for path in sorted(folder.glob("*.sock")):
        try:
            with _connected(path, 1.0) as link:
                pid = _peer(link.fileno())[0]
        except (NotRunning, EngineRefused):
            pid = 0
        found.append(Found(path.stem, path, pid))
    return found


def find_engine(folder: Path, run: str | None = None) -> Found:
    """The running engine of a name, or the only one.

    Raises:
        NotRunning: there is none; a crashed one is named.
        UsageError: several run and none is named.
    """
    if run is not None:
        checked_run(run)
    known = engines(folder)
    running = [one for one in known if one.pid and run in (None, one.run)]
    if len(running) > 1:
        listed = ", ".join(one.run for one in running)
        raise UsageError(f"{len(running)} engines are running ({listed}); name one with --run")
    if running:
        return running[0]
    stale = [one.run for one in known if not one.pid and run in (None, one.run)]
    which = f"engine {run}" if run else "no engine"
    words = f"{which} is {'not ' if run else ''}running in {folder.parent}"
    if stale:
        words += (
            f"; {', '.join(stale)} ended without closing: `dhanfast trade` goes on from its "
            "journal, and `dhanfast panic` closes at the broker"
        )
    raise NotRunning(words)


def checked_run(run: str) -> str:
    """A name that a run may have.

    Raises:
        UsageError: other signs than letters, digits, - and _, or too long.
    """
    if not RUN_NAME.fullmatch(run):
        raise UsageError(
            f"run {run[:40]!r} must be 1 to 32 letters, digits, - or _, and begin with a letter"
        )
    return run


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A descriptor of a folder that is private."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise DhanfastError(
            f"{folder}: cannot be opened ({error.strerror}); `dhanfast init` makes it"
        ) from error
    try:
        about = os.fstat(handle)
        mode = stat.S_IMODE(about.st_mode)
        if about.st_uid != os.getuid() or mode & 0o077:
            raise DhanfastError(
                f"{folder}: others can reach into it (owner {about.st_uid}, mode {mode:04o}); "
                f"run: chmod 700 {folder}"
            )
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _connected(path: Path, timeout_s: float) -> Iterator[socket.socket]:
    """A connection to a socket of the same user.

    Raises:
        NotRunning: nobody listens. EngineRefused: somebody else does.
    """
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(socket.socket(socket.AF_UNIX))
        link.settimeout(timeout_s)
        try:
            place = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, place)
            link.connect(f"/proc/self/fd/{place}/{path.name}")
        except OSError as error:
            raise NotRunning(f"engine {path.stem} is not running ({error.strerror})") from error
        if _peer(link.fileno())[1] not in (os.getuid(), 0):
            raise EngineRefused(f"{path}: is served by another user; nothing was asked")
        yield link


def _line(link: socket.socket) -> bytes:
    """One line of an answer."""
    parts: list[bytes] = []
    size = 0
    while not parts or not parts[-1].endswith(b"\n"):
        part = link.recv(1 << 16)
        if not part:
            raise ConnectionResetError(104, "Connection reset by peer")
        parts.append(part)
        size += len(part)
        if size > REPLY_MAX:
            raise EngineRefused(f"an answer of more than {REPLY_MAX:,} bytes is not read")
    return b"".join(parts)


def _peer(handle: int) -> tuple[int, int]:
    """Process and user at the other end."""
    with socket.socket(fileno=os.dup(handle)) as link:
        raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid


def _as(kind: type[Kind], value: Any) -> Kind:
    """A result of the kind that was asked for."""
    if not isinstance(value, kind):
        raise EngineRefused("the engine gave an answer of another kind than was asked for")
    return value
