"""Layouts of live records: offsets as the header states them, and courier and sink as bases."""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.courier import Courier
from dhanfast._core.live.records import (
    ANSWER_DTYPE,
    INTENT_DTYPE,
    UPDATE_DTYPE,
    IntentKind,
    Outcome,
    Seen,
)
from dhanfast._core.live.sink import TickSink
from dhanfast._core.types import TICK_DTYPE
from dhanfast.errors import UsageError


@pytest.mark.parametrize(
    ("dtype", "size", "field", "offset"),
    [
        (INTENT_DTYPE, 104, "broker_id", 48),
        (INTENT_DTYPE, 104, "kind", 80),
        (ANSWER_DTYPE, 64, "outcome", 48),
        (UPDATE_DTYPE, 96, "broker_id", 64),
        (UPDATE_DTYPE, 96, "seen", 92),
    ],
)
def test_layouts_are_packed(dtype: Any, size: int, field: str, offset: int) -> None:
    assert dtype.itemsize == size
    assert dtype.fields[field][1] == offset


def test_numbers_of_the_enums_are_those_of_the_journal() -> None:
    assert [int(kind) for kind in IntentKind] == [1, 2, 3, 4]
    assert [int(outcome) for outcome in Outcome] == [1, 2, 3, 4]
    assert int(Seen.UNCLEAR) == 0 and int(Seen.EXPIRED) == 6


def test_a_courier_that_does_not_say_how_is_refused() -> None:
    with pytest.raises(TypeError, match="carry_intent"):
        Courier().carry_intent(np.zeros(1, INTENT_DTYPE)[0])


def test_a_sink_takes_ticks_and_nothing_else() -> None:
    TickSink().take_ticks(np.zeros(3, TICK_DTYPE), 1)
    with pytest.raises(UsageError, match="TICK_DTYPE"):
        TickSink().take_ticks(np.zeros(3), 1)
