"""Ranks of labels, validity of rows, and padding by any integer type."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics.core import (
    label_rank,
    not_ignored,
    require_labels,
    top_and_valid,
    top_class,
)

INF = math.inf
LOGITS = np.float32([[1, 3, 2], [2, 2, 2], [-INF, 0, -INF], [-INF] * 3, [0, INF, 1]])


def test_ranks_count_the_classes_that_score_higher():
    rank, valid = label_rank(LOGITS[:2], np.int32([2, 1]))
    assert rank.tolist() == [1, 1] and valid.all()


def test_rows_without_a_largest_logit_are_invalid():
    logits = np.concatenate([LOGITS, np.float32([[0, math.nan, 1]])])
    _, valid = label_rank(logits, np.ones(6, np.int32))
    assert valid.tolist() == [True, True, True, False, False, False]
    top, same = top_and_valid(logits)
    assert same.tolist() == valid.tolist() and top[:3].tolist() == [1, 0, 1]
    assert top_class(logits).tolist() == top.tolist()


def test_a_label_that_is_masked_out_ranks_behind_all_classes():
    rank, valid = label_rank(LOGITS[[2, 2, 2]], np.int32([0, 1, 2]))
    assert rank.tolist() == [3, 0, 3] and valid.all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint32])
def test_a_label_of_any_integer_type_is_compared_by_value(dtype):
    logits = np.zeros((3, 300), np.float32)
    logits[:, 100] = 1
    labels = np.array([100, 5, np.iinfo(dtype).max], dtype)
    rank, valid = label_rank(logits, labels)
    assert rank[:2].tolist() == [0, 6]
    assert valid.tolist() == [True, True, labels[2] < 300]


def test_labels_of_64_bits_are_not_cut():
    labels = np.array([0, 2**32, -(2**32), 2**63 - 1])
    _, valid = label_rank(np.zeros((4, 3), np.float32), labels)
    assert valid.tolist() == [True, False, False, False]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.uint32])
@pytest.mark.parametrize("ignored", [-100, -1, 3, 255, 2**32 - 1, (3, -1, 255)])
def test_padding_is_compared_by_value(dtype, ignored):
    limits = np.iinfo(dtype)
    labels = np.array([0, 3, limits.max, limits.min], dtype)
    kept = not_ignored(labels, ignored)
    as_tuple = ignored if isinstance(ignored, tuple) else (ignored,)
    assert kept.tolist() == [int(label) not in as_tuple for label in labels]
    assert not_ignored(labels, None) is None


@pytest.mark.parametrize("classes", [1009, 4096])
@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float32], ids=str)
def test_nothing_of_the_logits_size_is_stored(dtype, classes):
    logits = jax.ShapeDtypeStruct((256, classes), dtype)
    size = 256 * classes * np.dtype(dtype).itemsize
    labels = jax.ShapeDtypeStruct((256,), jnp.int32)
    for function in (
        label_rank,
        lambda logits, labels: top_and_valid(logits),
        lambda logits, labels: top_class(logits),
    ):
        compiled = jax.jit(function).lower(logits, labels).compile()
        assert compiled.memory_analysis().temp_size_in_bytes < size / 8


@pytest.mark.parametrize(
    ("logits", "labels", "match"),
    [
        ((4,), (4,), "configure scores='preds'"),
        ((4, 3), (4, 3), r"labels.argmax\(-1\) if they are one-hot"),
        ((4, 3), (4, 1), r"Pass labels.reshape\(\(4,\)\)"),
        ((4, 3), (5,), "one label for each row"),
    ],
)
def test_labels_of_another_shape_are_refused_with_the_remedy(logits, labels, match):
    with pytest.raises(ValueError, match=match):
        require_labels(np.zeros(logits), np.zeros(labels, int))


def test_labels_that_are_no_integers_are_refused():
    with pytest.raises(TypeError, match="labels are integer class numbers, got float"):
        label_rank(LOGITS[:1], np.float32([1]))
    for metric in (jm.Accuracy(scores="preds"), jm.CramersV(classes=2)):
        with pytest.raises(TypeError, match=r"got bool\[2\]\. Convert with"):
            jm.evaluate(metric, preds=[1, 0], labels=np.bool_([True, False]))
        with pytest.raises(TypeError, match="where the metric has the option scores"):
            jm.evaluate(metric, preds=[0.5, 0.2], labels=[1, 0])


def test_one_hot_labels_of_floats_lead_to_argmax():
    logits, labels = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    with pytest.raises(TypeError, match=r"float32\[3, 3\].*labels.argmax\(-1\)") as one:
        jm.evaluate(jm.Accuracy(), logits=logits, labels=labels)
    assert "astype" not in str(one.value)
    with pytest.raises(TypeError, match=r"float32\[3\].*\.astype\(int32\)"):
        jm.evaluate(jm.Accuracy(), logits=logits, labels=labels[0])


def test_scores_of_classes_in_a_binary_task_lead_to_classes():
    labels = np.zeros(8, np.int32)
    for classes, remedy in ((10, "classes=10"), (1, r"scores\[\.\.\., 0\]")):
        with pytest.raises(ValueError, match=remedy):
            jm.evaluate(jm.AUROC(), logits=np.zeros((8, classes)), labels=labels)
    scores = dict(logits=np.zeros((8, 2)), labels=np.zeros(4, np.int32))
    with pytest.raises(ValueError, match="Reshape one of them"):
        jm.evaluate(jm.AUROC(), **scores)
