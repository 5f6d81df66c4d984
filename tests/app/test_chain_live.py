"""`dhanfast chain|iv|oi|payoff --live` as a user types them, against a served exchange."""

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dhanfast.app.chain_broker import BrokerChain
from dhanfast.app.chain_live import Screen, Watch, fitted
from dhanfast.app.chain_options import Page
from dhanfast.app.cli import cli, run
from dhanfast.brokers.dhan import caller
from dhanfast.brokers.dhan.caller import CallSettings
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind
from dhanfast.errors import BadData, DhanfastError, NotAuthenticated, UsageError
from dhanfast.exchange.faults import Fault
from dhanfast.storage.chain_recorder import ChainRecorder
from dhanfast.storage.chains import read_chains

from ..engine.test_legs import chain_file, ns
from ..exchange.serving import Served, make_core, serving
from .live_process import LIMIT_S, exchange
from .test_legs_file import legs_toml

Run = Callable[..., tuple[int, str, str]]
STILL = 0.001  # of the market's time: prices stand while a test looks at them


def sets_of(place: str) -> list[str]:
    sets = {"broker.exchange": place, "broker.client_id": "1000000001", "broker.token": "env:TOK",
            "clock.source": "exchange"}  # fmt: skip
    return [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(make_core(limits=False), speed=STILL, minutes=30) as one:
        yield one


@contextlib.contextmanager
def calling(served: Served, folder: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Runs `dhanfast WORDS... --live` as a user of that exchange."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DHANFAST_HOME", str(folder / "home"))
        patch.setenv("TOK", served.token)
        patch.chdir(folder)

        def go(*words: object, live: bool = True) -> tuple[int, str, str]:
            given = [*map(str, words)]
            code = run([*given, "--live", *sets_of(served.http)] if live else given)
            out, err = capsys.readouterr()
            assert served.token not in out + err
            if "--json" not in given:
                assert max(map(len, out.splitlines()), default=0) <= 80, out
            return code, out, err

        yield go


@pytest.fixture
def call(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    served.call(lambda: served.core.faults.replace([]))
    with calling(served, tmp_path, capsys) as go:
        yield go


def test_a_live_chain_is_what_the_exchange_shows_and_what_is_kept(
    call: Run, served: Served
) -> None:
    code, out, err = call("chain", "-u", "nifty", "--strikes", "3", "--keep", "n.parquet", "--json")
    assert (code, err) == (0, "")
    live = json.loads(out)
    assert (live["live"], live["open"], live["generated"]) == (True, True, True)
    assert live["at"].startswith("2025-11-17 09:45")
    core = served.core

    def faces() -> dict[tuple[float, str], tuple[float, int, int, int]]:
        found = {}
        for one in core.contracts.options("NIFTY", core.contracts.expiries("NIFTY")[0]):
            face = core.shown[one.index]
            found[one.strike / 100, one.kind] = (
                core.last(one) / 100,
                int(face["oi"]),
                int(face["volume"]),
                int(face["prev_oi"]),
            )
        return found

    shown = served.call(faces)
    rows = read_chains("n.parquet")[0]
    assert len(rows) == len(shown) / 2 == 11
    for i, strike in enumerate(rows.strike.tolist()):
        assert (rows.call[i], rows.call_oi[i], rows.call_volume[i]) == shown[strike, "CE"][:3]
        assert (rows.put[i], rows.put_oi[i], rows.put_volume[i]) == shown[strike, "PE"][:3]
    # The same analysis of the kept file, figure by figure.
    code, out, err = call("chain", "n.parquet", "--strikes", "3", "--json", live=False)
    kept = json.loads(out)
    assert (code, err, kept.pop("generated")) == (0, "", True)
    assert {name: live[name] for name in kept} == kept and len(kept["rows"]) == 7
    code, out, err = call("chain", "n.parquet", live=False)
    assert (code, out.splitlines()[0]) == (0, "GENERATED, not recorded")
    # Open interest against that of the day before, of the broker.
    code, out, err = call("oi", "-u", "NIFTY", "--strikes", "50", "--json")
    told = json.loads(out)
    assert (code, told["since"]) == (0, "2025-11-14 15:30")
    for row in told["rows"]:
        for side, right in (("call", "CE"), ("put", "PE")):
            held = shown[row["strike"], right]
            assert row[f"{side}_oi"] == held[1] and row[f"{side}_change"] == held[1] - held[3]
    assert any(row["call_class"] for row in told["rows"])


def test_tables_for_people(call: Run) -> None:
    code, out, err = call("oi", "-u", "NIFTY", "--strikes", "2")
    lines = out.splitlines()
    assert (code, err, lines[0]) == (0, "", "GENERATED, not a real market")
    assert "changes since 2025-11-14 15:30 IST" in lines and len(lines[lines.index("") + 2 :]) == 5
    code, out, err = call("iv", "-u", "NIFTY", "--keep", "n.parquet")
    assert (code, err) == (0, "") and "SVI a " in out
    words = ("payoff", "--spread", "strangle", "--strikes", "otm2,otm2", "--side", "sell", "--json")
    code, out, err = call(*words, "-u", "NIFTY")
    assert (code, err) == (0, "")
    code, kept, _ = call(*words, "n.parquet", live=False)
    assert code == 0 and json.loads(kept)["legs"] == json.loads(out)["legs"]
    code, out, err = call("payoff", "-u", "NIFTY", "--spread", "calendar")
    assert code == 2 and "the broker lists no expiry of NIFTY after" in err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("chain", "a.parquet"), 2, "--live asks the broker: leave FILE out"),
        (("chain", "--at", "2025-11-17"), 2, "--at goes with FILE"),
        (("oi", "--since", "2025-11-17"), 2, "--since goes with FILE"),
        (("iv", "--remember"), 2, "--remember goes with FILE"),
        (("chain", "--watch", "2"), 2, "2.0 is not in the range 3.0<=x<=3600.0"),
        (("chain", "-u", "NIFTI"), 2, "no index or share of that name; did you mean NIFTY?"),
        (("chain", "-u", "HDFCBANK"), 2, "the broker lists no options of HDFCBANK"),
        (
            ("chain", "-u", "NIFTY", "-e", "2025-12-30"),
            2,
            "no such expiry of NIFTY; it has 2025-11",
        ),
        (("chain", "-u", "NIFTY", "-e", "soon"), 2, "--expiry 'soon' is not a date"),
        (("chain", "-u", "NIFTY", "--keep", "a.csv"), 2, "a.csv: a file of chains is called NAME."),
        (("chain", "--set", "clock.sorce=x"), 3, "clock.sorce"),
        (("payoff", "--leg", "sell 25200 CE 133.75"), 2, "give either FILE with --spread"),
        (("payoff",), 2, "give --spread: one of bull-call"),
    ],
)
def test_refusals(call: Run, words: tuple[str, ...], code: int, message: str) -> None:
    got, out, err = call(*words)
    assert (got, out) == (code, "") and message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("chain",), "give FILE, a Parquet file of chains, or --live"),
        (("chain", "a.parquet", "--watch"), "--watch goes with --live"),
        (("oi", "a.parquet", "--keep", "b.parquet"), "--keep goes with --live"),
        (("iv", "a.parquet", "-c", "c.toml"), "--config goes with --live"),
        (("payoff", "--leg", "buy 1 CE 1", "--set", "a.b=1"), "--set goes with --live"),
    ],
)
def test_what_goes_with_live_alone(call: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = call(*words, live=False)
    assert (code, out) == (2, "") and message in err


def test_a_token_that_is_refused(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOK", "")
    code, _, err = call("chain", "-u", "NIFTY")
    assert code == 4 and "is not in the environment" in err


def test_a_broker_that_refuses(call: Run, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    once = CallSettings(tries=1)  # the broker's limit makes each further try wait for 3 s
    monkeypatch.setattr(caller, "CallSettings", lambda: once)
    served.call(lambda: served.core.faults.replace([Fault("truncate", path="/v2/optionchain")]))
    code, out, err = call("chain", "-u", "NIFTY", "--keep", "none.parquet")
    assert (code, out) == (1, "") and err.startswith("error: ")
    assert not Path("none.parquet").exists() and not Path("none.parquet.tail").exists()


@pytest.mark.parametrize(("minutes", "kept"), [(6 * 60 + 40, True), (10 * 60, False)])
def test_a_closed_market(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], minutes: int, kept: bool
) -> None:
    with (
        serving(make_core(limits=False), speed=STILL, minutes=minutes) as served,
        calling(served, tmp_path, capsys) as call,
    ):
        code, out, err = call("chain", "-u", "NIFTY", "--keep", "n.parquet")
        assert code == 0
        assert out.splitlines()[1] == "the market is closed: last prices, as of 2025-11-17 15:30"
        assert "at 2025-11-17 15:30 IST" in out.splitlines()[2]
        if kept:  # with the index's level after the close, at the time it was seen
            rows = read_chains("n.parquet")[0]
            assert (err, rows.time_text[:16]) == ("", "2025-11-17 15:55") and rows.spot > 0
        else:
            assert err == "n.parquet: nothing is kept while the market is closed\n"
            assert not Path("n.parquet").exists()


# ---- again and again -----------------------------------------------------------------------------


class Scripted:
    """Chains and errors in an order, then the end."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)

    async def fetch(self) -> Any:
        if not self.script:
            raise asyncio.CancelledError
        found = self.script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


class Paper:
    """A screen that notes."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def show(self, page: Page, status: str, words: str = "") -> None:
        self.said.append(f"page {page.told['at']}")

    def trouble(self, text: str) -> None:
        self.said.append(text)


class Pauses:
    """A clock that sleeps no time and notes it."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def watched(*script: Any, render: Any = None) -> tuple[list[str], list[float], Exception | None]:
    """What a watch of 3 s says, how long it waits, and what ends it."""
    paper, clock, ended = Paper(), Pauses(), None
    watch = Watch(Scripted(*script), render or (lambda chain: Page({"at": chain}, [])), None, paper,
                  3.0)  # fmt: skip
    watch._clock = clock
    try:
        asyncio.run(watch.run())
    except asyncio.CancelledError:
        pass
    except DhanfastError as error:
        ended = error
    return paper.said, clock.slept, ended


def broker_error(kind: ErrorKind, retry_after_s: int = 0) -> BrokerError:
    return BrokerError("DH-1", 400, kind, "so it is", retry_after_s=retry_after_s)


def test_a_watch_goes_on_and_says_so() -> None:
    said, slept, ended = watched(
        "a", broker_error(ErrorKind.NETWORK), BadData("no chain"), broker_error(ErrorKind.SERVER),
        "b", broker_error(ErrorKind.RATE), broker_error(ErrorKind.RATE),
        broker_error(ErrorKind.RATE, 40), "c", broker_error(ErrorKind.RATE), DhanfastError("odd"),
    )  # fmt: skip
    assert ended is None
    assert slept == [3, 3, 3, 3, 3, 6, 12, 40, 3, 6, 3]
    assert [text for text in said if text.startswith("page")] == ["page a", "page b", "page c"]
    assert said[1] == "DH-1 (HTTP 400): so it is; again after 3 s" and said[2].startswith(
        "no chain"
    )
    assert said[7].endswith("again after 40 s")
    many = watched(*[broker_error(ErrorKind.RATE)] * 8)[1]
    assert many == [6, 12, 24, 48, 60, 60, 60, 60]


@pytest.mark.parametrize(
    "error",
    [
        NotAuthenticated("log in"),
        broker_error(ErrorKind.ACCESS),
        broker_error(ErrorKind.INPUT),
        UsageError("no such expiry"),
    ],
)
def test_what_stays_wrong_ends_a_watch(error: Exception) -> None:
    said, slept, ended = watched("a", error, "b")
    assert (said, slept, ended) == (["page a"], [3], error)


def test_a_chain_that_cannot_be_shown() -> None:
    def render(chain: Any) -> Page:
        if isinstance(chain, DhanfastError):
            raise chain
        return Page({"at": chain}, [])

    class Told(Scripted):
        async def fetch(self) -> Any:
            if not self.script:
                raise asyncio.CancelledError
            return self.script.pop(0)

    def go(*script: Any) -> tuple[list[str], Exception | None]:
        paper = Paper()
        watch = Watch(Told(*script), render, None, paper, 3.0)
        watch._clock = Pauses()
        try:
            asyncio.run(watch.run())
        except asyncio.CancelledError:
            return paper.said, None
        except DhanfastError as error:
            return paper.said, error
        raise AssertionError("a watch does not end by itself")

    rule = UsageError("no strike fits")
    assert go(BadData("no price"), "a", rule, "b") == (
        ["no price; again after 3 s", "page a", "no strike fits; again after 3 s", "page b"], None,
    )  # fmt: skip
    assert go(rule, "a") == ([], rule)  # what was typed fits nothing


def test_pages_fit_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page({}, ["one", "two words " * 12], ["HEAD", *(f"row {i}" for i in range(40))], 1, 31)
    lines = fitted(page, 12, 60)
    assert lines[0] == "one" and lines[3:5] == ["", "HEAD"] and len(lines) == 12
    assert lines[5:] == [f"row {i}" for i in range(27, 34)] and max(map(len, lines)) <= 60
    assert fitted(page, 100, 80)[-1] == "row 39" and len(fitted(page, 3, 80)) == 3
    assert fitted(Page({}, ["a", "b"]), 1, 80) == ["a"]
    shown: list[str] = []
    monkeypatch.setattr("dhanfast.app.chain_live.click.echo",
                        lambda text, **_: shown.append(text))  # fmt: skip
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 12)))
    screen = Screen(as_json=False, drawn=True)
    screen.show(page, "status")
    screen.trouble("x" * 100)
    assert shown[0].startswith("\n" * 12 + "\x1b[H") and shown[0].count("\x1b[K\n") == 11
    assert "status\x1b[K" in shown[0] and shown[1].startswith("\x1b[H")
    assert shown[1].count("\n") == 11 and "x" * 80 + "\x1b[K\n" + "x" * 20 in shown[1]


# ---- processes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    """An exchange in a process of its own, with its limits."""
    with exchange("--symbol", "NIFTY", "--strikes", "5", "--start", "10:00") as one:
        yield one


@contextlib.contextmanager
def watching(
    told: dict[str, Any], folder: Path, *words: str, **how: Any
) -> Iterator[subprocess.Popen[str]]:
    environ = os.environ | {"DHANFAST_HOME": str(folder / "home"), "TOK": told["token"],
                            "PYTHONUNBUFFERED": "1", "COLUMNS": "80", "LINES": "24"}  # fmt: skip
    command = [sys.executable, "-m", "dhanfast", *words, "-u", "NIFTY", "--live",
               *sets_of(f"http://127.0.0.1:{told['port']}")]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    with subprocess.Popen(command, env=environ, text=True, cwd=folder, **pipes) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(LIMIT_S)


def test_a_watch_is_kept_through_ctrl_c_and_kill_9(
    told: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("chain", "--watch", "3", "--json", "--keep", "n.parquet", "--strikes", "1")
    at: list[str] = []
    with watching(told, tmp_path, *words) as process:
        assert process.stdout is not None and process.stderr is not None
        for _ in range(2):
            at.append(json.loads(process.stdout.readline())["at"])  # an object a line
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, err) == (0, "")
        at += [json.loads(line)["at"] for line in rest.splitlines()]
    path = tmp_path / "n.parquet"
    assert [one.time_text for one in read_chains(path)] == at
    assert sorted(os.listdir(tmp_path)) == ["home", "n.parquet"]
    with watching(told, tmp_path, *words) as process:
        assert process.stdout is not None
        for _ in range(2):
            at.append(json.loads(process.stdout.readline())["at"])
        process.kill()
    found = read_chains(path)
    assert [one.time_text for one in found] == at and found.generated
    assert np.diff(found.at_ns).min() >= 2 * 10**9  # never faster than the broker allows
    assert run(["chain", str(path), "--at", at[-1]]) == 0
    assert f"at {at[-1]} IST" in capsys.readouterr().out


def whole_pages(seen: bytes) -> list[str]:
    """Pages with a chain. Another test may have asked for it a moment before: the broker's limit is
    then told on a page of its own, and the watch goes on."""
    pages = seen.decode(errors="replace").replace("\x1b[K", "").replace("\r", "").split("\x1b[H")
    return [one for one in pages[1:] if one.startswith("GENERATED") and "Ctrl-C ends" in one]


def test_a_watch_on_a_terminal_is_drawn_in_place(told: dict[str, Any], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = b""
    try:
        with watching(
            told, tmp_path, "oi", "--watch", "3", stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        ) as process:  # fmt: skip
            os.close(theirs)
            while len(whole_pages(seen)) < 2:
                assert select.select([ours], [], [], LIMIT_S)[0], seen
                seen += os.read(ours, 65_536)
            os.write(ours, b"\x03")  # as the key does
            with contextlib.suppress(OSError):  # the terminal ends with the process
                while os.read(ours, 65_536):
                    pass
            assert process.wait(LIMIT_S) == 0
    finally:
        os.close(ours)
    assert seen.decode().replace("\r", "").startswith("\n" * 24 + "\x1b[H")
    for page in whole_pages(seen)[:2]:
        lines = page.removesuffix("\x1b[J").removesuffix("\n").split("\n")
        assert lines[0] == "GENERATED, not a real market" and lines[-1] == "every 3 s; Ctrl-C ends"
        assert len(lines) <= 23 and max(map(len, lines)) <= 80


def test_a_watch_outlives_an_exchange_that_fails_for_a_while(
    served: Served, tmp_path: Path
) -> None:
    fault = Fault("http-5xx", path="/v2/optionchain", after=1, count=1)
    served.call(lambda: served.core.faults.replace([fault]))
    told = {"token": served.token, "port": served.server.port}
    with watching(told, tmp_path, "chain", "--watch", "3", "--strikes", "1") as process:
        assert process.stdout is not None and process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("error: (HTTP 502)") and said.endswith("; again after 3 s\n")
        pages = 0
        while pages < 2:
            pages += process.stdout.readline().startswith("GENERATED")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=LIMIT_S)
        assert (process.returncode, err) == (0, "")


# ---- what kept chains are for --------------------------------------------------------------------


def test_kept_chains_are_backtested_like_any_others(tmp_path: Path) -> None:
    quotes = {59_100: (76.0, 400.0), 59_200: (55.35, 500.0)}
    times = ("10:19:21", "10:23:10", "15:29:26", "15:35:21")
    plain = chain_file(tmp_path / "c.parquet", [(ns(at), 59_205.45, quotes) for at in times])
    shots = list(read_chains(plain))
    out = {}
    for name, generated in (("real", False), ("made", True)):
        recorder = ChainRecorder(tmp_path / f"{name}.parquet", generated=generated)
        for rows in shots:
            assert recorder.append(rows)  # and not closed: the tail is read as well
    for path in (plain, tmp_path / "real.parquet", tmp_path / "made.parquet"):
        words = ["backtest", "--legs", legs_toml(tmp_path), "--data", str(path), "--slippage", "0"]
        done = CliRunner().invoke(cli, [*words, "--json"])
        assert done.exit_code == 0, done.output
        out[path.stem] = json.loads(done.output)
        shown = CliRunner().invoke(cli, words).output
        assert ("GENERATED" in shown) == (path.stem == "made")
    assert out["c"]["trades"] == 2 and out["c"]["net_pnl_paise"] < 0
    assert out["c"]["digest"] == out["real"]["digest"] == out["made"]["digest"]
    assert (out["c"]["generated"], out["real"]["generated"], out["made"]["generated"]) == (
        False, False, True,
    )  # fmt: skip


def test_a_moment_is_a_source() -> None:
    """What the commands ask of a source, the broker's moment has."""
    names = ("rows", "notes", "facts", "before", "following")
    fields = {*BrokerChain.__dataclass_fields__, *vars(BrokerChain)}
    assert set(names) <= fields
