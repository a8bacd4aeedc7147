"""BitsPerByte, by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

UNIFORM = np.zeros((2, 3, 16), np.float32)  # four bits a token
LABELS = np.int32([[1, 2, 3], [4, 0, 0]])
BYTES = np.int32([[1, 2, 5], [8, 1, 1]])


def updated(metric=None, **changes):
    outputs = dict(logits=UNIFORM, labels=LABELS, bytes=BYTES) | changes
    return (metric or jm.BitsPerByte()).update(**outputs)


def test_bits_of_all_tokens_are_divided_by_bytes_of_all_tokens():
    assert updated().compute() == pytest.approx(24 / 18, rel=1e-7)


def test_batches_are_weighted_by_their_bytes():
    long_tokens = np.full((2, 3), 10, np.int32)
    metric = updated(updated(), bytes=long_tokens)
    assert metric.compute() == pytest.approx(48 / 78, rel=1e-7)


def test_padding_adds_neither_bits_nor_bytes():
    expected = pytest.approx(16 / 16, rel=1e-7)
    assert updated(jm.BitsPerByte(ignore_index=0)).compute() == expected
    assert updated(mask=LABELS != 0).compute() == expected


def test_a_token_without_bytes_adds_its_bits():
    metric = updated(bytes=np.int32([[1, 2, 0], [8, 1, 0]]))
    assert metric.compute() == pytest.approx(24 / 12, rel=1e-7)


def test_invalid_tokens_add_neither_bits_nor_bytes():
    logits, labels, sizes = UNIFORM.copy(), LABELS.copy(), BYTES.copy()
    logits[0, 0, 5] = np.nan
    labels[0, 1] = -100
    sizes[0, 2] = -1
    metric = updated(logits=logits, labels=labels, bytes=sizes)
    assert metric.plain()["invalid"] == 3 and metric.plain()["bytes"] == 10
    assert metric.compute() == pytest.approx(12 / 10, rel=1e-7)


def test_bytes_are_counted_exactly_beyond_float32():
    metric = jm.BitsPerByte().replace(bytes=2**40)
    assert updated(metric).plain()["bytes"] == 2**40 + 18
    one_batch = updated(bytes=np.full((2, 3), 2**31 - 1, np.int32))
    assert one_batch.plain()["bytes"] == 6 * (2**31 - 1)


def test_a_weight_multiplies_bits_and_bytes():
    weights = np.float32([[2, 0, 1], [0, 0, 0.5]])
    metric = updated(jm.BitsPerByte(weighted=True), weights=weights)
    assert metric.compute() == pytest.approx(3.5 * 4 / (2 + 5 + 0.5), rel=1e-6)


def test_probabilities_are_not_normalized_again():
    probs = np.full((2, 3, 16), 1 / 32, np.float32)  # five bits a token
    state = jm.BitsPerByte(scores="probs").update(
        probs=probs, labels=LABELS, bytes=BYTES
    )
    assert state.compute() == pytest.approx(30 / 18, rel=1e-6)


def test_without_bytes_the_value_is_nan():
    assert math.isnan(jm.BitsPerByte().compute())
    assert math.isnan(updated(bytes=np.zeros((2, 3), np.int32)).compute())


@pytest.mark.parametrize("sizes", [np.int32([6, 10]), BYTES.astype(np.float32)])
def test_bytes_that_are_not_integers_of_the_labels_shape_are_refused(sizes):
    with pytest.raises(ValueError, match=r"Look them up: bytes_of_id\[labels\]"):
        updated(bytes=sizes)
