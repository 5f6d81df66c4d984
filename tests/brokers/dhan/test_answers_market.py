"""Snapshots, chains, candles, statements: golden bodies, other shapes, refusals."""

from typing import Any

import numpy as np
import pytest

from dhanfast.brokers.dhan import answers_account as account
from dhanfast.brokers.dhan import answers_data as data
from dhanfast.brokers.dhan import answers_orders as orders
from dhanfast.errors import BadData

from .stage import fixture
from .test_answers import utc_ns


def test_snapshots_of_the_three_forms() -> None:
    ltp = data.snapshots_of(fixture("rest/marketfeed_ltp"))
    assert {key: one.last for key, one in ltp.items()} == {
        ("NSE_EQ", 11536): 452_000, ("NSE_FNO", 49081): 36_815, ("NSE_FNO", 49082): 69_435,
    }  # fmt: skip
    day = data.snapshots_of(fixture("rest/marketfeed_ohlc"))["NSE_EQ", 11536]
    assert (day.open, day.high, day.low, day.previous_close) == (452_145, 453_000, 450_000, 450_785)
    full = data.snapshots_of(fixture("rest/marketfeed_quote"))
    share, option = full["NSE_EQ", 11536], full["NSE_FNO", 49081]
    assert share.last_trade_ns == utc_ns(2026, 7, 22, 10, 31, 7) and share.volume == 1_203_311
    assert share.bids[0] == data.Level(452_545, 10, 1) and len(share.asks) == 5
    assert option.last_trade_ns == 0 and len(option.bids) == 2 and option.asks == ()


@pytest.mark.parametrize(
    "said", [None, [], {}, {"data": []}, {"data": {"NSE_EQ": 5}}, {"data": {"NSE_EQ": {"x": {}}}},
             {"data": {"NSE_EQ": {"1": {"last_price": "much"}}}}],
)  # fmt: skip
def test_a_snapshot_of_another_shape_is_refused(said: Any) -> None:
    with pytest.raises(BadData):
        data.snapshots_of(said)


def test_a_chain_at_any_depth() -> None:
    raw = fixture("rest/option_chain")
    for said in (raw, {"data": raw, "status": "success"}):
        chain = data.chain_of(said)
        strikes = [row.strike for row in chain.rows]
        assert chain.last == 2_564_280 and strikes == sorted(strikes) and 2_560_000 in strikes
    first = chain.rows[0]
    assert first.call is not None and first.call.security_id == 42526
    assert (first.call.bid, first.call.ask, first.call.last) == (16_105, 16_150, 16_150)
    assert first.call.iv == pytest.approx(9.789193798280868, rel=1e-15)
    one_sided = {"data": {"last_price": 1, "oc": {"100.000000": {"ce": {"last_price": 2}}}}}
    assert data.chain_of(one_sided).rows[0].put is None
    with pytest.raises(BadData, match=r"data\.oc is missing"):
        data.chain_of({"data": {}})


def test_expiries() -> None:
    assert data.expiries_of(fixture("rest/expiry_list"))[0] == "2026-07-28"
    with pytest.raises(BadData, match="a list of dates"):
        data.expiries_of({"data": [1]})


def test_candles_are_utc_and_paise() -> None:
    daily = data.candles_of(fixture("rest/charts_daily"))
    assert daily.start_ns[0] == 1_784_485_800 * 10**9 == utc_ns(2026, 7, 20)
    assert daily.open.tolist() == [169_000, 170_000, 170_250] and daily.volume[0] == 3_937_092
    minutes = fixture("rest/charts_intraday")
    candles = data.candles_of(minutes)
    assert len(candles) == 375 and candles.start_ns[0] == utc_ns(2026, 7, 22, 9, 15)
    np.testing.assert_array_equal(candles.close, np.rint(np.array(minutes["close"]) * 100))
    assert len(data.candles_of(fixture("rest/charts_empty"))) == 0
    assert len(data.candles_of(None)) == 0


@pytest.mark.parametrize("name", ["open", "volume", "close"])
def test_columns_of_different_lengths_are_refused(name: str) -> None:
    raw = fixture("rest/charts_daily")
    with pytest.raises(BadData, match=f"{name} has 2 values for 3 candles"):
        data.candles_of({**raw, name: raw[name][:-1]})


def test_pieces_are_joined_without_repeats_and_in_order() -> None:
    whole = data.candles_of(fixture("rest/charts_intraday"))

    def cut(first: int, last: int) -> data.Candles:
        raw = fixture("rest/charts_intraday")
        return data.candles_of({name: column[first:last] for name, column in raw.items()})

    both = data.joined([cut(0, 200), cut(199, 375)])
    np.testing.assert_array_equal(both.start_ns, whole.start_ns)
    np.testing.assert_array_equal(both.close, whole.close)
    with pytest.raises(BadData, match="not in order of time"):
        data.joined([cut(200, 300), cut(0, 100)])
    assert len(data.joined([])) == 0


