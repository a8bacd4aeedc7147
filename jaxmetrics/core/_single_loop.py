"""Sums that XLA:CPU computes in one loop, which stores nothing."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def single_loop_sum(values: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Return the sum over axes, for branches of `lax.platform_dependent` for a CPU.

    XLA:CPU splits the sum of one array over more than 32 entries into several loops,
    and stores the operand of a sum of few floats. It computes a reduction of two
    operands in one loop with what precedes it. That is two to three times as fast for
    integers, and for floats over up to 32 entries; it is slower for more floats.
    """
    zero = jnp.zeros((), values.dtype)
    sums = lax.reduce(
        (values, jnp.zeros_like(values)),
        (zero, zero),
        lambda a, b: (a[0] + b[0], a[1] + b[1]),
        axes,
    )
    return lax.optimization_barrier(sums)[0]  # without it the zeros are left out


@single_loop_sum.defjvp
def _single_loop_sum_jvp(
    axes: tuple[int, ...], primals: Any, tangents: Any
) -> tuple[Any, Any]:
    (values,), (tangent,) = primals, tangents
    sums = single_loop_sum(values, axes)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        return sums, np.zeros(sums.shape, jax.dtypes.float0)
    return sums, tangent.sum(axis=axes)
