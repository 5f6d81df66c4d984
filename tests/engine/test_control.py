"""The control socket: what an engine is asked over it, and what it survives."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhanfast.engine import control
from dhanfast.engine.control import (
    LINE_MAX,
    ControlClient,
    ControlServer,
    EngineRefused,
    NotRunning,
    engines,
    find_engine,
)
from dhanfast.errors import DhanfastError, OrderRefused, UsageError


class Engine:
    """Answers from memory and writes down what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.gate: asyncio.Event | None = None
        self.running = 0

    def status(self) -> dict[str, Any]:
        return {"run": "main", "state": "trading", "told": len(self.told)}

    def orders(self) -> list[dict[str, Any]]:
        return [{"id": 1, "symbol": "NIFTY"}]

    def positions(self) -> list[dict[str, Any]]:
        return []

    async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        self.running += 1
        assert self.running == 1, "commands one after the other"
        if self.gate is not None:
            await self.gate.wait()
        self.running -= 1
        if name == "resume":
            raise OrderRefused("the day is over")
        self.told.append((name, arguments))
        return {"text": f"did {name}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private folder with a path longer than a socket's name may be."""
    place = tmp_path / ("long" * 30) / "run"
    place.mkdir(parents=True, mode=0o755)
    place.chmod(0o700)
    return place


@contextmanager
def serving(
    folder: Path, engine: Engine, loop_of: Callable[[], asyncio.AbstractEventLoop], **more: Any
) -> Iterator[asyncio.AbstractEventLoop]:
    """A server in a thread of its own, until the block ends."""
    ready = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    task: list[asyncio.Task[None]] = []

    async def main() -> None:
        with ControlServer(folder, "main", engine, **more) as server:
            task.append(asyncio.ensure_future(server.serve()))
            loops.append(asyncio.get_running_loop())
            ready.set()
            with pytest.raises(asyncio.CancelledError):
                await task[0]

    def work() -> None:
        with asyncio.Runner(loop_factory=loop_of) as runner:
            runner.run(main())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(10)
        yield loops[0]
    finally:
        loops[0].call_soon_threadsafe(task[0].cancel)
        thread.join(10)
        assert not thread.is_alive()


def uvloop_loop() -> asyncio.AbstractEventLoop:
    return pytest.importorskip("uvloop").new_event_loop()  # type: ignore[no-any-return]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop_loop], ids=["asyncio", "uvloop"])
def loop_of(request: pytest.FixtureRequest) -> Any:
    return request.param


def talk(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    """Send raw bytes and read answers until the server closes or is silent."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        place = os.open(path.parent, os.O_RDONLY)
        link.connect(f"/proc/self/fd/{place}/{path.name}")
        os.close(place)
        try:
            for line in lines:
                link.sendall(line)
            link.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass
        data = b""
        try:
            while part := link.recv(65536):
                data += part
        except ConnectionResetError:
            pass
    return [json.loads(line) for line in data.splitlines()]


def test_a_bug_in_one_command_leaves_the_others_to_be_heard(
    folder: Path, loop_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Engine):
        async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
            if name == "lock":
                raise OverflowError("too large")
            return await super().command(name, **arguments)

        def positions(self) -> list[dict[str, Any]]:
            raise ZeroDivisionError("of nothing")

    with serving(folder, Faulty(), loop_of):
        client = ControlClient(folder / "main.sock")
        for _ in range(2):
            with pytest.raises(EngineRefused, match="lock failed inside the engine"):
                client.command("lock", until="106000d")
            with pytest.raises(EngineRefused, match="positions failed inside the engine"):
                client.positions()
        assert client.command("panic", broker_kill=False) == {"text": "did panic"}
        assert client.status()["state"] == "trading"
    assert any("lock failed" in record.getMessage() for record in caplog.records)


def test_a_swap_does_not_keep_other_commands_waiting(folder: Path, loop_of: Any) -> None:
    """It may take many seconds to make a strategy ready: panic does not wait for it."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Engine):
        async def command(self, name: str, **arguments: Any) -> dict[str, Any]:
            if name == "swap":
                begun.set()
                await asyncio.get_running_loop().run_in_executor(None, go_on.wait, 10)
            return await super().command(name, **arguments)

    with serving(folder, Slow(), loop_of):
        client = ControlClient(folder / "main.sock")
        said: list[dict[str, Any]] = []
        swap = threading.Thread(
            target=lambda: said.append(client.command("swap", strategy="a", fresh=True))
        )
        swap.start()
        assert begun.wait(10)
        assert client.command("panic") == {"text": "did panic"} and not said
        go_on.set()
        swap.join(10)
        assert said == [{"text": "did swap"}]


def test_a_swap_needs_a_strategy(folder: Path, loop_of: Any) -> None:
    with serving(folder, Engine(), loop_of):
        client = ControlClient(folder / "main.sock")
        with pytest.raises(EngineRefused, match="swap: strategy is missing"):
            client.command("swap", params="{}")
        with pytest.raises(EngineRefused, match="swap: fresh must be of type bool"):
            client.command("swap", strategy="a", fresh="yes")


def test_asks_and_commands_reach_the_engine(folder: Path, loop_of: Any) -> None:
    engine = Engine()
    with serving(folder, engine, loop_of):
        client = ControlClient(folder / "main.sock")
        assert client.status() == {"run": "main", "state": "trading", "told": 0}
        assert client.orders() == [{"id": 1, "symbol": "NIFTY"}]
        assert client.positions() == []
        assert client.command("pause") == {"text": "did pause"}
        assert client.command("panic", broker_kill=True)["text"] == "did panic"
    assert engine.told == [("pause", {}), ("panic", {"broker_kill": True})]


def test_a_refusal_keeps_its_text_and_exit_code(folder: Path, loop_of: Any) -> None:
    with (
        serving(folder, Engine(), loop_of),
        pytest.raises(EngineRefused, match="day is over") as said,
    ):
        ControlClient(folder / "main.sock").command("resume")
    assert said.value.exit_code == OrderRefused.exit_code == 5


def test_socket_and_its_folder_are_private(folder: Path, loop_of: Any) -> None:
    with serving(folder, Engine(), loop_of):
        about = (folder / "main.sock").stat()
        assert stat.S_ISSOCK(about.st_mode) and stat.S_IMODE(about.st_mode) == 0o600
    assert not (folder / "main.sock").exists()
    folder.chmod(0o755)
    with pytest.raises(DhanfastError, match="chmod 700"), ControlServer(folder, "main", Engine()):
        pass


def test_another_user_is_turned_away(
    folder: Path, loop_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = control._peer
    with serving(folder, Engine(), loop_of):
        monkeypatch.setattr(control, "_peer", lambda handle: (real(handle)[0], os.getuid() + 1))
        assert talk(folder / "main.sock", b'{"v":1,"id":1,"ask":"status"}\n') == []
        with pytest.raises(EngineRefused, match="another user"):
            ControlClient(folder / "main.sock").status()


def test_name_is_taken_while_the_engine_runs(folder: Path, loop_of: Any) -> None:
    with (
        serving(folder, Engine(), loop_of),
        pytest.raises(DhanfastError, match=rf"process {os.getpid()} is running engine 'main'"),
        ControlServer(folder, "main", Engine()),
    ):
        pass


@pytest.mark.parametrize("run", ["", "../x", "a/b", "a" * 33, "1", "a b"])
def test_a_name_that_is_none_is_refused(folder: Path, run: str) -> None:
    with pytest.raises(UsageError, match="1 to 32 letters"):
        ControlServer(folder, run, Engine())


BAD = {
    b"\n": "not a request",
    b"[]\n": "not a request",
    b"\xff\xfe\n": "not a request",
    b'{"v":1,"id":1,"ask":"status","more":1}\n': "not a request",
    b'{"v":9,"id":1,"ask":"status"}\n': "version 9",
    b'{"v":1,"id":1,"ask":"reboot"}\n': "ask must be one of",
    b'{"v":1,"id":1,"ask":"status","name":"x"}\n': "takes no name",
    b'{"v":1,"id":1,"ask":"command","name":"buy"}\n': "name must be one of",
    b'{"v":1,"id":1,"ask":"command","name":"pause","arguments":{"self":1}}\n': "does not take",
    b'{"v":1,"id":1,"ask":"command","name":"panic","arguments":{"broker_kill":1}}\n': "type bool",
    b"[" * 60_000 + b"\n": "not a request",
    b"x" * (LINE_MAX + 10) + b"\n": "more than 65,536 bytes",
}


@pytest.mark.parametrize("line", BAD, ids=lambda line: repr(line[:40]))
def test_what_is_no_request_is_answered_and_closed(folder: Path, loop_of: Any, line: bytes) -> None:
    engine = Engine()
    with serving(folder, engine, loop_of):
        answers = talk(folder / "main.sock", line, b'{"v":1,"id":2,"ask":"status"}\n')
        assert len(answers) <= 1  # closed after it; a huge line may lose it to the reset
        if answers:
            assert not answers[0]["ok"] and answers[0]["code"] == 2
            assert BAD[line] in answers[0]["error"]
        assert ControlClient(folder / "main.sock").status()["state"] == "trading"
    assert engine.told == []


@given(data=st.lists(st.binary(max_size=300), max_size=4))
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_hostile_bytes_never_end_the_server(folder: Path, data: list[bytes]) -> None:
    engine = Engine()
    with serving(folder, engine, asyncio.new_event_loop):
        talk(folder / "main.sock", *data)
        assert ControlClient(folder / "main.sock").status()["state"] == "trading"
    assert engine.told == []


def test_silent_clients_are_dropped_and_the_next_is_served(folder: Path, loop_of: Any) -> None:
    with serving(folder, Engine(), loop_of, clients_max=2, idle_s=0.05):
        place = os.open(folder, os.O_RDONLY)
        silent = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        for one in silent:
            one.settimeout(10)
            one.connect(f"/proc/self/fd/{place}/main.sock")
        os.close(place)
        for one in silent:
            assert one.recv(100) == b""  # closed by the server, after its patience
            one.close()
        assert ControlClient(folder / "main.sock").status()["state"] == "trading"


def test_more_clients_than_places_are_told(folder: Path, loop_of: Any) -> None:
    with serving(folder, Engine(), loop_of, clients_max=1):
        place = os.open(folder, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as first:
            first.settimeout(10)
            first.connect(f"/proc/self/fd/{place}/main.sock")
            first.sendall(b'{"v":1,"id":1,"ask":"status"}\n')
            assert first.recv(1000)  # it has its place
            with pytest.raises(EngineRefused, match="too many connections"):
                ControlClient(folder / "main.sock").status()
        os.close(place)


def test_commands_wait_for_each_other(folder: Path, loop_of: Any) -> None:
    engine = Engine()
    with serving(folder, engine, loop_of) as loop:
        engine.gate = asyncio.Event()
        got: list[dict[str, Any]] = []
        askers = [
            threading.Thread(target=lambda: got.append(
                ControlClient(folder / "main.sock").command("pause")))
            for _ in range(3)
        ]  # fmt: skip
        for one in askers:
            one.start()
        assert ControlClient(folder / "main.sock").status()["told"] == 0  # asking goes on
        loop.call_soon_threadsafe(engine.gate.set)
        for one in askers:
            one.join(10)
    assert len(got) == len(engine.told) == 3


def test_an_answer_that_does_not_come_is_a_clear_error(folder: Path, loop_of: Any) -> None:
    engine = Engine()
    with serving(folder, engine, loop_of) as loop:
        engine.gate = asyncio.Event()
        with pytest.raises(NotRunning, match=r"within 0\.05 s; it may still do flatten"):
            ControlClient(folder / "main.sock", timeout_s=0.05).command("flatten")
        loop.call_soon_threadsafe(engine.gate.set)
        assert ControlClient(folder / "main.sock").command("pause")
    assert [name for name, _ in engine.told] == ["flatten", "pause"]  # begun is done


CRASH = """
import asyncio, sys
from pathlib import Path
from dhanfast.engine.control import ControlServer
class Engine:
    def status(self): return {"state": "trading"}
async def main():
    with ControlServer(Path(sys.argv[1]), sys.argv[2], Engine()) as server:
        print("up", flush=True)
        await server.serve()
asyncio.run(main())
"""


@contextmanager
def engine_process(folder: Path, run: str) -> Iterator[subprocess.Popen[str]]:
    """A real engine in a process; killed by its id when the block ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(folder), run], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None and child.stdout.readline() == "up\n"
        yield child
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_a_killed_engine_leaves_a_stale_socket_that_the_next_takes_over(folder: Path) -> None:
    with engine_process(folder, "main") as child:
        assert find_engine(folder).pid == child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert (folder / "main.sock").exists() and engines(folder)[0].pid == 0
    with pytest.raises(NotRunning, match=r"main ended without closing"):
        find_engine(folder)
    with pytest.raises(NotRunning, match="not running"):
        ControlClient(folder / "main.sock").status()
    with engine_process(folder, "main") as child:
        assert find_engine(folder, "main").pid == child.pid
        assert ControlClient(folder / "main.sock").status() == {"state": "trading"}


def test_several_engines_are_told_apart_by_name(folder: Path) -> None:
    with engine_process(folder, "one") as first, engine_process(folder, "two") as second:
        assert [(e.run, e.pid) for e in engines(folder)] == [
            ("one", first.pid), ("two", second.pid)]  # fmt: skip
        with pytest.raises(UsageError, match=r"2 engines are running \(one, two\).*--run"):
            find_engine(folder)
        assert find_engine(folder, "two").pid == second.pid
        with pytest.raises(NotRunning, match="engine three is not running"):
            find_engine(folder, "three")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"nonsense\n", "answer that is none"),
        (b'{"v":2,"id":1,"ok":true}\n', "speaks version 2"),
        (b'{"v":1,"id":1,"ok":true,"result":[]}\n', "another kind"),
        (b"", "ended while it was asked"),
    ],
)
def test_a_strange_server_is_refused(folder: Path, answer: bytes, words: str) -> None:
    place = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"/proc/self/fd/{place}/main.sock")
        door.listen()

        def serve() -> None:
            link, _ = door.accept()
            with link:
                link.recv(1000)
                link.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(DhanfastError, match=words):
            ControlClient(folder / "main.sock").status()
        thread.join(10)
    os.close(place)
