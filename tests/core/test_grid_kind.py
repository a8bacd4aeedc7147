"""Leaf of two histograms that widen themselves: the state of a multiset of scores."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.forms import mesh_of

import jaxmetrics as jm
from jaxmetrics.core import Metric, grid_counts, grid_leaf

BINS = 8
ROWS = 16  # a batch; the rest is masked
TINY = float(np.finfo(np.float32).tiny)
HUGE = float(np.finfo(np.float32).max)


class Grids(Metric):
    """Scores by label in grids of few bins."""

    weighted: bool = False
    cells: jm.Array = grid_leaf(bins=BINS, columns=2, weighted="weighted")

    def observe(self, *, scores, labels, mask=None, weights=None):
        """Count the batch."""
        cells = grid_counts(
            scores, labels, bins=BINS, columns=2, mask=mask, weights=weights
        )
        return dict(cells=cells)

    def compute(self):
        """Return the value of the leaf."""
        return self.cells


@jax.jit
def counted(scores, labels, mask, weights=None):
    """Return the state of a batch; all batches are of one shape."""
    metric = Grids(weighted=weights is not None)
    more = {} if weights is None else dict(weights=weights)
    return metric.from_model_output(scores=scores, labels=labels, mask=mask, **more)


@jax.jit
def merged(a, b):
    return a.merge(b)


def as_float32(scores):
    with np.errstate(all="ignore"):
        return np.float32(scores)


def batches(scores, labels, group):
    """Return the state of the scores of each group, on the host."""
    for number in np.unique(group):
        yield jax.tree.map(np.asarray, counted(scores, labels, group == number))


SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.1, 1e-45, -1e-45, TINY, -TINY, TINY / 2)
SPECIAL += (HUGE, -HUGE, np.inf, -np.inf, 2.0**24, 2.0**24 + 2, 1 + 2.0**-23)
real = st.sampled_from(SPECIAL) | st.floats(width=32, allow_nan=False)
near = st.builds(lambda x, n: x * (1 + n * 2.0**-22), real, st.integers(-4, 4))
score = real | near


@settings(max_examples=300, deadline=None)
@given(
    st.lists(score, min_size=ROWS, max_size=ROWS),
    st.lists(st.integers(0, 1), min_size=ROWS, max_size=ROWS),
    st.lists(st.integers(0, 4), min_size=ROWS, max_size=ROWS),
    st.randoms(use_true_random=False),
)
def test_any_order_of_merges_gives_the_same_bits(scores, labels, group, random):
    scores, labels = as_float32(scores), np.int32(labels)
    whole = counted(scores, labels, np.ones(ROWS, bool))
    states = list(batches(scores, labels, np.array(group)))
    while len(states) > 1:
        random.shuffle(states)
        states.append(jax.tree.map(np.asarray, merged(states.pop(), states.pop())))
    assert states[0].cells.tobytes() == np.asarray(whole.cells).tobytes()
    value = whole.compute()
    assert (
        value.counts.sum(-1).T.tolist()
        == [[sum(labels == label) for label in (0, 1)]] * 2
    )
    assert_in_order(value.counts, scores, labels)


def assert_in_order(counts, scores, labels):
    """Check that bins hold ascending scores, and equal scores the same bin."""
    flushed = np.where(np.abs(scores) < TINY, 0, scores)
    order = np.argsort(flushed, kind="stable")
    for grid in np.moveaxis(counts, -2, 0):
        start = 0
        for column in grid.T:
            rows = order[start : start + int(column.sum())]
            assert [sum(labels[rows] == 0), sum(labels[rows] == 1)] == column.tolist()
            start += len(rows)
            if len(rows) and start < len(order):
                assert flushed[order[start]] > flushed[rows[-1]]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(score, min_size=ROWS, max_size=ROWS),
    st.lists(st.integers(0, 4), min_size=ROWS, max_size=ROWS),
    st.integers(0, 2**31),
)
def test_weights_agree_within_the_stated_error(scores, group, seed):
    rng = np.random.default_rng(seed)
    scores, labels = as_float32(scores), rng.integers(0, 2, ROWS).astype(np.int32)
    weights = (10 ** rng.uniform(-6, 6, ROWS)).astype(np.float32)
    weights[:2] = 0
    whole = counted(scores, labels, np.ones(ROWS, bool), weights).compute()
    total = Grids(weighted=True)
    for number in np.unique(group):
        mask = np.array(group) == number
        total = merged(total, counted(scores, labels, mask, weights))
    value = total.compute()
    np.testing.assert_allclose(
        value.counts, whole.counts, rtol=0, atol=2.0**-21 * weights.sum()
    )
    assert (value.smallest, value.largest) == (whole.smallest, whole.largest)


@pytest.mark.parametrize("weighted", [False, True])
def test_devices_give_the_state_of_the_whole(weighted):
    rng = np.random.default_rng(0)
    scores = (rng.standard_cauchy(64) * 1e3 + 50).astype(np.float32)
    scores[[3, 40]] = -np.inf, np.inf
    outputs = dict(scores=scores, labels=rng.integers(0, 2, 64).astype(np.int32))
    if weighted:
        outputs["weights"] = rng.integers(0, 9, 64).astype(np.float32)
    metric = Grids(weighted=weighted)
    whole = metric.update(**outputs)
    assert weighted or np.asarray(whole.cells).any()
    deferred = metric.deferred(mesh_of())
    for rows in np.split(np.arange(64), 4):
        deferred = deferred.update(**{name: x[rows] for name, x in outputs.items()})
    total = deferred.reduce()
    np.testing.assert_array_equal(np.asarray(total.cells), np.asarray(whole.cells))


def test_a_bin_of_one_value_is_known_as_such():
    def sure(scores):
        scores = np.float32(scores)
        state = Grids().update(scores=scores, labels=np.zeros(len(scores), np.int32))
        inside = slice(2, -2)  # without the extremes and infinities
        value = state.compute()
        assert value.is_one_value[:, [0, 1, -2, -1]].all()
        return value.is_one_value[:, inside].all(-1).tolist()

    assert sure([3, 4, 5, 9, 10]) == [True, False]  # integers, 7 apart
    assert sure([3, 4, 5, 9, 11]) == [False, False]
    assert sure([3, 4, 5, 9.5, 10]) == [False, False]
    ulp = np.float32(2.0**-23)
    assert sure(np.float32([1, 1 + ulp, 1 + 3 * ulp])) == [True, True]


def test_the_extremes_of_no_score_are_infinite():
    value = Grids().compute()
    assert (value.smallest, value.largest) == (np.inf, -np.inf)
    assert value.counts.sum() == 0
    value = Grids().update(scores=[-np.inf, np.inf], labels=[0, 1]).compute()
    assert (value.smallest, value.largest) == (np.inf, -np.inf)
    assert value.counts[:, :, [0, -1]].tolist() == [[[1, 0]] * 2, [[0, 1]] * 2]


def test_grids_take_no_plain_value():
    with pytest.raises(TypeError, match="Update the metric with scores"):
        Grids().replace(cells=3)
