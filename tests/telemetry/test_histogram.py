"""Histograms equal those of NumPy and gather nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.trees import COLLECTIVES

from jaxmetrics.telemetry import histogram


@pytest.mark.parametrize("bins", [1, 7, 64, 128])
@pytest.mark.parametrize(
    "values",
    [
        np.float32([1, 1, 1, 5, 5, 5]),
        np.random.default_rng(0).normal(size=(64, 16)).astype(np.float32),
        np.random.default_rng(1).integers(-9, 9, 500).astype(np.float32),
        100 + np.random.default_rng(2).random(500).astype(np.float32),
        np.float32([3, 3]),
    ],
    ids=["the maximum's bin", "normal", "integers", "offset", "constant"],
)
def test_a_histogram_equals_that_of_numpy(values, bins):
    _, edges = np.histogram(values, bins)
    values = np.append(values.ravel(), edges)  # values on the edges are the hard ones
    values = np.append(values, np.nextafter(edges[:-1], np.float32(np.inf)))
    counts, edges = np.histogram(values, bins)
    result = jax.jit(histogram, static_argnums=1)(values, bins)
    np.testing.assert_array_equal(result.counts, counts)
    np.testing.assert_array_equal(result.edges, edges)


@pytest.mark.parametrize("value", [3.0, -0.25, 0.0])
def test_equal_values_get_a_range_around_them(value):
    values = np.full(5, value, np.float32)
    counts, edges = np.histogram(values, 4)
    result = histogram(values, 4)
    np.testing.assert_array_equal(result.counts, counts)
    np.testing.assert_array_equal(result.edges, edges)


def test_a_sharded_histogram_equals_that_of_the_whole_array_and_gathers_nothing():
    values = np.random.default_rng(0).normal(size=(16, 32)).astype(np.float32)
    values[3, 5:8] = [np.nan, np.inf, -np.inf]
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    sharded = jax.device_put(values, NamedSharding(mesh, P("data", "model")))
    count = jax.jit(histogram)
    result = count(sharded)
    counts, _ = np.histogram(values[np.isfinite(values)], 64)
    np.testing.assert_array_equal(result.counts, counts)
    assert result.nonfinite == 3
    text = count.lower(sharded).compile().as_text()
    assert {name for _, name in COLLECTIVES.findall(text)} == {"all-reduce"}


@pytest.mark.parametrize(
    ("values", "bins", "error", "words"),
    [
        (np.ones(3), 0, ValueError, "bins=0; expected 1 to 4096"),
        (np.ones(3), 5000, ValueError, "bins=5000; expected 1 to 4096"),
        (np.ones(3), 2.5, TypeError, "bins=2.5 of type float; expected an integer"),
        (np.ones(3, complex), 4, TypeError, "values of complex64; expected real"),
    ],
)
def test_complex_values_and_other_numbers_of_bins_are_refused(
    values, bins, error, words
):
    with pytest.raises(error, match=words):
        histogram(jnp.asarray(values), bins)


@pytest.mark.parametrize("values", [[], [np.nan, np.inf]])
def test_without_finite_values_the_edges_are_those_of_numpy_from_0_to_1(values):
    result = histogram(np.float32(values), 4)
    assert result.edges.tolist() == np.histogram([], 4)[1].tolist()
    assert result.counts.tolist() == [0] * 4 and result.nonfinite == len(values)
    assert (result.low, result.high) == (np.inf, -np.inf)


def test_a_range_beyond_the_largest_float32_is_counted():
    values = np.float32([-3e38, -3e38, 1.0, 3e38])
    result = histogram(values, 2)
    assert result.counts.tolist() == [2, 2] and np.isfinite(result.edges).all()
    np.testing.assert_allclose(result.edges, [-3e38, 0, 3e38], atol=1e31)
