"""A generated day of ticks: the same for ever, exact in number, valid, linked with the bars."""

import hashlib
import math
import tracemalloc
from datetime import date
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import generate, instruments
from dhanfast.market.calendar import Calendar
from dhanfast.market.generate import generate_bars, second_path
from dhanfast.market.tickday import TickDay, tick_day

DAY = date(2025, 11, 17)
SECOND = 10**9


def ticks_of(day: TickDay) -> Any:
    return np.concatenate([batch.ticks for batch in day])


def digest(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


@pytest.fixture(scope="module")
def chain() -> tuple[TickDay, Any]:
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=600_000)
    return day, ticks_of(day)


# ---- the same for ever -------------------------------------------------------------------------


def test_the_bytes_are_pinned() -> None:
    """Another value here changes every run on generated ticks: say so in CHANGELOG."""
    day = tick_day("NIFTY", DAY, seed=7, ticks=50_000, strikes=5, depth_levels=5)
    batches = list(day)
    assert (
        digest(*(b.ticks for b in batches))
        == "aa644202ad83100da2774e3029c5bd6d883336538b1fc85530784412ff3c50a8"
    )
    assert (
        digest(*(b.depth for b in batches))
        == "9a1ad02360250d471b7e6eddab499731c12a7b438b7e79b9e32fc5c80ea819a4"
    )


def test_batch_and_books_do_not_change_the_ticks() -> None:
    want = digest(ticks_of(tick_day("NIFTY", DAY, seed=2, ticks=30_000)))
    day = tick_day("NIFTY", DAY, seed=2, ticks=30_000, depth_levels=20, batch=777)
    assert digest(ticks_of(day)) == want == digest(ticks_of(day))  # iterating again as well
    assert all(len(batch.ticks) <= 777 and len(batch.depth) for batch in day)
    assert digest(ticks_of(tick_day("NIFTY", DAY, seed=3, ticks=30_000))) != want


@pytest.mark.parametrize("ticks", [44, 45, 999, 100_001])
def test_the_number_of_ticks_is_exact(ticks: int) -> None:
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=ticks)
    found = ticks_of(day)
    assert len(found) == day.ticks == ticks
    assert found.dtype == TICK_DTYPE
    assert np.array_equal(np.unique(found["instrument"]), np.arange(44))  # everyone has one


def test_activity_is_a_feeds_unless_a_number_is_asked() -> None:
    day = tick_day("BANKNIFTY", DAY, seed=1, strikes=1)
    per_second = np.bincount(ticks_of(day)["instrument"]) / 22_500
    assert per_second == pytest.approx([4.0, 0.95, 1.1, 1.1], rel=0.2)


def test_memory_does_not_grow_with_the_ticks() -> None:
    def peak(ticks: int) -> int:
        tracemalloc.start()
        for batch in tick_day("NIFTY", DAY, seed=1, ticks=ticks, depth_levels=5, batch=4096):
            assert batch.ticks.nbytes <= 4096 * 72
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10_000)  # fills the caches of calendar and tables
    assert peak(400_000) < 1.05 * peak(40_000)


# ---- valid record by record --------------------------------------------------------------------


def assert_valid(day: TickDay, ticks: Any) -> None:
    assert np.all(np.diff(ticks["recv_ns"]) > 0)
    late = ticks["recv_ns"] - ticks["exch_ns"]
    assert late.min() > 1_000_000 and np.all(ticks["exch_ns"] % 1_000_000 == 0)
    assert 2_000_000 < np.median(late) < 9_000_000
    for one in day.instruments:
        mine = ticks[ticks["instrument"] == one.index]
        assert np.all(np.diff(mine["exch_ns"]) >= 0)
        for name in ("price", "bid", "ask"):
            assert np.all(mine[name] % one.tick == 0) and np.all(mine[name] >= 0), name
        if one.kind == "IDX":
            assert np.all(mine["price"] > 0)
            for name in ("bid", "ask", "bid_qty", "ask_qty", "qty", "volume", "oi", "flags"):
                assert not mine[name].any(), name
            continue
        assert np.all((mine["bid"] > 0) & (mine["bid"] < mine["ask"]))
        for name in ("bid_qty", "ask_qty", "qty", "volume", "oi"):
            assert np.all(mine[name] % one.lot == 0), name
        assert np.all(mine["bid_qty"] > 0) and np.all(mine["ask_qty"] > 0)
        np.testing.assert_array_equal(np.cumsum(mine["qty"].astype(np.uint64)), mine["volume"])
        np.testing.assert_array_equal(mine["qty"] > 0, mine["price"] > 0)
        assert mine["price"][0] > 0, "the first record is a trade"
        before = mine[np.maximum(np.arange(len(mine)) - 1, 0)]
        trade = mine["price"] > 0
        assert np.all(mine["price"][trade] <= np.maximum(mine["ask"], before["ask"])[trade])
        assert np.all(mine["price"][trade] >= np.minimum(mine["bid"], before["bid"])[trade])


