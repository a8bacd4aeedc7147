"""Metrics of the relevant items among the first of a ranking."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp

from jaxmetrics.core import Direction, check_choice
from jaxmetrics.metrics.ranking._ranked import (
    Items,
    MeanOverQueries,
    Ranked,
    safe_ratio,
    shared_by_ties,
)


class MeanAveragePrecision(MeanOverQueries):
    """Mean over queries of the average precision of their ranking.

    The mean over the relevant items of a query of the precision at their position; in
    [0, 1], higher is better, nan without queries. An item is relevant if its relevance
    is above 0. Ties go to the lower index.

    Reads `scores` and `relevance`, both `[queries, items]`, as `DCG`, and treats masks
    and invalid queries as it does.

    Args:
      k: Number of positions that count. Default None, all.
      empty_queries: Treatment of a query without relevant items: "zero" (the default,
        as in torchmetrics and trec_eval), "one" or "drop".
      weighted: Require `weights` `[queries]` and weight each query by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.
      normalize: Number to divide by if `k` is given: "relevant" (the default) all
        relevant items, as trec_eval's map_cut; "possible" at most k of them; or
        "retrieved" those among the first k, as torchmetrics does for positive scores
        (newer versions of it leave out items whose score is not above 0).

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> metric = jm.MeanAveragePrecision()
      >>> value = jm.evaluate(metric, scores=scores, relevance=relevance)
      >>> round(float(value), 4)
      0.5833
    """

    higher_is_better: ClassVar[Direction] = True

    normalize: str = dataclasses.field(default="relevant", kw_only=True)

    def validate(self) -> None:
        """Refuse unknown numbers to divide by."""
        super().validate()
        choices = ("relevant", "possible", "retrieved")
        check_choice("MeanAveragePrecision", "normalize", self.normalize, choices)

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        hits = ranked.is_relevant(self.k)
        found = jnp.cumsum(hits.astype(jnp.float32), axis=-1)
        precision = jnp.where(hits, found / ranked.position, 0).sum(axis=-1)
        number = ranked.relevant(self.k if self.normalize == "retrieved" else None)
        if self.normalize == "possible" and self.k is not None:
            number = jnp.minimum(number, self.k)
        value, _ = safe_ratio(precision, number)
        return value, ranked.relevant() > 0


class ReciprocalRank(MeanOverQueries):
    """Mean over queries of 1 / position of the first relevant item (MRR).

    In [0, 1], higher is better, nan without queries; 0 if no relevant item is among the
    first `k`. Ties go to the lower index. Outputs and arguments are those of
    `MeanAveragePrecision`, without `normalize`.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> metric = jm.ReciprocalRank()
      >>> float(jm.evaluate(metric, scores=scores, relevance=relevance))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    def _value_unsorted(self, items: Items) -> tuple[Any, Any]:
        position, exists = items.first_relevant()
        counts = exists if self.k is None else exists & (position <= self.k)
        return jnp.where(counts, 1 / position, 0), exists


class HitRate(MeanOverQueries):
    """Fraction of queries with a relevant item among the first `k`.

    In [0, 1], higher is better, nan without queries. Ties go to the lower index.
    Outputs and arguments are those of `MeanAveragePrecision`, without `normalize`.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> float(jm.evaluate(jm.HitRate(k=1), scores=scores, relevance=relevance))
      0.0
    """

    higher_is_better: ClassVar[Direction] = True

    def _value_unsorted(self, items: Items) -> tuple[Any, Any]:
        position, exists = items.first_relevant()
        hit = exists if self.k is None else exists & (position <= self.k)
        return hit.astype(jnp.float32), exists


class RetrievalPrecision(MeanOverQueries):
    """Mean over queries of the fraction of the first `k` items that is relevant.

    `hits / k`, in [0, 1], higher is better, nan without queries. Ties go to the lower
    index. Outputs and arguments are those of `MeanAveragePrecision`, without
    `normalize`.

    Args:
      adaptive_k: Divide by the number of items of a query if it is below `k`, as
        torchmetrics' argument of that name. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> metric = jm.RetrievalPrecision(k=2)
      >>> float(jm.evaluate(metric, scores=scores, relevance=relevance))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    adaptive_k: bool = dataclasses.field(default=False, kw_only=True)

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        is_fixed = self.k is not None and not self.adaptive_k
        number: Any = self.k if is_fixed else ranked.items(self.k)
        value = ranked.relevant(self.k) / jnp.maximum(number, 1)
        return value, ranked.relevant() > 0


class RetrievalRecall(MeanOverQueries):
    """Mean over queries of the fraction of relevant items among the first `k`.

    `hits / relevant items`, in [0, 1], higher is better, nan without queries. Ties go
    to the lower index. Outputs and arguments are those of `MeanAveragePrecision`,
    without `normalize`. For the recall of pairs within a batch, such as images and
    their captions, pass the matrix of similarities as scores and the identity as
    relevance.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> metric = jm.RetrievalRecall(k=2)
      >>> float(jm.evaluate(metric, scores=scores, relevance=relevance))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        return safe_ratio(ranked.relevant(self.k), ranked.relevant())


