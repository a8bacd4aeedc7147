"""Rows of the ranking family."""

from __future__ import annotations

import numpy as np
import sklearn.metrics as sk
from support.case import Case, weighted

import jaxmetrics as jm

ITEMS = 6


def queries(rng, rows):
    """Return scores with ties, and relevance from 0 to 3; some queries have none."""
    relevance = rng.integers(0, 4, (rows, ITEMS)) * (rng.random((rows, 1)) < 0.8)
    scores = rng.normal(0, 2, (rows, ITEMS)).round()
    return dict(
        scores=scores.astype(np.float32), relevance=relevance.astype(np.float32)
    )


def by_query(value, empty=0.0):
    """Return the mean over queries of a value of the relevance by position."""

    def reference(scores, relevance, weights=None):
        order = np.argsort(-scores, axis=-1, kind="stable")
        ranked = np.take_along_axis(relevance, order, -1) > 0
        values = [value(row) if row.any() else empty for row in ranked]
        kept = ~np.isnan(values)
        weights = np.ones(len(values)) if weights is None else weights
        return np.average(np.array(values)[kept], weights=weights[kept])

    return reference


def _average_precision(hits, number=None):
    at = np.flatnonzero(hits) + 1
    return (np.arange(1, len(at) + 1) / at).sum() / (number or hits.sum())


def _mean_area(scores, relevance, weights=None):
    """Return the mean area under the ROC curve, 0 for a query of one kind of items."""
    areas = [
        sk.roc_auc_score(row > 0, of_row) if 0 < (row > 0).sum() < len(row) else 0
        for row, of_row in zip(relevance, scores)
    ]
    return np.average(areas, weights=weights)


CASES = (
    Case(
        "ndcg",
        jm.NDCG(),
        queries,
        lambda scores, relevance: sk.ndcg_score(relevance, scores),
        reason="sums of float32 gains",
    ),
    Case(
        "ndcg of the first 3, exponential, weighted",
        jm.NDCG(k=3, gain="exponential", weighted=True),
        weighted(queries),
        lambda scores, relevance, weights: sk.ndcg_score(
            2**relevance - 1, scores, k=3, sample_weight=weights
        ),
        reason="sums of float32 gains",
    ),
    Case(
        "dcg without ties",
        jm.DCG(ignore_ties=True),
        queries,
        lambda scores, relevance: sk.dcg_score(
            relevance, scores - 1e-9 * np.arange(ITEMS), ignore_ties=True
        ),
        reason="sums of float32 gains",
    ),
    Case(
        "mean average precision",
        jm.MeanAveragePrecision(),
        queries,
        by_query(_average_precision),
    ),
    Case(
        "mean average precision of the first 3",
        jm.MeanAveragePrecision(k=3, normalize="possible", empty_queries="drop"),
        queries,
        by_query(lambda x: _average_precision(x[:3], min(3, x.sum())), np.nan),
    ),
    Case(
        "reciprocal rank, weighted",
        jm.ReciprocalRank(weighted=True),
        weighted(queries),
        by_query(lambda hits: 1 / (1 + hits.argmax())),
    ),
    Case(
        "hit rate",
        jm.HitRate(k=2),
        queries,
        by_query(lambda hits: hits[:2].any()),
    ),
    Case(
        "retrieval precision",
        jm.RetrievalPrecision(k=2),
        queries,
        by_query(lambda hits: hits[:2].mean()),
    ),
    Case(
        "retrieval recall",
        jm.RetrievalRecall(k=2),
        queries,
        by_query(lambda hits: hits[:2].sum() / hits.sum()),
    ),
    Case(
        "fall-out",
        jm.FallOut(k=2),
        queries,
        by_query(lambda x: (~x[:2]).sum() / max(1, (~x).sum()), 2 / ITEMS),
    ),
    Case(
        "area of queries",
        jm.RetrievalAUROC(),
        queries,
        _mean_area,
    ),
    Case(
        "r-precision",
        jm.RPrecision(),
        queries,
        by_query(lambda hits: hits[: hits.sum()].mean()),
    ),
    Case(
        "mean rank",
        jm.MeanRank(),
        queries,
        by_query(lambda hits: 1 + hits.argmax(), np.nan),
    ),
)
