"""The records of a journal in the order in which a replay must have them."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.records import INTENT_DTYPE
from dhanfast.errors import BadData

INPUTS: Final = frozenset(
    (Kind.TICK, Kind.TIMER, Kind.ANSWER, Kind.UPDATE, Kind.COMMAND, Kind.STRATEGY, Kind.CHAIN)
)
CAUSED: Final = frozenset((Kind.INTENT, Kind.RESUME))
Ahead = tuple[int, bytes, bytes | None, bool]


def ahead(records: Iterable[tuple[int, bytes]]) -> Iterator[Ahead]:
    """Each record with what lies ahead of it.

    What an input caused stays behind it; what the shared budget answered in it comes before it, for
    it must be known by then. Nothing else is kept.

    Args:
        records: (kind, payload) of a journal, in order.
    Returns:
        (kind, payload, the words of a STRATEGY input right behind it or None, it is the last input)
        of inputs; of the others the last two are None and False.
    """
    held: tuple[int, bytes] | None = None
    answers: list[Ahead] = []
    behind: list[Ahead] = []
    for kind, payload in records:
        if kind in INPUTS:
            if held is not None:
                yield from answers
                yield *held, payload[16:] if kind == Kind.STRATEGY else None, False
                yield from behind
            held, answers, behind = (kind, payload), [], []
        elif held is None:
            yield kind, payload, None, False
        elif kind == Kind.BUDGET:
            answers.append((kind, payload, None, False))
        elif kind in CAUSED:
            behind.append((kind, payload, None, False))
    if held is not None:
        yield from answers
        yield *held, None, True
        yield from behind


def differs(made: bytes, told: bytes) -> BadData:
    """A request of the journal that is not made again.

    Args:
        made: what is made instead, INTENT_DTYPE; empty: nothing. told: the journal's.
    """
    want = np.frombuffer(told, INTENT_DTYPE)[0]
    got = np.frombuffer(made, INTENT_DTYPE)[0] if made else "nothing"
    return BadData(
        f"the journal's request {want['id']} is not made again: the journal has {want}, the engine "
        f"made {got}; it was written by other code, another strategy or other settings"
    )
