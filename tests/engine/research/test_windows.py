"""Splits: every law of them by counting days, and the refusals."""

from math import comb

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dhanfast.engine.research.trial import Span
from dhanfast.engine.research.windows import Plan, Window, paths_of, sessions_count, windows_of
from dhanfast.errors import UsageError


def days(spans: tuple[Span, ...]) -> list[int]:
    """The sessions of some stretches."""
    return [day for span in spans for day in range(span.first, span.last)]


def test_rolling_worked_by_hand() -> None:
    plan = Plan(kind="rolling", train=4, test=2, purge=1, warmup=3)
    assert windows_of(plan, 10) == [
        Window((Span(0, 4, 0),), (Span(5, 7, 3),)),
        Window((Span(2, 6, 2),), (Span(7, 9, 3),)),
    ]


def test_anchored_worked_by_hand() -> None:
    plan = Plan(kind="anchored", train=4, test=2, purge=1, warmup=0)
    assert [(days(w.train), days(w.test)) for w in windows_of(plan, 9)] == [
        ([0, 1, 2, 3], [5, 6]),
        ([0, 1, 2, 3, 4, 5], [7, 8]),
    ]


def test_purged_folds_worked_by_hand() -> None:
    plan = Plan(kind="purged", folds=3, purge=1, embargo=1, warmup=0)
    assert [(days(w.train), days(w.test)) for w in windows_of(plan, 12)] == [
        ([6, 7, 8, 9, 10, 11], [0, 1, 2, 3]),
        ([0, 1, 2, 10, 11], [4, 5, 6, 7]),
        ([0, 1, 2, 3, 4, 5, 6], [8, 9, 10, 11]),
    ]


@given(
    kind=st.sampled_from(["rolling", "anchored", "purged", "combinatorial"]),
    sessions=st.integers(20, 120),
    train=st.integers(2, 40),
    test=st.integers(1, 20),
    folds=st.integers(3, 8),
    tested=st.integers(1, 3),
    purge=st.integers(0, 3),
    embargo=st.integers(0, 3),
    warmup=st.integers(0, 5),
)
def test_laws(kind: str, sessions: int, train: int, test: int, folds: int, tested: int,
              purge: int, embargo: int, warmup: int) -> None:  # fmt: skip
    plan = Plan(kind, train, test, 0, folds, tested, purge, embargo, warmup)
    try:
        windows = windows_of(plan, sessions)
    except UsageError:
        assume(False)
    tests: list[int] = []
    for window in windows:
        training, tested_days = set(days(window.train)), days(window.test)
        tests += tested_days
        assert training and tested_days
        assert window.train_days == len(training) and window.test_days == len(tested_days)
        for day in training:
            for tested_day in tested_days:
                gap = day - tested_day
                assert gap != 0
                assert not 0 < -gap <= purge, "purged before the test"
                assert not 0 < gap <= purge + embargo, "purged and embargoed after it"
        if kind in ("rolling", "anchored"):
            assert max(training) < min(tested_days)
        for span in (*window.train, *window.test):
            assert span.warmup == min(warmup, span.first) and span.last <= sessions
    if kind in ("rolling", "anchored"):
        assert tests == list(range(train + purge, train + purge + len(windows) * test))
    elif kind == "purged":
        assert tests == list(range(sessions))
    for path in paths_of(plan, windows):
        joined = [day for at, part in path for day in days((windows[at].test[part],))]
        assert joined == sorted(set(joined))
        if kind in ("purged", "combinatorial"):
            assert joined == list(range(sessions))


@pytest.mark.parametrize(("folds", "tested"), [(6, 2), (5, 3), (10, 2), (4, 1)])
def test_combinatorial_paths_use_every_test_once(folds: int, tested: int) -> None:
    """C(N, k) splits make C(N, k) * k / N paths (Lopez de Prado 2018, section 12.3)."""
    plan = Plan(kind="combinatorial", folds=folds, tested=tested)
    windows = windows_of(plan, 200)
    paths = paths_of(plan, windows)
    assert len(windows) == comb(folds, tested)
    assert len(paths) == comb(folds, tested) * tested // folds
    used = [place for path in paths for place in path]
    assert len(used) == len(set(used)) == comb(folds, tested) * tested


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(kind="sideways"), "split must be one of"),
        (Plan(train=1), r"train must be in 2\.\.100 days"),
        (Plan(train=300), r"train must be in 2\.\.100 days, which the data have, was 300"),
        (Plan(train=50, test=0), r"test must be in 1\.\.100 days"),
        (Plan(train=90, test=20), "need 110 sessions, the data have 100"),
        (Plan(train=50, test=20, windows=3), r"3 windows of 50 \+ 0 \+ 20 days"),
        (Plan(train=50, purge=-1), "purge must be in"),
        (Plan(kind="purged", folds=1), r"folds must be in 2\.\.50"),
        (Plan(kind="combinatorial", folds=6, tested=6), r"tested must be in 1\.\.5"),
        (Plan(kind="combinatorial", folds=30, tested=10), "at most 5,000 splits"),
        (Plan(kind="purged", folds=2, purge=60), "leave nothing to train on"),
    ],
)
def test_refusals_name_the_field(plan: Plan, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        windows_of(plan, 100)


def test_days_are_written_with_or_without_their_unit() -> None:
    assert sessions_count("60d", "train") == sessions_count(" 60 ", "train") == 60
    with pytest.raises(UsageError, match="train: '2 weeks' must be a number of trading days"):
        sessions_count("2 weeks", "train")
