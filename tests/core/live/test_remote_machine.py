"""Remote alone against a broker that is the truth: network.py has the faults and the laws."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from .desk import LOT, Desk
from .network import LOST_AFTER, PER_SECOND, Network


class Live(Network):
    """One dealer, one Remote."""

    @initialize(
        side=st.sampled_from([1, -1]),
        lots=st.integers(1, 4),
        stop=st.sampled_from([50, 100]),
        goal=st.sampled_from([0, 30, 100]),
        modifies=st.sampled_from([1, 3, 22]),
        per_minute=st.sampled_from([6, 240]),
        part=st.sampled_from([1000, 1000, LOT, 10, 0]),
    )
    def begin(self, side: int, lots: int, stop: int, goal: int, modifies: int,
              per_minute: int, part: int) -> None:  # fmt: skip
        desk = Desk(per_second=PER_SECOND, lost_after_ns=LOST_AFTER, absents_min=3,
                    modifies_max=modifies, per_minute=per_minute)  # fmt: skip
        self.connect(desk, desk.remote, [desk], stop=stop, goal=goal)
        self.dealers[0].enter(side, lots * LOT)
        self.hear()
        if part:  # most runs begin with something held
            self.deliver()
            self.fill(0, part, 3)
            self.deliver()


TestLive = Live.TestCase
TestLive.settings = settings(max_examples=60, stateful_step_count=40)
