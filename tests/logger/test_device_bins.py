"""Histograms that are counted on the device of an array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmetrics.logger._device_bins import count
from jaxmetrics.record import binned


@pytest.mark.parametrize(
    "values",
    [
        np.float32([0, 1, 2, 3]),
        np.float32([[1, np.inf], [-np.inf, np.nan]]),
        np.float32([np.nan]),
        np.full(5, 1e30, np.float32),
        np.float32([-3e38, 3e38]),
        np.arange(-50, 50, dtype=np.int32).reshape(10, 10),
        np.array([True, False, True]),
        np.float32(7),
    ],
    ids=str,
)
def test_a_histogram_counted_on_a_device_equals_that_of_the_host(values):
    device, host = count(jnp.asarray(values))(), binned(values)
    np.testing.assert_array_equal(device.counts, host.counts)
    np.testing.assert_allclose(device.edges, host.edges, rtol=1e-6)
    assert (device.minimum, device.maximum) == (host.minimum, host.maximum)
    assert device.nonfinite == host.nonfinite
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(device.total, host.total, rtol=1e-5)
        squares = np.float32(host.squares)
    np.testing.assert_allclose(device.squares, squares, rtol=1e-5)


@pytest.mark.parametrize("kind", list(jax.sharding.AxisType)[:2], ids=str)
def test_a_histogram_of_a_sharded_array_counts_every_element_once(kind):
    values = np.random.default_rng(0).normal(size=(16, 32)).astype(np.float32)
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind,) * 2)
    spec = jax.NamedSharding(mesh, jax.P("data", "model"))
    sharded = count(jax.device_put(values, spec))()
    whole = count(jnp.asarray(values))()
    np.testing.assert_array_equal(sharded.counts, whole.counts)
    assert sharded.counts.sum() == values.size
    assert binned(sharded) is sharded
