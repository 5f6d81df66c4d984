"""The market behind the exchange: generated or recorded, it is the records and nothing else."""

import datetime as dt
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast import options
from dhanfast._core.premium import generated_premium
from dhanfast.app.cli import run
from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.errors import BadData, ConfigError, OutOfCalendar
from dhanfast.exchange.contracts import Contract, Contracts
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.greeks import greeks
from dhanfast.exchange.history import History, minute_bars
from dhanfast.exchange.market import GeneratedMarket, RecordedMarket
from dhanfast.exchange.settings import ExchangeSettings
from dhanfast.market.generate import generate_bars
from dhanfast.market.master_csv import parse_master
from dhanfast.market.tickday import tick_day
from tests.exchange.serving import DAY, make_account

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def market() -> GeneratedMarket:
    return GeneratedMarket("NIFTY", DAY, seed=3, strikes=3, levels=5, ticks=20_000)


def test_a_generated_market_holds_every_record_of_the_day(market: GeneratedMarket) -> None:
    records = list(market)
    ticks = np.concatenate([one.ticks for one in records])
    rows = np.concatenate([one.rows for one in records])
    assert (np.diff(ticks["recv_ns"]) >= 0).all()
    plan = tick_day("NIFTY", DAY, seed=3, ticks=20_000, strikes=3, depth_levels=5)
    whole = [batch for batch in plan]
    theirs = np.concatenate([batch.ticks for batch in whole])
    mine = ticks[ticks["instrument"] < len(plan.instruments)]
    assert mine.tobytes() == theirs.tobytes()
    assert rows.tobytes() == np.concatenate([batch.depth for batch in whole]).tobytes()


