"""A strategy that looks at the option chain in a backtest: recorded, modelled, refused, checked."""

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast import options
from dhanfast._core.types import BAR_DTYPE
from dhanfast.engine.chain_input import chain_files, recorded_chain
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.engine.chain_source import RecordedChains
from dhanfast.engine.checks.lookahead import check_lookahead
from dhanfast.engine.explain import explain_bar
from dhanfast.engine.leg_signals import spot_bars
from dhanfast.engine.research.prepare import prepared
from dhanfast.engine.research.search import Engines, optimize
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.generate import generate_ticks
from dhanfast.reports import metrics
from dhanfast.storage.bars import BarSet, write_parquet
from dhanfast.storage.volatility import DayVolatility, VolatilityStore
from dhanfast.strategies import Market, Rules, RuleStrategy, Strategy, param
from tests.options.made import DAY, EXPIRY, FORWARD, NEXT, at, chain, table, write

MINUTE = 60 * 10**9
RECORDED = "options/index_option_chain_2026-01-22_2026-02-01.parquet"


class Seer(Strategy):
    """Writes down figures on every bar and every set."""

    def __init__(self) -> None:
        super().__init__()
        self.bars: dict[int, tuple[float, ...]] = {}
        self.sets: list[tuple[int, float]] = []

    def on_start(self, m: Market) -> None:
        self.series = (m.chain.pcr, m.chain.atm_iv, m.chain.support, m.chain.call_oi_change)

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.bars[bar.start_ns] = tuple(one.value for one in self.series)

    def on_chain(self, ctx: Any, chain: Any) -> None:
        self.sets.append((chain.at_ns, chain.pcr))


class Crowd(RuleStrategy):
    """Long when puts are many."""

    def rules(self, m: Market) -> Rules:
        return Rules(
            long=m.chain.pcr > 1.0, exit_long=m.chain.pcr < 0.95, stop=0.2 * m.chain.straddle
        )


class Straddled(RuleStrategy):
    """Needs prices only."""

    def rules(self, m: Market) -> Rules:
        return Rules(long=m.chain.straddle < 400.0, stop=50.0)


def bars(day: dt.date = DAY, count: int = 375, symbol: str = "NIFTY") -> BarSet:
    """Minute bars of one day."""
    rows = np.zeros(count, BAR_DTYPE)
    rows["start_ns"] = at("09:15", day) + MINUTE * np.arange(count)
    level = 100 * FORWARD + 500 * np.cumsum(np.random.default_rng(2).integers(-3, 4, count))
    rows["open"] = rows["high"] = rows["low"] = rows["close"] = np.round(level / 5) * 5
    return BarSet(symbol, rows, MINUTE, False, ())


def snapshots() -> list[options.Snapshot]:
    """Two days, every 7 minutes; the strikes grow on the second; one after the close."""
    before = dt.date(2026, 1, 21)
    found = [chain(at("15:28", before), seed=900)]
    for n in range(50):
        minute = 9 * 60 + 17 + 7 * n
        strikes = np.arange(23_000.0, 27_401.0 + 100.0 * (n > 25), 100.0)
        found.append(chain(at(f"{minute // 60:02d}:{minute % 60:02d}"), seed=n, strikes=strikes,
                           scale=1.0 + 0.01 * n))  # fmt: skip
    return [*found, chain(at("15:40"), seed=99)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "chains.parquet", table(*snapshots()))


def seen_by(path: str | Path, **more: Any) -> Settings:
    return Settings(chain=ChainSettings(data=str(path), **more))


def test_bars_see_the_last_snapshot_at_or_before_their_end(file: Path) -> None:
    seer = Seer()
    result = backtest(seer, bars(), settings=seen_by(file))
    shots = [shot for shot in snapshots() if shot.date == DAY and shot.at_ns < at("15:30")]
    before = snapshots()[0]
    for start, got in seer.bars.items():
        known = [shot for shot in shots if shot.at_ns <= start + MINUTE]
        if not known or start + MINUTE - known[-1].at_ns > 15 * MINUTE:
            assert all(math.isnan(value) for value in got)
            continue
        solved = options.solve_chain(known[-1], math.log(1.0525))
        then = dict(zip(before.strike.tolist(), before.call_oi.tolist(), strict=True))
        change = sum(oi - then[k] for k, oi in
                     zip(known[-1].strike.tolist(), known[-1].call_oi.tolist(), strict=True)
                     if k in then)  # fmt: skip
        wanted = (solved.put_call_ratio(), solved.at_money_volatility(),
                  options.interest_levels(known[-1]).support[0].strike, change)  # fmt: skip
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert [when for when, _ in seer.sets] == [shot.at_ns for shot in shots]
    assert result.data["chain"]["grade"] == "recorded" and result.data["chain"]["sets"] == 51
    assert any("Chain figures are recorded" in note for note in result.notes)
    assert result.counters["chain_sets"] == 50


