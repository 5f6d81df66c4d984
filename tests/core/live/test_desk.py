"""The desk of several Remotes, path by path: whose it is, what is shared, what a contract is."""

import gc

import pytest

from dhanfast._core.live.budget import SharedAccount
from dhanfast._core.live.desk import Desk as OrderDesk
from dhanfast._core.live.lines import Odd
from dhanfast._core.live.records import Outcome, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast.errors import ConfigError, OrderRefused, UsageError

from .desk import (
    CANCEL,
    GROUP,
    LOT,
    MODIFY,
    MS,
    OPEN,
    PLACE,
    QUERY,
    SECOND,
    SESSION,
    Desk,
    kinds,
)
from .seats import Seats

NOT_LISTED = 0xFFFFFFFF


def holding(*contracts: int, side: int = 1, **limits: int) -> Seats:
    """Every place holds a lot of its contract, with its stop at rest."""
    seats = Seats(contracts, **limits)
    for seat in seats.seats:
        seat.position = side * LOT
        seat.order(-side, LOT, 3, trigger=10_000 - side * 100, flags=3, group=GROUP + seat.place)
    for made in seats.sent():
        assert seats.answer(made)
    for seat in seats.seats:
        seat.reports()
    return seats


# ---- what is shared ------------------------------------------------------------------------------


def test_numbers_and_request_ids_come_from_one_source() -> None:
    seats = Seats((1, 2, 3))
    seats[2].enter()
    seats[0].enter(-1)
    seats[1].enter()
    made = seats.sent()
    assert [row["id"] for row in made] == [1, 2, 3]
    assert [row["order"] for row in made] == [1, 2, 3]
    assert [row["instrument"] for row in made] == [3, 1, 2]  # in the order they were made


def test_requests_are_taken_oldest_first_over_all_places() -> None:
    seats = Seats((1, 2, 3))
    for place in (1, 0, 2, 0, 1):
        seats[place].enter()
    assert seats.desk.out_count == 5
    assert [row["id"] for row in seats.sent()] == [1, 2, 3, 4, 5]
    assert seats.desk.out_count == 0 and seats.sent() == []


def test_reports_of_a_place_carry_it_and_stay_there() -> None:
    seats = Seats((7, 8))
    order = seats[1].enter()
    seats.fill(seats.one(PLACE))
    rows = seats[1].remote.take_reports()
    assert {int(row["instrument"]) for row in rows} == {1}
    assert {int(row["order_id"]) for row in rows} == {order}
    assert seats[0].reports() == []


def test_entries_of_one_leg_leave_another_its_way_out() -> None:
    """Five a second, one of them kept: four entries leave at once, then an exit still does."""
    seats = holding(1, 2, per_second=5, exits_kept_e2=20)
    seats.wait(2 * SECOND)
    for _ in range(6):
        seats[0].enter(1)
    assert kinds_of(seats) == ["PLACE"] * 4
    seats[1].exit_of()
    assert kinds_of(seats) == ["MODIFY"]
    seats.wait(1001 * MS)
    assert kinds_of(seats) == ["PLACE"] * 2  # what was held is due at the desk


def kinds_of(seats: Seats) -> list[str]:
    return kinds(seats)  # type: ignore[arg-type]


def test_a_broker_that_says_too_fast_holds_entries_of_all_and_no_exit() -> None:
    seats = holding(1, 2)
    seats[0].enter()
    made = seats.one(PLACE)
    seats.answer(made, Outcome.REFUSED, code=429, error=904, retry_after_s=1)
    seats[1].enter()
    assert seats.sent() == []
    seats[1].exit_of()
    assert kinds_of(seats) == ["MODIFY"]
    assert seats.desk.wait_of(seats.now) == SECOND and seats.desk.wait_of(
        seats.now, urgent=True
    ) == 0  # fmt: skip
    seats.wait(SECOND)
    assert kinds_of(seats) == ["PLACE"]