def test_shares_follow_the_index_on_their_tick(market: GeneratedMarket) -> None:
    ticks = np.concatenate([one.ticks for one in market])
    index = ticks[(ticks["instrument"] == 0) & (ticks["price"] > 0)]
    share = next(one for one in market.contracts if one.symbol == "TCS")
    mine = ticks[ticks["instrument"] == share.index]
    assert len(mine) == -(-len(index) // 5)
    assert (mine["price"] % 5 == 0).all() and (np.diff(mine["volume"].astype(np.int64)) > 0).all()
    expected = 310_000 * index["price"][::5] / index["price"][0]
    assert np.abs(mine["price"] - expected).max() <= 2.5


def test_the_same_seed_gives_the_same_bytes(market: GeneratedMarket) -> None:
    again = GeneratedMarket("NIFTY", DAY, seed=3, strikes=3, levels=5, ticks=20_000)
    for one, other in zip(market, again, strict=True):
        assert one.ticks.tobytes() == other.ticks.tobytes()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = tick_day("NIFTY", DAY, seed=3, ticks=20_000, strikes=3, depth_levels=5)
    path = tmp_path_factory.mktemp("exchange") / "day.dfa"
    with archive_writer(path, plan, clock=ManualClock(0)) as write:
        for batch in plan:
            write(batch)
    return path


def test_a_recorded_market_is_the_generated_one(archive: Path) -> None:
    recorded = RecordedMarket(archive)
    plan = tick_day("NIFTY", DAY, seed=3, ticks=20_000, strikes=3, depth_levels=5)
    assert [one.symbol for one in recorded.contracts] == [one.symbol for one in plan.instruments]
    for listed, contract in zip(plan.instruments, recorded.contracts, strict=True):
        assert (listed.kind, listed.lot, listed.tick) == (
            contract.kind, contract.lot, contract.tick)  # fmt: skip
        assert (listed.expiry, listed.strike) == (contract.expiry, contract.strike)
    assert recorded.day.date == DAY and recorded.generated
    records = list(recorded)
    whole = list(plan)
    ticks = np.concatenate([one.ticks for one in records])
    assert ticks.tobytes() == np.concatenate([one.ticks for one in whole]).tobytes()
    rows = np.concatenate([one.rows for one in records])
    assert rows.tobytes() == np.concatenate([one.depth for one in whole]).tobytes()
    for one in records[:-1]:
        assert not len(one.rows) or one.rows["recv_ns"][-1] <= one.ticks["recv_ns"][-1]


@pytest.mark.data
def test_recorded_futures_are_a_market(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = data_dir / "ticks" / "nse_stock_futures_ticks_2025-11-17_1207_1224.parquet"
    if not source.exists():
        pytest.skip(f"no {source.name} in the recorded data")
    assert run(["data", "import", str(source), "--catalog", str(tmp_path)]) == 0
    market = RecordedMarket(next(tmp_path.rglob("*.dfa")))
    core = ExchangeCore(market, ExchangeSettings.seeded(1, limits=False), random.Random(1))
    core.advance(market.day.windows[-1][1] - 1)
    ticks = np.concatenate([one.ticks for one in market])
    for contract in market.contracts:
        mine = ticks[ticks["instrument"] == contract.index]
        assert int(core.shown["volume"][contract.index]) == int(mine["volume"].max())
        assert int(core.shown["last"][contract.index]) == int(mine["price"][mine["price"] > 0][-1])


def test_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.dfa"
    path.write_bytes(b"x" * 100)
    with pytest.raises(BadData):
        RecordedMarket(path)


def test_a_day_without_trading() -> None:
    with pytest.raises((OutOfCalendar, ValueError)):
        GeneratedMarket("NIFTY", dt.date(2025, 11, 16), seed=1)


def test_history_lies_on_the_generators_bars() -> None:
    """Minutes of the index inside those of `generate_bars`, whose seconds they share."""
    day = History("NIFTY", 3, 3).day(DAY)
    assert day is not None
    bars = day.bars("NIFTY")
    plain = next(generate_bars("NIFTY", DAY, DAY, seed=3, interval="1s"))
    minute = plain["start_ns"] // (60 * SECOND)
    assert len(bars) == 375
    for bar in bars:
        mine = plain[minute == int(bar["start_ns"]) // (60 * SECOND)]
        assert bar["low"] >= mine["low"].min() - 5 and bar["high"] <= mine["high"].max() + 5


def test_minute_bars_agree_with_a_plain_loop() -> None:
    plan = tick_day("NIFTY", DAY, seed=5, ticks=4_000, strikes=1)
    ticks = np.concatenate([batch.ticks for batch in plan])
    found = minute_bars(ticks)
    plain: dict[tuple[int, int], list[Any]] = {}
    for tick in ticks:
        if tick["price"]:
            minute = int(tick["recv_ns"]) // (60 * SECOND)
            plain.setdefault((int(tick["instrument"]), minute), []).append(tick)
    assert len(found) == len(plain)
    last_volume: dict[int, int] = {}
    for bar, ((instrument, minute), mine) in zip(found, sorted(plain.items()), strict=True):
        prices = [int(tick["price"]) for tick in mine]
        assert (bar["instrument"], bar["start_ns"]) == (instrument, minute * 60 * SECOND)
        assert [int(bar[name]) for name in ("open", "high", "low", "close")] == [
            prices[0], max(prices), min(prices), prices[-1]]  # fmt: skip
        volume = int(mine[-1]["volume"])
        assert bar["volume"] == volume - last_volume.get(instrument, 0)
        last_volume[instrument] = volume


def test_volatility_is_found_again() -> None:
    for call in (True, False):
        for strike in (22_000.0, 23_900.0, 25_500.0):
            for volatility in (0.08, 0.2, 0.6):
                years = 8 / 365
                deviation = volatility * years**0.5
                right = "CE" if call else "PE"
                price = options.price(volatility, 23_900.0, strike, years, right)
                assert price == pytest.approx(
                    generated_premium(23_900.0, strike, deviation, call), abs=1e-3)  # fmt: skip
                found = greeks(price, 23_900.0, strike, years, call)
                if price > max(23_900.0 - strike if call else strike - 23_900.0, 0) + 0.05:
                    assert found.volatility == pytest.approx(volatility, abs=1e-4)
                    step = 1.0
                    up = generated_premium(23_900.0 + step, strike, deviation, call)
                    down = generated_premium(23_900.0 - step, strike, deviation, call)
                    assert found.delta == pytest.approx((up - down) / (2 * step), abs=1e-3)
                    assert found.gamma == pytest.approx(up - 2 * price + down, abs=1e-5)
    assert greeks(0.0, 100.0, 100.0, 0.1, True).volatility == 0.0


@pytest.mark.parametrize("name", ["api-scrip-master", "api-scrip-master-detailed"])
def test_instrument_files_are_read_by_our_own_reader(name: str) -> None:
    core = make_account().core
    reply = core.request("GET", f"/api-data/{name}.csv", {}, {}, b"", core.now_ns)
    parsed = parse_master(reply.body, name=name)
    assert parsed.refused_count == 0 and parsed.rows == len(core.contracts)
    assert parsed.left_out == {}


def test_a_segments_file_needs_a_token() -> None:
    account = make_account()
    core = account.core
    reply = core.request("GET", "/v2/instrument/NSE_FNO", {}, account.headers, b"", core.now_ns)
    lines = reply.body.decode().splitlines()
    assert len(lines) == 1 + sum(one.segment == "NSE_FNO" for one in core.contracts)
    assert core.request("GET", "/v2/instrument/NSE_FNO", {}, {}, b"", core.now_ns).status == 401
    assert account.ask("GET", "/instrument/X")[0] == 400


def test_contracts_with_one_number_are_refused() -> None:
    one = Contract(0, "NSE_EQ", 1, "A", "EQ", "A", 1, 5)
    with pytest.raises(BadData):
        Contracts([one, Contract(1, "NSE_EQ", 1, "B", "EQ", "B", 1, 5)])


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"casing": "x"}, "casing"),
        ({"funds": -1}, "funds"),
        ({"cancel_status": 201}, "cancel_status"),
        ({"in_book": frozenset({"x"})}, "in_book"),
        ({"protection": ((5, 1),)}, "protection"),
        ({"totp_secret": "1"}, "totp_secret"),
        ({"ping_s": float("nan")}, "ping_s"),
        ({"colour": 1}, "colour"),
    ],
)
def test_settings_refuse(given: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        ExchangeSettings.seeded(1, **given)


def test_a_shares_earlier_days_follow_the_index(market: GeneratedMarket) -> None:
    assert market.history is not None
    before = market.history.previous(DAY)
    assert before is not None
    share, index = before.bars("TCS"), before.bars("NIFTY")
    opened = market.plan.parts["index"][0]
    assert np.abs(share["close"] - 310_000 * index["close"] / opened).max() <= 2.5
    assert (share["close"] % 5 == 0).all() and (share["volume"] > 0).all()


# ---- a stock in the place of the index ---------------------------------------------------------


@pytest.fixture(name="stock", scope="module")
def _stock() -> GeneratedMarket:
    return GeneratedMarket("BAJAJ-AUTO", DAY, seed=3, strikes=7, levels=5, ticks=20_000)


def test_a_stock_trades_as_a_share_does(stock: GeneratedMarket) -> None:
    plan = np.concatenate([batch.ticks for batch in stock.plan])
    ticks = np.concatenate([one.ticks for one in stock])
    mine, path = ticks[ticks["instrument"] == 0], plan[plan["instrument"] == 0]
    assert (mine["price"] == path["price"]).all() and (mine["recv_ns"] == path["recv_ns"]).all()
    assert (np.cumsum(mine["qty"].astype(np.int64)) == mine["volume"]).all()
    tick = stock.contracts[0].tick
    assert (mine["ask"] - mine["bid"] == 2 * tick).all() and (mine["qty"] > 0).all()
    options = np.concatenate([one.rows for one in stock])
    assert set(np.unique(options["instrument"]).tolist()) <= set(range(1, len(stock.contracts)))


def test_a_stock_is_listed_as_the_broker_lists_one(stock: GeneratedMarket) -> None:
    core = ExchangeCore(stock, ExchangeSettings.seeded(1), random.Random(1))
    reply = core.request("GET", "/api-data/api-scrip-master-detailed.csv", {}, {}, b"", core.now_ns)
    master = parse_master(reply.body, name="list").master
    share = master.get("NSE_EQ", 16669)
    assert (share.symbol, share.instrument, share.tick) == ("BAJAJ-AUTO", "EQUITY", 50)
    assert [one.symbol for one in stock.contracts].count("BAJAJ-AUTO") == 1
    call = master.one("BAJAJ-AUTO", segment="NSE_FNO", right="CE", strike=stock.contracts[2].strike)
    assert (call.instrument, call.underlying_id, call.lot, call.freeze) == (
        "OPTSTK", 16669, 75, 3_000)  # fmt: skip
    future = master.one("BAJAJ-AUTO", segment="NSE_FNO", kind="FUT")
    assert (future.instrument, future.expiry) == ("FUTSTK", call.expiry)
    assert {one.symbol for one in stock.contracts if one.kind == "EQ"} == {
        "BAJAJ-AUTO", "HDFCBANK", "TCS", "RELIANCE"}  # fmt: skip


def test_a_stocks_earlier_days_have_bars(stock: GeneratedMarket) -> None:
    assert stock.history is not None
    before = stock.history.previous(DAY)
    assert before is not None
    share, follower = before.bars("BAJAJ-AUTO"), before.bars("TCS")
    assert len(share) == 375 and len(follower) == 375
    opened = stock.plan.parts["index"][0]
    assert np.abs(follower["close"] - 310_000 * share["close"] / opened).max() <= 2.5


def test_a_stocks_archive_is_served_again(tmp_path: Path) -> None:
    plan = tick_day("M&M", DAY, seed=3, ticks=9_000, strikes=3)
    path = tmp_path / "day.dfa"
    with archive_writer(path, plan, clock=ManualClock(0)) as write:
        for batch in plan:
            write(batch)
    market = RecordedMarket(path)
    served, made = (
        [(one.symbol, one.kind, one.lot, one.tick, one.strike) for one in listed]
        for listed in (market.contracts, plan.instruments)
    )
    assert served == made
    assert {one.underlying for one in market.contracts} == {"M&M"}
    assert [one.instrument for one in market.contracts][:3] == ["EQUITY", "FUTSTK", "OPTSTK"]