def test_what_comes_later_changes_nothing_before_it(file: Path, tmp_path: Path) -> None:
    """The snapshots behind a moment are others: every bar that ends by then is as it was."""
    cut = at("12:00")
    others = [
        shot if shot.at_ns <= cut else chain(shot.at_ns, seed=7_000 + n, strikes=shot.strike)
        for n, shot in enumerate(snapshots())
    ]
    other = write(tmp_path / "other.parquet", table(*others))
    one, two = Seer(), Seer()
    backtest(one, bars(), settings=seen_by(file))
    backtest(two, bars(), settings=seen_by(other))
    early = [start for start in one.bars if start + MINUTE <= cut]
    assert len(early) > 150
    assert repr([one.bars[start] for start in early]) == repr([two.bars[start] for start in early])
    assert repr(one.bars) != repr(two.bars)


def test_age_and_expiry_are_settings(file: Path, tmp_path: Path) -> None:
    seer = Seer()
    backtest(seer, bars(), settings=seen_by(file, age_ns=2 * MINUTE))
    known = sum(not math.isnan(row[0]) for row in seer.bars.values())
    assert 0.3 < known / len(seer.bars) < 0.5, "a snapshot in seven minutes lasts for two"
    with pytest.raises(BadData, match="no snapshot of NIFTY, next expiry"):
        backtest(Seer(), bars(), settings=seen_by(file, expiry="next"))
    months = [chain(at("10:00"), seed=1), chain(at("10:00"), expiry=NEXT, seed=2)]
    path = write(tmp_path / "months.parquet", table(*months))
    rows = recorded_chain("NIFTY", ChainSettings(data=str(path), expiry="monthly"), ("pcr",)).rows
    np.testing.assert_allclose(rows["pcr"], options.solve_chain(months[0]).put_call_ratio())


def test_the_result_depends_on_the_chain_and_says_which(file: Path, tmp_path: Path) -> None:
    one = backtest(Crowd, bars(), settings=seen_by(file))
    assert len(one.trades) > 3
    assert backtest(Crowd, bars(), settings=seen_by(file)).digest == one.digest
    other = write(tmp_path / "o.parquet", table(*[
        chain(shot.at_ns, seed=n + 77) for n, shot in enumerate(snapshots())]))  # fmt: skip
    assert backtest(Crowd, bars(), settings=seen_by(other)).digest != one.digest
    assert one.config["chain"]["data"] == str(file)
    assert "chain" not in backtest("momentum", bars()).config


def test_rules_and_python_see_the_same(file: Path) -> None:
    class Same(Strategy):
        """`Crowd` in Python."""

        def on_start(self, m: Market) -> None:
            self.pcr, self.straddle = m.chain.pcr, m.chain.straddle

        def on_bar(self, ctx: Any, bar: Any) -> None:
            if ctx.position > 0 and self.pcr.value < 0.95:
                ctx.exit()
            elif self.pcr.value > 1.0:
                ctx.buy(stop=0.2 * self.straddle.value)

    assert backtest(Same, bars(), settings=seen_by(file)).digest == backtest(
        Crowd, bars(), settings=seen_by(file)).digest  # fmt: skip


def test_a_day_is_in_one_file_and_a_folder_is_its_files(file: Path) -> None:
    folder = file.parent
    assert chain_files(folder) == (file,)
    whole = backtest(Crowd, bars(), settings=seen_by(file))
    assert backtest(Crowd, bars(), settings=seen_by(folder)).digest == whole.digest
    write(folder / "twice.parquet", table(chain(at("11:00"), seed=1)))
    with pytest.raises(BadData, match="both have chains of NIFTY on 2026-01-22"):
        backtest(Crowd, bars(), settings=seen_by(folder))
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(BadData, match=r"no \.parquet file"):
        backtest(Crowd, bars(), settings=seen_by(empty))


