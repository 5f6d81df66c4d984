"""A stock in the place of an index: what `dhanfast trade` takes of the broker's list and books."""

import asyncio
import datetime as dt
import random
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast.app.cli import run
from dhanfast.app.config import load_config
from dhanfast.app.live_legs import Structure, plan_of, with_legs
from dhanfast.app.live_market import Market
from dhanfast.app.live_one import OneFuture
from dhanfast.brokers.dhan.account import DhanContracts
from dhanfast.clock import ManualClock
from dhanfast.engine.legs_reconcile import LegsReconciler
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.market import GeneratedMarket
from dhanfast.exchange.settings import ExchangeSettings
from dhanfast.market.calendar import Calendar
from dhanfast.market.master import Master
from dhanfast.market.master_csv import parse_master
from tests.engine.test_legs_reconcile import World

pytest.importorskip("aiohttp")

DAY = dt.date(2026, 11, 20)
EXPIRY = dt.date(2026, 11, 23)
STRADDLE = """
underlying = "{name}"
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
strike = "otm3"
"""
NAMES = {"RELIANCE": (2885, 500), "M&M": (2031, 200), "BAJAJ-AUTO": (16669, 75)}


@cache
def market_of(name: str) -> GeneratedMarket:
    return GeneratedMarket(name, DAY, seed=5, strikes=15, levels=5, ticks=5_000)


@cache
def text_of(name: str) -> str:
    """The broker's list of the exchange, as it is downloaded."""
    core = ExchangeCore(market_of(name), ExchangeSettings.seeded(1), random.Random(1))
    path = "/api-data/api-scrip-master-detailed.csv"
    return core.request("GET", path, {}, {}, b"", core.now_ns).body.decode()


def master_of(text: str) -> Master:
    parsed = parse_master(text.encode(), name="list")
    assert parsed.refused_count == 0
    return parsed.master


def structure(folder: Path, name: str, master: Master | None = None, more: str = "",
              on: dt.date = DAY) -> Structure:  # fmt: skip
    path = folder / "legs.toml"
    path.write_text(STRADDLE.format(name=name, more=more))
    made = with_legs(load_config([], folder, [], {}, named_only=True), str(path))
    hours = Calendar.load().day(on, "NSE_FNO")
    assert hours is not None
    clock = ManualClock(hours.open_ns)
    market = Market(clock, hours.open_ns, hours.open_ns, 1.0, on, hours.close_ns, True, ())
    return Structure(made, master_of(text_of(name)) if master is None else master, market)


def begun(made: Structure, level: int = 0, found: Any = None) -> Structure:
    async def ltp(ids: dict[str, list[int]]) -> Any:
        ((segment, (number,)),) = ids.items()
        return {(segment, number): SimpleNamespace(last=level)}

    rest: Any = SimpleNamespace(ltp=ltp)
    asyncio.run(made.begin(found, rest))
    return made


def level_of(name: str) -> int:
    return int(market_of(name).plan.parts["index"][0])


# ---- the list ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_stock_is_its_share_and_the_options_that_are_listed(tmp_path: Path, name: str) -> None:
    number, lot = NAMES[name]
    made = begun(structure(tmp_path, name), level_of(name))
    share = made.watched[0]
    assert (share.segment, share.security_id, share.kind) == ("NSE_EQ", number, "EQ")
    (slot,) = made.universe.slots
    listed = {one.strike for one in market_of(name).contracts if one.kind == "CE"}
    assert set(slot.strikes) == listed and len({b - a for a, b in zip(
        slot.strikes, slot.strikes[1:], strict=False)}) == 2, "uneven steps"  # fmt: skip
    assert (slot.expiry, slot.terms.lot, slot.terms.freeze) == (EXPIRY, lot, 40 * lot)
    assert all(segment == "NSE_FNO" for segment, _ in made.ordered())
    assert made.names[1] == f"{name} {EXPIRY} {slot.strikes[0] // 100} CE"
    assert made.words[:2] == ["NSE_EQ", number] and made.words[2][0][1] == lot
    made.check(made.settings({"capital": 10_000_000}, "paper"))


