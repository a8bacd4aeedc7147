"""Buffers keep rows exactly, or refuse to compute."""

from collections.abc import Callable

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


class Returned(jm.Metric):
    """A buffer of whatever a function returns."""

    contribution_of: Callable
    kept: jm.Array = jm.buffer_leaf(8)

    def observe(self, *, values, mask=None):
        return dict(kept=self.contribution_of(values))

    def compute(self):
        return self.kept


def rows_alone(values):
    return values


def weighted_rows(values):
    return values, values


def all_rows(values):
    return values, None


def test_a_buffer_takes_rows_with_a_mask_or_none():
    values = np.float32([0.5, 1.0])  # two rows, that are no rows and their mask
    kept = jm.evaluate(Returned(all_rows), values=values)
    assert kept.tolist() == values.tolist()
    assert jm.evaluate(Returned(all_rows), values=2.0).tolist() == [2.0]
    with pytest.raises(TypeError, match=r"takes a tuple \(rows, mask\), got"):
        jm.evaluate(Returned(rows_alone), values=values)
    with pytest.raises(TypeError, match="mask is float32, it must be bool"):
        jm.evaluate(Returned(weighted_rows), values=values)
