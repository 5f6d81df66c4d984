"""Bayesian rounds: equal seeds, equal points, whoever runs them; a word without Optuna."""

import sys
from pathlib import Path

import pytest

from dhanfast.engine.research.prepare import Prepared, prepared
from dhanfast.engine.research.proposals import Bayes, check_method
from dhanfast.engine.research.search import Engines, optimize
from dhanfast.engine.research.space import Axis, Space
from dhanfast.engine.research.trial import Row
from dhanfast.errors import UsageError
from tests.engine.research.noise import random_walk

SPACE = Space((Axis("x", tuple(range(100))), Axis("y", (), -1.0, 1.0), Axis("m", ("a", "b"))))


@pytest.fixture(scope="module")
def made() -> Prepared:
    return prepared("momentum", random_walk(3, "2022-02-01", "2022-02-28"))


def hunt(trials: int, seed: int) -> list[Row]:
    """Maximise a hill with its top at x = 70, y = 0.5, m = b."""
    bayes, rows = Bayes(SPACE, trials, seed), []
    while points := bayes.next():
        found = []
        for point in points:
            x, y = float(point["x"]), float(point["y"])
            hill = -(((x - 70) / 100) ** 2) - (y - 0.5) ** 2 + (point["m"] == "b")
            found.append(Row(len(rows) + len(found), point, score=hill))
        bayes.told(found)
        rows += found
    return rows


def test_it_learns_and_repeats_itself() -> None:
    pytest.importorskip("optuna")
    rows = hunt(160, 1)
    assert [row.params for row in rows] == [row.params for row in hunt(160, 1)]
    assert [row.params for row in rows] != [row.params for row in hunt(160, 2)]
    assert len(rows) == 160 and {type(row.params["x"]) for row in rows} == {int}

    def mean(part: list[Row]) -> float:
        return sum(row.score or 0.0 for row in part) / len(part)

    assert mean(rows[-48:]) > mean(rows[:16]) + 0.3


def test_cores_and_a_stop_do_not_change_what_is_tried(made: Prepared, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    given = {"ranges": ["ema=5..50:5", "stop_atr=1..3"], "method": "bayes", "seed": 3}
    one = optimize(made, trials=40, engines=Engines(jobs=1), **given)  # type: ignore[arg-type]
    two = optimize(made, trials=40, engines=Engines(jobs=2), **given)  # type: ignore[arg-type]
    path = tmp_path / "b.study"
    optimize(made, trials=40, engines=Engines(jobs=1), study=path,
             **given)  # type: ignore[arg-type]  # fmt: skip
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:24]) + b"\n")
    again = optimize(made, trials=40, engines=Engines(jobs=2), study=path, resume=True,
                     **given)  # type: ignore[arg-type]  # fmt: skip
    assert again.fresh == 17
    assert len({one.digest, two.digest, again.digest}) == 1


def test_without_optuna_the_message_says_what_to_install(
    made: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'dhanfast\[search\]'"):
        optimize(made, method="bayes", trials=5, engines=Engines(jobs=1))
    assert len(optimize(made, ranges=["ema=5,9"], engines=Engines(jobs=1)).rows) == 2


def test_a_point_without_a_score_is_no_lesson() -> None:
    pytest.importorskip("optuna")
    bayes = Bayes(SPACE, 20, 0)
    points = bayes.next()
    bayes.told([Row(n, point, refused="no") for n, point in enumerate(points)])
    assert len(bayes.next()) == 4 and bayes.next() == []


def test_a_seed_out_of_range_is_refused() -> None:
    for seed in (-1, 2**32):
        with pytest.raises(UsageError, match=r"seed must be in 0\.\.4294967295, was"):
            check_method("random", 5, seed)


@pytest.mark.parametrize(
    ("method", "trials", "said"),
    [
        ("gird", None, "method must be one of grid, random, bayes, was 'gird'"),
        ("random", 0, r"trials must be in 1\.\.1,000,000, was 0"),
        ("grid", 10, "trials: a grid tries each of its points"),
    ],
)
def test_refusals(method: str, trials: int | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_method(method, trials)