def test_every_record_is_valid(chain: tuple[TickDay, Any]) -> None:
    assert_valid(*chain)


@pytest.mark.parametrize("symbol", sorted(generate.MARKETS))
def test_every_market_has_a_day(symbol: str) -> None:
    day = tick_day(symbol, DAY, seed=5, ticks=20_000, strikes=3)
    assert_valid(day, ticks_of(day))
    assert day.instruments[0].symbol == symbol


@pytest.mark.parametrize("when", [
    date(2024, 11, 1),   # an hour in the evening
    date(2024, 3, 2),    # a drill with two windows
    date(2026, 8, 5),    # the index is broadcast for less than its derivatives trade
    date(2025, 11, 25),  # the day both options and future expire
])  # fmt: skip
def test_ticks_fill_the_hours_of_the_calendar(when: date) -> None:
    day = tick_day("NIFTY", when, seed=3, ticks=30_000, strikes=11)
    ticks = ticks_of(day)
    assert_valid(day, ticks)
    for segment, mine in (("NSE_FNO", ticks[ticks["instrument"] > 0]),
                          ("NSE_INDEX", ticks[ticks["instrument"] == 0])):  # fmt: skip
        session = Calendar.load().day(when, segment)
        assert session is not None
        inside = np.zeros(len(mine), bool)
        for start, end in session.windows:
            part = (mine["exch_ns"] >= start) & (mine["exch_ns"] < end)
            assert part.any()
            inside |= part
            assert mine["exch_ns"][part].max() > end - 120 * SECOND
        assert inside.all()


def test_repeated_trades_are_on_request() -> None:
    plain = ticks_of(tick_day("NIFTY", DAY, seed=1, ticks=20_000))
    full = ticks_of(tick_day("NIFTY", DAY, seed=1, ticks=20_000, repeat_last=True))
    for name in set(TICK_DTYPE.names or ()) - {"price", "qty"}:
        np.testing.assert_array_equal(plain[name], full[name])
    for number in range(1, 44):
        mine, theirs = plain[plain["instrument"] == number], full[full["instrument"] == number]
        last = np.maximum.accumulate(np.where(mine["price"] > 0, np.arange(len(mine)), 0))
        np.testing.assert_array_equal(mine["price"][last], theirs["price"])
        np.testing.assert_array_equal(mine["qty"][last], theirs["qty"])


def test_books_stand_behind_the_quotes() -> None:
    """The laws of a book are in tests/core/test_flow.py; here: units, tick, lot, pairing."""
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=40_000, depth_levels=5, strikes=5)
    for ticks, depth in day:
        assert depth.dtype == DEPTH_DTYPE
        assert depth["recv_ns"][0] >= ticks["recv_ns"][0]
        assert depth["recv_ns"][-1] <= ticks["recv_ns"][-1]
        for one in day.instruments:
            mine = depth[depth["instrument"] == one.index]
            assert len(mine) == 0 if one.kind == "IDX" else len(mine) > 10
            if len(mine):
                assert np.all(mine["price"] % one.tick == 0) and np.all(mine["qty"] % one.lot == 0)


# ---- one market with the bars ------------------------------------------------------------------


