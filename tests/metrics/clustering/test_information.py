"""Mutual information and what is derived from it, by hand and at the limits."""

import math

import jax
import numpy as np
import pytest
import sklearn.metrics as sk
from support.tables import with_table

import jaxmetrics as jm

LABELS = np.int32([0, 0, 1, 1])
SCORES = (
    jm.NormalizedMutualInformation,
    jm.AdjustedMutualInformation,
    jm.Homogeneity,
    jm.Completeness,
    jm.VMeasure,
)
every_score = pytest.mark.parametrize("metric", SCORES)


def test_the_information_of_equal_partitions_is_their_entropy():
    metric = jm.MutualInformation(classes=3)
    value = jm.evaluate(metric, labels=LABELS, preds=2 - LABELS)
    assert value == pytest.approx(math.log(2), abs=1e-15)
    independent = jm.evaluate(metric, labels=LABELS, preds=np.int32([0, 1, 0, 1]))
    assert independent == 0


def test_a_table_by_hand():
    state = with_table(jm.MutualInformation(classes=2, clusters=2), [[2, 0], [1, 1]])
    right = 0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3) + 0.25 * math.log(2)
    assert state.compute() == pytest.approx(right, abs=1e-15)


@every_score
def test_names_of_clusters_do_not_matter(metric):
    assert jm.evaluate(metric(classes=2), labels=LABELS, preds=1 - LABELS) == 1


@every_score
def test_one_class_and_one_cluster_agree(metric):
    one = np.zeros(3, np.int32)
    assert jm.evaluate(metric(classes=2), labels=one, preds=one) == 1
    assert jm.evaluate(metric(classes=2), labels=one[:1], preds=one[:1]) == 1


@pytest.mark.parametrize("method", ["arithmetic", "geometric", "min", "max"])
def test_one_cluster_of_many_classes_has_no_adjusted_information(method):
    metric = jm.AdjustedMutualInformation(classes=3, average_method=method)
    labels, preds = np.arange(30) % 3, np.zeros(30, int)
    right = sk.adjusted_mutual_info_score(labels, preds, average_method=method)
    assert jm.evaluate(metric, labels=labels, preds=preds) == 0 == right
    assert jm.evaluate(metric, labels=preds, preds=labels) == 0


def test_one_cluster_says_nothing_about_two_classes():
    outputs = dict(labels=LABELS, preds=np.zeros(4, np.int32))
    value = {m.__name__: jm.evaluate(m(classes=2), **outputs) for m in SCORES}
    assert value == {
        "NormalizedMutualInformation": 0,
        "AdjustedMutualInformation": 0,
        "Homogeneity": 0,
        "Completeness": 1,
        "VMeasure": 0,
    }


@every_score
def test_no_data_is_no_score(metric):
    assert np.isnan(metric(classes=2).compute())
    masked = metric(classes=2).update(labels=LABELS, preds=LABELS, mask=LABELS > 1)
    assert np.isnan(masked.compute())


@pytest.mark.parametrize("method", ["arithmetic", "geometric", "min", "max"])
def test_means_of_the_entropies_are_scikit_learns(method):
    rng = np.random.default_rng(0)
    labels, preds = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    outputs = dict(labels=labels.astype(np.int32), preds=preds.astype(np.int32))
    for metric, oracle in (
        (jm.NormalizedMutualInformation, sk.normalized_mutual_info_score),
        (jm.AdjustedMutualInformation, sk.adjusted_mutual_info_score),
    ):
        value = jm.evaluate(
            metric(classes=3, clusters=4, average_method=method), **outputs
        )
        right = oracle(labels, preds, average_method=method)
        assert value == pytest.approx(right, abs=1e-12)


def test_samples_alone_in_their_clusters_agree_by_construction():
    alone = np.arange(4, dtype=np.int32)
    value = jm.evaluate(
        jm.AdjustedMutualInformation(classes=4), labels=alone, preds=alone
    )
    assert value == 1 == sk.adjusted_mutual_info_score(alone, alone)


def test_many_samples_have_the_expectation_of_the_asymptotic_theory():
    """By chance 2 N MI is chi-squared with (r - 1) (c - 1) degrees of freedom."""
    n = 2**28
    table = np.full((3, 3), n)
    state = with_table(jm.AdjustedMutualInformation(classes=3), table)
    by_chance = 4 / (2 * 9 * n)
    right = -by_chance / (math.log(3) - by_chance)
    assert state.compute() == pytest.approx(right, abs=1e-11)


def test_a_sampled_expectation_is_that_of_all_terms():
    from jaxmetrics.metrics.clustering import _information

    table = np.array([[300_000, 200_000], [100_000, 400_000]])
    some = _information._expected_information(table)
    terms, _information._TERMS = _information._TERMS, 10**7
    try:
        all_terms = _information._expected_information(table)
    finally:
        _information._TERMS = terms
    assert some == pytest.approx(all_terms, rel=1e-6)


def test_the_expectation_under_jit_is_refused():
    state = jm.AdjustedMutualInformation(classes=2)
    with pytest.raises(TypeError, match="computes on the host only"):
        jax.jit(lambda m: m.compute())(state)


def test_metrics_of_one_table_share_it():
    metrics = jm.Collection(
        nmi=jm.NormalizedMutualInformation(classes=3), v=jm.VMeasure(classes=3)
    )
    assert len(jax.tree.leaves(metrics)) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.VMeasure(), "needs the number of classes"),
        (lambda: jm.VMeasure(classes=0), "classes is 0"),
        (lambda: jm.VMeasure(classes=2, clusters=0), "clusters is 0"),
        (lambda: jm.VMeasure(classes=2, beta=0.0), "beta is 0.0"),
        (
            lambda: jm.NormalizedMutualInformation(classes=2, average_method="mean"),
            "average_method is 'mean'",
        ),
    ],
)
def test_impossible_configurations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_samples_out_of_range_are_counted_apart():
    state = jm.VMeasure(classes=2, clusters=3, ignore_index=-100).update(
        labels=np.int32([0, 1, 2, -1, -100, 1]), preds=np.int32([0, 2, 0, 0, 9, 3])
    )
    assert state.plain()["table/invalid"] == 3
    assert state.table.compute().tolist() == [[1, 0, 0], [0, 0, 1]]


def test_wrong_shapes_and_types_are_refused():
    metric = jm.VMeasure(classes=2)
    with pytest.raises(ValueError, match="the shapes must be equal"):
        metric.update(labels=LABELS, preds=LABELS[:2])
    with pytest.raises(TypeError, match="preds are class numbers"):
        metric.update(labels=LABELS, preds=np.float32([0, 0, 1, 1]))
