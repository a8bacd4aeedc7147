"""Number of distinct values of an output, by HyperLogLog."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    Statistic,
    count_leaf,
    count_where,
    mask_like,
    max_leaf,
    namespace,
)
from jaxmetrics.metrics.sketches._hashing import salted, words

_HASH_BITS = 32
_POWERS = 2.0 ** np.arange(1, 27)  # terms of both series: the next are below 1e-7


class DistinctCount(Statistic):
    """Number of distinct values of an output, estimated; 0 without data.

    HyperLogLog (Flajolet et al. 2007) with the improved estimator of Ertl (2017),
    which needs no switch between small and large counts. The relative standard error
    is `1.04 / sqrt(2**precision)`, 1.6 % by default, and smaller for counts up to a
    few hundred. The hash is a bijection of 32 bits, so that distinct values never
    collide, and the estimate is valid up to all 2^32 values. Merging takes maxima: any
    split of the data gives the same bits, and a repeated value changes nothing.

    Values are compared by their 32 bits as integers or as float32 (-0.0 equals 0.0),
    so that 3 and 3.0 are two values: use one type. NaN and infinities are counted in
    `nonfinite` only; see `metric.plain()`.

    Args:
      output: Name of the output; integers or floats of any shape.
      precision: Binary logarithm of the number of registers, from 4 to 16. The state
        takes `2**precision` words, 16 kB by default.

    Example:
      >>> import jaxmetrics as jm
      >>> round(jm.evaluate(jm.DistinctCount("ids"), ids=[7, 8, 7, 9]))
      3
    """

    precision: int = 12
    registers: Array = max_leaf("size")
    nonfinite: Array = count_leaf()

    @property
    def size(self) -> int:
        """Number of registers."""
        return 1 << self.precision

    def validate(self) -> None:
        """Refuse a precision out of range."""
        if not 4 <= self.precision <= 16:
            raise ValueError(
                f"DistinctCount: precision is {self.precision}, but must be from 4 to "
                "16. Leave it out for an error of 1.6 %."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's registers, the longest run of leading zeros of each."""
        values = jnp.asarray(values)
        valid = mask_like(values, mask)
        finite = jnp.isfinite(values) & valid
        hashed = salted(words(values), 1)
        register = (hashed >> (_HASH_BITS - self.precision)).astype(jnp.int32)
        rest = hashed << self.precision
        run = (
            jnp.minimum(lax.clz(rest).astype(jnp.int32), _HASH_BITS - self.precision)
            + 1
        )
        run = jnp.where(finite, run, 0)
        longest = lax.platform_dependent(
            register.ravel(),
            run.ravel(),
            default=functools.partial(largest_by_scatter, size=self.size),
            tpu=functools.partial(largest_by_comparison, size=self.size),
        )
        longest = longest.astype(jnp.float32)
        return dict(
            registers=jnp.where(longest > 0, longest, jnp.float32(-np.inf)),
            nonfinite=count_where(~jnp.isfinite(values), valid),
        )

    def compute(self) -> Any:
        """Return the estimate, a float."""
        xp = namespace(self)
        real = np.float64 if xp is np else np.float32
        last = _HASH_BITS - self.precision + 1
        runs = xp.asarray(xp.maximum(self.registers, 0), real)
        inside = (runs > 0) & (runs < last)
        middle = xp.where(inside, xp.exp2(-runs), real(0)).mean(-1)
        empty = xp.asarray(runs == 0, real).mean(-1)
        full = xp.asarray(runs == last, real).mean(-1)
        high = _tau(xp, 1 - full) * real(2.0 ** (1 - last))
        harmonic = _sigma(xp, empty) + middle + high
        expected = real(self.size / (2 * math.log(2))) / harmonic
        # Hashes of distinct values are drawn without replacement from all 2^32.
        hashes = real(2.0**_HASH_BITS)
        return (-xp.expm1(-expected / hashes) * hashes)[()]


def largest_by_scatter(index: jax.Array, values: jax.Array, size: int) -> jax.Array:
    """Return the largest value of each index, 0 without any: one update per row."""
    return jnp.zeros(size, values.dtype).at[index].max(values)


def largest_by_comparison(index: jax.Array, values: jax.Array, size: int) -> jax.Array:
    """Return the same by comparing each row with each index, which a TPU fuses."""
    equal = index[:, None] == jnp.arange(size, dtype=index.dtype)[None]
    return jnp.where(equal, values[:, None], 0).max(axis=0, initial=0)


def _sigma(xp: Any, x: Any) -> Any:
    """Return `x + sum of x^(2^k) 2^(k - 1)` for k from 1; infinite at 1."""
    power = xp.exp(_log(xp, x) * _POWERS.astype(x.dtype))
    total = x + (power * (_POWERS / 2).astype(x.dtype)).sum(-1)
    return xp.where(x == 1, xp.inf, total)


def _tau(xp: Any, x: Any) -> Any:
    """Return `(1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3` for k from 1; 0 at 0."""
    inverse = (1 / _POWERS).astype(x.dtype)
    gaps = xp.expm1(_log(xp, x) * inverse) ** 2 * inverse
    return xp.where(x == 0, 0, (1 - x - gaps.sum(-1)) / 3)


def _log(xp: Any, x: Any) -> Any:
    # With powers by squaring a compiler may factor out a mean, and overflow.
    return xp.log(xp.where(x == 0, 1e-30, x))[..., None]