def test_requests_that_went_another_way_count_for_all() -> None:
    seats = Seats((1, 2), per_second=4, exits_kept_e2=0)
    seats.desk.spend_requests(3)
    seats[0].enter()
    seats[1].enter()
    assert len(seats.sent()) == 1 and seats.desk.requests_today == 4
    assert seats.desk.requests == 1


def test_a_new_life_skips_numbers_once() -> None:
    seats = Seats((1, 2))
    seats.desk.begin_life()
    seats[0].enter()
    seats[1].enter()
    assert [row["order"] for row in seats.sent()] == [1_001, 1_002]


def test_a_clock_that_was_set_back_holds_nobody_up() -> None:
    """Both entries wait for the budget; the clock goes back an hour: they leave as they would."""
    seats = Seats((1, 2), per_second=1)
    seats[0].enter()
    assert kinds_of(seats) == ["PLACE"]
    seats.wait(500 * MS)
    seats[1].enter()
    assert seats.sent() == []
    due = seats.desk.due_ns
    seats.desk.tell(seats.now, seats.now - 3_600 * SECOND)
    assert seats.desk.due_ns == due - 3_600 * SECOND
    seats.desk.tell(seats.now, seats.desk.due_ns)
    seats.desk.go_on()
    assert kinds_of(seats) == ["PLACE"]


# ---- whose it is ---------------------------------------------------------------------------------


def test_answers_and_updates_find_their_place() -> None:
    seats = Seats((1, 2))
    seats[0].enter()
    seats[1].enter()
    first, second = seats.sent()
    assert seats.answer(second) and seats[0].reports() == []
    assert [row[0] for row in seats[1].reports()] == ["ACCEPTED"]
    seats.fill(first)
    assert [row[0] for row in seats[0].reports()] == ["FILLED"]
    assert seats.update(second, Seen.TRADED, order=0, filled=LOT, value=LOT * 10_000)  # by its id
    assert [row[0] for row in seats[1].reports()] == ["FILLED"]
    assert seats.desk.odd_events() == {}


def test_what_is_nobodys_is_counted_once() -> None:
    seats = Seats((1, 2, 3))
    seats[1].enter()
    made = seats.one(PLACE)
    assert not seats.answer(made | {"id": 99}) and not seats.answer(made | {"id": 0})
    assert not seats.update(made, order=98, broker_id=b"X9")
    assert not seats.update(made, order=0, broker_id=b"")
    assert seats.desk.odd_events() == {"FOREIGN": 2, "UNASKED": 2}
    assert seats.desk.odd_count == 4 and all(r.odd_count == 0 for r in seats.desk.remotes)
    assert seats.answer(made) and not seats.answer(made)  # and a second answer
    assert seats.desk.odd_events()["UNASKED"] == 3


def test_our_number_says_more_than_the_brokers_id() -> None:
    """An update with the number of one leg's order and the broker's id of another's."""
    seats = Seats((1, 2))
    seats[0].enter()
    seats[1].enter()
    for made in (sent := seats.sent()):
        seats.answer(made)
    for seat in seats.seats:
        seat.reports()
    seats.update(sent[1], Seen.TRADED, filled=LOT, value=LOT * 9_000, broker_id=b"B1")
    assert seats[0].reports() == []
    assert seats[1].reports() == [("FILLED", 2, LOT, 9_000, 0)]
    assert seats.desk.odd_events() == {"TWIN": 1}


def test_an_update_of_another_contract_has_no_effect_and_is_asked_about() -> None:
    seats = holding(1, 2)
    seats[1].enter()
    made = seats.one(PLACE)
    seats.answer(made)
    seats[1].reports()
    assert seats.update(made, Seen.TRADED, instrument=1, filled=LOT, value=LOT * 10_000)
    assert seats.desk.odd_events() == {Odd.SWAPPED.name: 1} and seats[1].reports() == []
    seats.wait(SECOND)
    query = seats.one(QUERY)
    assert (query["instrument"], query["order"]) == (2, made["order"])
    seats.update(made, Seen.TRADED, instrument=NOT_LISTED, filled=LOT, value=LOT * 10_000)
    assert [row[0] for row in seats[1].reports()] == ["FILLED"]  # one that names none


