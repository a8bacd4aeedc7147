"""Moments against SciPy, at a large mean, and over many merges."""

import numpy as np
import pytest
import scipy.stats
from support.samples import constant, every_distribution, observed, sample

import jaxmetrics as jm


def exact_moments(values):
    values = values.astype(np.float64)
    shape = scipy.stats.skew(values), scipy.stats.kurtosis(values)
    return values.mean(), values.var(), *shape


@every_distribution
def test_moments_are_those_of_scipy(draw):
    values = sample(draw)
    computed = observed(jm.Moments(), 8, values=values).compute()
    if draw is constant:
        assert computed["variance"] <= 1e-14 and computed["mean"] == values[0]
        return
    exact = exact_moments(values)
    np.testing.assert_allclose(list(computed.values()), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
def test_no_moment_cancels_at_an_offset(offset):
    rng = np.random.default_rng(8)
    covariance = [[1, 0.5, 0], [0.5, 2, -3], [0, -3, 100]]
    rows = rng.multivariate_normal([0, 0, 0], covariance, 5000) + offset
    rows = rows.astype(np.float32)
    mask = rng.random(5000) < 0.8
    computed = observed(jm.Moments(), 10, values=rows, mask=mask).compute()
    exact = exact_moments(rows[mask].ravel())
    np.testing.assert_allclose(list(computed.values()), exact, rtol=1e-5, atol=1e-6)


def test_moments_do_not_drift_over_many_merges():
    values = np.random.default_rng(9).gamma(2, 1, 40_000).astype(np.float32)
    computed = observed(jm.Moments(), 20_000, values=values).compute()
    exact = exact_moments(values)
    np.testing.assert_allclose(list(computed.values()), exact, rtol=2e-5)


def test_skewness_and_kurtosis_of_a_constant_are_nan():
    computed = observed(jm.Moments(), values=np.full(8, np.float32(2))).compute()
    assert (computed["mean"], computed["variance"]) == (2, 0)
    assert np.isnan(computed["skewness"]) and np.isnan(computed["kurtosis"])
