"""What the machines of live orders have in common: dealers, and a network between their desk and
a broker that loses, delays, repeats and reorders.

    PlainDealer ──orders──▶ Remote ──requests──▶ network ──▶ the broker of a machine
                 ◀─reports──        ◀──answers, updates── network ◀──┘

`network.py` brings a broker in plain Python, tests/faults/machine.py the exchange on loopback: what
a request means there (`serve_first`, `give_answer`, `show_said`), which books are compared and how
all becomes quiet. `Worked` is the part of an algorithm between a dealer and its desk.
"""

from abc import abstractmethod
from collections import Counter
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dhanfast._core.broker import Hold
from dhanfast._core.live.records import IntentKind, Outcome
from dhanfast._core.types import Reason

from .desk import MS, SECOND
from .plain_dealer import PlainDealer

LATE_MAX = 3 * SECOND  # no request is under way for longer: below the desk's `lost_after_ns`
HEAL_ROUNDS = 400
LEAVE_ROUNDS = 60
picks = st.integers(0, 1 << 16)


class OrderNetwork(RuleBasedStateMachine):
    """Faults at random; the invariants are the promise.

    Attributes:
        per_second: requests that may leave in any second.
        hub: has the clock, and the requests. door: takes what the broker says. dealers: one or
        several. All of them are there before `wire`.
        requests: under way to the broker. answers: under way back, each with its request.
        updates: what the broker has said, not heard yet. open: requests without an answer.
    """

    per_second: ClassVar[int]
    tally: ClassVar[Counter[str]] = Counter()
    hub: Any
    door: Any
    dealers: list[PlainDealer]

    def wire(self) -> None:
        """An empty network."""
        self.requests: list[Any] = []
        self.answers: list[tuple[Any, Any]] = []
        self.updates: list[Any] = []
        self.open: dict[int, Any] = {}
        self.answered: set[int] = set()
        self.left_at: list[int] = []  # of what counts against the limits

    @property
    def begun(self) -> bool:
        """Whether there is something to look at."""
        return hasattr(self, "left_at")

    # ---- what a machine brings ------------------------------------------------------------------

    def sent(self) -> Any:
        """Requests that were made since the last call."""
        return self.hub.sent()

    def unheard(self) -> bool:
        """Whether there are reports that no dealer has heard."""
        return bool(self.door.pending_reports)

    def left(self, intent: Any) -> None:
        """A request leaves the desk."""

    @abstractmethod
    def serve_first(self) -> None:
        """The oldest request arrives, and nothing goes wrong."""

    @abstractmethod
    def give_answer(self, at: int) -> None:
        """An answer arrives."""

    @abstractmethod
    def show_said(self, said: Any) -> None:
        """What the broker has said arrives."""

    def time_has_passed(self) -> None:
        """The desk has been told of a later time."""

    def make_well(self) -> None:
        """From now on nothing goes wrong."""

    @abstractmethod
    def step_to_quiet(self) -> bool:
        """Time passes, and once everything is read again; False when nothing is left to do."""

    @abstractmethod
    def agree_all(self) -> None:
        """The books are the broker's."""

    # ---- the wires ------------------------------------------------------------------------------

    def hear(self) -> None:
        """Whatever the desk has to say and to send after an input."""
        for _ in range(100):
            for dealer in self.dealers:
                dealer.hear()
            made = self.sent()
            for intent in made:
                number = int(intent["id"])
                assert number not in self.open and number not in self.answered
                self.open[number] = intent
                self.requests.append(intent)
                if intent["kind"] != IntentKind.QUERY:
                    self.left_at.append(self.hub.now)
                self.left(intent)
            if not len(made) and not self.unheard():
                return
        raise AssertionError("requests and reports without end")

    def tell(self, intent: Any, outcome: Outcome, code: int, **fields: Any) -> None:
        """The answer of a request arrives; one only, ever."""
        number = int(intent["id"])
        del self.open[number]
        self.answered.add(number)
        said = {"intent": number, "at_ns": self.hub.now, "outcome": outcome, "code": code}
        for name, value in fields.items():
            said[name] = value.encode() if isinstance(value, str) else value
        self.door.tell(self.hub.now, self.hub.now)
        self.door.answer(said)
        self.tally[f"answered {outcome.name}"] += 1
        self.hear()

    def show(self, update: Any) -> None:
        """The state of an order arrives."""
        self.door.tell(self.hub.now, self.hub.now)
        self.door.update(update)
        self.hear()

    @precondition(lambda self: self.open)
    @rule(which=picks)
    def time_out(self, which: int) -> None:
        """The engine gives up waiting; request or answer may be under way yet."""
        intents = list(self.open.values())
        self.tell(intents[which % len(intents)], Outcome.UNKNOWN, -110)

    @precondition(lambda self: self.requests)
    @rule(which=picks, proven=st.booleans())
    def lose(self, which: int, proven: bool) -> None:
        """A request never arrives; sometimes that is known."""
        intent = self.requests.pop(which % len(self.requests))
        self.tally["requests lost"] += 1
        if int(intent["id"]) in self.open:
            outcome, code = (Outcome.REFUSED, -111) if proven else (Outcome.UNKNOWN, -104)
            self.tell(intent, outcome, code)

    @precondition(lambda self: self.answers)
    @rule(which=picks)
    def hear_answer(self, which: int) -> None:
        self.give_answer(which % len(self.answers))

    @precondition(lambda self: self.updates)
    @rule(which=picks, keep=st.booleans())
    def hear_update(self, which: int, keep: bool) -> None:
        """In any order; kept means that it comes again."""
        at = which % len(self.updates)
        self.show_said(self.updates[at] if keep else self.updates.pop(at))

    @precondition(lambda self: self.updates)
    @rule(which=picks)
    def lose_update(self, which: int) -> None:
        self.updates.pop(which % len(self.updates))
        self.tally["updates lost"] += 1

    # ---- time and wishes ------------------------------------------------------------------------

    @rule(ms=st.sampled_from([1, 50, 200, 1_000, 2_500]))
    def wait(self, ms: int) -> None:
        self.go_on(ms * MS)

    def go_on(self, ns: int) -> None:
        """Time passes, with what happens in it."""
        self.pass_time(ns)

    def pass_time(self, ns: int) -> None:
        """No request is under way for longer than LATE_MAX: what would be is lost."""
        until = self.hub.now + max(ns, 0)
        for intent in list(self.requests):
            if until - int(intent["at_ns"]) > LATE_MAX:
                self.requests = [one for one in self.requests if one is not intent]
                if int(intent["id"]) in self.open:
                    self.tell(intent, Outcome.UNKNOWN, -110)
        self.hub.wait(until - self.hub.now)
        self.time_has_passed()
        self.hear()

    @rule()
    def read_all(self) -> None:
        self.door.read_all_again()
        self.hear()

    # ---- what holds at every step ---------------------------------------------------------------

    @invariant()
    def limits_are_kept(self) -> None:
        for at, first in enumerate(self.left_at[: -self.per_second]):
            assert self.left_at[at + self.per_second] - first >= SECOND

    # ---- when all is well again -----------------------------------------------------------------

    @rule()
    def heal(self) -> None:
        """Everything under way arrives, everything is read again: the books are the broker's."""
        self.make_well()
        for _ in range(HEAL_ROUNDS):
            self.deliver()
            if not self.step_to_quiet():
                break
        else:
            raise AssertionError("never quiet: " + str(self.door.orders_there()))
        self.agree_all()

    def deliver(self) -> None:
        """Everything under way arrives."""
        for _ in range(1_000):
            if self.requests:
                self.serve_first()
            elif self.answers:
                self.give_answer(0)
            elif self.updates:
                self.show_said(self.updates.pop(0))
            elif self.open:
                self.time_out(0)  # of what hung
            else:
                return
        raise AssertionError("requests without end")


class Worked(OrderNetwork):
    """An algorithm between `dealer` and `desk`, which has `worker`, `hold` and `hurry`."""

    desk: Any
    dealer: PlainDealer

    @rule(what=st.sampled_from([Hold.PAUSE, Hold.RESUME, Hold.RESUME, Hold.CANCEL]))
    def hold(self, what: int) -> None:
        self.desk.hold(what)
        self.tally[f"operator: {Hold(what).name.lower()}"] += 1
        self.hear()

    @rule()
    def panic(self) -> None:
        """An exit at work is now an operator's."""
        if self.dealer.exit:
            self.desk.hurry(self.dealer.exit, Reason.OPERATOR)
            self.tally["exits pressed"] += 1
            self.hear()

    @invariant()
    def the_parts_are_the_position(self) -> None:
        if self.begun and not self.desk.remote.pending_reports:
            assert sum(self.desk.worker.parts_held()) == abs(self.dealer.position)

    def teardown(self) -> None:
        if not self.begun:
            return
        self.hold(Hold.RESUME)
        super().teardown()
        assert self.desk.worker.parents_now() == [] and self.desk.worker.parts_held() == []
