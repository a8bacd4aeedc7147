"""Rand indices and the Fowlkes-Mallows score."""

import itertools
from fractions import Fraction

import jax
import numpy as np
import pytest
from support.tables import with_table

import jaxmetrics as jm

SCORES = (jm.RandIndex, jm.AdjustedRandIndex, jm.FowlkesMallows)
every_score = pytest.mark.parametrize("metric", SCORES)


def test_pairs_are_counted_as_by_hand():
    labels, preds = np.int32([0, 0, 0, 1, 1, 2]), np.int32([0, 0, 1, 1, 1, 1])
    pairs = list(itertools.combinations(range(6), 2))
    in_class = [labels[i] == labels[j] for i, j in pairs]
    in_cluster = [preds[i] == preds[j] for i, j in pairs]
    agree = np.mean(np.array(in_class) == in_cluster)
    metrics = jm.Collection(
        rand=jm.RandIndex(classes=3), fowlkes=jm.FowlkesMallows(classes=3)
    )
    value = metrics.update(labels=labels, preds=preds).compute()
    assert value["rand"] == pytest.approx(agree, abs=1e-15)
    together = np.sum(np.array(in_class) & in_cluster)
    right = together / np.sqrt(np.sum(in_class) * np.sum(in_cluster))
    assert value["fowlkes"] == pytest.approx(right, abs=1e-15)


def test_random_clusters_may_score_below_chance():
    outputs = dict(labels=np.int32([0, 0, 1, 1]), preds=np.int32([0, 1, 0, 1]))
    assert jm.evaluate(jm.AdjustedRandIndex(classes=2), **outputs) == -0.5


@every_score
def test_a_single_sample_has_no_pairs(metric):
    one = np.zeros(1, np.int32)
    value = jm.evaluate(metric(classes=2), labels=one, preds=one)
    assert value == (0 if metric is jm.FowlkesMallows else 1)


@every_score
def test_no_data_is_no_score(metric):
    zeros = np.zeros(3, np.int32)
    state = metric(classes=2).update(labels=zeros, preds=zeros, mask=zeros > 0)
    assert np.isnan(state.compute())


def test_products_of_pairs_are_exact_integers():
    """The products exceed 2^64, and differences of them cancel in floats."""
    n = 2**31
    table = [[n, n], [n, n + 1]]
    state = with_table(jm.AdjustedRandIndex(classes=2), table)
    everything = (4 * n + 1) * (4 * n)
    together = 3 * n * (n - 1) + (n + 1) * n
    sides = 2 * n * (2 * n - 1) + (2 * n + 1) * (2 * n)
    expected = Fraction(sides * sides, everything)
    right = (together - expected) / (sides - expected)
    assert state.compute() == float(right)


@every_score
def test_under_jit_pairs_do_not_overflow(metric):
    table = np.array([[2**40, 2**38], [2**20, 2**39]])
    state = with_table(metric(classes=2), table)
    value = jax.jit(lambda m: m.compute())(state)
    assert value == pytest.approx(state.compute(), abs=2e-6)
