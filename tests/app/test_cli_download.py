"""`dhanfast data download` and `completeness` as a user types them, against a served exchange."""

import datetime as dt
import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from dhanfast.app.cli import run
from dhanfast.app.downloading import last_day, step_text
from dhanfast.brokers.dhan.history import Ask, Step
from dhanfast.errors import UsageError
from dhanfast.exchange.faults import Fault
from dhanfast.market.calendar import Calendar, midnight_ns
from dhanfast.storage.bars import read_bars

from ..exchange.serving import Served, make_core, serving
from ..storage.download_bars import CALL, INDEX

SPAN = ("--from", "2025-11-10", "--to", "2025-11-13")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(make_core(limits=False)) as one:
        yield one


@pytest.fixture
def account(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A user of that exchange, in a folder of their own; options of every command."""
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOK", served.token)
    monkeypatch.chdir(tmp_path)
    served.call(lambda: served.core.faults.replace([]))
    sets = {"broker.exchange": served.http, "broker.client_id": "1000000001",
            "broker.token": "env:TOK"}  # fmt: skip
    return [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def call(account: list[str], served: Served, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `dhanfast data WORDS...`: lines fit, but those of errors; no output holds the token."""

    def go(*words: object) -> tuple[int, str, str]:
        given = ["data", *map(str, words)]
        code = run(given + (account if "download" in given else []))
        out, err = capsys.readouterr()
        assert served.token not in out + err
        if "--json" not in given:
            lines = [line for line in (out + err).splitlines() if not line.startswith("error: ")]
            assert max(map(len, lines), default=0) <= 80, lines
        return code, out, err

    return go


def test_an_index_from_the_broker_to_a_backtest(
    call: Run, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call("download", "index", "NIFTY", *SPAN, "--out", "bars", "--check")
    assert (code, err) == (0, "")
    assert out == (
        "bars/NIFTY_1m.parquet: 1,500 bars, 2025-11-10 to 2025-11-13, GENERATED\n"
        "1 requests, 1,500 bars came; 1,500 of 1,500 expected are there, 0 of 4 days are\n"
        "  incomplete\n"
    )
    got = read_bars("bars/NIFTY_1m.parquet")
    history = served.core.market.history
    assert history is not None and got.generated
    days = history.days(dt.date(2025, 11, 10), dt.date(2025, 11, 13))
    for name in ("start_ns", "open", "high", "low", "close", "volume"):  # to the paisa
        assert got.bars[name].tolist() == [int(x) for day in days for x in day.bars("NIFTY")[name]]
    code = run(["backtest", "-s", "momentum", "--data", "bars/NIFTY_1m.parquet"])
    assert code == 0 and "GENERATED DATA" in capsys.readouterr().out
    code, out, _ = call("completeness", "bars")
    assert code == 0 and out.splitlines()[1].split() == ["NIFTY_1m", "4", "4", "0", "1,500", "0"]
    assert out.splitlines()[2] == "GENERATED, not recorded"
    again = call("download", "index", "NIFTY", *SPAN, "--out", "bars")
    assert again[0] == 0 and again[1].startswith("0 requests, 0 bars came; 1,500 of 1,500")
    code, out, _ = call("download", "index", "NIFTY", "--from", "2025-11-06", "--to", "2025-11-14",
                        "--out", "bars", "--json")  # fmt: skip
    said = json.loads(out)
    assert (said["asked"], said["bars"], said["files"][0]["rows"]) == (2, 3 * 375, 7 * 375)
    assert said["series"][0]["days"] == {"whole": 7} and said["generated"] is True


def test_kinds_of_instruments(call: Run, served: Served) -> None:
    strike = served.core.contracts.options("NIFTY", dt.date(2025, 11, 18))[3].strike
    for words in (
        ("index", "NIFTY", "--interval", "1d"),
        ("equity", "HDFCBANK", "--interval", "15m"),
        ("future", "NIFTY"),
        ("option", "NIFTY", "--strike", f"{strike / 100:g}", "--right", "CE"),
        ("expired", "NIFTY", "--money", "0:1", "--right", "PE"),
    ):
        code, out, err = call("download", *words, *SPAN, "--out", "all")
        assert code == 0, err
        assert ".parquet: " in out
    names = sorted(path.stem for path in Path("all").glob("*.parquet"))
    assert names == ["HDFCBANK_15m", f"NIFTY25N18{strike // 100}CE_1m", "NIFTY-WEEK1-options_1m",
                     "NIFTY25NOVFUT_1m", "NIFTY_1d"] or sorted(names) == names  # fmt: skip
    option = pq.read_table(f"all/NIFTY25N18{strike // 100}CE_1m.parquet").slice(0, 1).to_pylist()[0]
    assert (option["strike"], option["right"]) == (strike / 100, "CE")
    assert option["expiry"] == dt.date(2025, 11, 18)
    daily = read_bars("all/NIFTY_1d.parquet")
    assert [str(daily.first)[11:16], len(daily.bars)] == ["09:15", 4]
    rolling = pq.read_table("all/NIFTY-WEEK1-options_1m.parquet")
    assert set(rolling.column("money").to_pylist()) == {0, 1}
    code, out, err = call("completeness", "all", "--symbol", "NIFTY25NOVFUT", "--all")
    assert code == 6 and "SHORT" in out and "ask again with --refill" in err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("index", "NIFTI", *SPAN), 2, "no index of that name; did you mean NIFTY?"),
        (("index", "NIFTY", "--from", "2025-11-31"), 2, "2025-11-31"),
        (("index", "NIFTY", "--from", "2025-11-12", "--to", "2025-11-11"), 2, "lies before --from"),
        (("index", "NIFTY", "--from", "2999-01-01"), 2, "has not ended; the last day that has is"),
        (("index", "NIFTY", *SPAN, "--interval", "2m"), 2, "'2m' is none of 1m, 5m"),
        (("index", *SPAN), 2, "NAME"),
        (("equity", "NIFTY", *SPAN), 2, "no share of NSE of that name"),
        (("future", "NIFTY", "--expiry", "2025-11-26", *SPAN), 2, "expiries of NIFTY: 2025-11-18"),
        (("future", "SENSIX", *SPAN), 2, "no contract of it"),
        (("future", "NIFTY", "--from", "2025-11-26"), 2, "behind the expiry of NIFTY25NOVFUT"),
        (("option", "NIFTY", "--strike", "1", *SPAN), 2, "has no 1; near: "),
        (("option", "NIFTY", "--strike", "x", *SPAN), 2, "'x' must be rupees, such as"),
        (("option", "NIFTY", "--strike", "nan", *SPAN), 2, "must be rupees above 0"),
        (("expired", "NIFTY", "--money", "3:-3", *SPAN), 2, "write -3:3"),
        (("expired", "NIFTY", "--money", "-11:0", *SPAN), 2, "-11 must be from -10 to 10"),
        (("expired", "NIFTY", "--money", "a", *SPAN), 2, "must be FROM:TO in steps"),
        (("expired", "NIFTY", "--code", "0", *SPAN), 2, "0 must be 1, 2 or 3"),
        (("expired", "NIFTY", "--interval", "1d", *SPAN), 2, "expired options have minutes only"),
        (("expired", "GOLD", *SPAN), 2, "no index or share of that name"),
    ],
)
def test_what_is_refused_says_what_to_do(
    account: list[str], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int,
    said: str,
) -> None:  # fmt: skip
    assert run(["data", "download", *words, "--out", "bars", *account]) == code
    err = " ".join(capsys.readouterr().err.split())
    assert said in err
    assert not Path("bars").exists(), "nothing is made for what is refused"


