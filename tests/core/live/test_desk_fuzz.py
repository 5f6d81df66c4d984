"""A desk that is told nonsense: what is said reaches the one place it is of, or none.

The oracle keeps three tables: which request and which order is of which place, and under which of
the broker's ids an order is known. Everything else that is said leaves no trace but a count.
"""

import random
from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.types import ReportKind
from dhanfast.errors import BadData, PoolFull, UsageError

from .desk import LOT, MS, PLACE, QUERY, SECOND
from .seats import Seats

PLACES = 3
PER_SECOND = 6
IDS = [b"", b"B1", b"B2", b"B3", b"B" * 24, b"\xff" * 24, b"X"]
HUGE = [0, 1, -1, LOT, 25, 10**12, -(10**12)]


class Fuzzed:
    """Seats with the oracle's tables beside them."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.seats = Seats((1, 2, 3), per_second=PER_SECOND)
        self.asked: dict[int, tuple[int, dict[str, Any]]] = {}  # in flight: (place, request)
        self.place_of: dict[int, int] = {}  # by number
        self.sides: dict[int, tuple[int, int]] = {}  # (side, contract) by number
        self.ids: dict[int, bytes] = {}  # by number
        self.entries = [0] * PLACES
        self.nobodys: Counter[str] = Counter()
        self.left_at: list[int] = []
        self.contracts = [1, 2, 3]
        self.next_contract = 4
        self.last_id = 0

    # ---- what is heard --------------------------------------------------------------------------

    def hear(self, only: int | None = None, *, quiet: bool = False, unfilled: bool = False) -> None:
        """Requests and reports since the last input: of this place alone, of none when quiet."""
        for made in self.seats.sent():
            assert not quiet and made["id"] == self.last_id + 1
            self.last_id = made["id"]
            place = self.owner(made)
            assert only is None or place == only
            self.asked[made["id"]] = (place, made)
            if made["kind"] != QUERY:
                self.left_at.append(self.seats.now)
        for place, seat in enumerate(self.seats.seats):
            rows = seat.remote.take_reports()
            assert not (len(rows) and (quiet or (only is not None and place != only)))
            assert all(int(row["instrument"]) == place for row in rows)
            assert not (unfilled and ReportKind.FILLED in rows["kind"])

    def owner(self, made: dict[str, Any]) -> int:
        """The place of a request; a new order is of the place that trades its contract now."""
        number, of = made["order"], (made["side"], made["instrument"])
        if number not in self.place_of:
            assert made["kind"] == PLACE
            self.place_of[number] = self.contracts.index(made["instrument"])
            self.sides[number] = of
        assert self.sides[number] == of
        assert made["broker_id"].encode("latin1") == self.ids.get(number, b"")
        return self.place_of[number]

    # ---- what is done ---------------------------------------------------------------------------

    def enter(self) -> None:
        place = self.dice.randrange(PLACES)
        if self.entries[place] == 60:  # lines of ended orders are kept: none is used again
            return
        self.entries[place] += 1
        with suppress(PoolFull):
            self.seats[place].enter(self.dice.choice([1, -1]))
        self.hear(place)

    def move(self) -> None:
        place = self.dice.randrange(PLACES)
        self.contracts[place] = self.next_contract
        self.seats[place].move(self.next_contract)
        self.next_contract += 1
        self.hear(place)

    def answer(self) -> None:
        """To a request in flight, to one that was answered, to none."""
        dice = self.dice
        intent = dice.choice([*self.asked, 0, 1, self.last_id, self.last_id + 1, 1 << 63])
        said = {"intent": intent, "at_ns": self.seats.now, "broker_id": self.an_id(),
                "outcome": dice.choice([1, 1, 2, 3, 4, 9]),
                "code": dice.choice([200, 400, 429, 503, -110, 1 << 30]),
                "error": dice.choice([0, 805, 904, 906, -1]), "seen": dice.randrange(9),
                "retry_after_s": dice.choice([0, 1, 255])}  # fmt: skip
        waited = self.asked.pop(intent, None)
        assert self.seats.desk.answer(said) == (waited is not None)
        if waited is None:
            self.nobodys["UNASKED"] += 1
            self.hear(quiet=True)
            return
        place, made = waited
        if said["broker_id"]:
            self.ids.setdefault(made["order"], said["broker_id"])
        self.hear(place)

    def update(self) -> None:
        """Of our number or another's, with the id, side, contract, quantities of anybody."""
        dice = self.dice
        number = dice.choice([*list(self.place_of)[-12:], 0, 77_777, (1 << 64) - 1])
        side, contract = self.sides.get(number, (1, 1))
        told = {"order": number, "at_ns": self.seats.now, "broker_id": self.an_id(),
                "side": dice.choice([side, side, side, -side, 0, 99]),
                "instrument": dice.choice([contract, contract, 0xFFFFFFFF, 0, 3]),
                "seen": dice.choice([*range(8), 255]), "origin": dice.choice([1, 2, 200]),
                "qty": dice.choice(HUGE), "filled": dice.choice(HUGE), "value": dice.choice(HUGE),
                "price": dice.choice(HUGE), "trigger": dice.choice(HUGE),
                "order_kind": dice.choice([0, 2, 250])}  # fmt: skip
        whose = self.whose(number, told["broker_id"])
        assert self.seats.desk.update(told) == (whose is not None)
        if whose is None:
            self.nobodys["FOREIGN"] += 1
            self.hear(quiet=True)
            return
        swapped = told["instrument"] not in (0xFFFFFFFF, self.sides[whose][1])
        turned = told["side"] not in (0, self.sides[whose][0])
        if told["broker_id"] and not (swapped or turned):
            self.ids.setdefault(whose, told["broker_id"])
        self.hear(self.place_of[whose], unfilled=swapped or turned)  # at most it is read again

    def whose(self, number: int, broker_id: bytes) -> int | None:
        """Our number first; else the first place that knows the id, and its oldest order."""
        if number in self.place_of:
            return number
        known = [(self.place_of[of], of) for of, known_as in self.ids.items()
                 if broker_id and known_as == broker_id]  # fmt: skip
        return min(known)[1] if known else None

    def an_id(self) -> bytes:
        known = [known_as for known_as in self.ids.values()]
        return self.dice.choice([*known[-3:], *IDS])

    def others(self) -> None:
        what = self.dice.randrange(6)
        if what == 0:
            self.seats.desk.read_all_again()
        elif what == 1:
            self.seats.desk.book_elsewhere(self.dice.randrange(9), LOT, self.dice.choice(HUGE))
        else:
            self.seats.wait(self.dice.choice([1, 200, 1_000, 4_000]) * MS)
        self.hear()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32), steps=st.integers(10, 200))
