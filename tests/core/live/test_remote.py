"""Remote, path by path: what leaves, what fills, what is refused, limits and days."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.live.records import Origin, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag, OrderKind
from dhanfast.errors import ConfigError, OrderRefused, PoolFull

from .desk import CANCEL, LOT, MS, PLACE, QUERY, SECOND, Desk, guarded, held, kinds

# ---- what leaves ---------------------------------------------------------------------------------


def test_a_market_entry_leaves_as_a_limit_one_percent_beyond_the_market() -> None:
    desk = Desk()
    order = desk.enter(1)
    made = desk.one(PLACE)
    assert (made["id"], made["order"], made["side"], made["qty"]) == (1, 1, 1, LOT)
    assert (made["order_kind"], made["price"], made["trigger"]) == (OrderKind.LIMIT, 10_110, 0)
    assert made["broker_id"] == "" and made["tries"] == 0 and made["flags"] == 0
    assert desk.reports() == []  # nothing is said before the broker has spoken
    desk.answer(made)
    assert desk.reports() == [("ACCEPTED", order, 0, 0, LOT)]


def test_a_new_life_skips_numbers_that_the_last_one_may_have_used() -> None:
    """A power cut can take the newest requests out of the journal; the broker may have them."""
    desk = Desk()
    desk.enter(1)
    assert desk.one(PLACE)["order"] == 1
    desk.remote.begin_life()
    desk.enter(1)
    assert desk.one(PLACE)["order"] == 1_002


def test_a_market_sell_lies_below_the_bid_on_the_tick() -> None:
    desk = Desk()
    desk.quote(10_003, 10_011)
    desk.enter(-1)
    # 10,003 less 1 % (100 paise, rounded down) is 9,903; towards the market on the tick: 9,905.
    assert desk.one(PLACE)["price"] == 9_905


@pytest.mark.parametrize(
    ("bid", "ask", "side", "price"),
    # The premium's slab: 5 % below 10 rupees, 3 % below 100, 2 % below 500, else 1 %.
    [(45, 50, 1, 55), (9_90, 9_95, 1, 10_40), (99_90, 99_95, 1, 102_90), (99_90, 99_95, -1, 96_95),
     (100_00, 100_05, -1, 98_00), (600_00, 600_05, 1, 606_05), (600_00, 600_05, -1, 594_00)],
)  # fmt: skip
def test_without_a_share_the_premium_protects(bid: int, ask: int, side: int, price: int) -> None:
    desk = Desk(protection_e4=0)
    desk.quote(bid, ask)
    desk.enter(side)
    assert desk.one(PLACE)["price"] == price


@pytest.mark.parametrize(("trigger", "price"), [(80_00, 77_60), (99_00, 96_05), (5_00, 4_75)])
def test_without_a_share_a_stop_has_the_room_of_its_premium(trigger: int, price: int) -> None:
    desk = Desk(position=LOT, stop_room_e4=0)
    desk.stop(trigger)
    made = desk.one(PLACE)
    assert (made["order_kind"], made["trigger"], made["price"]) == (OrderKind.SL, trigger, price)


@pytest.mark.parametrize(("side", "band", "price"), [(1, "band_high", 10_050),
                                                     (-1, "band_low", 9_950)])  # fmt: skip
def test_a_protection_stays_inside_the_band(side: int, band: str, price: int) -> None:
    desk = Desk(session={band: price})
    desk.enter(side)
    assert desk.one(PLACE)["price"] == price


def test_a_market_order_without_a_market_is_refused() -> None:
    desk = Desk()
    desk.remote.start_session(desk.session)  # forgets the prices
    order = desk.enter()
    assert desk.sent() == []
    assert desk.reports() == [("REJECTED", order, 0, 0, 0)]


def test_the_last_price_serves_when_there_is_no_quote() -> None:
    desk = Desk()
    desk.remote.start_session(desk.session)
    desk.remote.on_tick({"exch_ns": desk.now, "price": 8_000})
    desk.enter(1)
    assert desk.one(PLACE)["price"] == 8_080


def test_a_stop_market_leaves_as_a_stop_limit_with_room() -> None:
    desk = Desk(position=LOT)
    desk.stop(9_900)
    made = desk.one(PLACE)
    assert (made["order_kind"], made["side"]) == (OrderKind.SL, -1)
    assert (made["trigger"], made["price"]) == (9_900, 9_800)  # 1 % below, 9,801, on the tick
    assert made["flags"] == OrderFlag.EXIT | OrderFlag.STOP


def test_stop_and_target_are_one_order_at_the_broker() -> None:
    desk = Desk(position=LOT)
    stop, target = desk.stop(9_900), desk.target(10_100)
    made = desk.one(PLACE)
    assert made["order_kind"] == OrderKind.SL
    desk.answer(made)
    assert sorted(desk.reports()) == [("ACCEPTED", stop, 0, 0, LOT),
                                      ("ACCEPTED", target, 0, 0, LOT)]  # fmt: skip
    assert desk.sent() == []


def test_a_stop_whose_trigger_the_market_is_beyond_leaves_as_a_marketable_limit() -> None:
    desk = Desk(position=LOT)
    desk.quote(9_890, 9_900)
    desk.stop(9_900)
    made = desk.one(PLACE)
    assert (made["order_kind"], made["trigger"]) == (OrderKind.LIMIT, 0)
    assert made["price"] == 9_795  # 9,890 less 98, towards the market


# ---- fills ---------------------------------------------------------------------------------------


def test_fills_come_from_cumulative_quantity_and_value_exact_to_the_paisa() -> None:
    desk = Desk()
    order = desk.enter(1, 4 * LOT)
    made = desk.one(PLACE)
    desk.answer(made)
    desk.reports()
    desk.update(made, filled=LOT, value=LOT * 10_010)
    # 75 more for 751,000 paise: 13.33 above 10,013 each, so 62 at 10,013 and 13 at 10,014.
    desk.update(made, filled=2 * LOT, value=LOT * 10_010 + 750_988)
    reports = desk.reports()
    assert reports[0] == ("FILLED", order, LOT, 10_010, 3 * LOT)
    assert [(qty, price) for _, _, qty, price, _ in reports[1:]] == [(62, 10_013), (13, 10_014)]
    assert sum(qty * price for _, _, qty, price, _ in reports) == LOT * 10_010 + 750_988
    desk.update(made, Seen.TRADED, filled=4 * LOT, value=4 * LOT * 10_012)
    reports = desk.reports()
    assert reports[-1][4] == 0 and sum(qty for _, _, qty, _, _ in reports) == 2 * LOT
    assert desk.there() == [] and desk.sent() == []


@given(parts=st.lists(st.tuples(st.integers(1, 40), st.integers(9_000, 11_000)), min_size=1,
                      max_size=8), data=st.data())  # fmt: skip
def test_updates_late_twice_and_in_any_order_make_the_same_books(
    parts: list[tuple[int, int]], data: st.DataObject
) -> None:
    desk = Desk()
    total = -(-sum(qty for qty, _ in parts) // LOT) * LOT
    desk.enter(1, total)
    made = desk.one(PLACE)
    told, filled, value = [], 0, 0
    for qty, price in parts:
        filled, value = filled + qty, value + qty * price
        told.append((filled, value))
    desk.answer(made)
    shuffled = data.draw(st.permutations(told + told[:2]))
    for filled, value in [*shuffled, told[-1]]:
        desk.update(made, filled=filled, value=value)
    fills = [row for row in desk.reports() if row[0] == "FILLED"]
    assert sum(row[2] for row in fills) == told[-1][0]
    assert sum(row[2] * row[3] for row in fills) == told[-1][1]
    assert desk.remote.stray_qty == 0


def test_a_fill_before_the_answer_counts_once_and_the_answer_adds_nothing() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_010)
    assert desk.reports() == [("FILLED", order, LOT, 10_010, 0)]
    assert desk.answer(made)
    assert desk.reports() == [] and desk.sent() == []


def test_quantity_without_a_value_is_not_booked_but_read_again() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    desk.update(made, Seen.TRADED, filled=LOT, value=0)
    assert desk.reports() == []
    desk.wait(SECOND)
    asked = desk.one(QUERY)
    assert asked["broker_id"] == "B1"
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000, origin=Origin.REST)
    desk.answer(asked)
    assert desk.reports() == [("FILLED", order, LOT, 10_000, 0)]


def test_an_update_that_says_less_than_is_known_is_stale() -> None:
    desk = Desk()
    desk.enter(1, 2 * LOT)
    made = desk.one(PLACE)
    desk.resting(made)
    desk.update(made, filled=LOT, value=LOT * 10_000)
    desk.reports()
    desk.update(made, Seen.TRANSIT)
    assert desk.remote.odd_events() == {"STALE": 1} and desk.reports() == [] and desk.sent() == []


def test_an_update_of_an_order_that_is_not_ours_is_counted_and_has_no_effect() -> None:
    desk = Desk()
    desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    assert not desk.update(made, order=0, broker_id="X9", filled=LOT, value=LOT)
    assert desk.remote.odd_events() == {"FOREIGN": 1} and desk.reports() == []


def test_an_update_without_our_number_is_found_by_the_brokers() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    assert desk.update(made, Seen.TRADED, order=0, filled=LOT, value=LOT * 10_000)
    assert desk.reports() == [("FILLED", order, LOT, 10_000, 0)]


def test_traded_without_all_of_it_is_read_again() -> None:
    desk = Desk()
    desk.enter(1, 2 * LOT)
    made = desk.one(PLACE)
    desk.resting(made)
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000)
    desk.wait(SECOND)
    desk.one(QUERY)


# ---- refusals ------------------------------------------------------------------------------------


def test_an_entry_that_the_broker_refuses_is_rejected_and_not_asked_again() -> None:
    desk = Desk()
    order = desk.enter()
    desk.refuse(desk.one(PLACE), error=906)
    assert desk.reports() == [("REJECTED", order, 0, 0, 0)]
    desk.wait(60 * SECOND)
    assert desk.sent() == [] and desk.there() == []


def test_part_filled_and_then_rejected_keeps_the_part() -> None:
    desk = Desk()
    order = desk.enter(1, 2 * LOT)
    made = desk.one(PLACE)
    desk.resting(made)
    desk.update(made, Seen.REJECTED, filled=LOT, value=LOT * 10_000)
    assert desk.reports() == [("FILLED", order, LOT, 10_000, LOT), ("REJECTED", order, 0, 0, 0)]
    assert desk.sent() == []


def test_a_place_answered_with_rejected_is_read() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.answer(made, seen=Seen.REJECTED)
    asked = desk.one(QUERY)
    desk.update(made, Seen.REJECTED, origin=Origin.REST)
    desk.answer(asked)
    assert desk.reports()[-1] == ("REJECTED", order, 0, 0, 0)


@pytest.mark.parametrize("answer", [{"code": 429}, {"code": 400, "error": 904},
                                    {"code": 429, "error": 805}, {"code": -111},
                                    {"code": 401, "error": 901}])  # fmt: skip
def test_an_entry_turned_away_at_the_door_is_refused_an_exit_is_asked_again(
    answer: dict[str, int],
) -> None:
    desk = Desk()
    order = desk.enter()
    desk.refuse(desk.one(PLACE), **answer)
    assert desk.reports() == [("REJECTED", order, 0, 0, 0)]
    desk.wait(30 * SECOND)
    assert desk.sent() == []

    desk = Desk(position=LOT)
    desk.exit()
    first = desk.one(PLACE)
    desk.refuse(first, **answer)
    assert desk.reports() == [] and desk.sent() == []
    desk.wait(SECOND)
    again = desk.one(PLACE)
    assert again["order"] == first["order"] and again["id"] > first["id"]
    assert again["tries"] == 1


def test_the_broker_says_how_long_to_wait() -> None:
    desk = Desk(position=LOT)
    desk.exit()
    desk.refuse(desk.one(PLACE), 429, retry_after_s=7)
    desk.wait(6_900 * MS)
    assert desk.sent() == []
    desk.wait(100 * MS)
    desk.one(PLACE)


def test_exits_that_are_refused_again_and_again_are_spaced_out() -> None:
    desk = Desk(position=LOT)
    gaps = []
    for _ in range(6):
        desk.exit()
        asked_at = desk.now
        while not (made := desk.sent()):
            desk.wait(100 * MS)
        gaps.append((desk.now - asked_at) // MS)
        desk.refuse(made[0], error=906)
        assert desk.reports()[-1][0] == "REJECTED"
    assert gaps[0] == 0 and gaps == sorted(gaps)
    assert 400 <= gaps[1] <= 500 and 6_400 <= gaps[5] <= 6_500


# ---- limits --------------------------------------------------------------------------------------


def test_no_second_has_more_requests_than_allowed_whatever_their_kind() -> None:
    desk = Desk(per_second=3, exits_kept_e2=0)
    orders = [desk.enter() for _ in range(3)]
    first = desk.sent()
    assert len(first) == 3
    for made in first:
        desk.answer(made)
    for order in orders:
        desk.cancel(order)
    assert desk.sent() == []  # cancels count too
    desk.wait(999 * MS)
    assert desk.sent() == []
    desk.wait(1 * MS)
    assert kinds(desk) == ["CANCEL"] * 3


@pytest.mark.parametrize(("limit", "wait"), [("per_minute", 60), ("per_hour", 3_600)])
def test_a_full_window_refuses_entries_and_lets_exits_pass(limit: str, wait: int) -> None:
    desk = Desk(position=LOT, **{limit: 3})
    desk.enter(), desk.enter()
    for made in desk.sent():
        desk.refuse(made)
    desk.reports()
    refused = desk.enter()
    assert desk.reports() == [("REJECTED", refused, 0, 0, 0)] and desk.sent() == []
    desk.exit()
    assert desk.one(PLACE)["flags"] == OrderFlag.EXIT
    desk.wait(wait * SECOND)
    desk.enter()
    desk.one(PLACE)


def test_a_days_limit_refuses_entries_until_the_next_day() -> None:
    desk = Desk(position=LOT, per_day=1)
    desk.enter()
    desk.refuse(desk.one(PLACE))
    desk.wait(7_200 * SECOND)
    desk.enter()
    assert desk.sent() == []
    desk.exit()
    desk.resting(desk.one(PLACE))
    desk.remote.start_session(desk.session)
    desk.quote(10_000, 10_010)
    desk.enter()
    desk.one(PLACE)


# ---- days, places, settings ----------------------------------------------------------------------


def test_a_new_day_ends_what_was_left_of_the_old_one() -> None:
    desk, stop, target, _ = guarded()
    desk.remote.start_session(desk.session)
    assert sorted(desk.reports()) == [("EXPIRED", stop, 0, 0, 0), ("EXPIRED", target, 0, 0, 0)]
    assert desk.there() == [] and desk.sent() == []


def test_an_order_of_yesterday_that_is_still_there_is_cancelled() -> None:
    desk, _, placed = held()
    desk.remote.start_session(desk.session)
    desk.reports()
    desk.update(placed)
    assert desk.one(CANCEL)["broker_id"] == "B1"


def test_read_all_again_asks_for_every_order_at_the_broker_once() -> None:
    desk, _, _ = held()
    desk.remote.read_all_again()
    desk.remote.read_all_again()
    desk.one(QUERY)


def test_an_answer_that_nobody_waits_for_is_let_fall() -> None:
    desk = Desk()
    desk.enter()
    made = desk.one(PLACE)
    assert desk.answer(made) and not desk.answer(made)
    assert not desk.answer(made | {"id": 77}) and not desk.answer(made | {"id": 0})


def test_places_of_finished_orders_are_used_again() -> None:
    desk = Desk(per_minute=4_000, per_second=1_000)
    for _ in range(200):
        desk.enter()
        made = desk.one(PLACE)
        desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000)
        desk.answer(made)
        assert len(desk.reports()) == 1
    assert desk.there() == []


def test_more_orders_than_there_are_places_are_refused() -> None:
    desk = Desk(per_second=1_000)
    for _ in range(32):
        desk.enter()
    with pytest.raises(PoolFull):
        desk.enter()


def test_what_the_gate_has_not_approved_is_refused() -> None:
    desk = Desk()
    order = {"id": 1, "side": 1, "qty": LOT, "kind": OrderKind.MARKET}
    stranger = Gate(instruments=1).check(order, mark=10_000, session=desk.session)
    with pytest.raises(OrderRefused):
        desk.remote.submit_order(stranger, desk.now)
    twice = desk.gate.check(order, mark=10_000, session=desk.session)
    desk.remote.submit_order(twice, desk.now)
    with pytest.raises(OrderRefused):
        desk.remote.submit_order(twice, desk.now)
    with pytest.raises(OrderRefused):
        desk.resize(99, LOT)
    with pytest.raises(OrderRefused):
        desk.cancel(99)


@pytest.mark.parametrize("bad", [{"per_second": 0}, {"protection_e4": 5_000}, {"per_day": 9.5},
                                 {"lost_after_ns": -1}, {"speed": 1}])  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"remote.{next(iter(bad))}"):
        Remote(Gate(), **bad)
