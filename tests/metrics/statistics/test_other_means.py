"""Standard error, geometric and harmonic mean: by hand, zeros, negative values."""

import math

import numpy as np
import pytest
import scipy.stats
from support.samples import observed

import jaxmetrics as jm

NAN, INF = math.nan, math.inf
MEANS = (jm.GeometricMean, jm.HarmonicMean)


@pytest.mark.parametrize("offset", [0, 1e4])
def test_the_standard_error_does_not_cancel_at_an_offset(offset):
    """Trap 6.5."""
    values = np.random.default_rng(0).normal(offset, 1, 20_000).astype(np.float32)
    value = observed(jm.StandardError(), 10, values=values).compute()
    assert value == pytest.approx(scipy.stats.sem(values.astype(float)), rel=1e-6)


def test_one_value_has_no_standard_error():
    metric = jm.StandardError("loss")
    assert math.isnan(metric.compute())
    assert math.isnan(jm.evaluate(metric, loss=[1.0]))
    assert jm.evaluate(metric, loss=[1.0, 3.0]) == 1


def test_a_collection_stores_the_variance_once():
    metrics = jm.Collection(v=jm.Variance("x"), s=jm.StandardError("x"), d=jm.Std("x"))
    assert list(metrics.plain()) == ["v/moments"]


def test_by_hand():
    assert jm.evaluate(jm.GeometricMean(), values=[1.0, 8.0, 1.0]) == pytest.approx(2)
    assert jm.evaluate(jm.HarmonicMean(), values=[1.0, 0.5, 0.25, 0.25]) == 4 / 11


@pytest.mark.parametrize("metric", MEANS)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_a_zero_makes_the_mean_zero_and_an_infinity_alone_infinite(metric, zero):
    assert jm.evaluate(metric(), values=[zero, 3.0]) == 0
    assert jm.evaluate(metric(), values=[INF]) == INF


@pytest.mark.parametrize("value", [2e-38, 9e37, 3.4e38])
def test_a_mean_of_values_near_the_limits_of_float32(value):
    for metric in MEANS:
        near = jm.evaluate(metric(), values=np.float32([value, value]))
        assert near == pytest.approx(value, rel=1e-5), metric


@pytest.mark.parametrize("metric", MEANS)
def test_negative_values_are_invalid_and_nan_is_visible(metric):
    state = metric().update(values=[-1.0, 2.0])
    assert state.compute() == pytest.approx(2) and state.diagnostics() == {"invalid": 1}
    assert math.isnan(state.update(values=[NAN]).compute())
    masked = metric().update(values=[NAN, 2.0, -1.0], mask=[False, True, False])
    assert masked.compute() == pytest.approx(2) and masked.diagnostics() == {}
    assert math.isnan(metric().compute())


@pytest.mark.parametrize("metric", MEANS)
def test_a_weight_of_zero_leaves_a_value_out(metric):
    outputs = dict(values=[2.0, NAN, 0.0], weights=[0.5, 0.0, 0.0])
    state = metric(weighted=True).update(**outputs)
    assert state.compute() == pytest.approx(2)
