"""Candles that come wrong from a served exchange: what a download makes of each fault."""

import asyncio
import random
from datetime import date
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import numpy as np
import pytest

from dhanfast.brokers.dhan.history import Downloader, Stopped, Tally, asks_of
from dhanfast.brokers.dhan.history_lines import expired_lines, future_line, index_line
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.limits import CallClass, Limits, LimitSettings, Quota
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.brokers.link import Backoff
from dhanfast.clock import SystemClock
from dhanfast.errors import NotAuthenticated, UsageError
from dhanfast.exchange.answers import Reply, answer
from dhanfast.exchange.chart_faults import SPOILERS, spoiled
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.faults import Fault
from dhanfast.exchange.recorded_history import RecordedHistory
from dhanfast.exchange.settings import ExchangeSettings
from dhanfast.market.calendar import Calendar
from dhanfast.market.master import Master
from dhanfast.market.master_csv import parse_master
from dhanfast.security.tokens import FixedToken, Token
from dhanfast.storage.completeness import examine
from dhanfast.storage.download_files import make_file
from dhanfast.storage.downloads import Columns, DownloadFolder, Line

from .serving import Served, make_core, market_of, serving

CALENDAR = Calendar.load()
FIRST, LAST = date(2025, 11, 10), date(2025, 11, 13)
COLUMNS = {"open": [1.0, 2.0, 3.0, 4.0], "close": [1.5, 2.5, 3.5, 4.5], "volume": [7, 7, 7, 7],
           "timestamp": [60, 120, 180, 240], "open_interest": [5, 5, 5, 5]}  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Any:
    with serving(make_core(limits=False)) as one:
        yield one


@pytest.fixture(scope="module")
def master(served: Served) -> Master:
    return master_at(served)


def master_at(served: Served) -> Master:
    """The contract list that an exchange serves."""
    place = f"{served.http}/api-data/api-scrip-master-detailed.csv"
    with urlopen(place, timeout=20) as said:
        return parse_master(said.read(), name="list").master


def download(
    served: Served, place: Path, lines: list[Line], *faults: Fault, token: str = "",
    span: tuple[date, date] = (FIRST, LAST), generated: bool = True,
) -> Tally:  # fmt: skip
    """Download lines over the served exchange, quickly."""
    clock = SystemClock()
    fast = LimitSettings(quotas={kind: (Quota(1_000, 1.0),) for kind in CallClass})
    folder = DownloadFolder(place)
    served.call(lambda: served.core.faults.replace(list(faults)))

    async def act() -> Tally:
        tokens = FixedToken(Token.of_jwt(token or served.token))
        async with DhanRest(Hosts.loopback(served.server.port), tokens, clock,
                            limits=Limits(clock, fast),
                            backoff=Backoff(first_s=0.001, most_s=0.01)) as rest:  # fmt: skip
            work = Downloader(rest, folder, clock, random.Random(1))
            with folder.changing("dhan", generated):
                asks = [ask for line in lines
                        for ask in asks_of(folder.agreed(line), *span, CALENDAR)]  # fmt: skip
                return await work.run(asks, CALENDAR)

    try:
        return asyncio.run(act())
    finally:
        served.call(lambda: served.core.faults.replace([]))


def held(place: Path, line: Line) -> Columns:
    folder = DownloadFolder(place)
    series = folder.series()[line.key]
    parts = [folder.read(line.key, piece) for piece in series.pieces]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def line(master: Master) -> Line:
    return index_line(master, "NIFTY", "1m")


@pytest.fixture(scope="module")
def clean(served: Served, line: Line, tmp_path_factory: pytest.TempPathFactory) -> Columns:
    place = tmp_path_factory.mktemp("clean")
    assert download(served, place, [line]).rows == 4 * 375
    return held(place, line)


CURED = ("http-429", "http-5xx", "http-5xx-after", "reset", "reset-after", "truncate", "cut-off",
         "chart-empty", "chart-ragged", "chart-conflict", "chart-reorder", "chart-duplicate",
         "chart-no-interest")  # fmt: skip


