"""Remote, path by path: each test says what the broker does and what must follow."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.live.records import IntentKind, Origin, Outcome, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag, OrderKind
from dhanfast.errors import ConfigError, OrderRefused, PoolFull

from .desk import CANCEL, LOT, MODIFY, MS, PLACE, QUERY, SECOND, Desk

FAR = 20_000  # a target that the market is not near


def held(**limits: int) -> tuple[Desk, int, dict[str, Any]]:
    """A long position of one lot whose stop rests at the broker: (desk, stop, its PLACE)."""
    desk = Desk(position=LOT, **limits)
    stop = desk.stop(9_900)
    placed = desk.one(PLACE)
    desk.resting(placed)
    return desk, stop, placed


def guarded(**limits: int) -> tuple[Desk, int, int, dict[str, Any]]:
    """As `held`, with a target at 10,100: (desk, stop, target, the stop's PLACE)."""
    desk = Desk(position=LOT, **limits)
    stop, target = desk.stop(9_900), desk.target(10_100)
    placed = desk.one(PLACE)
    desk.resting(placed)
    return desk, stop, target, placed


def kinds(desk: Desk) -> list[str]:
    return [IntentKind(made["kind"]).name for made in desk.sent()]


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


def test_a_market_sell_lies_below_the_bid_on_the_tick() -> None:
    desk = Desk()
    desk.quote(10_003, 10_011)
    desk.enter(-1)
    # 10,003 less 1 % (100 paise, rounded down) is 9,903; towards the market on the tick: 9,905.
    assert desk.one(PLACE)["price"] == 9_905


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
    assert desk.remote.stale_updates == 1 and desk.reports() == [] and desk.sent() == []


def test_an_update_of_an_order_that_is_not_ours_is_counted_and_has_no_effect() -> None:
    desk = Desk()
    desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    assert not desk.update(made, order=0, broker_id="X9", filled=LOT, value=LOT)
    assert desk.remote.foreign_updates == 1 and desk.reports() == []


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


# ---- doubt ---------------------------------------------------------------------------------------


def doubtful(**limits: int) -> tuple[Desk, int, dict[str, Any]]:
    desk = Desk(**limits)
    order = desk.enter()
    made = desk.one(PLACE)
    desk.answer(made, Outcome.UNKNOWN, code=-110)
    assert desk.there()[0]["state"] == "doubt" and desk.sent() == []
    desk.wait(SECOND)
    return desk, order, made


def test_an_order_in_doubt_is_queried_by_number_and_found() -> None:
    desk, order, made = doubtful()
    asked = desk.one(QUERY)
    assert asked["order"] == made["order"] and asked["broker_id"] == ""
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000, origin=Origin.REST)
    desk.answer(asked)
    assert desk.reports() == [("FILLED", order, LOT, 10_000, 0)]
    desk.wait(30 * SECOND)
    assert desk.sent() == [] and desk.remote.doubts == 1 and desk.remote.lost == 0


def test_an_order_in_doubt_is_lost_only_when_absent_often_and_long_enough() -> None:
    desk, order, _ = doubtful(lost_after_ns=5 * SECOND, absents_min=3)
    doubted_at, absents, reports = desk.now - SECOND, 0, desk.reports()
    while not reports:
        assert desk.now - doubted_at < 60 * SECOND
        for asked in desk.sent():
            assert asked["kind"] == QUERY
            desk.answer(asked, Outcome.ABSENT, code=404)
            absents += 1
        reports = desk.reports()
        desk.wait(100 * MS)
    assert reports == [("REJECTED", order, 0, 0, 0)] and desk.remote.lost == 1
    assert absents >= 3 and desk.now - doubted_at >= 5 * SECOND
    desk.wait(60 * SECOND)
    assert desk.there() == [] and desk.sent() == []


