"""HingeLoss by hand: margins, masked classes, decision values that are not squashed."""

import numpy as np
import pytest

import jaxmetrics as jm

INF, NAN = float("inf"), float("nan")


def evaluate(metric, logits, labels, **outputs):
    logits, labels = np.float32(logits), np.int32(labels)
    return jm.evaluate(metric, logits=logits, labels=labels, **outputs)


def test_binary_margins_by_hand():
    logits, labels = [2.0, 0.5, -0.5, 0.0], [1, 1, 0, 0]  # losses 0, 0.5, 0.5, 1
    assert evaluate(jm.HingeLoss(task="binary"), logits, labels) == 0.5
    squared = jm.HingeLoss(task="binary", squared=True)
    assert evaluate(squared, logits, labels) == 0.375


def test_the_margin_of_several_classes_is_to_the_best_other_one():
    logits = [[3.0, 1.0, 0.0], [0.0, 0.5, 1.0]]  # margins 2 and -0.5
    assert evaluate(jm.HingeLoss(), logits, [0, 1]) == 0.75


def test_one_against_the_rest_gives_a_loss_for_each_class():
    metric = jm.HingeLoss(mode="one_vs_rest", classes=2)
    value = evaluate(metric, [[2.0, -0.5], [0.5, 0.5]], [0, 1])
    assert value.tolist() == [0.75, 0.5]


def test_decision_values_are_taken_as_they_are():
    """torchmetrics squashes a batch if one of its values is outside [0, 1]."""
    metric = jm.HingeLoss(task="binary")
    one_by_one = metric
    for logit in (0.5, 3.0):
        one_by_one = one_by_one.update(logits=np.float32([logit]), labels=np.int32([1]))
    assert evaluate(metric, [0.5, 3.0], [1, 1]) == one_by_one.compute() == 0.25


def test_a_masked_class_is_no_rival_and_a_masked_label_loses_everything():
    assert evaluate(jm.HingeLoss(), [[0.0, -INF]], [0]) == 0
    assert evaluate(jm.HingeLoss(), [[0.0, -INF]], [1]) == INF


def test_invalid_rows_are_counted_and_not_scored():
    logits = np.float32([[1, 0], [NAN, 0], [INF, 0], [1, 0], [1, 0]])
    state = jm.HingeLoss().update(
        logits=logits,
        labels=np.int32([0, 0, 0, 2, -1]),
        mask=np.bool_([True, True, True, True, False]),
    )
    assert state.compute() == 0 and state.plain()["invalid"] == 3


@pytest.mark.parametrize(
    "metric", [jm.HingeLoss(), jm.HingeLoss(mode="one_vs_rest", classes=2)]
)
def test_without_data_the_value_is_nan(metric):
    masked = evaluate(metric, [[NAN, 0.0]], [0], mask=np.bool_([False]))
    assert np.isnan(masked).all() and np.shape(masked) == np.shape(metric.compute())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(mode="crammer"), "mode is 'crammer', but must be one of"),
        (dict(mode="one_vs_rest"), "needs the number of classes"),
        (dict(mode="one_vs_rest", classes=0), "classes is 0, but must be at least 1"),
        (dict(mode="one_vs_rest", task="binary"), "is for several classes"),
        (dict(task="multilabel"), "task is 'multilabel', but must be one of"),
    ],
)
def test_an_impossible_configuration_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        jm.HingeLoss(**options)


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="labels have shape"):
        jm.HingeLoss().update(logits=np.ones((2, 3)), labels=np.int32([0]))