class FallOut(MeanOverQueries):
    """Mean over queries of the fraction of irrelevant items among the first `k`.

    `irrelevant among the first k / irrelevant items`, in [0, 1], lower is better, nan
    without queries. Ties go to the lower index. Outputs and arguments are those of
    `MeanAveragePrecision`, without `normalize`; `empty_queries` treats queries without
    irrelevant items (torchmetrics' default is `empty_queries="one"`).

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> metric = jm.FallOut(k=2)
      >>> float(jm.evaluate(metric, scores=scores, relevance=relevance))
      1.0
    """

    higher_is_better: ClassVar[Direction] = False

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        retrieved = ranked.items(self.k) - ranked.relevant(self.k)
        return safe_ratio(retrieved, ranked.items() - ranked.relevant())


class RetrievalAUROC(MeanOverQueries):
    """Mean over queries of the area under the ROC curve of their items.

    The fraction of pairs of a relevant and an irrelevant item in which the relevant one
    has the higher score, ties one half; in [0, 1], higher is better, nan without
    queries. With `k` the items behind the first k do not count, as in torchmetrics'
    `RetrievalAUROC`. Outputs and arguments are those of `MeanAveragePrecision`, without
    `normalize`; `empty_queries` treats queries whose items are all relevant or all
    irrelevant.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 0]]
      >>> metric = jm.RetrievalAUROC()
      >>> float(jm.evaluate(metric, scores=scores, relevance=relevance))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        ranked = ranked.first(self.k)
        hits = ranked.is_relevant()
        misses = (ranked.is_item & ~hits).astype(jnp.float32)
        relevant = shared_by_ties(hits.astype(jnp.float32), ranked)
        irrelevant = shared_by_ties(misses, ranked)
        # Within a group of ties the middle of the item's share stands for one half.
        above = jnp.cumsum(irrelevant, axis=-1) - irrelevant / 2
        wrong = (relevant * above).sum(axis=-1)
        pairs = ranked.relevant() * misses.sum(axis=-1)
        value, defined = safe_ratio(wrong, pairs)
        return 1 - value, defined


class RPrecision(MeanOverQueries):
    """Mean over queries of the precision among as many items as are relevant.

    With R relevant items, `relevant among the first R / R`; in [0, 1], higher is
    better, nan without queries. Ties go to the lower index. Outputs and arguments are
    those of `MeanAveragePrecision`, without `k` and `normalize`.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> metric = jm.RPrecision()
      >>> float(jm.evaluate(metric, scores=scores, relevance=relevance))
      0.5
    """

    higher_is_better: ClassVar[Direction] = True

    def validate(self) -> None:
        """Refuse k, which the number of relevant items takes the place of."""
        super().validate()
        if self.k is not None:
            raise ValueError(
                f"RPrecision: k is {self.k}, but every query uses its own number of "
                "relevant items. Leave it out, or use RetrievalPrecision."
            )

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        relevant = ranked.relevant()
        is_first = ranked.position <= relevant[..., None]
        hits = (ranked.is_relevant() & is_first).sum(axis=-1, dtype=jnp.int32)
        return safe_ratio(hits.astype(jnp.float32), relevant)


class MeanRank(MeanOverQueries):
    """Mean over queries of the position of the first relevant item.

    At least 1, lower is better; nan without queries that have a relevant item: others
    are always left out. Ties go to the lower index. Reads `scores` and `relevance` as
    `MeanAveragePrecision`.

    Args:
      weighted: Require `weights` `[queries]` and weight each query by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> scores, relevance = [[3.0, 2.0, 1.0]], [[0, 1, 1]]
      >>> float(jm.evaluate(jm.MeanRank(), scores=scores, relevance=relevance))
      2.0
    """

    higher_is_better: ClassVar[Direction] = False

    empty_queries: str = "drop"

    def validate(self) -> None:
        """Refuse k, and values for queries that have none."""
        super().validate()
        if self.k is not None or self.empty_queries != "drop":
            raise ValueError(
                f"MeanRank: got k={self.k} and empty_queries={self.empty_queries!r}, "
                "but it takes all items of the queries that have a relevant one. Leave "
                "both out."
            )

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        first = jnp.where(ranked.is_relevant(), ranked.position, jnp.inf).min(axis=-1)
        return first, ranked.relevant() > 0