def test_a_candle_made_up_at_the_end_goes() -> None:
    raw = {"open": [1, 5], "high": [2, 5], "low": [1, 5], "close": [2, 5], "volume": [9, 0],
           "timestamp": [100, 200]}  # fmt: skip
    assert len(data.without_flat_tail(data.candles_of(raw))) == 1
    traded = data.candles_of({**raw, "volume": [9, 1]})
    moved = data.candles_of({**raw, "close": [2, 4], "low": [1, 4]})
    assert len(data.without_flat_tail(traded)) == 2 == len(data.without_flat_tail(moved))


def test_expired_options() -> None:
    raw = fixture("rest/charts_rollingoption")
    call = data.expired_of(raw, "CALL")
    assert set(call.columns) == {"open", "close"} and call.columns["open"].tolist() == [
        35_400, 36_030,
    ]  # fmt: skip
    assert len(data.expired_of(raw, "PUT")) == 0
    assert len(data.joined_expired([call, data.expired_of(raw, "PUT"), call])) == 4
    bad = {"data": {"ce": {"timestamp": [1, 2], "open": [1]}}}
    with pytest.raises(BadData, match="open has 1 values for 2"):
        data.expired_of(bad, "CALL")
    other = data.expired_of({"data": {"ce": {"timestamp": [1], "iv": [1.5]}}}, "CALL")
    assert other.columns["iv"].tolist() == [1.5]
    with pytest.raises(BadData, match="same columns"):
        data.joined_expired([call, other])


def test_super_forever_and_conditional_orders() -> None:
    (entry,) = orders.super_orders(fixture("rest/super_orders"))
    stop, target = entry.legs
    assert entry.last == 170_195 and entry.entry.filled == 4
    assert (stop.leg, stop.trail, stop.left) == ("STOP_LOSS_LEG", 200, 4)
    assert (target.status, target.price, target.qty) == ("TRIGGERED", 175_000, 0)
    flags = [one.flag for one in orders.forever_orders(fixture("rest/forever_orders"))]
    assert flags == ["SINGLE", "OCO", "OCO"]
    (alert,) = orders.alerts(fixture("rest/conditional_order"))
    assert alert.created_ns == utc_ns(2026, 7, 22, 9, 45, 22) and alert.triggered_ns == 0
    assert alert.last == 170_250 and len(alert.orders) == 1
    with pytest.raises(BadData, match="alertId is missing"):
        orders.alerts([{"alertStatus": "ACTIVE"}])


def test_the_account() -> None:
    profile = account.profile_of(fixture("rest/profile"))
    assert profile.token_ends_ns == utc_ns(2026, 7, 23, 8, 45) and profile.has_data
    assert profile.segments == ("Equity", "Derivative", "Currency", "Commodity")
    margin = account.margin_of(fixture("rest/margin"))
    assert (margin.total, margin.leverage) == (280_000, "4.00")
    snake = account.margins_of(fixture("rest/margin_multi"))
    camel = account.margins_of({"totalMargin": 150000.0, "foMargin": 0, "currency": 0.0})
    assert snake.total == camel.total == 15_000_000 and (snake.currency, camel.currency) == (
        "INR", "0",
    )  # fmt: skip
    (line,) = account.ledger_of(fixture("rest/ledger"))
    assert (line.debit, line.balance) == (2_000_000, 95_729)
    assert account.ledger_of(fixture("rest/ledger")[0]) == [line]
    (charged,) = account.trades_charged(fixture("rest/trade_history"))
    assert charged.charges["exchange"] == 13_500 and charged.charges["gst"] == 2_500
    assert charged.trade.symbol == "Sym Ltd"
    state = account.pnl_exit_of(fixture("rest/pnl_exit"))
    assert (state.profit, state.loss, state.kill_switch) == (500_000, 200_000, True)
    assert [h.qty for h in account.holdings_of(fixture("rest/holdings"))] == [100, 5]


def test_words_that_mean_the_kill_switch() -> None:
    assert account.kill_switch_of(fixture("rest/kill_switch"))
    assert account.kill_switch_of(fixture("rest/kill_switch_status"))
    off = "Kill Switch has been successfully deactivated"
    assert not account.kill_switch_of({"killSwitchStatus": off})
    with pytest.raises(BadData, match="neither"):
        account.kill_switch_of({"killSwitchStatus": "done"})


def test_the_address_in_both_forms() -> None:
    plain = account.ip_of(fixture("rest/ip"))
    assert (plain.primary, plain.secondary) == ("203.0.113.7", "203.0.113.8")
    assert plain.matches is None and plain.orders_allowed is None
    live = account.ip_of({"ip": "203.0.113.7", "ordersAllowed": False, "ipMatchStatus": "MATCH"})
    assert live.primary == "203.0.113.7" and live.matches and live.orders_allowed is False


@pytest.mark.parametrize(
    ("read", "said"),
    [(account.profile_of, {}), (account.profile_of, []), (account.margin_of, {}),
     (account.margins_of, {"x": 1})],
)  # fmt: skip
def test_an_answer_about_nothing_is_refused(read: Any, said: Any) -> None:
    with pytest.raises(BadData):
        read(said)
