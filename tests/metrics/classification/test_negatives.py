"""Specificity and the rates of errors: true negatives by class, by hand."""

import jax
import numpy as np
import pytest

import jaxmetrics as jm

NAN = float("nan")
PREDS, LABELS = [0, 0, 0, 1, 2], [0, 0, 1, 1, 2]
# By class: tp 2 1 1, fp 1 0 0, tn 2 3 4, fn 0 1 0.
BY_CLASS = {
    jm.Specificity: [2 / 3, 1, 1],
    jm.NegativePredictiveValue: [1, 3 / 4, 1],
    jm.FalsePositiveRate: [1 / 3, 0, 0],
    jm.FalseNegativeRate: [0, 1 / 2, 0],
    jm.FalseDiscoveryRate: [1 / 3, 0, 0],
}
MICRO = {
    jm.Specificity: 9 / 10,
    jm.NegativePredictiveValue: 9 / 10,
    jm.FalsePositiveRate: 1 / 10,
    jm.FalseNegativeRate: 1 / 5,
    jm.FalseDiscoveryRate: 1 / 5,
}

every_rate = pytest.mark.parametrize("rate", BY_CLASS)


def evaluate(metric, preds, labels, **outputs):
    preds, labels = np.int32(preds), np.int32(labels)
    return jm.evaluate(metric, preds=preds, labels=labels, **outputs)


def of(rate, classes=3, **options):
    return rate(classes=classes, scores="preds", **options)


@every_rate
def test_averages_by_hand(rate):
    by_class = evaluate(of(rate, average="none"), PREDS, LABELS)
    np.testing.assert_allclose(by_class, BY_CLASS[rate], rtol=1e-15)
    macro = evaluate(of(rate), PREDS, LABELS)
    assert macro == pytest.approx(np.mean(BY_CLASS[rate]), rel=1e-15)
    micro = evaluate(of(rate, average="micro"), PREDS, LABELS)
    assert micro == pytest.approx(MICRO[rate], rel=1e-15)


@every_rate
def test_a_class_that_never_occurs_is_dropped_from_the_mean(rate):
    """Its specificity would be 1, as imbalanced-learn leaves it out too."""
    right = evaluate(of(rate), PREDS, LABELS)
    assert evaluate(of(rate, classes=5), PREDS, LABELS) == pytest.approx(right)
    by_class = evaluate(of(rate, classes=5, average="none"), PREDS, LABELS)
    np.testing.assert_array_equal(np.isnan(by_class), [False] * 3 + [True] * 2)


@every_rate
def test_an_ignored_class_is_in_no_average(rate):
    kept = np.int32(LABELS) != 0
    by_class = evaluate(of(rate, average="none", ignore_index=0), PREDS, LABELS)
    unmasked = evaluate(
        of(rate, average="none"), np.int32(PREDS)[kept], np.int32(LABELS)[kept]
    )
    np.testing.assert_array_equal(by_class, [NAN, *unmasked[1:]])


@every_rate
def test_without_data_the_value_is_nan(rate):
    metric = of(rate, zero_division=1)
    masked = evaluate(metric, PREDS, LABELS, mask=np.zeros(5, bool))
    assert np.isnan(masked) and np.isnan(metric.compute())


@pytest.mark.parametrize("undefined", [0, 1, NAN])
def test_specificity_is_undefined_if_all_labels_are_positive(undefined):
    metric = jm.Specificity(task="binary", scores="preds", zero_division=undefined)
    np.testing.assert_equal(float(evaluate(metric, [1, 0], [1, 1])), float(undefined))


def test_weights_leave_no_remainder_where_there_are_no_negatives():
    weights = np.float32([0.1, 0.2, 0.3]) * np.float32(1 / 3)
    metric = of(jm.Specificity, average="none", weighted=True, zero_division=NAN)
    value = evaluate(metric, [0, 1, 0], [0, 0, 0], weights=weights)
    assert np.isnan(value[0]) and 0 < value[1] < 1


def test_labels_of_a_multilabel_row_are_counted_apart():
    """With a label ignored, the columns have different numbers of negatives."""
    metric = jm.Specificity(
        task="multilabel", classes=2, scores="preds", average="none", ignore_index=-1
    )
    preds = [[0, 1], [0, 0], [1, 0], [1, 0]]
    labels = [[0, 0], [0, -1], [0, -1], [-1, 1]]
    np.testing.assert_allclose(evaluate(metric, preds, labels), [2 / 3, 0])


def test_a_few_negatives_keep_their_digits_in_float32():
    many = 2**30
    metric = of(jm.Specificity, average="none")
    counts = metric.counts.replace(
        hits=[many, 1, 2], predicted=[many, 1, 3], support=[many, 2, 2], total=many + 4
    )
    value = jax.jit(lambda m: m.compute())(metric.with_fields(counts=counts))
    np.testing.assert_allclose(value, [1, 1, 1], rtol=1e-6)


def test_counts_beyond_float32_are_exact():
    metric = jm.Specificity(task="binary", scores="preds")
    counts = metric.counts.replace(
        hits=1, predicted=2**24 + 3, support=1, total=2**25 + 1
    )
    value = metric.with_fields(counts=counts).compute()
    assert value == (2**25 - (2**24 + 2)) / 2**25


def test_a_collection_counts_once_for_all_rates():
    rates = jm.Collection({rate.__name__: of(rate) for rate in BY_CLASS})
    leaves = jax.tree.leaves(rates)
    assert len(leaves) == len(jax.tree.leaves(of(jm.Precision)))


@every_rate
@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(classes=0), "classes is 0, but must be at least 1"),
        (dict(), "needs the number of classes"),
        (dict(classes=3, average="mean"), "average is 'mean'"),
        (dict(classes=3, zero_division=2), "zero_division is 2"),
    ],
)
def test_an_impossible_configuration_is_refused(rate, options, match):
    with pytest.raises(ValueError, match=match):
        rate(**options)
