"""Legs files run on chains: trades by hand to the paisa, grades that never mix, refusals."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhanfast._core.types import Reason
from dhanfast.app.legs_file import plan_of
from dhanfast.engine.chain_source import ModelledChains, RecordedChains, is_chain_file
from dhanfast.engine.leg_signals import signals_of, spot_bars
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.premium_model import (
    NIGHT,
    Volatilities,
    rate_on,
    read_volatilities,
    years_left,
)
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.reports.metrics import contradictions
from dhanfast.reports.rundir import read_run, write_run
from dhanfast.reports.summary import summary
from dhanfast.storage.bars import BarSet, read_bars
from dhanfast.storage.chains import read_chains
from dhanfast.strategies.plugins import find_strategy

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
EXPIRY = dt.date(2026, 1, 27)
STRIKES = tuple(range(59_000, 59_500, 100))


def ns(text: str, day: dt.date = EXPIRY) -> int:
    stamp = dt.datetime.combine(day, dt.time.fromisoformat(text), IST)
    return int(stamp.timestamp()) * 10**9


def chain_file(path: Path, shots: list[tuple[int, float, dict[int, tuple[float, float]]]]) -> Path:
    """Snapshots of BANKNIFTY: (time, index, {strike: (call, put)}); other strikes have no quote."""
    rows: list[dict[str, Any]] = []
    for at, spot, prices in shots:
        for strike in STRIKES:
            call, put = prices.get(strike, (0.0, 0.0))
            rows.append(
                {
                    "ts": at,
                    "underlying": "BANKNIFTY",
                    "expiry": EXPIRY,
                    "strike": float(strike),
                    "ce_ltp": call,
                    "ce_oi": 1,
                    "ce_volume": 1,
                    "pe_ltp": put,
                    "pe_oi": 1,
                    "pe_volume": 1,
                    "spot": spot,
                }
            )
    schema = pa.schema(
        [
            ("ts", pa.int64()),
            ("underlying", pa.string()),
            ("expiry", pa.date32()),
            ("strike", pa.float64()),
            ("ce_ltp", pa.float64()),
            ("ce_oi", pa.int64()),
            ("ce_volume", pa.int64()),
            ("pe_ltp", pa.float64()),
            ("pe_oi", pa.int64()),
            ("pe_volume", pa.int64()),
            ("spot", pa.float64()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


CREDIT = {
    "name": "call spread to the settlement",
    "underlying": "BANKNIFTY",
    "entry": "10:19",
    "late": "10m",
    "exit": "settlement",
    "hold": "expiry",
    "leg": [
        {"side": "sell", "right": "CE", "strike": "59100"},
        {"side": "buy", "right": "CE", "strike": "59200"},
    ],
}


def recorded(tmp_path: Path, **more: Any) -> RecordedChains:
    quotes = {59_100: (76.0, 400.0), 59_200: (55.35, 500.0)}
    shots = [
        (ns("10:19:21"), 58_744.3, {59_100: (72.3, 0.0), 59_200: (52.35, 0.0)}),
        (ns("10:23:10"), 58_750.2, quotes),
        (ns("15:29:26"), 59_331.5, quotes),
        (ns("15:35:21"), 59_205.45, quotes),
    ]
    return RecordedChains(
        read_chains(chain_file(tmp_path / "chain.parquet", shots)), "BANKNIFTY", **more
    )


def test_a_spread_held_to_its_settlement_by_hand_to_the_paisa(tmp_path: Path) -> None:
    """Decided at 10:19:21, filled at 10:23:10 less a tick: 75.95 sold, 55.40 bought, lot 30.

    The index closes at 59,205.45 (the level after the close, not the last one of trading): the
    calls are worth 105.45 and 5.45.
        sold    (75.95 - 105.45) x 30 = -885.00       bought  (5.45 - 55.40) x 30 = -1,498.50
        brokerage 2 x 20 = 40.00                      turnover 2,278.50 + 1,662.00 = 3,940.50
        exchange 0.03503 % = 1.38035715 -> 1.38       SEBI 0.0001 % = 0.0039405 -> 0.00
        IPFT 0.0005 % = 0.0197025 -> 0.02             stamp 0.003 % of 1,662 = 0.04986 -> 0
        STT 0.1 % of 2,278.50 = 2.2785 and on exercise 0.125 % of 163.50 = 0.204375 -> 2
        GST 18 % of 41.38429765 = 7.44917358 -> 7.45  charges 50.85, net -2,434.35
    """
    result = backtest_legs(plan_of(CREDIT), recorded(tmp_path))
    sold, bought = sorted(result.trades, key=lambda trade: int(trade["side"]))
    assert result.contracts[int(sold["instrument"])] == "BANKNIFTY 2026-01-27 59100 CE"
    assert (sold["entry_value"], sold["exit_value"]) == (75_95 * 30, 105_45 * 30)
    assert (bought["entry_value"], bought["exit_value"]) == (55_40 * 30, 5_45 * 30)
    assert (sold["gross"], bought["gross"]) == (-885_00, -1_498_50)
    assert sold["entry_ns"] == ns("10:23:10") and sold["exit_ns"] == ns("15:30:00")
    day = result.days[-1]
    assert [
        int(day[name])
        for name in ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst", "charges")
    ] == [4000, 138, 0, 2, 0, 200, 745, 5085]
    assert result.equity["equity"][-1] - result.capital == -243_435
    assert contradictions(result) == ()


def test_every_output_carries_the_grade(tmp_path: Path) -> None:
    result = backtest_legs(plan_of(CREDIT), recorded(tmp_path))
    assert result.notes[0].startswith("Grade recorded") and "GRADE OF PREMIUMS: recorded" in str(
        result
    )
    assert summary(result)["grade"] == "recorded" and summary(result)["modelled"] is False
    folder = write_run(result, tmp_path / "run")
    assert "premiums recorded" in (folder / "report.html").read_text("utf-8")
    again = read_run(folder)
    assert (again.grade, again.contracts, again.margin, again.digest) == (
        "recorded",
        result.contracts,
        result.margin,
        result.digest,
    )


def test_margin_is_estimated_at_the_entry_and_capital_that_is_too_small_is_said(
    tmp_path: Path,
) -> None:
    """A covered spread of one lot: 2 % of the value and 2 % more on the expiry day, its width, and
    the premium of the bought call."""
    result = backtest_legs(plan_of(CREDIT), recorded(tmp_path), Settings(capital=5_000_000))
    exposure, width, premium = 0.04 * 58_750.2 * 30, 100 * 30, 55.40 * 30
    assert exposure < result.margin["peak"] < exposure + width + premium + 100
    assert any("a broker would have refused" in note for note in result.notes)


def test_without_a_closing_value_the_settlement_is_refused_by_name(tmp_path: Path) -> None:
    shots = [
        (ns(at), 59_000.0, {59_100: (76.0, 1.0), 59_200: (55.0, 1.0)})
        for at in ("10:19:21", "10:23:10", "15:20:00")
    ]
    path = chain_file(tmp_path / "chain.parquet", shots)
    with pytest.raises(
        BadData, match=r"sell 1 CE 59100 nearest: .* --final-price 2026-01-27=VALUE"
    ):
        backtest_legs(plan_of(CREDIT), RecordedChains(read_chains(path), "BANKNIFTY"))
    told = RecordedChains(read_chains(path), "BANKNIFTY", finals={EXPIRY: 5_915_000})
    result = backtest_legs(plan_of(CREDIT), told)
    assert result.trades["exit_value"].tolist() == [50_00 * 30, 0]
    assert "given: 59150.00" in " ".join(result.notes)


def test_a_strike_without_a_price_keeps_the_structure_out_and_is_named(tmp_path: Path) -> None:
    shots = [
        (ns(at), 59_000.0, {59_100: (76.0, 1.0)}) for at in ("10:19:21", "10:25:00", "10:40:00")
    ]
    source = RecordedChains(read_chains(chain_file(tmp_path / "c.parquet", shots)), "BANKNIFTY")
    result = backtest_legs(plan_of(CREDIT), source)
    assert len(result.orders) == 0 and result.counters["structures_not_entered"] == 1
    assert [text for _, text in result.log] == [
        "leg 2 (buy 1 CE 59200 nearest): not entered: the strike has no price, strike 59200"
    ]


def test_fills_at_prices_that_have_not_traded_are_counted(tmp_path: Path) -> None:
    """Volume stands still in these snapshots: both entries took a price nobody had traded at."""
    result = backtest_legs(plan_of(CREDIT), recorded(tmp_path))
    assert any(note.startswith("2 of 2 fills took a last price") for note in result.notes)


def test_days_are_chosen_by_weekday_and_by_days_to_expiry(tmp_path: Path) -> None:
    for chosen, count in (
        ({"dte": [0]}, 2),
        ({"dte": [1]}, 0),
        ({"weekdays": ["TUE"]}, 2),
        ({"weekdays": ["MON", "FRI"]}, 0),
    ):
        result = backtest_legs(plan_of(CREDIT | chosen), recorded(tmp_path))
        assert len(result.trades) == count, chosen


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (Settings(lots=2), "lots"),
        (Settings(timeframe_ns=60 * 10**9), "timeframe_ns"),
        (Settings(slippage=Slippage(sessions=20)), "slippage: measured"),
    ],
)
def test_settings_of_one_instrument_are_refused(
    settings: Settings, text: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=text):
        backtest_legs(plan_of(CREDIT), recorded(tmp_path), settings)


def test_another_underlying_and_lots_beyond_the_freeze_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the legs are of NIFTY, the data of BANKNIFTY"):
        backtest_legs(plan_of(CREDIT | {"underlying": "NIFTY"}), recorded(tmp_path))
    many = [leg | {"lots": 21} for leg in CREDIT["leg"]]
    with pytest.raises(ConfigError, match="lots must be at most 20 on 2026-01-27"):
        backtest_legs(plan_of(CREDIT | {"leg": many}), recorded(tmp_path))


def test_legs_are_no_strategy_of_other_commands() -> None:
    with pytest.raises(UsageError, match=r"dhanfast backtest --legs FILE\.toml, dhanfast trade"):
        find_strategy("legs", {})


# ---- premiums by a model ------------------------------------------------------------------------


def index_day(on: dt.date, level: int = 3_500_000) -> BarSet:
    """One day of one-minute bars that swing, with a print after the close."""
    from dhanfast._core.types import BAR_DTYPE

    bars = np.zeros(376, BAR_DTYPE)
    bars["start_ns"] = ns("09:15", on) + 60 * 10**9 * np.arange(376)
    wave = level + np.rint(8_000 * np.sin(np.arange(376) / 25)).astype(np.int64)
    bars["open"], bars["close"] = wave, np.append(wave[1:], wave[-1])
    bars["high"] = np.maximum(bars["open"], bars["close"]) + 500
    bars["low"] = np.minimum(bars["open"], bars["close"]) - 500
    bars[375] = bars[374]
    bars["start_ns"][375] = ns("15:30", on)
    for name in ("open", "high", "low", "close"):
        bars[name][375] = level + 12_345
    return BarSet("BANKNIFTY", bars, 60 * 10**9, False, ())


def closes(level: float, swing: float) -> dict[dt.date, float]:
    days = [dt.date(2022, 1, 3) + dt.timedelta(days=i) for i in range(120)]
    return {day: level * (1 + swing * (i % 2)) for i, day in enumerate(days)}


def volatilities() -> Volatilities:
    vix = dict.fromkeys(closes(1, 0), 20.0)
    return Volatilities("BANKNIFTY", vix, closes(35_000, 0.012), closes(17_000, 0.010))


STRADDLE = {
    "underlying": "BANKNIFTY",
    "leg": [
        {"side": "sell", "right": "CE", "strike": "atm"},
        {"side": "sell", "right": "PE", "strike": "atm"},
    ],
}


def test_the_level_is_of_the_days_before_and_scaled_to_the_index() -> None:
    """0.9 x 20 % x 1.2: the returns of the index are 1.2 times NIFTY's but for second order."""
    told, on = volatilities(), dt.date(2022, 4, 21)
    assert told.level(on) == pytest.approx(0.9 * 0.2 * 1.2, rel=0.01)
    told.vix[on] = 99.0  # type: ignore[index]
    assert told.level(on) == pytest.approx(0.9 * 0.2 * 1.2, rel=0.01)  # that day is not looked at
    with pytest.raises(BadData, match="INDIAVIX: no close within"):
        told.level(dt.date(2022, 9, 1))


