"""Search spaces: what is written, what it means, what is refused by name."""

import itertools

import pytest

from dhanfast.engine.research.space import Axis, Space, parse_axis, space_of
from dhanfast.errors import UsageError
from dhanfast.strategies import RuleStrategy, param
from dhanfast.strategies.library.momentum import Momentum
from dhanfast.strategies.params import Param

DECLARED: dict[str, Param] = {
    "ema": param(9, low=2, high=200),
    "stop": param(1.5, low=0, high=20),
    "mode": param("fast", choices=("fast", "slow", "off")),
    "both": param(True),
}


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("ema=5..20:5", (5, 10, 15, 20)),
        ("ema=5..8", (5, 6, 7, 8)),
        ("ema=5..12:5", (5, 10)),
        ("ema=21,9", (21, 9)),
        ("stop=1..2:0.25", (1.0, 1.25, 1.5, 1.75, 2.0)),
        ("stop=0.1..0.3:0.1", (0.1, 0.2, 0.3)),  # not 0.30000000000000004
        ("mode=off,fast", ("off", "fast")),
        ("mode=*", ("fast", "slow", "off")),
        ("both=*", (False, True)),
    ],
)
def test_what_is_written(text: str, points: tuple[object, ...]) -> None:
    axis = parse_axis(text, DECLARED)
    assert axis.points == points
    assert [type(point) for point in axis.points] == [type(point) for point in points]


def test_a_float_range_without_a_step_has_no_points() -> None:
    assert parse_axis("stop=1..3", DECLARED) == Axis("stop", (), 1.0, 3.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("emma=5..20", "no parameter of the strategy is called 'emma'; did you mean ema"),
        ("ema", "range 'ema' is not understood"),
        ("ema=", "is not understood"),
        ("ema=1..20", "parameter ema must be in 2..200, was 1"),
        ("ema=5..999", "parameter ema must be in 2..200, was 999"),
        ("ema=20..5", "the low end 20 must be below the high end 5"),
        ("ema=5..5", "must be below"),
        ("ema=5..20:0", "the step must be above 0, was 0"),
        ("ema=5..20:-1", "the step must be above 0"),
        ("ema=5..20:40", "the step 40 is larger than the range"),
        ("ema=5..20:x", "step 'x' is not a number"),
        ("ema=a..20", "low 'a' is not a number"),
        ("ema=5..inf", "high 'inf' is not a number"),
        ("ema=5..20:0.5", "parameter ema must be int"),
        ("stop=0..20:0.00001", "2,000,001 values, the most is 1,000,000"),
        ("ema=5,5", "names a value twice"),
        ("mode=fast,warp", "parameter mode must be one of"),
        ("both=0..1", "parameter both is true or false"),
    ],
)
def test_refusals_name_the_parameter(text: str, said: str) -> None:
    with pytest.raises(UsageError) as found:
        parse_axis(text, DECLARED)
    assert said in str(found.value)


def test_a_parameter_is_searched_once_and_not_when_it_is_given() -> None:
    with pytest.raises(UsageError, match="parameter ema: two ranges"):
        space_of(DECLARED, ["ema=5..20", "ema=30..40"])
    with pytest.raises(UsageError, match="ema has both a value"):
        space_of(DECLARED, ["ema=5..20"], fixed=["ema"])


def test_the_strategys_own_space_is_taken_when_none_is_named() -> None:
    own = space_of(Momentum.params(), [])
    assert [axis.name for axis in own.axes] == [
        "ema", "rsi_long", "rsi_short", "stop_atr", "target_atr",
    ]  # fmt: skip
    assert own.axes[0].points == (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)
    fewer = space_of(Momentum.params(), [], fixed=["ema", "rsi_long"])
    assert [axis.name for axis in fewer.axes] == ["rsi_short", "stop_atr", "target_atr"]


def test_a_step_with_both_ends_declares_a_space_too() -> None:
    class Stepped(RuleStrategy):
        wide = param(4, low=2, high=8, step=2)
        loose = param(4, low=2, high=8)

    assert space_of(Stepped.params(), []).axes == (Axis("wide", (2, 4, 6, 8)),)


def test_nothing_to_search_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"declares no search space.*parameters: both, ema"):
        space_of(DECLARED, [])


def test_what_a_strategy_declares_is_read_as_it_says() -> None:
    declared = {
        "whole": param(9, low=2, high=50, search=(5, 8)),
        "part": param(0.2, low=0, high=1, search=(0.1, 0.3, 0.1)),
        "any": param(0.2, low=0, high=1, search=(0.1, 0.9)),
        "mode": param("fast", choices=("fast", "slow", "off"), search=("off", "slow")),
        "none": param(4, low=2, high=8, step=2, search=()),
    }
    assert space_of(declared, []).axes == (
        Axis("whole", (5, 6, 7, 8)),
        Axis("part", (0.1, 0.2, 0.3)),
        Axis("any", (), 0.1, 0.9),
        Axis("mode", ("off", "slow")),
    )
    wide = {"wide": param(1.0, low=0, high=10, search=(0, 10, 0.000001))}
    with pytest.raises(UsageError, match="parameter wide: its search has 10,000,001 values"):
        space_of(wide, [])


def test_the_grid_is_every_combination_the_last_axis_fastest() -> None:
    space = space_of(DECLARED, ["ema=5..7", "stop=1..2:0.5", "mode=*"])
    wanted = [
        {"ema": e, "stop": s, "mode": m}
        for e, s, m in itertools.product((5, 6, 7), (1.0, 1.5, 2.0), ("fast", "slow", "off"))
    ]
    assert space.grid() == wanted and space.size == len(wanted)


def test_a_grid_without_a_step_or_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match=r"parameter stop: a grid needs a step"):
        space_of(DECLARED, ["stop=1..3"]).grid()
    wide = Space(tuple(Axis(name, tuple(range(1100))) for name in "ab"))
    with pytest.raises(UsageError, match=r"1,210,000 points, the most is 1,000,000"):
        wide.grid()


def test_random_points_differ_and_do_not_depend_on_how_many() -> None:
    space = space_of(DECLARED, ["ema=5..150", "stop=1..3", "mode=*"])
    many, few = space.random(300, 7), space.random(50, 7)
    assert many[:50] == few and many != space.random(300, 8)
    assert len({tuple(point.values()) for point in many}) == 300
    assert {type(point["ema"]) for point in many} == {int}
    assert all(5 <= float(p["ema"]) <= 150 and 1.0 <= float(p["stop"]) <= 3.0 for p in many)


def test_random_takes_every_point_of_a_small_space_once() -> None:
    space = space_of(DECLARED, ["ema=5..12", "mode=*"])
    points = space.random(24, 1)
    assert sorted(map(str, points)) == sorted(map(str, space.grid()))
    with pytest.raises(UsageError, match="25 random trials of 24 points"):
        space.random(25, 1)
