"""Exact arithmetic on pairs of float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jaxmetrics as jm
from jaxmetrics.core._arithmetic import pair_add, two_sum


def test_two_sum_is_exact_with_a_constant_on_either_side():
    values = np.random.default_rng(4).normal(size=10_000).astype(np.float32)
    big = np.float32(1e8)
    zero = np.float32(0)

    def exact(hi, lo):
        return np.asarray(hi, np.float64) + np.asarray(lo, np.float64)

    wanted = values.astype(np.float64) + float(big)
    metric = jm.Sum().replace(total=float(big))

    def with_constant_state(x):
        return metric.update(values=x).total

    def with_constant_value(state):
        return state.update(values=big).total

    hi, lo = jax.jit(jax.vmap(with_constant_state))(values).T
    np.testing.assert_array_equal(exact(hi, lo), wanted)
    states = jax.vmap(lambda x: jm.Sum().update(values=x))(values)
    hi, lo = jax.jit(jax.vmap(with_constant_value))(states).T
    np.testing.assert_array_equal(exact(hi, lo), wanted)
    hi, lo = jax.jit(two_sum)(values, np.full_like(values, big))
    np.testing.assert_array_equal(exact(hi, lo), wanted)
    hi, lo = jax.jit(functools.partial(pair_add, (jnp.float32(0), zero)))(
        (values, zero)
    )
    np.testing.assert_array_equal(exact(hi, lo), values)
