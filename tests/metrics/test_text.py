"""Bits per byte worked out by hand."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

UNIFORM = np.zeros((2, 3, 16), np.float32)  # four bits a token
LABELS = np.int32([[1, 2, 3], [4, 0, 0]])
BYTES = np.int32([[1, 2, 5], [8, 1, 1]])


def bits_per_byte(metric=None, **changed):
    given = dict(logits=UNIFORM, labels=LABELS, bytes=BYTES) | changed
    return (metric or jm.BitsPerByte()).update(**given)


def test_bits_of_all_tokens_over_bytes_of_all_tokens():
    assert bits_per_byte().compute() == pytest.approx(24 / 18, rel=1e-7)


def test_batches_weigh_by_their_bytes():
    long = np.full((2, 3), 10, np.int32)
    metric = bits_per_byte(bits_per_byte(), bytes=long)
    assert metric.compute() == pytest.approx(48 / 78, rel=1e-7)


def test_padding_adds_neither_bits_nor_bytes():
    right = pytest.approx(16 / 16, rel=1e-7)
    assert bits_per_byte(jm.BitsPerByte(ignore_index=0)).compute() == right
    assert bits_per_byte(mask=LABELS != 0).compute() == right


def test_a_token_without_text_adds_its_bits():
    found = bits_per_byte(bytes=np.int32([[1, 2, 0], [8, 1, 0]]))
    assert found.compute() == pytest.approx(24 / 12, rel=1e-7)


def test_invalid_tokens_add_neither_bits_nor_bytes():
    logits, labels, size = UNIFORM.copy(), LABELS.copy(), BYTES.copy()
    logits[0, 0, 5] = np.nan
    labels[0, 1] = -100
    size[0, 2] = -1
    found = bits_per_byte(logits=logits, labels=labels, bytes=size)
    assert found.plain()["invalid"] == 3 and found.plain()["bytes"] == 10
    assert found.compute() == pytest.approx(12 / 10, rel=1e-7)


def test_bytes_go_on_past_float32():
    metric = jm.BitsPerByte().replace(bytes=2**40)
    assert bits_per_byte(metric).plain()["bytes"] == 2**40 + 18


def test_no_bytes_are_nan():
    assert math.isnan(jm.BitsPerByte().compute())
    assert math.isnan(bits_per_byte(bytes=np.zeros((2, 3), np.int32)).compute())


@pytest.mark.parametrize("size", [np.int32([6, 10]), BYTES.astype(np.float32)])
def test_bytes_are_integers_of_the_labels_shape(size):
    with pytest.raises(ValueError, match=r"Look them up: bytes_of_id\[labels\]"):
        bits_per_byte(bytes=size)