def test_answers_that_say_nothing_never_lose_an_order() -> None:
    desk, _, _ = doubtful(lost_after_ns=0, absents_min=1)
    for _ in range(40):
        for asked in desk.sent():
            desk.answer(asked, Outcome.UNKNOWN, code=503)
        desk.wait(7 * SECOND)
    assert desk.remote.lost == 0 and desk.there()[0]["state"] == "doubt"
    assert len(desk.sent()) == 1  # and it still asks


def test_an_exit_waits_while_the_stop_of_its_position_is_in_doubt() -> None:
    desk = Desk(position=LOT)
    desk.stop(9_900)
    made = desk.one(PLACE)
    desk.answer(made, Outcome.UNKNOWN, code=-110)
    desk.exit()
    desk.wait(SECOND)
    asked = desk.one(QUERY)  # nothing else is placed for the position
    desk.update(made, origin=Origin.REST)
    desk.answer(asked)
    changed = desk.one(MODIFY)
    assert changed["order"] == made["order"] and changed["order_kind"] == OrderKind.LIMIT


def test_an_order_that_turns_up_after_it_was_given_up_is_cancelled() -> None:
    desk, _, made = doubtful(lost_after_ns=0, absents_min=1)
    desk.answer(desk.one(QUERY), Outcome.ABSENT)
    assert desk.reports()[0][0] == "REJECTED" and desk.remote.lost == 1
    desk.update(made)
    asked = desk.one(CANCEL)
    assert asked["broker_id"] == "B1"
    desk.answer(asked)
    desk.update(made, Seen.CANCELLED)
    assert desk.reports() == [] and desk.there() == [] and desk.remote.stray_qty == 0


def test_what_an_entry_given_up_still_fills_is_counted_as_stray() -> None:
    desk, _, made = doubtful(lost_after_ns=0, absents_min=1)
    desk.answer(desk.one(QUERY), Outcome.ABSENT)
    desk.reports()
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000)
    assert desk.remote.stray_qty == LOT and desk.reports() == []


def test_a_stop_that_turns_up_again_closes_its_position_and_no_more() -> None:
    """Given up, replaced by an exit, and then it is there: both together take what is held."""
    desk = Desk(position=LOT, lost_after_ns=0, absents_min=1)
    stop = desk.stop(9_900)
    first = desk.one(PLACE)
    desk.answer(first, Outcome.UNKNOWN, code=-110)
    desk.wait(SECOND)
    desk.answer(desk.one(QUERY), Outcome.ABSENT)
    assert desk.reports() == [("REJECTED", stop, 0, 0, 0)]
    leaving = desk.exit()
    desk.wait(SECOND)
    second = desk.one(PLACE)
    desk.resting(second)
    desk.update(first)  # the stop rests after all
    assert desk.one(CANCEL)["order"] == first["order"]
    desk.update(first, Seen.TRADED, filled=LOT, value=LOT * 9_900)  # and filled before the cancel
    assert desk.reports() == [("FILLED", leaving, LOT, 9_900, 0)]
    assert desk.one(CANCEL)["order"] == second["order"] and desk.remote.stray_qty == 0


def test_an_order_that_was_taken_and_is_absent_for_long_is_given_up() -> None:
    """The broker took the stop and knows nothing of it any more: the position is not left alone."""
    desk, stop, placed = held(lost_after_ns=5 * SECOND, absents_min=3)
    desk.remote.read_all_again()
    for _ in range(200):
        for asked in desk.sent():
            assert asked["kind"] == QUERY
            desk.answer(asked, Outcome.ABSENT, code=404)
        desk.wait(100 * MS)
    assert desk.reports() == [("REJECTED", stop, 0, 0, 0)] and desk.remote.lost == 1


# ---- changes -------------------------------------------------------------------------------------


def test_an_exit_takes_over_the_line_of_the_stop() -> None:
    desk, _, placed = held()
    leaving = desk.exit()
    made = desk.one(MODIFY)
    assert (made["order"], made["broker_id"]) == (placed["order"], "B1")
    assert (made["order_kind"], made["trigger"], made["price"]) == (OrderKind.LIMIT, 0, 9_900)
    desk.answer(made)
    assert desk.reports() == [("ACCEPTED", leaving, 0, 0, LOT)]
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 9_995)
    reports = desk.reports()
    assert reports[0] == ("FILLED", leaving, LOT, 9_995, 0)
    assert [row[0] for row in reports[1:]] == ["CANCELLED"]  # the stop, of which nothing is left
    assert desk.there() == [] and desk.sent() == []


