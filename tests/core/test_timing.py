"""Time and latency histograms, against numpy and the operating system."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.timing import LatencyHistogram, UtcClock, monotonic_ns
from dhanfast.errors import UsageError

SAMPLES = st.lists(st.integers(0, 2**62), min_size=1, max_size=200)
PERCENTS = [0.0, 0.1, 1.0, 25.0, 29.0, 50.0, 90.0, 99.0, 99.9, 100.0]


@given(samples=SAMPLES, bits=st.integers(1, 12))
@settings(max_examples=60)
def test_percentiles_agree_with_numpy_within_the_stated_error(
    samples: list[int], bits: int
) -> None:
    histogram = LatencyHistogram(bits)
    histogram.record_many(np.array(samples, dtype=np.int64))
    for percent in PERCENTS:
        want = int(np.percentile(np.array(samples), percent, method="inverted_cdf"))
        got = histogram.percentile(percent)
        assert got is not None
        assert abs(got - want) <= histogram.relative_error * want + 1


@given(samples=SAMPLES)
@settings(max_examples=40)
def test_every_sample_lies_in_exactly_one_occupied_bucket(samples: list[int]) -> None:
    histogram = LatencyHistogram(5)
    for sample in samples:
        histogram.record(sample)
    low, width, count = histogram.buckets()
    assert (np.diff(low) > 0).all() and (low[:-1] + width[:-1] <= low[1:]).all()
    for start, size, held in zip(low.tolist(), width.tolist(), count.tolist(), strict=True):
        assert held == sum(start <= sample < start + size for sample in samples)
        assert size == 1 or size <= start / 2**5
    assert count.sum() == len(samples) == histogram.count


@given(left=SAMPLES, right=SAMPLES)
@settings(max_examples=30)
def test_merging_equals_recording_everything_in_one(left: list[int], right: list[int]) -> None:
    parts = [LatencyHistogram(), LatencyHistogram()]
    whole = LatencyHistogram()
    for part, samples in zip(parts, (left, right), strict=True):
        part.record_many(np.array(samples, dtype=np.int64))
    whole.record_many(np.array(left + right, dtype=np.int64))
    parts[0].merge(parts[1])
    assert [x.tolist() for x in parts[0].buckets()] == [x.tolist() for x in whole.buckets()]
    assert (parts[0].min_ns, parts[0].max_ns) == (min(left + right), max(left + right))
    assert parts[0].mean_ns == whole.mean_ns
    assert parts[0].count == len(left) + len(right)


def test_extremes_of_int64_are_held() -> None:
    histogram = LatencyHistogram(12)
    histogram.record(2**63 - 1)
    histogram.record(0)
    assert (histogram.percentile(100), histogram.percentile(0)) == (2**63 - 1, 0)


def test_a_negative_sample_is_counted_apart() -> None:
    histogram = LatencyHistogram()
    histogram.record(-1)
    assert (histogram.negative, histogram.count) == (1, 0)
    assert histogram.percentile(50) is None and histogram.mean_ns is None
    assert histogram.min_ns is None and histogram.max_ns is None


def test_reset_forgets_everything() -> None:
    histogram = LatencyHistogram()
    histogram.record_many(np.array([-1, 5, 70_000], dtype=np.int64))
    histogram.reset()
    assert (histogram.count, histogram.negative, len(histogram.buckets()[0])) == (0, 0, 0)
    histogram.record(9)
    assert (histogram.min_ns, histogram.max_ns, histogram.percentile(50)) == (9, 9, 9)


def test_refusals_name_the_value() -> None:
    for bits in (0, 13):
        with pytest.raises(UsageError, match=str(bits)):
            LatencyHistogram(bits)
    for percent in (-1.0, 100.5, float("nan")):
        with pytest.raises(UsageError, match="percent"):
            LatencyHistogram().percentile(percent)
    with pytest.raises(UsageError, match="same bits"):
        LatencyHistogram(5).merge(LatencyHistogram(6))


def test_utc_clock_stays_between_two_readings_of_the_system_clock() -> None:
    clock = UtcClock()
    for _ in range(100):
        before = time.time_ns()
        now = clock.now_ns()
        after = time.time_ns()
        # 1 ms: room for NTP to slew between the calibration and here, far below a wrong epoch.
        assert before - clock.error_ns - 1_000_000 <= now <= after + clock.error_ns + 1_000_000


def test_utc_clock_never_runs_backwards_even_across_calibrations() -> None:
    clock = UtcClock()
    stamps = []
    for _ in range(200):
        stamps.append(clock.now_ns())
        clock.calibrate()
    assert stamps == sorted(stamps)
    assert abs(clock.calibrate()) < 1_000_000_000


def test_monotonic_is_the_systems() -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    now = monotonic_ns()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
