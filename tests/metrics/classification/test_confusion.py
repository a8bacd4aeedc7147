"""ConfusionMatrix, by hand."""

import numpy as np
import pytest

import jaxmetrics as jm

LOGITS = np.float32([[3, 1, 0], [0, 2, 1], [1, 0, 2], [2, 1, 0]])
LABELS = np.int32([0, 1, 2, 1])


def test_rows_are_labels_and_columns_predictions():
    outputs = dict(logits=LOGITS, labels=LABELS)
    matrix = jm.evaluate(jm.ConfusionMatrix(classes=3), **outputs)
    assert matrix.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert matrix.dtype == np.int64
    by_row = jm.evaluate(jm.ConfusionMatrix(classes=3, normalize="true"), **outputs)
    assert by_row.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]]


def test_ties_go_to_the_lower_class():
    outputs = dict(logits=np.ones((3, 3), np.float32), labels=np.int32([0, 1, 2]))
    matrix = jm.evaluate(jm.ConfusionMatrix(classes=3), **outputs)
    assert matrix[:, 0].tolist() == [1, 1, 1]


def test_a_score_at_the_threshold_is_positive():
    outputs = dict(logits=np.float32([0, 0]), labels=np.int32([1, 0]))
    matrix = jm.evaluate(jm.ConfusionMatrix(task="binary"), **outputs)
    assert matrix.tolist() == [[0, 1], [0, 1]]


def test_another_number_of_classes_is_refused():
    metric = jm.ConfusionMatrix(classes=4)
    with pytest.raises(ValueError, match=r"the 4 classes. Configure classes=3"):
        metric.update(logits=LOGITS, labels=LABELS)


def test_an_unknown_normalization_is_refused():
    with pytest.raises(ValueError, match="normalize is 'rows', but must be one of"):
        jm.ConfusionMatrix(classes=3, normalize="rows")
