"""BrierScore: ranges, certain predictions, probabilities that are none."""

import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

INF, NAN = float("inf"), float("nan")


def test_binary_is_in_zero_to_one_and_multiclass_in_zero_to_two():
    """scikit-learn halves only the binary score; torch libraries have the first."""
    labels = np.int32([0, 1, 1])
    wrong = np.float32(labels == 0)
    binary = jm.BrierScore(task="binary", scores="probs")
    assert jm.evaluate(binary, probs=wrong, labels=labels) == 1
    both = np.stack([1 - wrong, wrong], axis=-1)
    assert jm.evaluate(jm.BrierScore(scores="probs"), probs=both, labels=labels) == 2


def test_it_is_scikit_learns_for_several_classes():
    rng = np.random.default_rng(0)
    probs = (rng.multinomial(16, np.ones(4) / 4, 30) / 16).astype(np.float32)
    labels = rng.integers(0, 4, 30).astype(np.int32)
    right = sk.brier_score_loss(labels, probs, labels=range(4))
    value = jm.evaluate(jm.BrierScore(scores="probs"), probs=probs, labels=labels)
    assert value == pytest.approx(right, rel=1e-6)


def test_logits_of_infinity_are_certain():
    outputs = dict(logits=np.float32([INF, -INF, INF]), labels=np.int32([1, 0, 0]))
    value = jm.evaluate(jm.BrierScore(task="binary"), **outputs)
    assert value == pytest.approx(1 / 3, rel=1e-6)


def test_an_offset_of_logits_changes_nothing():
    logits = np.float32([[1, 0, 2], [0.5, 0, 0]])
    labels = np.int32([2, 1])
    right = jm.evaluate(jm.BrierScore(), logits=logits, labels=labels)
    value = jm.evaluate(jm.BrierScore(), logits=logits + 1e4, labels=labels)
    assert value == pytest.approx(right, rel=1e-6)


def test_probabilities_outside_zero_to_one_are_counted_and_not_scored():
    state = jm.BrierScore(scores="probs").update(
        probs=np.float32([[0.5, 0.5], [1.5, -0.5], [NAN, 1], [0.5, 0.5]]),
        labels=np.int32([0, 0, 0, 2]),
    )
    assert state.compute() == 0.5 and state.plain()["invalid"] == 3


def test_without_data_the_value_is_nan():
    metric = jm.BrierScore()
    outputs = dict(logits=np.float32([[NAN, 0]]), labels=np.int32([0]))
    masked = jm.evaluate(metric, **outputs, mask=np.bool_([False]))
    assert np.isnan(masked) and np.isnan(metric.compute())


def test_predicted_classes_and_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="scores is one of"):
        jm.BrierScore(scores="preds")
    with pytest.raises(ValueError, match="task is 'multilabel', but must be one of"):
        jm.BrierScore(task="multilabel")
