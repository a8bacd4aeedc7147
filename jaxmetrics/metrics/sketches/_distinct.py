"""How many different values an output had."""

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
    max_leaf,
    namespace,
)
from jaxmetrics.metrics.sketches._cells import kept
from jaxmetrics.metrics.sketches._hashing import salted, words

_BITS = 32
_DOUBLING = 2.0 ** np.arange(1, 27)  # terms of both series: the next are below 1e-7


class DistinctCount(Statistic):
    """How many different values an output had, estimated; 0 of nothing.

    HyperLogLog (Flajolet and others 2007) with the improved estimator of Ertl (2017),
    which needs no switch between small and large counts. The standard error is
    `1.04 / sqrt(2**precision)` of the count, 1.6 % by default, and less of a few
    hundred. The hash is a bijection of 32 bits, so different values never collide, and
    the count holds to the 2^32 values that there are. Merging takes maxima: no split
    of the data changes a bit, and seeing a value again changes nothing.

    Integers are told apart by their 32 bits and floats by theirs (-0.0 is 0.0), so 3
    and 3.0 are two values: keep to one type. NaN and infinities are counted in
    `nonfinite` only; see `metric.plain()`.

    Args:
      output: the output's name; `values` of any shape, integers or floats.
      precision: 4 to 16; the state takes `2**precision` words, 16 kB by default.

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
        """How many registers there are."""
        return 1 << self.precision

    def validate(self) -> None:
        """Refuse a precision that is out of range."""
        if not 4 <= self.precision <= 16:
            raise ValueError(
                f"DistinctCount: precision is from 4 to 16, got {self.precision}."
            )

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's registers: the longest run of zeros of the hashes of each."""
        values = jnp.asarray(values)
        valid = kept(values, mask)
        finite = jnp.isfinite(values) & valid
        hashed = salted(words(values), 1)
        register = (hashed >> (_BITS - self.precision)).astype(jnp.int32)
        rest = hashed << self.precision
        run = jnp.minimum(lax.clz(rest).astype(jnp.int32), _BITS - self.precision) + 1
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
        """The estimate, a float."""
        xp = namespace(self)
        real = np.float64 if xp is np else np.float32
        last = _BITS - self.precision + 1
        runs = xp.asarray(xp.maximum(self.registers, 0), real)
        inside = (runs > 0) & (runs < last)
        middle = xp.where(inside, xp.exp2(-runs), real(0)).mean(-1)
        unseen = xp.asarray(runs == 0, real).mean(-1)
        full = xp.asarray(runs == last, real).mean(-1)
        high = _tau(xp, 1 - full) * real(2.0 ** (1 - last))
        harmonic = _sigma(xp, unseen) + middle + high
        expected = real(self.size / (2 * math.log(2))) / harmonic
        # the hashes are drawn without replacement from the 2^32 that there are
        everything = real(2.0**_BITS)
        return (-xp.expm1(-expected / everything) * everything)[()]


def largest_by_scatter(index: jax.Array, values: jax.Array, size: int) -> jax.Array:
    """The largest value at each index, 0 where none is: one update a row."""
    return jnp.zeros(size, values.dtype).at[index].max(values)


def largest_by_comparison(index: jax.Array, values: jax.Array, size: int) -> jax.Array:
    """The same by comparing each row with each index, which a vector unit fuses."""
    here = index[:, None] == jnp.arange(size, dtype=index.dtype)
    return jnp.where(here, values[:, None], 0).max(axis=0, initial=0)


def _sigma(xp: Any, x: Any) -> Any:
    """`x + sum of x^(2^k) 2^(k - 1)` for k from 1; infinite at 1."""
    power = xp.exp(_log(xp, x) * _DOUBLING.astype(x.dtype))
    total = x + (power * (_DOUBLING / 2).astype(x.dtype)).sum(-1)
    return xp.where(x == 1, xp.inf, total)


def _tau(xp: Any, x: Any) -> Any:
    """`(1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3` for k from 1; 0 at 0."""
    halving = (1 / _DOUBLING).astype(x.dtype)
    gaps = xp.expm1(_log(xp, x) * halving) ** 2 * halving
    return xp.where(x == 0, 0, (1 - x - gaps.sum(-1)) / 3)


def _log(xp: Any, x: Any) -> Any:
    # powers by squaring would let a compiler move a mean's factor out, and overflow
    return xp.log(xp.where(x == 0, 1e-30, x))[..., None]