def test_a_resize_changes_the_whole_quantity_what_has_filled_included() -> None:
    desk = Desk(position=4 * LOT)
    stop = desk.stop(9_900, 2 * LOT)
    placed = desk.one(PLACE)
    desk.resting(placed)
    desk.update(placed, filled=LOT, value=LOT * 9_900)
    desk.reports()
    desk.resize(stop, 4 * LOT, trigger=9_900)
    made = desk.one(MODIFY)
    assert made["qty"] == 4 * LOT
    desk.answer(made)
    assert desk.reports() == [("ACCEPTED", stop, 0, 0, 3 * LOT)]


def test_every_request_of_the_kernel_is_answered_once() -> None:
    desk = Desk(position=3 * LOT)
    stop = desk.stop(9_900, LOT)
    placed = desk.one(PLACE)
    desk.resize(stop, 2 * LOT, trigger=9_900)
    desk.resize(stop, 3 * LOT, trigger=9_900)
    assert desk.sent() == [] and desk.reports() == []
    desk.answer(placed)
    assert desk.reports() == []  # the broker has one lot, three are asked for
    made = desk.one(MODIFY)
    assert made["qty"] == 3 * LOT
    desk.answer(made)
    assert desk.reports() == [("ACCEPTED", stop, 0, 0, 3 * LOT)] * 3


def test_a_fill_in_its_group_answers_what_another_leg_has_asked_for() -> None:
    """The target is told what is left of it even while its own resize has no answer."""
    desk = Desk(position=2 * LOT)
    stop, target = desk.stop(9_900, LOT), desk.target(10_100, LOT)
    placed = desk.one(PLACE)
    desk.resize(stop, 2 * LOT, trigger=9_900)
    desk.resize(target, 2 * LOT, price=10_100)
    desk.update(placed, Seen.TRADED, filled=LOT, value=LOT * 9_900)
    last = {order: left for _, order, _, _, left in desk.reports()}
    assert last == {stop: LOT, target: LOT}


def test_the_target_is_served_when_the_market_is_there_and_the_stop_when_it_has_left() -> None:
    desk, stop, target, placed = guarded()
    desk.quote(10_095, 10_100)
    assert desk.sent() == []  # a sell takes the bid
    desk.quote(10_100, 10_105)
    made = desk.one(MODIFY)
    assert (made["order_kind"], made["price"], made["trigger"]) == (OrderKind.LIMIT, 10_100, 0)
    desk.answer(made)
    desk.quote(10_090, 10_095)
    assert desk.sent() == []  # near: it may come back
    desk.quote(10_070, 10_080)
    made = desk.one(MODIFY)
    assert (made["order_kind"], made["price"], made["trigger"]) == (OrderKind.SL, 9_800, 9_900)
    desk.answer(made)
    desk.quote(10_100, 10_110)
    made = desk.one(MODIFY)
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_100)
    reports = [row[:2] for row in desk.reports()]
    assert ("FILLED", target) in reports and ("CANCELLED", stop) in reports


def test_a_stop_that_the_market_jumps_past_becomes_marketable() -> None:
    desk, _, _ = held()
    desk.quote(9_890, 9_895)  # triggered at the broker, its limit of 9,800 can be had
    assert desk.sent() == []
    desk.quote(9_700, 9_705)
    made = desk.one(MODIFY)
    assert (made["order_kind"], made["trigger"], made["price"]) == (OrderKind.LIMIT, 0, 9_605)


