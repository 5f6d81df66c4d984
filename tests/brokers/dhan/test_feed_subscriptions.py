"""The subscription book against a plain model, whatever is wanted in whatever order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dhanfast.brokers.dhan.feed_requests import Mode, Security
from dhanfast.brokers.dhan.feed_subscriptions import Subscriptions
from dhanfast.errors import UsageError

PER_LANE, LANES = 4, 3
SECURITIES = [Security(segment, number) for segment in (1, 2) for number in range(5)]
MODES = [Mode.TICKER, Mode.QUOTE, Mode.FULL]
some = st.lists(st.sampled_from(SECURITIES), max_size=6)


class Book(RuleBasedStateMachine):
    """A list of (lane, security, mode), searched from the front."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Subscriptions(PER_LANE, LANES)
        self.model: list[tuple[int, Security, Mode]] = []
        self.duplicates = self.absent = 0

    def _lane_for(self, security: Security) -> int:
        used = [sum(lane == n for lane, _, _ in self.model) for n in range(LANES)]
        homes = [lane for lane, other, _ in self.model if other == security]
        free = [n for n in range(LANES) if used[n] < PER_LANE]
        return next((home for home in homes if home in free), free[0])

    @rule(wanted=some, mode=st.sampled_from(MODES))
    def add(self, wanted: list[Security], mode: Mode) -> None:
        have = {security for _, security, m in self.model if m is mode}
        new = [each for each in dict.fromkeys(wanted) if each not in have]
        if len(self.model) + len(new) > PER_LANE * LANES:
            with pytest.raises(UsageError, match="12"):
                self.book.add(wanted, mode)
            return
        lanes: dict[int, list[Security]] = {}
        for each in new:
            lane = self._lane_for(each)
            self.model.append((lane, each, mode))
            lanes.setdefault(lane, []).append(each)
        self.duplicates += len(wanted) - len(new)
        change = self.book.add(wanted, mode)
        assert change.lanes == lanes and change.ignored == len(wanted) - len(new)
        assert change.count == len(new)

    @rule(unwanted=some, mode=st.sampled_from(MODES))
    def remove(self, unwanted: list[Security], mode: Mode) -> None:
        lanes: dict[int, list[Security]] = {}
        ignored = 0
        for each in unwanted:
            rows = [row for row in self.model if row[1:] == (each, mode)]
            if not rows:
                ignored += 1
                continue
            self.model.remove(rows[0])
            lanes.setdefault(rows[0][0], []).append(each)
        self.absent += ignored
        change = self.book.remove(unwanted, mode)
        assert change.lanes == lanes and change.ignored == ignored

    @invariant()
    def the_book_is_the_model(self) -> None:
        assert len(self.book) == len(self.model)
        assert (self.book.duplicates, self.book.absent) == (self.duplicates, self.absent)
        assert list(self.book.used_lanes()) == sorted({lane for lane, _, _ in self.model})
        for number in range(LANES):
            rows = [(security, mode) for lane, security, mode in self.model if lane == number]
            assert self.book.size(number) == len(rows) <= PER_LANE
            by_mode: dict[Mode, list[Security]] = {}
            for security, mode in rows:
                by_mode.setdefault(mode, []).append(security)
            assert self.book.lane(number) == list(by_mode.items())
            assert self.book.securities(number) == list(dict.fromkeys(s for s, _ in rows))
        for security in SECURITIES:
            assert sorted(self.book.modes(security)) == sorted(
                (mode, lane) for lane, other, mode in self.model if other == security
            )
            assert ((security, Mode.QUOTE) in self.book) == any(
                row[1:] == (security, Mode.QUOTE) for row in self.model
            )


TestBook = Book.TestCase
TestBook.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_refusal_changes_nothing() -> None:
    book = Subscriptions(2, 1)
    book.add(SECURITIES[:1], Mode.FULL)
    version = book.version
    with pytest.raises(UsageError, match="1 subscriptions and 2 more exceed the 2"):
        book.add(SECURITIES[:3], Mode.FULL)
    with pytest.raises(UsageError, match="segment 6"):
        book.add([SECURITIES[1], Security(6, 1)], Mode.FULL)
    assert len(book) == 1 and book.version == version
