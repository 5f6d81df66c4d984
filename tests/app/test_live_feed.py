"""The live feed of `dhanfast trade`: who else takes it, and what the broker is asked of it."""

import asyncio
import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.types import TICK_DTYPE
from dhanfast.app.cli import run
from dhanfast.app.live_feed import about_feed, newer_at_rest, subscribed, token_check
from dhanfast.brokers.dhan.feed_requests import Security
from dhanfast.engine.recording import forget
from dhanfast.errors import ConfigError, NotAuthenticated, UsageError
from dhanfast.market.tickday import tick_day
from dhanfast.storage.archive.reader import ArchiveReader
from tests.app.live_process import DAY, LIMIT_S, Trader, exchange

SECOND = 10**9
INDEX = "IDX_I:25"


@pytest.fixture
def ring() -> Any:
    name = f"test-live-{os.getpid()}"
    yield name
    forget(name)


def generated(seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """What the exchange of `live_process` generates: ticks by symbol, in order."""
    plan = tick_day("BANKNIFTY", dt.date.fromisoformat(DAY), seed=seed, ticks=40_000, strikes=1,
                    depth_levels=5)  # fmt: skip
    ticks = np.concatenate([batch.ticks for batch in plan])
    return {each.symbol: ticks[ticks["instrument"] == each.index] for each in plan.instruments}


def test_the_live_feed_is_recorded_while_the_engine_trades(tmp_path: Path, ring: str) -> None:
    """Every packet of two instruments is in the file once; the engine used the same ticks."""
    pytest.importorskip("picows")
    out = tmp_path / "market"
    words = [
        sys.executable,
        "-m",
        "dhanfast",
        "record",
        "--ring",
        ring,
        "--out",
        str(out),
        "--json",
    ]
    with exchange("--seed", "5", "--start", "09:14", "--speed", "60x") as told:
        trader = Trader(tmp_path / "home", told, feed__ring=ring, feed__instruments=INDEX)
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as recorder:
            try:
                with trader.running() as engine:
                    engine.until(lambda status: status["held"] and status["bars"] >= 8)
                    assert engine.interrupt(signal.SIGTERM) == 0
                figures, _ = recorder.communicate(timeout=LIMIT_S)
            finally:
                if recorder.poll() is None:
                    recorder.kill()
    assert recorder.returncode == 0, figures
    (path,) = (out / "ticks").glob("*.dfa")
    assert path.name == f"{DAY}.dfa", "records carry the market's time, not the machine's"
    with ArchiveReader(path) as archive:
        assert archive.head["generated"] is True and archive.sealed
        listed = dict(archive.instruments)
        rows = archive.to_numpy("ticks")
    assert [listed[place].kind for place in (0, 1)] == ["FUT", "IDX"]
    replayed = run(["backtest", "-s", "momentum", "--data", str(path), "--json"])
    assert replayed == 0, "what was recorded can be run on, by its future"
    sent = generated(5)
    for place, name in ((0, "BANKNIFTY26NOVFUT"), (1, "BANKNIFTY")):
        mine = rows[(rows["instrument"] == place) & (rows["price"] > 0)]
        theirs = sent[name]
        compare(mine, theirs[theirs["price"] > 0])
    journal = next((trader.folder / "journal").glob("*.dfj"))
    used = np.concatenate([
        np.frombuffer(bytes(payload)[: TICK_DTYPE.itemsize], TICK_DTYPE)
        for kind, _, _, payload in JournalReader(str(journal)) if kind == Kind.TICK
    ])  # fmt: skip
    assert 20 < len(used) <= int((rows["instrument"] == 0).sum())
    traded = rows[rows["instrument"] == 0]
    for name in ("bid", "ask", "volume"):
        assert np.array_equal(used[name], traded[name][: len(used)]), name
    assert np.abs(used["recv_ns"] - traded["recv_ns"][: len(used)]).max() < SECOND


def compare(mine: Any, theirs: Any) -> None:
    """What was recorded is what the exchange had, in order, each once.

    Two ticks that wait for one socket become one packet, as at the broker: few are missing.
    """
    sent = [(int(row["exch_ns"]) // SECOND, int(row["price"])) for row in theirs]
    got = [(int(row["exch_ns"]) // SECOND, int(row["price"])) for row in mine]
    assert len(got) > 10
    first = place = sent.index(got[0])
    for each in got:
        place = sent.index(each, place) + 1
    assert len(got) >= 0.9 * (place - first)


# ---- what is subscribed --------------------------------------------------------------------------


def listed(segment: str, number: int, symbol: str, tick: int = 5, micros: int = 50_000) -> Any:
    return SimpleNamespace(segment=segment, security_id=number, symbol=symbol, tick=tick,
                           tick_micros=micros, lot=1, expiry=None, strike=0, kind="EQ",
                           is_option=False)  # fmt: skip


class OneList:
    """A master of few contracts."""

    def __init__(self, *contracts: Any) -> None:
        self.contracts = {(each.segment, each.security_id): each for each in contracts}

    def get(self, segment: str, number: int) -> Any:
        if (segment, number) not in self.contracts:
            raise UsageError(f"{segment} {number} is not in the master")
        return self.contracts[segment, number]


def wishes(*texts: str) -> Any:
    return SimpleNamespace(feed=SimpleNamespace(instruments=texts))


FUTURE = listed("NSE_FNO", 500, "BANKNIFTY FUT", tick=20)
SHARE, TWIN = listed("NSE_EQ", 1333, "HDFCBANK"), listed("BSE_EQ", 500_180, "HDFCBANK", tick=1)
DOLLAR = listed("NSE_CURRENCY", 7, "USDINR", tick=0, micros=2_500)
INDEXES = listed("IDX_I", 13, "NIFTY", tick=0, micros=0)
MASTER: Any = OneList(FUTURE, SHARE, TWIN, DOLLAR, INDEXES)


def test_each_instrument_is_subscribed_once_and_what_is_traded_first() -> None:
    got = subscribed(
        wishes("NSE_EQ:1333", "NSE_FNO:500", "IDX_I:13", "NSE_EQ:1333"), MASTER, FUTURE
    )
    assert got == [FUTURE, SHARE, INDEXES]


def test_what_cannot_be_subscribed_is_named() -> None:
    with pytest.raises(UsageError, match=r"feed.instruments: NSE_EQ:9: NSE_EQ 9 is not in"):
        subscribed(wishes("NSE_EQ:9"), MASTER, FUTURE)
    with pytest.raises(ConfigError, match=r"tick of USDINR is no whole number of paise"):
        subscribed(wishes("NSE_CURRENCY:7"), MASTER, FUTURE)


def test_a_recorder_is_told_each_instrument_by_a_name_of_its_own() -> None:
    market: Any = SimpleNamespace(day=dt.date(2026, 11, 20), notes=(), generated=False)
    about = about_feed([FUTURE, SHARE, TWIN, INDEXES], market)
    assert [each["symbol"] for each in about.instruments] == [
        "BANKNIFTY FUT", "HDFCBANK NSE_EQ", "HDFCBANK BSE_EQ", "NIFTY",
    ]  # fmt: skip
    assert [each["tick"] for each in about.instruments] == [20, 5, 1, 1], "each its own"
    assert [each["index"] for each in about.instruments] == [0, 1, 2, 3]


# ---- what the broker's REST side is asked --------------------------------------------------------


class Rest:
    """The REST side: a token it takes, and times of last trades."""

    def __init__(
        self, traded: dict[tuple[str, int], int] | None = None, dead: bool = False
    ) -> None:
        self.traded, self.dead = traded or {}, dead
        self.asked: list[dict[str, list[int]]] = []

    async def profile(self) -> Any:
        if self.dead:
            raise NotAuthenticated("no token")

    async def quote(self, ids: dict[str, list[int]]) -> Any:
        self.asked.append({segment: list(of) for segment, of in ids.items()})
        keys = ((segment, number) for segment, of in ids.items() for number in of)
        return {key: SimpleNamespace(last_trade_ns=self.traded[key]) for key in keys
                if key in self.traded}  # fmt: skip


class Tokens:
    """A token in force."""

    def __init__(self, now: str) -> None:
        self.now = now

    async def token(self) -> Any:
        return self.now


def test_a_token_is_alive_when_the_broker_takes_it_and_nobody_renewed_it() -> None:
    tokens: Any = Tokens("first")
    alive = token_check(Rest(), tokens)  # type: ignore[arg-type]
    assert asyncio.run(alive("first")) is True
    tokens.now = "second"
    assert asyncio.run(alive("first")) is False, "REST had renewed it"
    with pytest.raises(NotAuthenticated):
        asyncio.run(token_check(Rest(dead=True), tokens)("second"))  # type: ignore[arg-type]


def test_rest_tells_what_has_traded_after_the_feeds_last_packet() -> None:
    old, new, never, unknown = (Security(2, number) for number in (1, 2, 3, 4))
    rest: Any = Rest({("NSE_FNO", 1): 100 * SECOND, ("NSE_FNO", 2): 200 * SECOND,
                      ("NSE_FNO", 3): 150 * SECOND})  # fmt: skip
    heard = {old: 97 * SECOND, new: 190 * SECOND, never: 0, unknown: 0}
    moved = newer_at_rest(rest, heard.__getitem__)
    assert asyncio.run(ask(moved, [old, new, never, unknown])) == [new, never]
    assert rest.asked == [{"NSE_FNO": [1, 2, 3, 4]}]


def test_rest_is_asked_of_a_thousand_at_a_time() -> None:
    rest: Any = Rest()
    many = [Security(2, number) for number in range(1, 1_502)] + [Security(0, 13)]
    assert asyncio.run(ask(newer_at_rest(rest, lambda _: 0), many)) == []
    assert [sum(map(len, ids.values())) for ids in rest.asked] == [1_000, 502]
    assert rest.asked[1]["IDX_I"] == [13]


async def ask(moved: Any, securities: Sequence[Security]) -> Any:
    return await moved(securities)