def test_ranks_compare_with_own_history_and_wait_until_there_is_enough(
    file: Path, tmp_path: Path
) -> None:
    days = [DAY - dt.timedelta(days=n) for n in range(40, 2, -1)]
    values = (0.10 + 0.002 * np.arange(len(days))).tolist()
    store = VolatilityStore(tmp_path / "v.sqlite")
    store.put("NIFTY", [DayVolatility(d, v, at("15:29", d), EXPIRY)
                        for d, v in zip(days, values, strict=True)])  # fmt: skip
    names = ("atm_iv", "iv_rank_30", "iv_percentile_30", "iv_rank_90")
    told = ChainSettings(data=str(file), history=str(tmp_path / "v.sqlite"))
    rows = recorded_chain("NIFTY", told, names).rows
    own = recorded_chain("NIFTY", ChainSettings(data=str(file)), names).rows
    assert np.isnan(own["iv_rank_30"]).all(), "one session before is not 30"
    last = snapshots()[0]  # of 21 January: it is in the file, and of the history too
    past = [*values, options.solve_chain(last, math.log(1.0525)).at_money_volatility()]
    for row in rows[rows["at_ns"] >= at("09:15")]:
        wanted = options.standing(past, float(row["atm_iv"]), 30)
        np.testing.assert_allclose(row["iv_rank_30"], wanted.rank, rtol=1e-6)
        assert row["iv_percentile_30"] == wanted.percentile
    assert np.isnan(rows["iv_rank_90"]).all()
    with pytest.raises(BadData, match=r"chain\.history"):
        recorded_chain("NIFTY", ChainSettings(data=str(file), history="gone"), names)


def test_a_run_without_a_chain_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"looks at the option chain \(m\.chain\.straddle\)"):
        backtest(Crowd, bars())
    with pytest.raises(ConfigError, match="option chain"):
        backtest_ticks(Crowd, _ticks(), symbol="NIFTY")
    with pytest.raises(ConfigError, match="never mix"):
        backtest(Crowd, bars(), settings=Settings(chain=ChainSettings("a", "b")))
    with pytest.raises(ConfigError, match=r"chain\.expiry"):
        backtest(Crowd, bars(), settings=seen_by(file, expiry="weekly"))
    with pytest.raises(ConfigError, match=r"chain\.near must be in 0\.\.100, was -1"):
        backtest(Crowd, bars(), settings=seen_by(file, near=-1))
    with pytest.raises(BadData, match="no chain of BANKNIFTY"):
        backtest(Crowd, bars(symbol="BANKNIFTY"), settings=seen_by(file))
    with pytest.raises(UsageError, match="RELIANCE"):
        recorded_chain("RELIANCE", ChainSettings(data=str(file)), ("pcr",))


def _ticks() -> Any:
    return list(generate_ticks("NIFTY", DAY, DAY, seed=3, interval="15s", instrument="FUT"))


def daily(path: Path) -> Path:
    """India VIX and NIFTY, a bar a day."""
    days = [dt.date(2025, 11, 1) + dt.timedelta(days=n) for n in range(90)]
    rows = np.zeros(len(days), BAR_DTYPE)
    rows["start_ns"] = [at("09:15", day) for day in days]
    for name in ("open", "high", "low", "close"):
        rows[name] = 1_400
    write_parquet(path, BarSet("INDIAVIX", rows, 86_400 * 10**9, False, ()))
    return path


def test_a_modelled_chain_says_so_and_has_no_open_interest(tmp_path: Path) -> None:
    told = Settings(chain=ChainSettings(volatility=str(daily(tmp_path / "vix.parquet"))))
    with pytest.raises(ConfigError, match=r"m\.chain\.pcr needs open interest or volume"):
        backtest(Crowd, bars(), settings=told)
    result = backtest(Straddled, bars(), settings=told)
    assert result.data["chain"]["grade"] == "modelled" and result.data["chain"]["sets"] == 375
    assert any("no premium behind them was ever traded" in note for note in result.notes)
    ticks = _ticks()
    with pytest.raises(ConfigError, match="recorded chains only"):
        backtest_ticks(Straddled, ticks, symbol="NIFTY", settings=told)


def test_a_modelled_set_is_of_its_bars_close_and_nothing_later(tmp_path: Path) -> None:
    told = Settings(chain=ChainSettings(volatility=str(daily(tmp_path / "vix.parquet"))))

    class Look(Strategy):
        """Keeps the forward."""

        def __init__(self) -> None:
            super().__init__()
            self.forwards: list[float] = []

        def on_start(self, m: Market) -> None:
            self.forward = m.chain.forward

        def on_bar(self, ctx: Any, bar: Any) -> None:
            self.forwards.append(self.forward.value)

    whole, part = Look(), Look()
    given = bars()
    backtest(whole, given, settings=told)
    cut = BarSet("NIFTY", given.bars[:100], MINUTE, False, ())
    backtest(part, cut, settings=told)
    assert repr(whole.forwards[:100]) == repr(part.forwards)
    # Carry of five days is below 0.1 %: the forward goes with the index.
    np.testing.assert_allclose(whole.forwards, given.bars["close"] / 100.0, rtol=2e-3)


