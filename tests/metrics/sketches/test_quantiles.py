"""Quantiles: the error bound, ranks, and values out of range."""

import jax
import numpy as np
import pytest
from support.samples import QUANTILES, every_distribution, observed, sample

import jaxmetrics as jm

NAN, INF = float("nan"), float("inf")


@every_distribution
@pytest.mark.parametrize("bound", [0.01, 0.002])
def test_every_quantile_is_within_the_bound(draw, bound):
    values = sample(draw)
    state = observed(jm.Quantiles(q=QUANTILES, relative_error=bound), values=values)
    *quantiles, low, high = state.compute().values()
    exact = np.quantile(values.astype(np.float64), QUANTILES, method="inverted_cdf")
    np.testing.assert_allclose(quantiles, exact, rtol=bound, atol=1e-9)
    assert (low, high) == (values.min(), values.max())


def test_the_bound_is_reached_at_the_end_of_the_widest_bin():
    values = np.float32([1, 1.0199, 1.5])  # 1.0199 is just below the end of a first bin
    median, *_ = observed(jm.Quantiles(q=(0.5,)), values=values).compute().values()
    assert 0.0095 < abs(median / 1.0199 - 1) <= 0.01


def test_values_out_of_range_are_zero_or_the_extremes_and_counted():
    sketch = jm.Quantiles(q=(0.0, 0.1, 0.5, 0.9, 1.0), low=1e-3, high=1e3)
    values = [-1e9, -1e8, 1e-5, 0.0, -1e-5, 5e8, 2e9]
    state = observed(sketch, values=np.float32(values))
    computed = [float(x) for x in state.compute().values()]
    np.testing.assert_allclose(computed, [-1e9, -1e9, 0, 2e9, 2e9, -1e9, 2e9])
    assert state.plain()["outside"] == 4


def test_values_that_are_not_finite_have_no_rank_and_are_counted():
    values = np.float32([1, NAN, INF, -INF, 2, 3])
    state = observed(jm.Quantiles(q=(0.5,)), values=values)
    value = state.compute()
    assert (value["min"], value["max"], state.plain()["nonfinite"]) == (1, 3, 3)
    assert value["p50"] == pytest.approx(2, rel=0.01)


def test_quantiles_are_named_by_their_percentage():
    names = list(jm.Quantiles(q=(0.05, 0.5, 0.999, 1.0)).compute())
    assert names == ["p05", "p50", "p99.9", "p100", "min", "max"]


def test_rounding_does_not_move_a_rank_that_is_an_integer():
    # 0.07 * 100 is 7.000000000000001 in float64
    values = np.arange(1, 101, dtype=np.float32)
    state = observed(jm.Quantiles(q=(0.07,)), values=values)
    assert state.compute()["p07"] == pytest.approx(7, rel=0.01)
    under_jit = jax.jit(lambda state: state.compute())(state)
    assert under_jit["p07"] == pytest.approx(7, rel=0.01)


@pytest.mark.parametrize(
    "configuration",
    [
        dict(q=0.5),
        dict(q=(1.5,)),
        dict(relative_error=0.0),
        dict(relative_error=1e-4),
        dict(low=0.0),
        dict(low=2.0, high=1.0),
        dict(high=INF),
    ],
    ids=str,
)
def test_an_impossible_configuration_is_refused(configuration):
    with pytest.raises((TypeError, ValueError), match="Quantiles: "):
        jm.Quantiles(**configuration)


@pytest.mark.parametrize("batches", [1, 7])
def test_weighted_quantiles_are_those_of_the_inverted_distribution(batches):
    rng = np.random.default_rng(3)
    values = rng.lognormal(size=700).astype(np.float32)
    weights = rng.uniform(0, 3, 700).astype(np.float32)
    weights[rng.random(700) < 0.2] = 0
    q = (0.0, 0.05, 0.37, 0.5, 0.9, 1.0)
    metric = jm.Quantiles(q=q, relative_error=0.001, weighted=True)
    for part in np.split(np.arange(700), batches):
        metric = metric.update(values=values[part], weights=weights[part])
    computed = list(metric.compute().values())
    wide = values.astype(np.float64), weights.astype(np.float64)
    counted = wide[1] > 0
    right = np.quantile(wide[0], q, weights=wide[1], method="inverted_cdf")
    right[0] = wide[0][counted].min()  # NumPy takes a value of weight 0
    np.testing.assert_allclose(computed[: len(q)], right, rtol=0.001)
    extremes = [wide[0][counted].min(), wide[0][counted].max()]
    np.testing.assert_array_equal(computed[len(q) :], extremes)


def test_a_value_of_weight_zero_is_no_extreme_and_may_be_nan():
    outputs = dict(values=[1.0, 2.0, 9.0, np.nan], weights=[1.0, 3.0, 0.0, 0.0])
    state = jm.Quantiles(q=(0.25, 0.26), weighted=True).update(**outputs)
    value = state.compute()
    assert value["max"] == 2
    assert value["p25"] == pytest.approx(1, rel=0.01)
    assert value["p26"] == pytest.approx(2, rel=0.01)
    assert state.plain()["nonfinite"] == 0


def test_equal_weights_give_the_quantiles_without_weights():
    values = np.arange(1, 101, dtype=np.float32)
    q = tuple(n / 100 for n in range(0, 101, 5))
    plain = jm.evaluate(jm.Quantiles(q=q), values=values)
    metric = jm.Quantiles(q=q, weighted=True)
    weighted = jm.evaluate(metric, values=values, weights=np.full(100, 0.1, np.float32))
    assert weighted == plain
