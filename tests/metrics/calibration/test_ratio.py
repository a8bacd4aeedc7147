"""CalibrationRatio by hand, and where it does not exist."""

import numpy as np
import pytest

import jaxmetrics as jm

NAN = float("nan")


def evaluate(metric, labels, mask=None, **outputs):
    return jm.evaluate(metric, labels=np.int32(labels), mask=mask, **outputs)


def test_predicted_over_observed():
    metric = jm.CalibrationRatio(scores="probs")
    value = evaluate(metric, [1, 0, 1], probs=np.float32([0.5, 0.25, 0.75]))
    assert value == 0.75
    weighted = jm.CalibrationRatio(scores="probs", weighted=True)
    outputs = dict(probs=np.float32([0.5, 0.25]), weights=np.float32([1, 2]))
    assert evaluate(weighted, [1, 0], **outputs) == 1


def test_logits_are_turned_into_probabilities():
    logits = np.float32([0, np.inf, -np.inf])
    assert evaluate(jm.CalibrationRatio(), [1, 0, 0], logits=logits) == 1.5


def test_without_positive_labels_there_is_no_ratio():
    metric = jm.CalibrationRatio()
    assert np.isnan(evaluate(metric, [0, 0], logits=np.float32([1, 2])))
    masked = evaluate(metric, [1], np.bool_([False]), logits=np.float32([NAN]))
    assert np.isnan(masked) and np.isnan(metric.compute())


def test_counts_beyond_float32_are_exact():
    state = jm.CalibrationRatio().replace(predicted=1.0, positives=2**24 + 1)
    assert state.compute() == 1 / (2**24 + 1)


def test_invalid_labels_and_scores_are_counted_and_not_scored():
    state = jm.CalibrationRatio(scores="probs").update(
        probs=np.float32([0.5, 1.5, NAN, 0.5]), labels=np.int32([1, 0, 0, 3])
    )
    assert state.compute() == 0.5 and state.plain()["invalid"] == 3


def test_predicted_classes_are_refused():
    with pytest.raises(ValueError, match="scores is one of"):
        jm.CalibrationRatio(scores="preds")
