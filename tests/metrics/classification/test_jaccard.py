"""Jaccard: pooled over batches, and classes that do not occur."""

import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm


def state(batches, **options):
    metric = jm.Jaccard(scores="preds", **options)
    for preds, labels in batches:
        metric = metric.update(preds=np.int32(preds), labels=np.int32(labels))
    return metric


def test_the_counts_are_pooled_over_batches():
    """A mean over batches, as some libraries take it, depends on the batch size."""
    first, second = ([1, 1, 1, 0], [1, 1, 1, 1]), ([1, 0, 0, 0], [1, 1, 0, 0])
    pooled = state([first, second], task="binary").compute()
    preds, labels = np.concatenate([first, second], axis=1)
    assert pooled == sk.jaccard_score(labels, preds) == 4 / 6
    means = [state([batch], task="binary").compute() for batch in (first, second)]
    assert np.mean(means) == 0.625


def test_an_absent_class_is_dropped_or_zero():
    batch = ([0, 1, 1], [0, 1, 0])
    assert state([batch], classes=4).compute() == 0.5
    zero = state([batch], classes=4, absent="zero").compute()
    assert zero == 0.25
    assert zero == sk.jaccard_score(
        batch[1], batch[0], average="macro", labels=range(4), zero_division=0
    )


def test_an_ignored_class_is_not_in_the_macro_mean():
    value = state([([1, 0, 1, 0], [0, 1, 1, 0])], classes=2, ignore_index=0).compute()
    assert value == 0.5


def test_f1_follows_from_it():
    rng = np.random.default_rng(0)
    preds, labels = rng.integers(0, 3, (2, 50)).astype(np.int32)
    jaccard = state([(preds, labels)], classes=3, average="none").compute()
    f1 = jm.evaluate(
        jm.F1(classes=3, scores="preds", average="none"), preds=preds, labels=labels
    )
    np.testing.assert_allclose(2 * jaccard / (1 + jaccard), f1, rtol=1e-14)


def test_labels_out_of_range_are_counted_and_not_scored():
    metric = state([([0, 1, 1], [0, 1, 7])], classes=2)
    assert metric.compute() == 1 and metric.plain()["counts/invalid"] == 1


def test_a_missing_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="needs the number of classes"):
        jm.Jaccard()
