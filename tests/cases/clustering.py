"""Rows of the clustering family."""

from __future__ import annotations

import numpy as np
import sklearn.metrics as sk
from scipy.optimize import linear_sum_assignment
from scipy.stats import entropy
from support.case import Case, weighted

import jaxmetrics as jm

CLASSES, CLUSTERS, SIZE = 4, 5, 3
TABLE = dict(classes=CLASSES, clusters=CLUSTERS)
HOST = {"jit": "computes on the host only"}


def clustered(rng, rows):
    """Return classes, and clusters that agree with most of them."""
    labels = rng.integers(0, CLASSES, rows)
    random = rng.integers(0, CLUSTERS, rows)
    preds = np.where(rng.random(rows) < 0.6, (labels + 1) % CLUSTERS, random)
    return dict(preds=preds.astype(np.int32), labels=labels.astype(np.int32))


def points(rng, rows):
    """Return values at an offset of 1e4, and their clusters."""
    preds = rng.integers(0, CLUSTERS - 1, rows).astype(np.int32)
    values = 1e4 + preds[:, None] + rng.normal(0, 1, (rows, SIZE)).round(1)
    return dict(values=values.astype(np.float32), preds=preds)


def small_points(rng, rows):
    """Return values near 0, which bfloat16 keeps apart, and their clusters."""
    drawn = points(rng, rows)
    return dict(drawn, values=(drawn["values"] - np.float32(1e4)).round(1))


def _score(function, **kwargs):
    def reference(preds, labels):
        return function(labels, preds, **kwargs)

    return reference


def _matched(preds, labels):
    table = sk.cluster.contingency_matrix(labels, preds)
    return table[linear_sum_assignment(table, maximize=True)].sum() / labels.size


def _purity(preds, labels):
    return sk.cluster.contingency_matrix(labels, preds).max(0).sum() / labels.size


def _table(preds, labels, weights):
    table = np.zeros((CLASSES, CLUSTERS))
    np.add.at(table, (labels, preds), weights)
    return table


def _information(table):
    """Return the information and the entropies of labels and preds.

    scikit-learn's `mutual_info_score` rounds the sums of a table down to integers.
    """
    of_labels, of_preds = entropy(table.sum(1)), entropy(table.sum(0))
    return of_labels + of_preds - entropy(table.ravel()), of_labels, of_preds


def _weighted_information(preds, labels, weights):
    return _information(_table(preds, labels, weights))[0]


def _weighted_v_measure(preds, labels, weights):
    information, *entropies = _information(_table(preds, labels, weights))
    return 2 * information / sum(entropies)


def _weighted_match(preds, labels, weights):
    table = _table(preds, labels, weights)
    return table[linear_sum_assignment(table, maximize=True)].sum() / table.sum()


def _weighted_purity(preds, labels, weights):
    table = _table(preds, labels, weights)
    return table.max(0).sum() / table.sum()


def _weighted_case(name, metric, reference, **kwargs):
    metric = metric(weighted=True, **TABLE)
    return Case(name, metric, weighted(clustered), reference, **kwargs)


def _case(name, metric, reference, **kwargs):
    kwargs = dict(exact=True) | kwargs
    return Case(name, metric(**TABLE), clustered, reference, **kwargs)


CASES = (
    _case("mutual information", jm.MutualInformation, _score(sk.mutual_info_score)),
    _case(
        "normalized mutual information",
        jm.NormalizedMutualInformation,
        _score(sk.normalized_mutual_info_score),
    ),
    _case(
        "adjusted mutual information",
        jm.AdjustedMutualInformation,
        _score(sk.adjusted_mutual_info_score),
        without=HOST,
    ),
    _case("homogeneity", jm.Homogeneity, _score(sk.homogeneity_score)),
    _case("completeness", jm.Completeness, _score(sk.completeness_score)),
    Case(
        "v-measure, beta 2",
        jm.VMeasure(beta=2.0, **TABLE),
        clustered,
        _score(sk.v_measure_score, beta=2.0),
        exact=True,
    ),
    _case("rand index", jm.RandIndex, _score(sk.rand_score)),
    _case("adjusted rand index", jm.AdjustedRandIndex, _score(sk.adjusted_rand_score)),
    _case("fowlkes-mallows", jm.FowlkesMallows, _score(sk.fowlkes_mallows_score)),
    _case("cluster accuracy", jm.ClusterAccuracy, _matched, without=HOST),
    _case("purity", jm.Purity, _purity),
    _weighted_case(
        "mutual information weighted", jm.MutualInformation, _weighted_information
    ),
    _weighted_case("v-measure weighted", jm.VMeasure, _weighted_v_measure),
    _weighted_case(
        "cluster accuracy weighted", jm.ClusterAccuracy, _weighted_match, without=HOST
    ),
    _weighted_case("purity weighted", jm.Purity, _weighted_purity),
    Case(
        "calinski-harabasz",
        jm.CalinskiHarabasz(clusters=CLUSTERS, size=SIZE),
        small_points,
        lambda values, preds: sk.calinski_harabasz_score(values, preds),
    ),
)
