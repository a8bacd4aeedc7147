"""Leaf kind of a sum whose bits do not depend on order, batches or devices."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._arithmetic import INTEGERS
from jaxmetrics.core._exact_sum import (
    WORDS,
    add_words,
    exact_cells,
    exact_sum,
    places_to_words,
    words_of_numbers,
    words_to_double,
    words_to_float,
    words_to_places,
)
from jaxmetrics.core._kinds import (
    ARRAY,
    SUMMANDS,
    Axes,
    Rounds,
    State,
    refuse_other,
)
from jaxmetrics.core._summands import Summands


@dataclasses.dataclass(frozen=True)
class ExactSum:
    """The exact sum in twelve words of 32 bits; see `_exact_sum`."""

    parts, dtype, fill = WORDS, np.uint32, 0

    def encode(self, value: Any) -> State:
        """Return the state of `Summands`, of an array as it is, or of a number."""
        refuse_other(value, "total(values, mask)", ARRAY, SUMMANDS, "a tuple of 2")
        if isinstance(value, Summands):
            return functools.reduce(
                add_words, [_sum_of(value, x) for x in value.values]
            )
        if isinstance(value, tuple):
            raise TypeError(
                "is reproducible, but got a pair (hi, lo), whose sum is rounded "
                "already. Return total(values, mask, weights), which is not summed yet."
            )
        if isinstance(value, (int, float, np.number, np.ndarray)):
            return words_of_numbers(value)
        value = jnp.asarray(value)
        wide = value.dtype in INTEGERS
        return exact_sum(value if wide else value.astype(jnp.float32))

    def merge(self, a: State, b: State) -> State:
        """Return the sum."""
        return add_words(jnp.asarray(a), jnp.asarray(b))

    def decode(self, state: State, host: bool) -> Any:
        """Return the float64 next to the sum on the host, under jit the float32."""
        return words_to_double(state) if host else words_to_float(state)

    def reduce(self, state: State, axes: Axes) -> Rounds:
        """Sum words of 16 bits, of which 65,536 fit in a uint32."""
        yield []
        (places,) = yield [("sum", words_to_places(state))]
        return places_to_words(places)


def _sum_of(summands: Summands, values: jax.Array) -> jax.Array:
    if summands.index is None:
        return exact_sum(values, tuple(range(values.ndim - summands.keep)))
    index, shape = summands.index.ravel(), summands.shape
    words = exact_cells(values.ravel(), index, math.prod(shape))
    return words.reshape(WORDS, *shape)
