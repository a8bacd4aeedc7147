"""Mean, variance, skewness and kurtosis of an output."""

from __future__ import annotations

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    Pair,
    Statistic,
    as_numbers,
    centred,
    count_leaf,
    count_where,
    divide,
    exponent_above,
    leaf,
    limbs_to_float,
    mask_like,
    namespace,
    pair_add,
    scale,
    total,
    two_sum,
)


class Moments(
    Statistic,
    not_reproducible="it merges central moments in float arithmetic",
):
    """Mean, variance, skewness and excess kurtosis of an output; nan without data.

    Of the population: variance `m2`, skewness `m3 / m2^1.5` and excess kurtosis
    `m4 / m2^2 - 3` from the central moments, as in `scipy.stats`. Both shape values are
    0 for a normal distribution and nan for a constant. Moments are merged as in Pébay
    (2008), with the mean and each moment in two float32: where the mean is 1e4 standard
    deviations, the error of each is at most 1e-4. The moments are those of deviations
    over a power of two above the largest one so far, so that no unit of the values is
    too small or too large.

    NaN and infinities are left out and counted in `nonfinite`; see `metric.plain()`.

    Args:
      output: Name of the output; its values may have any shape.

    Returns by `compute`: `mean`, `variance`, `skewness` and `kurtosis`.

    Example:
      >>> import jaxmetrics as jm
      >>> values = jm.evaluate(jm.Moments("loss"), loss=[1.0, 2.0, 3.0])
      >>> {name: round(float(value), 2) for name, value in values.items()}
      {'mean': 2.0, 'variance': 0.67, 'skewness': 0.0, 'kurtosis': -1.5}
    """

    count: Array = count_leaf()
    central: Array = leaf("4 2")  # mean, m2, m3, m4; each a pair (high, low)
    exponent: Array = leaf(dtype=np.int32, fill=-125)  # m2 is in units of 4**exponent
    nonfinite: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's count, mean and central moments."""
        values = as_numbers(values)
        valid = mask_like(values, mask)
        finite = jnp.isfinite(values) & valid
        n, mean, deviation = centred(jnp.where(finite, values, 0), finite)
        exponent = exponent_above(jnp.abs(deviation).max(initial=0))
        deviation = scale(deviation, -exponent)
        size = jnp.maximum(n.astype(jnp.float32), 1)
        square = deviation * deviation
        powers = (square, square * deviation, square * square)
        central = [total(power).value() / size for power in powers]
        low = [mean[1], *[jnp.zeros_like(mean[1])] * 3]
        return dict(
            count=n,
            central=jnp.stack([jnp.stack([mean[0], *central]), jnp.stack(low)], -1),
            exponent=exponent,
            nonfinite=count_where(~finite, valid),
        )

    def merge(self, other: Any) -> Self:
        """Return the moments of both samples, unchanged where one sample is empty."""
        merged = super().merge(other)
        size, other_size = _size(self.count), _size(other.count)
        swap = other_size > size
        first, second = (jnp.asarray(m.central) for m in (self, other))
        large, small = jnp.where(swap, second, first), jnp.where(swap, first, second)
        share = jnp.minimum(size, other_size) / jnp.maximum(size + other_size, 1)
        exponents = jnp.asarray(self.exponent), jnp.asarray(other.exponent)
        apart = jnp.abs(large[0, 0] - small[0, 0])
        common = jnp.maximum(jnp.maximum(*exponents), exponent_above(apart))
        of_large, of_small = (jnp.where(swap, *exponents[::i]) for i in (-1, 1))
        central = _combined(
            _rescaled(large, of_large - common),
            _rescaled(small, of_small - common),
            share,
            common,
        )
        one_is_empty = share == 0
        return merged.replace(
            central=jnp.where(one_is_empty, large, central),
            exponent=jnp.where(one_is_empty, of_large, common),
        )

    def compute(self) -> dict[str, Any]:
        """Return mean, variance (squared unit), skewness and kurtosis (no unit)."""
        xp = namespace(self)
        mean, m2, m3, m4 = xp.moveaxis(xp.asarray(self.central).sum(-1), -1, 0)
        has_data = xp.asarray(self.count) > 0
        nan = xp.asarray(np.nan, mean.dtype)
        exponent = xp.asarray(self.exponent)
        variance = xp.ldexp(xp.ldexp(m2, exponent), exponent)
        underflowed = (variance == 0) & (m2 > 0)  # in float32, under jit
        variance = xp.where(underflowed, nan, variance)
        return dict(
            mean=xp.where(has_data, mean, nan)[()],
            variance=xp.where(has_data, variance, nan)[()],
            skewness=divide(divide(m3, m2), xp.sqrt(m2)),
            kurtosis=divide(divide(m4, m2), m2) - 3,
        )


def _rescaled(central: jax.Array, exponent: jax.Array) -> jax.Array:
    """Return mean and moments `[4, 2]` in units of a larger power of two.

    Args:
      central: Mean, which has no such unit, m2, m3 and m4.
      exponent: Exponent of the old unit over the new one, at most 0.
    """
    powers = jnp.array([[0], [2], [3], [4]], jnp.int32)
    return scale(central, jnp.maximum(powers * exponent, -252))


def _combined(
    large: jax.Array, small: jax.Array, share: jax.Array, exponent: jax.Array
) -> jax.Array:
    """Return the central moments of the union of two samples (Pébay 2008).

    Each moment of the larger sample is corrected by a step that vanishes with the
    share of the smaller one, so that many small merges do not lose precision.

    Args:
      large: Moments `[4, 2]` of the larger sample, each a pair (high, low).
      small: Moments of the smaller sample.
      share: Fraction of all samples that are in the smaller one, in [0, 1/2].
      exponent: The moments are of deviations over 2 to this power.
    """
    # Constant folding would drop steps of the compensated sums.
    large, small = lax.optimization_barrier((large, small))
    mean, *moments = ((part[0], part[1]) for part in large)
    small_mean, *small_moments = ((part[0], part[1]) for part in small)
    # d: difference of the means; d2, d3, d4: differences of the moments.
    d, d_low = _difference(small_mean, mean)
    d2, d3, d4 = (high + low for high, low in map(_difference, small_moments, moments))
    m2 = moments[0][0]
    rest = 1 - share
    both = share * rest
    shift = two_sum(d * share, d_low * share)
    d = scale(d, -exponent)
    steps = (
        share * d2 + both * d * d,
        share * d3 + both * d * (3 * d2 + (rest - share) * d * d),
        share * d4
        + both * d * (4 * d3 + 6 * d * (m2 + rest * d2) + (1 - 3 * both) * d * d * d),
    )
    zero = jnp.zeros_like(d)
    pairs = [pair_add(mean, shift)]
    pairs += [pair_add(moment, (step, zero)) for moment, step in zip(moments, steps)]
    return jnp.stack([jnp.stack(pair) for pair in pairs])


def _difference(a: Pair, b: Pair) -> Pair:
    return pair_add(a, (-b[0], -b[1]))


def _size(count: Any) -> jax.Array:
    count = jnp.asarray(count)
    return limbs_to_float((count[..., 0], count[..., 1]))
