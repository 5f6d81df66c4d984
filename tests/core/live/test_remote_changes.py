"""Remote changing and cancelling: one order serves a position, whatever races it."""

import pytest

from dhanfast._core.live.records import IntentKind, Origin, Outcome, Seen
from dhanfast._core.types import OrderKind

from .desk import CANCEL, LOT, MODIFY, MS, PLACE, QUERY, SECOND, Desk, guarded, held, kinds

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
    desk, stop, target, _ = guarded()
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
    made, gaps = [], []
    for answer in ({"code": 429}, {"code": 401, "error": 901}, {"code": -111}, {"code": 429}):
        made.append(desk.one(MODIFY))
        desk.refuse(made[-1], **answer)
        began = desk.now
        while desk.remote.out_count == 0:
            desk.wait(100 * MS)
        gaps.append((desk.now - began) // (100 * MS))
    assert gaps == [8, 16, 32, 64]  # tenths of a second
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


def test_a_cancel_that_takes_long_is_asked_about_less_and_less() -> None:
    desk = Desk()
    order = desk.order(1, LOT, OrderKind.LIMIT, price=9_500)
    made = desk.one(PLACE)
    desk.resting(made)
    desk.cancel(order)
    asked: list[tuple[str, int]] = []
    began = desk.now
    while desk.now - began < 30 * SECOND:
        while requests := desk.sent():
            (request,) = requests
            tenths = (desk.now - began) // (100 * MS)
            asked.append((IntentKind(request["kind"]).name, tenths))
            if request["kind"] == QUERY:
                desk.update(made, origin=Origin.REST)  # it works on
            desk.answer(request)
        desk.wait(100 * MS)
    assert [kind for kind, _ in asked[:4]] == ["CANCEL", "QUERY", "CANCEL", "QUERY"]
    assert [tenths for kind, tenths in asked if kind == "CANCEL"] == [
        0,
        2,
        6,
        14,
        30,
        62,
        126,
        190,
        254,
    ]
    desk.update(made, Seen.CANCELLED)  # the socket tells it at once
    assert desk.reports() == [("CANCELLED", order, 0, 0, 0)]
    assert desk.there() == []


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
