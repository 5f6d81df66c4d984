"""Open interest: classes by their table, changes and levels by slow models."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import UsageError
from dhanfast.options import BuildUp
from tests.options.made import EXPIRY, NEXT, at, chain

PRICE = st.one_of(st.just(0.0), st.just(math.nan), st.floats(0.05, 500.0))
HELD = st.one_of(st.just(math.nan), st.integers(0, 10**6).map(float))


def oracle(old: float, new: float, held: float, holds: float) -> BuildUp:
    """The table of the module, in words; bands 0.1 % and 0.5 %."""
    if not (old > 0.0 and new > 0.0 and held >= 0.0 and holds >= 0.0):
        return BuildUp.NONE
    if abs(new - old) <= 0.001 * old or abs(holds - held) <= 0.005 * held:
        return BuildUp.NONE
    if new > old:
        return BuildUp.LONG_BUILD_UP if holds > held else BuildUp.SHORT_COVERING
    return BuildUp.SHORT_BUILD_UP if holds > held else BuildUp.LONG_UNWINDING


@given(rows=st.lists(st.tuples(PRICE, PRICE, HELD, HELD), min_size=1, max_size=20))
def test_classes(rows: list[tuple[float, float, float, float]]) -> None:
    found = options.build_up(*(np.array(column) for column in zip(*rows, strict=True)))
    assert found.tolist() == [oracle(*row) for row in rows]


def test_every_class_and_its_text() -> None:
    found = options.build_up(100.0, [101.0, 99.0, 101.0, 99.0, 100.05, 101.0], 1000.0,
                             [1010.0, 1010.0, 990.0, 990.0, 1010.0, 1004.0])  # fmt: skip
    assert [BuildUp(int(one)).text for one in found] == [
        "long build up", "short build up", "short covering", "long unwinding", "", ""
    ]  # fmt: skip
    assert options.build_up(100.0, 100.05, 1000.0, 1004.0, price_band=0.0, oi_band=0.0) == 1
    with pytest.raises(UsageError, match="price_band -1"):
        options.build_up(1.0, 1.0, 1.0, 1.0, price_band=-1.0)
    with pytest.raises(UsageError, match="do not fit together"):
        options.build_up([1.0, 2.0], [1.0, 2.0, 3.0], 1.0, 1.0)


def test_changes_at_the_strikes_of_both() -> None:
    before = chain(at("09:30"), strikes=[24_900.0, 25_000.0, 25_100.0])
    after = chain(at("10:30"), strikes=[25_000.0, 25_100.0, 25_200.0], seed=2, forward=25_300.0)
    found = options.interest_change(before, after)
    assert found.strike.tolist() == [25_000.0, 25_100.0]
    np.testing.assert_array_equal(found.call_oi, after.call_oi[:2] - before.call_oi[1:])
    np.testing.assert_array_equal(found.put_price, after.put[:2] - before.put[1:])
    for side in ("call", "put"):
        wanted = [
            oracle(getattr(before, side)[i + 1], getattr(after, side)[i],
                   getattr(before, f"{side}_oi")[i + 1], getattr(after, f"{side}_oi")[i])
            for i in range(2)
        ]  # fmt: skip
        assert getattr(found, f"{side}_class").tolist() == wanted


def test_changes_refuse_what_is_not_one_chain() -> None:
    with pytest.raises(UsageError, match="two snapshots of one chain"):
        options.interest_change(chain(), chain(expiry=NEXT))
    with pytest.raises(UsageError, match="the earlier first"):
        options.interest_change(chain(at("10:00")), chain(at("09:59")))


def test_levels_by_what_is_open_and_by_what_was_added() -> None:
    before, after = chain(at("09:30")), chain(at("10:30"), seed=5)
    found = options.interest_levels(after, before, count=4)
    for levels, name in ((found.resistance, "call_oi"), (found.support, "put_oi")):
        held = getattr(after, name)
        order = sorted(range(len(after)), key=lambda i: (-held[i], i))[:4]
        assert [one.strike for one in levels] == after.strike[order].tolist()
        assert [one.oi for one in levels] == held[order].tolist()
        change = (held - getattr(before, name))[order]
        assert [one.change for one in levels] == change.tolist()
    added = options.interest_levels(after, before, count=1, by="change")
    grown = after.put_oi - before.put_oi
    assert added.support[0].strike == after.strike[int(np.argmax(grown))]


def test_levels_without_open_interest_or_an_earlier_chain() -> None:
    rows = chain()
    bare = options.snapshot(rows.at_ns, "NIFTY", EXPIRY, rows.strike, rows.call, rows.put)
    assert options.interest_levels(bare) == ([], [])
    assert math.isnan(options.interest_levels(rows).support[0].change)
    for words in ({"count": 0}, {"by": "volume"}, {"by": "change"}):
        with pytest.raises(UsageError):
            options.interest_levels(rows, **words)
