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
    count_leaf,
    count_where,
    divide,
    leaf,
    limbs_to_float,
    namespace,
    pair_add,
    total,
    two_sum,
)
from jaxmetrics.metrics.sketches._cells import kept
from jaxmetrics.metrics.sketches._centred import centred


class Moments(Statistic):
    """Mean, variance, skewness and excess kurtosis of an output; nan of nothing.

    The population's: `m2`, `m3 / m2^1.5` and `m4 / m2^2 - 3` of the central moments
    `m2`, `m3`, `m4`, as `scipy.stats` has them; 0 for a normal distribution. Skewness
    and kurtosis of a constant are nan. Moments are merged as Pébay (2008), the mean
    and each moment in two float32, so that an offset does not cancel: at a mean of 1e4
    standard deviations each is right within 1e-4. Fourth powers of deviations are to
    stay below 3e38.

    NaN and infinities are left out and counted in `nonfinite`; see `metric.plain()`.

    Args:
      output: the output's name; `values` of any shape.

    Returns by `compute`: `mean`, `variance`, `skewness` and `kurtosis`.

    Example:
      >>> import jaxmetrics as jm
      >>> found = jm.evaluate(jm.Moments("loss"), loss=[1.0, 2.0, 3.0])
      >>> {name: round(float(value), 2) for name, value in found.items()}
      {'mean': 2.0, 'variance': 0.67, 'skewness': 0.0, 'kurtosis': -1.5}
    """

    count: Array = count_leaf()
    central: Array = leaf("4 2")  # mean, m2, m3 and m4, each high and low
    nonfinite: Array = count_leaf()

    def observe(self, *, values: Any, mask: Any = None) -> dict[str, Any]:
        """The batch's count, mean and central moments."""
        values = jnp.asarray(values).astype(jnp.float32)
        valid = kept(values, mask)
        finite = jnp.isfinite(values) & valid
        values = jnp.where(finite, values, 0)
        n, mean, off = centred(values, finite)
        size = jnp.maximum(n.astype(jnp.float32), 1)
        square = off * off
        powers = (square, square * off, square * square)
        central = [total(power) / size for power in powers]
        low = [mean[1], *[jnp.zeros_like(mean[1])] * 3]
        return dict(
            count=n,
            central=jnp.stack([jnp.stack([mean[0], *central]), jnp.stack(low)], -1),
            nonfinite=count_where(~jnp.isfinite(values), valid),
        )

    def merge(self, other: Any) -> Self:
        """The moments of both samples together; exactly one where other is empty."""
        merged = super().merge(other)
        mine, its = _size(self.count), _size(other.count)
        swap = its > mine
        first, second = (jnp.asarray(m.central) for m in (self, other))
        big, small = jnp.where(swap, second, first), jnp.where(swap, first, second)
        share = jnp.minimum(mine, its) / jnp.maximum(mine + its, 1)
        central = jnp.where(share == 0, big, _together(big, small, share))
        return merged.replace(central=central)

    def compute(self) -> dict[str, Any]:
        """The four, in the unit of the values, its square, and none."""
        xp = namespace(self)
        mean, m2, m3, m4 = xp.moveaxis(xp.asarray(self.central).sum(-1), -1, 0)
        some = xp.asarray(self.count) > 0
        nothing = xp.asarray(np.nan, mean.dtype)
        return dict(
            mean=xp.where(some, mean, nothing)[()],
            variance=xp.where(some, m2, nothing)[()],
            skewness=divide(divide(m3, m2), xp.sqrt(m2)),
            kurtosis=divide(divide(m4, m2), m2) - 3,
        )


def _together(big: jax.Array, small: jax.Array, share: jax.Array) -> jax.Array:
    """The central moments of two samples, the smaller of which has this share."""
    # hidden from constant folding, which drops steps of the exact sums
    big, small = lax.optimization_barrier((big, small))
    mean, *powers = ((part[0], part[1]) for part in big)
    its_mean, *its_powers = ((part[0], part[1]) for part in small)
    d, more = _minus(its_mean, mean)
    d2, d3, d4 = (high + low for high, low in map(_minus, its_powers, powers))
    m2 = powers[0][0]
    rest = 1 - share
    both = share * rest
    shift = two_sum(d * share, more * share)
    steps = (
        share * d2 + both * d * d,
        share * d3 + both * d * (3 * d2 + (rest - share) * d * d),
        share * d4
        + both * d * (4 * d3 + 6 * d * (m2 + rest * d2) + (1 - 3 * both) * d * d * d),
    )
    zero = jnp.zeros_like(d)
    found = [pair_add(mean, shift)]
    found += [pair_add(power, (step, zero)) for power, step in zip(powers, steps)]
    return jnp.stack([jnp.stack(pair) for pair in found])


def _minus(a: Pair, b: Pair) -> Pair:
    return pair_add(a, (-b[0], -b[1]))


def _size(count: Any) -> jax.Array:
    count = jnp.asarray(count)
    return limbs_to_float((count[..., 0], count[..., 1]))