def test_explain_and_check_lookahead_know_the_chain(file: Path) -> None:
    given = bars()
    moment = dt.datetime.combine(DAY, dt.time(11, 15))
    values = explain_bar(Crowd, given, moment, chain=ChainSettings(data=str(file)))
    known = [shot for shot in snapshots() if shot.at_ns <= at("11:16")][-1]
    np.testing.assert_allclose(values["chain.pcr"], options.solve_chain(known).put_call_ratio())
    with pytest.raises(ConfigError, match="option chain"):
        explain_bar(Crowd, given, moment)
    found = check_lookahead(Crowd, given, settings=seen_by(file), cuts=10)
    assert found.signals > 3
    assert [one.code for one in found.findings if one.level == "problem"] == []
    assert not found.differences


def test_ticks_see_the_recorded_chain(file: Path) -> None:
    seer = Seer()
    result = backtest_ticks(seer, _ticks(), symbol="NIFTY", settings=seen_by(file))
    assert len(seer.sets) == 50 and result.data["chain"]["sets"] == 51
    last = seer.bars[at("15:04")]
    shot = [one for one in snapshots() if one.at_ns < at("15:30")][-1]
    np.testing.assert_allclose(last[0], options.solve_chain(shot).put_call_ratio())


class Searched(RuleStrategy):
    """Long when puts are many."""

    most = param(1.0, low=0.5, high=2.0, search=(0.9, 1.1, 0.1))

    def rules(self, m: Market) -> Rules:
        return Rules(long=m.chain.pcr > self.most, exit_long=m.chain.pcr < 0.95, stop=30.0)


def test_a_search_sees_the_chain_as_a_backtest_does(file: Path) -> None:
    sweep = optimize(prepared(Searched, bars(), settings=seen_by(file)), engines=Engines(jobs=2))
    runs = [backtest(Searched, bars(), settings=seen_by(file), params=row.params)
            for row in sweep.rows]  # fmt: skip
    assert len(runs) == 3 and len({row.net for row in sweep.rows}) > 1
    assert [row.net for row in sweep.rows] == [metrics.measure(run).net for run in runs]
    with pytest.raises(UsageError, match="looks at the option chain"):
        optimize(prepared(Searched, bars()), engines=Engines(jobs=1))


@pytest.mark.data
def test_recorded_days_figure_by_figure(data_dir: Path) -> None:
    """Every snapshot of three indices against `solve_chain` and `interest_levels`."""
    file = options.read_chains(data_dir / RECORDED)
    names = ("pcr", "pcr_near", "atm_iv", "support", "resistance", "max_pain", "forward")
    checked = 0
    for underlying in ("NIFTY", "BANKNIFTY", "MIDCPNIFTY"):
        told = ChainSettings(data=str(data_dir / RECORDED))
        rows = recorded_chain(underlying, told, names).rows
        for row in rows[::5]:
            shot = file.at(underlying, int(row["at_ns"]))
            assert shot.at_ns == row["at_ns"]
            try:
                solved = options.solve_chain(shot, math.log(1.0525))
            except BadData:
                assert np.isnan(row["forward"])
                continue
            levels = options.interest_levels(shot, count=1)
            wanted = (solved.put_call_ratio(), solved.put_call_ratio("oi", 5),
                      solved.at_money_volatility(), levels.support[0].strike,
                      levels.resistance[0].strike, solved.max_pain(), solved.forward)  # fmt: skip
            got = [float(row[name]) for name in names]
            np.testing.assert_allclose(got, wanted, rtol=1e-6)
            checked += 1
    assert checked > 150


@pytest.mark.data
def test_a_strategy_trades_recorded_days(data_dir: Path) -> None:
    file = options.read_chains(data_dir / RECORDED)
    given = spot_bars(RecordedChains(file, "BANKNIFTY"))
    result = backtest(Crowd, given, settings=seen_by(data_dir / RECORDED))
    assert len(result.trades) > 0
    found = check_lookahead(Crowd, given, settings=seen_by(data_dir / RECORDED), cuts=5)
    assert not found.differences
