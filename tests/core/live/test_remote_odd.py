"""What no broker should say, and what comes late, in every state of an order.

It is survived, counted by its kind, and forgotten as soon as the broker says what is so.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dhanfast._core.live.records import Origin, Outcome, Seen
from dhanfast._core.types import OrderKind
from dhanfast.errors import OrderRefused

from .desk import CANCEL, LOT, MODIFY, PLACE, QUERY, SECOND, Desk

QTY, PRICE = 2 * LOT, 9_500
ENDED = {"FILLED", "CANCELLED", "EXPIRED", "REJECTED"}


@dataclass
class Scene:
    """An order in some state, and the truth of it at the broker."""

    desk: Desk
    order: int
    made: dict[str, Any]  # its PLACE
    open: list[dict[str, Any]] = field(default_factory=list)  # requests without an answer
    filled: int = 0
    seen: Seen = Seen.PENDING
    there: bool = True  # whether the broker has it
    reports: list[tuple[str, int, int, int, int]] = field(default_factory=list)

    def hear(self) -> None:
        """Collect requests and reports, and look at what must hold at every step."""
        self.open += self.desk.sent()
        self.reports += self.desk.reports()
        numbers = [made["order"] for made in self.open]
        assert len(numbers) == len(set(numbers)), "two requests of one order in flight"
        ends = [at for at, row in enumerate(self.reports) if row[0] in ENDED and row[4] == 0]
        assert len(ends) <= 1 and ends in ([], [len(self.reports) - 1]), self.reports
        assert sum(row[0] == "ACCEPTED" for row in self.reports) <= 2

    def say(self, **changed: Any) -> bool:
        """An update of the order as it is, but for what is given."""
        told = {"filled": self.filled, "value": self.filled * PRICE, "seen": self.seen} | changed
        heard = self.desk.update(self.made, **told)
        self.hear()
        return heard

    def settle(self) -> None:
        """The broker tells the truth from now on, until nobody asks any more."""
        for _ in range(120):
            asked, self.open = self.open, []
            for request in asked:
                self.serve(request)
                self.hear()
            self.desk.wait(SECOND)
            self.hear()
            if not self.open and not self.desk.there():
                return
        raise AssertionError(f"never quiet: {self.desk.there()} {self.open}")

    def serve(self, request: dict[str, Any]) -> None:
        kind = request["kind"]
        ours = request["order"] == self.made["order"]
        if kind == QUERY and ours and self.there:
            self.say(origin=Origin.REST)
            self.desk.answer(request)
        elif kind == QUERY:
            self.desk.answer(request, Outcome.ABSENT, code=404)
        elif kind == PLACE:
            self.there |= ours
            self.desk.answer(request)
        elif self.seen == Seen.PENDING:
            if kind == CANCEL:
                self.seen = Seen.CANCELLED
            self.desk.answer(request)
        else:
            self.desk.refuse(request, error=906)


# ---- states --------------------------------------------------------------------------------------


def opening() -> Scene:
    desk = Desk(lost_after_ns=5 * SECOND)
    order = desk.order(1, QTY, OrderKind.LIMIT, price=PRICE)
    made = desk.one(PLACE)
    return Scene(desk, order, made, [made])


def doubtful() -> Scene:
    scene = opening()
    scene.desk.answer(scene.open.pop(), Outcome.UNKNOWN, code=-110)
    scene.desk.wait(SECOND)
    scene.hear()
    return scene


def working() -> Scene:
    scene = opening()
    scene.desk.answer(scene.open.pop())
    scene.hear()
    return scene


def partly() -> Scene:
    scene = working()
    scene.filled = LOT
    scene.say()
    return scene


def changing() -> Scene:
    scene = partly()
    scene.desk.resize(scene.order, QTY, price=PRICE + 10)
    scene.hear()
    assert [made["kind"] for made in scene.open] == [MODIFY]
    return scene


def cancelling() -> Scene:
    scene = partly()
    scene.desk.cancel(scene.order)
    scene.hear()
    assert [made["kind"] for made in scene.open] == [CANCEL]
    return scene


def cancel_taken() -> Scene:
    scene = cancelling()
    scene.desk.answer(scene.open.pop(), code=202)
    return scene


def being_read() -> Scene:
    scene = partly()
    scene.desk.remote.read_all_again()
    scene.hear()
    assert [made["kind"] for made in scene.open] == [QUERY]
    return scene


def filled() -> Scene:
    scene = partly()
    scene.filled, scene.seen = QTY, Seen.TRADED
    scene.say()
    return scene


def cancelled() -> Scene:
    scene = cancelling()
    scene.seen = Seen.CANCELLED
    scene.say()
    scene.desk.answer(scene.open.pop(), code=202)
    return scene


def rejected() -> Scene:
    scene = partly()
    scene.seen = Seen.REJECTED
    scene.say()
    return scene


def refused() -> Scene:
    scene = opening()
    scene.there = False
    scene.desk.refuse(scene.open.pop(), error=906)
    scene.hear()
    return scene


def lost() -> Scene:
    scene = doubtful()
    scene.there = False
    scene.settle()
    assert scene.desk.remote.lost == 1
    return scene


LIVE = (opening, doubtful, working, partly, changing, cancelling, cancel_taken, being_read)
OVER = (filled, cancelled, rejected)  # by the broker's own word
GIVEN_UP = (refused, lost)
ALL = LIVE + OVER + GIVEN_UP
State = Callable[[], Scene]


def check(scene: Scene, expected: dict[str, int]) -> None:
    """Counted as it must be, and then everything comes to rest, with books that are right."""
    assert scene.desk.remote.odd_events() == expected
    assert scene.desk.remote.odd_count == sum(expected.values())
    if scene.there and scene.seen == Seen.PENDING:
        scene.filled, scene.seen = max(scene.filled, QTY), Seen.TRADED
        scene.desk.quote(PRICE - 10, PRICE - 5)  # the market was there: nobody tells, it is read
    scene.settle()
    booked = sum(row[2] for row in scene.reports if row[0] == "FILLED")
    assert booked + scene.desk.remote.stray_qty == scene.filled
    asked = scene.desk.remote.requests
    scene.desk.wait(60 * SECOND)
    assert scene.desk.remote.requests == asked and scene.desk.there() == []


@pytest.mark.parametrize("state", ALL)
def test_an_update_of_an_order_of_others(state: State) -> None:
    scene = state()
    assert not scene.say(order=0, broker_id="X9", filled=LOT, value=LOT)
    assert not scene.say(order=4_711, broker_id="X9")
    check(scene, {"FOREIGN": 2})


@pytest.mark.parametrize("state", ALL)
def test_an_update_that_says_less_than_is_known(state: State) -> None:
    scene = state()
    was = scene.desk.there(), len(scene.reports)
    for seen in Seen:
        assert scene.say(filled=scene.filled - 1, seen=seen)
    if state not in (opening, doubtful):  # those learn from it that the order is there
        assert (scene.desk.there(), len(scene.reports)) == was
    check(scene, {"STALE": len(Seen)})


@pytest.mark.parametrize("seen", [Seen.UNCLEAR, 7, 77, 255])
@pytest.mark.parametrize("state", LIVE + OVER)
def test_a_status_that_no_document_lists(state: State, seen: Any) -> None:
    scene = state()
    assert scene.say(seen=seen)
    check(scene, {"UNCLEAR" if state in LIVE else "LATE": 1})


@pytest.mark.parametrize("state", ALL)
def test_a_fill_without_its_value(state: State) -> None:
    scene = state()
    before = len(scene.reports)
    for value in (scene.filled * PRICE, 0, -1):
        assert scene.say(filled=scene.filled + 10, value=value, seen=Seen.TRADED)
    assert [row for row in scene.reports[before:] if row[0] == "FILLED"] == []
    check(scene, {"UNPRICED": 3})


@pytest.mark.parametrize("state", LIVE)
def test_more_has_filled_than_was_asked_for(state: State) -> None:
    scene = state()
    scene.filled, scene.seen = QTY + 10, Seen.TRADED
    assert scene.say()
    assert scene.desk.remote.stray_qty == 10, "booked, and told of"
    check(scene, {"OVERFILLED": 1})


@pytest.mark.parametrize("state", LIVE)
def test_traded_and_not_all_of_it(state: State) -> None:
    scene = state()
    assert scene.say(seen=Seen.TRADED, filled=scene.filled)
    check(scene, {"SHORT": 1})


@pytest.mark.parametrize("state", ALL)
def test_an_update_of_the_other_side(state: State) -> None:
    scene = state()
    before = len(scene.reports)
    assert scene.say(side=-1, filled=QTY, value=QTY * PRICE, seen=Seen.TRADED)
    assert len(scene.reports) == before
    check(scene, {"TURNED": 1})


@pytest.mark.parametrize("state", [*LIVE[2:], *OVER])
def test_another_number_of_the_brokers(state: State) -> None:
    scene = state()
    assert scene.say(broker_id="B777")
    late = {"LATE": 1} if scene.seen == Seen.PENDING and state in OVER else {}
    check(scene, {"TWIN": 1} | late)


@pytest.mark.parametrize("state", OVER)
def test_an_order_works_whose_end_was_told(state: State) -> None:
    scene = state()
    for seen in (Seen.TRANSIT, Seen.PENDING):
        assert scene.say(seen=seen)
    assert scene.desk.there() == []
    check(scene, {"LATE": 2})


@pytest.mark.parametrize("state", [cancelled, rejected])
def test_a_fill_after_the_end_was_told_is_booked(state: State) -> None:
    scene = state()
    scene.filled += 10
    assert scene.say()
    assert scene.desk.remote.stray_qty == 10
    check(scene, {"FILLED_AFTER_END": 1})


@pytest.mark.parametrize("state", GIVEN_UP)
def test_an_order_that_was_given_up_and_is_there(state: State) -> None:
    scene = state()
    scene.there = True
    assert scene.say()
    assert [made["kind"] for made in scene.open] == [CANCEL], "nobody wants it any more"
    scene.seen = Seen.PENDING
    scene.serve(scene.open.pop())
    assert scene.seen == Seen.CANCELLED
    scene.settle()
    assert scene.desk.remote.odd_events() == {"REVIVED": 1} and scene.desk.remote.stray_qty == 0


@pytest.mark.parametrize("state", ALL)
def test_an_answer_that_nobody_waits_for(state: State) -> None:
    scene = state()
    for outcome in (*Outcome, 0, 77):
        for number in (0, 10**6):
            assert not scene.desk.answer(scene.made | {"id": number}, outcome)
    scene.hear()
    check(scene, {"UNASKED": 12})


@pytest.mark.parametrize("outcome", [0, 5, 77, Outcome.ABSENT])
@pytest.mark.parametrize("state", [opening, doubtful, changing, cancelling, being_read])
def test_an_answer_that_does_not_fit_its_question(state: State, outcome: Any) -> None:
    scene = state()
    request = scene.open.pop()
    assert scene.desk.answer(request, outcome)
    assert not scene.desk.answer(request, outcome)
    scene.hear()
    fits = outcome == Outcome.ABSENT and request["kind"] == QUERY
    check(scene, {"UNASKED": 1} | ({} if fits else {"MEANINGLESS": 1}))


@pytest.mark.parametrize("state", ALL)
def test_the_same_update_again_and_again_changes_nothing(state: State) -> None:
    scene = state()
    scene.say() if state not in GIVEN_UP else None
    was = scene.desk.there(), list(scene.reports), scene.desk.remote.requests
    for _ in range(3):
        scene.say() if state not in GIVEN_UP else None
    assert (scene.desk.there(), scene.reports, scene.desk.remote.requests) == was
    check(scene, {})


@pytest.mark.parametrize("state", ALL)
def test_wishes_about_orders_that_are_not_there(state: State) -> None:
    scene = state()
    for order in (99, scene.order if state in OVER + GIVEN_UP else 98):
        with pytest.raises(OrderRefused):
            scene.desk.resize(order, QTY, price=PRICE)
        with pytest.raises(OrderRefused):
            scene.desk.cancel(order)
    scene.hear()
    check(scene, {})


@pytest.mark.parametrize("end", [Seen.CANCELLED, Seen.REJECTED, Seen.EXPIRED])
@pytest.mark.parametrize("state", LIVE)
def test_an_end_that_others_made_ends_the_order_in_every_state(state: State, end: Seen) -> None:
    scene = state()
    scene.seen = end
    assert scene.say()
    assert scene.reports[-1][0] == end.name
    check(scene, {})


@pytest.mark.parametrize("state", LIVE)
def test_a_new_day_ends_the_order_in_every_state(state: State) -> None:
    scene = state()
    scene.desk.remote.start_session(scene.desk.session)
    scene.hear()
    assert scene.reports[-1][0] == "EXPIRED"
    scene.seen = Seen.EXPIRED
    scene.say()
    check(scene, {})


# ---- every life that the documents know (TRANSIT, PENDING, parts, one of four ends) --------------


@pytest.mark.parametrize("answered", ["first", "last", "unclear"])
@pytest.mark.parametrize("end", [Seen.TRADED, Seen.CANCELLED, Seen.EXPIRED, Seen.REJECTED])
@pytest.mark.parametrize("parts", [(), (10,), (10, LOT)])
@pytest.mark.parametrize("transit", [True, False])
def test_every_life_of_the_documents(
    transit: bool, parts: tuple[int, ...], end: Seen, answered: str
) -> None:
    """An IOC remainder ends as CANCELLED or EXPIRED; PENDING is said again after a part."""
    scene = opening()
    placed = scene.open.pop()
    if answered == "first":
        scene.desk.answer(placed)
    if transit:
        scene.say(seen=Seen.TRANSIT)
    scene.say()
    for part in parts:
        scene.filled = part
        scene.say()
    if end == Seen.TRADED:
        scene.filled = QTY
    scene.seen = end
    scene.say()
    if answered == "last":
        scene.desk.answer(placed)
    elif answered == "unclear":
        scene.desk.answer(placed, Outcome.UNKNOWN, code=-110)
    scene.hear()
    assert scene.reports[-1][0] == ("FILLED" if end == Seen.TRADED else end.name)
    fills = [row for row in scene.reports if row[0] == "FILLED"]
    assert sum(row[2] for row in fills) == scene.filled
    assert all(row[3] == PRICE for row in fills)
    check(scene, {})