def test_years_by_the_trading_clock() -> None:
    day = Calendar.load().day(dt.date(2022, 4, 21))
    assert day is not None
    at = np.array([day.open_ns, (day.open_ns + day.close_ns) // 2, day.close_ns])
    whole = 252 * (1 + NIGHT)
    np.testing.assert_allclose(years_left(day, 0, at), [1 / whole, 0.5 / whole, 0.0])
    np.testing.assert_allclose(years_left(day, 5, at)[2], 5 / 252)
    assert rate_on(dt.date(2022, 6, 7)) == pytest.approx(np.log(1.044))
    with pytest.raises(UsageError, match="no interest rate is known on 2018-01-01"):
        rate_on(dt.date(2018, 1, 1))


def test_modelled_runs_say_so_everywhere_and_settle_at_the_print_after_the_close() -> None:
    on = dt.date(2022, 4, 21)  # a weekly expiry
    source = ModelledChains(index_day(on), volatilities(), ("nearest",), 20)
    plan = plan_of(STRADDLE | {"hold": "expiry", "exit": "settlement"})
    result = backtest_legs(plan, source)
    assert result.grade == "modelled" and "no premium here was ever traded" in result.notes[0]
    assert summary(result)["modelled"] is True and summary(result)["grade"] == "modelled"
    call, put = sorted(result.trades, key=lambda trade: int(trade["instrument"]))
    final = 3_500_000 + 12_345
    strike = source.contracts.keys[int(call["instrument"])][1]
    assert int(call["exit_value"]) == 25 * max(0, final - strike)
    assert int(put["exit_value"]) == 25 * max(0, strike - final)
    assert contradictions(result) == ()


def test_a_modelled_run_repeats_to_the_byte_and_follows_its_level() -> None:
    def run(told: Volatilities) -> Any:
        source = ModelledChains(index_day(dt.date(2022, 4, 20)), told, ("nearest",), 20)
        return backtest_legs(plan_of(STRADDLE), source)

    first, again = run(volatilities()), run(volatilities())
    assert first.digest == again.digest and len(first.trades) == 2
    dear = volatilities()
    dear.vix.update(dict.fromkeys(dear.vix, 30.0))  # type: ignore[attr-defined]
    assert run(dear).trades["entry_value"].sum() > 1.3 * first.trades["entry_value"].sum()


def test_a_strategys_trades_become_signals_known_when_they_were_made() -> None:
    source = ModelledChains(index_day(dt.date(2022, 4, 20)), volatilities(), ("nearest",), 20)
    legs = [
        {"side": "buy", "right": "CE", "strike": "atm", "when": "long"},
        {"side": "buy", "right": "PE", "strike": "atm", "when": "short"},
    ]
    plan = plan_of({"underlying": "BANKNIFTY", "signals": "momentum", "leg": legs})
    signals = signals_of(plan, source)
    result = backtest_legs(plan, source, signals=signals)
    entries = signals.at_ns[signals.side != 0]
    assert len(entries) > 0 and "follow momentum" in signals.told
    assert all((entries <= at).any() for at in result.trades["entry_ns"])
    assert set(result.trades["exit_reason"]) <= {Reason.EXIT_SIGNAL, Reason.TIME_EXIT}
    with pytest.raises(ConfigError, match="signals: a plan that follows signals"):
        backtest_legs(plan, source)


def test_bars_of_the_index_are_made_of_recorded_levels(tmp_path: Path) -> None:
    quotes = {59_100: (76.0, 1.0)}
    levels = ((("10:00:10"), 100.0), ("10:03:00", 102.0), ("10:04:59", 101.0), ("10:05:00", 99.0))
    shots = [(ns(at), level, quotes) for at, level in levels]
    source = RecordedChains(read_chains(chain_file(tmp_path / "c.parquet", shots)), "BANKNIFTY")
    bars = spot_bars(source).bars
    assert bars[["open", "high", "low", "close"]].tolist() == [
        (10_000, 10_200, 10_000, 10_100),
        (9_900,) * 4,
    ]
    assert bars["start_ns"].tolist() == [ns("10:00"), ns("10:05")]


def test_files_are_told_apart(tmp_path: Path) -> None:
    assert is_chain_file(chain_file(tmp_path / "c.parquet", [(ns("10:00"), 1.0, {})]))
    (tmp_path / "text.csv").write_text("ts,open\n")
    assert not is_chain_file(tmp_path / "text.csv") and not is_chain_file(tmp_path / "absent")


# ---- recorded data ------------------------------------------------------------------------------


@pytest.mark.data
def test_the_recorded_expiry_settles_as_by_hand(data_dir: Path) -> None:
    """The same spread as above, from the recorded day itself."""
    path = data_dir / "options/index_option_chain_2026-01-22_2026-02-01.parquet"
    source = RecordedChains(read_chains(path), "BANKNIFTY", first=EXPIRY, last=EXPIRY)
    result = backtest_legs(plan_of(CREDIT), source)
    assert result.equity["equity"][-1] - result.capital == -243_435
    assert "the index as recorded after the close: 59205.45" in " ".join(result.notes)


@pytest.mark.data
def test_a_modelled_year_enters_every_day_and_adds_up(data_dir: Path) -> None:
    index = read_bars(data_dir / "index_1m/BANKNIFTY_1m_2022.parquet", end="2022-03-31")
    told = read_volatilities(data_dir / "index_daily/index_daily_2015_2023.parquet", "BANKNIFTY")
    result = backtest_legs(plan_of(STRADDLE), ModelledChains(index, told, ("nearest",)))
    assert result.counters["structures"] == len(result.days) and contradictions(result) == ()
    assert result.margin["entries"] == len(result.days)