def test_a_restart_has_the_days_contracts_and_no_others(tmp_path: Path) -> None:
    first = begun(structure(tmp_path, "M&M"), level_of("M&M"))
    again = begun(structure(tmp_path, "M&M"), 0, first.started())  # no price is asked for
    assert again.ordered() == first.ordered() and again.words == first.words
    assert again.universe == first.universe
    for old, new, words in (
        (",200.0,", ",225.0,", "lot is 225 in the broker's list and 200"),
        (",8000,", ",4000,", "freeze quantity is 4000 .* and 8000"),
    ):
        other = begun(structure(tmp_path, "M&M", master_of(text_of("M&M").replace(old, new))), 0,
                      first.started())  # fmt: skip
        with pytest.raises(BadData, match=f"{words}.*begun with.*nothing is traded"):
            other.check(other.settings({"capital": 10_000_000}, "paper"))


def test_contracts_of_one_expiry_that_differ_are_not_traded(tmp_path: Path) -> None:
    rows = text_of("M&M").splitlines()
    at = next(place for place, row in enumerate(rows) if row.endswith(",") and ",PE," in row)
    rows[at] = rows[at].replace(",200.0,", ",225.0,")
    made = begun(structure(tmp_path, "M&M", master_of("\n".join(rows) + "\n")), level_of("M&M"))
    with pytest.raises(BadData, match="lot is 225 in the broker's list and 200"):
        made.check(made.settings({"capital": 10_000_000}, "paper"))


def test_of_several_shares_of_a_name_it_is_the_one_behind_the_options(tmp_path: Path) -> None:
    rows = text_of("M&M").splitlines()
    share = next(row for row in rows if row.startswith("NSE,E,2031,"))
    twin = share.replace("NSE,E,2031,", "NSE,E,31,").replace(",EQ,1.0,", ",BE,1.0,")
    made = structure(tmp_path, "M&M", master_of("\n".join([*rows, twin]) + "\n"))
    assert made.contract.security_id == 2031
    silent = [twin, *(row.replace(",OPTSTK,2031,", ",OPTSTK,,") for row in rows)]
    silent = [rows[0], *(row for row in silent if row != rows[0])]
    made = structure(tmp_path, "M&M", master_of("\n".join(silent) + "\n"))
    assert made.contract.security_id == 2031, "the usual series, where options name no share"
    with pytest.raises(BadData, match=r"no one share \(NSE_EQ\) behind the options"):
        structure(tmp_path, "M&M", master_of("\n".join(one for one in rows if one != share) + "\n"))


