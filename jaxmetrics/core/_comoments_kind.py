"""Leaf kind of count, means, variances and covariance of two series."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._arithmetic import (
    Pair,
    bits,
    digits_to_limbs,
    floats,
    from_order_key,
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


class ComomentsValue(NamedTuple):
    """Value of a leaf of co-moments in `compute`; variances and covariance are biased.

    The difference of the means, `mean_x - mean_y`, is taken before they are rounded.
    """

    n: Any
    mean_x: Any
    mean_y: Any
    mean_difference: Any
    variance_x: Any
    variance_y: Any
    covariance: Any


@dataclasses.dataclass(frozen=True)
class Comoments:
    """Count, two means and three sums of products of deviations, each a pair.

    They are merged as the moments of one series are, see `Moments`: about a common
    centre, so that nothing cancels where a mean is large against the deviations. The
    pairs are mean_x, mean_y, and the sums over dx * dx, dy * dy and dx * dy.

    Args:
      weighted: The count is a sum of weights, kept as a pair.
    """

    weighted: bool = False

    parts, dtype, fill = 12, np.uint32, 0

    def encode(self, value: Any) -> State:
        """Return the state of (n, mean_x, mean_y, xx, yy, xy); pairs or numbers."""
        refuse_other(value, "comoments(x, y, mask)", "a tuple of 6")
        n, *numbers = value
        number = Sum().encode(n) if self.weighted else Count().encode(n)
        return self._pack(number, [Sum().encode(x) for x in numbers])

    def merge(self, a: State, b: State) -> State:
        """Return the moments of both samples, exact if one of them is empty."""
        (na, pa), (nb, pb) = map(self._unpack, hidden_from_folding(a, b))
        n = pair_add(na, nb) if self.weighted else limbs_add(na, nb)
        wa, wb, w = self._number(na), self._number(nb), self._number(n)
        share = jnp.where(w > 0, wb / jnp.where(w > 0, w, 1), jnp.float32(0))
        deltas = [pair_add(pb[i], (-pa[i][0], -pa[i][1])) for i in (0, 1)]
        merged = [
            pair_add(pa[i], two_sum(delta[0] * share, delta[1] * share))
            for i, delta in enumerate(deltas)
        ]
        for i, (j, k) in enumerate(((0, 0), (1, 1), (0, 1)), start=2):
            spread = deltas[j][0] * deltas[k][0] * wa * share
            own = pair_add(pa[i], pb[i])
            merged.append(pair_add(own, (spread, jnp.zeros_like(spread))))
        kept = [
            tuple(
                jnp.where(wa == 0, y, jnp.where(wb == 0, x, z))
                for x, y, z in zip(first, second, both)
            )
            for first, second, both in zip(pa, pb, merged)
        ]
        return self._pack(n, kept)

    def decode(self, state: State, host: bool) -> ComomentsValue:
        """Return float64 and int on the host, float32 under jit."""
        if not host:
            n, pairs = self._unpack(state)
            w = self._number(n)
            nan, size = jnp.float32(jnp.nan), jnp.where(w > 0, w, 1)
            numbers = [high + low for high, low in pairs]
            difference = pair_add(pairs[0], (-pairs[1][0], -pairs[1][1]))
            means = [*numbers[:2], difference[0] + difference[1]]
            spreads = [x / size for x in numbers[2:]]
            return ComomentsValue(
                w, *(jnp.where(w > 0, x, nan) for x in (*means, *spreads))
            )
        words = [np.asarray(part, order="C") for part in state]
        real = [word.view(np.float32) for word in words]
        number = Sum() if self.weighted else Count()
        n = number.decode(tuple(real[:2] if self.weighted else words[:2]), True)
        x, y, *sums = (
            Sum().decode(tuple(real[i : i + 2]), True) for i in range(2, 12, 2)
        )
        counted = np.asarray(n) > 0
        size = np.where(counted, np.asarray(n, np.float64), 1)
        means = [x, y, x - y]
        return ComomentsValue(
            n,
            *(
                np.where(counted, z, np.nan)[()]
                for z in (*means, *(total / size for total in sums))
            ),
        )

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Sum deviations from common reference means, as `Moments.reduce` does."""
        n, pairs = self._unpack(state)
        w = self._number(n)
        keys = yield [
            ("max", order_key(jnp.where(w > 0, pairs[i][0], -jnp.inf))) for i in (0, 1)
        ]
        centres = [from_order_key(key) for key in keys]
        centres = [jnp.where(jnp.isneginf(c), jnp.float32(0), c) for c in centres]
        offsets = [
            jnp.where(w > 0, (mean[0] - centre) + mean[1], jnp.float32(0))
            for mean, centre in zip(pairs, centres)
        ]
        products = [
            (pairs[2 + i][0] + pairs[2 + i][1]) + w * offsets[j] * offsets[k]
            for i, (j, k) in enumerate(((0, 0), (1, 1), (0, 1)))
        ]
        number = w if self.weighted else limbs_to_digits(n)
        summed = yield [
            ("sum", number),
            *(("sum", w * offset) for offset in offsets),
            *(("sum", product) for product in products),
        ]
        number, firsts, seconds = summed[0], summed[1:3], summed[3:]
        if self.weighted:
            w, n = number, (number, jnp.zeros_like(number))
        else:
            n = digits_to_limbs(number)
            w = limbs_to_float(n)
        shifts = [
            jnp.where(w > 0, first / jnp.where(w > 0, w, 1), jnp.float32(0))
            for first in firsts
        ]
        means = [two_sum(centre, shift) for centre, shift in zip(centres, shifts)]
        sums = [
            second - firsts[j] * shifts[k]
            for second, (j, k) in zip(seconds, ((0, 0), (1, 1), (0, 1)))
        ]
        return self._pack(n, [*means, *((x, jnp.zeros_like(x)) for x in sums)])

    def _number(self, n: State) -> jax.Array:
        return n[0] + n[1] if self.weighted else limbs_to_float(n)

    def _pack(self, n: State, pairs: list[Any]) -> State:
        words = [*n, *(part for pair in pairs for part in pair)]
        start = 0 if self.weighted else 2
        return (*words[:start], *(bits(jnp.asarray(word)) for word in words[start:]))

    def _unpack(self, state: State) -> tuple[State, list[Pair]]:
        real = [floats(jnp.asarray(part)) for part in state]
        n = tuple(real[:2] if self.weighted else state[:2])
        return n, [(real[i], real[i + 1]) for i in range(2, 12, 2)]
