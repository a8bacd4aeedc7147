"""Covariance: precision at a large mean, rows that are not finite, ddof."""

import jax
import numpy as np
import pytest
from support.samples import observed

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
def test_no_covariance_cancels_at_an_offset(offset):
    rng = np.random.default_rng(8)
    covariance = [[1, 0.5, 0], [0.5, 2, -3], [0, -3, 100]]
    rows = rng.multivariate_normal([0, 0, 0], covariance, 5000) + offset
    rows = rows.astype(np.float32)
    mask = rng.random(5000) < 0.8
    kept = rows[mask].astype(np.float64)
    computed = observed(jm.Covariance(size=3), 10, values=rows, mask=mask).compute()
    np.testing.assert_allclose(computed["mean"], kept.mean(0), rtol=0, atol=1e-6)
    larger_variance = np.maximum.outer(kept.var(0), kept.var(0))
    error = np.abs(computed["covariance"] - np.cov(kept.T, ddof=0)) / larger_variance
    assert error.max() < 1e-6


@pytest.mark.parametrize("weighted", [False, True])
def test_integers_that_float32_would_round_keep_their_covariance(weighted):
    rows = np.int32([[0, 2], [1, 1], [2, 5], [5, 0]])
    weights = dict(weights=np.float32([1, 2, 1, 1])) if weighted else {}
    metric = jm.Covariance(size=2, weighted=weighted)
    right = metric.update(values=rows, **weights).compute()["covariance"]
    moved = metric.update(values=rows + 2**24, **weights).compute()["covariance"]
    np.testing.assert_allclose(moved, right, rtol=1e-6)


def test_a_row_with_a_nan_is_left_out_and_counted():
    rows = np.float32([[1, 2], [NAN, 0], [3, 6], [0, INF]])
    state = observed(jm.Covariance(size=2), values=rows)
    assert state.compute()["covariance"].tolist() == [[1, 2], [2, 4]]
    assert state.plain()["nonfinite"] == 2


def test_the_unbiased_covariance_of_one_row_is_nan():
    state = jm.Covariance(size=2, ddof=1).update(values=[[1.0, 2.0]])
    computed = state.compute()
    assert np.isnan(computed["covariance"]).all()
    assert computed["mean"].tolist() == [1, 2]
    under_jit = jax.jit(lambda state: state.compute())(state)
    assert np.isnan(under_jit["covariance"]).all()


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="last axis must have length 3"):
        jm.Covariance(size=3).update(values=np.ones((4, 2), np.float32))


def test_a_size_below_one_is_refused():
    with pytest.raises(ValueError, match="Covariance: size must be at least 1"):
        jm.Covariance(size=0)


@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize("batches", [1, 5])
def test_weights_are_those_of_the_rows(offset, batches):
    rng = np.random.default_rng(0)
    mix = np.array([[1, 0.5, 0], [0, 1, -2], [0, 0, 1]])
    rows = (rng.normal(size=(500, 3)) @ mix + offset).astype(np.float32)
    weights = rng.uniform(0, 3, 500).astype(np.float32)
    weights[::7] = 0
    rows[7] = np.nan  # of weight 0
    metric = jm.Covariance(size=3, weighted=True)
    for part in np.split(np.arange(500), batches):
        metric = metric.update(values=rows[part], weights=weights[part])
    counted = weights > 0
    wide = rows[counted].astype(np.float64), weights[counted].astype(np.float64)
    right = np.cov(wide[0].T, aweights=wide[1], ddof=0)
    value = metric.compute()
    np.testing.assert_allclose(value["covariance"], right, atol=1e-6 * right.max())
    mean = np.average(wide[0], axis=0, weights=wide[1])
    np.testing.assert_allclose(value["mean"], mean, rtol=1e-7, atol=1e-7)
    assert metric.plain()["nonfinite"] == 0


def test_weights_of_entries_and_ddof_with_weights_are_refused():
    with pytest.raises(ValueError, match="weights ha"):
        jm.Covariance(size=2, weighted=True).update(
            values=np.ones((4, 2)), weights=np.ones((4, 2))
        )
    with pytest.raises(ValueError, match="weighted=True goes with ddof=0, got 1"):
        jm.Covariance(size=2, ddof=1, weighted=True)
