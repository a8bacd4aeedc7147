"""Fairness of groups: groups without data, ratios that do not exist."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm

PREDS = [1, 1, 1, 0, 1, 0, 0, 0]
LABELS = [1, 1, 0, 0, 1, 1, 0, 0]
GROUPS = [0, 0, 0, 0, 1, 1, 1, 1]
METRICS = (jm.GroupStatScores, jm.DemographicParity, jm.EqualOpportunity)


def updated(metric, preds=PREDS, labels=LABELS, groups=GROUPS, **outputs):
    return metric.update(
        preds=np.int32(preds),
        labels=np.int32(labels),
        groups=np.int32(groups),
        **outputs,
    )


def of(metric, **options):
    return metric(scores="preds", **options)


def test_the_values_by_hand():
    scores = updated(of(jm.GroupStatScores)).compute()
    assert scores.tolist() == [[2, 1, 1, 0, 2], [1, 0, 2, 1, 2]]
    parity = updated(of(jm.DemographicParity)).compute()
    assert parity == pytest.approx(1 / 3)
    assert updated(of(jm.EqualOpportunity)).compute() == 0.5


@pytest.mark.parametrize("metric", [jm.DemographicParity, jm.EqualOpportunity])
def test_a_group_without_data_is_left_out(metric):
    """torchmetrics takes its rate as 0, the least fair value, for lack of data."""
    right = updated(of(metric)).compute()
    assert updated(of(metric, groups=5)).compute() == right > 0


def test_a_group_without_positive_labels_has_no_recall():
    metric = of(jm.EqualOpportunity, groups=3)
    state = updated(metric, [1, 0, 1, 1], [1, 1, 1, 0], [0, 0, 1, 2])
    assert state.compute() == 0.5


def test_without_positive_predictions_there_is_no_ratio():
    for metric in (jm.DemographicParity, jm.EqualOpportunity):
        assert np.isnan(updated(of(metric), preds=[0] * 8).compute())


def test_groups_out_of_range_are_counted_and_not_scored():
    state = updated(
        of(jm.GroupStatScores),
        groups=[0, -1, 2, 0, 1, 1, 1, 7],
        mask=np.bool_([True] * 7 + [False]),
    )
    assert state.plain()["counts/invalid"] == 2
    assert state.compute().tolist() == [[1, 0, 1, 0, 1], [1, 0, 1, 1, 2]]


def test_counts_beyond_float32_are_exact():
    metric = of(jm.GroupStatScores)
    counts = metric.counts.replace(
        hits=[2**24 + 1, 0],
        predicted=[2**24 + 2, 0],
        support=[2**24 + 4, 0],
        total=[2**25, 0],
    )
    scores = metric.with_fields(counts=counts).compute()
    assert scores[0].tolist() == [2**24 + 1, 1, 2**24 - 5, 3, 2**24 + 4]


def test_all_three_share_their_counts():
    metrics = jm.Collection({metric.__name__: of(metric) for metric in METRICS})
    assert len(jax.tree.leaves(metrics)) == len(jax.tree.leaves(of(METRICS[0])))


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_is_nan_or_counts_of_zero(metric):
    masked = updated(of(metric), mask=np.zeros(8, bool)).compute()
    expected = 0 if metric is jm.GroupStatScores else np.nan
    np.testing.assert_array_equal(masked, np.full(np.shape(masked), expected))


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_no_group_is_refused(metric):
    with pytest.raises(ValueError, match="groups is 0, but must be at least 1"):
        of(metric, groups=0)
    with pytest.raises(TypeError, match="groups are class numbers, got float32"):
        of(metric).update(preds=[1], labels=[1], groups=np.float32([0]))
    with pytest.raises(ValueError, match="groups have shape"):
        of(metric).update(preds=[1], labels=[1], groups=[0, 1])
