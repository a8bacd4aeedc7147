"""Sums in one loop of XLA:CPU: equal to others, and differentiable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.core._single_loop import single_loop_sum


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_the_sum_is_that_over_the_axes(axes):
    values = np.arange(5 * 3 * 7, dtype=np.uint32).reshape(5, 3, 7)
    sums = jax.jit(lambda x: single_loop_sum(x, axes))(values)
    np.testing.assert_array_equal(sums, values.sum(axes))
    assert sums.dtype == np.uint32


def test_the_program_stores_no_terms_and_has_one_loop():
    sums = jax.jit(lambda x: single_loop_sum((x > 0).astype(jnp.uint32), (0,)))
    compiled = sums.lower(jax.ShapeDtypeStruct((100_000,), jnp.float32)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1000
    assert "reduce-window" not in compiled.as_text()


def test_the_gradient_is_one_for_each_term():
    slope = jax.grad(lambda x: 2 * single_loop_sum(x, (0,)))(jnp.ones(3))
    np.testing.assert_array_equal(slope, [2, 2, 2])


def test_counts_inside_a_differentiated_loss_do_not_disturb_it():
    def loss(x):
        return (x**2).sum(), jm.count_where(x > 1)

    (_, count), slope = jax.value_and_grad(loss, has_aux=True)(jnp.float32([1, 2, 3]))
    assert count == 2
    np.testing.assert_array_equal(slope, [2, 4, 6])