@pytest.mark.parametrize("state", ["opening", "doubt", "working", "done"])
def test_another_contract_has_no_effect_in_any_state(state: str) -> None:
    seats = Seats((1, 2))
    seats[1].enter()
    made = seats.one(PLACE)
    if state == "doubt":
        seats.answer(made, Outcome.UNKNOWN, code=503)
    elif state != "opening":
        seats.answer(made)
    if state == "done":
        seats.update(made, Seen.CANCELLED)
    seats[1].reports()
    before = seats.desk.orders_there()
    for seen in Seen:
        assert seats.update(made, seen, instrument=1, filled=LOT, value=LOT * 10_000)
    assert seats[1].reports() == [] == seats.sent()
    assert seats.desk.orders_there() == before and (not before or before[0]["state"] == state)
    assert seats.desk.odd_events() == {"SWAPPED": len(Seen)}
    seats.wait(10 * SECOND)
    asked = {"opening": [], "doubt": ["QUERY"], "working": ["QUERY"], "done": []}
    assert kinds_of(seats) == asked[state]


def test_odd_events_of_all_places_add_up() -> None:
    seats = holding(1, 2)
    for order in seats.desk.orders_there():
        stop = {"order": order["number"], "instrument": order["instrument"], "qty": LOT,
                "price": order["price"], "trigger": order["trigger"], "order_kind": 2, "side": 1,
                "id": 0, "kind": PLACE}  # fmt: skip
        assert seats.update(stop)  # of the other side
    assert seats.desk.odd_events() == {"TURNED": 2} and seats.desk.odd_count == 2


# ---- contracts -----------------------------------------------------------------------------------


def test_a_leg_that_moves_on_takes_away_what_it_left() -> None:
    """The old order is cancelled as what it is; the new one is of the new contract."""
    seats = Seats((4, 5))
    seats[0].enter()
    old = seats.one(PLACE)
    seats.answer(old)
    seats[0].reports()
    seats[0].move(9)
    assert seats[0].reports() == [("EXPIRED", 1, 0, 0, 0)]
    cancel = seats.one(CANCEL)
    assert (cancel["instrument"], cancel["order"]) == (4, old["order"])
    seats[0].enter()
    new = seats.one(PLACE)
    assert (new["instrument"], new["order"]) == (9, 2)
    there = {order["number"]: order["instrument"] for order in seats.desk.orders_there()}
    assert there == {old["order"]: 4, new["order"]: 9}
    seats.answer(cancel)
    seats.update(old, Seen.CANCELLED)
    assert [order["instrument"] for order in seats.desk.orders_there()] == [9]


def test_what_the_old_contract_still_fills_is_nobodys() -> None:
    seats = Seats((4, 5))
    seats[0].enter(-1)
    old = seats.one(PLACE)
    seats[0].move(9)
    assert seats.sent() == []  # its placing has no answer yet: nothing else is asked of it
    assert seats.answer(old)
    assert seats.one(CANCEL)["instrument"] == 4
    seats.fill(old)
    assert seats[0].remote.stray_qty == -LOT and seats.desk.stray_qty == LOT
    assert [row[0] for row in seats[0].reports()] == ["EXPIRED"]


def test_prices_of_the_old_contract_are_forgotten() -> None:
    seats = Seats((4,))
    seats[0].remote.trade(9)
    seats[0].enter()
    assert [(row[0]) for row in seats[0].reports()] == ["REJECTED"]  # no market
    assert seats.sent() == []