def test_a_protection_follows_a_market_that_has_gone_beyond_it() -> None:
    desk = Desk(position=LOT)
    desk.exit()
    made = desk.one(PLACE)
    desk.resting(made)
    desk.quote(made["price"], made["price"] + 5)
    assert desk.sent() == []
    desk.quote(made["price"] - 5, made["price"])
    assert desk.one(MODIFY)["price"] < made["price"]


def test_a_refused_change_is_read_and_asked_again() -> None:
    desk, _, placed = held()
    desk.exit()
    made = desk.one(MODIFY)
    desk.refuse(made, error=906)
    asked = desk.one(QUERY)
    desk.update(placed, origin=Origin.REST)  # still the stop
    desk.answer(asked)
    assert desk.one(MODIFY)["order_kind"] == OrderKind.LIMIT


def test_a_change_refused_because_it_has_filled_books_the_fill() -> None:
    desk, _, placed = held()
    leaving = desk.exit()
    desk.refuse(desk.one(MODIFY), error=906)
    asked = desk.one(QUERY)
    desk.update(placed, Seen.TRADED, filled=LOT, value=LOT * 9_890, origin=Origin.REST)
    desk.answer(asked)
    assert desk.reports()[0] == ("FILLED", leaving, LOT, 9_890, 0)
    assert desk.sent() == [] and desk.there() == []


def test_a_change_that_is_refused_three_times_is_made_by_a_new_order() -> None:
    desk, _, placed = held()
    desk.exit()
    seen = []
    for _ in range(100):
        for made in desk.sent():
            seen.append(IntentKind(made["kind"]).name)
            if made["kind"] == MODIFY:
                desk.refuse(made, error=906)
            elif made["kind"] == QUERY:
                desk.update(placed, origin=Origin.REST)
                desk.answer(made)
            else:
                break
        if seen[-1:] == ["CANCEL"]:
            break
        desk.wait(100 * MS)
    assert seen.count("MODIFY") == 3
    desk.answer(made)
    assert desk.sent() == []  # nothing is placed before the old one is seen to be gone
    desk.update(placed, Seen.CANCELLED)
    new = desk.one(PLACE)
    assert new["order"] > placed["order"] and new["order_kind"] == OrderKind.LIMIT


def test_a_change_turned_away_at_the_door_waits_and_is_not_held_against_the_order() -> None:
    desk, _, _ = held()
    desk.exit()
    made = []
    for answer in ({"code": 429}, {"code": 401, "error": 901}, {"code": -111}, {"code": 429}):
        made.append(desk.one(MODIFY))
        desk.refuse(made[-1], **answer)
        assert desk.sent() == []
        desk.wait(SECOND)
    assert desk.one(MODIFY)["order"] == made[0]["order"]  # changed, never cancelled


@pytest.mark.parametrize("done", [True, False])
def test_a_change_without_a_clear_answer_is_read(done: bool) -> None:
    desk, _, placed = held()
    leaving = desk.exit()
    made = desk.one(MODIFY)
    desk.answer(made, Outcome.UNKNOWN, code=-110)
    asked = desk.one(QUERY)
    desk.update(made if done else placed, origin=Origin.REST)
    desk.answer(asked)
    if done:
        assert desk.sent() == [] and desk.reports() == [("ACCEPTED", leaving, 0, 0, LOT)]
    else:
        assert desk.one(MODIFY)["price"] == made["price"]


def test_a_change_that_arrives_after_it_was_given_up_is_noticed() -> None:
    """Timed out, read as not done, asked otherwise, and then the first one arrives: read again."""
    desk, stop, placed = held()
    desk.resize(stop, LOT, trigger=9_950)
    late = desk.one(MODIFY)
    desk.answer(late, Outcome.UNKNOWN, code=-110)
    desk.update(placed, origin=Origin.REST)
    desk.answer(desk.one(QUERY))
    desk.resize(stop, LOT, trigger=9_920)
    newer = [made for made in desk.sent() if made["kind"] == MODIFY][-1:]
    while not newer or newer[0]["trigger"] != 9_920:
        if newer:
            desk.answer(newer[0])
        newer = [made for made in desk.sent() if made["kind"] == MODIFY][-1:]
    desk.answer(newer[0])
    assert desk.sent() == []
    desk.update(late)  # the socket shows the late one in force
    desk.wait(SECOND)
    asked = desk.one(QUERY)
    desk.update(late, origin=Origin.REST)
    desk.answer(asked)
    assert desk.one(MODIFY)["trigger"] == 9_920


