"""Guards from the configuration to a backtest: what is set, refused, seen and written down."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import BAR_DTYPE, OrderFlag, RejectReason
from dhanfast.app.config import load_config
from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.guard_build import in_order, recorded_vix, vix_values
from dhanfast.engine.guard_settings import GuardSettings, checked_guards
from dhanfast.engine.runs import backtest, sessions_of
from dhanfast.engine.settings import Settings, checked
from dhanfast.errors import ConfigError
from dhanfast.reports.result import RunResult
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Strategy

FIRST, LAST = dt.date(2022, 2, 1), dt.date(2022, 2, 28)
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
HOUR = 3600 * 10**9
MINUTE = 60 * 10**9
LIST = ["strategy.name=mine", "strategy.use=momentum"]


def configured(*sets: str) -> GuardSettings:
    """What `--set risk.guards...` makes of the defaults."""
    config = load_config(
        [], None, LIST + [f"risk.guards.{one}" for one in sets], {}, named_only=True
    )
    return config.settings(100_000_000).guards


class Eager(Strategy):
    """Long on every bar that it can, with a stop."""

    def on_bar(self, ctx: Any, bar: Any) -> None:
        ctx.buy(stop=0.002 * bar.close, target=0.003 * bar.close)


@pytest.fixture(scope="module")
def market() -> BarSet:
    return generated_bars("BANKNIFTY", FIRST, LAST, seed=5, kind="FUT")


def run(market: BarSet, **guards: Any) -> RunResult:
    settings = Settings(capital=10**9, guards=GuardSettings(**guards))
    return backtest(Eager, market, settings=settings)


def entries(result: RunResult) -> Any:
    return result.orders[result.orders["flags"] & int(OrderFlag.EXIT) == 0]


# ---- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sets", "want"),
    [
        ([], {}),
        (["drawdown.on=true"], {"drawdown_e4": 500}),
        (["drawdown.on=true", "drawdown.limit=25000"], {"drawdown_paise": 2_500_000}),
        (["drawdown.limit=2%"], {}),
        (["alert=50%", "day_loss.on=true"], {"alert_e4": 5_000, "day_loss": 3_000_000}),
        (["day_loss.on=true", "day_loss.limit=1%", "day_loss.flatten=true"],
         {"day_loss": 1_000_000, "day_loss_flat": 1}),
        (["profit_lock.on=true"], {"profit_arm": 800_000, "profit_floor": 500_000,
                                   "profit_step": 100_000, "profit_flat": 1}),
        (["max_trades=7", "stale_after=5s"], {"trades_max": 7, "stale_ns": 5 * 10**9}),
        (["consecutive_losses.on=true", "consecutive_losses.stop_duration=session"],
         {"losses_max": 3, "losses_pause": -1}),
        (["cooldown_period.on=true"], {"cooldown_pause": 300 * 10**9}),
        (["stoploss_guard.on=true", "stoploss_guard.only_per_side=true"],
         {"stops_limit": 4, "stops_lookback": HOUR, "stops_pause": HOUR, "stops_per_side": 1}),
        (["low_profit.on=true", "low_profit.required_profit=-1500.50"],
         {"low_limit": 2, "low_lookback": 6 * HOUR, "low_pause": HOUR, "low_required": -150_050}),
        (["max_drawdown.on=true"], {"fall_allowed": 5_000_000, "fall_limit": 20,
                                    "fall_lookback": 48 * HOUR, "fall_pause": -1}),
        (["exposure.underlying=10,00,000", "exposure.expiry_lots=3", "exposure.correlated=5"],
         {"underlying_paise": 100_000_000, "expiry_lots": 3, "correlated_paise": 500}),
        (["vix.on=true", "vix.data=INDIAVIX"],
         {"vix_high": 2_000, "vix_high_leave": 1_800, "vix_data": "INDIAVIX"}),
        (["vix.on=true", "vix.high=0", "vix.percentile_low=10%", "vix.percentile_low_leave=20%"],
         {"rank_low_e4": 1_000, "rank_low_leave_e4": 2_000, "rank_days": 252,
          "rank_days_min": 60}),
        (["expiry_day=false", "before_flat_by=15m"],
         {"expiry_day_off": 1, "before_flat": 900 * 10**9}),
        (["expiry_day_until=13:00"], {"expiry_day_until": 13 * HOUR}),
    ],
)  # fmt: skip
def test_what_is_written_is_what_the_engine_takes(sets: list[str], want: dict[str, Any]) -> None:
    got = configured(*sets)
    assert got.as_dict() == want and got == GuardSettings(**want)
    assert got.any_on == bool(want)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["drawdown.on=true", "drawdown.limit=0"], "drawdown.limit: must be above 0 while it"),
        (["drawdown.limit=101%"], "must be in 0%..100%"),
        (["day_loss.on=true", "day_loss.limit=0%"], "day_loss.limit: must be above 0"),
        (["profit_lock.on=true", "profit_lock.floor=8000"],
         "profit_lock.floor: must be below profit_lock.arm, 8000, was 8000"),
        (["profit_lock.on=true", "profit_lock.arm=0"], "profit_lock.arm: must be above 0"),
        (["vix.on=true", "vix.high=0"], "vix.on: must be false while no band is set, was true"),
        (["vix.on=true", "vix.high_leave=21"], "vix.high_leave: must be above 0 and at most"),
        (["vix.on=true", "vix.low=12", "vix.low_leave=11"], "vix.low_leave: must be at least"),
        (["vix.on=true", "vix.percentile_high=80%"], "vix.percentile_high_leave: must be above 0"),
        (["vix.on=true", "vix.days=50"], "vix.days_min: must be at most vix.days, 50, was 60"),
        (["expiry_day_until=00:00"], "expiry_day_until: must be after 00:00"),
        (["stale_after=5"], "'5' is not a duration"),
        (["cooldown_period.stop_duration=0s"], "must be longer than nothing"),
        (["low_profit.required_profit=a lot"], "is not an amount in rupees"),
        (["max_trade=5"], "max_trades"),
        (["stoploss_guard.trade_limit=513"], "trade_limit"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_key_and_the_remedy(sets: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(*sets)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"losses_max": 3}, "losses_pause must not be 0 while losses_max is 3"),
        ({"stops_limit": 2, "stops_pause": 5}, "stops_lookback must not be 0"),
        ({"fall_allowed": 5, "fall_lookback": 5}, "fall_pause must not be 0"),
        ({"drawdown_e4": -1}, "drawdown_e4 must be a whole number in 0..10000, was -1"),
    ],
)
def test_settings_are_checked(fields: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("..", r"\.\.")):
        checked_guards(GuardSettings(**fields))
    with pytest.raises(ConfigError):
        checked(Settings(guards=GuardSettings(**fields)))


def test_guards_that_are_off_leave_no_trace() -> None:
    assert "guards" not in Settings().as_dict()
    on = replace(Settings(), guards=GuardSettings(trades_max=2))
    assert on.as_dict()["guards"] == {"trades_max": 2}


# ---- a backtest ----------------------------------------------------------------------------------


def test_a_backtest_counts_vetoes_and_tells_of_locks(market: BarSet) -> None:
    free, held = run(market), run(market, trades_max=2)
    assert "guard_locks" not in free.counters and free.log == ()
    days = len(free.days)
    assert held.counters["guard_locks"] == days == len(held.log)
    assert len(held.trades) == 2 * days < len(free.trades)
    refused = entries(held)["refused"]
    vetoed = int((refused == int(RejectReason.GUARD_TRADES)).sum())
    assert vetoed == held.counters["risk_guard_trades"] > 0
    assert held.log[0][1] == (
        "guards: 2 positions opened today, the limit is 2: entries wait for the next session or "
        "`dhanfast unlock max_trades`"
    )
    assert [at for at, _ in held.log] == sorted(at for at, _ in held.log)
    assert held.config["guards"] == {"trades_max": 2} and "guards" not in free.config


def test_guards_that_never_lock_change_no_byte(market: BarSet) -> None:
    loose = run(market, drawdown_e4=10_000, trades_max=10**6, stale_ns=HOUR, losses_max=10**6,
                losses_pause=HOUR, underlying_lots=10**6)  # fmt: skip
    assert loose.digest == run(market).digest


def test_lines_that_were_not_kept_are_told(market: BarSet) -> None:
    settings = Settings(guards=GuardSettings(cooldown_pause=1))
    runner = Eager().runner(lambda at_ns, text: None)
    engine = Engine(runner, sessions_of(market, settings, MINUTE), settings, interval_ns=MINUTE)
    assert engine.guards is not None and engine.guard_log() == []
    for at in range(1, 5_001):
        engine.guards.close_trade(at, -100, 1, False)
    lines = engine.guard_log()
    assert engine.counters()["guard_locks"] == 5_000 and len(lines) == 4_097
    assert lines[0] == (905, "guards: 904 earlier lines were not kept")
    assert engine.guard_log() == []


def test_lines_of_guards_stand_among_those_of_the_strategy() -> None:
    own = [(5, "a"), (9, "b"), (0, "over")]
    assert in_order(own, []) == tuple(own)
    assert [text for _, text in in_order(own, [(4, "x"), (7, "y"), (9, "z")])] == [
        "x", "a", "y", "b", "over", "z",
    ]  # fmt: skip


# ---- India VIX -----------------------------------------------------------------------------------


def vix_bars(days: list[dt.date], closes: list[float], interval_ns: int) -> BarSet:
    rows = np.zeros(len(days), BAR_DTYPE)
    stamps = [dt.datetime.combine(day, dt.time(9, 15), IST).timestamp() for day in days]
    rows["start_ns"] = np.array(stamps, np.int64) * 10**9
    for name in ("open", "high", "low", "close"):
        rows[name] = np.round(np.array(closes) * 100)
    return BarSet("INDIAVIX", rows, interval_ns, False, ())


def test_a_daily_close_is_known_from_the_next_day_on() -> None:
    day = dt.date(2022, 2, 1)
    known, values = vix_values(vix_bars([day], [21.5], 24 * HOUR))
    midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), IST).timestamp()
    assert known.tolist() == [int(midnight) * 10**9 - 1] and values.tolist() == [2150]
    known, _ = vix_values(vix_bars([day], [21.5], 60 * 10**9))
    assert dt.datetime.fromtimestamp(known[0] // 10**9, IST).time() == dt.time(9, 16)


def test_no_day_of_a_backtest_sees_its_own_close(
    market: BarSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VIX closes high on some days: entries wait on the day after each of them, and only then."""
    plain = run(market)
    days = [dt.date.fromisoformat(f"{date // 10_000}-{date // 100 % 100:02d}-{date % 100:02d}")
            for date in plain.days["date"].tolist()]  # fmt: skip
    high = {days[at] for at in (2, 3, 7, 12)}
    before = [days[0] - dt.timedelta(days=1), *days]
    closes = [25.0 if day in high else 12.0 for day in before]
    monkeypatch.setattr(
        "dhanfast.engine.guard_build.read_bars",
        lambda source: vix_bars(before, closes, 24 * HOUR),
    )
    result = run(market, vix_high=2_000, vix_high_leave=1_800, vix_data="INDIAVIX")
    waited, entered = set(), set()
    for row in entries(result):
        day = dt.datetime.fromtimestamp(int(row["created_ns"]) // 10**9, IST).date()
        (waited if row["refused"] == int(RejectReason.GUARD_VIX) else entered).add(day)
    assert waited == {days[at + 1] for at in (2, 3, 7, 12)}
    assert entered == set(days) - waited
    assert any("Guards saw India VIX" in note for note in result.notes)


def test_a_vix_rule_without_data_is_refused(market: BarSet) -> None:
    with pytest.raises(ConfigError, match="a rule looks at India VIX and no data is named"):
        run(market, vix_high=2_000, vix_high_leave=1_800)


@pytest.mark.data
def test_recorded_vix_is_read_by_its_name(data_dir: Path) -> None:
    path = data_dir / "index_daily" / "index_daily_2015_2023.parquet"
    bars = recorded_vix(GuardSettings(vix_high=1, vix_high_leave=1, vix_data=str(path)))
    assert bars is not None and bars.symbol == "INDIAVIX" and bars.interval_ns == 24 * HOUR
    known, values = vix_values(bars)
    assert (np.diff(known) > 0).all() and 800 < values.min() < values.max() < 9_000
