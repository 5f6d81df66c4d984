"""Parameters: types, conversion of text, ranges, and the nearest name."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.errors import UsageError
from dhanfast.strategies.params import (
    Param,
    Parametric,
    Range,
    param,
    search_space,
    unknown,
)


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


class Sought(Parametric):
    """One of each kind of search."""

    bars = param(9, low=2, high=200, search=(5, 21, 4))
    width = param(2.0, low=0.5, high=4, step=0.1, search=(1.0, 1.5))
    free = param(1.5, low=0, high=3, search=(0, 3))
    small = param(3, low=2, high=5, search=(2, 5))
    even = param(4, low=2, high=8, step=2)
    quick = param(True, search=(False, True))
    side = param("both", choices=("long", "short", "both"), search=("long", "both"))
    fixed = param(15, low=1, high=1000, step=1, search=())
    bounded = param(15, low=1, high=1000)
    still = param(False)
    open_ = param(7, low=1, step=1)
    name = param("x")


def test_a_search_space_has_what_is_declared_and_nothing_else() -> None:
    space = search_space(Sought)
    assert space == search_space(Sought()) == search_space(Sought(bars=50))
    assert list(space) == ["bars", "width", "free", "small", "even", "quick", "side"]
    assert space["bars"].values() == (5, 9, 13, 17, 21)
    assert space["width"].values() == (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)
    assert space["free"] == Range(0.0, 3.0) and space["free"].count == 0
    assert space["small"].values() == (2, 3, 4, 5)
    assert space["even"].values() == (2, 4, 6, 8)
    assert space["quick"].values() == (False, True)
    assert space["side"].values() == ("long", "both")
    assert {type(value) for value in space["bars"].values()} == {int}
    assert {type(value) for value in space["width"].values()} == {float}


def test_a_search_space_is_found_by_name() -> None:
    from dhanfast.strategies.library.momentum import Momentum

    assert search_space("momentum") == search_space(Momentum) == search_space("momentum-cython")
    assert search_space(int) == {}
    with pytest.raises(UsageError, match="did you mean momentum"):
        search_space("momentun")


def test_a_continuous_range_has_no_points() -> None:
    free = search_space(Sought)["free"]
    with pytest.raises(UsageError, match=r"every point of 0\.\.3 needs a step"):
        free.values()
    with pytest.raises(UsageError, match="none: it has no step, was 0"):
        free.at(0)
    with pytest.raises(UsageError, match=r"must be in 0\.\.4, was 5"):
        search_space(Sought)["bars"].at(5)
    with pytest.raises(UsageError, match=r"must be in 0\.\.4, was -1"):
        search_space(Sought)["bars"].at(-1)


@given(
    low=st.integers(-50, 50),
    spread=st.integers(0, 60),
    tenths=st.integers(1, 30),
    whole=st.booleans(),
)
def test_points_are_those_of_exact_arithmetic(
    low: int, spread: int, tenths: int, whole: bool
) -> None:
    step = Fraction(tenths) if whole else Fraction(tenths, 10)
    found = Range(low, low + spread, float(step), whole=whole)
    expected, at = [], Fraction(low)
    while at <= low + spread:
        expected.append(float(at))
        at += step
    assert list(found.values()) == expected
    assert found.count == len(expected)


@given(data=st.data())
def test_every_point_of_a_search_is_a_value_the_strategy_takes(data: st.DataObject) -> None:
    space = search_space(Sought)
    picked = {
        name: found.at(data.draw(st.integers(0, found.count - 1)))
        for name, found in space.items()
        if found.count
    }
    assert Sought(**picked).settings() | picked == Sought(**picked).settings()


@pytest.mark.parametrize(
    "declared, text",
    [
        ({"step": 0}, "step must be above 0, was 0"),
        ({"step": float("nan")}, "step must be above 0, was nan"),
        ({"low": 5, "high": 4}, "low 5 must not be above high 4"),
        (
            {"low": 5, "high": 9, "search": (4, 9)},
            r"\(low, high, step\) inside 5\.\.9.*was \(4, 9\)",
        ),
        ({"low": 5, "high": 9, "search": (8, 7)}, r"was \(8, 7\)"),
        ({"low": 5, "search": (6, float("inf"))}, r"inside 5\.\.inf"),
        ({"search": (1, 2, 3, 4)}, r"was \(1, 2, 3, 4\)"),
        ({"search": (1, 2, 0)}, "step must be above 0, was 0"),
        ({"search": (1, 2, "x")}, "step must be above 0, was x"),
        ({"search": ("a", "b")}, r"was \('a', 'b'\)"),
        ({"search": (1,)}, r"was \(1,\)"),
    ],
)
def test_declarations_that_contradict_themselves_are_refused(
    declared: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        param(6, **declared)


def test_values_that_a_text_does_not_take_are_no_search() -> None:
    with pytest.raises(UsageError, match="search must be one of a, b, was c"):
        param("a", choices=("a", "b"), search=("a", "c"))
    with pytest.raises(UsageError, match="search must be bool, was 3"):
        param(True, search=(3,))
    with pytest.raises(UsageError, match="search must be values it takes"):
        param(True, search=("yes",))
