"""Structures of a stock's options on a live day: what is listed decides, delivery is kept away."""

import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.archive.schema import TICKS
from dhanfast._core.chainday import ChainDay
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.app.legs_file import plan_of
from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.leg_universe import Universe, universe_of
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.legs_chain import sessions_of
from dhanfast.engine.legs_live import LegsRun
from dhanfast.engine.legs_replay import RecordedStructure, StructureReplay, recorded_structure
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.engine.stock_terms import StockList, Terms, marked
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.market.instruments import Instrument, dhan_symbol, nse_symbol
from dhanfast.market.tickday import tick_day
from dhanfast.storage.archive.writer import ArchiveWriter
from tests.engine.test_legs_stocks import EXPIRY, LOT, NEXT, chains, source

DAY = dt.date(2026, 1, 22)
SECOND = 10**9
PLAIN = Settings(slippage=Slippage())
STRADDLE = [{"side": "sell", "right": right, "strike": "atm"} for right in ("CE", "PE")]
# Steps of 20 near the money, of 40 beyond: as a stock's strikes are listed.
GRID = np.array([760, 800, 840, 880, 920, 940, 960, 980, 1000, 1020, 1040, 1060, 1080, 1120, 1160,
                 1200, 1240], np.int64) * 100  # fmt: skip


def hours(on: dt.date = DAY) -> TradingDay:
    found = Calendar.load().day(on, "NSE_FNO")
    assert found is not None
    return found


def at(text: str, on: dt.date = DAY) -> int:
    return int(dt.datetime.fromisoformat(f"{on}T{text}+05:30").timestamp()) * SECOND


def plan(name: str = "M&M", legs: Any = STRADDLE, **more: Any) -> Any:
    return plan_of({"underlying": name, "entry": "09:30", "exit": "15:00", "leg": legs} | more)


def listing(*dates: dt.date, **given: int) -> StockList:
    terms = Terms(**({"lot": 200, "tick": 5, "freeze": 8_000} | given))
    return StockList("the list", dates or (EXPIRY, NEXT), lambda expiry: terms)


def chosen(made: Any = None, on: dt.date = DAY, stock: StockList | None = None) -> Universe:
    made = plan() if made is None else made
    return universe_of(marked(made), on, 100_000, lambda expiry: GRID, stock or listing())


# ---- what is listed ------------------------------------------------------------------------------


def test_lot_tick_and_freeze_are_those_of_the_list() -> None:
    far = {"side": "buy", "right": "CE", "strike": "atm", "expiry": "next"}
    both = {EXPIRY: Terms(200, 5, 8_000), NEXT: Terms(175, 1, 0)}
    made = chosen(plan(legs=[*STRADDLE, far]), stock=StockList("it", tuple(both), both.__getitem__))
    rows = sessions_of(made, hours())
    assert [(int(one["contract"]), int(one["lot"]), int(one["tick"]), int(one["freeze"]))
            for one in rows] == [(20260127, 200, 5, 8_000), (20260224, 175, 1, 0)]  # fmt: skip
    assert made.lots() == {EXPIRY: (200, 8_000), NEXT: (175, 0)}
    again = Universe.of_dict(json.loads(json.dumps(made.as_dict())))
    assert again == made and again.names(DAY) == {"nearest": EXPIRY, "next": NEXT,
                                                  "monthly": EXPIRY}  # fmt: skip


def test_an_expiry_that_no_rule_knows_is_taken_from_the_list() -> None:
    odd = dt.date(2026, 1, 28)  # a Wednesday: the list is right, the rule says Tuesday
    made = chosen(stock=listing(odd, NEXT))
    assert made.names(DAY)["nearest"] == odd == made.slots[0].expiry
    assert int(sessions_of(made, hours())[0]["contract"]) == 20260128


def test_what_ends_today_is_not_entered_and_without_another_nothing_is() -> None:
    made = chosen(on=EXPIRY)
    assert [slot.expiry for slot in made.slots] == [NEXT] == list(made.coming)
    with pytest.raises(BadData, match=r"M&M that end after 2026-01-27; those of .* in delivery"):
        chosen(on=EXPIRY, stock=listing(EXPIRY))
    with pytest.raises(BadData, match=r"only options that expire on 2026-01-27 .* write nearest"):
        chosen(plan(legs=[STRADDLE[0] | {"expiry": "next"}]), stock=listing(EXPIRY))


