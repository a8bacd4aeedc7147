"""Float64 in branches of `lax.platform_dependent`, for platforms that have it.

A TPU has no float64, and `jax.numpy` has none unless a program asks for it. A CPU adds
float64 in half to all of the time that compensated sums of float32 take.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core._arithmetic import Pair
from jaxmetrics.core._arrays import is_known

CHAIN = 64
"""Numbers that are added in sequence, at most: each addition may lose 2^-53."""

_SHORTEST = 8  # chain
_SHARDS = 512  # into which an axis may be split without moving values in a sum


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function inside which float64 exists; it returns other types only."""

    @functools.wraps(function)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return traced


def as_wide(x: jax.Array) -> jax.Array:
    """Return numbers of 32 bits or fewer as float64, exactly."""
    return lax.convert_element_type(x, jnp.float64)


def as_narrow(x: jax.Array) -> jax.Array:
    """Return float64 rounded to float32."""
    return lax.convert_element_type(x, jnp.float32)


def wide_pair(x: jax.Array) -> Pair:
    """Return float64 as (hi, lo) of float32, rounded to 48 bits or more."""
    hi = as_narrow(x)
    lo = as_narrow(x - as_wide(hi))
    return hi, jnp.where(jnp.isfinite(hi), lo, jnp.float32(0))


def wide_sum(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Return the sum over axes as float64, in chains of 64 additions.

    So the error is at most 2^-45 of the sum of magnitudes for a million values.

    Args:
      x: Numbers, which are converted after they are sliced: then nothing is stored.
      axes: Ascending axes to sum over.
    """
    if not axes:
        return as_wide(x)
    for axis in reversed(axes):
        length = x.shape[axis]
        if not is_known(length) or length <= CHAIN:
            x = as_wide(x).sum(axis=axis)
            continue
        outer = math.gcd(length, _SHARDS)
        x = x.reshape(*x.shape[:axis], outer, -1, *x.shape[axis + 1 :])
        x = _in_chains(_in_chains(x, axis + 1), axis)
    return x


def _in_chains(x: jax.Array, axis: int) -> jax.Array:
    while (length := x.shape[axis]) > CHAIN:
        chain = _divisor(length)
        rest = 0
        if chain < _SHORTEST:  # a slice is a copy
            chain, rest = CHAIN, length % CHAIN
        shape = (*x.shape[:axis], length // chain, chain, *x.shape[axis + 1 :])
        whole = lax.slice_in_dim(x, 0, length - rest, axis=axis) if rest else x
        sums = [as_wide(whole.reshape(shape)).sum(axis=axis + 1)]
        if rest:
            last = lax.slice_in_dim(x, length - rest, length, axis=axis)
            sums += [as_wide(last).sum(axis=axis, keepdims=True)]
        x = jnp.concatenate(sums, axis=axis) if rest else sums[0]
    return as_wide(x).sum(axis=axis)


def _divisor(length: int) -> int:
    """Return the largest divisor up to the length of a chain."""
    return max(n for n in range(1, CHAIN + 1) if length % n == 0)
