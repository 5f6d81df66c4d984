"""What `dhanfast trade --legs` takes, and what it refuses before anything is looked at."""

import asyncio
import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast.app.cli import run
from dhanfast.app.cli_trade import _with_legs
from dhanfast.app.config import Config, load_config
from dhanfast.app.live_build import deciding_digest
from dhanfast.app.live_legs import Structure, plan_of, with_legs
from dhanfast.app.live_market import Market
from dhanfast.app.readiness import _configuration
from dhanfast.brokers.dhan.account import DhanContracts
from dhanfast.clock import ManualClock
from dhanfast.engine.doctor import Level
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.market.master import Contract
from dhanfast.strategies.shelf import STRUCTURES

pytest.importorskip("aiohttp")

STRADDLE = """
underlying = "BANKNIFTY"
entry = "09:30"
exit = "15:00"
{more}
[[leg]]
side = "sell"
right = "CE"
strike = "atm"

[[leg]]
side = "sell"
right = "PE"
strike = "atm"
"""
DAY = dt.date(2026, 11, 20)
SECOND = 10**9


def legs_toml(folder: Path, more: str = "") -> Path:
    path = folder / "straddle.toml"
    path.write_text(STRADDLE.format(more=more))
    return path


def config(folder: Path, *sets: str, more: str = "") -> Config:
    """A configuration with the legs file in the place of its strategy."""
    made = load_config([], folder, list(sets), {}, named_only=True)
    return with_legs(made, str(legs_toml(folder, more)))


# ---- what is taken -------------------------------------------------------------------------------


def test_a_legs_file_takes_the_place_of_the_strategy(tmp_path: Path) -> None:
    made = config(tmp_path, "strategy.name=mine", "strategy.use=momentum", "strategy.lots=3")
    assert (made.strategy.use, made.strategy.name) == ("legs", "straddle")
    assert made.strategy.underlying == "BANKNIFTY" and made.strategy.lots == 1
    assert [leg.side for leg in plan_of(made).legs] == ["sell", "sell"]


def test_a_configuration_may_name_its_legs_file(tmp_path: Path) -> None:
    legs_toml(tmp_path)
    sets = ["strategy.name=mine", "strategy.use=legs", "strategy.legs=straddle.toml"]
    made = load_config([], tmp_path, sets, {}, named_only=True)
    assert len(plan_of(made).legs) == 2
    assert _configuration(made, "").level is Level.GREEN


def test_a_presets_strategy_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """Its lots and timeframe are of the strategy that the file replaces."""
    legs_toml(tmp_path)
    sets = ["preset=scalper", "strategy.name=mine", "strategy.use=legs",
            "strategy.legs=straddle.toml"]  # fmt: skip
    made = load_config([], tmp_path, sets, {}, named_only=True)
    assert made.strategy.lots == 2 and len(plan_of(made).legs) == 2
    with pytest.raises(ConfigError, match=r"strategy.lots: a legs file does not follow it"):
        plan_of(load_config([], tmp_path, [*sets, "strategy.lots=2"], {}, named_only=True))


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_a_structure_of_the_library_is_traded_by_its_name(tmp_path: Path, name: str) -> None:
    made = load_config([], tmp_path, ["strategy.name=mine", f"strategy.use={name}"], {},
                       named_only=True)  # fmt: skip
    named, given = _with_legs(made, None), _with_legs(made, name)
    assert named.strategy.use == given.strategy.use == "legs"
    assert plan_of(named) == plan_of(given) and plan_of(named).hold == "day"


def test_values_of_a_files_parameters_are_those_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"

    def given(params: str) -> Config:
        path.write_text(f'[[strategy]]\nname = "x"\nuse = "iron-condor"\nparams = {params}\n')
        return _with_legs(load_config([str(path)], tmp_path, [], {}, named_only=True), None)

    sold = [leg.strike.text for leg in plan_of(given("{ short = 3 }")).legs if leg.side == "sell"]
    assert sold == ["otm3", "otm3"]
    with pytest.raises(UsageError, match="colour"):
        given("{ colour = 3 }")


def test_the_doctor_says_what_of_a_legs_file_cannot_be_traded(tmp_path: Path) -> None:
    made = config(tmp_path, more='hold = "expiry"')
    found = _configuration(made, "")
    assert found.level is Level.RED and "carry nothing over night" in found.said