@pytest.mark.parametrize(
    ("given", "words"),
    [({"lot": 0}, "a lot of 0 units"), ({"tick": 0}, "a tick of 0 paise"),
     ({"freeze": 199}, "a freeze quantity of 199, below its lot of 200")],
)  # fmt: skip
def test_a_list_by_which_no_order_can_be_made(given: dict[str, int], words: str) -> None:
    with pytest.raises(BadData, match=f"M&M 2026-01-27: the list gives it {words}.*until"):
        chosen(stock=listing(**given))


@pytest.mark.parametrize(
    ("strike", "paise"),
    [("otm2", 104_000), ("itm4", 92_000), ("+11%", 112_000), ("+10%", 108_000), ("84000", None)],
)
def test_rules_count_the_strikes_that_are_listed(strike: str, paise: int | None) -> None:
    """Of uneven steps: two out of the money are two that are listed, wherever they lie."""
    made = plan(legs=[{"side": "buy", "right": "CE", "strike": strike}])
    if paise is None:
        with pytest.raises(BadData, match="strike 84000 of 2026-01-27 is not in the broker's list"):
            chosen(made)
        return
    (slot,) = chosen(made).slots
    assert list(slot.strikes) == GRID.tolist()
    (leg,) = made.legs
    n = len(GRID)
    day = ChainDay(
        start_ns=np.array([1]), end_ns=np.array([2]),
        prices=(np.full((1, 2 * n), 1_000, np.int64),) * 4, spot=np.array([100_000]),
        strike=np.concatenate([GRID, GRID]), listed=np.arange(2 * n, dtype=np.uint32), first=[0],
        count=[n], sessions=sessions_of(chosen(made), hours()), final_price=[0], exercise_e9=[0],
        exercise_full=[0],
    )  # fmt: skip
    rules = leg.native()
    _, _, found = day.choose(0, 0, rules["right"], rules["strike_rule"], rules["strike"],
                             rules["premium_rule"])  # fmt: skip
    assert int(found) == paise


# ---- what is refused -----------------------------------------------------------------------------


def journal(folder: Path, on: dt.date = DAY, name: str = "day") -> Journal:
    header = JournalHeader(epoch=1, date=int(f"{on:%Y%m%d}"), run="legs", config_digest=bytes(32),
                           created_ns=at("09:00:00", on), text="")  # fmt: skip
    path = folder / f"{name}.dfj"
    return Journal(str(path), sync_ns=0) if path.exists() else Journal(str(path), header, sync_ns=0)


def run_of(folder: Path, made: Any, universe: Universe, on: dt.date = DAY) -> LegsRun:
    name = f"day{len(list(folder.iterdir()))}"
    return LegsRun(made, PLAIN, universe, hours(on), journal(folder, on, name))


def test_the_files_lot_must_be_the_lists(tmp_path: Path) -> None:
    assert run_of(tmp_path, plan(), chosen()).plan.lot == 200, "none is needed"
    assert run_of(tmp_path, plan(lot=200), chosen()).plan.lot == 200
    with pytest.raises(BadData, match=r"lot: the file says 250 units.*2026-01-27 have 200.*leave"):
        run_of(tmp_path, plan(lot=250), chosen())
    with pytest.raises(UsageError, match="lot: NIFTY is an index"):
        index = universe_of(plan("NIFTY"), DAY, 2_500_000, lambda _: 25 * GRID)
        run_of(tmp_path, plan("NIFTY", lot=65), index)


def test_more_lots_than_may_be_sent_at_once(tmp_path: Path) -> None:
    many = plan(legs=[{"side": "buy", "right": "CE", "strike": "atm", "lots": 41}])
    with pytest.raises(
        ConfigError, match=r"lots must be at most 40 on .* exceed the freeze .* 8000"
    ):
        run_of(tmp_path, many, chosen(many))
    run_of(tmp_path, many, chosen(many, stock=listing(freeze=0)))


def test_a_day_that_its_contracts_are_delivered_on_is_refused(tmp_path: Path) -> None:
    """Also when a record of another day is handed in: nothing of it is ever entered."""
    with pytest.raises(BadData, match=r"M&M 2026-01-27: its contracts are settled by delivery"):
        run_of(tmp_path, plan(), chosen(), EXPIRY)