def test_index_ticks_lie_on_the_seconds_of_the_bars(chain: tuple[TickDay, Any]) -> None:
    _, ticks = chain
    (bars,) = generate_bars("BANKNIFTY", DAY, DAY, seed=1, interval="1s")
    index = ticks[ticks["instrument"] == 0]
    # A stamp is up to three milliseconds early: an instant's second may be the next one.
    second = (index["exch_ns"] - bars["start_ns"][0]) // SECOND
    closes = np.concatenate([bars["open"][:1], bars["close"], bars["close"][-1:]])
    around = np.stack([closes[second], closes[second + 1], closes[second + 2]])
    assert np.all(index["price"] >= around.min(axis=0) - 5)
    assert np.all(index["price"] <= around.max(axis=0) + 5)
    assert len(np.unique(second)) > 22_000


def test_quotes_of_the_future_hold_its_path(chain: tuple[TickDay, Any]) -> None:
    day, ticks = chain
    (bars,) = generate_bars("BANKNIFTY", DAY, DAY, seed=1, interval="1s", instrument="FUT")
    future = ticks[ticks["instrument"] == 1]
    assert day.instruments[1].tick == math.gcd(*np.unique(bars["close"]).tolist())
    second = (future["exch_ns"] - bars["start_ns"][0]) // SECOND
    closes = np.concatenate([bars["open"][:1], bars["close"], bars["close"][-1:]])
    around = np.stack([closes[second], closes[second + 1], closes[second + 2]])
    step = day.instruments[1].tick
    assert np.all(future["bid"] <= around.max(axis=0) + step)
    assert np.all(future["ask"] >= around.min(axis=0) - step)


def oracle_cdf(x: Any) -> Any:
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])


def forwards(day: TickDay, times: Any, option: Any) -> tuple[Any, Any, float]:
    """Forward of an option's expiry and years left at some instants, and its discount."""
    path = second_path(day.symbol, day.day, seed=day.seed)
    opens = path.day.windows[0][0]
    future = np.interp((times - opens) / 1e9, np.arange(len(path.future)), path.future)
    carry = generate.CARRY_YEARLY * (option.expiry - day.day).days / 365
    ratio = (1 + carry) / (1 + generate.CARRY_YEARLY * (path.expiry - day.day).days / 365)
    session = Calendar.load().day(option.expiry)
    assert session is not None
    years = (session.close_ns - times) / (365 * 86_400e9)
    return future * ratio, years, 1 / (1 + carry)


def test_quotes_of_options_hold_the_price_of_black(chain: tuple[TickDay, Any]) -> None:
    """Premiums by libm's error function, at the volatility the day was planned with."""
    day, ticks = chain
    for option in day.instruments[2:]:
        mine = ticks[ticks["instrument"] == option.index]
        # The instant is within two milliseconds after its stamp.
        forward, years, discount = forwards(day, mine["exch_ns"] + 1_500_000, option)
        deviation = float(day.parts["lanes"]["volatility"][option.index]) * np.sqrt(years)
        d1 = np.log(forward / option.strike) / deviation + deviation / 2
        price = forward * oracle_cdf(d1) - option.strike * oracle_cdf(d1 - deviation)
        price = discount * (price if option.kind == "CE" else price - (forward - option.strike))
        room = option.tick + 0.002 * np.abs(np.diff(forward, prepend=forward[0])).max()
        assert np.all(mine["bid"] <= price + room), option.symbol
        assert np.all(mine["ask"] >= price - room), option.symbol


def test_calls_and_puts_keep_parity_within_their_quotes(chain: tuple[TickDay, Any]) -> None:
    day, ticks = chain
    pairs = 0
    for call, put in zip(day.instruments[2::2], day.instruments[3::2], strict=True):
        assert call.strike == put.strike and (call.kind, put.kind) == ("CE", "PE")
        left, right = (ticks[ticks["instrument"] == one.index] for one in (call, put))
        at = np.searchsorted(right["exch_ns"], left["exch_ns"])
        keep = at < len(right)
        left, at = left[keep], at[keep]
        near = right["exch_ns"][at] - left["exch_ns"] <= 30_000_000
        left, right = left[near], right[at[near]]
        pairs += len(left)
        forward, _, discount = forwards(day, left["exch_ns"], call)
        want = discount * (forward - call.strike)
        room = 4 * call.tick + 0.03 * np.abs(np.diff(forward, prepend=forward[0])).max()
        assert np.all(left["bid"].astype(float) - right["ask"] <= want + room), call.symbol
        assert np.all(left["ask"].astype(float) - right["bid"] >= want - room), call.symbol
    assert pairs > 5_000


