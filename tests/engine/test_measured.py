"""Measured slippage: what a run takes from the store, by a plain reckoning, and what it refuses."""

import datetime as dt
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhanfast
from dhanfast._core.runlog import ORDER_ROW_DTYPE, PASSAGE_DTYPE
from dhanfast._core.strategy import NativeStrategy
from dhanfast._core.types import OrderFlag, OrderKind
from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.measured import (
    FILLS_MIN,
    measured_slippage,
    session_of,
    store_day,
    with_measured,
)
from dhanfast.engine.settings import Settings, Slippage, checked
from dhanfast.errors import ConfigError
from dhanfast.storage.slippage import Session, SlippageStore

EXIT, STOP = int(OrderFlag.EXIT), int(OrderFlag.EXIT | OrderFlag.STOP)


@pytest.fixture
def store(tmp_path: Path) -> SlippageStore:
    return SlippageStore(tmp_path / "slippage.sqlite")


def put(
    store: SlippageStore,
    date: int,
    costs: list[int],
    *,
    stops: list[int] | None = None,
    mode: str = "live",
    symbol: str = "BANKNIFTY",
    generated: int = 0,
    spread: int = 0,
) -> None:
    """A session of buys that lost so many paise a unit, and of stops that did.

    Args:
        spread: the market at the arrival of the buys, around their decision; 0 = unknown.
    """
    all_costs = [*costs, *(stops or [])]
    orders = np.zeros(len(all_costs), ORDER_ROW_DTYPE)
    passages = np.zeros(len(all_costs), PASSAGE_DTYPE)
    orders["id"] = passages["id"] = np.arange(1, len(all_costs) + 1)
    orders["qty"] = orders["filled"] = 30
    orders["side"], orders["kind"] = 1, int(OrderKind.MARKET)
    orders["value"] = 30 * (5_000_000 + np.array(all_costs, np.int64))
    orders["flags"][len(costs) :] = STOP
    passages["decision"], passages["sent_ns"] = 5_000_000, 1
    if spread:
        passages["bid"], passages["ask"] = 5_000_000 - spread // 2, 5_000_000 + spread // 2
    session = Session(
        f"{date}-{mode}-{symbol}-{generated}", date, "main", mode, symbol, f"{symbol} FUT", "mine",
        generated,
    )  # fmt: skip
    store.put(session, orders, passages, np.array(all_costs) / 100)


def take(store: SlippageStore, sessions: int = 20, **given: Any) -> Slippage:
    given = {"generated": False, "ticks": False, **given}
    return measured_slippage(store, "BANKNIFTY", sessions, **given)


# ---- the figure ----------------------------------------------------------------------------------


def test_it_is_the_median_of_all_fills() -> None:
    assert Slippage.parse("measured").sessions == 20
    assert Slippage.parse(" measured:5 ").sessions == 5


def test_the_median_is_that_of_a_plain_reckoning(store: SlippageStore) -> None:
    costs = [int(cost) for cost in np.random.default_rng(3).integers(-50, 400, 41)]
    put(store, 20260105, costs[:20])
    put(store, 20260106, costs[20:])
    found = take(store)
    assert found.paise == round(statistics.median(costs)) and found.stop_more == 0
    of = found.measured
    assert of is not None and (of.mode, of.days, of.first, of.last) == (
        "live", 2, 20260105, 20260106
    )  # fmt: skip
    assert (of.market_fills, of.stop_fills, of.apart) == (41, 0, False)


def test_only_the_last_sessions_count(store: SlippageStore) -> None:
    put(store, 20260105, [900] * 40)
    put(store, 20260106, [20] * 15)
    put(store, 20260107, [20] * 15)
    assert take(store, 2).paise == 20
    assert take(store, 3).paise == 900


def test_stops_have_their_own_when_both_are_enough(store: SlippageStore) -> None:
    put(store, 20260105, [20] * 40, stops=[90] * (FILLS_MIN - 1))
    pooled = take(store)
    assert (pooled.paise, pooled.stop_more) == (20, 0)
    put(store, 20260105, [20] * 40, stops=[90] * FILLS_MIN)
    apart = take(store)
    assert (apart.paise, apart.stop_more) == (20, 70) and apart.measured is not None
    assert apart.measured.apart and apart.measured.stop_fills == FILLS_MIN


def test_stops_may_lose_less_than_the_others(store: SlippageStore) -> None:
    put(store, 20260105, [90] * 40, stops=[20] * 40)
    found = take(store)
    assert (found.paise, found.stop_more) == (90, -70)


def test_live_fills_go_before_paper_ones(store: SlippageStore) -> None:
    put(store, 20260105, [20] * 60, mode="paper")
    put(store, 20260105, [80] * (FILLS_MIN - 1))
    assert take(store).paise == 20
    put(store, 20260106, [80])
    found = take(store)
    assert found.paise == 80 and found.measured is not None and found.measured.mode == "live"


def test_what_was_gained_is_not_counted_on(store: SlippageStore) -> None:
    put(store, 20260105, [-40] * FILLS_MIN)
    assert take(store).paise == 0


