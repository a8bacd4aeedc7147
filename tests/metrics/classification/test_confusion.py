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


@pytest.mark.parametrize("normalize", ["none", "true", "pred", "all"])
def test_counts_are_normalized_after_the_fact(normalize):
    outputs = dict(logits=LOGITS, labels=LABELS)
    state = jm.ConfusionMatrix(classes=3).update(**outputs)
    metric = jm.ConfusionMatrix(classes=3, normalize=normalize)
    right = jm.evaluate(metric, **outputs)
    np.testing.assert_array_equal(state.normalized(normalize).compute(), right)
    with pytest.raises(ValueError, match="normalize is 'rows', but must be one of"):
        state.normalized("rows")


def test_predictions_are_counted_without_logits():
    preds = LOGITS.argmax(-1)
    metric = jm.ConfusionMatrix(classes=3, scores="preds")
    right = jm.evaluate(jm.ConfusionMatrix(classes=3), logits=LOGITS, labels=LABELS)
    assert jm.evaluate(metric, preds=preds, labels=LABELS).tolist() == right.tolist()
    state = metric.update(preds=np.int32([-1, 3, 1, 0]), labels=LABELS)
    assert state.plain()["invalid"] == 2 and state.compute().sum() == 2
    metric = jm.ConfusionMatrix(task="multilabel", classes=2, scores="preds")
    value = jm.evaluate(metric, preds=[[1, 0], [1, 2]], labels=[[1, 0], [0, 0]])
    assert value.tolist() == [[[0, 1], [0, 1]], [[1, 0], [0, 0]]]


def test_multilabel_scores_of_another_number_of_classes_are_refused():
    metric = jm.ConfusionMatrix(task="multilabel", classes=2)
    with pytest.raises(ValueError, match="the 2 classes. Configure classes=3"):
        metric.update(logits=LOGITS, labels=np.zeros((4, 3), np.int32))