def test_an_order_left_behind_is_not_changed_by_another_contracts_prices() -> None:
    """The leg moved on without a session: its stop stays what it was, whatever the new market."""
    seats = holding(1)
    seats[0].remote.trade(2)
    for bid in (5_000, 20_000, 9_000):
        seats[0].quote(bid, bid + 10)
        seats.wait(9 * SECOND)
    assert seats.sent() == []
    assert [order["instrument"] for order in seats.desk.orders_there()] == [1]


def test_an_entry_left_behind_is_not_priced_by_another_contract() -> None:
    seats = Seats((1,))
    seats[0].enter()
    seats.answer(seats.one(PLACE))
    seats[0].remote.trade(2)
    seats[0].quote(20_000, 20_010)
    assert seats.sent() == []
    assert [(order["instrument"], order["price"]) for order in seats.desk.orders_there()] == [
        (1, 10_110)
    ]


def test_an_order_to_be_placed_anew_does_not_turn_into_one_of_another_contract() -> None:
    """Changed once too often it is cancelled to be placed again, and the leg has moved on."""
    seats = Seats((1,), modifies_max=1)
    order = seats[0].enter()
    placed = seats.one(PLACE)
    seats.answer(placed)
    seats[0].quote(10_200, 10_210)
    seats.answer(seats.one(MODIFY))
    seats[0].quote(10_400, 10_410)
    cancel = seats.one(CANCEL)
    seats[0].reports()
    seats[0].remote.trade(2)
    seats[0].quote(300, 305)
    seats.answer(cancel)
    seats.update(placed, Seen.CANCELLED)
    assert seats.sent() == [] and seats.desk.orders_there() == []
    assert seats[0].reports() == [("REJECTED", order, 0, 0, 0)]


def test_the_same_day_does_not_begin_again_with_another_contract() -> None:
    seats = Seats((1, 2))
    for _ in range(3):
        seats[0].enter()
    assert seats.desk.requests_today == len(seats.sent()) == 3
    seats[1].move(6)
    assert seats.desk.requests_today == 3
    seats[0].session = seats[0].session | {"date": 20260715}
    seats[0].remote.start_session(seats[0].session)
    assert seats.desk.requests_today == 0
    seats[0].quote(10_000, 10_010)
    seats[0].enter()
    seats[1].remote.start_session(seats[1].session | {"date": 20260715})
    assert seats.desk.requests_today == 1  # the new day began with the first of them


def test_a_new_day_ends_what_was_there() -> None:
    seats = holding(1, 2)
    for seat in seats.seats:
        seat.remote.start_session(seat.session | {"date": 20260715})
    assert seats.desk.orders_there() == [] and seats.sent() == []
    assert [[row[0] for row in seat.reports()] for seat in seats.seats] == [["EXPIRED"]] * 2


# ---- closed by another hand ----------------------------------------------------------------------


def test_units_closed_elsewhere_shrink_the_legs_of_that_contract() -> None:
    seats = holding(1, 2, 1)  # the first and the last hold the same
    assert seats.desk.book_elsewhere(1, LOT + 25, 9_950) == LOT + 25
    assert seats[0].reports() == [("FILLED", 1, LOT, 9_950, 0)]
    assert seats[1].reports() == []
    assert seats[2].reports() == [("FILLED", 3, 25, 9_950, LOT - 25)]
    assert sorted(kinds_of(seats)) == ["CANCEL", "MODIFY"]
    assert seats.desk.book_elsewhere(3, LOT, 9_950) == 0
    assert seats.desk.book_elsewhere(2, 2 * LOT, 9_950) == LOT  # no more than is held
    assert seats.desk.book_elsewhere(2, 1, 9_950) == 0


def test_units_of_a_contract_held_on_both_sides_are_nobodys() -> None:
    seats = Seats((1, 1))
    for seat, side in zip(seats.seats, (1, -1), strict=True):
        seat.position = side * LOT
        seat.order(-side, LOT, 3, trigger=10_000 - side * 100, flags=3, group=GROUP + seat.place)
    assert len(seats.sent()) == 2
    assert seats.desk.book_elsewhere(1, LOT, 9_950) == 0
    assert all(seat.reports() == [] for seat in seats.seats)


