"""Whatever the network does, each Intent gets one Answer, and no order is made twice."""

import asyncio
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dhanfast._core.live.records import IntentKind, Outcome
from dhanfast._core.types import OrderFlag
from tests.brokers.dhan.order_desk import TAG, Desk, intent, made
from tests.brokers.dhan.order_stub import CUTS, REPLIES, Stub

KINDS = st.sampled_from([IntentKind.PLACE] * 3 + list(IntentKind))


class CourierMachine(RuleBasedStateMachine):
    """A courier and a broker that misbehaves, on one loop that runs when told."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.carried: dict[int, int] = {}
        self.loop.run_until_complete(self.begin())

    async def begin(self) -> None:
        self.stub = Stub()
        hosts = await self.stub.start()
        courier = made(hosts, connections=2, queue_max=3, queue_s=0.05, request_s=0.1, close_s=0.2)
        self.desk = Desk(self.stub, courier)
        self.task = self.loop.create_task(courier.run())
        await courier.wait_ready(2)

    def spin(self, steps: int) -> None:
        """Let the loop go round a few times, and whatever is due happen."""

        async def work() -> None:
            for _ in range(steps):
                await asyncio.sleep(0)

        self.loop.run_until_complete(work())

    @rule(kind=KINDS, exits=st.booleans(), fault=st.sampled_from(["", "hang", *REPLIES, *CUTS]),
          known=st.booleans())  # fmt: skip
    def carry(self, kind: int, exits: bool, fault: str, known: bool) -> None:
        number = len(self.carried) + 1
        self.carried[number] = kind
        if fault:
            self.stub.faults.append(fault)
        fields: dict[str, Any] = {"flags": OrderFlag.EXIT if exits else 0}
        if kind in (IntentKind.MODIFY, IntentKind.CANCEL) and known:
            fields["broker_id"] = b"900000"  # else it cannot be asked

        async def work() -> None:
            self.desk.courier.carry_intent(intent(number, kind, **fields))

        self.loop.run_until_complete(work())

    @rule(steps=st.integers(1, 12))
    def run_on(self, steps: int) -> None:
        self.spin(steps)

    @rule(which=st.integers(0, 3))
    def cut_a_connection(self, which: int) -> None:
        lines = sorted(self.stub.lines, key=id)
        if which < len(lines):
            lines[which].transport.abort()

    @rule()
    def answer_what_hangs(self) -> None:
        self.stub.release()

    @rule()
    def let_time_pass(self) -> None:
        """Longer than a request may wait, so that the queue empties and lines time out."""
        self.loop.run_until_complete(asyncio.sleep(0.06))

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        told = Counter(int(answer["intent"]) for answer in self.desk.answers)
        assert not told or max(told.values()) == 1
        assert set(told) <= set(self.carried)
        assert self.desk.courier.in_flight == len(self.carried) - len(told)

    @invariant()
    def no_order_is_made_twice(self) -> None:
        assert not self.stub.done or max(self.stub.done.values()) == 1
        posts = Counter(one[3]["correlationId"] for one in self.stub.seen if one[0] == "POST")
        assert not posts or max(posts.values()) == 1

    def teardown(self) -> None:
        async def work() -> None:
            await self.desk.courier.close()
            await self.task
            await self.stub.stop()

        self.loop.run_until_complete(work())
        self.loop.close()
        self.nobody_is_answered_twice()
        self.no_order_is_made_twice()
        told = {int(answer["intent"]): answer for answer in self.desk.answers}
        assert set(told) == set(self.carried)  # each has one
        updates = Counter(int(update["order"]) for update in self.desk.updates)
        reads = Counter[int]()
        for number, kind in self.carried.items():
            answer, name = told[number], f"{TAG}-{number}"
            if kind == IntentKind.PLACE and answer["outcome"] == Outcome.TAKEN:
                assert self.stub.done[name] == 1
                order = self.stub.orders[bytes(answer["broker_id"]).decode()]
                assert order["correlationId"] == name
            if kind == IntentKind.PLACE and answer["outcome"] == Outcome.REFUSED:
                assert self.stub.done[name] == 0  # proven: the broker did not do it
            if answer["outcome"] == Outcome.ABSENT:
                assert kind == IntentKind.QUERY and self.stub.done[name] == 0
            reads[number] = kind == IntentKind.QUERY and answer["outcome"] == Outcome.TAKEN
        assert all(updates[number] == reads[number] for number in self.carried)


TestCourier = CourierMachine.TestCase
TestCourier.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
