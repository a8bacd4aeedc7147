"""TokenAccuracy, by hand."""

import numpy as np
import pytest

import jaxmetrics as jm

LOGITS = np.float32([[3, 1, 0], [0, 2, 1], [1, 0, 2], [2, 1, 0]])
LABELS = np.int32([0, 1, 2, 1])  # the last one is wrong, and second best


def test_tokens_are_masked_one_by_one_or_by_sequence():
    outputs = dict(logits=np.stack([LOGITS] * 2), labels=np.stack([LABELS] * 2))
    by_token = np.array([[True] * 4, [False, False, False, True]])
    assert jm.evaluate(jm.TokenAccuracy(), **outputs, mask=by_token) == 3 / 5
    by_sequence = np.array([True, False])
    assert jm.evaluate(jm.TokenAccuracy(), **outputs, mask=by_sequence) == 3 / 4


def test_a_weight_counts_as_that_many_tokens():
    metric = jm.TokenAccuracy(weighted=True)
    outputs = dict(logits=LOGITS[None], labels=LABELS[None])
    weights = np.float32([[1, 0, 2, 3]])
    assert jm.evaluate(metric, **outputs, weights=weights) == 3 / 6
    state = metric.update(**outputs, weights=np.float32([2]))  # of the sequence
    assert state.plain() == dict(correct=6, total=8, invalid=0)


def test_predicted_ids_are_compared_with_the_labels():
    metric = jm.TokenAccuracy(scores="preds", ignore_index=0)
    state = metric.update(preds=np.int32([[0, 1, 2, -1]]), labels=LABELS[None])
    assert state.plain() == dict(correct=2, total=2, invalid=1)
    with pytest.raises(ValueError, match="k=2 needs scores, but scores='preds'"):
        jm.TokenAccuracy(k=2, scores="preds")


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="TokenAccuracy: k is 0, but must be at least"):
        jm.TokenAccuracy(k=0)