def test_instruments_are_contracts_of_the_tables(chain: tuple[TickDay, Any]) -> None:
    day, ticks = chain
    index, future, *options = day.instruments
    assert (index.symbol, index.kind, index.tick, index.lot) == ("BANKNIFTY", "IDX", 5, 0)
    assert (future.symbol, future.lot, future.tick) == ("BANKNIFTY25NOVFUT", 35, 20)
    assert [one.index for one in day.instruments] == list(range(44))
    strikes = [one.strike for one in options[::2]]
    assert strikes == list(range(strikes[0], strikes[0] + 21 * 10_000, 10_000))
    opened = ticks["price"][ticks["instrument"] == 0][0]
    assert abs(strikes[10] - opened) < 10_000
    for one in options:
        meant = instruments.parse_nse_symbol(one.symbol)
        assert (meant.kind, meant.strike, meant.expiry) == (one.kind, one.strike, one.expiry)
        assert (one.expiry, one.tick, one.lot) == (date(2025, 11, 25), 5, 35)


def test_some_instruments_can_be_chosen() -> None:
    day = tick_day("NIFTY", DAY, seed=1, ticks=5_000, instruments=["FUT", "CE"], strikes=3)
    assert [one.kind for one in day.instruments] == ["FUT", "CE", "CE", "CE"]
    assert [one.index for one in day.instruments] == [0, 1, 2, 3]
    only = tick_day("NIFTY", DAY, seed=1, ticks=500, instruments=[day.instruments[2].symbol])
    assert [one.symbol for one in only.instruments] == [day.instruments[2].symbol]
    found = ticks_of(only)
    assert len(found) == 500 and not found["instrument"].any()
    none = tick_day("NIFTY", DAY, seed=1, ticks=500, strikes=0)
    assert [one.kind for one in none.instruments] == ["IDX", "FUT"]


# ---- activity ----------------------------------------------------------------------------------


def test_the_money_is_busier_than_the_wings_and_the_ends_than_noon(
    chain: tuple[TickDay, Any],
) -> None:
    day, ticks = chain
    records = np.bincount(ticks["instrument"])
    calls = records[2::2]
    assert calls.max() > 2 * calls[0] and calls.max() > 2 * calls[-1]
    assert 6 <= int(np.argmax(calls)) <= 14
    minute = (ticks["recv_ns"] - day.parts["minutes"][0]) // (60 * SECOND)
    quoted = np.bincount(minute[ticks["instrument"] > 0], minlength=375)
    assert quoted[0] > 2 * quoted[180] and quoted[350:365].mean() > 1.1 * quoted[170:190].mean()
    volume = {one.index: int(ticks["volume"][ticks["instrument"] == one.index][-1])
              for one in day.instruments[2:]}  # fmt: skip
    near = sum(volume[one.index] for one in day.instruments[12:34])
    assert near > 0.6 * sum(volume.values())


