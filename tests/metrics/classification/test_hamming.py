"""Hamming beside accuracy and exact match."""

import jax
import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

PREDS, LABELS = [[1, 0, 1], [1, 1, 0]], [[1, 0, 0], [0, 1, 0]]


def evaluate(metric, preds=PREDS, labels=LABELS, **outputs):
    preds, labels = np.int32(preds), np.int32(labels)
    return jm.evaluate(metric, preds=preds, labels=labels, **outputs)


def test_it_is_the_share_of_labels_not_of_rows():
    value = evaluate(jm.Hamming(scores="preds"))
    assert value == pytest.approx(sk.hamming_loss(np.int32(LABELS), np.int32(PREDS)))
    assert value == pytest.approx(2 / 6)
    assert evaluate(jm.ExactMatch(scores="preds")) == 0


def test_values_by_label():
    metric = jm.Hamming(scores="preds", average="none", classes=3)
    assert evaluate(metric).tolist() == [0.5, 0, 0.5]


def test_classes_are_the_zero_one_loss():
    metric = jm.Hamming(task="multiclass", scores="preds")
    value = evaluate(metric, [0, 1, 2, 2], [0, 1, 1, 2])
    assert value == sk.hamming_loss([0, 1, 1, 2], [0, 1, 2, 2]) == 0.25


def test_it_shares_the_state_of_accuracy():
    accuracy = jm.Accuracy(task="multilabel")
    both = jm.Collection(accuracy=accuracy, distance=jm.Hamming())
    assert len(jax.tree.leaves(both)) == len(jax.tree.leaves(accuracy))


def test_without_data_the_value_is_nan():
    metric = jm.Hamming(scores="preds")
    masked = evaluate(metric, mask=np.zeros(2, bool))
    assert np.isnan(masked) and np.isnan(metric.compute())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(average="weighted"), "Hamming: average is 'weighted'"),
        (dict(task="rows"), "Hamming: task is 'rows'"),
        (dict(average="none"), "needs the number of classes"),
    ],
)
def test_an_impossible_configuration_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        jm.Hamming(**options)
