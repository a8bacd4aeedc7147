"""FleissKappa."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm

# Fleiss' example: 10 subjects, 14 raters, 5 classes.
COUNTS = np.int32(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def test_the_textbook_example():
    metric = jm.FleissKappa(classes=5, raters=14, mode="counts")
    assert jm.evaluate(metric, ratings=COUNTS) == pytest.approx(0.20993, abs=1e-5)
    ratings = np.stack([np.repeat(np.arange(5), row) for row in COUNTS])
    metric = jm.FleissKappa(classes=5, raters=14)
    value = jm.evaluate(metric, ratings=ratings.astype(np.int32))
    assert value == pytest.approx(0.20993, abs=1e-5)


def test_full_agreement_is_exactly_one_where_torchmetrics_adds_an_epsilon():
    metric = jm.FleissKappa(classes=2, raters=2)
    assert jm.evaluate(metric, ratings=np.int32([[0, 0], [1, 1]])) == 1


def test_one_class_alone_shows_no_agreement():
    metric = jm.FleissKappa(classes=2, raters=2)
    assert np.isnan(jm.evaluate(metric, ratings=np.int32([[0, 0], [0, 0]])))
    assert np.isnan(metric.compute())


def test_incomplete_subjects_are_counted_apart():
    ratings = np.int32([[0, 0], [1, 1], [0, 2], [-1, 0]])
    state = jm.FleissKappa(classes=2, raters=2).update(ratings=ratings)
    assert (state.plain()["subjects"], state.plain()["invalid"]) == (2, 2)
    assert state.compute() == 1
    counts = np.int32([[2, 0], [1, 2], [3, -1], [0, 2]])
    state = jm.FleissKappa(classes=2, raters=2, mode="counts").update(ratings=counts)
    assert (state.plain()["subjects"], state.plain()["invalid"]) == (2, 2)


def test_squares_of_many_raters_do_not_wrap_around():
    counts = np.int32([[60_000, 40_000], [99_999, 1], [0, 100_000]])
    metric = jm.FleissKappa(classes=2, raters=100_000, mode="counts")
    wide = counts.astype(np.float64)
    n = wide.sum(1)[0]
    agreement = ((wide * (wide - 1)).sum(1) / (n * (n - 1))).mean()
    by_chance = ((wide.sum(0) / wide.sum()) ** 2).sum()
    right = (agreement - by_chance) / (1 - by_chance)
    assert jm.evaluate(metric, ratings=counts) == pytest.approx(right, rel=1e-6)
    under_jit = jax.jit(lambda m, x: m.update(ratings=x).compute())(metric, counts)
    assert under_jit == pytest.approx(right, rel=1e-5)
    with pytest.raises(ValueError, match="their product must be below 2\\^31"):
        jm.FleissKappa(classes=5, raters=1 << 30, mode="counts")


def test_impossible_configurations_and_shapes_are_refused():
    with pytest.raises(ValueError, match="raters is 1"):
        jm.FleissKappa(classes=2, raters=1)
    with pytest.raises(ValueError, match="mode is 'table'"):
        jm.FleissKappa(classes=2, raters=2, mode="table")
    metric = jm.FleissKappa(classes=2, raters=3)
    with pytest.raises(ValueError, match="must be the 3 raters"):
        metric.update(ratings=np.int32([[0, 0]]))
    with pytest.raises(TypeError, match="ratings are class numbers"):
        metric.update(ratings=np.float32([[0, 0, 1]]))