def test_busy_seconds_come_together() -> None:
    counts = np.zeros(22_500)
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=1_500_000)
    for ticks, _ in day:
        options = ticks[ticks["instrument"] > 1]
        second = (options["exch_ns"] - day.parts["minutes"][0]) // SECOND
        counts += np.bincount(second, minlength=22_500)
    noon = counts[9_000:15_000]
    assert noon.var() > 1.5 * noon.mean()  # independent arrivals would give 1.0
    assert np.corrcoef(noon[1:], noon[:-1])[0, 1] > 0.3


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbol": "BANKNFTY"}, "BANKNIFTY"),
        ({"day": date(2025, 11, 16)}, "no trading on 2025-11-16"),
        ({"day": "2025-11-17"}, "2025-11-17"),
        ({"seed": -1}, "seed is -1"),
        ({"ticks": 43}, "ticks is 43; give a whole number from 44"),
        ({"ticks": 0}, "ticks is 0"),
        ({"ticks": 1e6}, "ticks is 1000000.0"),
        ({"ticks": True}, "ticks is True"),
        ({"ticks": 2**48 + 1}, "ticks is"),
        ({"strikes": -1}, "strikes is -1"),
        ({"strikes": 2048}, "strikes is 2048"),
        ({"strikes": 1999, "symbol": "NIFTY"}, "strikes is 1999: the lowest"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": 2**24 + 1}, "batch is"),
        ({"depth_levels": 7}, "depth_levels is 7"),
        ({"depth_levels": False}, "depth_levels is False"),
        ({"instruments": []}, "instruments is"),
        ({"instruments": "FUT"}, "instruments is 'FUT'"),
        ({"instruments": ["FUTT"]}, "FUT"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"symbol": "BANKNIFTY", "day": DAY, "seed": 1} | change
    with pytest.raises(UsageError, match=message):
        tick_day(given.pop("symbol"), given.pop("day"), **given)


def test_dates_and_contracts_outside_the_tables_are_refused() -> None:
    with pytest.raises(OutOfCalendar, match="market calendar"):
        tick_day("NIFTY", date(2035, 1, 2), seed=1)
    with pytest.raises(OutOfCalendar, match="expiry rules"):
        tick_day("NIFTY", date(2009, 6, 1), seed=1)


# ---- stocks in the place of an index -----------------------------------------------------------


@pytest.mark.parametrize("symbol", sorted(generate.STOCKS))
def test_a_stock_lists_its_share_and_contracts_of_its_lot(symbol: str) -> None:
    """Ticks by the price, monthly contracts of the rule for stocks, strikes of two steps."""
    day = tick_day(symbol, DAY, seed=1, ticks=9_000, strikes=15)
    share, future, *options = day.instruments
    level = second_path(symbol, DAY, seed=1).level
    assert (share.symbol, share.kind, share.lot) == (symbol, "EQ", 1)
    assert share.tick == instruments.tick("EQ", DAY, level=level)
    assert {one.lot for one in (future, *options)} == {generate.STOCKS[symbol].lot}
    assert {one.expiry for one in (future, *options)} == {date(2025, 11, 25)}
    assert {one.tick for one in options} == {instruments.tick("OPT_STK", DAY, level=level)}
    named = instruments.parse_nse_symbol(options[0].symbol, stocks=[symbol])
    assert (named.underlying, named.strike) == (symbol, options[0].strike)
    calls = [one.strike for one in options if one.kind == "CE"]
    steps = np.diff(calls)
    near = int(steps.min())
    assert steps.tolist() == [2 * near] * 4 + [near] * 6 + [2 * near] * 4
    assert abs(calls[7] - second_path(symbol, DAY, seed=1).index[0]) <= near / 2


def test_a_stocks_ticks_lie_on_its_path_and_end_with_its_hours() -> None:
    day = tick_day("M&M", date(2026, 8, 4), seed=1, ticks=20_000, strikes=3)
    ticks, path = ticks_of(day), second_path("M&M", date(2026, 8, 4), seed=1)
    mine = ticks[ticks["instrument"] == 0]
    hours = Calendar.load().day(date(2026, 8, 4), "NSE_EQ")
    assert hours is not None
    start, end = hours.windows[0]
    assert (mine["exch_ns"] >= start).all() and (mine["exch_ns"] < end).all()
    assert ticks["exch_ns"].max() > end, "its options trade on"
    at = (mine["exch_ns"] - path.day.open_ns) // SECOND
    assert np.abs(mine["price"] - path.index[at]).max() < 0.002 * path.index[0]
    assert (mine["price"] % day.instruments[0].tick == 0).all()


def test_refusals_of_a_stock() -> None:
    with pytest.raises(UsageError, match="symbol 'WIPRO' is not known"):
        tick_day("WIPRO", DAY, seed=1)
    with pytest.raises(UsageError, match="the lowest would not be positive; give at most"):
        tick_day("RELIANCE", DAY, seed=1, strikes=500)
