"""Labels out of range and scores that are NaN or inf: counted, never scored."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(3)

LOGITS = np.float32([[3, 1, 0], [0, 2, 1], [1, 0, 2], [2, 1, 0]])
LABELS = np.int32([0, 1, 2, 1])
ONE_VALID_LABEL = np.int32([-1, -100, 3, 2**31 - 1, 0])


def metrics_of(classes):
    return [
        jm.Accuracy(),
        jm.Accuracy(average="none", classes=classes),
        jm.TopKAccuracy(k=2),
        jm.TokenAccuracy(),
        jm.ConfusionMatrix(classes=classes),
        jm.CrossEntropy(),
        jm.CrossEntropy(label_smoothing=0.1),
    ]


METRICS = metrics_of(3)


def scored_and_invalid(metric, **outputs):
    """Return how many labels were scored, and how many were invalid."""
    plain = metric.update(**outputs).plain()
    names = ("count",) if isinstance(metric, jm.CrossEntropy) else ("total", "counts")
    scored = sum(int(np.sum(plain[name])) for name in names if name in plain)
    return scored, plain["invalid"]


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_labels_out_of_range_are_counted_as_invalid_and_never_scored(metric):
    logits = np.tile(LOGITS[:1], (5, 1))
    outputs = dict(logits=logits, labels=ONE_VALID_LABEL)
    assert scored_and_invalid(metric, **outputs) == (1, 4)
    valid = dict(logits=LOGITS[:1], labels=np.int32([0]))
    value = jm.evaluate(metric, **outputs)
    np.testing.assert_array_equal(value, jm.evaluate(metric, **valid))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_rows_with_nan_or_infinity_are_invalid(metric, bad):
    logits = LOGITS.copy()
    logits[1, 2] = bad
    assert scored_and_invalid(metric, logits=logits, labels=LABELS) == (3, 1)


@pytest.mark.parametrize(("metric", "wider"), [*zip(METRICS, metrics_of(5))], ids=repr)
def test_a_class_masked_out_by_minus_infinity_changes_no_value(metric, wider):
    masked = np.pad(LOGITS, ((0, 0), (0, 2)), constant_values=-math.inf)
    assert scored_and_invalid(wider, logits=masked, labels=LABELS) == (4, 0)
    value = np.asarray(jm.evaluate(wider, logits=masked, labels=LABELS))
    expected = np.asarray(jm.evaluate(metric, logits=LOGITS, labels=LABELS))
    shared = value[tuple(slice(n) for n in expected.shape)]
    np.testing.assert_allclose(shared, expected, rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_a_label_whose_class_is_masked_out_is_a_miss_with_infinite_loss(metric):
    logits = LOGITS[:1].copy()
    logits[0, 1] = -math.inf
    outputs = dict(logits=logits, labels=np.int32([1]))
    assert scored_and_invalid(metric, **outputs) == (1, 0)
    if isinstance(metric, jm.CrossEntropy):
        assert jm.evaluate(metric, **outputs) == math.inf
    elif not isinstance(metric, jm.ConfusionMatrix):
        assert np.nansum(jm.evaluate(metric, **outputs)) == 0


@pytest.mark.parametrize("k", [3, 10])
def test_a_masked_class_is_not_among_the_k_largest_for_any_k(k):
    outputs = dict(logits=np.float32([[1, -math.inf, 0]]), labels=np.int32([1]))
    assert jm.evaluate(jm.TopKAccuracy(k=k), **outputs) == 0
    assert jm.evaluate(jm.TokenAccuracy(k=k), **outputs) == 0


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_rows_of_minus_infinity_only_are_invalid(metric):
    logits = LOGITS.copy()
    logits[1] = -math.inf
    assert scored_and_invalid(metric, logits=logits, labels=LABELS) == (3, 1)


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_masked_rows_are_neither_scored_nor_invalid(metric):
    mask = np.array([True, False, False, False, True])
    logits = np.tile(LOGITS[:1], (5, 1))
    outputs = dict(logits=logits, labels=ONE_VALID_LABEL, mask=mask)
    assert scored_and_invalid(metric, **outputs) == (1, 1)


@pytest.mark.parametrize("task", ["binary", "multilabel"])
@pytest.mark.parametrize("average", ["micro", "none"])
def test_binary_and_multilabel_entries_are_invalid_one_by_one(task, average):
    logits = np.float32([[1, math.nan], [1, 1], [math.inf, -math.inf]])
    labels = np.int32([[1, 1], [2, -1], [1, 0]])
    if task == "binary":
        logits, labels = logits.ravel(), labels.ravel()
    outputs = dict(logits=logits, labels=labels)
    accuracy = jm.Accuracy(task=task, average=average, classes=2)
    assert scored_and_invalid(accuracy, **outputs) == (3, 3)
    matrix = jm.ConfusionMatrix(task=task, classes=2)
    assert scored_and_invalid(matrix, **outputs) == (3, 3)


def test_the_shared_counts_of_precision_and_auroc_have_invalid_labels_too():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 1, 2]]
    logits[3, 0] = math.nan
    outputs = dict(logits=logits, labels=np.int32([0, -1, 3, 2]))
    precision = jm.Precision(classes=3).update(**outputs).plain()
    assert precision["counts/invalid"] == 3 and precision["counts/total"] == 1
    assert precision["counts/hits"].tolist() == [1, 0, 0]
    auroc = jm.AUROC(classes=3).update(**outputs).plain()
    assert auroc["histogram/invalid"] == 3
