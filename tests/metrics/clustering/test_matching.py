"""ClusterAccuracy and Purity."""

import jax
import numpy as np
import pytest
from support.tables import with_table

import jaxmetrics as jm

LABELS = np.int32([0, 0, 0, 1, 1, 1])
PREDS = np.int32([2, 2, 0, 1, 1, 3])


def test_a_class_has_one_cluster_only():
    metric = jm.ClusterAccuracy(classes=2, clusters=4)
    assert jm.evaluate(metric, labels=LABELS, preds=PREDS) == pytest.approx(4 / 6)


def test_purity_lets_several_clusters_stand_for_a_class():
    metric = jm.Purity(classes=2, clusters=4)
    assert jm.evaluate(metric, labels=LABELS, preds=PREDS) == 1


def test_the_assignment_is_the_best_of_all_not_cluster_by_cluster():
    metric = jm.ClusterAccuracy(classes=2)
    state = with_table(metric, [[10, 9], [8, 0]])
    assert state.compute() == pytest.approx(17 / 27)


def test_counts_beyond_float32_are_exact():
    metric = jm.ClusterAccuracy(classes=2)
    n = 2**24
    state = with_table(metric, [[n, n + 1], [n, n]])
    assert state.compute() == (2 * n + 1) / (4 * n + 1)


def test_a_search_under_jit_is_refused():
    with pytest.raises(TypeError, match="computes on the host only"):
        jax.jit(lambda m: m.compute())(jm.ClusterAccuracy(classes=2))


@pytest.mark.parametrize("metric", [jm.ClusterAccuracy, jm.Purity])
def test_no_data_is_no_score(metric):
    assert np.isnan(metric(classes=2).compute())
