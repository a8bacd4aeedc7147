"""Buffers keep rows exactly, or refuse to compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm


class Rows(jm.Metric):
    """The values themselves."""

    capacity: int = 8
    kept: jm.Array = jm.buffer_leaf("capacity")

    def observe(self, *, values, mask=None):
        values = jnp.asarray(values, jnp.float32)
        everything = jnp.ones(values.shape, bool)
        return dict(kept=(values, jm.both(everything, mask)))

    def compute(self):
        return self.kept


def test_a_buffer_keeps_rows_and_raises_once_one_is_lost():
    metric = Rows(capacity=4)
    seen = metric.update(values=[1.0, 2.0, 3.0], mask=np.array([True, False, True]))
    seen = seen.update(values=[4.0])
    np.testing.assert_array_equal(np.sort(seen.compute()), [1.0, 3.0, 4.0])
    inside = jax.jit(lambda m: m.compute())(seen)
    assert np.isnan(inside).sum() == 1
    full = seen.update(values=[5.0, 6.0])
    with pytest.raises(ValueError, match="capacity 4 saw 5 rows"):
        full.compute()
    assert np.isnan(jax.jit(lambda m: m.compute())(full)).all()


def test_buffers_reduce_to_the_same_rows_over_devices():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    rows = np.arange(24, dtype=np.float32)
    mask = rows % 3 != 0
    metric = Rows(capacity=16).deferred(mesh)
    metric = jax.jit(lambda m: m.update(values=rows, mask=mask))(metric)
    np.testing.assert_array_equal(np.sort(metric.compute()), rows[mask])
    with pytest.raises(ValueError, match="capacity 15 saw 16"):
        Rows(capacity=15).deferred(mesh).update(values=rows, mask=mask).compute()