def test_what_the_file_says_decides_and_not_where_it_is(tmp_path: Path) -> None:
    """A journal is gone on with by the same file, and by no other."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    def digest(folder: str, more: str = "") -> bytes:
        made = config(tmp_path / folder, more=more)
        return deciding_digest(made, "paper", ["IDX_I", 25, plan_of(made).source])

    assert digest("a") == digest("b") != digest("a", 'stop = "5000"')


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [('hold = "expiry"', r"straddle\.toml: hold: paper and live carry nothing over night"),
     ('timeframe = "5m"', r"straddle\.toml: timeframe: needs signals"),
     ('colour = "red"', "colour")],
)  # fmt: skip
def test_files_that_only_a_backtest_can_run(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_of(config(tmp_path, more=more))


@pytest.mark.parametrize(
    ("setting", "words"),
    [("risk.guards.exposure.correlated=1000000", r"exposure\.correlated: a legs run does"),
     ("risk.sizing.method=risk risk.sizing.risk=1%", "risk needs a loss that is bounded"),
     ("risk.sizing.method=volatility risk.sizing.volatility=1%", "volatility is that of one"),
     ("risk.margin.short=refuse risk.margin.answer=90s", "90s is not in 0.5s..60s"),
     ("execution.algo=twap", "execution: a legs run does not follow it"),
     ("simulation.slippage=measured", "slippage: measured"),
     ("feed.mode=quote", "feed.mode: quote has no bid and no ask"),
     ("risk.entry_from=10:00", "entry: 09:30 lies outside risk.entry_from 10:00"),
     ("risk.entry_until=09:31", "late: 09:35 lies outside risk.entry_until 09:31"),
     ("risk.flat_by=14:55 risk.entry_until=14:50", "exit: 15:00 lies outside risk.flat_by 14:55")],
)  # fmt: skip
def test_settings_that_a_structure_does_not_follow(
    tmp_path: Path, setting: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        plan_of(config(tmp_path, *setting.split()))


@pytest.mark.parametrize(
    ("setting", "words"),
    [("strategy.lots=2", "lots of each leg"), ("strategy.timeframe=5m", "seconds of the market"),
     ("strategy.on_opposite=close", "exit in the legs file"),
     ("strategy.underlying=NIFTY", "NIFTY is not what the legs file trades, BANKNIFTY")],
)  # fmt: skip
def test_keys_of_a_strategy_that_the_file_says_itself(
    tmp_path: Path, setting: str, words: str
) -> None:
    legs_toml(tmp_path)
    sets = ["strategy.name=mine", "strategy.use=legs", "strategy.legs=straddle.toml", setting]
    with pytest.raises(ConfigError, match=words):
        plan_of(load_config([], tmp_path, sets, {}, named_only=True))


def test_a_file_without_its_strategy_and_a_strategy_without_its_file(tmp_path: Path) -> None:
    sets = ["strategy.name=mine", "strategy.use=momentum", "strategy.legs=straddle.toml"]
    with pytest.raises(ConfigError, match=r"strategy.legs: names a legs file, .* write use"):
        load_config([], tmp_path, sets, {}, named_only=True)
    sets = ["strategy.name=mine", "strategy.use=legs"]
    with pytest.raises(ConfigError, match="names no file"):
        plan_of(load_config([], tmp_path, sets, {}, named_only=True))


def test_trade_refuses_them_before_it_asks_anybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    path = legs_toml(tmp_path, 'hold = "expiry"')
    assert run(["trade", "--legs", str(path), "--set", "broker.exchange=http://127.0.0.1:1"]) == 3
    assert "carry nothing over night" in capsys.readouterr().err
    assert run(["trade", "--legs", str(tmp_path / "none.toml")]) == 3
    assert "name a legs file" in capsys.readouterr().err
    assert not (tmp_path / "journal").exists()


# ---- the broker's list ---------------------------------------------------------------------------


def contract(**given: Any) -> Contract:
    told = {"segment": "NSE_FNO", "security_id": 1, "exchange": "NSE", "instrument": "OPTIDX",
            "kind": "CE", "symbol": "X", "name": "", "underlying": "BANKNIFTY",
            "underlying_id": 25, "expiry_flag": "M", "expiry": dt.date(2026, 11, 23), "lot": 30,
            "tick": 5, "strike": 0, "tick_micros": 0, "freeze": None, "upper": None,
            "lower": None, "series": "", "isin": ""}  # fmt: skip
    return Contract(**told | given)


class Listing:
    """A broker's list with one expiry of 41 strikes, a call and a put of each."""

    def __init__(self, **given: Any) -> None:
        self.index = contract(segment="IDX_I", kind="IDX", symbol="BANKNIFTY", security_id=25)
        self.grid = [5_400_000 + 10_000 * at for at in range(41)]
        self.given = given

    def pick(self, underlying: str, *, segment: str, kind: str) -> list[int]:
        return [0] if (underlying, segment, kind) == ("BANKNIFTY", "IDX_I", "IDX") else []

    def contract(self, row: int) -> Contract:
        return self.index

    def strikes(self, underlying: str, expiry: dt.date, *, segment: str, right: str) -> Any:
        import numpy as np

        keep = self.grid if right == "CE" else self.grid[:-1]  # the last has no put
        return np.array(keep if expiry == dt.date(2026, 11, 23) else [], np.int64)

    def one(self, underlying: str, *, segment: str, expiry: dt.date, strike: int,
            right: str) -> Contract:  # fmt: skip
        number = 100 * self.grid.index(strike) + (right == "PE")
        return contract(security_id=number, strike=strike, kind=right, expiry=expiry, **self.given)


