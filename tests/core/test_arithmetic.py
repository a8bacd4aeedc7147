"""Exact arithmetic on pairs of float32."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.core._arithmetic import is_less, pair_add, two_sum


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


@pytest.mark.parametrize("a", (np.int32, np.uint32, np.float32))
@pytest.mark.parametrize("b", (np.int32, np.uint32, np.float32))
def test_numbers_of_any_type_are_ordered_by_value(a, b):
    reals = [-np.inf, -(2.0**31), -1.5, 0, 1, 2.0**24, 2.0**31, 2.0**32, np.inf, np.nan]
    wholes = [-(2**31), -1, 0, 1, *range(2**24 - 1, 2**24 + 6), 2**31 - 1, 2**32 - 1]

    def numbers(dtype):
        if dtype == np.float32:
            return np.float32(reals)
        limits = np.iinfo(dtype)
        return np.array([x for x in wholes if limits.min <= x <= limits.max], dtype)

    x, y = numbers(a)[:, None], numbers(b)[None]
    right = x.astype(np.float64) < y.astype(np.float64)  # exact
    np.testing.assert_array_equal(jax.jit(is_less)(x, y), right)
