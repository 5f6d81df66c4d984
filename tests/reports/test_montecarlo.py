"""Monte-Carlo of trades against a plain model, and its laws."""

import numpy as np
import pytest

from dhanfast.reports.montecarlo import resample

TRADES = [5_000.0, -2_000.0, 3_000.0, -4_000.0, 1_000.0, -500.0, 2_500.0, -1_500.0]


def fall(trades: list[float]) -> float:
    """Deepest fall from the best so far, starting at nothing."""
    equity = peak = worst = 0.0
    for trade in trades:
        equity += trade
        peak = max(peak, equity)
        worst = max(worst, peak - equity)
    return worst


def test_bootstrap_is_what_drawing_by_hand_gives() -> None:
    """The same generator, one run after the other, in plain Python."""
    got = resample(TRADES, kind="bootstrap", runs=400, seed=9)
    random = np.random.Generator(np.random.PCG64(9))
    runs = [[TRADES[int(i)] for i in row] for row in random.integers(0, 8, (400, 8))]
    ends = [sum(run) for run in runs]
    falls = [fall(run) for run in runs]
    assert got is not None
    for q in got.net:
        assert got.net[q] == pytest.approx(np.quantile(ends, q))
        assert got.drawdown[q] == pytest.approx(np.quantile(falls, q))
    assert got.loss == sum(end < 0 for end in ends) / 400
    assert got.deeper == sum(one > fall(TRADES) for one in falls) / 400


def test_shuffling_changes_the_order_and_nothing_else() -> None:
    got = resample(TRADES, kind="shuffle", runs=300, seed=1)
    assert got is not None and set(got.net.values()) == {sum(TRADES)}
    possible = sorted(
        {fall([TRADES[i] for i in np.random.default_rng(s).permutation(8)]) for s in range(3000)}
    )
    assert possible[0] <= got.drawdown[0.05] <= got.drawdown[0.95] <= possible[-1]


def test_equal_seeds_give_equal_figures_and_chunks_do_not_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resample(TRADES, kind="bootstrap", runs=64, seed=3) == resample(
        TRADES, kind="bootstrap", runs=64, seed=3
    )
    assert resample(TRADES, kind="bootstrap", runs=64, seed=3) != resample(
        TRADES, kind="bootstrap", runs=64, seed=4
    )
    whole = resample(TRADES, kind="bootstrap", runs=64, seed=3)
    monkeypatch.setattr("dhanfast.reports.montecarlo.CHUNK", 80)
    assert resample(TRADES, kind="bootstrap", runs=64, seed=3) == whole


def test_one_trade_is_not_resampled() -> None:
    assert resample([100.0], kind="bootstrap") is None


@pytest.mark.parametrize(
    ("kind", "runs", "said"), [("jackknife", 10, "kind must be"), ("shuffle", 0, "runs must be")]
)
def test_refusals(kind: str, runs: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        resample(TRADES, kind=kind, runs=runs)
