"""Counting helpers for `observe`: counts that are exact, NaN that stays visible.

Each helper reduces all axes of its values but the last `keep`. A mask (bool) or
weights (float) have the values' leading axes and are broadcast over the others, so
that scalars apply to all values. A mask of rows does not apply to a value of rank 0,
as one loss for the whole batch. Masked entries and those of weight 0 never reach the
arithmetic, so NaN in padding does not leak.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import (
    INTEGERS,
    ROUNDING,
    Pair,
    clear_low_bit,
    difference,
    from_order_key,
    kept_above_zero,
    order_key,
    two_sum,
)
from jaxmetrics.core._arrays import is_known
from jaxmetrics.core._cell_sum import FEW_CELLS
from jaxmetrics.core._integer_extreme import integer_extreme
from jaxmetrics.core._labels import as_class_numbers
from jaxmetrics.core._mesh import explicit_spec
from jaxmetrics.core._pair_sum import as_floats, pair_sum
from jaxmetrics.core._single_loop import single_loop_sum
from jaxmetrics.core._summands import Summands
from jaxmetrics.core._wide import as_wide, in_float64, wide_pair, wide_sum

_SHARDS = 8  # into which rows may be split without moving entries
_FEW = 1 << 13  # values of which integers are compared fast enough
_NEGATIVE_INFINITY = np.float32(-np.inf)
_KEY_OF_NEGATIVE_INFINITY = np.uint32(0x007FFFFF)


def count_where(
    condition: Any, mask: Any = None, weights: Any = None, keep: int = 0
) -> Any:
    """Count the true entries, exact below 2^32 a call; with weights, sum those.

    Args:
      condition: Bool array `[..., *kept]`.
      mask: Bool, leading axes of `condition`; False leaves entries out.
      weights: Float, leading axes of `condition`.
      keep: Number of trailing axes that are not reduced.

    Returns:
      uint32; with weights `Summands`, as `total` returns them.
    """
    condition = jnp.asarray(condition)
    if condition.dtype != bool:
        raise TypeError(f"count_where takes booleans, got {condition.dtype}")
    counted = condition & mask_like(condition, mask)
    if weights is None:
        return _true_entries(counted, _reduced(condition, keep))
    _, share = _weighted(condition, counted, weights)
    return _summands(share, keep)


def count_elements(like: Any, mask: Any = None, weights: Any = None) -> Any:
    """Count the entries of an array that are not masked; with weights, sum those."""
    shape = jnp.asarray(like).shape
    if mask is None and weights is None:
        return math.prod(shape)
    ones = jnp.ones(shape, bool)
    return count_where(ones, mask, weights)


def count_rows(condition: Any, axes: int) -> Any:
    """Count the entries of the first axes where the condition is true anywhere."""
    condition = jnp.asarray(condition)
    return count_where(condition.any(axis=tuple(range(axes, condition.ndim))))


def count_at(
    index: Any, shape: tuple[int, ...], mask: Any = None, weights: Any = None
) -> Any:
    """Count how often `index` names each cell of an array: a histogram of indices.

    Args:
      index: Integers `[...]` for a shape of one axis, else a tuple of one such array
        for each axis, all of one shape. Indices out of range are ignored.
      shape: Shape of the result.
      mask: Bool, leading axes of the index arrays.
      weights: Float, leading axes of the index arrays.

    Returns:
      uint32; with weights `Summands`, as `total` returns them.

    Raises:
      TypeError: Indices are not integers.
      ValueError: Index arrays differ in shape.
    """
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(as_class_numbers(i) for i in index)
    for i in index:
        if not (i.dtype == bool or jnp.issubdtype(i.dtype, jnp.integer)):
            raise TypeError(
                f"count_at takes integers, got an index of {i.dtype}. Convert it with "
                ".astype(int32), which rounds towards 0."
            )
    index = tuple(i.astype(jnp.int32) for i in index)
    shapes = [i.shape for i in index]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"count_at got index arrays of shapes {shapes}; an entry has one index for "
            "each axis. Pass arrays of one shape."
        )
    valid = mask_like(index[0], mask)
    flat = jnp.zeros_like(index[0])
    for i, size in zip(index, shape, strict=True):
        valid = valid & (i >= 0) & (i < size)
        flat = flat * size + i
    cells = math.prod(shape)
    flat = jnp.where(valid, flat, cells)
    if weights is None:
        return _counts(flat, cells).reshape(shape)
    _, share = _weighted(flat, valid, weights)
    return Summands((share,), index=flat, shape=tuple(shape))


def total(
    values: Any, mask: Any = None, weights: Any = None, keep: int = 0
) -> Summands:
    """Return the values, times the weights if there are any, to be summed by a leaf.

    The contribution to a `sum_leaf`, whatever the size of the batch: its error is at
    most 9 * 2^-48 of the sum of magnitudes, and integers sum exactly below 2^48.
    Products with weights are rounded to float32 first. For arithmetic of your own take
    the sum as float32, `total(x).value()`, or as two of them, `total(x).pair()`;
    `total(x) + total(y)` is the sum of both.

    Args:
      values: Real numbers `[..., *kept]`.
      mask: Bool, leading axes of the values; False leaves entries out.
      weights: Float, leading axes of the values; a weight of 0 leaves an entry out.
      keep: Number of trailing axes that are not reduced.
    """
    values = jnp.asarray(values)
    valid = mask_like(values, mask)
    if weights is None:
        values = as_numbers(values)
        return _summands(jnp.where(valid, values, values.dtype.type(0)), keep)
    counted, share = _weighted(values, valid, weights)
    return _summands(jnp.where(counted, _floats(values), jnp.float32(0)) * share, keep)


def as_numbers(values: Any) -> jax.Array:
    """Return an array of float32, or of integers, which float32 would round."""
    values = jnp.asarray(values)
    return values if values.dtype in INTEGERS else values.astype(jnp.float32)


def maximum(values: Any, mask: Any = None, keep: int = 0) -> Any:
    """Return the largest value, -inf without values; NaN if one is, in any sharding.

    Of integers it returns an `IntegerExtreme`, which `max_leaf(dtype=np.int32)` takes.
    """
    if _holds_integers(values):
        return _integer_extreme(values, mask, keep, largest=True)
    return _largest(values, mask, keep, 1)


def _largest(values: Any, mask: Any, keep: int, sign: int) -> jax.Array:
    """Return the largest of the values, or of the negated ones if the sign is -1."""
    values = _floats(values)
    valid, axes = mask_like(values, mask), _reduced(values, keep)
    by_key = functools.partial(_largest_key, axes=axes, sign=sign)
    if not is_known(*values.shape) or values.size < _FEW:
        return by_key(values, valid)
    by_float = functools.partial(_largest_float, axes=axes, sign=sign)
    return lax.platform_dependent(values, valid, default=by_key, cpu=by_float)


def _largest_key(
    values: jax.Array, valid: jax.Array, axes: Any, sign: int
) -> jax.Array:
    """Compare integers, of which no reduction loses a NaN."""
    values = values if sign > 0 else -values
    keys = order_key(jnp.where(valid, values, _NEGATIVE_INFINITY))
    return from_order_key(keys.max(axis=axes, initial=_KEY_OF_NEGATIVE_INFINITY))


def _largest_float(
    values: jax.Array, valid: jax.Array, axes: Any, sign: int
) -> jax.Array:
    """Compare floats, which is faster, unless there is NaN, infinity or no value.

    XLA:CPU loses a NaN in some maxima, but not in sums.
    """
    lowest = jnp.finfo(values.dtype).min
    values_or_lowest = jnp.where(valid, values, sign * lowest)
    over = values_or_lowest.max if sign > 0 else values_or_lowest.min
    largest = sign * over(axis=axes)
    usual = (values_or_lowest * 0).sum(axis=axes) == 0
    by_key = functools.partial(_largest_key, axes=axes, sign=sign)
    return lax.cond(
        (usual & (largest > lowest)).all(),
        lambda values, valid: largest,
        by_key,
        values,
        valid,
    )


def minimum(values: Any, mask: Any = None, keep: int = 0) -> Any:
    """Return the smallest value, inf without values; NaN if one is, in any sharding.

    Of integers it returns an `IntegerExtreme`, which `min_leaf(dtype=np.int32)` takes.
    """
    if _holds_integers(values):
        return _integer_extreme(values, mask, keep, largest=False)
    return -_largest(values, mask, keep, -1)


def moments(values: Any, mask: Any = None, weights: Any = None, keep: int = 0) -> Any:
    """Return count (or sum of weights), mean and sum of squared deviations.

    With weights the sum of their squares follows. All but the count are pairs (hi, lo)
    of float32. Integers are not rounded to float32 before the mean is subtracted.
    """
    values = as_numbers(values)
    valid = mask_like(values, mask)
    axes = _reduced(values, keep)
    if weights is None:
        n, share = _number_of(valid, mask, axes), jnp.float32(1)
        size = (n,)
    else:
        valid, share = _weighted(values, valid, weights)
        size = n = pair_sum((share,), axes)
    in_pairs = functools.partial(_deviations, axes=axes)
    in_wide = functools.partial(_wide_deviations, axes=axes)
    mean, squares = lax.platform_dependent(
        values, valid, share, size, default=in_pairs, cpu=in_wide
    )
    if weights is None:
        return n, mean, squares
    return n, mean, squares, pair_sum((share * share,), axes)


def _deviations(
    values: jax.Array, valid: jax.Array, share: jax.Array, size: Any, axes: Any
) -> tuple[Pair, Pair]:
    """Return the mean, and the weighted sum of squared deviations from it.

    Args:
      values: float32, int32 or uint32.
      valid: Bool, same shape; other values do not count.
      share: Weights, or 1.
      size: Arrays whose sum is the sum of the weights of valid values, the first of
        them rounded.
      axes: Axes to sum over.
    """
    size = size[0].astype(jnp.float32)
    size = jnp.where(size > 0, size, 1)

    def sum_of(*parts: jax.Array) -> Pair:
        zero = jnp.float32(0)
        return pair_sum(tuple(jnp.where(valid, x, zero) * share for x in parts), axes)

    centre = clear_low_bit(sum_of(*as_floats(values))[0] / size)
    deviation = difference(values, jnp.expand_dims(centre, axes))
    rest = sum_of(deviation)[0] / size
    deviation = deviation - jnp.expand_dims(rest, axes)
    deviation = jnp.where(valid, deviation, jnp.float32(0))
    differ = deviations_differ(deviation, centre, axes)
    squares = kept_above_zero(sum_of(deviation * deviation), differ)
    return two_sum(centre, rest), squares


@in_float64
def _wide_deviations(
    values: jax.Array, valid: jax.Array, share: jax.Array, size: Any, axes: Any
) -> tuple[Pair, Pair]:
    """Return the same, computed in float64."""
    share, size = as_wide(share), sum(map(as_wide, size))
    size = jnp.where(size > 0, size, 1.0)

    def sum_of(x: jax.Array) -> jax.Array:
        return wide_sum(jnp.where(valid, x, 0.0) * share, axes)

    mean = sum_of(as_wide(values)) / size
    # Converted again: XLA:CPU would store what two sums read.
    again = as_wide(lax.optimization_barrier(values))
    deviation = again - jnp.expand_dims(mean, axes)
    squares = sum_of(deviation * deviation)
    differ = ~(squares <= size * jnp.square(mean * ROUNDING))
    return wide_pair(mean), kept_above_zero(wide_pair(squares), differ)


def deviations_differ(
    deviation: jax.Array, mean: jax.Array, axes: tuple[int, ...]
) -> jax.Array:
    """Return where deviations from a mean are more than its rounding, or NaN."""
    largest = jnp.abs(deviation).max(axis=axes, initial=0)
    return ~(largest <= jnp.abs(mean) * np.float32(ROUNDING))


def comoments(
    x: Any, y: Any, mask: Any = None, weights: Any = None, keep: int = 0
) -> Any:
    """Return the contribution to a `comoments_leaf`.

    Count (or sum of weights), the two means, and the sums of the products of deviations
    dx * dx, dy * dy and dx * dy.

    Args:
      x: Real numbers `[..., *kept]`. Integers are not rounded to float32 before the
        mean is subtracted.
      y: Real numbers of the same shape.
      mask: Bool, leading axes of both.
      weights: Float, leading axes of both.
      keep: Number of trailing axes that are not reduced.
    """
    x, y = as_numbers(x), as_numbers(y)
    valid = mask_like(x, mask)
    axes = _reduced(x, keep)
    if weights is None:
        n, share = _number_of(valid, mask, axes), jnp.float32(1)
        size = (n,)
    else:
        valid, share = _weighted(x, valid, weights)
        size = n = pair_sum((share,), axes)
    in_pairs = functools.partial(_codeviations, axes=axes)
    in_wide = functools.partial(_wide_codeviations, axes=axes)
    numbers = lax.platform_dependent(
        x, y, valid, share, size, default=in_pairs, cpu=in_wide
    )
    return n, *numbers


def _codeviations(
    x: jax.Array, y: jax.Array, valid: jax.Array, share: jax.Array, size: Any, axes: Any
) -> tuple[Pair, ...]:
    """Return the means, and the weighted sums of products of deviations from them."""
    size = size[0].astype(jnp.float32)
    size = jnp.where(size > 0, size, 1)

    def sum_of(*parts: jax.Array) -> Pair:
        zero = jnp.float32(0)
        return pair_sum(tuple(jnp.where(valid, x, zero) * share for x in parts), axes)

    means, deviations = [], []
    for values in (x, y):
        centre = clear_low_bit(sum_of(*as_floats(values))[0] / size)
        deviation = difference(values, jnp.expand_dims(centre, axes))
        rest = sum_of(deviation)[0] / size
        deviation = deviation - jnp.expand_dims(rest, axes)
        means.append(two_sum(centre, rest))
        deviations.append(jnp.where(valid, deviation, jnp.float32(0)))
    dx, dy = deviations
    return (*means, sum_of(dx * dx), sum_of(dy * dy), sum_of(dx * dy))


@in_float64
def _wide_codeviations(
    x: jax.Array, y: jax.Array, valid: jax.Array, share: jax.Array, size: Any, axes: Any
) -> tuple[Pair, ...]:
    """Return the same, computed in float64."""
    share, size = as_wide(share), sum(map(as_wide, size))
    size = jnp.where(size > 0, size, 1.0)

    def sum_of(values: jax.Array) -> jax.Array:
        return wide_sum(jnp.where(valid, values, 0.0) * share, axes)

    wide = [as_wide(values) for values in (x, y)]
    means = [sum_of(values) / size for values in wide]
    dx, dy = (values - jnp.expand_dims(mean, axes) for values, mean in zip(wide, means))
    sums = [sum_of(product) for product in (dx * dx, dy * dy, dx * dy)]
    return tuple(wide_pair(number) for number in (*means, *sums))


def both(mask: Any, other: Any) -> Any:
    """Return where both masks are true.

    None stands for true everywhere. A mask with fewer axes is broadcast over the
    trailing axes of the other. But where the first has rank 0, so that it is about a
    single value, a second mask of rows does not apply, and the first is returned.
    """
    if mask is None or other is None:
        return other if mask is None else mask
    mask, other = jnp.asarray(mask), jnp.asarray(other)
    if mask.ndim == 0 and other.ndim > 0:
        return mask
    more, less = (mask, other) if mask.ndim >= other.ndim else (other, mask)
    return more & mask_like(more, less)


def mask_like(values: Any, mask: Any) -> jax.Array:
    """Return a mask in the shape of values, bool; None is true everywhere.

    A mask of rows does not apply to a value of rank 0.

    Raises:
      TypeError: The mask is not bool.
      ValueError: It is not the leading axes of the values.
    """
    if mask is None:
        return jnp.ones(jnp.shape(values), bool)
    mask = jnp.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"mask is {mask.dtype}, it must be bool (True counts). Use mask > 0, or "
            "pass fractions as weights= to a metric with weighted=True."
        )
    if jnp.ndim(values) == 0 and mask.ndim > 0:
        return jnp.ones((), bool)
    return _spread("mask", mask, jnp.asarray(values))


def like_values(weights: Any, values: Any) -> jax.Array:
    """Return weights as float32 in the shape of values.

    Raises:
      ValueError: They are not the leading axes of the values.
    """
    return _spread("weights", _floats(weights), jnp.asarray(values))


def _holds_integers(values: Any) -> bool:
    return jnp.asarray(values).dtype.kind in "iu"


def _integer_extreme(values: Any, mask: Any, keep: int, largest: bool) -> Any:
    values = jnp.asarray(values)
    valid = mask_like(values, mask)
    return integer_extreme(values, valid, _reduced(values, keep), largest)


def _floats(values: Any) -> jax.Array:
    return jnp.asarray(values).astype(jnp.float32)


def _reduced(values: jax.Array, keep: int) -> tuple[int, ...]:
    if keep > values.ndim:
        raise ValueError(f"values of rank {values.ndim} have no {keep} trailing axes")
    return tuple(range(values.ndim - keep))


def _summands(values: jax.Array, keep: int) -> Summands:
    _reduced(values, keep)
    return Summands((values,), keep)


def _counts(index: jax.Array, cells: int) -> jax.Array:
    """Count by scatter; on TPU, which scatters row by row, few cells by comparison."""

    def by_scatter(index: jax.Array) -> jax.Array:
        zeros = jnp.zeros(cells, jnp.uint32)
        return zeros.at[index].add(jnp.uint32(1), mode="drop")

    def by_comparison(index: jax.Array) -> jax.Array:
        cell = jnp.arange(cells, dtype=jnp.int32)
        is_named = index[..., None] == cell.reshape((1,) * index.ndim + (-1,))
        return is_named.sum(axis=tuple(range(index.ndim)), dtype=jnp.uint32)

    if cells > FEW_CELLS:
        return by_scatter(index)
    return lax.platform_dependent(index, default=by_scatter, tpu=by_comparison)


def _number_of(valid: jax.Array, mask: Any, axes: tuple[int, ...]) -> jax.Array:
    """Return the number of valid entries, a constant without a mask."""
    if mask is not None or not is_known(*valid.shape):
        return _true_entries(valid, axes)
    kept = [size for axis, size in enumerate(valid.shape) if axis not in axes]
    return jnp.full(kept, valid.size // max(math.prod(kept), 1), jnp.uint32)


def _true_entries(condition: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Return the number of true entries, uint32."""

    def at_once(condition: jax.Array) -> jax.Array:
        return condition.sum(axis=axes, dtype=jnp.uint32)

    def in_one_loop(condition: jax.Array) -> jax.Array:
        # Hidden from the compiler, which would spend seconds on a sum of constants.
        condition = lax.optimization_barrier(condition)
        # Rows that are sharded are summed where they lie; then only sums are added.
        outer = math.gcd(rows, _SHARDS)
        ones = condition.reshape(outer, rows // outer, *others).astype(jnp.uint32)
        sums = single_loop_sum(ones, tuple(range(1, ones.ndim)))
        return sums.sum(dtype=jnp.uint32)

    rows, *others = condition.shape or (1,)
    is_plain = is_known(rows, *others) and explicit_spec(condition) is None
    if len(axes) < max(condition.ndim, 1) or not is_plain:
        return at_once(condition)
    return lax.platform_dependent(condition, default=at_once, cpu=in_one_loop)


def _weighted(
    values: jax.Array, valid: jax.Array, weights: Any
) -> tuple[jax.Array, jax.Array]:
    """Return where a weight other than 0 counts, and the weights, 0 elsewhere."""
    share = jnp.where(valid, _spread("weights", _floats(weights), values), 0)
    return valid & (share != 0), share


def _spread(name: str, x: jax.Array, values: jax.Array) -> jax.Array:
    """Broadcast `x`, whose axes are leading axes of the values, over the others."""
    shape = values.shape
    if x.shape != shape[: x.ndim]:
        remedy = "reduce it to one number" if not shape else "reshape it"
        raise ValueError(
            f"{name} has shape {x.shape}, the values {shape}; it must be their leading "
            f"axes. Pass {name} of shape {shape[:1]}, or {remedy}."
        )
    return jnp.broadcast_to(x.reshape(x.shape + (1,) * (len(shape) - x.ndim)), shape)
