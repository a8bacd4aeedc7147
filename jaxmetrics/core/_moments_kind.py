"""Leaf kind of count, mean and variance."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._arithmetic import (
    ROUNDING,
    SMALLEST_NORMAL,
    Pair,
    bits,
    digits_to_limbs,
    floats,
    from_order_key,
    kept_above_zero,
    limbs_add,
    limbs_to_digits,
    limbs_to_float,
    order_key,
    pair_add,
    two_sum,
)
from jaxmetrics.core._kinds import (
    Axes,
    Count,
    Rounds,
    State,
    Sum,
    hidden_from_folding,
    refuse_other,
)

_LEAST_VARIANCE = 2.0**-106  # float32 rounds smaller squares, by 2^-126, to 20 bits
_LEAST = 2.0**-100  # sum of squares of weights that underflow loses little of


class MomentsValue(NamedTuple):
    """Value of a moments leaf in `compute`.

    Attributes:
      n: Count, or sum of weights.
      mean: Mean.
      variance: Biased variance, 0 of equal values only. Where it is not right, since
        float32 did not hold the squares of the deviations, it is positive and below
        1e-32; see `variance_or_nan`.
      effective_n: Count; of weights `sum(w)**2 / sum(w**2)` (Kish 1965), the number of
        equal weights whose mean has the same variance. nan without data, and for
        weights below about 1e-15 or above 1e19, whose squares float32 cannot hold.
    """

    n: Any
    mean: Any
    variance: Any
    effective_n: Any


def variance_or_nan(variance: Any, n: Any, equal: Any = None) -> Any:
    """Return a variance, 0 of equal values, and nan where float32 did not hold it.

    The squares of deviations below 1e-19 underflow, and a variance without them may be
    anything from 0 to the right one.

    Args:
      variance: Biased variance, whose sum of squares was kept in float32.
      n: Number of the values, or sum of their weights.
      equal: Where the values are equal; by default where the variance is 0, which is
        right of a moments leaf.
    """
    xp: Any = jnp if isinstance(variance, jax.Array) else np
    variance = xp.asarray(variance)
    equal = variance == 0 if equal is None else equal
    lost = variance * xp.minimum(xp.asarray(n), 1) < _LEAST_VARIANCE
    return xp.where(equal, 0.0, xp.where(lost, np.nan, variance))[()]


@dataclasses.dataclass(frozen=True)
class Moments:
    """Count, mean pair and M2 pair, merged as Chan, Golub and LeVeque (1979).

    M2 is the sum of squared deviations from the mean.

    Args:
      weighted: The count is a sum of weights, kept as a pair; one more pair is the sum
        of their squares.
    """

    weighted: bool = False

    dtype, fill = np.uint32, 0

    @property
    def parts(self) -> int:
        """Number of words."""
        return 8 if self.weighted else 6

    def encode(self, value: Any) -> State:
        """Return the state of (n, mean, M2), or with weights (n, mean, M2, squares).

        The mean may be a pair.
        """
        helper = f"moments(values, mask{', weights' * self.weighted})"
        refuse_other(value, helper, "a tuple of 4" if self.weighted else "a tuple of 3")
        n, mean, *sums = value
        number = Sum().encode(n) if self.weighted else Count().encode(n)
        mean = mean if isinstance(mean, tuple) else Sum().encode(mean)
        return self._pack(number, mean, *map(Sum().encode, sums))

    def merge(self, a: State, b: State) -> State:
        """Return the moments of both samples, exact if one of them is empty."""
        (na, ma, sa, *qa), (nb, mb, sb, *qb) = map(
            self._unpack, hidden_from_folding(a, b)
        )
        n = pair_add(na, nb) if self.weighted else limbs_add(na, nb)
        wa, wb, w = self._number(na), self._number(nb), self._number(n)
        share = jnp.where(w > 0, wb / jnp.where(w > 0, w, 1), jnp.float32(0))
        delta = pair_add(mb, (-ma[0], -ma[1]))
        shift = two_sum(delta[0] * share, delta[1] * share)
        spread = _spread(delta[0], wa * share, jnp.maximum(abs(ma[0]), abs(mb[0])))
        mean = pair_add(ma, shift)
        m2 = pair_add(pair_add(sa, sb), spread)
        mean, m2 = (
            tuple(
                jnp.where(wa == 0, y, jnp.where(wb == 0, x, z))
                for x, y, z in zip(first, second, merged)
            )
            for first, second, merged in ((ma, mb, mean), (sa, sb, m2))
        )
        return self._pack(n, mean, m2, *map(pair_add, qa, qb))

    def decode(self, state: State, host: bool) -> MomentsValue:
        """Return a MomentsValue of float64 and int on the host, float32 under jit."""
        if not host:
            n, mean, m2, *squares = self._unpack(state)
            w = self._number(n)
            nan = jnp.float32(jnp.nan)
            m2 = m2[0] + m2[1]
            least = jnp.where(m2 > 0, SMALLEST_NORMAL, -jnp.inf)  # no 0 by division
            variance = jnp.where(w > 0, jnp.maximum(m2 / w, least), nan)
            effective = w
            for hi, lo in squares:
                total = hi + lo
                effective = jnp.where(total > _LEAST, w * (w / total), nan)
            mean = jnp.where(w > 0, mean[0] + mean[1], nan)
            return MomentsValue(w, mean, variance, effective)
        words = [np.asarray(part, order="C") for part in state]
        real = [word.view(np.float32) for word in words]
        number = Sum() if self.weighted else Count()
        n = number.decode(tuple(real[:2] if self.weighted else words[:2]), True)
        mean, m2 = (Sum().decode(tuple(real[i : i + 2]), True) for i in (2, 4))
        counted = np.asarray(n) > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.where(counted, m2 / np.asarray(n, np.float64), np.nan)[()]
            effective = n
            if self.weighted:
                squares = Sum().decode(tuple(real[6:]), True)
                effective = np.where(squares > _LEAST, np.square(n) / squares, np.nan)[
                    ()
                ]
        mean = np.where(counted, mean, np.nan)[()]
        return MomentsValue(n, mean, variance, effective)

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Sum deviations from one reference mean: no cancellation at an offset.

        Shards cannot merge their means pairwise in one collective, and summing n * mean
        and n * mean**2 would cancel where the mean is much larger than the spread. So
        all shards take the same reference c, the largest of their means (round one),
        and each adds its moments about c (round two): n, n * d and M2 + n * d**2, where
        d = mean - c. Two shards of 10 values with means 1e6 + 1 and 1e6 + 3 take
        c = 1e6 + 3 and sum 20, -20 and M2 + 40: the mean is c - 20 / 20 = 1e6 + 2, and
        M2 about it is M2 + 40 - (-20) * (-20 / 20) = M2 + 20.
        """
        n, mean, m2, *squares = self._unpack(state)
        w = self._number(n)
        (key,) = yield [("max", order_key(jnp.where(w > 0, mean[0], -jnp.inf)))]
        centre = from_order_key(key)
        centre = jnp.where(jnp.isneginf(centre), jnp.float32(0), centre)
        offset = jnp.where(w > 0, (mean[0] - centre) + mean[1], jnp.float32(0))
        spread = (m2[0] + m2[1]) + _spread(offset, w, abs(centre))[0]
        if self.weighted:
            ((hi, lo),) = squares
            w, first, second, *sums = yield [
                ("sum", w),
                ("sum", w * offset),
                ("sum", spread),
                ("sum", hi + lo),
            ]
            n = (w, jnp.zeros_like(w))
            squares = [(x, jnp.zeros_like(x)) for x in sums]
        else:
            digits, first, second = yield [
                ("sum", limbs_to_digits(n)),
                ("sum", w * offset),
                ("sum", spread),
            ]
            n = digits_to_limbs(digits)
            w = limbs_to_float(n)
        shift = jnp.where(w > 0, first / jnp.where(w > 0, w, 1), jnp.float32(0))
        m2 = second - first * shift
        m2 = (m2, jnp.zeros_like(m2))
        return self._pack(n, two_sum(centre, shift), m2, *squares)

    def _number(self, n: State) -> jax.Array:
        return n[0] + n[1] if self.weighted else limbs_to_float(n)

    def _pack(self, n: State, *pairs: State) -> State:
        words = [*n, *(word for pair in pairs for word in pair)]
        start = 0 if self.weighted else 2
        return (*words[:start], *(bits(jnp.asarray(word)) for word in words[start:]))

    def _unpack(self, state: State) -> tuple[State, ...]:
        real = [floats(jnp.asarray(part)) for part in state]
        n = tuple(real[:2] if self.weighted else state[:2])
        return n, *(tuple(real[i : i + 2]) for i in range(2, self.parts, 2))


def _spread(offset: jax.Array, weight: jax.Array, mean: jax.Array) -> Pair:
    """Return what an offset between means adds to the sum of squared deviations.

    Args:
      offset: Offset of a mean.
      weight: Number of values with that offset.
      mean: Magnitude of the means, whose rounding is no offset.
    """
    squares = offset * offset * weight
    differ = ~(abs(offset) <= mean * np.float32(ROUNDING))
    return kept_above_zero((squares, jnp.zeros_like(squares)), differ)
