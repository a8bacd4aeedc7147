"""LossByPosition, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

LOGITS = np.zeros((2, 3, 4), np.float32)  # log(4) nats a token
LABELS = np.int32([[1, 2, 3], [3, 0, 0]])


def test_each_position_has_its_own_mean():
    logits = LOGITS.copy()
    logits[1, 0] = -np.inf, -np.inf, 0, 0  # log(2) nats
    values = jm.evaluate(jm.LossByPosition(3), logits=logits, labels=LABELS)
    expected = [1.5 * math.log(2), math.log(4), math.log(4)]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_padding_leaves_its_position_alone_and_a_position_without_data_is_nan():
    metric = jm.LossByPosition(3, ignore_index=(0, 3))
    state = metric.update(logits=LOGITS, labels=LABELS)
    assert state.plain()["count"].tolist() == [1, 1, 0]
    assert np.isnan(state.compute()).tolist() == [False, False, True]


def test_masks_of_rows_and_of_tokens_and_nan_beneath():
    logits = LOGITS.copy()
    logits[1] = np.nan
    metric = jm.LossByPosition(3)
    by_row = metric.update(logits=logits, labels=LABELS, mask=np.array([True, False]))
    assert by_row.plain()["count"].tolist() == [1, 1, 1]
    assert by_row.plain()["invalid"] == 0
    by_token = metric.update(
        logits=LOGITS, labels=LABELS, mask=np.array([[True, False, False]] * 2)
    )
    assert by_token.plain()["count"].tolist() == [2, 0, 0]


def test_invalid_tokens_are_counted_and_not_scored():
    labels = np.int32([[1, 4, -1], [1, 1, 1]])
    state = jm.LossByPosition(3).update(logits=LOGITS, labels=labels)
    assert state.plain()["invalid"] == 2
    assert state.plain()["count"].tolist() == [2, 1, 1]


def test_counts_are_exact_beyond_float32():
    state = jm.LossByPosition(3).replace(count=np.array([2**24 + 1, 2**30 + 1, 1]))
    state = state.update(logits=LOGITS, labels=LABELS)
    assert state.plain()["count"].tolist() == [2**24 + 3, 2**30 + 3, 3]


def test_other_lengths_are_refused():
    with pytest.raises(ValueError, match="Configure positions=3"):
        jm.evaluate(jm.LossByPosition(4), logits=LOGITS, labels=LABELS)
    with pytest.raises(ValueError, match="positions is 0, but must be at least 1"):
        jm.LossByPosition(0)
