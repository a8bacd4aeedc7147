"""DistinctCount: its error from one value to billions."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.samples import every_distribution, observed, sample

import jaxmetrics as jm
from jaxmetrics.metrics.sketches import _distinct

NAN, INF = float("nan"), float("inf")


@every_distribution
def test_the_estimate_is_within_four_standard_errors(draw):
    values = sample(draw)
    exact = np.unique(values).size
    estimate = observed(jm.DistinctCount(precision=12), values=values).compute()
    assert abs(estimate / exact - 1) < 4 * 1.04 / 64


def test_the_standard_error_holds_from_small_to_large_counts():
    """Over 128 samples each; no switch between estimators shows as a bias."""
    precision, samples = 8, 128
    sketch = jm.DistinctCount(precision=precision)
    error = 1.04 / 2 ** (precision / 2)

    @jax.jit
    def relative_errors(start, ranks):
        def relative_error(offset):
            state = sketch.from_model_output(values=offset + ranks)
            return state.compute() / ranks.size - 1

        return jax.vmap(relative_error)(start)

    for exact in (1, 10, 100, 300, 640, 1280, 5000):
        start = np.arange(samples, dtype=np.int32) * 1_000_003
        errors = np.asarray(relative_errors(start, np.arange(exact, dtype=np.int32)))
        assert np.sqrt((errors**2).mean()) < 1.25 * error, exact
        assert abs(errors.mean()) < 3.5 * error / math.sqrt(samples), exact


@pytest.mark.parametrize("exact", [1e7, 1e9, 2e9, 3e9])
def test_billions_are_estimated_although_a_hash_has_32_bits(exact):
    """Registers are drawn as hashes without replacement would leave them."""
    sketch = jm.DistinctCount(precision=12)
    rate = -(2**32) * math.log1p(-exact / 2**32) / sketch.size
    waits = np.random.default_rng(3).exponential(size=sketch.size)
    runs = np.clip(np.ceil(np.log2(rate / waits)), 0, 32 - 12 + 1)
    estimate = sketch.replace(registers=runs).compute()
    assert estimate == pytest.approx(exact, rel=3 * 1.04 / 64)


def test_full_registers_estimate_all_32_bit_values():
    full = jm.DistinctCount(precision=4).replace(registers=np.full(16, 29.0))
    assert full.compute() == 2**32


def test_zero_has_no_sign_and_nonfinite_values_are_counted_separately():
    values = np.float32([0, -0.0, NAN, INF, -INF, 1])
    state = observed(jm.DistinctCount(), values=values)
    assert round(state.compute()) == 2 and state.plain()["nonfinite"] == 3


def test_integers_that_are_equal_in_float32_are_distinct():
    values = np.arange(2**24, 2**24 + 100, dtype=np.int32)
    estimate = observed(jm.DistinctCount(), values=values).compute()
    assert estimate == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize("precision", [3, 17])
def test_a_precision_out_of_range_is_refused(precision):
    with pytest.raises(ValueError, match=f"precision is {precision}, but must be from"):
        jm.DistinctCount(precision=precision)


def test_a_comparison_finds_the_largest_value_as_a_scatter_does():
    rng = np.random.default_rng(12)
    index = jnp.asarray(rng.integers(0, 300, 2000), jnp.int32)
    values = jnp.asarray(rng.integers(0, 30, 2000), jnp.int32)
    scatter = _distinct.largest_by_scatter(index, values, 300)
    comparison = _distinct.largest_by_comparison(index, values, 300)
    np.testing.assert_array_equal(scatter, comparison)