@pytest.mark.parametrize(
    ("name", "words"),
    [("RELIANCF", r"'RELIANCF' is no index, and the instrument list has no options of a stock of "
                  r"that name: did you mean RELIANCE\? look for it: dhanfast instruments find"),
     ("TCS", r"no options of a stock of that name: look for it: dhanfast instruments find TCS"),
     ("M&M", r"dhanfast instruments find 'M&M'")],
)  # fmt: skip
def test_names_that_no_stock_with_options_has(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(BadData, match=words):
        structure(tmp_path, name, master_of(text_of("RELIANCE")))


# ---- delivery ------------------------------------------------------------------------------------


def test_the_contract_that_ends_today_is_not_begun_with(tmp_path: Path) -> None:
    made = structure(tmp_path, "M&M", on=EXPIRY)
    with pytest.raises(BadData, match="those of 2026-11-23 end in delivery today, and are not ent"):
        begun(made, level_of("M&M"))


def positions(*held: tuple[str, int, str]) -> Any:
    async def found() -> list[Any]:
        return [SimpleNamespace(segment="NSE_FNO", security_id=security, qty=units, product=product)
                for security, units, product in held]  # fmt: skip

    return found


def test_what_the_account_holds_of_contracts_that_end_today_is_told(tmp_path: Path) -> None:
    """Whoever bought it, under any product: only the share's delivery is left of it."""
    made = structure(tmp_path, "M&M", on=EXPIRY)
    clock, rest = ManualClock(), SimpleNamespace(positions=positions(("49081", -200, "MARGIN")))
    any_rest: Any = rest
    ending = made._ending()
    assert ("NSE_FNO", "49081") in ending and len(ending) == 31, "options and the future"
    account = DhanContracts(any_rest, clock, tag="ab", instruments={("NSE_FNO", "7"): 1},
                            product="INTRADAY", ending=ending)  # fmt: skip
    assert account.delivery() == ""
    assert asyncio.run(account.positions()) == {}
    name = ending["NSE_FNO", "49081"]
    assert account.delivery().startswith(f"the account holds -200 of {name}, which end today in")
    rest.positions = positions(("49081", -200, "MARGIN"), ("49081", 200, "INTRADAY"))
    asyncio.run(account.positions())
    assert account.delivery() == "", "closed is closed"
    assert structure(tmp_path, "M&M")._ending() == {}, "on another day nothing ends"


def test_entries_wait_while_something_is_about_to_be_delivered() -> None:
    world = World()
    told = ["the account holds 200 of X"]
    run_: Any = world.structure
    world.both = LegsReconciler(run_, world.clock, world.account, lambda: told[0])
    verdict = world.look()
    assert verdict.settled and not verdict.agreed and verdict.note == told[0]
    told[0] = ""
    assert world.look().agreed and world.commands == []


# ---- what is refused before anybody is asked -----------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [('hold = "expiry"', r"legs\.toml: hold: options of M&M are settled by delivery"),
     ('signals = "momentum"', r"legs\.toml: signals: a strategy runs on an index, and M&M is a"),
     ('[hedge]\nband = "1 lot"', r"legs\.toml: hedge\.instrument: M&M is a stock")],
)  # fmt: skip
def test_what_a_stock_cannot_do(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        structure(tmp_path, "M&M", more=more)


def test_a_strategy_on_a_stock_is_refused_by_name(tmp_path: Path) -> None:
    sets = ["strategy.name=mine", "strategy.use=momentum", "strategy.underlying=M&M"]
    made = load_config([], tmp_path, sets, {}, named_only=True)
    market: Any = SimpleNamespace(day=DAY)
    with pytest.raises(ConfigError, match=r"strategy\.underlying: M&M is a stock, .* trade --legs"):
        OneFuture(made, master_of(text_of("M&M")), market)


def test_figures_of_a_stocks_chain_are_refused_by_name() -> None:
    from dhanfast.engine.chain_input import _Recorded
    from dhanfast.engine.chain_settings import ChainSettings

    with pytest.raises(UsageError, match=r"M&M is no index, .* `dhanfast chain -u NAME` shows"):
        _Recorded("M&M", ChainSettings(), ("pcr",), [])


def test_guards_sizes_and_margin_are_those_of_any_structure(tmp_path: Path) -> None:
    path = tmp_path / "legs.toml"
    path.write_text(STRADDLE.format(name="M&M", more=""))
    sets = ["risk.margin.short=refuse", "risk.guards.max_trades=2", "risk.sizing.method=kelly",
            "risk.guards.vix.high=20", "risk.guards.vix.high_leave=19"]  # fmt: skip
    made = with_legs(load_config([], tmp_path, sets, {}, named_only=True), str(path))
    assert plan_of(made).underlying == "M&M"


def test_a_generated_stock_is_recorded_and_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of a user, with a name that a shell must be kept from reading."""
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "legs.toml").write_text(
        STRADDLE.format(name="M&M", more='order = { deadline = "5m" }')
    )
    out = tmp_path / "day.dfa"
    assert run(["generate", "M&M", "--what", "chain", "--from", str(DAY), "--to", str(DAY),
                "--ticks", "9000", "--strikes", "15", "-o", str(out)]) == 0  # fmt: skip
    assert run(["replay", str(out), "--legs", "legs.toml", "--speed", "max"]) == 0
    said = capsys.readouterr().out
    assert "M&M 2026-11-23" in said and "200" in said