def test_login_and_folder_are_named(
    call: Run, account: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert run(["data", "download", "index", "NIFTY", *SPAN]) == 2  # no --out
    capsys.readouterr()
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("work")
    code, _, err = call("download", "index", "NIFTY", *SPAN, "--out", "mine")
    assert code == 2 and "thesis.txt and is no folder of downloads" in err
    code, _, err = call("completeness", "mine")
    assert code == 2 and "no folder of downloads" in err
    monkeypatch.setenv("TOK", "")
    assert call("download", "index", "NIFTY", *SPAN, "--out", "bars")[0] == 4
    from ..brokers.dhan.stage import jwt

    monkeypatch.setenv("TOK", jwt(n=3))
    code, _, err = call("download", "index", "NIFTY", *SPAN, "--out", "bars")
    assert code == 4 and "0 of 1 requests are done and kept; the same command" in " ".join(
        err.split()
    )


def test_a_dry_run_asks_nothing(call: Run, served: Served) -> None:
    served.call(lambda: served.core.faults.replace([Fault("http-5xx", path="/v2/charts/*")]))
    code, out, _ = call("download", "expired", "NIFTY", *SPAN, "--out", "bars", "--dry-run")
    assert code == 0 and out == "14 requests would be sent, in about 4 s or more\n"
    assert not Path("bars").exists()


EXPIRED = ("data", "download", "expired", "NIFTY", "--money", "-1:1", *SPAN, "--out")


class Hung:
    """A command in a process of its own that waits for an answer that never comes."""

    def __init__(self, served: Served, words: list[str], after: int) -> None:
        menu = [Fault("timeout", path="/v2/charts/*", after=after)]
        struck = threading.Event()
        mishaps = served.core.mishaps
        plain = mishaps.for_request

        def watched(method: str, path: str) -> Fault | None:
            fault = plain(method, path)
            if fault is not None:
                struck.set()
            return fault

        def arm() -> None:
            served.core.faults.replace(list(menu))
            mishaps.for_request = watched  # type: ignore[method-assign]

        served.call(arm)
        self._served, self._plain = served, plain
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dhanfast", *words], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        assert struck.wait(60), "it never asked"

    def end(self) -> bytes:
        """Kill it, as the system would; what it had said."""
        self.process.kill()
        out, err = self.process.communicate(timeout=30)

        def disarm() -> None:
            self._served.core.faults.replace([])
            self._served.core.mishaps.for_request = self._plain  # type: ignore[method-assign]

        self._served.call(disarm)
        return out + err


def test_killed_in_the_middle_it_goes_on_and_ends_the_same(
    call: Run, account: list[str], served: Served
) -> None:
    assert call(*EXPIRED[1:], "whole")[0] == 0
    hung = Hung(served, [*EXPIRED, "parts", *account], after=3)
    try:
        code, _, err = call(*EXPIRED[1:], "parts")  # two at once
        assert code == 1 and f"process {hung.process.pid} is downloading into it" in err
    finally:
        said = hung.end()
    assert served.token.encode() not in said
    kept = sorted(path.name for path in Path("parts/pieces").glob("*/*.parquet"))
    assert len(kept) == 3 and not list(Path("parts").glob("*.parquet"))
    code, out, _ = call(*EXPIRED[1:], "parts", "--json")
    done = json.loads(out)
    assert code == 0 and done["asked"] == 3 and len(done["series"]) == 6
    for path in Path("whole").rglob("*.parquet"):  # the same bytes as without a kill
        other = Path("parts") / path.relative_to("whole")
        assert other.read_bytes() == path.read_bytes()


def test_ctrl_c_ends_it_with_what_it_has(call: Run, account: list[str], served: Served) -> None:
    hung = Hung(served, [*EXPIRED, "bars", *account], after=2)
    hung.process.send_signal(signal.SIGINT)
    try:
        assert hung.process.wait(30) == 130
    finally:
        said = hung.end()
    assert said.split() == [b"stopped"]
    assert len(list(Path("bars/pieces").glob("*/*.parquet"))) == 2


def test_what_is_whole_becomes_a_file_although_the_rest_failed(call: Run, served: Served) -> None:
    words = ("download", "equity", "HDFCBANK", "TCS", *SPAN, "--out", "bars")
    fault = Fault("chart-conflict", after=1)
    served.call(lambda: served.core.faults.replace([fault]))
    code, _, err = call(*words)
    said = " ".join(err.split())
    assert code == 1 and "TCS 2025-11-10 to 2025-11-13: charts: a bar of TCS comes twice" in said
    assert [path.name for path in Path("bars").glob("*.parquet")] == ["HDFCBANK_1m.parquet"]
    served.call(lambda: served.core.faults.replace([]))
    code, out, _ = call(*words)
    assert code == 0 and out.startswith("bars/TCS_1m.parquet: 1,500 bars,")


def test_a_full_disk_is_told_and_what_came_before_is_kept(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, room = os.fsync, [6]

    def full(handle: int) -> None:
        if "/bars/pieces/" in os.readlink(f"/proc/self/fd/{handle}"):
            room[0] -= 1
            if room[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = call(*EXPIRED[1:], "bars")
    said = " ".join(err.split())
    assert code == 1 and "No space left on device" in said and "are done and kept" in said
    held = len(list(Path("bars/pieces").glob("*/series.json")))
    assert 0 < held < 6 and not list(Path("bars").glob("*.parquet"))
    monkeypatch.setattr(os, "fsync", fsync)
    code, out, _ = call(*EXPIRED[1:], "bars", "--json")
    assert code == 0 and json.loads(out)["asked"] == 6 - held


def test_a_gap_is_refilled(call: Run, served: Served) -> None:
    served.call(lambda: served.core.faults.replace([Fault("chart-gap", count=1)]))
    words = ("download", "index", "NIFTY", *SPAN, "--out", "bars")
    code, out, err = call(*words, "--check")
    assert code == 6 and "4 days are incomplete" not in out and "days are incomplete" in err
    code, out, _ = call("completeness", "bars")
    assert code == 6 and "  2025-11-11 SHORT 250 of 375 missing: 11:20 to 15:29" in out
    assert call(*words)[1].startswith("0 requests")
    code, out, _ = call(*words, "--refill", "--check")
    assert code == 0 and "1,500 of 1,500 expected are there" in out
    code, out, _ = call("completeness", "bars", "--json", "--from", "2025-11-11")
    (series,) = json.loads(out)["series"]
    assert [one["status"] for one in series["each"]] == ["whole"] * 3


# ---- parts ----


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (dt.datetime(2025, 11, 17, 12, 0), dt.date(2025, 11, 16)),  # during the session
        (dt.datetime(2025, 11, 17, 15, 59), dt.date(2025, 11, 16)),  # its last minutes come late
        (dt.datetime(2025, 11, 17, 16, 0), dt.date(2025, 11, 17)),
        (dt.datetime(2025, 11, 16, 12, 0), dt.date(2025, 11, 16)),  # a Sunday
        (dt.datetime(2025, 10, 21, 14, 0), dt.date(2025, 10, 20)),  # during muhurat
    ],
)
def test_the_last_day_is_one_that_has_ended(now: dt.datetime, last: dt.date) -> None:
    at_ns = midnight_ns(now.date()) + (now.hour * 60 + now.minute) * 60 * 10**9
    calendar, first = Calendar.load(), dt.date(2025, 10, 1)
    assert last_day(at_ns, calendar, first, None) == last
    assert last_day(at_ns, calendar, first, dt.date(2026, 5, 1)) == last
    assert last_day(at_ns, calendar, first, first) == first
    with pytest.raises(UsageError, match="has not ended"):
        last_day(at_ns, calendar, last + dt.timedelta(days=1), None)


def test_progress_fits_a_terminal() -> None:
    long = msgspec.structs.replace(CALL, name="BANKNIFTY-MONTH3-ATM-10-CE" * 4)
    day = dt.date(2025, 11, 10)
    for line in (INDEX, long):
        for done, total, rows in ((0, 1, 0), (1_234, 98_765, 123_456_789)):
            text = step_text(Step(done, total, rows, Ask(line, day, day)), 86_399.0)
            assert len(text) < 80 and "\n" not in text
    half = step_text(Step(5, 10, 1_500, Ask(INDEX, day, day)), 60.0)
    assert half == "NIFTY 2025-11-10  5/10  1.50k bars  1:00 left"
