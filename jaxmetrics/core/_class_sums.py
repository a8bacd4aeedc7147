"""Sums over classes, on a CPU in blocks of rows.

XLA:CPU computes a sum over classes in one of two ways. Terms that are a few float
operations it hands to a library, row by row. Other terms, such as a selection, it
computes in one loop and stores, 4 bytes a logit, before it adds them. The second way
takes about half the time if the stored terms stay in the cache, and longer if they are
written to memory. So here terms are selections, and rows are read in blocks of a
quarter of a million logits, by a loop.

The loop runs over a part of the first axis, so that rows which are sharded over up to
eight devices stay where they are. Rows sharded over a second axis too are gathered;
the deferred form, and logits that fit in one block, are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core._arrays import is_known
from jaxmetrics.core._mesh import explicit_spec
from jaxmetrics.core._single_loop import single_loop_sum

_FEW = 32  # classes, of which one loop adds the terms without storing them
_BLOCK = 1 << 18  # logits in a block
_SHARDS = 8  # into which rows may be split without moving logits


def sum_over_classes(
    summand: Callable[..., jax.Array], *arrays: jax.Array
) -> jax.Array:
    """Return the sum over classes of float32 terms, `[...]`.

    Args:
      summand: Elementwise function of the arrays, or of a block of their rows. It
        should end with a selection.
      *arrays: Logits `[..., classes]` first, then others of the same shape or of
        numbers of each row, `[..., 1]`.
    """

    def at_once(*arrays: jax.Array) -> jax.Array:
        return summand(*arrays).sum(axis=-1)

    def in_one_loop(*arrays: jax.Array) -> jax.Array:
        terms = summand(*arrays)
        return single_loop_sum(terms, (terms.ndim - 1,))

    shape = arrays[0].shape
    if is_known(shape[-1]) and shape[-1] <= _FEW:
        return lax.platform_dependent(*arrays, cpu=in_one_loop, default=at_once)
    is_small = is_known(*shape) and math.prod(shape) <= _BLOCK
    if is_small or not is_known(*shape) or explicit_spec(arrays[0]) is not None:
        return at_once(*arrays)

    def in_blocks(*arrays: jax.Array) -> jax.Array:
        return _in_blocks(at_once, arrays).reshape(shape[:-1])

    return lax.platform_dependent(*arrays, cpu=in_blocks, default=at_once)


def _in_blocks(function: Callable[..., Any], arrays: tuple[jax.Array, ...]) -> Any:
    """Return the function of blocks of rows, `[outer, inner]`.

    Args:
      function: Function of arrays `[outer, width, classes]` that returns
        `[outer, width]`.
      arrays: Arrays `[..., classes]` or `[..., 1]`.
    """
    *leading, classes = arrays[0].shape
    outer = math.gcd(leading[0], _SHARDS) if leading else 1
    rows = tuple(x.reshape(outer, -1, x.shape[-1]) for x in arrays)
    inner = rows[0].shape[1]
    width = min(max(_BLOCK // (outer * classes), 1), inner)

    def block(first: Any, width: int = width) -> Any:
        # That the rows depend on `first` keeps a conversion to float32 in the loop.
        x, first = lax.optimization_barrier((rows, first))
        return function(
            *(lax.dynamic_slice_in_dim(part, first, width, axis=1) for part in x)
        )

    whole = inner // width * width
    results = lax.map(block, jnp.arange(0, whole, width, dtype=jnp.int32))
    results = jnp.moveaxis(results, 0, 1).reshape(outer, whole)
    if whole == inner:
        return results
    last = block(jnp.int32(whole), inner - whole)
    return jnp.concatenate([results, last], axis=1)