class Quotes:
    """The index's price: none for a while."""

    def __init__(self, *prices: int) -> None:
        self.prices = list(prices)

    async def ltp(self, ids: Any) -> Any:
        assert ids == {"IDX_I": [25]}
        price = self.prices.pop(0)
        return {("IDX_I", 25): SimpleNamespace(last=price)} if price else {}


def structure(folder: Path, listing: Any) -> tuple[Structure, ManualClock]:
    hours = Calendar.load().day(DAY, "NSE_FNO")
    assert hours is not None
    clock = ManualClock(hours.open_ns)
    market = Market(clock, hours.open_ns, hours.open_ns, 1.0, DAY, hours.close_ns, True, ())
    return Structure(config(folder), listing, market), clock


def begun(folder: Path, listing: Any, found: Any = None, *prices: int) -> Structure:
    made, _ = structure(folder, listing)
    quotes: Any = Quotes(*prices)
    asyncio.run(made.begin(found, quotes))
    return made


def test_contracts_are_numbered_from_the_index_on(tmp_path: Path) -> None:
    made = begun(tmp_path, Listing(), None, 0, 0, 5_705_000)
    assert made.universe.level == 5_705_000, "it waited for a price"
    assert made.watched[0].segment == "IDX_I" and made.names[0] == "BANKNIFTY"
    strikes = made.universe.slots[0].strikes
    assert strikes[-1] == 5_790_000, "a strike without a put is not watched"
    assert len(made.watched) == 1 + 2 * len(strikes) == 1 + len(made.ordered())
    for number, one in enumerate(made.watched[1:], 1):
        assert made.ordered()[one.segment, str(one.security_id)] == number
        assert made.names[number] == f"BANKNIFTY 2026-11-23 {one.strike // 100} {one.kind}"


def test_a_restart_has_the_numbers_of_the_day_whatever_the_index_says_now(tmp_path: Path) -> None:
    first = begun(tmp_path, Listing(), None, 5_605_000)
    again = begun(tmp_path, Listing(), first.started())  # no price is asked for
    assert again.ordered() == first.ordered() and again.names == first.names


@pytest.mark.parametrize(
    ("given", "words"),
    [({"lot": 35}, "lot is 35 in the broker's list and 30"),
     ({"tick": 10}, "tick in paise is 10 in the broker's list and 5")],
)  # fmt: skip
def test_contracts_that_the_tables_know_otherwise(
    tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    made = begun(tmp_path, Listing(), None, 5_605_000)
    made.check(made.settings({"capital": 10_000_000}, "paper"))
    made = begun(tmp_path, Listing(**given), None, 5_605_000)
    with pytest.raises(BadData, match=f"{words}.*nothing is traded"):
        made.check(made.settings({"capital": 10_000_000}, "paper"))


def test_an_index_that_is_not_listed(tmp_path: Path) -> None:
    listing = Listing()
    listing.pick = lambda *words, **named: []  # type: ignore[method-assign]
    with pytest.raises(BadData, match=r"has no index BANKNIFTY .* dhanfast instruments find"):
        structure(tmp_path, listing)


# ---- the broker's books --------------------------------------------------------------------------


def position(security: str, units: int, product: str = "INTRADAY") -> Any:
    return SimpleNamespace(segment="NSE_FNO", security_id=security, product=product, qty=units)


def order(security: str, side: int, units: int, at: int, correlation: str = "") -> Any:
    return SimpleNamespace(segment="NSE_FNO", security_id=security, side=side, filled=units,
                           value=100 * units, broker_ns=at, correlation=correlation)  # fmt: skip


def test_the_account_answers_contract_by_contract() -> None:
    async def positions() -> list[Any]:
        return [position("11", 30), position("12", -60), position("12", 30),
                position("13", 90), position("11", 500, "CNC")]  # fmt: skip

    async def orders() -> list[Any]:
        return [order("12", 1, 30, 50), order("12", 1, 15, 49), order("12", -1, 7, 60),
                order("11", 1, 9, 60), order("12", 1, 99, 60, "ab-5")]  # fmt: skip

    rest: Any = SimpleNamespace(positions=positions, orders=orders)
    instruments = {("NSE_FNO", "11"): 1, ("NSE_FNO", "12"): 2}
    account = DhanContracts(rest, ManualClock(), tag="ab", instruments=instruments,
                            product="INTRADAY")  # fmt: skip
    assert asyncio.run(account.positions()) == {1: 30, 2: -30}
    assert asyncio.run(account.closed_elsewhere(2, 1, 50)) == (30, 3_000)
    assert asyncio.run(account.closed_elsewhere(2, -1, 0)) == (7, 700)
