"""Rows of the nominal family."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2_contingency, entropy
from scipy.stats.contingency import association
from sklearn.metrics.cluster import contingency_matrix
from support.case import Case, weighted

import jaxmetrics as jm

CLASSES, COLUMNS, RATERS = 4, 3, 5
TABLE = dict(classes=CLASSES, clusters=COLUMNS)


def associated(rng, rows):
    labels = rng.integers(0, CLASSES, rows)
    random = rng.integers(0, COLUMNS, rows)
    preds = np.where(rng.random(rows) < 0.5, labels % COLUMNS, random)
    return dict(preds=preds.astype(np.int32), labels=labels.astype(np.int32))


def ratings(rng, rows):
    subject = rng.integers(0, CLASSES, (rows, 1))
    random = rng.integers(0, CLASSES, (rows, RATERS))
    agrees = rng.random((rows, RATERS)) < 0.6
    return dict(ratings=np.where(agrees, subject, random).astype(np.int32))


def rating_counts(rng, rows):
    return dict(ratings=_counted(ratings(rng, rows)["ratings"]).astype(np.int32))


def _counted(ratings):
    return (ratings[..., None] == np.arange(CLASSES)).sum(-2)


def _association(method):
    def reference(preds, labels):
        return association(contingency_matrix(labels, preds), method=method)

    return reference


def _corrected_v(preds, labels):
    table = contingency_matrix(labels, preds)
    n, (r, c) = table.sum(), table.shape
    v = association(table, method="cramer")
    phi2 = max(0, v**2 * (min(r, c) - 1) - (r - 1) * (c - 1) / (n - 1))
    r, c = (k - (k - 1) ** 2 / (n - 1) for k in (r, c))
    return np.sqrt(phi2 / (min(r, c) - 1))


def _theils_u(preds, labels):
    table = contingency_matrix(labels, preds)
    by_label = table.sum(1) / table.sum()
    conditional = (by_label * entropy(table, axis=1)).sum()
    return 1 - conditional / entropy(table.sum(0))


def _weighted_v(preds, labels, weights):
    table = np.zeros((CLASSES, COLUMNS))
    np.add.at(table, (labels, preds), weights)
    phi2 = chi2_contingency(table, correction=False).statistic / table.sum()
    return np.sqrt(phi2 / (min(table.shape) - 1))


def _kappa(counts):
    n = counts.sum(1)[0]
    agreement = ((counts * (counts - 1)).sum(1) / (n * (n - 1))).mean()
    by_chance = ((counts.sum(0) / counts.sum()) ** 2).sum()
    return (agreement - by_chance) / (1 - by_chance)


CASES = (
    Case(
        "cramer's v",
        jm.CramersV(**TABLE),
        associated,
        _association("cramer"),
        exact=True,
    ),
    Case(
        "cramer's v, bias corrected",
        jm.CramersV(bias_correction=True, **TABLE),
        associated,
        _corrected_v,
        exact=True,
    ),
    Case(
        "tschuprow's t",
        jm.TschuprowsT(**TABLE),
        associated,
        _association("tschuprow"),
        exact=True,
    ),
    Case(
        "contingency coefficient",
        jm.ContingencyCoefficient(**TABLE),
        associated,
        _association("pearson"),
        exact=True,
    ),
    Case("theil's u", jm.TheilsU(**TABLE), associated, _theils_u, exact=True),
    Case(
        "cramer's v weighted",
        jm.CramersV(weighted=True, **TABLE),
        weighted(associated),
        _weighted_v,
    ),
    Case(
        "fleiss' kappa",
        jm.FleissKappa(classes=CLASSES, raters=RATERS),
        ratings,
        lambda ratings: _kappa(_counted(ratings)),
    ),
    Case(
        "fleiss' kappa of counts",
        jm.FleissKappa(classes=CLASSES, raters=RATERS, mode="counts"),
        rating_counts,
        lambda ratings: _kappa(ratings),
    ),
)
