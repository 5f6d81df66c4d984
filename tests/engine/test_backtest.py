"""`backtest`: what it runs on, what it refuses, and what its result says of itself."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhanfast
from dhanfast._core.types import OrderFlag, Reason, ReportKind
from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.runs import GENERATED, IST, MODELLED, backtest, sessions_of
from dhanfast.engine.settings import RiskSettings, Settings, Slippage
from dhanfast.errors import BadData, ConfigError, OutOfCalendar, StrategyError, UsageError
from dhanfast.market.expiries import monthly_expiry
from dhanfast.storage.bars import BarSet, write_parquet
from dhanfast.strategies import Context, Market, Rules, RuleStrategy, Strategy

MINUTE = 60_000_000_000
DAY = 86_400_000_000_000


def ist_day(stamps: Any) -> Any:
    """Exchange date of UTC stamps, as days since 1970."""
    return (np.asarray(stamps) + 19_800_000_000_000) // DAY


def minute_of_day(stamps: Any) -> Any:
    """Minutes after midnight IST."""
    return (np.asarray(stamps) + 19_800_000_000_000) % DAY // MINUTE


class Holder(Strategy):
    """Buys once, on the first bar that allows it, and never leaves by itself."""

    def on_bar(self, ctx: Context, bar: Any) -> None:
        if ctx.can_enter and ctx.position == 0 and not hasattr(self, "bought"):
            self.bought = True
            ctx.buy()


class Eager(RuleStrategy):
    """Always wants to be long."""

    def rules(self, m: Market) -> Rules:
        return Rules(long=1)


# ---- what it runs on -----------------------------------------------------------------------------


def test_index_only_fills_at_the_next_open_and_says_that_prices_are_modelled(draw: Any) -> None:
    bars = draw()
    result = backtest("momentum", bars, settings=Settings(slippage=Slippage(ticks=2)))
    assert GENERATED in result.notes and MODELLED in result.notes
    assert (result.symbol, result.traded, result.timeframe) == ("BANKNIFTY", "BANKNIFTY FUT", "1m")
    assert result.counters["bars"] == result.counters["bars_matched"] == len(bars.bars)
    opens = dict(zip(bars.bars["start_ns"].tolist(), bars.bars["open"].tolist(), strict=True))
    tick = 5
    for trade in result.trades:
        price = opens[int(trade["entry_ns"])] + int(trade["side"]) * 2 * tick
        price = round(price / tick) * tick  # the future trades on its tick, the index off it
        assert abs(int(trade["entry_value"]) // int(trade["qty"]) - price) <= tick
    assert (result.trades["qty"] == 25).all() and len(result.trades) > 100


def test_a_recorded_future_gives_the_fills_and_the_note_goes(draw: Any) -> None:
    index, future = draw(), draw(kind="FUT")
    result = backtest("momentum", index, trade_data=future, settings=Settings(slippage=Slippage()))
    assert GENERATED in result.notes and MODELLED not in result.notes
    rows = {int(b["start_ns"]): int(b["open"]) for b in future.bars}
    entries = result.trades
    assert [int(t["entry_value"]) for t in entries] == [
        25 * rows[int(t["entry_ns"])] for t in entries
    ]
    assert result.bars is future.bars
    assert result.data["fills"]["sha256"] != result.data["signals"]["sha256"]
    modelled = backtest("momentum", index, settings=Settings(slippage=Slippage()))
    np.testing.assert_array_equal(modelled.trades["entry_ns"][:1], entries["entry_ns"][:1])
    assert modelled.trades["entry_value"][0] != entries["entry_value"][0]


def test_detail_keeps_the_signals_and_resolves_stops_on_finer_bars(draw: Any) -> None:
    bars = draw()
    coarse = backtest("momentum", bars, settings=Settings(timeframe_ns=5 * MINUTE))
    fine = backtest("momentum", bars, detail=bars, settings=Settings(timeframe_ns=5 * MINUTE))
    assert (coarse.timeframe, fine.timeframe) == ("5m", "5m")
    assert fine.counters["bars"] == coarse.counters["bars"] == len(bars.bars) // 5
    assert fine.counters["bars_matched"] == len(bars.bars)
    # Decisions stand on five-minute ends; entries fill at the next minute, which starts there.
    entries = fine.orders[fine.orders["reason"] == Reason.SIGNAL]
    assert (minute_of_day(entries["created_ns"]) % 5 == 0).all()
    assert (fine.trades["entry_ns"] % (5 * MINUTE) == 0).all()
    np.testing.assert_array_equal(fine.trades["entry_ns"][:1], coarse.trades["entry_ns"][:1])
    stopped = fine.trades[fine.trades["exit_reason"] == Reason.STOP_LOSS]
    within = {int(m) for m in minute_of_day(stopped["exit_ns"]) % 5}
    assert within == {0, 1, 2, 3, 4}


def test_five_minute_bars_are_the_minutes_merged(draw: Any) -> None:
    bars = draw("2022-02-01", "2022-02-02")
    result = backtest("momentum", bars, settings=Settings(timeframe_ns=5 * MINUTE))
    merged = bars.bars.reshape(-1, 5)
    assert result.bars is not None
    np.testing.assert_array_equal(result.bars["start_ns"], merged["start_ns"][:, 0])
    np.testing.assert_array_equal(result.bars["high"], merged["high"].max(axis=1))
    np.testing.assert_array_equal(result.bars["low"], merged["low"].min(axis=1))
    np.testing.assert_array_equal(result.bars["close"], merged["close"][:, 4])


def test_dates_choose_the_days_of_files_and_of_bars_in_memory(draw: Any, tmp_path: Path) -> None:
    bars = draw()
    path = tmp_path / "bars.parquet"
    write_parquet(path, bars)
    first, last = dt.date(2022, 2, 8), dt.date(2022, 2, 10)
    results = [
        backtest("momentum", source, start=first, end=last) for source in (bars, path, str(path))
    ]
    days = sorted({dt.date.fromisoformat(f"2022-02-{n:02}") for n in (8, 9, 10)})
    for result in results:
        assert result.counters["bars"] == 3 * 375
        assert [str(d) for d in result.days["date"]] == [f"{d:%Y%m%d}" for d in days]
        assert (result.config["from"], result.config["to"]) == ("2022-02-08", "2022-02-10")
        assert result.digest == results[0].digest
    assert results[0].data["signals"]["first"] == "2022-02-08T09:15:00+05:30"
    assert results[0].data["signals"]["last"] == "2022-02-10T15:29:00+05:30"


@pytest.mark.parametrize(
    "start, end, error, text",
    [
        ("2022-02-10", "2022-02-08", UsageError, "lies before"),
        ("2022-02-05", "2022-02-06", BadData, "no bar"),  # a weekend
        ("2023-01-02", None, BadData, "no bar"),
        (None, "2021-12-31", BadData, "no bar"),
        (None, "2022-03-15", BadData, "no bars for 2022-03-01 to 2022-03-15"),
        ("2022-01-03", None, BadData, "no bars for 2022-01-03 to 2022-01-31"),
    ],
)
def test_dates_without_bars_are_refused(
    draw: Any, tmp_path: Path, start: Any, end: Any, error: Any, text: str
) -> None:
    bars = draw()
    write_parquet(tmp_path / "bars.parquet", bars)
    days = [dt.date.fromisoformat(d) if d else None for d in (start, end)]
    for source in (bars, tmp_path / "bars.parquet"):
        with pytest.raises(error, match=text):
            backtest("momentum", source, start=days[0], end=days[1])


# ---- time: nights, expiries, the square-off ------------------------------------------------------


def test_without_square_off_positions_are_carried_but_never_past_their_contract(draw: Any) -> None:
    bars = draw("2022-02-01", "2022-04-05")
    result = backtest(Holder, bars, settings=Settings(square_off=None))
    (trade,) = result.trades
    expiry = monthly_expiry("BANKNIFTY", 2022, 2)
    assert int(trade["contract"]) == int(f"{expiry:%Y%m%d}")
    assert Reason(trade["exit_reason"]) is Reason.EXPIRY_EXIT
    left = dt.datetime.fromtimestamp(int(trade["exit_ns"]) / 1e9, IST)
    assert left.date() == expiry and left.time() == dt.time(15, 29)
    assert int(ist_day(trade["exit_ns"]) - ist_day(trade["entry_ns"])) == 23


@pytest.mark.parametrize("missing", ["expiry day", "its last hour", "its last bar"])
def test_no_position_outlives_its_contract_where_data_are_missing(draw: Any, missing: str) -> None:
    bars = draw("2022-02-01", "2022-03-04")
    expiry = monthly_expiry("BANKNIFTY", 2022, 2)
    stamps = bars.bars["start_ns"]
    on_day = ist_day(stamps) == (expiry - dt.date(1970, 1, 1)).days
    late = minute_of_day(stamps)
    from_minute = {"expiry day": 0, "its last hour": 870, "its last bar": 929}[missing]
    kept = draw.only(bars, ~(on_day & (late >= from_minute)))
    result = backtest(Holder, kept, settings=Settings(square_off=None))
    (trade,) = result.trades
    assert Reason(trade["exit_reason"]) is Reason.EXPIRY_EXIT
    assert dt.datetime.fromtimestamp(int(trade["exit_ns"]) / 1e9, IST).date() <= expiry
    last = kept.bars[kept.bars["start_ns"] < int(trade["exit_ns"])][-1]
    slip = 5
    assert abs(int(trade["exit_value"]) // 25 - int(last["close"])) <= 3 * slip
    assert result.equity["position"][-1] == 0
    assert int(result.equity["equity"][-1]) == result.capital + int(trade["gross"]) - int(
        result.days["charges"].sum()
    )


def test_a_missed_square_off_is_made_good_at_the_next_print(draw: Any) -> None:
    bars = draw("2022-02-01", "2022-02-04")
    stamps = bars.bars["start_ns"]
    early = (ist_day(stamps) == ist_day(stamps)[0]) & (minute_of_day(stamps) >= 14 * 60)
    kept = draw.only(bars, ~early)  # the first day's data end at 14:00
    (trade,) = backtest(Holder, kept).trades
    assert Reason(trade["exit_reason"]) is Reason.TIME_EXIT
    second_open = int(kept.bars["start_ns"][ist_day(kept.bars["start_ns"]) > ist_day(stamps)[0]][0])
    assert int(trade["exit_ns"]) == second_open


@pytest.mark.parametrize("minutes", [1, 3, 7, 15, 25, 45, 60, 120, 240])
@pytest.mark.parametrize("square_off", [dt.time(15, 15), dt.time(15, 29), dt.time(15, 0)])
def test_no_timeframe_carries_a_position_over_night_against_the_square_off(
    draw: Any, minutes: int, square_off: dt.time
) -> None:
    result = backtest(
        Eager,
        draw(),
        settings=Settings(timeframe_ns=minutes * MINUTE, square_off=square_off),
    )
    trades = result.trades
    assert len(trades) >= 19 or minutes == 240  # its second bar is the day's last: no way out
    np.testing.assert_array_equal(ist_day(trades["entry_ns"]), ist_day(trades["exit_ns"]))
    assert set(trades["exit_reason"].tolist()) <= {Reason.TIME_EXIT, Reason.EXPIRY_EXIT}


@pytest.mark.parametrize("minutes", [1, 5, 25, 60, 70])
def test_the_day_of_the_outage_is_squared_off_after_the_reopening(draw: Any, minutes: int) -> None:
    """2021-02-24: trading stopped at 11:40 and went on from 15:45 to 17:00."""
    bars = draw("2021-02-23", "2021-02-25")
    result = backtest(Eager, bars, settings=Settings(timeframe_ns=minutes * MINUTE))
    trades = result.trades
    np.testing.assert_array_equal(ist_day(trades["entry_ns"]), ist_day(trades["exit_ns"]))
    day = (dt.date(2021, 2, 24) - dt.date(1970, 1, 1)).days
    (outage,) = trades[ist_day(trades["entry_ns"]) == day]
    assert minute_of_day(outage["entry_ns"]) < 11 * 60 + 40
    assert 15 * 60 + 45 <= minute_of_day(outage["exit_ns"]) < 17 * 60


def test_entries_keep_to_their_window(draw: Any) -> None:
    settings = Settings(entry_from=dt.time(10, 0), entry_until=dt.time(11, 0))
    result = backtest("momentum", draw(), settings=settings)
    entries = result.orders[result.orders["reason"] == Reason.SIGNAL]
    minutes = minute_of_day(entries["created_ns"])
    assert minutes.min() >= 600 and minutes.max() < 660
    assert result.counters["signals_outside_entry_window"] > 0


def test_a_special_evening_takes_no_entries(draw: Any) -> None:
    """Muhurat trading of 2022-10-24: bars are seen, nothing is entered."""
    bars = draw("2022-10-21", "2022-10-25")
    days = ist_day(bars.bars["start_ns"])
    muhurat = (dt.date(2022, 10, 24) - dt.date(1970, 1, 1)).days
    assert (days == muhurat).any()
    result = backtest(Eager, bars)
    assert not (ist_day(result.trades["entry_ns"]) == muhurat).any()
    assert len(result.trades) == 2  # one a normal day


def test_latency_delays_the_fill(draw: Any) -> None:
    slow = backtest("momentum", draw(), settings=Settings(latency_ns=5_000_000_000))
    assert (slow.trades["entry_ns"] % MINUTE == 5_000_000_000).all()


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [7 * MINUTE + 1, 90_000_000_000, 30_000_000_000, 1])
def test_a_timeframe_that_is_no_multiple_is_refused(draw: Any, wrong: int) -> None:
    with pytest.raises(ConfigError, match="timeframe must be a multiple of the data's 1m"):
        backtest("momentum", draw(), settings=Settings(timeframe_ns=wrong))


def test_an_entry_above_the_freeze_quantity_is_refused_with_the_most_lots(draw: Any) -> None:
    row = sessions_of(draw(), Settings(), MINUTE)[0]
    most = int(row["freeze"]) // int(row["lot"])
    backtest("momentum", draw(), settings=Settings(lots=most))
    with pytest.raises(ConfigError, match=rf"at most {most} on 2022-02-01.*freeze quantity"):
        backtest("momentum", draw(), settings=Settings(lots=most + 1))


def test_an_entry_that_is_worked_may_have_eight_freeze_quantities(draw: Any) -> None:
    """As docs/reference/execution.md says; it is held in parts, and one lot more is refused."""
    row = sessions_of(draw(), Settings(), MINUTE)[0]
    most = int(row["freeze"]) // int(row["lot"])
    how = ExecutionSettings(algo="slice", horizon_ns=5 * MINUTE, interval_ns=MINUTE)
    rich = Settings(lots=8 * most, capital=10**14, execution=how)
    result = backtest("momentum", draw(), settings=rich)
    assert len(result.trades) > 5 and set(result.trades["qty"]) == {8 * most * int(row["lot"])}
    with pytest.raises(ConfigError, match=rf"at most {8 * most} on .*8 times the freeze quantity"):
        backtest("momentum", draw(), settings=replace(rich, lots=8 * most + 1))
    with pytest.raises(ConfigError, match=rf"at most {most} on 2022-02-01"):
        how = replace(how, entries=False)  # then they leave whole
        backtest("momentum", draw(), settings=replace(rich, execution=how))


def test_fill_bars_that_do_not_fit_are_refused(draw: Any) -> None:
    index, future = draw(), draw(kind="FUT")
    with pytest.raises(ConfigError, match="give one of them"):
        backtest("momentum", index, detail=index, trade_data=future)
    nifty = draw(symbol="NIFTY")
    with pytest.raises(ConfigError, match="detail must be finer bars of BANKNIFTY, was NIFTY"):
        backtest("momentum", index, detail=nifty)
    for name in ("detail", "trade_data"):
        short: Any = {name: draw("2022-02-02", "2022-02-28")}
        with pytest.raises(BadData, match=rf"{name} covers 2022-02-02 to 2022-02-28, the sig"):
            backtest("momentum", index, **short)
    longer = replace(index, interval_ns=2 * MINUTE)
    with pytest.raises(ConfigError, match="detail must have bars that divide the timeframe 1m"):
        backtest("momentum", index, detail=longer)


def test_bars_outside_the_calendar_are_refused(draw: Any) -> None:
    bars = draw("2022-02-01", "2022-02-01")
    rows = bars.bars.copy()
    rows["start_ns"] += 10 * 365 * DAY
    with pytest.raises(OutOfCalendar):
        backtest("momentum", replace(bars, bars=rows))
    rows["start_ns"] = bars.bars["start_ns"] + 4 * DAY
    with pytest.raises(BadData, match="no trading day from 2022-02-05 to 2022-02-05"):
        backtest("momentum", replace(bars, bars=rows))
    with pytest.raises(UsageError, match="WIDGET"):
        backtest("momentum", replace(bars, symbol="WIDGET"))


def test_bars_that_all_lie_outside_the_session_give_no_trades_and_say_so(draw: Any) -> None:
    bars = draw("2022-02-01", "2022-02-01")
    rows = bars.bars.copy()
    rows["start_ns"] += 8 * 60 * MINUTE
    evening = replace(bars, bars=rows)
    result = backtest(Eager, evening)
    assert result.counters["bars_outside_session"] == 375 and len(result.trades) == 0
    with pytest.raises(BadData, match="no bar lies inside a session"):
        backtest(Eager, evening, settings=Settings(timeframe_ns=5 * MINUTE))


def test_errors_of_the_strategy_come_out_as_strategy_errors(draw: Any) -> None:
    class Broken(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            raise KeyError("price")

    with pytest.raises(StrategyError, match="KeyError: 'price'"):
        backtest(Broken, draw())


# ---- what the result says of itself -------------------------------------------------------------


def test_the_digest_changes_with_every_input_that_changes_the_run(draw: Any) -> None:
    base = backtest("momentum", draw())
    assert backtest("momentum", draw()).digest == base.digest
    others = {
        "data": backtest("momentum", draw(seed=2)),
        "params": backtest("momentum", draw(), params={"ema": 10}),
        "strategy": backtest("v1", draw()),
        "detail": backtest("momentum", draw(), detail=draw()),
        "trade_data": backtest("momentum", draw(), trade_data=draw(kind="FUT")),
        "dates": backtest("momentum", draw(), end=dt.date(2022, 2, 25)),
    }
    changed: list[Any] = [
        {"capital": 200_000_000},
        {"lots": 2},
        {"timeframe_ns": 5 * MINUTE},
        {"slippage": Slippage()},
        {"slippage": Slippage(rate_e6=300)},
        {"slippage": Slippage(paise=100)},
        {"latency_ns": 1_000_000_000},
        {"entry_from": dt.time(9, 45)},
        {"entry_until": dt.time(14, 0)},
        {"square_off": dt.time(15, 5)},
        {"on_opposite": "reverse"},
        {"risk": RiskSettings(loss_day_max=100_000)},
    ]
    for settings in changed:
        others[str(settings)] = backtest("momentum", draw(), settings=Settings(**settings))
    digests = {name: result.digest for name, result in others.items()}
    assert base.digest not in digests.values()
    assert len(set(digests.values())) == len(digests)


def test_one_paisa_in_one_bar_changes_the_digest(draw: Any) -> None:
    bars = draw()
    rows = bars.bars.copy()
    rows["high"][0] += 1
    assert backtest("v1", replace(bars, bars=rows)).digest != backtest("v1", bars).digest


def test_where_a_result_comes_from_is_written_down(draw: Any) -> None:
    result = backtest("momentum", draw(), params={"ema": "12"})
    assert result.versions["dhanfast"] == dhanfast.__version__
    assert result.versions["numpy"] == np.__version__
    assert all(len(result.versions[f"{n}_sha256"]) == 64 for n in ("code", "strategy"))
    assert result.versions["strategy_sha256"] != backtest("v1", draw()).versions["strategy_sha256"]
    assert result.config["params"]["ema"] == 12 and result.config["door"] == "rules"
    signals = result.data["signals"]
    assert (signals["symbol"], signals["interval"], signals["generated"]) == (
        "BANKNIFTY",
        "1m",
        True,
    )
    assert signals["rows"] == len(draw().bars) and result.data["fills"] is None
    assert result.kernel_ns > 0 and result.log == ()


def test_notes_of_the_data_reach_the_result(draw: Any) -> None:
    noted = replace(draw(), generated=False, notes=("3 rows left out",))
    notes = backtest("momentum", noted).notes
    assert GENERATED not in notes and MODELLED in notes
    assert "BANKNIFTY 1m: 3 rows left out" in notes


def test_the_strategys_own_lines_are_kept_with_the_run(draw: Any) -> None:
    class Chatty(Strategy):
        def on_bar(self, ctx: Context, bar: Any) -> None:
            if ctx.session_start:
                ctx.log(f"open {bar.open:.2f}")

        def on_stop(self, ctx: Context) -> None:
            ctx.log("over")

    bars = draw("2022-02-01", "2022-02-02")
    result = backtest(Chatty, bars)
    rows = bars.bars[[0, 375]]
    assert result.log[:2] == tuple(
        (int(row["start_ns"]) + MINUTE, f"open {row['open'] / 100:.2f}") for row in rows
    )
    assert result.log[2][1] == "over"


def test_money_adds_up(draw: Any) -> None:
    for name in ("momentum", "v1"):
        result = backtest(name, draw(), settings=Settings(lots=3, on_opposite="reverse"))
        gross, charges = int(result.trades["gross"].sum()), int(result.days["charges"].sum())
        assert int(result.equity["equity"][-1]) <= result.capital + gross
        assert int(result.days["equity"][-1]) == result.capital + gross - charges
        assert int(result.days["gross"].sum()) == gross and charges > 0


def test_every_order_of_a_run_has_an_end(draw: Any) -> None:
    orders = backtest("momentum", draw()).orders
    ended = {ReportKind.FILLED, ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED}
    assert set(orders["status"].tolist()) <= ended
    assert (np.sort(orders["id"]) == np.arange(1, len(orders) + 1)).all()
    entries = orders[(orders["flags"] & OrderFlag.EXIT) == 0]
    exits = orders[(orders["flags"] & OrderFlag.EXIT) != 0]
    signed = int((entries["side"] * entries["filled"]).sum())
    assert signed + int((exits["side"] * exits["filled"]).sum()) == 0


def test_a_bar_set_is_left_as_it_was(draw: Any) -> None:
    bars: BarSet = draw()
    before = bars.bars.tobytes()
    backtest("momentum", bars, end=dt.date(2022, 2, 10))
    assert bars.bars.tobytes() == before
