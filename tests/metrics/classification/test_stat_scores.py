"""StatScores: counts by class, their sums, and exactness."""

import numpy as np
import pytest

import jaxmetrics as jm

PREDS, LABELS = [0, 0, 0, 1, 2], [0, 0, 1, 1, 2]
BY_CLASS = [[2, 1, 2, 0, 2], [1, 0, 3, 1, 2], [1, 0, 4, 0, 1]]


def evaluate(metric, preds=PREDS, labels=LABELS, **outputs):
    preds, labels = np.int32(preds), np.int32(labels)
    return jm.evaluate(metric, preds=preds, labels=labels, **outputs)


def test_counts_by_hand():
    value = evaluate(jm.StatScores(classes=3, scores="preds"))
    assert value.tolist() == BY_CLASS and value.dtype == np.int64


def test_micro_is_the_sum_over_classes():
    metric = jm.StatScores(classes=3, scores="preds", average="micro")
    assert evaluate(metric).tolist() == np.sum(BY_CLASS, axis=0).tolist()


def test_micro_leaves_out_an_ignored_class():
    metric = jm.StatScores(classes=3, scores="preds", average="micro", ignore_index=2)
    assert evaluate(metric).tolist() == [3, 1, 3, 1, 4]


def test_multilabel_counts_add_up_to_the_labels_of_each_column():
    metric = jm.StatScores(
        task="multilabel", classes=2, scores="preds", ignore_index=-1
    )
    value = evaluate(metric, [[1, 0], [1, 1]], [[1, 0], [0, -1]])
    assert value.tolist() == [[1, 1, 0, 0, 1], [0, 0, 1, 0, 0]]


def test_nothing_counts_zero():
    metric = jm.StatScores(classes=3, scores="preds")
    masked = evaluate(metric, mask=np.zeros(5, bool))
    assert not masked.any() and masked.shape == (3, 5)


def test_counts_beyond_float32_are_exact():
    metric = jm.StatScores(task="binary", scores="preds")
    counts = metric.counts.replace(
        hits=2**40, predicted=2**40 + 1, support=2**40 + 2, total=2**41 + 1
    )
    value = metric.with_fields(counts=counts).compute()
    assert value.tolist() == [2**40, 1, 2**40 - 2, 2, 2**40 + 2]


def test_weights_are_summed():
    metric = jm.StatScores(task="binary", scores="preds", weighted=True)
    value = evaluate(metric, [1, 1, 0], [1, 0, 0], weights=np.float32([0.5, 2, 4]))
    assert value.tolist() == [0.5, 2, 4, 0, 0.5]


def test_an_unknown_average_is_refused():
    with pytest.raises(ValueError, match="average is 'macro', but must be one of"):
        jm.StatScores(classes=3, average="macro")