@pytest.mark.parametrize(
    ("more", "words"),
    [({"signals": "momentum"}, "signals: a strategy runs on an index, and M&M is a stock"),
     ({"hedge": {"band": "1 lot"}}, "hedge.instrument: M&M is a stock, .* = \"option\"")],
)  # fmt: skip
def test_what_a_stock_cannot_do_is_refused_without_a_lot_too(
    more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        marked(plan(**more))
    assert marked(plan("NIFTY", **more)).lot == 0


# ---- a day by hand -------------------------------------------------------------------------------

Prices = dict[tuple[dt.date, int, str], int]


def quotes(text: str, prices: Prices, on: dt.date, level: int = 100_000) -> NDArray[Any]:
    """The stock at a level, and contracts whose bid, ask and last price are one."""
    rows = np.zeros(1 + len(prices), TICKS.dtype)
    rows["recv_ns"] = rows["exch_ns"] = at(text, on)
    rows["price"], rows["bid_qty"], rows["ask_qty"] = 0, 5_500, 5_500
    rows[0]["price"], rows[0]["bid"], rows[0]["ask"] = level, level - 5, level + 5
    for number, (row, price) in enumerate(zip(rows[1:], prices.values(), strict=True), 1):
        row["instrument"], row["bid"], row["ask"] = number, price, price
    return rows


def grid(call: int, put: int, dates: tuple[dt.date, ...], strikes: Any) -> Prices:
    return {(expiry, int(strike), right): price for expiry in dates for strike in strikes
            for right, price in (("CE", call), ("PE", put))}  # fmt: skip


def archive(
    path: Path, name: str, prices: Prices, parts: list[NDArray[Any]], on: dt.date,
    named: Callable[[Instrument], str] = nse_symbol, share: dict[str, Any] | None = None,
    **given: Any,
) -> Path:  # fmt: skip
    told = {"lot": 200, "tick": 5} | given
    with ArchiveWriter(path, [TICKS], clock=ManualClock(), day=int(f"{on:%Y%m%d}")) as writer:
        listed: list[dict[str, Any]] = [
            {"index": 0, "symbol": name, "kind": "EQ", "lot": 1} | (share or {})
        ]
        for number, (expiry, strike, right) in enumerate(prices, 1):
            symbol = named(Instrument(name, right, expiry, 100 * strike, "M"))
            listed.append({"index": number, "symbol": symbol, "kind": "OPT", **told,
                           "expiry": expiry.isoformat(), "strike": 100 * strike,
                           "right": right})  # fmt: skip
        writer.add_instruments(listed)
        writer.append("ticks", np.concatenate(parts))
        writer.seal()
    return path


def day_of(
    folder: Path, name: str = "M&M", on: dt.date = DAY, dates: Any = (EXPIRY, NEXT),
    strikes: Any = (980, 1000, 1020), late: tuple[int, int] = (1_300, 1_100), **given: Any,
) -> Path:  # fmt: skip
    """Premiums of 21 and 17 until noon, others from then on."""
    early, later = (grid(call, put, dates, strikes) for call, put in ((2_100, 1_700), late))
    parts = [
        quotes(text, later if text > "12" else early, on)
        for text in ("09:20:00", "09:29:59", "09:30:02", "09:30:04", "09:31:00", "12:00:00",
                     "14:59:59", "15:00:02", "15:00:04", "15:06:00")
    ]  # fmt: skip
    return archive(folder / f"{on}.dfa", name, early, parts, on, **given)


def folder(path: Path) -> Path:
    """Another one, for a file of the same name."""
    (path / "other").mkdir()
    return path / "other"


def replayed(path: Path, made: Any, settings: Settings = PLAIN, cut: int = 0) -> Any:
    ticks = recorded_structure(made, [path])
    run = StructureReplay(made, ticks, settings)
    for batch in ticks.open(0):
        for first in range(0, len(batch), cut or len(batch)):
            run.feed(batch[first : first + (cut or len(batch))])
    return run.finish()


def legs_of(result: Any) -> list[tuple[Any, ...]]:
    """What was traded, of any run: contract, side, units, paise in and out, profit."""
    return sorted(
        (result.contracts[int(row["instrument"])], int(row["side"]), int(row["qty"]),
         int(row["entry_value"]), int(row["exit_value"]), int(row["gross"]))
        for row in result.trades
    )  # fmt: skip


@pytest.mark.parametrize("name", ["M&M", "BAJAJ-AUTO"])
def test_a_replayed_day_by_hand(tmp_path: Path, name: str) -> None:
    result = replayed(day_of(tmp_path, name), plan(name))
    assert legs_of(result) == [
        (f"{name} {EXPIRY} 1000 {right}", -1, 200, 200 * sold, 200 * bought, 200 * (sold - bought))
        for right, sold, bought in (("CE", 2_100, 1_300), ("PE", 1_700, 1_100))
    ]
    # Brokerage of 20 an order; STT 0.1 % of what is sold, stamp 0.003 % of what is bought;
    # exchange 0.03503 %, SEBI 10 a crore; GST of 18 % on brokerage, exchange and SEBI.
    sold, bought = 200 * 38.0, 200 * 24.0
    fees = 80 + (sold + bought) * (0.0003503 + 0.000001)
    wanted = 1.18 * fees + 0.001 * sold + 0.00003 * bought
    assert int(result.days["charges"].sum()) / 100 == pytest.approx(wanted, abs=1.0)
    assert any(f"{name} that expire on {EXPIRY}: 200 units a lot" in one for one in result.notes)
    assert any("settled by delivery in 2 trading days" in one for one in result.notes)
    assert result.margin["peak"] > 0.142 * 1000 * 200 * 0.9, "the scan of a stock"


def test_backtest_and_replay_of_the_same_prices_make_the_same_trades(tmp_path: Path) -> None:
    rows = [(DAY, text, call, put) for text, call, put in (
        ("09:20:00", 21.0, 17.0), ("09:31:00", 21.0, 17.0), ("09:36:00", 21.0, 17.0),
        ("12:00:00", 13.0, 11.0), ("15:01:00", 13.0, 11.0), ("15:06:00", 13.0, 11.0),
    )]  # fmt: skip
    made = plan("HDFCBANK", lot=LOT)
    want = backtest_legs(made, source(chains(tmp_path, rows)), PLAIN)
    path = day_of(tmp_path, "HDFCBANK", strikes=range(900, 1101, 20), lot=LOT)
    for given in (made, plan("HDFCBANK")):
        got = replayed(path, given, cut=3)
        assert legs_of(got) == legs_of(want) and len(got.trades) == 2
        assert int(got.days["charges"].sum()) == int(want.days["charges"].sum()) > 0
        assert (want.grade, got.grade) == ("recorded", "replay")


def test_an_archive_of_the_live_feed_names_contracts_as_the_broker_does(tmp_path: Path) -> None:
    path = day_of(tmp_path, "BAJAJ-AUTO", named=dhan_symbol)
    assert legs_of(replayed(path, plan("BAJAJ-AUTO"))) == legs_of(
        replayed(day_of(folder(tmp_path), "BAJAJ-AUTO"), plan("BAJAJ-AUTO"))
    )


def test_of_two_exchanges_shares_it_is_that_of_nse(tmp_path: Path) -> None:
    both = {"symbol": "M&M NSE_EQ", "segment": "NSE_EQ", "security_id": "2031"}
    assert len(replayed(day_of(tmp_path, share=both), plan()).trades) == 2
    other = {"symbol": "M&M", "segment": "BSE_EQ", "security_id": "500520"}
    with pytest.raises(UsageError, match="no ticks of the stock M&M"):
        recorded_structure(plan(), [day_of(folder(tmp_path), share=other)])


def test_an_archive_without_lots_needs_the_files(tmp_path: Path) -> None:
    path = day_of(tmp_path, lot=0, tick=0)
    with pytest.raises(BadData, match=r"does not list the lot of its contracts.*lot = 500"):
        recorded_structure(plan(), [path])
    result = replayed(path, plan(lot=175))
    assert {one[2] for one in legs_of(result)} == {175}
    with pytest.raises(UsageError, match="no ticks of the stock TCS"):
        recorded_structure(plan("TCS"), [path])


# ---- expiry day ----------------------------------------------------------------------------------


def test_on_expiry_day_the_next_month_is_entered_and_left(tmp_path: Path) -> None:
    result = replayed(day_of(tmp_path, on=EXPIRY), plan())
    assert [one[0] for one in legs_of(result)] == [f"M&M {NEXT} 1000 CE", f"M&M {NEXT} 1000 PE"]
    assert len(result.trades) == 2, "in and out: nothing is held into the night"
    assert not any("PARTIAL" in note for note in result.notes)
    with pytest.raises(BadData, match="end in delivery today, and are not entered"):
        recorded_structure(plan(), [day_of(folder(tmp_path), on=EXPIRY, dates=(EXPIRY,))])


Shut = Callable[[LegsRun, int], None]


def _stopped(run: LegsRun, now_ns: int) -> None:
    run.loop.command(Command.STOP_ENTRIES, now_ns)
    run.loop.command(Command.PAUSE_ORDERS, now_ns)


def _locked(run: LegsRun, now_ns: int) -> None:
    run.loop.command(Command.LOCK, now_ns)


def _nothing(run: LegsRun, now_ns: int) -> None:
    pass


@pytest.mark.parametrize("shut", [_stopped, _locked, _nothing])
def test_nothing_keeps_the_last_days_exit_back(tmp_path: Path, shut: Shut) -> None:
    """The day before delivery: the day's loss beyond its limit, entries stopped and orders paused,
    or all of it locked; a feed of a few ticks. At the exit's time everything leaves."""
    last = Calendar.load().previous_trading_day(EXPIRY, ordinary=True)
    path = day_of(tmp_path, on=last, late=(4_000, 3_000))
    made = plan()
    ticks = recorded_structure(made, [path])
    tight = dataclasses.replace(PLAIN.risk, loss_day_max=100)
    run = LegsRun(made, dataclasses.replace(PLAIN, risk=tight), ticks.universe, hours(last),
                  journal(tmp_path, last))  # fmt: skip
    assert [slot.expiry for slot in ticks.universe.slots] == [EXPIRY]
    rows = np.concatenate(list(ticks.open(0)))
    second_ns, done = at("09:20:01", last), False
    for now in rows["recv_ns"].tolist():
        while second_ns <= now:
            run.loop.poll(second_ns)
            second_ns += SECOND
        if run.positions() and not done and now > at("14:00:00", last):
            shut(run, now)
            done = True
        run.loop.take_ticks(rows[rows["recv_ns"] == now][:1], now)
        run.loop.take_ticks(rows[rows["recv_ns"] == now][1:], now)
        if at("09:31:00", last) <= now < at("15:00:00", last):
            assert run.held_text() == "400 units in 2 contracts"
    assert done and run.flat and run.positions() == {}
    result = run.finish()
    assert [one[1:4] for one in legs_of(result)] == [(-1, 200, 420_000), (-1, 200, 340_000)]
    assert int(result.trades["gross"].sum()) == -200 * (1_900 + 1_300) < -100, (
        "the limit was passed"
    )


# ---- a generated day, and another life -----------------------------------------------------------


@pytest.fixture(name="generated", scope="module")
def _generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, RecordedStructure]:
    path = tmp_path_factory.mktemp("stock") / "generated.dfa"
    day = tick_day("BAJAJ-AUTO", DAY, seed=5, ticks=12_000, strikes=15)
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    made = plan("BAJAJ-AUTO", exit="11:00", order={"deadline": "5m"}, legs=[
        {"side": "sell", "right": "CE", "strike": "otm1", "stop": "40%"},
        {"side": "sell", "right": "PE", "strike": "otm1", "stop": "40%"},
        {"side": "buy", "right": "CE", "strike": "otm4"},
        {"side": "buy", "right": "PE", "strike": "otm4"},
    ])  # fmt: skip
    return made, recorded_structure(made, [path], end=dt.time(11, 30))


