"""Scores and labels kept row by row, the state of exact ranking curves."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    Metric,
    averaged_classes,
    buffer_leaf,
    count_leaf,
    count_where,
    like_values,
    namespace,
    scores_field,
)
from jaxmetrics.metrics.classification._score_histogram import ranked_scores

_NONE = -1.0  # label of a score that is not counted


class ScoreRows(Metric):
    """Scores, labels and weights of up to `capacity` rows in all.

    The state of `AUROC` and `AveragePrecision` with `exact=True`; see there for the
    arguments. A row is the scores, the labels and the weight of one example; reading
    more than `capacity` of them is an error on the host, and nan under jit.
    """

    task: str = "multiclass"
    classes: int | None = None
    capacity: int = 1
    scores: str = scores_field("logits", "probs", default="logits")
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    pooled: bool = False
    pairs: bool = False
    rows: Array = buffer_leaf("capacity", "width")
    invalid: Array = count_leaf()

    @property
    def width(self) -> int:
        """Number of values in a row."""
        labels = (self.classes or 1) if self.task == "multilabel" else 1
        return self._scores_in_row + labels + self.weighted

    @property
    def _scores_in_row(self) -> int:
        return 1 if self.task == "binary" else (self.classes or 0)

    def observe(
        self, *, logits: Any, labels: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's rows, and the number of invalid labels."""
        batch = ranked_scores(self, logits, labels, mask)
        labels = jnp.where(
            batch.counted, jnp.asarray(labels).astype(jnp.float32), _NONE
        )
        columns, counted = [batch.scores.astype(jnp.float32), labels], batch.counted
        if self.task == "multilabel":
            counted = counted.any(axis=-1)
        else:
            columns[1] = labels[..., None]
        if self.task == "binary":
            columns[0] = batch.scores[..., None].astype(jnp.float32)
        if self.weighted:
            weights = like_values(weights, counted)
            counted = counted & (weights != 0)
            columns.append(weights[..., None])
        rows = jnp.concatenate(columns, axis=-1)
        return dict(rows=(rows, counted), invalid=count_where(batch.invalid))

    def compute(self) -> Any:
        """Return the rows `[rows, width]`."""
        return self.rows

    def orderings(self) -> list[tuple[Any, Any]]:
        """Return counts by ascending score, one bin for each score, where decoded.

        Returns:
          counts: `[*groups, columns, bins]`.
          is_one_value: Bool `[*groups, bins]`, all true.
        """
        scores, counts = self._by_score()
        return [(counts, namespace(self).ones(scores.shape, bool))]

    def thresholds(self) -> list[Any]:
        """Return the scores `[*groups, bins]` of the bins of `orderings`."""
        return [self._by_score()[0]]

    def _by_score(self) -> tuple[Any, Any]:
        """Return sorted scores `[*groups, bins]`, and counts of each."""
        xp = namespace(self)
        rows = xp.moveaxis(xp.asarray(self.rows), 0, -1)  # [..., width, rows]
        none = xp.full((*rows.shape[:-1], 1), np.nan, rows.dtype)
        rows = xp.concatenate([rows, none], axis=-1)
        width = self._scores_in_row
        scores, labels = rows[..., :width, :], rows[..., width:, :]
        weights = xp.ones_like(labels[..., :1, :])
        if self.weighted:
            labels, weights = labels[..., :-1, :], labels[..., -1:, :]
        labels = xp.broadcast_to(labels, scores.shape)
        weights = xp.broadcast_to(weights, scores.shape)
        number = np.arange(width).reshape((1,) * (rows.ndim - 2) + (-1, 1))
        number = xp.asarray(number).astype(rows.dtype)
        counted = labels >= 0  # not of nan, which pads the rows
        if self.pooled and self.task == "multiclass":
            averaged = averaged_classes(self.task, self.classes, self.ignore_index)
            counted = counted & averaged.reshape(number.shape)
        if self.pairs:
            is_label = [labels == label for label in range(self.classes or 0)]
        else:
            positive = labels == (number if self.task == "multiclass" else 1)
            is_label = [~positive, positive]
        zero = xp.zeros_like(weights)
        columns = [xp.where(own & counted, weights, zero) for own in is_label]
        columns = xp.stack(columns, axis=-2)
        scores = xp.where(counted, scores, xp.full_like(scores, np.inf))
        if self.task == "binary":
            scores, columns = scores[..., 0, :], columns[..., 0, :, :]
        elif self.pooled:
            scores = scores.reshape(*scores.shape[:-2], -1)
            columns = xp.moveaxis(columns, -3, -2)
            columns = columns.reshape(*columns.shape[:-2], -1)
        return _sorted(xp, scores, columns)


def _sorted(xp: Any, scores: Any, columns: Any) -> tuple[Any, Any]:
    """Return scores and columns `[..., columns, rows]` by score, equal ones added up.

    The sum of equal scores is in the place of the last of them.
    """
    order = xp.argsort(scores, axis=-1)
    scores = xp.take_along_axis(scores, order, axis=-1)
    order = xp.broadcast_to(order[..., None, :], columns.shape)
    columns = xp.take_along_axis(columns, order, axis=-1)
    differs = scores[..., 1:] != scores[..., :-1]
    end = xp.ones((*scores.shape[:-1], 1), bool)
    is_first = xp.concatenate([end, differs], axis=-1)[..., None, :]
    is_last = xp.concatenate([differs, end], axis=-1)[..., None, :]
    total = xp.cumsum(columns, axis=-1)
    zero = xp.zeros_like(total)
    before = xp.where(is_first, total - columns, zero)
    if xp is np:
        before = np.maximum.accumulate(before, axis=-1)
    else:
        before = lax.cummax(before, axis=before.ndim - 1)
    return scores, xp.where(is_last, total - before, zero)
