"""Tests of the discounted cumulative gain."""

import numpy as np
import pytest
import sklearn.metrics as sk

import jaxmetrics as jm

SCORES, RELEVANCE = [[3.0, 2.0, 1.0, 0.0]], [[1, 3, 0, 2]]


def test_by_hand():
    value = jm.evaluate(jm.DCG(k=2), scores=SCORES, relevance=RELEVANCE)
    assert np.isclose(value, 1 + 3 / np.log2(3))


def test_all_tied_is_the_mean_over_all_orders():
    tied = [[1.0, 1.0, 1.0, 1.0]]
    value = jm.evaluate(jm.NDCG(), scores=tied, relevance=RELEVANCE)
    assert np.isclose(value, sk.ndcg_score(RELEVANCE, tied), atol=1e-6)
    first = jm.evaluate(jm.NDCG(ignore_ties=True), scores=tied, relevance=RELEVANCE)
    assert np.isclose(first, sk.ndcg_score(RELEVANCE, [[4, 3, 2, 1]]), atol=1e-6)


def test_ties_among_many_items_and_large_gains():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 20, (8, 2000)).astype(np.float32)
    relevance = rng.integers(0, 5, (8, 2000))
    for k in (None, 10, 500):
        value = jm.evaluate(jm.NDCG(k=k), scores=scores, relevance=relevance)
        expected = sk.ndcg_score(relevance, scores, k=k)
        np.testing.assert_allclose(value, expected, rtol=2e-6)


def test_a_masked_item_is_as_if_it_were_not_there():
    padded = dict(scores=[[3.0, np.nan, 1.0, -np.inf]], relevance=[[1, np.nan, 2, 1]])
    mask = np.array([[True, False, True, True]])
    value = jm.evaluate(jm.NDCG(), mask=mask, **padded)
    expected = sk.ndcg_score([[1, 2, 1]], [[3.0, 1.0, -1e30]])
    assert np.isclose(value, expected)


def test_masked_items_do_not_tie_with_the_lowest_score():
    batch = dict(scores=[[-np.inf, 0.0, 0.0]], relevance=[[2.0, 0.0, 0.0]])
    mask = np.array([[True, False, False]])
    assert jm.evaluate(jm.DCG(), mask=mask, **batch) == 2


def test_rank_one_is_one_query():
    value = jm.evaluate(jm.DCG(), scores=SCORES[0], relevance=RELEVANCE[0])
    assert value == jm.evaluate(jm.DCG(), scores=SCORES, relevance=RELEVANCE)


@pytest.mark.parametrize("empty, expected", [("zero", 0.5), ("one", 1), ("drop", 1)])
def test_queries_without_relevant_items(empty, expected):
    batch = dict(scores=[[2.0, 1.0], [2.0, 1.0]], relevance=[[1, 0], [0, 0]])
    assert jm.evaluate(jm.NDCG(empty_queries=empty), **batch) == expected


@pytest.mark.parametrize("wrong", [np.nan, -1.0, np.inf])
def test_invalid_queries_are_counted_and_not_scored(wrong):
    metric = jm.NDCG().update(
        scores=[[1.0, 2.0], [1.0, 2.0]], relevance=[[0.0, 1.0], [wrong, 1.0]]
    )
    assert metric.compute() == 1 and metric.plain()["invalid"] == 1


@pytest.mark.parametrize(
    "options, match",
    [
        (dict(k=0), "k is 0"),
        (dict(gain="log"), "gain"),
        (dict(empty_queries="skip"), "empty"),
    ],
)
def test_refuses(options, match):
    with pytest.raises(ValueError, match=match):
        jm.NDCG(**options)


def test_refuses_other_shapes():
    with pytest.raises(ValueError, match="items of a query on the last axis"):
        jm.evaluate(jm.NDCG(), scores=[[1.0, 2.0]], relevance=[1.0, 2.0])