def drive(run: LegsRun, ticks: NDArray[Any], second_ns: int) -> int:
    for place, now in enumerate(ticks["recv_ns"].tolist()):
        while second_ns <= now:
            run.loop.poll(second_ns)
            second_ns += SECOND
        run.loop.poll(now)
        run.loop.take_ticks(ticks[place : place + 1], now)
    return second_ns


def test_paper_restarted_anywhere_is_the_replay(generated: Any, tmp_path: Path) -> None:
    made, recorded = generated
    replay = StructureReplay(made, recorded, Settings())
    for batch in recorded.open(0):
        replay.feed(batch)
    want = replay.finish()
    assert len(want.trades) == 4 and {one[2] for one in legs_of(want)} == {75}
    ticks = np.concatenate(list(recorded.open(0)))
    second_ns = int(ticks["recv_ns"][0]) // SECOND * SECOND + SECOND
    day, edges = hours(), np.linspace(0, len(ticks), 5).astype(int)

    def life() -> LegsRun:
        again = Universe.of_dict(json.loads(json.dumps(recorded.universe.as_dict())))
        return LegsRun(made, Settings(), again, day, journal(tmp_path))

    run, seen = life(), 0
    for low, high in itertools.pairwise(edges.tolist()):
        second_ns = drive(run, ticks[low:high], second_ns)
        held = run.positions()
        run.journal.close()
        with JournalReader(str(tmp_path / "day.dfj")) as reader:
            records = [(kind, bytes(payload)) for kind, _, _, payload in reader]
        run = life()
        run.journal.append_record(Kind.RESUME, b"{}", second_ns, vital=True)
        run.recover([*records, (Kind.RESUME, b"{}")], second_ns)
        assert run.positions() == held
        seen += len(held) == 4
    assert seen >= 2, "it was ended while it held"
    got = run.finish()
    assert got.trades.tobytes() == want.trades.tobytes()
    assert got.orders.tobytes() == want.orders.tobytes()
