"""Positions that are found without sorting are those of the sorted items."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxmetrics.metrics.ranking._ranked import _items

SHAPE = (8, 6)
SCORES = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, 2.5, 1e-40, -1e-40, 3e-39, -3.4e38]


@jax.jit
def positions(scores, relevance, mask):
    items, _, _ = _items(scores, relevance, mask)
    ranked = items.sorted()
    of_sorted = jnp.where(ranked.is_relevant(), ranked.position, jnp.inf).min(axis=-1)
    return of_sorted, *items.first_relevant()


@settings(max_examples=100, deadline=None)
@given(
    scores=arrays(np.float32, SHAPE, elements=st.sampled_from(SCORES)),
    relevance=arrays(np.float32, SHAPE, elements=st.sampled_from([0.0, 0.0, 1.0, 3.0])),
    mask=arrays(bool, SHAPE),
)
def test_the_first_relevant_item_is_that_of_the_sorted_ones(scores, relevance, mask):
    expected, position, exists = map(np.asarray, positions(scores, relevance, mask))
    np.testing.assert_array_equal(np.isfinite(expected), exists)
    np.testing.assert_array_equal(position[exists], expected[exists])