def test_on_quotes_only_what_was_lost_beyond_them_counts(store: SlippageStore) -> None:
    put(store, 20260105, [70] * FILLS_MIN, spread=100)
    assert take(store, ticks=False).paise == 70  # from the mid, which is the decision here
    assert take(store, ticks=True).paise == 20  # the ask was 50 above it


def test_a_generated_market_counts_for_itself_only(store: SlippageStore) -> None:
    put(store, 20260105, [20] * FILLS_MIN, generated=1)
    assert take(store, generated=True).paise == 20
    with pytest.raises(ConfigError, match="0 of live days and 0 of paper days"):
        take(store)


# ---- refusals ------------------------------------------------------------------------------------


def test_too_few_fills_are_refused_and_counted(store: SlippageStore) -> None:
    put(store, 20260105, [20] * 29)
    put(store, 20260106, [20] * 12, mode="paper")
    put(store, 20260106, [20] * 90, symbol="NIFTY")
    with pytest.raises(
        ConfigError,
        match=r"BANKNIFTY has 29 of live days and 12 of paper days among its last 20, and 30 "
        r"fills are needed; trade it on paper first .*, or give a figure, for example 1tick",
    ):
        take(store)


def test_without_a_store_it_is_refused() -> None:
    settings = checked(replace(Settings(), slippage=Slippage.parse("measured")))
    with pytest.raises(ConfigError, match="measured needs the store of measured fills"):
        with_measured(settings, "BANKNIFTY", False, False, None)


@pytest.mark.parametrize("text", ["measured:0", "measured:251"])
def test_a_number_of_days_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must be of 1\.\.250 days"):
        Slippage.parse(text)


def test_an_engine_does_not_run_on_what_was_not_measured() -> None:
    settings = replace(Settings(), slippage=Slippage.parse("measured"))
    with pytest.raises(ConfigError, match="slippage: measured, and nothing was"):
        Engine(NativeStrategy(), np.zeros(0), settings, interval_ns=1)


# ---- in a run ------------------------------------------------------------------------------------


def bars() -> Any:
    return generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 3), seed=7)


def run(store: SlippageStore | None, slippage: Slippage) -> Any:
    return dhanfast.backtest(
        "momentum", bars(), settings=replace(Settings(), slippage=slippage), slippages=store
    )


def test_a_backtest_takes_it_and_says_so(store: SlippageStore) -> None:
    put(store, 20240104, [35] * 40, generated=1)
    measured = run(store, Slippage.parse("measured"))
    fixed = run(None, Slippage(paise=35))
    assert measured.digest == fixed.digest
    told = measured.config["slippage"]
    assert (told["paise"], told["sessions"], told["measured"]["market_fills"]) == (35, 20, 40)
    assert Slippage.of_dict(told) == Slippage(
        paise=35, sessions=20, measured=take(store, generated=True).measured
    )
    note = next(note for note in measured.notes if note.startswith("Slippage is measured"))
    assert "the median of 40 live fills (0 of stops) of BANKNIFTY on 1 days" in note
    assert "0.35 points a unit" in note
    assert any(note.startswith("Look-ahead") for note in measured.notes)
    assert "measured" not in fixed.config["slippage"] and "sessions" not in fixed.config["slippage"]


def test_days_before_the_data_are_no_look_ahead(store: SlippageStore) -> None:
    put(store, 20231229, [35] * 40, generated=1)
    notes = run(store, Slippage.parse("measured:1")).notes
    assert not any(note.startswith("Look-ahead") for note in notes)


def test_stops_of_a_run_lose_what_stops_lost(store: SlippageStore) -> None:
    put(store, 20231229, [10] * 40, stops=[200] * 40, generated=1)
    result = run(store, Slippage.parse("measured"))
    stops = (result.orders["flags"] == STOP) & (result.orders["filled"] > 0)
    lost = result.orders["value"] - result.orders["trigger"] * result.orders["filled"]
    each = result.orders["side"] * lost // np.maximum(result.orders["filled"], 1)
    assert stops.sum() > 5 and (each[stops] == 200).mean() > 0.8  # the others had a gap


# ---- a day of trading is stored ------------------------------------------------------------------


def test_a_days_orders_are_stored_once_however_often(store: SlippageStore) -> None:
    result = run(None, Slippage(ticks=1))
    session = session_of(result, date=20240101, run="main", mode="paper", tag="abc")
    assert session.generated == 1 and session.source == "20240101-main-paper-abc"
    for _ in range(2):
        assert store_day(store, result, session) == len(result.orders)
    (kept,) = store.sessions()
    orders, passages = store.rows(kept.source)
    by_id = np.argsort(result.orders["id"])
    assert orders.tobytes() == result.orders[by_id].tobytes()
    assert passages.tobytes() == result.passages[by_id].tobytes()
    assert take(store, generated=True).measured is not None


def test_a_journal_begun_anew_is_another_session() -> None:
    result = run(None, Slippage(ticks=1))
    first, second = (
        session_of(result, date=20240101, run="main", mode="paper", tag=tag) for tag in ("a", "b")
    )
    assert first.source != second.source