@pytest.mark.parametrize("kind", CURED)
def test_what_can_be_cured_leaves_the_same_bars(
    served: Served, line: Line, clean: Columns, tmp_path: Path, kind: str
) -> None:
    tally = download(served, tmp_path, [line], Fault(kind, count=1))
    got = held(tmp_path, line)
    assert all(np.array_equal(got[name], clean[name]) for name in clean)
    told = {"chart-reorder": "not in order", "chart-duplicate": "came twice"}.get(kind)
    assert (told is None and not tally.notes) or (told is not None and told in tally.notes[0])
    assert served.core.mishaps.counts[kind] >= 1, "the fault did not strike"


@pytest.mark.parametrize(("kind", "missing"), [("chart-gap", 500), ("chart-no-price", 215)])
def test_what_cannot_is_seen_by_the_completeness_report(
    served: Served, line: Line, clean: Columns, tmp_path: Path, kind: str, missing: int
) -> None:
    download(served, tmp_path, [line], Fault(kind, count=1))
    (report,) = examine(DownloadFolder(tmp_path))
    assert report.expected - report.held == missing
    got = held(tmp_path, line)
    mine = np.isin(clean["start_ns"], got["start_ns"])
    assert all(np.array_equal(got[name], clean[name][mine]) for name in clean)