def test_nonsense_reaches_nobody_else(seed: int, steps: int) -> None:
    told = Fuzzed(seed)
    doings = [told.enter, told.answer, told.answer, told.update, told.update, told.others]
    for _ in range(steps):
        told.dice.choice(doings if told.dice.random() < 0.97 else [told.move])()
        told.seats.now += MS
        told.seats.tell()
        odd = told.seats.desk.odd_events()
        assert {name: odd.get(name, 0) for name in ("UNASKED", "FOREIGN")} == {
            "UNASKED": told.nobodys["UNASKED"], "FOREIGN": told.nobodys["FOREIGN"]
        }  # fmt: skip
    for at, first in enumerate(told.left_at[:-PER_SECOND]):
        assert told.left_at[at + PER_SECOND] - first >= SECOND
    there = told.seats.desk.orders_there()
    assert {one["number"] for one in there} <= set(told.place_of)
    assert all(one["instrument"] == told.sides[one["number"]][1] for one in there)


@pytest.mark.parametrize("wrong", [{"intnt": 1}, {"intent": -1}, None, b"short"])
def test_what_is_no_record_is_refused(wrong: object) -> None:
    seats = Seats((1, 2))
    seats[0].enter()
    made = seats.one(PLACE)
    with pytest.raises((BadData, UsageError, TypeError, OverflowError), match=r"answer|int"):
        seats.desk.answer(wrong)
    assert seats.answer(made) and seats.desk.odd_count == 0
