"""Sums, means and extremes are exact where they can be."""

import math

import numpy as np
import pytest
from support.aggregator import COUNT, INF, MAX, MEAN, MIN, NAN, SUM, aggregate, results

import jaxmetrics as jm


def test_sums_and_means_over_batches():
    aggregator = jm.MetricsAggregator()
    for _ in range(2):
        aggregator.update(
            [
                jm.Observation("alpaca", "tokens_seen", 100, SUM),
                jm.Observation("alpaca", "avg_tokens_seen", 100, MEAN),
            ]
        )
    expected = {"train_alpaca/tokens_seen": 200.0, "train_alpaca/avg_tokens_seen": 100}
    assert aggregator.get_metrics_for_logging(prefix="train") == expected


@pytest.mark.parametrize(
    ("agg_type", "expected"), [(MAX, 7.0), (MIN, -3.0), (MEAN, 2.0), (SUM, 6.0)]
)
def test_values_are_aggregated_over_updates(agg_type, expected):
    assert aggregate(agg_type, [7, -3], [2])["x"] == expected


def test_sums_of_integers_are_exact():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", SUM, x=np.array([2**62, 2**62, 2**62, -1]), y=2**53)
    aggregator.update("d", SUM, y=np.array([True, True], bool))
    sums = [entry["state"]["sum"] for entry in aggregator.state_dict()["totals"]]
    assert sums == [[str(3 * 2**62 - 1), 0.0, 0.0], [2**53 + 2, 0.0, 0.0]]
    assert results(aggregator)["y"] == 2.0**53 + 2


@pytest.mark.parametrize("values", [[2**62, 2**62], [-(2**62), -(2**62), -1]])
def test_sums_of_integers_beyond_63_bits_do_not_overflow(values):
    assert aggregate(SUM, np.array(values))["x"] == float(sum(values))


def test_small_floats_are_not_lost_next_to_large_ones():
    values = [1e16, *[1.0] * 1000, -1e16]
    assert aggregate(SUM, *values)["x"] == math.fsum(values) == 1000.0
    tenths = np.full(100_000, 0.1)
    logged = aggregate(SUM, *tenths.reshape(-1, 100))["x"]
    assert logged == pytest.approx(math.fsum(tenths), rel=1e-15)


def test_a_sum_that_overflows_is_infinite_and_not_nan():
    assert aggregate(SUM, [1e308, 1e308], [1.0])["x"] == INF
    assert aggregate(MEAN, [1e308, 1e308], [1.0])["x"] == INF


def test_a_mean_is_weighted_by_arrays_and_observations():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d", MEAN, x=[1.0, 5.0], weights=[3, 1])
    aggregator.update([jm.Observation("d", "x", 8.0, MEAN, weight=2.0)])
    aggregator.update([jm.Observation("d", "x", 2.0, MEAN)])
    aggregator.update("d", MEAN, x=[NAN, INF, 9.0], weights=[0, 0, 0])
    assert results(aggregator) == {"x": (3 + 5 + 16 + 2) / 7}


@pytest.mark.parametrize("agg_type", [SUM, MEAN, MAX, MIN])
def test_values_that_are_not_finite_are_counted_separately(agg_type):
    logged = aggregate(agg_type, [3.0, NAN], [INF, -INF])
    assert logged["x"] == 3.0 and logged["x_nonfinite"] == 3.0
    empty = aggregate(agg_type, [NAN])
    assert empty["x_nonfinite"] == 1.0
    assert empty["x"] == 0.0 if agg_type == SUM else math.isnan(empty["x"])


def test_an_empty_array_is_not_an_error():
    assert aggregate(SUM, []) == {"x": 0.0, "avg_x": pytest.approx(NAN, nan_ok=True)}
    assert aggregate(COUNT, []) == {}