@pytest.mark.parametrize("kind", ["truncate", "cut-off", "http-429", "chart-conflict"])
def test_what_never_ends_stops_and_leaves_nothing(
    served: Served, line: Line, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(Stopped, match="0 of 1 requests are done and kept"):
        download(served, tmp_path, [line], Fault(kind))
    assert DownloadFolder(tmp_path).series() == {}
    assert download(served, tmp_path, [line]).rows == 4 * 375


def test_open_interest_of_zero_is_told(served: Served, master: Master, tmp_path: Path) -> None:
    future = future_line(master, "NIFTY", date(2025, 11, 25), "1m")
    download(served, tmp_path, [future], Fault("chart-no-interest", count=1))
    (report,) = examine(DownloadFolder(tmp_path))
    assert all(day.no_interest for day in report.days) and len(report.days) == 4


def test_a_dead_token_ends_it(served: Served, line: Line, tmp_path: Path) -> None:
    from ..brokers.dhan.stage import jwt

    with pytest.raises(Stopped) as stopped:
        download(served, tmp_path, [line], token=jwt(n=99))
    assert stopped.value.exit_code == 4
    assert isinstance(stopped.value.__cause__, NotAuthenticated)


def test_expired_options_agree_with_the_day_they_were_made_from(
    served: Served, master: Master, tmp_path: Path
) -> None:
    """The strike next to the index at each minute, and that contract's own bar there."""
    lines = expired_lines(master, "NIFTY", "WEEK", 1, [0, 1], ["CE"], "1m")
    tally = download(served, tmp_path, lines)
    assert tally.asked == 2 * len(asks_of_grid())
    history = served.core.market.history
    assert history is not None
    for line, steps in zip(lines, (0, 1), strict=True):
        got = held(tmp_path, line)
        at = 0
        for day in history.days(FIRST, LAST):
            index = {int(bar["start_ns"]): int(bar["close"]) for bar in day.bars("NIFTY")}
            calls = {one.strike: one.symbol for one in day.options("CE")}
            ladder = sorted(calls)
            while at < len(got["start_ns"]) and int(got["start_ns"][at]) in index:
                start = int(got["start_ns"][at])
                near = min(ladder, key=lambda strike: abs(strike - index[start]))
                strike = ladder[ladder.index(near) + steps]
                bars = day.bars(calls[strike])
                bar = bars[bars["start_ns"] == start][0]
                assert int(got["strike"][at]) == strike and int(got["spot"][at]) == index[start]
                assert int(got["close"][at]) == int(bar["close"])
                at += 1
        assert at == len(got["start_ns"]) > 1_000


def asks_of_grid() -> set[int]:
    """Cells of 30 days that the span touches."""
    return {day.toordinal() // 30 for day in (FIRST, LAST)}


def test_files_of_a_folder_are_a_history(
    served: Served, master: Master, line: Line, clean: Columns, tmp_path: Path
) -> None:
    """What was downloaded is served again, and downloaded from there."""
    lines = [line, *expired_lines(master, "NIFTY", "WEEK", 1, [-1, 0, 1], ["CE", "PE"], "1m")]
    download(served, tmp_path / "a", lines)
    folder = DownloadFolder(tmp_path / "a")
    for name in dict.fromkeys(one.file for one in lines):
        make_file(folder, name, True)
    history = RecordedHistory(tmp_path / "a", "NIFTY")
    assert history.generated and [day.date.day for day in history.days(FIRST, LAST)] == [
        10,
        11,
        12,
        13,
    ]
    core = ExchangeCore(market_of("NIFTY", 20), ExchangeSettings.seeded(1, limits=False),
                        random.Random(1), (), history)  # fmt: skip
    with serving(core) as again:
        assert again.get("/exchange/status")["history_generated"] is True
        download(again, tmp_path / "b", [line, lines[3]])
    assert all(np.array_equal(held(tmp_path / "b", line)[name], clean[name]) for name in clean)
    before, after = held(tmp_path / "a", lines[3]), held(tmp_path / "b", lines[3])
    same = np.isin(before["start_ns"], after["start_ns"])
    assert len(after["start_ns"]) > 1_000 and np.mean(same) > 0.9
    with pytest.raises(UsageError, match="no file of minute bars"):
        RecordedHistory(tmp_path / "a" / "pieces", "NIFTY")
    with pytest.raises(UsageError, match="no such folder"):
        RecordedHistory(tmp_path / "none", "NIFTY")


@pytest.mark.parametrize("kind", SPOILERS)
def test_spoilers_keep_their_word(kind: str) -> None:
    """Each does what the reference page says, to both shapes of an answer."""
    flat = spoiled(kind, answer(COLUMNS)).json()
    deep = spoiled(kind, answer({"data": {"ce": COLUMNS, "pe": None}})).json()
    assert deep == {"data": {"ce": flat, "pe": None}}
    expected: dict[str, dict[str, list[Any]]] = {
        "chart-empty": {name: [] for name in COLUMNS},
        "chart-reorder": {"timestamp": [180, 240, 60, 120], "close": [3.5, 4.5, 1.5, 2.5]},
        "chart-duplicate": {"timestamp": [60, 60, 120, 180, 240], "close": [1.5, 1.5, 2.5, 3.5,
                                                                          4.5]},
        "chart-conflict": {"timestamp": [60, 60, 120, 180, 240], "close": [1.5, 1.55, 2.5, 3.5,
                                                                         4.5]},
        "chart-gap": {"timestamp": [60, 180, 240]},
        "chart-ragged": {"timestamp": [60, 120, 180, 240], "close": [1.5, 2.5, 3.5]},
        "chart-no-price": {"timestamp": [60, 120, 180, 240], "close": [0, 2.5, 3.5, 4.5]},
        "chart-no-interest": {"open_interest": [0, 0, 0, 0], "close": COLUMNS["close"]},
    }  # fmt: skip
    assert {name: flat[name] for name in expected[kind]} == expected[kind]
    refused = Reply(429, {}, msgspec.json.encode({"errorCode": "DH-904"}))
    assert spoiled(kind, refused) is refused


def test_candle_faults_strike_charts_only(served: Served) -> None:
    menu = served.core.faults
    menu.replace([Fault("chart-empty", count=1)])
    now_ns = served.core.now_ns
    assert menu.for_request("GET", "/v2/profile", now_ns) is None
    assert menu.for_request("POST", "/v2/charts/intraday", now_ns) is not None
    menu.replace([])
