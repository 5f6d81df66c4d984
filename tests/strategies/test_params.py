"""Parameters: types, conversion of text, ranges, and the nearest name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.errors import UsageError
from dhanfast.strategies.params import Param, Parametric, param, unknown


class Knobs(Parametric):
    """One of each type."""

    count = param(9, low=3, high=50, step=1, doc="bars")
    factor = param(1.5, low=0, high=20)
    quick = param(True)
    side = param("both", choices=("long", "short", "both"))
    free = param(7)
    name = param("x")


class More(Knobs):
    """A subclass adds one and narrows another."""

    count = param(5, low=4, high=6)
    extra = param(1)


def test_defaults_and_order() -> None:
    assert Knobs().settings() == {
        "count": 9,
        "factor": 1.5,
        "quick": True,
        "side": "both",
        "free": 7,
        "name": "x",
    }
    assert list(More.params()) == ["count", "factor", "quick", "side", "free", "name", "extra"]
    assert More().settings()["count"] == 5 and Knobs.params()["count"].doc == "bars"
    assert Knobs.params()["count"] == Param(9, 3, 50, 1, (), "bars")


@pytest.mark.parametrize(
    "name, given_, value",
    [
        ("count", 12, 12),
        ("count", "12", 12),
        ("count", " 12 ", 12),
        ("count", 12.0, 12),
        ("count", "12.0", 12),
        ("count", "1.2e1", 12),
        ("count", 3, 3),
        ("count", 50, 50),
        ("factor", 2, 2.0),
        ("factor", "2", 2.0),
        ("factor", "2.25", 2.25),
        ("factor", "1e-3", 0.001),
        ("quick", False, False),
        ("quick", "false", False),
        ("quick", "YES", True),
        ("quick", "no", False),
        ("side", "long", "long"),
        ("free", "-5", -5),
        ("name", "12", "12"),
    ],
)
def test_values_become_the_declared_type(name: str, given_: Any, value: Any) -> None:
    got = Knobs(**{name: given_}).settings()[name]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    "name, given_, text",
    [
        ("count", 2, r"parameter count must be in 3\.\.50, was 2"),
        ("count", "51", r"in 3\.\.50, was 51"),
        ("count", 3.5, "parameter count must be int, was 3.5"),
        ("count", "nine", "must be int, was 'nine'"),
        ("count", "", "must be int, was ''"),
        ("count", True, "must be int, was True"),
        ("count", None, "must be int, was None"),
        ("count", [9], r"must be int, was \[9\]"),
        ("count", "inf", "must be int"),
        ("count", "1e999", "must be int, was '1e999'"),
        ("count", float("nan"), "must be int, was nan"),
        ("free", float("inf"), "must be int, was inf"),
        ("factor", -0.1, r"factor must be in 0\.\.20, was -0.1"),
        ("factor", "nan", "factor must be float, was 'nan'"),
        ("factor", "inf", "factor must be float, was 'inf'"),
        ("factor", False, "factor must be float, was False"),
        ("factor", "1,5", "factor must be float, was '1,5'"),
        ("quick", 1, "quick must be bool, was 1"),
        ("quick", "1", "quick must be bool, was '1'"),
        ("side", "up", "side must be one of long, short, both, was up"),
        ("side", 1, "side must be str, was 1"),
    ],
)
def test_wrong_values_name_the_parameter_the_rule_and_the_value(
    name: str, given_: Any, text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        Knobs(**{name: given_})


def test_an_unknown_parameter_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no parameter of Knobs is called 'cuont'.*mean count\?"):
        Knobs(cuont=3)
    with pytest.raises(UsageError, match=r"called 'zzz' \(known: count, factor, free"):
        Knobs(zzz=3)


def test_unknown_says_so_when_there_is_nothing_to_choose_from() -> None:
    assert unknown("limit", "x", []) == "no limit is called 'x' (known: none)"


@given(st.integers(3, 50) | st.floats(3, 50).map(lambda x: float(int(x))))
def test_text_of_any_number_in_range_is_that_number(value: float) -> None:
    assert Knobs(count=str(value)).settings()["count"] == int(value)


@given(st.text(max_size=8) | st.floats() | st.integers() | st.booleans() | st.none())
def test_nothing_but_a_value_in_range_or_a_refusal_comes_out(value: Any) -> None:
    try:
        got = Knobs(count=value).settings()["count"]
    except UsageError:
        return
    assert type(got) is int and 3 <= got <= 50
