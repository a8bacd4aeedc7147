"""Discounted cumulative gain."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import Direction, check_choice
from jaxmetrics.metrics.ranking._ranked import (
    MeanOverQueries,
    Ranked,
    safe_ratio,
    shared_by_ties,
)

_GAINS = ("linear", "exponential")


class DCG(MeanOverQueries):
    """Discounted cumulative gain of a ranking, the mean over queries.

    `sum(gain_i / log2(i + 1))` over the positions i = 1, 2, ... of a query; at least 0,
    higher is better, nan without queries. As scikit-learn's `dcg_score`: items with
    equal scores share the mean of their gains.

    Reads `scores` and `relevance`, both `[queries, items]`; relevance is at least 0. A
    `mask` `[queries, items]` removes items, one of `[queries]` whole queries; a query
    without items does not count. Queries with a score of NaN, or a relevance that is
    negative or not finite, are counted in `invalid` and never scored.

    Args:
      k: Number of positions that count. Default None, all.
      empty_queries: Treatment of a query without relevant items: "zero" (the default,
        as in scikit-learn and torchmetrics) and "one" give it that value, "drop" leaves
        it out of the mean.
      weighted: Require `weights` `[queries]` and weight each query by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      gain: "linear" (the default, the relevance itself, as in scikit-learn) or
        "exponential", `2**relevance - 1` (Burges et al. 2005; TensorFlow Ranking and
        metrax).
      ignore_ties: Rank items with equal scores by their index in place of sharing
        their gains; scikit-learn's argument. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 2, 1]]
      >>> value = jm.evaluate(jm.DCG(), scores=scores, relevance=relevance)
      >>> round(float(value), 4)
      1.7619
    """

    higher_is_better: ClassVar[Direction] = True

    gain: str = dataclasses.field(default="linear", kw_only=True)
    ignore_ties: bool = dataclasses.field(default=False, kw_only=True)

    def validate(self) -> None:
        """Refuse unknown gains."""
        super().validate()
        check_choice("DCG", "gain", self.gain, _GAINS)

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        value = discounted_gain(ranked, self.k, self.gain, self.ignore_ties)
        return value, ranked.relevant() > 0


class NDCG(MeanOverQueries):
    """Normalized discounted cumulative gain of a ranking, the mean over queries.

    `DCG` divided by that of the best order of the items; in [0, 1], higher is better,
    nan without queries. As scikit-learn's `ndcg_score`, ties included.

    The arguments are those of `DCG`; metrax has `gain="exponential"` and
    `ignore_ties=True`, torchmetrics the default.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 2, 1]]
      >>> value = jm.evaluate(jm.NDCG(), scores=scores, relevance=relevance)
      >>> round(float(value), 4)
      0.6697
    """

    higher_is_better: ClassVar[Direction] = True

    gain: str = dataclasses.field(default="linear", kw_only=True)
    ignore_ties: bool = dataclasses.field(default=False, kw_only=True)

    def validate(self) -> None:
        """Refuse unknown gains."""
        super().validate()
        check_choice("NDCG", "gain", self.gain, _GAINS)

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        value = discounted_gain(ranked, self.k, self.gain, self.ignore_ties)
        ideal = -lax.sort(-_gains(ranked.relevance, self.gain))
        ideal = (ideal * _discounts(ranked, self.k)).sum(axis=-1)
        return safe_ratio(value, ideal)


def discounted_gain(ranked: Ranked, k: int | None, gain: str, ignore_ties: bool) -> Any:
    """Return the discounted gain of each query."""
    gains = _gains(ranked.relevance, gain)
    if not ignore_ties:
        gains = shared_by_ties(gains, ranked)
    return (gains * _discounts(ranked, k)).sum(axis=-1)


def _gains(relevance: Any, gain: str) -> Any:
    return relevance if gain == "linear" else jnp.exp2(relevance) - 1


def _discounts(ranked: Ranked, k: int | None) -> np.ndarray:
    discounts = 1 / np.log2(ranked.position.astype(np.float64) + 1)
    counted = ranked.position <= (k or ranked.position.size)
    return np.where(counted, discounts, 0).astype(np.float32)