# ---- refusals ------------------------------------------------------------------------------------


def test_places_are_taken_in_order_before_the_first_input() -> None:
    gate, desk = Gate(instruments=3), OrderDesk()
    with pytest.raises(ConfigError, match=r"remote.place must be 0, the desk's next, was 1"):
        Remote(gate, desk=desk, place=1)
    Remote(gate, desk=desk, place=0)
    with pytest.raises(ConfigError, match="place must be 1"):
        Remote(gate, desk=desk, place=0)
    desk.tell(OPEN, OPEN)
    with pytest.raises(ConfigError, match="has begun"):
        Remote(gate, desk=desk, place=1)
    full = OrderDesk()
    for place in range(16):
        Remote(gate, desk=full, place=place)
    with pytest.raises(ConfigError, match="16 places at most"):
        Remote(gate, desk=full, place=16)


def test_a_place_and_a_contract_need_a_desk() -> None:
    gate = Gate(instruments=1)
    with pytest.raises(ConfigError, match=r"remote.place needs a desk, was 2"):
        Remote(gate, place=2)
    with pytest.raises(ConfigError, match=r"remote.contract needs a desk, was 4"):
        Remote(gate).trade(4)
    with pytest.raises(ConfigError, match="must be a Desk"):
        Remote(gate, desk=SharedAccount())


@pytest.mark.parametrize("name", ["per_second", "per_minute", "per_hour", "per_day",
                                  "exits_kept_e2"])  # fmt: skip
def test_limits_of_the_account_are_the_desks(name: str) -> None:
    with pytest.raises(ConfigError, match=f"remote.{name}: all places of a desk share it"):
        Remote(Gate(instruments=1), desk=OrderDesk(), **{name: 5})
    with pytest.raises(ConfigError, match=f"desk.{name} must be in"):
        OrderDesk(**{name: -1})


def test_a_desk_knows_its_settings() -> None:
    with pytest.raises(ConfigError, match=r"desk.modifies_max: no such setting; known: per_second"):
        OrderDesk(modifies_max=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"remote.per_secnd: no such setting"):
        Remote(Gate(instruments=1), per_secnd=3)  # type: ignore[call-arg]


def test_a_place_takes_its_own_orders_only() -> None:
    seats = Seats((1, 2))
    seats[0].place = 1  # as if the order of leg 1 came to leg 0
    with pytest.raises(OrderRefused):
        seats[0].enter()
    with pytest.raises(OrderRefused):
        alone = Desk()
        alone.gate = Gate(instruments=2)
        alone.remote = Remote(alone.gate)
        alone.remote.start_session(SESSION)
        alone.place = 1
        alone.enter()


def test_the_clock_of_a_place_is_the_desks() -> None:
    seats = Seats((1, 2))
    with pytest.raises(UsageError, match="remote at place 1 has the desk's clock: tell that"):
        seats[1].remote.tell(seats.now, seats.now)


def test_desks_come_and_go() -> None:
    """A desk and its Remotes hold each other: they are collected all the same."""

    def desks() -> int:
        gc.collect()
        return sum(isinstance(one, (OrderDesk, Remote)) for one in gc.get_objects())

    before = desks()
    for _ in range(50):
        holding(1, 2, 3)
    assert desks() == before


def test_an_empty_desk_has_nothing_to_do() -> None:
    desk = OrderDesk()
    desk.tell(OPEN, OPEN)
    desk.go_on()
    desk.read_all_again()
    assert (desk.places, desk.due_ns, desk.out_count) == (0, (1 << 63) - 1, 0)
    assert len(desk.intents()) == 0 and desk.orders_there() == [] and desk.remotes == ()