def test_a_read_from_before_a_change_does_not_undo_what_is_known_of_it() -> None:
    """A book of orders asked for by another part arrives late: it is no proof of terms."""
    desk, _, placed = held()
    desk.exit()
    made = desk.one(MODIFY)
    desk.answer(made)
    desk.reports()
    desk.update(placed, origin=Origin.REST)
    desk.wait(SECOND)
    assert kinds(desk) == ["QUERY"]


def test_after_so_many_changes_an_order_is_placed_anew() -> None:
    desk, stop, placed = held(modifies_max=2)
    for trigger in (9_905, 9_910):
        desk.resize(stop, LOT, trigger=trigger)
        desk.answer(desk.one(MODIFY))
    desk.resize(stop, LOT, trigger=9_915)
    taken_away = desk.one(CANCEL)
    assert desk.sent() == []
    desk.answer(taken_away)
    desk.update(placed, Seen.CANCELLED)
    new = desk.one(PLACE)
    assert new["order"] > placed["order"] and new["trigger"] == 9_915
    desk.answer(new)
    assert [row[:2] for row in desk.reports()] == [("ACCEPTED", stop)] * 3


def test_an_order_that_fills_while_it_is_replaced_is_not_placed_anew() -> None:
    desk, stop, placed = held(modifies_max=1)
    desk.resize(stop, LOT, trigger=9_905)
    desk.answer(desk.one(MODIFY))
    desk.resize(stop, LOT, trigger=9_910)
    desk.refuse(desk.one(CANCEL), error=906)
    desk.update(placed, Seen.TRADED, filled=LOT, value=LOT * 9_900, origin=Origin.REST)
    assert desk.reports()[-1] == ("FILLED", stop, LOT, 9_900, 0)
    assert PLACE not in [made["kind"] for made in desk.sent()]


# ---- cancels -------------------------------------------------------------------------------------


def test_a_cancel_is_believed_when_the_end_is_seen() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    desk.cancel(order)
    asked = desk.one(CANCEL)
    desk.answer(asked, code=202)
    assert desk.reports() == []
    desk.update(made, Seen.CANCELLED)
    assert desk.reports() == [("CANCELLED", order, 0, 0, 0)]


def test_a_cancel_that_races_a_fill_books_the_fill() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    desk.cancel(order)
    desk.answer(desk.one(CANCEL))
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000)
    assert desk.reports() == [("FILLED", order, LOT, 10_000, 0)]


def test_a_cancel_that_nobody_confirms_is_read_and_asked_again() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    desk.cancel(order)
    desk.answer(desk.one(CANCEL))
    desk.wait(SECOND)
    asked = desk.one(QUERY)
    desk.update(made, origin=Origin.REST)  # it works on
    desk.answer(asked)
    desk.one(CANCEL)


def test_a_cancel_before_the_answer_waits_for_it() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.cancel(order)
    assert desk.sent() == []
    desk.answer(made)
    desk.one(CANCEL)


def test_an_order_cancelled_by_another_hand_ends() -> None:
    desk, stop, placed = held()
    desk.update(placed, Seen.CANCELLED)
    assert desk.reports() == [("CANCELLED", stop, 0, 0, 0)]
    assert desk.sent() == []
    desk.update(placed, Seen.PENDING)  # late: it is known to be gone
    assert desk.sent() == [] and desk.there() == []


# ---- limits --------------------------------------------------------------------------------------


def test_no_second_has_more_requests_than_allowed_whatever_their_kind() -> None:
    desk = Desk(per_second=3)
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
    desk = Desk(position=LOT, **{limit: 2})
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
    desk, stop, target, placed = guarded()
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
