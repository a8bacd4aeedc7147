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


def test_k_below_one_is_refused():
    with pytest.raises(ValueError, match="TokenAccuracy: k is 0, but must be at least"):
        jm.TokenAccuracy(k=0)
