"""Tests of the metrics of the relevant items among the first."""

import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

ONE_QUERY = dict(scores=[[4.0, 3.0, 2.0, 1.0]], relevance=[[0, 1, 0, 1]])


@pytest.mark.parametrize(
    "metric, expected",
    [
        (jm.MeanAveragePrecision(), (1 / 2 + 2 / 4) / 2),
        (jm.MeanAveragePrecision(k=2), (1 / 2) / 2),
        (jm.MeanAveragePrecision(k=1, normalize="possible"), 0),
        (jm.MeanAveragePrecision(k=2, normalize="retrieved"), 1 / 2),
        (jm.ReciprocalRank(), 1 / 2),
        (jm.ReciprocalRank(k=1), 0),
        (jm.HitRate(k=2), 1),
        (jm.RetrievalPrecision(k=3), 1 / 3),
        (jm.RetrievalPrecision(k=8), 2 / 8),
        (jm.RetrievalPrecision(k=8, adaptive_k=True), 2 / 4),
        (jm.RetrievalRecall(k=3), 1 / 2),
        (jm.FallOut(k=1), 1 / 2),
        (jm.RPrecision(), 1 / 2),
        (jm.MeanRank(), 2),
    ],
)
def test_by_hand(metric, expected):
    assert np.isclose(jm.evaluate(metric, **ONE_QUERY), expected)


def test_ties_go_to_the_lower_index():
    batch = dict(scores=[[1.0, 1.0]], relevance=[[0, 1]])
    assert jm.evaluate(jm.ReciprocalRank(), **batch) == 0.5
    batch = dict(scores=[[0.0, -0.0]], relevance=[[0, 1]])
    assert jm.evaluate(jm.ReciprocalRank(), **batch) == 0.5


def test_masked_items_come_last_and_are_no_items():
    mask = np.array([[False, True, True, True]])
    values = {
        jm.ReciprocalRank(): 1,
        jm.FallOut(k=2): 1,
        jm.RetrievalPrecision(adaptive_k=True): 2 / 3,
    }
    for metric, expected in values.items():
        assert np.isclose(jm.evaluate(metric, mask=mask, **ONE_QUERY), expected)


def test_a_mask_of_queries_removes_them():
    batch = dict(scores=[[2.0, 1.0], [2.0, 1.0]], relevance=[[1, 0], [0, 1]])
    assert jm.evaluate(jm.ReciprocalRank(), mask=[True, False], **batch) == 1
    assert np.isnan(jm.evaluate(jm.HitRate(), mask=[False, False], **batch))


def test_all_items_irrelevant_or_all_relevant():
    batch = dict(scores=[[2.0, 1.0]], relevance=[[1, 1]])
    assert jm.evaluate(jm.FallOut(empty_queries="one"), **batch) == 1
    assert np.isnan(jm.evaluate(jm.FallOut(empty_queries="drop"), **batch))
    batch["relevance"] = [[0, 0]]
    assert jm.evaluate(jm.RetrievalRecall(), **batch) == 0
    assert np.isnan(jm.evaluate(jm.MeanRank(), **batch))


def test_recall_of_pairs_within_a_batch():
    similarity = np.array([[0.9, 0.1, 0.0], [0.8, 0.7, 0.0], [0.5, 0.4, 0.3]])
    recall = jm.RetrievalRecall(k=1)
    value = jm.evaluate(recall, scores=similarity, relevance=np.eye(3))
    assert np.isclose(value, 1 / 3)


def test_counts_beyond_24_bits():
    metric = jm.HitRate().replace(total=2.0**24, count=2**24)
    assert metric.update(**ONE_QUERY).plain()["count"] == 2**24 + 1


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: jm.MeanAveragePrecision(normalize="all"), "normalize"),
        (lambda: jm.RPrecision(k=3), "its own number"),
        (lambda: jm.MeanRank(k=3), "Leave both out"),
        (lambda: jm.MeanRank(empty_queries="zero"), "Leave both out"),
    ],
)
def test_refuses(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("k", [None, 1, 4, 20])
def test_the_area_of_each_query_agrees_with_scikit_learn(k):
    """Scores of few values; of equal ones at position k the lower index is in."""
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 4, (40, 9)).astype(np.float32)
    relevance = rng.integers(0, 2, (40, 9)).astype(np.float32)
    mask = rng.random((40, 9)) < 0.8
    areas = []
    for row, labels, kept in zip(scores, relevance, mask):
        row, labels = row[kept], labels[kept]
        first = np.argsort(-row, kind="stable")[:k]
        row, labels = row[first], labels[first]
        areas.append(sk.roc_auc_score(labels, row) if 0 < labels.mean() < 1 else np.nan)
    metric, outputs = jm.RetrievalAUROC(k=k), dict(scores=scores, relevance=relevance)
    value = jm.evaluate(metric, **outputs, mask=mask)
    assert value == pytest.approx(np.mean(np.nan_to_num(areas)), rel=1e-6)
    dropped = jm.RetrievalAUROC(k=k, empty_queries="drop")
    value = jm.evaluate(dropped, **outputs, mask=mask)
    expected = np.nan if np.isnan(areas).all() else np.nanmean(areas)
    assert value == pytest.approx(expected, rel=1e-6, nan_ok=True)
