"""Sequences, packed into rows or not, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

LOSS = np.float32([[1, 3, 8, 9], [2, 2, 2, 6]])
IDS = np.int32([[1, 1, 2, 0], [1, 2, 2, 2]])  # means 2, 8 and 2, 10 / 3


def test_each_sequence_counts_the_same():
    value = jm.evaluate(jm.SequenceMean("loss", 2), loss=LOSS, segment_ids=IDS)
    assert value == pytest.approx((2 + 8 + 2 + 10 / 3) / 4, rel=1e-6)


def test_a_number_stands_for_another_sequence_in_each_row():
    state = jm.SequenceMean("loss", 2).update(loss=LOSS, segment_ids=IDS)
    assert state.plain()["count"] == 4


def test_a_row_is_a_sequence_without_segments():
    mask = np.array([[True, True, False, False], [True] * 4])
    value = jm.evaluate(jm.SequenceMean("loss"), loss=LOSS, mask=mask)
    assert value == pytest.approx((2 + 3) / 2, rel=1e-6)


def test_masked_tokens_leave_their_sequence_and_empty_sequences_do_not_count():
    mask = np.array([[True, False, False, True], [False] * 4])
    loss = np.where(mask, LOSS, np.nan)
    state = jm.SequenceMean("loss", 2).update(loss=loss, segment_ids=IDS, mask=mask)
    assert state.plain() == dict(total=1, count=1, invalid=0)


def test_the_tokens_of_a_sequence_need_not_be_neighbours():
    ids = np.int32([[1, 2, 1, 2]])
    value = jm.evaluate(jm.SequenceMean("loss", 2), loss=LOSS[:1], segment_ids=ids)
    assert value == (4.5 + 6) / 2


def test_nan_is_visible_and_numbers_above_segments_are_invalid():
    metric = jm.SequenceMean("loss", 1)
    state = metric.update(loss=LOSS, segment_ids=IDS)
    assert state.plain() == dict(total=4, count=2, invalid=4)
    spoiled = np.where(LOSS == 3, np.nan, LOSS)
    assert math.isnan(metric.update(loss=spoiled, segment_ids=IDS).compute())


LABELS = np.int32([[5, 6, 7, 0], [8, 9, 9, 9]])
PREDS = np.int32([[5, 6, 1, 3], [8, 9, 9, 9]])


def test_every_token_of_a_sequence_must_be_right():
    metric = jm.SequenceExactMatch(2, scores="preds")
    state = metric.update(preds=PREDS, labels=LABELS, segment_ids=IDS)
    assert state.plain() == dict(correct=3, total=4, invalid=0)


def test_without_segments_it_is_the_exact_match_of_rows():
    own = jm.SequenceExactMatch(scores="preds", ignore_index=0)
    rows = jm.ExactMatch("multiclass", scores="preds", ignore_index=0)
    outputs = dict(preds=PREDS, labels=LABELS)
    assert own.update(**outputs).plain() == rows.update(**outputs).plain()


def test_a_sequence_with_an_invalid_token_is_counted_once():
    labels = LABELS.copy()
    labels[1, 1:3] = -100
    metric = jm.SequenceExactMatch(2, scores="preds")
    outputs = dict(preds=PREDS, labels=labels, segment_ids=IDS)
    assert metric.update(**outputs).plain() == dict(correct=2, total=3, invalid=1)
    ignoring = jm.SequenceExactMatch(2, scores="preds", ignore_index=-100)
    assert ignoring.update(**outputs).plain() == dict(correct=3, total=4, invalid=0)


def test_counts_are_exact_beyond_float32():
    metric = jm.SequenceExactMatch(2, scores="preds").replace(total=2**24)
    state = metric.update(preds=PREDS, labels=LABELS, segment_ids=IDS)
    assert state.plain()["total"] == 2**24 + 4


def test_segment_ids_and_segments_go_together():
    with pytest.raises(TypeError, match="segments=2 needs output 'segment_ids'"):
        jm.evaluate(jm.SequenceMean("loss", 2), loss=LOSS)
    with pytest.raises(TypeError, match="rows are taken as one sequence"):
        jm.evaluate(jm.SequenceMean("loss"), loss=LOSS, segment_ids=IDS)
    with pytest.raises(ValueError, match="Pass one number for each token"):
        jm.evaluate(jm.SequenceMean("loss", 2), loss=LOSS, segment_ids=IDS[:, :2])
    with pytest.raises(TypeError, match="segment_ids are float32"):
        jm.evaluate(jm.SequenceMean("loss", 2), loss=LOSS, segment_ids=LOSS)
    with pytest.raises(ValueError, match="segments is 0, but must be at least 1"):
        jm.SequenceMean("loss", 0)
    with pytest.raises(ValueError, match="values are a scalar"):
        jm.evaluate(jm.SequenceMean("loss"), loss=np.float32(1))


def test_a_segment_id_beyond_int32_is_invalid_and_no_padding():
    ids = np.uint32([[1, 2**32 - 1]])
    metric = jm.SequenceMean("loss", 2)
    state = metric.update(loss=np.float32([[1, 5]]), segment_ids=ids)
    assert state.compute() == 1 and state.diagnostics() == {"invalid": 1}
