"""Deflated Sharpe, probability of overfitting: published values, a plain slow model, laws."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.reports.overfitting import (
    Moments,
    deflated_sharpe,
    effective_trials,
    expected_best,
    moments,
    overfitting_probability,
    probabilistic_sharpe,
)

# Bailey and Lopez de Prado (2014), section "A numerical example": a yearly Sharpe of 2.5 over five
# years of 250 days, skewness -3, kurtosis 10, variance of the trials' yearly Sharpe ratios 1/2.
PUBLISHED = Moments(days=1250, sharpe=2.5 / math.sqrt(250), skew=-3.0, kurtosis=10.0)
VARIANCE = 0.5 / 250


@pytest.mark.parametrize(
    ("trials", "of", "deflated"),
    [
        (100, PUBLISHED, 0.9004),
        (46, PUBLISHED, 0.9505),
        (88, Moments(1250, 2.5 / math.sqrt(250), 0.0, 3.0), 0.9505),  # normal returns
    ],
)
def test_published_example(trials: int, of: Moments, deflated: float) -> None:
    got = probabilistic_sharpe(of, expected_best(VARIANCE, trials))
    assert got == pytest.approx(deflated, abs=5e-5)


def test_published_threshold() -> None:
    assert expected_best(VARIANCE, 100) == pytest.approx(0.1132, abs=5e-5)


def test_expected_best_is_what_drawing_shows() -> None:
    """The mean of the largest of 50 draws, by drawing."""
    random = np.random.default_rng(5)
    drawn = random.normal(0, 0.3, (40_000, 50)).max(axis=1).mean()
    assert expected_best(0.09, 50) == pytest.approx(drawn, rel=0.03)  # its own error is below that


def test_moments_are_the_textbook_ones() -> None:
    values = [0.01, -0.02, 0.03, 0.005, -0.01, 0.0]
    got = moments(values)
    mean = statistics.fmean(values)
    variance = statistics.pvariance(values)
    assert got is not None and got.days == 6
    assert got.sharpe == pytest.approx(mean / statistics.stdev(values))
    assert got.skew == pytest.approx(
        statistics.fmean((v - mean) ** 3 for v in values) / variance**1.5
    )
    assert got.kurtosis == pytest.approx(
        statistics.fmean((v - mean) ** 4 for v in values) / variance**2
    )


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
def test_no_moments_without_days_or_variance(values: list[float]) -> None:
    assert moments(values) is None


def test_one_trial_is_not_deflated() -> None:
    got = deflated_sharpe(PUBLISHED, [PUBLISHED.sharpe])
    assert got.threshold == 0.0 and got.deflated == got.probabilistic


def test_more_trials_deflate_more() -> None:
    sharpes = np.random.default_rng(1).normal(0, 0.05, 30).tolist()
    found = [deflated_sharpe(PUBLISHED, sharpes, n).deflated for n in (2, 10, 100, 10_000)]
    assert found == sorted(found, reverse=True) and found[0] > found[-1]


@pytest.mark.parametrize(("variance", "trials"), [(0.1, 0), (-0.1, 5), (math.nan, 5)])
def test_expected_best_refuses(variance: float, trials: int) -> None:
    with pytest.raises(ValueError, match="trials must be at least 1"):
        expected_best(variance, trials)


def test_effective_trials_of_copies_is_one_and_of_strangers_all() -> None:
    random = np.random.default_rng(2)
    one = random.normal(size=(500, 1))
    assert effective_trials(np.repeat(one, 20, axis=1)) == pytest.approx(1.0, abs=1e-6)
    strangers = effective_trials(random.normal(size=(5000, 20)))
    assert strangers is not None and strangers == pytest.approx(20, rel=0.05)
    assert effective_trials(one) is None


def oracle_pbo(table: np.ndarray, blocks: int) -> tuple[float, float]:
    """CSCV as the paper tells it: loops, ranks by counting."""
    parts = np.array_split(table, blocks)

    def ratio(column: np.ndarray) -> float:
        spread = column.std(ddof=1)
        return 0.0 if spread < 1e-9 else float(column.mean() / spread)

    below, lost, splits = 0, 0, 0
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[at] for at in chosen])
        outside = np.concatenate([parts[at] for at in range(blocks) if at not in chosen])
        scores = [ratio(inside[:, n]) for n in range(table.shape[1])]
        best = scores.index(max(scores))
        others = [ratio(outside[:, n]) for n in range(table.shape[1])]
        rank = (
            sum(o < others[best] for o in others) + (sum(o == others[best] for o in others) + 1) / 2
        )
        below += rank / (len(others) + 1) <= 0.5
        lost += others[best] < 0
        splits += 1
    return below / splits, lost / splits


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 7), st.sampled_from([2, 4, 6]), st.integers(13, 40))
def test_overfitting_agrees_with_the_plain_model(
    seed: int, trials: int, blocks: int, days: int
) -> None:
    table = np.rint(np.random.default_rng(seed).normal(0, 1e5, (days, trials)))
    got = overfitting_probability(table, blocks)
    assert (got.probability, got.loss) == pytest.approx(oracle_pbo(table, blocks))
    assert got.splits == math.comb(blocks, blocks // 2)


def test_skill_is_not_called_overfitting_and_noise_is() -> None:
    random = np.random.default_rng(3)
    noise = random.normal(0, 1, (480, 40))
    skilled = noise.copy()
    skilled[:, 7] += 0.5
    good, bad = overfitting_probability(skilled), overfitting_probability(noise)
    assert good.probability == 0.0 and good.loss == 0.0
    assert bad.probability is not None and 0.2 < bad.probability < 0.8


def test_a_trial_without_trades_has_no_ratio() -> None:
    table = np.zeros((40, 3))
    table[:, 1] = np.random.default_rng(4).normal(5, 1, 40)
    got = overfitting_probability(table, 4)
    assert got.probability == 0.0


def test_too_few_days_or_trials_are_not_judged() -> None:
    assert overfitting_probability(np.ones((3, 5))).probability is None
    assert overfitting_probability(np.ones((50, 1))).probability is None


@pytest.mark.parametrize("blocks", [3, 0, 22])
def test_blocks_out_of_range_are_refused(blocks: int) -> None:
    with pytest.raises(ValueError, match="blocks must be even"):
        overfitting_probability(np.ones((50, 3)), blocks)


def test_trials_that_are_all_alike_are_not_judged() -> None:
    """Nothing was chosen among them: a parameter that decides nothing, or no trade at all."""
    one = np.random.default_rng(5).normal(0.0, 1.0, (60, 1))
    for table in (np.zeros((60, 4)), np.repeat(one, 4, axis=1)):
        judged = overfitting_probability(table, 8)
        assert judged.probability is None and judged.loss is None and judged.splits == 0
    nearly = np.repeat(one, 4, axis=1)
    nearly[7, 2] += 0.5
    assert overfitting_probability(nearly, 8).probability is not None
